//! From an HTTP answer to an outcome: the verdict table of the design, section 5, row by row.
//!
//! Pure: the time is passed in. Not here: attempts without an answer (`client.rs`), what follows from an outcome
//! (`delivery/schedule.rs`).

use std::time::SystemTime;

use super::complaint::complaint;
use super::echo::{self, Said};
use super::options::Verify;
use super::signature::{Mask, signature};
use crate::delivery::outcome::{Outcome, PAGE};
use crate::update::{FieldKind, FieldSet, Fields};

/// An answer, as far as it matters.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The first `Retry-After` header.
    pub retry_after: Option<&'a str>,
    /// The body, as much of it as was read.
    pub body: &'a [u8],
    /// Whether the body was longer than what may be read.
    pub cut: bool,
    /// Whether the body is in a coding, compressed as a rule, that was not asked for.
    pub is_coded: bool,
}

/// What the request held that the answer may speak of.
#[derive(Clone, Copy)]
pub struct Sent<'a> {
    /// The fields that were sent.
    pub fields: &'a Fields,
    /// Other values of the row, which the server has from before.
    pub unsent: Option<&'a Fields>,
    /// The token, so that a server that quotes it puts it into no report.
    pub token: Option<&'a str>,
}

impl Sent<'_> {
    fn mask(&self) -> Mask {
        Mask::with_unsent(self.fields, self.unsent, self.token)
    }
}

/// What is said of an answer in a coding that was not asked for.
const CODED: &str = "is compressed, which was not asked for";

/// What an answer teaches. `verify` says what makes it an acknowledgment, `canonical` brings a value into a field's
/// canonical form (`None` where it is no value of that field), `now` is the time a `Retry-After` date is held
/// against.
pub fn classify(
    answer: &Answer<'_>,
    sent: &Sent<'_>,
    verify: Verify,
    canonical: &dyn Fn(FieldKind, &str) -> Option<String>,
    now: SystemTime,
) -> Outcome {
    let words = || if answer.is_coded { format!("answer {CODED}") } else { complaint(answer.body) };
    let complaint_signature = || signature(answer.status, &words(), &sent.mask());
    match answer.status {
        200..=299 => accepted(answer, sent, verify, canonical),
        300..=399 => Outcome::Redirected,
        401 => Outcome::TokenRefused,
        403 => Outcome::Forbidden { signature: complaint_signature() },
        // 407 is a proxy's word and says nothing about the row: a run that met it row by row would fail them all.
        407 | 408 | 425 => failed(answer, complaint_signature(), now),
        409 => Outcome::Conflict { signature: complaint_signature() },
        429 => Outcome::Throttled { retry_after_ms: retry_after_ms(answer.retry_after, now) },
        status @ 400..=499 => {
            let mask = sent.mask();
            let complaint = words();
            let signature = signature(status, &complaint, &mask);
            // The row's own values are masked before the wording is judged: a user may be called "duplicate".
            if matches!(status, 400 | 422) && reads_like_a_conflict(&mask.own_values(&complaint)) {
                Outcome::Conflict { signature }
            } else {
                Outcome::Refused { signature }
            }
        }
        // 5xx, and what is no final status at all: an answer nobody can build on is like none.
        _ => failed(answer, complaint_signature(), now),
    }
}

fn failed(answer: &Answer<'_>, signature: String, now: SystemTime) -> Outcome {
    Outcome::ServerFailed { signature, retry_after_ms: retry_after_ms(answer.retry_after, now) }
}

fn accepted(
    answer: &Answer<'_>,
    sent: &Sent<'_>,
    verify: Verify,
    canonical: &dyn Fn(FieldKind, &str) -> Option<String>,
) -> Outcome {
    if verify == Verify::None {
        return Outcome::Acknowledged;
    }
    let status = answer.status;
    let whole = |text: &str| Outcome::EchoMismatch {
        fields: FieldSet::EMPTY,
        signature: format!("{status} answer {text}"),
    };
    if answer.cut {
        return whole("is too long to be checked");
    }
    if answer.is_coded {
        return whole(CODED);
    }
    let body = answer.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(answer.body).trim_ascii();
    if body.is_empty() {
        return Outcome::Acknowledged;
    }
    match echo::read(body, sent.fields, canonical) {
        Said::Agrees => Outcome::Acknowledged,
        Said::Unreadable if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() => {
            whole("is no JSON object")
        }
        // A log-in page or a proxy's greeting is no acknowledgement, and says nothing of the row.
        Said::Unreadable if body.starts_with(b"<") => Outcome::Page { signature: format!("{status} {PAGE}") },
        Said::Unreadable => whole("is not JSON"),
        Said::OtherStatus => Outcome::EchoMismatch {
            fields: FieldSet::EMPTY,
            signature: signature(
                status,
                &format!("status is not success: {}", complaint(body)),
                &sent.mask(),
            ),
        },
        Said::Differs(_) if verify == Verify::Status => Outcome::Acknowledged,
        Said::Differs(fields) => {
            let names: Vec<&str> = fields.iter().map(FieldKind::name).collect();
            Outcome::EchoMismatch {
                fields,
                signature: format!("{status} echo differs in {}", names.join(", ")),
            }
        }
    }
}

/// What may follow "already" in a complaint about uniqueness.
const CLAIMED: [&str; 16] = [
    "allocated",
    "assigned",
    "associated",
    "attached",
    "belong",
    "bound",
    "claimed",
    "exist",
    "in use",
    "linked",
    "mapped",
    "owned",
    "registered",
    "taken",
    "used",
    "paired",
];

/// Other wordings of a complaint about uniqueness.
const NOT_UNIQUE: [&str; 14] = [
    "duplicate",
    "must be unique",
    "should be unique",
    "not unique",
    "n't unique",
    "not_unique",
    "uniqueness",
    "unique constraint",
    "unique_constraint",
    "unique set",
    "unique index",
    "unique key",
    "unique violation",
    "unique_violation",
];

/// How far after "already" its participle may stand, in bytes: "already been assigned", "already currently in use".
const ALREADY_BYTES_MAX: usize = 32;

/// Whether a complaint reads like a uniqueness conflict, which a later pass may find resolved.
fn reads_like_a_conflict(complaint: &str) -> bool {
    let text = complaint.to_lowercase();
    let already_claimed = text.match_indices("already").any(|(at, word)| {
        let after = &text[at + word.len()..];
        CLAIMED.iter().any(|claimed| after.find(claimed).is_some_and(|at| at < ALREADY_BYTES_MAX))
    });
    already_claimed
        || NOT_UNIQUE.iter().any(|wording| text.contains(wording))
        || ["in use by", "taken by", "belongs to another", "assigned to another"].iter().any(|by| text.contains(by))
        // The bare error code of Django REST Framework.
        || text.split(": ").any(|part| matches!(part.trim(), "unique" | "unique_together"))
}

/// What `Retry-After` asks for, in milliseconds (RFC 9110 section 10.2.3: seconds or a date). The past and negative
/// numbers ask for nothing, garbage is as good as absent, and a huge number is kept: the scheduler has the cap.
fn retry_after_ms(header: Option<&str>, now: SystemTime) -> Option<u64> {
    let text = header?.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 holds are still a number.
        let seconds = digits.parse::<u64>().unwrap_or(u64::MAX);
        return Some(if text.starts_with('-') { 0 } else { seconds.saturating_mul(1000) });
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let wait = date.duration_since(now).unwrap_or_default();
    Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;

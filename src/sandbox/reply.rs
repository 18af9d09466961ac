//! Answers of the sandbox as values: status, the few headers that matter, body. Not here: when which one is given.

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

use super::faults::RetryAfter;
use super::wire::Complaint;

/// What a request gets.
pub(super) enum Answer {
    /// An answer.
    Whole(Reply),
    /// The beginning of one; then the connection is closed.
    Cut(Reply),
    /// A connection reset.
    Reset,
    /// Nothing, ever.
    Hang,
}

impl Answer {
    /// The status that the client sees.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Answer::Whole(reply) | Answer::Cut(reply) => Some(reply.status),
            Answer::Reset | Answer::Hang => None,
        }
    }
}

/// A whole answer.
#[derive(Clone, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Value of `Retry-After`.
    pub(super) retry_after: Option<String>,
    /// Value of `Location`.
    pub(super) location: Option<&'static str>,
    pub(super) body: String,
}

impl Reply {
    /// A complaint about no member in particular.
    pub(super) fn detail(status: u16, says: &str) -> Reply {
        Reply { status, body: serde_json::json!({ "detail": says }).to_string(), ..Reply::default() }
    }

    /// A complaint about a member, in the form of Django REST Framework.
    pub(super) fn member(status: u16, member: &str, says: &str) -> Reply {
        Reply { status, body: serde_json::json!({ member: [says] }).to_string(), ..Reply::default() }
    }

    pub(super) fn complaint(complaint: &Complaint) -> Reply {
        if complaint.member == "detail" {
            Reply::detail(complaint.status, &complaint.says)
        } else {
            Reply::member(complaint.status, &complaint.member, &complaint.says)
        }
    }

    pub(super) fn redirect() -> Reply {
        Reply { status: 307, location: Some("/api/v1/moved/"), ..Reply::detail(307, "Moved.") }
    }

    /// A failure by fault; 429 and 503 carry `Retry-After` where the faults say so.
    pub(super) fn failure(status: u16, retry_after: RetryAfter, now: Timestamp) -> Reply {
        let retry_after = if matches!(status, 429 | 503) { header(retry_after, now) } else { None };
        let says = match status {
            403 => "You do not have permission to perform this action.",
            404 => "Not found.",
            409 => "Conflict.",
            422 => "Unprocessable.",
            429 => "Request was throttled.",
            500 => "Internal server error.",
            503 => "Service temporarily unavailable, try again later.",
            _ => "Failure on demand.",
        };
        Reply { retry_after, ..Reply::detail(status, says) }
    }
}

fn header(retry_after: RetryAfter, now: Timestamp) -> Option<String> {
    match retry_after {
        RetryAfter::Absent => None,
        RetryAfter::Seconds(seconds) => Some(seconds.to_string()),
        RetryAfter::DateAhead(seconds) => {
            let at = now.checked_add(SignedDuration::from_secs(i64::try_from(seconds).ok()?)).ok()?;
            DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_written_in_both_forms() {
        // The example date of RFC 9110 section 5.6.7.
        let now = Timestamp::from_second(784_111_777 - 30).expect("a date of 1994");
        let value = |status, form| Reply::failure(status, form, now).retry_after;
        assert_eq!(value(503, RetryAfter::DateAhead(30)).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(value(429, RetryAfter::Seconds(7)).as_deref(), Some("7"));
        assert_eq!(value(429, RetryAfter::Absent), None);
        assert_eq!(value(500, RetryAfter::Seconds(7)), None);
    }
}

//! What the sandbox does wrong on demand: one serializable set of faults.
//!
//! Not here: the bounds of its members (`bounds.rs`), drawing which fault meets a request (`chance.rs`), doing it
//! (`state.rs` rules, `serve.rs` and `connection.rs` act).
//!
//! Counts and times of windows run from the moment the faults came into force: the start, the last replacement,
//! or the last reset.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// Faults of the sandbox. The default has none. As JSON every member may be absent; an unknown one is refused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Seed of everything drawn by chance. Equal seeds and equal arrival orders give equal faults.
    pub seed: u64,
    /// Shares of requests that meet a fault by chance.
    pub shares: Shares,
    /// Windows in which nothing works.
    pub outages: Vec<Outage>,
    /// Wait before every answer, in milliseconds. The update is applied before the wait, so a client that gives
    /// up meanwhile has an update in doubt that did happen.
    pub latency_ms: u64,
    /// Additional wait, drawn evenly between 0 and this, in milliseconds.
    pub latency_jitter_ms: u64,
    /// The `Retry-After` header of answers 429 and 503.
    pub retry_after: RetryAfter,
    /// Requests above this rate are answered 429.
    pub rate_max: Option<RateMax>,
    /// After so many requests only another token is accepted.
    pub token_after: Option<TokenAfter>,
    /// Status that every request of a subject gets instead of being applied, by the subject's value: 403 for one
    /// that may not be touched, 404 for one that is not known, 500 for one that breaks the server.
    pub subject_statuses: HashMap<String, u16>,
    /// The first attempts of every subject fail.
    pub fail_first: Option<FailFirst>,
    /// Values that are refused with 422 in whatever field they come.
    pub refused_values: HashSet<String>,
    /// What happens when a number, IMSI or ICCID of one subject is sent for another.
    pub uniqueness: Uniqueness,
    /// How identifiers are written in the echo.
    pub echo: EchoStyle,
    /// A connection is closed after so many requests, with `Connection: close`; `None` keeps it.
    pub connection_requests_max: Option<u64>,
}

/// Shares of requests, from 0 to 1, that meet a fault by chance. A request meets one of them at most, so their sum
/// must not exceed 1. `…_before` and statuses strike before the update is applied; all others strike requests
/// whose update was acknowledged, and leave refusals as they are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// 500, not applied.
    pub error_500_before: f64,
    /// 500, applied.
    pub error_500_after: f64,
    /// 503 with the `Retry-After` of the faults, not applied.
    pub unavailable_503: f64,
    /// 429 with the `Retry-After` of the faults, not applied.
    pub too_many_429: f64,
    /// Any other status, not applied.
    pub statuses: BTreeMap<u16, f64>,
    /// Connection reset, not applied.
    pub reset_before: f64,
    /// Connection reset, applied.
    pub reset_after: f64,
    /// Never answered, not applied.
    pub hang_before: f64,
    /// Never answered, applied.
    pub hang_after: f64,
    /// The connection is closed in the middle of the answer; applied.
    pub cut_answer: f64,
    /// 201 whose echo differs from what was sent in one field; applied as sent.
    pub wrong_echo: f64,
    /// 201 whose `status` is not `success`; applied.
    pub wrong_status: f64,
    /// 201 whose body is no JSON; applied.
    pub garbage_body: f64,
    /// 201 without a body; applied.
    pub empty_body: f64,
    /// 201 with a body of [`OVERSIZED_BYTES`](super::OVERSIZED_BYTES) and more; applied.
    pub oversized_body: f64,
    /// 307 to another path; not applied.
    pub redirect_307: f64,
}

/// One fault that a request can meet by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Status(u16),
    Redirect,
    ResetBefore,
    HangBefore,
    Error500After,
    ResetAfter,
    HangAfter,
    CutAnswer,
    WrongEcho,
    WrongStatus,
    GarbageBody,
    EmptyBody,
    OversizedBody,
}

impl Fault {
    /// Name in the records of requests.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Fault::Status(_) => "status",
            Fault::Redirect => "redirect_307",
            Fault::ResetBefore => "reset_before",
            Fault::HangBefore => "hang_before",
            Fault::Error500After => "error_500_after",
            Fault::ResetAfter => "reset_after",
            Fault::HangAfter => "hang_after",
            Fault::CutAnswer => "cut_answer",
            Fault::WrongEcho => "wrong_echo",
            Fault::WrongStatus => "wrong_status",
            Fault::GarbageBody => "garbage_body",
            Fault::EmptyBody => "empty_body",
            Fault::OversizedBody => "oversized_body",
        }
    }
}

impl Shares {
    /// Every fault with its share, always in the same order, so that a seed means the same everywhere.
    pub(super) fn table(&self) -> Vec<(Fault, f64)> {
        let mut table = vec![
            (Fault::Status(500), self.error_500_before),
            (Fault::Error500After, self.error_500_after),
            (Fault::Status(503), self.unavailable_503),
            (Fault::Status(429), self.too_many_429),
            (Fault::ResetBefore, self.reset_before),
            (Fault::ResetAfter, self.reset_after),
            (Fault::HangBefore, self.hang_before),
            (Fault::HangAfter, self.hang_after),
            (Fault::CutAnswer, self.cut_answer),
            (Fault::WrongEcho, self.wrong_echo),
            (Fault::WrongStatus, self.wrong_status),
            (Fault::GarbageBody, self.garbage_body),
            (Fault::EmptyBody, self.empty_body),
            (Fault::OversizedBody, self.oversized_body),
            (Fault::Redirect, self.redirect_307),
        ];
        table.extend(self.statuses.iter().map(|(status, share)| (Fault::Status(*status), *share)));
        table
    }
}

/// A window in which every request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// When.
    pub window: Window,
    /// How.
    pub how: OutageKind,
}

/// When an outage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Window {
    /// By number of requests.
    Requests {
        /// The first request of the outage; the first of all is 1.
        from: u64,
        /// How many.
        count: u64,
    },
    /// By time.
    Time {
        /// When it begins, in milliseconds.
        from_ms: u64,
        /// How long it lasts, in milliseconds.
        for_ms: u64,
    },
}

impl Window {
    /// Whether the window holds a request of this ordinal (from 1), arriving after so many milliseconds.
    pub(super) fn holds(self, ordinal: u64, elapsed_ms: u64) -> bool {
        match self {
            Window::Requests { from, count } => ordinal >= from && ordinal - from < count,
            Window::Time { from_ms, for_ms } => elapsed_ms >= from_ms && elapsed_ms - from_ms < for_ms,
        }
    }
}

/// What an outage looks like from outside. Nothing is applied in any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutageKind {
    /// This status.
    Status(u16),
    /// Connections are reset.
    Reset,
    /// No request is answered.
    Hang,
}

/// The `Retry-After` header, RFC 9110 section 10.2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// No header.
    #[default]
    Absent,
    /// Seconds.
    Seconds(u64),
    /// An HTTP date so many seconds ahead.
    DateAhead(u64),
}

/// A real token bucket: requests above it are answered 429 with the seconds until it has room again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateMax {
    /// Requests per second.
    pub per_s: u32,
    /// Requests that may come at once.
    #[serde(default = "one")]
    pub burst: u32,
}

/// A token that takes over from the first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenAfter {
    /// Requests that still need the first token.
    pub requests: u64,
    /// The only token accepted after them.
    #[serde(skip_serializing)]
    pub token: String,
}

impl fmt::Debug for TokenAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAfter").field("requests", &self.requests).finish_non_exhaustive()
    }
}

/// The first attempts of every subject fail, whatever the order in which subjects come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailFirst {
    /// How many attempts of each subject.
    pub attempts: u64,
    /// Their status.
    pub status: u16,
}

/// What happens when a `number`, `imsi` or `iccid` that one subject holds is sent for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uniqueness {
    /// Both hold it.
    #[default]
    Off,
    /// Refused with 409.
    #[serde(rename = "refuse_409")]
    Refuse409,
    /// Refused with 422, naming the field and the holder.
    #[serde(rename = "refuse_422")]
    Refuse422,
    /// The newcomer has it, the other one loses it.
    Steal,
}

/// How identifiers are written in the echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EchoStyle {
    /// As they were sent.
    #[default]
    AsSent,
    /// Otherwise written, but meaning the same: the number without its plus, the ICCID with a filler F when it has
    /// 19 digits.
    Reformatted,
}

const fn one() -> u32 {
    1
}

//! What one attempt taught us (`Outcome`) and what follows from it (`Verdict`).
//!
//! Not here: how an HTTP answer becomes an outcome (`api/answer.rs`), and the decision itself (`schedule.rs`).

use crate::ledger::FailureKind;
use crate::update::FieldSet;

/// What a page of HTML in the API's place is called, in signatures.
pub const PAGE: &str = "answer is a page of HTML, not JSON";

/// What one attempt taught us. The kind is the rule: each variant's docs state the consequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx, status `success` or absent, echo agrees or body empty. Synced.
    Acknowledged,
    /// 2xx whose body says otherwise: another status, an echoed field that differs, or no JSON at all. Failed, and
    /// its fields are unknown.
    EchoMismatch {
        /// Echoed fields that differ; empty when the body as a whole is wrong.
        fields: FieldSet,
        /// The complaint, masked.
        signature: String,
    },
    /// 2xx whose body is a page of HTML: a portal's or a proxy's word, not the API's. At first contact like an echo
    /// mismatch, because the address may be wrong; later like a failing server: retried. The server may have applied
    /// it.
    Page {
        /// The complaint: the status and [`PAGE`].
        signature: String,
    },
    /// 400, 404, 413, 415, 422 and other 4xx. Failed, not tried again.
    Refused {
        /// The complaint, masked.
        signature: String,
    },
    /// 409, or 400/422 that reads like a uniqueness conflict. Deferred to a later pass.
    Conflict {
        /// The complaint, masked.
        signature: String,
    },
    /// 401. The run pauses, the token is read again, the same update goes on; if it is the same, as with 403.
    TokenRefused,
    /// A 403. Waits for a neighbor: refused where one sent later passes (tried once more first, where others were
    /// refused in a row with it), the token's fault where none does.
    Forbidden {
        /// The complaint, masked.
        signature: String,
    },
    /// 429, with or without `Retry-After`. Quiets everybody, then sent again at no cost; it was not applied.
    Throttled {
        /// What `Retry-After` asks for, in milliseconds, uncapped.
        retry_after_ms: Option<u64>,
    },
    /// 408, 425, 5xx, also a 503 with `Retry-After`, which then quiets everybody. Retried. The server may have applied
    /// it.
    ServerFailed {
        /// The complaint, masked.
        signature: String,
        /// What `Retry-After` asks for, in milliseconds, uncapped.
        retry_after_ms: Option<u64>,
    },
    /// No answer in time. Retried. The server may have applied it.
    TimedOut,
    /// The connection broke after the request may have left. Retried. The server may have applied it.
    Disconnected,
    /// No connection: the request certainly did not leave. Retried.
    NotConnected,
    /// The server says that it did nothing for the request: it refused the stream, or closes the connection before
    /// it. Sent again at once, a few times, at no cost; then like no connection.
    Unprocessed,
    /// 3xx. Wrong URL: the run stops, at first contact and where three subjects in a row are redirected; a row that is
    /// redirected while others pass is refused. It may have been applied, but for 307 and 308.
    Redirected,
}

impl Outcome {
    /// One word for events and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Outcome::Acknowledged => "acknowledged",
            Outcome::EchoMismatch { .. } => "echo-mismatch",
            Outcome::Page { .. } => "page",
            Outcome::Refused { .. } => "refused",
            Outcome::Conflict { .. } => "conflict",
            Outcome::TokenRefused => "token-refused",
            Outcome::Forbidden { .. } => "forbidden",
            Outcome::Throttled { .. } => "throttled",
            Outcome::ServerFailed { .. } => "server-failed",
            Outcome::TimedOut => "timeout",
            Outcome::Disconnected => "disconnected",
            Outcome::NotConnected => "not-connected",
            Outcome::Unprocessed => "unprocessed",
            Outcome::Redirected => "redirected",
        }
    }
}

/// What the server says it will still take from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Attempts left in the server's period.
    pub remaining: u64,
    /// Milliseconds until its next period begins.
    pub reset_ms: u64,
}

/// An outcome as the engine hands it to the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What the attempt taught us.
    pub outcome: Outcome,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// What the answer says of the server's rate limit, if it says anything.
    pub quota: Option<Quota>,
    /// Generation of the token that was sent: a late 401 under an old token is not "refused again".
    pub token_generation: u64,
}

/// What follows from an outcome for its update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Acknowledged.
    Synced,
    /// Failed for good in this run.
    Failed(Failure),
    /// Waits for a later pass.
    Deferred(Failure),
    /// Goes out again, not before so many milliseconds from now.
    RetryIn {
        /// Delay in milliseconds.
        delay_ms: u64,
    },
    /// Kept back until the first-contact guard has made up its mind, or a neighbor has shown whether it is the token;
    /// the verdict, or another attempt, follows later.
    Withheld,
}

/// How and why an update failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How.
    pub kind: FailureKind,
    /// The last answer's status, if there was any.
    pub status: Option<u16>,
    /// The complaint, masked.
    pub signature: String,
    /// Whether some attempt of it may have been applied: its fields are unknown then.
    pub maybe_applied: bool,
}

/// Why the scheduler stops the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopCause {
    /// The token was refused, read again, and refused again. Exit 12; updates stay pending.
    TokenRefused,
    /// The server was down, or kept pushing back, for longer than `outage_max`. Exit 5.
    Outage,
    /// A redirect: wrong URL. Exit 10.
    Redirected {
        /// The status.
        status: u16,
    },
    /// Nothing but refusals at first contact. Exit 4; nothing is marked failed.
    NothingAccepted {
        /// The most frequent complaint, masked.
        signature: String,
        /// Subjects tried.
        subjects: u64,
    },
    /// So many subjects in a row were refused with one complaint, none acknowledged between them. Exit 4.
    RefusalsInARow {
        /// The complaint, masked.
        signature: String,
        /// Subjects.
        subjects: u64,
    },
    /// More failures with one complaint than its budget allows. Exit 4.
    SignatureBudget {
        /// The complaint, masked.
        signature: String,
        /// Updates that failed with it so far.
        failed: u64,
    },
    /// More failures than the error budget allows. Exit 4.
    ErrorBudget {
        /// Failed updates so far.
        failed: u64,
    },
}

//! What the scheduler is told and what it answers: offers, attempts, decisions, actions.
//!
//! Not here: outcomes and verdicts (`outcome.rs`), and how the answers come about (`schedule.rs`, `ruling.rs`).

use super::outcome::{StopCause, Verdict};
use crate::digest::SubjectId;

/// Reason of a quiet after a 429.
pub const REASON_THROTTLED: &str = "too many requests";
/// Reason of a quiet after an answer whose rate limit headers leave nothing.
pub const REASON_QUOTA: &str = "the server's rate limit is used up";
/// Reason of a quiet after another answer with `Retry-After`.
pub const REASON_RETRY_AFTER: &str = "the server asked to wait";

/// The caller's number of an update; unique among those held.
pub type UpdateId = u64;

/// An update offered for delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Its number.
    pub id: UpdateId,
    /// Whom it is about.
    pub subject: SubjectId,
    /// Whether it was refused in an earlier batch, or exhausted in an earlier run: goes last, and testifies to nothing.
    pub chronic: bool,
}

/// An attempt to make now. It is in flight from the moment it is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Of which update.
    pub id: UpdateId,
    /// Whom it is about.
    pub subject: SubjectId,
    /// Which request for this update it is in this run, from 1; every request counts, charged or not.
    pub attempt: u32,
    /// Whether it probes a server taken for down.
    pub is_probe: bool,
    /// Generation of the token it should carry.
    pub token_generation: u64,
}

/// What the caller has to do now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// What follows for updates; often for others than the one whose outcome was told.
    pub verdicts: Vec<(UpdateId, Verdict)>,
    /// What follows for the run.
    pub actions: Vec<Action>,
}

/// What follows for the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Read the token again and answer with [`super::Scheduler::on_token`]; nothing is sent before.
    RereadToken,
    /// The run stops; the scheduler drains from now on. Told once.
    Stop(StopCause),
    /// Everybody is quiet for so long, or longer than told before.
    QuietStarted {
        /// Length from now, in milliseconds.
        ms: u64,
        /// Why, in a few words.
        reason: &'static str,
    },
    /// The quiet told of is over.
    QuietEnded,
    /// The server is taken for down; only probes go out.
    BreakerOpened,
    /// The server answers again.
    BreakerClosed,
    /// Whoever is asked is pushed back: it may be those at hand, so that others had better be read. Told each time
    /// anew.
    NobodyPasses,
    /// First success at an unproven target: the caller marks it proven.
    GuardReleased,
}

/// The token was read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRead {
    /// The number it goes by from now on; greater than the one before, if it changed.
    pub generation: u64,
    /// Whether it differs from the one refused.
    pub changed: bool,
}

/// An update that was offered and is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leftover {
    /// Which.
    pub id: UpdateId,
    /// Whether an earlier attempt of it may have been applied.
    pub maybe_applied: bool,
}

/// What stands in the way of sending, the most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Open,
    /// Everybody is quiet.
    Quiet {
        /// Until when.
        until_ms: u64,
    },
    /// The server is taken for down.
    BreakerOpen {
        /// Since when.
        since_ms: u64,
    },
    /// The token was refused and is read again.
    AwaitingToken,
    /// First contact: few attempts, refusals kept back.
    Guarding,
    /// No attempt starts any more.
    Draining,
}

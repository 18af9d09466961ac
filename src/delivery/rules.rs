//! The bounds and numbers of delivery, each with its default.
//!
//! Not here: what they decide (the files beside this one), and how they are written in a configuration (`config.rs`).

use std::sync::Arc;

use super::turned_away::TurnedAway;

/// Attempts on the wire at once.
pub const MAX_IN_FLIGHT: usize = 64;
/// Charged attempts after which an update is exhausted.
pub const ATTEMPTS_MAX: u32 = 8;
/// Ceiling of the first retry's delay.
pub const BACKOFF_INITIAL_MS: u64 = 500;
/// Ceiling of every retry's delay, and of a quiet that nobody put a number on.
pub const BACKOFF_MAX_MS: u64 = 30_000;
/// Longest quiet that a server's `Retry-After` can ask for at once.
pub const RETRY_AFTER_MAX_MS: u64 = 300_000;
/// First quiet after a 429 that names no delay.
pub const THROTTLE_DEFAULT_MS: u64 = 1_000;
/// Time without a definite answer after which the run gives up.
pub const OUTAGE_MAX_MS: u64 = 900_000;
/// Failures since the last definite answer that open the breaker, …
pub const BREAKER_FAILURES: u32 = 10;
/// … when they are spread over so many subjects.
pub const BREAKER_SUBJECTS: u32 = 5;
/// Share of failures among a second's outcomes from which the server is sick and asked less often, in hundredths; they
/// must be spread over as many subjects as those that open the breaker.
pub const SICK_PERCENT: u64 = 25;
/// Time between the breaker's opening and the first probe; doubles with every failed probe.
pub const PROBE_INTERVAL_MS: u64 = 1_000;
/// Longest time between two probes.
pub const PROBE_INTERVAL_MAX_MS: u64 = 30_000;
/// Attempts in flight while a target has never acknowledged anything.
pub const UNPROVEN_IN_FLIGHT: usize = 4;
/// Subjects refused without a single success that stop the run at such a target.
pub const UNPROVEN_SUBJECTS: u32 = 20;
/// Subjects in a row refused with one complaint that stop the run; 0 for never.
pub const REFUSALS_IN_A_ROW_MAX: u32 = 100;
/// Updates ready or in flight.
pub const READY_MAX: usize = 1_024;
/// Updates held: everything offered and not settled.
pub const HELD_MAX: usize = 4_096;
/// First attempts that must go out between two retries while there are first attempts to make.
pub const FRESH_PER_RETRY: u32 = 4;

/// Subjects, and updates, that wait for a later pass; a conflict beyond them is final at once.
pub const DEFERRED_MAX: usize = 100_000;

/// Signatures whose failures are counted apart; further ones have no budget of their own.
pub const SIGNATURES_MAX: usize = 1_024;

/// Bounds and numbers of delivery. Milliseconds count on whatever clock the caller passes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRules {
    /// Attempts on the wire at once, at least 1 and at most.
    pub max_in_flight: usize,
    /// Whether the limit adapts to the server between 1 and `max_in_flight`; else it is `max_in_flight`.
    pub adapts: bool,
    /// Where an adaptive limit settled in the last run at this target; `None` where nothing is known.
    pub settled_before: Option<usize>,
    /// Charged attempts after which an update is exhausted, at least 1.
    pub attempts_max: u32,
    /// Time since an update's first failure that counts, without that during which the run was held, after which its
    /// next one exhausts it, whatever its attempts; `None` for never.
    pub retry_elapsed_max_ms: Option<u64>,
    /// Ceiling of the first retry's delay.
    pub backoff_initial_ms: u64,
    /// Ceiling of every retry's delay.
    pub backoff_max_ms: u64,
    /// Cap on `Retry-After`.
    pub retry_after_max_ms: u64,
    /// Quiet after a 429 without `Retry-After`; doubles with consecutive ones up to `backoff_max_ms`.
    pub throttle_default_ms: u64,
    /// Time without a definite answer after which the run gives up.
    pub outage_max_ms: u64,
    /// Failures since the last definite answer that open the breaker.
    pub breaker_failures: u32,
    /// Distinct subjects these failures must be spread over.
    pub breaker_subjects: u32,
    /// Share of failures from which attempts are spaced, in hundredths; more than 100 for never.
    pub sick_percent: u64,
    /// Time to the first probe; doubles with every failed one.
    pub probe_interval_ms: u64,
    /// Longest time between two probes.
    pub probe_interval_max_ms: u64,
    /// Whether this target, envelope and mapping have been acknowledged before.
    pub proven: bool,
    /// Whom earlier runs at this target were stopped for.
    pub turned_away: Arc<TurnedAway>,
    /// Attempts in flight until the first success at an unproven target, at least 1.
    pub unproven_in_flight: usize,
    /// Subjects refused without a success that stop the run at an unproven target.
    pub unproven_subjects: u32,
    /// Subjects in a row refused with one complaint, without an acknowledgement between them, that stop the run; 0
    /// for never.
    pub refusals_in_a_row_max: u32,
    /// Updates ready or in flight.
    pub ready_max: usize,
    /// Updates offered and not settled.
    pub held_max: usize,
    /// Updates that wait for a later pass; a conflict of one more is final, unless it stands behind one of its subject.
    pub deferred_max: usize,
    /// Error budget: the run stops when more updates than this have failed.
    pub failures_max: Option<u64>,
    /// The same for each complaint: the run stops when more updates than this have failed with one signature.
    pub signature_failures_max: Option<u64>,
    /// Retry budget: first attempts between two retries, while there are first attempts to make. With 4, retries
    /// are at most a fifth of all attempts then.
    pub fresh_per_retry: u32,
}

impl Default for DeliveryRules {
    fn default() -> DeliveryRules {
        DeliveryRules {
            max_in_flight: MAX_IN_FLIGHT,
            adapts: true,
            settled_before: None,
            attempts_max: ATTEMPTS_MAX,
            retry_elapsed_max_ms: None,
            backoff_initial_ms: BACKOFF_INITIAL_MS,
            backoff_max_ms: BACKOFF_MAX_MS,
            retry_after_max_ms: RETRY_AFTER_MAX_MS,
            throttle_default_ms: THROTTLE_DEFAULT_MS,
            outage_max_ms: OUTAGE_MAX_MS,
            breaker_failures: BREAKER_FAILURES,
            breaker_subjects: BREAKER_SUBJECTS,
            sick_percent: SICK_PERCENT,
            probe_interval_ms: PROBE_INTERVAL_MS,
            probe_interval_max_ms: PROBE_INTERVAL_MAX_MS,
            proven: false,
            turned_away: Arc::default(),
            unproven_in_flight: UNPROVEN_IN_FLIGHT,
            unproven_subjects: UNPROVEN_SUBJECTS,
            refusals_in_a_row_max: REFUSALS_IN_A_ROW_MAX,
            ready_max: READY_MAX,
            held_max: HELD_MAX,
            deferred_max: DEFERRED_MAX,
            failures_max: None,
            signature_failures_max: None,
            fresh_per_retry: FRESH_PER_RETRY,
        }
    }
}

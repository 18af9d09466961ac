//! Bounds of the faults: what a set must keep to before it comes into force.
//!
//! Not here: the faults themselves (`faults.rs`).

use super::faults::{Faults, OutageKind, RateMax, RetryAfter};

/// Longest latency that may be asked for, in milliseconds: an hour. Whoever wants more wants a hang.
pub const LATENCY_MS_MAX: u64 = 3_600_000;

/// Longest `Retry-After` that may be asked for, in seconds: a day.
pub const RETRY_AFTER_S_MAX: u64 = 86_400;

/// Highest rate limit and largest burst that may be asked for, in requests.
pub const RATE_MAX: u64 = 1_000_000;

/// Why a set of faults cannot come into force.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FaultsError {
    /// A share is no number from 0 to 1.
    #[error("share of {fault} is {share}, not between 0 and 1")]
    Share {
        /// Name of the fault.
        fault: &'static str,
        /// What was given.
        share: f64,
    },
    /// Shares exclude each other, so together they are 1 at most.
    #[error("shares add up to {sum}, more than 1")]
    Sum {
        /// What they add up to.
        sum: f64,
    },
    /// No such final status.
    #[error("status {status} is not between 200 and 599")]
    Status {
        /// What was given.
        status: u16,
    },
    /// A number beyond its bound.
    #[error("{name} is {value}, not between {min} and {max}")]
    Bound {
        /// Member of the faults.
        name: &'static str,
        /// What was given.
        value: u64,
        /// Least accepted.
        min: u64,
        /// Most accepted.
        max: u64,
    },
    /// The second token is empty.
    #[error("token_after.token is empty")]
    EmptyToken,
}

impl FaultsError {
    /// What the operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            FaultsError::Share { .. } | FaultsError::Sum { .. } => {
                "give shares as fractions, 0.05 for one request in twenty, adding up to 1 at most"
            }
            FaultsError::Status { .. } => "give a final HTTP status, 200 to 599",
            FaultsError::Bound { .. } => "give a value within the bounds named",
            FaultsError::EmptyToken => "give a second token or leave token_after out",
        }
    }
}

impl Faults {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first member that cannot be.
    pub fn check(&self) -> Result<(), FaultsError> {
        let table = self.shares.table();
        if let Some((fault, share)) = table.iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return Err(FaultsError::Share { fault: fault.name(), share: *share });
        }
        let sum: f64 = table.iter().map(|(_, share)| share).sum();
        // Tenths do not add up to exactly 1 in binary.
        if sum > 1.0 + 1e-9 {
            return Err(FaultsError::Sum { sum });
        }
        if let Some(status) = self.statuses().find(|status| !(200..=599).contains(status)) {
            return Err(FaultsError::Status { status });
        }
        let retry_after_s = match self.retry_after {
            RetryAfter::Absent => 0,
            RetryAfter::Seconds(seconds) | RetryAfter::DateAhead(seconds) => seconds,
        };
        let rate = self.rate_max.unwrap_or(RateMax { per_s: 1, burst: 1 });
        let bounds = [
            ("latency_ms", self.latency_ms, 0, LATENCY_MS_MAX),
            ("latency_jitter_ms", self.latency_jitter_ms, 0, LATENCY_MS_MAX),
            ("retry_after", retry_after_s, 0, RETRY_AFTER_S_MAX),
            ("rate_max.per_s", u64::from(rate.per_s), 1, RATE_MAX),
            ("rate_max.burst", u64::from(rate.burst), 1, RATE_MAX),
            ("connection_requests_max", self.connection_requests_max.unwrap_or(1), 1, u64::MAX),
        ];
        if let Some(&(name, value, min, max)) =
            bounds.iter().find(|(_, value, min, max)| !(min..=max).contains(&value))
        {
            return Err(FaultsError::Bound { name, value, min, max });
        }
        match &self.token_after {
            Some(after) if after.token.is_empty() => Err(FaultsError::EmptyToken),
            Some(_) | None => Ok(()),
        }
    }

    /// Every status that is named anywhere.
    fn statuses(&self) -> impl Iterator<Item = u16> {
        let outages = self.outages.iter().filter_map(|outage| match outage.how {
            OutageKind::Status(status) => Some(status),
            OutageKind::Reset | OutageKind::Hang => None,
        });
        outages
            .chain(self.shares.statuses.keys().copied())
            .chain(self.subject_statuses.values().copied())
            .chain(self.fail_first.map(|first| first.status))
    }
}

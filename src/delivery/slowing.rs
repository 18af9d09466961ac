//! Why fewer attempts begin than the operator's rate allows, although nothing holds the run: for people.
//!
//! Decides nothing. Not here: what holds the run altogether (`Scheduler::condition`), and the parts that slow it down,
//! each in its own file.

use super::concurrency::Bound;
use super::schedule::Scheduler;

/// Why sending is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slowing {
    /// Too many requests fail: attempts are spaced.
    Failing {
        /// Microseconds between two attempts.
        gap_us: u64,
    },
    /// What comes faster is turned away (429 or 503 without a delay).
    TurnedAway {
        /// Microseconds between two attempts.
        gap_us: u64,
    },
    /// What the server's rate limit leaves is spread over the time that is left.
    Quota {
        /// Microseconds between two attempts.
        gap_us: u64,
    },
    /// First contact.
    Guarding {
        /// Attempts at once.
        in_flight: usize,
    },
    /// A new token has not passed yet: one attempt at a time.
    Token,
    /// As many are on the wire as may be.
    Full {
        /// Attempts at once.
        in_flight: usize,
        /// What keeps it from being more.
        bound: Bound,
    },
    /// Nothing is left but what waits for its retry.
    Retries {
        /// So many updates.
        updates: usize,
    },
}

impl Slowing {
    /// Time between two attempts that it asks for, if it asks for one.
    pub fn gap_us(self) -> Option<u64> {
        match self {
            Slowing::Failing { gap_us } | Slowing::TurnedAway { gap_us } | Slowing::Quota { gap_us } => {
                Some(gap_us)
            }
            Slowing::Guarding { .. } | Slowing::Token | Slowing::Full { .. } | Slowing::Retries { .. } => {
                None
            }
        }
    }
}

impl Scheduler {
    /// What slows sending down just now, the most telling first, while nothing holds it. Attempts less than `gap_us`
    /// apart are too fast for the operator's rate already, so that what asks for no more slows nothing down.
    pub fn slowing(&self, gap_us: u64, now_ms: u64) -> Option<Slowing> {
        let spaced = [
            self.brake.gap_us().map(|gap_us| Slowing::Failing { gap_us }),
            self.shed.gap_us().map(|gap_us| Slowing::TurnedAway { gap_us }),
            self.quota.gap_us(now_ms).map(|gap_us| Slowing::Quota { gap_us }),
        ];
        let widest = spaced.into_iter().flatten().max_by_key(|slowing| slowing.gap_us());
        if let Some(slowing) = widest.filter(|slowing| slowing.gap_us() > Some(gap_us)) {
            return Some(slowing);
        }
        let (limit, in_flight) = (self.concurrency.limit(), self.lanes.in_flight());
        if self.token.is_on_trial() {
            return Some(Slowing::Token);
        }
        if self.guard.is_on() && self.rules.unproven_in_flight <= limit {
            return Some(Slowing::Guarding { in_flight: self.rules.unproven_in_flight });
        }
        let is_waiting = self.lanes.available(now_ms, 1, self.rules.fresh_per_retry) > 0;
        if let Some(bound) = self.concurrency.bound().filter(|_| is_waiting && in_flight >= limit) {
            return Some(Slowing::Full { in_flight: limit, bound });
        }
        let updates = self.lanes.delayed();
        (!is_waiting && updates > 0 && !self.lanes.expects_fresh()).then_some(Slowing::Retries { updates })
    }
}

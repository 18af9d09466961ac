//! Three of the checker's books: permits, the retry budget, and the failures that may open the breaker.

use std::collections::{BTreeSet, VecDeque};

use super::super::day::Pace;
use super::ensure;

/// Permits that may be in the caller's hand when the wire has just filled up: they were let through before.
const IN_HAND_MAX: u64 = 1;
/// Retries beyond the fifth that may have been saved up.
const SAVED_MAX: usize = 4;
const MINUTE_MS: u64 = 60_000;

/// Rate and burst: over any time at all, no more than the rate allows in it and the burst.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    rate_per_s: u64,
    full_milli: u64,
    level_milli: u64,
    at_ms: u64,
}

impl Rate {
    pub(crate) fn new(pace: Pace) -> Rate {
        // A permit let through in one moment is used in the next.
        let late_milli = 2 * pace.rate_per_s;
        let full_milli = (pace.burst + IN_HAND_MAX) * 1_000 + late_milli;
        Rate { rate_per_s: pace.rate_per_s, full_milli, level_milli: full_milli, at_ms: 0 }
    }

    pub(crate) fn spend(&mut self, now_ms: u64) -> Result<(), String> {
        let earned_milli = (now_ms - self.at_ms) * self.rate_per_s;
        self.level_milli = (self.level_milli + earned_milli).min(self.full_milli);
        self.at_ms = now_ms;
        ensure(self.level_milli >= 1_000, || format!("an attempt above the rate of {}/s", self.rate_per_s))?;
        self.level_milli -= 1_000;
        Ok(())
    }
}

/// The retry budget: while a first try could go, retries are a fifth of all attempts over any minute, and the few that
/// were saved up.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// Attempts of the latest minute in which there were first tries: when, and whether it was a retry.
    spent: VecDeque<(u64, bool)>,
    retries: usize,
}

impl Budget {
    pub(crate) fn spend(
        &mut self,
        now_ms: u64,
        is_first: bool,
        is_retry: bool,
        are_firsts_left: bool,
    ) -> Result<(), String> {
        if !is_first && !is_retry {
            return Ok(());
        }
        if !is_first && !are_firsts_left {
            // Retries are spaced by their own delays now; what comes after them is judged afresh.
            *self = Budget::default();
            return Ok(());
        }
        self.spent.push_back((now_ms, !is_first));
        self.retries += usize::from(!is_first);
        while let Some((_, is_retry)) = self.spent.front().filter(|(at_ms, _)| at_ms + MINUTE_MS <= now_ms) {
            self.retries -= usize::from(*is_retry);
            self.spent.pop_front();
        }
        let (retries, all) = (self.retries, self.spent.len());
        ensure(is_first || retries <= all / 5 + SAVED_MAX, || {
            format!("{retries} retries of {all} attempts in a minute")
        })
    }
}

/// Failures since the last definite answer of updates that may testify.
#[derive(Debug, Default)]
pub(crate) struct Streak {
    failures: u32,
    subjects: BTreeSet<u64>,
}

impl Streak {
    pub(crate) fn add(&mut self, subject: u64) {
        self.failures += 1;
        self.subjects.insert(subject);
    }

    /// Whether the breaker may open on it. Before anybody had an answer, a single failure can be everybody's.
    pub(crate) fn may_open(&self, was_well: bool, failures: u32, subjects: u32) -> Result<(), String> {
        let (failures, subjects) = if was_well { (failures, subjects as usize) } else { (1, 1) };
        ensure(self.failures >= failures && self.subjects.len() >= subjects, || {
            format!("the breaker opened on {} failures of {:?}", self.failures, self.subjects)
        })
    }
}

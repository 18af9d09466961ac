//! The shared quiet: a 429 or a `Retry-After` silences everybody until it is over.
//!
//! The quota is the account's, not the row's: while one row waits, the others would be refused as well (measured:
//! waiting per row reached a sixth of the allowed rate). A quiet is never shortened by another answer.
//!
//! Not here: which row goes first afterwards (`schedule.rs`).

use super::retry::Ceilings;
use super::rules::DeliveryRules;

/// An extension shorter than this is not worth another event.
const WORTH_TELLING_MS: u64 = 1_000;

/// The quiet in force, and how pressing the server has been.
#[derive(Debug)]
pub(super) struct Quiet {
    until_ms: u64,
    /// Consecutive volleys of 429 without `Retry-After`.
    level: u32,
    /// Consecutive volleys of 429, whatever they name.
    volleys: u32,
    /// End of the quiet that the caller has been told of, while it lasts.
    told_until_ms: Option<u64>,
    ceilings: Ceilings,
    retry_after_max_ms: u64,
}

impl Quiet {
    /// No quiet yet.
    pub(super) fn new(rules: &DeliveryRules) -> Quiet {
        Quiet {
            until_ms: 0,
            level: 0,
            volleys: 0,
            told_until_ms: None,
            ceilings: Ceilings::new(rules.throttle_default_ms, rules.backoff_max_ms),
            retry_after_max_ms: rules.retry_after_max_ms,
        }
    }

    /// End of the quiet, if there is one now.
    pub(super) fn until_ms(&self, now_ms: u64) -> Option<u64> {
        (now_ms < self.until_ms).then_some(self.until_ms)
    }

    /// Volleys of 429 since the last definite answer.
    pub(super) fn volleys(&self) -> u32 {
        self.volleys
    }

    /// A 429. `sent_ms` tells volleys apart: what left before the quiet began knows nothing new. Returns the length
    /// of the quiet from now on, if the caller should hear of it.
    pub(super) fn on_throttled(
        &mut self,
        now_ms: u64,
        sent_ms: u64,
        retry_after_ms: Option<u64>,
    ) -> Option<u64> {
        if sent_ms >= self.until_ms {
            self.volleys = self.volleys.saturating_add(1);
        }
        // `Retry-After: 0` on a 429 contradicts itself; obeying it would hammer the server.
        if let Some(asked_ms) = retry_after_ms.filter(|asked| *asked > 0) {
            return self.on_retry_after(now_ms, asked_ms);
        }
        let is_new_volley = self.level == 0 || sent_ms >= self.until_ms;
        if is_new_volley {
            self.level = self.level.saturating_add(1);
        } else if now_ms < self.until_ms {
            return None;
        }
        self.extend(now_ms, self.ceilings.ceiling_ms(self.level))
    }

    /// Any answer that names a delay. Returns the length of the quiet, if the caller should hear of it.
    pub(super) fn on_retry_after(&mut self, now_ms: u64, asked_ms: u64) -> Option<u64> {
        self.extend(now_ms, asked_ms.min(self.retry_after_max_ms))
    }

    /// A definite answer: the next 429 without `Retry-After` starts small again.
    pub(super) fn on_definite(&mut self) {
        (self.level, self.volleys) = (0, 0);
    }

    /// Whether a quiet the caller was told of is over; true once.
    pub(super) fn has_ended(&mut self, now_ms: u64) -> bool {
        let is_over = self.told_until_ms.is_some() && now_ms >= self.until_ms;
        if is_over {
            self.told_until_ms = None;
        }
        is_over
    }

    fn extend(&mut self, now_ms: u64, for_ms: u64) -> Option<u64> {
        let until_ms = now_ms.saturating_add(for_ms);
        if until_ms <= self.until_ms || for_ms == 0 {
            return None;
        }
        self.until_ms = until_ms;
        let is_worth_telling = self.told_until_ms.is_none_or(|told| until_ms >= told + WORTH_TELLING_MS);
        is_worth_telling.then(|| {
            self.told_until_ms = Some(until_ms);
            for_ms
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Quiet {
        Quiet::new(&DeliveryRules::default())
    }

    #[test]
    fn a_shorter_answer_never_shortens_it() {
        let mut quiet = quiet();
        assert_eq!(quiet.on_throttled(100, 0, Some(10_000)), Some(10_000));
        assert_eq!(quiet.on_throttled(200, 0, Some(1_000)), None);
        assert_eq!(quiet.on_throttled(200, 0, None), None);
        assert_eq!(quiet.until_ms(200), Some(10_100));
        assert_eq!(quiet.until_ms(10_100), None);
    }

    #[test]
    fn what_the_server_asks_for_is_capped() {
        let mut quiet = quiet();
        assert_eq!(quiet.on_throttled(0, 0, Some(u64::MAX)), Some(300_000));
    }

    #[test]
    fn it_grows_with_volleys_and_not_with_the_answers_of_one() {
        let mut quiet = quiet();
        assert_eq!(quiet.on_throttled(10, 0, None), Some(1_000));
        for late in 11..60 {
            assert_eq!(quiet.on_throttled(late, 5, None), None, "the same volley says nothing new");
        }
        assert_eq!(quiet.until_ms(60), Some(1_010));
        assert!(quiet.has_ended(1_010));
        assert!(!quiet.has_ended(1_010), "told once");
        assert_eq!(quiet.on_throttled(1_100, 1_010, None), Some(2_000));
        assert_eq!(quiet.on_throttled(3_200, 3_100, None), Some(4_000));
        quiet.on_definite();
        assert_eq!(quiet.on_throttled(8_000, 7_300, None), Some(1_000));
    }

    #[test]
    fn zero_on_a_429_counts_as_absent() {
        assert_eq!(quiet().on_throttled(5, 0, Some(0)), Some(1_000));
    }

    #[test]
    fn many_small_extensions_are_one_event() {
        let mut quiet = quiet();
        assert_eq!(quiet.on_throttled(0, 0, Some(5_000)), Some(5_000));
        let told = (1..=64).filter(|now| quiet.on_throttled(*now, 0, Some(5_000)).is_some()).count();
        assert_eq!(told, 0);
        assert_eq!(quiet.until_ms(64), Some(5_064));
        assert_eq!(quiet.on_throttled(65, 0, Some(60_000)), Some(60_000));
    }
}

//! How long an update waits before it goes again: the exponential ceiling, and the full jitter under it.
//!
//! The only user of `backoff`. Its own randomization is off and its time limit unset, so the ceilings are a pure
//! function of the settings; they are computed once. Full jitter (a uniform share of the ceiling) spreads a burst
//! of failures best; the random number is the caller's.
//!
//! Not here: whether to go again at all (`schedule.rs`).

use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff;

/// Ceilings computed ahead; by then any doubling delay has met its maximum.
const STEPS_MAX: usize = 64;

/// Ceilings of the delays after the first, second, … failure in a row.
#[derive(Debug, Clone)]
pub(super) struct Ceilings {
    steps_ms: Vec<u64>,
}

impl Ceilings {
    /// Doubles from `initial_ms` up to `max_ms`.
    pub(super) fn new(initial_ms: u64, max_ms: u64) -> Ceilings {
        let mut ceilings = ExponentialBackoffBuilder::new()
            .with_initial_interval(Duration::from_millis(initial_ms.min(max_ms)))
            .with_max_interval(Duration::from_millis(max_ms))
            .with_multiplier(2.0)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        let mut steps_ms = Vec::new();
        while steps_ms.len() < STEPS_MAX && steps_ms.last() != Some(&max_ms) {
            // Without a time limit there is always a next one; the maximum stands in for the impossible case.
            let step = ceilings.next_backoff().map_or(max_ms, whole_ms);
            steps_ms.push(step.min(max_ms));
        }
        Ceilings { steps_ms }
    }

    /// Ceiling of the delay after this many failures in a row, counted from 1.
    pub(super) fn ceiling_ms(&self, failures: u32) -> u64 {
        let index = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
        self.steps_ms.get(index).or(self.steps_ms.last()).copied().unwrap_or(0)
    }

    /// Delay after this many failures: a share of the ceiling, `jitter` in 0 to 1. What is no such number counts
    /// as 1, so that a broken random source slows down instead of hammering.
    pub(super) fn delay_ms(&self, failures: u32, jitter: f64) -> u64 {
        let share = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
        whole_ms(Duration::from_millis(self.ceiling_ms(failures)).mul_f64(share))
    }
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ceilings_double_up_to_the_maximum() {
        let ceilings = Ceilings::new(500, 30_000);
        let seen: Vec<u64> = (1..=9).map(|failures| ceilings.ceiling_ms(failures)).collect();
        assert_eq!(seen, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(ceilings.ceiling_ms(u32::MAX), 30_000);
    }

    #[test]
    fn the_ceiling_is_the_same_every_time() {
        // The library's own randomization is off: two tables agree to the millisecond.
        for _ in 0..20 {
            assert_eq!(Ceilings::new(333, 9_999).steps_ms, Ceilings::new(333, 9_999).steps_ms);
        }
    }

    #[test]
    fn odd_settings_are_bounded() {
        assert_eq!(Ceilings::new(50_000, 30_000).ceiling_ms(1), 30_000);
        assert_eq!(Ceilings::new(0, 30_000).ceiling_ms(5), 0);
        assert_eq!(Ceilings::new(0, 0).ceiling_ms(1), 0);
    }

    #[test]
    fn jitter_is_full_and_a_broken_source_waits_longest() {
        let ceilings = Ceilings::new(500, 30_000);
        assert_eq!(ceilings.delay_ms(1, 0.0), 0);
        assert_eq!(ceilings.delay_ms(1, 0.5), 250);
        assert_eq!(ceilings.delay_ms(1, 1.0), 500);
        assert_eq!(ceilings.delay_ms(1, f64::NAN), 500);
        assert_eq!(ceilings.delay_ms(1, -3.0), 0);
    }

    proptest! {
        #[test]
        fn a_delay_never_exceeds_its_ceiling_nor_the_maximum(
            initial in 0_u64..100_000,
            max in 0_u64..100_000,
            failures in 0_u32..100,
            jitter in 0.0_f64..=1.0,
        ) {
            let ceilings = Ceilings::new(initial, max);
            prop_assert!(ceilings.delay_ms(failures, jitter) <= ceilings.ceiling_ms(failures));
            prop_assert!(ceilings.ceiling_ms(failures) <= max);
            prop_assert!(ceilings.ceiling_ms(failures) <= ceilings.ceiling_ms(failures + 1));
        }
    }
}

//! The sandbox's own rate limit: a token bucket in its continuous form (GCRA, ITU-T I.371 annex A). Pure.
//!
//! Not `governor`: the limit that a client is held against must not share the client's code.

use std::time::Duration;

use super::faults::RateMax;

/// A bucket that is full at the beginning.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Time one request takes out of the rate.
    interval: Duration,
    /// How far ahead of the rate requests may run.
    tolerance: Duration,
    /// When the next request would be due at the exact rate.
    due: Duration,
}

impl Bucket {
    /// Rates and bursts of 0 count as 1; [`Faults::check`](super::Faults::check) refuses them before.
    pub(super) fn new(rate: RateMax) -> Bucket {
        let interval = Duration::from_secs(1) / rate.per_s.max(1);
        Bucket { interval, tolerance: interval * (rate.burst.max(1) - 1), due: Duration::ZERO }
    }

    /// Lets a request through, or tells how long it would have to wait. A refused one costs nothing.
    pub(super) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let earliest = self.due.saturating_sub(self.tolerance);
        if now < earliest {
            return Err(earliest - now);
        }
        self.due = self.due.max(now) + self.interval;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(bucket: &mut Bucket, times_ms: impl IntoIterator<Item = u64>) -> usize {
        times_ms.into_iter().filter(|at| bucket.take(Duration::from_millis(*at)).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut bucket = Bucket::new(RateMax { per_s: 10, burst: 5 });
        assert_eq!(passed(&mut bucket, [0; 20]), 5);
        // Nothing saved: one request every 100 ms, however many try.
        assert_eq!(passed(&mut bucket, 1..=1000), 10);
        // A long rest fills the bucket, and not beyond its burst.
        assert_eq!(passed(&mut bucket, [60_000; 20]), 5);
    }

    #[test]
    fn the_wait_is_exact() {
        let mut bucket = Bucket::new(RateMax { per_s: 2, burst: 1 });
        assert_eq!(bucket.take(Duration::from_millis(100)), Ok(()));
        assert_eq!(bucket.take(Duration::from_millis(200)), Err(Duration::from_millis(400)));
        assert_eq!(bucket.take(Duration::from_millis(600)), Ok(()));
    }
}

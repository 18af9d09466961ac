//! The server's own count of what it will still take: spent, everybody is quiet until it begins anew; nearly spent,
//! what is left is spread over the time that is left.
//!
//! It only ever slows down: our own pace is kept elsewhere, and above it a server's generosity means nothing. Not here:
//! how headers are read (`api/quota.rs`), quiets (`pause.rs`).

use super::outcome::Quota;

/// The spacing that the server's count asks for.
#[derive(Debug, Default)]
pub(super) struct QuotaPace {
    /// Time between two attempts, while the server's period lasts.
    interval_ms: u64,
    /// End of the server's period.
    until_ms: u64,
    /// When the last attempt began.
    last_ms: u64,
}

impl QuotaPace {
    /// Takes what an answer said. `in_flight` attempts are on the wire and may not be counted yet. Returns how long
    /// everybody has to be quiet, if nothing is left.
    pub(super) fn on_quota(
        &mut self,
        quota: Quota,
        in_flight: usize,
        now_ms: u64,
        cap_ms: u64,
    ) -> Option<u64> {
        let reset_ms = quota.reset_ms.min(cap_ms);
        let left = quota.remaining.saturating_sub(in_flight as u64);
        let until_ms = now_ms.saturating_add(reset_ms);
        if quota.remaining == 0 {
            return Some(reset_ms).filter(|reset_ms| *reset_ms > 0);
        }
        // An answer of the period before knows nothing of this one, and a period's end is not known to the millisecond.
        self.interval_ms = reset_ms / left.max(1);
        self.until_ms = until_ms;
        None
    }

    /// The next moment at which an attempt may begin, if that is not now.
    pub(super) fn closed_until_ms(&self, now_ms: u64) -> Option<u64> {
        if now_ms >= self.until_ms {
            return None;
        }
        let free_ms = self.last_ms.saturating_add(self.interval_ms).min(self.until_ms);
        (self.interval_ms > 0 && free_ms > now_ms).then_some(free_ms)
    }

    /// Time between two attempts, while the server's period lasts and its count spaces them.
    pub(super) fn gap_us(&self, now_ms: u64) -> Option<u64> {
        let is_on = now_ms < self.until_ms && self.interval_ms > 0;
        is_on.then(|| self.interval_ms.saturating_mul(1_000))
    }

    /// How many attempts may begin now.
    pub(super) fn slots(&self, now_ms: u64) -> usize {
        if now_ms >= self.until_ms || self.interval_ms == 0 {
            return usize::MAX;
        }
        usize::from(self.closed_until_ms(now_ms).is_none())
    }

    /// An attempt begins.
    pub(super) fn on_launch(&mut self, now_ms: u64) {
        self.last_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP_MS: u64 = 300_000;

    #[test]
    fn what_is_left_is_spread_over_the_time_that_is_left() {
        let mut pace = QuotaPace::default();
        assert_eq!(pace.closed_until_ms(5), None);
        pace.on_launch(1_000);
        assert_eq!(pace.on_quota(Quota { remaining: 12, reset_ms: 10_000 }, 2, 1_100, CAP_MS), None);
        assert_eq!(pace.closed_until_ms(1_100), Some(2_000));
        assert_eq!(pace.closed_until_ms(2_000), None);
        pace.on_launch(2_000);
        assert_eq!(pace.closed_until_ms(2_001), Some(3_000));
        // The server's period is over.
        pace.on_launch(11_000);
        assert_eq!(pace.closed_until_ms(11_050), Some(11_100));
        assert_eq!(pace.closed_until_ms(11_100), None);
    }

    #[test]
    fn plenty_slows_nothing_down() {
        let mut pace = QuotaPace::default();
        pace.on_launch(0);
        assert_eq!(pace.on_quota(Quota { remaining: 50_000, reset_ms: 10_000 }, 64, 1, CAP_MS), None);
        assert_eq!(pace.closed_until_ms(1), None);
    }

    #[test]
    fn nothing_left_quiets_everybody_up_to_the_cap() {
        let mut pace = QuotaPace::default();
        assert_eq!(pace.on_quota(Quota { remaining: 0, reset_ms: 7_000 }, 3, 0, CAP_MS), Some(7_000));
        assert_eq!(pace.on_quota(Quota { remaining: 0, reset_ms: u64::MAX }, 3, 0, CAP_MS), Some(CAP_MS));
        assert_eq!(pace.on_quota(Quota { remaining: 0, reset_ms: 0 }, 3, 0, CAP_MS), None);
    }

    #[test]
    fn more_on_the_wire_than_is_left_leaves_one_for_the_whole_time() {
        let mut pace = QuotaPace::default();
        pace.on_launch(0);
        assert_eq!(pace.on_quota(Quota { remaining: 3, reset_ms: 9_000 }, 5, 0, CAP_MS), None);
        assert_eq!(pace.closed_until_ms(1), Some(9_000));
    }
}

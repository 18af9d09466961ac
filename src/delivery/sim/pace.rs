//! The permits as the driver comes by them: on demand, from a dispatcher that lets them through at the rate and hands
//! them over a moment later.
//!
//! A model of `engine/permits.rs` and of how `deliver/driver.rs` uses it. Not here: the check that rate and burst are
//! kept (`checker.rs`), which keeps books of its own.

use std::collections::VecDeque;

use super::day::Pace;
use super::dice::Dice;

/// The dispatcher, and what the driver has in hand.
#[derive(Debug)]
pub(crate) struct Permits {
    pace: Pace,
    /// Thousandths of permits that may be taken, and when that was so.
    level_milli: u64,
    at_ms: u64,
    wanted: u64,
    /// Permits under way.
    granted: VecDeque<(u64, u64)>,
    /// A planted flaw: what is not taken is there later, however long nobody takes anything.
    saves: bool,
    pub(crate) in_hand: u64,
}

impl Permits {
    pub(crate) fn new(pace: Pace, saves: bool) -> Permits {
        let level_milli = pace.burst * 1_000;
        Permits { pace, level_milli, at_ms: 0, wanted: 0, granted: VecDeque::new(), saves, in_hand: 0 }
    }

    /// States how many are wanted from now on.
    pub(crate) fn want(&mut self, count: u64) {
        self.wanted = count;
    }

    /// Lets through what the rate allows, and takes in hand what has arrived.
    pub(crate) fn turn(&mut self, now_ms: u64, dice: &mut Dice) -> u64 {
        self.level_milli += (now_ms - self.at_ms) * self.pace.rate_per_s;
        if !self.saves {
            self.level_milli = self.level_milli.min(self.pace.burst * 1_000);
        }
        self.at_ms = now_ms;
        let count = self.wanted.min(self.level_milli / 1_000);
        if count > 0 {
            self.level_milli -= count * 1_000;
            self.wanted -= count;
            let after_ms = self.granted.back().map_or(0, |(at_ms, _)| *at_ms);
            self.granted.push_back((after_ms.max(now_ms + dice.below(2)), count));
        }
        let mut arrived = 0;
        while let Some((_, count)) = self.granted.front().filter(|(at_ms, _)| *at_ms <= now_ms) {
            arrived += count;
            self.granted.pop_front();
        }
        self.in_hand += arrived;
        arrived
    }

    /// The next moment at which a permit arrives or can be let through.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        let missing_milli = 1_000_u64.saturating_sub(self.level_milli);
        let free_ms = self.at_ms + missing_milli.div_ceil(self.pace.rate_per_s).max(1);
        let arrives_ms = self.granted.front().map(|(at_ms, _)| *at_ms);
        arrives_ms.into_iter().chain((self.wanted > 0).then_some(free_ms)).min()
    }
}

//! Updates that take what those of other subjects give up, in waves: release before assign.
//!
//! A wave of updates that are linked with each other begins when the one before is settled, be it synced, failed or
//! deferred. Where a predecessor has failed the server decides about those that waited for it; where it was deferred
//! they are deferred with it, without an attempt in vain. One reading serves as many waves as can be held. Not here:
//! who waits for whom (`plan/chain.rs`), and what is held (`later.rs`).

use std::collections::{BTreeSet, HashSet};

use super::feed::{Fed, LaterWaves, Selection};
use super::resolve::pass_without_reading;
use super::{Delivery, Driver, pass};
use crate::delivery::UpdateId;
use crate::engine::credit::Credit;

/// Updates of later waves held at a time, at most; more of them take another reading.
const WAVE_UPDATES_HELD_MAX: u64 = 10_000;

/// Sends all waves.
pub(super) fn run(driver: &mut Driver<'_, '_>, delivery: &mut Delivery<'_>, waiting: u64) {
    if waiting == 0 || !driver.is_going() || driver.is_full() {
        return;
    }
    driver.later("chains of swaps", waiting);
    let (updates, clears) = (delivery.plan.waves(), delivery.plan.clear_waves());
    let mut first = 1;
    while driver.is_going() && !driver.is_full() && first as usize <= updates.len() {
        let behind = behind(updates, clears, first, WAVE_UPDATES_HELD_MAX);
        driver.is_in_waves = true;
        pass(driver, delivery, Selection::Waves { first, behind });
        while driver.is_going() && !driver.later.is_empty() {
            driver.let_kept_back_be();
            pass_without_reading(driver, delivery);
        }
        driver.is_in_waves = false;
        driver.check_updates();
        first = behind;
    }
}

impl Driver<'_, '_> {
    /// Of a wave that is being read, what would be tried in vain waits for the later passes; the rest goes its way.
    pub(super) fn set_aside(&mut self, group: Vec<Fed>, credit: &Credit) -> Vec<Fed> {
        if !self.is_in_waves || !self.is_going() {
            return group;
        }
        let fed = group.len();
        let group: Vec<Fed> = group.into_iter().filter_map(|fed| self.put_aside(fed)).collect();
        credit.give(fed - group.len());
        group.iter().for_each(|fed| self.later.went(fed.linked.group, fed.place.ordinal));
        group
    }

    /// The reading is over: takes what it has left for later, as far as the limit on updates allows.
    pub(super) fn take_later(&mut self, later: LaterWaves) {
        for (wave, updates) in later {
            for fed in updates {
                if self.accept(&fed) {
                    self.later.hold(wave, fed);
                }
            }
        }
        self.later.begin();
    }

    /// Rings whose clears are with the scheduler since an earlier pass, when one is over, as far as they are asked for.
    pub(super) fn clears_kept_back(&self, is_asked_for: impl Fn(UpdateId) -> bool) -> HashSet<u32> {
        let clears = self.held.iter().filter(|(id, held)| held.fed.is_clear && is_asked_for(**id));
        clears.map(|(_, held)| held.fed.linked.ring).collect()
    }

    /// A pass is over in which everybody else waited for what is carried over into the next: nobody does any longer.
    /// What is linked with that waits for a later pass, or is decided upon by the server.
    fn let_kept_back_be(&mut self) {
        let clears = self.clears_kept_back(|_| true);
        self.rings.keep_back(clears);
        for held in self.held.values() {
            self.later.settle(held.fed.linked.group, held.fed.place.ordinal);
        }
        if !self.later.has_turn(&self.rings) {
            self.postpone_later();
        }
    }

    /// Hands over what has its turn, as far as there is credit.
    pub(super) fn hand_later(&mut self, credit: &Credit) {
        if self.feeding || self.later.is_empty() || !self.is_going() {
            return;
        }
        while !credit.is_exhausted()
            && let Some(fed) = self.later.next(&mut self.rings)
        {
            self.take_place(&fed);
            let (group, id) = (fed.linked.group, fed.place.ordinal);
            match self.put_aside(fed) {
                Some(fed) if credit.try_take() => self.take_in(vec![fed]),
                // It waits for a later pass, or there is no credit any more, which is closed where nothing is to be
                // sent.
                Some(_) | None => self.later.settle(group, id),
            }
        }
        if self.held.is_empty() && self.ahead.is_empty() && !self.later.has_ready() {
            self.postpone_later();
        }
    }
}

/// The first wave that is not read together with this one, which itself is not held. Where they can be held together,
/// a reading that begins rings finishes them.
fn behind(updates: &[u64], clears: &BTreeSet<u32>, first: u32, held_max: u64) -> u32 {
    let mut held = 0;
    let is_held = |updates: &&u64| {
        held += **updates;
        held <= held_max
    };
    let together = updates.iter().skip(first as usize).take_while(is_held).count();
    let behind = first + 1 + u32::try_from(together).unwrap_or(u32::MAX);
    if behind as usize > updates.len() {
        return behind;
    }
    clears.range(first + 1..=behind).next_back().copied().unwrap_or(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_waves_are_read_at_once_as_can_be_held() {
        let (updates, none) = ([50, 4, 3, 3, 40, 1], BTreeSet::new());
        assert_eq!([1, 2, 3, 4, 5, 6].map(|first| behind(&updates, &none, first, 10)), [5, 5, 5, 5, 7, 7]);
        // A wave that cannot be held is read by itself.
        assert_eq!(behind(&updates, &none, 4, 39), 5);
        assert_eq!(behind(&[1; 300], &none, 1, 10_000), 301);
    }

    #[test]
    fn rings_are_finished_by_the_reading_that_begins_them_where_that_can_hold_them() {
        let updates = [9, 2, 2, 2, 3, 3, 3];
        let clears = BTreeSet::from([2, 5]);
        assert_eq!(behind(&updates, &clears, 1, 6), 5, "all of the first rings");
        assert_eq!(behind(&updates, &clears, 1, 5), 2, "they are begun by the next reading");
        assert_eq!(behind(&updates, &clears, 2, 9), 5);
        assert_eq!(behind(&updates, &clears, 5, 3), 7, "they cannot be held");
        assert_eq!(behind(&updates, &clears, 5, 6), 8, "to the end");
    }
}

//! Updates that take what those of other subjects give up, in waves: release before assign.
//!
//! A wave begins when the one before is settled, be it synced, failed or deferred. Where a predecessor has failed the server
//! decides about those that waited for it; where it was deferred they are deferred with it, without an attempt in vain. One
//! reading serves as many waves as can be held. Not here: who waits for whom
//! (`plan/chain.rs`).

use super::feed::{Fed, Hand, LaterWaves, Selection};
use super::{Delivery, Driver, pass, pass_of};
use crate::engine::credit::Credit;

/// Updates of later waves held at a time, at most; more of them take another reading.
const WAVE_UPDATES_HELD_MAX: u64 = 10_000;

/// Sends all waves.
pub(super) fn run(driver: &mut Driver<'_, '_>, delivery: &mut Delivery<'_>, waiting: u64) {
    if waiting == 0 || !driver.is_going() || driver.is_full() {
        return;
    }
    driver.later("chains of swaps", waiting);
    let updates = delivery.plan.waves();
    let mut first = 1;
    while driver.is_going() && !driver.is_full() && first as usize <= updates.len() {
        let behind = behind(updates, first, WAVE_UPDATES_HELD_MAX);
        driver.is_in_waves = true;
        let later = pass(driver, delivery, Selection::Waves { first, behind });
        driver.is_in_waves = false;
        driver.check_updates();
        run_held(driver, delivery, later);
        first = behind;
    }
}

impl Driver<'_, '_> {
    /// Of a wave that is being read, what would be tried in vain waits for the later passes.
    pub(super) fn set_aside(&mut self, group: Vec<Fed>, credit: &Credit) -> Vec<Fed> {
        if !self.is_in_waves || !self.is_going() {
            return group;
        }
        let fed = group.len();
        let group: Vec<Fed> = group.into_iter().filter_map(|fed| self.put_aside(fed)).collect();
        credit.give(fed - group.len());
        group
    }
}

/// The first wave that is not read together with this one, which itself is not held.
fn behind(updates: &[u64], first: u32, held_max: u64) -> u32 {
    let mut held = 0;
    let is_held = |updates: &&u64| {
        held += **updates;
        held <= held_max
    };
    let together = updates.iter().skip(first as usize).take_while(is_held).count();
    first + 1 + u32::try_from(together).unwrap_or(u32::MAX)
}

/// Sends waves that were read with another one.
fn run_held(driver: &mut Driver<'_, '_>, delivery: &Delivery<'_>, later: LaterWaves) {
    // The inputs were read to their end.
    let (rows, bytes) = (delivery.plan.facts().rows.read, delivery.inputs.bytes_total());
    for wave in later.into_values() {
        if !driver.is_going() || driver.is_full() {
            return;
        }
        driver.is_in_waves = true;
        pass_of(driver, (driver.window, bytes), |credit, send| {
            let mut hand = Hand::new(credit, send);
            if wave.into_iter().all(|fed| hand.hand(fed, rows, bytes)) {
                hand.end(rows, bytes);
            }
            Ok(LaterWaves::new())
        });
        driver.is_in_waves = false;
        driver.check_updates();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_waves_are_read_at_once_as_can_be_held() {
        let updates = [50, 4, 3, 3, 40, 1];
        assert_eq!([1, 2, 3, 4, 5, 6].map(|first| behind(&updates, first, 10)), [5, 5, 5, 5, 7, 7]);
        // A wave that cannot be held is read by itself.
        assert_eq!(behind(&updates, 4, 39), 5);
        assert_eq!(behind(&[1; 300], 1, 10_000), 301);
    }
}

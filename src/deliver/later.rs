//! Updates of later waves that were read together with an earlier one: in memory, by group, until their turn comes.
//!
//! Whoever is linked with nobody of another group waits for nobody of it: a group's next wave is handed over as soon
//! as each update of its wave before is settled, however long the other groups take. What belongs to rings that are
//! begun goes first, then wave by wave; the clears of a group's wave are begun together, once as many rings may be
//! open. Not here: which rings may be begun (`rings.rs`), and the reading (`waves.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::feed::{Fed, LaterWaves};
use super::rings::Rings;
use crate::delivery::UpdateId;

/// In which order what has its turn is handed over: what belongs to a begun ring first, then by wave and ordinal.
type Turn = (bool, u32, u64);

/// What is held of later waves.
#[derive(Debug, Default)]
pub(super) struct Later {
    /// Groups of which something is not settled, or held.
    groups: HashMap<u32, Group>,
    /// Updates that have their turn.
    ready: BTreeMap<Turn, Fed>,
    /// Clears that have their turn, those of a group together, and are handed over once their rings may be begun.
    clears: BTreeMap<Turn, Vec<Fed>>,
    /// Updates and clears that are not handed over yet.
    held: usize,
}

/// Updates that are linked with each other.
#[derive(Debug, Default)]
struct Group {
    /// Of its wave that has its turn, updates that are not settled.
    unsettled: BTreeSet<UpdateId>,
    /// Its waves behind that.
    waves: LaterWaves,
}

impl Later {
    /// An update of the wave that is being read goes its way.
    pub(super) fn went(&mut self, group: u32, id: UpdateId) {
        self.groups.entry(group).or_default().unsettled.insert(id);
    }

    /// Holds an update of a later wave.
    pub(super) fn hold(&mut self, wave: u32, fed: Fed) {
        let group = self.groups.entry(fed.linked.group).or_default();
        group.waves.entry(wave).or_default().push(fed);
        self.held += 1;
    }

    /// The reading is over: groups of which nothing is on its way have their turn.
    pub(super) fn begin(&mut self) {
        let free = self.groups.iter().filter(|(_, group)| group.unsettled.is_empty());
        let free: Vec<u32> = free.map(|(number, _)| *number).collect();
        free.into_iter().for_each(|group| self.promote(group));
    }

    /// An update of a group is settled, or is not sent: with the last one of its wave the next has its turn. Nobody
    /// waits for it a second time.
    pub(super) fn settle(&mut self, number: u32, id: UpdateId) {
        let Some(group) = self.groups.get_mut(&number) else { return };
        if group.unsettled.remove(&id) && group.unsettled.is_empty() {
            self.promote(number);
        }
    }

    fn promote(&mut self, number: u32) {
        let Some(group) = self.groups.get_mut(&number) else { return };
        let Some((wave, updates)) = group.waves.pop_first() else {
            self.groups.remove(&number);
            return;
        };
        group.unsettled = updates.iter().map(|fed| fed.place.ordinal).collect();
        let (clears, updates): (Vec<Fed>, Vec<Fed>) = updates.into_iter().partition(|fed| fed.is_clear);
        if let Some(first) = clears.first() {
            self.clears.insert((true, wave, first.place.ordinal), clears);
        }
        for fed in updates {
            self.ready.insert((fed.linked.ring == 0, wave, fed.place.ordinal), fed);
        }
    }

    /// What is to be handed over next; begins rings for it.
    pub(super) fn next(&mut self, rings: &mut Rings) -> Option<Fed> {
        let room = rings.room();
        let is_begun = |(_, clears): &(&Turn, &Vec<Fed>)| clears.len() <= room;
        let clears = self.clears.iter().filter(|_| room > 0).find(is_begun).map(|(turn, _)| *turn);
        let is_next = |turn: &Turn| self.ready.first_key_value().is_none_or(|(ready, _)| turn < ready);
        if let Some(turn) = clears.filter(is_next) {
            for fed in self.clears.remove(&turn).unwrap_or_default() {
                rings.begin(fed.linked);
                self.ready.insert((false, turn.1, fed.place.ordinal), fed);
            }
        }
        let (_, fed) = self.ready.pop_first()?;
        self.held -= 1;
        Some(fed)
    }

    /// Gives everything up that is held.
    pub(super) fn give_up(&mut self) -> Vec<Fed> {
        let Later { groups, ready, clears, .. } = std::mem::take(self);
        let behind = groups.into_values().flat_map(|group| group.waves.into_values()).flatten();
        ready.into_values().chain(clears.into_values().flatten()).chain(behind).collect()
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Whether an update has its turn, or clears do whose rings may be begun.
    pub(super) fn has_turn(&self, rings: &Rings) -> bool {
        self.has_ready() || self.clears.values().any(|clears| clears.len() <= rings.room())
    }

    /// Whether an update could be handed over if there were room for it.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rings::tests::{fed, of};
    use super::*;
    use crate::plan::{Linked, RINGS_OPEN_MAX};

    /// What is handed over now: ordinals, and whether it is a clear.
    fn handed(later: &mut Later, rings: &mut Rings) -> Vec<(u64, bool)> {
        let next = || later.next(rings).map(|fed| (fed.place.ordinal, fed.is_clear));
        std::iter::from_fn(next).collect()
    }

    /// Holds an update of a wave.
    fn hold(later: &mut Later, wave: u32, (ordinal, is_clear, linked): (u64, bool, Linked)) {
        later.hold(wave, fed(ordinal, is_clear, linked));
    }

    #[test]
    fn a_group_goes_on_when_all_of_its_wave_is_settled_and_waits_for_no_other_one() {
        let (mut later, mut rings) = (Later::default(), Rings::default());
        let [one, other] = [of(0, 1, 0), of(0, 2, 0)];
        [(1, 1), (1, 2), (2, 3)].into_iter().for_each(|(group, id)| later.went(group, id));
        for (wave, ordinal, group) in [(2, 5, one), (3, 6, one), (2, 7, other), (2, 8, other), (3, 9, other)]
        {
            hold(&mut later, wave, (ordinal, false, group));
        }
        later.settle(1, 1);
        later.begin();
        assert_eq!(handed(&mut later, &mut rings), [], "of each something is on its way");
        later.settle(2, 3);
        assert_eq!(handed(&mut later, &mut rings), [(7, false), (8, false)]);
        [1, 8, 8].into_iter().for_each(|id| later.settle(2, id));
        assert_eq!(handed(&mut later, &mut rings), [], "once is as good as twice");
        later.settle(1, 2);
        assert_eq!(handed(&mut later, &mut rings), [(5, false)]);
        later.settle(2, 7);
        assert_eq!(handed(&mut later, &mut rings), [(9, false)]);
        later.settle(1, 5);
        assert!(later.has_ready() && !later.is_empty());
        assert_eq!(handed(&mut later, &mut rings), [(6, false)]);
        assert!(later.is_empty());
    }

    #[test]
    fn what_belongs_to_a_begun_ring_goes_before_everything_else_and_clears_in_the_order_of_waves() {
        let (mut later, mut rings) = (Later::default(), Rings::default());
        for (ring, wave) in [(1, 4), (2, 4), (3, 7)] {
            hold(&mut later, wave, (u64::from(ring), true, of(ring, ring, 1)));
            hold(&mut later, wave + 1, (u64::from(ring), false, of(ring, ring, 1)));
        }
        hold(&mut later, 2, (20, false, of(0, 9, 0)));
        hold(&mut later, 5, (10, false, of(0, 8, 0)));
        later.begin();
        let next = |later: &mut Later, rings: &mut Rings| later.next(rings).map(|fed| fed.place.ordinal);
        assert_eq!([0; 2].map(|_| next(&mut later, &mut rings)), [Some(20), Some(1)]);
        later.settle(1, 1);
        assert_eq!([0; 2].map(|_| next(&mut later, &mut rings)), [Some(1), Some(2)], "its own update first");
        assert_eq!([0; 2].map(|_| next(&mut later, &mut rings)), [Some(10), Some(3)]);
    }

    #[test]
    fn clears_of_a_group_are_begun_together_and_keep_no_smaller_group_waiting() {
        let (mut later, mut rings) = (Later::default(), Rings::default());
        let many = u32::try_from(RINGS_OPEN_MAX).unwrap();
        rings.begin(of(999, 999, 1));
        for ring in 1..=many {
            hold(&mut later, 1, (u64::from(ring), true, of(ring, 1, 1)));
        }
        hold(&mut later, 2, (1, false, of(1, 1, 1)));
        hold(&mut later, 3, (900, true, of(900, 2, 1)));
        later.begin();
        assert_eq!(handed(&mut later, &mut rings), [(900, true)], "not all of the other group fit");
        rings.settle(900);
        assert_eq!(handed(&mut later, &mut rings), []);
        rings.settle(999);
        assert_eq!(handed(&mut later, &mut rings).len(), RINGS_OPEN_MAX);
        assert_eq!(rings.room(), 0);
        assert_eq!(later.give_up().len(), 1);
        assert!(later.is_empty());
    }
}

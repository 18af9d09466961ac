//! Which rings of swaps are begun: a ring that was begun is finished, so none is begun for which a limit on updates
//! has no room, nor while as many are open as may be.
//!
//! A ring is open from its clear until each of its updates has its fate, those among them that wait for a later pass.
//! What hangs on a ring that is not begun is not sent either. What a limit has room for is decided in the order of
//! the waves, as they are read; when each goes depends on the answers. Not here: whom a ring consists of
//! (`plan/waves.rs`), when its turn comes (`later.rs`), how it is broken (`clears.rs`).

use std::collections::{HashMap, HashSet};

use super::Driver;
use super::feed::Fed;
use crate::event::Event;
use crate::plan::{Linked, RINGS_OPEN_MAX};

/// The rings of a run.
#[derive(Debug, Default)]
pub(super) struct Rings {
    /// By ring, how many of its updates have no fate yet.
    open: HashMap<u32, u32>,
    /// Rings for which the limit has room, and which are not begun yet.
    accepted: HashSet<u32>,
    /// Places of the limit on updates that belong to what is accepted, and were not taken yet.
    reserved: u64,
    /// Whether there were more updates than the limit allows.
    pub(super) is_over_limit: bool,
    /// Subjects that are cleared, their own updates pending, as told last.
    pub(super) cleared_told: u64,
    /// Groups of which something is beyond the limit: what comes of them stays pending.
    beyond: HashSet<u32>,
    /// Rings for which the limit had some room, and too little.
    without_room: Option<WithoutRoom>,
    /// These, and those that hang on them.
    left_out: HashSet<u32>,
    /// Rings whose clears are kept back since an earlier pass: whoever belongs to one waits for it.
    kept_back: HashSet<u32>,
    /// Groups that wait until rings are finished.
    waiting: HashSet<u32>,
    /// What waits of them: ordinals, and whether it is a clear.
    postponed: HashSet<(u64, bool)>,
    /// Where what was postponed is taken up, nothing else is sent.
    taken_up: Option<HashSet<(u64, bool)>>,
}

/// Rings that a limit on updates has kept from being begun.
#[derive(Debug, Clone, Copy)]
struct WithoutRoom {
    /// Line of the first.
    line: u64,
    /// Updates of the shortest.
    rows_min: u32,
}

/// What becomes of an update of a wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It is sent.
    Sent,
    /// It is sent, if the limit has a place for it.
    InLimit,
    /// It stays pending.
    Beyond,
    /// It was sent before, or is later.
    NotNow,
}

impl Rings {
    /// Whether one is begun and not finished.
    pub(super) fn is_any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// An update of a ring has its fate.
    pub(super) fn settle(&mut self, ring: u32) {
        if let Some(rows) = self.open.get_mut(&ring) {
            *rows -= 1;
            if *rows == 0 {
                self.open.remove(&ring);
            }
        }
    }

    /// Says whose clears are kept back now.
    pub(super) fn keep_back(&mut self, rings: HashSet<u32>) {
        self.kept_back = rings;
    }

    /// The clear of a ring has its fate.
    pub(super) fn settle_clear(&mut self, ring: u32) {
        self.kept_back.remove(&ring);
    }

    /// Whether an update belongs to a ring whose clear is kept back.
    pub(super) fn waits_for_clear(&self, linked: Linked) -> bool {
        linked.ring != 0 && self.kept_back.contains(&linked.ring)
    }

    /// Rings that may be begun now.
    pub(super) fn room(&self) -> usize {
        RINGS_OPEN_MAX.saturating_sub(self.open.len())
    }

    /// Begins a ring for which there is room.
    pub(super) fn begin(&mut self, linked: Linked) {
        self.accepted.remove(&linked.ring);
        self.open.insert(linked.ring, linked.ring_rows);
    }

    /// What becomes of an update; a ring has its places of the limit with its clear. `left` is how many places are
    /// neither taken nor reserved.
    fn turn(&mut self, fed: &Fed, left: u64) -> Turn {
        let key = (fed.place.ordinal, fed.is_clear);
        let linked = fed.linked;
        if self.taken_up.as_ref().is_some_and(|taken_up| !taken_up.contains(&key)) {
            return Turn::NotNow;
        }
        if self.open.contains_key(&linked.ring) || self.accepted.contains(&linked.ring) {
            return Turn::Sent;
        }
        if self.beyond.contains(&linked.group) {
            if fed.is_clear && self.without_room.is_some() {
                // It hangs on one that has no room, or comes after one.
                self.left_out.insert(linked.ring);
            }
            return Turn::Beyond;
        }
        if self.waiting.contains(&linked.group) {
            self.postponed.insert(key);
            return Turn::NotNow;
        }
        if !fed.is_clear {
            return Turn::InLimit;
        }
        let rows = u64::from(linked.ring_rows);
        if rows > left {
            self.beyond.insert(linked.group);
            if left > 0 {
                let WithoutRoom { line, rows_min } =
                    self.without_room.unwrap_or(WithoutRoom { line: fed.place.line, rows_min: u32::MAX });
                let rows_min = rows_min.min(linked.ring_rows);
                self.without_room = Some(WithoutRoom { line, rows_min });
                self.left_out.insert(linked.ring);
            }
            return Turn::Beyond;
        }
        self.accepted.insert(linked.ring);
        self.reserved += rows;
        Turn::Sent
    }

    /// Something of a group that waits until rings are finished comes again then, and its places are free.
    fn postpone(&mut self, fed: &Fed) {
        self.waiting.insert(fed.linked.group);
        self.postponed.insert((fed.place.ordinal, fed.is_clear));
        let places = match fed.linked {
            Linked { ring, ring_rows, .. } if fed.is_clear => {
                self.accepted.remove(&ring);
                u64::from(ring_rows)
            }
            // Those of a ring go with its clear.
            Linked { ring, .. } => u64::from(ring == 0),
        };
        self.reserved = self.reserved.saturating_sub(places);
    }
}

/// Whether an update takes a place of the limit. A clear is in nobody's books, and what a ring has places for are its
/// rows.
fn takes_place(fed: &Fed) -> bool {
    !(fed.is_clear || fed.is_part && fed.linked.ring != 0)
}

impl Driver<'_, '_> {
    /// Places of the limit on updates that are neither taken nor reserved.
    pub(super) fn left(&self) -> u64 {
        let updates_max = self.rules.updates_max.unwrap_or(u64::MAX);
        updates_max.saturating_sub(self.handed).saturating_sub(self.rings.reserved)
    }

    /// Whether an update may be sent; its place of the limit is reserved then. One that may not stays pending or
    /// comes again.
    pub(super) fn accept(&mut self, fed: &Fed) -> bool {
        let left = self.left();
        let turn = if self.is_in_waves { self.rings.turn(fed, left) } else { Turn::InLimit };
        match turn {
            Turn::Sent => true,
            Turn::InLimit if left > 0 => {
                self.rings.reserved += u64::from(takes_place(fed));
                true
            }
            Turn::InLimit | Turn::Beyond => {
                self.rings.beyond.insert(fed.linked.group);
                self.rings.is_over_limit = true;
                false
            }
            Turn::NotNow => false,
        }
    }

    /// An update that was accepted takes its place.
    pub(super) fn take_place(&mut self, fed: &Fed) {
        if takes_place(fed) {
            self.rings.reserved = self.rings.reserved.saturating_sub(1);
            self.handed += 1;
        }
    }

    /// Nothing moves any more but what waits for a later pass: what has not been begun for that comes after it.
    pub(super) fn postpone_later(&mut self) {
        for fed in self.later.give_up() {
            self.rings.postpone(&fed);
        }
    }

    /// Whether something was postponed that may yet be sent.
    pub(super) fn has_postponed(&self) -> bool {
        !self.rings.postponed.is_empty() && self.is_going()
    }

    /// When all that was begun is settled: whether there is more to begin, how much of which is returned.
    pub(super) fn take_up_postponed(&mut self) -> Option<u64> {
        let Rings { open, accepted, reserved, waiting, postponed, taken_up, .. } = &mut self.rings;
        open.clear();
        accepted.clear();
        *reserved = 0;
        waiting.clear();
        let postponed = std::mem::take(postponed);
        if postponed.is_empty() || self.outcome.stopped.is_some() {
            return None;
        }
        let updates = postponed.iter().filter(|(_, is_clear)| !is_clear).count() as u64;
        *taken_up = Some(postponed);
        self.is_resolving = false;
        self.waiting.clear();
        Some(updates)
    }

    /// At the end: names the rings for which a limit had too little room.
    pub(super) fn tell_without_room(&mut self) {
        let (Some(WithoutRoom { line, rows_min }), Some(updates_max)) =
            (self.rings.without_room, self.rules.updates_max)
        else {
            return;
        };
        let (swaps, are) = match self.rings.left_out.len() {
            1 => ("1 true swap".to_owned(), "is"),
            more => (format!("{more} true swaps"), "are"),
        };
        let text = format!(
            "--max-rows {updates_max} is too few for {swaps} beside what was sent, which {are} broken as a whole or \
             not at all: pending, the first on line {line}; --max-rows {rows_min} or more, or a run without it, goes on"
        );
        self.emitter.emit(Event::Noticed { text });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::digest::SubjectId;
    use crate::row::{Place, Version};
    use crate::update::{Fields, Update};

    pub(in super::super) fn fed(ordinal: u64, is_clear: bool, linked: Linked) -> Fed {
        let update = Update {
            subject: SubjectId([1; 16]),
            version: Version { batch: 1, ordinal },
            fields: Fields::default(),
            facts: Vec::new(),
            unsent: None,
        };
        Fed {
            place: Place { ordinal, file: 0, line: ordinal + 1 },
            update,
            body: Vec::new(),
            chronic: false,
            refusals: 0,
            is_part: false,
            linked,
            is_clear,
        }
    }

    pub(in super::super) fn of(ring: u32, group: u32, ring_rows: u32) -> Linked {
        Linked { waits_for: 0, group, ring, ring_rows }
    }

    #[test]
    fn a_ring_is_accepted_where_all_of_it_fits_and_goes_on_whatever_else_does_not() {
        let mut rings = Rings::default();
        let (long, short, chain) = (of(1, 1, 5), of(2, 1, 2), of(0, 1, 0));
        assert_eq!(rings.turn(&fed(8, true, short), 4), Turn::Sent);
        assert_eq!(rings.turn(&fed(1, true, long), 2), Turn::Beyond);
        assert_eq!(rings.turn(&fed(2, false, long), 2), Turn::Beyond);
        assert_eq!(rings.turn(&fed(3, false, chain), 2), Turn::Beyond, "it may hang on the ring");
        assert_eq!(rings.turn(&fed(4, false, of(0, 2, 0)), 2), Turn::InLimit);
        assert_eq!([7, 8].map(|at| rings.turn(&fed(at, false, short), 0)), [Turn::Sent; 2]);
        assert_eq!(rings.reserved, 2);
        rings.begin(short);
        rings.settle(2);
        assert!(rings.is_any_open());
        rings.settle(2);
        assert!(!rings.is_any_open());
        // Another of the group: it is left out, too.
        assert_eq!(rings.turn(&fed(9, true, of(3, 1, 2)), 2), Turn::Beyond);
        let WithoutRoom { line, rows_min } = rings.without_room.unwrap();
        assert_eq!((rings.left_out.len(), line, rows_min), (2, 2, 5));
    }

    #[test]
    fn whoever_belongs_to_a_ring_waits_for_a_clear_that_is_kept_back() {
        let mut rings = Rings::default();
        let waits =
            |rings: &Rings| [0, 1, 2].map(|ring| rings.waits_for_clear(of(ring, 1, u32::from(ring > 0))));
        rings.keep_back(HashSet::from([0, 1]));
        assert_eq!(waits(&rings), [false, true, false]);
        rings.settle_clear(1);
        assert_eq!(waits(&rings), [false; 3]);
    }

    #[test]
    fn what_is_postponed_leaves_its_places_and_everything_behind_it_waits() {
        let mut rings = Rings::default();
        let (ring, chain) = (of(1, 1, 2), of(0, 1, 0));
        for (at, is_clear, linked) in [(1, true, ring), (1, false, ring), (2, false, ring), (3, false, chain)]
        {
            assert_ne!(rings.turn(&fed(at, is_clear, linked), u64::MAX), Turn::Beyond);
            rings.reserved += u64::from(linked.ring == 0);
        }
        assert_eq!(rings.reserved, 3);
        for (at, is_clear, linked) in [(1, true, ring), (1, false, ring), (2, false, ring), (3, false, chain)]
        {
            rings.postpone(&fed(at, is_clear, linked));
        }
        assert_eq!((rings.reserved, rings.room()), (0, RINGS_OPEN_MAX));
        assert_eq!(rings.turn(&fed(4, false, chain), u64::MAX), Turn::NotNow, "of a later reading");
        let keys = [(1, true), (1, false), (2, false), (3, false), (4, false)];
        assert_eq!(rings.postponed, HashSet::from(keys));
    }
}

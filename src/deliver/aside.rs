//! What waits for the later passes in the driver: which updates are put aside without an attempt, and how many more may
//! wait.
//!
//! Once an update of a subject waits, all later ones of that subject wait behind it, whatever the bound says: one
//! that went ahead would be overtaken by it. At the bound the first one of a subject gets its final verdict instead.
//! Not here: which of those that wait a pass tries (`chains.rs`), and who is deferred for a conflict (`delivery/`).

use super::driver::Driver;
use super::feed::Fed;
use super::settle::Unresolved;
use crate::digest::SubjectId;
use crate::engine::credit::Credit;
use crate::event::Event;

impl Driver<'_, '_> {
    /// How many more updates may be deferred in the pass that begins. Those that are tried again have their room.
    pub(super) fn deferred_room(&self) -> usize {
        if self.is_resolving {
            return usize::MAX;
        }
        self.rules.scheduler.deferred_max.saturating_sub(self.deferred.len())
    }

    /// Lets an update wait for the later passes; whether it did not before.
    pub(super) fn wait_later(&mut self, mut unresolved: Unresolved) -> bool {
        if self.deferred.len() >= self.rules.deferred_held_max {
            // A later pass reads it again.
            unresolved.kept = None;
        }
        self.waiting.insert(unresolved.update.subject);
        self.deferred.insert(unresolved.place.ordinal, unresolved).is_none()
    }

    /// Lets an update wait for the later passes without an attempt, where an earlier one of its subject does, or the
    /// one it waits for does and there is room; gives it back otherwise.
    pub(super) fn put_aside(&mut self, fed: Fed) -> Option<Fed> {
        if fed.is_clear {
            return Some(fed);
        }
        let waits_for = self.deferred.contains_key(&fed.linked.waits_for)
            || self.is_carried(fed.linked.waits_for)
            || self.rings.waits_for_clear(fed.linked);
        // The clear of an update has its number.
        let is_behind = self.is_behind(fed.update.subject) || self.is_carried(fed.place.ordinal);
        if !is_put_aside(is_behind, waits_for, self.deferred_room()) {
            return Some(fed);
        }
        if !fed.is_part {
            self.emitter.emit(Event::UpdateDeferred { place: fed.place });
        }
        self.scheduler.take_deferred_room();
        self.wait_later(Unresolved::untried(fed));
        None
    }

    /// Takes out of a group what stands behind an update of its subject that waits since an earlier pass. A clear is
    /// an update before all rows, and behind none.
    pub(super) fn behind_none(&mut self, mut group: Vec<Fed>, credit: &Credit) -> Vec<Fed> {
        if self.is_resolving || self.waiting.is_empty() || !self.is_going() {
            return group;
        }
        let is_behind = |fed: &mut Fed| !fed.is_clear && self.waiting.contains(&fed.update.subject);
        let behind: Vec<Fed> = group.extract_if(.., is_behind).collect();
        for fed in behind {
            credit.give(1);
            self.put_aside(fed);
        }
        group
    }

    fn is_behind(&self, subject: SubjectId) -> bool {
        !self.is_resolving && self.waiting.contains(&subject)
    }
}

/// Whether an update waits without an attempt: behind its own subject whatever the room, behind another one as far as
/// there is some.
fn is_put_aside(is_behind: bool, waits_for: bool, room: usize) -> bool {
    is_behind || waits_for && room > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_parts_no_subject() {
        for room in [0, 1] {
            assert!(is_put_aside(true, false, room) && is_put_aside(true, true, room));
            assert!(!is_put_aside(false, false, room));
            assert_eq!(is_put_aside(false, true, room), room > 0);
        }
    }
}

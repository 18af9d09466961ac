//! Which deferred updates a later pass tries: those that wait for nobody, then those whose values were freed meanwhile.
//!
//! A chain of SIM swaps in the wrong order resolves one link a pass. Trying all of them in every pass would cost the
//! square of its length in attempts; the ledger knows who holds what, so an update that wants the value of another
//! deferred subject is let alone until that one has passed. Where the ledger knows nothing, or everybody waits for
//! everybody (a swap), all are tried, and a pass over all that makes no progress is the end.
//!
//! Pure. Not here: the passes themselves (`mod.rs`), and what a pass reads (`feed.rs`).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::feed::Selection;
use super::settle::Unresolved;
use crate::digest::{FieldHash, SubjectId};
use crate::ledger::{FieldState, LedgerEntry};
use crate::update::{FieldKind, FieldSet};

/// The updates of a pass.
#[derive(Debug)]
pub(super) struct Turn {
    /// Which.
    pub(super) selection: Selection,
    /// How many.
    pub(super) updates: u64,
    /// Whether these are all that wait: without progress, nothing is left to be tried.
    pub(super) is_all: bool,
}

/// Who holds what, and who was tried.
#[derive(Debug, Default)]
pub(super) struct Chains {
    holders: HashMap<(FieldKind, FieldHash), SubjectId>,
    tried: HashSet<SubjectId>,
}

impl Chains {
    /// Learns what a subject holds at the server, as far as the ledger knows. What it held before something in doubt counts
    /// where nobody is known to hold it.
    pub(super) fn learn(&mut self, entry: &LedgerEntry) {
        for kind in FieldSet::EXCLUSIVE.iter() {
            match entry.field(kind).map(|field| field.state) {
                Some(FieldState::Known(hash)) => {
                    self.holders.insert((kind, hash), entry.subject);
                }
                Some(FieldState::Unknown) => {
                    if let Some(hash) = entry.last_known(kind) {
                        self.holders.entry((kind, hash)).or_insert(entry.subject);
                    }
                }
                None => {}
            }
        }
    }

    /// The next turn; `None` when nobody waits.
    pub(super) fn next(&mut self, waiting: &BTreeMap<u64, Unresolved>) -> Option<Turn> {
        let subjects: HashSet<SubjectId> = waiting.values().map(|of| of.update.subject).collect();
        let mut firsts = HashMap::new();
        for unresolved in waiting.values() {
            firsts.entry(unresolved.update.subject).or_insert(unresolved);
        }
        let mut ripe = subjects.clone();
        ripe.retain(|subject| {
            !self.tried.contains(subject)
                && !firsts.get(subject).is_some_and(|first| {
                    waiting.contains_key(&first.waits_for) || self.waits(first, &subjects)
                })
        });
        if ripe.is_empty() {
            ripe.clone_from(&subjects);
        }
        self.tried.extend(ripe.iter().copied());
        let ordinals: HashSet<u64> =
            waiting.iter().filter(|(_, of)| ripe.contains(&of.update.subject)).map(|(at, _)| *at).collect();
        (!ordinals.is_empty()).then(|| Turn {
            updates: ordinals.len() as u64,
            is_all: ordinals.len() == waiting.len(),
            selection: Selection::Deferred { ordinals, subjects: ripe },
        })
    }

    /// Whether the update wants what another waiting subject holds.
    fn waits(&self, unresolved: &Unresolved, subjects: &HashSet<SubjectId>) -> bool {
        unresolved.update.facts.iter().any(|fact| {
            let holder = self.holders.get(&(fact.kind, fact.hash));
            holder.is_some_and(|holder| *holder != unresolved.update.subject && subjects.contains(holder))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::outcome::Failure;
    use crate::ledger::{FailureKind, LedgerField};
    use crate::row::{Place, Version};
    use crate::update::{FieldFact, Fields, Update};

    const VERSION: Version = Version { batch: 1, ordinal: 1 };

    fn subject(number: u8) -> SubjectId {
        SubjectId([number; 16])
    }

    /// A deferred update of a subject that wants an IMSI.
    fn wants(number: u8, imsi: u64) -> Unresolved {
        let fact = FieldFact { kind: FieldKind::Imsi, hash: FieldHash(imsi), version: VERSION };
        let update = Update {
            subject: subject(number),
            version: VERSION,
            fields: Fields::default(),
            facts: vec![fact],
        };
        let failure = Failure {
            kind: FailureKind::Deferred,
            status: Some(409),
            signature: String::new(),
            maybe_applied: false,
        };
        let place = Place { ordinal: u64::from(number), file: 0, line: 1 };
        Unresolved { place, update, failure, refusals: 1, is_part: false, waits_for: 0, is_tried: true }
    }

    fn holds(chains: &mut Chains, number: u8, imsi: u64) {
        let mut entry = LedgerEntry::new(subject(number));
        let state = FieldState::Known(FieldHash(imsi));
        entry.fields[FieldKind::Imsi.index()] = Some(LedgerField { state, version: VERSION });
        chains.learn(&entry);
    }

    #[test]
    fn what_a_subject_in_doubt_held_before_is_its_own_unless_somebody_is_known_to_hold_it() {
        let mut chains = Chains::default();
        let mut doubtful = LedgerEntry::new(subject(1));
        doubtful.fields[FieldKind::Imsi.index()] =
            Some(LedgerField { state: FieldState::Unknown, version: VERSION });
        doubtful.last_known = vec![(FieldKind::Imsi, FieldHash(5))];
        chains.learn(&doubtful);
        let waiting = BTreeMap::from([(1, wants(1, 7)), (2, wants(2, 5))]);
        assert_eq!(turn(&mut chains, &waiting), Some((vec![1], false)));
        for order in [[1, 3], [3, 1]] {
            let mut chains = Chains::default();
            for number in order {
                if number == 1 { chains.learn(&doubtful) } else { holds(&mut chains, 3, 5) }
            }
            assert_eq!(turn(&mut chains, &waiting), Some((vec![1, 2], true)), "3 waits for nobody");
        }
    }

    fn turn(chains: &mut Chains, waiting: &BTreeMap<u64, Unresolved>) -> Option<(Vec<u64>, bool)> {
        let turn = chains.next(waiting)?;
        let Selection::Deferred { ordinals, subjects } = turn.selection else { panic!("a later pass") };
        assert_eq!((ordinals.len() as u64, ordinals.len()), (turn.updates, subjects.len()));
        let mut ordinals: Vec<u64> = ordinals.into_iter().collect();
        ordinals.sort_unstable();
        Some((ordinals, turn.is_all))
    }

    #[test]
    fn a_chain_is_taken_from_its_end_a_link_at_a_time() {
        let mut chains = Chains::default();
        for number in 1..=4 {
            holds(&mut chains, number, u64::from(number));
        }
        // Each wants what the next one holds; the last wants what nobody does, and what somebody outside does not free.
        let mut waiting: BTreeMap<u64, Unresolved> =
            (1..=4).map(|number| (u64::from(number), wants(number, u64::from(number) + 1))).collect();
        for last in (1..=4).rev() {
            assert_eq!(turn(&mut chains, &waiting), Some((vec![last], last == 1)));
            waiting.remove(&last);
        }
        assert_eq!(turn(&mut chains, &waiting), None);
    }

    #[test]
    fn a_swap_is_tried_as_a_whole_and_what_was_tried_in_vain_with_it() {
        let mut chains = Chains::default();
        holds(&mut chains, 1, 1);
        holds(&mut chains, 2, 2);
        let waiting = BTreeMap::from([(1, wants(1, 2)), (2, wants(2, 1)), (3, wants(3, 9))]);
        assert_eq!(turn(&mut chains, &waiting), Some((vec![3], false)));
        assert_eq!(turn(&mut chains, &waiting), Some((vec![1, 2, 3], true)));
    }

    #[test]
    fn what_the_plan_says_of_who_waits_for_whom_needs_no_ledger() {
        let behind = |number: u8, waits_for| Unresolved { waits_for, ..wants(number, u64::from(number)) };
        // 3 waits for nobody who waits, 2 for 3, 1 for 2.
        let mut waiting = BTreeMap::from([(1, behind(1, 2)), (2, behind(2, 3)), (3, behind(3, 9))]);
        let mut chains = Chains::default();
        for last in [3, 2, 1] {
            assert_eq!(turn(&mut chains, &waiting), Some((vec![last], last == 1)));
            waiting.remove(&last);
        }
    }

    #[test]
    fn without_a_ledger_all_are_tried() {
        let waiting = BTreeMap::from([(1, wants(1, 2)), (2, wants(2, 1))]);
        let mut chains = Chains::default();
        assert_eq!(turn(&mut chains, &waiting), Some((vec![1, 2], true)));
        assert_eq!(turn(&mut chains, &waiting), Some((vec![1, 2], true)));
    }
}

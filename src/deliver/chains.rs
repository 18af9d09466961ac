//! Which deferred updates a later pass tries: those that wait for nobody, then those whose values were freed meanwhile.
//!
//! A chain of SIM swaps in the wrong order resolves one link a pass. Trying all of them in every pass would cost the
//! square of its length in attempts; the ledger knows who holds what, so an update that wants the value of another
//! deferred subject is let alone until that one has passed. Where the ledger knows nothing all are tried, once in the
//! order of the file and once against it; where few of them pass, those that stand beside these in the file are next,
//! then those further off. Where everybody waits for everybody (a swap) all are tried. Nobody is tried again before
//! another one was synced, and where nobody may be, that is the end; unless somebody waits for what was turned away,
//! and is asked whether that is everybody's matter.
//!
//! Pure. Not here: the passes themselves (`mod.rs`), and what a pass reads (`feed.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::settle::Unresolved;
use crate::delivery::UpdateId;
use crate::digest::{FieldHash, SubjectId};
use crate::ledger::{FieldState, LedgerEntry};
use crate::plan::Linked;
use crate::update::{FieldKind, FieldSet};

/// The updates of a pass.
#[derive(Debug)]
pub(super) struct Turn {
    /// Ordinals of their last rows, in the order in which they are sent.
    pub(super) ordinals: Vec<u64>,
    /// Their subjects.
    pub(super) subjects: HashSet<SubjectId>,
}

/// A pass has brought enough, if one of so many of its subjects was synced.
const ENOUGH_OF: usize = 4;

/// Who holds what, and who was tried.
#[derive(Debug, Default)]
pub(super) struct Chains {
    holders: HashMap<(FieldKind, FieldHash), SubjectId>,
    /// By the ordinal of a subject's first update, how many updates of the run were synced when it was tried last.
    tried: HashMap<u64, u64>,
    /// First updates of the subjects of the turn before, ascending.
    turn: Vec<u64>,
    /// Those that passed in the latest turn in which one did: whoever waits for what they released may stand beside
    /// them.
    passed: Vec<u64>,
    /// How many on each side of them are tried; `None` for all.
    reach: Option<usize>,
    /// Updates of earlier passes that are kept back: neither they nor who waits for them is tried.
    kept_back: HashSet<u64>,
    /// And rings whose clears are: nor is whoever belongs to one.
    clears: HashSet<u32>,
    /// Whether the next turn goes in the order of the file. The first one goes against it: the main pass went along.
    is_forward: bool,
}

impl Chains {
    /// Learns what a subject holds at the server, as far as the ledger knows. What it held before something in doubt
    /// counts where nobody is known to hold it.
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

    /// Says which updates are kept back now, and the clears of which rings.
    pub(super) fn keep_back(&mut self, kept_back: HashSet<u64>, clears: HashSet<u32>) {
        (self.kept_back, self.clears) = (kept_back, clears);
    }

    /// The next turn; `None` when nobody waits, or all who do were tried since `synced` has grown. `synced` counts the
    /// updates of the run that were.
    pub(super) fn next(&mut self, waiting: &BTreeMap<u64, Unresolved>, synced: u64) -> Option<Turn> {
        self.look_back(waiting);
        let mut subjects = HashSet::new();
        let firsts: Vec<(u64, &Unresolved)> = waiting
            .iter()
            .filter(|(_, of)| subjects.insert(of.update.subject))
            .map(|(at, of)| (*at, of))
            .collect();
        let is_open = |at: u64, of: &Unresolved| {
            let is_kept_back = self.kept_back.contains(&at) || self.kept_back.contains(&of.linked.waits_for);
            let waits_for_clear = of.linked.ring != 0 && self.clears.contains(&of.linked.ring);
            !is_kept_back && !waits_for_clear && self.tried.get(&at).is_none_or(|then| *then < synced)
        };
        let open: Vec<(u64, &Unresolved)> = firsts.into_iter().filter(|(at, of)| is_open(*at, of)).collect();
        let is_free =
            |of: &Unresolved| !waiting.contains_key(&of.linked.waits_for) && !self.waits(of, &subjects);
        let free: Vec<u64> = open.iter().filter(|(_, of)| is_free(of)).map(|(at, _)| *at).collect();
        let untried: Vec<u64> = free.iter().copied().filter(|at| !self.tried.contains_key(at)).collect();
        let chosen = if !untried.is_empty() {
            untried
        } else if free.is_empty() {
            open.iter().map(|(at, _)| *at).collect()
        } else {
            self.beside(free, waiting)
        };
        self.tried.extend(chosen.iter().map(|at| (*at, synced)));
        self.turn.clone_from(&chosen);
        (!chosen.is_empty()).then(|| self.in_order(&chosen, waiting))
    }

    /// Where all have had their turn who may: one that was never sent, and waits for one of those that were turned
    /// away and are kept back (`away`), or for the clear of its ring that was (`rings`). Whether it is turned away,
    /// too, tells whose fault that is. One at a time, because its answer may say enough; and nobody who waits for
    /// what is kept back otherwise, which may yet be applied.
    pub(super) fn witness(
        &mut self,
        waiting: &BTreeMap<u64, Unresolved>,
        synced: u64,
        (away, rings): (&BTreeSet<UpdateId>, &HashSet<u32>),
    ) -> Option<Turn> {
        let mut subjects = HashSet::new();
        let mut firsts = waiting.iter().filter(|(_, of)| subjects.insert(of.update.subject));
        let waits_for_others = |Linked { waits_for, ring, .. }: Linked| {
            let is_behind = waiting.contains_key(&waits_for) || self.kept_back.contains(&waits_for);
            is_behind && !away.contains(&waits_for) || self.clears.contains(&ring) && !rings.contains(&ring)
        };
        let chosen = firsts.find(|(at, of)| {
            let waits = away.contains(&of.linked.waits_for) || rings.contains(&of.linked.ring);
            // The clear of a ring has the number of an update of it, which goes behind it whatever comes of that.
            let is_sent = of.is_tried || self.kept_back.contains(*at) || self.tried.contains_key(*at);
            waits && !waits_for_others(of.linked) && !is_sent
        });
        let chosen = *chosen?.0;
        self.tried.insert(chosen, synced);
        self.turn = vec![chosen];
        Some(self.in_order(&[chosen], waiting))
    }

    /// What has become of the turn before. Where few have passed, those beside them are tried first, and ever more of
    /// them as long as none passes.
    fn look_back(&mut self, waiting: &BTreeMap<u64, Unresolved>) {
        let passed: Vec<u64> = self.turn.iter().copied().filter(|at| !waiting.contains_key(at)).collect();
        if !passed.is_empty() {
            let is_enough = self.reach.is_none() && passed.len() * ENOUGH_OF >= self.turn.len();
            self.reach = if is_enough { None } else { Some(1) };
            self.passed = passed;
        } else if let Some(reach) = self.reach {
            self.reach = Some(reach.saturating_mul(2));
        }
    }

    /// Of those that may be tried, the ones beside those that passed last; all where a pass reads the inputs.
    fn beside(&self, free: Vec<u64>, waiting: &BTreeMap<u64, Unresolved>) -> Vec<u64> {
        let Some(reach) = self.reach.filter(|_| !self.passed.is_empty()) else { return free };
        let mut chosen = BTreeSet::new();
        for passed in &self.passed {
            let at = free.partition_point(|at| at < passed);
            let end = at.saturating_add(reach).min(free.len());
            chosen.extend(free.get(at.saturating_sub(reach)..end).unwrap_or_default());
        }
        let is_read = |at: &u64| waiting.get(at).is_some_and(|of| of.kept.is_none());
        if chosen.iter().any(is_read) { free } else { chosen.into_iter().collect() }
    }

    /// Subjects in the order of the file or, every other time, against it; updates of one in order.
    fn in_order(&mut self, chosen: &[u64], waiting: &BTreeMap<u64, Unresolved>) -> Turn {
        let subjects: HashSet<SubjectId> =
            chosen.iter().filter_map(|at| Some(waiting.get(at)?.update.subject)).collect();
        let mut lanes: HashMap<SubjectId, Vec<u64>> = HashMap::new();
        for (at, of) in waiting.iter().filter(|(_, of)| subjects.contains(&of.update.subject)) {
            lanes.entry(of.update.subject).or_default().push(*at);
        }
        let mut lanes: Vec<Vec<u64>> = lanes.into_values().collect();
        lanes.sort_unstable();
        if !self.is_forward {
            lanes.reverse();
        }
        self.is_forward = !self.is_forward;
        Turn { ordinals: lanes.concat(), subjects }
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
    use super::super::settle::Kept;
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
            unsent: None,
        };
        let failure = Failure {
            kind: FailureKind::Deferred,
            status: Some(409),
            signature: String::new(),
            maybe_applied: false,
        };
        let place = Place { ordinal: u64::from(number), file: 0, line: 1 };
        Unresolved {
            place,
            update,
            failure,
            refusals: 1,
            is_part: false,
            linked: Linked::default(),
            is_tried: true,
            chronic: false,
            kept: Some(Kept::default()),
        }
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
        assert_eq!(turn(&mut chains, &waiting, 0), Some(vec![1]));
        for order in [[1, 3], [3, 1]] {
            let mut chains = Chains::default();
            for number in order {
                if number == 1 { chains.learn(&doubtful) } else { holds(&mut chains, 3, 5) }
            }
            assert_eq!(turn(&mut chains, &waiting, 0), Some(vec![1, 2]), "3 waits for nobody");
        }
    }

    fn turn(chains: &mut Chains, waiting: &BTreeMap<u64, Unresolved>, synced: u64) -> Option<Vec<u64>> {
        let Turn { mut ordinals, subjects } = chains.next(waiting, synced)?;
        assert_eq!(ordinals.len(), subjects.len());
        ordinals.sort_unstable();
        Some(ordinals)
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
            assert_eq!(turn(&mut chains, &waiting, 4 - last), Some(vec![last]));
            waiting.remove(&last);
        }
        assert_eq!(turn(&mut chains, &waiting, 4), None);
    }

    #[test]
    fn a_swap_is_tried_as_a_whole_and_nobody_again_for_nothing() {
        let mut chains = Chains::default();
        holds(&mut chains, 1, 1);
        holds(&mut chains, 2, 2);
        let waiting = BTreeMap::from([(1, wants(1, 2)), (2, wants(2, 1)), (3, wants(3, 9))]);
        assert_eq!(turn(&mut chains, &waiting, 0), Some(vec![3]));
        assert_eq!(turn(&mut chains, &waiting, 0), Some(vec![1, 2]));
        assert_eq!(turn(&mut chains, &waiting, 0), None, "nothing was released since");
        assert_eq!(turn(&mut chains, &waiting, 1), Some(vec![3]));
    }

    #[test]
    fn what_the_plan_says_of_who_waits_for_whom_needs_no_ledger() {
        let behind = |number: u8, waits_for| Unresolved {
            linked: Linked { waits_for, ..Linked::default() },
            ..wants(number, u64::from(number))
        };
        // 3 waits for nobody who waits, 2 for 3, 1 for 2.
        let mut waiting = BTreeMap::from([(1, behind(1, 2)), (2, behind(2, 3)), (3, behind(3, 9))]);
        let mut chains = Chains::default();
        for last in [3, 2, 1] {
            assert_eq!(turn(&mut chains, &waiting, 3 - last), Some(vec![last]));
            waiting.remove(&last);
        }
    }

    #[test]
    fn whoever_is_kept_back_or_waits_for_somebody_who_is_has_no_turn_until_that_is_over() {
        let waits = Unresolved { linked: Linked { waits_for: 9, ..Linked::default() }, ..wants(1, 1) };
        let waiting = BTreeMap::from([(1, waits), (2, wants(2, 2))]);
        let mut chains = Chains::default();
        chains.keep_back(HashSet::from([2, 9]), HashSet::new());
        assert_eq!(turn(&mut chains, &waiting, 0), None);
        chains.keep_back(HashSet::new(), HashSet::new());
        assert_eq!(turn(&mut chains, &waiting, 0), Some(vec![1, 2]));
    }

    #[test]
    fn who_waits_for_what_is_kept_back_is_asked_one_at_a_time_and_in_their_order() {
        let behind = |number: u8, waits_for| Unresolved {
            linked: Linked { waits_for, ring: 7, ..Linked::default() },
            is_tried: false,
            ..wants(number, u64::from(number))
        };
        // The clear of 1 is kept back; 2 takes what it frees, 3 what 2 does, and 1 itself goes last.
        let mut waiting = BTreeMap::from([(1, behind(1, 3)), (2, behind(2, 1)), (3, behind(3, 2))]);
        let tried = Unresolved { is_tried: true, ..behind(4, 9) };
        waiting.insert(4, tried);
        let mut chains = Chains::default();
        let rings = HashSet::from([7]);
        let mut asked = |waiting: &BTreeMap<u64, Unresolved>, kept_back: &[u64], away: &[u64]| {
            chains.keep_back(kept_back.iter().copied().collect(), rings.clone());
            let away = away.iter().copied().collect();
            let of_clear = if away == BTreeSet::new() { HashSet::new() } else { rings.clone() };
            chains.witness(waiting, 0, (&away, &of_clear)).map(|turn| turn.ordinals)
        };
        assert_eq!(asked(&waiting, &[1], &[]), None, "what is kept back otherwise may yet be applied");
        assert_eq!(asked(&waiting, &[1], &[1]), Some(vec![2]));
        // It was turned away as well, and is with the scheduler.
        waiting.remove(&2);
        assert_eq!(asked(&waiting, &[1, 2], &[1]), None, "2 fails otherwise");
        assert_eq!(asked(&waiting, &[1, 2], &[1, 2]), Some(vec![3]));
        // A conflict says nothing of the clear, and nobody is left but who goes behind it.
        waiting.get_mut(&3).unwrap().is_tried = true;
        assert_eq!(asked(&waiting, &[1, 2], &[1, 2]), None);
    }

    #[test]
    fn whoever_belongs_to_a_ring_whose_clear_is_kept_back_has_no_turn_until_that_is_over() {
        let of = |number: u8, ring| Unresolved {
            linked: Linked { ring, ..Linked::default() },
            ..wants(number, u64::from(number))
        };
        let waiting = BTreeMap::from([(1, of(1, 7)), (2, of(2, 8)), (3, of(3, 0))]);
        let mut chains = Chains::default();
        // The clear of a ring has the number of another one of it.
        chains.keep_back(HashSet::from([9]), HashSet::from([7, 0]));
        assert_eq!(turn(&mut chains, &waiting, 0), Some(vec![2, 3]));
        chains.keep_back(HashSet::new(), HashSet::new());
        assert_eq!(turn(&mut chains, &waiting, 0), Some(vec![1]));
    }

    #[test]
    fn whoever_comes_to_the_head_of_a_subject_is_tried_itself() {
        let second = Unresolved { place: Place { ordinal: 2, file: 0, line: 2 }, ..wants(1, 8) };
        let mut waiting = BTreeMap::from([(1, wants(1, 7)), (2, second)]);
        let mut chains = Chains::default();
        assert_eq!(chains.next(&waiting, 0).unwrap().ordinals, [1, 2]);
        assert!(chains.next(&waiting, 0).is_none());
        waiting.remove(&1);
        assert_eq!(chains.next(&waiting, 0).unwrap().ordinals, [2]);
    }

    /// Attempts that a chain takes of which nobody knows the order, all of a turn at once: `order` says who stands
    /// where, and each waits for the one before it in the chain.
    fn attempts(order: &[u64]) -> u64 {
        let mut waiting: BTreeMap<u64, Unresolved> =
            (1_u8..).zip(order).map(|(at, link)| (u64::from(at), wants(at, *link))).collect();
        let (mut chains, mut attempts, mut released) = (Chains::default(), order.len() as u64, 0);
        while let Some(turn) = chains.next(&waiting, released) {
            attempts += turn.ordinals.len() as u64;
            let passes = turn.ordinals.into_iter().find(|at| waiting[at].update.facts[0].hash.0 == released);
            if let Some(at) = passes {
                waiting.remove(&at);
                released += 1;
            }
        }
        assert!(waiting.is_empty());
        attempts
    }

    #[test]
    fn a_chain_of_unknown_order_takes_four_attempts_a_link_in_the_order_of_the_file_or_against_it() {
        let links = 60;
        let forward: Vec<u64> = (0..links).collect();
        let backward: Vec<u64> = (0..links).rev().collect();
        // From its middle on, and round.
        let round: Vec<u64> = (30..links).chain(0..30).collect();
        for order in [&forward, &backward, &round] {
            assert!(attempts(order) <= 4 * links, "{}", attempts(order));
        }
        // In no order at all nothing tells who is next, and no more than each of those left is tried for every link.
        let mut random = forward;
        random.sort_by_key(|link| (link * 37 + 11) % 61);
        assert!(attempts(&random) <= links * (links + 3) / 2, "{}", attempts(&random));
    }
}

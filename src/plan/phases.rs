//! The join in its phases, partition by partition.
//!
//! 1. Every partition is joined with its slice of the ledger and ruled on. What updates to send would claim is put into
//!    partitions by value, and into a filter. Where nothing is to be sent, that is all.
//! 2. Rows that would change nothing are looked through for values that the filter knows; what their subjects claim
//!    joins the other claims. Then every partition of values finds those that two subjects claim.
//! 3. Partitions in which a value is contested are ruled on again with that in hand.
//! 4. The conflicts are listed.
//! 5. Where one takes what another gives up, the order is found; those that wait or swap are ruled on again
//!    (`links.rs`).
//!
//! What subjects give up lies among the claims; in phase 2 it meets what others take. Every phase rules alike,
//! whatever the number of threads and partitions. Not here: one part's rulings (`ruler.rs`), the plan that comes of
//! it (`dispositions.rs`).

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::event::{PlanFacts, Repeated};
use crate::update::{FieldKind, FieldSet};

use super::beside::{Beside, Besides};
use super::chain::Chains;
use super::claim::{Bloom, Claim, EXCLUSIVE, Ends, IDENTIFIERS, LastClaim, Pair, Slot};
use super::conflict::ConflictList;
use super::dispositions::{BESIDE, Books, Plan, byte_of, decode, put};
use super::large::LargeBounds;
use super::leaves::{Leaf, Source, TakeLeaf};
use super::record::{Part, PartData, RowRecord};
use super::ruler::{Contested, Entries, Ruled, Ruler};
use super::rules::PlanRules;
use super::ruling::Ruling;
use super::shared::SharedKind;
use super::space::{Hands, LedgerSlices, Partitions};
use super::survey::{Survey, SurveyBounds, index_of};
use super::tally::Tally;

/// Rows below which a job is not worth a thread of its own.
const ROWS_ALONE_MAX: u64 = 20_000;

/// Rows of which something is gathered before it is put where it belongs, at most: many more are of one subject.
const GATHERED_MAX: usize = 1 << 16;

/// Jobs that every thread gets, so that none has to wait long for the others: of ten million rows one takes some 40 ms.
const JOBS_PER_HAND: usize = 32;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum JoinError<E> {
    /// Records cannot be kept or read back.
    #[error(transparent)]
    Space(io::Error),
    /// The ledger cannot be read.
    #[error("the ledger cannot be read")]
    Ledger(E),
}

/// The state of a join, shared by all hands.
pub(super) struct Phases<'a, L: LedgerSlices> {
    pub(super) survey: &'a Survey,
    pub(super) rules: &'a PlanRules,
    ledger: &'a L,
    hands: &'a dyn Hands,
    pub(super) besides: Besides,
    filter: OnceLock<Bloom>,
    pub(super) claims: Box<dyn Partitions>,
    pub(super) pairs: Box<dyn Partitions>,
    /// By partition of their subject, the values that are contested there.
    pub(super) contested: Box<dyn Partitions>,
    pub(super) is_contested: Vec<AtomicBool>,
    /// By partition of their subject, the values that one subject gives up and another takes.
    pub(super) links: Box<dyn Partitions>,
    pub(super) is_linked: Vec<AtomicBool>,
    pub(super) tallies: Vec<Mutex<Tally>>,
    pub(super) found: Mutex<Found<L::Error>>,
}

/// What is found along the way.
pub(super) struct Found<E> {
    /// The error of the first partition that has one.
    error: Option<(usize, JoinError<E>)>,
    known: u64,
    missing: u64,
    left_in_doubt: u64,
    left_cleared: u64,
    pub(super) repeated: Option<Repeated>,
    pub(super) shares: [bool; SharedKind::ALL.len()],
    pub(super) conflicts: ConflictList,
    pub(super) chains: Chains,
}

/// What one hand gathers of a part before it is put where it belongs.
#[derive(Default)]
struct Gathered {
    /// Bytes of rows. Far apart as they go, many are under way at once when nothing else is done between them.
    rulings: Vec<(usize, u8)>,
    besides: Vec<(u64, Beside)>,
    claims: Vec<Claim>,
    pairs: Vec<Pair>,
}

impl Gathered {
    /// Nothing yet, with room for the rulings of a leaf.
    fn with_room(leaf: &Leaf<'_>) -> Gathered {
        let rows = match leaf {
            Leaf::Part(part) => part.records.len(),
            Leaf::Large(_) => GATHERED_MAX,
        };
        Gathered { rulings: Vec::with_capacity(rows.min(GATHERED_MAX)), ..Gathered::default() }
    }

    /// Empties it and keeps the memory.
    fn clear(&mut self) {
        let Gathered { rulings, besides, claims, pairs } = self;
        rulings.clear();
        besides.clear();
        claims.clear();
        pairs.clear();
    }

    fn is_full(&self) -> bool {
        self.rulings.len().max(self.besides.len()).max(self.pairs.len()) >= GATHERED_MAX
    }
}

impl<L: LedgerSlices> Phases<'_, L> {
    /// Rules on all rows of a survey.
    pub(super) fn run(
        mut survey: Survey,
        rules: &PlanRules,
        ledger: &L,
        hands: &dyn Hands,
    ) -> Result<Plan, JoinError<L::Error>> {
        let count = survey.bounds.partitions();
        let partitions = || survey.space.partitions(count);
        let found = Found {
            error: None,
            known: 0,
            missing: 0,
            left_in_doubt: 0,
            left_cleared: 0,
            repeated: None,
            shares: Default::default(),
            conflicts: ConflictList::default(),
            chains: Chains::default(),
        };
        let phases = Phases {
            survey: &survey,
            rules,
            ledger,
            hands,
            besides: Besides::new(&*survey.space, survey.rows()),
            filter: OnceLock::new(),
            claims: partitions(),
            pairs: partitions(),
            contested: partitions(),
            is_contested: (0..count).map(|_| AtomicBool::new(false)).collect(),
            links: partitions(),
            is_linked: (0..count).map(|_| AtomicBool::new(false)).collect(),
            tallies: (0..count).map(|_| Mutex::default()).collect(),
            found: Mutex::new(found),
        };
        phases.first()?;
        if phases.filter.get().is_some() {
            phases.second()?;
            phases.third_and_fourth()?;
        }
        let Phases { besides, tallies, found, .. } = phases;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (conflicts, conflicts_total) = found.conflicts.finish();
        let facts = PlanFacts {
            key: Some(rules.key),
            subjects_known: found.known,
            subjects_missing: found.missing,
            left_in_doubt: found.left_in_doubt,
            left_cleared: found.left_cleared,
            repeated: found.repeated,
            ..PlanFacts::default()
        };
        let tallies =
            tallies.into_iter().map(|tally| tally.into_inner().unwrap_or_else(PoisonError::into_inner));
        let rulings = std::mem::take(&mut survey.rulings);
        Ok(Books {
            rulings,
            filtered: survey.filtered,
            valid: survey.valid,
            besides,
            facts,
            shares: found.shares,
            conflicts,
            conflicts_total,
            chains: found.chains,
            samples_max: rules.samples,
        }
        .close(tallies))
    }

    /// Phase 1: all partitions, all slices of the ledger.
    fn first(&self) -> Result<(), JoinError<L::Error>> {
        self.by_ranges(&|partitions| {
            let mut entries = self.entries(&partitions);
            let mut part = Part::default();
            for partition in partitions {
                let mut tally = Tally::default();
                self.leaves(partition, &mut part, &mut |leaf| {
                    self.rule_first(partition, leaf, &mut entries, &mut tally)
                })?;
                *lock(&self.tallies[partition]) = tally;
            }
            entries.drain().map_err(JoinError::Ledger)?;
            let mut found = lock(&self.found);
            found.known += entries.known;
            found.missing += entries.missing;
            found.left_in_doubt += entries.left_in_doubt;
            found.left_cleared += entries.left_cleared;
            Ok(())
        })
    }

    fn rule_first(
        &self,
        partition: usize,
        leaf: Leaf<'_>,
        entries: &mut Entries<'_, L>,
        tally: &mut Tally,
    ) -> Result<(), JoinError<L::Error>> {
        let (mut gathered, mut dealt_out) = (Gathered::with_room(&leaf), Gathered::default());
        let mut stored = Ok(());
        let mut told = |ordinal, dealt| {
            self.rulings()[index_of(ordinal)].fetch_or(BESIDE, Ordering::Relaxed);
            dealt_out.besides.push((ordinal, Beside { version_ordinal: Some(dealt), ..Beside::default() }));
            if dealt_out.is_full() && stored.is_ok() {
                stored = self.store(&mut dealt_out);
            }
        };
        let contested = Contested::default();
        self.ruler(&contested).rule(leaf, entries, &mut told, &mut |ruled| {
            tally.take(ruled)?;
            let (mut is_live, mut stored) = (false, Ok(()));
            ruled.rows.look(|row, data| {
                gathered.rulings.push((index_of(row.ordinal), byte_of(row)));
                self.note_beside((row, data), ruled, &mut gathered.besides);
                self.note_old((row, data), ruled.entry, &mut gathered.besides);
                is_live |= row.is_live();
                if gathered.is_full() && stored.is_ok() {
                    stored = self.store(&mut gathered);
                }
            })?;
            stored?;
            self.note_cleared(ruled)?;
            if !is_live {
                return Ok(());
            }
            self.claim_first(partition, ruled, &mut gathered)
        })?;
        stored
            .and_then(|()| self.store(&mut dealt_out))
            .and_then(|()| self.store(&mut gathered))
            .map_err(JoinError::Space)
    }

    /// What a subject with anything to send claims, and the pairs of its rows.
    fn claim_first(&self, partition: usize, ruled: &Ruled<'_>, gathered: &mut Gathered) -> io::Result<()> {
        let filter = self.filter.get_or_init(|| {
            let values = self.survey.valid * self.survey.mapped.intersect(IDENTIFIERS).len() as u64;
            Bloom::new(values, self.survey.bounds.filter_bytes_max)
        });
        let kinds = self.claimed_kinds();
        let ends = Ends::of(&ruled.rows, ruled.entry, kinds)?;
        for (kind, claim) in last_claims(&ends, kinds) {
            if claim.is_live {
                filter.insert(Slot::of(kind), claim.hash);
            }
            gathered.claims.push(Claim::new(kind, claim.hash, partition, claim.ordinal, claim.is_live));
        }
        for kind in self.exclusive_kinds().iter() {
            // Which row gives it up is asked for only where somebody takes it.
            let releases = ends.released(kind).map(|release| Claim::release(kind, release, partition, 0));
            gathered.claims.extend(releases);
        }
        let mut stored = Ok(());
        ruled.rows.look(|row, data| {
            let pair = if row.is_live() { Pair::of(row, data, true) } else { None };
            if let Some(pair) = pair {
                filter.insert(Slot::PAIR, pair.iccid);
                gathered.pairs.push(pair);
            }
            if gathered.is_full() && stored.is_ok() {
                stored = self.store(gathered);
            }
        })?;
        stored
    }

    /// Phase 2: first what unchanged subjects claim of it, then who claims what.
    fn second(&self) -> Result<(), JoinError<L::Error>> {
        let Some(filter) = self.filter.get() else { return Ok(()) };
        self.by_ranges(&|partitions| {
            let mut entries = self.entries(&partitions);
            let mut part = Part::default();
            for partition in partitions {
                if lock(&self.tallies[partition]).settled_rows == 0 {
                    continue;
                }
                self.leaves(partition, &mut part, &mut |leaf| {
                    self.claim_settled(partition, leaf, filter, &mut entries)
                })?;
            }
            Ok(())
        })?;
        self.by_partitions(&(0..self.partitions()).collect::<Vec<_>>(), &|partition| {
            self.match_values(partition)
        })
    }

    /// What rows that would change nothing share with those that would.
    fn claim_settled(
        &self,
        partition: usize,
        mut leaf: Leaf<'_>,
        filter: &Bloom,
        entries: &mut Entries<'_, L>,
    ) -> Result<(), JoinError<L::Error>> {
        let mut gathered = Gathered::default();
        let mut subjects = Vec::new();
        let kinds = self.claimed_kinds();
        let looked = leaf.look(|row, data| {
            let ruling = decode(self.rulings()[index_of(row.ordinal)].load(Ordering::Relaxed));
            if ruling.is_live() {
                return Ok(());
            }
            let pair = Pair::of(row, data, false);
            gathered.pairs.extend(pair.filter(|pair| filter.may_contain(Slot::PAIR, pair.iccid)));
            let claims = |kind| {
                let value = data.value(row, kind);
                value.is_some_and(|hash| filter.may_contain(Slot::of(kind), hash))
            };
            let may_hold = ruling.is_unchanged() || ruling == Ruling::Superseded;
            if may_hold && subjects.last() != Some(&row.subject) && kinds.iter().any(claims) {
                subjects.push(row.subject);
            }
            if gathered.is_full() { self.store(&mut gathered) } else { Ok(()) }
        });
        looked.map_err(JoinError::Space)?;
        if !subjects.is_empty() {
            subjects.sort_unstable();
            if let Leaf::Part(part) = &mut leaf {
                part.records.retain(|row| subjects.binary_search(&row.subject).is_ok());
                part.displaced.retain(|row| subjects.binary_search(&row.subject).is_ok());
            }
            self.ruler(&Contested::default()).rule(leaf, entries, &mut |_, _| {}, &mut |ruled| {
                // A subject with anything to send has claimed in phase 1.
                if ruled.rows.any(RowRecord::is_live)? {
                    return Ok(());
                }
                let ends = Ends::of(&ruled.rows, ruled.entry, kinds)?;
                let claims = last_claims(&ends, kinds);
                let claims = claims.filter(|(kind, claim)| filter.may_contain(Slot::of(*kind), claim.hash));
                gathered.claims.extend(claims.map(|(kind, claim)| {
                    Claim::new(kind, claim.hash, partition, claim.ordinal, claim.is_live)
                }));
                Ok(())
            })?;
        }
        self.store(&mut gathered).map_err(JoinError::Space)
    }

    /// Phases 3 and 4: the rulings that conflicts change, and the list.
    fn third_and_fourth(&self) -> Result<(), JoinError<L::Error>> {
        let is_any = |of: &[AtomicBool]| of.iter().any(|is_one| is_one.load(Ordering::Relaxed));
        let (is_contested, is_linked) = (is_any(&self.is_contested), is_any(&self.is_linked));
        let partitions: Vec<usize> = (0..self.partitions())
            .filter(|at| {
                [&self.is_contested, &self.is_linked].iter().any(|of| of[*at].load(Ordering::Relaxed))
            })
            .collect();
        let listed = self.survey.space.partitions(self.partitions());
        let wants = self.survey.space.partitions(self.partitions());
        self.by_partitions(&partitions, &|partition| self.rule_again(partition, &*listed, &*wants))?;
        if is_linked {
            self.order_chains(&*wants)?;
        }
        if !is_contested {
            return Ok(());
        }
        self.by_partitions(&(0..self.partitions()).collect::<Vec<_>>(), &|partition| {
            self.list_conflicts(&*listed, partition)
        })
    }

    /// Rules on a partition again, with what is contested there, and tells the final claims of contested values.
    /// Where subjects give up what others take, it tells who does.
    fn rule_again(
        &self,
        partition: usize,
        listed: &dyn Partitions,
        wants: &dyn Partitions,
    ) -> Result<(), JoinError<L::Error>> {
        let contested = self.values(&*self.contested, partition)?;
        let links = self.values(&*self.links, partition)?;
        let mut entries = self.entries(&(partition..partition + 1));
        let (mut part, mut tally) = (Part::default(), Tally::default());
        let (mut claims, mut wanted) = (Vec::new(), Vec::new());
        let exclusive = self.exclusive_kinds();
        self.leaves(partition, &mut part, &mut |leaf| {
            self.ruler(&contested).rule(leaf, &mut entries, &mut |_, _| {}, &mut |ruled| {
                let ends = Ends::of(&ruled.rows, ruled.entry, exclusive)?;
                self.want(partition, (ruled, &ends), &links, &mut wanted)?;
                tally.take(ruled)?;
                ruled.rows.look(|row, _| self.put(row))?;
                for (kind, claim) in last_claims(&ends, exclusive) {
                    if contested.contains(kind, claim.hash) {
                        let LastClaim { hash, ordinal, is_live } = claim;
                        claims.push(Claim::new(kind, hash, partition, ordinal, is_live));
                    }
                }
                Ok(())
            })
        })?;
        *lock(&self.tallies[partition]) = tally;
        let by_value = |claim: Claim| self.survey.bounds.partition_of_value(claim.hash());
        append_claims(wants, &wanted, by_value).map_err(JoinError::Space)?;
        append_claims(listed, &claims, by_value).map_err(JoinError::Space)
    }

    /// The values that stand there for a partition.
    pub(super) fn values(
        &self,
        from: &dyn Partitions,
        partition: usize,
    ) -> Result<Contested, JoinError<L::Error>> {
        let claims = self.sorted_claims(from, partition)?;
        Ok(Contested::new(claims.into_iter().map(|claim| (claim.hash(), claim.kind())).collect()))
    }

    /// Writes the row's byte. What it has beside its ruling stays.
    pub(super) fn put(&self, row: &RowRecord) {
        put(self.rulings(), index_of(row.ordinal), byte_of(row));
    }

    fn note_beside(
        &self,
        (row, data): (&RowRecord, &PartData),
        ruled: &Ruled<'_>,
        besides: &mut Vec<(u64, Beside)>,
    ) {
        if let Some(beside) = ruled.beside(row, data) {
            self.rulings()[index_of(row.ordinal)].fetch_or(BESIDE, Ordering::Relaxed);
            besides.push((row.ordinal, beside));
        }
    }

    /// Puts what is gathered where it belongs.
    fn store(&self, gathered: &mut Gathered) -> io::Result<()> {
        let Gathered { rulings, besides, claims, pairs } = &*gathered;
        rulings.iter().for_each(|(index, byte)| put(self.rulings(), *index, *byte));
        self.besides.add(besides)?;
        let by_value = |claim: &Claim| self.survey.bounds.partition_of_value(claim.hash());
        append_claims(&*self.claims, claims, |claim| by_value(&claim))?;
        let bytes: Vec<_> = pairs
            .iter()
            .map(|pair| (self.survey.bounds.partition_of_value(pair.iccid), pair.to_bytes()))
            .collect();
        let mut records = bytes.iter().map(|(partition, bytes)| (*partition, bytes.as_slice()));
        self.pairs.append_each(&mut records)?;
        gathered.clear();
        Ok(())
    }

    pub(super) fn sorted_claims(
        &self,
        from: &dyn Partitions,
        partition: usize,
    ) -> Result<Vec<Claim>, JoinError<L::Error>> {
        let mut claims = Vec::new();
        from.read(partition, &mut |piece| Claim::extend(&mut claims, piece)).map_err(JoinError::Space)?;
        // Threads came in any order; in this one they are all alike.
        claims.sort_unstable();
        Ok(claims)
    }

    /// Fields whose values are claimed. Equal values of the key field are one subject.
    fn claimed_kinds(&self) -> FieldSet {
        self.survey.mapped.intersect(IDENTIFIERS).minus(FieldSet::only(self.rules.key))
    }

    /// Of them, those of which one value belongs to one subject.
    pub(super) fn exclusive_kinds(&self) -> FieldSet {
        self.claimed_kinds().intersect(EXCLUSIVE)
    }

    pub(super) fn partitions(&self) -> usize {
        self.survey.bounds.partitions()
    }

    pub(super) fn rulings(&self) -> &[AtomicU8] {
        &self.survey.rulings
    }

    /// Who rules on leaves, where these values are contested.
    pub(super) fn ruler<'r>(&'r self, contested: &'r Contested) -> Ruler<'r> {
        let SurveyBounds { subject_rows_max, part_bytes_max, .. } = self.survey.bounds;
        let bounds = LargeBounds { rows_max: subject_rows_max, bytes_max: part_bytes_max };
        Ruler { rules: self.rules, contested, space: &*self.survey.space, bounds }
    }

    pub(super) fn entries(&self, partitions: &Range<usize>) -> Entries<'_, L> {
        let from = self
            .survey
            .bounds
            .first_of(partitions.start)
            .unwrap_or_else(|| unreachable!("jobs begin with a partition"));
        Entries::new(self.ledger, from, self.survey.bounds.first_of(partitions.end), self.rules.tag)
    }

    pub(super) fn leaves(
        &self,
        partition: usize,
        part: &mut Part,
        take: &mut TakeLeaf<'_, L::Error>,
    ) -> Result<(), JoinError<L::Error>> {
        let source = Source::new(&*self.survey.partitions, partition, self.survey.bounds.partition_bits);
        source.leaves(&*self.survey.space, &self.survey.bounds, part, take)
    }

    /// Does the work for all partitions, range by range.
    fn by_ranges(
        &self,
        work: &(dyn Fn(Range<usize>) -> Result<(), JoinError<L::Error>> + Sync),
    ) -> Result<(), JoinError<L::Error>> {
        let hands = self.hands.count();
        let is_alone = hands == 1 || self.survey.rows() < ROWS_ALONE_MAX;
        let jobs = if is_alone { 1 } else { (hands * JOBS_PER_HAND).clamp(1, self.partitions()) };
        let bound = |job| self.partitions() * job / jobs;
        self.jobs(jobs, &|job| work(bound(job)..bound(job + 1)))
    }

    /// Does the work for each of these partitions.
    pub(super) fn by_partitions(
        &self,
        partitions: &[usize],
        work: &(dyn Fn(usize) -> Result<(), JoinError<L::Error>> + Sync),
    ) -> Result<(), JoinError<L::Error>> {
        if self.survey.rows() < ROWS_ALONE_MAX {
            return partitions.iter().try_for_each(|partition| work(*partition));
        }
        self.jobs(partitions.len(), &|job| work(partitions[job]))
    }

    fn jobs(
        &self,
        jobs: usize,
        work: &(dyn Fn(usize) -> Result<(), JoinError<L::Error>> + Sync),
    ) -> Result<(), JoinError<L::Error>> {
        let is_over = AtomicBool::new(false);
        let work = |job| {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            if let Err(error) = work(job) {
                is_over.store(true, Ordering::Relaxed);
                let mut found = lock(&self.found);
                if found.error.as_ref().is_none_or(|(first, _)| job < *first) {
                    found.error = Some((job, error));
                }
            }
        };
        if jobs == 1 {
            work(0)
        } else {
            self.hands.each(jobs, &work)
        }
        lock(&self.found).error.take().map_or(Ok(()), |(_, error)| Err(error))
    }
}

/// What a subject claims in the end of these fields.
pub(super) fn last_claims(ends: &Ends<'_>, kinds: FieldSet) -> impl Iterator<Item = (FieldKind, LastClaim)> {
    kinds.iter().filter_map(|kind| Some((kind, ends.last_claim(kind)?)))
}

pub(super) fn append_claims(
    to: &dyn Partitions,
    claims: &[Claim],
    partition: impl Fn(Claim) -> usize,
) -> io::Result<()> {
    let bytes: Vec<_> = claims.iter().map(|claim| (partition(*claim), claim.to_bytes())).collect();
    to.append_each(&mut bytes.iter().map(|(partition, bytes)| (*partition, bytes.as_slice())))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic of another hand reaches the caller; what stands here is not looked at then.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

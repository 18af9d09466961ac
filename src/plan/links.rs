//! Phase 5 of the join: brings together who takes what another gives up, and rules again on those that have to wait
//! or that swap among each other.
//!
//! Not here: the order itself (`chain.rs`), the other phases (`phases.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::Ordering;

use crate::digest::FieldHash;
use crate::ledger::{ClearedFirst, LedgerEntry};
use crate::row::Version;
use crate::update::{FieldKind, FieldSet};

use super::behind::take_behind;
use super::beside::{Beside, Linked};
use super::chain::{Link, SWAPS_LISTED_MAX, Swap, Waiting, order};
use super::claim::{Claim, Ends, claim_of, known_before};
use super::cycle::{Breaking, Obstacle, clear_version};
use super::dispositions::{BESIDE, CHAINED, decode};
use super::phases::{JoinError, Phases, last_claims, lock};
use super::record::{Part, PartData, RowRecord};
use super::ruler::{Contested, Ruled, carrier, last_held};
use super::rules::{ConflictPolicy, CyclePolicy, DuplicatePolicy};
use super::ruling::Ruling;
use super::shared::SharedKind;
use super::space::{LedgerSlices, Partitions};
use super::survey::index_of;
use super::tally::Tally;

/// Bits of a node that say the partition of its subject: a claim has as many for it.
const PARTITION_BITS: u32 = 14;

/// What is kept of rows before it is put where it belongs, at most: many more are of one subject.
const BESIDES_MAX: usize = 1 << 16;

/// What the order means for the row that carries an update.
#[derive(Debug, Clone, Copy)]
enum Mark {
    /// It is sent in this wave, linked with others, and its subject cleared of these fields in that one before.
    Wave(u32, Linked, (FieldSet, u32)),
    /// It is held back, in this swap, counted from 1 in file order.
    Swap(u32),
    /// It is held, because the update that the row with this ordinal carries is, which gives up what it takes.
    Held(u64),
}

/// Marks of a partition's rows, ascending by ordinal.
type Marks = Vec<(u64, Mark)>;

impl<L: LedgerSlices> Phases<'_, L> {
    /// Notes a row that tells another value of before than the ledger knows, which is right. What the row itself sets
    /// was sent meanwhile.
    pub(super) fn note_old(
        &self,
        (row, data): (&RowRecord, &PartData),
        entry: Option<&LedgerEntry>,
        besides: &mut Vec<(u64, Beside)>,
    ) {
        let differs = |kind: FieldKind| {
            let Some(old) = data.old(row, kind) else { return false };
            let known = known_before(entry, kind);
            known.is_some_and(|known| known != old && data.value(row, kind) != Some(known))
        };
        if row.is_live() && self.exclusive_kinds().iter().any(differs) {
            self.rulings()[index_of(row.ordinal)].fetch_or(BESIDE, Ordering::Relaxed);
            lock(&self.found).shares[SharedKind::Old as usize] = true;
            besides.push((row.ordinal, Beside::sharing(SharedKind::Old)));
        }
    }

    /// Notes a subject that a clear of an earlier run has left without what it had: what its update gives it, and
    /// what nothing does. What its rows clear themselves it is not to have.
    pub(super) fn note_cleared(&self, ruled: &Ruled<'_>) -> io::Result<()> {
        let cleared = ruled.entry.map(LedgerEntry::cleared_first).unwrap_or_default();
        if cleared.fields.is_empty() {
            return Ok(());
        }
        let (mut given, mut asked, mut carrier) = (FieldSet::EMPTY, FieldSet::EMPTY, (0, 0));
        ruled.rows.look(|row, data| {
            for kind in row.present.intersect(cleared.fields).iter() {
                match claim_of(row, data, kind) {
                    Some(FieldHash::CLEARED) => asked.insert(kind),
                    Some(_) => asked.remove(kind),
                    None => {}
                }
                if row.is_live() && !asked.contains(kind) {
                    given.insert(kind);
                }
            }
            // The row that carries the update, or stands for it in a row file; or else the last one.
            let is_carrier = row.is_live() && !row.ruling.is_part();
            let rank = u8::from(is_carrier) + u8::from(row.ruling.is_sent());
            carrier = carrier.max((rank, row.ordinal));
        })?;
        let still = cleared.fields.minus(given).minus(asked);
        let chains = &mut lock(&self.found).chains;
        for (fields, of) in [(given, &mut chains.cleared_before), (still, &mut chains.cleared_still)] {
            if !fields.is_empty() {
                of.push((carrier.1, ClearedFirst { fields, ..cleared }));
            }
        }
        Ok(())
    }

    /// Tells what a subject takes and gives up, of the values of which both was said; the row is the one that carries
    /// its update. Of one that is held only what it gives up: nobody can have that. Of another of which nothing is sent
    /// there is nothing to tell.
    pub(super) fn want(
        &self,
        partition: usize,
        (ruled, ends): (&Ruled<'_>, &Ends<'_>),
        links: &Contested,
        wanted: &mut Vec<Claim>,
    ) -> io::Result<()> {
        if links.is_empty() {
            return Ok(());
        }
        let sent = carrier(&ruled.rows)?;
        let Some(carrier) = sent.map_or_else(|| last_held(&ruled.rows), |sent| Ok(Some(sent)))? else {
            return Ok(());
        };
        let exclusive = self.exclusive_kinds();
        for (kind, claim) in last_claims(ends, exclusive).filter(|_| sent.is_some()) {
            let is_new = claim.is_live && ends.held_before(kind) != Some(claim.hash);
            if is_new && links.contains(kind, claim.hash) {
                wanted.push(Claim::new(kind, claim.hash, partition, carrier, true));
            }
        }
        for kind in exclusive.iter() {
            let releases = ends.released(kind).filter(|release| links.contains(kind, release.hash));
            wanted.extend(releases.map(|release| Claim::release(kind, release, partition, carrier)));
        }
        Ok(())
    }

    /// Finds the order of those that take what others give up, and rules on them again where it changes anything.
    pub(super) fn order_chains(&self, wants: &dyn Partitions) -> Result<(), JoinError<L::Error>> {
        let (mut links, unordered) = self.find_links(wants)?;
        let is_held = |node: u64| {
            decode(self.rulings()[index_of(ordinal_of(node))].load(Ordering::Relaxed)) == Ruling::Held
        };
        let waiting = take_behind(&mut links, is_held);
        let holds = self.rules.conflicts == ConflictPolicy::Hold;
        let order = order(links, holds, self.breaking());
        let cleared = order.rings.iter().filter_map(|ring| {
            let (node, fields) = ring.clearing?;
            Some((node, (fields, ring.clear_wave)))
        });
        let cleared: BTreeMap<u64, (FieldSet, u32)> = cleared.collect();
        let mut marks: BTreeMap<usize, Marks> = BTreeMap::new();
        let ring_rows = |ring: u32| {
            let at = usize::try_from(ring).unwrap_or_default().wrapping_sub(1);
            order.rings.get(at).map_or(0, |ring| u32::try_from(ring.nodes.len()).unwrap_or(u32::MAX))
        };
        for Waiting { node, wave, waits_for, group, ring } in order.waves.iter().copied() {
            let waits_for = ordinal_of(waits_for);
            let linked = Linked { waits_for, group, ring, ring_rows: ring_rows(ring) };
            let mark = Mark::Wave(wave, linked, cleared.get(&node).copied().unwrap_or_default());
            marks.entry(partition_of(node)).or_default().push((ordinal_of(node), mark));
        }
        let held = order.rings.iter().zip(1_u32..).filter(|(ring, _)| holds && ring.clearing.is_none());
        for (node, place) in held.flat_map(|(ring, place)| ring.nodes.iter().map(move |node| (*node, place)))
        {
            marks.entry(partition_of(node)).or_default().push((ordinal_of(node), Mark::Swap(place)));
        }
        for (node, behind) in waiting {
            marks
                .entry(partition_of(node))
                .or_default()
                .push((ordinal_of(node), Mark::Held(ordinal_of(behind))));
        }
        {
            let chains = &mut lock(&self.found).chains;
            chains.facts.chains = order.chains;
            chains.facts.longest = order.longest;
            chains.facts.swaps = order.rings.len() as u64;
            chains.facts.swap_subjects = order.rings.iter().map(|ring| ring.nodes.len() as u64).sum();
            chains.facts.swaps_broken = cleared.len() as u64;
            chains.facts.unordered = unordered;
            let listed = order.rings.iter().take(SWAPS_LISTED_MAX);
            chains.swaps = listed.map(|ring| Swap::of(ring, ordinal_of)).collect();
        }
        drop(order);
        marks.values_mut().for_each(|marks| marks.sort_unstable_by_key(|(ordinal, _)| *ordinal));
        let partitions: Vec<usize> = marks.keys().copied().collect();
        self.by_partitions(&partitions, &|partition| self.mark(partition, &marks[&partition]))
    }

    /// Whether rings are broken, and by clearing what. Nothing clears the key.
    fn breaking(&self) -> Breaking {
        match self.rules.break_cycles {
            CyclePolicy::No => Breaking::Never,
            CyclePolicy::Clear if self.rules.duplicates == DuplicatePolicy::Each => {
                Breaking::Impossible(Obstacle::Each)
            }
            CyclePolicy::Clear => {
                Breaking::Clearing(self.rules.clearable.minus(FieldSet::only(self.rules.key)))
            }
        }
    }

    /// The links, and how many there were beyond the bound. One partition after the other: which of too many links
    /// are kept does not depend on who was faster.
    fn find_links(&self, wants: &dyn Partitions) -> Result<(Vec<Link>, u64), JoinError<L::Error>> {
        let links_max = self.survey.bounds.chain_links_max;
        let (mut links, mut unordered) = (Vec::new(), 0);
        for partition in 0..self.partitions() {
            let claims = self.sorted_claims(wants, partition)?;
            for claims in claims.chunk_by(Claim::is_same_value) {
                let (takes, releases) = claims.split_at(claims.partition_point(|claim| !claim.is_release()));
                for release in releases {
                    let room = links_max.saturating_sub(links.len()).min(takes.len());
                    let (before, is_uncertain) = (node_of(*release), !release.is_live());
                    let link = |take: &Claim| Link {
                        before,
                        after: node_of(*take),
                        kind: take.kind(),
                        is_uncertain,
                    };
                    links.extend(takes[..room].iter().map(link));
                    unordered += (takes.len() - room) as u64;
                }
            }
        }
        Ok((links, unordered))
    }

    /// Rules again on a partition with subjects that wait or swap.
    fn mark(&self, partition: usize, marks: &Marks) -> Result<(), JoinError<L::Error>> {
        let mut contested = self.values(&*self.contested, partition)?;
        let marked = |is_one: fn(&Mark) -> bool| {
            marks.iter().filter(|(_, mark)| is_one(mark)).map(|(ordinal, _)| *ordinal).collect()
        };
        contested.swapping = marked(|mark| matches!(mark, Mark::Swap(_)));
        contested.waiting = marked(|mark| matches!(mark, Mark::Held(_)));
        let mut entries = self.entries(&(partition..partition + 1));
        let (mut part, mut tally) = (Part::default(), Tally::default());
        let mut marking = Marking::default();
        self.leaves(partition, &mut part, &mut |leaf| {
            self.ruler(&contested).rule(leaf, &mut entries, &mut |_, _| {}, &mut |ruled| {
                tally.take(ruled)?;
                let (mut at, mut added) = (None, Ok(()));
                ruled.rows.look(|row, _| {
                    let own = || marks.binary_search_by_key(&row.ordinal, |(ordinal, _)| *ordinal).ok();
                    at = at.or_else(own);
                })?;
                ruled.rows.look(|row, data| {
                    self.put(row);
                    let marked = at.and_then(|at| marking.beside(marks[at].1, (row, data), ruled));
                    let Some((flags, beside)) = marked else { return };
                    self.rulings()[index_of(row.ordinal)].fetch_or(flags, Ordering::Relaxed);
                    marking.besides.push((row.ordinal, beside));
                    if marking.besides.len() >= BESIDES_MAX && added.is_ok() {
                        added = self.besides.add(&std::mem::take(&mut marking.besides));
                    }
                })?;
                added
            })
        })?;
        *lock(&self.tallies[partition]) = tally;
        let Marking { besides, waves, clear_waves, clears } = marking;
        self.besides.add(&besides).map_err(JoinError::Space)?;
        let chains = &mut lock(&self.found).chains;
        for (wave, updates) in waves {
            let at = usize::try_from(wave - 1).unwrap_or(usize::MAX);
            if chains.waves.len() <= at {
                chains.waves.resize(at + 1, 0);
            }
            chains.waves[at] += updates;
            chains.facts.waiting += updates;
        }
        chains.clear_waves.extend(clear_waves);
        chains.facts.waiting -= clears;
        Ok(())
    }
}

/// What comes of the marks of a partition.
#[derive(Default)]
struct Marking {
    besides: Vec<(u64, Beside)>,
    /// Updates and clears by wave.
    waves: BTreeMap<u32, u64>,
    clear_waves: BTreeSet<u32>,
    clears: u64,
}

impl Marking {
    /// What a row has, whose subject has the mark: flags of its byte, and the rest.
    fn beside(
        &mut self,
        mark: Mark,
        (row, data): (&RowRecord, &PartData),
        ruled: &Ruled<'_>,
    ) -> Option<(u8, Beside)> {
        match mark {
            Mark::Wave(wave, linked, (cleared, clear_wave))
                if row.ruling.is_sent() || row.ruling.is_folded() =>
            {
                let is_sent = row.ruling.is_sent();
                *self.waves.entry(wave).or_default() += u64::from(is_sent);
                let mut chain = Beside { wave, linked, ..Beside::default() };
                if is_sent && !cleared.is_empty() {
                    *self.waves.entry(clear_wave).or_default() += 1;
                    self.clear_waves.insert(clear_wave);
                    self.clears += 1;
                    let version = clear_version(data.version(row, ruled.rules.batch));
                    chain.clear_refusals = clear_refusals(ruled.entry, version);
                    (chain.cleared_first, chain.clear_wave) = (cleared, clear_wave);
                }
                Some((BESIDE | CHAINED, chain))
            }
            Mark::Swap(swap) if row.ruling == Ruling::Conflict => {
                Some((BESIDE, Beside { swap, ..Beside::default() }))
            }
            Mark::Held(waits_for) if row.ruling == Ruling::Held => {
                let linked = Linked { waits_for, ..Linked::default() };
                Some((BESIDE, Beside { linked, ..Beside::default() }))
            }
            Mark::Wave(..) | Mark::Swap(_) | Mark::Held(_) => None,
        }
    }
}

/// Definite refusals so far of a clear in exactly this version.
fn clear_refusals(entry: Option<&LedgerEntry>, version: Version) -> u32 {
    entry.and_then(|entry| entry.refusal(version)).map_or(0, |refusal| refusal.count)
}

/// A row that carries an update, with the partition of its subject; in the order of rows.
fn node_of(claim: Claim) -> u64 {
    claim.ordinal() << PARTITION_BITS | claim.partition() as u64
}

fn ordinal_of(node: u64) -> u64 {
    node >> PARTITION_BITS
}

fn partition_of(node: u64) -> usize {
    usize::try_from(node & ((1 << PARTITION_BITS) - 1)).unwrap_or_default()
}

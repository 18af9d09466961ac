//! Fates that need a person, kept for the row files: which updates failed in this run, are in doubt, or were refused
//! earlier in the batch. Within a bound they stay in memory, beyond it they are in the space's private file.
//!
//! While the run goes on, updates are put down by subject. The row files ask by row: [`FatesByRow::find`] reads the
//! inputs once more for the rows folded into updates, brings both together subject by subject, and lays the fates out
//! by ordinal, where the last reading takes them block by block. Not here: what the row files say (`rows.rs`).

use std::collections::HashMap;

use super::rows::RowsError;
use super::superseded::each_row;
use crate::delivery::outcome::Failure;
use crate::digest::SubjectId;
use crate::input::Inputs;
use crate::ledger::{FailureKind, Refusal};
use crate::plan::{Plan, Ruling};
use crate::spill::{Space, Spill, SpillError};
use crate::survey::Judge;

/// Parts that subjects are divided into.
const PARTS: usize = 256;

/// Bytes that a part gathers before they are written at once.
const PART_BLOCK_BYTES: usize = 1 << 10;

/// Bits of an ordinal that are its place in a block; a block's fates are in memory at once.
const BLOCK_BITS: u32 = 16;

/// Updates of a part brought together with rows at a time; of more of them the rows are read again.
const UPDATES_AT_ONCE_MAX: usize = 1 << 15;

/// Complaints that are kept once for all updates; further ones are written with each.
const SIGNATURES_MAX: usize = 4_096;

/// In the place of a complaint's number: its text follows.
const TEXT_FOLLOWS: u32 = u32::MAX;

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// May or may not have been applied when the run ended.
    InDoubt,
    /// Failed in this run.
    Failed { kind: FailureKind, maybe_applied: bool },
    /// Refused earlier in this batch, and not sent in this run.
    RefusedBefore { kind: FailureKind },
}

impl What {
    /// Whether it is the fate of an update that this run was to send, and not one of before.
    fn is_of_this_run(self) -> bool {
        match self {
            What::InDoubt | What::Failed { .. } => true,
            What::RefusedBefore { .. } => false,
        }
    }

    fn to_byte(self) -> u8 {
        let (base, kind) = match self {
            What::InDoubt => return 0,
            What::Failed { kind, maybe_applied: false } => (1, kind),
            What::Failed { kind, maybe_applied: true } => (1 + KINDS, kind),
            What::RefusedBefore { kind } => (1 + 2 * KINDS, kind),
        };
        base + kind as u8
    }

    fn from_byte(byte: u8) -> What {
        let Some(rest) = byte.checked_sub(1) else { return What::InDoubt };
        let kind = FailureKind::ALL[usize::from(rest % KINDS)];
        match rest / KINDS {
            0 => What::Failed { kind, maybe_applied: false },
            1 => What::Failed { kind, maybe_applied: true },
            _ => What::RefusedBefore { kind },
        }
    }
}

const KINDS: u8 = 5;

const _: () = assert!(FailureKind::ALL.len() == KINDS as usize);

/// The fate of an update, as the rows that are part of it share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) what: What,
    /// The complaint, masked; empty where there is none.
    pub(super) signature: String,
}

/// The fates of a run's updates, as they become known.
#[derive(Debug)]
pub struct Fates {
    space: Space,
    updates: Spill,
    signatures: Signatures,
    failed: u64,
    in_doubt: u64,
    /// Why they could not all be kept.
    error: Option<SpillError>,
}

impl Fates {
    /// None yet. They take as much memory as the space keeps, and a fixed amount beside it.
    pub fn new(space: &Space) -> Fates {
        Fates {
            space: space.clone(),
            updates: space.partitions(PARTS, PART_BLOCK_BYTES),
            signatures: Signatures::default(),
            failed: 0,
            in_doubt: 0,
            error: None,
        }
    }

    /// Whether no row needs a person for any of them.
    pub(super) fn is_empty(&self) -> bool {
        self.failed + self.in_doubt == 0
    }

    /// Whether an update has failed.
    pub fn has_failed(&self) -> bool {
        self.failed > 0
    }

    /// An update, named by the ordinal of its last row, has failed.
    pub(super) fn fail(&mut self, subject: SubjectId, ordinal: u64, failure: &Failure) {
        self.failed += 1;
        let what = What::Failed { kind: failure.kind, maybe_applied: failure.maybe_applied };
        self.keep(subject, ordinal, what, &failure.signature);
    }

    /// An update may or may not have been applied.
    pub(super) fn doubt(&mut self, subject: SubjectId, ordinal: u64) {
        self.in_doubt += 1;
        self.keep(subject, ordinal, What::InDoubt, "");
    }

    /// Its error waits until the row files are asked for: what the run sends does not depend on it.
    fn keep(&mut self, subject: SubjectId, ordinal: u64, what: What, signature: &str) {
        if self.error.is_none() {
            let fate = self.signatures.encode(what, signature);
            self.error = append_update(&self.updates, subject, ordinal, &fate).err();
        }
    }
}

/// Complaints that many updates have in common.
#[derive(Debug, Clone, Default)]
struct Signatures {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Signatures {
    /// What became of an update, as bytes: at the front what, then the complaint's number or its text.
    fn encode(&mut self, what: What, signature: &str) -> Vec<u8> {
        let mut bytes = vec![what.to_byte()];
        let number = self.numbers.get(signature).copied();
        let number = number.or_else(|| self.add(signature)).unwrap_or(TEXT_FOLLOWS);
        bytes.extend_from_slice(&number.to_le_bytes());
        if number == TEXT_FOLLOWS {
            // Complaints are bounded to 160 bytes when they are made; no record is anywhere near what a spill takes.
            let len = u16::try_from(signature.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(&signature.as_bytes()[..usize::from(len)]);
        }
        bytes
    }

    fn add(&mut self, signature: &str) -> Option<u32> {
        if self.texts.len() >= SIGNATURES_MAX {
            return None;
        }
        let number = u32::try_from(self.texts.len()).ok()?;
        self.texts.push(signature.to_owned());
        self.numbers.insert(signature.to_owned(), number);
        Some(number)
    }

    fn decode(&self, fate: &[u8]) -> Fate {
        let number = u32::from_le_bytes(array(&fate[1..FATE_BYTES]));
        let signature = match usize::try_from(number).ok().and_then(|number| self.texts.get(number)) {
            Some(text) if number != TEXT_FOLLOWS => text.clone(),
            Some(_) | None => String::from_utf8_lossy(&fate[FATE_BYTES + 2..]).into_owned(),
        };
        Fate { what: What::from_byte(fate[0]), signature }
    }
}

/// Bytes of a fate without a text.
const FATE_BYTES: usize = 1 + 4;

/// Splits a fate, as [`Signatures::encode`] wrote it, from what follows.
fn split_fate(bytes: &[u8]) -> (&[u8], &[u8]) {
    let has_text = bytes[1..FATE_BYTES] == TEXT_FOLLOWS.to_le_bytes();
    let text = || 2 + usize::from(u16::from_le_bytes(array(&bytes[FATE_BYTES..FATE_BYTES + 2])));
    bytes.split_at(FATE_BYTES + if has_text { text() } else { 0 })
}

fn append_update(to: &Spill, subject: SubjectId, ordinal: u64, fate: &[u8]) -> Result<(), SpillError> {
    let mut record = Vec::with_capacity(SUBJECT_BYTES + fate.len());
    record.extend_from_slice(&subject.0);
    record.extend_from_slice(&ordinal.to_le_bytes());
    record.extend_from_slice(fate);
    to.append(part_of(subject), &record)
}

/// Bytes of a subject and an ordinal.
const SUBJECT_BYTES: usize = 16 + 8;

fn part_of(subject: SubjectId) -> usize {
    usize::from(subject.0[0])
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    match bytes.try_into() {
        Ok(array) => array,
        Err(_) => unreachable!("records are read back as they were written"),
    }
}

/// The fates laid out by row, to be asked for in ascending order.
#[derive(Debug)]
pub(super) struct FatesByRow {
    /// By block: offset of the row, ordinal of the update's last row, and its fate.
    rows: Spill,
    signatures: Signatures,
    /// The block read last.
    block: Option<Block>,
}

/// The fates of a block of rows.
#[derive(Debug, Default)]
struct Block {
    number: usize,
    /// Offset of the row, ordinal of the last row of its update, what became of it, and where the fate begins below.
    rows: Vec<(u16, u64, u8, usize)>,
    bytes: Vec<u8>,
}

/// Rows that share the fate of a later one of their subject.
struct Folded {
    /// By part: subject, ordinal, and whether it waits for an update of this run.
    rows: Spill,
    updates_at_once_max: usize,
}

impl FatesByRow {
    /// Lays out the fates of a run, and the refusals of before that the plan knows.
    ///
    /// # Errors
    /// When the fates could not be kept, or the inputs cannot be read again.
    pub(super) fn find(
        fates: &mut Option<Fates>,
        space: &Space,
        plan: &Plan,
        inputs: &mut Inputs,
        judge: &mut Judge<'_>,
    ) -> Result<FatesByRow, RowsError> {
        let fates = fates.get_or_insert_with(|| Fates::new(space));
        if let Some(error) = fates.error.take() {
            return Err(error.into());
        }
        let facts = plan.facts();
        let has_refused = facts.refused_before > 0;
        let has_folded = facts.rows.folded > 0 && fates.failed + fates.in_doubt > 0;
        let folded = Folded::new(&fates.space, UPDATES_AT_ONCE_MAX);
        if has_refused || has_folded {
            let mut failed = None;
            let is_wanted = |ruling| match ruling {
                Ruling::Folded | Ruling::FoldedLate => has_folded,
                Ruling::RefusedBefore | Ruling::FoldedRefused => has_refused,
                Ruling::Rejected
                | Ruling::Filtered
                | Ruling::Elsewhere
                | Ruling::Duplicate
                | Ruling::Superseded
                | Ruling::Unchanged
                | Ruling::Confirmed
                | Ruling::Conflict
                | Ruling::Held
                | Ruling::Send
                | Ruling::SendLate => false,
            };
            each_row(inputs, plan, judge, is_wanted, |ruling, ordinal, subject| {
                if failed.is_none() {
                    failed = fates.take_row(&folded, plan, (ruling, ordinal, subject)).err();
                }
            })?;
            failed.map_or(Ok(()), Err)?;
        }
        Ok(fates.by_row(&folded, facts.rows.read)?)
    }

    /// The fate of the update that a row is part of, where it needs a person.
    ///
    /// # Errors
    /// When it cannot be read back.
    pub(super) fn of(&mut self, ordinal: u64) -> Result<Option<Fate>, SpillError> {
        let (number, offset) = place_of(ordinal);
        let block = match self.block.take() {
            Some(block) if block.number == number => block,
            Some(_) | None => self.read(number)?,
        };
        let block = self.block.insert(block);
        let at = block.rows.binary_search_by_key(&offset, |(of, ..)| *of);
        let fate = at.ok().map(|at| split_fate(&block.bytes[block.rows[at].3..]).0);
        Ok(fate.map(|fate| self.signatures.decode(fate)))
    }

    fn read(&self, number: usize) -> Result<Block, SpillError> {
        let mut block = Block { number, ..Block::default() };
        self.rows.read(number, &mut |mut piece| {
            while !piece.is_empty() {
                let (offset, update) = (u16::from_le_bytes(array(&piece[..2])), array(&piece[2..ROW_BYTES]));
                let (fate, rest) = split_fate(&piece[ROW_BYTES..]);
                block.rows.push((offset, u64::from_le_bytes(update), fate[0], block.bytes.len()));
                block.bytes.extend_from_slice(fate);
                piece = rest;
            }
        })?;
        // A row shares the fate of the first update at or behind it; one in doubt goes before one that failed.
        block.rows.sort_unstable();
        block.rows.dedup_by_key(|(offset, ..)| *offset);
        Ok(block)
    }
}

impl Folded {
    fn new(space: &Space, updates_at_once_max: usize) -> Folded {
        Folded { rows: space.partitions(PARTS, PART_BLOCK_BYTES), updates_at_once_max }
    }

    fn add(&self, subject: SubjectId, ordinal: u64, is_of_this_run: bool) -> Result<(), SpillError> {
        let mut record = [0; SUBJECT_BYTES + 1];
        record[..16].copy_from_slice(&subject.0);
        record[16..24].copy_from_slice(&ordinal.to_le_bytes());
        record[SUBJECT_BYTES] = u8::from(is_of_this_run);
        self.rows.append(part_of(subject), &record)
    }

    /// Brings rows together with these updates of their part, and empties the updates.
    fn meet(&self, part: usize, updates: &mut Vec<Met>, rows: &Spill) -> Result<(), SpillError> {
        updates.sort_unstable();
        let mut failed = None;
        self.rows.read(part, &mut |piece| {
            for row in piece.chunks_exact(SUBJECT_BYTES + 1) {
                let subject = SubjectId(array(&row[..16]));
                let ordinal = u64::from_le_bytes(array(&row[16..24]));
                let is_of_this_run = row[SUBJECT_BYTES] != 0;
                let from = (is_of_this_run, subject, ordinal);
                let first = updates.partition_point(|met| (met.0, met.1, met.2) < from);
                let met = updates.get(first).filter(|met| met.0 == is_of_this_run && met.1 == subject);
                if let Some((_, _, update, fate)) = met
                    && failed.is_none()
                {
                    failed = append_row(rows, ordinal, *update, fate).err();
                }
            }
        })?;
        updates.clear();
        failed.map_or(Ok(()), Err)
    }
}

/// Whether an update is one of this run, its subject, the ordinal of its last row, and its fate.
type Met = (bool, SubjectId, u64, Vec<u8>);

impl Fates {
    /// Takes a row that shares the fate of a later one, or one that was refused before.
    fn take_row(
        &mut self,
        folded: &Folded,
        plan: &Plan,
        (ruling, ordinal, subject): (Ruling, u64, SubjectId),
    ) -> Result<(), RowsError> {
        if ruling != Ruling::RefusedBefore {
            return Ok(folded.add(subject, ordinal, ruling.is_folded())?);
        }
        if let Some(Refusal { kind, signature, .. }) = plan.refused_before(ordinal)? {
            let fate = self.signatures.encode(What::RefusedBefore { kind }, &signature);
            append_update(&self.updates, subject, ordinal, &fate)?;
        }
        Ok(())
    }

    fn by_row(&self, folded: &Folded, rows_read: u64) -> Result<FatesByRow, SpillError> {
        let blocks = place_of(rows_read.max(1)).0 + 1;
        // As many bytes in all as the parts gather.
        let rows = self.space.partitions(blocks, PARTS * PART_BLOCK_BYTES / blocks);
        let mut updates: Vec<Met> = Vec::new();
        for part in 0..PARTS {
            let has_folded = folded.rows.bytes(part) > 0;
            let mut failed = None;
            self.updates.read(part, &mut |mut piece| {
                while !piece.is_empty() && failed.is_none() {
                    let subject = SubjectId(array(&piece[..16]));
                    let ordinal = u64::from_le_bytes(array(&piece[16..SUBJECT_BYTES]));
                    let (fate, rest) = split_fate(&piece[SUBJECT_BYTES..]);
                    piece = rest;
                    failed = append_row(&rows, ordinal, ordinal, fate).err();
                    if has_folded {
                        let is_of_this_run = What::from_byte(fate[0]).is_of_this_run();
                        updates.push((is_of_this_run, subject, ordinal, fate.to_vec()));
                    }
                    if updates.len() >= folded.updates_at_once_max && failed.is_none() {
                        failed = folded.meet(part, &mut updates, &rows).err();
                    }
                }
            })?;
            failed.map_or(Ok(()), Err)?;
            folded.meet(part, &mut updates, &rows)?;
        }
        Ok(FatesByRow { rows, signatures: self.signatures.clone(), block: None })
    }
}

/// Bytes of a row in its block, but for the fate.
const ROW_BYTES: usize = 2 + 8;

fn append_row(to: &Spill, row: u64, update: u64, fate: &[u8]) -> Result<(), SpillError> {
    let (block, offset) = place_of(row);
    let mut record = Vec::with_capacity(ROW_BYTES + fate.len());
    record.extend_from_slice(&offset.to_le_bytes());
    record.extend_from_slice(&update.to_le_bytes());
    record.extend_from_slice(fate);
    to.append(block, &record)
}

/// Block of a row, and its offset in there.
fn place_of(ordinal: u64) -> (usize, u16) {
    let block = usize::try_from(ordinal >> BLOCK_BITS).unwrap_or(usize::MAX);
    (block, u16::try_from(ordinal & ((1 << BLOCK_BITS) - 1)).unwrap_or_default())
}

#[cfg(test)]
mod tests;

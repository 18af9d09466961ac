//! Pass 1: takes the rows one by one and puts of each what the rulings need into the partition of its subject.
//!
//! A row costs a byte of memory, and in its partition 26 bytes and 8 per field, however long its values are; a
//! replayed row 16 more, one that a column puts in its place another 16, and 8 for every old value. Not here: where
//! partitions are (`space.rs`), the join (`phases.rs`).

use std::io;
use std::sync::atomic::AtomicU8;

use crate::digest::{FieldHash, SubjectId};
use crate::row::Version;
use crate::update::{FieldKind, FieldSet};

use super::chain::CHAIN_LINKS_MAX_DEFAULT;
use super::claim::{CLAIM_BYTES, EXCLUSIVE, IDENTIFIERS, PAIR_BYTES};
use super::dispositions::Plan;
use super::phases::{JoinError, Phases};
use super::record::{ROW_BYTES_MIN, STATE_BYTES, encode, encode_displaced};
use super::rules::PlanRules;
use super::ruling::Ruling;
use super::space::{Hands, InMemory, LedgerSlices, Partitions, Space};
use super::staged::{Staged, Taken};

/// Bits of a subject that say its partition, unless set otherwise.
pub const PARTITION_BITS_DEFAULT: u32 = 10;

/// Bits of a subject that say its partition where all rows are in memory.
const PARTITION_BITS_IN_MEMORY: u32 = 3;

/// Bits of a subject that may say its partition, at most: a claim has room for so many.
const PARTITION_BITS_MAX: u32 = 14;

/// Bytes of rows of a partition that are ruled on at once, unless set otherwise.
const PART_BYTES_MAX_DEFAULT: u64 = 12 << 20;

/// Rows of one subject that are ruled on in memory, unless set otherwise.
pub const SUBJECT_ROWS_MAX_DEFAULT: u64 = 200_000;

/// Copies of the rows of a subject with too many that are there at once, at most, where they have to be sorted: by
/// rank and by version, each before and behind, and in chunks.
const COPIES_TO_SORT: u64 = 5;

/// Bytes of an ordinal that is dealt to a row by its rank.
const ORDINAL_BYTES: u64 = 8;

/// Bytes of the filter of claims, unless set otherwise.
const FILTER_BYTES_MAX_DEFAULT: u64 = 8 << 20;

/// A valid row as the survey takes it.
#[derive(Debug, Clone, Copy)]
pub struct Surveyed<'a> {
    /// Its ordinal in the batch.
    pub ordinal: u64,
    /// Whom it is about.
    pub subject: SubjectId,
    /// The version it keeps from an earlier batch (`_run,_row`); `None` for an ordinary row, whose version is the
    /// batch and its ordinal.
    pub version: Option<Version>,
    /// Its place among its subject's rows, where a column gives it: the rank of its order value, or
    /// [`super::RANK_OLDEST`] for an empty cell. `None` where the order is that of the file.
    pub rank: Option<i128>,
    /// Its present fields in wire order, the key field among them.
    pub facts: &'a [(FieldKind, FieldHash)],
    /// What its number, IMSI and ICCID were before, where columns tell it. It is part of no update: it says what the
    /// subject gives up where the ledger does not know.
    pub old: &'a [(FieldKind, FieldHash)],
}

/// Bounds of a survey and its join.
#[derive(Debug, Clone, Copy)]
pub struct SurveyBounds {
    /// Leading bits of a subject that say its partition: there are two to the power of it. So many of a value say its
    /// own.
    pub partition_bits: u32,
    /// Bytes of rows that are ruled on at once by one thread; a larger partition is split. One subject's rows are never
    /// torn apart.
    pub part_bytes_max: u64,
    /// Rows of one subject that are ruled on in memory; those of one with more are read as often as the rules look at
    /// them.
    pub subject_rows_max: u64,
    /// Bytes of the filter that finds claims of the values that updates to send set.
    pub filter_bytes_max: u64,
    /// Pairs of subjects of which one takes what the other gives up, of which the order is found at once.
    pub chain_links_max: usize,
}

impl Default for SurveyBounds {
    fn default() -> SurveyBounds {
        SurveyBounds {
            partition_bits: PARTITION_BITS_DEFAULT,
            part_bytes_max: PART_BYTES_MAX_DEFAULT,
            subject_rows_max: SUBJECT_ROWS_MAX_DEFAULT,
            filter_bytes_max: FILTER_BYTES_MAX_DEFAULT,
            chain_links_max: CHAIN_LINKS_MAX_DEFAULT,
        }
    }
}

/// Pass 1 over the rows of a batch, in file order.
#[derive(Debug)]
pub struct Survey {
    pub(super) space: Box<dyn Space>,
    pub(super) bounds: SurveyBounds,
    pub(super) mapped: FieldSet,
    /// The valid rows, and the rejected ones with a place among them, by subject.
    pub(super) partitions: Box<dyn Partitions>,
    /// The plan's byte of every row; so far only whether it is filtered.
    pub(super) rulings: Vec<AtomicU8>,
    pub(super) filtered: u64,
    /// Valid rows.
    pub(super) valid: u64,
    bytes: u64,
    /// Whether rows have a place of their own among those of their subject.
    is_ordered: bool,
    scratch: Vec<u8>,
}

impl Survey {
    /// An empty survey for exports with these columns mapped, in memory.
    pub fn new(mapped: FieldSet) -> Survey {
        let bounds = SurveyBounds { partition_bits: PARTITION_BITS_IN_MEMORY, ..SurveyBounds::default() };
        Survey::within(mapped, Box::new(InMemory), bounds)
    }

    /// An empty survey that keeps its rows in this space.
    ///
    /// # Panics
    /// When there would be more partitions than there may be.
    pub fn within(mapped: FieldSet, space: Box<dyn Space>, bounds: SurveyBounds) -> Survey {
        assert!(bounds.partition_bits <= PARTITION_BITS_MAX, "partitions are bounded");
        let partitions = space.partitions(bounds.partitions());
        let (rulings, scratch) = (Vec::new(), Vec::new());
        let (filtered, valid, bytes, is_ordered) = (0, 0, 0, false);
        Survey { space, bounds, mapped, partitions, rulings, filtered, valid, bytes, is_ordered, scratch }
    }

    /// Takes a rejected row of which nobody knows the subject or the place.
    ///
    /// # Panics
    /// When the ordinal does not follow the last row's: a row passed over would have no disposition.
    pub fn rejected(&mut self, ordinal: u64) {
        self.count(ordinal, Ruling::Rejected);
    }

    /// Takes a rejected row that a column puts in its place among its subject's rows: corrected and fed back, it is
    /// as new as it was. It must not be replayed, since such a row keeps its version.
    ///
    /// # Errors
    /// When it cannot be kept.
    ///
    /// # Panics
    /// As [`Survey::rejected`].
    pub fn rejected_in_order(&mut self, ordinal: u64, subject: SubjectId, rank: i128) -> io::Result<()> {
        self.rejected(ordinal);
        self.scratch.clear();
        encode_displaced(ordinal, subject, rank, &mut self.scratch);
        self.is_ordered = true;
        self.keep(subject)
    }

    /// Takes a row that a filter leaves out. Nobody asks whom it is about.
    ///
    /// # Panics
    /// As [`Survey::rejected`].
    pub fn filtered(&mut self, ordinal: u64) {
        self.count(ordinal, Ruling::Filtered);
        self.filtered += 1;
    }

    /// Rows that a filter left out.
    #[must_use]
    pub fn rows_filtered(&self) -> u64 {
        self.filtered
    }

    /// Takes a valid row.
    ///
    /// # Errors
    /// When it cannot be kept.
    ///
    /// # Panics
    /// When the ordinal does not follow the last row's, or a field's column is not mapped.
    pub fn row(&mut self, row: &Surveyed<'_>) -> io::Result<()> {
        // Until it is ruled on: a row of which nothing else is said is rejected.
        self.count(row.ordinal, Ruling::Rejected);
        self.valid += 1;
        for (kind, _) in row.facts {
            assert!(self.mapped.contains(*kind), "{kind} is present in a row but its column is not mapped");
        }
        self.scratch.clear();
        encode(row, &mut self.scratch);
        self.is_ordered |= row.version.is_some() || row.rank.is_some();
        self.keep(row.subject)
    }

    /// Takes all rows up to an ordinal: those of them that are staged, whose ordinals are so much lower than they
    /// should be, and rejected ones. What else is filtered is to be told afterwards ([`Survey::was_filtered`]).
    ///
    /// # Errors
    /// When they cannot be kept.
    ///
    /// # Panics
    /// When a row has a field whose column is not mapped.
    pub fn take(&mut self, staged: &mut Staged, shift: u64, last: u64) -> io::Result<()> {
        let (bounds, mut counts) = (self.bounds, Taken::default());
        let rows = staged.take(shift, last, &mut counts);
        self.partitions.append_each(&mut rows.map(|(subject, row)| (bounds.partition_of(subject), row)))?;
        let Taken { bytes, valid, fields, is_ordered } = counts;
        // Until they are ruled on, as one that comes alone.
        self.rulings.resize_with(index_of(last) + 1, || AtomicU8::new(Ruling::Rejected as u8));
        self.valid += valid;
        self.bytes += bytes;
        self.is_ordered |= is_ordered;
        let missing = fields & !self.mapped.bits();
        assert!(missing == 0, "a field is present in a row but its column is not mapped: {missing:b}");
        Ok(())
    }

    /// A row that was taken is one that a filter leaves out.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn was_filtered(&mut self, ordinal: u64) {
        *self.rulings[index_of(ordinal)].get_mut() = Ruling::Filtered as u8;
        self.filtered += 1;
    }

    /// Rows taken so far, the rejected ones included.
    pub fn rows(&self) -> u64 {
        self.rulings.len() as u64
    }

    /// Bytes that the rows taken so far need, and at most come to need until the plan is made: rows, and where
    /// everything is to be sent, what every one of them claims and gives up.
    pub fn bytes_needed(&self) -> (u64, u64) {
        let kinds =
            (self.mapped.intersect(IDENTIFIERS).len() + self.mapped.intersect(EXCLUSIVE).len()) as u64;
        let has_pair = self.mapped.contains(FieldKind::Iccid) && self.mapped.contains(FieldKind::Imsi);
        let pair = if has_pair { PAIR_BYTES as u64 } else { 0 };
        (self.bytes, self.bytes + self.valid * (kinds * CLAIM_BYTES as u64 + pair))
    }

    /// Bytes that the rows of subjects with more rows than are ruled on in memory come to need beside those: they lie
    /// in chunks while they are ruled on, and in further copies where they have to be sorted. So it is, as far as can
    /// be seen, in partitions with more rows than are usual; `scaled` says what bytes so far make for the whole
    /// input.
    pub fn bytes_of_large(&self, scaled: &dyn Fn(u64) -> u64) -> u64 {
        let mut bytes: Vec<u64> = (0..self.bounds.partitions()).map(|at| self.partitions.bytes(at)).collect();
        bytes.sort_unstable();
        let usual = bytes[bytes.len() / 2];
        let is_large = |of: &&u64| {
            scaled(**of).saturating_sub(scaled(usual)) / ROW_BYTES_MIN as u64 > self.bounds.subject_rows_max
        };
        let large: u64 = bytes.iter().filter(is_large).sum();
        let rows = large / ROW_BYTES_MIN as u64;
        let copies = if self.is_ordered { COPIES_TO_SORT } else { 1 };
        let beside = STATE_BYTES as u64 + if self.is_ordered { ORDINAL_BYTES } else { 0 };
        scaled(large * copies + rows * beside)
    }

    /// Joins the rows with the ledger and rules on every one of them.
    ///
    /// # Errors
    /// The first error of the ledger, or of the space. Nothing is ruled then.
    ///
    /// # Panics
    /// When the ledger is out of order or a row lacks the key field, and in the end when the books do not close.
    pub fn finish<L: LedgerSlices>(
        self,
        rules: &PlanRules,
        ledger: &L,
        hands: &dyn Hands,
    ) -> Result<Plan, JoinError<L::Error>> {
        Phases::run(self, rules, ledger, hands)
    }

    fn keep(&mut self, subject: SubjectId) -> io::Result<()> {
        self.bytes += self.scratch.len() as u64;
        self.partitions.append(self.bounds.partition_of(subject), &self.scratch)
    }

    fn count(&mut self, ordinal: u64, ruling: Ruling) {
        self.rulings.push(AtomicU8::new(ruling as u8));
        assert_eq!(ordinal, self.rows(), "rows are surveyed in file order, none passed over");
    }
}

impl SurveyBounds {
    /// Partitions of rows, and of values.
    pub(super) fn partitions(&self) -> usize {
        1 << self.partition_bits
    }

    /// The partition of a subject: partitions are ranges, as slices of the ledger are.
    pub(super) fn partition_of(&self, subject: SubjectId) -> usize {
        self.leading(u64::from_be_bytes(super::record::array(&subject.0[..8])))
    }

    /// The partition of a value.
    pub(super) fn partition_of_value(&self, hash: FieldHash) -> usize {
        self.leading(hash.0)
    }

    fn leading(&self, bits: u64) -> usize {
        // No bits at all are no shift by all of them.
        bits.checked_shr(u64::BITS - self.partition_bits)
            .map_or(0, |leading| usize::try_from(leading).unwrap_or_default())
    }

    /// The first subject of a partition; `None` behind the last partition.
    pub(super) fn first_of(&self, partition: usize) -> Option<SubjectId> {
        let partition = u64::try_from(partition).ok().filter(|at| *at < 1 << self.partition_bits)?;
        let mut first = [0; 16];
        let bits = partition.checked_shl(u64::BITS - self.partition_bits).unwrap_or_default();
        first[..8].copy_from_slice(&bits.to_be_bytes());
        Some(SubjectId(first))
    }
}

/// Position of a row in anything kept by ordinal. The first row is 1.
pub(super) fn index_of(ordinal: u64) -> usize {
    assert!(ordinal >= 1, "ordinals begin with 1");
    // An ordinal beyond the address space cannot have been surveyed; it fails at the index.
    usize::try_from(ordinal - 1).unwrap_or(usize::MAX)
}

//! Pass 1: takes the rows one by one and keeps of each what the rulings need, in a bounded number of bytes.
//!
//! A row costs 32 bytes and 8 per mapped field, however long its values are; a replayed row 24 more, a filtered one 8,
//! and every row 16 more where a column gives the order, a rejected one 48. Not here: the rulings themselves (`join.rs`). A spilling survey would partition the same records by subject.

use crate::digest::{FieldHash, SubjectId};
use crate::ledger::LedgerEntry;
use crate::row::Version;
use crate::update::{FieldKind, FieldSet};

use super::dispositions::{Plan, plan_of};
use super::order::RANK_OLDEST;
use super::rules::PlanRules;
use super::ruling::Ruling;

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
}

/// What is kept of a valid row. The marks are written while the plan is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowRecord {
    pub(super) subject: SubjectId,
    pub(super) ordinal: u64,
    /// Fields present, less those left out.
    pub(super) present: FieldSet,
    /// Fields of the row that are not sent because something newer has set them.
    pub(super) left_out: FieldSet,
    /// Of a carrier: fields its update sets to something else than the ledger holds.
    pub(super) changed: FieldSet,
    pub(super) marks: Marks,
    /// [`Ruling::Send`] as long as nothing stands against it.
    pub(super) ruling: Ruling,
}

const _: () = assert!(size_of::<RowRecord>() == 32, "the survey's memory per row is a promise");

impl RowRecord {
    /// Whether no ruling has been made on the row yet.
    pub(super) fn is_open(&self) -> bool {
        self.ruling == Ruling::Send && !self.marks.has(Marks::PART)
    }
}

/// Marks on a row, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks(u8);

impl Marks {
    pub(super) const NONE: Marks = Marks(0);
    /// Has a version other than that of its place: of an earlier batch, or given by a column.
    pub(super) const REPLAYED: Marks = Marks(1);
    /// Is an update or part of one, and so claims what it sets.
    pub(super) const PART: Marks = Marks(1 << 1);
    /// Carries its update.
    pub(super) const CARRIER: Marks = Marks(1 << 2);
    /// Under `each`: equals the ledger, and so is unchanged unless an earlier row of its subject is sent.
    pub(super) const EQUAL: Marks = Marks(1 << 3);
    /// Sets an identifier that another subject claims too.
    pub(super) const CONTESTED: Marks = Marks(1 << 4);
    /// Sending it repeats, or overwrites, an update in doubt.
    pub(super) const IN_DOUBT: Marks = Marks(1 << 5);
    /// Something of its subject was acknowledged before.
    pub(super) const KNOWN: Marks = Marks(1 << 6);
    /// Rejected by the policy on duplicates, not by a rule.
    pub(super) const BY_POLICY: Marks = Marks(1 << 7);

    pub(super) fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }

    pub(super) fn add(&mut self, mark: Marks) {
        self.0 |= mark.0;
    }

    pub(super) fn add_if(&mut self, condition: bool, mark: Marks) {
        if condition {
            self.add(mark);
        }
    }
}

/// The field hashes of all rows, in one flat table: a line per row, a column per mapped field.
#[derive(Debug)]
pub(super) struct HashTable {
    mapped: FieldSet,
    hashes: Vec<u64>,
    /// Whether any row clears a field.
    clears: bool,
}

impl HashTable {
    /// The mapped fields: one column each.
    pub(super) fn mapped(&self) -> FieldSet {
        self.mapped
    }

    /// The line of a row; absent fields are 0 there, so compare present fields too.
    pub(super) fn line(&self, ordinal: u64) -> &[u64] {
        let width = self.mapped.len();
        let start = index_of(ordinal) * width;
        &self.hashes[start..start + width]
    }

    /// Whether any row clears a field.
    pub(super) fn is_clearing(&self) -> bool {
        self.clears
    }

    /// The values of a field that more than one row has, ascending, each once. Rows are passed in file order, as they lie
    /// in memory: by subject, every look would miss the cache, and most exports have nothing to look for.
    pub(super) fn repeated(&self, kind: FieldKind) -> Vec<FieldHash> {
        let column = self.column(kind);
        let hashes = self.hashes.chunks_exact(self.mapped.len().max(1)).map(|line| FieldHash(line[column]));
        let mut values: Vec<FieldHash> = hashes.filter(|hash| is_value(*hash)).collect();
        values.sort_unstable();
        let mut last = None;
        let mut again = None;
        values.retain(|value| {
            let is_second = last == Some(*value) && again != Some(*value);
            last = Some(*value);
            if is_second {
                again = Some(*value);
            }
            is_second
        });
        values
    }

    /// The rows that set both fields to a value, in file order: their ordinals and the two hashes. Rows that will not be
    /// sent are among them, if they were valid.
    pub(super) fn pairs(
        &self,
        one: FieldKind,
        other: FieldKind,
    ) -> impl Iterator<Item = (u64, FieldHash, FieldHash)> {
        let columns = [self.column(one), self.column(other)];
        (1..).zip(self.hashes.chunks_exact(self.mapped.len().max(1))).filter_map(move |(ordinal, line)| {
            let [one, other] = columns.map(|column| FieldHash(line[column]));
            (is_value(one) && is_value(other)).then_some((ordinal, one, other))
        })
    }

    /// Hash of a field the row has.
    pub(super) fn hash(&self, ordinal: u64, kind: FieldKind) -> FieldHash {
        FieldHash(self.line(ordinal)[self.column(kind)])
    }

    fn column(&self, kind: FieldKind) -> usize {
        let before = FieldSet::only(kind).bits() - 1;
        (self.mapped.bits() & before).count_ones() as usize
    }

    fn push_line(&mut self, facts: &[(FieldKind, FieldHash)]) -> FieldSet {
        let start = self.hashes.len();
        self.hashes.resize(start + self.mapped.len(), 0);
        let mut present = FieldSet::EMPTY;
        for (kind, hash) in facts {
            assert!(self.mapped.contains(*kind), "{kind} is present in a row but its column is not mapped");
            let column = self.column(*kind);
            self.hashes[start + column] = hash.0;
            self.clears |= *hash == FieldHash::CLEARED;
            present.insert(*kind);
        }
        present
    }
}

/// Whether it is the hash of a value: neither absent nor cleared.
fn is_value(hash: FieldHash) -> bool {
    hash.0 != 0 && hash != FieldHash::CLEARED
}

/// A rejected row with a place in the order of its subject's rows, which it has to keep until it comes back corrected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Displaced {
    pub(super) subject: SubjectId,
    pub(super) ordinal: u64,
    pub(super) rank: i128,
}

/// Pass 1 over the rows of a batch, in file order.
#[derive(Debug)]
pub struct Survey {
    pub(super) records: Vec<RowRecord>,
    pub(super) table: HashTable,
    /// Versions of replayed rows, by ordinal.
    pub(super) replayed: Vec<(u64, Version)>,
    /// Rank of every row up to the last one that has one, by position.
    ranks: Vec<i128>,
    /// Rejected rows of which subject and rank are known, where a column gives the order.
    pub(super) displaced: Vec<Displaced>,
    /// Ordinals of the rows left out by a filter, ascending.
    pub(super) filtered: Vec<u64>,
    rows: u64,
}

impl Survey {
    /// An empty survey for exports with these columns mapped.
    pub fn new(mapped: FieldSet) -> Survey {
        let table = HashTable { mapped, hashes: Vec::new(), clears: false };
        let (records, replayed, ranks, filtered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Survey { records, table, replayed, ranks, displaced: Vec::new(), filtered, rows: 0 }
    }

    /// Takes a rejected row of which nobody knows the subject or the place.
    ///
    /// # Panics
    /// When the ordinal does not follow the last row's: a row passed over would have no disposition.
    pub fn rejected(&mut self, ordinal: u64) {
        self.count(ordinal);
        self.table.push_line(&[]);
    }

    /// Takes a rejected row that a column puts in its place among its subject's rows: corrected and fed back, it is as new
    /// as it was. It must not be replayed, since such a row keeps its version.
    ///
    /// # Panics
    /// As [`Survey::rejected`].
    pub fn rejected_in_order(&mut self, ordinal: u64, subject: SubjectId, rank: i128) {
        self.rejected(ordinal);
        self.displaced.push(Displaced { subject, ordinal, rank });
    }

    /// Takes a row that a filter leaves out. Nobody asks whom it is about.
    ///
    /// # Panics
    /// As [`Survey::rejected`].
    pub fn filtered(&mut self, ordinal: u64) {
        self.rejected(ordinal);
        self.filtered.push(ordinal);
    }

    /// Rows that a filter left out.
    #[must_use]
    pub fn rows_filtered(&self) -> u64 {
        u64::try_from(self.filtered.len()).unwrap_or(u64::MAX)
    }

    /// Takes a valid row.
    ///
    /// # Panics
    /// When the ordinal does not follow the last row's, or a field's column is not mapped.
    pub fn row(&mut self, row: &Surveyed<'_>) {
        self.count(row.ordinal);
        let present = self.table.push_line(row.facts);
        let mut marks = Marks::NONE;
        if let Some(version) = row.version {
            marks.add(Marks::REPLAYED);
            self.replayed.push((row.ordinal, version));
        }
        if let Some(rank) = row.rank {
            self.ranks.resize(index_of(row.ordinal), RANK_OLDEST);
            self.ranks.push(rank);
        }
        self.records.push(RowRecord {
            subject: row.subject,
            ordinal: row.ordinal,
            present,
            left_out: FieldSet::EMPTY,
            changed: FieldSet::EMPTY,
            marks,
            ruling: Ruling::Send,
        });
    }

    /// Rank of a row, where a column gives one.
    pub(super) fn rank(&self, ordinal: u64) -> i128 {
        self.ranks.get(index_of(ordinal)).copied().unwrap_or(RANK_OLDEST)
    }

    /// Whether a column gives the order of rows.
    pub(super) fn is_ranked(&self) -> bool {
        !self.ranks.is_empty() || !self.displaced.is_empty()
    }

    /// Rows taken so far, the rejected ones included.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Joins the rows with the ledger and rules on every one of them. The ledger comes ascending by subject; entries
    /// of subjects that are not in the batch are passed over.
    ///
    /// # Errors
    /// The first error of the ledger. Nothing is ruled then.
    ///
    /// # Panics
    /// When the ledger is out of order or a row lacks the key field, and in the end when the books do not close.
    pub fn finish<E>(
        self,
        rules: &PlanRules,
        ledger: impl Iterator<Item = Result<LedgerEntry, E>>,
    ) -> Result<Plan, E> {
        plan_of(self, rules, ledger)
    }

    fn count(&mut self, ordinal: u64) {
        self.rows += 1;
        assert_eq!(ordinal, self.rows, "rows are surveyed in file order, none passed over");
    }
}

/// Position of a row in anything kept by ordinal. The first row is 1.
pub(super) fn index_of(ordinal: u64) -> usize {
    assert!(ordinal >= 1, "ordinals begin with 1");
    // An ordinal beyond the address space cannot have been surveyed; it fails at the index.
    usize::try_from(ordinal - 1).unwrap_or(usize::MAX)
}

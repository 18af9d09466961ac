//! What is kept of a row: as bytes in a partition, and as a record while its partition is ruled on.
//!
//! Not here: which partition (`survey.rs`), the rulings (`join.rs`).

use crate::digest::{FieldHash, SubjectId};
use crate::row::Version;
use crate::update::{FIELD_COUNT, FieldKind, FieldSet};

use super::order::RANK_OLDEST;
use super::ruling::Ruling;
use super::survey::Surveyed;

/// The row keeps a version of an earlier batch, which follows.
const HEAD_REPLAYED: u16 = 1 << 9;
/// A column gives the row a rank, which follows.
const HEAD_RANKED: u16 = 1 << 10;
/// The row was rejected and only has a place among its subject's rows.
const HEAD_DISPLACED: u16 = 1 << 11;
const HEAD_FIELDS: u16 = HEAD_REPLAYED - 1;

/// The row tells what a field was before, and the hash of it follows, field by field.
const HEAD_OLD: [(FieldKind, u16); 3] =
    [(FieldKind::Number, 1 << 12), (FieldKind::Imsi, 1 << 13), (FieldKind::Iccid, 1 << 14)];

const HEAD_ANY_OLD: u16 = 7 << 12;

/// Bytes of what the rulings change of a row: four sets of fields, marks, ruling.
pub(super) const STATE_BYTES: usize = 5 * 2 + 1;

/// Bytes of a row without version, rank and fields: subject, ordinal, head.
pub(super) const ROW_BYTES_MIN: usize = ORDINAL.end + 2;

/// Where its ordinal is, behind its subject.
const ORDINAL: std::ops::Range<usize> = 16..24;

/// No version and no rank.
const NO_SIDE: u32 = u32::MAX;

/// What is kept of a valid row while its partition is ruled on.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowRecord {
    pub(super) subject: SubjectId,
    pub(super) ordinal: u64,
    /// Fields present, less those left out.
    pub(super) present: FieldSet,
    /// Fields of the row that are not sent because something newer has set them.
    pub(super) left_out: FieldSet,
    /// Fields of the row that are not sent because the ledger has them as they are.
    pub(super) not_sent: FieldSet,
    /// Of a carrier: fields its update sets to something else than the ledger holds.
    pub(super) changed: FieldSet,
    pub(super) marks: Marks,
    /// [`Ruling::Send`] as long as nothing stands against it.
    pub(super) ruling: Ruling,
    /// Where its hashes begin.
    hashes_at: u32,
    /// Where its version and rank are.
    side: u32,
}

impl RowRecord {
    /// Whether no ruling has been made on the row yet.
    pub(super) fn is_open(&self) -> bool {
        self.ruling == Ruling::Send && !self.marks.has(Marks::PART)
    }

    /// Whether the row is an update or part of one that would change something at the server.
    pub(super) fn is_live(&self) -> bool {
        self.marks.has(Marks::PART) && !self.ruling.is_unchanged() && self.ruling != Ruling::Superseded
    }

    /// What the rulings change of it.
    pub(super) fn state(&self) -> [u8; STATE_BYTES] {
        let mut state = [0; STATE_BYTES];
        let fields = [self.present, self.left_out, self.not_sent, self.changed].map(FieldSet::bits);
        let words = fields.into_iter().chain([self.marks.0]);
        for (bytes, word) in state.chunks_exact_mut(2).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        state[STATE_BYTES - 1] = self.ruling as u8;
        state
    }

    /// Gives it the state that it had.
    pub(super) fn set_state(&mut self, state: &[u8]) {
        let mut words = state.chunks_exact(2).map(|word| u16::from_le_bytes(array(word)));
        let mut word = || words.next().unwrap_or_default();
        for fields in [&mut self.present, &mut self.left_out, &mut self.not_sent, &mut self.changed] {
            *fields = FieldSet::from_bits(word()).unwrap_or_default();
        }
        self.marks = Marks(word());
        self.ruling = Ruling::ALL[usize::from(state[STATE_BYTES - 1])];
    }
}

/// Marks on a row, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marks(u16);

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
    /// Under `each`: something newer has set one of its fields to another value, and it was not delivered before.
    pub(super) const OVERTAKEN: Marks = Marks(1 << 8);
    /// Superseded, and what is left of it says again what was acknowledged, newer than a failure or than an open batch.
    pub(super) const CONFIRMS: Marks = Marks(1 << 9);
    /// Carries an update that was refused earlier in this batch.
    pub(super) const REFUSED: Marks = Marks(1 << 10);

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

/// A rejected row with a place in the order of its subject's rows, which it has to keep until it comes back corrected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Displaced {
    pub(super) subject: SubjectId,
    pub(super) ordinal: u64,
    pub(super) rank: i128,
}

#[derive(Debug, Clone, Copy)]
struct Side {
    version: Version,
    rank: i128,
    /// What fields were before as the row tells it; cleared where it does not.
    old: [FieldHash; HEAD_OLD.len()],
}

impl Default for Side {
    fn default() -> Side {
        let old = [FieldHash::CLEARED; HEAD_OLD.len()];
        Side { version: Version::default(), rank: RANK_OLDEST, old }
    }
}

/// What belongs to the records of a part and is too long, or too rare, to lie in them.
#[derive(Debug, Default)]
pub(super) struct PartData {
    /// Hashes of the fields of each row as read, in wire order, row after row.
    hashes: Vec<u64>,
    /// Memory for the same in another order.
    arranged: Vec<u64>,
    sides: Vec<Side>,
    is_ranked: bool,
}

/// All rows of some subjects.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) records: Vec<RowRecord>,
    pub(super) displaced: Vec<Displaced>,
    pub(super) data: PartData,
    /// Leading bits of subjects and where they stand among the records, while these are sorted.
    order: Vec<u128>,
}

/// What of an order is a place among the records. So many bits of a subject are left out.
const AT: u128 = u32::MAX as u128;

/// Where a row belongs among others. As one number: a comparison of bytes is a call.
fn place(subject: SubjectId, ordinal: u64) -> (u128, u64) {
    (u128::from_be_bytes(subject.0), ordinal)
}

impl PartData {
    /// The row's hashes as read, in wire order of its present fields and those left out of it.
    pub(super) fn line(&self, row: &RowRecord) -> &[u64] {
        let begin = row.hashes_at as usize;
        &self.hashes[begin..begin + row.present.union(row.left_out).len()]
    }

    /// Hash of a field that the row has, be it left out or not.
    pub(super) fn hash(&self, row: &RowRecord, kind: FieldKind) -> FieldHash {
        let read = row.present.union(row.left_out);
        debug_assert!(read.contains(kind), "row {} has no {kind}", row.ordinal);
        let before = FieldSet::only(kind).bits() - 1;
        FieldHash(self.hashes[row.hashes_at as usize + (read.bits() & before).count_ones() as usize])
    }

    /// Hash of the value of a field as the row was read; `None` where it is absent or cleared.
    pub(super) fn value(&self, row: &RowRecord, kind: FieldKind) -> Option<FieldHash> {
        let is_read = row.present.union(row.left_out).contains(kind);
        is_read.then(|| self.hash(row, kind)).filter(|hash| *hash != FieldHash::CLEARED)
    }

    /// The row's version in a batch.
    pub(super) fn version(&self, row: &RowRecord, batch: u64) -> Version {
        if row.marks.has(Marks::REPLAYED) {
            self.sides[row.side as usize].version
        } else {
            Version { batch, ordinal: row.ordinal }
        }
    }

    /// Gives the row a version other than that of its place.
    pub(super) fn set_version(&mut self, row: &mut RowRecord, version: Version) {
        row.marks.add(Marks::REPLAYED);
        match self.sides.get_mut(row.side as usize) {
            Some(side) => side.version = version,
            None => {
                row.side = index(self.sides.len());
                self.sides.push(Side { version, ..Side::default() });
            }
        }
    }

    /// What a field was before, where the row tells it.
    pub(super) fn old(&self, row: &RowRecord, kind: FieldKind) -> Option<FieldHash> {
        let at = HEAD_OLD.iter().position(|(of, _)| *of == kind)?;
        self.sides.get(row.side as usize).map(|side| side.old[at]).filter(|hash| *hash != FieldHash::CLEARED)
    }

    /// Rank of a row, where a column gives one.
    pub(super) fn rank(&self, row: &RowRecord) -> i128 {
        self.sides.get(row.side as usize).map_or(RANK_OLDEST, |side| side.rank)
    }
}

impl Part {
    /// Takes the rows of a piece of a partition.
    ///
    /// # Panics
    /// When the bytes are not those that [`encode`] made: memory or disk do not hold what was written.
    pub(super) fn extend(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            piece = self.take(piece);
        }
    }

    fn take<'p>(&mut self, piece: &'p [u8]) -> &'p [u8] {
        let (subject, rest) = piece.split_at(16);
        let (ordinal, rest) = rest.split_at(8);
        let (head, mut rest) = rest.split_at(2);
        let subject = SubjectId(array(subject));
        let (ordinal, head) = (u64::from_le_bytes(array(ordinal)), u16::from_le_bytes(array(head)));
        let Some(present) = FieldSet::from_bits(head & HEAD_FIELDS) else {
            unreachable!("every bit of the head's fields is a field")
        };
        let mut marks = Marks::NONE;
        let mut side = Side::default();
        if head & HEAD_REPLAYED != 0 {
            let (batch, behind) = rest.split_at(8);
            let (number, behind) = behind.split_at(8);
            side.version = Version {
                batch: u64::from_le_bytes(array(batch)),
                ordinal: u64::from_le_bytes(array(number)),
            };
            marks.add(Marks::REPLAYED);
            rest = behind;
        }
        if head & (HEAD_RANKED | HEAD_DISPLACED) != 0 {
            let (rank, behind) = rest.split_at(16);
            side.rank = i128::from_le_bytes(array(rank));
            self.data.is_ranked = true;
            rest = behind;
        }
        if head & HEAD_DISPLACED != 0 {
            self.displaced.push(Displaced { subject, ordinal, rank: side.rank });
            return rest;
        }
        for (old, _) in side.old.iter_mut().zip(HEAD_OLD).filter(|(_, (_, bit))| head & bit != 0) {
            let (hash, behind) = rest.split_at(8);
            *old = FieldHash(u64::from_le_bytes(array(hash)));
            rest = behind;
        }
        let side_at = if head & (HEAD_REPLAYED | HEAD_RANKED | HEAD_ANY_OLD) == 0 {
            NO_SIDE
        } else {
            self.data.sides.push(side);
            index(self.data.sides.len() - 1)
        };
        let (hashes, rest) = rest.split_at(8 * present.len());
        let hashes_at = index(self.data.hashes.len());
        self.data.hashes.extend(hashes.as_chunks().0.iter().map(|hash| u64::from_le_bytes(*hash)));
        self.records.push(RowRecord {
            subject,
            ordinal,
            present,
            left_out: FieldSet::EMPTY,
            not_sent: FieldSet::EMPTY,
            changed: FieldSet::EMPTY,
            marks,
            ruling: Ruling::Send,
            hashes_at,
            side: side_at,
        });
        rest
    }

    /// Nothing yet, with room for so many rows of so many bytes.
    pub(super) fn with_room(rows: u64, bytes: u64) -> Part {
        let count = |of: u64| usize::try_from(of).unwrap_or(usize::MAX);
        let mut part = Part::default();
        part.records.reserve_exact(count(rows));
        part.data.hashes.reserve_exact(count(bytes.saturating_sub(rows * ROW_BYTES_MIN as u64) / 8));
        part
    }

    /// Brings the rows together by subject, those of a subject in file order.
    pub(super) fn sort(&mut self) {
        self.sort_records();
        self.displaced.sort_unstable_by_key(|row| place(row.subject, row.ordinal));
        // Rulings go from row to row: with the hashes in the same order nobody waits for memory, and here, where
        // nothing hangs on the row before, many are fetched at once.
        let PartData { hashes, arranged, .. } = &mut self.data;
        arranged.clear();
        for row in &mut self.records {
            let begin = row.hashes_at as usize;
            row.hashes_at = index(arranged.len());
            arranged.extend_from_slice(&hashes[begin..begin + row.present.union(row.left_out).len()]);
        }
        std::mem::swap(hashes, arranged);
    }

    /// Sorts what a record is found by, which is a third as long, and moves every record once.
    fn sort_records(&mut self) {
        let Part { records, order, .. } = self;
        let key = |(row, at): (&RowRecord, u32)| u128::from_be_bytes(row.subject.0) & !AT | u128::from(at);
        order.clear();
        order.extend(records.iter().zip(0..).map(key));
        order.sort_unstable();
        for start in 0..records.len() {
            let (first, mut at) = (records[start], start);
            loop {
                let from = usize::try_from(order[at] & AT).unwrap_or(usize::MAX);
                // Where a record stands already, nothing is moved any more.
                order[at] = at as u128;
                if from == start {
                    records[at] = first;
                    break;
                }
                records[at] = records[from];
                at = from;
            }
        }
        // Subjects that differ in their last bytes alone, or rows that did not come in file order.
        if !records.is_sorted_by_key(|row| place(row.subject, row.ordinal)) {
            records.sort_unstable_by_key(|row| place(row.subject, row.ordinal));
        }
    }

    /// Whether a column gives the order of any of the rows.
    pub(super) fn is_ranked(&self) -> bool {
        self.data.is_ranked
    }

    /// Empties it and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.displaced.clear();
        self.data.hashes.clear();
        self.data.sides.clear();
        self.data.is_ranked = false;
    }
}

/// Appends a valid row.
pub(super) fn encode(row: &Surveyed<'_>, into: &mut Vec<u8>) {
    let (mut present, mut hashes) = (FieldSet::EMPTY, [[0; 8]; FIELD_COUNT]);
    assert!(row.facts.len() <= FIELD_COUNT, "a row has each field once");
    for (slot, (kind, hash)) in hashes.iter_mut().zip(row.facts) {
        present.insert(*kind);
        *slot = hash.0.to_le_bytes();
    }
    let mut head = present.bits();
    head |= if row.version.is_some() { HEAD_REPLAYED } else { 0 };
    head |= if row.rank.is_some() { HEAD_RANKED } else { 0 };
    let old = |kind| row.old.iter().find(|(of, _)| *of == kind).map(|(_, hash)| *hash);
    if !row.old.is_empty() {
        for (kind, bit) in HEAD_OLD {
            head |= if old(kind).is_some() { bit } else { 0 };
        }
    }
    put_head(row.subject, row.ordinal, head, into);
    if let Some(version) = row.version {
        into.extend_from_slice(&version.batch.to_le_bytes());
        into.extend_from_slice(&version.ordinal.to_le_bytes());
    }
    if let Some(rank) = row.rank {
        into.extend_from_slice(&rank.to_le_bytes());
    }
    if !row.old.is_empty() {
        for hash in HEAD_OLD.into_iter().filter_map(|(kind, _)| old(kind)) {
            into.extend_from_slice(&hash.0.to_le_bytes());
        }
    }
    into.extend_from_slice(hashes[..row.facts.len()].as_flattened());
}

/// Appends a rejected row that has a place among its subject's rows.
pub(super) fn encode_displaced(ordinal: u64, subject: SubjectId, rank: i128, into: &mut Vec<u8>) {
    put_head(subject, ordinal, HEAD_DISPLACED, into);
    into.extend_from_slice(&rank.to_le_bytes());
}

fn put_head(subject: SubjectId, ordinal: u64, head: u16, into: &mut Vec<u8>) {
    let mut bytes = [0; ROW_BYTES_MIN];
    bytes[..16].copy_from_slice(&subject.0);
    bytes[ORDINAL].copy_from_slice(&ordinal.to_le_bytes());
    bytes[ORDINAL.end..].copy_from_slice(&head.to_le_bytes());
    into.extend_from_slice(&bytes);
}

/// What an encoded row begins with.
pub(super) struct Head {
    pub(super) subject: SubjectId,
    pub(super) ordinal: u64,
    /// Bytes of the row, these included.
    pub(super) len: usize,
    /// Bits of its fields.
    pub(super) fields: u16,
    /// Whether it is a rejected row that only has a place.
    pub(super) is_displaced: bool,
    /// Where its version is, if it has one of its own.
    version_at: Option<usize>,
    /// Where its rank is, if it has one.
    rank_at: Option<usize>,
}

impl Head {
    /// The version of its own that the row has.
    pub(super) fn version(&self, row: &[u8]) -> Option<Version> {
        let number = |at: usize| u64::from_le_bytes(array(&row[at..at + 8]));
        self.version_at.map(|at| Version { batch: number(at), ordinal: number(at + 8) })
    }

    /// Whether the row has a place of its own among its subject's rows, by a version or a rank.
    pub(super) fn has_place(&self) -> bool {
        self.version_at.is_some() || self.rank_at.is_some()
    }

    /// The rank that a column gives the row.
    pub(super) fn rank(&self, row: &[u8]) -> Option<i128> {
        self.rank_at.map(|at| i128::from_le_bytes(array(&row[at..at + 16])))
    }
}

/// Appends the row, which has no version of its own, with this one.
pub(super) fn put_with_version(row: &[u8], version: Version, into: &mut Vec<u8>) {
    let (head, rest) = row.split_at(ROW_BYTES_MIN);
    let (begin, bits) = head.split_at(ORDINAL.end);
    into.extend_from_slice(begin);
    into.extend_from_slice(&(u16::from_le_bytes(array(bits)) | HEAD_REPLAYED).to_le_bytes());
    into.extend_from_slice(&version.batch.to_le_bytes());
    into.extend_from_slice(&version.ordinal.to_le_bytes());
    into.extend_from_slice(rest);
}

/// The head of the first row of a piece; `None` when there is no row.
pub(super) fn head_of(piece: &[u8]) -> Option<Head> {
    if piece.is_empty() {
        return None;
    }
    let ordinal = u64::from_le_bytes(array(&piece[ORDINAL]));
    let head = u16::from_le_bytes(array(&piece[ORDINAL.end..ROW_BYTES_MIN]));
    let version = if head & HEAD_REPLAYED == 0 { 0 } else { 16 };
    let rank = if head & (HEAD_RANKED | HEAD_DISPLACED) == 0 { 0 } else { 16 };
    let hashes = 8 * (head & (HEAD_FIELDS | HEAD_ANY_OLD)).count_ones() as usize;
    let len = ROW_BYTES_MIN + version + rank + hashes;
    Some(Head {
        subject: SubjectId(array(&piece[..16])),
        ordinal,
        len,
        fields: head & HEAD_FIELDS,
        is_displaced: head & HEAD_DISPLACED != 0,
        version_at: (version > 0).then_some(ROW_BYTES_MIN),
        rank_at: (rank > 0).then_some(ROW_BYTES_MIN + version),
    })
}

/// Gives the first row of a piece another ordinal.
pub(super) fn set_ordinal(piece: &mut [u8], ordinal: u64) {
    piece[ORDINAL].copy_from_slice(&ordinal.to_le_bytes());
}

/// The rows of a piece, undecoded: subject, ordinal and all bytes of each.
pub(super) fn rows_of(mut piece: &[u8]) -> impl Iterator<Item = (SubjectId, u64, &[u8])> {
    std::iter::from_fn(move || {
        let Head { subject, ordinal, len, .. } = head_of(piece)?;
        let (row, rest) = piece.split_at(len);
        piece = rest;
        Some((subject, ordinal, row))
    })
}

/// Bytes as an array of their number.
///
/// # Panics
/// When there are more or fewer.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    match bytes.try_into() {
        Ok(array) => array,
        Err(_) => unreachable!("records are read back as they were written"),
    }
}

fn index(len: usize) -> u32 {
    match u32::try_from(len) {
        Ok(index) if index != NO_SIDE => index,
        Ok(_) | Err(_) => unreachable!("a part is bounded by far less"),
    }
}

/// Whether two records are of one subject, for walking over sorted records subject by subject.
pub(super) fn same_subject(one: &RowRecord, other: &RowRecord) -> bool {
    one.subject == other.subject
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Some subjects differ in their first byte, some in their last; rows come in any order.
        #[test]
        fn rows_are_brought_together_with_their_own_hashes(
            rows in prop::collection::vec((0..4_u8, 0..4_u8, 0..50_u64, 1..4_usize), 0..60),
        ) {
            let mut part = Part::default();
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for (at, (first, last, ordinal, fields)) in (0_u64..).zip(rows) {
                let mut subject = SubjectId([7; 16]);
                (subject.0[0], subject.0[15]) = (first, last);
                let ordinal = ordinal * 100 + at;
                let facts = FieldKind::ALL.map(|kind| (kind, FieldHash(ordinal + kind as u64)));
                let facts = &facts[..fields];
                encode(
                    &Surveyed { ordinal, subject, version: None, rank: None, facts, old: &[] },
                    &mut bytes,
                );
                expected.push((subject, ordinal, facts.iter().map(|(_, hash)| hash.0).collect::<Vec<_>>()));
            }
            expected.sort();
            part.extend(&bytes);
            part.sort();
            let found = part.records.iter().map(|row| (row.subject, row.ordinal, part.data.line(row).to_vec()));
            prop_assert_eq!(found.collect::<Vec<_>>(), expected);
        }
    }
}

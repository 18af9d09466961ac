//! A subject with more rows than are ruled on in memory: where they are, and how they come into the order of their
//! versions.
//!
//! Not here: walking over them afterwards (`rows.rs`), the same order of rows in memory (`reorder.rs`, `join.rs`).

use std::io;

use crate::digest::SubjectId;
use crate::row::Version;

use super::order::RANK_OLDEST;
use super::record::{Head, array, head_of, put_with_version};
use super::rows::Chunks;
use super::space::{Partitions, Space};

/// Bits of a key by which rows that are too many to be sorted at once are told apart.
const SPLIT_BITS: u32 = 8;

/// Ordinals of a piece that is in memory at a time.
const ORDINALS: usize = 1 << 13;

/// The rows of one subject among those of a partition, in file order.
#[derive(Clone, Copy)]
pub(super) struct Large<'p> {
    pub(super) partitions: &'p dyn Partitions,
    pub(super) partition: usize,
    pub(super) subject: SubjectId,
    /// How many they are, rejected ones with a place among them.
    pub(super) rows: u64,
}

/// Bounds of what is in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct LargeBounds {
    /// Rows of a chunk, at most.
    pub(super) rows_max: u64,
    /// Bytes of rows that are sorted at once.
    pub(super) bytes_max: u64,
}

/// What rows are sorted by.
type Key = (u128, u64);

/// Takes encoded rows.
type TakeRow<'t> = dyn FnMut(&[u8]) -> io::Result<()> + 't;

/// Is told the ordinal of a row and the one that a column gives it instead.
type Told<'t> = dyn FnMut(u64, u64) + 't;

impl Large<'_> {
    /// Shows the rows in file order.
    pub(super) fn each(&self, take: &mut TakeRow<'_>) -> io::Result<()> {
        each(self.partitions, self.partition, &mut |row| {
            if row[..16] == self.subject.0 { take(row) } else { Ok(()) }
        })
    }

    /// Brings the valid rows into the order of their versions, which a column may give them, in chunks.
    pub(super) fn in_order(
        &self,
        space: &dyn Space,
        bounds: LargeBounds,
        batch: u64,
        told: &mut Told<'_>,
    ) -> io::Result<Chunks> {
        let mut chunks = Chunks::new(space, self.rows, bounds.rows_max);
        let (mut is_ranked, mut has_versions, mut last) = (false, false, 0);
        self.each(&mut |row| {
            let head = read_head(row);
            assert!(head.ordinal > last, "the rows of a partition come in file order");
            last = head.ordinal;
            is_ranked |= head.rank(row).is_some();
            has_versions |= head.version(row).is_some();
            Ok(())
        })?;
        if !is_ranked && !has_versions {
            self.each(&mut |row| chunks.push(row))?;
            return Ok(chunks);
        }
        let by_version = |row: &[u8]| {
            let head = read_head(row);
            let version = head.version(row).unwrap_or(Version { batch, ordinal: head.ordinal });
            (u128::from(version.batch) << 64 | u128::from(version.ordinal), head.ordinal)
        };
        let sorting = space.partitions(1);
        if is_ranked {
            self.deal(space, bounds, batch, &mut |row| sorting.append(0, row), told)?;
        } else {
            self.each(&mut |row| sorting.append(0, row))?;
        }
        let rows = Unsorted { partitions: &*sorting, partition: 0, space, bytes_max: bounds.bytes_max };
        rows.sorted(&by_version, &mut |row| chunks.push(row))?;
        Ok(chunks)
    }

    /// Gives the rows the versions of the order that a column says, as [`super::reorder::reorder`] does, and takes
    /// those that are valid, in any order.
    fn deal(
        &self,
        space: &dyn Space,
        bounds: LargeBounds,
        batch: u64,
        take: &mut TakeRow<'_>,
        told: &mut Told<'_>,
    ) -> io::Result<()> {
        let ranked = space.partitions(1);
        let ordinals = Ordinals::new(space, self.rows);
        let mut count = 0;
        self.each(&mut |row| {
            let head = read_head(row);
            if head.version(row).is_some() {
                return take(row);
            }
            ordinals.put(count, head.ordinal)?;
            count += 1;
            ranked.append(0, row)
        })?;
        let by_rank = |row: &[u8]| {
            let head = read_head(row);
            let rank = head.rank(row).unwrap_or(RANK_OLDEST);
            // In two's complement the sign is the wrong way round.
            (rank.cast_unsigned() ^ 1 << (u128::BITS - 1), head.ordinal)
        };
        let rows = Unsorted { partitions: &*ranked, partition: 0, space, bytes_max: bounds.bytes_max };
        let (mut at, mut near, mut own) = (0, Vec::new(), Vec::new());
        rows.sorted(&by_rank, &mut |row| {
            let dealt = ordinals.get(at, &mut near)?;
            at += 1;
            let head = read_head(row);
            if head.ordinal != dealt {
                told(head.ordinal, dealt);
            }
            if head.is_displaced {
                return Ok(());
            }
            if head.ordinal == dealt {
                return take(row);
            }
            own.clear();
            put_with_version(row, Version { batch, ordinal: dealt }, &mut own);
            take(&own)
        })
    }
}

/// The ordinals of rows, ascending, found by their place.
struct Ordinals {
    pieces: Box<dyn Partitions>,
}

impl Ordinals {
    fn new(space: &dyn Space, rows: u64) -> Ordinals {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        Ordinals { pieces: space.partitions(rows / ORDINALS + 1) }
    }

    fn put(&self, at: usize, ordinal: u64) -> io::Result<()> {
        self.pieces.append(at / ORDINALS, &ordinal.to_le_bytes())
    }

    /// The ordinal at a place. They are asked for in order; `near` holds those of one piece.
    fn get(&self, at: usize, near: &mut Vec<u64>) -> io::Result<u64> {
        if at.is_multiple_of(ORDINALS) {
            near.clear();
            self.pieces.read(at / ORDINALS, &mut |piece| {
                near.extend(piece.chunks_exact(8).map(|ordinal| u64::from_le_bytes(array(ordinal))));
            })?;
        }
        Ok(near[at % ORDINALS])
    }
}

/// Rows in any order.
struct Unsorted<'p> {
    partitions: &'p dyn Partitions,
    partition: usize,
    space: &'p dyn Space,
    bytes_max: u64,
}

impl Unsorted<'_> {
    /// Shows the rows ascending by their keys, no two of which are equal.
    fn sorted(&self, key: &dyn Fn(&[u8]) -> Key, take: &mut TakeRow<'_>) -> io::Result<()> {
        let (mut least, mut most) = ((u128::MAX, u64::MAX), (0, 0));
        each(self.partitions, self.partition, &mut |row| {
            let key = key(row);
            (least, most) = (key.min(least), key.max(most));
            Ok(())
        })?;
        if least >= most || self.partitions.bytes(self.partition) <= self.bytes_max {
            return self.sorted_here(key, take);
        }
        // All keys begin alike up to the first bit in which the least and the greatest differ.
        let behind = |differing: u32| differing.saturating_sub(SPLIT_BITS);
        let differing =
            (u128::BITS - (least.0 ^ most.0).leading_zeros(), u64::BITS - (least.1 ^ most.1).leading_zeros());
        let mask = (1 << SPLIT_BITS) - 1;
        let bucket = |(high, low): Key| match differing {
            (0, low_bits) => usize::try_from(low >> behind(low_bits) & mask),
            (high_bits, _) => usize::try_from(high >> behind(high_bits) & u128::from(mask)),
        };
        let buckets = self.space.partitions(1 << SPLIT_BITS);
        each(self.partitions, self.partition, &mut |row| {
            buckets.append(bucket(key(row)).unwrap_or_default(), row)
        })?;
        for partition in 0..1 << SPLIT_BITS {
            Unsorted { partitions: &*buckets, partition, ..*self }.sorted(key, take)?;
        }
        Ok(())
    }

    fn sorted_here(&self, key: &dyn Fn(&[u8]) -> Key, take: &mut TakeRow<'_>) -> io::Result<()> {
        let (mut bytes, mut order) = (Vec::new(), Vec::new());
        each(self.partitions, self.partition, &mut |row| {
            let begin = bytes.len();
            bytes.extend_from_slice(row);
            order.push((key(row), begin..bytes.len()));
            Ok(())
        })?;
        order.sort_unstable_by_key(|(key, _)| *key);
        order.into_iter().try_for_each(|(_, range)| take(&bytes[range]))
    }
}

/// Shows the encoded rows of a partition up to the first that fails.
fn each(partitions: &dyn Partitions, partition: usize, take: &mut TakeRow<'_>) -> io::Result<()> {
    let mut taken = Ok(());
    partitions.read(partition, &mut |mut piece| {
        while let Some(head) = head_of(piece) {
            let (row, rest) = piece.split_at(head.len);
            piece = rest;
            if taken.is_ok() {
                taken = take(row);
            }
        }
    })?;
    taken
}

fn read_head(row: &[u8]) -> Head {
    match head_of(row) {
        Some(head) => head,
        None => unreachable!("a row is never empty"),
    }
}

//! Parts of a partition that are small enough to be ruled on at once, and subjects that are too large for it.
//!
//! Not here: the rulings (`ruler.rs`), the rows of a large subject (`large.rs`).

use std::io;

use crate::digest::SubjectId;

use super::large::Large;
use super::phases::JoinError;
use super::record::{Part, PartData, ROW_BYTES_MIN, RowRecord, rows_of};
use super::space::{Partitions, Space};
use super::survey::SurveyBounds;

/// Bits of a subject by which a partition that is too large is split again.
const SPLIT_BITS: u32 = 8;

/// Bits that partitions can be told apart by: those of the subject but for its tag.
const SUBJECT_BITS: u32 = 8 * 13;

/// The rows of a partition, or of a part of one that was too large.
#[derive(Clone, Copy)]
pub(super) struct Source<'p> {
    pub(super) partitions: &'p dyn Partitions,
    pub(super) partition: usize,
    /// Leading bits that its subjects have in common.
    pub(super) bits: u32,
}

/// What is ruled on at once.
pub(super) enum Leaf<'p> {
    /// Rows of one or more subjects, in memory and not sorted.
    Part(&'p mut Part),
    /// A subject with more rows than [`SurveyBounds::subject_rows_max`].
    Large(Large<'p>),
}

impl Leaf<'_> {
    /// Looks at the rows as they were read, in any order, up to the first that fails.
    pub(super) fn look(
        &self,
        mut look: impl FnMut(&RowRecord, &PartData) -> io::Result<()>,
    ) -> io::Result<()> {
        match self {
            Leaf::Part(part) => part.records.iter().try_for_each(|row| look(row, &part.data)),
            Leaf::Large(large) => {
                let mut part = Part::default();
                large.each(&mut |row| {
                    part.clear();
                    part.extend(row);
                    part.records.iter().try_for_each(|row| look(row, &part.data))
                })
            }
        }
    }
}

/// Who takes the parts of a partition.
pub(super) type TakeLeaf<'t, E> = dyn FnMut(Leaf<'_>) -> Result<(), JoinError<E>> + 't;

/// The subject that has most of the rows, if any has more than half of them.
struct Leader {
    subject: SubjectId,
    rows: u64,
    /// Rows of all subjects.
    all: u64,
}

impl<'p> Source<'p> {
    pub(super) fn new(partitions: &'p dyn Partitions, partition: usize, bits: u32) -> Source<'p> {
        Source { partitions, partition, bits }
    }

    /// Takes the rows part by part, ascending by subject; a subject's rows are in one part.
    pub(super) fn leaves<E>(
        self,
        space: &dyn Space,
        bounds: &SurveyBounds,
        part: &mut Part,
        take: &mut TakeLeaf<'_, E>,
    ) -> Result<(), JoinError<E>> {
        let bytes = self.partitions.bytes(self.partition);
        if bytes == 0 {
            return Ok(());
        }
        let is_small = bytes <= bounds.part_bytes_max;
        // As long as that nobody can have too many rows, and nobody is counted.
        let rows_most = bytes / ROW_BYTES_MIN as u64;
        if !is_small || rows_most > bounds.subject_rows_max {
            let Leader { subject, rows, all } = self.leader()?;
            if rows > bounds.subject_rows_max {
                let large = Large { partitions: self.partitions, partition: self.partition, subject, rows };
                return self.around(large, space, bounds, part, take);
            }
            if rows == all && !is_small {
                // A part of its own: neither grown step by step, nor kept for the parts that follow.
                return self.leaf(&mut Part::with_room(rows, bytes), take);
            }
        }
        if is_small || self.bits + SPLIT_BITS > SUBJECT_BITS {
            return self.leaf(part, take);
        }
        let split = self.split(space)?;
        for partition in 0..1 << SPLIT_BITS {
            let of = Source { partitions: &*split, partition, bits: self.bits + SPLIT_BITS };
            of.leaves(space, bounds, part, take)?;
        }
        Ok(())
    }

    fn leaf<E>(self, part: &mut Part, take: &mut TakeLeaf<'_, E>) -> Result<(), JoinError<E>> {
        part.clear();
        self.partitions.read(self.partition, &mut |piece| part.extend(piece)).map_err(JoinError::Space)?;
        take(Leaf::Part(part))
    }

    /// Takes the subjects before a large one, it, and those behind it.
    fn around<E>(
        self,
        large: Large<'_>,
        space: &dyn Space,
        bounds: &SurveyBounds,
        part: &mut Part,
        take: &mut TakeLeaf<'_, E>,
    ) -> Result<(), JoinError<E>> {
        let split = self.split_by(space, 2, |subject| {
            (subject != large.subject).then(|| usize::from(subject > large.subject))
        })?;
        let others = |partition| Source { partitions: &*split, partition, bits: self.bits };
        others(0).leaves(space, bounds, part, take)?;
        // Its memory is for the large one now.
        *part = Part::default();
        take(Leaf::Large(large))?;
        others(1).leaves(space, bounds, part, take)
    }

    fn leader<E>(self) -> Result<Leader, JoinError<E>> {
        // The majority vote of Boyer and Moore: whoever has more than half of the rows is the one that is left.
        let (mut leader, mut lead) = (SubjectId([0; 16]), 0_u64);
        self.rows(&mut |subject, _| match lead {
            0 => (leader, lead) = (subject, 1),
            _ if leader == subject => lead += 1,
            _ => lead -= 1,
        })?;
        let (mut all, mut rows) = (0, 0);
        self.rows(&mut |subject, _| {
            all += 1;
            rows += u64::from(leader == subject);
        })?;
        Ok(Leader { subject: leader, rows, all })
    }

    fn split<E>(self, space: &dyn Space) -> Result<Box<dyn Partitions>, JoinError<E>> {
        let shift = u128::BITS - self.bits - SPLIT_BITS;
        let mask = (1 << SPLIT_BITS) - 1;
        self.split_by(space, 1 << SPLIT_BITS, |subject| {
            Some(usize::try_from(u128::from_be_bytes(subject.0) >> shift & mask).unwrap_or_default())
        })
    }

    /// Puts the rows into so many partitions, by their subject, or into none.
    fn split_by<E>(
        self,
        space: &dyn Space,
        count: usize,
        partition: impl Fn(SubjectId) -> Option<usize>,
    ) -> Result<Box<dyn Partitions>, JoinError<E>> {
        let split = space.partitions(count);
        let mut failed = None;
        self.rows(&mut |subject, row| {
            if let Some(partition) = partition(subject).filter(|_| failed.is_none()) {
                failed = split.append(partition, row).err();
            }
        })?;
        failed.map_or(Ok(split), |error| Err(JoinError::Space(error)))
    }

    fn rows<E>(self, take: &mut dyn FnMut(SubjectId, &[u8])) -> Result<(), JoinError<E>> {
        let read = self.partitions.read(self.partition, &mut |piece| {
            rows_of(piece).for_each(|(subject, _, row)| take(subject, row));
        });
        read.map_err(JoinError::Space)
    }
}

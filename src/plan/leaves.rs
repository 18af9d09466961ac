//! Parts of a partition that are small enough to be ruled on at once.
//!
//! Not here: the rulings (`ruler.rs`).

use crate::digest::SubjectId;

use super::phases::JoinError;
use super::record::{Part, rows_of};
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

/// Who takes the parts of a partition.
pub(super) type TakePart<'t, E> = dyn FnMut(&mut Part) -> Result<(), JoinError<E>> + 't;

impl<'p> Source<'p> {
    pub(super) fn new(partitions: &'p dyn Partitions, partition: usize, bits: u32) -> Source<'p> {
        Source { partitions, partition, bits }
    }

    /// Takes the rows part by part, ascending by subject; a subject's rows are in one part. Parts are not sorted.
    pub(super) fn leaves<E>(
        self,
        space: &dyn Space,
        bounds: &SurveyBounds,
        part: &mut Part,
        take: &mut TakePart<'_, E>,
    ) -> Result<(), JoinError<E>> {
        let bytes = self.partitions.bytes(self.partition);
        if bytes == 0 {
            return Ok(());
        }
        if bytes <= bounds.part_bytes_max || self.bits + SPLIT_BITS > SUBJECT_BITS {
            return self.leaf(part, take);
        }
        if let Some(rows) = self.rows_of_one_subject(bounds)? {
            // A part of its own: neither grown step by step, nor kept for the parts that follow.
            return self.leaf(&mut Part::with_room(rows, bytes), take);
        }
        let split = self.split(space)?;
        for partition in 0..1 << SPLIT_BITS {
            let of = Source { partitions: &*split, partition, bits: self.bits + SPLIT_BITS };
            of.leaves(space, bounds, part, take)?;
        }
        Ok(())
    }

    fn leaf<E>(self, part: &mut Part, take: &mut TakePart<'_, E>) -> Result<(), JoinError<E>> {
        part.clear();
        self.partitions.read(self.partition, &mut |piece| part.extend(piece)).map_err(JoinError::Space)?;
        take(part)
    }

    /// How many rows there are if all are of one subject, so that nothing can be split.
    ///
    /// # Errors
    /// When a subject that has most of the rows has more than it may: whoever exported it wrote a placeholder.
    fn rows_of_one_subject<E>(self, bounds: &SurveyBounds) -> Result<Option<u64>, JoinError<E>> {
        // The majority vote of Boyer and Moore: whoever has more than half of the rows is the one that is left.
        let (mut leader, mut lead) = (None, 0_u64);
        self.rows(&mut |subject, _, _| match leader {
            Some(current) if current == subject => lead += 1,
            Some(_) if lead > 0 => lead -= 1,
            Some(_) | None => (leader, lead) = (Some(subject), 1),
        })?;
        let (mut all, mut own, mut first_ordinal) = (0_u64, 0_u64, None);
        self.rows(&mut |subject, ordinal, _| {
            all += 1;
            if leader == Some(subject) {
                own += 1;
                first_ordinal = first_ordinal.or(Some(ordinal));
            }
        })?;
        match first_ordinal {
            Some(first_ordinal) if own > bounds.subject_rows_max => {
                Err(JoinError::SubjectRows { rows_max: bounds.subject_rows_max, first_ordinal })
            }
            Some(_) | None => Ok((own == all).then_some(all)),
        }
    }

    fn split<E>(self, space: &dyn Space) -> Result<Box<dyn Partitions>, JoinError<E>> {
        let split = space.partitions(1 << SPLIT_BITS);
        let shift = u128::BITS - self.bits - SPLIT_BITS;
        let mask = (1 << SPLIT_BITS) - 1;
        let mut failed = None;
        self.rows(&mut |subject, _, row| {
            let partition = u128::from_be_bytes(subject.0) >> shift & mask;
            if failed.is_none() {
                failed = split.append(usize::try_from(partition).unwrap_or_default(), row).err();
            }
        })?;
        failed.map_or(Ok(split), |error| Err(JoinError::Space(error)))
    }

    fn rows<E>(self, take: &mut dyn FnMut(SubjectId, u64, &[u8])) -> Result<(), JoinError<E>> {
        let read = self.partitions.read(self.partition, &mut |piece| {
            rows_of(piece).for_each(|(subject, ordinal, row)| take(subject, ordinal, row));
        });
        read.map_err(JoinError::Space)
    }
}

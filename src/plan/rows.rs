//! The rows of one subject in the order of their versions, as the rulings walk over them: forward or backward, row by
//! row.
//!
//! Nearly always they are in memory. Those of a subject with too many lie in chunks, of which one is in memory at a
//! time, and every walk reads them again. A rule that keeps no more than a few words from row to row rules alike on
//! both. Not here: the rules (`join.rs`, `ruler.rs`), how rows come into chunks and in which order (`large.rs`).

use std::io;

use super::record::{Part, PartData, RowRecord, STATE_BYTES};
use super::space::{Partitions, Space};

/// Rows of a chunk, at most.
const CHUNK_ROWS_MAX: u64 = 1 << 15;

/// The rows of one subject.
pub(super) enum Rows<'r> {
    /// In memory.
    Here(&'r mut [RowRecord], &'r PartData),
    /// In chunks.
    There(&'r Chunks),
}

/// Whether a walk begins with the first row or with the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// What a walk does with a row; it may change it.
type Visit<'v> = dyn FnMut(&mut RowRecord, &PartData) + 'v;

impl Rows<'_> {
    /// Looks at every row. Only rows in chunks can fail to be read.
    pub(super) fn look(&self, mut look: impl FnMut(&RowRecord, &PartData)) -> io::Result<()> {
        match self {
            Rows::Here(rows, data) => rows.iter().for_each(|row| look(row, data)),
            Rows::There(chunks) => {
                chunks.walk(Direction::Forward, false, &mut |row, data| look(row, data))?
            }
        }
        Ok(())
    }

    /// Looks at every row, at the last one first.
    pub(super) fn look_back(&self, mut look: impl FnMut(&RowRecord, &PartData)) -> io::Result<()> {
        match self {
            Rows::Here(rows, data) => rows.iter().rev().for_each(|row| look(row, data)),
            Rows::There(chunks) => {
                chunks.walk(Direction::Backward, false, &mut |row, data| look(row, data))?
            }
        }
        Ok(())
    }

    /// Walks over all rows; what it changes of them stays.
    pub(super) fn change(&mut self, mut change: impl FnMut(&mut RowRecord, &PartData)) -> io::Result<()> {
        match self {
            Rows::Here(rows, data) => rows.iter_mut().for_each(|row| change(row, data)),
            Rows::There(chunks) => chunks.walk(Direction::Forward, true, &mut change)?,
        }
        Ok(())
    }

    /// Walks over all rows, from the last to the first.
    pub(super) fn change_back(
        &mut self,
        mut change: impl FnMut(&mut RowRecord, &PartData),
    ) -> io::Result<()> {
        match self {
            Rows::Here(rows, data) => rows.iter_mut().rev().for_each(|row| change(row, data)),
            Rows::There(chunks) => chunks.walk(Direction::Backward, true, &mut change)?,
        }
        Ok(())
    }

    /// Whether one of the rows is such a one.
    pub(super) fn any(&self, is_one: impl Fn(&RowRecord) -> bool) -> io::Result<bool> {
        if let Rows::Here(rows, _) = self {
            return Ok(rows.iter().any(is_one));
        }
        let mut is_any = false;
        self.look(|row, _| is_any |= is_one(row))?;
        Ok(is_any)
    }

    /// Whether there is only one row, as nearly always.
    pub(super) fn is_single(&self) -> bool {
        matches!(self, Rows::Here(rows, _) if rows.len() == 1)
    }

    /// Brings rows in memory into the order of their versions; those in chunks came so.
    pub(super) fn sort_by_version(&mut self, batch: u64) {
        if let Rows::Here(rows, data) = self {
            rows.sort_by_key(|row| (data.version(row, batch), row.ordinal));
        }
    }
}

/// The rows of a subject in chunks: as they were read, and apart from that, in as many bytes for each, what the
/// rulings change.
#[derive(Debug)]
pub(super) struct Chunks {
    lines: Box<dyn Partitions>,
    /// Of a chunk that nothing was changed of yet there are none.
    states: Box<dyn Partitions>,
    chunk_rows: u64,
    rows: u64,
}

impl Chunks {
    /// Room for so many rows, of which only so many may be in memory.
    pub(super) fn new(space: &dyn Space, rows_max: u64, here_max: u64) -> Chunks {
        let chunk_rows = here_max.clamp(1, CHUNK_ROWS_MAX);
        let chunks = index(rows_max / chunk_rows) + 1;
        Chunks { lines: space.partitions(chunks), states: space.partitions(chunks), chunk_rows, rows: 0 }
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Takes the next row, encoded, in the order of versions.
    pub(super) fn push(&mut self, row: &[u8]) -> io::Result<()> {
        let chunk = index(self.rows / self.chunk_rows);
        self.rows += 1;
        self.lines.append(chunk, row)
    }

    fn walk(&self, direction: Direction, keeps: bool, visit: &mut Visit<'_>) -> io::Result<()> {
        let (mut part, mut states) = (Part::default(), Vec::new());
        let chunks = index(self.rows.div_ceil(self.chunk_rows));
        for at in 0..chunks {
            let chunk = match direction {
                Direction::Forward => at,
                Direction::Backward => chunks - 1 - at,
            };
            self.read(chunk, &mut part, &mut states)?;
            let Part { records, data, .. } = &mut part;
            match direction {
                Direction::Forward => records.iter_mut().for_each(|row| visit(row, data)),
                Direction::Backward => records.iter_mut().rev().for_each(|row| visit(row, data)),
            }
            if keeps {
                self.keep(chunk, records, &mut states)?;
            }
        }
        Ok(())
    }

    fn read(&self, chunk: usize, part: &mut Part, states: &mut Vec<u8>) -> io::Result<()> {
        part.clear();
        self.lines.read(chunk, &mut |piece| part.extend(piece))?;
        states.clear();
        self.states.read(chunk, &mut |piece| states.extend_from_slice(piece))?;
        let kept = states.chunks_exact(STATE_BYTES);
        part.records.iter_mut().zip(kept).for_each(|(row, state)| row.set_state(state));
        Ok(())
    }

    fn keep(&self, chunk: usize, records: &[RowRecord], states: &mut Vec<u8>) -> io::Result<()> {
        let is_first = states.is_empty();
        states.clear();
        records.iter().for_each(|row| states.extend_from_slice(&row.state()));
        if is_first {
            return self.states.append_each(&mut states.chunks(STATE_BYTES).map(|state| (chunk, state)));
        }
        self.states.overwrite(chunk, states)
    }
}

fn index(of: u64) -> usize {
    usize::try_from(of).unwrap_or(usize::MAX)
}

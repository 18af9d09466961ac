//! The log's records in the order of the ledger: by subject, and for each subject as they were written.
//!
//! An external merge sort, so that a fold's memory does not grow with the log: what fits is sorted in memory, beyond
//! that sorted runs go to a private file without a name, which a kill cannot leave behind, and are merged. Each run
//! knows where the slices of the subjects' range begin in it, so that several threads can each merge a slice of their
//! own. Not here: how the log is read (`gather.rs`), what becomes of the records (`fold.rs`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::digest::SubjectId;

use super::error::JournalError;

/// Slices of the subjects' range: subjects are hashes, so that each has its share of them.
pub(super) const SLICES: usize = 1 << SLICE_BITS;

/// Leading bits of a subject that tell its slice.
const SLICE_BITS: u32 = 10;

/// Memory a record takes in a run beside its bytes.
const SLOT_BYTES: u64 = size_of::<Slot>() as u64;

/// Bytes in front of a record in a run.
const LEN_BYTES: usize = 4;

/// Bytes of a run's buffer while runs are merged; fewer when there are many runs.
const BUFFER_BYTES_MAX: u64 = 256 * 1024;

/// Bytes of a run's buffer at least. A record that is longer makes its buffer longer.
const BUFFER_BYTES_MIN: u64 = 4096;

/// The slice a subject is in.
fn slice_of(subject: SubjectId) -> usize {
    usize::from(u16::from_be_bytes([subject.0[0], subject.0[1]]) >> (u16::BITS - SLICE_BITS))
}

/// The first subject a slice may hold; `None` behind the last slice.
pub(super) fn slice_begin(slice: usize) -> Option<SubjectId> {
    let first = u16::try_from(slice << (u16::BITS - SLICE_BITS)).ok()?;
    let mut id = [0; 16];
    id[..2].copy_from_slice(&first.to_be_bytes());
    Some(SubjectId(id))
}

/// Where a record of the current run is.
struct Slot {
    subject: SubjectId,
    begin: u32,
    len: u32,
}

/// Takes records in log order.
pub(super) struct Sorter {
    dir: PathBuf,
    memory_max: u64,
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    /// Where runs go that memory has no room for, and how far it is full.
    spilled: Option<(Arc<File>, u64)>,
    runs: Vec<SortedRun>,
}

/// Records in the ledger's order.
struct SortedRun {
    place: Place,
    /// Where each slice begins in its place, and behind them the end of the last.
    begins: Vec<u64>,
}

enum Place {
    Memory(Vec<u8>),
    File(Arc<File>),
}

impl Sorter {
    /// Sorts in so much memory, and beyond it in a file of that directory.
    pub(super) fn new(dir: &Path, memory_max: u64) -> Sorter {
        Sorter {
            dir: dir.to_owned(),
            memory_max: memory_max.min(u64::from(u32::MAX) / 2),
            bytes: Vec::new(),
            slots: Vec::new(),
            spilled: None,
            runs: Vec::new(),
        }
    }

    /// Takes the next record.
    pub(super) fn push(&mut self, subject: SubjectId, record: &[u8]) -> Result<(), JournalError> {
        let memory = (self.bytes.len() + record.len()) as u64 + self.slots.len() as u64 * SLOT_BYTES;
        if memory > self.memory_max && !self.slots.is_empty() {
            self.spill()?;
        }
        let too_long = |_| JournalError::Misuse { what: "a run of more than 4 GiB" };
        let begin = u32::try_from(self.bytes.len()).map_err(too_long)?;
        let len = u32::try_from(record.len()).map_err(too_long)?;
        self.bytes.extend_from_slice(record);
        self.slots.push(Slot { subject, begin, len });
        Ok(())
    }

    /// Ends it.
    pub(super) fn finish(mut self) -> Result<SortedLog, JournalError> {
        if self.spilled.is_some() {
            // Readers have buffers of their own in the place of what was sorted.
            self.spill()?;
        } else if !self.slots.is_empty() {
            let mut bytes = Vec::with_capacity(self.bytes.len() + self.slots.len() * LEN_BYTES);
            let begins = self.write_run(&mut bytes, 0)?;
            self.runs.push(SortedRun { place: Place::Memory(bytes), begins });
        }
        Ok(SortedLog { dir: self.dir, runs: self.runs })
    }

    fn spill(&mut self) -> Result<(), JournalError> {
        if self.slots.is_empty() {
            return Ok(());
        }
        let (file, at) = match self.spilled.take() {
            Some(spilled) => spilled,
            None => {
                let file = tempfile::tempfile_in(&self.dir)
                    .map_err(JournalError::io("create a temporary file in", &self.dir))?;
                (Arc::new(file), 0)
            }
        };
        let begins = self.write_run(&mut BufWriter::with_capacity(1 << 18, &*file), at)?;
        self.spilled = Some((Arc::clone(&file), begins.last().copied().unwrap_or(at)));
        self.runs.push(SortedRun { place: Place::File(file), begins });
        self.bytes.clear();
        self.slots.clear();
        Ok(())
    }

    /// Sorts what is in memory and writes it to a place that is full up to there; returns where its slices begin.
    fn write_run(&mut self, out: &mut impl Write, begin: u64) -> Result<Vec<u64>, JournalError> {
        // The place in the run is the order in the log.
        self.slots.sort_unstable_by_key(|slot| (slot.subject, slot.begin));
        let mut begins = Vec::with_capacity(SLICES + 1);
        let mut at = begin;
        let mut write = |bytes: &[u8]| {
            out.write_all(bytes)
                .map_err(|error| JournalError::io("write a temporary file in", &self.dir)(error))
        };
        for slot in &self.slots {
            begins.resize(begins.len().max(slice_of(slot.subject) + 1), at);
            write(&slot.len.to_be_bytes())?;
            write(&self.bytes[slot.begin as usize..][..slot.len as usize])?;
            at += LEN_BYTES as u64 + u64::from(slot.len);
        }
        out.flush().map_err(JournalError::io("write a temporary file in", &self.dir))?;
        begins.resize(SLICES + 1, at);
        Ok(begins)
    }
}

/// All records of a log, sorted and not yet merged.
pub(super) struct SortedLog {
    dir: PathBuf,
    /// In the order of the log.
    runs: Vec<SortedRun>,
}

impl SortedLog {
    /// None yet. Errors name the directory.
    pub(super) fn new(dir: &Path) -> SortedLog {
        SortedLog { dir: dir.to_owned(), runs: Vec::new() }
    }

    /// Adds records that were written after those that are there.
    pub(super) fn append(&mut self, mut later: SortedLog) {
        self.runs.append(&mut later.runs);
    }

    /// The records of some slices, in so much memory.
    pub(super) fn slices(&self, slices: Range<usize>, memory_max: u64) -> Result<Merge<'_>, JournalError> {
        let runs = self.runs.len() as u64;
        let buffer_bytes = (memory_max / runs.max(1)).clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
        let mut merge =
            Merge { dir: &self.dir, runs: Vec::new(), heap: BinaryHeap::new(), is_current: false };
        for run in &self.runs {
            let (begin, end) = (run.begins[slices.start], run.begins[slices.end]);
            if begin == end {
                continue;
            }
            let (file, buffer) = match &run.place {
                Place::File(file) => (Some(&**file), Vec::new()),
                Place::Memory(bytes) => (None, bytes[place(begin)?..place(end)?].to_vec()),
            };
            let at = if file.is_some() { begin } else { end };
            merge.runs.push(Run { file, at, end, buffer_bytes, buffer, begin: 0, len: 0 });
            let index = merge.runs.len() - 1;
            if let Some(subject) = merge.advance(index)? {
                merge.heap.push(Reverse((subject, index)));
            }
        }
        Ok(merge)
    }
}

fn place(at: u64) -> Result<usize, JournalError> {
    usize::try_from(at).map_err(|_| JournalError::Misuse { what: "a run beyond memory" })
}

/// Records of some slices in the ledger's order.
pub(super) struct Merge<'a> {
    dir: &'a Path,
    runs: Vec<Run<'a>>,
    /// The next subject of each run that has one. Of equal subjects the earlier run's records are the earlier ones.
    heap: BinaryHeap<Reverse<(SubjectId, usize)>>,
    /// Whether the first in the heap is the record handed out last.
    is_current: bool,
}

/// A part of a run that is read.
struct Run<'a> {
    /// Where what is not in the buffer yet is.
    file: Option<&'a File>,
    at: u64,
    end: u64,
    buffer_bytes: u64,
    buffer: Vec<u8>,
    /// The current record in the buffer.
    begin: usize,
    len: usize,
}

impl Merge<'_> {
    /// The next record.
    pub(super) fn next(&mut self) -> Result<Option<(SubjectId, &[u8])>, JournalError> {
        if self.is_current
            && let Some(Reverse((_, index))) = self.heap.peek().copied()
        {
            let next = self.advance(index)?;
            if let Some(mut first) = self.heap.peek_mut() {
                match next {
                    Some(subject) => first.0.0 = subject,
                    None => drop(PeekMut::pop(first)),
                }
            }
        }
        self.is_current = true;
        let Some(Reverse((subject, index))) = self.heap.peek().copied() else { return Ok(None) };
        let run = &self.runs[index];
        Ok(Some((subject, &run.buffer[run.begin..run.begin + run.len])))
    }

    /// Goes to the next record of a run; its subject.
    fn advance(&mut self, index: usize) -> Result<Option<SubjectId>, JournalError> {
        let run = &mut self.runs[index];
        if !run.advance().map_err(|error| JournalError::io("read a temporary file in", self.dir)(error))? {
            return Ok(None);
        }
        super::record::subject_of(&run.buffer[run.begin..run.begin + run.len]).map(Some).map_err(|_| {
            JournalError::damaged("a temporary file of the fold", "nothing: the log was left standing")
        })
    }
}

impl Run<'_> {
    fn advance(&mut self) -> std::io::Result<bool> {
        let next = self.begin + self.len;
        if !self.ensure(next, LEN_BYTES)? {
            return Ok(false);
        }
        let mut len = [0; LEN_BYTES];
        len.copy_from_slice(&self.buffer[self.begin..self.begin + LEN_BYTES]);
        self.len = u32::from_be_bytes(len) as usize;
        let at = self.begin + LEN_BYTES;
        if !self.ensure(at, self.len)? {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(true)
    }

    /// Brings so many bytes behind a place of the buffer into it, and makes `begin` their place.
    fn ensure(&mut self, at: usize, needed: usize) -> std::io::Result<bool> {
        self.begin = at;
        if self.buffer.len() - at >= needed {
            return Ok(true);
        }
        self.buffer.drain(..at);
        self.begin = 0;
        let missing = (needed - self.buffer.len()) as u64;
        let wanted = missing.max(self.buffer_bytes.saturating_sub(self.buffer.len() as u64));
        let taken = wanted.min(self.end - self.at);
        let Some(file) = self.file.filter(|_| taken >= missing) else { return Ok(false) };
        let old = self.buffer.len();
        self.buffer.resize(old + usize::try_from(taken).map_err(std::io::Error::other)?, 0);
        file.read_exact_at(&mut self.buffer[old..], self.at)?;
        self.at += taken;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A record begins with its type and its subject; the rest says which one it is.
    fn record(subject: u8, order: u32, padding: usize) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&[subject; 16]);
        bytes.extend_from_slice(&order.to_be_bytes());
        bytes.resize(bytes.len() + padding, 7);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_records_come_back_by_subject_in_the_order_they_came(
            records in vec((any::<u8>(), 0_usize..5000), 0..200),
            memory_max in prop::sample::select(vec![0_u64, 300, 5_000, 1 << 30]),
            second in 0_usize..250,
            width in prop::sample::select(vec![1_usize, 4, 128, SLICES]),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let sorter = || Sorter::new(dir.path(), memory_max);
            // Two threads, the second going on where the first ends.
            let mut sorters = [sorter(), sorter()];
            let mut expected: Vec<(u8, Vec<u8>)> = Vec::new();
            for (order, (subject, padding)) in (0..).zip(records) {
                // Few subjects, in slices far from each other.
                let subject = subject & 0xc3;
                let record = record(subject, order, padding);
                let turn = usize::from(expected.len() >= second);
                sorters[turn].push(SubjectId([subject; 16]), &record).unwrap();
                expected.push((subject, record));
            }
            expected.sort_by_key(|(subject, _)| *subject);
            let mut sorted = SortedLog::new(dir.path());
            for sorter in sorters {
                sorted.append(sorter.finish().unwrap());
            }
            let mut expected = expected.iter();
            for first in (0..SLICES).step_by(width) {
                let mut merge = sorted.slices(first..first + width, memory_max).unwrap();
                while let Some((subject, record)) = merge.next().unwrap() {
                    prop_assert!(Some(subject) >= slice_begin(first));
                    prop_assert!(slice_begin(first + width).is_none_or(|end| subject < end));
                    let (number, bytes) = expected.next().unwrap();
                    prop_assert_eq!((subject, record), (SubjectId([*number; 16]), bytes.as_slice()));
                }
            }
            prop_assert!(expected.next().is_none());
            // Nothing is left behind, not even a name.
            prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}

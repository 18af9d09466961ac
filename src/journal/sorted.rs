//! The log's records in the order of the ledger: by subject, and for each subject as they were written.
//!
//! An external merge sort, so that a fold's memory does not grow with the log: what fits is sorted in memory, beyond that sorted
//! runs go to a private file without a name, which a kill cannot leave behind, and are merged. The log is read once. Not here:
//! what becomes of the records (`fold.rs`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::digest::SubjectId;

use super::error::JournalError;

/// Memory a record takes in a run beside its bytes.
const SLOT_BYTES: u64 = size_of::<Slot>() as u64;

/// Bytes in front of a record in the file.
const LEN_BYTES: usize = 4;

/// Bytes of a run's buffer while runs are merged; fewer when there are many runs.
const BUFFER_BYTES_MAX: u64 = 256 * 1024;

/// Bytes of a run's buffer at least. A record that is longer makes its buffer longer.
const BUFFER_BYTES_MIN: u64 = 4096;

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
    spilled: Option<Spilled>,
}

/// Sorted runs, one behind the other in a file.
struct Spilled {
    file: File,
    /// Where each run ends.
    ends: Vec<u64>,
}

impl Sorter {
    /// Sorts in so much memory, and beyond it in a file of that directory.
    pub(super) fn new(dir: &Path, memory_max: u64) -> Sorter {
        let memory_max = memory_max.min(u64::from(u32::MAX) / 2);
        Sorter { dir: dir.to_owned(), memory_max, bytes: Vec::new(), slots: Vec::new(), spilled: None }
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

    /// Hands them out again.
    pub(super) fn finish(mut self) -> Result<Sorted, JournalError> {
        if self.spilled.is_some() && !self.slots.is_empty() {
            self.spill()?;
        }
        let Some(spilled) = self.spilled.take() else {
            self.sort();
            return Ok(Sorted(Source::Memory { bytes: self.bytes, slots: self.slots, next: 0 }));
        };
        // The buffers take the place of what was sorted.
        drop((std::mem::take(&mut self.bytes), std::mem::take(&mut self.slots)));
        let runs = spilled.ends.len() as u64;
        let buffer_bytes = (self.memory_max / runs.max(1)).clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
        let mut merge = Merge {
            file: spilled.file,
            dir: self.dir,
            runs: Vec::new(),
            heap: BinaryHeap::new(),
            last: None,
        };
        let mut begin = 0;
        for (index, end) in spilled.ends.into_iter().enumerate() {
            merge.runs.push(Run { at: begin, end, buffer_bytes, buffer: Vec::new(), begin: 0, len: 0 });
            merge.advance(index)?;
            begin = end;
        }
        Ok(Sorted(Source::File(merge)))
    }

    fn sort(&mut self) {
        // The place in the run is the order in the log.
        self.slots.sort_unstable_by_key(|slot| (slot.subject, slot.begin));
    }

    fn spill(&mut self) -> Result<(), JournalError> {
        self.sort();
        let mut spilled = match self.spilled.take() {
            Some(spilled) => spilled,
            None => {
                let file = tempfile::tempfile_in(&self.dir)
                    .map_err(JournalError::io("create a temporary file in", &self.dir))?;
                Spilled { file, ends: Vec::new() }
            }
        };
        let mut end = spilled.ends.last().copied().unwrap_or_default();
        let mut out = BufWriter::with_capacity(1 << 18, &spilled.file);
        for slot in &self.slots {
            let record = range(&self.bytes, slot);
            out.write_all(&slot.len.to_be_bytes())
                .and_then(|()| out.write_all(record))
                .map_err(JournalError::io("write a temporary file in", &self.dir))?;
            end += (LEN_BYTES + record.len()) as u64;
        }
        out.flush().map_err(JournalError::io("write a temporary file in", &self.dir))?;
        drop(out);
        spilled.ends.push(end);
        self.spilled = Some(spilled);
        self.bytes.clear();
        self.slots.clear();
        Ok(())
    }
}

fn range<'a>(bytes: &'a [u8], slot: &Slot) -> &'a [u8] {
    let begin = slot.begin as usize;
    &bytes[begin..begin + slot.len as usize]
}

/// The records in their new order.
pub(super) struct Sorted(Source);

enum Source {
    Memory { bytes: Vec<u8>, slots: Vec<Slot>, next: usize },
    File(Merge),
}

impl Sorted {
    /// The next record.
    pub(super) fn next(&mut self) -> Result<Option<(SubjectId, &[u8])>, JournalError> {
        match &mut self.0 {
            Source::Memory { bytes, slots, next } => {
                let slot = slots.get(*next);
                *next += 1;
                Ok(slot.map(|slot| (slot.subject, range(bytes, slot))))
            }
            Source::File(merge) => merge.next(),
        }
    }
}

struct Merge {
    file: File,
    dir: PathBuf,
    runs: Vec<Run>,
    /// The next subject of each run that has one. Of equal subjects the earlier run's records are the earlier ones.
    heap: BinaryHeap<Reverse<(SubjectId, usize)>>,
    last: Option<usize>,
}

/// A run that is read from the file.
struct Run {
    at: u64,
    end: u64,
    buffer_bytes: u64,
    buffer: Vec<u8>,
    /// The current record in the buffer.
    begin: usize,
    len: usize,
}

impl Merge {
    fn next(&mut self) -> Result<Option<(SubjectId, &[u8])>, JournalError> {
        if let Some(last) = self.last.take() {
            self.advance(last)?;
        }
        let Some(Reverse((subject, index))) = self.heap.pop() else { return Ok(None) };
        self.last = Some(index);
        let run = &self.runs[index];
        Ok(Some((subject, &run.buffer[run.begin..run.begin + run.len])))
    }

    /// Goes to the next record of a run.
    fn advance(&mut self, index: usize) -> Result<(), JournalError> {
        let run = &mut self.runs[index];
        if run.advance(&self.file).map_err(JournalError::io("read a temporary file in", &self.dir))? {
            let record = &run.buffer[run.begin..run.begin + run.len];
            let subject = super::record::subject_of(record).map_err(|_| {
                JournalError::damaged("a temporary file of the fold", "nothing: the log was left standing")
            })?;
            self.heap.push(Reverse((subject, index)));
        }
        Ok(())
    }
}

impl Run {
    fn advance(&mut self, file: &File) -> std::io::Result<bool> {
        let next = self.begin + self.len;
        if !self.ensure(file, next, LEN_BYTES)? {
            return Ok(false);
        }
        let mut len = [0; LEN_BYTES];
        len.copy_from_slice(&self.buffer[self.begin..self.begin + LEN_BYTES]);
        self.len = u32::from_be_bytes(len) as usize;
        let at = self.begin + LEN_BYTES;
        if !self.ensure(file, at, self.len)? {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(true)
    }

    /// Brings so many bytes behind a place of the buffer into it, and makes `begin` their place.
    fn ensure(&mut self, file: &File, at: usize, needed: usize) -> std::io::Result<bool> {
        self.begin = at;
        if self.buffer.len() - at >= needed {
            return Ok(true);
        }
        self.buffer.drain(..at);
        self.begin = 0;
        let missing = (needed - self.buffer.len()) as u64;
        let wanted = missing.max(self.buffer_bytes.saturating_sub(self.buffer.len() as u64));
        let taken = wanted.min(self.end - self.at);
        if taken < missing {
            return Ok(false);
        }
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
            records in vec((0_u8..9, 0_usize..5000), 0..200),
            memory_max in prop::sample::select(vec![0_u64, 300, 5_000, 1 << 30]),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut sorter = Sorter::new(dir.path(), memory_max);
            let mut expected: Vec<(u8, Vec<u8>)> = Vec::new();
            for (order, (subject, padding)) in (0..).zip(records) {
                let record = record(subject, order, padding);
                sorter.push(SubjectId([subject; 16]), &record).unwrap();
                expected.push((subject, record));
            }
            expected.sort_by_key(|(subject, _)| *subject);
            let mut sorted = sorter.finish().unwrap();
            for (subject, record) in &expected {
                let next = sorted.next().unwrap();
                prop_assert_eq!(next, Some((SubjectId([*subject; 16]), record.as_slice())));
            }
            prop_assert!(sorted.next().unwrap().is_none());
            // Nothing is left behind, not even a name.
            prop_assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}

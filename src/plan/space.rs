//! What the join asks of the outside: partitions to put records in, and hands to work with.
//!
//! Pure: traits, and partitions in memory for small jobs and tests. Not here: files (`spill/`), threads (the wiring).

use std::convert::Infallible;
use std::fmt::Debug;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::digest::SubjectId;
use crate::ledger::LedgerEntry;

/// Partitions of one kind of records. Each record is read back whole, in the order of a partition's appends.
pub trait Partitions: Send + Sync + Debug {
    /// Appends a record to a partition.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn append(&self, partition: usize, record: &[u8]) -> io::Result<()>;

    /// Appends records, each to its partition.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn append_each(&self, records: &mut dyn Iterator<Item = (usize, &[u8])>) -> io::Result<()>;

    /// Reads a partition piece by piece; a piece holds whole records.
    ///
    /// # Errors
    /// When it cannot be read back.
    fn read(&self, partition: usize, take: &mut dyn FnMut(&[u8])) -> io::Result<()>;

    /// Puts other records in the place of all that a partition has, which are as long.
    ///
    /// # Errors
    /// When they cannot be kept.
    fn overwrite(&self, partition: usize, records: &[u8]) -> io::Result<()>;

    /// Bytes of a partition.
    fn bytes(&self, partition: usize) -> u64;
}

/// Makes partitions.
pub trait Space: Send + Sync + Debug {
    /// New partitions, numbered from 0.
    fn partitions(&self, count: usize) -> Box<dyn Partitions>;
}

/// Hands to work with: calls the work once for every job, in whatever order and at once, and returns when all are done.
pub trait Hands: Sync {
    /// Does all jobs from 0 to `jobs`, not included.
    fn each(&self, jobs: usize, work: &(dyn Fn(usize) + Sync));

    /// How many jobs are done at once, at most.
    fn count(&self) -> usize;
}

/// One pair of hands: one job after the other.
#[derive(Debug, Clone, Copy)]
pub struct OneHand;

impl Hands for OneHand {
    fn each(&self, jobs: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..jobs).for_each(work);
    }

    fn count(&self) -> usize {
        1
    }
}

/// Partitions in memory.
#[derive(Debug, Clone, Copy)]
pub struct InMemory;

#[derive(Debug)]
struct MemoryPartitions {
    partitions: Vec<Mutex<Vec<u8>>>,
}

impl Space for InMemory {
    fn partitions(&self, count: usize) -> Box<dyn Partitions> {
        let partitions = (0..count).map(|_| Mutex::default()).collect();
        Box::new(MemoryPartitions { partitions })
    }
}

impl Partitions for MemoryPartitions {
    fn append(&self, partition: usize, record: &[u8]) -> io::Result<()> {
        let mut bytes = self.partitions[partition].lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(record);
        Ok(())
    }

    fn append_each(&self, records: &mut dyn Iterator<Item = (usize, &[u8])>) -> io::Result<()> {
        for (partition, record) in records {
            self.append(partition, record)?;
        }
        Ok(())
    }

    fn read(&self, partition: usize, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        take(&self.partitions[partition].lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    fn overwrite(&self, partition: usize, records: &[u8]) -> io::Result<()> {
        let mut bytes = self.partitions[partition].lock().unwrap_or_else(PoisonError::into_inner);
        bytes.copy_from_slice(records);
        Ok(())
    }

    fn bytes(&self, partition: usize) -> u64 {
        self.partitions[partition].lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }
}

/// A ledger that is read slice by slice, by several threads at once.
pub trait LedgerSlices: Sync {
    /// Why it cannot be read.
    type Error: Send;
    /// The entries of a slice, ascending by subject.
    type Slice: Iterator<Item = Result<LedgerEntry, Self::Error>>;

    /// The entries from a subject on, up to another that is not among them, or to the end.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn slice(&self, from: SubjectId, to_exclusive: Option<SubjectId>) -> Result<Self::Slice, Self::Error>;

    /// Reads the next entry of a slice to where an earlier one may stand: an entry is some 400 bytes, and handed from
    /// one to the next it is copied more slowly than it is read. `false`: there is none.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn read_next(slice: &mut Self::Slice, into: &mut LedgerEntry) -> Result<bool, Self::Error> {
        let next = slice.next().transpose()?;
        let is_any = next.is_some();
        if let Some(next) = next {
            *into = next;
        }
        Ok(is_any)
    }
}

/// The ledger where there is no journal.
#[derive(Debug, Clone, Copy)]
pub struct NoLedger;

impl LedgerSlices for NoLedger {
    type Error = Infallible;
    type Slice = std::iter::Empty<Result<LedgerEntry, Infallible>>;

    fn slice(&self, _: SubjectId, _: Option<SubjectId>) -> Result<Self::Slice, Infallible> {
        Ok(std::iter::empty())
    }
}

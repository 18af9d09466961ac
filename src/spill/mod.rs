//! Spill: private temporary partitions, in memory as long as there is room and in one unlinked file beyond.
//!
//! Records are appended to partitions by number and read back partition by partition, in the order they came. Nothing
//! outlives the process. Not here: what the records mean, and how many partitions there should be (`survey/`,
//! `journal/`).

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use error::{SpillError, disk_text};

mod error;

/// Bytes that a partition gathers before they are written at once, at most.
pub const BLOCK_BYTES_MAX: usize = 16 << 10;

/// Bytes that a partition gathers at least: smaller writes cost more than the memory is worth.
pub const BLOCK_BYTES_MIN: usize = 512;

/// Bytes written between two looks at the free space.
const GROWTH_BYTES: u64 = 256 << 20;

/// Where partitions share their memory and their file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Space {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    /// Bytes of full blocks that stay in memory.
    kept_bytes_max: usize,
    kept_bytes: AtomicUsize,
    file: OnceLock<File>,
    /// Where the next block goes. Blocks are never moved.
    end: AtomicU64,
}

impl Space {
    /// A space with a file in this directory, once it needs one. Up to so many bytes of blocks stay in memory; those that
    /// partitions still gather come on top, at most their number times the length of a block.
    pub fn new(dir: &Path, kept_bytes_max: usize) -> Space {
        let shared = Shared {
            dir: dir.to_owned(),
            kept_bytes_max,
            kept_bytes: AtomicUsize::new(0),
            file: OnceLock::new(),
            end: AtomicU64::new(0),
        };
        Space { shared: Arc::new(shared) }
    }

    /// New partitions, numbered from 0, whose blocks have so many bytes (within the bounds of this room).
    pub fn partitions(&self, count: usize, block_bytes: usize) -> Spill {
        let mut partitions = Vec::new();
        partitions.resize_with(count, Partition::default);
        let block_bytes = block_bytes.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
        Spill { space: self.clone(), block_bytes, partitions: Mutex::new(partitions) }
    }

    /// The directory of its file.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Bytes of blocks in memory.
    pub fn kept_bytes(&self) -> usize {
        self.shared.kept_bytes.load(Ordering::Relaxed)
    }

    /// Bytes written to the file.
    pub fn spilled_bytes(&self) -> u64 {
        self.shared.end.load(Ordering::Relaxed)
    }

    /// Bytes that this user may still write where the file lies.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn free_bytes(&self) -> Result<u64, SpillError> {
        let stat = rustix::fs::statvfs(&self.shared.dir);
        let stat = stat.map_err(|error| self.failed("look for room in", error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Makes sure that so many more bytes fit, before the first of them is written.
    ///
    /// # Errors
    /// [`SpillError::NoRoom`] when they do not.
    pub fn require(&self, bytes: u64) -> Result<(), SpillError> {
        let free_bytes = self.free_bytes()?;
        if bytes > free_bytes {
            return Err(SpillError::NoRoom { dir: self.shared.dir.clone(), needed_bytes: bytes, free_bytes });
        }
        Ok(())
    }

    /// Takes a full block: to memory if there is room, else to the file.
    fn store(&self, block: &[u8]) -> Result<Extent, SpillError> {
        let kept = self.shared.kept_bytes.fetch_add(block.len(), Ordering::Relaxed);
        if kept + block.len() <= self.shared.kept_bytes_max {
            return Ok(Extent::Kept(block.into()));
        }
        self.shared.kept_bytes.fetch_sub(block.len(), Ordering::Relaxed);
        let file = self.file()?;
        let at = self.shared.end.fetch_add(block.len() as u64, Ordering::Relaxed);
        if at / GROWTH_BYTES != (at + block.len() as u64) / GROWTH_BYTES {
            self.require(GROWTH_BYTES)?;
        }
        file.write_all_at(block, at).map_err(|error| self.failed("write to", error))?;
        Ok(Extent::Spilled { at, len: block.len() })
    }

    /// The file, made at its first use: without a name from the beginning, and readable by nobody else.
    fn file(&self) -> Result<&File, SpillError> {
        if let Some(file) = self.shared.file.get() {
            return Ok(file);
        }
        let file = tempfile::tempfile_in(&self.shared.dir);
        let file = file.and_then(|file| {
            file.set_permissions(Permissions::from_mode(0o600))?;
            Ok(file)
        });
        let file = file.map_err(|error| self.failed("create a private file in", error))?;
        // Whoever lost a race drops the file that nobody has used.
        Ok(self.shared.file.get_or_init(|| file))
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> SpillError {
        SpillError::Io { doing, dir: self.shared.dir.clone(), source }
    }
}

/// A stretch of a partition.
#[derive(Debug, Clone)]
enum Extent {
    Kept(Arc<[u8]>),
    Spilled { at: u64, len: usize },
}

#[derive(Debug, Default)]
struct Partition {
    extents: Vec<Extent>,
    /// What comes behind them.
    tail: Vec<u8>,
    bytes: u64,
}

/// Partitions of one kind of records. Used by several threads at once.
#[derive(Debug)]
pub struct Spill {
    space: Space,
    block_bytes: usize,
    partitions: Mutex<Vec<Partition>>,
}

impl Spill {
    /// Appends a record to a partition. Records are not torn: each is read back within one piece.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn append(&self, partition: usize, record: &[u8]) -> Result<(), SpillError> {
        self.push(&mut self.lock()[partition], record)
    }

    /// Appends many records, each to its partition.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn append_each<R: AsRef<[u8]>>(
        &self,
        records: impl IntoIterator<Item = (usize, R)>,
    ) -> Result<(), SpillError> {
        let mut partitions = self.lock();
        for (partition, record) in records {
            self.push(&mut partitions[partition], record.as_ref())?;
        }
        Ok(())
    }

    /// Reads a partition from its beginning, piece by piece; a piece holds whole records.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn read(&self, partition: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), SpillError> {
        let mut buffer = Vec::new();
        let mut next = 0;
        loop {
            // Taken without the lock: other threads read other partitions meanwhile.
            let extent = {
                let partitions = self.lock();
                let partition = &partitions[partition];
                let Some(extent) = partition.extents.get(next) else {
                    buffer.clear();
                    buffer.extend_from_slice(&partition.tail);
                    break;
                };
                extent.clone()
            };
            match extent {
                Extent::Kept(block) => take(&block),
                Extent::Spilled { at, len } => {
                    buffer.resize(len, 0);
                    let file = self.space.file()?;
                    let read = file.read_exact_at(&mut buffer, at);
                    read.map_err(|error| self.space.failed("read from", error))?;
                    take(&buffer);
                }
            }
            next += 1;
        }
        take(&buffer);
        Ok(())
    }

    /// Bytes of a partition.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn bytes(&self, partition: usize) -> u64 {
        self.lock()[partition].bytes
    }

    fn push(&self, partition: &mut Partition, record: &[u8]) -> Result<(), SpillError> {
        if !partition.tail.is_empty() && partition.tail.len() + record.len() > self.block_bytes {
            let stored = self.space.store(&partition.tail)?;
            partition.extents.push(stored);
            partition.tail.clear();
        }
        partition.tail.extend_from_slice(record);
        partition.bytes += record.len() as u64;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Partition>> {
        // A panic while the lock was held ends the run anyway.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        let kept = |extent: &Extent| match extent {
            Extent::Kept(block) => block.len(),
            Extent::Spilled { .. } => 0,
        };
        let kept: usize = self.lock().iter().flat_map(|partition| &partition.extents).map(kept).sum();
        self.space.shared.kept_bytes.fetch_sub(kept, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;

//! Spill: private temporary partitions, in memory as long as there is room and in one unlinked file beyond.
//!
//! Records are appended to partitions by number and read back partition by partition, in the order they came. What
//! does not fit goes to the file as a whole: a part of it in memory would save nothing. Places of partitions that are
//! gone are used again. Nothing outlives the process. Not here: what the records mean, and how many partitions there
//! should be (`survey/`, `journal/`).

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

pub use error::{SpillError, disk_text};

mod error;

/// Bytes that a partition gathers before they are written at once, at most.
pub const BLOCK_BYTES_MAX: usize = 16 << 10;

/// Bytes that a partition gathers at least: smaller writes cost more than the memory is worth.
pub const BLOCK_BYTES_MIN: usize = 512;

/// Blocks whose places a reader takes down at once, so that readers seldom wait for each other.
const PLACES_AT_ONCE: usize = 256;

/// Records that are appended at once. Their partitions lie far apart in memory, and are fetched all at the same time
/// when each is looked at before the first of them is appended to.
const RECORDS_AT_ONCE: usize = 32;

/// Bytes of new blocks that are written at once, at a place that is a multiple of it: the page cache takes them in
/// large pieces. Written, read and given up block by block, a file costs two to four times as much.
const WRITE_BYTES: u64 = 256 << 10;

/// Room for what is not written yet, and a block. It is had before any block: behind blocks that are let go, it would
/// keep the heap from giving their memory back.
const UNWRITTEN_BYTES_MAX: usize = (256 << 10) + BLOCK_BYTES_MAX;

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
    /// Whether they did not suffice: nothing is kept from then on.
    is_over: AtomicBool,
    file: OnceLock<File>,
    /// Where the next block goes for which no place is free. Blocks are never moved.
    end: AtomicU64,
    unwritten: Mutex<Unwritten>,
    /// By their bytes, the places of blocks that are gone with their partitions.
    free: Mutex<BTreeMap<usize, Vec<u64>>>,
}

/// The blocks at the end of the file that are not written yet, with the gaps between them.
#[derive(Debug, Default)]
struct Unwritten {
    at: u64,
    bytes: Vec<u8>,
}

impl Space {
    /// A space with a file in this directory, once it needs one. Up to so many bytes of blocks stay in memory; once
    /// they are more, no block does; those that partitions still gather come on top, at most their number times the
    /// length of a block.
    pub fn new(dir: &Path, kept_bytes_max: usize) -> Space {
        let shared = Shared {
            dir: dir.to_owned(),
            kept_bytes_max,
            kept_bytes: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            file: OnceLock::new(),
            end: AtomicU64::new(0),
            unwritten: Mutex::new(Unwritten { at: 0, bytes: Vec::with_capacity(UNWRITTEN_BYTES_MAX) }),
            free: Mutex::default(),
        };
        Space { shared: Arc::new(shared) }
    }

    /// New partitions, numbered from 0, whose blocks have so many bytes (within the bounds of this room).
    pub fn partitions(&self, count: usize, block_bytes: usize) -> Spill {
        let mut partitions = Vec::new();
        partitions.resize_with(count, Partition::default);
        let block_bytes = block_bytes.clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
        Spill {
            space: self.clone(),
            block_bytes,
            has_kept: AtomicBool::new(false),
            partitions: Mutex::new(partitions),
        }
    }

    /// The directory of its file.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Bytes of blocks in memory.
    pub fn kept_bytes(&self) -> usize {
        self.shared.kept_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the file.
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

    /// Whether a full block of so many bytes stays in memory; counted if so.
    fn keeps(&self, bytes: usize) -> bool {
        if self.shared.is_over.load(Ordering::Relaxed) {
            return false;
        }
        let kept = self.shared.kept_bytes.fetch_add(bytes, Ordering::Relaxed);
        let is_kept = kept + bytes <= self.shared.kept_bytes_max;
        if !is_kept {
            self.shared.is_over.store(true, Ordering::Relaxed);
            self.shared.kept_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        is_kept
    }

    /// Puts a full block in the file, in a place of so many bytes if it is not longer.
    fn write(&self, block: &[u8], place_bytes: usize) -> Result<Place, SpillError> {
        let file = self.file()?;
        let place_bytes = block.len().max(place_bytes);
        let free = self.free().get_mut(&place_bytes).and_then(Vec::pop);
        let at = match free {
            Some(at) => {
                self.write_before(at + place_bytes as u64)?;
                file.write_all_at(block, at).map_err(|error| self.failed("write to", error))?;
                at
            }
            None => self.write_at_end(block, place_bytes)?,
        };
        Ok(Place(at << LEN_BITS | block.len() as u64))
    }

    /// Puts a block behind all others, and writes those that are not written yet once they are worth it.
    fn write_at_end(&self, block: &[u8], place_bytes: usize) -> Result<u64, SpillError> {
        let mut unwritten = self.unwritten();
        let at = self.shared.end.load(Ordering::Relaxed);
        let end = at + place_bytes as u64;
        if at / GROWTH_BYTES != end / GROWTH_BYTES {
            self.require(GROWTH_BYTES)?;
        }
        self.shared.end.store(end, Ordering::Relaxed);
        unwritten.bytes.extend_from_slice(block);
        let gap = place_bytes - block.len();
        unwritten.bytes.extend(std::iter::repeat_n(0, gap));
        self.write_to(&mut unwritten, end - end % WRITE_BYTES)?;
        Ok(at)
    }

    /// Makes sure that what lies before this place is in the file. A block may be written but for its end.
    fn write_before(&self, place: u64) -> Result<(), SpillError> {
        let mut unwritten = self.unwritten();
        if place <= unwritten.at {
            return Ok(());
        }
        let end = unwritten.at + unwritten.bytes.len() as u64;
        self.write_to(&mut unwritten, end)
    }

    /// Writes what lies before this place, as far as it is not written.
    fn write_to(&self, unwritten: &mut Unwritten, end: u64) -> Result<(), SpillError> {
        let Unwritten { at, bytes } = unwritten;
        let len = usize::try_from(end.saturating_sub(*at)).unwrap_or(usize::MAX);
        if let Some(ready) = bytes.get(..len).filter(|ready| !ready.is_empty()) {
            self.file()?.write_all_at(ready, *at).map_err(|error| self.failed("write to", error))?;
            bytes.drain(..len);
            *at = end;
        }
        Ok(())
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        // A write that panicked ends the run anyway.
        self.shared.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn free(&self) -> MutexGuard<'_, BTreeMap<usize, Vec<u64>>> {
        // Places are taken out and put back whole.
        self.shared.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> SpillError {
        SpillError::Io { doing, dir: self.shared.dir.clone(), source }
    }
}

/// A block in the file: where it begins and, in the low bits, how long it is. There are many: with a hundred million
/// rows some two million.
#[derive(Debug, Clone, Copy)]
struct Place(u64);

/// Bits of a place that are its length.
const LEN_BITS: u32 = 20;

const _: () = assert!(BLOCK_BYTES_MAX < 1 << LEN_BITS);

impl Place {
    fn at(self) -> u64 {
        self.0 >> LEN_BITS
    }

    fn end(self) -> u64 {
        self.at() + self.len() as u64
    }

    fn len(self) -> usize {
        usize::try_from(self.0 & ((1 << LEN_BITS) - 1)).unwrap_or(usize::MAX)
    }
}

#[derive(Debug, Default)]
struct Partition {
    /// Blocks in memory.
    kept: Vec<Arc<[u8]>>,
    /// Blocks that come behind them, in the file.
    spilled: Vec<Place>,
    /// Room for a block, in which stands what comes behind both.
    room: Vec<u8>,
    /// Bytes of it.
    tail_len: usize,
    bytes: u64,
}

impl Partition {
    /// What comes behind all blocks.
    fn tail(&self) -> &[u8] {
        &self.room[..self.tail_len]
    }

    /// Looks at where the next record goes, so that it is in the cache when that is written.
    fn look(&self) {
        const CACHE_LINE_BYTES: usize = 64;
        std::hint::black_box((self.room.get(self.tail_len), self.room.get(self.tail_len + CACHE_LINE_BYTES)));
    }

    fn kept_bytes(&self) -> usize {
        self.kept.iter().map(|block| block.len()).sum()
    }
}

/// Partitions of one kind of records. Used by several threads at once.
#[derive(Debug)]
pub struct Spill {
    space: Space,
    block_bytes: usize,
    /// Whether blocks of these partitions were kept in memory, and are still.
    has_kept: AtomicBool,
    partitions: Mutex<Vec<Partition>>,
}

impl Spill {
    /// Appends a record to a partition. Records are not torn: each is read back within one piece.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When there is no such partition, or a record is longer than a MiB.
    pub fn append(&self, partition: usize, record: &[u8]) -> Result<(), SpillError> {
        self.push(&mut self.lock(), partition, record)
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
        let mut records = records.into_iter().fuse();
        loop {
            let some: [_; RECORDS_AT_ONCE] = std::array::from_fn(|_| records.next());
            for (partition, _) in some.iter().flatten() {
                partitions[*partition].look();
            }
            let is_last = some.iter().any(Option::is_none);
            for (partition, record) in some.into_iter().flatten() {
                self.push(&mut partitions, partition, record.as_ref())?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Reads a partition from its beginning, piece by piece; a piece holds whole records.
    ///
    /// # Errors
    /// When the file cannot be read.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn read(&self, partition: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), SpillError> {
        let (mut buffer, mut places) = (Vec::new(), Vec::<Place>::new());
        // Counted over both kinds of blocks: those that leave memory meanwhile keep their numbers.
        let mut next = 0;
        loop {
            // Taken without the lock: other threads read other partitions meanwhile.
            {
                let partitions = self.lock();
                let Partition { kept, spilled, .. } = &partitions[partition];
                if let Some(block) = kept.get(next) {
                    let block = Arc::clone(block);
                    drop(partitions);
                    take(&block);
                    next += 1;
                    continue;
                }
                places.clear();
                places.extend(spilled.iter().skip(next - kept.len()).take(PLACES_AT_ONCE));
                if places.is_empty() {
                    buffer.clear();
                    buffer.extend_from_slice(partitions[partition].tail());
                    break;
                }
            }
            self.space.write_before(places.iter().map(|place| place.end()).max().unwrap_or_default())?;
            for place in &places {
                buffer.resize(place.len(), 0);
                let read = self.space.file()?.read_exact_at(&mut buffer, place.at());
                read.map_err(|error| self.space.failed("read from", error))?;
                take(&buffer);
            }
            next += places.len();
        }
        take(&buffer);
        Ok(())
    }

    /// Puts other records in the place of all that a partition has.
    ///
    /// # Errors
    /// When the file cannot be written.
    ///
    /// # Panics
    /// When there is no such partition, or they are not as long.
    pub fn overwrite(&self, partition: usize, records: &[u8]) -> Result<(), SpillError> {
        let mut partitions = self.lock();
        let Partition { kept, spilled, room, tail_len, bytes } = &mut partitions[partition];
        assert_eq!(records.len() as u64, *bytes, "records are replaced by as many bytes");
        let mut rest = records;
        for block in kept {
            let new = rest.split_off(..block.len()).unwrap_or_default();
            *block = new.into();
        }
        for place in spilled.iter() {
            let new = rest.split_off(..place.len()).unwrap_or_default();
            self.space.write_before(place.end())?;
            let written = self.space.file()?.write_all_at(new, place.at());
            written.map_err(|error| self.space.failed("write to", error))?;
        }
        room[..*tail_len].copy_from_slice(rest);
        Ok(())
    }

    /// Bytes of a partition.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn bytes(&self, partition: usize) -> u64 {
        self.lock()[partition].bytes
    }

    fn push(&self, partitions: &mut [Partition], at: usize, record: &[u8]) -> Result<(), SpillError> {
        let partition = &mut partitions[at];
        if partition.tail_len > 0 && partition.tail_len + record.len() > self.block_bytes {
            self.store(partitions, at)?;
        }
        assert!(record.len() < 1 << LEN_BITS, "records are short");
        let partition = &mut partitions[at];
        let end = partition.tail_len + record.len();
        if partition.room.len() < end {
            partition.room.resize(end.max(self.block_bytes), 0);
        }
        partition.room[partition.tail_len..end].copy_from_slice(record);
        partition.tail_len = end;
        partition.bytes += record.len() as u64;
        Ok(())
    }

    /// Makes a block of what a partition has gathered: in memory if there is room, else in the file, where those that
    /// were kept go before it.
    fn store(&self, partitions: &mut [Partition], at: usize) -> Result<(), SpillError> {
        let is_kept = self.space.keeps(partitions[at].tail_len);
        if !is_kept && self.has_kept.swap(false, Ordering::Relaxed) {
            partitions.iter_mut().try_for_each(|partition| self.let_go(partition))?;
        }
        let partition = &mut partitions[at];
        if is_kept {
            self.has_kept.store(true, Ordering::Relaxed);
            partition.kept.push(partition.tail().into());
        } else {
            partition.spilled.push(self.space.write(partition.tail(), self.block_bytes)?);
        }
        partition.tail_len = 0;
        Ok(())
    }

    /// Writes what a partition has in memory to the file.
    fn let_go(&self, partition: &mut Partition) -> Result<(), SpillError> {
        let mut places = Vec::with_capacity(partition.kept.len() + partition.spilled.len());
        for block in &partition.kept {
            places.push(self.space.write(block, self.block_bytes)?);
        }
        places.append(&mut partition.spilled);
        partition.spilled = places;
        self.space.shared.kept_bytes.fetch_sub(partition.kept_bytes(), Ordering::Relaxed);
        partition.kept = Vec::new();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Partition>> {
        // A panic while the lock was held ends the run anyway.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        let partitions = self.lock();
        let kept: usize = partitions.iter().map(Partition::kept_bytes).sum();
        let mut free = self.space.free();
        for place in partitions.iter().flat_map(|partition| &partition.spilled) {
            free.entry(place.len().max(self.block_bytes)).or_default().push(place.at());
        }
        self.space.shared.kept_bytes.fetch_sub(kept, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;

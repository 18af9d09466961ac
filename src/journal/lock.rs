//! The lock of a state directory: a file of our own, taken before sled's, so that a second run can say who holds
//! it.
//!
//! The lock is the operating system's (`flock`), so it ends with the process however that ends; the content is
//! for people. Not here: waiting for the lock.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::error::JournalError;
use super::files;

/// Name of the lock file in the state directory.
pub(super) const LOCK_FILE: &str = "lock";

/// Bytes of a lock file anybody reads.
const LOCK_BYTES_MAX: u64 = 4096;

/// Who holds a lock, as its file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// Process id on that host.
    pub pid: u32,
    /// Name of the host.
    pub host: String,
    /// Id of the run.
    pub run_id: String,
    /// Since when, in seconds since the Unix epoch.
    pub since_s: i64,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "run {}, process {} on {}, since {} (Unix seconds)",
            self.run_id, self.pid, self.host, self.since_s
        )
    }
}

impl LockHolder {
    fn to_text(&self) -> String {
        format!("pid={}\nhost={}\nrun={}\nsince_s={}\n", self.pid, self.host, self.run_id, self.since_s)
    }

    fn from_text(text: &str) -> Option<LockHolder> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        Some(LockHolder {
            pid: value("pid")?.parse().ok()?,
            host: value("host")?.to_owned(),
            run_id: value("run")?.to_owned(),
            since_s: value("since_s")?.parse().ok()?,
        })
    }
}

/// A lock held. Dropping it releases it.
///
/// It is released by name, not only by closing the file: a child process that was just forked holds copies of all
/// open files until it begins its own program, and with them the lock.
#[derive(Debug)]
pub(super) struct StateLock {
    file: File,
}

impl StateLock {
    /// Takes the lock, or says who holds it.
    pub(super) fn take(state_dir: &Path, holder: &LockHolder) -> Result<StateLock, JournalError> {
        let path = state_dir.join(LOCK_FILE);
        let file = files::open_or_create(&path).map_err(|error| {
            // Where a run is on, that is the news, whatever else may not be done here.
            match StateLock::take_to_read(state_dir) {
                Err(held @ JournalError::Locked { .. }) if error.is_not_writable() => held,
                Ok(_) | Err(_) => error,
            }
        })?;
        let mut lock = StateLock::of(file, &path)?;
        let file = &mut lock.file;
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(holder.to_text().as_bytes()))
            .map_err(JournalError::io("write", &path))?;
        Ok(lock)
    }

    /// Takes the lock of a state directory that may not be written to, without leaving a name; `None` where there is no
    /// lock file.
    pub(super) fn take_to_read(state_dir: &Path) -> Result<Option<StateLock>, JournalError> {
        let path = state_dir.join(LOCK_FILE);
        match File::open(&path) {
            Ok(file) => StateLock::of(file, &path).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(JournalError::io("open", &path)(error)),
        }
    }

    fn of(mut file: File, path: &Path) -> Result<StateLock, JournalError> {
        match file.try_lock() {
            Ok(()) => Ok(StateLock { file }),
            Err(TryLockError::WouldBlock) => Err(JournalError::Locked { holder: read_holder(&mut file) }),
            Err(TryLockError::Error(error)) => Err(JournalError::io("lock", path)(error)),
        }
    }

    /// Releases the lock and empties the file, so that a clean end leaves no name behind.
    pub(super) fn release(self) {
        // The text is a courtesy; the lock goes by `drop` in any case.
        drop(self.file.set_len(0));
    }
}

impl Drop for StateLock {
    fn drop(&mut self) {
        // Where this fails, closing the file releases it a little later.
        drop(self.file.unlock());
    }
}

/// Who holds the lock of a state directory, or held it when it was killed: the file alone does not tell them
/// apart, only opening the journal does. `None` when nobody does or nothing readable is there.
pub fn lock_holder(state_dir: &Path) -> Option<LockHolder> {
    read_holder(&mut File::open(state_dir.join(LOCK_FILE)).ok()?)
}

fn read_holder(file: &mut File) -> Option<LockHolder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(LOCK_BYTES_MAX).read_to_string(&mut text).ok()?;
    LockHolder::from_text(&text)
}

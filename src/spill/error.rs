//! Why partitions cannot be kept, and what to do about it.
//!
//! Not here: the exit code (`survey/`).

use std::io;
use std::path::PathBuf;

/// Why partitions cannot be kept or read back.
#[derive(Debug, thiserror::Error)]
pub enum SpillError {
    /// The file system lacks the room, which was found in advance.
    #[error(
        "not enough room in {}: about {} are needed, {} are free",
        dir.display(),
        disk_text(*needed_bytes),
        disk_text(*free_bytes)
    )]
    NoRoom {
        /// The directory of the file.
        dir: PathBuf,
        /// Bytes that are needed.
        needed_bytes: u64,
        /// Bytes that are free.
        free_bytes: u64,
    },
    /// The file cannot be made, written or read.
    #[error("cannot {doing} {}: {source}", dir.display())]
    Io {
        /// What failed.
        doing: &'static str,
        /// The directory of the file.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SpillError {
    /// Whether room is what lacks: of the disk, of a quota, or of the process.
    pub fn is_full(&self) -> bool {
        match self {
            SpillError::NoRoom { .. } => true,
            SpillError::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            ),
        }
    }

    /// What the operator can do about it.
    pub fn remedy(&self) -> &'static str {
        if self.is_full() {
            "free space there, put the state directory on a larger disk (--state DIR), or raise plan.memory_max"
        } else {
            "make the directory writable for this user, or choose another with --state DIR"
        }
    }
}

/// A number of bytes as people read it, in decimal units as disks are sold in.
pub fn disk_text(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match UNITS.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

//! What can go wrong with the journal, and what the operator can do about it.
//!
//! Not here: deciding what a fault is (each part of the room does that for its own files). No text here holds a
//! value of an identifier or credential: names of files, sequences and counts only.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lock::LockHolder;

/// The ways on from a damaged journal, without the one that sends nothing being taken for a way to send the rest.
pub const DAMAGE_REMEDY: &str = "restore a copy of the whole state directory, and then run once with --full, for the \
     copy does not know what was sent after it; or begin anew with `simsync sync --full --state NEW INPUT`, which costs \
     requests and loses nothing; or, to send nothing twice, record the last export that was wholly applied with \
     `simsync journal adopt LAST --state NEW` (never one that was still under way: what it had not sent would be lost)";

/// Why the journal cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process holds the lock of the state directory.
    #[error("another run holds the journal{}", holder.as_ref().map(|holder| format!(": {holder}")).unwrap_or_default())]
    Locked {
        /// What its lock file says; `None` when it has not written it yet.
        holder: Option<LockHolder>,
    },
    /// The state directory has a journal and no key to it.
    #[error("the state key {} is missing, and a journal made with it exists", path.display())]
    KeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key file is there, and is not the key of this journal.
    #[error("the state key {} is unusable: {reason}", path.display())]
    KeyUnusable {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something durable is gone or changed.
    #[error("the journal is damaged: {what}; {lost}")]
    Damaged {
        /// What was found.
        what: String,
        /// What is lost by it.
        lost: String,
    },
    /// Something was written in a format this build does not read.
    #[error("{what} is of a format this build does not read")]
    UnknownFormat {
        /// The thing and its version.
        what: String,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The store put a value outside its log file, where nothing syncs it.
    #[error("the store keeps {count} blob files, which are never synced")]
    BlobFiles {
        /// How many.
        count: usize,
    },
    /// An earlier error ended the journal; nothing is tried again.
    #[error("the journal stopped at an earlier error")]
    Stopped(#[source] Arc<JournalError>),
    /// The journal is closed.
    #[error("the journal is closed")]
    Closed,
    /// The caller asked for something no journal can hold. A bug of ours.
    #[error("the journal cannot hold {what}")]
    Misuse {
        /// What it was.
        what: &'static str,
    },
}

/// What kind of trouble it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalErrorKind {
    /// Another run holds the journal.
    Locked,
    /// Damaged, foreign, without its key, or of an unknown format.
    Unusable,
    /// The file system refused: no space, no permission, a failing disk.
    Io,
    /// A bug of ours.
    Internal,
}

impl JournalError {
    /// What kind of trouble it is.
    pub fn kind(&self) -> JournalErrorKind {
        match self {
            JournalError::Locked { .. } => JournalErrorKind::Locked,
            JournalError::KeyMissing { .. }
            | JournalError::KeyUnusable { .. }
            | JournalError::Damaged { .. }
            | JournalError::UnknownFormat { .. }
            | JournalError::BlobFiles { .. } => JournalErrorKind::Unusable,
            JournalError::Io { .. } => JournalErrorKind::Io,
            JournalError::Stopped(cause) => cause.kind(),
            JournalError::Closed | JournalError::Misuse { .. } => JournalErrorKind::Internal,
        }
    }

    /// The exit code of a run that ends by this error: 11 locked, 13 unusable (a file system that refuses makes
    /// it unusable too), 1 for a bug of ours.
    pub fn exit_hint(&self) -> u8 {
        match self.kind() {
            JournalErrorKind::Locked => 11,
            JournalErrorKind::Unusable | JournalErrorKind::Io => 13,
            JournalErrorKind::Internal => 1,
        }
    }

    /// What the operator can do.
    pub fn remedy(&self) -> String {
        match self {
            JournalError::Locked { .. } => {
                "wait for the other run to end; another state directory would know nothing of what this one has \
                 acknowledged"
                    .to_owned()
            }
            JournalError::KeyMissing { path } => format!(
                "restore {} from a copy; without it no subject can be recognised, and a new state directory must be \
                 begun, which sends everything once more",
                path.display()
            ),
            JournalError::KeyUnusable { path, .. } => {
                format!("restore the {} that belongs to this journal from a copy", path.display())
            }
            JournalError::Damaged { .. } | JournalError::BlobFiles { .. } => {
                format!("`simsync journal verify` says what is lost; {DAMAGE_REMEDY}")
            }
            JournalError::UnknownFormat { .. } => "use the version of simsync that wrote it".to_owned(),
            JournalError::Io { path, source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
                format!(
                    "{} cannot be: a file stands where its directory should; name a directory with --state",
                    path.display()
                )
            }
            JournalError::Io { path, source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                format!(
                    "nothing is wrong with the journal, but the file system of {} is read-only: only `simsync journal \
                 verify`, `lookup`, `runs` and `show` work there; for the rest copy the state directory to where it \
                 may be written, and name it with --state",
                    path.display()
                )
            }
            JournalError::Io { doing, path, source } if source.kind() == io::ErrorKind::PermissionDenied => {
                format!(
                    "nothing is known to be wrong with the journal: this user lacks the permission to {doing} {}; \
                     the files are private, so run it as the user who owns the state directory (who may only read there \
                     can use `simsync journal verify`, `lookup`, `runs` and `show`)",
                    path.display()
                )
            }
            JournalError::Io { path, .. } => {
                format!(
                    "check free space and limits (quota, ulimit -f) and the disk under {}, then run again",
                    path.display()
                )
            }
            JournalError::Stopped(cause) => cause.remedy(),
            JournalError::Closed | JournalError::Misuse { .. } => "report this as a bug".to_owned(),
        }
    }

    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
        let path = path.to_owned();
        move |source| JournalError::Io { doing, path, source }
    }

    /// A thread that read the journal panicked, as the libraries beneath do over bytes that no sound file has.
    pub(super) fn panicked(doing: &str) -> JournalError {
        JournalError::damaged(
            format!("{doing} ended in a panic, which the lines above tell of"),
            "unknown; nothing was removed by it",
        )
    }

    /// Whether room is what lacks: of the disk, of a quota, or of the process.
    pub fn is_no_room(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self.source_kind(), Some(StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// Whether a permission is what lacks, which says nothing of the journal.
    pub fn is_denied(&self) -> bool {
        self.source_kind() == Some(io::ErrorKind::PermissionDenied)
    }

    /// Whether it may not be written to: for want of a permission, or because the file system is read-only.
    pub fn is_not_writable(&self) -> bool {
        self.is_denied() || self.source_kind() == Some(io::ErrorKind::ReadOnlyFilesystem)
    }

    /// What the file system said.
    fn source_kind(&self) -> Option<io::ErrorKind> {
        match self {
            JournalError::Io { source, .. } => Some(source.kind()),
            JournalError::Stopped(cause) => cause.source_kind(),
            JournalError::Locked { .. }
            | JournalError::KeyMissing { .. }
            | JournalError::KeyUnusable { .. }
            | JournalError::Damaged { .. }
            | JournalError::UnknownFormat { .. }
            | JournalError::BlobFiles { .. }
            | JournalError::Closed
            | JournalError::Misuse { .. } => None,
        }
    }

    pub(super) fn damaged(what: impl Into<String>, lost: impl Into<String>) -> JournalError {
        JournalError::Damaged { what: what.into(), lost: lost.into() }
    }
}

//! The directory of a run, `<state>/runs/<run-id>/` (0700), and files in it that are either whole or not there.
//!
//! Not here: what the files say (`model.rs`, `status.rs`), row files (`rows.rs`), reading past runs (`history.rs`).

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::report::error::ReportError;

/// The summary, written once at the end.
pub const SUMMARY_FILE: &str = "summary.json";

/// How the run stands, written again and again while it lasts.
pub const STATUS_FILE: &str = "status.json";

/// Name of the directory of all runs within the state directory.
const RUNS_DIR: &str = "runs";

/// The directory of all runs of a state directory.
pub fn runs_dir(state: &Path) -> PathBuf {
    state.join(RUNS_DIR)
}

/// The directory of a run.
pub fn run_dir(state: &Path, run_id: &str) -> PathBuf {
    runs_dir(state).join(run_id)
}

/// Creates a directory and those above it, for the owner alone.
pub(super) fn create_private_dir(path: &Path) -> Result<(), ReportError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|source| ReportError::Write { what: "the run's directory", path: path.into(), source })
}

/// How much a file must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// A crash of the program: renamed into place.
    Process,
    /// A power loss too: synced before and after.
    Power,
}

/// Writes a file so that a reader finds the old one or the new one and nothing between: a private temporary file in
/// the same directory, renamed over the name.
pub(super) fn write_atomic(dir: &Path, name: &str, bytes: &[u8], durable: Durable) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(".tmp").tempfile_in(dir)?;
    file.write_all(bytes)?;
    if durable == Durable::Power {
        file.as_file().sync_all()?;
    }
    file.persist(dir.join(name)).map_err(|error| error.error)?;
    if durable == Durable::Power {
        sync_dir(dir)?;
    }
    Ok(())
}

/// Writes a file at a place the operator named, for its owner alone: what was there is replaced as a whole or stays.
///
/// # Errors
/// When it cannot be written, with what it is in a few words.
pub fn write_private(what: &'static str, path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let write = || {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".simsync.").suffix(".tmp").tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_dir(dir)
    };
    write().map_err(|source| ReportError::Write { what, path: path.to_owned(), source })
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn directories_and_files_are_private() {
        let state = tempfile::tempdir().unwrap();
        let dir = run_dir(&state.path().join("new-state"), "r1");
        create_private_dir(&dir).unwrap();
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(dir.parent().unwrap()), 0o700);
        write_atomic(&dir, SUMMARY_FILE, b"{}", Durable::Power).unwrap();
        assert_eq!(mode(&dir.join(SUMMARY_FILE)), 0o600);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        write_atomic(dir.path(), STATUS_FILE, b"old and long", Durable::Process).unwrap();
        let mut open = File::open(dir.path().join(STATUS_FILE)).unwrap();
        write_atomic(dir.path(), STATUS_FILE, b"new", Durable::Process).unwrap();
        // A reader that had it open still reads the old one to its end: it was not written over.
        let mut seen = String::new();
        io::Read::read_to_string(&mut open, &mut seen).unwrap();
        assert_eq!(seen, "old and long");
        assert_eq!(std::fs::read(dir.path().join(STATUS_FILE)).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("name");
        std::fs::create_dir(&blocked).unwrap();
        assert!(write_atomic(dir.path(), "name", b"x", Durable::Process).is_err());
        assert!(blocked.is_dir());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }
}

//! Private files and directories, created and synced the one way the journal needs them.
//!
//! Not here: what is in them.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::JournalError;

/// Mode of every file of the state directory: nobody but its owner.
const FILE_MODE: u32 = 0o600;

/// Mode of every directory below it.
const DIR_MODE: u32 = 0o700;

/// Creates a directory (and its parents) unless it exists, and syncs the directory it stands in.
pub(super) fn create_dir(path: &Path) -> Result<(), JournalError> {
    let parent = parent(path);
    if path.is_dir() {
        // A run may have created it and been killed before this sync. Best effort, because one may use a directory
        // without being allowed to read the one above it.
        drop(sync_dir(&parent));
        return Ok(());
    }
    if !parent.exists() {
        create_dir(&parent)?;
    }
    match DirBuilder::new().mode(DIR_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(JournalError::io("create the directory", path)(error))
        }
        Ok(()) | Err(_) => sync_dir(&parent),
    }
}

/// Opens a private file to read and write, creating it if needed.
pub(super) fn open_or_create(path: &Path) -> Result<File, JournalError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(JournalError::io("open", path))
}

/// Creates a private file, emptying one left over from a run that was killed.
pub(super) fn create_anew(path: &Path) -> Result<File, JournalError> {
    remove_if_there(path)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(JournalError::io("create", path))
}

/// Writes a small file so that it is there as a whole or not at all: temporary name, sync, rename, directory
/// sync.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    let temporary = temporary_name(path);
    let mut file = create_anew(&temporary)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(JournalError::io("write", &temporary))?;
    publish(&temporary, path)
}

/// Gives a synced temporary file its name.
pub(super) fn publish(temporary: &Path, path: &Path) -> Result<(), JournalError> {
    std::fs::rename(temporary, path).map_err(JournalError::io("rename to", path))?;
    sync_dir(&parent(path))
}

/// The name a file has until it is complete.
pub(super) fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}

/// Suffix of [`temporary_name`].
pub(super) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Syncs a directory, so that names created or renamed in it survive a power cut.
pub(super) fn sync_dir(path: &Path) -> Result<(), JournalError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(JournalError::io("sync the directory", path))
}

/// Removes a file; that it is not there is fine.
pub(super) fn remove_if_there(path: &Path) -> Result<(), JournalError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(JournalError::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes the files directly in a directory private: sled creates its own with the process's umask.
pub(super) fn make_files_private(dir: &Path) -> Result<(), JournalError> {
    for path in list(dir)? {
        let mode = if path.is_dir() { DIR_MODE } else { FILE_MODE };
        match std::fs::set_permissions(&path, Permissions::from_mode(mode)) {
            // sled's own threads may have replaced a snapshot meanwhile.
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(JournalError::io("set the mode of", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The entries of a directory, in no particular order; a directory that is not there has none.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
    match std::fs::read_dir(dir) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<PathBuf>>>()
            .map_err(JournalError::io("list", dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(JournalError::io("list", dir)(error)),
    }
}

/// The name of a path's last part, empty if it is no text.
pub(super) fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

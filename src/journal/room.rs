//! Whether the state directory's file system takes what a run writes: free space, and a write that is synced.
//!
//! Asked before there is a journal, so that it creates no state directory. Not here: opening the journal.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::error::JournalError;

/// What there is for a state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The directory that was looked at: the state directory, or the nearest above it that exists.
    pub dir: PathBuf,
    /// Whether it is the state directory itself.
    pub exists: bool,
    /// Bytes free for this user.
    pub free_bytes: u64,
}

/// Looks at the file system of a state directory: asks for its free space, writes and syncs a file, and takes it away
/// again. Where there is no directory yet, the nearest one above stands for it.
///
/// # Errors
///
/// When no file can be written or synced there.
pub fn room(state_dir: &Path) -> Result<Room, JournalError> {
    let above = state_dir.ancestors().find(|dir| dir.is_dir());
    let dir = above.unwrap_or_else(|| Path::new(".")).to_owned();
    let mut file =
        tempfile::NamedTempFile::new_in(&dir).map_err(JournalError::io("create a file in", &dir))?;
    file.write_all(b"simsync doctor\n")
        .and_then(|()| file.as_file().sync_all())
        .and_then(|()| file.close())
        .map_err(JournalError::io("write a file in", &dir))?;
    let space =
        rustix::fs::statvfs(&dir).map_err(|error| JournalError::io("ask about", &dir)(error.into()))?;
    let exists = dir == state_dir;
    Ok(Room { dir, exists, free_bytes: space.f_bavail.saturating_mul(space.f_frsize) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_leaves_nothing_behind_and_makes_no_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let found = room(dir.path()).expect("room");
        assert!(found.exists && found.dir == dir.path() && found.free_bytes > 0, "{found:?}");
        let missing = dir.path().join("a/b");
        let found = room(&missing).expect("room");
        assert!(!found.exists && found.dir == dir.path(), "{found:?}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
    }
}

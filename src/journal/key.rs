//! The state key's file: 32 random bytes beside the journal, created once.
//!
//! Every subject id and field hash depends on it, so a journal without its key recognises nobody. Not here: what
//! is hashed with it (`digest.rs`).

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::{StateKey, checksum};

use super::error::JournalError;
use super::files;

/// Name of the key file in the state directory.
const KEY_FILE: &str = "journal.key";

/// A key as it was read.
#[derive(Debug)]
pub(super) struct LoadedKey {
    /// The key.
    pub(super) key: StateKey,
    /// What the journal's files carry of it, so that files of two journals are never mixed and a foreign key is
    /// noticed: a checksum of 32 random bytes tells nothing about them.
    pub(super) identity: u64,
}

/// Reads the key, or creates it where no journal exists yet.
pub(super) fn load_or_create(state_dir: &Path, journal_exists: bool) -> Result<LoadedKey, JournalError> {
    let path = key_path(state_dir);
    if let Some(loaded) = load(state_dir)? {
        return Ok(loaded);
    }
    if journal_exists {
        return Err(JournalError::KeyMissing { path });
    }
    let mut secret = [0; StateKey::LEN];
    fill_random(&mut secret).map_err(JournalError::io("make a random key for", &path))?;
    files::write_whole(&path, &secret)?;
    Ok(loaded(&secret))
}

/// Reads the key; `None` when there is none.
pub(super) fn load(state_dir: &Path) -> Result<Option<LoadedKey>, JournalError> {
    let path = key_path(state_dir);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let secret: [u8; StateKey::LEN] = bytes
                .try_into()
                .map_err(|_| JournalError::KeyUnusable { path, reason: "it does not hold 32 bytes" })?;
            Ok(Some(loaded(&secret)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io("read", &path)(error)),
    }
}

/// The error of a journal without its key.
pub(super) fn missing(state_dir: &Path) -> JournalError {
    JournalError::KeyMissing { path: key_path(state_dir) }
}

/// The error of a key that belongs to another journal.
pub(super) fn foreign(state_dir: &Path) -> JournalError {
    JournalError::KeyUnusable { path: key_path(state_dir), reason: "it is the key of another journal" }
}

fn key_path(state_dir: &Path) -> PathBuf {
    state_dir.join(KEY_FILE)
}

fn loaded(secret: &[u8; StateKey::LEN]) -> LoadedKey {
    LoadedKey { key: StateKey::new(secret), identity: checksum(secret) }
}

fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(())
}

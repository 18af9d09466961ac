//! The store written anew into a fresh directory that takes the old one's place: space is given back, and what was
//! removed is in no file any more, for sled keeps deleted bytes in its own.
//!
//! Steps: a complete copy in `journal.new`, synced; `journal` becomes `journal.old`; `journal.new` becomes `journal`;
//! the old one goes. Killed between any two of them, the next opening finds the old store or the new one
//! ([`recover`]). Not here: what is removed before (`upkeep.rs`).

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::core::Core;
use super::error::JournalError;
use super::files;
use super::store::{Group, STORE_DIR, SledStore, Store};
use super::verify;

/// Directory of a copy that is not complete, or not in its place yet.
const NEW_DIR: &str = "journal.new";

/// Directory of the store whose place was taken.
const OLD_DIR: &str = "journal.old";

/// Values of a commit of the copy.
const GROUP_VALUES_MAX: usize = 256;

/// Looks whether sled has let go of its file, and the time between two of them: its threads end a little after it.
const RELEASE_TRIES_MAX: u32 = 500;

const RELEASE_RETRY_MS: u64 = 10;

/// Closes the journal with its store written anew, and releases the lock.
pub(super) fn rewrite(core: Core) -> Result<(), JournalError> {
    core.alive()?;
    let Core { store, state_dir, lock, mark, .. } = core;
    write_copy(store.as_ref(), &state_dir, mark.ledger.through + 1)?;
    store.close()?;
    take_its_place(&state_dir)?;
    lock.release();
    Ok(())
}

/// Closes a store, written anew if that works: it is durable either way. Log values before a sequence are folded, and
/// left out.
pub(super) fn close_anew(store: Box<dyn Store>, state_dir: &Path, from: u64) -> Result<(), JournalError> {
    let written = write_copy(store.as_ref(), state_dir, from);
    store.close()?;
    if let Err(error) = written.and_then(|()| take_its_place(state_dir)) {
        tracing::warn!(%error, "the store could not be written anew; it takes more space than it needs");
    }
    Ok(())
}

fn take_its_place(state_dir: &Path) -> Result<(), JournalError> {
    wait_until_released(&state_dir.join(STORE_DIR))?;
    set_aside(state_dir)?;
    put_in_place(state_dir)?;
    remove_dir(&state_dir.join(OLD_DIR))
}

/// Where the store is, for who may not put in order what a killed rewriting left.
pub(super) fn store_dir(state_dir: &Path) -> PathBuf {
    let (dir, new) = (state_dir.join(STORE_DIR), state_dir.join(NEW_DIR));
    let is_between = !dir.exists() && new.exists() && state_dir.join(OLD_DIR).exists();
    if is_between { new } else { dir }
}

/// Puts in order what a killed rewriting left. The lock must be held.
pub(super) fn recover(state_dir: &Path) -> Result<(), JournalError> {
    let (new, old) = (state_dir.join(NEW_DIR), state_dir.join(OLD_DIR));
    if store_dir(state_dir) == new {
        // Killed between the two renames, the first of which comes after the copy is complete.
        put_in_place(state_dir)?;
    }
    if state_dir.join(STORE_DIR).exists() {
        remove_dir(&new)?;
        remove_dir(&old)?;
    }
    // A verification that was killed left its copy, with bytes that may have been removed since.
    remove_dir(&state_dir.join(verify::COPY_DIR))
}

/// Step 1: a complete copy, closed and synced, of the named values and of the log from a sequence on.
pub(super) fn write_copy(store: &dyn Store, state_dir: &Path, from: u64) -> Result<(), JournalError> {
    let dir = state_dir.join(NEW_DIR);
    remove_dir(&dir)?;
    let mut copy: Box<dyn Store> = Box::new(SledStore::open_at(dir.clone())?);
    let mut group = Group::default();
    store.named_with("", &mut |name, bytes| {
        group.named.push((name.to_owned(), Some(bytes.to_vec())));
        commit_if_full(&mut *copy, &mut group)
    })?;
    store.log()?.scan(from, u64::MAX, &mut |sequence, value| {
        group.values.push(sequence, value);
        commit_if_full(&mut *copy, &mut group)
    })?;
    copy.commit(&group)?;
    copy.close()?;
    wait_until_released(&dir)?;
    files::sync_dir(&dir)
}

/// Step 2: from here on the copy is what the next opening takes.
pub(super) fn set_aside(state_dir: &Path) -> Result<(), JournalError> {
    rename(state_dir, STORE_DIR, OLD_DIR)
}

/// Step 3: the copy is the store.
pub(super) fn put_in_place(state_dir: &Path) -> Result<(), JournalError> {
    rename(state_dir, NEW_DIR, STORE_DIR)
}

fn commit_if_full(copy: &mut dyn Store, group: &mut Group) -> Result<(), JournalError> {
    if group.named.len() + group.values.len() < GROUP_VALUES_MAX {
        return Ok(());
    }
    copy.commit(&std::mem::take(group))
}

fn rename(state_dir: &Path, from: &str, to: &str) -> Result<(), JournalError> {
    let to = state_dir.join(to);
    fs::rename(state_dir.join(from), &to).map_err(JournalError::io("rename to", &to))?;
    files::sync_dir(state_dir)
}

pub(super) fn remove_dir(dir: &Path) -> Result<(), JournalError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(JournalError::io("remove the directory", dir)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Waits until no thread of sled holds the store any more: it writes files by their paths, which are about to change.
pub(super) fn wait_until_released(dir: &Path) -> Result<(), JournalError> {
    let path = dir.join("db");
    let file = File::open(&path).map_err(JournalError::io("open", &path))?;
    for _ in 0..RELEASE_TRIES_MAX {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(RELEASE_RETRY_MS)),
            Err(TryLockError::Error(error)) => return Err(JournalError::io("lock", &path)(error)),
        }
    }
    Err(JournalError::io("wait for", &path)(io::ErrorKind::TimedOut.into()))
}

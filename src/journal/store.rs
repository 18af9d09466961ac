//! The store seam: everything the journal asks of the database under it, and sled behind it.
//!
//! The only place that knows sled. Narrow on purpose, so that the crash suite can be held against another
//! backend, or against one that fails on demand. Not here: what values mean.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::JournalError;
use super::files;
use super::guard::guarded;
use super::packing::PackedValues;
use super::record::VALUE_BYTES_MAX;

/// Directory of sled's files in the state directory.
pub(super) const STORE_DIR: &str = "journal";

/// Memory sled may use for pages.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How often sled's own thread flushes; segments are collected nowhere else.
const FLUSH_EVERY_MS: u64 = 500;

/// Further reads of each value of a scan. sled counts accesses in 256 shards and evicts a shard's pages at its 64th
/// access only; an iterator counts one access a page, so that a scan of 128 MiB keeps all of it in memory (measured:
/// 133 MB; with these reads 22 MB, in the same time).
const EVICTING_READS: usize = 4;

/// Values dropped at a time: large batches hold on to memory (performance.md B1.6).
pub(super) const DROP_VALUES_MAX: usize = 512;

/// Values dropped beside a commit at least: some 0.3 ms.
pub(super) const DROP_VALUES_BESIDE: u64 = 16;

/// Values dropped beside a commit for each that it added: more than one, so that what is folded comes to its end, and
/// few, for the next commit waits for them.
pub(super) const DROP_PER_VALUE: u64 = 2;

/// Tries to open while threads of an earlier opening in this process still hold sled's lock: ours is taken, so
/// it cannot be anybody else.
const OPEN_TRIES_MAX: u32 = 100;

const OPEN_RETRY_MS: u64 = 20;

/// Target of the events that a phase of a commit is over, each with its name in the field `phase`.
const COMMIT_PHASES: &str = "simsync::journal::commit";

const LOG_TREE: &str = "log";
const NAMED_TREE: &str = "named";

/// What is written together: it is durable as a whole when the commit returns.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Log values, in ascending sequence.
    pub(super) values: PackedValues,
    /// Small named values; `None` removes the name.
    pub(super) named: Vec<(String, Option<Vec<u8>>)>,
}

/// Called with each value found; its error ends the scan.
pub(super) type VisitValue<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), JournalError>;

/// Called with each named value found.
pub(super) type VisitNamed<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Result<(), JournalError>;

/// A log that can be read.
pub(super) trait ReadLog {
    /// Visits the log values from a sequence through another, in order.
    fn scan(&self, from: u64, through: u64, visit: VisitValue<'_>) -> Result<(), JournalError>;

    /// The last sequence; `None` for an empty log.
    fn last(&self) -> Result<Option<u64>, JournalError>;
}

/// What the journal needs of a database.
pub(super) trait Store {
    /// Writes a group and returns when it is on the disk. After an error nothing is known of the group.
    fn commit(&mut self, group: &Group) -> Result<(), JournalError>;

    /// The log, to be read by another thread while this one goes on. It must be gone before the store is closed.
    fn log(&self) -> Result<Box<dyn ReadLog + Send + Sync>, JournalError>;

    /// Drops at most so many of the oldest log values up to and with a sequence; whether none is left. Need not be
    /// durable: a value that comes back is dropped again at the next opening.
    fn drop_some(&mut self, through: u64, values_max: usize) -> Result<bool, JournalError>;

    /// A named value.
    fn named(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError>;

    /// Visits the named values whose name begins so, in order.
    fn named_with(&self, prefix: &str, visit: VisitNamed<'_>) -> Result<(), JournalError>;

    /// Closes the store with everything on the disk.
    fn close(self: Box<Self>) -> Result<(), JournalError>;
}

/// sled, used by the rules that were measured.
pub(super) struct SledStore {
    dir: PathBuf,
    /// Our own handle of sled's file: sled's flush never syncs.
    db_file: File,
    trees: Option<Trees>,
}

struct Trees {
    log: sled::Tree,
    named: sled::Tree,
    db: sled::Db,
}

impl SledStore {
    /// Opens the store, creating it if needed. Our own lock must be held.
    pub(super) fn open(state_dir: &Path) -> Result<SledStore, JournalError> {
        let store = SledStore::open_at(state_dir.join(STORE_DIR))?;
        files::sync_dir(state_dir)?;
        Ok(store)
    }

    /// Opens a store in a directory of its own, creating it if needed.
    pub(super) fn open_at(dir: PathBuf) -> Result<SledStore, JournalError> {
        let is_new = !dir.join("db").exists();
        files::create_dir(&dir)?;
        files::create_dir(&dir.join("blobs"))?;
        remove_half_snapshots(&dir)?;
        let trees = open_trees(&dir)?;
        let db_path = dir.join("db");
        let db_file = File::options()
            .read(true)
            .write(true)
            .open(&db_path)
            .map_err(JournalError::io("open", &db_path))?;
        if is_new {
            files::make_files_private(&dir)?;
        }
        // At every opening: a run may have created them and been killed before it synced them.
        db_file.sync_all().map_err(JournalError::io("sync", &db_path))?;
        let conf_path = dir.join("conf");
        File::open(&conf_path)
            .and_then(|conf| conf.sync_all())
            .map_err(JournalError::io("sync", &conf_path))?;
        files::sync_dir(&dir.join("blobs"))?;
        files::sync_dir(&dir)?;
        Ok(SledStore { dir, db_file, trees: Some(trees) })
    }

    fn trees(&self) -> Result<&Trees, JournalError> {
        self.trees.as_ref().ok_or(JournalError::Closed)
    }

    /// The one place where written becomes durable.
    fn sync(&self, trees: &Trees) -> Result<(), JournalError> {
        within(&self.dir, "flush", || trees.db.flush())?;
        tell_phase("flush");
        self.db_file.sync_data().map_err(JournalError::io("sync", &self.dir.join("db")))?;
        tell_phase("sync");
        Ok(())
    }
}

impl Store for SledStore {
    fn commit(&mut self, group: &Group) -> Result<(), JournalError> {
        let trees = self.trees()?;
        // Names first: sled loses the end of its file, so whoever finds the value finds the names before it.
        let mut named = sled::Batch::default();
        for (name, value) in &group.named {
            match value {
                Some(value) => {
                    check_size(value)?;
                    named.insert(name.as_bytes(), value.as_slice());
                }
                None => named.remove(name.as_bytes()),
            }
        }
        let mut log = sled::Batch::default();
        for (sequence, value) in group.values.iter() {
            check_size(value)?;
            log.insert(&sequence.to_be_bytes(), value);
        }
        within(&self.dir, "write to", || {
            if !group.named.is_empty() {
                trees.named.apply_batch(named)?;
            }
            trees.log.apply_batch(log)
        })?;
        tell_phase("write");
        self.sync(trees)
    }

    fn log(&self) -> Result<Box<dyn ReadLog + Send + Sync>, JournalError> {
        Ok(Box::new(SledLog { tree: self.trees()?.log.clone(), dir: self.dir.clone() }))
    }

    fn drop_some(&mut self, through: u64, values_max: usize) -> Result<bool, JournalError> {
        let trees = self.trees()?;
        within(&self.dir, "drop folded values of", || {
            let mut batch = sled::Batch::default();
            let mut count = 0;
            for key in trees.log.range(..=through.to_be_bytes()).keys().take(values_max) {
                batch.remove(key?);
                count += 1;
            }
            if count > 0 {
                trees.log.apply_batch(batch)?;
            }
            Ok(count < values_max)
        })
    }

    fn named(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let trees = self.trees()?;
        let value = within(&self.dir, "read", || trees.named.get(name.as_bytes()))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn named_with(&self, prefix: &str, visit: VisitNamed<'_>) -> Result<(), JournalError> {
        let mut values = self.trees()?.named.scan_prefix(prefix.as_bytes());
        while let Some((name, value)) = within(&self.dir, "read", || values.next().transpose())? {
            let name = std::str::from_utf8(&name)
                .map_err(|_| JournalError::damaged("a name is no text", "what it stood for"))?;
            visit(name, &value)?;
        }
        Ok(())
    }

    fn close(mut self: Box<Self>) -> Result<(), JournalError> {
        self.sync(self.trees()?)?;
        let trees = self.trees.take();
        guarded(|| drop(trees)).ok_or_else(|| panicked("close"))?;
        let blobs = files::list(&self.dir.join("blobs"))?;
        if blobs.is_empty() { Ok(()) } else { Err(JournalError::BlobFiles { count: blobs.len() }) }
    }
}

/// sled's trees may be read while they are written.
struct SledLog {
    tree: sled::Tree,
    dir: PathBuf,
}

impl ReadLog for SledLog {
    fn scan(&self, from: u64, through: u64, visit: VisitValue<'_>) -> Result<(), JournalError> {
        if from > through {
            return Ok(());
        }
        let mut values = self.tree.range(from.to_be_bytes()..=through.to_be_bytes());
        while let Some((key, value)) = within(&self.dir, "read", || values.next().transpose())? {
            visit(sequence_of(&key)?, &value)?;
            for _ in 0..EVICTING_READS {
                within(&self.dir, "read", || self.tree.contains_key(&key))?;
            }
        }
        Ok(())
    }

    fn last(&self) -> Result<Option<u64>, JournalError> {
        within(&self.dir, "read", || self.tree.last())?.map(|(key, _)| sequence_of(&key)).transpose()
    }
}

fn sequence_of(key: &[u8]) -> Result<u64, JournalError> {
    <[u8; 8]>::try_from(key)
        .map(u64::from_be_bytes)
        .map_err(|_| JournalError::damaged("the log has a key that is no sequence", "what it stood for"))
}

impl Drop for SledStore {
    fn drop(&mut self) {
        // sled panics when its last sync fails; whoever drops without closing has an error to report already.
        let trees = self.trees.take();
        let _: Option<()> = guarded(|| drop(trees));
    }
}

/// A kill during opening leaves a half-written snapshot that no later opening gets past (sled issues 1527, 1533).
fn remove_half_snapshots(dir: &Path) -> Result<(), JournalError> {
    for path in files::list(dir)? {
        let name = files::file_name(&path);
        if name.starts_with("snap.") && name.ends_with(".generating") {
            files::remove_if_there(&path)?;
        }
    }
    Ok(())
}

fn open_trees(dir: &Path) -> Result<Trees, JournalError> {
    let config =
        || sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_EVERY_MS));
    let mut tries = 1;
    loop {
        let opened = guarded(|| {
            let db = config().open()?;
            Ok(Trees { log: db.open_tree(LOG_TREE)?, named: db.open_tree(NAMED_TREE)?, db })
        });
        match opened.ok_or_else(|| panicked("open"))? {
            Ok(trees) => return Ok(trees),
            Err(error) if tries < OPEN_TRIES_MAX && is_lock(&error) => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(OPEN_RETRY_MS));
            }
            // Our own lock is held, so somebody has taken its file away under a run that is still on.
            Err(error) if is_lock(&error) => return Err(JournalError::Locked { holder: None }),
            Err(error) => return Err(from_sled("open", dir, error)),
        }
    }
}

fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

/// Tells whoever measures that a phase of a commit is over. It costs nothing when nobody listens.
pub(super) fn tell_phase(phase: &'static str) {
    tracing::trace!(target: COMMIT_PHASES, phase);
}

fn check_size(value: &[u8]) -> Result<(), JournalError> {
    if value.len() <= VALUE_BYTES_MAX {
        Ok(())
    } else {
        Err(JournalError::Misuse { what: "a value of more than 4 KiB" })
    }
}

fn within<T>(
    dir: &Path,
    doing: &'static str,
    run: impl FnOnce() -> sled::Result<T>,
) -> Result<T, JournalError> {
    guarded(run).ok_or_else(|| panicked(doing))?.map_err(|error| from_sled(doing, dir, error))
}

fn panicked(doing: &'static str) -> JournalError {
    JournalError::damaged(
        format!("the store could not {doing} its file"),
        "what the file held since the last copy may be lost",
    )
}

fn from_sled(doing: &'static str, dir: &Path, error: sled::Error) -> JournalError {
    match error {
        sled::Error::Io(source) => JournalError::Io { doing, path: dir.to_owned(), source },
        // Its own text is a dump of what it has of a place, mostly nothing.
        sled::Error::Corruption { .. } => JournalError::damaged(
            format!("the store could not {doing} its file: what it holds is not what was written"),
            "what the file held since the last copy may be lost",
        ),
        // These texts name settings of sled's own, never a value.
        sled::Error::Unsupported(_) | sled::Error::ReportableBug(_) | sled::Error::CollectionNotFound(_) => {
            JournalError::damaged(
                format!("the store could not {doing} its file: {error}"),
                "what the file held since the last copy may be lost",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_told_in_words_of_our_own() {
        let error = from_sled("open", Path::new("journal"), sled::Error::Corruption { at: None, bt: () });
        let text = error.to_string();
        assert!(matches!(error, JournalError::Damaged { .. }), "{text}");
        assert!(text.contains("is not what was written") && !text.contains("backtrace"), "{text}");
    }
}

//! A store that fails on demand: the first failed commit ends the journal, and nothing is tried again.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::store::{Group, ReadLog, SledStore, Store, VisitNamed};
use super::*;

/// How a commit fails: before anything is written, or after all of it was (the sync failed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Before,
    After,
}

struct FaultyStore {
    inner: Box<SledStore>,
    commits: Arc<AtomicU32>,
    /// Commits that still succeed, and how the next one fails.
    plan: Arc<Mutex<(u32, Fault)>>,
}

fn no_space() -> JournalError {
    JournalError::io("flush", Path::new("journal"))(std::io::ErrorKind::StorageFull.into())
}

impl Store for FaultyStore {
    fn commit(&mut self, group: &Group) -> Result<(), JournalError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let mut plan = self.plan.lock().unwrap();
        if plan.0 > 0 {
            plan.0 -= 1;
            return self.inner.commit(group);
        }
        if plan.1 == Fault::After {
            self.inner.commit(group).unwrap();
        }
        Err(no_space())
    }

    fn log(&self) -> Result<Box<dyn ReadLog + Send + Sync>, JournalError> {
        self.inner.log()
    }

    fn drop_some(&mut self, through: u64, values_max: usize) -> Result<bool, JournalError> {
        self.inner.drop_some(through, values_max)
    }

    fn named(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.inner.named(name)
    }

    fn named_with(&self, prefix: &str, visit: VisitNamed<'_>) -> Result<(), JournalError> {
        self.inner.named_with(prefix, visit)
    }

    fn close(self: Box<Self>) -> Result<(), JournalError> {
        self.inner.close()
    }
}

fn open_faulty(dir: &Path, sound_commits: u32, fault: Fault) -> (Journal, Arc<AtomicU32>) {
    let commits = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&commits);
    let plan = Arc::new(Mutex::new((sound_commits, fault)));
    let lock = take_lock(dir);
    let journal = Journal::start(&JournalOptions::new(dir), move |dir| {
        opening::open_with(dir, lock, |dir| {
            let inner = Box::new(SledStore::open(dir)?);
            Ok(Box::new(FaultyStore { inner, commits, plan }))
        })
    });
    (journal.unwrap(), counted)
}

#[test]
fn a_failed_flush_ends_the_journal_and_is_not_repeated() {
    for fault in [Fault::Before, Fault::After] {
        let dir = tempfile::tempdir().unwrap();
        // One commit is the creation's.
        let (journal, commits) = open_faulty(dir.path(), 2, fault);
        append(&journal, vec![synced(1)]).unwrap();
        let first = append(&journal, vec![synced(2)]).unwrap_err();
        assert!(matches!(*first, JournalError::Io { .. }), "{first}");
        let later = append(&journal, vec![synced(3)]).unwrap_err();
        assert!(Arc::ptr_eq(&first, &later));
        let error = journal.begin_batch("t", crate::digest::BatchId([1; 16]), 1, 0, false).unwrap_err();
        assert!(matches!(&error, JournalError::Stopped(cause) if Arc::ptr_eq(cause, &first)));
        assert_eq!(error.exit_hint(), 13);
        assert!(matches!(journal.finish(), Err(JournalError::Stopped(_))));
        assert_eq!(commits.load(Ordering::SeqCst), 3);

        // What was acknowledged is there. What failed may or may not be; what came later is not.
        let numbers = acked_numbers(&open(dir.path()).unwrap());
        assert_eq!(numbers, if fault == Fault::After { vec![1, 2] } else { vec![1] });
    }
}

#[test]
fn a_fold_whose_naming_fails_leaves_a_journal_that_opens() {
    for fault in [Fault::Before, Fault::After] {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = open_faulty(dir.path(), 2, fault);
        append(&journal, vec![synced(1), intent(2)]).unwrap();
        assert!(journal.finish().is_err());
        let journal = open(dir.path()).unwrap();
        assert_eq!(acked_numbers(&journal), [1]);
        assert_eq!(journal.lookup(subject(2)).unwrap().unwrap().in_doubt.len(), 1);
    }
}

/// A store whose log cannot be read without a panic, as sled and the decoders beneath it do over bytes that no sound
/// file has.
struct PanickingStore(SledStore);

struct PanickingLog(Box<dyn ReadLog + Send + Sync>);

impl ReadLog for PanickingLog {
    fn scan(&self, _: u64, _: u64, _: crate::journal::store::VisitValue<'_>) -> Result<(), JournalError> {
        panic!("as a library does over damaged bytes")
    }

    fn last(&self) -> Result<Option<u64>, JournalError> {
        self.0.last()
    }
}

impl Store for PanickingStore {
    fn commit(&mut self, group: &Group) -> Result<(), JournalError> {
        self.0.commit(group)
    }

    fn log(&self) -> Result<Box<dyn ReadLog + Send + Sync>, JournalError> {
        Ok(Box::new(PanickingLog(self.0.log()?)))
    }

    fn drop_some(&mut self, through: u64, values_max: usize) -> Result<bool, JournalError> {
        self.0.drop_some(through, values_max)
    }

    fn named(&self, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.0.named(name)
    }

    fn named_with(&self, prefix: &str, visit: VisitNamed<'_>) -> Result<(), JournalError> {
        self.0.named_with(prefix, visit)
    }

    fn close(self: Box<Self>) -> Result<(), JournalError> {
        Box::new(self.0).close()
    }
}

#[test]
fn a_panic_over_the_log_is_damage_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let mut core = open_core(dir.path()).unwrap().core;
    commit(&mut core, &[synced(1)]);
    drop(core);
    let lock = take_lock(dir.path());
    let opened = Journal::start(&JournalOptions::new(dir.path()), move |dir| {
        opening::open_with(dir, lock, |dir| Ok(Box::new(PanickingStore(SledStore::open(dir)?))))
    });
    let error = opened.unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("reading the log"), "{error}");
    assert_eq!(error.exit_hint(), 13);
    assert!(error.remedy().contains("journal verify"), "{}", error.remedy());
    // A tool opens the journal on its own thread, which it must survive, too.
    let opened = opening::open_with(dir.path(), take_lock(dir.path()), |dir| {
        Ok(Box::new(PanickingStore(SledStore::open(dir)?)))
    });
    assert!(matches!(opened.err(), Some(JournalError::Damaged { .. })));
}

//! What can be known from outside about a run that was killed: what the sandbox saw, and what the journal it left
//! behind says. The resume is held against both.
//!
//! The journal is read from a copy of the state directory, so that looking changes nothing for the run that follows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use simsync::api::Endpoint;
use simsync::deliver::DeliverRules;
use simsync::delivery::DeliveryRules;
use simsync::journal::{Journal, JournalOptions};
use simsync::ledger::LedgerEntry;
use simsync::sandbox::{Faults, Outage, OutageKind, RequestView, Window};
use simsync::update::FieldKind;

use crate::support::{Ran, Workspace, imei};

/// Attempts on the wire at once, as the settings have it by default.
const IN_FLIGHT_MAX: usize = 64;

/// Rows of the exports here.
pub(crate) const ROWS: u32 = 5_000;

/// Every so many rows one is for an earlier subject, and folds.
const FOLDED_EVERY: u32 = 25;

/// How far back that subject's first row is.
const FOLDED_BACK: u32 = 20;

/// Every so many rows one cannot be sent.
const REJECTED_EVERY: u32 = 100;

/// What each subject must end with: field by field.
pub(crate) type Finals = BTreeMap<String, BTreeMap<String, String>>;

/// An export, and what must come of it.
pub(crate) struct Export {
    /// The file's text.
    pub(crate) text: String,
    /// What each subject must end with.
    pub(crate) finals: Finals,
    /// The subject of every row that is not rejected, in the file's order.
    pub(crate) subjects: Vec<String>,
}

impl Export {
    /// So many rows `crm id,mobile,imei,tier`, some for one subject, some not to be sent.
    pub(crate) fn new(rows: u32) -> Export {
        let mut export =
            Export { text: "crm id,mobile,imei,tier\n".into(), finals: Finals::new(), subjects: Vec::new() };
        for row in 0..rows {
            if row % REJECTED_EVERY == REJECTED_EVERY - 1 {
                export.text += &format!("C-{row:06},12,{},basic\n", imei(row));
                continue;
            }
            let (serial, tier) = if row % FOLDED_EVERY == FOLDED_EVERY - 1 {
                (row - FOLDED_BACK, "premium")
            } else {
                (row, "basic")
            };
            export.row(serial, tier);
        }
        export
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, serial: u32, tier: &str) {
        let (key, number, imei) = (format!("C-{serial:06}"), number(serial), imei(serial));
        self.text += &format!("{key},{number},{imei},{tier}\n");
        let fields =
            [("imei", imei.as_str()), ("number", &number), ("user_class", tier), ("user_external_id", &key)];
        let fields = fields.map(|(field, value)| (field.to_owned(), value.to_owned()));
        self.finals.insert(key.clone(), fields.into());
        self.subjects.push(key);
    }
}

/// The number of a subject.
pub(crate) fn number(serial: u32) -> String {
    format!("+4479{:08}", 10_000_000 + serial)
}

/// Updates whose intents may be open at a time, at the settings of these tests.
pub(crate) fn window() -> usize {
    let scheduler = DeliveryRules { max_in_flight: IN_FLIGHT_MAX, ..DeliveryRules::default() };
    let rules = DeliverRules {
        rows_held_max: scheduler.held_max,
        scheduler,
        hours: simsync::deliver::Hours::always(simsync::deliver::Flow::Unlimited),
        is_mixed: false,
        senders: 1,
        rows_folding_max: 1,
        deferred_held_max: 1,
        shutdown_grace_ms: 0,
        stop_at: None,
        updates_max: None,
    };
    rules.window()
}

/// Faults under which a run cannot come to its end: from this request on nothing is answered.
pub(crate) fn frozen_after(requests: u64) -> Faults {
    let window = Window::Requests { from: requests + 1, count: u64::MAX / 2 };
    Faults { outages: vec![Outage { window, how: OutageKind::Hang }], latency_ms: 2, ..Faults::default() }
}

/// Kills with SIGKILL and waits until the process is gone.
#[track_caller]
pub(crate) fn kill_9(child: &mut Child) {
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "the run ended before it was killed");
}

/// What a killed run left behind.
pub(crate) struct Aftermath {
    /// Requests the sandbox had seen.
    pub(crate) seq: u64,
    /// Subjects of updates it had applied, with the last request that did.
    pub(crate) applied: BTreeMap<String, RequestView>,
    /// Subjects with a committed acknowledgment.
    pub(crate) acked: BTreeSet<String>,
    /// Subjects in doubt.
    pub(crate) in_doubt: BTreeSet<String>,
}

impl Aftermath {
    /// Looks at sandbox and journal, once nothing is under way any more.
    pub(crate) fn of(ws: &Workspace, finals: &Finals) -> Aftermath {
        wait_for("the sandbox's connections to close", || {
            let stats = ws.sandbox.stats();
            stats.connections_open == 0 && stats.in_flight == 0
        });
        let requests = ws.sandbox.requests();
        let seq = requests.last().map_or(0, |request| request.seq);
        let applied = requests.into_iter().filter(|request| request.applied);
        let applied = applied.filter_map(|request| Some((request.subject.clone()?, request))).collect();
        let (acked, in_doubt) = remembered(ws, finals);
        Aftermath { seq, applied, acked, in_doubt }
    }

    /// What must hold of the moment itself: committed only what was applied, applied only what was committed or is
    /// in doubt, and no more in doubt than the window.
    #[track_caller]
    pub(crate) fn check(&self) {
        for key in &self.acked {
            assert!(self.applied.contains_key(key), "{key} is committed, and was never applied");
        }
        for key in self.applied.keys() {
            let is_known = self.acked.contains(key) || self.in_doubt.contains(key);
            assert!(is_known, "{key} was applied, and the journal knows nothing of it");
        }
        assert!(self.in_doubt.len() <= window(), "{} in doubt, more than the window", self.in_doubt.len());
    }

    /// Subjects in doubt whose update had been applied: what sending again doubles.
    pub(crate) fn in_doubt_applied(&self) -> usize {
        self.in_doubt.iter().filter(|key| self.applied.contains_key(*key)).count()
    }

    /// Requests that came after it.
    pub(crate) fn later(&self, ws: &Workspace) -> Vec<RequestView> {
        ws.sandbox.requests().into_iter().filter(|request| request.seq > self.seq).collect()
    }

    /// What a resume, whole or killed again, must not have done: send what was committed, or double what was not
    /// in doubt. Returns the doubles.
    #[track_caller]
    pub(crate) fn check_resends(&self, ws: &Workspace) -> usize {
        let mut doubles = 0;
        for request in self.later(ws) {
            let key = request.subject.as_ref().unwrap();
            assert!(!self.acked.contains(key), "{key} was committed, and is sent again");
            if let Some(first) = self.applied.get(key) {
                assert!(self.in_doubt.contains(key), "{key} is doubled, and was not in doubt");
                assert_eq!(first.idempotency_key, request.idempotency_key, "of {key}");
                assert_eq!(first.fields, request.fields);
                doubles += 1;
            }
        }
        assert!(doubles <= window(), "{doubles} doubles, more than the window");
        doubles
    }

    /// Everything that must hold of the resume of the same batch, run to its end. Returns the doubles.
    #[track_caller]
    pub(crate) fn check_resume(&self, ws: &Workspace, export: &Export, resumed: &Ran) -> usize {
        self.check();
        let doubles = self.check_resends(ws);
        let plan = &resumed.summary()["plan"];
        let later = self.later(ws);
        let requested: BTreeSet<&String> =
            later.iter().map(|request| request.subject.as_ref().unwrap()).collect();
        assert_eq!(requested.len(), later.len(), "a subject was sent twice by the resume");
        assert_eq!(plan["rows"]["send"], requested.len(), "what is sent is what the plan said");
        let unchanged = export.subjects.iter().filter(|key| self.acked.contains(*key)).count();
        assert_eq!(plan["rows"]["unchanged"], unchanged, "rows of committed subjects");
        assert_eq!(plan["in_doubt_resent"], self.in_doubt.len(), "all of them are named");
        check_finals(ws, &export.finals);
        doubles
    }
}

/// Every subject ended with its final values, and there is no other.
#[track_caller]
pub(crate) fn check_finals(ws: &Workspace, finals: &Finals) {
    let found: Finals =
        ws.sandbox.subjects().into_iter().map(|subject| (subject.key, subject.fields)).collect();
    for (key, fields) in finals {
        assert_eq!(found.get(key), Some(fields), "{key} at the sandbox");
    }
    assert_eq!(found.len(), finals.len());
}

/// Waits for a condition that must come.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..30_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("waited in vain for {what}");
}

/// Subjects acknowledged and subjects in doubt, as the journal has them.
fn remembered(ws: &Workspace, finals: &Finals) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut acked, mut in_doubt) = (BTreeSet::new(), BTreeSet::new());
    for (key, entry) in entries(ws, finals.keys().cloned()) {
        if entry.acked.is_some() && entry.unknown().is_empty() {
            acked.insert(key.clone());
        }
        if !entry.in_doubt.is_empty() {
            in_doubt.insert(key);
        }
    }
    (acked, in_doubt)
}

/// The ordinal of the newest committed acknowledgement, by subject, as the journal has it.
pub(crate) fn committed(ws: &Workspace, keys: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    entries(ws, keys).into_iter().filter_map(|(key, entry)| Some((key, entry.acked?.ordinal))).collect()
}

/// What the journal has of subjects, read from a copy.
pub(crate) fn entries(ws: &Workspace, keys: impl Iterator<Item = String>) -> Vec<(String, LedgerEntry)> {
    let copy = tempfile::tempdir().unwrap();
    let state = ws.path("simsync-state");
    if state.is_dir() {
        copy_dir(&state, copy.path());
    }
    let options = JournalOptions::new(copy.path());
    let Some(journal) = Journal::open_existing(&options, "witness", "here", 0).unwrap() else {
        return Vec::new();
    };
    let target = Endpoint::parse(&ws.sandbox.url(), false).unwrap().target();
    let subject = |key: &String| journal.key().subject(&target, FieldKind::UserExternalId, key);
    let names: BTreeMap<_, _> = keys.map(|key| (subject(&key), key)).collect();
    let entries = journal.ledger().unwrap().map(Result::unwrap);
    entries.map(|entry| (names[&entry.subject].clone(), entry)).collect()
}

/// Copies a directory, without the directories of past runs.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), target).unwrap();
        } else if entry.file_name() != "runs" {
            copy_dir(&entry.path(), &target);
        }
    }
}

//! Pass 1: rows per second of reading, checking, fingerprinting and planning a CSV export, held against a bare
//! `csv::ByteRecord` read of the same file in the same round; on one thread and on all cores, for an export that is
//! new and for one that is wholly unchanged since it was acknowledged: the nightly run that has nothing to send.
//!
//! `--rows 10000000` is a national operator's night.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use simsync::digest::StateKey;
use simsync::engine::clock::Clock;
use simsync::engine::signals::Signals;
use simsync::event::{Listener, Stamped};
use simsync::fields::{RuleOptions, RuleSet};
use simsync::input::{AheadOptions, InputOptions, Inputs, Pass};
use simsync::journal::{Journal, JournalOptions};
use simsync::ledger::Record;
use simsync::plan::{ConflictPolicy, DuplicatePolicy, InDoubtPolicy, NoLedger, Plan, PlanRules};
use simsync::row::Version;
use simsync::survey::{Emitter, Gather, GatherOptions, Identity, Judge, Judged, survey};
use simsync::update::{FieldFact, FieldKind};

mod export;
mod rounds;

use export::write_export;
use rounds::{Bench, Contestant, timed};

const TARGET: &str = "bench";

const KEY_FIELD: FieldKind = FieldKind::UserExternalId;

/// Acknowledgements of one append.
const APPEND_ROWS: usize = 1_024;

struct Nobody;

impl Listener for Nobody {
    fn on_event(&mut self, _: &Stamped) {}
}

fn main() {
    let bench = Bench::from_args("survey", 500_000);
    let path = bench.path("export.csv");
    write_export(&path, bench.rows).expect("the build's directory can be written");
    let rules = RuleSet::new(&RuleOptions::default()).expect("the default rules are valid");
    let state = bench.path("state");
    let journal = acknowledged(&path, &rules, &state);
    let new = |threads| timed(|| plan_new(&path, &rules, bench.rows, threads));
    let unchanged = |threads| timed(|| plan_unchanged(&path, &rules, bench.rows, threads, &journal));
    let contestants: Vec<Contestant<'_>> = vec![
        ("csv::ByteRecord alone", Box::new(|| timed(|| bare(&path, bench.rows)))),
        ("read: decode, split, map, block hashes", Box::new(|| timed(|| read(&path, bench.rows)))),
        ("read and check: all rules", Box::new(|| timed(|| check(&path, &rules, bench.rows)))),
        ("gather: read, check, fingerprint", Box::new(|| timed(|| gather(&path, &rules, bench.rows, 1)))),
        ("gather on all cores", Box::new(|| timed(|| gather(&path, &rules, bench.rows, cores())))),
        ("plan, all new", Box::new(|| new(1))),
        ("plan, all new, on all cores", Box::new(|| new(cores()))),
        ("plan, wholly unchanged", Box::new(|| unchanged(1))),
        ("plan, wholly unchanged, on all cores", Box::new(|| unchanged(cores()))),
    ];
    bench.run("rows", contestants);
    drop(journal);
    std::fs::remove_dir_all(&state).expect("it was made above");
    std::fs::remove_file(&path).expect("it was written above");
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn bare(path: &Path, rows: u64) {
    let mut reader = csv::Reader::from_path(path).expect("it was written above");
    let mut record = csv::ByteRecord::new();
    let mut count = 0;
    while reader.read_byte_record(&mut record).expect("the export is sound") {
        count += 1;
    }
    assert_eq!(count, rows);
}

fn open(path: &Path) -> Inputs {
    let inputs = vec![path.to_string_lossy().into_owned()];
    Inputs::open(&InputOptions { inputs, ..InputOptions::default() }).expect("the export is sound")
}

fn read(path: &Path, rows: u64) {
    let mut inputs = open(path);
    let mut reader = inputs.read(Pass::Survey);
    let mut count = 0;
    while let Some(row) = reader.next_row().expect("the export is sound") {
        count += u64::from(row.is_ok());
    }
    assert_eq!(count, rows);
}

fn check(path: &Path, rules: &RuleSet, rows: u64) {
    let mut inputs = open(path);
    let mut judge = Judge::new(rules, None);
    let mut reader = inputs.read(Pass::Survey);
    let mut count = 0;
    while let Some(row) = reader.next_row().expect("the export is sound") {
        judge.read(&row);
        count += u64::from(judge.checked.rejected().is_none());
    }
    assert_eq!(count, rows);
}

/// Surveys the export without the state directory's key: any one will do where nothing is compared.
fn gather(path: &Path, rules: &RuleSet, rows: u64, threads: usize) {
    assert_eq!(surveyed(path, rules, &StateKey::new(&[7; StateKey::LEN]), threads).rows(), rows);
}

fn surveyed(path: &Path, rules: &RuleSet, state_key: &StateKey, threads: usize) -> Gather {
    let mut inputs = open(path);
    let find_run = |_: &str| None;
    let identity = Identity { state_key, target: TARGET, key_field: KEY_FIELD, find_run: &find_run };
    let mut judge = Judge::new(rules, Some(identity));
    let mut nobody = Nobody;
    let mut emitter = Emitter::new(Clock::start(), &mut nobody);
    let (gather, ahead) = (GatherOptions::default(), AheadOptions::new(threads));
    survey(&mut inputs, &mut judge, &mut emitter, &Signals::default(), &gather, ahead)
        .expect("the export is sound")
}

fn plan_new(path: &Path, rules: &RuleSet, rows: u64, threads: usize) {
    let gathered = surveyed(path, rules, &StateKey::new(&[7; StateKey::LEN]), threads);
    let plan = gathered.finish(&plan_rules(1), &NoLedger, threads).expect("an empty ledger cannot fail");
    assert_eq!(plan.facts().rows.send, rows, "{:?}", plan.facts().rows);
}

fn plan_unchanged(path: &Path, rules: &RuleSet, rows: u64, threads: usize, journal: &Journal) {
    let gathered = surveyed(path, rules, journal.key(), threads);
    let plan: Plan = gathered.finish(&plan_rules(2), journal, threads).expect("the ledger is sound");
    assert_eq!(plan.facts().rows.unchanged, rows, "{:?}", plan.facts().rows);
}

fn plan_rules(batch: u64) -> PlanRules {
    PlanRules {
        duplicates: DuplicatePolicy::Fold,
        conflicts: ConflictPolicy::Hold,
        break_cycles: simsync::plan::CyclePolicy::No,
        clearable: simsync::update::FieldSet::EMPTY,
        in_doubt: InDoubtPolicy::Resend,
        send: simsync::plan::SendMode::Full,
        full: false,
        resend_after_s: None,
        retry_failed: false,
        now_s: 0,
        batch,
        older_open: None,
        key: KEY_FIELD,
        tag: None,
        samples: 0,
    }
}

/// A journal whose ledger holds every row of the export as acknowledged in the first batch.
fn acknowledged(path: &Path, rules: &RuleSet, state: &Path) -> Journal {
    if state.exists() {
        std::fs::remove_dir_all(state).expect("a bench that was cut off left it");
    }
    let journal = Journal::open(&JournalOptions::new(state), "bench", "bench", 0).expect("it can be made");
    let (writer, find_run) = (journal.writer(), |_: &str| None);
    let identity =
        Identity { state_key: journal.key(), target: TARGET, key_field: KEY_FIELD, find_run: &find_run };
    let mut judge = Judge::new(rules, Some(identity));
    let mut inputs = open(path);
    let mut reader = inputs.read(Pass::Survey);
    let mut records = Vec::new();
    loop {
        let row = reader.next_row().expect("the export is sound");
        let is_over = row.is_none();
        if let Some(row) = row {
            let (place, Judged::Valid { subject, .. }) = judge.read(&row) else {
                panic!("the export is sound")
            };
            let version = Version { batch: 1, ordinal: place.ordinal };
            let facts =
                judge.facts.iter().map(|(kind, hash)| FieldFact { kind: *kind, hash: *hash, version });
            records.push(Record::Synced { subject, version, facts: facts.collect(), at_s: 1 });
        }
        if is_over || records.len() >= APPEND_ROWS {
            let (durable, is_durable) = sync_channel(1);
            let told = Box::new(move |result: Result<_, _>| durable.send(result.is_ok()).unwrap_or_default());
            writer.append(std::mem::take(&mut records), told);
            assert!(is_durable.recv().unwrap_or(false), "it is durable");
        }
        if is_over {
            break;
        }
    }
    journal.fold().expect("the disk has room");
    journal
}

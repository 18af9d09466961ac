//! Pass 1: rows per second of reading, checking, fingerprinting and planning a CSV export, held against a bare
//! `csv::ByteRecord` read of the same file. One thread for the rows, as in a run.

use std::path::Path;

use simsync::digest::StateKey;
use simsync::engine::clock::Clock;
use simsync::engine::signals::Signals;
use simsync::event::{Listener, Stamped};
use simsync::fields::{RuleOptions, RuleSet};
use simsync::input::{AheadOptions, InputOptions, Inputs, Pass};
use simsync::plan::{ConflictPolicy, DuplicatePolicy, InDoubtPolicy, NoLedger, PlanRules};
use simsync::survey::{Emitter, GatherOptions, Identity, Judge, survey};
use simsync::update::FieldKind;

mod export;
mod rounds;

use export::export;
use rounds::{Bench, Contestant, timed};

struct Nobody;

impl Listener for Nobody {
    fn on_event(&mut self, _: &Stamped) {}
}

fn main() {
    let bench = Bench::from_args("survey", 500_000);
    let path = bench.path("export.csv");
    std::fs::write(&path, export(bench.rows)).expect("the build's directory can be written");
    let rules = RuleSet::new(&RuleOptions::default()).expect("the default rules are valid");
    let contestants: Vec<Contestant<'_>> = vec![
        ("csv::ByteRecord alone", Box::new(|| timed(|| bare(&path, bench.rows)))),
        ("read: decode, split, map, block hashes", Box::new(|| timed(|| read(&path, bench.rows)))),
        ("read and check: all rules", Box::new(|| timed(|| check(&path, &rules, bench.rows)))),
        ("survey: read, check, fingerprint, plan", Box::new(|| timed(|| plan(&path, &rules, bench.rows, 1)))),
        ("the same on all cores", Box::new(|| timed(|| plan(&path, &rules, bench.rows, cores())))),
    ];
    bench.run("rows", contestants);
    std::fs::remove_file(&path).expect("it was written above");
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

fn plan(path: &Path, rules: &RuleSet, rows: u64, threads: usize) {
    let mut inputs = open(path);
    let state_key = StateKey::new(&[7; StateKey::LEN]);
    let (key_field, find_run) = (FieldKind::UserExternalId, |_: &str| None);
    let identity = Identity { state_key: &state_key, target: "bench", key_field, find_run: &find_run };
    let mut judge = Judge::new(rules, Some(identity));
    let mut nobody = Nobody;
    let mut emitter = Emitter::new(Clock::start(), &mut nobody);
    let gather = GatherOptions::default();
    let ahead = AheadOptions::new(threads);
    let surveyed = survey(&mut inputs, &mut judge, &mut emitter, &Signals::default(), &gather, ahead)
        .expect("the export is sound");
    let rules = PlanRules {
        duplicates: DuplicatePolicy::Fold,
        conflicts: ConflictPolicy::Hold,
        in_doubt: InDoubtPolicy::Resend,
        send: simsync::plan::SendMode::Full,
        full: false,
        resend_after_s: None,
        retry_failed: false,
        now_s: 0,
        batch: 1,
        key: key_field,
        tag: None,
        samples: 0,
    };
    let plan = surveyed.finish(&rules, &NoLedger, 1).expect("an empty ledger cannot fail");
    assert_eq!(plan.facts().rows.send, rows, "{:?}", plan.facts().rows);
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

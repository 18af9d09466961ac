//! `lookup` in a journal of ten million subjects, the process's start included: by the key field, and by another field.
//! Goals: under 100 ms, and under 2 s.
//!
//! `cargo bench --bench lookup -- --rows 10000000`. The state directory is built once and kept between calls.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;

use simsync::journal::{Journal, JournalOptions};
use simsync::ledger::Record;
use simsync::row::Version;
use simsync::update::{FieldFact, FieldKind};

mod rounds;

use rounds::{Bench, say, timed};

/// Acknowledgements of one append.
const APPEND_ROWS: u64 = 4_096;

const TARGET: &str = "bench";

fn main() {
    let bench = Bench::from_args("lookup", 10_000_000);
    let dir = bench.path(&format!("state-{}", bench.rows));
    if !dir.join("journal.watermark").exists() {
        say(&format!("building {} subjects of 4 fields", bench.rows));
        let took = timed(|| build(&dir, bench.rows));
        say(&format!("built in {:.1} s", took.as_secs_f64()));
    }
    let row = bench.rows / 2;
    let (key, imsi) = (key(row), imsi(row));
    bench.run(
        "subjects",
        vec![
            ("by the key field", Box::new(|| timed(|| lookup(&dir, &["--user-external-id", &key], true)))),
            ("by another field", Box::new(|| timed(|| lookup(&dir, &["--imsi", &imsi], true)))),
            (
                "by another field, not found",
                Box::new(|| timed(|| lookup(&dir, &["--imsi", "234159999999999"], false))),
            ),
        ],
    );
}

fn lookup(dir: &Path, args: &[&str], is_known: bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simsync"));
    command.arg("lookup").arg("--json").arg("--state").arg(dir).args(args).env_clear().current_dir(dir);
    let output = command.stderr(Stdio::inherit()).output().expect("the binary runs");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("an answer");
    assert_eq!(answer["found"], is_known, "{answer}");
}

fn key(row: u64) -> String {
    format!("C-{row:08}")
}

fn imsi(row: u64) -> String {
    format!("23415{row:010}")
}

fn build(dir: &Path, rows: u64) {
    let journal = Journal::open(&JournalOptions::new(dir), "bench", "bench", 0).expect("the journal opens");
    journal.set_target_key(TARGET, FieldKind::UserExternalId).expect("it is written");
    journal.record_run("bench", TARGET, 1).expect("it is written");
    let (writer, state_key) = (journal.writer(), journal.key().clone());
    let subjects = state_key.subjects(TARGET, FieldKind::UserExternalId);
    for begin in (0..rows).step_by(usize::try_from(APPEND_ROWS).unwrap_or(1)) {
        let records = (begin..(begin + APPEND_ROWS).min(rows)).map(|row| {
            let version = Version { batch: 1, ordinal: row + 1 };
            let values = [
                (FieldKind::Number, format!("+4479{row:08}")),
                (FieldKind::Imsi, imsi(row)),
                (FieldKind::UserExternalId, key(row)),
                (FieldKind::UserClass, "basic".to_owned()),
            ];
            let facts =
                values.map(|(kind, value)| FieldFact { kind, hash: state_key.field(kind, &value), version });
            Record::Synced {
                subject: subjects.id(&key(row)),
                version,
                facts: facts.to_vec(),
                at_s: 1_700_000_000,
            }
        });
        let (durable, is_durable) = sync_channel(1);
        let told = move |result: Result<(), _>| durable.send(result.is_ok()).unwrap_or_default();
        writer.append(records.collect::<Vec<_>>(), Box::new(told));
        assert!(is_durable.recv().unwrap_or(false), "it is durable");
    }
    journal.finish().expect("it is folded");
}

//! The journal alone: durable acknowledgements per second with group commit, held against a plain file that is synced
//! once per 16,384 records of about the same size.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use simsync::digest::{FieldHash, SubjectId, UpdateDigest};
use simsync::journal::{COMMIT_ROWS_MAX, Journal, JournalOptions, LOG_BYTES_MAX};
use simsync::ledger::Record;
use simsync::row::Version;
use simsync::update::{FieldFact, FieldKind, FieldSet};

mod phases;
mod rounds;

use phases::{floor, percentiles, phases_said};
use rounds::{Bench, Contestant, say, timed};

/// Records of one append, as the driver hands them over on a fast server.
const APPEND_ROWS: u64 = 128;

/// Appends on their way at once: 64 Ki records, so that commits can fill.
const APPENDS_OPEN: usize = 512;

/// Bytes of a record in the plain file.
const RECORD_BYTES: usize = 24;

/// Commits one after the other for the latency.
const COMMITS: u64 = 200;

const FIELDS: [FieldKind; 4] =
    [FieldKind::Number, FieldKind::Imei, FieldKind::Imsi, FieldKind::UserExternalId];

/// Rows a second of the paced run, each an intent and an acknowledgement.
const PACE: u64 = 200_000;

/// Appends a second of the paced run.
const PACED_APPENDS: u64 = 1_000;

/// Records of a 16-th of a second more or less do not matter to the pace; a bench that falls further behind says so.
const PACED_ROWS_MIN: u64 = PACE / 16;

fn main() {
    let bench = Bench::from_args("journal", 1_000_000);
    phases::listen();
    let contestants: Vec<Contestant<'_>> = vec![
        ("plain file, synced every 16,384 records", Box::new(|| plain(&bench.path("plain"), bench.rows))),
        ("journal: acknowledgements", Box::new(|| acknowledge(&bench.path("acks"), bench.rows, false))),
        (
            "journal: intents and acknowledgements",
            Box::new(|| acknowledge(&bench.path("both"), bench.rows, true)),
        ),
    ];
    bench.run("acknowledgements", contestants);
    // One contestant alone is asked for: to be profiled, or held against another build of itself.
    if bench.only.as_ref().is_some_and(|only| only != "paced") {
        return;
    }
    latency(&bench.path("latency"));
    let rows = bench.rows.max(PACED_ROWS_MIN) * 2;
    for log_bytes_max in [u64::MAX, LOG_BYTES_MAX / 4] {
        for _ in 0..bench.rounds {
            paced(&bench.path("paced"), rows, log_bytes_max);
            floor(&bench.path("floor"));
        }
    }
}

fn plain(path: &Path, rows: u64) -> Duration {
    let time = timed(|| {
        let mut file = File::create(path).expect("the build's directory can be written");
        let mut left = rows;
        while left > 0 {
            let group = left.min(COMMIT_ROWS_MAX as u64);
            let bytes = vec![7; usize::try_from(group).expect("a group is small") * RECORD_BYTES];
            file.write_all(&bytes).expect("the disk has room");
            file.sync_data().expect("the disk can sync");
            left -= group;
        }
    });
    std::fs::remove_file(path).expect("it was written above");
    time
}

fn open(dir: &Path) -> Journal {
    Journal::open(&JournalOptions::new(dir), "bench", "bench", 0).expect("a new journal can be made")
}

fn acknowledge(dir: &Path, rows: u64, with_intents: bool) -> Duration {
    let journal = open(dir);
    let writer = journal.writer();
    let time = timed(|| {
        let append = |records: Vec<Record>| {
            let (durable, is_durable) = sync_channel(1);
            writer.append(&records, Box::new(move |result| durable.send(result.is_ok()).unwrap_or_default()));
            is_durable
        };
        let mut open = VecDeque::new();
        let mut row = 0;
        while row < rows {
            let group = row..(row + APPEND_ROWS).min(rows);
            row = group.end;
            if with_intents {
                open.push_back(append(group.clone().map(intent).collect()));
            }
            open.push_back(append(group.map(synced).collect()));
            while open.len() > APPENDS_OPEN {
                assert!(open.pop_front().is_some_and(|one| one.recv().unwrap_or(false)), "it is durable");
            }
        }
        for one in open {
            assert!(one.recv().unwrap_or(false), "it is durable");
        }
    });
    drop(journal);
    std::fs::remove_dir_all(dir).expect("it was made above");
    time
}

/// One acknowledgement at a time, each waited for.
fn latency(dir: &Path) {
    let journal = open(dir);
    let writer = journal.writer();
    let mut ms: Vec<f64> = (0..COMMITS)
        .map(|row| {
            let time = timed(|| {
                let (durable, is_durable) = sync_channel(1);
                let told =
                    Box::new(move |result: Result<_, _>| durable.send(result.is_ok()).unwrap_or_default());
                writer.append(&[synced(row)], told);
                assert!(is_durable.recv().unwrap_or(false), "it is durable");
            });
            time.as_secs_f64() * 1e3
        })
        .collect();
    ms.sort_by(f64::total_cmp);
    say(&format!(
        "one acknowledgement, waited for: median {:.2} ms, 99th percentile {:.2} ms, worst {:.2} ms of {COMMITS}",
        rounds::median(&ms),
        ms[ms.len() * 99 / 100],
        ms[ms.len() - 1],
    ));
    drop(journal);
    std::fs::remove_dir_all(dir).expect("it was made above");
}

/// Rows at a steady pace, as a rate limit hands them out: how long each append waits for its commit.
fn paced(dir: &Path, rows: u64, log_bytes_max: u64) {
    let options = JournalOptions { log_bytes_max, ..JournalOptions::new(dir) };
    let journal = Journal::open(&options, "bench", "bench", 0).expect("a new journal can be made");
    let writer = journal.writer();
    let (told, times) = std::sync::mpsc::channel();
    let appends = rows.div_ceil(PACE / PACED_APPENDS);
    phases::forget();
    #[expect(clippy::disallowed_methods, reason = "a bench is about nothing but the clock")]
    let began = Instant::now();
    for append in 0..appends {
        let due = Duration::from_nanos(append * 1_000_000_000 / PACED_APPENDS);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let first = append * (PACE / PACED_APPENDS);
        let rows = first..first + PACE / PACED_APPENDS;
        for records in [rows.clone().map(intent).collect(), rows.map(synced).collect::<Vec<_>>()] {
            let (told, asked) = (told.clone(), began.elapsed());
            let on_durable = move |result: Result<_, _>| {
                assert!(result.is_ok(), "it is durable");
                told.send(began.elapsed().saturating_sub(asked)).unwrap_or_default();
            };
            writer.append(&records, Box::new(on_durable));
        }
    }
    drop(told);
    let ms: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    let pace = rows as f64 / began.elapsed().as_secs_f64();
    say(&format!("paced at {PACE} rows/s, {pace:.0} rows/s reached"));
    say(&format!("  an acknowledgement, from its append on: {}", percentiles(ms)));
    phases_said();
    let report = journal.finish().expect("it finishes");
    phases::forget();
    say(&format!("  {} folds meanwhile", report.folds));
    std::fs::remove_dir_all(dir).expect("it was made above");
}

/// Subjects as hashes are: spread over the whole range.
fn subject(row: u64) -> SubjectId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&row.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&row.wrapping_mul(0xd6e8_feb8_6659_fd93).to_be_bytes());
    SubjectId(id)
}

fn intent(row: u64) -> Record {
    Record::Intent {
        subject: subject(row),
        version: Version { batch: 1, ordinal: row + 1 },
        fields: FIELDS.into_iter().collect::<FieldSet>(),
        digest: UpdateDigest(row),
    }
}

fn synced(row: u64) -> Record {
    let version = Version { batch: 1, ordinal: row + 1 };
    let facts = FIELDS.into_iter().map(|kind| FieldFact { kind, hash: FieldHash(row), version }).collect();
    Record::Synced { subject: subject(row), version, facts, at_s: 0 }
}

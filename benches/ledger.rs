//! The journal at a national operator's size: what ten million subjects of four fields take on disk, how long they
//! take to scan, to look up, and to open after a kill, and how much memory a fold of a large log takes.
//!
//! Each stage is a process of its own, so that its memory is its own: `cargo bench --bench ledger -- --rows 10000000`.

use std::collections::VecDeque;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use simsync::digest::{FieldHash, SubjectId, UpdateDigest};
use simsync::journal::{Journal, JournalOptions, LOG_BYTES_MAX, LedgerScan};
use simsync::ledger::Record;
use simsync::row::Version;
use simsync::update::{FieldFact, FieldKind, FieldSet};

#[expect(dead_code, reason = "no contestants take turns here")]
mod rounds;

use rounds::{Bench, say, timed};

const FIELDS: [FieldKind; 4] =
    [FieldKind::Number, FieldKind::Imei, FieldKind::Imsi, FieldKind::UserExternalId];

/// Rows of one append, as the driver hands them over.
const APPEND_ROWS: u64 = 512;

/// Appends on their way at once.
const APPENDS_OPEN: usize = 64;

/// Bytes of log that an intent and its acknowledgement take, about.
const ROW_BYTES: u64 = 103;

/// Threads of the parallel scan.
const THREADS: u8 = 4;

/// Subjects looked up.
const LOOKUPS: u64 = 1000;

fn main() {
    let bench = Bench::from_args("ledger", 10_000_000);
    let dir = bench.path("state");
    let args: Vec<String> = std::env::args().collect();
    let stage = args.iter().position(|arg| arg == "--stage").and_then(|at| args.get(at + 1));
    match stage.map(String::as_str) {
        None => all(&dir, bench.rows),
        Some("fill") => fill(&dir, bench.rows),
        Some("again") => fill_again(&dir, bench.rows),
        Some("scan") => scan(&dir),
        Some("lookup") => lookup(&dir, bench.rows),
        Some("die") => die(&dir, bench.rows),
        Some("recover") => recover(&dir),
        Some("large") => large_fold(&dir, bench.rows),
        Some(other) => say(&format!("no stage {other}")),
    }
}

fn all(dir: &Path, rows: u64) {
    if dir.exists() {
        std::fs::remove_dir_all(dir).expect("it is the bench's own");
    }
    say(&format!("{rows} subjects of {} fields", FIELDS.len()));
    for stage in ["fill", "scan", "lookup", "again", "die", "recover", "large"] {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"));
        let child = child.args(["--stage", stage, "--rows", &rows.to_string()]);
        if stage != "die" {
            assert!(child.status().expect("it can be started again").success(), "{stage}");
            continue;
        }
        let mut child = child.stdout(Stdio::piped()).spawn().expect("it can be started again");
        let mut byte = [0];
        child.stdout.as_mut().expect("it is piped").read_exact(&mut byte).expect("it says when");
        child.kill().expect("it can be killed");
        child.wait().expect("it can be waited for");
        say(&format!("killed with a log of {} MiB: {}", LOG_BYTES_MAX >> 20, sizes(dir)));
    }
    std::fs::remove_dir_all(dir).expect("it is the bench's own");
}

fn open(dir: &Path, log_bytes_max: u64) -> Journal {
    let options = JournalOptions { log_bytes_max, ..JournalOptions::new(dir) };
    Journal::open(&options, "bench", "bench", 0).expect("the journal opens")
}

/// Appends intents and acknowledgements of these rows, of a batch.
fn append(journal: &Journal, rows: std::ops::Range<u64>, batch: u64) {
    let writer = journal.writer();
    let mut open: VecDeque<Receiver<bool>> = VecDeque::new();
    let mut append = |records: Vec<Record>| {
        let (durable, is_durable) = sync_channel(1);
        writer.append(records, Box::new(move |result| durable.send(result.is_ok()).unwrap_or_default()));
        open.push_back(is_durable);
        while open.len() > APPENDS_OPEN {
            assert!(open.pop_front().is_some_and(|one| one.recv().unwrap_or(false)), "it is durable");
        }
    };
    let mut row = rows.start;
    while row < rows.end {
        let group = row..(row + APPEND_ROWS).min(rows.end);
        row = group.end;
        append(group.clone().map(|row| intent(row, batch)).collect());
        append(group.map(|row| synced(row, batch)).collect());
    }
    for one in open {
        assert!(one.recv().unwrap_or(false), "it is durable");
    }
}

fn fill(dir: &Path, rows: u64) {
    run(dir, rows, 1);
}

fn fill_again(dir: &Path, rows: u64) {
    run(dir, rows, 2);
}

fn run(dir: &Path, rows: u64, batch: u64) {
    let journal = open(dir, LOG_BYTES_MAX);
    let appended = timed(|| append(&journal, 0..rows, batch)).as_secs_f64();
    let mut report = None;
    let finished = timed(|| report = journal.finish().ok()).as_secs_f64();
    let report = report.expect("the last fold works");
    say(&format!(
        "run {batch}: {:.0} rows/s with {} folds meanwhile, finished in {finished:.2} s; {}; {}",
        rows as f64 / appended,
        report.folds,
        memory(),
        sizes(dir),
    ));
}

fn scan(dir: &Path) {
    let journal = open(dir, LOG_BYTES_MAX);
    let entries = journal.ledger_entries();
    let per_entry = |seconds: f64| seconds * 1e6 / entries as f64;
    let count = |scan: LedgerScan| scan.inspect(|entry| assert!(entry.is_ok(), "it is sound")).count() as u64;
    let subjects = timed(|| {
        let mut scan = journal.ledger().expect("it opens");
        let mut seen = 0;
        while scan.next_subject().expect("it is sound").is_some() {
            seen += 1;
        }
        assert_eq!(seen, entries);
    });
    let one = timed(|| assert_eq!(count(journal.ledger().expect("it opens")), entries));
    let many = timed(|| {
        let seen: u64 = std::thread::scope(|scope| {
            let slice = |thread: u8| {
                let border = |thread: u8| {
                    let mut id = [0; 16];
                    id[0] = thread * (u8::MAX / THREADS + 1);
                    SubjectId(id)
                };
                let to = (thread + 1 < THREADS).then(|| border(thread + 1));
                journal.ledger_range(border(thread), to).expect("it opens")
            };
            let threads: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || count(slice(thread)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
        });
        assert_eq!(seen, entries);
    });
    say(&format!(
        "scan of {entries} entries: subjects alone {:.2} s ({:.3} us each), decoded {:.2} s ({:.3} us each), by {THREADS} threads {:.2} s; {}",
        subjects.as_secs_f64(),
        per_entry(subjects.as_secs_f64()),
        one.as_secs_f64(),
        per_entry(one.as_secs_f64()),
        many.as_secs_f64(),
        memory(),
    ));
}

fn lookup(dir: &Path, rows: u64) {
    let journal = open(dir, LOG_BYTES_MAX);
    let time = timed(|| {
        for one in 0..LOOKUPS {
            let found = journal.lookup(subject(one * (rows / LOOKUPS).max(1))).expect("it is sound");
            assert_eq!(found.is_some(), one * (rows / LOOKUPS).max(1) < rows);
        }
    });
    say(&format!("lookup by the key field: {:.3} ms", time.as_secs_f64() * 1e3 / LOOKUPS as f64));
}

fn die(dir: &Path, rows: u64) {
    let journal = open(dir, u64::MAX);
    append(&journal, 0..rows.min(LOG_BYTES_MAX / ROW_BYTES), 3);
    say(".");
    std::thread::park();
}

fn recover(dir: &Path) {
    let mut journal = None;
    let time = timed(|| journal = Some(open(dir, LOG_BYTES_MAX)));
    let journal = journal.expect("it was opened");
    say(&format!(
        "opened after the kill in {:.2} s, {:?}; {}",
        time.as_secs_f64(),
        journal.recovered(),
        memory()
    ));
    let time = timed(|| drop(journal));
    say(&format!("closed in {:.2} s; {}", time.as_secs_f64(), sizes(dir)));
}

fn large_fold(dir: &Path, rows: u64) {
    let journal = open(dir, u64::MAX);
    append(&journal, 0..rows, 4);
    let before = memory();
    let time = timed(|| journal.finish().map(drop).expect("it folds"));
    say(&format!(
        "fold of a log of {} MiB: {:.2} s; {before} before, {} after; {}",
        (rows * ROW_BYTES) >> 20,
        time.as_secs_f64(),
        memory(),
        sizes(dir)
    ));
}

/// Peak memory of this process.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim();
    format!("peak memory {peak}")
}

/// Bytes on the disk, file by file.
fn sizes(dir: &Path) -> String {
    let mut found = Vec::new();
    for below in [dir.to_owned(), dir.join("journal")] {
        for entry in std::fs::read_dir(below).expect("the directory is there").flatten() {
            let meta = entry.metadata().expect("the file is there");
            if meta.is_file() && meta.len() > 100_000 {
                let mib = std::os::unix::fs::MetadataExt::blocks(&meta) >> 11;
                found.push(format!("{} {mib} MiB", entry.file_name().to_string_lossy()));
            }
        }
    }
    found.sort();
    found.join(", ")
}

/// Subjects as hashes are: spread over the whole range.
fn subject(row: u64) -> SubjectId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&row.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id[8..].copy_from_slice(&row.wrapping_mul(0xd6e8_feb8_6659_fd93).to_be_bytes());
    SubjectId(id)
}

fn intent(row: u64, batch: u64) -> Record {
    Record::Intent {
        subject: subject(row),
        version: Version { batch, ordinal: row + 1 },
        fields: FIELDS.into_iter().collect::<FieldSet>(),
        digest: UpdateDigest(row),
    }
}

fn synced(row: u64, batch: u64) -> Record {
    let version = Version { batch, ordinal: row + 1 };
    let facts = FIELDS.into_iter().map(|kind| FieldFact { kind, hash: FieldHash(row), version }).collect();
    Record::Synced { subject: subject(row), version, facts, at_s: 1_800_000_000 }
}

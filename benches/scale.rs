//! What the real binary takes of memory, time and disk with as many rows as a national operator has, each figure with
//! its goal: a first sync to a server that does nothing, the next night's plan when nothing has changed, and the plan
//! of a first export.
//!
//! `cargo bench --bench scale -- --rows 10000000`, with `--only sync` (`night`, `disk`, `first`, `four`, `shared`)
//! for one of them. `--only four --rows 100000000` writes an export of 5.5 GB and temporary files of 11 GB, `--only
//! first` twice as much. Beside it: `--bench ledger` for the opening after a kill, `--bench lookup` for lookups.

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

mod export;
#[expect(dead_code, reason = "processes do not take turns here, but for the plan and the bare reader")]
mod rounds;
mod server;

use export::write_export;
use rounds::{Bench, median, say, timed};
use server::serve;

/// Time between two looks at a process. Its peak only grows, so that nothing but what its last moments add can be
/// missed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Rounds of the unchanged night, after one that fills caches.
const ROUNDS: usize = 3;

/// Memory of a sync, and of a plan of at most [`FIRST_ROWS`] rows.
const SYNC_MIB: u64 = 128;

/// Rows up to which a plan may take [`SYNC_MIB`].
const FIRST_ROWS: u64 = 10_000_000;

/// Memory of a plan of more rows.
const FIRST_MIB: u64 = 256;

/// Disk of the journal with [`FIRST_ROWS`] subjects of four fields; in proportion for fewer.
const DISK_MIB: u64 = 1_024;

/// What the journal may take however few the subjects are.
const DISK_MIB_MIN: u64 = 32;

/// Of an unchanged night on [`GOAL_CORES`].
const NIGHT_ROWS_PER_S: f64 = 2_000_000.0;

/// Cores of the machine that the goals are for.
const GOAL_CORES: usize = 4;

/// The same as a share of a bare read of the same file.
const NIGHT_RATIO: f64 = 0.35;

/// A figure by its name.
type Figure = (&'static str, fn(&Bench));

fn main() {
    let bench = Bench::from_args("scale", 200_000);
    bench.headline();
    let figures: [Figure; 6] = [
        ("sync", sync),
        ("night", night),
        ("disk", disk),
        ("first", first),
        ("four", four),
        ("shared", shared),
    ];
    for (name, figure) in figures {
        if bench.only.as_deref().is_none_or(|only| name.contains(only)) {
            say(&format!("{name}: load {}", load()));
            figure(&bench);
        }
    }
}

/// The first sync of an export, everything to be sent.
fn sync(bench: &Bench) {
    let (input, state) = (exported(bench, "wide.csv", write_export), fresh(bench, "sync-state"));
    let url = format!("http://{}/api/v1/device_app_user_update/", serve());
    let args = ["--rate", "unlimited", "--api-url", &url];
    let (peak_kib, time) = watched(simsync(&["sync"], &args, &state, &input));
    say(&format!("  {:.0} rows/s, {:.1} s", rate(bench.rows, time), time.as_secs_f64()));
    goal("memory of a sync", peak_kib >> 10, SYNC_MIB, "MiB");
    remove(&state);
}

/// The plan of an export that was applied before, held against a bare read in the same round.
fn night(bench: &Bench) {
    let (input, state) = (exported(bench, "wide.csv", write_export), fresh(bench, "night-state"));
    let (peak_kib, time) = watched(simsync(&["journal", "adopt"], &[], &state, &input));
    say(&format!("  adopted at {:.0} rows/s, peak {} MiB", rate(bench.rows, time), peak_kib >> 10));
    let (mut rates, mut ratios, mut peak_kib) = (Vec::new(), Vec::new(), 0);
    for round in 0..=ROUNDS {
        let bare = timed(|| bare(&input, bench.rows));
        let (kib, time) = watched(simsync(&["plan"], &[], &state, &input));
        if round > 0 {
            rates.push(rate(bench.rows, time));
            ratios.push(bare.as_secs_f64() / time.as_secs_f64());
            peak_kib = peak_kib.max(kib);
        }
        say(&format!("  bare {:.2} s, plan {:.2} s", bare.as_secs_f64(), time.as_secs_f64()));
    }
    say(&format!(
        "  {GOAL_CORES} bare readers at once do what {:.1} do alone",
        cores_worth(&input, bench.rows)
    ));
    at_least("rows/s of an unchanged night", median(&rates), NIGHT_ROWS_PER_S);
    at_least("as a share of a bare csv::ByteRecord read", median(&ratios), NIGHT_RATIO);
    goal("memory of an unchanged night", peak_kib >> 10, SYNC_MIB, "MiB");
    remove(&state);
}

/// What the processors are worth when all of them work: the goal is for four cores, and four hyperthreads of two cores,
/// or four processors of a shared host, do less.
fn cores_worth(input: &Path, rows: u64) -> f64 {
    let worth: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let alone = timed(|| bare(input, rows));
            let together = timed(|| {
                std::thread::scope(|scope| {
                    (0..GOAL_CORES).for_each(|_| drop(scope.spawn(|| bare(input, rows))))
                });
            });
            GOAL_CORES as f64 * alone.as_secs_f64() / together.as_secs_f64()
        })
        .collect();
    median(&worth)
}

/// What the journal takes once four fields of every subject are known and everything is folded.
fn disk(bench: &Bench) {
    let (input, state) = (exported(bench, "narrow.csv", write_narrow), fresh(bench, "disk-state"));
    watched(simsync(&["journal", "adopt"], &[], &state, &input));
    let mib = allocated(&state) >> 20;
    goal("disk of the journal", mib, (DISK_MIB * bench.rows / FIRST_ROWS).max(DISK_MIB_MIN), "MiB");
    remove(&state);
    std::fs::remove_file(input).expect("it was written above");
}

/// The plan of a first export: everything to be sent.
fn first(bench: &Bench) {
    plan_of(bench, "wide.csv", write_export, "memory of a first plan");
}

/// The same with four columns, and so half of the disk.
fn four(bench: &Bench) {
    plan_of(bench, "narrow.csv", write_narrow, "memory of a first plan of four columns");
}

/// The same where all subjects have one number.
fn shared(bench: &Bench) {
    plan_of(bench, "shared.csv", write_shared, "memory of a plan in which all conflict");
}

fn plan_of(bench: &Bench, name: &str, write: fn(&Path, u64) -> io::Result<()>, what: &str) {
    let (input, state) = (exported(bench, name, write), fresh(bench, "first-state"));
    // One IMEI in a million rows comes again, which is more often than the gate's 50 with a hundred million of them.
    let (peak_kib, time) = watched(simsync(&["plan"], &["--yes"], &state, &input));
    say(&format!("  {:.0} rows/s, {:.1} s", rate(bench.rows, time), time.as_secs_f64()));
    let goal_mib = if bench.rows > FIRST_ROWS { FIRST_MIB } else { SYNC_MIB };
    goal(what, peak_kib >> 10, goal_mib, "MiB");
    remove(&state);
}

fn simsync(command: &[&str], args: &[&str], state: &Path, input: &Path) -> Command {
    let mut child = Command::new(env!("CARGO_BIN_EXE_simsync"));
    child.args(command).arg("-q").args(args).arg("--state").arg(state).arg(input);
    child.env_clear().env("SIMSYNC_TOKEN", "bench").env("SIMSYNC_API_TARGET", "bench");
    if !args.contains(&"--api-url") {
        child.args(["--api-url", "http://127.0.0.1:9/api/v1/device_app_user_update/"]);
    }
    child.stdin(Stdio::null()).stdout(Stdio::null());
    child
}

/// Runs it to its end: its peak of memory in KiB, and how long it took.
fn watched(mut command: Command) -> (u64, Duration) {
    let mut peak_kib = 0;
    let time = timed(|| {
        let mut child = command.spawn().expect("the binary is built");
        loop {
            peak_kib = peak_kib.max(peak(&child));
            if let Some(status) = child.try_wait().expect("it is our child") {
                // 3: a plan that has something to say about rows.
                assert!(matches!(status.code(), Some(0 | 3)), "{command:?}: {status}");
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    });
    (peak_kib, time)
}

/// `VmHWM` of a process in KiB; 0 once it has ended.
fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
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

/// The export of so many rows, written unless an earlier figure did.
fn exported(bench: &Bench, name: &str, write: fn(&Path, u64) -> io::Result<()>) -> PathBuf {
    let path = bench.path(&format!("{}-{name}", bench.rows));
    if !path.exists() {
        let part = path.with_extension("part");
        write(&part, bench.rows).expect("the build's directory can be written");
        std::fs::rename(&part, &path).expect("it was written above");
    }
    path
}

/// An export with four mapped columns and nothing else.
fn write_narrow(path: &Path, rows: u64) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(b"Record ID,Mobile Phone,IMSI,Tier\n")?;
    for row in 0..rows {
        let (million, rest) = (row / 1_000_000 % 100, row % 1_000_000);
        writeln!(out, "0035g00000{row:08},+4479{million:02}{rest:06},23415{row:010},basic")?;
    }
    out.flush()
}

/// An export in which one number belongs to everybody.
fn write_shared(path: &Path, rows: u64) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(b"Record ID,Mobile Phone,IMSI,Tier\n")?;
    for row in 0..rows {
        writeln!(out, "0035g00000{row:08},+447900000000,23415{row:010},basic")?;
    }
    out.flush()
}

/// A state directory that is not there yet.
fn fresh(bench: &Bench, name: &str) -> PathBuf {
    let path = bench.path(name);
    remove(&path);
    path
}

fn remove(dir: &Path) {
    if dir.exists() {
        std::fs::remove_dir_all(dir).expect("it is the bench's own");
    }
}

/// Bytes that files below a directory have on the disk; the runs' reports are counted too.
fn allocated(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("the directory is there").flatten();
    let blocks = |meta: &Metadata| meta.blocks() * 512;
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => allocated(&entry.path()),
        Ok(meta) => blocks(&meta),
        Err(_) => 0,
    });
    sizes.sum()
}

fn rate(rows: u64, time: Duration) -> f64 {
    rows as f64 / time.as_secs_f64()
}

fn goal(what: &str, found: u64, most: u64, unit: &str) {
    let verdict = if found <= most { "met" } else { "MISSED" };
    say(&format!("{what:<44} {found:>12} {unit}   goal at most {most} {unit}: {verdict}"));
}

fn at_least(what: &str, found: f64, least: f64) {
    let verdict = if found >= least { "met" } else { "MISSED" };
    say(&format!("{what:<44} {found:>12.2}   goal at least {least}: {verdict}"));
}

/// What else the machine does.
fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

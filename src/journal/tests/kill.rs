//! SIGKILL at any instant: what was acknowledged is there afterwards.
//!
//! The test starts itself again as a child that appends and prints what was acknowledged, and kills it; the next
//! round goes on in the same directory.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::*;

const DIR_VARIABLE: &str = "SIMSYNC_TEST_KILL_DIR";
const FIRST_VARIABLE: &str = "SIMSYNC_TEST_KILL_FIRST";

/// Appends in flight in the child.
const IN_FLIGHT: u64 = 32;

fn say(text: &str) {
    // Not println: the line must be in the pipe when this returns, whole.
    std::io::stdout().write_all(format!("\n{text}\n").as_bytes()).unwrap();
    std::io::stdout().flush().unwrap();
}

/// The child. Run as a test of its own it does nothing.
#[test]
fn child() {
    let (Ok(dir), Ok(first)) = (std::env::var(DIR_VARIABLE), std::env::var(FIRST_VARIABLE)) else { return };
    say("opening");
    // Small, so that children are killed in the middle of folds too.
    let options = JournalOptions { log_bytes_max: 2000, ..JournalOptions::new(dir) };
    let journal = Journal::open(&options, "run-1", "host-1", 1_700_000_000).unwrap();
    let writer = journal.writer();
    let (tell, told) = mpsc::channel();
    let first: u64 = first.parse().unwrap();
    for number in first.. {
        let tell = tell.clone();
        let on_durable = Box::new(move |result: Result<(), _>| {
            result.unwrap();
            say(&format!("acked {number}"));
            tell.send(()).unwrap();
        });
        writer.append(&[intent(number), synced(number)], on_durable);
        if number >= first + IN_FLIGHT {
            told.recv().unwrap();
        }
    }
}

fn start(dir: &Path, first: u64) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["journal::tests::kill::child", "--exact", "--nocapture"])
        .env(DIR_VARIABLE, dir)
        .env(FIRST_VARIABLE, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn kill_after(lines_wanted: usize, pause_ms: u64, dir: &Path, first: u64) -> Vec<u64> {
    let (mut child, mut output) = start(dir, first);
    let mut lines = Vec::new();
    let mut line = String::new();
    while lines.len() < lines_wanted && output.read_line(&mut line).unwrap() > 0 {
        if line.starts_with("opening") || line.starts_with("acked") {
            lines.push(line.clone());
        }
        line.clear();
    }
    std::thread::sleep(Duration::from_millis(pause_ms));
    child.kill().unwrap();
    child.wait().unwrap();
    // What was said between the last line read and the kill counts too; a torn last line does not.
    lines.extend(output.lines().map(|line| line.unwrap() + "\n"));
    lines.iter().filter_map(|line| line.trim_end().strip_prefix("acked ")?.parse().ok()).collect()
}

#[test]
fn every_acknowledged_record_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut next = 1;
    for round in 0..12_usize {
        // Two rounds of three die in the middle of appending, one while it opens and recovers.
        let (lines, pause_ms) = if round % 3 == 2 { (1, round as u64) } else { (2 + 37 * round, 0) };
        let acked = kill_after(lines, pause_ms, dir.path(), next);
        acknowledged.extend(acked.iter().copied());
        next = acknowledged.last().unwrap_or(&0) + IN_FLIGHT + 2;
        if round % 2 == 0 {
            let journal = open(dir.path()).unwrap();
            let found: BTreeSet<u64> = acked_numbers(&journal).into_iter().collect();
            let missing: Vec<_> = acknowledged.difference(&found).collect();
            assert!(missing.is_empty(), "round {round}: {missing:?}");
            if round % 4 == 0 {
                journal.finish().unwrap();
            }
        }
    }
    let found: BTreeSet<u64> = acked_numbers(&open(dir.path()).unwrap()).into_iter().collect();
    assert!(acknowledged.is_subset(&found));
    assert!(acknowledged.len() > 100, "the children were killed before they did anything");
}

//! SIGKILL under `each` with few subjects and many rows of each, so that many intents of one subject are open: the
//! resume sends, in order, exactly the rows whose acknowledgement was not committed.
//!
//! Not here: many subjects with few rows (`resume.rs`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use simsync::sandbox::Faults;

use crate::support::{Workspace, finish};
use crate::witness::{committed, frozen_after, kill_9, number, wait_for};

/// Rows of each subject.
const ROUNDS: u32 = 70;

/// The subjects, which take turns.
const SUBJECTS: u32 = 2;

const ALL: u64 = (ROUNDS * SUBJECTS) as u64;

fn key(serial: u32) -> String {
    format!("C-{serial:06}")
}

fn export() -> String {
    let mut text = String::from("crm id,mobile,tier\n");
    for round in 0..ROUNDS {
        for serial in 0..SUBJECTS {
            writeln!(text, "{},{},t{round}", key(serial), number(serial)).unwrap();
        }
    }
    text
}

/// The rows of a subject that came to the sandbox after a request, each by its round.
fn rounds_after(ws: &Workspace, serial: u32, seq: u64) -> Vec<u32> {
    let later = ws.history(&key(serial)).into_iter().filter(|request| request.seq > seq);
    later.map(|request| request.fields["user_class"].as_ref().unwrap()[1..].parse().unwrap()).collect()
}

/// Rounds whose acknowledgement was committed, by subject: all before this one, as a subject's rows go in order.
fn rounds_committed(ws: &Workspace) -> Vec<u32> {
    wait_for("the sandbox's connections to close", || {
        let stats = ws.sandbox.stats();
        stats.connections_open == 0 && stats.in_flight == 0
    });
    let acked: BTreeMap<String, u64> = committed(ws, (0..SUBJECTS).map(key));
    let rounds = |serial: u32| {
        let ordinal = acked.get(&key(serial)).copied().unwrap_or(0);
        u32::try_from(ordinal.div_ceil(u64::from(SUBJECTS))).unwrap()
    };
    (0..SUBJECTS).map(rounds).collect()
}

/// `simsync sync`, unlimited unless the arguments say otherwise.
fn command(ws: &Workspace, args: &[&str]) -> Command {
    if !args.contains(&"--rate") {
        return ws.sync_command(args);
    }
    let url = ws.sandbox.url();
    ws.command(&[&["sync", "--api-url", &url, "--json"], args].concat())
}

/// Runs with these faults until the sandbox has seen so many more requests, and kills it.
fn killed_after(ws: &Workspace, args: &[&str], faults: Faults, requests: u64) -> (u64, Vec<u32>) {
    let before = ws.sandbox.stats().requests;
    ws.fault(faults);
    let mut run = command(ws, args).spawn().unwrap();
    ws.wait_for_requests(before + requests);
    kill_9(&mut run);
    ws.fault(Faults::default());
    let committed = rounds_committed(ws);
    (ws.sandbox.stats().requests, committed)
}

/// The resume sends what is left, in order, and all ends as the last rows say.
#[track_caller]
fn check_resume(ws: &Workspace, args: &[&str], seq: u64, committed: &[u32]) {
    let resumed = finish(command(ws, args)).expect(0).expect_books();
    assert_eq!(resumed.summary()["resumed"], true);
    let settled: u32 = committed.iter().sum();
    assert_eq!((resumed.rows("unchanged"), resumed.rows("superseded")), (u64::from(settled), 0));
    assert_eq!(resumed.rows("synced"), ALL - u64::from(settled));
    for (serial, first) in (0..).zip(committed) {
        assert_eq!(rounds_after(ws, serial, seq), (*first..ROUNDS).collect::<Vec<u32>>(), "{}", key(serial));
        let last = format!("t{}", ROUNDS - 1);
        assert_eq!(ws.at_server(&key(serial), "user_class"), Some(last));
        let mut all = rounds_after(ws, serial, 0);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, (0..ROUNDS).collect::<Vec<u32>>(), "each row of {} came", key(serial));
    }
}

fn killed_and_resumed(args: &[&str], requests: u64) {
    let ws = Workspace::new();
    ws.write("export.csv", export());
    // The last request is seen and not answered, so that the run cannot come to its end.
    let (seq, committed) = killed_after(&ws, args, frozen_after(requests - 1), requests);
    check_resume(&ws, args, seq, &committed);
}

const EACH: [&str; 3] = ["export.csv", "--duplicates", "each"];

#[test]
fn killed_with_the_first_request() {
    killed_and_resumed(&EACH, 1);
}

#[test]
fn killed_when_a_few_were_acknowledged() {
    killed_and_resumed(&EACH, 12);
}

#[test]
fn killed_in_the_middle() {
    killed_and_resumed(&EACH, 61);
}

#[test]
fn killed_near_the_end() {
    killed_and_resumed(&EACH, 131);
}

#[test]
fn killed_with_the_last_request() {
    killed_and_resumed(&EACH, 140);
}

#[test]
fn killed_at_a_low_rate() {
    killed_and_resumed(&[&EACH[..], &["--rate", "60/s"]].concat(), 50);
}

#[test]
fn killed_in_a_full_run() {
    killed_and_resumed(&[&EACH[..], &["--full"]].concat(), 75);
}

#[test]
fn killed_again_and_again() {
    let ws = Workspace::new();
    ws.write("export.csv", export());
    let mut before: Option<(u64, Vec<u32>)> = None;
    for requests in [31, 2, 40, 1, 25] {
        let after = killed_after(&ws, &EACH, frozen_after(requests - 1), requests);
        if let Some((seq, committed)) = before {
            for (serial, (first, now)) in (0..).zip(committed.iter().zip(&after.1)) {
                assert!(first <= now, "nothing committed is forgotten");
                let sent = rounds_after(&ws, serial, seq);
                let end = first + u32::try_from(sent.len()).unwrap();
                assert_eq!(sent, (*first..end).collect::<Vec<u32>>(), "{}", key(serial));
            }
        }
        before = Some(after);
    }
    let (seq, committed) = before.unwrap();
    check_resume(&ws, &EACH, seq, &committed);
}

#[test]
fn killed_after_a_row_was_refused_and_others_of_its_subject_were_acknowledged() {
    let ws = Workspace::new();
    ws.write("export.csv", export());
    let refusing = |faults: Faults| Faults { refused_values: ["t5".to_owned()].into(), ..faults };
    let (seq, committed) = killed_after(&ws, &EACH, refusing(frozen_after(70)), 71);
    assert!(committed.iter().all(|rounds| *rounds > 6), "killed too early for the test: {committed:?}");
    ws.fault(refusing(Faults::default()));
    let resumed = ws.sync(&EACH).expect(3).expect_books();
    // The refused rows are overtaken by what was acknowledged since, and nothing else is.
    assert_eq!((resumed.rows("superseded"), resumed.rows("failed")), (2, 0));
    for (serial, first) in (0..).zip(committed) {
        assert_eq!(rounds_after(&ws, serial, seq), (first..ROUNDS).collect::<Vec<u32>>());
        assert_eq!(ws.at_server(&key(serial), "user_class"), Some(format!("t{}", ROUNDS - 1)));
    }
}

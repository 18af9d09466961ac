//! SIGKILL at any instant of a run of 5,000 rows, and signals that ask politely: what was committed is not sent again,
//! what was not is sent, and what may be sent twice is named and bounded (promise 2).
//!
//! Not here: what changes between a run and its resume (`resume.rs`), random instants by the hundred
//! (`tests/kill_campaign`).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use simsync::sandbox::Faults;

use crate::support::{Workspace, finished, ran};
use crate::witness::{Aftermath, Export, ROWS, check_finals, frozen_after, kill_9, wait_for, window};

/// Kills a run of the export once the sandbox has seen so many requests, out of live traffic; the run cannot come to
/// its end before.
fn killed_at(ws: &Workspace, requests: u64, args: &[&str]) {
    ws.sandbox.set_faults(frozen_after(requests + 2 * u64::try_from(window()).unwrap())).unwrap();
    let before = ws.sandbox.stats().requests;
    let mut run = ws.sync_in_background(args);
    ws.wait_for_requests(before + requests);
    kill_9(&mut run);
    ws.sandbox.set_faults(Faults::default()).unwrap();
}

fn killed_and_resumed_at(requests: u64) {
    let (ws, export) = (Workspace::new(), Export::new(ROWS));
    ws.write("export.csv", &export.text);
    killed_at(&ws, requests, &["export.csv"]);
    let aftermath = Aftermath::of(&ws, &export.finals);
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
    assert_eq!(resumed.summary()["resumed"], true);
    let again = ws.sync(&["export.csv"]).expect(3).expect_books();
    assert_eq!(again.summary()["attempts"], 0, "nothing is left to send");
}

#[test]
fn killed_with_the_first_request() {
    killed_and_resumed_at(1);
}

#[test]
fn killed_during_the_first_commits() {
    killed_and_resumed_at(100);
}

#[test]
fn killed_in_the_middle() {
    killed_and_resumed_at(2_400);
}

#[test]
fn killed_near_the_end() {
    // 5,000 rows are 4,750 updates.
    killed_and_resumed_at(4_740);
}

#[test]
fn killed_before_the_first_request() {
    let (ws, export) = (Workspace::new(), Export::new(ROWS));
    ws.write("export.csv", &export.text);
    let state = ws.path("simsync-state");
    // Each of these comes later than the one before: a lock, a journal half made, a run that surveys.
    for step in ["lock", "journal.key", "journal.watermark", "journal/db", "runs"] {
        let mut run = ws.sync_in_background(&["export.csv"]);
        wait_for(step, || state.join(step).exists());
        run.kill().unwrap();
        run.wait().unwrap();
        Aftermath::of(&ws, &export.finals).check();
    }
    let aftermath = Aftermath::of(&ws, &export.finals);
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
}

#[test]
fn killed_again_and_again() {
    let (ws, export) = (Workspace::new(), Export::new(ROWS));
    ws.write("export.csv", &export.text);
    let mut before: Option<Aftermath> = None;
    for requests in [700, 3, 900, 1, 64, 800] {
        killed_at(&ws, requests, &["export.csv"]);
        let aftermath = Aftermath::of(&ws, &export.finals);
        aftermath.check();
        if let Some(before) = before {
            before.check_resends(&ws);
            assert!(before.acked.is_subset(&aftermath.acked), "nothing committed is forgotten");
        }
        before = Some(aftermath);
    }
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    before.unwrap().check_resume(&ws, &export, &resumed);
}

#[test]
fn killed_while_the_server_fails_half_of_the_time() {
    let (ws, export) = (Workspace::new(), Export::new(2_000));
    ws.write("export.csv", &export.text);
    let mut faults = frozen_after(1_500);
    faults.shares.error_500_after = 0.2;
    faults.shares.reset_after = 0.1;
    faults.shares.error_500_before = 0.2;
    ws.sandbox.set_faults(faults).unwrap();
    let mut run = ws.sync_in_background(&["export.csv"]);
    ws.wait_for_requests(900);
    kill_9(&mut run);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    for key in aftermath.applied.keys() {
        assert!(aftermath.acked.contains(key) || aftermath.in_doubt.contains(key), "{key} is not named");
    }
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    for request in aftermath.later(&ws) {
        let key = request.subject.unwrap();
        assert!(!aftermath.acked.contains(&key), "{key} was committed, and is sent again");
    }
    assert_eq!(resumed.summary()["plan"]["in_doubt_resent"], aftermath.in_doubt.len());
    check_finals(&ws, &export.finals);
}

/// What is reported is durable: a status written before the kill claims nothing the journal does not have.
#[test]
fn nothing_is_reported_synced_before_it_is_committed() {
    let (ws, export) = (Workspace::new(), Export::new(ROWS));
    ws.write("export.csv", &export.text);
    ws.sandbox.set_faults(frozen_after(3_000)).unwrap();
    let mut run = ws.sync_in_background(&["export.csv"]);
    let synced = || {
        let status = ws.last_run_file("status.json")?;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["rows"]["synced"].as_u64().filter(|synced| *synced > 0)
    };
    wait_for("a status that tells of synced rows", || synced().is_some());
    kill_9(&mut run);
    let claimed = usize::try_from(synced().unwrap()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    assert!(claimed <= aftermath.acked.len(), "{claimed} claimed, {} committed", aftermath.acked.len());
}

#[test]
fn rows_in_doubt_are_held_where_the_operator_says_so() {
    let (ws, export) = (Workspace::new(), Export::new(ROWS));
    ws.write("export.csv", &export.text);
    killed_at(&ws, 1_000, &["export.csv"]);
    let aftermath = Aftermath::of(&ws, &export.finals);
    aftermath.check();
    assert!(!aftermath.in_doubt.is_empty(), "nothing was on its way");
    let held = ws.sync(&["export.csv", "--in-doubt", "hold"]).expect(3).expect_books();
    for request in aftermath.later(&ws) {
        let key = request.subject.unwrap();
        assert!(!aftermath.acked.contains(&key) && !aftermath.in_doubt.contains(&key), "{key} was sent");
    }
    let listed = listed(&ws, "in_doubt.csv");
    assert_eq!(listed, aftermath.in_doubt);
    let rows = export.subjects.iter().filter(|key| listed.contains(*key)).count();
    assert_eq!(held.rows("held"), u64::try_from(rows).unwrap());
    // Still held when the policy is, and sent once it is not.
    let seen = ws.sandbox.stats().requests;
    ws.sync(&["export.csv", "--in-doubt", "hold"]).expect(3).expect_books();
    assert_eq!(ws.sandbox.stats().requests, seen, "what is held stays held");
    let resent = ws.sync(&["export.csv"]).expect(3).expect_books();
    assert_eq!(resent.summary()["attempts"], listed.len());
    assert_eq!(aftermath.check_resends(&ws), aftermath.in_doubt_applied());
    check_finals(&ws, &export.finals);
}

/// CRM ids in a row file of the newest run.
fn listed(ws: &Workspace, name: &str) -> BTreeSet<String> {
    let text = ws.last_run_file(name).unwrap_or_else(|| panic!("no {name}"));
    text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
}

#[test]
fn a_second_run_at_once_sends_nothing_and_says_who_is_there() {
    let (ws, export) = (Workspace::with(frozen_after(500)), Export::new(ROWS));
    ws.write("export.csv", &export.text);
    let mut first = ws.sync_in_background(&["export.csv"]);
    ws.wait_for_requests(501);
    let seen = ws.sandbox.requests();
    let second = ws.sync(&["export.csv"]).expect(11);
    assert!(second.stderr.contains(&first.id().to_string()), "{}", second.stderr);
    let subjects = |requests: &[simsync::sandbox::RequestView]| -> Vec<Option<String>> {
        requests.iter().take(500).map(|request| request.subject.clone()).collect()
    };
    assert_eq!(subjects(&seen), subjects(&ws.sandbox.requests()));
    assert!(ws.sandbox.stats().subject_in_flight_max <= 1, "the two runs sent at once");
    // Nobody has to remove a lock by hand.
    kill_9(&mut first);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    let third = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &third);
}

#[test]
fn of_ten_starts_at_once_one_runs() {
    let (ws, export) = (Workspace::with(frozen_after(200)), Export::new(1_000));
    ws.write("export.csv", &export.text);
    let mut runs: Vec<Child> = (0..10).map(|_| ws.sync_in_background(&["export.csv"])).collect();
    // The one that runs cannot come to its end.
    let mut codes = Vec::new();
    wait_for("nine runs to give up", || {
        runs.retain_mut(|run| match run.try_wait().unwrap() {
            Some(status) => {
                codes.push(status.code());
                false
            }
            None => true,
        });
        runs.len() <= 1
    });
    assert_eq!(codes, vec![Some(11); 9]);
    ws.wait_for_requests(201);
    assert!(ws.sandbox.stats().subject_in_flight_max <= 1);
    kill_9(&mut runs[0]);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
}

/// Starts a run whose output goes to `out.jsonl`.
fn started(ws: &Workspace, args: &[&str]) -> Child {
    let mut command = ws.sync_command(args);
    command.stdout(File::create(ws.path("out.jsonl")).unwrap()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn send_signal(run: &Child, signal: Signal) {
    kill_process(Pid::from_child(run), signal).unwrap();
}

/// A run asked to stop once ends in order: what was on the wire is waited for, nothing is in doubt.
fn drained(signal: Signal, code: i32) {
    let slow = Faults { latency_ms: 40, ..Faults::default() };
    let (ws, export) = (Workspace::with(slow), Export::new(ROWS));
    ws.write("export.csv", &export.text);
    let run = started(&ws, &["export.csv"]);
    ws.wait_for_requests(300);
    send_signal(&run, signal);
    let mut stopped = ran(run.wait_with_output().unwrap());
    stopped.stdout = fs::read_to_string(ws.path("out.jsonl")).unwrap();
    let stopped = stopped.expect(code).expect_books();
    assert_eq!((stopped.rows("in_doubt"), stopped.rows("failed")), (0, 0));
    assert!(stopped.rows("pending") > 0, "it ended before it was stopped");
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    assert!(aftermath.in_doubt.is_empty(), "{:?}", aftermath.in_doubt);
    let acked: BTreeSet<&String> = aftermath.acked.iter().collect();
    assert_eq!(aftermath.applied.keys().collect::<BTreeSet<_>>(), acked, "every answer was waited for");
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
    assert_eq!(ws.sandbox.stats().applied, u64::try_from(export.finals.len()).unwrap(), "no doubles");
}

#[test]
fn sigterm_drains() {
    drained(Signal::TERM, 143);
}

#[test]
fn sigint_drains() {
    drained(Signal::INT, 130);
}

#[test]
fn a_second_signal_stops_at_once_and_names_what_is_in_doubt() {
    let (ws, export) = (Workspace::with(frozen_after(500)), Export::new(ROWS));
    ws.write("export.csv", &export.text);
    // Without the second one it would go on for longer than a test.
    ws.configure("[api]\ntimeout = \"1h\"\nread_timeout = \"1h\"\n[delivery]\nshutdown_grace = \"1h\"\n");
    let run = started(&ws, &["export.csv"]);
    ws.wait_for_requests(501);
    send_signal(&run, Signal::TERM);
    let said = |what: &str| fs::read_to_string(ws.path("out.jsonl")).unwrap().contains(what);
    wait_for("the drain to begin", || said("\"draining\""));
    send_signal(&run, Signal::INT);
    let mut stopped = finished(run);
    stopped.stdout = fs::read_to_string(ws.path("out.jsonl")).unwrap();
    let stopped = stopped.expect(143).expect_books();
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    aftermath.check();
    assert!(!aftermath.in_doubt.is_empty());
    assert_eq!(listed(&ws, "in_doubt.csv"), aftermath.in_doubt);
    let rows = stopped.rows("in_doubt");
    assert_eq!(rows, u64::try_from(aftermath.in_doubt.len()).unwrap(), "booked with the carrying row");
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
}

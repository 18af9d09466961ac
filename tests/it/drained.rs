//! A run that was asked to stop and drained, and the one that goes on with it: of the same file, a renamed, a
//! re-ordered and an edited one, under `fold`, `each` and `--full`. Zero requests for what was committed.
//!
//! Not here: SIGKILL (`kill.rs`, `resume.rs`, `each.rs`), where what was on the wire is in doubt.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::Signal;
use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, export, ran, signal};

const ROWS: u32 = 120;

/// Runs until some of the rows are settled, asks the run to stop, and waits for its end.
fn drained(ws: &Workspace, args: &[&str]) -> Ran {
    ws.fault(Faults { latency_ms: 20, ..Faults::default() });
    let before = ws.sandbox.stats().requests;
    let child = ws.sync_command(&[args, &["--max-in-flight", "3"]].concat()).spawn().unwrap();
    ws.wait_for_requests(before + 30);
    signal(child.id(), Signal::TERM);
    let stopped = ran(child.wait_with_output().unwrap()).expect(143).expect_books();
    assert_eq!((stopped.rows("in_doubt"), stopped.rows("failed")), (0, 0), "a drain leaves nothing in doubt");
    assert!(stopped.rows("pending") > 0 && stopped.rows("synced") > 0, "{}", stopped.stdout);
    ws.fault(Faults::default());
    stopped
}

/// Requests by what they set, whoever they are about.
fn sent(ws: &Workspace) -> BTreeMap<String, u32> {
    let mut sent = BTreeMap::new();
    for request in ws.sandbox.requests() {
        *sent.entry(format!("{:?}", request.fields)).or_default() += 1;
    }
    sent
}

#[track_caller]
fn check_once(ws: &Workspace, updates: usize) {
    let sent = sent(ws);
    assert_eq!(sent.len(), updates);
    for (fields, count) in sent {
        assert_eq!(count, 1, "{fields} was sent more than once");
    }
}

/// The file's text changed, or not, and where it is then found.
type Change = fn(&str) -> (&'static str, String);

const SAME: Change = |text| ("crm.csv", text.to_owned());
const RENAMED: Change = |text| ("tonight.csv", text.to_owned());
const REORDERED: Change = |text| {
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    rows.rotate_left(7);
    ("crm.csv", format!("{header}\n{}\n", rows.join("\n")))
};
const EDITED: Change = |text| {
    let (header, rows) = text.split_once('\n').unwrap();
    // A line on top, another spelling, another column, another end of line: the same values.
    let rows = rows.replace("+4479", "+44 79").replace('\n', ",x\r\n");
    ("crm.csv", format!("{header},note\r\nC-NEW,+447911999999,,basic,y\r\n{rows}"))
};

#[test]
fn a_drained_run_is_resumed_whatever_became_of_the_file() {
    let cases =
        [("same", SAME, 0), ("renamed", RENAMED, 0), ("re-ordered", REORDERED, 0), ("edited", EDITED, 1)];
    for (what, change, new) in cases {
        let ws = Workspace::new();
        ws.write("crm.csv", export(ROWS));
        let stopped = drained(&ws, &["crm.csv"]);
        fs::remove_file(ws.path("crm.csv")).unwrap();
        let (name, text) = change(&export(ROWS));
        ws.write(name, text);
        let resumed = ws.sync(&[name]).expect(0).expect_books();
        let is_same_batch = new == 0 && what != "re-ordered";
        assert_eq!(resumed.summary()["resumed"], is_same_batch, "{what}");
        assert_eq!(resumed.rows("unchanged"), stopped.rows("synced"), "{what}");
        assert_eq!(resumed.rows("synced"), stopped.rows("pending") + new, "{what}");
        check_once(&ws, usize::try_from(u64::from(ROWS) + new).unwrap());
    }
}

#[test]
fn a_drained_full_run_sends_each_row_once() {
    for change in [SAME, RENAMED] {
        let ws = Workspace::new();
        ws.write("crm.csv", export(ROWS));
        ws.sync(&["crm.csv"]).expect(0);
        ws.sandbox.reset();
        let stopped = drained(&ws, &["crm.csv", "--full"]);
        let (name, text) = change(&export(ROWS));
        ws.write(name, text);
        let resumed = ws.sync(&[name, "--full"]).expect(0).expect_books();
        assert_eq!(resumed.summary()["resumed"], true, "{name}");
        assert_eq!(resumed.rows("synced"), stopped.rows("pending"), "{name}");
        check_once(&ws, usize::try_from(ROWS).unwrap());
    }
}

#[test]
fn a_drained_run_of_each_row_goes_on_behind_the_last_one_settled() {
    for change in [SAME, RENAMED] {
        let ws = Workspace::new();
        let mut text = String::from("crm id,tier\n");
        for round in 0..30 {
            (0..4).for_each(|subject| text += &format!("C-{subject},t{round}\n"));
        }
        ws.write("crm.csv", &text);
        let args = ["--duplicates", "each"];
        let stopped = drained(&ws, &[&["crm.csv"], &args[..]].concat());
        let (name, text) = change(&text);
        ws.write(name, text);
        let resumed = ws.sync(&[&[name], &args[..]].concat()).expect(0).expect_books();
        assert_eq!(resumed.summary()["resumed"], true, "{name}");
        assert_eq!(resumed.rows("synced"), stopped.rows("pending"), "{name}");
        check_once(&ws, 120);
        for subject in 0..4 {
            let tiers: Vec<_> = ws
                .history(&format!("C-{subject}"))
                .into_iter()
                .map(|of| of.fields["user_class"].clone())
                .collect();
            let rounds: Vec<_> = (0..30).map(|round| Some(format!("t{round}"))).collect();
            assert_eq!(tiers, rounds, "C-{subject}: in order, over both runs");
        }
    }
}

#[test]
fn a_run_stopped_by_a_limit_is_resumed_likewise() {
    let ws = Workspace::new();
    ws.write("crm.csv", export(ROWS));
    let mut synced = 0;
    for updates in [1, 40, 40] {
        let ran = ws.sync(&["crm.csv", "--max-rows", &updates.to_string()]).expect(8).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (updates, synced));
        synced += updates;
    }
    assert_eq!(ws.sync(&["crm.csv"]).expect(0).rows("unchanged"), synced);
    check_once(&ws, usize::try_from(ROWS).unwrap());
}

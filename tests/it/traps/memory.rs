//! Traps 1 to 6: what a tool remembers, of whom, from when on, and by what it finds it again.

use std::collections::BTreeMap;

use simsync::sandbox::{Faults, Shares};

use super::{HASTY, answering, key, tiers_sent};
use crate::support::{Workspace, export};
use crate::witness::{Aftermath, Export, check_finals, frozen_after, kill_9};

/// A set of payload hashes says of A, after B, that it was sent already.
#[test]
fn trap_01_a_b_a_sends_a_again() {
    let ws = Workspace::new();
    for tier in ["basic", "gold", "basic"] {
        ws.write("crm.csv", format!("crm id,tier\nC-1,{tier}\n"));
        assert_eq!(ws.sync(&["crm.csv"]).expect(0).expect_books().rows("synced"), 1);
    }
    assert_eq!(tiers_sent(&ws, "C-1"), ["basic", "gold", "basic"]);
    // In one export, too: neither as one update nor row by row may the last A be lost.
    for (subject, policy, sent) in [
        ("C-2", "fold", &["basic"][..]),
        ("C-3", "last", &["basic"]),
        ("C-4", "each", &["basic", "gold", "basic"]),
    ] {
        ws.write("aba.csv", format!("crm id,tier\n{subject},basic\n{subject},gold\n{subject},basic\n"));
        ws.sync(&["aba.csv", "--duplicates", policy]).expect(if policy == "last" { 3 } else { 0 });
        assert_eq!(tiers_sent(&ws, subject), sent, "{policy}");
        assert_eq!(ws.at_server(subject, "user_class").as_deref(), Some("basic"), "{policy}");
    }
    // A B whose outcome nobody knows is a B.
    ws.configure(HASTY);
    ws.fault(Faults {
        subject_statuses: [("C-9".to_owned(), 404)].into(),
        shares: Shares { hang_after: 1.0, ..Shares::default() },
        ..Faults::default()
    });
    // The neighbor's refusal shows that the server is well, where it comes after a failure.
    ws.write("crm.csv", "crm id,tier\nC-1,gold\nC-9,gold\n");
    ws.sync(&["crm.csv", "--max-in-flight", "1"]).expect(3);
    ws.fault(Faults::default());
    ws.write("crm.csv", "crm id,tier\nC-1,basic\n");
    assert_eq!(ws.sync(&["crm.csv"]).expect(0).rows("synced"), 1);
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("basic"));
}

/// A baseline that moves when a row is queued calls it unchanged for ever after it failed.
#[test]
fn trap_02_the_baseline_moves_with_the_acknowledgement_only() {
    let ws = Workspace::new();
    ws.configure(HASTY);
    ws.write("crm.csv", export(10));
    let lost = [
        answering(&[(&key(4), 422)]),
        answering(&[(&key(4), 500)]),
        // Applied, and answered with something that is no acknowledgement.
        Faults { shares: Shares { wrong_status: 1.0, ..Shares::default() }, ..answering(&[]) },
    ];
    let mut sent = 0;
    for (round, faults) in lost.into_iter().enumerate() {
        ws.fault(faults);
        let ran = ws.sync(&["crm.csv"]).expect(3).expect_books();
        let (unchanged, failed) = (ran.rows("unchanged"), ran.rows("failed"));
        assert_eq!((unchanged, failed), (if round == 0 { 0 } else { 9 }, 1), "round {round}");
        assert!(ws.history(&key(4)).len() > sent, "round {round}: it is sent again");
        sent = ws.history(&key(4)).len();
    }
    ws.fault(Faults::default());
    let ran = ws.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (1, 9));
    assert_eq!(ws.sync(&["crm.csv"]).expect(0).rows("unchanged"), 10);
}

/// A checkpoint that is written at the end is none when there is no end.
#[test]
fn trap_03_kill_9_loses_nothing_that_was_acknowledged() {
    let export = Export::new(1_500);
    let ws = Workspace::with(frozen_after(900));
    ws.write("export.csv", &export.text);
    let mut run = ws.sync_in_background(&["export.csv"]);
    ws.wait_for_requests(700);
    kill_9(&mut run);
    ws.fault(Faults::default());
    let aftermath = Aftermath::of(&ws, &export.finals);
    assert!(aftermath.acked.len() > 300, "{} committed", aftermath.acked.len());
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
}

/// Rows known by their position are other rows once a line stands before them.
#[test]
fn trap_04_a_line_inserted_at_the_top_sends_nothing_again() {
    let mut export = Export::new(0);
    (0..1_500).for_each(|serial| export.row(serial, "basic"));
    let ws = Workspace::with(frozen_after(900));
    ws.write("export.csv", &export.text);
    let mut run = ws.sync_in_background(&["export.csv"]);
    ws.wait_for_requests(700);
    kill_9(&mut run);
    ws.fault(Faults::default());
    let aftermath = Aftermath::of(&ws, &export.finals);
    assert!(!aftermath.acked.is_empty());
    let mut edited = Export::new(0);
    edited.row(900_000, "gold");
    (0..1_500).for_each(|serial| edited.row(serial, "basic"));
    ws.write("export.csv", &edited.text);
    let resumed = ws.sync(&["export.csv"]).expect(0).expect_books();
    for request in aftermath.later(&ws) {
        let key = request.subject.unwrap();
        assert!(!aftermath.acked.contains(&key), "{key} was committed, and is sent again");
    }
    assert_eq!(resumed.rows("unchanged"), u64::try_from(aftermath.acked.len()).unwrap());
    check_finals(&ws, &edited.finals);
    // And after an orderly end only the new line is news.
    let seen = ws.sandbox.stats().requests;
    let mut once_more = Export::new(0);
    once_more.row(900_001, "gold");
    let rows = edited.text.split_once('\n').unwrap().1;
    ws.write("export.csv", format!("{}{rows}", once_more.text));
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("synced"), 1);
    assert_eq!(ws.sandbox.stats().requests, seen + 1);
}

/// An offset that moves with every later row steps over the one that was rejected.
#[test]
fn trap_05_a_later_success_does_not_step_over_a_rejected_row() {
    let ws = Workspace::with(answering(&[(&key(2), 422), (&key(5), 400)]));
    ws.write("crm.csv", export(40));
    let first = ws.sync(&["crm.csv", "--max-in-flight", "1"]).expect(3).expect_books();
    assert_eq!((first.rows("synced"), first.rows("failed")), (38, 2));
    let listed: Vec<String> = ws.last_rows("failed.csv").iter().map(|row| row["crm id"].clone()).collect();
    assert_eq!(listed, [key(2), key(5)]);
    ws.fault(Faults::default());
    let seen = ws.arrivals().len();
    ws.sync(&["crm.csv"]).expect(0);
    let mut again = ws.arrivals().split_off(seen);
    again.sort();
    assert_eq!(again, [key(2), key(5)], "both come again, and nothing else does");
    assert_eq!(ws.sandbox.subjects().len(), 40);
}

/// What failed is tried again, and not the file around it.
#[test]
fn trap_06_a_retry_is_for_its_row_and_not_for_the_file() {
    let ws = Workspace::new();
    ws.configure(HASTY);
    ws.fault(answering(&[(&key(7), 500), (&key(8), 422)]));
    ws.write("crm.csv", export(30));
    let ran = ws.sync(&["crm.csv", "--max-in-flight", "4"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (28, 2));
    let mut attempts: BTreeMap<String, u32> = BTreeMap::new();
    for subject in ws.arrivals() {
        *attempts.entry(subject).or_default() += 1;
    }
    assert!(attempts[&key(7)] > 1, "the failing row is tried again");
    assert_eq!(attempts.remove(&key(7)).map(|_| attempts.len()), Some(29));
    assert!(attempts.values().all(|count| *count == 1), "{attempts:?}");
    // So is what is sent by a replay.
    ws.fault(Faults::default());
    let seen = ws.arrivals().len();
    let url = ws.sandbox.url();
    ws.run(&["replay", "latest", "--api-url", &url, "--json"]).expect(0);
    let mut again = ws.arrivals().split_off(seen);
    again.sort();
    assert_eq!(again, [key(7), key(8)]);
}

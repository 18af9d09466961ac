//! Replays that are interrupted and run again, and conflicts that no later pass resolved, by their own kind.
//!
//! Not here: everything else about `simsync replay` (`replay.rs`).

use std::collections::BTreeSet;

use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, export, last_run, replay};

/// Subjects `C-000000` and on with this status.
fn statuses(subjects: std::ops::Range<u32>, status: u16) -> Faults {
    let statuses = subjects.map(|row| (format!("C-{row:06}"), status));
    Faults { subject_statuses: statuses.collect(), ..Faults::default() }
}

/// A target that has acknowledged this mapping before, so that refusals are taken for what they are.
fn proven() -> Workspace {
    let ws = Workspace::new();
    ws.write("other.csv", "crm id,mobile,imei,tier\nX-1,,,basic\n");
    ws.sync(&["other.csv"]).expect(0);
    ws
}

#[test]
fn a_conflict_that_no_pass_resolved_is_a_kind_of_its_own() {
    let ws = proven();
    let mut faults = statuses(2..3, 409);
    faults.subject_statuses.insert("C-000004".to_owned(), 422);
    ws.fault(faults);
    ws.write("crm.csv", export(6));
    let first = ws.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((first.rows("synced"), first.rows("failed")), (4, 2));
    let run = last_run(&ws);
    let reasons: BTreeSet<(String, String)> = ws
        .last_rows("failed.csv")
        .into_iter()
        .map(|row| (row["crm id"].clone(), row["_reason"].clone()))
        .collect();
    let expected = [("C-000002", "deferred"), ("C-000004", "refused")];
    assert_eq!(reasons, expected.map(|(key, reason)| (key.to_owned(), reason.to_owned())).into());
    let kinds: BTreeSet<&str> = ["deferred", "refused"].into();
    let summary = first.summary();
    let told = summary["signatures"].as_array().unwrap().iter().map(|line| line["kind"].as_str().unwrap());
    assert_eq!(told.collect::<BTreeSet<_>>(), kinds);
    let found =
        ws.run(&["lookup", "--user-external-id", "C-000002", "--api-url", &ws.sandbox.url()]).expect(0);
    assert!(found.stdout.contains("deferred (409)"), "{}", found.stdout);
    ws.fault(Faults::default());
    let conflicts = replay(&ws, &[&run, "--kind", "deferred"]).expect(0).expect_books();
    assert_eq!((conflicts.rows("synced"), conflicts.rows("filtered")), (1, 1));
    let refused = replay(&ws, &[&run, "--kind", "refused"]).expect(0).expect_books();
    assert_eq!((refused.rows("synced"), refused.rows("filtered")), (1, 1));
}

#[test]
fn a_conflict_that_no_pass_resolved_is_not_sent_again_by_a_resume() {
    let ws = proven();
    ws.fault(statuses(2..3, 409));
    ws.write("crm.csv", export(6));
    let first = ws.sync(&["crm.csv", "--max-rows", "4"]).expect(8).rows("synced");
    let row = ws.last_rows("failed.csv");
    // Whether a limit ended the run before or after the last pass, the resume ends alike.
    assert!(row.iter().all(|row| row["_reason"] == "deferred"), "{row:?}");
    let seen = ws.history("C-000002").len();
    let ran = ws.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (5 - first, 1));
    assert_eq!(ws.last_rows("failed.csv")[0]["_reason"], "deferred");
    assert!(row.is_empty() || ws.history("C-000002").len() == seen);
}

/// So many rows refused, and the replay that stopped in the middle of refusing them again.
fn stopped_replay(ws: &Workspace) -> (String, Ran) {
    ws.fault(statuses(0..40, 422));
    ws.write("crm.csv", export(40));
    ws.sync(&["crm.csv"]).expect(3);
    let run = last_run(ws);
    let stopped = replay(ws, &[&run, "--max-rows", "10"]).expect(8).expect_books();
    assert_eq!((stopped.rows("failed"), stopped.rows("pending")), (10, 30));
    (run, stopped)
}

#[test]
fn a_resumed_replay_does_not_send_again_what_it_saw_refused_itself() {
    let ws = proven();
    let (run, _) = stopped_replay(&ws);
    let refused: BTreeSet<String> =
        ws.last_rows("failed.csv").into_iter().map(|row| row["crm id"].clone()).collect();
    ws.fault(Faults::default());
    let seen = ws.arrivals().len();
    let resumed = replay(&ws, &[&run]).expect(3).expect_books();
    assert_eq!(resumed.summary()["resumed"], true);
    assert_eq!((resumed.rows("failed"), resumed.rows("synced")), (10, 30));
    let arrived: BTreeSet<String> = ws.arrivals().split_off(seen).into_iter().collect();
    assert_eq!((arrived.len(), arrived.intersection(&refused).count()), (30, 0));
    // They are listed again, with what they were before.
    let listed = ws.last_rows("failed.csv");
    assert!(listed.iter().all(|row| row["_run"] == run && refused.contains(&row["crm id"])), "{listed:?}");
    assert!(
        listed.iter().all(|row| row["_reason"] == "refused" && row["_detail"].contains("--retry-failed"))
    );
    // A new batch sends them again: a replay of the replay, or the same one after it was closed.
    let again = replay(&ws, &["latest"]).expect(0).expect_books();
    assert_eq!((again.rows("read"), again.rows("synced")), (10, 10));
}

#[test]
fn a_resumed_replay_sends_what_it_saw_refused_when_asked_to() {
    let ws = proven();
    let (run, _) = stopped_replay(&ws);
    ws.fault(Faults::default());
    let resumed = replay(&ws, &[&run, "--retry-failed"]).expect(0).expect_books();
    assert_eq!((resumed.rows("synced"), resumed.summary()["resumed"].as_bool()), (40, Some(true)));
}

#[test]
fn a_replay_of_another_time_sends_what_an_earlier_one_saw_refused() {
    let ws = proven();
    let (run, _) = stopped_replay(&ws);
    let before = ws.sandbox.stats().requests;
    // The first replay, to its end, all refused; then a new batch of the same rows.
    replay(&ws, &[&run]).expect(3);
    assert_eq!(ws.sandbox.stats().requests, before + 30);
    let third = replay(&ws, &[&run]).expect(3).expect_books();
    assert_eq!(third.summary()["resumed"], false);
    assert_eq!(ws.sandbox.stats().requests, before + 70);
    // Every attempt after a definite refusal has a key of its own.
    let history = ws.history("C-000039");
    let keys: BTreeSet<_> = history.iter().map(|request| format!("{:?}", request.idempotency_key)).collect();
    assert_eq!(keys.len(), history.len());
}

#[test]
fn a_journal_that_cannot_tell_of_a_run_is_not_told_as_an_unknown_run() {
    let ws = proven();
    ws.fault(statuses(0..2, 422));
    ws.write("crm.csv", export(6));
    ws.sync(&["crm.csv"]).expect(3);
    let (run, requests) = (last_run(&ws), ws.sandbox.stats().requests);
    ws.write("fed-back.csv", ws.last_run_file("failed.csv").unwrap());
    // What the journal knows of the run is damaged, and nothing else is.
    let open = || sled::Config::new().path(ws.path("simsync-state/journal")).open().unwrap();
    let (db, name) = (open(), format!("run/{run}"));
    let named = db.open_tree("named").unwrap();
    let mut value = named.get(&name).unwrap().unwrap().to_vec();
    value[2] ^= 1;
    named.insert(&name, value).unwrap();
    db.flush().unwrap();
    drop((named, db));
    let ran = ws.sync(&["fed-back.csv"]).expect(13);
    assert!(!ran.stdout.contains("origin.unknown_run"), "{}", ran.stdout);
    assert_eq!(ws.sandbox.stats().requests, requests);
}

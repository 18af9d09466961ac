//! Updates that were refused: not sent again by a resume of their batch, and last by the next one.

use std::process::Stdio;

use rustix::process::Signal;
use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, export, ran, signal};

fn refusing(latency_ms: u64) -> Faults {
    Faults { subject_statuses: [("C-000003".to_owned(), 422)].into(), latency_ms, ..Faults::default() }
}

/// A run of forty rows that is stopped after the fourth was refused, and before the last was sent.
fn interrupted() -> (Workspace, Ran) {
    let workspace = Workspace::with(refusing(40));
    workspace.write("crm.csv", export(40));
    let mut command = workspace.sync_command(&["--max-in-flight", "2", "crm.csv"]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    workspace.wait_for_requests(12);
    signal(child.id(), Signal::TERM);
    let ran = ran(child.wait_with_output().unwrap()).expect(143).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("in_doubt")), (1, 0));
    assert!(ran.rows("pending") > 0);
    (workspace, ran)
}

#[test]
fn a_resume_does_not_send_what_its_batch_saw_refused() {
    let (workspace, first) = interrupted();
    workspace.fault(Faults::default());
    let resumed = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!(resumed.summary()["resumed"], true);
    assert_eq!((resumed.rows("failed"), resumed.rows("pending")), (1, 0));
    assert_eq!(resumed.rows("synced"), first.rows("pending"));
    assert_eq!(workspace.history("C-000003").len(), 1, "refused once, sent once");
    // It is listed again, so that nobody has to look for the file of the run that was interrupted.
    let rows = workspace.last_rows("failed.csv");
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0]["crm id"].as_str(), rows[0]["_reason"].as_str()), ("C-000003", "refused"));
    assert!(rows[0]["_detail"].contains("--retry-failed"), "{}", rows[0]["_detail"]);
}

#[test]
fn retry_failed_sends_it_again_under_another_key() {
    let (workspace, first) = interrupted();
    workspace.fault(Faults::default());
    let resumed = workspace.sync(&["--retry-failed", "crm.csv"]).expect(0).expect_books();
    assert_eq!((resumed.rows("failed"), resumed.rows("synced")), (0, first.rows("pending") + 1));
    let history = workspace.history("C-000003");
    assert_eq!(history.len(), 2);
    assert_ne!(history[0].idempotency_key, history[1].idempotency_key);
}

#[test]
fn a_new_batch_sends_it_again_and_last() {
    let workspace = Workspace::with(refusing(0));
    workspace.write("crm.csv", export(20));
    let first = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((first.rows("synced"), first.rows("failed")), (19, 1));
    // Every row was ruled on, so that the batch is closed: the same command begins another one.
    let again = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!(again.summary()["resumed"], false);
    assert_eq!((again.rows("unchanged"), again.rows("failed")), (19, 1));
    assert_eq!(workspace.history("C-000003").len(), 2);
    workspace.fault(Faults::default());
    workspace.sandbox.reset();
    let full = workspace.sync(&["--full", "--max-in-flight", "1", "crm.csv"]).expect(0).expect_books();
    assert_eq!(full.rows("synced"), 20);
    let arrivals = workspace.arrivals();
    assert_eq!((arrivals.len(), arrivals[19].as_str()), (20, "C-000003"));
}

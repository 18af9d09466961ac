//! Rows that are turned away for their own sake where hardly anybody else is left to show it: at the end of an
//! export, and in a night of nothing but chronic ones.
//!
//! Not here: those that others pass beside (`token.rs`, `retried.rs`, `quiet.rs`).

use simsync::sandbox::{Faults, OutageKind};

use super::{http, outage, subject_status};
use crate::support::{self, Ran, Workspace, export};

fn statuses(subjects: &[&str], status: u16) -> Faults {
    let subject_statuses = subjects.iter().map(|subject| ((*subject).to_owned(), status)).collect();
    Faults { subject_statuses, ..Faults::default() }
}

#[test]
fn a_night_of_nothing_but_chronic_rows_that_are_turned_away_ends_with_3() {
    for status in [401, 403, 307, 302] {
        for chronic in [&["C-000004"][..], &["C-000003", "C-000005", "C-000007"]] {
            let faults = Faults { latency_ms: 5, ..statuses(chronic, status) };
            let workspace = Workspace::with(faults);
            workspace.write("crm.csv", export(10));
            // Neighbors that are answered so would be the token's fault, or the address's, for everybody.
            let in_flight = ["--max-in-flight", "1", "crm.csv"];
            workspace.sync(&in_flight).expect(3);
            for _ in 0..2 {
                let ran = workspace.sync(&in_flight).expect(3).expect_books();
                assert_eq!(ran.rows("failed"), chronic.len() as u64, "{status}: {}", ran.stdout);
                assert!(http(&ran, &status.to_string()) <= 2 * chronic.len() as u64, "{status}");
            }
        }
    }
}

#[test]
fn two_that_are_turned_away_at_the_end_stop_the_run_once_and_have_failed_when_it_is_run_again() {
    for status in [401, 403] {
        let workspace = Workspace::with(statuses(&["C-000018", "C-000019"], status));
        workspace.write("crm.csv", export(20));
        let ran = workspace.sync(&["crm.csv"]).expect(12).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("failed"), ran.rows("pending")), (18, 0, 2), "{status}");
        assert!(
            ran.stderr.contains("lines 20 and 21, which are sent between others in the next run"),
            "{}",
            ran.stderr
        );
        // Another token may be a wrong one, which nobody else is left to show.
        let mut command = workspace.sync_command(&["crm.csv"]);
        let ran =
            support::ran(command.env("SIMSYNC_TOKEN", "another").output().unwrap()).expect(12).expect_books();
        assert_eq!((ran.rows("failed"), ran.rows("pending")), (0, 2), "{status}");
        workspace.sync(&["crm.csv"]).expect(12);
        let ran = workspace.sync(&["crm.csv"]).expect(3).expect_books();
        assert_eq!((ran.rows("failed"), ran.rows("pending")), (2, 0), "{status}");
        // Chronic from now on.
        workspace.sync(&["crm.csv"]).expect(3);
    }
}

#[test]
fn a_token_revoked_before_the_last_rows_costs_them_nothing_where_it_is_renewed() {
    for status in [401, 403] {
        let workspace = Workspace::with(outage(18, 1_000, OutageKind::Status(status)));
        workspace.write("crm.csv", export(20));
        let ran = workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(12).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("failed"), ran.rows("pending")), (17, 0, 3), "{status}");
        workspace.fault(Faults::default());
        let ran = workspace.sync(&["crm.csv"]).expect(0).expect_books();
        assert_eq!(ran.rows("synced"), 3, "{status}");
        // Nothing is left of it: the next token that is refused is refused for everybody.
        workspace.fault(outage(1, 1_000, OutageKind::Status(status)));
        workspace.write("next.csv", export(20).replace(",basic", ",gold"));
        let ran = workspace.sync(&["next.csv"]).expect(12).expect_books();
        assert_eq!(ran.rows("failed"), 0, "{status}");
    }
}

#[test]
fn what_a_redirect_may_have_applied_is_not_known_to_be_unchanged() {
    for (status, is_sent) in [(302, true), (307, false)] {
        let workspace = Workspace::with(Faults::default());
        let before = export(5);
        workspace.write("before.csv", &before);
        workspace.write("after.csv", before.replace(",basic", ",gold"));
        workspace.sync(&["before.csv"]).expect(0);
        workspace.fault(outage(1, 1_000, OutageKind::Status(status)));
        let ran = workspace.sync(&["--max-in-flight", "1", "after.csv"]).expect(10).expect_books();
        assert_eq!((ran.rows("failed"), http(&ran, &status.to_string())), (0, 5));
        // Under another address it is another target, unless that is named.
        let (next, target) = (next_steps(&ran), workspace.sandbox.url());
        assert!(next.contains("--api-url URL --rate unlimited") && next.contains("to resume"), "{next}");
        assert!(next.contains(&format!("api.target = '{target}'")), "{next}");
        workspace.fault(Faults::default());
        let ran = workspace.sync(&["before.csv"]).expect(0).expect_books();
        assert_eq!(ran.rows("synced"), if is_sent { 5 } else { 0 }, "{status}: {}", ran.stdout);
    }
}

#[test]
fn the_last_row_pushed_back_for_ever_fails_alone() {
    let workspace = Workspace::with(subject_status("C-000040", 429));
    workspace.configure(&format!("{}outage_max = \"20s\"\n", super::HASTY));
    workspace.write("crm.csv", export(41));
    let ran = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (40, 1), "{}", ran.stdout);
    let row = &workspace.last_rows("failed.csv")[0];
    assert!(row["_signature"].contains("429 for this row alone"), "{row:?}");
}

/// What is to be done next, all in one.
fn next_steps(ran: &Ran) -> String {
    ran.summary()["next"].to_string()
}

#[test]
fn what_the_api_accepts_is_to_be_found_out_only_where_it_never_accepted_anything() {
    const PROBE: &str = "to find out what the API accepts";
    for status in [422, 500] {
        let workspace = Workspace::with(subject_status("C-000000", status));
        workspace.configure(super::HASTY);
        if status == 422 {
            workspace.write("one.csv", export(1));
            let ran = workspace.sync(&["one.csv"]).expect(3);
            assert!(next_steps(&ran).contains(PROBE), "{}", ran.stdout);
        }
        workspace.write("crm.csv", export(12));
        workspace.sync(&["crm.csv"]).expect(3);
        workspace.write("wed.csv", export(1).replace(",basic", ",gold"));
        let ran = workspace.sync(&["wed.csv"]).expect(3);
        assert!(!next_steps(&ran).contains(PROBE), "{status}: {}", ran.stdout);
    }
}

#[test]
fn that_what_was_refused_is_not_tried_by_a_resume_is_told_where_one_is_due() {
    let workspace = Workspace::with(Faults::default());
    workspace.configure("[delivery]\nrefusals_in_a_row_max = 5\n");
    workspace.write("crm.csv", export(20));
    workspace.sync(&["crm.csv"]).expect(0);
    workspace.fault(outage(1, 1_000, OutageKind::Status(422)));
    workspace.write("next.csv", export(20).replace(",basic", ",gold"));
    let ran = workspace.sync(&["--max-in-flight", "1", "next.csv"]).expect(4);
    assert!(next_steps(&ran).contains("unless with --retry-failed"), "{}", ran.stdout);
    // What is pending would be forgotten otherwise.
    assert!(next_steps(&ran).contains("next.csv` to resume"), "{}", ran.stdout);
    workspace.fault(Faults::default());
    let ran = workspace.sync(&["next.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (15, 5));
    assert!(!next_steps(&ran).contains("--retry-failed"), "{}", ran.stdout);
}

#[test]
fn a_403_at_the_end_of_a_pass_waits_for_the_passes_behind_it() {
    let workspace = Workspace::with(subject_status("C-000002", 422));
    workspace.write("crm.csv", export(3));
    let one_by_one = ["--max-in-flight", "1", "crm.csv"];
    workspace.sync(&one_by_one).expect(3);
    // The last row of the main pass and the chronic one behind it meet a token that is not good for a moment.
    workspace.fault(outage(2, 2, OutageKind::Status(403)));
    workspace.write("crm.csv", export(3).replace(",basic", ",gold"));
    let ran = workspace.sync(&one_by_one).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), http(&ran, "403")), (3, 2), "{}", ran.stdout);
}

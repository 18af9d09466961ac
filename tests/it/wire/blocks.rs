//! Rows that are answered so for ever that a run cannot tell them from everybody, in blocks at the head, in the
//! middle and at the end of an export: the others are sent, by the second run at the latest, and the block has failed
//! in the end. And what it is mistaken for: a token that was revoked, an API that has moved, an outage, which cost no
//! row its verdict.
//!
//! Not here: single rows (`alone.rs`).

use simsync::sandbox::{Faults, OutageKind};

use super::{HASTY, http, outage};
use crate::support::{Ran, Workspace, export};

const ROWS: u32 = 120;

fn name(row: u32) -> String {
    format!("C-{row:06}")
}

/// A block of rows that are answered with a status for ever.
fn blocked(status: u16, rows: std::ops::Range<u32>) -> Faults {
    Faults { subject_statuses: rows.map(|row| (name(row), status)).collect(), ..Faults::default() }
}

/// Runs the same command until it is through, a few times at most; how the runs ended.
fn run_through(workspace: &Workspace, args: &[&str], runs_max: usize) -> Vec<Ran> {
    let mut runs = Vec::new();
    for _ in 0..runs_max {
        let ran = workspace.sync(args).expect_books();
        let is_through = matches!(ran.code, 0 | 3);
        runs.push(ran);
        if is_through {
            break;
        }
    }
    runs
}

fn synced(runs: &[Ran]) -> u64 {
    runs.iter().map(|ran| ran.rows("synced")).sum()
}

#[test]
fn a_block_at_the_head_or_in_the_middle_keeps_nobody_from_being_sent_by_the_second_run() {
    for status in [401, 403, 308, 422, 500, 429] {
        for (from, length) in [(0, 1), (0, 5), (0, 30), (50, 5), (50, 30)] {
            if status == 429 && length > 1 {
                // Every 429 quiets everybody, which takes its time: those are `quiet.rs`'s.
                continue;
            }
            for in_flight in ["1", "8"] {
                let about = format!("{status}: {length} from {from} on, {in_flight} at once");
                let workspace = Workspace::with(blocked(status, from..from + length));
                workspace.configure(&format!("{HASTY}outage_max = \"20s\"\n"));
                workspace.write("crm.csv", export(ROWS));
                let runs = run_through(&workspace, &["--max-in-flight", in_flight, "crm.csv"], 4);
                let mut codes: Vec<i32> = runs.iter().map(|ran| ran.code).collect();
                assert_eq!(synced(&runs), u64::from(ROWS - length), "{about}: {codes:?}");
                let by_the_second = synced(&runs[..runs.len().min(2)]);
                assert_eq!(by_the_second, u64::from(ROWS - length), "{about}: {codes:?}");
                let mut failed = runs.last().map_or(0, |ran| ran.rows("failed"));
                if matches!(codes.last(), Some(5 | 10 | 12)) && length > 20 {
                    // What is left of many may be the token's, or the address's, until others pass again; and an
                    // outage, where a busy machine has let all others pass before it showed whose failures these are.
                    workspace.write("next.csv", export(ROWS).replace(",basic", ",gold"));
                    let runs =
                        run_through(&workspace, &["--max-in-flight", in_flight, "--yes", "next.csv"], 4);
                    codes.extend(runs.iter().map(|ran| ran.code));
                    assert_eq!(synced(&runs), u64::from(ROWS - length), "{about}: {codes:?}");
                    failed = runs.last().map_or(0, |ran| ran.rows("failed"));
                }
                assert_eq!(codes.last(), Some(&3), "{about}: {codes:?}");
                assert_eq!(failed, u64::from(length), "{about}: {codes:?}");
            }
        }
    }
}

#[test]
fn a_block_at_the_end_fails_alone_when_others_pass_on_the_next_night() {
    for status in [401, 403, 308, 500] {
        for length in [2, 5, 30] {
            let about = format!("{status}: the last {length}");
            let workspace = Workspace::with(blocked(status, ROWS - length..ROWS));
            workspace.configure(&format!("{HASTY}outage_max = \"2s\"\n"));
            workspace.write("crm.csv", export(ROWS));
            let ran = workspace.sync(&["crm.csv"]).expect_books();
            assert_eq!(ran.rows("synced"), u64::from(ROWS - length), "{about}");
            assert!(ran.code == 3 || ran.rows("failed") == 0, "{about}");
            workspace.write("next.csv", export(ROWS).replace(",basic", ",gold"));
            let runs = run_through(&workspace, &["--yes", "next.csv"], 1 + length as usize / 5);
            let codes: Vec<i32> = runs.iter().map(|ran| ran.code).collect();
            assert_eq!(codes.last(), Some(&3), "{about}: {codes:?}\n{}", runs[0].stdout);
            assert_eq!(runs[0].rows("synced"), u64::from(ROWS - length), "{about}: {codes:?}");
            assert_eq!(runs.last().map(|ran| ran.rows("failed")), Some(u64::from(length)), "{about}");
        }
    }
}

#[test]
fn few_with_401_left_alone_at_the_end_have_failed_when_the_run_was_continued_until_all_were_asked() {
    for status in [401, 403] {
        let workspace = Workspace::with(blocked(status, ROWS - 10..ROWS));
        workspace.write("crm.csv", export(ROWS));
        let runs = run_through(&workspace, &["crm.csv"], 5);
        let codes: Vec<i32> = runs.iter().map(|ran| ran.code).collect();
        assert_eq!((codes.first(), codes.last()), (Some(&12), Some(&3)), "{status}: {codes:?}");
        assert_eq!(runs.last().map(|ran| ran.rows("failed")), Some(10), "{status}: {codes:?}");
    }
}

#[test]
fn what_is_everybodys_costs_no_row_its_verdict_however_often_it_is_run() {
    for (status, code) in [(401, 12), (403, 12), (308, 10), (422, 4), (503, 5)] {
        for from in [1, 40, 100] {
            if status == 422 && from > 1 {
                // After others have passed they are the rows' own.
                continue;
            }
            let about = format!("{status} from request {from} on");
            let workspace = Workspace::with(outage(from, 100_000, OutageKind::Status(status)));
            workspace.configure(&format!("{HASTY}outage_max = \"1s\"\n"));
            workspace.write("crm.csv", export(ROWS));
            for run in 0..3 {
                let ran = workspace.sync(&["crm.csv"]).expect_books();
                assert_eq!((ran.code, ran.rows("failed")), (code, 0), "{about}, run {run}: {}", ran.stdout);
            }
            workspace.fault(Faults::default());
            let ran = workspace.sync(&["crm.csv"]).expect(0).expect_books();
            assert_eq!(ran.rows("synced") + ran.rows("unchanged"), u64::from(ROWS), "{about}");
            // Nothing is left of it.
            workspace.write("next.csv", export(ROWS).replace(",basic", ",gold"));
            let ran = workspace.sync(&["--yes", "next.csv"]).expect(0).expect_books();
            assert!(!ran.stdout.contains("sent mixed"), "{about}: {}", ran.stdout);
        }
    }
}

#[test]
fn the_lines_whose_answers_stopped_the_run_are_named() {
    let workspace = Workspace::with(blocked(401, 0..ROWS));
    workspace.write("crm.csv", export(ROWS));
    let ran = workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(12);
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(told.contains("to line 2, which is sent between others in the next run"), "{told}");
    assert!(ran.summary()["next"].to_string().contains("renew the token, then run"), "{}", ran.stdout);
    let ran = workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(12);
    assert!(ran.stdout.contains("rows are sent mixed"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("for this row alone"), "{}", ran.stdout);
}

#[test]
fn each_and_a_saved_plan_are_sent_mixed_after_a_run_that_was_stopped() {
    for is_each in [false, true] {
        let workspace = Workspace::with(blocked(403, 40..70));
        workspace.write("crm.csv", export(ROWS));
        let policy: &[&str] = if is_each { &["--duplicates", "each"] } else { &[] };
        let slowly = ["--max-in-flight", "1"];
        let url = workspace.sandbox.url();
        let plan = || {
            let own = ["plan", "crm.csv", "--api-url", &url, "-o", "saved.json"];
            workspace.run(&[&own, policy].concat());
        };
        plan();
        workspace.sync(&[&slowly[..], policy, &["--plan", "saved.json"]].concat()).expect(12).expect_books();
        let ran = workspace.sync(&[&slowly[..], policy, &["--plan", "saved.json"]].concat()).expect(3);
        assert_eq!((ran.rows("synced"), ran.rows("failed")), (50, 30), "{is_each}");
        let arrivals = workspace.arrivals();
        assert!(!arrivals.is_sorted(), "sent mixed");

        workspace.write("crm.csv", export(ROWS).replace(",basic", ",gold"));
        plan();
        let ran =
            workspace.sync(&[&slowly[..], policy, &["--yes", "--plan", "saved.json"]].concat()).expect(3);
        assert_eq!((ran.rows("synced"), ran.rows("failed")), (90, 30), "{is_each}");
    }
}

/// An export of others.
fn others(rows: u32, tier: &str) -> String {
    export(rows).replace("C-", "D-").replace(",basic", tier)
}

#[test]
fn another_export_in_between_makes_nobody_forget_that_this_one_was_stopped() {
    let workspace = Workspace::with(blocked(403, 40..70));
    workspace.write("crm.csv", export(ROWS));
    workspace.write("others.csv", others(ROWS, ",gold"));
    let slowly = ["--max-in-flight", "1"];
    workspace.sync(&[&slowly[..], &["crm.csv"]].concat()).expect(12).expect_books();
    workspace.sync(&[&slowly[..], &["others.csv"]].concat()).expect(0).expect_books();
    let ran = workspace.sync(&[&slowly[..], &["crm.csv"]].concat()).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (50, 30));
    assert!(ran.stdout.contains("rows are sent mixed"), "{}", ran.stdout);
    // It has ended in order, and nothing is left of it.
    workspace.write("next.csv", others(ROWS, ",silver"));
    let ran = workspace.sync(&["--yes", "next.csv"]).expect(0).expect_books();
    assert!(!ran.stdout.contains("rows are sent mixed"), "{}", ran.stdout);
}

#[test]
fn rows_of_a_stopped_export_that_never_come_again_are_no_matter_once_another_has_ended_in_order() {
    let workspace = Workspace::with(blocked(401, 0..ROWS));
    let slowly = ["--max-in-flight", "1", "--yes"];
    workspace.write("proof.csv", others(ROWS, ",basic"));
    workspace.sync(&[&slowly[..], &["proof.csv"]].concat()).expect(0);
    workspace.write("never-again.csv", export(ROWS));
    workspace.sync(&[&slowly[..], &["never-again.csv"]].concat()).expect(12).expect_books();
    workspace.write("between.csv", others(ROWS, ",gold"));
    workspace.sync(&[&slowly[..], &["between.csv"]].concat()).expect(0);
    workspace.fault(outage(21, 100_000, OutageKind::Status(401)));
    workspace.write("next.csv", others(ROWS, ",silver"));
    let ran = workspace.sync(&[&slowly[..], &["next.csv"]].concat()).expect(12).expect_books();
    assert_eq!((ran.rows("synced"), http(&ran, "401")), (20, 6), "the row itself, again, and four others");
}

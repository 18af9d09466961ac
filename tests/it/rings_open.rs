//! Rings of swaps that are begun: as many as a limit on updates has room for, a few at a time, and who is named where
//! one of them is left half broken.
//!
//! Not here: what breaks a ring, and in which order (`rings.rs`).

use simsync::sandbox::{Faults, Uniqueness};

use crate::rings::{
    BREAK, RINGS_OPEN_MAX, assert_holds, assert_sent, imsi, imsis_sent, pairs, sync, takes, unique,
    with_subjects,
};
use crate::support::{last_run, replay};
use crate::witness::{frozen_after, kill_9};

/// A server that lets a value be one subject's alone.
fn honest() -> Faults {
    Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() }
}

#[test]
fn a_limit_on_updates_that_would_end_between_a_clear_and_the_rest_clears_nothing() {
    let workspace = with_subjects(4);
    let rows = [(2, 12), (3, 13), (0, 1), (1, 0)];
    workspace.write("swap.csv", takes(&rows));
    let limited = sync(&workspace, &["swap.csv", "--max-rows", "3"]).expect(8).expect_books();
    assert_eq!((limited.rows("synced"), limited.rows("pending")), (2, 2));
    assert_holds(&workspace, &[(0, 0), (1, 1)]);
    assert_sent(&sync(&workspace, &["swap.csv"]).expect(0).expect_books(), 2, 1);
    assert_holds(&workspace, &rows);
}

#[test]
fn a_limit_on_updates_that_no_ring_fits_says_what_would_do() {
    let workspace = with_subjects(3);
    workspace.write("swap.csv", takes(&[(0, 1), (1, 2), (2, 0)]));
    let limited = sync(&workspace, &["swap.csv", "--max-rows", "2"]).expect(8).expect_books();
    assert_eq!((limited.rows("synced"), limited.rows("pending")), (0, 3));
    let told = limited.summary()["notices"].to_string();
    assert!(told.contains("--max-rows 2 is too few") && told.contains("--max-rows 3"), "{told}");
    let stopped = limited.summary()["stopped"].to_string();
    assert!(stopped.contains("--max-rows 2 has room for 2 more, and nothing fits"), "{stopped}");
}

#[test]
fn the_summary_tells_what_was_broken_and_not_what_will_be() {
    let workspace = with_subjects(8);
    workspace.write("swaps.csv", takes(&[(0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4)]));
    let url = workspace.sandbox.url();
    let run = |args: &[&str], code| {
        let own = ["sync", "--api-url", &url, "--rate", "unlimited", "swaps.csv"];
        workspace.run(&[&own, &BREAK[..], args].concat()).expect(code).stderr
    };
    let told = run(&["--max-rows", "3"], 8);
    assert!(told.contains("1 of 3 true swaps was broken by clearing a field, 0 were not to be"), "{told}");
    assert!(told.contains("--max-rows 3 is too few for 2 true swaps"), "{told}");
    assert!(told.contains("--max-rows 3 has room for 1 more"), "{told}");
    // Nobody is waited for.
    assert!(told.contains("stopping: --max-rows 3") && !told.contains("waiting for 0"), "{told}");
    let told = run(&[], 0);
    assert!(told.contains("  2 true swaps were broken by clearing a field"), "{told}");
    assert!(!told.contains("will be broken"), "{told}");
}

#[test]
fn what_hangs_on_a_ring_that_is_held_back_waits_with_it() {
    let workspace = unique();
    let iccid = |of: u64| format!("894410000000000{of:04}");
    let row =
        |of: u64, imsi_of: u64, iccid_of: u64| format!("C-{of:06},{},{}\n", imsi(imsi_of), iccid(iccid_of));
    let file = |rows: &[String]| format!("crm id,imsi,iccid\n{}", rows.concat());
    workspace.write("before.csv", file(&[0, 1, 2, 3].map(|of| row(of, of, of))));
    workspace.sync(&["before.csv"]).expect(0);
    // A ring of two; 2 takes the ICCID that 0 gives up, and 3 the one that 2 does.
    workspace.write("ring.csv", file(&[row(0, 1, 7), row(1, 0, 1), row(2, 2, 0), row(3, 3, 2)]));
    let limited = sync(&workspace, &["ring.csv", "--max-rows", "1"]).expect(8).expect_books();
    assert_eq!(
        (limited.rows("pending"), limited.summary()["attempts"].as_u64()),
        (4, Some(0)),
        "{}",
        limited.stdout
    );
    let ran = sync(&workspace, &["ring.csv"]).expect(0).expect_books();
    assert_sent(&ran, 4, 1);
    assert_eq!(workspace.at_server("C-000003", "iccid"), Some(iccid(2)));
}

#[test]
fn only_the_rings_that_a_limit_on_updates_has_no_room_for_are_held_back() {
    let workspace = with_subjects(12);
    // A ring of five, two of two, and a chain of three of which two wait.
    let rows =
        [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (5, 6), (6, 5), (7, 8), (8, 7), (9, 10), (10, 11), (11, 20)];
    workspace.write("rings.csv", takes(&rows));
    let limited = sync(&workspace, &["rings.csv", "--max-rows", "7"]).expect(8).expect_books();
    assert_eq!((limited.rows("synced"), limited.rows("pending")), (7, 5), "{}", limited.stdout);
    assert_holds(&workspace, &rows[5..]);
    assert_holds(&workspace, &[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)]);
    let told = limited.summary()["notices"].to_string();
    assert!(told.contains("--max-rows 7 is too few") && told.contains("line 2"), "{told}");
    assert!(told.contains("--max-rows 5 or more"), "{told}");
    assert_sent(&sync(&workspace, &["rings.csv", "--max-rows", "5"]).expect(0).expect_books(), 5, 1);
    assert_holds(&workspace, &rows);
}

#[test]
fn chains_are_sent_within_a_limit_on_updates_although_no_ring_fits() {
    let workspace = with_subjects(12);
    // A ring of three, and a chain of six of which five wait.
    let rows = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 20)];
    workspace.write("rings.csv", takes(&rows));
    let run = |max: &str, code, synced, pending| {
        let ran = sync(&workspace, &["rings.csv", "--max-rows", max]).expect(code).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("pending")), (synced, pending), "{}", ran.stdout);
        assert_eq!(ran.summary()["http"]["409"], serde_json::Value::Null, "{}", ran.stdout);
    };
    run("2", 8, 2, 7);
    run("2", 8, 2, 5);
    run("4", 8, 2, 3);
    assert_holds(&workspace, &[(0, 0), (1, 1), (2, 2)]);
    assert_holds(&workspace, &rows[3..]);
    run("3", 0, 3, 0);
    assert_holds(&workspace, &rows);
}

#[test]
fn many_runs_with_a_limit_break_many_rings_and_leave_none_half_broken() {
    let workspace = with_subjects(300);
    let rows = pairs(150);
    workspace.write("swaps.csv", takes(&rows));
    let mut synced = 0;
    for code in [8, 8, 8, 0] {
        let ran = sync(&workspace, &["swaps.csv", "--max-rows", "91"]).expect(code).expect_books();
        assert!(ran.rows("synced") >= 27 && ran.rows("synced").is_multiple_of(2), "{}", ran.stdout);
        synced += ran.rows("synced");
        let without = (0..300).filter(|of| workspace.at_server(&format!("C-{of:06}"), "imsi").is_none());
        assert_eq!(without.count(), 0);
    }
    assert_eq!(synced, 300);
    assert_holds(&workspace, &rows);
}

#[test]
fn a_ring_that_a_kill_has_left_half_broken_is_named_as_long_as_a_limit_keeps_it_so() {
    let workspace = with_subjects(6);
    let rows = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0)];
    workspace.write("ring.csv", takes(&rows));
    let before = workspace.sandbox.stats().requests;
    // Behind the clear and one of the five that wait for it.
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(2) });
    let mut child = workspace.sync_in_background(&[&BREAK[..], &["ring.csv", "--max-rows", "6"]].concat());
    workspace.wait_for_requests(before + 3);
    kill_9(&mut child);
    workspace.fault(honest());
    assert_eq!(workspace.at_server("C-000000", "imsi"), None);
    for pending in [3, 1] {
        let ran = sync(&workspace, &["ring.csv", "--max-rows", "2"]).expect(8).expect_books();
        assert_eq!(ran.rows("pending"), pending, "{}", ran.stdout);
        let told = ran.summary()["notices"].to_string();
        assert!(
            told.contains("1 subject was cleared of what others take") && told.contains("line 2"),
            "{told}"
        );
        assert!(told.contains("; in_doubt.csv lists it,"), "{told}");
        let listed = workspace.last_rows("in_doubt.csv");
        let listed: Vec<_> =
            listed.iter().map(|row| (row["_reason"].as_str(), row["crm id"].as_str())).collect();
        assert_eq!(listed, [("swap.cleared", "C-000000")]);
    }
    let ran = sync(&workspace, &["ring.csv", "--max-rows", "2"]).expect(0).expect_books();
    assert!(!ran.stdout.contains("was cleared of"), "{}", ran.stdout);
    assert_eq!(imsis_sent(&workspace, 0).iter().filter(|imsi| imsi.is_none()).count(), 1, "cleared once");
    assert_holds(&workspace, &rows);
}

#[test]
fn a_clear_in_doubt_whose_ring_does_not_fit_a_limit_is_named() {
    let workspace = with_subjects(3);
    let rows = [(0, 1), (1, 2), (2, 0)];
    workspace.write("ring.csv", takes(&rows));
    let before = workspace.sandbox.stats().requests;
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(0) });
    let mut child = workspace.sync_in_background(&[&BREAK[..], &["ring.csv"]].concat());
    workspace.wait_for_requests(before + 1);
    kill_9(&mut child);
    workspace.fault(honest());
    let ran = sync(&workspace, &["ring.csv", "--max-rows", "2"]).expect(8).expect_books();
    assert_eq!(ran.summary()["attempts"].as_u64(), Some(0), "{}", ran.stdout);
    let listed = workspace.last_rows("in_doubt.csv");
    let listed: Vec<_> = listed.iter().map(|row| (row["_reason"].as_str(), row["crm id"].as_str())).collect();
    assert_eq!(listed, [("swap.cleared", "C-000000")]);
    let detail = &workspace.last_rows("in_doubt.csv")[0]["_detail"];
    assert!(detail.contains("may have been cleared of imsi"), "{detail}");
    assert_sent(&sync(&workspace, &["ring.csv", "--max-rows", "3"]).expect(0).expect_books(), 3, 1);
    assert_holds(&workspace, &rows);
}

#[test]
fn rings_whose_updates_the_server_defers_keep_the_next_ones_from_being_begun() {
    let workspace = with_subjects(200);
    let rows = pairs(100);
    workspace.write("swaps.csv", takes(&rows));
    // Whoever is not cleared is turned away for a conflict whatever it takes.
    let statuses = (0..200).filter(|of| of % 2 == 1).map(|of| (format!("C-{of:06}"), 409)).collect();
    workspace.fault(Faults { subject_statuses: statuses, ..honest() });
    let before = workspace.sandbox.requests().len();
    let ran = sync(&workspace, &["swaps.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("pending")), (200, 0), "{}", ran.stdout);
    let requests = workspace.sandbox.requests().split_off(before);
    let mut seen = std::collections::BTreeSet::new();
    let first = requests.iter().take_while(|request| {
        let is_clear = request.fields.get("imsi") == Some(&None);
        is_clear || seen.insert(request.subject.clone())
    });
    let clears = first.filter(|request| request.fields.get("imsi") == Some(&None)).count();
    assert_eq!(clears, RINGS_OPEN_MAX, "begun before any of them was tried again");
}

#[test]
fn a_ring_that_was_begun_under_a_limit_is_tried_to_its_end_although_the_server_defers_it() {
    let workspace = with_subjects(5);
    let rows = [(0, 1), (1, 0), (2, 3), (3, 2), (4, 20)];
    workspace.write("swaps.csv", takes(&rows));
    let statuses = [("C-000001".to_owned(), 409)].into();
    workspace.fault(Faults { subject_statuses: statuses, ..honest() });
    let ran = sync(&workspace, &["swaps.csv", "--max-rows", "3"]).expect(8).expect_books();
    let rows_of = |ran: &crate::support::Ran| ["synced", "failed", "pending"].map(|fate| ran.rows(fate));
    assert_eq!(rows_of(&ran), [1, 2, 2], "{}", ran.stdout);
    let failed = workspace.last_rows("failed.csv");
    assert!(failed[0]["_detail"].contains("cleared of imsi"), "{failed:?}");
    let told = ran.summary()["notices"].to_string();
    assert!(told.contains("; failed.csv lists it"), "{told}");
    assert_holds(&workspace, &[(2, 2), (3, 3)]);
    workspace.fault(honest());
    let ran = sync(&workspace, &["swaps.csv", "--max-rows", "3", "--retry-failed"]).expect(8).expect_books();
    assert_eq!(rows_of(&ran), [2, 0, 2], "{}", ran.stdout);
    sync(&workspace, &["swaps.csv", "--max-rows", "3"]).expect(0).expect_books();
    assert_holds(&workspace, &rows);
}

#[test]
fn a_replay_takes_rows_whose_subjects_were_cleared_for_in_doubt_and_a_resume_finishes_the_ring() {
    for (kinds, max) in [(&[][..], "6"), (&["--kind", "in-doubt"], "6")] {
        let workspace = with_subjects(3);
        let rows = [(0, 1), (1, 2), (2, 0)];
        workspace.write("ring.csv", takes(&rows));
        let before = workspace.sandbox.stats().requests;
        workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(1) });
        let mut child =
            workspace.sync_in_background(&[&BREAK[..], &["ring.csv", "--max-rows", max]].concat());
        workspace.wait_for_requests(before + 2);
        kill_9(&mut child);
        workspace.fault(honest());
        sync(&workspace, &["ring.csv", "--max-rows", "1"]).expect(8);
        let run = last_run(&workspace);
        // Somebody else holds what it takes still: it is refused, and named.
        let ran = replay(&workspace, &[&[run.as_str()], kinds].concat()).expect(3).expect_books();
        assert_eq!(ran.rows("failed"), 1, "{}", ran.stdout);
        let told = ran.summary()["notices"].to_string();
        assert!(
            told.contains("run the command of the run that cleared them") && told.contains("swap (line 2)"),
            "{told}"
        );
        sync(&workspace, &["ring.csv"]).expect(0).expect_books();
        assert_holds(&workspace, &rows);
    }
}

#[test]
fn a_clear_in_doubt_that_is_acknowledged_later_lets_no_older_row_in() {
    let workspace = with_subjects(2);
    let run = {
        let text = format!("crm id,imsi\nC-000000,{}\nC-000000,{}\nC-000001,{}\n", imsi(7), imsi(5), imsi(6));
        workspace.write("each.csv", text);
        workspace.fault(Faults { refused_values: [imsi(7)].into(), ..honest() });
        workspace.sync(&["each.csv", "--yes", "--duplicates", "each"]).expect(3);
        last_run(&workspace)
    };
    // Rows 2 and 3, corrected: a ring of that batch.
    let (one, other) = (imsi(6), imsi(5));
    let text = format!("crm id,imsi,_run,_row\nC-000000,{one},{run},2\nC-000001,{other},{run},3\n");
    workspace.write("corrected.csv", text);
    for acknowledged in [0, 1] {
        let before = workspace.sandbox.stats().requests;
        workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(acknowledged) });
        let mut child = workspace.sync_in_background(&[&BREAK[..], &["corrected.csv"]].concat());
        workspace.wait_for_requests(before + acknowledged + 1);
        kill_9(&mut child);
        workspace.fault(honest());
    }
    assert_eq!(workspace.at_server("C-000000", "imsi"), None, "cleared, and that is acknowledged");
    let ran = replay(&workspace, &[&run]).expect(3).expect_books();
    assert_eq!((ran.rows("superseded"), ran.rows("synced")), (1, 0), "{}", ran.stdout);
    sync(&workspace, &["corrected.csv"]).expect(0).expect_books();
    assert_holds(&workspace, &[(0, 6), (1, 5)]);
}

//! Several rows for one subject, several subjects for one identifier, and the gate for rejected rows.

use std::fmt::Write as _;

use super::{sync_tiers, tiers_sent};
use crate::support::{Workspace, fixture, imei};

/// A, B, A for one subject, and a neighbour.
const A_B_A: [(&str, &str); 4] =
    [("CRM-1", "basic"), ("CRM-2", "basic"), ("CRM-1", "premium"), ("CRM-1", "basic")];

#[test]
fn a_b_a_in_one_file_ends_at_a() {
    let workspace = Workspace::new();
    let ran = sync_tiers(&workspace, &A_B_A, &[]).expect(0);
    assert_eq!((ran.rows("synced"), ran.rows("folded"), ran.rows("duplicate")), (2, 2, 0));
    assert_eq!(tiers_sent(&workspace, "CRM-1"), ["basic"]);
}

#[test]
fn the_fixture_of_a_b_a_ends_as_it_says() {
    let workspace = Workspace::new();
    let ran = workspace.sync(&[&fixture("rows-a-b-a.csv")]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("folded"), ran.rows("duplicate")), (3, 3, 2));
    for (subject, tier) in [("crm-1", "premium"), ("crm-2", "basic"), ("crm-3", "premium")] {
        assert_eq!(workspace.at_server(subject, "user_class").as_deref(), Some(tier), "{subject}");
    }
}

#[test]
fn fold_merges_fields_and_last_and_first_do_not() {
    let rows = "crm id,mobile,tier\nCRM-1,+447910000001,basic\nCRM-1,,premium\n";
    let table = [
        ("fold", Some("+447910000001"), "premium", "folded"),
        ("last", None, "premium", "superseded"),
        ("first", Some("+447910000001"), "basic", "superseded"),
    ];
    for (policy, number, tier, other) in table {
        let workspace = Workspace::new();
        workspace.write("crm.csv", rows);
        let ran = workspace.sync(&["--duplicates", policy, "crm.csv"]).expect_books();
        // What a policy leaves out is overtaken by something newer, and that is worth an exit code.
        let ran = ran.expect(if other == "superseded" { 3 } else { 0 });
        assert_eq!((ran.rows("synced"), ran.rows(other)), (1, 1), "{policy}");
        assert_eq!(workspace.at_server("CRM-1", "number").as_deref(), number, "{policy}");
        assert_eq!(workspace.at_server("CRM-1", "user_class").as_deref(), Some(tier), "{policy}");
        assert_eq!(workspace.sandbox.stats().requests, 1, "{policy}");
    }
}

#[test]
fn each_sends_every_row_in_order() {
    let workspace = Workspace::new();
    let ran = sync_tiers(&workspace, &A_B_A, &["--duplicates", "each"]).expect(0);
    assert_eq!((ran.rows("synced"), ran.rows("folded")), (4, 0));
    assert_eq!(tiers_sent(&workspace, "CRM-1"), ["basic", "premium", "basic"]);
}

#[test]
fn reject_rejects_the_subject_with_all_its_rows() {
    let workspace = Workspace::new();
    let ran = sync_tiers(&workspace, &A_B_A, &["--duplicates", "reject"]).expect(3);
    assert_eq!((ran.rows("synced"), ran.rows("rejected")), (1, 3));
    assert_eq!(workspace.arrivals(), ["CRM-2"]);
    let rows = workspace.last_rows("rejected.csv");
    assert_eq!(rows.iter().map(|row| row["_reason"].as_str()).collect::<Vec<_>>(), ["duplicate.rejected"; 3]);
}

#[test]
fn an_equal_neighbouring_row_is_a_duplicate() {
    let workspace = Workspace::new();
    let ran = sync_tiers(&workspace, &[("CRM-1", "basic"), ("CRM-1", "basic")], &[]).expect(0);
    assert_eq!((ran.rows("synced"), ran.rows("duplicate")), (1, 1));
}

#[test]
fn conflicts_are_held_unless_told_to_send() {
    let workspace = Workspace::new();
    let file = fixture("conflict-two-subjects-one-iccid.csv");
    let held = workspace.sync(&[&file]).expect(3).expect_books();
    assert_eq!((held.rows("synced"), held.rows("conflict")), (1, 3));
    assert_eq!(workspace.sandbox.stats().requests, 1);
    let rows = workspace.last_rows("conflicts.csv");
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["_reason"].starts_with("conflict")));
    let sent = workspace.sync(&["--conflicts", "send", &file]).expect(0).expect_books();
    assert_eq!((sent.rows("synced"), sent.rows("folded"), sent.rows("unchanged")), (2, 1, 1));
}

/// So many rows, of which the first ones have an IMEI that is none.
fn partly_rejected(rows: u32, rejected: u32) -> String {
    let mut text = String::from("crm id,imei\n");
    for row in 0..rows {
        let imei = if row < rejected { "35686800000O".to_owned() } else { imei(row) };
        writeln!(text, "C-{row:06},{imei}").unwrap();
    }
    text
}

#[test]
fn a_file_of_which_a_third_is_rejected_stops_before_the_first_request() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", partly_rejected(60, 20));
    let stopped = workspace.sync(&["crm.csv"]).expect(4).expect_books();
    assert_eq!((stopped.rows("rejected"), stopped.rows("pending")), (20, 40));
    assert_eq!(workspace.sandbox.stats().requests, 0);
    assert!(stopped.stderr.contains("--yes"), "{}", stopped.stderr);
    let goes_on = workspace.sync(&["--yes", "crm.csv"]).expect(3).expect_books();
    assert_eq!((goes_on.rows("rejected"), goes_on.rows("synced")), (20, 40));
    assert_eq!(workspace.last_rows("rejected.csv").len(), 20);
}

#[test]
fn few_rejected_rows_or_a_small_share_stop_nothing() {
    for (rows, rejected) in [(30, 19), (100, 30)] {
        let workspace = Workspace::new();
        workspace.write("crm.csv", partly_rejected(rows, rejected));
        let ran = workspace.sync(&["crm.csv"]).expect(3).expect_books();
        assert_eq!(ran.rows("synced"), u64::from(rows - rejected));
    }
}

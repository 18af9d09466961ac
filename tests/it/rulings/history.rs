//! Against what was acknowledged: unchanged, changed, unknown.

use simsync::sandbox::{Faults, Shares};

use super::{sync_tiers, tiers_sent};
use crate::support::{Workspace, export};

#[test]
fn an_unchanged_second_run_sends_nothing() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(20));
    assert_eq!(workspace.sync(&["crm.csv"]).expect(0).expect_books().rows("synced"), 20);
    let again = workspace.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!((again.rows("unchanged"), again.rows("synced")), (20, 0));
    // Another order, another spelling, another name: the same values.
    let mut lines: Vec<String> = export(20).lines().map(|line| line.replace("+4479", "+44 79")).collect();
    lines[1..].reverse();
    workspace.write("other.csv", lines.join("\r\n"));
    assert_eq!(workspace.sync(&["other.csv"]).expect(0).rows("unchanged"), 20);
    assert_eq!(workspace.sandbox.stats().requests, 20);
}

#[test]
fn a_changed_field_sends_its_subject_and_no_other() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(20));
    workspace.sync(&["crm.csv"]).expect(0);
    let changed = export(20).replace("C-000007,+447910000007", "C-000007,+447910009999");
    workspace.write("crm.csv", changed);
    let ran = workspace.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (1, 19));
    assert_eq!(workspace.history("C-000007").len(), 2);
    assert_eq!(workspace.at_server("C-000007", "number").as_deref(), Some("+447910009999"));
    assert_eq!(workspace.sandbox.stats().requests, 21);
}

#[test]
fn a_b_a_over_three_runs_sends_a_again() {
    let workspace = Workspace::new();
    for tier in ["basic", "premium", "basic"] {
        assert_eq!(sync_tiers(&workspace, &[("CRM-1", tier)], &[]).expect(0).rows("synced"), 1);
    }
    assert_eq!(tiers_sent(&workspace, "CRM-1"), ["basic", "premium", "basic"]);
}

#[test]
fn a_is_sent_again_after_b_whose_outcome_nobody_knows() {
    let workspace = Workspace::new();
    workspace.configure(
        "[delivery]\nattempts_max = 2\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\n\
         [api]\ntimeout = \"500ms\"\nconnect_timeout = \"500ms\"\n",
    );
    sync_tiers(&workspace, &[("CRM-1", "basic"), ("CRM-2", "basic")], &[]).expect(0);
    // B is applied, but never answered. The neighbour's refusal between its attempts shows that the server is well.
    workspace.fault(Faults {
        subject_statuses: [("CRM-2".to_owned(), 404)].into(),
        shares: Shares { hang_after: 1.0, ..Shares::default() },
        ..Faults::default()
    });
    let lost =
        sync_tiers(&workspace, &[("CRM-1", "premium"), ("CRM-2", "premium")], &["--max-in-flight", "1"]);
    let lost = lost.expect(3);
    assert_eq!(lost.rows("failed"), 2);
    let reasons: Vec<String> = workspace
        .last_rows("failed.csv")
        .iter()
        .map(|row| format!("{} {}", row["_reason"], row["crm id"]))
        .collect();
    assert_eq!(reasons, ["exhausted CRM-1", "refused CRM-2"]);
    assert_eq!(workspace.at_server("CRM-1", "user_class").as_deref(), Some("premium"));
    workspace.fault(Faults::default());
    let back = sync_tiers(&workspace, &[("CRM-1", "basic"), ("CRM-2", "basic")], &[]).expect(0);
    // What CRM-2 holds is known: its refusal was definite.
    assert_eq!((back.rows("synced"), back.rows("unchanged")), (1, 1));
    assert_eq!(workspace.at_server("CRM-1", "user_class").as_deref(), Some("basic"));
}

#[test]
fn full_sends_everything_again() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(10));
    workspace.sync(&["crm.csv"]).expect(0);
    let ran = workspace.sync(&["--full", "crm.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (10, 0));
    assert_eq!(workspace.sandbox.stats().duplicates, 10);
}

#[test]
fn resend_after_leaves_young_acknowledgements_alone() {
    let workspace = Workspace::new();
    workspace.configure("[plan]\nresend_after = \"1m\"\n");
    workspace.write("crm.csv", export(5));
    workspace.sync(&["crm.csv"]).expect(0);
    assert_eq!(workspace.sync(&["crm.csv"]).expect(0).rows("unchanged"), 5);
}

#[test]
fn empty_cells_are_not_sent_and_clear_nothing() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", "crm id,mobile,login,tier\nCRM-1,+447910000001,ann,basic\n");
    workspace.sync(&["crm.csv"]).expect(0);
    workspace.write("crm.csv", "crm id,mobile,login,tier\nCRM-1,,  ,premium\n");
    workspace.sync(&["crm.csv"]).expect(0);
    let history = workspace.history("CRM-1");
    let sent: Vec<&str> = history[1].fields.keys().map(String::as_str).collect();
    assert_eq!(sent, ["user_class", "user_external_id"]);
    assert_eq!(workspace.at_server("CRM-1", "username").as_deref(), Some("ann"));
    assert_eq!(workspace.at_server("CRM-1", "number").as_deref(), Some("+447910000001"));
}

#[test]
fn rows_with_nothing_but_the_key_are_unchanged() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", "crm id,tier\nCRM-1,\nCRM-2,basic\nCRM-3,N/A\n");
    let ran = workspace.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("unchanged"), ran.rows("synced")), (2, 1));
    assert_eq!(workspace.arrivals(), ["CRM-2"]);
}

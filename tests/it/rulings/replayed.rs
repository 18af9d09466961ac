//! Row files fed back: as they are, corrected, and after something newer was acknowledged.

use std::path::PathBuf;

use simsync::sandbox::Faults;

use super::{sync_tiers, tiers_sent};
use crate::support::{Workspace, export, imei};

fn refusing(value: &str) -> Faults {
    Faults { refused_values: [value.to_owned()].into(), ..Faults::default() }
}

/// Copies a row file of the newest run, with a change in its text.
fn fed_back(workspace: &Workspace, name: &str, from: &str, to: &str) -> PathBuf {
    let text = workspace.last_run_file(name).unwrap();
    assert!(from.is_empty() || text.contains(from), "{text}");
    workspace.write("fed-back.csv", if from.is_empty() { text } else { text.replace(from, to) })
}

#[test]
fn failed_rows_parse_as_they_are_and_keep_their_place_in_the_files() {
    let workspace = Workspace::with(refusing("gold"));
    sync_tiers(&workspace, &[("CRM-1", "basic"), ("CRM-2", "gold"), ("CRM-3", "basic")], &[]).expect(3);
    let before = workspace.last_rows("failed.csv");
    fed_back(&workspace, "failed.csv", "", "");
    let again = workspace.sync(&["fed-back.csv"]).expect(3).expect_books();
    assert_eq!((again.rows("read"), again.rows("failed")), (1, 1));
    assert_eq!(workspace.history("CRM-2").len(), 2);
    let after = workspace.last_rows("failed.csv");
    for column in ["crm id", "tier", "_run", "_row", "_reason", "_signature"] {
        assert_eq!(before[0][column], after[0][column], "{column}");
    }
    workspace.fault(Faults::default());
    assert_eq!(workspace.sync(&["fed-back.csv"]).expect(0).rows("synced"), 1);
    assert_eq!(workspace.at_server("CRM-2", "user_class").as_deref(), Some("gold"));
}

#[test]
fn a_corrected_failed_row_is_sent() {
    let workspace = Workspace::with(refusing("gold"));
    sync_tiers(&workspace, &[("CRM-1", "basic"), ("CRM-2", "gold")], &[]).expect(3);
    fed_back(&workspace, "failed.csv", "gold", "premium");
    let ran = workspace.sync(&["fed-back.csv"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 1);
    assert_eq!(tiers_sent(&workspace, "CRM-2"), ["gold", "premium"]);
}

#[test]
fn a_corrected_rejected_row_is_sent() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(8).replace(&imei(5), "35686800O000051"));
    let first = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((first.rows("synced"), first.rows("rejected")), (7, 1));
    let rows = workspace.last_rows("rejected.csv");
    assert_eq!((rows.len(), rows[0]["crm id"].as_str(), rows[0]["_line"].as_str()), (1, "C-000005", "7"));
    assert!(rows[0]["_reason"].starts_with("imei."), "{}", rows[0]["_reason"]);
    // As it is, it is rejected for the same reason.
    fed_back(&workspace, "rejected.csv", "", "");
    assert_eq!(workspace.sync(&["fed-back.csv"]).expect(3).rows("rejected"), 1);
    fed_back(&workspace, "rejected.csv", "35686800O000051", &imei(5));
    assert_eq!(workspace.sync(&["fed-back.csv"]).expect(0).rows("synced"), 1);
    assert_eq!(workspace.at_server("C-000005", "imei"), Some(imei(5)));
    assert_eq!(workspace.sandbox.stats().requests, 8);
}

#[test]
fn a_corrected_rejected_row_keeps_its_old_version() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", "crm id,login,tier,imei\nCRM-1,ann,basic,35686800O000051\n");
    assert_eq!(workspace.sync(&["crm.csv"]).expect(3).rows("rejected"), 1);
    let rejected = workspace.last_run_file("rejected.csv").unwrap();
    sync_tiers(&workspace, &[("CRM-1", "premium")], &[]).expect(0);
    workspace.write("fed-back.csv", rejected.replace("35686800O000051", &imei(5)));
    assert_eq!(workspace.sync(&["fed-back.csv"]).expect(0).expect_books().rows("synced"), 1);
    // The tier acknowledged meanwhile is newer than the row; its other fields are news.
    assert_eq!(tiers_sent(&workspace, "CRM-1"), ["premium"]);
    assert_eq!(workspace.at_server("CRM-1", "username").as_deref(), Some("ann"));
    assert_eq!(workspace.at_server("CRM-1", "imei"), Some(imei(5)));
}

#[test]
fn a_newer_acknowledged_value_is_not_overwritten_by_a_replay() {
    let workspace = Workspace::with(refusing("gold"));
    sync_tiers(&workspace, &[("CRM-1", "basic"), ("CRM-2", "gold")], &[]).expect(3);
    let failed = workspace.last_run_file("failed.csv").unwrap();
    workspace.fault(Faults::default());
    sync_tiers(&workspace, &[("CRM-2", "premium")], &[]).expect(0);
    workspace.write("fed-back.csv", failed);
    let ran = workspace.sync(&["fed-back.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("superseded"), ran.rows("synced")), (1, 0));
    assert_eq!(workspace.at_server("CRM-2", "user_class").as_deref(), Some("premium"));
    assert_eq!(tiers_sent(&workspace, "CRM-2"), ["gold", "premium"]);
}

#[test]
fn only_the_overtaken_fields_of_a_replayed_row_are_left_out() {
    let workspace = Workspace::with(refusing("gold"));
    workspace.write("crm.csv", "crm id,login,tier\nCRM-1,ann,basic\nCRM-2,bob,gold\n");
    workspace.sync(&["crm.csv"]).expect(3);
    let failed = workspace.last_run_file("failed.csv").unwrap();
    workspace.fault(Faults::default());
    sync_tiers(&workspace, &[("CRM-2", "premium")], &[]).expect(0);
    workspace.write("fed-back.csv", failed);
    assert_eq!(workspace.sync(&["fed-back.csv"]).expect(0).expect_books().rows("synced"), 1);
    assert_eq!(workspace.at_server("CRM-2", "user_class").as_deref(), Some("premium"));
    assert_eq!(workspace.at_server("CRM-2", "username").as_deref(), Some("bob"));
}

#[test]
fn a_row_of_a_run_nobody_knows_is_rejected() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", "crm id,tier,_run,_row\nCRM-1,basic,20200101T000000Z-000000,4\n");
    let ran = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("rejected"), workspace.sandbox.stats().requests), (1, 0));
    assert_eq!(workspace.last_rows("rejected.csv")[0]["_reason"], "origin.unknown_run");
}

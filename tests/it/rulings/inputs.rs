//! Rulings over whole inputs: several files, patterns, standard input, NDJSON, and the vendor page's own row.

use std::io::Write as _;
use std::process::Stdio;

use super::tiers_sent;
use crate::support::{Workspace, export, fixture, ran};

#[test]
fn several_files_are_one_batch_in_their_order() {
    let workspace = Workspace::new();
    workspace.write("b.csv", "crm id,tier\nCRM-1,basic\nCRM-2,basic\n");
    workspace.write("a.csv", "crm id,login,tier\nCRM-1,ann,premium\n");
    let ran = workspace.sync(&["b.csv", "a.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("read"), ran.rows("synced"), ran.rows("folded")), (3, 2, 1));
    assert_eq!(tiers_sent(&workspace, "CRM-1"), ["premium"]);
    assert_eq!(workspace.at_server("CRM-1", "username").as_deref(), Some("ann"));
    // The other order is another batch, and ends otherwise.
    let ran = workspace.sync(&["a.csv", "b.csv"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 1);
    assert_eq!(tiers_sent(&workspace, "CRM-1"), ["premium", "basic"]);
}

#[test]
fn a_pattern_is_read_in_the_order_of_names() {
    let workspace = Workspace::new();
    for (name, tier) in [("day-2.csv", "premium"), ("day-1.csv", "basic"), ("day-3.csv", "gold")] {
        workspace.write(name, format!("crm id,tier\nCRM-1,{tier}\n"));
    }
    let ran = workspace.sync(&["day-*.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("read"), ran.rows("synced"), ran.rows("folded")), (3, 1, 2));
    assert_eq!(tiers_sent(&workspace, "CRM-1"), ["gold"]);
}

#[test]
fn standard_input_is_surveyed_whole_and_then_sent() {
    let workspace = Workspace::new();
    for (fate, requests) in [("synced", 25), ("unchanged", 25)] {
        let mut command = workspace.sync_command(&["-"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(export(25).as_bytes()).unwrap();
        drop(stdin);
        let ran = ran(child.wait_with_output().unwrap()).expect(0).expect_books();
        assert_eq!((ran.rows(fate), workspace.sandbox.stats().requests), (25, requests));
    }
}

#[test]
fn ndjson_keeps_every_digit_of_an_iccid() {
    let workspace = Workspace::new();
    let iccid = "89441234567890123457";
    workspace.write(
        "contacts.ndjson",
        format!(
            "{{\"crm_id\":\"CRM-1\",\"iccid\":\"{iccid}\"}}\n{{\"crm_id\":\"CRM-2\",\"iccid\":{iccid}}}\n"
        ),
    );
    let ran = workspace.sync(&["contacts.ndjson"]).expect(3).expect_books();
    // As a JSON number it may have lost digits on its way here already; then it is rejected, never sent otherwise.
    assert_eq!((ran.rows("synced"), ran.rows("rejected")), (1, 1));
    assert_eq!(workspace.at_server("CRM-1", "iccid").as_deref(), Some(iccid));
    assert_eq!(workspace.last_rows("rejected.csv")[0]["_reason"], "json.unsafe_integer");
    assert_eq!(workspace.arrivals(), ["CRM-1"]);
}

#[test]
fn the_fixture_of_ndjson_is_ruled_on_as_it_says() {
    let workspace = Workspace::new();
    let ran = workspace.sync(&[&fixture("contacts.ndjson")]).expect(3).expect_books();
    assert_eq!(
        (ran.rows("read"), ran.rows("synced"), ran.rows("folded"), ran.rows("rejected")),
        (10, 7, 1, 2)
    );
}

#[test]
fn two_nights_of_the_crm_export_are_ruled_on_as_they_say() {
    let workspace = Workspace::new();
    let first = workspace.sync(&[&fixture("crm-export.csv")]).expect(3).expect_books();
    let fates = ["read", "synced", "folded", "duplicate", "conflict", "unchanged", "rejected"];
    assert_eq!(fates.map(|fate| first.rows(fate)), [300, 258, 12, 8, 5, 1, 16]);
    assert_eq!(workspace.sandbox.stats().requests, 258);
    let next = workspace.sync(&[&fixture("crm-export-next-day.csv")]).expect(3).expect_books();
    assert_eq!(fates.map(|fate| next.rows(fate)), [301, 16, 0, 8, 3, 260, 14]);
    assert_eq!(workspace.sandbox.stats().requests, 274);
}

#[test]
fn the_vendors_own_row_is_sent_with_warnings_and_without_its_password() {
    for name in ["vendor-example.csv", "vendor-example.ndjson"] {
        let workspace = Workspace::new();
        let ran = workspace.sync(&[&fixture(name)]).expect(0).expect_books();
        assert_eq!(ran.rows("synced"), 1, "{name}");
        let warnings = ran.summary()["warnings"].to_string();
        for code in ["imei.luhn", "iccid.luhn", "number.length"] {
            assert!(warnings.contains(code), "{name}: {code} in {warnings}");
        }
        let sent = &workspace.history("ext_12345")[0].fields;
        assert_eq!(sent.len(), 8, "{name}: all but the password");
        assert!(!sent.contains_key("password"));
    }
}

#[test]
fn the_vendors_own_password_is_no_whole_hash_and_rejects_the_row_when_asked_for() {
    let workspace = Workspace::new();
    let ran = workspace.sync(&["--map", "password=password", &fixture("vendor-example.csv")]).expect(3);
    let ran = ran.expect_books();
    assert_eq!((ran.rows("rejected"), workspace.sandbox.stats().requests), (1, 0));
    assert_eq!(workspace.last_rows("rejected.csv")[0]["_reason"], "password.truncated");
    let hash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    workspace.write("crm.csv", format!("crm id,pw\nCRM-1,{hash}\n"));
    let mapped = workspace.sync(&["--map", "password=pw", "crm.csv"]).expect(0);
    assert_eq!(mapped.rows("synced"), 1);
    for text in [mapped.stdout, mapped.stderr, workspace.last_run_file("summary.json").unwrap()] {
        assert!(!text.contains(hash), "{text}");
    }
}

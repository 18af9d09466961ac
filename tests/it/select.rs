//! Which rows count (`--where`), which of a subject's rows is newer (`--order-by`), what clears a field, and what rows
//! of different subjects share: through the binary, against the sandbox.
//!
//! Not here: the values that have an order, and the rulings on them (the plan's own tests).

use std::fmt::Write as _;

use serde_json::Value;
use simsync::sandbox::{Clears, Faults, SandboxOptions};

use crate::support::{Ran, Workspace, imei};
use crate::witness::{frozen_after, kill_9, window};

/// Who of `statuses` is in the export, a subject each.
fn statuses(statuses: &[&str]) -> String {
    let rows = statuses.iter().zip(0..).map(|(status, row)| format!("C-{row},{},{status}\n", imei(row)));
    format!("crm id,imei,Status\n{}", rows.collect::<String>())
}

fn warnings(ran: &Ran, code: &str) -> u64 {
    let summary = ran.summary();
    let all = summary["warnings"].as_array().cloned().unwrap_or_default();
    all.iter().find(|warning| warning["code"] == code).map_or(0, |warning| warning["count"].as_u64().unwrap())
}

fn rejections(ran: &Ran) -> Vec<(String, u64)> {
    let summary = ran.summary();
    let all = summary["rejections"].as_array().cloned().unwrap_or_default();
    let pair =
        |reason: &Value| (reason["code"].as_str().unwrap().to_owned(), reason["count"].as_u64().unwrap());
    all.iter().map(pair).collect()
}

#[test]
fn rows_that_do_not_meet_a_condition_are_filtered() {
    let ws = Workspace::new();
    // A filtered row is no row of the job: nobody asks whether its IMEI is one.
    let text = statuses(&["Active", "Suspended", "ACTIVE", "closed", ""]).replace(&imei(1), "not an imei");
    ws.write("crm.csv", &text);
    let args = ["crm.csv", "--where", "status=active", "--where", "status=Pending"];
    let ran = ws.sync(&args).expect(0).expect_books();
    assert_eq!((ran.rows("read"), ran.rows("synced"), ran.rows("filtered")), (5, 2, 3));
    let mut arrivals = ws.arrivals();
    arrivals.sort();
    assert_eq!(arrivals, ["C-0", "C-2"]);
    assert!(!ran.stdout.contains("columns not used"), "a watched column is used: {}", ran.stdout);
    assert!(ws.last_run_file("rejected.csv").is_none());
    let again = ws.sync(&args).expect(0).expect_books();
    assert_eq!((again.rows("unchanged"), again.rows("filtered")), (2, 3));
    // Another condition is another batch.
    let empty = ws.sync(&["crm.csv", "--where", "status="]).expect(0).expect_books();
    assert_eq!((empty.rows("synced"), empty.rows("filtered")), (1, 4));
    assert_ne!(empty.summary()["batch"], again.summary()["batch"]);
    let turned = ["crm.csv", "--where", "status=pending", "--where", "status=Active"];
    assert_eq!(ws.sync(&turned).expect(0).summary()["batch"], again.summary()["batch"]);
}

#[test]
fn what_cannot_be_compared_is_rejected_and_never_filtered() {
    let ws = Workspace::new();
    ws.write("crm.csv", statuses(&["2026-03-01", "01/03/2026", "2025-12-31T23:59:59Z", "", "01.01.2026"]));
    let args = ["crm.csv", "--where", "status>=2026-01-01"];
    let ran = ws.sync(&args).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("filtered"), ran.rows("rejected")), (2, 1, 2));
    assert_eq!(rejections(&ran), [("where.incomparable".to_owned(), 2)]);
    let listed = ws.last_rows("rejected.csv");
    let lines: Vec<&str> = listed.iter().map(|row| row["_line"].as_str()).collect();
    assert_eq!(lines, ["3", "5"]);
}

#[test]
fn a_column_that_is_not_there_stops_the_run() {
    let ws = Workspace::new();
    ws.write("crm.csv", statuses(&["active"]));
    for args in [["--where", "statsu=active"], ["--order-by", "statsu"]] {
        let ran = ws.sync(&["crm.csv", args[0], args[1]]).expect(6);
        assert!(
            ran.stderr.contains("statsu") && ran.stderr.contains("did you mean `Status`"),
            "{}",
            ran.stderr
        );
    }
    // One input of two lacks it.
    ws.write("other.csv", "crm id,imei\n");
    ws.sync(&["crm.csv", "other.csv", "--where", "status=active"]).expect(6);
    ws.write("crm.ndjson", "{\"crm id\":\"C-1\",\"tier\":\"gold\"}\n");
    let ran = ws.sync(&["crm.ndjson", "--where", "state=active"]).expect(6);
    assert!(ran.stderr.contains("`state`"), "{}", ran.stderr);
    assert_eq!(ws.sandbox.stats().requests, 0);
}

#[test]
fn conditions_on_json_rows() {
    let ws = Workspace::new();
    let rows = [
        r#"{"crm id":"C-0","tier":"gold","isDeleted":false,"contact":{"state":"on","n":[1,2]}}"#,
        r#"{"crm id":"C-1","tier":"gold","isDeleted":true,"contact":{"state":"on"}}"#,
        r#"{"crm id":"C-2","tier":"gold","isDeleted":false,"contact":{"state":"off"}}"#,
        r#"{"crm id":"C-3","tier":"gold"}"#,
        r#"{"crm id":"C-4","tier":"gold","isDeleted":{"a":1},"contact":{"state":"on"}}"#,
    ];
    ws.write("crm.ndjson", rows.join("\n"));
    let args = ["crm.ndjson", "--where", "is_deleted=false", "--where", "/contact/state=ON"];
    let ran = ws.sync(&args).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("filtered"), ran.rows("rejected")), (1, 3, 1));
    assert_eq!(rejections(&ran), [("json.nested".to_owned(), 1)]);
    assert_eq!(ws.arrivals(), ["C-0"]);
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let ws = Workspace::new();
    ws.write("crm.csv", statuses(&["active"]));
    for (args, says) in [
        (&["--where", "status"][..], "no operator"),
        (&["--where", "status==x"], "more than one operator"),
        (&["--where", "status<soon"], "neither a number nor a date"),
        (&["--order-by", "status", "--duplicates", "each"], "do not go together"),
        (&["--clear-token", "#X#"], "no field may be cleared"),
        (&["--null-clears"], "no field may be cleared"),
        (&["--clearable", "imsi"], "nothing clears one"),
        (&["--clearable", "imsi,password", "--null-clears"], "never cleared"),
        (&["--clearable", "imsi,iccid", "--clear-token", "#X#", "--key", "imsi"], "names the key"),
    ] {
        let mut all = vec!["crm.csv"];
        all.extend_from_slice(args);
        let ran = ws.sync(&all).expect(10);
        assert!(ran.stderr.contains(says), "{args:?}: {}", ran.stderr);
        // `check` has no policy for duplicates.
        if !all.contains(&"--duplicates") {
            all.insert(0, "check");
            ws.run(&all).expect(10);
        }
    }
    ws.configure("[rules]\nclear_token = \"#X#\"\n");
    ws.run(&["config", "check"]).expect(10);
    assert_eq!(ws.sandbox.stats().requests, 0);
}

#[test]
fn check_honors_conditions() {
    let ws = Workspace::new();
    ws.write("crm.csv", statuses(&["active", "closed"]).replace(&imei(1), "not an imei"));
    let ran = ws.run(&["check", "crm.csv", "--where", "status=active", "--json"]).expect(0);
    assert_eq!((ran.rows("read"), ran.rows("filtered"), ran.rows("rejected")), (2, 1, 0));
    let text = ws.run(&["check", "crm.csv", "--where", "status=active"]).expect(0);
    assert!(text.stderr.contains("valid 1") && text.stderr.contains("filtered 1"), "{}", text.stderr);
}

/// Rows of (subject, tier, age).
fn aged(rows: &[(&str, &str, &str)]) -> String {
    let rows = rows.iter().map(|(key, tier, age)| format!("{key},{tier},{age}\n"));
    format!("crm id,tier,Last Modified\n{}", rows.collect::<String>())
}

#[test]
fn the_newest_row_by_the_column_wins() {
    let ws = Workspace::new();
    let text = aged(&[
        ("C-1", "new", "2026-02-01T10:00:00Z"),
        ("C-1", "old", "2026-01-31"),
        ("C-2", "old", ""),
        ("C-2", "new", "01.01.2020"),
        ("C-3", "first", "20260101"),
        ("C-3", "last", "2026-01-01"),
        ("C-4", "x", "01/02/2026"),
        ("C-5", "x", "17"),
        ("C-6", "x", "whenever"),
    ]);
    ws.write("crm.csv", &text);
    let args = ["crm.csv", "--order-by", "last_modified"];
    let ran = ws.sync(&args).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("folded"), ran.rows("rejected")), (3, 3, 3));
    for (key, tier) in [("C-1", "new"), ("C-2", "new"), ("C-3", "last")] {
        assert_eq!(ws.at_server(key, "user_class").as_deref(), Some(tier), "{key}");
    }
    let reasons: Vec<String> =
        ws.last_rows("rejected.csv").into_iter().map(|row| row["_reason"].clone()).collect();
    assert_eq!(reasons, ["order.ambiguous", "order.mixed", "order.invalid"]);
    let again = ws.sync(&args).expect(3).expect_books();
    assert_eq!((again.rows("unchanged"), again.summary()["attempts"].as_u64()), (6, Some(0)));
    // In the order of the file the other one is the newest, and it is another batch.
    let unordered = ws.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("old"));
    assert_ne!(unordered.summary()["batch"], again.summary()["batch"]);
}

#[test]
fn failed_rows_keep_their_place_in_the_order_when_they_are_fed_back() {
    let refusing = Faults { refused_values: ["gold".to_owned()].into(), ..Faults::default() };
    let ws = Workspace::with(refusing);
    ws.write("crm.csv", aged(&[("C-1", "gold", "3"), ("C-1", "basic", "1"), ("C-2", "basic", "2")]));
    let ran = ws.sync(&["crm.csv", "--order-by", "last modified"]).expect(3).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("synced")), (1, 1));
    let failed = ws.last_rows("failed.csv");
    let places: Vec<(&str, &str)> =
        failed.iter().map(|row| (row["tier"].as_str(), row["_row"].as_str())).collect();
    assert_eq!(places, [("gold", "2"), ("basic", "1")]);
    ws.fault(Faults::default());
    let fed_back = ws.last_run_file("failed.csv").unwrap();
    ws.write("fed-back.csv", fed_back);
    ws.sync(&["fed-back.csv"]).expect(0).expect_books();
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("gold"));
    let last = ws.sync(&["crm.csv", "--order-by", "last modified"]).expect(0).expect_books();
    assert_eq!(last.rows("unchanged"), 3);
}

#[test]
fn a_corrected_row_has_its_place_in_the_order() {
    let ws = Workspace::new();
    // Both rows of C-2 are rejected; of C-1 the newer one.
    ws.write(
        "crm.csv",
        "crm id,imei,tier,mod\nC-1,bad,new,2026-01-02\nC-1,,old,2026-01-01\nC-2,bad,new,2026-01-02\nC-2,bad,old,2026-01-01\n",
    );
    let ran = ws.sync(&["crm.csv", "--order-by", "mod"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("rejected")), (1, 3));
    let rejected = ws.last_rows("rejected.csv");
    let places: Vec<&str> = rejected.iter().map(|row| row["_row"].as_str()).collect();
    assert_eq!(places, ["2", "4", "3"]);
    let fed_back = ws.last_run_file("rejected.csv").unwrap();
    ws.write("fed-back.csv", fed_back.replace("bad", ""));
    for args in [&["fed-back.csv"][..], &["fed-back.csv", "--order-by", "mod"]] {
        ws.sync(args).expect(0).expect_books();
        for key in ["C-1", "C-2"] {
            assert_eq!(ws.at_server(key, "user_class").as_deref(), Some("new"), "{key}");
        }
    }
}

#[test]
fn cells_are_cleaned_before_conditions_and_clears() {
    let ws = Workspace::new();
    let text = "crm id,tier,Status\nC-1,gold,\"=\"\"Gone\"\"\"\nC-2,gold, gone\u{200B}\nC-3,gold,\u{FEFF}Gone\n\
                C-4,gold,\"=\"\"Active\"\"\"\n";
    ws.write("crm.csv", text);
    for condition in ["Status!=Gone", "status=active"] {
        let ran = ws.sync(&["crm.csv", "--where", condition]).expect(0).expect_books();
        assert_eq!((ran.rows("filtered"), ran.rows("read")), (3, 4), "{condition}");
        assert_eq!(ws.arrivals(), ["C-4"]);
    }
    let text = "crm id,tier,rev\nC-1,new,\"=\"\"10\"\"\"\nC-1,old,\u{200B}9\nC-2,gold,'1\n";
    ws.write("crm.csv", text);
    let ran = ws.sync(&["crm.csv", "--where", "rev>=9", "--order-by", "rev"]).expect(0).expect_books();
    assert_eq!((ran.rows("filtered"), ran.rows("folded")), (1, 1));
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("new"));
}

#[test]
fn a_token_is_known_through_what_spreadsheets_add() {
    let ws = clearing(Clears::Both);
    let args = ["crm.csv", "--clear-token", "#CLEAR#", "--clearable", "imsi,user_class"];
    for cell in ["\u{FEFF}#CLEAR#", "#CLEAR#\u{200B}", "'#CLEAR#", "\"=\"\"#CLEAR#\"\"\""] {
        ws.write("crm.csv", format!("crm id,imsi,tier\nC-1,{cell},{cell}\n"));
        ws.sync(&["before.csv", "--full"]).expect(0);
        let ran = ws.sync(&args).expect(0).expect_books();
        assert_eq!(ran.rows("synced"), 1, "{cell}");
        assert_eq!((ws.at_server("C-1", "imsi"), ws.at_server("C-1", "user_class")), (None, None), "{cell}");
    }
    // Nearly the token is a slip and no value.
    ws.write("crm.csv", "crm id,imsi,tier\nC-1,,#clear#\nC-2,,'#Clear#\n");
    let ran = ws.sync(&args).expect(3).expect_books();
    assert_eq!(rejections(&ran), [("clear.near_miss".to_owned(), 2)]);
}

#[test]
fn nulls_that_failed_clear_when_they_are_fed_back() {
    let refusing = Faults { refused_values: ["gold".to_owned()].into(), ..Faults::default() };
    let ws = Workspace::of(SandboxOptions { clears: Clears::Both, ..SandboxOptions::default() });
    ws.write("before.csv", "crm id,imsi\nC-1,310260123456789\n");
    ws.sync(&["before.csv"]).expect(0);
    ws.fault(refusing);
    ws.write("crm.ndjson", "{\"crm id\":\"C-1\",\"imsi\":null,\"tier\":\"gold\",\"meta\":{\"on\":true}}\n");
    let clears = ["--null-clears", "--clearable", "imsi", "--where", "meta.on=true"];
    let with = |file| [&[file][..], &clears].concat();
    assert_eq!(ws.sync(&with("crm.ndjson")).rows("failed"), 1);
    ws.fault(Faults::default());
    ws.write("fed-back.csv", ws.last_run_file("failed.csv").unwrap());
    assert_eq!(ws.sync(&with("fed-back.csv")).expect(0).expect_books().rows("synced"), 1);
    assert_eq!(ws.at_server("C-1", "imsi"), None);
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("gold"));
}

#[test]
fn killed_and_resumed_with_conditions_and_an_order() {
    const SUBJECTS: u32 = 1_500;
    let ws = Workspace::new();
    let mut text = String::from("crm id,tier,imei,rev,state\n");
    for subject in 0..SUBJECTS {
        // The newest row comes first, the oldest brings the IMEI, and one is not for us.
        writeln!(text, "C-{subject},gold,,30,on").unwrap();
        writeln!(text, "C-{subject},wrong,,40,off").unwrap();
        writeln!(text, "C-{subject},basic,{},4,on", imei(subject)).unwrap();
    }
    ws.write("crm.csv", &text);
    let args = ["crm.csv", "--order-by", "rev", "--where", "state=on"];
    for _ in 0..2 {
        let before = ws.sandbox.stats().requests;
        ws.fault(frozen_after(before + 200 + u64::try_from(window()).unwrap()));
        let mut run = ws.sync_in_background(&args);
        ws.wait_for_requests(before + 200);
        kill_9(&mut run);
        ws.fault(Faults::default());
    }
    let resumed = ws.sync(&args).expect(0).expect_books();
    assert_eq!(resumed.summary()["resumed"], true);
    assert!(resumed.rows("unchanged") > 0, "what was committed is not sent again");
    assert_eq!(resumed.rows("filtered"), u64::from(SUBJECTS));
    for subject in 0..SUBJECTS {
        let key = format!("C-{subject}");
        assert_eq!(ws.at_server(&key, "user_class").as_deref(), Some("gold"), "{key}");
        assert_eq!(ws.at_server(&key, "imei"), Some(imei(subject)), "{key}");
    }
    let idle = ws.sync(&args).expect(0).expect_books();
    assert_eq!(
        (idle.summary()["attempts"].as_u64(), idle.rows("unchanged")),
        (Some(0), 2 * u64::from(SUBJECTS))
    );
}

fn clearing(clears: Clears) -> Workspace {
    let ws = Workspace::of(SandboxOptions { clears, ..SandboxOptions::default() });
    ws.write("before.csv", "crm id,imsi,tier\nC-1,310260123456789,gold\nC-2,310260123456780,gold\n");
    ws.sync(&["before.csv"]).expect(0);
    ws
}

#[test]
fn a_token_clears_a_field_once() {
    for (clears, clear_as, sent) in [(Clears::Empty, "empty", None), (Clears::Null, "null", None::<String>)] {
        let ws = clearing(clears);
        ws.write("crm.csv", "crm id,imsi,tier\nC-1, #CLEAR# ,gold\nC-2,#CLEAR#,basic\n");
        let args =
            ["crm.csv", "--clear-token", "#CLEAR#", "--clearable", "imsi,iccid", "--clear-as", clear_as];
        let ran = ws.sync(&args).expect(0).expect_books();
        assert_eq!((ran.rows("synced"), ran.summary()["plan"]["clears"].as_u64()), (2, Some(2)));
        assert_eq!(ws.at_server("C-1", "imsi"), None);
        assert_eq!(ws.at_server("C-2", "user_class").as_deref(), Some("basic"));
        let last = ws.history("C-1").pop().unwrap();
        assert_eq!(last.fields["imsi"], sent);
        let again = ws.sync(&args).expect(0).expect_books();
        assert_eq!((again.rows("unchanged"), again.summary()["plan"]["clears"].as_u64()), (2, Some(0)));
        // A value comes back, and is cleared again.
        ws.sync(&["before.csv"]).expect(0);
        assert_eq!(ws.at_server("C-1", "imsi").as_deref(), Some("310260123456789"));
        assert_eq!(ws.sync(&args).expect(0).rows("synced"), 2);
        assert_eq!(ws.at_server("C-1", "imsi"), None);
    }
}

#[test]
fn a_rehearsal_clears_either_way() {
    let ws = Workspace::new();
    ws.write("crm.csv", "crm id,imsi\nC-1,#CLEAR#\n");
    for clear_as in ["empty", "null"] {
        let args = ["crm.csv", "--clear-token", "#CLEAR#", "--clearable", "imsi", "--clear-as", clear_as];
        let mut all = vec!["sync", "--sandbox", "--full", "--json"];
        all.extend_from_slice(&args);
        assert_eq!(ws.run(&all).expect(0).rows("synced"), 1, "{clear_as}");
    }
}

#[test]
fn a_token_where_nothing_may_be_cleared_rejects_the_row() {
    let ws = clearing(Clears::Both);
    let text = "crm id,imsi,tier,pw\n#CLEAR#,310260123456789,gold,\nC-1,310260123456789,#CLEAR#,\n\
                C-2,310260123456780,gold,#CLEAR#\nC-3,,gold,\n";
    ws.write("crm.csv", text);
    let args = [
        "crm.csv",
        "--map",
        "password=pw",
        "--clear-token",
        "#CLEAR#",
        "--clearable",
        "imsi,user_external_id",
    ];
    let ran = ws.sync(&args).expect(3).expect_books();
    assert_eq!(rejections(&ran), [("clear.not_allowed".to_owned(), 3)]);
    assert_eq!(ran.rows("synced"), 1);
    let details: Vec<String> =
        ws.last_rows("rejected.csv").into_iter().map(|row| row["_detail"].clone()).collect();
    for (detail, field) in details.iter().zip(["user_external_id", "user_class", "password"]) {
        assert!(detail.starts_with(field), "{detail}");
    }
}

#[test]
fn the_token_in_other_case_is_an_error_and_never_a_value() {
    let ws = clearing(Clears::Both);
    ws.write("crm.csv", "crm id,imsi,tier\nC-1,#clear#,gold\nC-2,,# Clear #\nC-3,#CLEAR#,gold\n");
    let args = ["crm.csv", "--clear-token", "#CLEAR#", "--clearable", "imsi"];
    let ran = ws.sync(&args).expect(3).expect_books();
    assert_eq!(rejections(&ran), [("clear.near_miss".to_owned(), 2)]);
    assert_eq!(ran.rows("synced"), 1);
}

#[test]
fn null_clears_where_it_is_told_to() {
    let ws = clearing(Clears::Both);
    ws.write(
        "crm.ndjson",
        "{\"crm id\":\"C-1\",\"imsi\":null,\"tier\":null}\n{\"crm id\":\"C-2\",\"tier\":\"gold\"}\n",
    );
    assert_eq!(ws.sync(&["crm.ndjson"]).expect(0).rows("unchanged"), 2);
    let ran = ws.sync(&["crm.ndjson", "--null-clears", "--clearable", "imsi"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (1, 1));
    assert_eq!(ws.at_server("C-1", "imsi"), None);
    assert_eq!(
        ws.at_server("C-1", "user_class").as_deref(),
        Some("gold"),
        "null leaves what may not be cleared"
    );
    assert_eq!(ws.at_server("C-2", "imsi").as_deref(), Some("310260123456780"), "absent is not null");
}

#[test]
fn many_clears_stop_at_a_gate() {
    let ws = clearing(Clears::Both);
    let mut text = String::from("crm id,imsi,tier\n");
    for row in 0..60 {
        let imsi = if row < 25 { "#CLEAR#".to_owned() } else { String::new() };
        writeln!(text, "C-{row},{imsi},gold").unwrap();
    }
    ws.write("crm.csv", &text);
    let args = ["crm.csv", "--clear-token", "#CLEAR#", "--clearable", "imsi"];
    let stopped = ws.sync(&args).expect(4).expect_books();
    assert!(stopped.stdout.contains("clears_max"), "{}", stopped.stdout);
    let text = ws.run(&["plan", "crm.csv", "--clear-token", "#CLEAR#", "--clearable", "imsi", "--sandbox"]);
    assert!(text.stderr.contains("clears: 25 rows clear a field"), "{}", text.stderr);
    let mut yes = args.to_vec();
    yes.push("--yes");
    assert_eq!(ws.sync(&yes).expect(0).expect_books().rows("pending"), 0);
    assert_eq!(ws.at_server("C-1", "imsi"), None);
    // All of them are known as cleared now.
    assert_eq!(ws.sync(&args).expect(0).rows("unchanged"), 60);
}

#[test]
fn what_subjects_share_is_a_warning() {
    let ws = Workspace::new();
    let (one, other) = ("8944476500008878576", "89014103211118510720");
    let text = format!(
        "crm id,imei,iccid,imsi\nC-1,{0},,\nC-2,{0},,\nC-3,{1},{one},234100000000001\n\
         C-3,{1},{one},234100000000002\nC-4,{2},{other},310260123456789\n",
        imei(1),
        imei(2),
        imei(3)
    );
    ws.write("crm.csv", &text);
    let ran = ws.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!((warnings(&ran, "x.imei_shared"), warnings(&ran, "x.pair")), (2, 2));
    let first = ran.summary()["warnings"].as_array().unwrap().clone();
    let pair = first.iter().find(|warning| warning["code"] == "x.pair").unwrap();
    assert_eq!(pair["first"]["line"], 4);
    let off = ["crm.csv", "--severity", "x.imei_shared=off", "--severity", "x.pair=off"];
    let ran = ws.sync(&off).expect(0).expect_books();
    assert_eq!((warnings(&ran, "x.imei_shared"), warnings(&ran, "x.pair")), (0, 0));
}

#[test]
fn two_subjects_swap_their_cards_in_one_file() {
    let ws = Workspace::new();
    let (one, other) = ("310260123456789", "310260123456780");
    ws.write("before.csv", format!("crm id,imsi\nC-1,{one}\nC-2,{other}\n"));
    ws.write("after.csv", format!("crm id,imsi\nC-1,{other}\nC-2,{one}\n"));
    ws.sync(&["before.csv"]).expect(0);
    let held = ws.sync(&["after.csv"]).expect(3).expect_books();
    assert_eq!((held.rows("synced"), held.rows("conflict")), (0, 2));
    let ran = ws.sync(&["after.csv", "--conflicts", "send"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("conflict")), (2, 0));
    assert_eq!(ws.at_server("C-1", "imsi").as_deref(), Some(other));
    assert_eq!(ws.sync(&["after.csv"]).expect(0).rows("unchanged"), 2);
}

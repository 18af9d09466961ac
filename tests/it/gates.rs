//! The gates of the plan, each by an export that trips it, through the real binary; and nights that trip none.
//!
//! Not here: their borders (`plan/gates/tests.rs`); rejected rows, damage and clears (`rulings`, `check.rs`,
//! `select.rs`).

use std::fmt::Write as _;

use crate::support::{Ran, Workspace, export, imei};

/// Syncs a text as the export, which trips this gate and says so; with `--yes` it goes on.
#[track_caller]
fn trips(workspace: &Workspace, text: &str, gate: &str, says: &str) -> Ran {
    let before = workspace.sandbox.stats().requests;
    workspace.write("crm.csv", text);
    let planned = workspace.plan(&["crm.csv"]).expect(4);
    let stopped = workspace.sync(&["crm.csv"]).expect(4).expect_books();
    for ran in [planned, stopped] {
        let gates = ran.summary()["gates"].clone();
        assert_eq!(gates.as_array().unwrap().len(), 1, "{gates}");
        assert_eq!((&gates[0]["gate"], &gates[0]["overridden"]), (&gate.into(), &false.into()));
        let told = gates[0]["text"].as_str().unwrap();
        assert!(told.contains(says), "{told}");
        assert!(ran.stderr.contains("--yes goes on"), "{}", ran.stderr);
    }
    assert_eq!(workspace.sandbox.stats().requests, before);
    let ran = workspace.sync(&["--yes", "crm.csv"]).expect_books();
    assert_eq!(ran.summary()["gates"][0]["overridden"], true);
    ran
}

/// A workspace at which this export is usual: it was synced for three nights.
fn after(text: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.write("crm.csv", text);
    for _ in 0..3 {
        workspace.sync(&["crm.csv"]).expect(0);
    }
    workspace
}

/// The first so many rows of an export, with the header.
fn first_rows(text: &str, rows: usize) -> String {
    text.lines().take(rows + 1).map(|line| format!("{line}\n")).collect()
}

#[test]
fn most_known_subjects_changing_stops_the_run() {
    let workspace = after(&export(150));
    // As many as may change: 75 are fewer than changed_subjects_min, too.
    let changed = export(150).replacen(",basic", ",premium", 110);
    let says =
        "73.3 % of the known subjects in this export would change (110 of 150, most of all user_class (110))";
    let ran = trips(&workspace, &changed, "changed_max", says).expect(0);
    assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (110, 40));
    // Sent again and not changed: no gate.
    assert_eq!(workspace.sync(&["--full", "crm.csv"]).expect(0).rows("synced"), 150);
}

#[test]
fn an_export_that_broke_off_stops_the_run() {
    let workspace = after(&export(300));
    let says = "140 rows are 53.3 % fewer than usual (300, the median of the last 3 exports), more than the 50.0 % allowed";
    workspace.write("crm.csv", first_rows(&export(300), 140));
    let url = workspace.sandbox.url();
    let gated = workspace.run(&["sync", "--api-url", &url, "crm.csv"]).expect(4);
    assert!(gated.stderr.contains("--yes` to go on all the same"), "{}", gated.stderr);
    trips(&workspace, &first_rows(&export(300), 140), "rows_drop_max", says).expect(0);
}

#[test]
fn a_part_is_no_export_that_broke_off() {
    let workspace = after(&export(300));
    workspace.write("crm.csv", export(300).replacen(",basic", ",gold", 3));
    assert_eq!(workspace.sync(&["--where", "tier=gold", "crm.csv"]).expect(0).rows("synced"), 3);
    // Rows fed back belong to an export that was compared already.
    workspace.write("crm.csv", export(300).replace("C-000007,+447910000007", "C-000007,nonsense"));
    workspace.sync(&["crm.csv"]).expect(3);
    let rejected = workspace.run_dirs().last().unwrap().join("rejected.csv");
    let text = std::fs::read_to_string(&rejected).unwrap().replace("nonsense", "+447910000099");
    std::fs::write(&rejected, text).unwrap();
    assert_eq!(workspace.sync(&[rejected.to_str().unwrap()]).expect(0).rows("synced"), 1);
    // An empty one has a word of its own.
    workspace.write("crm.csv", "crm id,mobile,imei,tier\n");
    workspace.sync(&["crm.csv"]).expect(0);
    workspace.sync(&["--require-rows", "crm.csv"]).expect(6);
}

#[test]
fn a_shrunken_export_becomes_usual() {
    let workspace = after(&export(300));
    workspace.write("crm.csv", export(120));
    workspace.sync(&["crm.csv"]).expect(4);
    for _ in 0..3 {
        workspace.sync(&["--yes", "crm.csv"]).expect(0);
    }
    workspace.sync(&["crm.csv"]).expect(0);
}

#[test]
fn after_one_large_import_a_small_file_is_no_surprise() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(300));
    workspace.sync(&["crm.csv"]).expect(0);
    workspace.write("few.csv", first_rows(&export(300).replace(",basic", ",premium"), 5));
    assert_eq!(workspace.sync(&["few.csv"]).expect(0).rows("synced"), 5);
}

/// The export without its IMEIs; the header says so, or does not.
fn without_imeis(rows: u32, column: &str) -> String {
    let mut text = format!("crm id,mobile,{column},tier\n");
    for row in 0..rows {
        writeln!(text, "C-{row:06},+4479{:08},,basic", 10_000_000 + row).unwrap();
    }
    text
}

#[test]
fn a_column_that_went_blank_stops_the_run() {
    let workspace = after(&export(120));
    let says = "imei in 0.0 % of the rows (0 of 120), usually in 100.0 %";
    trips(&workspace, &without_imeis(120, "imei"), "blank_max", says).expect(0);
    let workspace = after(&export(120));
    let says = "imei in 0.0 % of the rows (0 of 120, no column is mapped to it), usually in 100.0 %";
    trips(&workspace, &without_imeis(120, "something"), "blank_max", says).expect(0);
}

#[test]
fn a_placeholder_stops_the_run() {
    let mut text = String::from("crm id,imei\n");
    for row in 0..51 {
        writeln!(text, "C-{row:06},{}", imei(1)).unwrap();
    }
    let workspace = Workspace::new();
    let says =
        "one value of imei stands in the rows of 51 subjects, more than the 50 allowed; the first is row 1";
    trips(&workspace, &text, "repeated_max", says).expect(0);
    // Nobody sends it any more.
    workspace.sync(&["crm.csv"]).expect(0);
    let workspace = Workspace::new();
    workspace.write("crm.csv", first_rows(&text, 50));
    workspace.sync(&["crm.csv"]).expect(0);
}

#[test]
fn usual_nights_trip_no_gate() {
    let workspace = after(&export(400));
    for night in 1..6 {
        // A few leave, a few come, a few change.
        let rows = 400 - 4 * night + 3;
        let text =
            export(rows).replacen(",basic", &format!(",tier{night}"), usize::try_from(night).unwrap() * 9);
        workspace.write("crm.csv", text);
        let ran = workspace.sync(&["crm.csv"]).expect(0).expect_books();
        assert_eq!(ran.summary()["gates"].as_array().unwrap().len(), 0, "night {night}");
        assert_eq!(ran.summary()["plan"]["subjects_missing"], u64::from(400 - rows));
    }
}

#[test]
fn the_bounds_are_settings() {
    let workspace = after(&export(300));
    workspace.configure("[plan]\nrows_drop_max = \"80%\"\nchanged_max = \"100%\"\nblank_max = \"100%\"\n");
    let text = without_imeis(100, "imei").replace(",basic", ",premium");
    workspace.write("crm.csv", text);
    workspace.sync(&["crm.csv"]).expect(0);
    workspace.configure("[plan]\nusual_rows_min = 10000\nrepeated_max = 2\n");
    let mut text = String::from("crm id,imei\n");
    for row in 0..3 {
        writeln!(text, "C-{row:06},{}", imei(1)).unwrap();
    }
    workspace.write("crm.csv", text);
    let stopped = workspace.sync(&["crm.csv"]).expect(4);
    assert_eq!(stopped.summary()["gates"][0]["gate"], "repeated_max");
}

#[test]
fn a_resume_is_not_asked_again_what_its_batch_has_passed() {
    let ws = Workspace::new();
    let url = ws.sandbox.url();
    let sync = |args: &[&str]| {
        ws.run(&[&["sync", "--api-url", &url, "--rate", "unlimited", "--json"], args].concat())
    };
    let rows = |prefix: &str, count: u32, tier: &str| -> String {
        (0..count).map(|row| format!("{prefix}-{row},{tier}\n")).collect()
    };
    ws.write("base.csv", format!("crm id,tier\n{}", rows("K", 300, "basic")));
    sync(&["base.csv"]).expect(0);
    // More new subjects than changed ones pass; once the new ones are sent, the rest alone would not.
    ws.write("big.csv", format!("crm id,tier\n{}{}", rows("N", 350, "basic"), rows("K", 300, "gold")));
    sync(&["big.csv", "--max-rows", "200"]).expect(8);
    ws.write("small.csv", "crm id,tier\nX-1,basic\n");
    sync(&["small.csv"]).expect(0);
    let resumed = sync(&["big.csv"]).expect(0).expect_books();
    assert_eq!((resumed.rows("synced"), resumed.rows("unchanged")), (450, 200));
}

#[test]
fn an_export_that_was_let_through_is_not_asked_about_its_rows_and_columns_again() {
    let usual = export(300);
    let blank = usual.replace(",basic", ",").replacen(",\n", ",gold\n", 20);
    for (text, gate) in
        [(first_rows(&usual.replace(",basic", ",gold"), 120), "rows_drop_max"), (blank, "blank_max")]
    {
        let workspace = after(&usual);
        workspace.configure("[plan]\nchanged_max = \"100%\"\n");
        workspace.write("crm.csv", text);
        let stopped = workspace.sync(&["crm.csv"]).expect(4);
        assert_eq!(stopped.summary()["gates"][0]["gate"], gate);
        workspace.sync(&["--yes", "--max-rows", "5", "crm.csv"]).expect(8);
        let resumed = workspace.sync(&["crm.csv"]).expect(0).expect_books();
        assert_eq!(resumed.summary()["resumed"], true, "{gate}");
        assert!(resumed.rows("synced") > 0, "{gate}");
    }
}

/// An export of so many subjects with a row each, and so many rows with the key value of one of them, all different.
fn with_placeholder(subjects: u64, rows: u64) -> String {
    let mut text = String::from("crm id,login\n");
    for row in 0..subjects {
        writeln!(text, "C-{row:06},user{row}").unwrap();
        if row == 2 {
            (0..rows).for_each(|row| writeln!(text, "UNKNOWN,other{row}").unwrap());
        }
    }
    text
}

#[test]
fn a_key_value_of_many_rows_is_a_placeholder_and_stops_the_run() {
    let workspace = Workspace::new();
    let says = "1000 of 3000 rows (33.3 %) have the key value (user_external_id) of line 5, more than the 1.0 % allowed";
    let text = with_placeholder(2_000, 1_000);
    let ran = trips(&workspace, &text, "key_repeated_max", says).expect(0);
    assert_eq!((ran.rows("synced"), ran.rows("folded")), (2_001, 999));
    assert!(!ran.stderr.contains("UNKNOWN") && !ran.stdout.contains("UNKNOWN"), "{}", ran.stderr);
    // What was let through is not asked again when it is resumed, and where nothing of it is to be sent.
    assert_eq!(workspace.sync(&["crm.csv"]).expect(0).rows("unchanged"), 3_000);
    let workspace = Workspace::new();
    workspace.write("crm.csv", &text);
    workspace.sync(&["--yes", "--max-rows", "5", "crm.csv"]).expect(8);
    assert!(workspace.sync(&["crm.csv"]).expect(0).rows("synced") > 0);
}

#[test]
fn a_key_value_of_many_rows_that_are_few_of_the_export_is_told_and_stops_nothing() {
    let workspace = Workspace::new();
    workspace.configure("[plan]\nkey_repeated_max = \"40%\"\n");
    workspace.write("first.csv", with_placeholder(10, 0));
    workspace.write("crm.csv", with_placeholder(2_000, 1_000));
    let inputs = ["first.csv", "crm.csv"];
    let says = "1,000 rows have the key value (user_external_id) of line 5 of crm.csv: a placeholder?";
    for ran in [workspace.plan(&inputs).expect(0), workspace.sync(&inputs).expect(0)] {
        let notices = ran.summary()["notices"].to_string();
        assert!(notices.contains(says) && !notices.contains("UNKNOWN"), "{notices}");
    }
    // A history is none, however large a part of a small export it is.
    let workspace = Workspace::new();
    workspace.write("crm.csv", with_placeholder(10, 999));
    let ran = workspace.sync(&["crm.csv"]).expect(0);
    assert!(!ran.summary()["notices"].to_string().contains("key value"));
}

//! Inputs that cannot be used, each with its own message before the first request, and every fixture with exactly the
//! counts that fixtures/README.md states.
//!
//! Not here: settings and the token (`door.rs`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Ran, Workspace, export, fixture};

/// An input, options, the exit code and what the message must say.
type Case<'a> = (&'a str, &'a [u8], &'a [&'a str], i32, &'a [&'a str]);

const HEADER: &str = "crm id,mobile,imei,tier\n";

/// Asserts an error with a remedy that says all of this, and that no request was made.
#[track_caller]
fn expect_refused(workspace: &Workspace, ran: Ran, code: i32, says: &[&str]) -> Ran {
    let ran = ran.expect(code);
    let error = ran.stderr.lines().last().unwrap_or_default();
    let error: serde_json::Value =
        serde_json::from_str(error).unwrap_or_else(|_| panic!("no error object: {}", ran.stderr));
    assert_eq!(error["type"], "exit_error");
    assert_eq!(error["code"], code);
    assert!(error["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "a remedy is missing: {error}");
    let text = error.to_string();
    for part in says {
        assert!(text.contains(part), "`{part}` is missing in {text}");
    }
    assert_eq!(workspace.sandbox.stats().requests, 0, "nothing is sent");
    ran
}

#[test]
fn inputs_that_cannot_be_read_say_why() {
    let workspace = Workspace::new();
    let latin1 = [HEADER.as_bytes(), b"C-1,+447911123456,,Caf\xe9\n"].concat();
    let rubbish: Vec<u8> = (0..4_000_u32).map(|n| u8::try_from(n * n * 31 % 251).unwrap()).collect();
    let unbalanced = format!("{HEADER}C-1,\"+447911123456,,basic\n{}", "C-2,,,\n".repeat(50));
    let cases: &[Case<'_>] = &[
        // First, while the target has no key yet.
        ("nokey.csv", b"tier\nbasic\n", &[], 6, &["subject", "--key"]),
        (
            "latin1.csv",
            &latin1,
            &[],
            6,
            &["latin1.csv line 2 column 23", "byte 46", "0xe9", "--encoding", "iconv"],
        ),
        ("a.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0", &[], 6, &["a.csv.gz", "gzip", "cut off", "gzip -t"]),
        ("book.csv", b"PK\x03\x04\x14\0\x06\0", &[], 6, &["book.csv", "zip", "unzip"]),
        ("old.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", &[], 6, &["old.csv", "CSV"]),
        ("page.csv", b"<!DOCTYPE html><html><body>", &[], 6, &["page.csv", "web page", "login"]),
        (
            "array.json",
            b"[{\"number\": \"+447911123456\"}]\n",
            &[],
            6,
            &["array.json", "JSON array", "jq -c '.[]'"],
        ),
        ("pretty.json", b"{\n  \"number\": \"+447911123456\"\n}\n", &[], 6, &["pretty.json", "jq -c ."]),
        ("rubbish.csv", &rubbish, &[], 6, &["rubbish.csv"]),
        ("utf16.csv", b"\xff\xfec\0r\0m\0 \0i\0d\0\n", &[], 6, &["utf16.csv", "UTF-16", "cut off"]),
        ("quote.csv", unbalanced.as_bytes(), &[], 6, &["quote.csv", "line 2", "unbalanced quote"]),
        (
            "unknown.csv",
            b"Article,Color\n1,red\n",
            &[],
            6,
            &["unknown.csv", "`Article`", "--map FIELD=COLUMN", "msisdn"],
        ),
        (
            "two.csv",
            b"crm id,Phone,Mobile\nC-1,,\n",
            &[],
            6,
            &["two.csv", "number", "`Phone`", "`Mobile`", "--map number=Phone"],
        ),
        ("map.csv", HEADER.as_bytes(), &["--map", "number=Telefon"], 6, &["Telefon", "number", "`mobile`"]),
        (
            "key.csv",
            HEADER.as_bytes(),
            &["--key", "generic_id"],
            6,
            &["generic_id", "--map generic_id=COLUMN"],
        ),
        ("pw.csv", HEADER.as_bytes(), &["--key", "password"], 10, &["password", "--key"]),
        ("cc.csv", HEADER.as_bytes(), &["--default-country", "XX"], 10, &["XX"]),
        ("sev.csv", HEADER.as_bytes(), &["--severity", "imei.lun=error"], 10, &["imei.lun", "imei.luhn"]),
    ];
    for (name, bytes, options, code, says) in cases {
        workspace.write(name, bytes);
        expect_refused(&workspace, workspace.sync(&[&[*name], *options].concat()), *code, says);
    }
}

#[test]
fn files_that_are_not_there_say_why() {
    let workspace = Workspace::new();
    workspace.write("a.csv", export(1));
    fs::create_dir(workspace.path("dir")).unwrap();
    for (input, says) in [
        ("none.csv", &["none.csv", "no such file", "path"][..]),
        ("none*.csv", &["none*.csv", "no file matches"]),
        ("dir", &["dir", "is a directory"]),
        ("a.csv/b.csv", &["a.csv/b.csv", "cannot be opened"]),
        ("[.csv", &["[.csv", "pattern"]),
    ] {
        expect_refused(&workspace, workspace.sync(&[input]), 6, says);
    }
    expect_refused(&workspace, workspace.sync(&["-", "-"]), 6, &["standard input", "more than once"]);
    let locked = workspace.write("locked.csv", export(1));
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read everything.
    if fs::read(&locked).is_err() {
        let says = ["locked.csv", "cannot be opened", "permissions"];
        expect_refused(&workspace, workspace.sync(&["locked.csv"]), 6, &says);
    }
    // A good file does not make up for a missing one.
    expect_refused(&workspace, workspace.sync(&["a.csv", "none.csv"]), 6, &["none.csv"]);
}

#[test]
fn an_input_without_rows_is_a_warning_unless_rows_are_required() {
    let workspace = Workspace::new();
    workspace.write("empty.csv", "");
    workspace.write("header.csv", HEADER);
    workspace.write("blank.ndjson", "\n\n");
    for name in ["empty.csv", "header.csv", "blank.ndjson"] {
        let ran = workspace.sync(&[name]).expect(0).expect_books();
        assert_eq!(ran.rows("read"), 0);
        assert!(ran.stdout.contains("the input has no rows"), "{}", ran.stdout);
        assert_eq!(workspace.run(&["check", "-q", name]).expect(0).stderr, "");
        expect_refused(&workspace, workspace.sync(&[name, "--require-rows"]), 6, &["the input has no rows"]);
        let refused = workspace.run(&["check", "--require-rows", name]).expect(6);
        assert!(refused.stderr.contains("error: the input has no rows"), "{}", refused.stderr);
    }
}

#[test]
fn a_state_directory_that_cannot_be_used_says_so() {
    let workspace = Workspace::new();
    workspace.write("a.csv", export(1));
    workspace.write("file", "");
    for (state, says) in [
        ("file", "file"),
        ("file/below", "file/below"),
        // Nobody can create a directory there, not even the superuser.
        ("/proc/simsync-state", "/proc/simsync-state"),
    ] {
        expect_refused(&workspace, workspace.sync(&["a.csv", "--state", state]), 13, &[says]);
    }
    let locked = workspace.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(locked.join("probe"), "").is_err() {
        let says = ["locked/state", "denied"];
        expect_refused(&workspace, workspace.sync(&["a.csv", "--state", "locked/state"]), 13, &says);
    }
}

#[test]
fn what_cannot_be_opened_leaves_no_state() {
    let workspace = Workspace::new();
    workspace.write("two.csv", "crm id,Phone,Mobile\n");
    for input in ["none.csv", "two.csv"] {
        workspace.sync(&[input]).expect(6);
        assert!(!workspace.path("simsync-state").exists(), "{input}");
    }
}

#[test]
fn ragged_rows_are_rejected_with_line_and_reason() {
    let workspace = Workspace::new();
    let rows = export(3);
    workspace.write("a.csv", format!("{rows}C-8,+447911123456\nC-9,+447911123457,,basic,more\n"));
    let ran = workspace.sync(&["a.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("rejected")), (3, 2));
    let rejected = workspace.last_run_file("rejected.csv").unwrap();
    assert!(rejected.contains(",a.csv,5,csv.ragged_short,"), "{rejected}");
    assert!(rejected.contains(",a.csv,6,csv.ragged_long,"), "{rejected}");
    assert!(rejected.contains("\"C-9,+447911123457,,basic,more\""), "the record stands in _raw: {rejected}");
}

#[test]
fn too_many_rejected_rows_stop_the_run_before_the_first_request() {
    let workspace = Workspace::new();
    let bad: String = (0..40).map(|row| format!("B-{row},12ab,,basic\n")).collect();
    workspace.write("a.csv", export(40) + &bad);
    let says = ["rejected_max", "40 of 80", "rejected.csv", "--yes"];
    let ran = expect_refused(&workspace, workspace.sync(&["a.csv"]), 4, &says).expect_books();
    assert_eq!((ran.rows("pending"), ran.rows("rejected")), (40, 40));
    // The hint names a file: it must be there.
    assert_eq!(workspace.last_run_file("rejected.csv").unwrap().lines().count(), 41);
    let ran = workspace.sync(&["a.csv", "--yes"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("rejected")), (40, 40));
}

/// A fixture that can be read: name, options, exit code, `read send folded duplicate unchanged conflict rejected`.
type Fixture<'a> = (&'a str, &'a [&'a str], i32, [u64; 7]);

/// As the README's appendix says, but for the condition on STATUS.
const SIM_SWAP: &[&str] = &[
    "--skip-rows",
    "1",
    "--delimiter",
    "bar",
    "--key",
    "number",
    "--map",
    "number=MSISDN",
    "--map",
    "iccid=NEW_ICCID",
    "--map",
    "imsi=NEW_IMSI",
    "--bare-numbers",
    "e164",
    "--where",
    "STATUS=DONE",
];

const FIXTURES: &[Fixture<'_>] = &[
    ("crm-export.csv", &[], 3, [300, 258, 12, 8, 1, 5, 16]),
    ("vendor-example.csv", &[], 0, [1, 1, 0, 0, 0, 0, 0]),
    ("vendor-example.csv", &["--map", "password=password"], 3, [1, 0, 0, 0, 0, 0, 1]),
    ("vendor-example.ndjson", &[], 0, [1, 1, 0, 0, 0, 0, 0]),
    ("vendor-example.ndjson", &["--map", "password=password"], 3, [1, 0, 0, 0, 0, 0, 1]),
    ("rows-a-b-a.csv", &[], 0, [8, 3, 3, 2, 0, 0, 0]),
    ("conflict-two-subjects-one-iccid.csv", &[], 3, [4, 1, 0, 0, 0, 3, 0]),
    ("ambiguous-header.csv", &["--map", "number=Mobile"], 0, [2, 2, 0, 0, 0, 0, 0]),
    ("header-only.csv", &[], 0, [0, 0, 0, 0, 0, 0, 0]),
    ("empty.csv", &[], 0, [0, 0, 0, 0, 0, 0, 0]),
    ("ragged-rows.csv", &[], 3, [12, 9, 0, 0, 0, 0, 3]),
    ("semicolon-excel.csv", &[], 0, [5, 5, 0, 0, 0, 0, 0]),
    ("sim-swap.txt", SIM_SWAP, 3, [3, 0, 0, 0, 0, 2, 0]),
    ("contacts.ndjson", &[], 3, [10, 7, 1, 0, 0, 0, 2]),
];

const FATES: [&str; 7] = ["read", "send", "folded", "duplicate", "unchanged", "conflict", "rejected"];

#[track_caller]
fn expect_planned(workspace: &Workspace, name: &str, options: &[&str], code: i32, counts: [u64; 7]) {
    let (input, url) = (fixture(name), workspace.sandbox.url());
    let args = [&["plan", &input, "--api-url", &url, "--json"], options].concat();
    let plan = workspace.run(&args).expect(code).summary();
    let rows = &plan["plan"]["rows"];
    let found = FATES.map(|fate| rows[fate].as_u64().unwrap());
    assert_eq!(found, counts, "plan of {name} {options:?}: {FATES:?}");
}

#[track_caller]
fn expect_synced(workspace: &Workspace, name: &str, options: &[&str], code: i32, counts: [u64; 7]) -> Ran {
    let before = workspace.sandbox.stats().requests;
    let input = fixture(name);
    let ran = workspace.sync(&[&[input.as_str()], options].concat()).expect(code).expect_books();
    let found = FATES.map(|fate| ran.rows(if fate == "send" { "synced" } else { fate }));
    assert_eq!(found, counts, "sync of {name} {options:?}: {FATES:?}");
    assert_eq!(workspace.sandbox.stats().requests - before, counts[1], "one request per update: {name}");
    ran
}

#[test]
fn every_readable_fixture_has_the_counts_of_its_table() {
    for (name, options, code, counts) in FIXTURES {
        let workspace = Workspace::new();
        expect_planned(&workspace, name, options, *code, *counts);
        assert_eq!(workspace.sandbox.stats().requests, 0, "a plan sends nothing");
        expect_synced(&workspace, name, options, *code, *counts);
    }
}

#[test]
fn every_unusable_fixture_is_refused_as_its_table_says() {
    for (name, says) in [
        ("ambiguous-header.csv", &["`Phone`", "`Mobile`", "--map number="][..]),
        ("no-known-column.csv", &["`Article`", "known names"]),
        ("unbalanced-quote.csv", &["unbalanced quote opened at line 8"]),
        ("latin1.csv", &["latin1.csv", "line 3", "byte 98"]),
        ("array.json", &["jq -c '.[]'"]),
    ] {
        let workspace = Workspace::new();
        expect_refused(&workspace, workspace.sync(&[&fixture(name)]), 6, says);
    }
    for name in ["header-only.csv", "empty.csv"] {
        let workspace = Workspace::new();
        expect_refused(&workspace, workspace.sync(&[&fixture(name), "--require-rows"]), 6, &["no rows"]);
    }
}

#[test]
fn every_fixture_has_a_test() {
    let mut names: Vec<String> = fs::read_dir(fixture(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md" && name != "crm-export-next-day.csv")
        .collect();
    names.retain(|name| !FIXTURES.iter().any(|(known, ..)| known == name));
    names.sort();
    assert_eq!(names, ["array.json", "latin1.csv", "no-known-column.csv", "unbalanced-quote.csv"]);
}

#[test]
fn the_export_of_the_next_day_sends_what_changed() {
    let workspace = Workspace::new();
    let ran = expect_synced(&workspace, "crm-export.csv", &[], 3, [300, 258, 12, 8, 1, 5, 16]);
    let warnings = ran.summary()["warnings"].clone();
    let warned = warnings.as_array().unwrap().iter();
    let warned: Vec<(&str, u64)> = warned
        .map(|warning| (warning["code"].as_str().unwrap(), warning["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(warned, [("imei.luhn", 6), ("iccid.luhn", 4), ("imsi.test", 2), ("x.pair", 2)]);
    let next_day = [301, 16, 0, 8, 260, 3, 14];
    expect_planned(&workspace, "crm-export-next-day.csv", &[], 3, next_day);
    expect_synced(&workspace, "crm-export-next-day.csv", &[], 3, next_day);
}

#[test]
fn the_vendors_own_row_is_sent_without_its_password() {
    for name in ["vendor-example.csv", "vendor-example.ndjson"] {
        let workspace = Workspace::new();
        let summary = workspace.sync(&[&fixture(name)]).expect(0).summary();
        let warnings = summary["warnings"].as_array().unwrap();
        let mut codes: Vec<&str> = warnings.iter().map(|warning| warning["code"].as_str().unwrap()).collect();
        codes.sort_unstable();
        assert_eq!(codes, ["iccid.luhn", "imei.luhn", "imei.suspect", "number.length"]);
        let subjects = workspace.sandbox.subjects();
        assert_eq!(subjects.len(), 1);
        assert!(!subjects[0].fields.contains_key("password"), "{subjects:?}");
        let mapped = Workspace::new();
        let summary = mapped.sync(&[&fixture(name), "--map", "password=password"]).expect(3).summary();
        assert_eq!(summary["rejections"][0]["code"], "password.truncated");
    }
}

#[test]
fn rows_of_one_subject_end_at_the_last() {
    let workspace = Workspace::new();
    workspace.sync(&[&fixture("rows-a-b-a.csv")]).expect(0);
    for (key, class) in [("crm-1", "premium"), ("crm-2", "basic"), ("crm-3", "premium")] {
        assert_eq!(workspace.at_server(key, "user_class").as_deref(), Some(class), "{key}");
    }
}

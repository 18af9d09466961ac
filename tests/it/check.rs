//! `check`: its verdicts row by row, its table, its exit code, and what `--explain` tells.
//!
//! Not here: inputs that cannot be read at all (`bad_input.rs`), and the rules themselves (unit tests beneath them).

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::support::{Ran, Workspace, export, finish, fixture, imei, signal};

const MESSY: &str = "\
crm id,Mobile Phone,IMEI No,SIM,Login,Notes,pw
C-1,+44 7911 123456,35-686800-004141-8,8944476500008878576F,joe,hi,

C-2,12ab,123456789012,,,,
,+447911123457,,,,,
,12ab,356868000041418,,NULL,,
C-5,+447911123458,356868000041418.0,N/A,,,hunter2
C-9,too,few
C-10,+447911123460,123456789012345,,,,
";

/// The lines that a check of these inputs writes.
fn lines(workspace: &Workspace, args: &[&str], code: i32) -> Vec<Value> {
    workspace.run(&[&["check", "--output", "out.ndjson"], args].concat()).expect(code);
    parsed(&fs::read_to_string(workspace.path("out.ndjson")).unwrap())
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Names in the workspace, but for those given.
fn others(workspace: &Workspace, known: &[&str]) -> Vec<String> {
    let names = fs::read_dir(workspace.dir.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !known.contains(&name.as_str())).collect()
}

#[test]
fn the_output_has_a_line_per_row_in_order() {
    let workspace = Workspace::new();
    workspace.write("a.csv", MESSY);
    workspace.write("b.ndjson", "{\"crm id\":\"N-1\",\"msisdn\":447911123461,\"imei\":null}\n{\n");
    let inputs = ["a.csv", "b.ndjson", "--map", "password=pw", "--severity", "number.bare=off"];
    let lines = lines(&workspace, &inputs, 3);
    let told: Vec<String> = lines
        .iter()
        .map(|line| {
            let at = format!("{}:{} {}", line["file"].as_str().unwrap(), line["line"], line["row"]);
            format!("{at} {} {} {}", line["verdict"].as_str().unwrap(), line["subject"], line["codes"])
        })
        .collect();
    let expected = [
        "a.csv:2 1 ok \"C-1\" []",
        "a.csv:4 2 rejected \"C-2\" []",
        "a.csv:5 3 rejected null [\"key.missing\"]",
        "a.csv:6 4 rejected null [\"key.missing\"]",
        "a.csv:7 5 rejected \"C-5\" []",
        "a.csv:8 6 rejected null [\"csv.ragged_short\"]",
        "a.csv:9 7 warned \"C-10\" []",
    ];
    assert_eq!(told[..7], expected);
    assert_eq!(told.len(), 9);
    let bad = &lines[8];
    assert_eq!((&bad["verdict"], &bad["fields"]), (&json!("rejected"), &json!({})), "{bad}");
    // A JSON null is no text, and not an empty one either.
    assert_eq!(
        lines[7]["fields"]["imei"],
        json!({"raw": null, "value": null, "verdict": "absent", "codes": []})
    );
    assert_eq!(lines[7]["fields"]["number"]["raw"], "447911123461", "digits as they are written");
}

#[test]
fn a_cell_tells_what_it_held_and_what_was_made_of_it() {
    let workspace = Workspace::new();
    workspace.write("a.csv", MESSY);
    let lines = lines(&workspace, &["a.csv", "--map", "password=pw"], 3);
    let cell = |line: usize, field: &str| {
        let cell = &lines[line]["fields"][field];
        (cell["raw"].clone(), cell["value"].clone(), cell["verdict"].as_str().unwrap(), cell["codes"].clone())
    };
    let fix = (json!("35-686800-004141-8"), json!("356868000041418"), "fix", json!(["imei.format"]));
    assert_eq!(cell(0, "imei"), fix);
    assert_eq!(cell(0, "username"), (json!("joe"), json!("joe"), "ok", json!([])));
    assert_eq!(cell(1, "number"), (json!("12ab"), Value::Null, "error", json!(["number.chars"])));
    assert_eq!(cell(1, "imei").2, "error", "every bad cell of a row is told");
    assert_eq!(cell(3, "username"), (json!("NULL"), Value::Null, "absent", json!([])));
    assert_eq!(cell(3, "iccid"), (json!(""), Value::Null, "absent", json!([])));
    let (_, value, verdict, codes) = cell(6, "imei");
    assert_eq!((value, verdict), (json!("123456789012345"), "warn"));
    assert!(codes.as_array().unwrap().contains(&json!("imei.luhn")), "{codes}");
    let names: Vec<&String> = lines[0]["fields"].as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 6, "the mapped fields, and no other: {names:?}");
    // The members and their order, as they are written.
    let text = fs::read_to_string(workspace.path("out.ndjson")).unwrap();
    let first = text.lines().next().unwrap();
    let members = [
        "{\"file\":",
        "\"line\":",
        "\"row\":",
        "\"verdict\":",
        "\"subject\":",
        "\"fields\":{\"number\":{\"raw\":",
    ];
    let order = members.map(|member| first.find(member).unwrap_or_else(|| panic!("{member}: {first}")));
    assert!(order.is_sorted() && first.ends_with(",\"codes\":[]}"), "{first}");
    let wire = ["number", "imei", "iccid", "username", "password", "user_external_id"];
    let order = wire.map(|field| first.find(&format!("\"{field}\":{{")).unwrap());
    assert!(order.is_sorted(), "{first}");
}

#[test]
fn no_password_is_told_anywhere() {
    let workspace = Workspace::new();
    workspace.write("a.csv", MESSY);
    let ran = workspace.run(&["check", "a.csv", "-o", "-", "--map", "password=pw"]).expect(3);
    assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"));
    let told = json!({"raw": null, "value": null, "verdict": "error", "codes": ["password.plaintext"]});
    assert_eq!(parsed(&ran.stdout)[4]["fields"]["password"], told);
}

#[test]
fn a_finding_between_fields_rejects_the_cell_and_the_row() {
    let workspace = Workspace::new();
    workspace.write("a.csv", "crm id,imei,imsi\nC-1,310260123456789,310260123456789\n");
    let lines = lines(&workspace, &["a.csv", "--severity", "imei=off"], 3);
    let imsi = &lines[0]["fields"]["imsi"];
    assert_eq!((&imsi["verdict"], &imsi["value"]), (&json!("error"), &Value::Null), "{imsi}");
    assert!(imsi["codes"].as_array().unwrap().contains(&json!("x.same")), "{imsi}");
    assert_eq!(lines[0]["verdict"], "rejected");
}

#[test]
fn line_separators_and_terminal_controls_are_escaped() {
    let workspace = Workspace::new();
    workspace.write("a.csv", "crm id,login\nC-1,\"a\u{2028}b\u{2029}c\u{202e}d\u{1b}e\"\n");
    let raw = "a\u{2028}b\u{2029}c\u{202e}d\u{1b}e";
    let ran = workspace.run(&["check", "a.csv", "--output", "-"]);
    let hostile = ['\u{2028}', '\u{2029}', '\u{202e}', '\u{1b}'];
    assert!(!ran.stdout.contains(hostile), "{:?}", ran.stdout);
    assert_eq!(parsed(&ran.stdout)[0]["fields"]["username"]["raw"], raw);
}

#[test]
fn the_file_is_private_and_appears_when_it_is_complete() {
    let workspace = Workspace::new();
    workspace.write("a.csv", export(3));
    let ran = workspace.run(&["check", "a.csv", "--output", "out.ndjson"]).expect(0);
    assert!(ran.stderr.contains("out.ndjson (3 rows)"), "{}", ran.stderr);
    let mode = workspace.path("out.ndjson").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(others(&workspace, &["a.csv", "out.ndjson"]), Vec::<String>::new());
    // A second check replaces it; with JSON and quietly, too.
    workspace.write("b.csv", export(5));
    let json = workspace.run(&["check", "b.csv", "--json", "--output", "out.ndjson"]).expect(0).summary();
    assert_eq!(json["files"][0]["rows"], 5);
    assert_eq!(workspace.run(&["check", "-q", "b.csv", "--output", "out.ndjson"]).expect(0).stderr, "");
    assert_eq!(fs::read_to_string(workspace.path("out.ndjson")).unwrap().lines().count(), 5);
}

#[test]
fn an_input_that_ends_badly_leaves_no_file_that_looks_complete() {
    let workspace = Workspace::new();
    let mut bytes = export(400).into_bytes();
    bytes.extend_from_slice(b"C-x,+447911123456,,Caf\xe9\n");
    workspace.write("a.csv", &bytes);
    let ran = workspace.run(&["check", "a.csv", "--output", "out.ndjson"]).expect(6);
    assert!(ran.stderr.contains("error:"), "{}", ran.stderr);
    assert_eq!(others(&workspace, &["a.csv"]), Vec::<String>::new());
    // What an earlier check left is as it was.
    workspace.write("out.ndjson", "old");
    workspace.run(&["check", "a.csv", "--output", "out.ndjson"]).expect(6);
    assert_eq!(fs::read_to_string(workspace.path("out.ndjson")).unwrap(), "old");
}

#[test]
fn a_killed_check_leaves_a_file_that_says_it_is_partial() {
    let workspace = Workspace::new();
    workspace.write("a.csv", export(150_000));
    let mut child = workspace.command(&["check", "a.csv", "--output", "out.ndjson"]).spawn().unwrap();
    let partial = loop {
        if let Some(name) = others(&workspace, &["a.csv"]).pop() {
            break name;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    signal(child.id(), rustix::process::Signal::KILL);
    child.wait().unwrap();
    assert!(partial.starts_with("out.ndjson.partial-"), "{partial}");
    assert_eq!(others(&workspace, &["a.csv"]), [partial]);
}

#[test]
fn an_output_that_cannot_be_written_is_told_and_loses_nothing_else() {
    let workspace = Workspace::new();
    workspace.write("a.csv", MESSY);
    let expect = |ran: Ran, code: i32, says: &str| {
        let ran = ran.expect(code);
        assert!(ran.stderr.contains(says), "`{says}` is missing in {}", ran.stderr);
        ran
    };
    expect(workspace.run(&["check", "a.csv", "-o", "a.csv"]), 2, "one of the inputs");
    expect(workspace.run(&["check", "a.csv", "-o", "./a.csv"]), 2, "one of the inputs");
    let mut command = workspace.command(&["check", "-", "-o", "a.csv"]);
    command.stdin(fs::File::open(workspace.path("a.csv")).unwrap());
    expect(finish(command), 2, "one of the inputs");
    assert_eq!(fs::read_to_string(workspace.path("a.csv")).unwrap(), MESSY);
    expect(workspace.run(&["check", "a.csv", "-o", "none/out"]), 1, "none/out");
    expect(workspace.run(&["check", "a.csv", "-o", "."]), 1, "cannot write the verdicts");
    expect(workspace.run(&["check", "a.csv", "-o", "-", "--json"]), 2, "--json");
    expect(workspace.run(&["check", "--explain", "imei.luhn", "-o", "x"]), 2, "--output");
    // The disk is full in the middle: the table is told to its end, then the error.
    if std::path::Path::new("/dev/full").exists() {
        let ran =
            expect(workspace.run(&["check", "a.csv", "-o", "/dev/full"]), 1, "cannot write the verdicts");
        assert!(ran.stderr.contains("rejected 4") && ran.stderr.contains("number.chars"), "{}", ran.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    let workspace = Workspace::new();
    workspace.write("a.csv", export(2_000));
    let mut command = workspace.command(&["check", "a.csv", "-o", "-"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    drop(reader);
    let ran = finish(command).expect(0);
    assert!(ran.stderr.starts_with("valid 2,000 · rejected 0"), "{}", ran.stderr);
}

#[test]
fn the_table_counts_every_reason_and_names_columns_and_lines() {
    let workspace = Workspace::new();
    workspace.write("a.csv", MESSY);
    let args = ["check", "a.csv", "--map", "password=pw"];
    let ran = workspace.run(&args).expect(3);
    for says in [
        "valid 2 · rejected 5",
        "skipped: 1 blank line",
        "number            <- Mobile Phone  (by synonym)",
        "password          <- pw            (by name)",
        "user_external_id  <- crm id        (by synonym)  the key, chosen from the header",
        "2 ×  number.chars        Mobile Phone  lines 4, 6",
        "2 ×  key.missing         crm id        lines 5, 6",
        "1 ×  imei.length         IMEI No       line 4",
        "normalized: ",
        "columns not used: Notes",
        "--explain CODE",
    ] {
        assert!(ran.stderr.contains(says), "`{says}` is missing in {}", ran.stderr);
    }
    let ran = workspace.run(&[&args[..], &["--json"]].concat()).expect(3);
    let summary = ran.summary();
    let count = |code: &str| {
        let reasons = summary["rejections"].as_array().unwrap();
        reasons
            .iter()
            .filter(|reason| reason["code"] == code)
            .map(|reason| reason["count"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!((count("number.chars"), count("imei.length"), count("key.missing")), (2, 1, 2));
    assert_eq!(
        (summary["rows"]["rejected"].as_u64(), summary["key"].as_str()),
        (Some(5), Some("user_external_id"))
    );
    assert_eq!(summary["skipped"], json!({"blank": 1, "footer": 0, "header": 0}));
    let column = json!({"file": "a.csv", "field": "imei", "column": "IMEI No", "by": "by synonym"});
    assert!(summary["columns"].as_array().unwrap().contains(&column), "{}", summary["columns"]);
    let row = parsed(&ran.stdout).into_iter().find(|line| line["type"] == "row_rejected").unwrap();
    assert_eq!(row["also"], json!([{"code": "imei.length", "field": "imei"}]), "{row}");
}

#[test]
fn every_reason_of_a_row_stands_in_its_row_file() {
    let workspace = Workspace::new();
    workspace.write("a.csv", MESSY);
    workspace.sync(&["a.csv", "--yes"]).expect(3);
    let row = workspace.last_rows("rejected.csv").into_iter().find(|row| row["_line"] == "4").unwrap();
    assert_eq!(row["_reason"], "number.chars");
    assert!(row["_detail"].starts_with("number: ") && row["_detail"].contains("(imei.length)"), "{row:?}");
}

#[test]
fn the_key_is_chosen_as_a_plan_does() {
    let workspace = Workspace::new();
    workspace.write("a.csv", "crm id,mobile\nC-1,\n,+447911123456\n");
    workspace.write("b.csv", "tier\nbasic\n");
    let rejected = |args: &[&str]| {
        let code = workspace.run(&[&["check", "--json"], args].concat()).expect(3).summary();
        code["rejections"][0]["first"]["line"].as_u64().unwrap()
    };
    assert_eq!(rejected(&["a.csv"]), 3);
    assert_eq!(rejected(&["a.csv", "--key", "number"]), 2);
    for args in [&["a.csv", "--key", "imei"][..], &["b.csv"]] {
        let check = workspace.run(&[&["check"], args].concat()).expect(6).stderr;
        let plan = workspace.run(&[&["plan", "--sandbox"], args].concat()).expect(6).stderr;
        assert!(
            check.contains("error: ") && plan.contains(check.lines().next_back().unwrap()),
            "{check}\n{plan}"
        );
    }
}

#[test]
fn rows_of_our_own_files_are_checked_without_the_journal_they_come_from() {
    let workspace = Workspace::new();
    workspace.write("a.csv", "crm id,mobile,_run,_row\nC-1,+447911123456,20260801T011500Z-4711,3\n");
    workspace.run(&["check", "a.csv"]).expect(0);
}

/// An export of which every so-manieth IMEI went through a spreadsheet.
fn damaged(rows: u32, every: u32) -> String {
    let mut text = String::from("crm id,IMEI No\n");
    for row in 0..rows {
        let damage = if row % every == 0 { ".0" } else { "" };
        writeln!(text, "C-{row:06},{}{damage}", imei(row)).unwrap();
    }
    text
}

#[test]
fn a_damaged_column_is_an_alarm_and_a_gate() {
    let workspace = Workspace::new();
    workspace.write("both.csv", "crm id,IMEI No,SIM\nC-1,1.2E+14,8.9E+18\nC-2,1.3E+14,\n");
    let both = workspace.run(&["check", "both.csv", "--json"]).expect(3).summary();
    let reason = &both["rejections"][0];
    let fields = [("imei", 2), ("iccid", 1)].map(|(field, count)| (json!(field), json!(count)));
    let told =
        reason["fields"].as_array().unwrap().iter().map(|of| (of["field"].clone(), of["count"].clone()));
    assert_eq!((&reason["code"], &reason["count"]), (&json!("excel.scientific"), &json!(3)));
    assert_eq!(told.collect::<Vec<_>>(), fields);
    workspace.write("a.csv", damaged(100, 4));
    let says = "column IMEI No: 25 % of values carry spreadsheet damage; export it as text";
    let check = workspace.run(&["check", "a.csv"]).expect(0);
    assert!(check.stderr.contains(says), "{}", check.stderr);
    let plan = workspace.run(&["plan", "--sandbox", "a.csv"]).expect(4);
    assert!(plan.stderr.contains(says) && plan.stderr.contains("gate damage_max: "), "{}", plan.stderr);
    let stopped = workspace.sync(&["a.csv"]).expect(4).expect_books();
    let summary = stopped.summary();
    assert_eq!(summary["gates"][0]["gate"], "damage_max");
    let alarm = &summary["column_alarms"][0];
    assert_eq!(
        (&alarm["code"], &alarm["affected"], &alarm["values"]),
        (&json!("column.damage"), &json!(25), &json!(100))
    );
    assert_eq!((&alarm["first"]["line"], &alarm["text"]), (&json!(2), &json!(says)));
    assert_eq!(workspace.sandbox.stats().requests, 0, "nothing is sent");
    assert_eq!(workspace.sync(&["a.csv", "--yes"]).expect(0).rows("synced"), 100);
}

#[test]
fn the_bounds_of_the_damage_gate_are_settings() {
    let workspace = Workspace::new();
    // Fewer than alarm_rows_min: an alarm, and no gate.
    workspace.write("few.csv", damaged(76, 4));
    let few = workspace.run(&["plan", "--sandbox", "few.csv"]).expect(0);
    assert!(few.stderr.contains("alarm: ") && !few.stderr.contains("gate "), "{}", few.stderr);
    workspace.write("a.csv", damaged(100, 4));
    workspace.configure("[plan]\ndamage_max = \"25%\"\n");
    workspace.run(&["plan", "--sandbox", "a.csv"]).expect(0);
    workspace.configure("[plan]\ndamage_max = \"1%\"\nalarm_rows_min = 26\n");
    workspace.run(&["plan", "--sandbox", "a.csv"]).expect(0);
    workspace.configure("[plan]\ndamage_max = \"1%\"\nalarm_rows_min = 1\n");
    workspace.run(&["plan", "--sandbox", "few.csv"]).expect(4);
}

#[test]
fn blank_lines_are_counted_in_a_plan_too() {
    let workspace = Workspace::new();
    workspace.write("a.csv", MESSY.replace("C-5", "\n,,,,,,\nC-5"));
    let plan = workspace.run(&["plan", "--sandbox", "a.csv"]);
    assert!(plan.stderr.contains("skipped: 3 blank lines"), "{}", plan.stderr);
}

#[test]
fn a_rule_is_explained_as_it_is_in_force() {
    let workspace = Workspace::new();
    let explain = |args: &[&str]| workspace.run(&[&["check", "--explain"], args].concat()).expect(0).stdout;
    let told = explain(&["imei.14"]);
    for says in [
        "imei.14 (imei)\n",
        "in force: error, the row is rejected and not sent (preset default)",
        "presets:  lenient warn, default error, strict error",
        "source:   3GPP TS 23.003",
        "rules.imei_14 = \"complete\"",
        "--severity imei.14=LEVEL",
        "--preset lenient: warn",
        "example:  49015420323751",
    ] {
        assert!(told.contains(says), "`{says}` is missing in {told}");
    }
    assert!(explain(&["imei.luhn", "--preset", "strict"]).contains("in force: error, "));
    let set = explain(&["imei.luhn", "--severity", "imei.luhn=off"]);
    assert!(set.contains("in force: off, the rule does not apply (as set for this rule)"), "{set}");
    workspace.configure("[rules]\nseverity = { \"imei.luhn\" = \"error\" }\n");
    assert!(explain(&["imei.luhn"]).contains("in force: error, "));
    let structural = explain(&["key.missing"]);
    assert!(structural.contains("--key FIELD") && structural.contains("is always error"), "{structural}");
    assert!(!structural.contains("--severity"), "{structural}");
    let json = parsed(&explain(&["imei.luhn", "--json"]));
    assert_eq!((json.len(), &json[0]["severity"]["in_force"]), (1, &json!("error")));
}

#[test]
fn groups_and_all_rules_are_listed() {
    let workspace = Workspace::new();
    let codes = workspace.run(&["check", "--codes"]).expect(0).stdout;
    let all = workspace.run(&["check", "--explain", "all"]).expect(0).stdout;
    for rule in simsync::fields::RULES {
        let line = codes.lines().find(|line| line.split(' ').next() == Some(rule.code));
        let line = line.unwrap_or_else(|| panic!("{} is not listed", rule.code));
        assert!(line.contains(rule.says) && line.contains(rule.severity.name()), "{line}");
        assert!(all.contains(&format!("{} (", rule.code)));
    }
    let group = workspace.run(&["check", "--explain", "x.shift"]).expect(0).stdout;
    assert!(group.contains("x.shift.imei") && !group.contains("x.same"), "{group}");
    let unknown = workspace.run(&["check", "--explain", "imei.lun"]).expect(2).stderr;
    assert!(unknown.contains("did you mean imei.luhn") && unknown.contains("--codes"), "{unknown}");
}

/// The law: what `check` accepts, written as CSV and checked again, is the same, and nothing is left to normalize.
#[test]
fn what_is_accepted_is_the_same_when_it_is_checked_again() {
    const FIELDS: [&str; 8] =
        ["number", "generic_id", "imei", "imsi", "iccid", "username", "user_external_id", "user_class"];
    let workspace = Workspace::new();
    let messy = workspace.write("messy.csv", MESSY);
    let mut accepted = 0;
    let inputs = [
        fixture("crm-export.csv"),
        fixture("crm-export-next-day.csv"),
        fixture("semicolon-excel.csv"),
        fixture("vendor-example.csv"),
        fixture("contacts.ndjson"),
        messy.to_str().unwrap().to_owned(),
    ];
    for input in &inputs {
        let args = ["check", "--json", "--output", "first.ndjson", "--default-country", "GB", input];
        let key = workspace.run(&args).summary()["key"].as_str().unwrap().to_owned();
        let first = parsed(&fs::read_to_string(workspace.path("first.ndjson")).unwrap());
        let first: Vec<&Value> = first.iter().filter(|line| line["verdict"] != "rejected").collect();
        let values = |line: &Value| {
            FIELDS.map(|field| line["fields"][field]["value"].as_str().unwrap_or("").to_owned())
        };
        let mut writer = csv::Writer::from_path(workspace.path("again.csv")).unwrap();
        writer.write_record(FIELDS).unwrap();
        for line in &first {
            writer.write_record(values(line)).unwrap();
        }
        writer.flush().unwrap();
        let args =
            ["check", "again.csv", "--output", "second.ndjson", "--default-country", "GB", "--key", &key];
        workspace.run(&args).expect(0);
        let second = parsed(&fs::read_to_string(workspace.path("second.ndjson")).unwrap());
        assert_eq!(second.len(), first.len(), "{input}");
        for (first, second) in first.iter().zip(&second) {
            assert_eq!(values(first), values(second), "{input}: {first}");
            assert_eq!(first["subject"], second["subject"]);
            for (field, cell) in second["fields"].as_object().unwrap() {
                assert_ne!(cell["verdict"], "fix", "{input}: {field} of {second}");
            }
        }
        accepted += first.len();
    }
    assert!(accepted > 400, "the law was held over {accepted} rows");
}

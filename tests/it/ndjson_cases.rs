//! NDJSON through the binary: nested members and their row files, numbers told, files that are no NDJSON, hints.
//!
//! Not here: the cases of field-rules 4.4 one by one (`src/input/tests/json_cases.rs`).

use serde_json::Value;
use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, imei};

const MAP: [&str; 4] = ["--map", "number=/contact/phone", "--map", "iccid=contact.sims.0"];

/// Valid ICCIDs of rows 1 to 3.
const ICCIDS: [&str; 4] = ["", "8944110044177702913", "8944110044177702921", "8944110044177702939"];

/// A row whose number and ICCID are nested.
fn nested(row: usize, tier: &str) -> String {
    format!(
        "{{\"crm id\":\"C-{row}\",\"tier\":\"{tier}\",\"contact\":{{\"phone\":\"+4479{:08}\",\"note\":\"a, \\\"b\\\"\",\"sims\":[\"{}\"]}}}}\n",
        10_000_000 + row,
        ICCIDS[row]
    )
}

/// The JSON Lines of one type.
fn messages(ran: &Ran, kind: &str) -> Vec<Value> {
    let lines = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|message: &Value| message["type"] == kind).collect()
}

#[test]
fn nested_members_come_back_from_row_files_under_the_same_mapping() {
    let ws = Workspace::with(Faults { refused_values: ["gold".to_owned()].into(), ..Faults::default() });
    let bad = nested(3, "basic").replace("+44", "+44abc");
    ws.write("export.ndjson", nested(1, "basic") + &nested(2, "gold") + &bad);
    let ran = ws.sync(&[&["export.ndjson"][..], &MAP].concat()).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed"), ran.rows("rejected")), (1, 1, 1));
    assert_eq!(ws.at_server("C-1", "number").as_deref(), Some("+447910000001"));

    let failed = ws.last_run_file("failed.csv").unwrap();
    let rejected = ws.last_run_file("rejected.csv").unwrap();
    ws.write("failed.csv", failed.replace("gold", "silver"));
    ws.write("rejected.csv", rejected.replace("+44abc", "+44"));
    let again = ws.sync(&[&["failed.csv", "rejected.csv"][..], &MAP].concat()).expect(0).expect_books();
    assert_eq!(again.rows("synced"), 2);
    for (key, number) in [("C-2", "+447910000002"), ("C-3", "+447910000003")] {
        assert_eq!(ws.at_server(key, "number").as_deref(), Some(number), "{key}");
        let row: usize = key[2..].parse().unwrap();
        assert_eq!(ws.at_server(key, "iccid").as_deref(), Some(ICCIDS[row]));
    }
    // The same rows once more are nothing new, whatever form they come in.
    let ran = ws.sync(&[&["export.ndjson"][..], &MAP].concat()).expect(3);
    assert_eq!(ran.rows("synced"), 0, "{}", ran.stdout);
}

#[test]
fn identifiers_that_were_numbers_are_counted() {
    let ws = Workspace::new();
    let row = |key: u32, imei: &str| format!("{{\"crm id\":\"C-{key}\",\"imei\":{imei},\"tier\":7}}\n");
    ws.write("a.ndjson", row(1, &imei(1)) + &row(2, &format!("\"{}\"", imei(2))) + &row(3, &imei(3)));
    let ran = ws.sync(&["a.ndjson"]).expect(0);
    let summary = ran.summary();
    let fixes = summary["fixes"].as_array().unwrap();
    let fix = fixes.iter().find(|fix| fix["code"] == "json.number").unwrap();
    assert_eq!(
        (&fix["count"], &fix["field"]),
        (&2.into(), &"imei".into()),
        "a class may be a number: {fixes:?}"
    );

    ws.write("b.ndjson", row(4, &imei(4)));
    let ran = ws.sync(&["b.ndjson", "--severity", "json.number=error"]).expect(3);
    assert_eq!(ran.summary()["rejections"][0]["code"], "json.number");
}

#[test]
fn unsafe_integers_and_depth_are_settings() {
    let ws = Workspace::new();
    ws.write(
        "a.ndjson",
        "{\"crm id\":\"C-1\",\"iccid\":8944110044177702913}\n{\"crm id\":\"C-2\",\"tier\":\"basic\",\"x\":{\"y\":{}}}\n",
    );
    assert_eq!(ws.sync(&["a.ndjson"]).expect(3).summary()["rejections"][0]["code"], "json.unsafe_integer");
    ws.write("simsync.toml", "[input]\nunsafe_integers = \"accept\"\njson_depth_max = 2\n");
    let ran = ws.sync(&["a.ndjson"]).expect(3);
    assert_eq!(ran.summary()["rejections"][0]["code"], "json.too_deep");
    assert_eq!(ran.rows("rejected"), 1, "{}", ran.stdout);
    assert_eq!(ws.at_server("C-1", "iccid").as_deref(), Some("8944110044177702913"));
}

#[test]
fn a_missing_country_is_told_once() {
    let ws = Workspace::new();
    let rows: String = (0..5).map(|row| format!("C-{row},0791112345{row}\n")).collect();
    ws.write("a.csv", format!("crm id,mobile\n{rows}C-9,+447911123456\n"));
    let hints = |ran: &Ran| {
        // A hint is an alarm or a notice; more than one of them would be noise.
        let notices = messages(ran, "notice").into_iter().map(|notice| notice["text"].clone());
        let alarms = ran.summary()["column_alarms"].as_array().cloned().unwrap_or_default();
        let alarms = alarms.into_iter().map(|alarm| alarm["text"].clone());
        let texts = notices.chain(alarms).map(|text| text.as_str().unwrap().to_owned());
        texts.filter(|text| text.contains("--default-country")).collect::<Vec<String>>()
    };
    let ran = ws.sync(&["a.csv", "--yes"]).expect(3);
    let told = hints(&ran);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("(5 of 6 values)") && told[0].contains("bare_numbers"), "{told:?}");
    assert_eq!(hints(&ws.sync(&["a.csv", "--default-country", "GB"]).expect(0)), [""; 0]);
    // On a terminal as well, whatever is run: `plan` tells it to those who read its table, on standard output.
    let url = ["--api-url", "http://127.0.0.1:1/"];
    for args in [vec!["check", "a.csv"], [&["plan", "a.csv"], &url[..]].concat()] {
        let ran = ws.run(&args).expect(3);
        let text = ran.stdout.clone() + &ran.stderr;
        assert_eq!(text.matches("numbers of no country").count(), 1, "{args:?} {text}");
    }
}

#[test]
fn files_that_are_no_ndjson_say_what_to_do() {
    let ws = Workspace::new();
    for (name, content, says) in [
        (
            "page.json",
            "{\"totalSize\":1,\"records\":[{\"imei\":\"1\"}]}",
            "jq -c '.records[]' FILE > FILE.ndjson",
        ),
        ("odata.json", "{\n\"value\": [\n{\"imei\":\"1\"}\n]\n}\n", "jq -c '.value[]'"),
        (
            "late.ndjson",
            "{\"imei\":\"1\"}\n{\n\"imei\":\"1\"\n}\n",
            "late.ndjson line 2: pretty-printed JSON begins here",
        ),
        ("one.ndjson", "{\"imei\":\"1\"}{\"imei\":\"2\"}\n", "jq -c . FILE"),
    ] {
        ws.write(name, content);
        let ran = ws.run(&["check", name]).expect(6);
        assert!(ran.stderr.contains(says), "{name}: {}", ran.stderr);
    }
    ws.write("list.json", "imei,crm id\n,C-1\n");
    ws.run(&["check", "list.json"]).expect(0);
}

#[test]
fn near_names_stand_in_the_error() {
    let ws = Workspace::new();
    ws.write("a.csv", "crm id,Telefon 2,Handset\nC-1,,\n");
    let ran = ws.sync(&["a.csv", "--map", "number=Telefon2x"]).expect(6);
    assert!(ran.stderr.contains("did you mean --map number='Telefon 2'?"), "{}", ran.stderr);
    ws.write("two.csv", "crm id,Phone,Mobile\nC-1,,\n");
    let ran = ws.sync(&["two.csv"]).expect(6);
    assert!(ran.stderr.contains("--map number=Phone, or --map number=Mobile"), "{}", ran.stderr);
    ws.write("same.csv", "crm id,Phone,Phone\nC-1,,\n");
    let ran = ws.sync(&["same.csv"]).expect(6);
    assert!(ran.stderr.contains("give every column a name of its own"), "{}", ran.stderr);
    ws.write("twice.csv", "crm id,note,note,imei\nC-1,,,\n");
    ws.sync(&["twice.csv"]).expect(0);
}

#[test]
fn columns_of_the_old_and_the_new_card_are_mapped_by_name_only() {
    let ws = Workspace::new();
    let header = "crm id,old_iccid,new_iccid,old_imsi,New IMSI,status";
    ws.write(
        "swap.csv",
        format!("{header}\nC-1,8944110044177702913,8944110044177702921,,234157730007227,Active\n"),
    );
    ws.sync(&["swap.csv"]).expect(0);
    assert_eq!(ws.sandbox.stats().requests, 0, "nothing but a key is known");
    ws.sync(&["swap.csv", "--map", "iccid=new_iccid", "--map", "imsi=new_imsi"]).expect(0);
    assert_eq!(ws.at_server("C-1", "iccid").as_deref(), Some("8944110044177702921"));
    assert_eq!(ws.at_server("C-1", "imsi").as_deref(), Some("234157730007227"));
}

#[test]
fn columns_of_dynamics_are_no_news() {
    let ws = Workspace::new();
    let empty = ",".repeat(120);
    ws.write(
        "a.csv",
        format!(
            "(Do Not Modify) Contact,(Do Not Modify) Row Checksum,(Do Not Modify) Modified On,crm id,tier,City{empty}\n\
             g,c,2026-01-01,C-1,basic,X{empty}\n"
        ),
    );
    let ran = ws.sync(&["a.csv"]).expect(0);
    assert_eq!(ran.rows("synced"), 1);
    let notices = messages(&ran, "notice");
    let unused: Vec<&str> = notices
        .iter()
        .filter_map(|notice| notice["text"].as_str()?.strip_prefix("columns not used: "))
        .collect();
    assert_eq!(unused, ["City"]);
}

#[test]
fn line_separators_are_escaped_in_our_own_lines() {
    let ws = Workspace::new();
    ws.write("a\u{2028}b.ndjson", "{\"crm id\":\"C-1\",\"tier\":\"basic\",\"x\u{2029}y\":1}\n");
    let ran = ws.sync(&["a\u{2028}b.ndjson"]).expect(0);
    assert!(!ran.stdout.contains(['\u{2028}', '\u{2029}']), "{}", ran.stdout);
    let opened = messages(&ran, "input_opened");
    assert!(
        opened.is_empty() || opened[0]["name"] == "a\u{2028}b.ndjson",
        "the name is the same when it is read"
    );
}

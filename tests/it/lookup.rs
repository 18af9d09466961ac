//! `lookup`: by the key, by another field, during a run, after a kill, and what it never shows.

use serde_json::Value;
use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, export, imei};
use crate::witness::{frozen_after, kill_9};

const KEY: &str = "C-000002";

/// The number of a subject of [`export`].
fn number(row: u32) -> String {
    format!("+4479{:08}", 10_000_000 + row)
}

fn lookup(ws: &Workspace, args: &[&str]) -> Ran {
    let url = ws.sandbox.url();
    let mut all = vec!["lookup", "--json", "--api-url", &url];
    all.extend_from_slice(args);
    ws.run(&all)
}

fn answer(ran: Ran) -> Value {
    serde_json::from_str(ran.expect(0).stdout.trim()).unwrap()
}

fn field<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let fields = answer["subjects"][0]["fields"].as_array().unwrap();
    fields.iter().find(|field| field["field"] == name).unwrap()
}

#[test]
fn by_the_key_it_tells_field_by_field_what_was_acknowledged_when_and_by_which_run() {
    let ws = Workspace::new();
    ws.write("export.csv", export(4));
    let run = ws.sync(&["export.csv"]).expect(0).summary();
    let told = answer(lookup(&ws, &["--user-external-id", KEY, "--number", &number(2), "--imei", &imei(7)]));
    assert_eq!((&told["found"], &told["subjects_total"]), (&true.into(), &1.into()));
    assert_eq!((&told["key"], &told["run_is_on"]), (&"user_external_id".into(), &false.into()));
    let subject = &told["subjects"][0];
    assert_eq!(subject["acknowledged_by"]["runs"][0], run["run_id"]);
    assert_eq!(
        (&subject["acknowledged_by"]["batch"], &subject["acknowledged_by"]["row"]),
        (&1.into(), &3.into())
    );
    assert!(subject["acknowledged_at"]["at"].as_str().unwrap().ends_with('Z'));
    for (name, state, equals) in [
        ("number", "acknowledged", Value::from(true)),
        ("imei", "acknowledged", false.into()),
        ("user_class", "acknowledged", Value::Null),
        ("iccid", "never sent", Value::Null),
    ] {
        let line = field(&told, name);
        assert_eq!((&line["state"], &line["equals_given"]), (&state.into(), &equals), "{name}");
    }
}

#[test]
fn by_another_field_every_subject_with_that_value_is_found_and_none_is_named() {
    let ws = Workspace::new();
    let mut text = export(300);
    text.push_str(&format!("X-1,+447911999999,{},basic\n", imei(5)));
    ws.write("export.csv", text);
    ws.sync(&["export.csv"]).expect(0);
    let told = lookup(&ws, &["--imei", &imei(5)]);
    let text = told.stdout.clone();
    let told = answer(told);
    assert_eq!(told["subjects_total"], 2);
    assert_eq!(field(&told, "imei")["equals_given"], true);
    for secret in ["X-1", "C-000005", &imei(5), "447911999999"] {
        assert!(!text.contains(secret), "{secret} is shown");
    }
    let rows: Vec<_> =
        told["subjects"].as_array().unwrap().iter().map(|s| s["acknowledged_by"]["row"].clone()).collect();
    assert!(rows.contains(&6.into()) && rows.contains(&301.into()), "{rows:?}");
    // Both values must be those of one subject.
    assert_eq!(answer(lookup(&ws, &["--imei", &imei(5), "--number", &number(5)]))["subjects_total"], 1);
    assert_eq!(answer(lookup(&ws, &["--imei", &imei(5), "--number", &number(6)]))["found"], false);
}

#[test]
fn a_value_is_read_by_the_rules_of_its_field() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3));
    ws.sync(&["export.csv", "--key", "number"]).expect(0);
    let national = format!("0{}", &number(1)[3..]);
    assert_eq!(answer(lookup(&ws, &["--number", &national, "--default-country", "GB"]))["found"], true);
    let refused = lookup(&ws, &["--number", "12"]).expect(2);
    assert!(!refused.stderr.contains("\"12\"") && refused.stderr.contains("--number"), "{}", refused.stderr);
    assert_eq!(lookup(&ws, &[]).code, 2);
    assert_eq!(lookup(&ws, &["--password", "x"]).code, 2);
}

#[test]
fn nothing_known_is_an_answer_and_no_journal_is_none() {
    let ws = Workspace::new();
    assert_eq!(lookup(&ws, &["--number", &number(1)]).code, 2);
    assert!(!ws.path("simsync-state").exists(), "a lookup makes no state");
    ws.write("export.csv", export(1));
    ws.sync(&["export.csv"]).expect(0);
    let told = answer(lookup(&ws, &["--user-external-id", "nobody"]));
    assert_eq!((&told["found"], told["subjects"].as_array().unwrap().len()), (&false.into(), 0));
    let text = ws.run(&["lookup", "--user-external-id", "nobody"]).expect(0).stdout;
    assert!(text.contains("nothing is known"), "{text}");
    let text = ws.run(&["lookup", "--user-external-id", "C-000000"]).expect(0).stdout;
    assert!(text.contains("acknowledged") && text.contains("never sent"), "{text}");
    assert!(!text.contains("C-000000"), "{text}");
}

#[test]
fn it_works_while_a_run_is_on_and_says_as_of_when() {
    let ws = Workspace::new();
    ws.write("first.csv", export(5));
    ws.sync(&["first.csv"]).expect(0);
    ws.sandbox.set_faults(Faults { latency_ms: 400, ..Faults::default() }).unwrap();
    ws.write("second.csv", export(400));
    let mut run = ws.sync_in_background(&["second.csv", "--concurrency", "1"]);
    ws.wait_for_requests(7);
    let told = answer(lookup(&ws, &["--user-external-id", KEY]));
    let pid = run.id();
    kill_9(&mut run);
    assert_eq!((&told["found"], &told["run_is_on"]), (&true.into(), &true.into()));
    assert_eq!(told["run"]["pid"], pid);
    assert!(told["as_of"]["at"].is_string() && told["run"]["since"]["at"].is_string());
    // The run's process is gone: what it left is folded, and in the answer.
    let told = answer(lookup(&ws, &["--user-external-id", "C-000005"]));
    assert_eq!((&told["found"], &told["run_is_on"]), (&true.into(), &false.into()));
}

#[test]
fn what_a_killed_run_left_in_doubt_is_named() {
    let ws = Workspace::with(frozen_after(3));
    ws.write("export.csv", export(20));
    let mut run = ws.sync_in_background(&["export.csv", "--concurrency", "1"]);
    ws.wait_for_requests(4);
    kill_9(&mut run);
    let told = answer(lookup(&ws, &["--user-external-id", "C-000003"]));
    assert_eq!(told["found"], true);
    assert_eq!(field(&told, "number")["state"], "unknown");
    assert_eq!(told["subjects"][0]["in_doubt"][0]["by"]["row"], 4);
}

#[test]
fn refusals_are_told_with_their_signature() {
    let ws = Workspace::with(Faults {
        subject_statuses: [("C-000001".to_owned(), 422)].into(),
        ..Faults::default()
    });
    ws.write("export.csv", export(3));
    ws.sync(&["export.csv"]).expect(3);
    let told = answer(lookup(&ws, &["--user-external-id", "C-000001"]));
    let failure = &told["subjects"][0]["failures"][0];
    assert_eq!((&failure["kind"], &failure["status"]), (&"refused".into(), &422.into()));
    assert!(failure["signature"].as_str().unwrap().starts_with("422"), "{failure}");
    assert_eq!(told["subjects"][0]["acknowledged_at"], Value::Null);
}

//! What machines read: JSON Lines, `summary.json`, `status.json`.

use serde_json::Value;

use super::*;

fn messages(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn json_lines_end_with_the_summary() {
    let mut told = Told::new(ReportOptions { json: true, ..options() });
    tell_sync(&mut told, "crm-export.csv");
    end_early(&mut told);
    let (stdout, stderr) = told.end();
    assert_eq!(stderr, "", "people's text gives way to data");
    let messages = messages(&stdout);
    let kinds: Vec<&str> = messages.iter().map(|message| message["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["run_started", "input_opened", "notice"]);
    assert_eq!(kinds.last(), Some(&"summary"));
    assert_eq!(kinds.iter().filter(|kind| **kind == "row_rejected").count(), 14);
    assert_eq!(kinds.iter().filter(|kind| **kind == "update_failed").count(), 3);
    assert_eq!(kinds.iter().filter(|kind| **kind == "progress").count(), 2);
    let of = |kind| messages.iter().find(|message| message["type"] == kind).unwrap();
    assert_eq!(of("run_started")["schema_version"], 1);
    assert_eq!(of("run_started")["run_id"], "20261122-010000-k3");
    insta::assert_snapshot!(of("row_rejected"), @r#"{"at_ms":5,"code":"number.no_country","field":"number","place":{"file":"crm-export.csv","line":14,"row":13},"type":"row_rejected"}"#);
    insta::assert_snapshot!(of("update_failed"), @r#"{"at_ms":11500,"kind":"refused","place":{"file":"crm-export.csv","line":88,"row":87},"signature":"422 imsi already assigned to #","status":422,"type":"update_failed"}"#);
    insta::assert_snapshot!(of("paused"), @r#"{"at_ms":2500,"for_ms":3000,"reason":"throttled","type":"paused"}"#);
    insta::assert_snapshot!(of("plan"), @r#"{"at_ms":10,"batch":"3f2a77c0ffee3f2a","chain_longest":0,"chain_unordered":0,"chain_waiting":0,"chains":0,"clears":0,"done_at":null,"duration_s":null,"field_changes":{"imei":30},"filled":{},"in_doubt_places":[],"in_doubt_resent":0,"key":"user_external_id","left_cleared":0,"left_in_doubt":0,"rate_per_s":null,"refused_before":0,"resumed":false,"rows":{"conflict":4,"duplicate":9,"elsewhere":0,"filtered":0,"folded":12,"held":0,"read":300,"refused_before":0,"rejected":14,"send":261,"superseded":0,"unchanged":0},"subjects_changed":61,"subjects_in_doubt":0,"subjects_known":0,"subjects_missing":null,"subjects_missing_before":null,"subjects_new":200,"subjects_unchanged":0,"swap_subjects":0,"swaps":0,"swaps_broken":0,"type":"plan","updates_refreshed":0}"#);
    insta::assert_snapshot!(of("progress"), @r#"{"at_ms":5500,"attempts":0,"bytes":20000,"bytes_total":20000,"cleared":0,"eta_ms":null,"in_flight_limit":null,"paused":null,"per_s":0.0,"phase":"deliver","retries":0,"rows":{"conflict":4,"duplicate":9,"elsewhere":0,"failed":0,"filtered":0,"folded":12,"held":0,"in_doubt":0,"pending":261,"read":300,"rejected":14,"superseded":0,"synced":0,"unchanged":0},"settled":0,"slowed":null,"type":"progress","updates":261}"#);
}

#[test]
fn the_summary_has_its_shape() {
    let mut told = Told::new(ReportOptions { json: true, ..options() });
    tell_sync(&mut told, "crm-export.csv");
    end_early(&mut told);
    let (stdout, _) = told.end();
    let summary = messages(&stdout).pop().unwrap();
    let rows = &summary["rows"];
    let booked: u64 = rows
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "read")
        .map(|(_, n)| n.as_u64().unwrap())
        .sum();
    assert_eq!(rows["read"].as_u64(), Some(booked), "the books close");
    assert_eq!(summary["http"]["none"], 1);
    assert_eq!(summary["http"]["201"], 240);
    let names: Vec<&str> = summary.as_object().unwrap().keys().map(String::as_str).collect();
    insta::assert_snapshot!(names.join(" "), @r#"attempts balanced batch column_alarms columns command committed deferred delivery_s duration_s ended_at exit_code exit_meaning files fixes gates http in_flight_limit inputs key key_by latency_max_ms latency_mean_ms next notices outcomes paused_s plan rejections resumed retries rows run_id schema_version signatures skipped started_at stopped swaps_broken target tool_version type updates updates_per_s warnings"#);
    insta::assert_snapshot!(summary["rejections"][1], @r#"{"code":"number.no_country","count":6,"field":"number","first":{"file":"crm-export.csv","line":14,"row":13},"next":[{"file":"crm-export.csv","line":15,"row":14},{"file":"crm-export.csv","line":16,"row":15}],"remedy":"set default_country","says":"national number and no default country"}"#);
    insta::assert_snapshot!(summary["signatures"], @r#"[{"count":3,"first":{"file":"crm-export.csv","line":88,"row":87},"id":"S1","kind":"refused","signature":"422 imsi already assigned to #"}]"#);
    insta::assert_snapshot!(summary["outcomes"], @r#"{"acknowledged":240,"refused":3,"throttled":20,"timeout":1}"#);
    for (name, value) in [
        ("type", Value::from("summary")),
        ("schema_version", 1.into()),
        ("command", "sync".into()),
        ("key", "user_external_id".into()),
        ("batch", "3f2a77c0ffee3f2a".into()),
        ("exit_code", 8.into()),
        ("stopped", "--max-duration 12 s is over".into()),
        ("attempts", 264.into()),
        ("retries", 31.into()),
        ("duration_s", 12.1.into()),
        ("paused_s", 3.0.into()),
        ("updates", 261.into()),
    ] {
        assert_eq!(summary[name], value, "{name}");
    }
}

#[test]
fn json_lines_steer_no_terminal_and_read_back_the_same() {
    let hostile = "evil\u{1b}[2J\u{9b}2J\u{202e}\u{7f}.csv";
    let mut told = Told::new(ReportOptions { json: true, ..options() });
    tell_sync(&mut told, hostile);
    end_early(&mut told);
    let (stdout, _) = told.end();
    assert!(!steers(&stdout));
    let messages = messages(&stdout);
    assert_eq!(messages[1]["name"], hostile);
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let options = ReportOptions { json: true, ..options() };
    let console = Console::on(Shared::default().out(), &options);
    let mut reporters = Reporters::on(options, console, Out::to(Box::new(writer))).unwrap();
    for (at_ms, event) in started("sync", "a.csv") {
        reporters.on_event(&Stamped { at_ms, event });
    }
    let finished = reporters.finish();
    assert!(finished.problem.is_none());
    assert_eq!(finished.stats.rows.rejected, 14);
}

#[test]
fn standard_output_on_a_full_disk_is_a_problem() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let options = ReportOptions { json: true, ..options() };
    let console = Console::on(Shared::default().out(), &options);
    let reporters = Reporters::on(options, console, Out::to(Box::new(full))).unwrap();
    assert!(matches!(reporters.finish().problem, Some(ReportError::Output { .. })));
}

#[test]
fn the_status_file_follows_the_run() {
    let state = tempfile::tempdir().unwrap();
    let dir = run_dir(state.path(), "r1");
    let mut told = Told::new(ReportOptions { run_dir: Some(dir.clone()), ..options() });
    let read = || serde_json::from_slice::<Value>(&std::fs::read(dir.join(STATUS_FILE)).unwrap()).unwrap();
    let (_, first) = started("sync", "a.csv").remove(0);
    told.at(0, first);
    assert_eq!(read()["phase"], "survey");
    told.at(500, Event::Progressed { rows: 5, bytes: 1, bytes_total: 2 });
    assert_eq!(read()["rows"]["read"], 0, "not more often than every second");
    told.at(1_000, Event::Progressed { rows: 9, bytes: 1, bytes_total: 2 });
    assert_eq!(read()["rows"]["read"], 9);
    assert_eq!(read()["pid"], std::process::id());
    assert_eq!(read()["updated_at"], "2026-11-22T01:00:12Z");
    told.at(1_001, Event::Paused { reason: "throttled", for_ms: None });
    told.reporters.tick(9_000);
    assert_eq!(read()["paused"], "throttled");
    assert_eq!(read()["at_ms"], 9_000);
    told.at(9_001, Event::RunEnded { exit_code: 5, stopped: None });
    assert_eq!(read()["exit_code"], 5);
}

#[test]
fn the_summary_file_holds_what_was_reported() {
    let state = tempfile::tempdir().unwrap();
    let dir = run_dir(state.path(), "r1");
    let mut told = Told::new(ReportOptions { run_dir: Some(dir.clone()), ..options() });
    tell_sync(&mut told, "crm-export.csv");
    end_early(&mut told);
    let finished = told.reporters.finish();
    assert!(finished.problem.is_none());
    let read: Summary = serde_json::from_slice(&std::fs::read(dir.join(SUMMARY_FILE)).unwrap()).unwrap();
    assert_eq!(read, finished.summary);
}

#[test]
fn a_summary_that_cannot_be_written_is_a_problem() {
    let state = tempfile::tempdir().unwrap();
    let dir = run_dir(state.path(), "r1");
    let told = Told::new(ReportOptions { run_dir: Some(dir.clone()), ..options() });
    std::fs::create_dir(dir.join(SUMMARY_FILE)).unwrap();
    let finished = told.reporters.finish();
    assert!(matches!(finished.problem, Some(ReportError::Write { .. })));
    assert!(finished.summary.files.is_empty(), "what is named exists");
}

//! What later readers see of past runs.

use super::*;

/// A state directory with a finished run, a killed one and a damaged one.
fn state() -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    for id in ["20261121-010000-aa", "20261122-010000-bb"] {
        let run_dir = Some(run_dir(state.path(), id));
        let mut told = Told::new(ReportOptions { run_dir, ..options() });
        let mut facts =
            RunFacts { run_id: id.into(), command: "sync", target: "gate".into(), ..RunFacts::default() };
        facts.started_at = "2026-11-22T01:00:00Z".into();
        facts.tool_version = "0.1.0";
        tell_sync(&mut told, "crm-export.csv");
        if id.ends_with("aa") {
            told.at(12_000, Event::RunStarted(facts));
            end_early(&mut told);
            told.end();
        } else {
            // The process is gone before its end: no summary is written.
            told.at(14_000, Event::RunStarted(facts));
        }
    }
    let damaged = run_dir(state.path(), "20261123-010000-cc");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join(SUMMARY_FILE), b"{\"schema_ver").unwrap();
    state
}

#[test]
fn runs_are_listed_with_their_ends() {
    let state = state();
    insta::assert_snapshot!(list_runs(state.path(), false).unwrap(), @r#"
    RUN                 STARTED               COMMAND               TARGET  EXIT  SYNCED  FAILED  REJECTED
    20261121-010000-aa  2026-11-22T01:00:00Z  sync                  gate       8     240       3        14
    20261122-010000-bb  2026-11-22T01:00:00Z  sync (no end, 00:14)  gate       -     240       3        14
    20261123-010000-cc  unreadable
    "#);
    let json = list_runs(state.path(), true).unwrap();
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["exit_code"], 8);
    assert_eq!(lines[1]["exit_code"], serde_json::Value::Null);
    assert_eq!(lines[2]["type"], "unreadable");
}

#[test]
fn no_runs_yet() {
    let state = tempfile::tempdir().unwrap();
    assert_eq!(list_runs(state.path(), false).unwrap(), "no runs yet\n");
    assert_eq!(list_runs(state.path(), true).unwrap(), "");
    assert!(matches!(show_run(state.path(), LATEST, false, Paint::PLAIN), Err(ReportError::NoRuns { .. })));
}

#[test]
fn a_run_is_told_again_as_at_its_end() {
    let state = state();
    let shown = show_run(state.path(), "20261121-010000-aa", false, Paint::PLAIN).unwrap();
    assert!(
        shown.starts_with("run 20261121-010000-aa · sync · gate · started 2026-11-22T01:00:00Z\n"),
        "{shown}"
    );
    assert!(shown.contains("note: column Notes is not used\n"), "{shown}");
    assert!(shown.contains("synced 240 · folded 12"), "{shown}");
    assert!(shown.contains("422 imsi already assigned to #"), "{shown}");
    assert!(shown.contains("stopped: --max-duration 12 s is over\n"), "{shown}");
    assert!(shown.ends_with("run again to resume\n"), "{shown}");
    let json = show_run(state.path(), "20261121", true, Paint::PLAIN).unwrap();
    let summary: Summary = serde_json::from_str(&json).unwrap();
    assert_eq!(summary.run_id, "20261121-010000-aa");
}

#[test]
fn a_killed_run_says_so() {
    let state = state();
    let shown = show_run(state.path(), "20261122", false, Paint::PLAIN).unwrap();
    assert!(shown.contains("this run has no end:"), "{shown}");
    assert!(shown.contains(&format!("process {}", std::process::id())), "{shown}");
    assert!(shown.contains("synced 240"), "{shown}");
    std::fs::remove_file(run_dir(state.path(), "20261122-010000-bb").join(STATUS_FILE)).unwrap();
    let shown = show_run(state.path(), "20261122", false, Paint::PLAIN).unwrap();
    assert!(shown.contains("this run has no end:"), "killed before its first second: {shown}");
}

#[test]
fn an_unknown_run_names_near_ones() {
    let state = state();
    let error = show_run(state.path(), "20261121-010000-zz", false, Paint::PLAIN).unwrap_err();
    let ReportError::UnknownRun { near, .. } = &error else { panic!("{error}") };
    assert_eq!(near[0], "20261121-010000-aa");
    assert!(error.remedy().contains("20261121-010000-aa"));
    let error = show_run(state.path(), "2026", false, Paint::PLAIN).unwrap_err();
    assert!(
        error.to_string().ends_with(" runs begin with 2026"),
        "an ambiguous beginning is no name: {error}"
    );
    assert!(error.remedy().contains("20261121-010000-aa"), "{}", error.remedy());
    for escape in ["", "..", "../runs", "/etc"] {
        let error = show_run(state.path(), escape, false, Paint::PLAIN).unwrap_err();
        assert!(matches!(error, ReportError::UnknownRun { .. }), "{escape:?}");
    }
}

#[test]
fn damaged_and_newer_reports_are_refused_by_name() {
    let state = state();
    let error = show_run(state.path(), LATEST, false, Paint::PLAIN).unwrap_err();
    assert!(matches!(error, ReportError::Unreadable { .. }));
    let path = run_dir(state.path(), "20261123-010000-cc").join(SUMMARY_FILE);
    std::fs::write(path, b"{\"schema_version\":99,\"rows\":\"another shape\"}").unwrap();
    let error = show_run(state.path(), LATEST, false, Paint::PLAIN).unwrap_err();
    assert!(matches!(error, ReportError::Newer { found: 99, known: SCHEMA_VERSION, .. }), "{error}");
}

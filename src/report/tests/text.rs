//! What people read.

use super::*;

#[test]
fn the_summary_of_a_run_that_stopped_early() {
    let mut told = Told::new(options());
    tell_sync(&mut told, "crm-export.csv");
    told.reporters.files_written(row_files(Path::new("state/runs/r")));
    end_early(&mut told);
    let (stdout, stderr) = told.end();
    assert_eq!(stdout, "", "standard output is for data");
    insta::assert_snapshot!(stderr, @r#"
    note: column Notes is not used
    synced 240 · folded 12 · duplicate 9 · unchanged 0 · conflict 4 · rejected 14 · failed 3 · pending 18      (300 rows read, 00:12)
    attempts 264 (31 retries) · 201 ×240 · 429 ×20 · 422 ×3 · no answer ×1 · paused 3 s · 24.0 rows/s
    rejected:
      8 ×  imei.luhn          from line 41
      6 ×  number.no_country  from line 14  national number and no default country
                                            → set default_country
    failed:
      S1  3 ×  refused  from line 88  422 imsi already assigned to #
    warnings: 1 × iccid.short (line 61)
    files in state/runs/r: rejected.csv (14 rows) · failed.csv (3 rows)
    next:
      run `simsync sync crm-export.csv` to resume
      correct rejected.csv and run `simsync sync state/runs/r/rejected.csv`
      correct failed.csv where it is wrong and run `simsync replay 20261122-010000-k3`; continuing this run leaves out what was refused, unless with --retry-failed
    "#);
}

#[test]
fn the_text_of_a_plan() {
    let mut told = Told::new(ReportOptions {
        rate_per_s: Some(50.0),
        sending_time: SendingTime::new(|updates| Some(std::time::Duration::from_millis(20 * updates))),
        ..options()
    });
    for (at_ms, event) in started("plan", "crm-export.csv") {
        told.at(at_ms, event);
    }
    told.at(10, planned());
    let text = "14 of 300 rows are rejected, more than 4 %".into();
    told.at(11, Event::GateTripped { gate: "rejected_max", text, overridden: false });
    told.at(12, Event::RunEnded { exit_code: 4, stopped: None });
    insta::assert_snapshot!(told.end().1, @r#"
    note: column Notes is not used
    plan for https://gate.example.net/api · key user_external_id · batch 3f2a77c0ffee
      rows read  300
      to send    261  87 %  200 new, 61 known
      folded      12   4 %  part of a later row's update
      duplicate    9   3 %  equal to the subject's preceding row
      conflict     4   1 %  another subject claims the same identifier
      rejected    14   4 %  by a rule, see below
    changes by field: imei 30
    rejected:
      8 ×  imei.luhn          from line 41
      6 ×  number.no_country  from line 14  national number and no default country
                                            → set default_country
    warnings: 1 × iccid.short (line 61)
    gate rejected_max: 14 of 300 rows are rejected, more than 4 % (nothing was sent)
    at 50/s sending takes 5 s, done at 2026-11-22T01:00:17Z if begun now
    next: look at what the gate found; run `simsync sync crm-export.csv --yes` to send all the same
    "#);
}

#[test]
fn the_text_of_a_check() {
    let mut told = Told::new(options());
    for (at_ms, event) in started("check", "crm-export.csv") {
        told.at(at_ms, event);
    }
    let column = |field, column: &str, by| MappedColumn {
        file: "crm-export.csv".into(),
        field,
        column: column.into(),
        by,
    };
    let columns = vec![
        column(FieldKind::Number, "Mobile Phone", "by synonym"),
        column(FieldKind::Imei, "IMEI No", "by name"),
        column(FieldKind::UserExternalId, "user_external_id", "by synonym"),
    ];
    for ordinal in [3, 4] {
        let field = Some(FieldKind::Imei);
        told.at(9, Event::RuleApplied { place: place(ordinal), code: "text.cleaned", warning: false, field });
    }
    told.at(9, Event::LinesSkipped { blank: 3, footer: 1, header: 1 });
    for (code, affected, first) in [("column.damage", 12, Some(place(13))), ("column.blank", 297, None)] {
        let (column, field) = ("IMEI No".into(), FieldKind::Imei);
        told.at(9, Event::ColumnAlarmed(AlarmFacts { column, field, code, affected, values: 300, first }));
    }
    let key = Some(FieldKind::UserExternalId);
    told.at(9, Event::ColumnsMapped { columns, key, key_by: "chosen from the header" });
    told.at(12, Event::RunEnded { exit_code: 3, stopped: None });
    insta::assert_snapshot!(told.end().1, @r#"
    note: column Notes is not used
    valid 286 · rejected 14 · 1 warning · normalized 2 cells      (300 rows read, 00:00)
    skipped: 3 blank lines, 1 footer line, 1 repeated header
    columns:
      number            <- Mobile Phone      (by synonym)
      imei              <- IMEI No           (by name)
      user_external_id  <- user_external_id  (by synonym)  the key, chosen from the header
    rejected:
      8 ×  imei.luhn          IMEI No       lines 41, 42, 43, …
      6 ×  number.no_country  Mobile Phone  lines 14, 15, 16, …  national number and no default country
                                                                 → set default_country
    warnings:
      1 ×  iccid.short    line 61
    normalized: 2 × text.cleaned (imei)
    alarm: column IMEI No: 4 % of values carry spreadsheet damage; export it as text (first: line 14)
    alarm: column IMEI No: column.blank (297 of 300 values)
    `simsync check --explain CODE` tells what a rule means and how to change it
    "#);
}

#[test]
fn columns_that_inputs_name_differently_are_told_with_their_files() {
    let mut told = Told::new(options());
    for (at_ms, event) in started("check", "a.csv") {
        told.at(at_ms, event);
    }
    let columns = [("a.csv", "Mobile"), ("b.csv", "Mobile"), ("c.csv", "Phone")];
    let column = |(file, column): (&str, &str)| MappedColumn {
        file: file.into(),
        field: FieldKind::Number,
        column: column.into(),
        by: "by synonym",
    };
    let columns = columns.into_iter().map(column).collect();
    told.at(9, Event::ColumnsMapped { columns, key: None, key_by: "" });
    told.at(12, Event::RunEnded { exit_code: 3, stopped: None });
    let text = told.end().1;
    for says in ["number  <- Mobile  (by synonym)  in a.csv", "number  <- Phone   (by synonym)  in c.csv"] {
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn quiet_says_nothing_on_success() {
    let mut told = Told::new(ReportOptions { quiet: true, status_every_ms: 1, ..options() });
    for (at_ms, event) in started("sync", "crm-export.csv") {
        told.at(at_ms, event);
    }
    told.at(70_000, Event::RunEnded { exit_code: 0, stopped: None });
    assert_eq!(told.end(), (String::new(), String::new()));
}

#[test]
fn quiet_says_little_on_failure() {
    let mut told = Told::new(ReportOptions { quiet: true, ..options() });
    tell_sync(&mut told, "crm-export.csv");
    end_early(&mut told);
    let (stdout, stderr) = told.end();
    assert_eq!(stdout, "");
    insta::assert_snapshot!(stderr, @r#"
    simsync sync: exit 8: stopped at a limit that was asked for; run again to resume
    synced 240 · folded 12 · duplicate 9 · unchanged 0 · conflict 4 · rejected 14 · failed 3 · pending 18      (300 rows read, 00:12)
    rejected: 8 × imei.luhn (first: crm-export.csv:41) · 6 × number.no_country (first: crm-export.csv:14)
    failed: 3 × 422 imsi already assigned to # (first: crm-export.csv:88)
    next: run `simsync sync crm-export.csv` to resume
    "#);
    assert!(stderr.lines().count() + 4 <= QUIET_LINES_MAX, "an error, its cause and a hint fit too");
}

#[test]
fn status_lines_come_at_their_distance() {
    let mut told = Told::new(ReportOptions { status_every_ms: 4_000, ..options() });
    tell_sync(&mut told, "crm-export.csv");
    let seen = told.stderr.text();
    let lines: Vec<&str> = seen.lines().filter(|line| line.contains(" deliver: ")).collect();
    assert_eq!(lines.len(), 2, "{seen}");
    assert!(lines[0].starts_with("00:05 deliver: 0 of 261 updates settled"), "{seen}");
    told.reporters.tick(30_000);
    assert!(told.stderr.text().contains("00:30 deliver: 243 of 261 updates settled · 93 %"));
}

#[test]
fn a_status_line_can_be_asked_for_even_when_quiet() {
    let mut told = Told::new(ReportOptions { quiet: true, ..options() });
    tell_sync(&mut told, "crm-export.csv");
    told.reporters.status_now();
    assert!(told.stderr.text().starts_with("00:12 deliver: 243 of 261 updates settled"));
}

/// A run in which every text that others may have written is hostile.
fn told_hostile(color: ColorChoice) -> String {
    let hostile = "evil\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\r\n.csv";
    let mut told = Told::new(ReportOptions { color, verbose: 1, ..options() });
    tell_sync(&mut told, hostile);
    told.at(12_000, Event::Noticed { text: hostile.into() });
    told.at(12_000, Event::DrainStarted { reason: hostile.into(), in_flight: 1, halt: None });
    told.at(12_000, Event::GateTripped { gate: "g", text: hostile.into(), overridden: true });
    let (place, kind) = (place(1), FailureKind::Exhausted);
    told.at(12_000, Event::UpdateFailed { place, kind, status: None, signature: hostile.into() });
    told.reporters.files_written(row_files(Path::new(hostile)));
    told.at(12_100, Event::RunEnded { exit_code: 5, stopped: Some(hostile.into()) });
    told.end().1
}

#[test]
fn nothing_steers_what_is_no_terminal() {
    for color in [ColorChoice::Never, ColorChoice::Auto] {
        let stderr = told_hostile(color);
        assert!(!steers(&stderr), "{stderr:?}");
        assert!(stderr.contains("evil\\u{1b}"), "it is shown, not dropped: {stderr}");
    }
}

#[test]
fn colors_steer_but_what_others_wrote_does_not() {
    let mut stderr = told_hostile(ColorChoice::Always);
    assert!(stderr.contains("\u{1b}[32msynced 240\u{1b}[0m"), "{stderr:?}");
    for code in ["0", "1", "31", "32", "33"] {
        stderr = stderr.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert!(!steers(&stderr), "{stderr:?}");
}

#[test]
fn many_reasons_are_counted_not_listed() {
    const CODES: [&str; 14] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"];
    let mut told = Told::new(options());
    for (ordinal, code) in (1..).zip(CODES) {
        told.at(ordinal, Event::RowRejected { place: place(ordinal), code, field: None, also: Vec::new() });
    }
    told.at(20, Event::RunEnded { exit_code: 3, stopped: None });
    let (_, stderr) = told.end();
    assert!(stderr.contains("… and 4 more kinds (4 rows): --json lists them"), "{stderr}");
}

#[test]
fn books_that_do_not_close_are_told() {
    let mut told = Told::new(options());
    let rows = PlanRows { read: 5, send: 3, ..PlanRows::default() };
    told.at(1, Event::PlanMade(Box::new(PlanFacts { rows, ..PlanFacts::default() })));
    told.at(2, Event::RunEnded { exit_code: 0, stopped: None });
    assert!(told.end().1.contains("the books do not close"));
}

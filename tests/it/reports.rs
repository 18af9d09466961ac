//! What a run tells, to people, to programs and to whoever looks later: summary, JSON Lines, run directory, history,
//! row files, terminal.
//!
//! Not here: error messages of inputs (`bad_input.rs`) and settings (`door.rs`).

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use simsync::fields::RULES;
use simsync::report::QUIET_LINES_MAX;
use simsync::sandbox::{Faults, Shares};

use crate::support::{Ran, TOKEN, Workspace, export, fixture, ran, skipped};

/// Faults that only slow the sandbox down.
fn slow(latency_ms: u64) -> Faults {
    Faults { latency_ms, ..Faults::default() }
}

/// `simsync sync` for people: the same as [`Workspace::sync`] without `--json`.
fn sync_for_people(workspace: &Workspace, args: &[&str]) -> Ran {
    let url = workspace.sandbox.url();
    workspace.run(&[&["sync", "--api-url", &url, "--rate", "unlimited"], args].concat())
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// Whether a text could steer a terminal.
fn steers(text: &str) -> bool {
    text.chars().any(|character| character != '\n' && simsync::report::is_hostile(character))
}

#[test]
fn json_lines_all_parse_and_end_with_the_summary() {
    let workspace = Workspace::with(Faults {
        shares: Shares { error_500_before: 0.1, ..Shares::default() },
        ..Faults::default()
    });
    let run = workspace.sync(&[&fixture("crm-export.csv")]).expect(3).expect_books();
    let lines = json_lines(&run.stdout);
    let summary = lines.last().unwrap();
    assert_eq!(summary["type"], "summary");
    let members = [
        "schema_version run_id batch exit_code rows attempts retries http duration_s",
        "tool_version command target key started_at ended_at inputs rejections warnings files next",
    ];
    for member in members.iter().flat_map(|names| names.split(' ')) {
        assert!(!summary[member].is_null(), "{member} is missing in {summary}");
    }
    for fate in
        "read synced folded duplicate unchanged superseded conflict held rejected failed in_doubt pending \
                 filtered elsewhere"
            .split(' ')
    {
        assert!(summary["rows"][fate].is_u64(), "rows.{fate} is missing in {summary}");
    }
    assert_eq!(summary["exit_code"], 3);
    let statuses = summary["http"].as_object().unwrap();
    let attempts: u64 = statuses.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(summary["attempts"].as_u64().unwrap(), attempts);
    assert_eq!(statuses["201"], summary["rows"]["synced"], "one acknowledgment for each update");
    assert_eq!(summary["retries"].as_u64().unwrap(), attempts - summary["updates"].as_u64().unwrap());
    let rejected = lines.iter().filter(|line| line["type"] == "row_rejected").count() as u64;
    assert_eq!(rejected, run.rows("rejected"), "one message for each rejected row");
    assert!(lines.iter().all(|line| line["type"].is_string()));
    let file: Value = serde_json::from_str(&workspace.last_run_file("summary.json").unwrap()).unwrap();
    assert_eq!(&file, summary, "summary.json is the last line of --json");
    assert_eq!(run.stderr, "", "with --json everything is on standard output");
    for file in summary["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        assert!(workspace.path(path).exists(), "{path} is named and must exist");
    }
}

#[test]
fn people_read_standard_error_and_standard_output_stays_empty() {
    let workspace = Workspace::new();
    let input = fixture("crm-export.csv");
    let run = sync_for_people(&workspace, &[&input]).expect(3);
    assert_eq!(run.stdout, "");
    assert!(!steers(&run.stderr), "{}", run.stderr);
    let says = "synced 258 · folded 12 · duplicate 8 · unchanged 1 · conflict 5 · rejected 16 · failed 0 · pending 0";
    assert!(run.stderr.contains(says), "{}", run.stderr);
    assert!(run.stderr.contains("(300 rows read, "), "{}", run.stderr);
    assert!(
        run.stderr.contains("excel.scientific       from line 132  scientific notation"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("→ export again with the column formatted as Text"), "{}", run.stderr);
    // Nothing is so long that a terminal folds it into a heap, but the lines that hold a path or a command.
    let prose = run.stderr.lines().filter(|line| !line.contains('/'));
    for line in prose {
        assert!(line.chars().count() <= 140, "{line}");
    }
    assert_eq!(run.stderr.matches("crm-export.csv").count(), 0, "one input needs no name: {}", run.stderr);
    let colored = sync_for_people(&workspace, &[&input, "--color", "always"]).expect(3);
    assert!(colored.stderr.contains("\u{1b}["), "colors on demand: {}", colored.stderr);
    for args in [&["runs"][..], &["show", "latest"], &["check", &input], &["plan", "--sandbox", &input]] {
        let told = workspace.run(args);
        assert!(!steers(&told.stdout) && !steers(&told.stderr), "{args:?}");
    }
}

#[test]
fn the_next_command_is_runnable_as_it_stands() {
    let workspace = Workspace::new();
    // A file name that a shell would take apart.
    workspace.write("my export.csv", export(2) + "C-000009,12ab,,basic\n");
    let run = sync_for_people(&workspace, &["my export.csv", "--max-in-flight", "2"]).expect(3);
    let next = run.stderr.lines().find_map(|line| line.strip_prefix("next: ")).unwrap();
    let command = next.split('`').nth(1).unwrap();
    assert!(command.contains("--max-in-flight 2"), "{next}");
    let rejected = workspace.run_dirs().last().unwrap().join("rejected.csv");
    let text = fs::read_to_string(&rejected).unwrap();
    fs::write(&rejected, text.replace("12ab", "+447911999999")).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_simsync")).parent().unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).current_dir(workspace.dir.path());
    shell.env_clear().env("SIMSYNC_TOKEN", TOKEN).env("PATH", bin);
    ran(shell.output().unwrap()).expect(0);
    assert_eq!(workspace.at_server("C-000009", "number").as_deref(), Some("+447911999999"));
}

#[test]
fn quiet_is_silent_on_success_and_short_on_failure() {
    let workspace = Workspace::new();
    workspace.write("good.csv", export(5));
    let good = sync_for_people(&workspace, &["-q", "good.csv"]).expect(0);
    assert_eq!((good.stdout.as_str(), good.stderr.as_str()), ("", ""));
    let bad: String = (0..40).map(|row| format!("B-{row},12ab,,basic\n")).collect();
    workspace.write("bad.csv", export(9) + &bad);
    workspace.write("latin1.csv", b"crm id,tier\nC-1,\xe9\n");
    for (input, code) in [
        (fixture("crm-export.csv"), 3),
        ("bad.csv".into(), 4),
        ("latin1.csv".into(), 6),
        ("none.csv".into(), 6),
        (fixture("no-known-column.csv"), 6),
    ] {
        let failed = sync_for_people(&workspace, &["-q", &input]).expect(code);
        let lines = failed.stderr.lines().count();
        assert!((1..=QUIET_LINES_MAX).contains(&lines), "{lines} lines:\n{}", failed.stderr);
        assert_eq!(failed.stdout, "");
        let mut told = failed.stderr.lines().collect::<Vec<_>>();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told.len(), lines, "nothing is said twice: {}", failed.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_disturbs_nobody() {
    let workspace = Workspace::with(slow(20));
    let input = fixture("crm-export.csv");
    let mut child = workspace.sync_command(&["--max-in-flight", "8", &input]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("run_started"), "{line}");
    // The pipe is closed now, and hundreds of lines are still to come.
    let ended = ran(child.wait_with_output().unwrap()).expect(3);
    assert_eq!(ended.stderr, "");
    let summary: Value = serde_json::from_str(&workspace.last_run_file("summary.json").unwrap()).unwrap();
    assert_eq!(summary["rows"]["synced"], 258);
}

#[test]
fn rejected_rows_keep_their_cells_byte_for_byte() {
    let workspace = Workspace::new();
    let cells = [
        "R-1,12ab,\"say \"\"hi\"\", friend\"",
        "R-2,0012ab,\"two\nlines\"",
        "R-3, +44 12ab ,\"=HYPERLINK(\"\"x\"\")\"",
        "R-4,12ab,a \u{1b}[31mred\u{1b}[0m note\u{202e}",
    ];
    workspace.write("a.csv", format!("crm id,mobile,note\n{}\nR-5,+447911123456,fine\n", cells.join("\n")));
    let run = workspace.sync(&["a.csv"]).expect(3).expect_books();
    assert_eq!((run.rows("rejected"), run.rows("synced")), (4, 1));
    let run_id = run.summary()["run_id"].as_str().unwrap().to_owned();
    let rejected = workspace.last_run_file("rejected.csv").unwrap();
    let header = "crm id,mobile,note,_run,_row,_file,_line,_reason,_signature,_detail,_raw\n";
    assert!(rejected.starts_with(header), "{rejected}");
    // The second row spans two lines, so the third begins in line 5.
    for (row, (cells, line)) in (1..).zip(cells.iter().zip([2, 3, 5, 6])) {
        let expected = format!("\n{cells},{run_id},{row},a.csv,{line},number.chars,");
        assert!(rejected.contains(&expected), "{expected:?} is missing in {rejected:?}");
    }
    assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "cells never reach a terminal");
    let dir = workspace.run_dirs().pop().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for name in ["rejected.csv", "summary.json", "status.json"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&workspace.path("simsync-state")), 0o700);
}

#[test]
fn rejected_rows_are_corrected_and_fed_back() {
    let workspace = Workspace::new();
    workspace.write("a.csv", "crm id,mobile,note\nR-1,12ab,\"two\nlines\"\nR-2,+447911123456,\n");
    workspace.sync(&["a.csv"]).expect(3);
    let path = workspace.run_dirs().pop().unwrap().join("rejected.csv");
    let text = fs::read_to_string(&path).unwrap();
    let uncorrected = workspace.sync(&[path.to_str().unwrap()]).expect(3).expect_books();
    assert_eq!((uncorrected.rows("read"), uncorrected.rows("rejected")), (1, 1), "it parses as it is");
    fs::write(&path, text.replace("12ab", "+447911999999")).unwrap();
    let corrected = workspace.sync(&[path.to_str().unwrap()]).expect(0).expect_books();
    assert_eq!(corrected.rows("synced"), 1);
    assert_eq!(workspace.at_server("R-1", "number").as_deref(), Some("+447911999999"));
}

#[test]
fn hostile_names_never_steer_the_terminal() {
    let workspace = Workspace::new();
    let name = "evil\u{1b}]0;owned\u{7}\u{1b}[2J\n.csv";
    let header = "crm id,mobile,\"no\u{1b}[31mte\u{9b}2J\n\u{202e}\"\n";
    workspace.write(name, format!("{header}C-1,12ab,\"\u{1b}[2J\"\nC-2,+447911123456,\n"));
    let runs = [
        sync_for_people(&workspace, &[name]).expect(3),
        sync_for_people(&workspace, &["-q", name, "-"]).expect(3),
        workspace.sync(&[name]).expect(3),
        workspace.run(&["check", name]).expect(3),
        workspace.run(&["plan", "--sandbox", name]).expect(3),
        workspace.run(&["show", "latest"]).expect(0),
        workspace.run(&["runs"]).expect(0),
        sync_for_people(&workspace, &["none\u{1b}[2J.csv"]).expect(6),
        sync_for_people(&workspace, &[name, "--map", "number=\u{1b}[2J"]).expect(2),
        workspace.run(&["show", "\u{1b}[2J"]).expect(2),
    ];
    for (nth, told) in runs.iter().enumerate() {
        assert!(!steers(&told.stdout), "{nth}: {:?}", told.stdout);
        assert!(!steers(&told.stderr), "{nth}: {:?}", told.stderr);
    }
    // The name is told, not dropped: JSON reads back as it was.
    assert_eq!(runs[2].summary()["inputs"][0]["name"], name);
}

#[test]
fn a_running_run_can_be_watched_and_a_killed_one_is_shown_as_such() {
    let workspace = Workspace::with(slow(60));
    workspace.write("a.csv", export(600));
    let mut child = workspace.sync_in_background(&["a.csv", "--max-in-flight", "2"]);
    let status = loop {
        let text = workspace.last_run_file("status.json").unwrap_or_default();
        // The file is replaced as a whole, so it always parses.
        if !text.is_empty() {
            let status: Value = serde_json::from_str(&text).unwrap();
            if status["phase"] == "deliver" && status["rows"]["synced"].as_u64() > Some(0) {
                break status;
            }
        }
        assert!(child.try_wait().unwrap().is_none(), "the run ended before its status was seen");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status["pid"], child.id());
    assert_eq!(status["updates"], 600);
    assert_eq!(status["exit_code"], Value::Null);
    let rows = status["rows"].as_object().unwrap();
    let sum: u64 = rows.iter().filter(|(name, _)| *name != "read").map(|(_, n)| n.as_u64().unwrap()).sum();
    assert_eq!(rows["read"], sum, "the books close at any time: {rows:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let listed = workspace.run(&["runs"]).expect(0).stdout;
    assert!(listed.contains("no end"), "{listed}");
    let shown = workspace.run(&["show", "latest"]).expect(0).stdout;
    assert!(shown.contains("this run has no end:") && shown.contains("killed in phase deliver"), "{shown}");
    workspace.sandbox.set_faults(Faults::default()).unwrap();
    workspace.sync(&["a.csv"]).expect(0).expect_books();
    assert_eq!(workspace.run(&["runs", "--json"]).expect(0).stdout.lines().count(), 2);
}

#[test]
fn past_runs_are_listed_and_shown() {
    let workspace = Workspace::new();
    assert_eq!(workspace.run(&["runs"]).expect(0).stdout, "no runs yet\n");
    assert!(workspace.run(&["show", "latest"]).expect(2).stderr.contains("no run has been recorded"));
    workspace.write("a.csv", export(3));
    let first = workspace.sync(&["a.csv"]).expect(0).summary();
    let second = sync_for_people(&workspace, &[&fixture("crm-export.csv")]).expect(3);
    let id = first["run_id"].as_str().unwrap();
    let listed = workspace.run(&["runs"]).expect(0).stdout;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.lines().nth(1).unwrap().starts_with(id), "oldest first: {listed}");
    let lines = json_lines(&workspace.run(&["runs", "--json"]).expect(0).stdout);
    assert_eq!(lines[0], first);
    let shown = workspace.run(&["show", id, "--json"]).expect(0).stdout;
    assert_eq!(json_lines(&shown), std::slice::from_ref(&first));
    // The latest is told again as it was at its end.
    let shown = workspace.run(&["show", "latest"]).expect(0).stdout;
    for line in second.stderr.lines() {
        assert!(shown.contains(line), "`{line}` is missing in {shown}");
    }
    assert!(shown.ends_with(&format!("exit 3: {}\n", simsync::exit::Exit::RowsLeft.meaning())), "{shown}");
    let unknown = workspace.run(&["show", &format!("{}-x", &id[..id.len() - 3])]).expect(2);
    assert!(unknown.stderr.contains("no run is named"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("did you mean") && unknown.stderr.contains(id), "{}", unknown.stderr);
}

#[test]
fn a_plan_tells_what_would_change_and_leaves_no_trace() {
    let workspace = Workspace::new();
    let (url, first, second) =
        (workspace.sandbox.url(), fixture("crm-export.csv"), fixture("crm-export-next-day.csv"));
    let plan = |args: &[&str]| {
        let mut command = workspace.command(&[&["plan", "--api-url", &url], args].concat());
        // A plan needs no token.
        ran(command.env_remove("SIMSYNC_TOKEN").output().unwrap())
    };
    let told = plan(&["--rate", "2/s", &first]).expect(3);
    assert_eq!(told.stdout, "");
    for says in [
        "rows read  300",
        "to send    258",
        "258 new, 0 known",
        "changes by field: ",
        "next: run `simsync sync",
    ] {
        assert!(told.stderr.contains(says), "`{says}` is missing in {}", told.stderr);
    }
    assert!(told.stderr.contains("at 2/s sending takes 2 min 9 s, done at 20"), "{}", told.stderr);
    assert!(!workspace.path("simsync-state").exists(), "a plan makes no state");
    workspace.sync(&[&first]).expect(3);
    let requests = workspace.sandbox.stats().requests;
    let runs = workspace.run_dirs();
    let told = plan(&[&second]).expect(3);
    // 6 other tiers and 2 of 3 new subjects' worth of fields: what changes is told per field, not per row.
    assert!(told.stderr.contains("unchanged  260"), "{}", told.stderr);
    let summary = plan(&["--json", &second]).expect(3).summary();
    let plan = &summary["plan"];
    let (new, known) = (plan["subjects_new"].as_u64().unwrap(), plan["subjects_changed"].as_u64().unwrap());
    assert_eq!(new + known, 16);
    let changes = plan["field_changes"].as_object().unwrap();
    assert!(changes["user_class"].as_u64() >= Some(6) && changes["iccid"].as_u64() >= Some(3), "{changes:?}");
    assert!(changes.values().all(|count| count.as_u64() <= Some(16)), "{changes:?}");
    assert_eq!(workspace.sandbox.stats().requests, requests, "a plan sends nothing");
    assert_eq!(workspace.run_dirs(), runs, "a plan is no run");
}

#[test]
fn check_tells_by_its_exit_code_and_table() {
    let workspace = Workspace::new();
    workspace.write("good.csv", export(4));
    let good = workspace.run(&["check", "good.csv"]).expect(0);
    assert!(good.stderr.starts_with("valid 4 · rejected 0 · 0 warnings · normalized "), "{}", good.stderr);
    assert_eq!(good.stdout, "");
    let bad = workspace.run(&["check", &fixture("crm-export.csv")]).expect(3);
    for says in
        ["valid 284 · rejected 16 · 12 warnings", "imsi.length", "line 79", "→ give all digits of the IMSI"]
    {
        assert!(bad.stderr.contains(says), "`{says}` is missing in {}", bad.stderr);
    }
    let json = workspace.run(&["check", "--json", &fixture("crm-export.csv")]).expect(3).summary();
    assert_eq!((json["rows"]["rejected"].as_u64(), json["exit_code"].as_u64()), (Some(16), Some(3)));
    // Neither state nor token nor target is needed, and none is made.
    assert!(!workspace.path("simsync-state").exists());
    workspace.run(&["check", "--severity", "imei.luhn=error", &fixture("vendor-example.csv")]).expect(3);
    workspace.run(&["check", &fixture("vendor-example.csv")]).expect(0);
}

#[test]
fn every_rule_is_explained() {
    let workspace = Workspace::new();
    assert!(RULES.len() > 40);
    for rule in RULES {
        let told = workspace.run(&["check", "--explain", rule.code]).expect(0).stdout;
        assert!(told.starts_with(rule.code), "{told}");
        for says in [rule.says, rule.source, rule.remedy] {
            assert!(!says.is_empty() && told.contains(says), "{}: `{says}` is missing in {told}", rule.code);
        }
    }
    let unknown = workspace.run(&["check", "--explain", "imei.lun"]).expect(2).stderr;
    assert!(unknown.contains("did you mean") && unknown.contains("imei.luhn"), "{unknown}");
}

/// What a terminal shows after this was written to it: enough of one for a bar that is drawn and cleared.
fn screen(written: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut characters = written.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                if row == lines.len() {
                    lines.push(Vec::new());
                }
            }
            '\u{1b}' if characters.next_if_eq(&'[').is_some() => {
                let mut number = String::new();
                while let Some(digit) = characters.next_if(|c| c.is_ascii_digit() || matches!(c, ';' | '?')) {
                    number.push(digit);
                }
                let count: usize = number.parse().unwrap_or(1);
                match characters.next() {
                    Some('A') => row = row.saturating_sub(count),
                    Some('B') => row = (row + count).min(lines.len() - 1),
                    Some('K') if number == "2" => lines[row].clear(),
                    Some('K') => lines[row].truncate(column),
                    Some('G') => column = count.saturating_sub(1),
                    Some(_) | None => {}
                }
            }
            character => {
                if lines[row].len() <= column {
                    lines[row].resize(column + 1, ' ');
                }
                lines[row][column] = character;
                column += 1;
            }
        }
    }
    lines.into_iter().map(|line| line.into_iter().collect::<String>().trim_end().to_owned()).collect()
}

#[test]
fn a_terminal_gets_a_bar_that_leaves_no_garbage() {
    let is_there =
        Command::new("script").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !is_there.is_ok_and(|status| status.success()) {
        skipped("`script` of util-linux lends the terminal, and it is not there");
        return;
    }
    let workspace = Workspace::with(slow(40));
    workspace.write("a.csv", export(60));
    let line = format!(
        "{} sync a.csv --api-url {} --rate unlimited --max-in-flight 4",
        env!("CARGO_BIN_EXE_simsync"),
        workspace.sandbox.url()
    );
    let mut command = Command::new("script");
    command.args(["-qec", &format!("stty cols 120 2>/dev/null; {line}"), "/dev/null"]);
    command.current_dir(workspace.dir.path()).env_remove("NO_COLOR").env_remove("SIMSYNC_COLOR");
    command.env("TERM", "xterm").env("SIMSYNC_TOKEN", TOKEN).stdin(Stdio::null());
    let run = ran(command.output().unwrap()).expect(0);
    assert!(run.stdout.contains("deliver"), "the bar names the phase: {:?}", run.stdout);
    assert!(run.stdout.contains("updates settled"), "and the figures: {:?}", run.stdout);
    assert!(run.stdout.contains("===="), "and how far: {:?}", run.stdout);
    let begins = run.stdout.find("survey").unwrap();
    assert!(!run.stdout[..begins].contains("===="), "it does not begin full: {:?}", run.stdout);
    let screen = screen(&run.stdout);
    assert!(screen.iter().any(|line| line.starts_with("synced 60 · ")), "{screen:#?}");
    for line in &screen {
        assert!(!line.contains("updates settled") && !line.contains("===="), "the bar is gone: {screen:#?}");
    }
}

#[test]
fn where_nothing_can_be_written_for_people_or_programs_the_run_goes_on() {
    for redirected in ["2>/dev/full", "2>&-", ">&- 2>&-", "2>&1 | head -c 10"] {
        for verbose in ["-q", "-vvv"] {
            let workspace = Workspace::new();
            workspace.write("crm.csv", export(300));
            let plain = workspace.sync_command(&["crm.csv", verbose]);
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("{{ \"$0\" \"$@\"; echo $? >code; }} {redirected}")]);
            shell.arg(plain.get_program()).args(plain.get_args());
            shell.current_dir(workspace.dir.path()).env_clear();
            shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
            shell.output().unwrap();
            let code = fs::read_to_string(workspace.path("code")).unwrap();
            assert_eq!(code, "0\n", "{redirected} {verbose}");
            let summary = workspace.last_run_file("summary.json").unwrap();
            assert_eq!(
                serde_json::from_str::<Value>(&summary).unwrap()["rows"]["synced"],
                300,
                "{redirected}"
            );
        }
    }
}

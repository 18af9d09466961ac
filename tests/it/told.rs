//! What an operator is told in the situations a bad day brings: the right cause, and a next step that helps.

use std::fs;
use std::process::{Command, Stdio};

use simsync::report::QUIET_LINES_MAX;
use simsync::sandbox::{Faults, Outage, OutageKind, Shares, Window};

use crate::support::{Ran, TOKEN, Workspace, binary, export, finish};

#[test]
fn a_limit_on_file_sizes_is_an_error_with_words() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(3_000));
    let url = workspace.sandbox.url();
    // Blocks of 512 bytes: room for the start, not for the run.
    let script = format!("ulimit -f 64; exec \"$0\" sync crm.csv --api-url {url} --rate unlimited --json");
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(binary()).current_dir(workspace.dir.path());
    command.env("SIMSYNC_TOKEN", TOKEN).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = finish(command);
    assert_eq!(ran.code, 13, "{} {}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("ulimit -f"), "{}", ran.stderr);
    workspace.sync(&["crm.csv"]).expect(0).expect_books();
}

#[test]
fn what_stopped_a_run_is_not_in_the_next_command() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(30));
    let canary = workspace.sync(&["crm.csv", "--max-rows", "5"]).expect(8);
    let next = canary.summary()["next"][0].as_str().unwrap().to_owned();
    assert!(next.contains("crm.csv") && next.contains("to resume") && !next.contains("--max-rows"), "{next}");
    // An API that accepts nothing at all would refuse the same command again.
    let refusing = Workspace::with(Faults {
        subject_statuses: (0..30).map(|row| (format!("C-{row:06}"), 422)).collect(),
        ..Faults::default()
    });
    refusing.write("crm.csv", export(30));
    let first = refusing.sync(&["crm.csv"]).expect(4);
    assert!(first.rows("pending") > 0);
    let next = first.summary()["next"].to_string();
    assert!(next.contains("simsync doctor ") && next.contains("--probe crm.csv"), "{next}");
    let (probe, resume) = (next.find("--probe"), next.find("to resume"));
    assert!(
        probe.zip(resume).is_some_and(|(probe, resume)| probe < resume),
        "a resume comes behind it: {next}"
    );
    let command = next.split('`').nth(1).unwrap().to_owned();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    refusing.run(&words).expect(4);
    // Where a budget stopped it, what failed comes first.
    let some = Workspace::new();
    some.write("proven.csv", "crm id,mobile,imei,tier\nX-1,,,basic\n");
    some.sync(&["proven.csv"]).expect(0);
    some.fault(Faults {
        subject_statuses: (0..300).map(|row| (format!("C-{row:06}"), 422)).collect(),
        ..Faults::default()
    });
    some.write("crm.csv", export(300));
    let budget = some.sync(&["crm.csv", "--max-errors", "3", "--max-in-flight", "1"]).expect(4);
    assert!(budget.rows("pending") > 0 && budget.rows("failed") > 0);
    let next = budget.summary()["next"].to_string();
    assert!(!next.contains("to resume") && next.contains("simsync replay"), "{next}");
    assert!(!next.contains("simsync doctor"), "the API accepts some: {next}");
}

#[test]
fn a_row_file_of_another_target_is_known_as_such() {
    let (here, there) = (Workspace::new(), Workspace::new());
    here.fault(Faults { subject_statuses: [("C-000002".to_owned(), 422)].into(), ..Faults::default() });
    here.write("crm.csv", export(6));
    let ran = here.sync(&["crm.csv"]).expect(3);
    let kept = "key field user_external_id is kept for this target";
    assert!(ran.summary()["notices"].to_string().contains(kept), "{}", ran.stdout);
    here.write("failed.csv", here.last_run_file("failed.csv").unwrap());
    let run = here.run_dirs().pop().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let url = there.sandbox.url();
    let ran = here.run(&["sync", "failed.csv", "--api-url", &url, "--json"]).expect(3);
    let notices = ran.summary()["notices"].to_string();
    assert!(notices.contains(&format!("run {run} is known, and sent to ")), "{notices}");
    assert!(!notices.contains("kept for this target"), "nothing was sent, nothing is kept: {notices}");
    let rehearsal = here.run(&["sync", "crm.csv", "--sandbox", "--json"]).expect(0);
    assert!(!rehearsal.stdout.contains("kept for this target"), "{}", rehearsal.stdout);
}

/// The name under which a journal has no runs at all, and one whose record cannot be read.
#[test]
fn a_run_that_cannot_be_is_unknown_and_one_that_cannot_be_read_is_damage() {
    let ws = Workspace::with(Faults {
        subject_statuses: [("C-000002".to_owned(), 422)].into(),
        ..Faults::default()
    });
    ws.write("crm.csv", export(6));
    ws.sync(&["crm.csv"]).expect(3);
    let failed = ws.last_run_file("failed.csv").unwrap();
    let run = ws.run_dirs().pop().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    ws.write("failed.csv", failed.replace(&run, &"r".repeat(3_000)));
    let odd = ws.sync(&["failed.csv"]).expect(3).expect_books();
    assert_eq!(odd.rows("rejected"), 1);
    assert_eq!(ws.last_rows("rejected.csv")[0]["_reason"], "origin.unknown_run");
    // A record that is not what was written: no row is to be told that its run is unknown.
    ws.write("failed.csv", &failed);
    let db = sled::open(ws.path("simsync-state/journal")).unwrap();
    let named = db.open_tree("named").unwrap();
    let key = format!("run/{run}");
    assert!(named.insert(key.as_bytes(), &b"nonsense"[..]).unwrap().is_some(), "the record has this name");
    db.flush().unwrap();
    drop((named, db));
    let requests = ws.sandbox.stats().requests;
    let damaged = ws.sync(&["failed.csv"]).expect(13);
    assert!(!damaged.stdout.contains("origin.unknown_run"), "{}", damaged.stdout);
    assert_eq!(ws.sandbox.stats().requests, requests);
}

#[test]
fn a_place_that_cannot_be_written_is_named_as_it_is() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(2));
    let url = workspace.sandbox.url();
    let plan = workspace.run(&["plan", "crm.csv", "--api-url", &url, "-o", "missing/p.json"]).expect(2);
    assert!(plan.stderr.contains("its directory does not exist"), "{}", plan.stderr);
    assert!(!plan.stderr.contains("journal is intact"), "{}", plan.stderr);
    // A directory that nobody can make files in, root included.
    if fs::exists("/proc/self").unwrap() {
        let plan = workspace.run(&["plan", "crm.csv", "--api-url", &url, "-o", "/proc/p.json"]);
        assert_ne!(plan.code, 0, "{}", plan.stdout);
        assert!(plan.stderr.contains("nothing was sent"), "{}", plan.stderr);
        assert!(!plan.stderr.contains("journal is intact"), "{}", plan.stderr);
    }
    let state = workspace.sync(&["crm.csv", "--state", "crm.csv"]).expect(13);
    assert!(state.stderr.contains("--state") && !state.stderr.contains("free space"), "{}", state.stderr);
    assert_eq!(fs::read_to_string(workspace.path("crm.csv")).unwrap(), export(2));
}

#[test]
fn a_probe_says_why_its_row_was_not_sent() {
    let workspace = Workspace::new();
    workspace.write("old.csv", "crm id,tier\nC-1,basic\n");
    workspace.write("new.csv", "crm id,tier\nC-1,gold\n");
    let url = workspace.sandbox.url();
    let probe = ["doctor", "--api-url", &url, "--rate", "unlimited", "--probe", "old.csv"];
    // The probe's batch stays open, for it is stopped before its end; then something newer is sent.
    workspace.fault(Faults { subject_statuses: [("C-1".to_owned(), 401)].into(), ..Faults::default() });
    let refused = workspace.run(&probe);
    assert_eq!(refused.code, 12, "{}", refused.stdout);
    workspace.fault(Faults::default());
    workspace.sync(&["new.csv"]).expect(0);
    let before = workspace.sandbox.stats().requests;
    let ran = workspace.run(&probe).expect(3);
    assert!(ran.stdout.contains("something newer has set its values (superseded)"), "{}", ran.stdout);
    assert_eq!(workspace.at_server("C-1", "user_class").as_deref(), Some("gold"));
    assert!(workspace.sandbox.stats().requests <= before + 1, "a HEAD at most");
}

#[test]
fn a_refused_plan_names_no_resuming() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(4));
    let url = workspace.sandbox.url();
    workspace.run(&["plan", "crm.csv", "--api-url", &url, "-o", "p.json"]).expect(0);
    workspace.write("crm.csv", export(5));
    let refused = workspace.sync(&["--plan", "p.json"]).expect(4);
    assert!(refused.rows("pending") > 0);
    assert_eq!(refused.summary()["next"].to_string(), "[]");
}

#[test]
fn a_lookup_during_the_first_run_is_a_sentence() {
    let workspace = Workspace::with(Faults { latency_ms: 400, ..Faults::default() });
    workspace.write("crm.csv", export(200));
    let mut run = workspace.sync_in_background(&["crm.csv", "--concurrency", "1"]);
    workspace.wait_for_requests(2);
    let url = workspace.sandbox.url();
    let told = workspace.run(&["lookup", "--api-url", &url, "--user-external-id", "C-000000"]);
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(told.stdout.contains("it is the first one here"), "{} {}", told.stdout, told.stderr);
    assert!(!told.stdout.contains("the last fold"), "{}", told.stdout);
}

#[test]
fn one_of_a_thing_is_told_in_the_singular() {
    const MANY: [&str; 22] = [
        "rows", "updates", "subjects", "lines", "values", "columns", "files", "runs", "requests", "attempts",
        "records", "cells", "fields", "batches", "entries", "targets", "inputs", "chains", "checks", "pairs",
        "pages", "retries",
    ];
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(1));
    workspace.write("short.csv", "crm id,imei,tier\nC-7,,gold\nC-8\n");
    let url = workspace.sandbox.url();
    for args in [
        &["plan", "crm.csv"][..],
        &["check", "short.csv"],
        &["sync", "short.csv"],
        &["sync", "crm.csv", "-v"],
        &["sync", "crm.csv"],
        &["runs"],
        &["show", "latest"],
        &["lookup", "--user-external-id", "C-000000"],
        &["journal", "stats"],
        &["journal", "verify"],
        &["journal", "compact"],
        &["journal", "forget", "--before", "2999-01-01"],
        &["journal", "forget", "--user-external-id", "C-000000"],
        &["doctor", "--probe", "crm.csv"],
    ] {
        let mut command = workspace.command(args);
        command.env("SIMSYNC_API_URL", &url);
        let ran = crate::support::finish(command);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!text.is_empty(), "{args:?}");
        let words: Vec<&str> = text.split([' ', '\n', ',', ';', ':', '(', ')']).collect();
        for pair in words.windows(2) {
            assert!(pair[0] != "1" || !MANY.contains(&pair[1]), "{args:?}: `1 {}` in\n{text}", pair[1]);
        }
        let rejected = workspace.last_run_file("rejected.csv").unwrap_or_default();
        assert!(!rejected.contains("1 cells"), "{rejected}");
    }
}

/// A quiet `sync` of `crm.csv` for people.
fn quietly(workspace: &Workspace, args: &[&str]) -> Ran {
    let url = workspace.sandbox.url();
    let all = [&["sync", "-q", "--api-url", &url, "--rate", "unlimited", "crm.csv"], args].concat();
    workspace.run(&all)
}

#[test]
fn a_quiet_run_says_where_it_was_redirected_to() {
    let workspace = Workspace::with(Faults {
        shares: Shares { redirect_307: 1.0, ..Shares::default() },
        ..Faults::default()
    });
    workspace.write("crm.csv", export(4));
    let ran = quietly(&workspace, &[]).expect(10);
    let place = workspace.sandbox.url().replace("device_app_user_update/", "moved/");
    let error =
        format!("error: the API answered with a redirect to {place} (HTTP 307): this is not the endpoint");
    assert!(ran.stderr.contains(&error), "{}", ran.stderr);
    assert!(ran.stderr.contains("redirects are never followed"), "{}", ran.stderr);
}

#[test]
fn a_quiet_run_tells_the_kinds_of_what_was_rejected_and_failed_with_their_counts() {
    let workspace = Workspace::with(Faults {
        subject_statuses: [("C-000000", 422), ("C-000001", 422), ("C-000002", 404)]
            .map(|(subject, status)| (subject.to_owned(), status))
            .into(),
        ..Faults::default()
    });
    let bad = "B-0,,12345,basic\nB-1,,12345,basic\nB-2,12ab,,basic\n,,356868000041410,basic\n               B-4,,000000000000000,basic\nB-5,,35686800004141x,basic\n";
    workspace.write("crm.csv", export(9) + bad);
    let ran = quietly(&workspace, &["--max-in-flight", "1"]).expect(3);
    let line = |label: &str| ran.stderr.lines().find(|line| line.starts_with(label)).unwrap().to_owned();
    let rejected = line("rejected: 2 × imei.length, ");
    assert!(rejected.contains(" (first: crm.csv:11) · 1 × "), "{rejected}");
    assert_eq!(rejected.matches(" × ").count(), 3, "{rejected}");
    assert!(rejected.ends_with(" · 2 more kinds (2 rows)"), "{rejected}");
    let failed = line("failed: 2 × 422 ");
    assert!(failed.contains(" (first: crm.csv:2) · 1 × 404 "), "{failed}");
    assert!(failed.ends_with(" (first: crm.csv:4)"), "{failed}");
}

#[test]
fn a_quiet_run_names_the_path_of_every_file_it_tells_to_look_at() {
    let workspace = Workspace::new();
    let bad: String = (0..30).map(|row| format!("B-{row},12ab,,basic\n")).collect();
    workspace.write("crm.csv", export(9) + &bad);
    let path = |name: &str| {
        let dir = workspace.run_dirs().pop().unwrap();
        let run = dir.file_name().unwrap().to_string_lossy().into_owned();
        format!("./simsync-state/runs/{run}/{name}")
    };
    let gated = quietly(&workspace, &[]).expect(4);
    let hint = format!("hint: look at {} and correct the export", path("rejected.csv"));
    assert!(gated.stderr.contains(&hint), "{}", gated.stderr);
    workspace.write("crm.csv", "crm id,tier\nX-1,basic\nX-2,basic\nX-3,basic\n");
    workspace.fault(Faults { subject_statuses: [("X-2".to_owned(), 422)].into(), ..Faults::default() });
    let budget = quietly(&workspace, &["--max-errors", "0", "--max-in-flight", "1"]).expect(4);
    let looks = format!("look at {}", path("failed.csv"));
    assert!(budget.stderr.contains(&format!("hint: {looks}, then")), "{}", budget.stderr);
    assert!(budget.stderr.contains(&format!("next: {looks}; run `")), "{}", budget.stderr);
    let failed = quietly(&workspace, &[]).expect(3);
    let next = format!("next: correct {} where it is wrong", path("failed.csv"));
    assert!(failed.stderr.contains(&next), "{}", failed.stderr);
    // An input of the same name is that input.
    fs::rename(workspace.path("crm.csv"), workspace.path("failed.csv")).unwrap();
    workspace.write("crm.csv", "crm id,tier\n");
    let limited =
        quietly(&workspace, &["failed.csv", "--full", "--max-rows", "2", "--max-in-flight", "1"]).expect(8);
    let next = limited.stderr.lines().find(|line| line.starts_with("next: ")).unwrap();
    assert!(next.contains("crm.csv failed.csv --full"), "{next}");
}

#[test]
fn what_a_hint_names_looks_where_the_command_looked() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(2));
    workspace.sync(&["crm.csv", "--state", "my state"]).expect(0);
    for state in [&["--state", "my state"][..], &["--state=my state"]] {
        let ran = workspace.run(&[&["show", "nosuch"], state].concat()).expect(2);
        let hint = ran.stderr.split('`').nth(1).unwrap();
        let as_pasted = ["simsync runs --state 'my state'", "simsync runs '--state=my state'"];
        assert!(as_pasted.contains(&hint), "{hint}");
    }
    workspace.sync(&["crm.csv"]).expect(0);
    let ran = workspace.run(&["show", "nosuch"]).expect(2);
    assert!(ran.stderr.contains("`simsync runs`"), "{}", ran.stderr);
}

#[test]
fn a_quiet_outage_tells_what_the_api_answered() {
    let window = Window::Requests { from: 0, count: 1_000 };
    let outage = Outage { window, how: OutageKind::Status(503) };
    let workspace = Workspace::with(Faults { outages: vec![outage], ..Faults::default() });
    workspace
        .configure("[delivery]\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\noutage_max = \"1s\"\n");
    workspace.write("crm.csv", export(4));
    let ran = quietly(&workspace, &[]).expect(5);
    assert!(ran.stderr.lines().any(|line| line.starts_with("attempts ") && line.contains(" 503 ×")));
    assert!(ran.stderr.lines().count() <= QUIET_LINES_MAX, "{}", ran.stderr);
}

#[test]
fn every_run_that_leaves_rows_names_a_next_step_that_is_one() {
    // What gave way under a policy is in a file, and nobody named it.
    let workspace = Workspace::new();
    workspace.write("crm.csv", "crm id,tier\nC-1,basic\nC-1,gold\n");
    let ran = quietly(&workspace, &["--duplicates", "last"]).expect(3);
    assert!(ran.stderr.contains("\nnext: look at ./simsync-state/runs/"), "{}", ran.stderr);
    assert!(ran.stderr.contains("/superseded.csv for what gave way"), "{}", ran.stderr);
    // Nothing but the swap's own options helps a swap.
    workspace.write("crm.csv", "crm id,mobile\nS-1,+447911123451\nS-2,+447911123452\n");
    workspace.sync(&["crm.csv"]).expect(0);
    workspace.write("crm.csv", "crm id,mobile\nS-1,+447911123452\nS-2,+447911123451\n");
    let ran = quietly(&workspace, &[]).expect(3);
    assert!(ran.stderr.contains("of true swaps --conflicts send sends both sides"), "{}", ran.stderr);
    let url = workspace.sandbox.url();
    let plan = workspace.run(&["plan", "--api-url", &url, "crm.csv"]).expect(3);
    assert!(plan.stderr.contains("next: of true swaps --conflicts send"), "{}", plan.stderr);
    // An adoption sends nothing, whatever it is told; and where no row is left, nothing is done all the same.
    let mostly_bad: String = (0..30).map(|row| format!("B-{row},12ab,,basic\n")).collect();
    workspace.write("crm.csv", export(9) + &mostly_bad);
    let ran = workspace.run(&["journal", "adopt", "--api-url", &url, "crm.csv"]).expect(4);
    assert!(ran.stderr.contains("--yes` to record it all the same"), "{}", ran.stderr);
    workspace.write("crm.csv", format!("crm id,mobile,imei,tier\n{mostly_bad}"));
    let ran = quietly(&workspace, &[]).expect(4);
    assert!(ran.stderr.contains("\nnext: correct ") && !ran.stderr.contains("--yes`"), "{}", ran.stderr);
    let ran = workspace.run(&["check", "-q", "crm.csv"]).expect(3);
    assert!(ran.stderr.contains("\nnext: run `simsync check --explain number.chars`"), "{}", ran.stderr);
    // A list that is cut off says so.
    workspace.write("strange.csv", "a,b\n1,2\n");
    let ran = workspace.run(&["check", "-q", "strange.csv"]).expect(6);
    assert!(ran.stderr.ends_with(" …\n"), "{}", ran.stderr);
    workspace.write("empty.csv", "crm id,mobile\n");
    let ran = workspace.run(&["check", "-q", "--require-rows", "empty.csv"]).expect(6);
    assert!(ran.stderr.contains("the input has no rows: empty.csv"), "{}", ran.stderr);
}

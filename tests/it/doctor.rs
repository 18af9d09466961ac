//! The doctor: every check against what it is to find, its exit codes, and the one row that a probe sends.
//!
//! Not here: how findings are printed (`report/doctor.rs`).

use std::fs;

use serde_json::Value;
use simsync::sandbox::{Faults, OutageKind, RequestView, SandboxEnvelope, SandboxOptions, Window};

use crate::support::{Ran, TOKEN, Workspace, export, finish};

/// Runs `doctor --json` against the sandbox.
fn doctor(workspace: &Workspace, args: &[&str]) -> Ran {
    let url = workspace.sandbox.url();
    let mut all = vec!["doctor", "--json", "--api-url", &url];
    all.extend_from_slice(args);
    workspace.run(&all)
}

/// The finding of a check.
#[track_caller]
fn finding(ran: &Ran, check: &str) -> Value {
    let lines = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found = lines.into_iter().find(|line| line["check"] == check);
    found.unwrap_or_else(|| panic!("no check {check} in:\n{}\n{}", ran.stdout, ran.stderr))
}

/// Asserts how a check ended, and what it says or hints at.
#[track_caller]
fn expect_finding(ran: &Ran, check: &str, status: &str, says: &str) {
    let found = finding(ran, check);
    assert_eq!(found["status"], status, "{found}\n{}", ran.stdout);
    assert!(found.to_string().contains(says), "`{says}` is missing in {found}");
    assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "the token is never printed");
}

/// Updates that arrived, whatever became of them.
fn updates(workspace: &Workspace) -> Vec<RequestView> {
    workspace.sandbox.requests()
}

fn speaking(envelope: SandboxEnvelope) -> Workspace {
    Workspace::of(SandboxOptions { envelope, ..SandboxOptions::default() })
}

#[test]
fn where_all_is_well_it_says_so_and_leaves_no_trace() {
    let workspace = Workspace::new();
    let ran = doctor(&workspace, &[]).expect(0);
    for check in ["config", "token", "dns", "connect", "clock", "disk", "lock", "journal"] {
        assert_eq!(finding(&ran, check)["status"], "ok", "{}", ran.stdout);
    }
    let last: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((last["type"].as_str(), last["exit_code"].as_u64()), (Some("doctor_ended"), Some(0)));
    assert!(updates(&workspace).is_empty(), "no request with the token is sent");
    assert!(!workspace.path("simsync-state").exists(), "no state is made");
    let url = workspace.sandbox.url();
    let text = workspace.run(&["doctor", "--api-url", &url]).expect(0).stdout;
    assert!(
        text.contains("ok       connect     answers 405") && text.ends_with("8 checks, all well\n"),
        "{text}"
    );
    assert_eq!(workspace.run(&["doctor", "-q", "--api-url", &url]).expect(0).stdout, "");
}

#[test]
fn a_configuration_that_is_wrong_is_10_and_the_rest_is_skipped() {
    let workspace = Workspace::new();
    workspace.configure("[api]\nurll = \"x\"\n");
    let ran = doctor(&workspace, &["--probe", "crm.csv"]).expect(10);
    expect_finding(&ran, "config", "failed", "simsync.toml:2");
    expect_finding(&ran, "probe", "skipped", "");
    workspace.configure("");
    let ran = workspace.run(&["doctor", "--json"]).expect(10);
    expect_finding(&ran, "config", "failed", "no API address is set");
    expect_finding(&ran, "disk", "ok", "writable");
}

#[test]
fn a_token_that_is_missing_or_over_is_told() {
    let workspace = Workspace::new();
    let url = workspace.sandbox.url();
    let without = |token: Option<&str>| {
        let mut command = workspace.command(&["doctor", "--json", "--api-url", &url]);
        command.env_remove("SIMSYNC_TOKEN");
        if let Some(token) = token {
            command.env("SIMSYNC_TOKEN", token);
        }
        finish(command)
    };
    expect_finding(&without(None).expect(10), "token", "failed", "there is no token");
    // {"exp":1300819380}: an example of RFC 7519 section 3.1, with its issuer.
    let over = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjEzMDA4MTkzODB9.c2ln";
    let ran = without(Some(over)).expect(12);
    expect_finding(&ran, "token", "failed", "expired at 2011-03-22T18:43:00Z");
    assert!(!ran.stdout.contains(over), "{}", ran.stdout);
}

#[test]
fn an_api_that_cannot_be_reached_is_5() {
    let workspace = Workspace::new();
    let ran = workspace.run(&["doctor", "--json", "--api-url", "http://127.0.0.1:1/x/"]).expect(5);
    expect_finding(&ran, "connect", "failed", "no connection can be made");
    expect_finding(&ran, "journal", "ok", "none yet");
    let args = ["doctor", "--json", "--api-url", "https://no-such-host.invalid/x/"];
    let ran = workspace.run(&args).expect(5);
    expect_finding(&ran, "dns", "failed", "no-such-host.invalid is not found");
}

#[test]
fn a_lock_that_is_held_is_11_and_says_by_whom() {
    let workspace = Workspace::with(Faults { latency_ms: 30, ..Faults::default() });
    workspace.write("crm.csv", export(2_000));
    let mut child = workspace.sync_in_background(&["crm.csv", "--max-in-flight", "1"]);
    workspace.wait_for_requests(1);
    let ran = doctor(&workspace, &[]).expect(11);
    expect_finding(&ran, "lock", "failed", &format!("process {}", child.id()));
    expect_finding(&ran, "journal", "skipped", "");
    child.kill().unwrap();
    child.wait().unwrap();
    let ran = doctor(&workspace, &[]).expect(0);
    expect_finding(&ran, "lock", "ok", "free");
    expect_finding(&ran, "journal", "warning", "in doubt");
}

#[test]
fn a_damaged_journal_is_13_and_explained() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(50));
    workspace.sync(&["crm.csv"]).expect(0);
    expect_finding(&doctor(&workspace, &[]).expect(0), "journal", "ok", "50 subjects");
    let state = fs::read_dir(workspace.path("simsync-state")).unwrap();
    let ledger = state
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "grenad"))
        .unwrap();
    let mut bytes = fs::read(&ledger).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0x10;
    fs::write(&ledger, bytes).unwrap();
    let ran = doctor(&workspace, &[]).expect(13);
    expect_finding(&ran, "journal", "failed", "damaged");
    expect_finding(&ran, "journal", "failed", "restore a copy");
    // Of several failures the gravest decides, and not the first: the API may be back tomorrow.
    let args = ["doctor", "--json", "--api-url", "http://127.0.0.1:1/x/"];
    let ran = workspace.run(&args).expect(13);
    expect_finding(&ran, "connect", "failed", "no connection can be made");
}

#[test]
fn a_probe_sends_one_row_and_keeps_it_in_the_journal() {
    let workspace = Workspace::new();
    // The first row is not valid, and the second says nothing but who it is about.
    let csv = "crm id,imei,tier\nC-0,12345,basic\nC-1,,\nC-2,,gold\nC-3,,basic\n";
    workspace.write("crm.csv", csv);
    let ran = doctor(&workspace, &["--probe", "crm.csv"]).expect(0);
    expect_finding(&ran, "input", "ok", "line 4");
    expect_finding(&ran, "probe", "ok", "data-string");
    assert_eq!(workspace.arrivals(), ["C-2"]);
    let summary: Value = serde_json::from_str(&workspace.last_run_file("summary.json").unwrap()).unwrap();
    assert_eq!((summary["command"].as_str(), summary["rows"]["synced"].as_u64()), (Some("doctor"), Some(1)));
    assert_eq!((summary["rows"]["filtered"].as_u64(), summary["balanced"].as_bool()), (Some(3), Some(true)));
    // It is remembered as any other acknowledgement, and can be asked for again.
    let synced = workspace.sync(&["crm.csv", "--yes"]).expect(3).expect_books();
    assert_eq!((synced.rows("synced"), synced.rows("unchanged")), (1, 2));
    assert_eq!(workspace.arrivals(), ["C-2", "C-3"]);
    doctor(&workspace, &["--probe", "crm.csv"]).expect(0);
    assert_eq!(workspace.arrivals(), ["C-2", "C-3", "C-2"]);
}

#[test]
fn a_probe_finds_the_envelope_that_is_understood() {
    for (envelope, name) in [(SandboxEnvelope::DataObject, "data-object"), (SandboxEnvelope::Flat, "flat")] {
        let workspace = speaking(envelope);
        workspace.write("crm.csv", export(3));
        let ran = doctor(&workspace, &["--probe", "crm.csv"]).expect(10);
        expect_finding(&ran, "probe", "failed", &format!("set api.envelope = \\\"{name}\\\""));
        assert_eq!(workspace.sandbox.subjects().len(), 1);
        let ran = doctor(&workspace, &["--probe", "crm.csv", "--envelope", name]).expect(0);
        expect_finding(&ran, "probe", "ok", name);
        // A row that was refused for its envelope alone is not held against.
        let synced = workspace.sync(&["crm.csv", "--envelope", name]).expect(0).expect_books();
        assert_eq!((synced.rows("synced"), synced.rows("unchanged")), (2, 1));
    }
}

#[test]
fn a_probe_tries_no_other_envelope_unless_the_refusal_reads_so() {
    let refusing =
        |status| Faults { subject_statuses: [("C-000000".to_owned(), status)].into(), ..Faults::default() };
    for (status, code, says) in [(404, 4, "refused"), (401, 12, "token"), (500, 5, "when the API is back")] {
        let workspace = Workspace::with(refusing(status));
        workspace.configure(
            "[delivery]\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\noutage_max = \"1s\"\n",
        );
        workspace.write("crm.csv", export(3));
        let ran = doctor(&workspace, &["--probe", "crm.csv"]).expect(code);
        expect_finding(&ran, "probe", "failed", says);
        let requests = updates(&workspace);
        assert!(
            !requests.is_empty() && requests.iter().all(|request| !request.fields.is_empty()),
            "{status}"
        );
    }
    let workspace = Workspace::with(refusing(422));
    workspace.write("crm.csv", export(3));
    let ran = doctor(&workspace, &["--probe", "crm.csv"]).expect(4);
    expect_finding(&ran, "probe", "failed", "refused under every envelope");
    assert_eq!(updates(&workspace).len(), 3, "each envelope once");
}

#[test]
fn a_probe_of_nothing_sends_nothing() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", "crm id,imei\nC-0,12345\n");
    let ran = doctor(&workspace, &["--probe", "crm.csv"]).expect(6);
    expect_finding(&ran, "input", "failed", "no valid row");
    expect_finding(&doctor(&workspace, &["--probe", "none.csv"]).expect(6), "input", "failed", "none.csv");
    expect_finding(
        &doctor(&workspace, &["--probe", "none.csv"]).expect(6),
        "probe",
        "skipped",
        "nothing was sent",
    );
    assert!(doctor(&workspace, &["--probe", "-"]).expect(2).stderr.contains("name a file"));
    assert!(updates(&workspace).is_empty());
    assert!(!workspace.path("simsync-state").exists());
}

#[test]
fn a_server_that_is_not_well_is_a_warning() {
    // An outage of the sandbox is one of its endpoint's POST; a server that is gone after the start is another.
    let window = Window::Requests { from: 1, count: 1_000 };
    let outage = simsync::sandbox::Outage { window, how: OutageKind::Status(503) };
    let workspace = Workspace::with(Faults { outages: vec![outage], ..Faults::default() });
    workspace
        .configure("[delivery]\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\noutage_max = \"1s\"\n");
    workspace.write("crm.csv", export(3));
    let ran = doctor(&workspace, &["--probe", "crm.csv"]).expect(5);
    expect_finding(&ran, "connect", "ok", "405");
    expect_finding(&ran, "probe", "failed", "run the same command again when the API is back");
    workspace.fault(Faults::default());
    let synced = workspace.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!(synced.rows("synced"), 3, "the probe has cost the row nothing");
}

#[test]
fn a_rehearsal_can_be_examined_too() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(3));
    let ran = workspace.run(&["doctor", "--json", "--sandbox", "--probe", "crm.csv"]).expect(0);
    expect_finding(&ran, "probe", "ok", "acknowledged");
    assert_eq!(workspace.sandbox.stats().requests, 0);
}

#[test]
fn a_probe_in_closed_hours_says_when_they_end_and_sends_nothing() {
    let workspace = Workspace::new();
    workspace.configure(
        "[delivery]\ntime_zone = \"UTC\"\nwindow = [\"00:00-12:00 pause\", \"12:00-24:00 pause\"]\n",
    );
    workspace.write("crm.csv", export(3));
    let ran = doctor(&workspace, &["--probe", "crm.csv"]).expect(5);
    expect_finding(&ran, "probe", "failed", "nothing is ever sent");
    assert!(updates(&workspace).is_empty());
}

//! The demo, the sandbox command, and rehearsals with `--sandbox`: what somebody tries first.
//!
//! Not here: what the sandbox does (`src/sandbox/`).

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::{Ran, Workspace, export, fixture, ran};

/// Runs in surroundings that would break every other command: a demo must not care.
fn hostile(workspace: &Workspace, args: &[&str]) -> Ran {
    workspace.write("simsync.toml", "this is no configuration");
    let mut command = workspace.command(args);
    command.env("SIMSYNC_RATE", "nonsense").env("SIMSYNC_CONFIG", "/none").env("SIMSYNC_API_URL", "x");
    command.env("SIMSYNC_STATE", "/proc/none").env_remove("SIMSYNC_TOKEN");
    ran(command.output().unwrap())
}

#[test]
fn the_demo_shows_everything_and_its_second_run_sends_nothing_again() {
    let workspace = Workspace::new();
    let first = hostile(&workspace, &["demo"]).expect(0);
    assert_eq!(first.stdout, "");
    for says in [
        "synced 255 · folded 12 · duplicate 8 · unchanged 1 · conflict 5 · rejected 16 · failed 3 · pending 0",
        "retries)",
        "excel.scientific",
        "422 imei",
        "files in ./simsync-demo/runs/",
        "rejected.csv (16 rows)",
        "failed.csv",
        "conflicts.csv (5 rows)",
        "next:\n  simsync demo ",
        "simsync show latest --state ./simsync-demo",
    ] {
        assert!(first.stderr.contains(says), "`{says}` is missing in {}", first.stderr);
    }
    let second = hostile(&workspace, &["demo", "--json"]).expect(0).expect_books();
    let lines: Vec<Value> = second.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.last().unwrap();
    assert_eq!(summary["rows"]["synced"], 0, "what was acknowledged is not sent again");
    assert_eq!(summary["rows"]["unchanged"], 267);
    assert_eq!(summary["rows"]["failed"], 3);
    assert_eq!(summary["updates"], 3, "only what failed is tried once more");
    assert_eq!(second.stderr, "");
    // The state of the demo is its own.
    assert!(!workspace.path("simsync-state").exists());
    fs::remove_file(workspace.path("simsync.toml")).unwrap();
    let shown = workspace.run(&["show", "latest", "--state", "./simsync-demo"]).expect(0).stdout;
    assert!(shown.contains("synced 0 · "), "{shown}");
    assert_eq!(
        workspace.run(&["runs", "--json", "--state", "./simsync-demo"]).expect(0).stdout.lines().count(),
        2
    );
}

#[test]
fn the_demo_makes_up_as_many_rows_as_asked() {
    let workspace = Workspace::new();
    let run = hostile(&workspace, &["demo", "--rows", "2000", "--state", "my demo"]).expect(0);
    assert!(run.stderr.contains("synced 2,000 · "), "{}", run.stderr);
    assert!(run.stderr.contains("simsync demo --state 'my demo'"), "hints name the state: {}", run.stderr);
    assert!(!run.stderr.contains("exit code 3"), "nothing was left: {}", run.stderr);
    assert!(workspace.path("my demo/runs").is_dir());
    let again = hostile(&workspace, &["demo", "--rows", "2000", "--state", "my demo", "--json"]).expect(0);
    assert_eq!((again.rows("unchanged"), again.summary()["attempts"].as_u64()), (2_000, Some(0)));
    hostile(&workspace, &["demo", "--rows", "0"]).expect(2);
    hostile(&workspace, &["demo", "--state", "/proc/none"]).expect(13);
}

/// Ends a server politely, and asserts that it ends well.
fn terminate(mut child: Child) {
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

fn sandbox(workspace: &Workspace, args: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = workspace.command(&[&["sandbox"], args].concat());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let reader = BufReader::new(child.stdout.take().unwrap());
    (child, reader)
}

#[test]
fn the_sandbox_serves_until_it_is_told_to_stop() {
    let workspace = Workspace::new();
    let (child, mut reader) = sandbox(&workspace, &["--json"]);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let started: Value = serde_json::from_str(&line).unwrap();
    let (url, token) = (started["url"].as_str().unwrap(), started["token"].as_str().unwrap());
    workspace.write("a.csv", export(3));
    let args = ["sync", "a.csv", "--api-url", url, "--json"];
    let mut command = workspace.command(&args);
    let synced = ran(command.env("SIMSYNC_TOKEN", token).output().unwrap()).expect(0);
    assert_eq!(synced.rows("synced"), 3);
    workspace.write("b.csv", export(4));
    let args = ["sync", "b.csv", "--api-url", url, "--json"];
    let refused = workspace.run(&args).expect(12);
    assert_eq!(refused.rows("pending"), 1, "another token is refused");
    terminate(child);
}

#[test]
fn the_sandbox_greets_people_with_what_they_need() {
    let workspace = Workspace::new();
    workspace.write("token", "my-own-token\n");
    let (child, mut reader) =
        sandbox(&workspace, &["--token-file", "token", "--faults", "{\"latency_ms\": 5}"]);
    let mut greeting = String::new();
    while !greeting.contains("stop: Ctrl-C") {
        assert!(reader.read_line(&mut greeting).unwrap() > 0, "{greeting}");
    }
    let url = greeting.lines().find_map(|line| line.strip_prefix("url:")).unwrap().trim();
    assert!(!greeting.contains("my-own-token"), "a token from a file is not printed: {greeting}");
    workspace.write("a.csv", export(2));
    let mut command = workspace.command(&["sync", "-q", "a.csv", "--api-url", url]);
    ran(command.env("SIMSYNC_TOKEN", "my-own-token").output().unwrap()).expect(0);
    terminate(child);
    let refused = workspace.run(&["sandbox", "--faults", "{\"latency\": 5}"]).expect(10).stderr;
    assert!(refused.contains("--faults") && refused.contains("latency"), "{refused}");
    workspace.run(&["sandbox", "--listen", "192.0.2.1:0"]).expect(1);
}

#[test]
fn a_rehearsal_needs_no_url_and_no_token_and_remembers() {
    let workspace = Workspace::new();
    let input = fixture("crm-export.csv");
    let rehearse = || {
        let mut command = workspace.command(&["sync", "--sandbox", "--rate", "unlimited", "--json", &input]);
        ran(command.env_remove("SIMSYNC_TOKEN").output().unwrap()).expect(3).expect_books()
    };
    assert_eq!(rehearse().rows("synced"), 258);
    let second = rehearse();
    assert_eq!((second.rows("synced"), second.rows("unchanged")), (0, 271));
    assert_eq!(second.summary()["target"], "sandbox");
    // The state of rehearsals is apart from the real one, and `runs` tells where it is.
    let listed = workspace.run(&["runs"]).expect(0).stdout;
    assert!(listed.contains("simsync runs --state ./simsync-state/sandbox"), "{listed}");
    assert_eq!(
        workspace.run(&["runs", "--json", "--state", "simsync-state/sandbox"]).stdout.lines().count(),
        2
    );
    let real = workspace.sync(&[&input]).expect(3);
    assert_eq!(real.rows("synced"), 258, "a rehearsal is no delivery");
}

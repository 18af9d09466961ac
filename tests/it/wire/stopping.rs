//! Limits that were asked for, and signals that do not stop a run.

use std::fs;
use std::process::{Child, Command, Stdio};

use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, export, finished, ran, signal};

#[test]
fn max_duration_stops_in_order_and_the_same_command_resumes() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(60));
    let url = workspace.sandbox.url();
    let slow = ["sync", "--api-url", &url, "--rate", "20/s", "--max-duration", "1s", "--json", "crm.csv"];
    let first = workspace.run(&slow).expect(8).expect_books();
    let synced = first.rows("synced");
    assert!(synced < 60 && first.rows("pending") == 60 - synced, "{synced} of 60 in a second at 20/s");
    assert!(first.stderr.contains("--max-duration 1s is over"), "{}", first.stderr);
    assert!(first.stderr.contains("run again without this limit; it resumes"), "{}", first.stderr);
    let second = workspace.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!((second.rows("unchanged"), second.rows("synced")), (synced, 60 - synced));
    assert_eq!(workspace.sandbox.stats().duplicates, 0, "what was on the wire ended in order");
}

#[test]
fn max_rows_sends_a_canary_and_no_more() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(50));
    let first = workspace.sync(&["--max-rows", "5", "crm.csv"]).expect(8).expect_books();
    assert_eq!((first.rows("synced"), first.rows("pending")), (5, 45));
    assert_eq!(workspace.sandbox.stats().requests, 5);
    assert!(first.stderr.contains("--max-rows 5 is reached"), "{}", first.stderr);
    let second = workspace.sync(&["--max-rows", "45", "crm.csv"]).expect(0).expect_books();
    assert_eq!(
        (second.rows("synced"), second.rows("unchanged")),
        (45, 5),
        "as many as there are is no limit"
    );
}

#[test]
fn a_canary_is_tried_until_it_is_settled() {
    let workspace = Workspace::with(super::outage(2, 2, simsync::sandbox::OutageKind::Status(500)));
    workspace.configure(super::HASTY);
    workspace.write("crm.csv", export(30));
    let ran = workspace.sync(&["--max-rows", "4", "crm.csv"]).expect(8).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("pending"), ran.rows("in_doubt")), (4, 26, 0));
}

#[test]
fn a_time_of_day_that_is_none_and_a_time_zone_that_is_none_are_refused() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(3));
    for wrong in ["24:00", "5:00", "05:60", "noon"] {
        let refused = workspace.sync(&["--until", wrong, "crm.csv"]).expect(2);
        assert!(refused.stderr.contains("no time of day"), "{}", refused.stderr);
    }
    workspace.configure("[delivery]\ntime_zone = \"Europe/Nowhere\"\n");
    let refused = workspace.sync(&["--until", "05:00", "crm.csv"]).expect(10);
    assert!(refused.stderr.contains("delivery.time_zone"), "{}", refused.stderr);
    assert_eq!(workspace.sandbox.stats().requests, 0);
}

/// A run that is slow by its configuration, once it has begun to send.
fn slow_run(workspace: &Workspace) -> Child {
    workspace.configure("[delivery]\nrate = \"2/s\"\n");
    workspace.write("crm.csv", export(200));
    let url = workspace.sandbox.url();
    let mut command = workspace.command(&["sync", "--api-url", &url, "--json", "crm.csv"]);
    command.stderr(Stdio::from(fs::File::create(workspace.path("stderr.txt")).unwrap()));
    let child = command.spawn().unwrap();
    workspace.wait_for_requests(2);
    child
}

fn wait_for_text(workspace: &Workspace, text: &str) {
    for _ in 0..2_000 {
        if fs::read_to_string(workspace.path("stderr.txt")).unwrap_or_default().contains(text) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("never said: {text}");
}

#[test]
fn sigusr1_prints_the_status_line_and_sighup_reads_the_rate_again() {
    let workspace = Workspace::with(Faults::default());
    let child = slow_run(&workspace);
    signal(child.id(), rustix::process::Signal::USR1);
    wait_for_text(&workspace, "of 200 updates settled");

    // What cannot be read changes nothing and ends nothing.
    workspace.configure("[delivery]\nrate = \"fast\"\n");
    signal(child.id(), rustix::process::Signal::HUP);
    let before = workspace.sandbox.stats().requests;
    workspace.wait_for_requests(before + 2);

    workspace.configure("[delivery]\nrate = \"unlimited\"\n");
    signal(child.id(), rustix::process::Signal::HUP);
    let ran: Ran = ran(child.wait_with_output().unwrap()).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 200);
    let kept =
        ran.stdout.lines().find(|line| line.contains("everything stays as it was")).unwrap_or_default();
    assert!(kept.contains("fast") && !kept.contains("\\n"), "{kept}");
    assert!(ran.stdout.contains("read the configuration again: rate unlimited"), "{}", ran.stdout);
    // At 2/s the rest would have taken a minute and a half.
    assert!(ran.summary()["duration_s"].as_f64().unwrap() < 60.0);
}

fn wait_for_file(workspace: &Workspace, name: &str) {
    for _ in 0..2_000 {
        if workspace.path(name).exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("never there: {name}");
}

#[test]
fn sigusr1_and_sighup_before_anything_is_sent_end_nothing() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(3));
    let token =
        format!("touch asked; while [ ! -e go ]; do sleep 0.01; done; echo {}", crate::support::TOKEN);
    let mut command = workspace.sync_command(&["crm.csv"]);
    command.env_remove("SIMSYNC_TOKEN").env("SIMSYNC_API_TOKEN_COMMAND", token);
    let child = command.spawn().unwrap();
    wait_for_file(&workspace, "asked");
    signal(child.id(), rustix::process::Signal::USR1);
    signal(child.id(), rustix::process::Signal::HUP);
    workspace.write("go", "");
    assert_eq!(finished(child).expect(0).rows("synced"), 3);
}

#[test]
fn a_sighup_that_is_ignored_from_the_start_stays_ignored() {
    let workspace = Workspace::new();
    workspace.configure("[delivery]\nrate = \"20/s\"\n");
    workspace.write("crm.csv", export(60));
    let url = workspace.sandbox.url();
    let plain = workspace.command(&["sync", "--api-url", &url, "--json", "crm.csv"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    shell.arg(plain.get_program()).args(plain.get_args());
    shell.current_dir(workspace.dir.path()).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = shell.spawn().unwrap();
    workspace.wait_for_requests(5);
    signal(child.id(), rustix::process::Signal::HUP);
    let ran = finished(child).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 60);
    assert!(!ran.stdout.contains("read the configuration again"), "{}", ran.stdout);
}

#[test]
fn a_drain_ends_when_its_grace_is_over_and_names_what_is_in_doubt() {
    let workspace = Workspace::with(super::outage(5, 1_000_000, simsync::sandbox::OutageKind::Hang));
    workspace
        .configure("[api]\ntimeout = \"1h\"\nread_timeout = \"1h\"\n[delivery]\nshutdown_grace = \"1s\"\n");
    workspace.write("crm.csv", export(30));
    let child = workspace.sync_command(&["--max-in-flight", "3", "crm.csv"]).spawn().unwrap();
    workspace.wait_for_requests(7);
    signal(child.id(), rustix::process::Signal::TERM);
    let ran = finished(child).expect(143).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("in_doubt"), ran.rows("pending")), (4, 3, 23));
}

#[test]
fn sighup_reads_the_number_of_attempts_at_once_again() {
    let workspace = Workspace::with(Faults { latency_ms: 50, ..Faults::default() });
    workspace.configure("[delivery]\nconcurrency = 2\n");
    workspace.write("crm.csv", export(300));
    let child = workspace.sync_command(&["crm.csv"]).spawn().unwrap();
    workspace.wait_for_requests(20);
    assert_eq!(workspace.sandbox.stats().in_flight_max, 2);
    workspace.configure("[delivery]\nconcurrency = 12\n");
    signal(child.id(), rustix::process::Signal::HUP);
    assert_eq!(finished(child).expect(0).rows("synced"), 300);
    assert_eq!(workspace.sandbox.stats().in_flight_max, 12);
}

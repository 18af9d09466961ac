//! Why a run is slower than its rate: told by the status line, in `status.json` and in the messages of `--json`.

use std::fs;
use std::process::Stdio;

use super::scripted::{Scripted, answer};
use crate::support::{Workspace, export, finished, signal};

/// Runs a file of updates until the status line, asked for again and again, says this; then ends the run. Whether
/// `status.json` says the same.
#[track_caller]
fn assert_told(workspace: &Workspace, url: &str, args: &[&str], expected: &str) {
    workspace.write("crm.csv", export(3_000));
    let mut command = workspace.command(&["sync", "--api-url", url, "--json"]);
    command.args(args).arg("crm.csv").stdin(Stdio::null());
    command.stdout(Stdio::from(fs::File::create(workspace.path("stdout.txt")).unwrap()));
    command.stderr(Stdio::from(fs::File::create(workspace.path("stderr.txt")).unwrap()));
    let child = command.spawn().unwrap();
    let said = |name: &str| fs::read_to_string(workspace.path(name)).unwrap_or_default();
    let has = |text: &str, of: &str| text.split(of).skip(1).any(|slowed| slowed.contains(expected));
    let mut status = String::new();
    for _ in 0..400 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        // Before the first message nobody listens to the signal.
        if said("stdout.txt").contains("delivery_started") {
            signal(child.id(), rustix::process::Signal::USR1);
        }
        status = workspace.last_run_file("status.json").unwrap_or_default();
        if has(&said("stderr.txt"), "slowed: ") && has(&status, "\"slowed\":\"") {
            break;
        }
    }
    signal(child.id(), rustix::process::Signal::TERM);
    finished(child).expect(143);
    assert!(has(&said("stderr.txt"), "slowed: "), "{}", said("stderr.txt"));
    assert!(has(&status, "\"slowed\":\""), "{status}");
}

#[test]
fn the_status_line_tells_a_limit_of_ones_own() {
    let workspace = Workspace::with(simsync::sandbox::Faults { latency_ms: 50, ..Default::default() });
    let url = workspace.sandbox.url();
    let args = ["--rate", "unlimited", "--concurrency", "2"];
    assert_told(&workspace, &url, &args, "delivery.concurrency allows no more at once");
}

#[test]
fn the_status_line_tells_what_the_servers_headers_leave() {
    let server = Scripted::start(|_, _| {
        let header = "RateLimit: limit=1000, remaining=100, reset=20\r\nConnection: close";
        answer(201, "application/json", "").replace("Connection: close", header)
    });
    let told = "/s, because the API's rate limit headers leave no more";
    assert_told(&Workspace::new(), &server.url(), &["--rate", "unlimited"], told);
}

#[test]
fn the_status_line_tells_that_too_many_requests_fail() {
    let workspace = Workspace::with(simsync::sandbox::Faults {
        shares: simsync::sandbox::Shares { error_500_before: 0.5, ..Default::default() },
        latency_ms: 20,
        ..Default::default()
    });
    let url = workspace.sandbox.url();
    assert_told(&workspace, &url, &["--rate", "unlimited"], "/s, because too many requests fail");
}

#[test]
fn nothing_is_told_of_a_run_that_keeps_its_rate() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(60));
    let url = workspace.sandbox.url();
    let child =
        workspace.command(&["sync", "--api-url", &url, "--rate", "20/s", "--json", "crm.csv"]).spawn();
    let child = child.unwrap();
    workspace.wait_for_requests(45);
    let status = workspace.last_run_file("status.json").unwrap_or_default();
    assert!(status.contains("\"slowed\":null"), "{status}");
    finished(child).expect(0);
}

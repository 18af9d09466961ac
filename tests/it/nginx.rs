//! Behind a real proxy: nginx with its own limits, its own pages of HTML and its own outages, in front of the sandbox.
//!
//! Whatever the proxy does, it is no row's fault: all rows are synced in the end, the attempts are bounded, the books
//! close. Where there is no nginx on the PATH these tests say so and do nothing; `.ci/run` installs it. Not here:
//! servers that misbehave by themselves (`wire.rs`).

mod server;

use std::collections::BTreeSet;
use std::time::Duration;

use simsync::sandbox::{Faults, OutageKind, Sandbox, SandboxOptions, Window};

use self::server::{Lines, Nginx};
use crate::support::{Ran, TOKEN, Workspace, export, finish, ran};

/// Retries that are quicker than by default, and no more of them.
const HASTY: &str = "[delivery]\nbackoff_initial = \"100ms\"\nbackoff_max = \"2s\"\n";

/// `simsync sync` of `crm.csv` by way of nginx.
fn sync(workspace: &Workspace, nginx: &Nginx, args: &[&str]) -> Ran {
    finish(command(workspace, nginx, args))
}

fn command(workspace: &Workspace, nginx: &Nginx, args: &[&str]) -> std::process::Command {
    let url = nginx.url();
    let mut all = vec!["sync", "crm.csv", "--api-url", &url, "--json"];
    all.extend_from_slice(args);
    workspace.command(&all)
}

/// Asserts that every row was synced, that the server knows every subject, that no row failed, and that no more
/// attempts were made than this.
#[track_caller]
fn expect_all_synced(ran: &Ran, workspace: &Workspace, rows: u32, attempts_max: u64) {
    let summary = ran.summary();
    let attempts = summary["attempts"].as_u64().unwrap();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (u64::from(rows), 0), "{summary}");
    assert!(attempts <= attempts_max, "{attempts} attempts for {rows} rows: {summary}");
    assert_eq!(workspace.sandbox.subjects().len(), usize::try_from(rows).unwrap());
    assert!(workspace.last_run_file("failed.csv").is_none_or(|text| text.lines().count() <= 1));
}

/// Answers of a status, as simsync saw them, which is how nginx gave them.
#[track_caller]
fn answers(ran: &Ran, nginx: &Nginx, status: &str) -> u64 {
    let seen = ran.summary()["http"][status].as_u64().unwrap_or(0);
    let given = nginx.answers().get(status).copied().unwrap_or(0);
    assert_eq!(seen, given, "{:?}", nginx.answers());
    seen
}

#[test]
fn limit_req_with_503_and_a_page_of_html_costs_no_row_anything() {
    let workspace = Workspace::new();
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(150));
    let lines = Lines {
        http: "limit_req_zone $binary_remote_addr zone=all:1m rate=100r/s;",
        location: "limit_req zone=all burst=10 nodelay;",
        ..Lines::default()
    };
    let Some(nginx) = Nginx::before(workspace.sandbox.addr(), lines) else { return };
    let ran = sync(&workspace, &nginx, &["--rate", "300/s"]).expect(0).expect_books();
    expect_all_synced(&ran, &workspace, 150, 450);
    assert!(answers(&ran, &nginx, "503") > 0, "{:?}", nginx.answers());
    assert!(nginx.errors().contains("limiting requests"), "{}", nginx.errors());
}

#[test]
fn what_limit_req_turns_away_with_a_plain_503_uses_up_no_attempts() {
    let workspace = Workspace::new();
    workspace.configure(&format!("{HASTY}attempts_max = 4\n"));
    workspace.write("crm.csv", export(300));
    let lines = Lines {
        http: "limit_req_zone $binary_remote_addr zone=all:1m rate=50r/s;",
        location: "limit_req zone=all burst=10 nodelay;",
        ..Lines::default()
    };
    let Some(nginx) = Nginx::before(workspace.sandbox.addr(), lines) else { return };
    let ran = sync(&workspace, &nginx, &["--rate", "300/s"]).expect(0).expect_books();
    expect_all_synced(&ran, &workspace, 300, 900);
    assert!(answers(&ran, &nginx, "503") > 10, "{:?}", nginx.answers());
}

#[test]
fn the_rate_that_limit_req_lets_through_is_learned_from_a_few_429() {
    let workspace = Workspace::new();
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(250));
    let lines = Lines {
        http: "limit_req_zone $binary_remote_addr zone=all:1m rate=50r/s;",
        location: "limit_req zone=all burst=10 nodelay; limit_req_status 429;",
        ..Lines::default()
    };
    let Some(nginx) = Nginx::before(workspace.sandbox.addr(), lines) else { return };
    let ran = sync(&workspace, &nginx, &["--rate", "300/s"]).expect(0).expect_books();
    expect_all_synced(&ran, &workspace, 250, 280);
    // A second of quiet for each, and a burst of ten behind it, would take twenty of them.
    let throttled = answers(&ran, &nginx, "429");
    assert!((1..=10).contains(&throttled), "{:?}", nginx.answers());
}

#[test]
fn limit_req_with_429_is_waited_for() {
    let workspace = Workspace::new();
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(60));
    let lines = Lines {
        http: "limit_req_zone $binary_remote_addr zone=all:1m rate=50r/s;",
        location: "limit_req zone=all burst=20 nodelay; limit_req_status 429;",
        ..Lines::default()
    };
    let Some(nginx) = Nginx::before(workspace.sandbox.addr(), lines) else { return };
    let ran = sync(&workspace, &nginx, &["--rate", "200/s"]).expect(0).expect_books();
    expect_all_synced(&ran, &workspace, 60, 180);
    assert!(answers(&ran, &nginx, "429") > 0, "{:?}", nginx.answers());
    // Without a word about how long, it is a second for everybody.
    assert!(ran.summary()["paused_s"].as_f64().unwrap() >= 0.9, "{}", ran.summary());
}

#[test]
fn limit_req_that_names_a_delay_is_obeyed() {
    let workspace = Workspace::new();
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(60));
    for status in ["429", "503"] {
        let server = format!(
            "error_page {status} @slow; location @slow {{ add_header Retry-After 2 always; return {status} \
             '<html>slow down</html>'; }}"
        );
        let location = format!("limit_req zone=all burst=20 nodelay; limit_req_status {status};");
        let lines = Lines {
            http: "limit_req_zone $binary_remote_addr zone=all:1m rate=50r/s;",
            server: &server,
            location: &location,
        };
        let Some(nginx) = Nginx::before(workspace.sandbox.addr(), lines) else { return };
        let ran = sync(&workspace, &nginx, &["--rate", "200/s", "--full"]).expect(0).expect_books();
        expect_all_synced(&ran, &workspace, 60, 180);
        assert!(answers(&ran, &nginx, status) > 0, "{:?}", nginx.answers());
        assert!(ran.summary()["paused_s"].as_f64().unwrap() >= 1.9, "{}", ran.summary());
    }
}

#[test]
fn limit_conn_brings_the_concurrency_down_and_costs_no_row_anything() {
    let workspace = Workspace::with(Faults { latency_ms: 20, ..Faults::default() });
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(150));
    let lines = Lines {
        http: "limit_conn_zone $binary_remote_addr zone=each:1m;",
        location: "limit_conn each 3;",
        ..Lines::default()
    };
    let Some(nginx) = Nginx::before(workspace.sandbox.addr(), lines) else { return };
    let args = ["--rate", "unlimited", "--max-in-flight", "16"];
    let ran = sync(&workspace, &nginx, &args).expect(0).expect_books();
    expect_all_synced(&ran, &workspace, 150, 450);
    assert!(answers(&ran, &nginx, "503") > 0, "{:?}", nginx.answers());
    assert!(nginx.errors().contains("limiting connections"), "{}", nginx.errors());
}

#[test]
fn an_upstream_that_is_stopped_and_started_again_is_waited_for() {
    let mut workspace = Workspace::with(Faults { latency_ms: 5, ..Faults::default() });
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(300));
    let address = workspace.sandbox.addr();
    let Some(nginx) = Nginx::before(address, Lines::default()) else { return };
    let child = command(&workspace, &nginx, &["--rate", "200/s"]).spawn().unwrap();
    workspace.wait_for_requests(60);
    let idle = Sandbox::start(SandboxOptions::default()).unwrap();
    let stopped = std::mem::replace(&mut workspace.sandbox, idle);
    let mut known: BTreeSet<String> = stopped.subjects().into_iter().map(|subject| subject.key).collect();
    stopped.stop();
    // Until nginx has told of it, nobody has noticed.
    for _ in 0..2_000 {
        if nginx.answers().get("502").is_some_and(|count| *count > 0) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let options = SandboxOptions { listen: address, token: TOKEN.into(), ..SandboxOptions::default() };
    workspace.sandbox = Sandbox::start(options).unwrap();
    let ran = ran(child.wait_with_output().unwrap()).expect(0).expect_books();
    let summary = ran.summary();
    assert_eq!((ran.rows("synced"), ran.rows("failed"), ran.rows("in_doubt")), (300, 0, 0), "{summary}");
    assert!(answers(&ran, &nginx, "502") > 0, "{:?}", nginx.answers());
    assert!(summary["attempts"].as_u64().unwrap() <= 450, "{summary}");
    known.extend(workspace.sandbox.subjects().into_iter().map(|subject| subject.key));
    assert_eq!(known.len(), 300, "what was synced arrived before or after");
}

#[test]
fn an_upstream_that_stays_down_ends_the_run_and_no_row() {
    let workspace = Workspace::new();
    workspace.configure(&format!("{HASTY}outage_max = \"2s\"\n"));
    workspace.write("crm.csv", export(100));
    // Nobody listens where it passes requests on to.
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let Some(nginx) = Nginx::before(nowhere, Lines::default()) else { return };
    let down = sync(&workspace, &nginx, &["--rate", "200/s"]).expect(5).expect_books();
    assert_eq!((down.rows("synced"), down.rows("failed")), (0, 0), "{}", down.summary());
    assert!(answers(&down, &nginx, "502") > 0, "{:?}", nginx.answers());
    // Three failures and a probe now and then.
    assert!(down.summary()["attempts"].as_u64().unwrap() <= 20, "{}", down.summary());
}

#[test]
fn a_504_of_the_proxy_is_tried_again_and_costs_no_row_anything() {
    let window = Window::Requests { from: 5, count: 3 };
    let outage = simsync::sandbox::Outage { window, how: OutageKind::Hang };
    let workspace = Workspace::with(Faults { outages: vec![outage], ..Faults::default() });
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(40));
    let lines = Lines { location: "proxy_read_timeout 1s;", ..Lines::default() };
    let Some(nginx) = Nginx::before(workspace.sandbox.addr(), lines) else { return };
    let ran = sync(&workspace, &nginx, &["--rate", "100/s"]).expect(0).expect_books();
    expect_all_synced(&ran, &workspace, 40, 60);
    assert_eq!(answers(&ran, &nginx, "504"), 3, "{:?}", nginx.answers());
}

#[test]
fn connections_that_the_proxy_closes_lose_no_row() {
    let workspace = Workspace::new();
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(200));
    let lines = Lines { server: "keepalive_requests 3;", ..Lines::default() };
    let Some(nginx) = Nginx::before(workspace.sandbox.addr(), lines) else { return };
    let ran = sync(&workspace, &nginx, &["--rate", "unlimited"]).expect(0).expect_books();
    expect_all_synced(&ran, &workspace, 200, 220);
}

#[test]
fn a_page_of_html_with_200_is_no_acknowledgement() {
    let workspace = Workspace::new();
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(30));
    let lines = Lines {
        location: "default_type text/html; return 200 '<html><h1>Welcome to our network</h1></html>';",
        ..Lines::default()
    };
    let Some(nginx) = Nginx::before(workspace.sandbox.addr(), lines) else { return };
    let ran = sync(&workspace, &nginx, &["--rate", "unlimited"]).expect(4).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (0, 0), "{}", ran.summary());
    assert!(answers(&ran, &nginx, "200") >= 20, "{:?}", nginx.answers());
    assert_eq!(workspace.sandbox.stats().requests, 0);
}

#[test]
fn a_refusal_of_the_proxy_itself_is_clustered_by_its_status() {
    let workspace = Workspace::new();
    workspace.configure(HASTY);
    // Two subjects alone do not say that the address or the envelope is wrong.
    workspace.write("crm.csv", export(2));
    let lines = Lines { location: "client_max_body_size 10;", ..Lines::default() };
    let Some(nginx) = Nginx::before(workspace.sandbox.addr(), lines) else { return };
    let ran = sync(&workspace, &nginx, &["--rate", "unlimited"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (0, 2), "{}", ran.summary());
    assert_eq!(answers(&ran, &nginx, "413"), 2, "a definite refusal is not tried again");
    let signatures: BTreeSet<String> =
        workspace.last_rows("failed.csv").iter().map(|row| row["_signature"].clone()).collect();
    assert_eq!(signatures.len(), 1, "{signatures:?}");
    let signature = signatures.first().unwrap();
    assert!(signature.starts_with("413") && !signature.contains('<'), "{signature}");
}

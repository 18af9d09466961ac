//! 401 and 403: the token's fault, or the row's.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use simsync::sandbox::{Faults, OutageKind, Sandbox, SandboxOptions, TokenAfter};

use super::{http, outage, subject_status};
use crate::support::{TOKEN, Workspace, export, finish, ran};

const OTHER: &str = "canary-token-9e77";

fn expiring(requests: u64, latency_ms: u64) -> Faults {
    Faults {
        token_after: Some(TokenAfter { requests, token: OTHER.into() }),
        latency_ms,
        ..Faults::default()
    }
}

#[test]
fn a_token_refused_in_the_middle_stops_the_run_and_costs_no_row_its_verdict() {
    let workspace = Workspace::with(expiring(4, 0));
    workspace.write("crm.csv", export(12));
    let first = workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(12).expect_books();
    assert_eq!((first.rows("synced"), first.rows("failed"), first.rows("pending")), (4, 0, 8));
    assert_eq!(
        http(&first, "401"),
        6,
        "the same token is tried again with the same row and four others, and no more"
    );
    assert!(workspace.last_run_file("failed.csv").is_none());
    assert!(!first.stderr.contains(TOKEN) && !first.stdout.contains(TOKEN));

    let second = ran(workspace.sync_command(&["crm.csv"]).env("SIMSYNC_TOKEN", OTHER).output().unwrap());
    let second = second.expect(0).expect_books();
    assert_eq!((second.rows("synced"), second.rows("unchanged")), (8, 4));
    assert_eq!(workspace.sandbox.stats().duplicates, 0);
}

#[test]
fn a_renewed_token_is_read_and_the_same_rows_go_on() {
    let workspace = Workspace::with(expiring(3, 100));
    workspace.write("crm.csv", export(12));
    let file = workspace.write("token", TOKEN);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let mut command = workspace.sync_command(&["--max-in-flight", "1", "crm.csv"]);
    command.env_remove("SIMSYNC_TOKEN").env("SIMSYNC_API_TOKEN_FILE", &file);
    let child = command.spawn().unwrap();
    workspace.wait_for_requests(1);
    // Rotated while the run holds the old one.
    fs::write(&file, OTHER).unwrap();
    let ran = ran(child.wait_with_output().unwrap()).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), http(&ran, "401")), (12, 1));
}

#[test]
fn a_new_token_that_is_refused_too_stops_the_run() {
    let token_after = TokenAfter { requests: 2, token: "nobody-has-this".into() };
    let workspace = Workspace::with(Faults { token_after: Some(token_after), ..Faults::default() });
    workspace.write("crm.csv", export(6));
    workspace.write("token", TOKEN);
    // Another token each time: who asked again and again would never come to an end.
    let renewing = "cat token; echo x$$-$(date +%N) > token";
    let mut command = workspace.sync_command(&["--max-in-flight", "1", "crm.csv"]);
    command.env_remove("SIMSYNC_TOKEN").env("SIMSYNC_API_TOKEN_COMMAND", renewing);
    let ran = finish(command).expect(12).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed"), ran.rows("pending")), (2, 0, 4));
    assert_eq!(http(&ran, "401"), 5, "once under the old token, each that is left once under a new one");
}

#[test]
fn a_403_for_everybody_is_the_tokens_fault() {
    let workspace = Workspace::with(outage(1, 1_000, OutageKind::Status(403)));
    workspace.write("crm.csv", export(30));
    let ran = workspace.sync(&["crm.csv"]).expect(12).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("pending")), (0, 30));
    assert!(workspace.last_run_file("failed.csv").is_none());
    workspace.fault(Faults::default());
    assert_eq!(workspace.sync(&["crm.csv"]).expect(0).rows("synced"), 30);
}

#[test]
fn a_403_for_everybody_in_the_middle_of_a_run_costs_no_row_its_verdict() {
    for in_flight in ["16", "1"] {
        let workspace =
            Workspace::with(Faults { latency_ms: 50, ..outage(21, 10_000, OutageKind::Status(403)) });
        workspace.write("crm.csv", export(80));
        let ran = workspace.sync(&["--max-in-flight", in_flight, "crm.csv"]).expect(12).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("failed"), ran.rows("pending")), (20, 0, 60));
        assert!(http(&ran, "403") < 60, "{}", http(&ran, "403"));
        workspace.fault(Faults::default());
        assert_eq!(workspace.sync(&["crm.csv"]).expect(0).rows("synced"), 60);
        assert_eq!(workspace.sandbox.stats().duplicates, 0);
    }
}

#[test]
fn a_403_for_everybody_that_passes_by_itself_costs_no_row_its_verdict() {
    for in_flight in ["16", "1"] {
        let workspace = Workspace::with(Faults { latency_ms: 10, ..outage(21, 12, OutageKind::Status(403)) });
        workspace.write("crm.csv", export(80));
        let ran = workspace.sync(&["--max-in-flight", in_flight, "crm.csv"]).expect(0).expect_books();
        assert_eq!((ran.rows("synced"), http(&ran, "403")), (80, 12));
    }
}

#[test]
fn a_403_or_a_401_for_one_row_is_that_rows_wherever_it_stands() {
    for (row, status) in [(0, 403), (9, 403), (0, 401), (4, 401), (9, 401)] {
        let faults = Faults { latency_ms: 20, ..subject_status(&format!("C-{row:06}"), status) };
        let workspace = Workspace::with(faults);
        workspace.write("crm.csv", export(10));
        let ran = workspace.sync(&["--max-in-flight", "2", "crm.csv"]).expect(3).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("failed")), (9, 1), "row {row} with {status}");
        super::assert_failed_row(&workspace, row, "refused", &format!("{status} "));
    }
}

#[test]
fn why_a_token_cannot_be_read_again_is_told() {
    let workspace = Workspace::with(expiring(3, 0));
    workspace.write("crm.csv", export(6));
    workspace.write("token", TOKEN);
    let failing = "cat token && rm token || { echo 'vault is sealed' >&2; exit 7; }";
    let mut command = workspace.sync_command(&["--max-in-flight", "1", "crm.csv"]);
    command.env_remove("SIMSYNC_TOKEN").env("SIMSYNC_API_TOKEN_COMMAND", failing);
    let ran = finish(command).expect(12).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("pending")), (3, 3));
    let told = format!("{}{}", ran.stdout, ran.stderr);
    assert!(told.contains("could not be read again") && told.contains("exit code 7"), "{told}");
}

#[test]
fn a_token_file_that_is_empty_for_a_moment_is_read_again() {
    let workspace = Workspace::with(expiring(3, 100));
    workspace.write("crm.csv", export(12));
    let file = workspace.write("token", TOKEN);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let mut command = workspace.sync_command(&["--max-in-flight", "1", "crm.csv"]);
    command.env_remove("SIMSYNC_TOKEN").env("SIMSYNC_API_TOKEN_FILE", &file);
    let child = command.spawn().unwrap();
    workspace.wait_for_requests(1);
    // Truncated, and written when the refusal has come.
    fs::write(&file, "").unwrap();
    workspace.wait_for_requests(4);
    std::thread::sleep(std::time::Duration::from_millis(400));
    fs::write(&file, OTHER).unwrap();
    let ran = ran(child.wait_with_output().unwrap()).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), http(&ran, "401")), (12, 1));
}

#[test]
fn a_403_for_one_row_while_others_pass_is_that_rows() {
    let workspace = Workspace::with(subject_status("C-000004", 403));
    workspace.write("crm.csv", export(10));
    let ran = workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed"), http(&ran, "403")), (9, 1, 1));
    super::assert_failed_row(&workspace, 4, "refused", "403 ");
}

/// A workspace whose token is a JWT that expires at a moment, in seconds since 1970; and the token.
fn with_jwt(expires_s: u64) -> (Workspace, String) {
    let claims = format!("{{\"sub\":\"canary-jane\",\"exp\":{expires_s}}}");
    let token = format!("eyJhbGciOiJub25lIn0.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    let options = SandboxOptions { token: token.clone(), ..SandboxOptions::default() };
    (Workspace { dir: tempfile::tempdir().unwrap(), sandbox: Sandbox::start(options).unwrap() }, token)
}

#[test]
fn a_token_that_expires_before_the_run_ends_is_told_in_time() {
    const TOLD: &str = "the token expired at 2001-09-09T01:46:40Z";
    for (expires_s, is_told) in [(1_000_000_000, true), (32_503_680_000, false)] {
        let (workspace, token) = with_jwt(expires_s);
        workspace.write("crm.csv", export(3));
        let ran = ran(workspace.sync_command(&["crm.csv"]).env("SIMSYNC_TOKEN", &token).output().unwrap());
        // Whether it is good, the server decides.
        let ran = ran.expect(0);
        assert_eq!((ran.rows("synced"), ran.stdout.contains(TOLD)), (3, is_told), "{}", ran.stdout);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!told.contains("canary-jane") && !told.contains(&token), "{told}");
    }
}

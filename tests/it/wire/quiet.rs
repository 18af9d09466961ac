//! 429 and `Retry-After`: nobody sends inside the quiet.

use simsync::sandbox::{Faults, OutageKind, RateMax, RetryAfter};

use super::{HASTY, http, outage, subject_status};
use crate::support::{Ran, Workspace, export};

/// A run of one request at a time whose third one is told to wait; the milliseconds nobody then sent.
fn silence_after_third(status: u16, retry_after: RetryAfter) -> (Ran, u64) {
    let faults = Faults { retry_after, ..outage(3, 1, OutageKind::Status(status)) };
    let workspace = Workspace::with(faults);
    workspace.write("crm.csv", export(8));
    let ran = workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), http(&ran, &status.to_string())), (8, 1));
    assert_eq!(ran.summary()["retries"], 1);
    let requests = workspace.sandbox.requests();
    assert_eq!(requests.len(), 9);
    assert_eq!(requests[2].status, Some(status));
    let silence_ms = requests[3].at_ms - requests[2].at_ms;
    (ran, silence_ms)
}

#[test]
fn retry_after_in_seconds_is_obeyed_by_everybody() {
    let (ran, silence_ms) = silence_after_third(429, RetryAfter::Seconds(2));
    assert!(silence_ms >= 2_000, "{silence_ms}");
    assert!(ran.summary()["paused_s"].as_f64().unwrap() >= 1.9);
    assert!(ran.stdout.contains(r#""type":"paused","reason":"too many requests""#), "{}", ran.stdout);
}

#[test]
fn retry_after_as_a_date_is_obeyed() {
    // A date has whole seconds: three ahead are more than two.
    let (_, silence_ms) = silence_after_third(429, RetryAfter::DateAhead(3));
    assert!(silence_ms > 1_900, "{silence_ms}");
}

#[test]
fn a_429_that_names_no_delay_means_a_second() {
    let (_, silence_ms) = silence_after_third(429, RetryAfter::Absent);
    assert!(silence_ms >= 1_000, "{silence_ms}");
}

#[test]
fn a_503_with_retry_after_quiets_everybody_too() {
    let (ran, silence_ms) = silence_after_third(503, RetryAfter::Seconds(1));
    assert!(silence_ms >= 1_000, "{silence_ms}");
    assert!(ran.stdout.contains(r#""reason":"the server asked to wait""#), "{}", ran.stdout);
}

#[test]
fn what_was_on_the_wire_already_is_all_that_arrives_inside_the_quiet() {
    let faults = Faults {
        retry_after: RetryAfter::Seconds(2),
        latency_ms: 20,
        ..outage(21, 1, OutageKind::Status(429))
    };
    let workspace = Workspace::with(faults);
    workspace.write("crm.csv", export(200));
    let ran = workspace.sync(&["--max-in-flight", "8", "crm.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), http(&ran, "429")), (200, 1));
    let requests = workspace.sandbox.requests();
    let told_ms = requests[20].at_ms;
    let inside = requests.iter().filter(|r| r.at_ms > told_ms + 500 && r.at_ms < told_ms + 2_000).count();
    assert_eq!(inside, 0, "requests that began half a second and more after the 429");
}

#[test]
fn a_cap_bounds_what_the_server_may_ask_for() {
    let faults = Faults { retry_after: RetryAfter::Seconds(3_600), ..outage(3, 1, OutageKind::Status(429)) };
    let workspace = Workspace::with(faults);
    workspace.configure("[delivery]\nretry_after_max = \"200ms\"\n");
    workspace.write("crm.csv", export(5));
    assert_eq!(workspace.sync(&["crm.csv"]).expect(0).rows("synced"), 5);
}

#[test]
fn a_servers_own_rate_limit_loses_no_row() {
    let workspace =
        Workspace::with(Faults { rate_max: Some(RateMax { per_s: 40, burst: 20 }), ..Faults::default() });
    workspace.configure("[delivery]\nattempts_max = 2\n");
    workspace.write("crm.csv", export(60));
    let ran = workspace.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (60, 0));
    assert!(http(&ran, "429") > 0);
}

#[test]
fn one_row_that_is_pushed_back_for_ever_fails_alone() {
    let workspace = Workspace::with(subject_status("C-000030", 429));
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(300));
    let ran = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (299, 1), "{}", ran.stdout);
    let row = &workspace.last_rows("failed.csv")[0];
    assert_eq!((row["crm id"].as_str(), row["_reason"].as_str()), ("C-000030", "exhausted"), "{row:?}");
    assert!(row["_signature"].contains("429 for this row alone"), "{row:?}");
    assert!(http(&ran, "429") <= 20, "{}", ran.stdout);
}

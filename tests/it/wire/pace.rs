//! How much at once, and how fast.

use std::fmt::Write as _;

use simsync::sandbox::{Faults, Shares};

use super::HASTY;
use crate::support::{Workspace, export};

#[test]
fn no_more_than_max_in_flight_are_on_the_wire() {
    let workspace = Workspace::with(Faults { latency_ms: 50, ..Faults::default() });
    workspace.write("crm.csv", export(100));
    workspace.sync(&["--max-in-flight", "6", "crm.csv"]).expect(0).expect_books();
    let stats = workspace.sandbox.stats();
    assert_eq!((stats.requests, stats.in_flight_max, stats.subject_in_flight_max), (100, 6, 1));
}

#[test]
fn one_subject_is_on_the_wire_once_and_in_order_even_under_each() {
    let shares = Shares { error_500_before: 0.2, ..Shares::default() };
    let workspace = Workspace::with(Faults { latency_ms: 10, seed: 11, shares, ..Faults::default() });
    workspace.configure(&HASTY.replace("attempts_max = 3", "attempts_max = 20"));
    let mut text = String::from("crm id,tier\n");
    for step in 0..6 {
        for subject in 0..10 {
            writeln!(text, "S-{subject},tier-{step}").unwrap();
        }
    }
    workspace.write("crm.csv", text);
    let args = ["--duplicates", "each", "--max-in-flight", "16", "crm.csv"];
    let ran = workspace.sync(&args).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 60);
    assert_eq!(workspace.sandbox.stats().subject_in_flight_max, 1);
    for subject in 0..10 {
        let applied =
            workspace.history(&format!("S-{subject}")).into_iter().filter(|request| request.applied);
        let tiers: Vec<String> = applied.filter_map(|request| request.fields["user_class"].clone()).collect();
        let expected: Vec<String> = (0..6).map(|step| format!("tier-{step}")).collect();
        assert_eq!(tiers, expected, "a retry keeps its place before the next row");
    }
}

#[test]
fn the_rate_holds_over_every_attempt_retries_included() {
    let shares = Shares { error_500_before: 0.2, ..Shares::default() };
    let workspace = Workspace::with(Faults { seed: 5, shares, ..Faults::default() });
    workspace.configure(&HASTY.replace("attempts_max = 3", "attempts_max = 20"));
    workspace.write("crm.csv", export(300));
    let url = workspace.sandbox.url();
    let ran = workspace.run(&["sync", "--api-url", &url, "--rate", "100/s", "--json", "crm.csv"]);
    let ran = ran.expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 300);
    let arrivals: Vec<u64> = workspace.sandbox.requests().iter().map(|request| request.at_ms).collect();
    let count = arrivals.len() as u64;
    assert!(count > 320, "{count} attempts: retries are among them");
    // However the machine stalls, so many permits take so long: one every 10 ms after a burst of two.
    let took_ms = arrivals[arrivals.len() - 1] - arrivals[0];
    assert!(took_ms >= (count - 3) * 10 - 100, "{count} attempts within {took_ms} ms");
    // A stall of the machine may push attempts together, but not half a second's worth of them.
    let fullest = (0..arrivals.len())
        .map(|from| arrivals[from..].iter().take_while(|at| **at < arrivals[from] + 1_000).count())
        .max();
    assert!(fullest.unwrap() <= 150, "{fullest:?} attempts within one second");
}

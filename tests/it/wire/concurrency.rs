//! How many attempts are on the wire at once: adapted, remembered for the next run, or fixed.

use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, export};

fn limit(ran: &Ran) -> u64 {
    ran.summary()["in_flight_limit"].as_u64().unwrap()
}

#[test]
fn the_limit_grows_while_the_server_does_not_mind_and_the_next_run_begins_there() {
    // A wait so long that the moods of the machine do not pass for the server's.
    let workspace = Workspace::with(Faults { latency_ms: 100, ..Faults::default() });
    workspace.write("crm.csv", export(1_000));
    let first = workspace.sync(&["crm.csv"]).expect(0).expect_books();
    let reached = workspace.sandbox.stats().in_flight_max;
    assert!(reached > 8 && reached <= 64, "from 8 to {reached}");
    assert!(limit(&first) > 8, "{}", limit(&first));

    workspace.write("more.csv", export(1_012).replace("basic", "premium"));
    let text = std::fs::read_to_string(workspace.path("more.csv")).unwrap();
    workspace.write("few.csv", text.lines().take(10).map(|line| format!("{line}\n")).collect::<String>());
    let second = workspace.sync(&["few.csv"]).expect(0);
    assert!(limit(&second) > 8, "too few rows to learn from, and {} at once", limit(&second));
}

#[test]
fn a_fixed_concurrency_is_kept_and_not_remembered() {
    let workspace = Workspace::with(Faults { latency_ms: 20, ..Faults::default() });
    workspace.write("crm.csv", export(300));
    let ran = workspace.sync(&["--concurrency", "3", "crm.csv"]).expect(0).expect_books();
    assert_eq!((limit(&ran), workspace.sandbox.stats().in_flight_max), (3, 3));
    workspace.write("few.csv", export(5).replace("basic", "premium"));
    let next = workspace.sync(&["few.csv"]).expect(0);
    assert_eq!(limit(&next), 8, "nothing was learned");
}

#[test]
fn pushback_lowers_the_limit_and_costs_no_row_anything() {
    // So few rows that latency is never judged, which is subject to the moods of the machine: who did not give way
    // would end with the 8 it began with.
    let outage = super::outage(20, 4, simsync::sandbox::OutageKind::Status(503));
    let workspace = Workspace::with(Faults { latency_ms: 100, ..outage });
    workspace.configure("[delivery]\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\n");
    workspace.write("crm.csv", export(40));
    let ran = workspace.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 40);
    assert!(limit(&ran) < 8, "{} after a stretch of 503", limit(&ran));
}

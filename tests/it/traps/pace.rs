//! Traps 12 and 13: a limit that holds for all lanes at once, whatever happens to one of them.

use simsync::sandbox::{Faults, OutageKind, RetryAfter, Shares, Window};

use super::HASTY;
use crate::support::{Workspace, export};

/// Arrivals of all attempts, in milliseconds.
fn arrivals_ms(ws: &Workspace) -> Vec<u64> {
    ws.sandbox.requests().iter().map(|request| request.at_ms).collect()
}

/// One tool sends all the same when the wait is longer than its timeout, another counts each lane for itself, a third
/// lets a whole window go at once.
#[test]
fn trap_12_the_rate_holds_under_parallelism_and_after_timeouts() {
    // Some attempts are never answered and time out; each of them is made again. They are too few to slow the run down
    // by themselves, so that nothing but the rate does.
    let shares = Shares { hang_before: 0.04, hang_after: 0.04, ..Shares::default() };
    let ws = Workspace::with(Faults { seed: 3, latency_ms: 150, shares, ..Faults::default() });
    ws.configure(&HASTY.replace("attempts_max = 3", "attempts_max = 30"));
    ws.write("crm.csv", export(160));
    let url = ws.sandbox.url();
    let args = ["sync", "--api-url", &url, "--rate", "40/s", "--concurrency", "40", "--json", "crm.csv"];
    let ran = ws.run(&args).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 160);
    assert!(ran.summary()["retries"].as_u64().unwrap() > 5, "timeouts were met: {}", ran.stdout);
    let (stats, arrivals) = (ws.sandbox.stats(), arrivals_ms(&ws));
    assert!(stats.in_flight_max > 4, "there were lanes side by side: {}", stats.in_flight_max);
    // However the machine stalls, so many permits take so long: one every 25 ms, two of them at once at the start.
    let count = arrivals.len() as u64;
    let took_ms = arrivals[arrivals.len() - 1] - arrivals[0];
    assert!(took_ms >= (count - 3) * 25 - 100, "{count} attempts within {took_ms} ms");
    // No window opens at its beginning: a second never holds another second's worth on top.
    let within = |from: usize| arrivals[from..].iter().take_while(|at| **at < arrivals[from] + 1_000).count();
    let fullest = (0..arrivals.len()).map(within).max().unwrap();
    assert!(fullest <= 70, "{fullest} attempts within one second");
}

/// Where each request waits for itself, new ones go out while the server asks for silence.
#[test]
fn trap_13_a_429_quiets_every_lane() {
    let outages = vec![simsync::sandbox::Outage {
        window: Window::Requests { from: 31, count: 1 },
        how: OutageKind::Status(429),
    }];
    let faults = Faults { retry_after: RetryAfter::Seconds(2), latency_ms: 20, outages, ..Faults::default() };
    let ws = Workspace::with(faults);
    ws.write("crm.csv", export(300));
    let ran = ws.sync(&["crm.csv", "--concurrency", "8"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 300);
    let requests = ws.sandbox.requests();
    assert_eq!(requests[30].status, Some(429));
    let told_ms = requests[30].at_ms;
    let inside = requests.iter().filter(|of| of.at_ms > told_ms + 500 && of.at_ms < told_ms + 2_000).count();
    assert_eq!(inside, 0, "requests of any lane that began half a second and more after the 429");
    assert!(requests.len() > 100, "there was more to send, and lanes to send it on");
    assert_eq!(requests.len(), 301, "and the one that was told to wait is the one that came again");
}

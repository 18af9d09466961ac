//! The pace by time of day, a fleet's share of it, and what the server says it will still take.
#![expect(
    clippy::disallowed_methods,
    reason = "a test needs the time of day, and how far apart requests came"
)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use simsync::sandbox::{Faults, OutageKind};

use super::outage;
use super::scripted::{Scripted, answer};
use crate::support::{Workspace, export, ran, signal};

/// `HH:MM` in UTC, so many minutes from now.
fn in_minutes(minutes: i64) -> String {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    let minute = (now_s / 60 + minutes).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// Settings with a window that began an hour ago and ends in an hour.
fn window_now(base: &str, rate: &str) -> String {
    let (from, to) = (in_minutes(-60), in_minutes(60));
    format!(
        "[delivery]\nrate = \"{base}\"\ntime_zone = \"UTC\"\n\
         [[delivery.window]]\nfrom = \"{from}\"\nto = \"{to}\"\nrate = \"{rate}\"\n"
    )
}

#[test]
fn a_window_that_pauses_sends_nothing_and_says_why() {
    let workspace = Workspace::new();
    workspace.configure(&window_now("1000/s", "pause"));
    workspace.write("crm.csv", export(10));
    let url = workspace.sandbox.url();
    let ran = workspace.run(&["sync", "--api-url", &url, "--max-duration", "2s", "--json", "crm.csv"]);
    let ran = ran.expect(8).expect_books();
    assert_eq!((ran.rows("pending"), workspace.sandbox.stats().requests), (10, 0));
    assert!(ran.stdout.contains(r#""reason":"delivery.window says pause""#), "{}", ran.stdout);
}

#[test]
fn a_run_begun_in_closed_hours_says_at_once_until_when_it_waits() {
    let workspace = Workspace::new();
    workspace.configure(&window_now("1000/s", "pause"));
    workspace.write("crm.csv", export(10));
    let url = workspace.sandbox.url();
    let opens = format!("nothing is sent before {} (delivery.window ", in_minutes(60));
    let plan = workspace.run(&["plan", "--api-url", &url, "crm.csv"]).expect(0);
    assert!(plan.stderr.contains(&opens), "{}", plan.stderr);
    // With a limit that comes first, nothing will be.
    let until = in_minutes(30);
    let plan = workspace.run(&["plan", "--api-url", &url, "--until", &until, "crm.csv"]).expect(0);
    let never =
        format!("nothing will be sent: it is {until} (--until) before delivery.window lets anything out");
    assert!(plan.stderr.contains(&never), "{}", plan.stderr);
    let args = ["sync", "--api-url", &url, "--max-duration", "1s", "--json", "-v", "crm.csv"];
    let ran = workspace.run(&args).expect(8);
    assert!(ran.stdout.contains("nothing will be sent: --max-duration 1s is over before"), "{}", ran.stdout);
    assert!(!ran.stdout.contains(r#""for_ms":null"#), "a pause by the hour has an end: {}", ran.stdout);
    // Open hours are no matter for a note.
    workspace.configure(&window_now("1000/s", "500/s"));
    let plan = workspace.run(&["plan", "--api-url", &url, "crm.csv"]).expect(0);
    assert!(!plan.stderr.contains("nothing"), "{}", plan.stderr);
}

#[test]
fn a_window_has_its_own_rate_and_the_plan_reckons_with_it() {
    let workspace = Workspace::new();
    workspace.configure(&window_now("1/m", "500/s"));
    workspace.write("crm.csv", export(100));
    let url = workspace.sandbox.url();
    let plan = workspace.run(&["plan", "--api-url", &url, "crm.csv"]).expect(0);
    assert!(plan.stderr.contains("at the rates of delivery.window sending takes"), "{}", plan.stderr);
    let began = Instant::now();
    let ran = workspace.run(&["sync", "--api-url", &url, "--json", "crm.csv"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 100);
    // At one a minute it would take until the next morning.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(ran.stdout.contains("500/s"), "the window in force is told: {}", ran.stdout);
}

#[test]
fn a_window_can_be_lifted_in_the_middle_of_a_run() {
    let workspace = Workspace::new();
    workspace.configure(&window_now("500/s", "pause"));
    workspace.write("crm.csv", export(30));
    let url = workspace.sandbox.url();
    let mut command = workspace.command(&["sync", "--api-url", &url, "--json", "crm.csv"]);
    let child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(workspace.sandbox.stats().requests, 0);
    workspace.configure("[delivery]\nrate = \"500/s\"\n");
    signal(child.id(), rustix::process::Signal::HUP);
    let ran = ran(child.wait_with_output().unwrap()).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 30);
}

#[test]
fn windows_that_overlap_or_lack_a_part_are_refused_with_their_place() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(3));
    for (text, expected) in [
        ("[delivery]\nwindow = [\"01:00-05:00 5/s\", \"04:00-06:00 6/s\"]\n", "overlap"),
        ("[[delivery.window]]\nfrom = \"01:00\"\nrate = \"5/s\"\n", "a window has no `to`"),
        ("[[delivery.window]]\nfrom = \"01:00\"\nto = \"2:00\"\nrate = \"5/s\"\n", "no time of day"),
        ("[[delivery.window]]\nfrom = \"01:00\"\nto = \"02:00\"\nrat = \"5/s\"\n", "did you mean `rate`"),
    ] {
        workspace.configure(text);
        let refused = workspace.sync(&["crm.csv"]).expect(10);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

#[test]
fn each_machine_of_a_fleet_takes_its_share_of_the_rate() {
    let workspace = Workspace::new();
    workspace.configure("[delivery]\nfleet = 4\n");
    workspace.write("crm.csv", export(60));
    let url = workspace.sandbox.url();
    let plan = workspace.run(&["plan", "--api-url", &url, "--rate", "200/s", "crm.csv"]).expect(0);
    assert!(plan.stderr.contains("at 50/s sending takes"), "{}", plan.stderr);
    workspace.run(&["sync", "--api-url", &url, "--rate", "200/s", "crm.csv"]).expect(0);
    let requests = workspace.sandbox.requests();
    let took_ms = requests[requests.len() - 1].at_ms - requests[0].at_ms;
    // One every 20 ms after a burst of two.
    assert!(took_ms >= 57 * 20 - 100, "{took_ms}");
}

/// Serves updates with these headers on the answer of this ordinal; milliseconds between the requests that came.
fn gaps(rows: u32, at: usize, headers: &'static str) -> Vec<u128> {
    let arrivals = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = std::sync::Arc::clone(&arrivals);
    let server = Scripted::start(move |ordinal, _| {
        told.lock().unwrap().push(Instant::now());
        let plain = answer(201, "application/json", "");
        if ordinal == at {
            plain.replace("Connection: close", &format!("{headers}\r\nConnection: close"))
        } else {
            plain
        }
    });
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(rows));
    let ran = workspace.run(&[
        "sync",
        "--api-url",
        &server.url(),
        "--rate",
        "unlimited",
        "--max-in-flight",
        "1",
        "--json",
        "crm.csv",
    ]);
    assert_eq!(ran.expect(0).expect_books().rows("synced"), u64::from(rows));
    let arrivals = arrivals.lock().unwrap();
    arrivals.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_millis()).collect()
}

#[test]
fn a_rate_limit_that_is_used_up_quiets_everybody_until_it_begins_anew() {
    for headers in [
        "RateLimit: \"default\";r=0;t=2",
        "RateLimit-Limit: 10\r\nRateLimit-Remaining: 0\r\nRateLimit-Reset: 2",
        "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 2",
    ] {
        let gaps = gaps(6, 2, headers);
        assert!(gaps[2] >= 1_900, "{headers}: {gaps:?}");
        assert!(gaps[3] < 1_900, "{headers}: {gaps:?}");
    }
}

#[test]
fn what_a_rate_limit_leaves_is_spread_over_the_time_that_is_left() {
    let gaps = gaps(6, 1, "RateLimit: limit=100, remaining=4, reset=2");
    // Two seconds for four.
    assert!(gaps[1..4].iter().all(|gap| *gap >= 450), "{gaps:?}");
}

#[test]
fn rate_limit_headers_that_say_nothing_sensible_change_nothing() {
    let began = Instant::now();
    gaps(20, 1, "RateLimit: garbage\r\nX-RateLimit-Remaining: -5\r\nX-RateLimit-Reset: soon");
    gaps(20, 1, "RateLimit: \"default\";r=100000;t=60");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_time_of_day_that_is_over_today_is_told_to_be_tomorrows() {
    let workspace = Workspace::new();
    workspace.configure("[delivery]\ntime_zone = \"UTC\"\n");
    workspace.write("crm.csv", export(3));
    let (past, midnight) = (in_minutes(-10), in_minutes(0).starts_with("00:0"));
    let ran = workspace.sync(&["--until", &past, "crm.csv"]).expect(0);
    let told = ran.stdout.contains(&format!("stops tomorrow at {past}"));
    // In the first minutes of a day, the time ten minutes ago is one of this day still.
    assert!(told != midnight, "{}", ran.stdout);
}

#[test]
fn a_time_zone_that_is_none_is_refused_before_anything_needs_it() {
    let workspace = Workspace::new();
    workspace.configure("[delivery]\ntime_zone = \"Mars/X\"\n");
    workspace.write("crm.csv", export(3));
    let checked = workspace.run(&["config", "check"]).expect(10);
    assert!(checked.stderr.contains("Mars/X") && checked.stderr.contains("time_zone"), "{}", checked.stderr);
    workspace.sync(&["crm.csv"]).expect(10);
    assert_eq!(workspace.sandbox.stats().requests, 0);
}

#[test]
fn hours_that_close_in_the_middle_of_an_outage_do_not_count_towards_it() {
    let open = "[delivery]\nrate = \"500/s\"\noutage_max = \"5s\"\n";
    let closed = window_now("500/s", "pause").replace("time_zone", "outage_max = \"5s\"\ntime_zone");
    let workspace = Workspace::with(outage(11, u64::MAX / 2, OutageKind::Status(503)));
    workspace.configure(open);
    workspace.write("crm.csv", export(40));
    let url = workspace.sandbox.url();
    let mut command = workspace.command(&["sync", "--api-url", &url, "--json", "crm.csv"]);
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    workspace.wait_for_requests(20);
    workspace.configure(&closed);
    signal(child.id(), rustix::process::Signal::HUP);
    std::thread::sleep(Duration::from_millis(1_000));
    let asked = workspace.sandbox.stats().requests;
    std::thread::sleep(Duration::from_millis(6_000));
    assert_eq!(workspace.sandbox.stats().requests, asked, "nobody is asked while nothing may be sent");
    assert!(child.try_wait().unwrap().is_none(), "nor does the outage grow older");
    workspace.fault(Faults::default());
    workspace.configure(open);
    signal(child.id(), rustix::process::Signal::HUP);
    let ran = ran(child.wait_with_output().unwrap()).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (40, 0), "{}", ran.stdout);
}

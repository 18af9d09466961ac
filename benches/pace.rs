//! How exactly the dispatcher keeps a rate: permits granted, from the first one behind the burst to the last, and the
//! fullest second against the rate and the burst in force. All wanted permits are wanted all the time, as in a run
//! that never waits.
//!
//! `cargo bench --bench pace -- --seconds 10` (2 by default). Goals: within 0.5 % over ten seconds, and never more than
//! the rate and the burst in force in any second.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::sync::mpsc;
use std::time::{Duration, Instant};

use simsync::engine::permits::{Pace, Permits};

/// Permits of a slow pace that are waited for, at least.
const PERMITS_MIN: u32 = 10;

const RATES_PER_S: [u32; 7] = [1, 10, 50, 200, 1_000, 5_000, 20_000];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let seconds =
        args.iter().position(|arg| arg == "--seconds").and_then(|at| args.get(at + 1)?.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(2));
    println!(
        "{:>8} {:>10} {:>12} {:>9} {:>15} {:>8}",
        "rate/s", "granted", "measured/s", "error", "fullest second", "allowed"
    );
    for per_s in RATES_PER_S {
        let pace = Pace { period: Duration::from_secs(1) / per_s, burst: 1 };
        // Of a slow pace a few permits are waited for, however long that takes.
        let length = length.max(PERMITS_MIN * pace.period);
        let grants = grants(pace, length);
        let burst = u64::from(pace.burst_in_force());
        let measured = measured_per_s(&grants, burst);
        let granted: u64 = grants.iter().map(|(_, count)| u64::from(*count)).sum();
        let error = (measured / f64::from(per_s) - 1.0) * 100.0;
        let fullest = fullest_second(&grants);
        let allowed = u64::from(per_s) + burst;
        println!("{per_s:>8} {granted:>10} {measured:>12.2} {error:>8.2}% {fullest:>15} {allowed:>8}");
    }
}

/// The rate from one group of permits behind the burst to the last one: the permits after the first of them, in the
/// time from there. So many permits span one period less; to count them against the whole time would be the error of
/// the fence posts, a tenth at one a second.
fn measured_per_s(grants: &[(Instant, u32)], burst: u64) -> f64 {
    let mut taken = 0;
    let first = grants.iter().position(|(_, count)| {
        taken += u64::from(*count);
        taken >= burst
    });
    let (Some(first), Some((end, _))) = (first.map(|at| &grants[at..]), grants.last()) else { return 0.0 };
    let count: u32 = first[1..].iter().map(|(_, count)| *count).sum();
    f64::from(count) / end.duration_since(first[0].0).as_secs_f64()
}

/// Grants within a time from the first one on: when, and how many.
fn grants(pace: Pace, length: Duration) -> Vec<(Instant, u32)> {
    let (granted, grants) = mpsc::channel();
    let permits =
        Permits::start(pace, move |count| granted.send((Instant::now(), count)).unwrap_or_default());
    let permits = permits.expect("a thread can be started");
    let mut all: Vec<(Instant, u32)> = Vec::new();
    permits.want(u32::MAX);
    while let Ok((at, count)) = grants.recv_timeout(2 * pace.period + Duration::from_secs(1)) {
        if all.first().is_some_and(|(first, _)| at.duration_since(*first) > length) {
            break;
        }
        all.push((at, count));
        permits.want(u32::MAX);
    }
    all
}

fn fullest_second(grants: &[(Instant, u32)]) -> u64 {
    let (mut from, mut sum, mut fullest) = (0, 0, 0);
    for (at, count) in grants {
        sum += u64::from(*count);
        while at.duration_since(grants[from].0) >= Duration::from_secs(1) {
            sum -= u64::from(grants[from].1);
            from += 1;
        }
        fullest = fullest.max(sum);
    }
    fullest
}

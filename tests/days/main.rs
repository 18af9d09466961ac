//! A campaign of bad days: `cargo test --test days -- --days 10000 --seed 1`; with `--planted`, the flaws planted in
//! the simulation and the check that catches each.
//!
//! A day is drawn from its seed: minutes (for an outage a quarter of an hour) of virtual time, a few to a few
//! thousand updates, the scheduler and everything it is made of against a modelled server. Every step is held against
//! promises 3 to 6, every evening against what is promised of that sort of day. Whatever breaks one is named with its
//! seed, with which it repeats: `--days 1 --seed N`. `--sort NAME` keeps to days of one sort. The simulation is the
//! unit tests' own (`src/delivery/sim`), which live through a few hundred days.
#![expect(clippy::print_stdout, reason = "the campaign's report")]

use simsync::{delivery, digest, ledger};

#[path = "../../src/delivery/sim/mod.rs"]
mod sim;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::day::{SORTS, Sort, day_about, day_of};
use sim::evening::{Evening, Fate};
use sim::planted::PLANTED;

/// Threads that live through days.
const THREADS: u64 = 4;
/// Broken days after which a thread has seen enough.
const BROKEN_MAX: usize = 10;

/// What the days of a sort came to.
#[derive(Debug, Default)]
struct Figures {
    days: u64,
    attempts: u64,
    synced: u64,
    failed: u64,
    deferred: u64,
    leftover: u64,
    stopped: u64,
    hours_ms: u64,
}

impl Figures {
    fn add(&mut self, evening: &Evening) {
        self.days += 1;
        self.attempts += evening.sent.len() as u64;
        self.stopped += u64::from(evening.stop.is_some());
        self.hours_ms += evening.ended_ms;
        for fate in evening.fates.values() {
            match fate {
                Fate::Synced => self.synced += 1,
                Fate::Failed(_) => self.failed += 1,
                Fate::Deferred => self.deferred += 1,
                Fate::Leftover => self.leftover += 1,
            }
        }
    }

    fn join(&mut self, other: &Figures) {
        self.days += other.days;
        self.attempts += other.attempts;
        self.synced += other.synced;
        self.failed += other.failed;
        self.deferred += other.deferred;
        self.leftover += other.leftover;
        self.stopped += other.stopped;
        self.hours_ms += other.hours_ms;
    }
}

/// An option's number.
fn option(name: &str, default: u64) -> u64 {
    let args: Vec<String> = std::env::args().collect();
    let value = args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1));
    value.map_or(default, |value| value.parse().expect("a number"))
}

/// The sort that `--sort` names, if it is given.
fn only() -> Option<Sort> {
    let args: Vec<String> = std::env::args().collect();
    let name = args.iter().position(|arg| arg == "--sort").and_then(|at| args.get(at + 1))?;
    let sort = SORTS.into_iter().find(|sort| format!("{sort:?}").eq_ignore_ascii_case(name));
    Some(sort.expect("a sort of days"))
}

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--planted") {
        return planted();
    }
    let (days, seed) = (option("--days", 10_000), option("--seed", 1));
    let only = only();
    let next = AtomicU64::new(seed);
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| campaign(&next, seed + days, only))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let (mut figures, mut broken) = (BTreeMap::<Sort, Figures>::new(), Vec::new());
    for result in results {
        for (sort, of_sort) in result.0 {
            figures.entry(sort).or_default().join(&of_sort);
        }
        broken.extend(result.1);
    }
    let mut all = Figures::default();
    for (sort, of_sort) in &figures {
        say(&format!("{sort:?}"), of_sort);
        all.join(of_sort);
    }
    say("all", &all);
    for complaint in &broken {
        println!("{complaint}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lives through days until there are none left, or enough of them have broken a promise.
fn campaign(next: &AtomicU64, end: u64, only: Option<Sort>) -> (BTreeMap<Sort, Figures>, Vec<String>) {
    let (mut figures, mut broken) = (BTreeMap::<Sort, Figures>::new(), Vec::new());
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end || broken.len() >= BROKEN_MAX {
            return (figures, broken);
        }
        let day = only.map_or_else(|| day_of(seed), |sort| day_about(sort, seed));
        let sort = day.sort;
        match sim::live(day, seed) {
            Ok(evening) => figures.entry(sort).or_default().add(&evening),
            Err(complaint) => {
                broken.push(format!("seed {seed}, a day of the sort {sort:?}: {complaint}"));
            }
        }
    }
}

fn say(name: &str, of: &Figures) {
    let Figures { days, attempts, synced, failed, deferred, leftover, stopped, hours_ms } = of;
    println!(
        "{name:9} {days:6} days, {:7} h, {attempts:9} attempts: {synced:9} synced, {failed:7} failed, {deferred:6} in \
         conflict, {leftover:8} left over, {stopped:5} runs stopped",
        hours_ms / 3_600_000
    );
}

/// The flaws, and what caught each.
fn planted() -> ExitCode {
    let mut missed = 0;
    for planted in &PLANTED {
        println!("{:?}: {}", planted.flaw, planted.about);
        match planted.caught() {
            Ok((seed, complaint)) => {
                debug_assert!(
                    sim::live(day_about(planted.sort, seed), seed).is_ok(),
                    "fine without the flaw"
                );
                println!("    caught on a day of the sort {:?}: {complaint}", planted.sort);
            }
            Err(complaint) => {
                missed += 1;
                println!("    MISSED: {complaint}");
            }
        }
    }
    println!("{} planted, {missed} missed", PLANTED.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

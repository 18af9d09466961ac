//! A campaign of kills at random instants, and the figures of it:
//! `cargo test --test kill_campaign -- --kills 2000 --rows 2000 --seed 1 --threads 2 --binary target/release/simsync`.
//!
//! Exports take turns by chance: folding, `each` and `--full`, saved plans, replays of what was refused, chains of
//! swaps, adoptions, with a log that is folded all the time or never, with a survey that spills or does not. Kills
//! fall into survey and planning, the first intents, delivery, and what comes after the last request: folding, row
//! files, closing; between runs into `journal compact` and `journal forget`, and `journal verify` finds nothing wrong
//! after any of them. Too long for every `cargo test`, which has its named instants in `tests/it/kill.rs`. The first
//! thing that does not hold ends the campaign with a panic that names it.
#![expect(clippy::unwrap_used, reason = "here, a panic is the report")]

mod aftermath;
mod figures;
mod plan;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "the campaign needs a part of it")]
mod support;
mod tools;
#[path = "../it/witness.rs"]
#[expect(dead_code, reason = "the campaign needs a part of it")]
mod witness;

use std::io::Write;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use aftermath::Aftermath;
use figures::{Figures, Instant};
use plan::{Plan, Policy};
use support::{Workspace, finish};

/// Of so many kills one is followed by a run that nobody kills.
const FINISHED_EVERY: u64 = 8;

/// Longest wait before a kill by time, in milliseconds: survey and opening included.
const WAIT_MS_MAX: u64 = 400;

/// Longest wait behind an event before a kill, in microseconds: after the run's directory was made, or after the last
/// request.
const BEHIND_US_MAX: u64 = 60_000;

/// Longest wait before an adoption is killed, in microseconds.
const ADOPT_US_MAX: u64 = 120_000;

/// Between two looks at a run.
const PAUSE: Duration = Duration::from_micros(200);

/// Numbers by chance, the same for the same seed (SplitMix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// An option's text.
fn option(name: &str) -> Option<String> {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == name)?;
    Some(args[at + 1].clone())
}

/// An option's number.
fn number(name: &str, default: u64) -> u64 {
    option(name).map_or(default, |text| text.parse().unwrap())
}

fn main() {
    let (kills, seed, threads) = (number("--kills", 200), number("--seed", 1), number("--threads", 1));
    let rows = u32::try_from(number("--rows", 2_000)).unwrap();
    if let Some(binary) = option("--binary") {
        support::BINARY.set(std::fs::canonicalize(binary).unwrap()).unwrap();
    }
    let (stopwatch, figures) = (tokio::time::Instant::now(), Mutex::new(Figures::default()));
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let figures = &figures;
            scope.spawn(move || {
                let mut chance = Chance(seed.wrapping_add(thread << 32));
                while figures.lock().unwrap().kills < kills {
                    let of_export = one_export(rows, &mut chance, || figures.lock().unwrap().kills >= kills);
                    let mut figures = figures.lock().unwrap();
                    figures.add(&of_export);
                    say(&format!("{} of {kills} kills, {} exports", figures.kills, figures.exports.len()));
                }
            });
        }
    });
    let figures = figures.into_inner().unwrap();
    let minutes = stopwatch.elapsed().as_secs_f64() / 60.0;
    say(&format!("seed {seed}, exports of {rows} rows, {threads} threads\n{}", figures.summary(minutes)));
}

/// Kills runs of one export until one of them comes to its end.
fn one_export(rows: u32, chance: &mut Chance, is_enough: impl Fn() -> bool) -> Figures {
    let (ws, mut plan) = (Workspace::new(), Plan::draw(rows, chance));
    plan.prepare(&ws);
    ws.fault(plan.faults(chance));
    let mut figures = Figures::default();
    let mut before = Aftermath::before(&ws);
    loop {
        if is_enough() || chance.below(FINISHED_EVERY) == 0 {
            let resumed = finish(plan.command(&ws)).expect(plan.code).expect_books();
            let (after, doubles) = before.after(&ws, &plan);
            check_named(&plan, &before, resumed.summary()["plan"]["in_doubt_resent"].as_u64().unwrap());
            figures.doubles(doubles);
            before = after;
            break;
        }
        let mut command = plan.command(&ws);
        let run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let left = plan.total() - before.committed.len();
        let was_killed = if plan.policy == Policy::Adopt {
            let wait_us = chance.below(ADOPT_US_MAX);
            killed_after(run, Duration::from_micros(wait_us))
        } else {
            killed_by_chance(&ws, run, u64::try_from(left).unwrap(), chance)
        };
        tools::check_sound(&ws);
        let (after, doubles) = before.after(&ws, &plan);
        figures.doubles(doubles);
        if !was_killed {
            before = after;
            break;
        }
        figures.kill(Instant::of(&ws, &plan, (&before, &after), left), &after);
        // Nothing was left but the end, and it may have been reached: the same command would begin a new batch.
        let is_over = after.committed.len() == plan.total() && figures::has_summary(&ws);
        before = after;
        if is_over {
            break;
        }
        before = tools::perhaps(&ws, &plan, before, chance, &mut figures);
    }
    before.check_end(&ws, &plan);
    figures.exports.push(plan.name());
    figures.requests += ws.sandbox.stats().requests;
    figures
}

/// Everything that may be doubled is counted by the plan. Under `each` so are the rows behind it: they overwrite what
/// is in doubt.
#[track_caller]
fn check_named(plan: &Plan, before: &Aftermath, told: u64) {
    let (told, in_doubt) = (usize::try_from(told).unwrap(), before.in_doubt.len());
    let is_exact = plan.policy != Policy::Each;
    assert!(told == in_doubt || !is_exact && told >= in_doubt, "{told} named of {in_doubt} in doubt");
}

/// Kills after a time. Returns whether the process still ran.
fn killed_after(mut run: Child, time: Duration) -> bool {
    std::thread::sleep(time);
    run.kill().unwrap();
    run.wait().unwrap().code().is_none()
}

/// Kills at an instant by chance. Returns whether the process still ran.
fn killed_by_chance(ws: &Workspace, mut run: Child, left: u64, chance: &mut Chance) -> bool {
    let seen = ws.sandbox.stats().requests;
    let dirs = ws.run_dirs().len();
    let wait_until = |run: &mut Child, is_so: &dyn Fn() -> bool| {
        while !is_so() && run.try_wait().unwrap().is_none() {
            std::thread::sleep(PAUSE);
        }
    };
    match chance.below(10) {
        0 | 1 => std::thread::sleep(Duration::from_millis(chance.below(WAIT_MS_MAX))),
        2 => {
            wait_until(&mut run, &|| ws.run_dirs().len() > dirs);
            std::thread::sleep(Duration::from_micros(chance.below(BEHIND_US_MAX)));
        }
        3 => wait_until(&mut run, &|| ws.sandbox.stats().requests > seen),
        4 | 5 => {
            wait_until(&mut run, &|| ws.sandbox.stats().requests >= seen + left);
            std::thread::sleep(Duration::from_micros(chance.below(BEHIND_US_MAX)));
        }
        _ => {
            let wanted = seen + chance.below(left);
            wait_until(&mut run, &|| ws.sandbox.stats().requests >= wanted);
            std::thread::sleep(Duration::from_micros(chance.below(5_000)));
        }
    }
    run.kill().unwrap();
    run.wait().unwrap().code().is_none()
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").unwrap();
}

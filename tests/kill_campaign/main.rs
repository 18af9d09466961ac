//! A campaign of kills at random instants, and the figures of it:
//! `cargo test --test kill_campaign -- --kills 200 --rows 5000 --seed 1`.
//!
//! Too long for every `cargo test`, which has its named instants in `tests/it/kill.rs`; the checks are the same. The
//! first thing that does not hold ends the campaign with a panic that names it.
#![expect(clippy::unwrap_used, reason = "here, a panic is the report")]

#[path = "../it/support.rs"]
#[expect(dead_code, reason = "the campaign needs a part of it")]
mod support;
#[path = "../it/witness.rs"]
#[expect(dead_code, reason = "the campaign needs a part of it")]
mod witness;

use std::io::Write;
use std::process::Child;
use std::time::Duration;

use simsync::sandbox::Faults;

use support::Workspace;
use witness::{Aftermath, Export, check_finals, window};

/// Of so many kills one is followed by a run that nobody kills.
const FINISHED_EVERY: u64 = 8;

/// Longest wait before a kill by time, in milliseconds: survey and opening included.
const WAIT_MS_MAX: u64 = 400;

/// Numbers by chance, the same for the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// What the campaign has seen.
#[derive(Default)]
struct Figures {
    /// Kills that hit a running process.
    kills: u64,
    /// Of them: before the first request of the run.
    before_requests: u64,
    /// Of them: after the sandbox had answered everything there was to send.
    after_requests: u64,
    /// Runs that ended before they could be killed, or that nobody was to kill.
    finished: u64,
    in_doubt_sum: usize,
    in_doubt_max: usize,
    /// Updates applied twice, over all kills.
    doubles_sum: usize,
    doubles_max: usize,
    /// Acknowledgments that were committed at a kill and held against the run after it.
    committed_sum: usize,
    requests: u64,
    exports: u64,
}

/// An option's number.
fn option(name: &str, default: u64) -> u64 {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == name);
    at.map_or(default, |at| args[at + 1].parse().unwrap())
}

fn main() {
    let (kills, seed) = (option("--kills", 200), option("--seed", 1));
    let rows = u32::try_from(option("--rows", u64::from(witness::ROWS))).unwrap();
    let (mut chance, mut figures) = (Chance(seed), Figures::default());
    while figures.kills < kills {
        one_export(rows, kills, &mut chance, &mut figures);
        say(&format!("{} of {kills} kills, {} exports", figures.kills, figures.exports));
    }
    say(&summary(&figures, seed, rows));
}

/// Kills runs of one export until one of them comes to its end.
fn one_export(rows: u32, kills: u64, chance: &mut Chance, figures: &mut Figures) {
    let (ws, export) = (Workspace::new(), Export::new(rows));
    ws.write("export.csv", &export.text);
    let latency =
        Faults { latency_ms: chance.below(12), latency_jitter_ms: chance.below(12), ..Faults::default() };
    ws.sandbox.set_faults(latency).unwrap();
    figures.exports += 1;
    let mut before = Aftermath::of(&ws, &export.finals);
    loop {
        if figures.kills >= kills || chance.below(FINISHED_EVERY) == 0 {
            let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
            figures.doubles(before.check_resume(&ws, &export, &resumed));
            break;
        }
        let run = ws.sync_in_background(&["export.csv"]);
        let left = export.finals.len() - before.acked.len();
        let was_killed = killed_by_chance(&ws, run, u64::try_from(left).unwrap(), chance);
        let after = Aftermath::of(&ws, &export.finals);
        after.check();
        let doubles = before.check_resends(&ws);
        assert!(before.acked.is_subset(&after.acked), "something committed is forgotten");
        if !was_killed {
            check_finals(&ws, &export.finals);
            figures.doubles(doubles);
            break;
        }
        figures.kills += 1;
        figures.before_requests += u64::from(after.seq == before.seq);
        figures.after_requests += u64::from(after.applied.len() == export.finals.len());
        figures.committed_sum += after.acked.len();
        figures.in_doubt_sum += after.in_doubt.len();
        figures.in_doubt_max = figures.in_doubt_max.max(after.in_doubt.len());
        figures.doubles(doubles);
        before = after;
    }
    figures.finished += 1;
    figures.requests += ws.sandbox.stats().requests;
}

impl Figures {
    fn doubles(&mut self, doubles: usize) {
        self.doubles_sum += doubles;
        self.doubles_max = self.doubles_max.max(doubles);
    }
}

/// Kills after a random time or a random number of the requests left. Returns whether the process still ran.
fn killed_by_chance(ws: &Workspace, mut run: Child, left: u64, chance: &mut Chance) -> bool {
    let seen = ws.sandbox.stats().requests;
    if chance.below(3) == 0 {
        std::thread::sleep(Duration::from_millis(chance.below(WAIT_MS_MAX)));
    } else {
        let wanted = seen + chance.below(left);
        while ws.sandbox.stats().requests < wanted && run.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_micros(chance.below(5_000)));
    }
    run.kill().unwrap();
    run.wait().unwrap().code().is_none()
}

fn summary(figures: &Figures, seed: u64, rows: u32) -> String {
    let Figures { kills, before_requests, after_requests, finished, exports, requests, .. } = figures;
    let mean = |sum: usize| sum / usize::try_from(*kills).unwrap().max(1);
    format!(
        "seed {seed}, exports of {rows} rows: {exports}, runs killed: {kills}, runs finished: {finished}\n\
         killed before their first request: {before_requests}, after their last: {after_requests}\n\
         requests: {requests}; acknowledgments committed at a kill: {} in the mean, sent again: 0\n\
         in doubt at a kill: {} in the mean, {} at most, window {}\n\
         doubled after a kill: {} in all, {} in the mean, {} at most; each was in doubt, under the same \
         Idempotency-Key",
        mean(figures.committed_sum),
        mean(figures.in_doubt_sum),
        figures.in_doubt_max,
        window(),
        figures.doubles_sum,
        mean(figures.doubles_sum),
        figures.doubles_max,
    )
}

fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").unwrap();
}

//! A campaign of random sequences against the model:
//! `cargo test --test model -- --sequences 2000 --seed 1 --steps 12 --threads 2`.
//!
//! A sequence that fails is run again with fewer steps, and the shortest way to fail is printed with its directory.
//! `--only INDEX` runs one sequence, `--skip 3,5` leaves steps out, `--changed PERCENT` says how many
//! send only what changed, `--binary PATH` takes another binary of simsync. Too
//! long for every `cargo test`, which has a few sequences in `tests/it/model.rs`.
#![expect(clippy::unwrap_used, reason = "here, a panic is the report")]

mod campaign;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "the campaign needs a part of it")]
mod support;
#[path = "../it/witness.rs"]
#[expect(dead_code, reason = "the campaign needs a part of it")]
mod witness;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use campaign::{Failure, Sequence, Tally};

/// Sequences between two lines of progress.
const PROGRESS_EVERY: u64 = 25;

/// Times a shorter sequence is tried: where a kill falls is a matter of time, too.
const SHRINK_TRIES: u32 = 2;

/// What a campaign is told.
struct Told {
    sequences: u64,
    seed: u64,
    steps: u64,
    threads: u64,
    changed_percent: u64,
    only: Option<u64>,
    skipped: Vec<u64>,
}

fn main() -> ExitCode {
    let told = told();
    let (next, failed) = (AtomicU64::new(told.only.unwrap_or(0)), Mutex::new(Vec::new()));
    let end = told.only.map_or(told.sequences, |only| only + 1);
    let sum = Mutex::new((0_u64, Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..told.threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= end || !failed.lock().unwrap().is_empty() {
                        return;
                    }
                    let sequence = Sequence {
                        seed: told.seed,
                        index,
                        steps: told.steps,
                        changed_percent: told.changed_percent,
                        skipped: told.skipped.clone(),
                    };
                    match sequence.run() {
                        Ok(tally) => add(&mut sum.lock().unwrap(), tally),
                        Err(failure) => failed.lock().unwrap().push((sequence, failure)),
                    }
                }
            });
        }
    });
    let (sequences, tally) = *sum.lock().unwrap();
    say(&format!("{sequences} sequences of {} steps, seed {}: {}", told.steps, told.seed, figures(&tally)));
    let failed = failed.into_inner().unwrap();
    let is_failed = !failed.is_empty();
    for (sequence, failure) in failed {
        let (sequence, failure) = shrunk(sequence, failure);
        say(&report(&sequence, &failure));
    }
    ExitCode::from(u8::from(is_failed))
}

fn told() -> Told {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).map(|at| args[at + 1].clone());
    let number = |name: &str| value(name).map(|text| text.parse::<u64>().unwrap());
    if let Some(binary) = value("--binary") {
        support::BINARY.set(std::fs::canonicalize(binary).unwrap()).unwrap();
    }
    let skipped = value("--skip").unwrap_or_default();
    Told {
        sequences: number("--sequences").unwrap_or(200),
        seed: number("--seed").unwrap_or(1),
        steps: number("--steps").unwrap_or(12),
        threads: number("--threads").unwrap_or(2),
        changed_percent: number("--changed").unwrap_or(campaign::CHANGED_PERCENT),
        only: number("--only"),
        skipped: skipped.split(',').filter_map(|step| step.parse().ok()).collect(),
    }
}

/// Adds a sequence's figures; a line of progress now and then.
fn add(sum: &mut (u64, Tally), tally: Tally) {
    sum.0 += 1;
    let all = &mut sum.1;
    all.runs += tally.runs;
    all.kills += tally.kills;
    all.drains += tally.drains;
    all.resumes += tally.resumes;
    all.fed_back += tally.fed_back;
    all.rows += tally.rows;
    all.requests += tally.requests;
    all.in_doubt += tally.in_doubt;
    all.superseded += tally.superseded;
    if sum.0.is_multiple_of(PROGRESS_EVERY) {
        say(&format!("{} sequences: {}", sum.0, figures(all)));
    }
}

fn figures(tally: &Tally) -> String {
    let Tally { runs, kills, drains, resumes, fed_back, rows, requests, in_doubt, superseded } = tally;
    format!(
        "{runs} runs ({kills} killed, {drains} drained, {resumes} resumed, {fed_back} of fed-back files), \
         {rows} rows ({in_doubt} in doubt, {superseded} superseded), {requests} requests"
    )
}

/// The shortest sequence found that fails: cut behind the failure, then step by step left out.
fn shrunk(mut sequence: Sequence, mut failure: Box<Failure>) -> (Sequence, Box<Failure>) {
    sequence.steps = sequence.steps.min(failure.step + 1);
    for step in (0..sequence.steps).rev() {
        let mut shorter = sequence.clone();
        shorter.skipped.push(step);
        for _ in 0..SHRINK_TRIES {
            if let Err(again) = shorter.run() {
                (sequence, failure) = (shorter, again);
                break;
            }
        }
    }
    (sequence, failure)
}

fn report(sequence: &Sequence, failure: &Failure) -> String {
    let skipped: Vec<String> = sequence.skipped.iter().map(u64::to_string).collect();
    format!(
        "\nFAILED in step {}: --seed {} --only {} --steps {} --changed {} --skip {}\n{}\n\n{}\n\nkept: {}",
        failure.step,
        sequence.seed,
        sequence.index,
        sequence.steps,
        sequence.changed_percent,
        skipped.join(","),
        failure.log.join("\n"),
        failure.difference,
        failure.dir.display()
    )
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").unwrap();
}

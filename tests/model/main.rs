//! A campaign of random sequences against the model:
//! `cargo test --test model -- --sequences 2000 --seed 1 --steps 12 --threads 2`.
//!
//! A sequence that fails is run again with fewer steps, and the shortest way to fail is printed with its directory.
//! `--only INDEX` runs one sequence, `--skip 3,5` leaves steps out, `--binary PATH` takes another binary of simsync.
//! `--folding`, `--spilling` and `--aging` say of how many sequences in a hundred the log is folded all the time, the
//! survey spills, and acknowledgments grow old (`plan.resend_after`). Those of the last kind wait for a minute now
//! and then, and give their place to others meanwhile.
//!
//! `--planted` plants wrong rules in the model, one after the other, and ends with an error when one of them was not
//! noticed within so many sequences; `--flaw NAME` plants one. Too long for every `cargo test`, which has a few
//! sequences in `tests/it/model.rs`.
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

use campaign::laws::Flaw;
use campaign::{Failure, Laws, NAMES, Sequence, Shares, Tally, slots};

/// Sequences between two lines of progress.
const PROGRESS_EVERY: u64 = 25;

/// Times a shorter sequence is tried: where a kill falls is a matter of time, too.
const SHRINK_TRIES: u32 = 2;

/// Threads for each place, so that a sequence that waits holds nobody up.
const THREADS_A_PLACE: u64 = 5;

/// What a campaign is told.
#[derive(Clone)]
struct Told {
    sequences: u64,
    seed: u64,
    steps: u64,
    threads: u64,
    shares: Shares,
    only: Option<u64>,
    skipped: Vec<u64>,
    laws: Laws,
}

/// What came of a campaign.
struct Came {
    sequences: u64,
    tally: Tally,
    failed: Vec<(Sequence, Box<Failure>)>,
}

fn main() -> ExitCode {
    let told = told();
    slots::set(told.threads);
    if std::env::args().any(|arg| arg == "--planted") {
        return planted(&told);
    }
    let came = campaign(&told, true);
    say(&format!(
        "{} sequences of {} steps, seed {}: {}",
        came.sequences,
        told.steps,
        told.seed,
        figures(&came.tally)
    ));
    let is_failed = !came.failed.is_empty();
    for (sequence, failure) in came.failed {
        slots::take();
        let (sequence, failure) = shrunk(sequence, failure);
        slots::give();
        say(&report(&sequence, &failure));
    }
    ExitCode::from(u8::from(is_failed))
}

/// Runs sequences until one fails, or there are no more.
fn campaign(told: &Told, is_told: bool) -> Came {
    let (next, failed) = (AtomicU64::new(told.only.unwrap_or(0)), Mutex::new(Vec::new()));
    let end = told.only.map_or(told.sequences, |only| only + 1);
    let sum = Mutex::new((0_u64, Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..told.threads * THREADS_A_PLACE {
            scope.spawn(|| {
                loop {
                    slots::take();
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= end || !failed.lock().unwrap().is_empty() {
                        slots::give();
                        return;
                    }
                    let Told { seed, steps, shares, laws, ref skipped, .. } = *told;
                    let sequence = Sequence { seed, index, steps, shares, laws, skipped: skipped.clone() };
                    match sequence.run() {
                        Ok(tally) => add(&mut sum.lock().unwrap(), &tally, is_told),
                        Err(failure) => failed.lock().unwrap().push((sequence, failure)),
                    }
                    slots::give();
                }
            });
        }
    });
    let (sequences, tally) = sum.into_inner().unwrap();
    Came { sequences, tally, failed: failed.into_inner().unwrap() }
}

/// Plants each flaw in the model: the campaign must not agree with it.
fn planted(told: &Told) -> ExitCode {
    let mut missed = Vec::new();
    for flaw in Flaw::ALL {
        let aging = if flaw == Flaw::NeverStale { 100 } else { 0 };
        let shares = Shares { aging, spilling: 0, ..told.shares };
        let came = campaign(&Told { shares, laws: Laws { flaw: Some(flaw) }, ..told.clone() }, false);
        match came.failed.first() {
            Some((sequence, failure)) => {
                let difference: String = failure.difference.chars().take(DIFFERENCE_CHARS_MAX).collect();
                say(&format!("{flaw:?}: noticed by sequence {}: {difference}", sequence.index));
            }
            None => {
                say(&format!("{flaw:?}: NOT noticed in {} sequences", came.sequences));
                missed.push(flaw);
            }
        }
        for (_, failure) in came.failed {
            std::fs::remove_dir_all(failure.dir).unwrap();
        }
    }
    say(&format!("{} of {} planted flaws were noticed", Flaw::ALL.len() - missed.len(), Flaw::ALL.len()));
    ExitCode::from(u8::from(!missed.is_empty()))
}

/// Characters of a difference that are shown of a planted flaw.
const DIFFERENCE_CHARS_MAX: usize = 160;

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
        steps: number("--steps").unwrap_or(10),
        threads: number("--threads").unwrap_or(2),
        shares: Shares {
            folding: number("--folding").unwrap_or(30),
            spilling: number("--spilling").unwrap_or(3),
            aging: number("--aging").unwrap_or(3),
        },
        only: number("--only"),
        skipped: skipped.split(',').filter_map(|step| step.parse().ok()).collect(),
        laws: Laws { flaw: value("--flaw").map(|name| Flaw::named(&name).unwrap()) },
    }
}

/// Adds a sequence's figures; a line of progress now and then.
fn add(sum: &mut (u64, Tally), tally: &Tally, is_told: bool) {
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
    all.deeds.iter_mut().zip(tally.deeds).for_each(|(all, deeds)| *all += deeds);
    if is_told && sum.0.is_multiple_of(PROGRESS_EVERY) {
        say(&format!("{} sequences: {}", sum.0, figures(all)));
    }
}

fn figures(tally: &Tally) -> String {
    let Tally { runs, kills, drains, resumes, fed_back, rows, requests, in_doubt, superseded, deeds } = tally;
    let deeds: Vec<String> = NAMES.iter().zip(deeds).map(|(name, count)| format!("{name} {count}")).collect();
    format!(
        "{runs} runs ({kills} killed, {drains} drained, {resumes} resumed, {fed_back} of fed-back files), \
         {rows} rows ({in_doubt} in doubt, {superseded} superseded), {requests} requests; {}",
        deeds.join(", ")
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
    let Shares { folding, spilling, aging } = sequence.shares;
    format!(
        "\nFAILED in step {}: --seed {} --only {} --steps {} --folding {folding} --spilling {spilling} \
         --aging {aging} --skip {}\n{}\n\n{}\n\nkept: {}",
        failure.step,
        sequence.seed,
        sequence.index,
        sequence.steps,
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

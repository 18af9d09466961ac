//! A few random sequences of runs against the plain model: exports new, renamed, re-ordered, edited and fed back, kills,
//! signals, policies and targets.
//!
//! Not here: the model (`tests/model/campaign`), and sequences by the thousand (`tests/model/main.rs`).

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

#[path = "../model/campaign/mod.rs"]
mod campaign;

use campaign::{Sequence, Tally};

/// Sequences of the suite. Each begins with an empty state directory.
const SEQUENCES: u64 = 24;

/// Steps of each, besides those that bring it to rest.
const STEPS: u64 = 7;

/// Sequences at a time.
const THREADS: usize = 4;

#[test]
fn random_sequences_agree_with_the_model() {
    let (next, sum) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= SEQUENCES {
                        return;
                    }
                    let changed_percent = campaign::CHANGED_PERCENT;
                    let sequence =
                        Sequence { seed: 4, index, steps: STEPS, changed_percent, skipped: Vec::new() };
                    let tally = sequence.run().unwrap_or_else(|failure| {
                        panic!(
                            "cargo test --test model -- --seed 4 --only {index} --steps {STEPS}\n{}\nstep {}: {}\nkept: {}",
                            failure.log.join("\n"),
                            failure.step,
                            failure.difference,
                            failure.dir.display()
                        )
                    });
                    let mut sum = sum.lock().unwrap();
                    sum.kills += tally.kills;
                    sum.resumes += tally.resumes;
                    sum.requests += tally.requests;
                }
            });
        }
    });
    // A model that sees nothing agrees with everything.
    let sum = sum.into_inner().unwrap();
    assert!(sum.kills > 0 && sum.resumes > 0 && sum.requests > SEQUENCES, "{sum:?}");
}

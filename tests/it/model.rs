//! A few random sequences of everything that reads or changes the journal against the plain model: exports new,
//! renamed, re-ordered, edited and fed back, replays, adoptions, saved plans, what is forgotten, kills, signals,
//! policies and targets.
//!
//! Not here: the model (`tests/model/campaign`), and sequences by the thousand (`tests/model/main.rs`).

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

#[path = "../model/campaign/mod.rs"]
#[expect(dead_code, reason = "flaws are planted by the campaign alone")]
mod campaign;

use campaign::{Laws, NAMES, Sequence, Shares, Tally};

/// Sequences of the suite: enough that every deed occurs. Each begins with an empty state directory.
const SEQUENCES: u64 = 12;

/// Steps of each, besides those that bring it to rest.
const STEPS: u64 = 7;

/// What they are drawn from.
const SEED: u64 = 4;

/// None takes long.
const SHARES: Shares = Shares { folding: 30, spilling: 0, aging: 0 };

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
                    let (laws, skipped) = (Laws::default(), Vec::new());
                    let sequence = Sequence { seed: SEED, index, steps: STEPS, shares: SHARES, laws, skipped };
                    let tally = sequence.run().unwrap_or_else(|failure| {
                        panic!(
                            "cargo test --test model -- --seed {SEED} --only {index} --steps {STEPS} --spilling 0 --aging 0\n\
                             {}\nstep {}: {}\nkept: {}",
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
                    sum.deeds.iter_mut().zip(tally.deeds).for_each(|(sum, deeds)| *sum += deeds);
                }
            });
        }
    });
    // A model that sees nothing agrees with everything.
    let sum = sum.into_inner().unwrap();
    assert!(sum.kills > 0 && sum.resumes > 0 && sum.requests > SEQUENCES, "{sum:?}");
    for begin in ["sync", "replay", "adopt", "plan", "forget", "lookup"] {
        let of = NAMES.iter().zip(sum.deeds).filter(|(name, _)| name.starts_with(begin));
        assert!(of.map(|(_, count)| count).sum::<u64>() > 0, "{begin} did not occur: {sum:?}");
    }
}

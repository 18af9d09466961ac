//! The model test: random sequences of runs of the real binary on one state directory against two sandboxes, each step held
//! against a plain model in memory.
//!
//! Shared by the campaign (`tests/model/main.rs`) and the suite (`tests/it/model.rs`). The model is written down from
//! design.md sections 2 to 4 and uses no part of `src/plan`; of the library it takes the sandbox, the journal for
//! reading, and its hashes. Not here: how many sequences, and what is printed about them.
//!
//! Reading order: `rows` what exports say, `steps` what may happen, `rulings` what must follow for each row, `outcomes`
//! what may become of each update, `memory` what is remembered of it, `checks` what is compared, `world` all of it.

mod batches;
mod chance;
mod checks;
mod journal;
mod memory;
mod outcomes;
mod rows;
mod rulings;
mod run;
mod steps;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use chance::Chance;
pub(crate) use world::Tally;
use world::World;

/// Share of the sequences with `send = "changed"`, unless told otherwise: none, as long as the setting is ignored.
pub(crate) const CHANGED_PERCENT: u64 = 30;

/// A sequence to be run.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    pub(crate) seed: u64,
    pub(crate) index: u64,
    pub(crate) steps: u64,
    /// Of a hundred sequences, so many send only what changed.
    pub(crate) changed_percent: u64,
    /// Steps that are left out.
    pub(crate) skipped: Vec<u64>,
}

/// A difference between the product and the model.
pub(crate) struct Failure {
    /// The step in which it was seen; the number of steps for the settling after them.
    pub(crate) step: u64,
    pub(crate) difference: String,
    /// What was done, step by step.
    pub(crate) log: Vec<String>,
    /// The directory, which is kept.
    pub(crate) dir: PathBuf,
}

impl Sequence {
    /// Runs the sequence from its beginning.
    pub(crate) fn run(&self) -> Result<Tally, Box<Failure>> {
        // Drawn for the sequence as a whole, where no step is.
        let sends_changed = Chance::of(self.seed, self.index, u64::MAX).percent(self.changed_percent);
        let (mut world, mut log) =
            (World::new(sends_changed), vec![format!("sends changed: {sends_changed}")]);
        let (mut step, mut ended) = (0, Ok(()));
        while step < self.steps && ended.is_ok() {
            if !self.skipped.contains(&step) {
                let mut chance = Chance::of(self.seed, self.index, step);
                log.push(format!("step {step}"));
                ended = caught(|| world.draw(&mut chance, &mut log));
            }
            step += u64::from(ended.is_ok());
        }
        if ended.is_ok() {
            ended = caught(|| world.settle(&mut log));
        }
        match ended {
            Ok(()) => Ok(world.tally),
            Err(difference) => Err(Box::new(Failure { step, difference, log, dir: world.keep() })),
        }
    }
}

/// A panic of the test's own is a difference, too.
fn caught(act: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| Err("the model test panicked".into()))
}

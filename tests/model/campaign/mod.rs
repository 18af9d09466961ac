//! The model test: random sequences of runs of the real binary on one state directory against two sandboxes, each
//! step held against a plain model in memory.
//!
//! Shared by the campaign (`tests/model/main.rs`) and the suite (`tests/it/model.rs`). The model is written down from
//! design.md sections 2 to 4 and uses no part of `src/plan`; of the library it takes the sandbox, the journal for
//! reading, and its hashes. Not here: how many sequences, and what is printed about them.
//!
//! Reading order: `rows` what exports say, `steps` what may happen, `rulings` what must follow for each row, `outcomes`
//! what may become of each update, `memory` what is remembered of it, `checks` what is compared, `world` all of it.

mod after;
mod applied;
mod batches;
mod chance;
mod checks;
mod deeds;
mod fillers;
mod guard;
mod journal;
pub(crate) mod laws;
mod lookup;
mod memory;
mod order;
mod outcomes;
mod planned;
mod replays;
mod resolve;
mod rows;
mod rulings;
mod run;
pub(crate) mod slots;
mod steps;
mod swaps;
mod upkeep;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use chance::Chance;
pub(crate) use deeds::NAMES;
pub(crate) use laws::Laws;
pub(crate) use world::Tally;
use world::{Climate, World};

/// Shares of the sequences, in a hundred, with a peculiarity of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// The log is folded all the time.
    pub(crate) folding: u64,
    /// Surveys spill.
    pub(crate) spilling: u64,
    /// Acknowledgments grow old, which takes minutes.
    pub(crate) aging: u64,
}

/// A sequence to be run.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    pub(crate) seed: u64,
    pub(crate) index: u64,
    pub(crate) steps: u64,
    pub(crate) shares: Shares,
    pub(crate) laws: Laws,
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
    /// What is drawn for the sequence as a whole, where no step is.
    fn climate(&self) -> Climate {
        let mut chance = Chance::of(self.seed, self.index, u64::MAX);
        let folds_often = chance.percent(self.shares.folding);
        let which = chance.below(100);
        let spills = which < self.shares.spilling;
        let ages = !spills && which < self.shares.spilling + self.shares.aging;
        Climate { folds_often, spills, ages, laws: self.laws }
    }

    /// Runs the sequence from its beginning.
    pub(crate) fn run(&self) -> Result<Tally, Box<Failure>> {
        let climate = self.climate();
        let (mut world, mut log) = (World::new(climate), vec![format!("{climate:?}")]);
        let (mut step, mut ended) = (0, caught(|| world.fill()));
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

//! Updates answered with 403, or with 401 under a token that was read again and is the same: the row's fault or the token's,
//! which a neighbor's answer will show.
//!
//! They stand in no queue meanwhile, and no attempt counts against them. Not here: the token's own state (`token.rs`), and
//! what is done with the suspects (`ruling.rs`).

use std::collections::BTreeMap;

use super::decision::UpdateId;
use super::outcome::Failure;

/// Refusals in a row after which the token is suspected: as many as the first contact takes for everybody.
pub(super) const FORBIDDEN_MAX: u32 = 20;

/// The same under a token that was refused, read again, and is the same.
pub(super) const DOUBTED_MAX: u32 = 2;

#[derive(Debug)]
struct Suspect {
    failure: Failure,
    /// Attempts launched when its answer came: only those launched later testify.
    after: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    suspects: BTreeMap<UpdateId, Suspect>,
    /// Refusals since the last success, of rows that are not chronic.
    streak: u32,
    /// Number of the attempt that the streak begins with.
    streak_from: u64,
}

impl Suspects {
    pub(super) fn is_empty(&self) -> bool {
        self.suspects.is_empty()
    }

    /// Refusals since the last success.
    pub(super) fn streak(&self) -> u32 {
        self.streak
    }

    /// Takes one in: the number of its attempt, and how many are launched by now. A chronic row testifies to nothing.
    pub(super) fn add(&mut self, id: UpdateId, failure: Failure, number: u64, launched: u64, chronic: bool) {
        self.suspects.insert(id, Suspect { failure, after: launched });
        if !chronic {
            if self.streak == 0 {
                self.streak_from = number;
            }
            self.streak = self.streak.saturating_add(1);
        }
    }

    /// An attempt was acknowledged under the token in force. Returns those refused alone: it was launched when their refusals
    /// were known, so the token was good after them.
    pub(super) fn on_passed(&mut self, number: u64) -> Vec<(UpdateId, Failure)> {
        if number > self.streak_from {
            self.streak = 0;
        }
        let (alone, stay) =
            std::mem::take(&mut self.suspects).into_iter().partition(|(_, suspect)| suspect.after < number);
        self.suspects = stay;
        BTreeMap::into_iter(alone).map(|(id, suspect)| (id, suspect.failure)).collect()
    }

    /// Takes all out; the streak goes on, for what it tells of the rows behind them.
    pub(super) fn take(&mut self) -> Vec<(UpdateId, Failure)> {
        std::mem::take(&mut self.suspects).into_iter().map(|(id, suspect)| (id, suspect.failure)).collect()
    }

    /// The token is read again: what comes now is judged afresh.
    pub(super) fn begin_anew(&mut self) {
        self.streak = 0;
    }
}

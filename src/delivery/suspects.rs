//! Updates answered with 403, or with 401 under a token that was read again and is the same: the row's fault or the
//! token's, which a neighbor's answer will show.
//!
//! They stand in no queue meanwhile, and no attempt counts against them. Not here: the token's own state
//! (`token.rs`), and what is done with the suspects (`turned_away.rs`).

use std::collections::BTreeMap;

use super::decision::UpdateId;
use super::outcome::Failure;

/// Refusals in a row after which the token is suspected: as many as the first contact takes for everybody.
pub(super) const FORBIDDEN_MAX: u32 = 20;

/// Refusals in a row that end by themselves from which each is tried once more: a blip strikes several.
const SEVERAL_MIN: u32 = 2;

/// The same under a token that was refused, read again, and is the same.
pub(super) const DOUBTED_MAX: u32 = 2;

/// The same while such a token is on trial at a target that has accepted something: so many are tried one by one, the
/// first of those that were refused and then others from anywhere, because rows that are refused for their own sake
/// stand together.
pub(super) const TRIED_MAX: u32 = 5;

#[derive(Debug)]
struct Suspect {
    failure: Failure,
    /// Attempts launched when its answer came: only those launched later testify.
    after: u64,
    /// Whether it testifies: neither chronic nor refused before.
    counts: bool,
    /// Whether one that passes shows nothing of it yet: others were refused in a row with it, which then ended by
    /// itself; or nobody had passed under a new token.
    is_tried_again: bool,
}

/// What becomes of those that were refused before somebody passed.
#[derive(Debug, Default)]
pub(super) struct Cleared {
    /// Refused for their own sake.
    pub(super) alone: Vec<(UpdateId, Failure)>,
    /// Refused with others in a row: tried once more.
    pub(super) again: Vec<UpdateId>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    suspects: BTreeMap<UpdateId, Suspect>,
    /// Refusals since the last success, of rows that are not chronic.
    streak: u32,
    /// Number of the attempt that the streak begins with.
    streak_from: u64,
    /// Attempts launched before the last refusal of a streak that ended by itself was known: one of them that is
    /// refused later was refused with those.
    several_to: u64,
}

impl Suspects {
    pub(super) fn is_empty(&self) -> bool {
        self.suspects.is_empty()
    }

    /// All of them.
    pub(super) fn ids(&self) -> impl Iterator<Item = UpdateId> {
        self.suspects.keys().copied()
    }

    /// Whether one of them was answered with 401.
    pub(super) fn are_unauthorized(&self) -> bool {
        self.suspects.values().any(|suspect| suspect.failure.status == Some(401))
    }

    /// Refusals since the last success.
    pub(super) fn streak(&self) -> u32 {
        self.streak
    }

    /// Takes one in: the number of its attempt, and how many are launched by now. Where it does not count, because it
    /// is chronic or was refused before, it testifies to nothing.
    pub(super) fn add(&mut self, id: UpdateId, failure: Failure, number: u64, launched: u64, counts: bool) {
        let is_tried_again = counts && number <= self.several_to;
        self.suspects.insert(id, Suspect { failure, after: launched, counts, is_tried_again });
        if counts {
            if self.streak == 0 {
                self.streak_from = number;
            }
            self.streak = self.streak.saturating_add(1);
        }
    }

    /// One was refused under a new token that nobody has passed under yet: it may take a moment until that is known
    /// everywhere.
    pub(super) fn try_once_more(&mut self, id: UpdateId) {
        if let Some(suspect) = self.suspects.get_mut(&id) {
            suspect.is_tried_again = true;
        }
    }

    /// Takes one in that was on the wire when the token was doubted already: it was refused with those that made it so.
    pub(super) fn add_beside(&mut self, id: UpdateId, failure: Failure, launched: u64, counts: bool) {
        self.suspects.insert(id, Suspect { failure, after: launched, counts, is_tried_again: counts });
    }

    /// An attempt was acknowledged under the token in force. Returns those whose refusal was known when it was
    /// launched: the token was good after them.
    pub(super) fn on_passed(&mut self, number: u64) -> Cleared {
        if number > self.streak_from {
            if self.streak >= SEVERAL_MIN {
                for suspect in self.suspects.values_mut() {
                    suspect.is_tried_again |= suspect.counts;
                    self.several_to = self.several_to.max(suspect.after);
                }
            }
            self.streak = 0;
        }
        let (known, stay) =
            std::mem::take(&mut self.suspects).into_iter().partition(|(_, suspect)| suspect.after < number);
        self.suspects = stay;
        let mut cleared = Cleared::default();
        for (id, suspect) in BTreeMap::into_iter(known) {
            if suspect.is_tried_again {
                cleared.again.push(id);
            } else {
                cleared.alone.push((id, suspect.failure));
            }
        }
        cleared
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

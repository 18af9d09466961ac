//! Updates answered with a redirect where the target has accepted something before: the row's own, or a new address for
//! everybody, which a neighbor's answer will show.
//!
//! Not here: first contact, where one redirect is the wrong address (`turned_away.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::decision::UpdateId;
use super::guard::LAST_SUBJECTS;
use super::outcome::Failure;

/// Redirects in a row that may be everybody's: as many subjects as say enough at first contact. Others are tried
/// then, one by one and from anywhere, because rows that are redirected for their own sake stand together.
const IN_A_ROW_MAX: usize = LAST_SUBJECTS;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Redirects {
    /// With how many attempts were launched when its answer came: only those launched later testify.
    waiting: BTreeMap<UpdateId, (u64, Failure)>,
    /// Those of them that are not chronic.
    plain: BTreeSet<UpdateId>,
    /// Redirects since the last success, of rows that are not chronic; each is of another subject, because one that
    /// waits holds up its own.
    streak: usize,
    /// Number of the attempt that the streak begins with.
    streak_from: u64,
    /// Attempts launched when there were so many in a row that others are tried, and how many of those were
    /// redirected, too.
    trial: Option<(u64, u32)>,
    /// Whether anybody has passed in this run.
    has_passed: bool,
}

impl Redirects {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes one in: the number of its attempt, and how many are launched by now. A row that is known to be
    /// redirected for its own sake testifies to nothing.
    pub(super) fn add(&mut self, id: UpdateId, failure: Failure, number: u64, launched: u64, is_known: bool) {
        self.waiting.insert(id, (launched, failure));
        if is_known {
            return;
        }
        self.plain.insert(id);
        if self.streak == 0 {
            self.streak_from = number;
        }
        self.streak += 1;
        if let Some((from, tried)) = &mut self.trial {
            *tried += u32::from(number > *from);
        } else if self.streak >= IN_A_ROW_MAX {
            self.trial = Some((launched, 0));
        }
    }

    /// All of them.
    pub(super) fn ids(&self) -> impl Iterator<Item = UpdateId> {
        self.waiting.keys().copied()
    }

    /// How many are not known to fail on their own.
    pub(super) fn plain(&self) -> usize {
        self.plain.len()
    }

    /// Whether others are tried, one by one: it is the rows, or the address.
    pub(super) fn are_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Whether anybody has passed in this run.
    pub(super) fn has_passed(&self) -> bool {
        self.has_passed
    }

    /// Whether the address is wrong, and no row is: of so many others that were tried none has passed.
    pub(super) fn are_everybodys(&self, tried_max: u32) -> bool {
        self.trial.is_some_and(|(_, tried)| tried >= tried_max)
    }

    /// An attempt was acknowledged. Returns those whose redirect was known when it was launched: it is their own.
    pub(super) fn on_passed(&mut self, number: u64) -> Vec<(UpdateId, Failure)> {
        self.has_passed = true;
        if number > self.streak_from {
            (self.streak, self.trial) = (0, None);
        }
        let (known, stay) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, (after, _))| *after < number);
        self.waiting = stay;
        self.plain.retain(|id| self.waiting.contains_key(id));
        BTreeMap::into_iter(known).map(|(id, (_, failure))| (id, failure)).collect()
    }

    /// Whether they would be taken for their rows' own if nobody were left who could pass: not where nobody ever
    /// passed in this run, or too many are redirected in a row, and some of them are not known to fail on their own,
    /// as chronic ones are and, where that is so, all that are left.
    pub(super) fn seem_own(&self, are_all_known: bool) -> bool {
        self.has_passed && self.trial.is_none() || are_all_known || self.plain.is_empty()
    }

    /// All of them, which wait no longer.
    pub(super) fn take(&mut self) -> Vec<(UpdateId, Failure)> {
        std::mem::take(&mut self.waiting).into_iter().map(|(id, (_, failure))| (id, failure)).collect()
    }

    /// The status of the first.
    pub(super) fn status(&self) -> u16 {
        self.waiting.values().find_map(|(_, failure)| failure.status).unwrap_or_default()
    }

    /// Forgets all: their updates stay pending.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
    }
}

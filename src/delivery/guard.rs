//! First contact: at a target, envelope and mapping never acknowledged before, refusals are kept back until the
//! first success has shown that something can be accepted at all.
//!
//! Twenty refused subjects and no success mean a wrong envelope, path or mapping, or a server that rewrites
//! values; then nothing is marked failed. So do three, when nothing is left to try: a canary, a small export. Not here:
//! who marks the target proven (the caller).

use std::collections::{BTreeMap, HashSet};

use super::decision::UpdateId;
use super::outcome::{Failure, StopCause};
use crate::digest::SubjectId;

/// Subjects refused without a success that say enough when nothing is left to try; fewer may be wrong themselves.
pub(super) const LAST_SUBJECTS: usize = 3;

/// The guard at first contact.
#[derive(Debug)]
pub(super) struct Guard {
    is_proven: bool,
    has_given_up: bool,
    /// Whether the API has complained of a conflict: then it has understood what it was sent.
    has_understood: bool,
    subjects_max: usize,
    subjects: HashSet<SubjectId>,
    complaints: BTreeMap<String, u64>,
    withheld: Vec<(UpdateId, Failure)>,
}

impl Guard {
    /// A guard; idle when the target is proven.
    pub(super) fn new(is_proven: bool, subjects_max: u32) -> Guard {
        Guard {
            is_proven,
            has_given_up: false,
            has_understood: false,
            subjects_max: usize::try_from(subjects_max).unwrap_or(usize::MAX),
            subjects: HashSet::new(),
            complaints: BTreeMap::new(),
            withheld: Vec::new(),
        }
    }

    /// Whether refusals are kept back.
    pub(super) fn is_on(&self) -> bool {
        !self.is_proven
    }

    /// Whether so many were refused that others are tried from anywhere: rows that are wrong themselves stand together.
    pub(super) fn seeks_others(&self) -> bool {
        self.is_on() && 2 * self.subjects.len() >= self.subjects_max
    }

    /// Whether verdicts are being kept back.
    pub(super) fn withholds(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// Keeps a refusal or an echo mismatch back. Returns why to stop, when enough have gathered; chronic rows,
    /// refused in earlier batches, are kept back with the others and testify to nothing.
    pub(super) fn withhold(
        &mut self,
        id: UpdateId,
        subject: SubjectId,
        chronic: bool,
        failure: Failure,
    ) -> Option<StopCause> {
        if chronic {
            self.withheld.push((id, failure));
            return None;
        }
        self.subjects.insert(subject);
        *self.complaints.entry(failure.signature.clone()).or_default() += 1;
        self.withheld.push((id, failure));
        if self.subjects.len() < self.subjects_max {
            return None;
        }
        Some(self.stop())
    }

    fn stop(&mut self) -> StopCause {
        self.has_given_up = true;
        // The first of equally frequent complaints in alphabetical order, so that a run can be repeated.
        let worst =
            self.complaints.iter().max_by(|left, right| left.1.cmp(right.1).then(right.0.cmp(left.0)));
        StopCause::NothingAccepted {
            signature: worst.map(|(signature, _)| signature.clone()).unwrap_or_default(),
            subjects: self.subjects.len() as u64,
        }
    }

    /// A conflict, which only who has understood an update can find.
    pub(super) fn on_conflict(&mut self) {
        self.has_understood = true;
    }

    /// The first success. Returns the verdicts kept back, to be pronounced as they are; none once the run was
    /// stopped for want of a success, because then nothing may be marked failed.
    pub(super) fn on_success(&mut self) -> Option<Vec<(UpdateId, Failure)>> {
        if self.is_proven {
            return None;
        }
        self.is_proven = true;
        self.subjects = HashSet::new();
        self.complaints = BTreeMap::new();
        Some(if self.has_given_up { Vec::new() } else { std::mem::take(&mut self.withheld) })
    }

    /// Nothing else is left that could bring a success: why to stop, where enough has been refused, or else the
    /// verdicts.
    pub(super) fn give_up_waiting(&mut self) -> Result<Vec<(UpdateId, Failure)>, StopCause> {
        if self.withholds() && self.subjects.len() >= LAST_SUBJECTS && !self.has_understood {
            return Err(self.stop());
        }
        Ok(std::mem::take(&mut self.withheld))
    }

    /// Forgets the verdicts kept back: their updates stay pending.
    pub(super) fn forget(&mut self) {
        self.withheld.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::FailureKind;

    fn failure(signature: &str) -> Failure {
        Failure {
            kind: FailureKind::Refused,
            status: Some(422),
            signature: signature.to_owned(),
            maybe_applied: false,
        }
    }

    #[test]
    fn subjects_are_counted_and_not_updates() {
        let mut guard = Guard::new(false, 2);
        let subject = SubjectId([1; 16]);
        for id in 0..10 {
            assert_eq!(guard.withhold(id, subject, false, failure("a")), None);
        }
        let stop = guard.withhold(10, SubjectId([2; 16]), false, failure("b"));
        assert_eq!(stop, Some(StopCause::NothingAccepted { signature: "a".into(), subjects: 2 }));
        assert_eq!(guard.on_success(), Some(Vec::new()), "given up: nothing is marked failed");
    }

    #[test]
    fn the_first_success_lets_everything_out_once() {
        let mut guard = Guard::new(false, 20);
        guard.withhold(3, SubjectId([1; 16]), false, failure("a"));
        assert_eq!(guard.on_success(), Some(vec![(3, failure("a"))]));
        assert_eq!(guard.on_success(), None);
        assert!(!guard.is_on());
    }

    #[test]
    fn three_subjects_say_enough_when_nothing_is_left_unless_a_conflict_was_understood() {
        let refused = |subjects: u8| {
            let mut guard = Guard::new(false, 20);
            for subject in 0..subjects {
                guard.withhold(u64::from(subject), SubjectId([subject; 16]), false, failure("a"));
            }
            guard
        };
        assert_eq!(refused(2).give_up_waiting().map(|withheld| withheld.len()), Ok(2));
        let stop = StopCause::NothingAccepted { signature: "a".into(), subjects: 3 };
        assert_eq!(refused(3).give_up_waiting(), Err(stop));
        let mut understood = refused(3);
        understood.on_conflict();
        assert_eq!(understood.give_up_waiting().map(|withheld| withheld.len()), Ok(3));
    }
}

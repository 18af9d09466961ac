//! Refusals in a row: one complaint about subject after subject, and nobody acknowledged between them, is the API's
//! change of mind (another version, a portal, an account closed) and no fault of so many rows.
//!
//! Not here: first contact, where nothing was ever acknowledged (`guard.rs`).

use std::collections::HashSet;

use super::outcome::StopCause;
use crate::digest::SubjectId;

/// The latest refusals, as long as they are alike.
#[derive(Debug)]
pub(super) struct InARow {
    subjects_max: usize,
    signature: String,
    subjects: HashSet<SubjectId>,
}

impl InARow {
    /// None so far; with a bound of 0 they are not counted.
    pub(super) fn new(subjects_max: u32) -> InARow {
        let subjects_max = usize::try_from(subjects_max).unwrap_or(usize::MAX);
        InARow { subjects_max, signature: String::new(), subjects: HashSet::new() }
    }

    /// A definite refusal, or an echo mismatch. Returns why to stop, when the bound is reached.
    pub(super) fn on_refused(&mut self, subject: SubjectId, signature: &str) -> Option<StopCause> {
        if self.subjects_max == 0 {
            return None;
        }
        if self.signature != signature {
            self.forget();
            signature.clone_into(&mut self.signature);
        }
        self.subjects.insert(subject);
        (self.subjects.len() >= self.subjects_max).then(|| StopCause::RefusalsInARow {
            signature: signature.to_owned(),
            subjects: self.subjects.len() as u64,
        })
    }

    /// An answer that shows that the API still takes or understands something.
    pub(super) fn forget(&mut self) {
        self.subjects.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(number: u8) -> SubjectId {
        SubjectId([number; 16])
    }

    #[test]
    fn only_alike_refusals_of_different_subjects_without_an_acknowledgement_count() {
        let mut row = InARow::new(3);
        for (number, signature) in [(1, "a"), (2, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "a")] {
            assert_eq!(row.on_refused(subject(number), signature), None, "{number}");
        }
        row.forget();
        assert_eq!(row.on_refused(subject(6), "a"), None);
        assert_eq!(row.on_refused(subject(7), "a"), None);
        let stop = StopCause::RefusalsInARow { signature: "a".into(), subjects: 3 };
        assert_eq!(row.on_refused(subject(8), "a"), Some(stop));
        let mut never = InARow::new(0);
        assert!((0..200).all(|number| never.on_refused(subject(number), "a").is_none()));
    }
}

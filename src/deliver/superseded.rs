//! What overtook a superseded row, in words: the fields, and the row and run that set them since; never a value.
//!
//! Wiring. Not here: the ruling itself (`plan/`), and the file it is told in (`rows.rs`).

use std::collections::{BTreeMap, HashMap};

use crate::digest::SubjectId;
use crate::input::{Inputs, Pass, SourceError};
use crate::ledger::{FieldState, LedgerEntry};
use crate::plan::{DuplicatePolicy, Plan, Ruling};
use crate::row::Version;
use crate::survey::{Judge, Judged, SUPERSEDED};
use crate::update::{FieldKind, FieldSet};

/// Subjects for which the row that is taken instead is named; of further ones it is only said that there is one.
const TAKEN_MAX: usize = 100_000;

/// Who knows what is newer than a superseded row.
pub struct Newer<'a> {
    /// What the ledger holds of a subject.
    pub entry: &'a dyn Fn(SubjectId) -> Option<LedgerEntry>,
    /// The newest run on a batch of the target.
    pub run: &'a dyn Fn(u64) -> Option<String>,
    /// The policy on several rows for one subject.
    pub duplicates: DuplicatePolicy,
    /// The batch of this run.
    pub batch: u64,
}

impl std::fmt::Debug for Newer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Newer").field("batch", &self.batch).finish_non_exhaustive()
    }
}

fn names(fields: FieldSet) -> String {
    fields.iter().map(FieldKind::name).collect::<Vec<&str>>().join(", ")
}

/// A superseded row, as it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overtaken {
    pub(super) subject: SubjectId,
    pub(super) version: Version,
    /// Its fields, less the key.
    pub(super) present: FieldSet,
    /// Those that something newer has set.
    pub(super) left_out: FieldSet,
}

/// Tells why rows are superseded.
pub(super) struct Superseded<'a> {
    newer: Newer<'a>,
    /// Under `last` and `first`: the row that is taken of a subject, once it is known.
    taken: HashMap<SubjectId, Option<u64>>,
}

impl<'a> Superseded<'a> {
    /// Reads the inputs for the rows that are taken instead, where a policy takes one.
    pub(super) fn find(
        newer: Newer<'a>,
        plan: &Plan,
        inputs: &mut Inputs,
        judge: &mut Judge<'_>,
    ) -> Result<Superseded<'a>, SourceError> {
        let mut taken = HashMap::new();
        let is_alone = match newer.duplicates {
            DuplicatePolicy::Last | DuplicatePolicy::First => true,
            DuplicatePolicy::Fold | DuplicatePolicy::Each | DuplicatePolicy::Reject => false,
        };
        if is_alone && plan.facts().rows.superseded > 0 {
            // Under `first` the row taken stands before those that give way, hence two readings.
            let is_superseded = |ruling| ruling == Ruling::Superseded;
            each_row(inputs, plan, judge, is_superseded, |_, _, subject| {
                if taken.len() < TAKEN_MAX {
                    taken.insert(subject, None);
                }
            })?;
            let may_be_taken = |ruling| !matches!(ruling, Ruling::Superseded | Ruling::Duplicate);
            each_row(inputs, plan, judge, may_be_taken, |_, ordinal, subject| {
                if let Some(slot) = taken.get_mut(&subject) {
                    *slot = Some(ordinal);
                }
            })?;
        }
        Ok(Superseded { newer, taken })
    }

    /// The reason and what is said of it.
    pub(super) fn why(&self, row: &Overtaken) -> (String, String) {
        // What is left of it could have been sent, if another row were not taken instead. Where none is, it is the one
        // that would have been, and nothing of it was left to send.
        let is_none_taken = self.taken.get(&row.subject).is_some_and(Option::is_none);
        let gives_way = match self.newer.duplicates {
            DuplicatePolicy::Last | DuplicatePolicy::First => {
                (row.left_out != row.present || row.present.is_empty())
                    && (row.left_out.is_empty() || !is_none_taken)
            }
            DuplicatePolicy::Fold | DuplicatePolicy::Each | DuplicatePolicy::Reject => false,
        };
        if !gives_way {
            return (SUPERSEDED.into(), self.newer_facts(row));
        }
        let policy = self.newer.duplicates.name();
        let by = match self.taken.get(&row.subject).copied().flatten() {
            Some(ordinal) => format!("row {ordinal} of this input"),
            None => "another row of its subject".into(),
        };
        (format!("{SUPERSEDED}.{policy}"), format!("gives way to {by} (duplicates = \"{policy}\")"))
    }

    /// What has set the fields since, one clause for each row that did.
    fn newer_facts(&self, row: &Overtaken) -> String {
        let entry = (self.newer.entry)(row.subject);
        let mut by: BTreeMap<(Option<Version>, bool), FieldSet> = BTreeMap::new();
        let (mut corrected, mut is_in_part) = (FieldSet::EMPTY, false);
        for kind in row.left_out.iter() {
            let field = entry.as_ref().and_then(|entry| entry.field(kind));
            let newer = field.filter(|field| field.version > row.version);
            if newer.is_none() && entry.as_ref().is_some_and(|entry| entry.was_corrected(kind, row.version)) {
                corrected.insert(kind);
                continue;
            }
            let is_unknown = newer.is_some_and(|field| field.state == FieldState::Unknown);
            let is_of_batch = newer.is_some_and(|field| field.version.batch == row.version.batch);
            is_in_part |= is_unknown && is_of_batch && self.may_be_of_one_update();
            by.entry((newer.map(|field| field.version), is_unknown)).or_default().insert(kind);
        }
        if !corrected.is_empty() {
            // Of a row that was corrected the rest is left out with it, and nothing has overtaken that.
            by.remove(&(None, false));
        }
        let clauses = by.into_iter().map(|((version, is_unknown), fields)| {
            let may = if is_unknown { "may have been set" } else { "set" };
            let by =
                version.map_or_else(|| "a newer row of this input".into(), |version| self.place(version));
            format!("{} {may} since by {by}", names(fields))
        });
        let corrected = (!corrected.is_empty())
            .then(|| format!("{} acknowledged since as the row was corrected", names(corrected)));
        // Both may have been of one update, which only its rows together tell.
        let together = is_in_part.then(|| "fed back together with that row it is sent".to_owned());
        corrected.into_iter().chain(clauses).chain(together).collect::<Vec<String>>().join("; ")
    }

    /// Whether several rows can have been one update. Under `each` they were several, of which the last is meant.
    fn may_be_of_one_update(&self) -> bool {
        match self.newer.duplicates {
            DuplicatePolicy::Each => false,
            DuplicatePolicy::Fold
            | DuplicatePolicy::Last
            | DuplicatePolicy::First
            | DuplicatePolicy::Reject => true,
        }
    }

    fn place(&self, version: Version) -> String {
        let Version { batch, ordinal } = version;
        if batch == self.newer.batch {
            return format!("row {ordinal} of this batch");
        }
        match (self.newer.run)(batch) {
            Some(run) => format!("row {ordinal} of run {run}"),
            None => format!("row {ordinal} of batch {batch}"),
        }
    }
}

/// Reads the inputs once more for the subjects of valid rows with such a ruling.
pub(super) fn each_row(
    inputs: &mut Inputs,
    plan: &Plan,
    judge: &mut Judge<'_>,
    is_wanted: impl Fn(Ruling) -> bool,
    mut look: impl FnMut(Ruling, u64, SubjectId),
) -> Result<(), SourceError> {
    let mut reader = inputs.read(Pass::Again);
    while let Some(row) = reader.next_row()? {
        let Ok(row) = row else { continue };
        let ordinal = row.place().ordinal;
        let ruling = plan.ruling(ordinal);
        if !is_wanted(ruling) || matches!(ruling, Ruling::Rejected | Ruling::Filtered | Ruling::Elsewhere) {
            continue;
        }
        if let Judged::Valid { subject, .. } = judge.row(&row) {
            look(ruling, ordinal, subject);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::FieldHash;
    use crate::ledger::LedgerField;
    use crate::update::FieldKind::{Imsi, Number, UserClass, Username};

    const SUBJECT: SubjectId = SubjectId([1; 16]);

    fn entry(_: SubjectId) -> Option<LedgerEntry> {
        let mut entry = LedgerEntry::new(SUBJECT);
        let known = FieldState::Known(FieldHash(1));
        for (kind, state, batch, ordinal) in [
            (UserClass, known, 3, 7),
            (Username, known, 3, 7),
            (Number, FieldState::Unknown, 4, 2),
            (Imsi, known, 1, 1),
        ] {
            entry.fields[kind.index()] = Some(LedgerField { state, version: Version { batch, ordinal } });
        }
        Some(entry)
    }

    fn run(batch: u64) -> Option<String> {
        (batch == 3).then(|| "20260101T000000Z-00aa".to_owned())
    }

    fn why(
        duplicates: DuplicatePolicy,
        present: &[crate::update::FieldKind],
        left_out: &[crate::update::FieldKind],
    ) -> (String, String) {
        let newer = Newer { entry: &entry, run: &run, duplicates, batch: 5 };
        let superseded = Superseded { newer, taken: [(SUBJECT, Some(9))].into() };
        superseded.why(&Overtaken {
            subject: SUBJECT,
            version: Version { batch: 2, ordinal: 4 },
            present: present.iter().copied().collect(),
            left_out: left_out.iter().copied().collect(),
        })
    }

    #[test]
    fn fields_are_told_with_the_row_and_run_that_set_them() {
        let all = [UserClass, Username, Number, Imsi];
        let (reason, detail) = why(DuplicatePolicy::Fold, &all, &all);
        assert_eq!(reason, "superseded");
        assert_eq!(
            detail,
            "imsi set since by a newer row of this input; username, user_class set since by row 7 of run \
             20260101T000000Z-00aa; number may have been set since by row 2 of batch 4"
        );
    }

    #[test]
    fn rows_fed_back_together_are_promised_to_be_sent_only_where_they_can_have_been_one_update() {
        let why = |duplicates| {
            let newer = Newer { entry: &entry, run: &run, duplicates, batch: 5 };
            let version = Version { batch: 4, ordinal: 1 };
            let number = FieldSet::only(Number);
            let row = Overtaken { subject: SUBJECT, version, present: number, left_out: number };
            Superseded { newer, taken: HashMap::new() }.why(&row).1
        };
        let since = "number may have been set since by row 2 of batch 4";
        assert_eq!(why(DuplicatePolicy::Each), since);
        assert_eq!(
            why(DuplicatePolicy::Fold),
            format!("{since}; fed back together with that row it is sent")
        );
    }

    #[test]
    fn a_row_that_gives_way_names_the_one_that_is_taken() {
        for (policy, name) in [(DuplicatePolicy::Last, "last"), (DuplicatePolicy::First, "first")] {
            let (reason, detail) = why(policy, &[UserClass, Imsi], &[UserClass]);
            assert_eq!(reason, format!("superseded.{name}"));
            assert_eq!(detail, format!("gives way to row 9 of this input (duplicates = \"{name}\")"));
            // Overtaken as a whole, it would not have been sent under any policy.
            assert_eq!(why(policy, &[UserClass], &[UserClass]).0, "superseded");
        }
    }
}

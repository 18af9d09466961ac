//! Samples of a plan: a few of its updates with their values, masked so that they identify nobody.
//!
//! The plan knows ordinals and hashes only, so that the inputs are read once more, up to the last sample. Not here:
//! which updates are samples (`plan/`), how they are shown (`report/`).

use std::collections::HashMap;

use super::fatal::Fatal;
use crate::digest::SubjectId;
use crate::event::{ChangeSample, FieldBefore, FieldChange};
use crate::input::{Inputs, Pass};
use crate::plan::{Plan, Sample};
use crate::row::Place;
use crate::survey::{Judge, Judged};
use crate::update::{FieldKind, FieldSet};

/// Characters of a value that are shown at its end.
const SHOWN: usize = 2;

/// Characters a value must have for its end to be shown: of a shorter one, the end would be too much.
const SHOWN_OF_MIN: usize = 6;

/// Stands for what is not shown.
const HIDDEN: char = '…';

/// New values by field, masked; empty where the field is cleared.
type Values = HashMap<FieldKind, String>;

/// What is known of an update while its rows are read.
struct Found {
    place: Place,
    subject: SubjectId,
    /// Of the row that carries it.
    values: Values,
    /// Of earlier rows that fold into it.
    folded: Values,
}

/// The plan's samples, with the values they set, masked.
pub(super) fn samples(
    inputs: &mut Inputs,
    plan: &Plan,
    judge: &Judge<'_>,
) -> Result<Vec<ChangeSample>, Fatal> {
    let samples = plan.samples();
    let Some(last) = samples.iter().map(|sample| sample.ordinal).max() else { return Ok(Vec::new()) };
    let mut found: HashMap<u64, Found> = HashMap::new();
    read(inputs, judge.again(), last, &mut |place, subject, judge| {
        if samples.iter().any(|sample| sample.ordinal == place.ordinal) {
            let values = values(judge, plan.beside(place.ordinal)?.left_out);
            found.insert(place.ordinal, Found { place, subject, values, folded: Values::new() });
        }
        Ok(())
    })?;
    let is_whole = |sample: &Sample| {
        let found = found.get(&sample.ordinal);
        sample.changed.iter().all(|kind| found.is_some_and(|found| found.values.contains_key(&kind)))
    };
    if !samples.iter().all(is_whole) {
        // Some values are those of earlier rows, folded into the update. Whom it is about is known by now.
        let carriers: HashMap<SubjectId, u64> =
            found.iter().map(|(ordinal, found)| (found.subject, *ordinal)).collect();
        read(inputs, judge.again(), last, &mut |place, subject, judge| {
            if plan.ruling(place.ordinal).is_folded()
                && let Some(found) = carriers.get(&subject).and_then(|carrier| found.get_mut(carrier))
                && place.ordinal < found.place.ordinal
            {
                // In file order, later present fields win.
                found.folded.extend(values(judge, plan.beside(place.ordinal)?.left_out));
            }
            Ok(())
        })?;
    }
    Ok(samples.iter().filter_map(|sample| Some(told(sample, found.get(&sample.ordinal)?))).collect())
}

/// Reads the valid rows up to an ordinal.
fn read(
    inputs: &mut Inputs,
    mut judge: Judge<'_>,
    last: u64,
    take: &mut dyn FnMut(Place, SubjectId, &Judge<'_>) -> Result<(), Fatal>,
) -> Result<(), Fatal> {
    let mut reader = inputs.read(Pass::Again);
    while let Some(row) = reader.next_row()? {
        let (place, judged) = judge.read(&row);
        if let Judged::Valid { subject, .. } = judged {
            take(place, subject, &judge)?;
        }
        if place.ordinal >= last {
            break;
        }
    }
    Ok(())
}

/// What the row judged last sets, masked.
fn values(judge: &Judge<'_>, left_out: FieldSet) -> Values {
    let fields = judge.checked.fields.iter().filter(|(kind, _)| !left_out.contains(*kind));
    fields.map(|(kind, value)| (kind, mask(kind, value))).collect()
}

fn told(sample: &Sample, found: &Found) -> ChangeSample {
    let change = |field: FieldKind| {
        let masked = found.values.get(&field).or_else(|| found.folded.get(&field))?.clone();
        let before = if sample.is_new {
            FieldBefore::New
        } else if sample.known.contains(field) {
            FieldBefore::Known
        } else {
            FieldBefore::Unknown
        };
        Some(FieldChange { field, before, is_cleared: masked.is_empty(), masked })
    };
    let changes = sample.changed.iter().filter_map(change).collect();
    ChangeSample { place: found.place, is_new: sample.is_new, changes }
}

/// A value of which no more than the last two characters are left; of a password nothing.
fn mask(kind: FieldKind, value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    let count = value.chars().count();
    let shown = if kind == FieldKind::Password || count < SHOWN_OF_MIN { 0 } else { SHOWN };
    std::iter::once(HIDDEN).chain(value.chars().skip(count - shown)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_leaves_two_characters_of_a_longer_value_and_nothing_of_a_password() {
        for (kind, value, masked) in [
            (FieldKind::Number, "+447910000042", "…42"),
            (FieldKind::Username, "ann@exämplé", "…lé"),
            (FieldKind::UserClass, "premium", "…um"),
            (FieldKind::UserClass, "basic", "…"),
            (FieldKind::GenericId, "A1", "…"),
            (FieldKind::Password, "$2y$10$abcdefghijklmnopqrstuv", "…"),
            (FieldKind::Imsi, "", ""),
        ] {
            assert_eq!(mask(kind, value), masked, "{kind}");
        }
    }
}

//! Where the rows stand that the plan names: it knows ordinals only, so the inputs are read once more where there are
//! any.
//!
//! Not here: what is said of them (`report/`), the rulings (`plan/`).

use std::collections::{BTreeMap, BTreeSet};

use super::fatal::Fatal;
use super::job::Job;
use super::parts;
use crate::count::plural;
use crate::digest::{SubjectId, SubjectTag};
use crate::event::{Event, PlanFacts};
use crate::fields::{RuleId, Severity};
use crate::journal::{Journal, JournalError};
use crate::ledger::{ClearedFirst, LedgerEntry};
use crate::plan::{self, Plan, Ruling, SharedKind};
use crate::row::Place;
use crate::survey::{Emitter, Judge};
use crate::update::{FieldKind, FieldSet};

/// Places of in-doubt rows named in an event, at most.
const IN_DOUBT_PLACES_MAX: usize = 20;

/// Rows of cleared subjects that are named, at most.
const CLEARED_NAMED_MAX: usize = 10;

/// Cleared subjects that are looked for among rows that are rejected or filtered, at most.
const CLEARED_SOUGHT_MAX: usize = 10_000;

/// Where the rows stand that the plan names.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Of the first updates in doubt that are sent again.
    pub(super) in_doubt: Vec<Place>,
    /// Of the rows that carry the updates of the first true swaps, swap by swap.
    pub(super) swaps: Vec<Vec<Place>>,
    /// Of the first row with the key value that too many rows have.
    pub(super) key_repeated: Option<Place>,
    /// Of the rows whose subjects an earlier run has cleared, and that are sent, ascending.
    pub(super) cleared: Vec<Place>,
    /// Of the first rows of those that are given nothing.
    pub(super) cleared_still: Vec<Place>,
}

impl Job<'_> {
    /// Tells the places of rows that the plan rejected by policy or warns of, and finds those of the first rows in
    /// doubt: the plan knows ordinals only, so the inputs are read once more where there are any.
    pub(super) fn tell_places(&mut self, plan: &Plan, emitter: &mut Emitter<'_>) -> Result<Places, Fatal> {
        let facts = plan.facts();
        let repeated = plan::many_rows(&facts, &parts::gate_rules(self.settings));
        let in_doubt = plan.in_doubt_ordinals();
        let is_any_by_policy = plan.is_any_rejected_by_policy();
        let mut places = Places { swaps: vec![Vec::new(); plan.swaps().len()], ..Places::default() };
        let (cleared, cleared_still) = (plan.cleared_before(), plan.cleared_still());
        let swapping = swapping(plan);
        let shared: Vec<(SharedKind, bool)> = SharedKind::ALL
            .into_iter()
            .filter(|kind| plan.is_any_shared(*kind))
            .filter_map(|kind| Some((kind, self.is_warning(kind)?)))
            .collect();
        let is_any_named = !in_doubt.is_empty()
            || !swapping.is_empty()
            || !cleared.is_empty()
            || !cleared_still.is_empty()
            || repeated.is_some();
        if !is_any_named && !is_any_by_policy && shared.is_empty() {
            return Ok(places);
        }
        let mut reader = self.inputs.read(crate::input::Pass::Again);
        while let Some(row) = reader.next_row()? {
            let place = match row {
                Ok(row) => row.place(),
                Err(error) => error.place,
            };
            if plan.is_rejected_by_policy(place.ordinal) {
                emitter.emit(Event::RowRejected {
                    place,
                    code: "duplicate.rejected",
                    field: None,
                    also: Vec::new(),
                });
            }
            for kind in plan.beside(place.ordinal)?.shared() {
                if let Some((_, warning)) = shared.iter().find(|(told, _)| *told == kind) {
                    let (code, field) = (kind.name(), kind.field());
                    emitter.emit(Event::RuleApplied { place, code, warning: *warning, field });
                }
            }
            if places.in_doubt.len() < IN_DOUBT_PLACES_MAX && in_doubt.binary_search(&place.ordinal).is_ok() {
                places.in_doubt.push(place);
            }
            if repeated.is_some_and(|repeated| repeated.first_ordinal == place.ordinal) {
                places.key_repeated = Some(place);
            }
            if cleared.binary_search_by_key(&place.ordinal, |(ordinal, _)| *ordinal).is_ok() {
                places.cleared.push(place);
            }
            if places.cleared_still.len() < CLEARED_NAMED_MAX
                && cleared_still.binary_search_by_key(&place.ordinal, |(ordinal, _)| *ordinal).is_ok()
            {
                places.cleared_still.push(place);
            }
            if let Ok(at) = swapping.binary_search_by_key(&place.ordinal, |(ordinal, _)| *ordinal) {
                places.swaps[swapping[at].1].push(place);
            }
        }
        tell_cleared_still(plan, &places.cleared_still, emitter);
        if self.inputs.is_fed_back() {
            tell_cleared_alone(plan, &places.cleared, emitter);
        }
        Ok(places)
    }

    /// Tells what earlier runs left of subjects that this input gives nothing, and names the rows that it has of them
    /// all the same.
    pub(super) fn tell_left(
        &mut self,
        plan: &Plan,
        judge: &mut Judge<'_>,
        journal: Option<&Journal>,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), Fatal> {
        let unsent = self.cleared_unsent(plan, judge, journal)?;
        tell_left(plan, unsent.len() as u64, emitter);
        tell_cleared_unsent(&unsent, emitter);
        Ok(())
    }

    /// Of the subjects that earlier runs have cleared and that this input gives nothing, those that have rows here
    /// which are rejected or filtered: the first such row of each, in the order of the inputs. The plan knows no
    /// subject of such a row.
    fn cleared_unsent(
        &mut self,
        plan: &Plan,
        judge: &mut Judge<'_>,
        journal: Option<&Journal>,
    ) -> Result<Vec<Unsent>, Fatal> {
        let facts = plan.facts();
        let left = facts.left_cleared.saturating_sub(plan.cleared_still().len() as u64);
        let is_any_unsent = facts.rows.rejected + facts.rows.filtered > 0;
        let (Some(journal), true) = (journal.filter(|_| left > 0), is_any_unsent) else {
            return Ok(Vec::new());
        };
        let sought = cleared_subjects(journal.ledger()?, judge.tag())?;
        let (mut found, mut told) = (BTreeMap::new(), BTreeSet::new());
        let mut reader = self.inputs.read(crate::input::Pass::Again);
        while let Some(row) = reader.next_row()? {
            let Ok(row) = row else { continue };
            let Some(subject) = judge.subject_of(&row) else { continue };
            let Some(cleared) = sought.get(&subject) else { continue };
            let (place, ruling) = (row.place(), plan.ruling(row.place().ordinal));
            let is_filtered = ruling == Ruling::Filtered;
            if is_filtered || ruling == Ruling::Rejected {
                found.entry(subject).or_insert(Unsent { place, is_filtered, fields: cleared.fields });
            } else {
                // It is told by that row.
                told.insert(subject);
            }
        }
        found.retain(|subject, _| !told.contains(subject));
        let mut unsent: Vec<Unsent> = found.into_values().collect();
        unsent.sort_by_key(|unsent| unsent.place.ordinal);
        Ok(unsent)
    }

    /// Whether what rows share is told as a warning; `None` when it is not told at all. An error is none here: which of
    /// the rows is the wrong one nobody knows.
    fn is_warning(&self, kind: SharedKind) -> Option<bool> {
        match RuleId::of(kind.name()).map(|id| self.rules.severity(id)) {
            Some(Severity::Warn | Severity::Error) => Some(true),
            Some(Severity::Fix) => Some(false),
            Some(Severity::Off) | None => None,
        }
    }
}

/// A row of a subject that an earlier run has cleared, which is not sent.
struct Unsent {
    place: Place,
    /// Filtered, or else rejected.
    is_filtered: bool,
    /// What the subject was cleared of.
    fields: FieldSet,
}

/// Subjects of the job's target and key field that were cleared to break a swap, and of which nothing was acknowledged
/// since.
fn cleared_subjects(
    ledger: impl Iterator<Item = Result<LedgerEntry, JournalError>>,
    tag: Option<SubjectTag>,
) -> Result<BTreeMap<SubjectId, ClearedFirst>, JournalError> {
    let mut found = BTreeMap::new();
    for entry in ledger {
        let entry = entry?;
        // The ledger is that of all targets, and those of others are nobody's rows here.
        if tag.is_some_and(|tag| entry.subject.tag() != tag) {
            continue;
        }
        let cleared = entry.cleared_first();
        if !cleared.fields.is_empty() && found.len() < CLEARED_SOUGHT_MAX {
            found.insert(entry.subject, cleared);
        }
    }
    Ok(found)
}

/// Names the rows of cleared subjects that are not sent, and why they are not.
fn tell_cleared_unsent(unsent: &[Unsent], emitter: &mut Emitter<'_>) {
    if unsent.is_empty() {
        return;
    }
    let named = unsent.iter().take(CLEARED_NAMED_MAX).map(|Unsent { place, is_filtered, fields }| {
        let names: Vec<&str> = fields.iter().map(FieldKind::name).collect();
        let why = if *is_filtered { "filtered" } else { "rejected" };
        format!("line {} ({}; {why})", place.line, names.join(", "))
    });
    let named: Vec<String> = named.collect();
    let more = if unsent.len() > named.len() { ", …" } else { "" };
    let count = unsent.len() as u64;
    let its = if count == 1 { "its row here is" } else { "their rows here are" };
    let text = format!(
        "{} {} been cleared by an earlier run to break a swap (or may have been), got nothing since, and {its} not sent: \
         {}{more}; correct what is rejected and feed it back, or send rows that give it to them",
        plural(count, "subject"),
        have(count),
        named.join(", ")
    );
    emitter.emit(Event::Warned { text });
}

/// The rows of the listed swaps, ascending, and in which swap they are.
fn swapping(plan: &Plan) -> Vec<(u64, usize)> {
    let swaps = plan.swaps().iter().enumerate();
    let mut rows: Vec<(u64, usize)> =
        swaps.flat_map(|(at, swap)| swap.ordinals.iter().map(move |ordinal| (*ordinal, at))).collect();
    rows.sort_unstable();
    rows
}

/// Tells of rows that are fed back although their subjects were cleared for others who may be pending, where no row
/// of this input gives up what they take: who holds it still is not known here, and the API decides.
fn tell_cleared_alone(plan: &Plan, cleared: &[Place], emitter: &mut Emitter<'_>) {
    let alone: Vec<&Place> = cleared.iter().filter(|place| !plan.is_chained(place.ordinal)).collect();
    if alone.is_empty() {
        return;
    }
    let lines: Vec<String> =
        alone.iter().take(CLEARED_NAMED_MAX).map(|place| format!("line {}", place.line)).collect();
    let more = if alone.len() > CLEARED_NAMED_MAX { ", …" } else { "" };
    let text = format!(
        "{} cleared to break a swap ({}{more}): where others hold what they take, and are pending, the API refuses them. \
         Better run the command of the run that cleared them: it sends those first",
        if alone.len() == 1 {
            "1 row of a subject".into()
        } else {
            format!("{} rows of subjects", alone.len())
        },
        lines.join(", ")
    );
    emitter.emit(Event::Noticed { text });
}

/// Tells who was cleared by an earlier run and is given nothing by this one, though it has rows here: as long as it
/// is so.
fn tell_cleared_still(plan: &Plan, places: &[Place], emitter: &mut Emitter<'_>) {
    let still = plan.cleared_still();
    if still.is_empty() {
        return;
    }
    let named = places.iter().filter_map(|place| {
        let at = still.binary_search_by_key(&place.ordinal, |(ordinal, _)| *ordinal).ok()?;
        let names: Vec<&str> = still[at].1.fields.iter().map(FieldKind::name).collect();
        Some(format!("line {} ({})", place.line, names.join(", ")))
    });
    let named: Vec<String> = named.collect();
    let more = if still.len() > named.len() { ", …" } else { "" };
    let doubt = if still.iter().all(|(_, cleared)| cleared.is_certain) { "" } else { " (or may have been)" };
    let count = still.len() as u64;
    let is_any_held = still.iter().any(|(ordinal, _)| plan.ruling(*ordinal) == Ruling::Held);
    let held = if is_any_held { ", what is held with --in-doubt resend" } else { "" };
    let text = format!(
        "{} {} been cleared by an earlier run to break a swap{doubt}, got nothing since, and nothing from this input: \
         {}{more}; send rows that give it to them (what was refused in this batch goes again with --retry-failed{held}; \
         `journal stats` counts all)",
        plural(count, "subject"),
        have(count),
        named.join(", ")
    );
    emitter.emit(Event::Warned { text });
}

fn have(count: u64) -> &'static str {
    if count == 1 { "has" } else { "have" }
}

/// Tells what earlier runs left of subjects that this input says nothing of, but those of `unsent` rows, which are
/// named: as long as it is so, whoever opened the journal first.
fn tell_left(plan: &Plan, unsent: u64, emitter: &mut Emitter<'_>) {
    let facts = plan.facts();
    let in_doubt = facts.left_in_doubt;
    let cleared = facts.left_cleared.saturating_sub(plan.cleared_still().len() as u64 + unsent);
    if cleared > 0 {
        let text = format!(
            "{} of which this input sends nothing {} been cleared by an earlier run to break a swap (or may have been), and \
             got nothing since: send rows that give it to them, or run that run's command again where it has not ended",
            plural(cleared, "subject"),
            have(cleared)
        );
        emitter.emit(Event::Warned { text });
    }
    if in_doubt > 0 {
        let text = format!(
            "{} that this input does not name {} an update of an earlier run in doubt: run that run's command again, or \
             send their rows",
            plural(in_doubt, "subject"),
            have(in_doubt)
        );
        emitter.emit(Event::Noticed { text });
    }
}

/// Tells how many updates this batch has seen refused before.
pub(super) fn tell_refused_before(facts: &PlanFacts, emitter: &mut Emitter<'_>) {
    let refused_before = facts.refused_before;
    if refused_before > 0 {
        let text = format!(
            "refused earlier in this batch, not sent again and counted failed: {refused_before} (see failed.csv; \
             --retry-failed sends them again)"
        );
        emitter.emit(Event::Noticed { text });
    }
}

/// Tells how many rows were sent in part only, because another batch has set the rest of them since.
pub(super) fn tell_trimmed(facts: &PlanFacts, emitter: &mut Emitter<'_>) {
    if facts.rows_trimmed > 0 {
        let rows = plural(facts.rows_trimmed, "row");
        let text = format!("sent without fields that something newer has set: {rows}");
        emitter.emit(Event::Noticed { text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::FieldHash;
    use crate::ledger::{FieldState, LedgerField};
    use crate::row::Version;

    /// An entry of a subject that was cleared to break a swap; the first byte that is no bit of a slice tells targets
    /// apart.
    fn cleared(subject: SubjectId) -> LedgerEntry {
        let mut entry = LedgerEntry::new(subject);
        let version = Version { batch: 1, ordinal: Version::BEFORE_ALL_ROWS };
        let state = FieldState::Known(FieldHash::CLEARED);
        entry.fields[FieldKind::Imsi.index()] = Some(LedgerField { state, version });
        entry
    }

    #[test]
    fn the_cleared_subjects_of_other_targets_take_nobody_s_place() {
        let subject = |number: u32, target: u8| {
            let mut id = [target; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            SubjectId(id)
        };
        let others = (0..u32::try_from(CLEARED_SOUGHT_MAX).unwrap()).map(|number| subject(number, 7));
        let own = subject(u32::MAX, 8);
        let ledger: Vec<LedgerEntry> = others.chain([own]).map(cleared).collect();
        let found = |tag| cleared_subjects(ledger.iter().cloned().map(Ok), tag).unwrap();
        assert_eq!(found(Some(own.tag())).into_keys().collect::<Vec<_>>(), [own]);
        assert_eq!(found(None).len(), CLEARED_SOUGHT_MAX);
    }
}

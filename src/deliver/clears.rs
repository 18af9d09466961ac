//! True swaps, broken: one subject of each ring is cleared of what the others take, a wave before them
//! (`plan.break_cycles = "clear"`).
//!
//! A clear is an update of its own, with an intent, a version before all rows of its batch and an idempotency key of
//! its own, and it is in nobody's books: the row that carries its subject's real update is sent in the last wave of
//! the ring, and is told at the end where that update was not acknowledged. Killed between the two, the ledger knows
//! the field as cleared, and what was a ring is a chain. Not here: which subject is cleared (`plan/cycle.rs`), the
//! waves (`waves.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::feed::Fed;
use super::rows::Why;
use super::settle::Settled;
use super::{Delivered, Driver, Stopped};
use crate::digest::{FieldHash, SubjectId};
use crate::event::Event;
use crate::ledger::ClearedFirst;
use crate::plan::{Plan, clear_version};
use crate::report::RowFileKind;
use crate::row::{Place, Version};
use crate::survey::{Emitter, Judge, SWAP_CLEARED};
use crate::update::{FieldFact, FieldKind, FieldSet, Fields, Update};

/// Subjects that are named at the end; the rest is counted, and all are in the row files.
const NAMED_MAX: usize = 10;

/// Rows whose subjects were cleared, or may have been, and whose own updates are not acknowledged, by ordinal, and
/// what they were cleared of.
pub(crate) type Cleared = BTreeMap<u64, (Place, ClearedFirst)>;

/// What a subject is cleared of before its ring: the key of a row that was just judged, and the fields without their
/// values.
pub(super) fn clear(judge: &Judge<'_>, subject: SubjectId, version: Version, cleared: FieldSet) -> Update {
    let version = clear_version(version);
    let (mut fields, mut facts) = (Fields::default(), Vec::new());
    for (kind, hash) in judge.facts.iter().filter(|(kind, _)| Some(*kind) == judge.key_field()) {
        fields.set(*kind, judge.checked.fields.get(*kind).unwrap_or_default());
        facts.push(FieldFact { kind: *kind, hash: *hash, version });
    }
    for kind in cleared.iter() {
        fields.set(kind, "");
        facts.push(FieldFact { kind, hash: FieldHash::CLEARED, version });
    }
    facts.sort_unstable_by_key(|fact| fact.kind);
    let mut others = judge.checked.fields.clone();
    fields.present().iter().filter(|kind| !cleared.contains(*kind)).for_each(|kind| others.clear(kind));
    Update { subject, version, fields, facts, unsent: Some(Arc::new(others)) }
}

impl Driver<'_, '_> {
    /// What became of a clear: nothing that is counted. Without it the server decides about the others of the ring.
    pub(super) fn report_clear(&mut self, fed: Fed, settled: Settled) {
        let place = fed.place;
        if matches!(settled, Settled::Deferred(_)) {
            // Its subject's own update does not stand behind it: nothing waits for a clear that is made only once.
            self.scheduler.forget_deferral(fed.update.subject);
        }
        self.rings.settle_clear(fed.linked.ring);
        if !matches!(settled, Settled::Synced) {
            // The same goes for whom an earlier run was stopped for: the subject's own update is still to come.
            self.scheduler.keep_away(fed.update.subject);
        }
        let (what, may_be_applied) = match settled {
            Settled::Withdrawn => return,
            Settled::Synced => {
                self.synced += 1;
                self.emitter.emit(Event::SwapBroken);
                (None, true)
            }
            Settled::Failed(failure) | Settled::Deferred(failure) => {
                (Some(failure.signature), failure.maybe_applied)
            }
            Settled::InDoubt => (Some("in doubt".to_owned()), true),
        };
        if may_be_applied {
            let cleared = fed.update.facts.iter().filter(|fact| fact.hash == FieldHash::CLEARED);
            let fields = cleared.map(|fact| fact.kind).collect();
            let cleared = ClearedFirst { fields, is_certain: what.is_none() };
            self.outcome.cleared.insert(place.ordinal, (place, cleared));
        }
        let Some(what) = what else { return };
        let text =
            format!("line {}: the clear that was to break its swap was not acknowledged: {what}", place.line);
        self.emitter.emit(Event::Noticed { text });
    }

    /// Tells how many subjects are without what others take, if that has changed.
    pub(super) fn tell_cleared_so_far(&mut self) {
        let subjects = self.outcome.cleared.len() as u64;
        if subjects != self.rings.cleared_told {
            self.rings.cleared_told = subjects;
            self.emitter.emit(Event::SubjectsCleared { subjects });
        }
    }

    /// At the end: names whoever was cleared and whose own update is not acknowledged.
    pub(super) fn tell_cleared(&mut self) {
        let cleared = &self.outcome.cleared;
        if cleared.is_empty() {
            return;
        }
        let text = told(cleared, &listed(cleared.len(), self.outcome.cleared_failed));
        self.emitter.emit(Event::Warned { text });
    }
}

impl Delivered {
    /// Of a run that delivers nothing: what earlier runs have left cleared is to be sent still.
    pub fn nothing(plan: &Plan, places: &[Place]) -> Delivered {
        Delivered { cleared: cleared_before(plan, places), ..Delivered::default() }
    }

    /// The same, of a run that has stopped before it delivered anything.
    pub fn stopped(self, stopped: Stopped, emitter: &mut Emitter<'_>) -> Delivered {
        self.tell_cleared(emitter);
        Delivered { stopped: Some(stopped), ..self }
    }

    /// Names whoever was cleared by an earlier run, where nothing is delivered that ends it.
    pub fn tell_cleared(&self, emitter: &mut Emitter<'_>) {
        if !self.cleared.is_empty() {
            emitter.emit(Event::Warned { text: told(&self.cleared, "still to be sent") });
        }
    }
}

/// Whom earlier runs have cleared, of the rows that are sent; these are their places.
pub(super) fn cleared_before(plan: &Plan, places: &[Place]) -> Cleared {
    let cleared = places.iter().zip(plan.cleared_before());
    cleared.map(|(place, (at, cleared))| (*at, (*place, *cleared))).collect()
}

/// Who was cleared and has nothing yet, by line and field; and where it is told, or what becomes of it.
fn told(cleared: &Cleared, ending: &str) -> String {
    let named = cleared.values().take(NAMED_MAX);
    let named: Vec<_> =
        named.map(|(place, cleared)| format!("line {} ({})", place.line, names(cleared.fields))).collect();
    let more = if cleared.len() > NAMED_MAX { ", …" } else { "" };
    let (subjects, own) = match cleared.len() {
        1 => ("1 subject was".to_owned(), "its own update is"),
        more => (format!("{more} subjects were"), "their own updates are"),
    };
    let is_certain = cleared.values().all(|(_, cleared)| cleared.is_certain);
    let doubt = if is_certain { "" } else { " (or may have been)" };
    format!(
        "{subjects} cleared of what others take{doubt}, and {own} not acknowledged: {}{more}; {ending}",
        named.join(", ")
    )
}

/// Which files list so many subjects, of which so many updates have failed, and what becomes of the others.
fn listed(subjects: usize, failed: usize) -> String {
    let them = if subjects == 1 { "it" } else { "them" };
    if failed >= subjects {
        return format!("failed.csv lists {them}");
    }
    let files = if failed == 0 { "in_doubt.csv lists" } else { "in_doubt.csv and failed.csv list" };
    format!("{files} {them}, and what is pending is sent when the same command runs again")
}

/// Why a row stands in a file whose subject was cleared of these fields: its update needs a person, or is only pending.
pub(super) fn why(cleared: ClearedFirst, fate: Option<Why>) -> Why {
    let fields = names(cleared.fields);
    let was = if cleared.is_certain { "was" } else { "may have been" };
    match fate {
        Some(mut why) => {
            let so_far = if why.detail.is_empty() { "" } else { "; " };
            why.detail
                .push_str(&format!("{so_far}its subject {was} cleared of {fields} before, to break a swap"));
            why
        }
        None => Why {
            kind: RowFileKind::InDoubt,
            reason: SWAP_CLEARED.into(),
            signature: String::new(),
            detail: format!(
                "its subject {was} cleared of {fields}, its update is pending: run the same command again"
            ),
        },
    }
}

fn names(fields: FieldSet) -> String {
    let names: Vec<&str> = fields.iter().map(FieldKind::name).collect();
    names.join(", ")
}

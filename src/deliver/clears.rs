//! True swaps, broken: before the waves one subject of each ring is cleared of what the others take
//! (`plan.break_cycles = "clear"`).
//!
//! A clear is an update of its own, with an intent, a version before all rows of its batch and an idempotency key of its
//! own, and it is in nobody's books: the row that carries its subject's real update is sent in the last wave of the ring.
//! Killed between the two, the ledger knows the field as cleared, and what was a ring is a chain. Not here: which subject
//! is cleared (`plan/cycle.rs`), the waves (`waves.rs`).

use super::feed::Selection;
use super::settle::Settled;
use super::{Delivery, Driver, pass};
use crate::digest::{FieldHash, SubjectId};
use crate::event::Event;
use crate::plan::clear_version;
use crate::row::{Place, Version};
use crate::survey::Judge;
use crate::update::{FieldFact, FieldSet, Fields, Update};

/// Sends the clears, if all that waits for them may be sent, too: a run that stopped at its limit on updates between them would
/// leave subjects without what they had.
pub(super) fn run(driver: &mut Driver<'_, '_>, delivery: &mut Delivery<'_>, waiting: u64) {
    let clears = delivery.plan.facts().chains.swaps_broken;
    if clears == 0 || !driver.is_going() {
        return;
    }
    if driver.rules.updates_max.is_some_and(|updates_max| driver.handed + waiting > updates_max) {
        driver.is_over_limit = true;
        driver.check_updates();
        return;
    }
    driver.later("clears that break true swaps", clears);
    pass(driver, delivery, Selection::Clears);
}

/// What a subject is cleared of before the waves: the key of a row that was just judged, and the fields without their values.
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
    Update { subject, version, fields, facts }
}

impl Driver<'_, '_> {
    /// What became of a clear: nothing that is counted. Without it the server decides about the others of the ring.
    pub(super) fn report_clear(&mut self, place: Place, settled: Settled) {
        let what = match settled {
            Settled::Synced | Settled::Withdrawn => return,
            Settled::Failed(failure) | Settled::Deferred(failure) => failure.signature,
            Settled::InDoubt => "in doubt".to_owned(),
        };
        let text =
            format!("line {}: the clear that was to break its swap was not acknowledged: {what}", place.line);
        self.emitter.emit(Event::Noticed { text });
    }
}

//! What other targets of the journal have left open, told by the first run of a new one: an address that has changed is
//! another target, and nothing of the old one goes on there.
//!
//! Not here: which target it is (`parts.rs`), what this one has left itself (`places.rs`).

use super::fatal::Fatal;
use super::job::Job;
use super::parts::SANDBOX_TARGET;
use crate::count::plural;
use crate::event::Event;
use crate::journal::{Batch, Journal, TargetFact};
use crate::report::shell_quote;
use crate::survey::Emitter;

/// Targets that are named, at most.
const TARGETS_MAX: usize = 3;

impl Job<'_> {
    /// Tells which other targets have an open batch, where this one has never had another than this. Who has named it
    /// knows that it is another one.
    pub(super) fn tell_open_elsewhere(
        &self,
        batch: &Batch,
        journal: Option<&Journal>,
        emitter: &mut Emitter<'_>,
    ) -> Result<(), Fatal> {
        let is_named = self.settings.api.target.is_some() || self.settings.run.sandbox;
        let Some(journal) = journal.filter(|_| batch.seq <= 1 && !is_named) else { return Ok(()) };
        let (own, index) = (&self.destination.target, journal.index()?);
        let is_open = |fact: &&TargetFact| {
            fact.target != *own
                && fact.target != SANDBOX_TARGET
                && fact.open.iter().any(|batch| batch.delivered)
        };
        let mut others = index.targets.iter().filter(is_open);
        for fact in others.by_ref().take(TARGETS_MAX) {
            let open = fact.open.iter().filter(|batch| batch.delivered);
            let (batches, rows) =
                open.fold((0, 0), |(batches, rows), batch| (batches + 1, rows + batch.rows));
            let (target, state) = (&fact.target, shell_quote(&self.destination.state));
            let text = format!(
                "target {target} of this journal has {} ({}), and this run is for another target, {own}, which knows \
                 nothing of them: where the API has moved, set api.target = \"{target}\" beside the new api.url, and run \
                 that batch's command again; `simsync journal stats --state {state}` shows them",
                plural(batches, "open batch"),
                plural(rows, "row"),
            );
            emitter.emit(Event::Noticed { text });
        }
        match others.count() {
            0 => {}
            more => emitter.emit(Event::Noticed {
                text: format!("{} more of this journal have open batches", plural(more as u64, "target")),
            }),
        }
        Ok(())
    }
}

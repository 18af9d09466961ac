//! The names of runs by the batch they were about.
//!
//! Not here: what is told of a run (`report/`).

use std::cell::OnceCell;
use std::collections::HashMap;

use super::parts::Destination;
use crate::journal::Journal;
use crate::report;

/// Which run was the last one on a batch, as far as the directories of runs tell. Looked up at the first question: most
/// runs ask none.
pub(super) struct RunNames<'a> {
    journal: Option<&'a Journal>,
    destination: &'a Destination,
    own: &'a str,
    known: OnceCell<HashMap<u64, String>>,
}

impl<'a> RunNames<'a> {
    pub(super) fn new(
        journal: Option<&'a Journal>,
        destination: &'a Destination,
        own: &'a str,
    ) -> RunNames<'a> {
        RunNames { journal, destination, own, known: OnceCell::new() }
    }

    pub(super) fn of(&self, batch: u64) -> Option<String> {
        self.known.get_or_init(|| self.read()).get(&batch).cloned()
    }

    fn read(&self) -> HashMap<u64, String> {
        let mut known = HashMap::new();
        // Without names the batch and row still tell; that is no reason to end a run.
        let runs = report::run_ids(&self.destination.state).unwrap_or_default();
        for run in runs.into_iter().filter(|run| run != self.own) {
            let found = self.journal.and_then(|journal| journal.run_batch(&run).ok().flatten());
            if let Some(found) = found.filter(|found| found.target == self.destination.target) {
                known.insert(found.batch_seq, run);
            }
        }
        known
    }
}

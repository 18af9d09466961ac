//! Rows of a subject under `each` of which a later one is under way, or failed: what it has left unknown has not
//! overtaken them where it is sent behind them; and what is held keeps back what is older.
//!
//! Not here: what else overtakes a row (`rulings.rs`), the ruling on one update (`standing.rs`).

use super::super::memory::Version;
use super::super::rows::Field;
use super::{Ruling, Said, Subject};

impl Subject<'_> {
    /// Whether a field of a row of this version, unknown since a newer one, is so by a row that is sent behind it:
    /// intents are opened ahead within a batch; and what failed in an earlier one goes again with all of its subject.
    pub(super) fn is_ahead(&self, field: Field, version: Version, newer: Version) -> bool {
        let goes_again = || self.is_of_own_row(field) && !self.was_answered_since(field, version);
        self.is_each() && version.batch == newer.batch && (newer.batch == self.rules.batch || goes_again())
    }

    /// Whether something newer than a row may have been acknowledged of a field.
    fn was_answered_since(&self, field: Field, version: Version) -> bool {
        let stands = self
            .entry
            .said
            .iter()
            .any(|word| (word.field, word.version) == (field, version) && !word.is_replaced);
        self.entry.acked.is_some_and(|acked| acked >= version) && !stands
    }

    /// Holds what is older than a row that is held, and would overwrite what that one may have set.
    pub(super) fn hold_older(&self, said: &mut [Said]) {
        if !self.rules.holds_doubts {
            return;
        }
        let unknown = self.entry.unknown();
        for at in (0..said.len()).rev() {
            let version = self.rows[at].version;
            let is_kept = |field: &Field| {
                let behind = said[at + 1..].iter();
                *field != Field::Key
                    && unknown.contains(field)
                    && self.entry.version(*field) > Some(version)
                    && behind
                        .filter(|said| said.ruling == Ruling::Held)
                        .any(|said| said.claims.contains_key(field))
            };
            if said[at].ruling == Ruling::Send && said[at].claims.keys().any(is_kept) {
                said[at].ruling = Ruling::Held;
            }
        }
    }
}

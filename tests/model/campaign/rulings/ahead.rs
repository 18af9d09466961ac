//! Rows of a subject under `each` of which a later one is under way: what it has left unknown has not overtaken them; and
//! what is held keeps back what is older.
//!
//! Not here: what else overtakes a row (`rulings.rs`), the ruling on one update (`standing.rs`).

use super::super::memory::Version;
use super::super::rows::Field;
use super::{Ruling, Said, Subject};

impl Subject<'_> {
    /// Whether a field of a row of this version, unknown since a newer one, is so by a row of the batch that is run:
    /// intents are opened ahead, and that row is sent behind it.
    pub(super) fn is_ahead(&self, version: Version, newer: Version) -> bool {
        self.is_each() && (version.batch, newer.batch) == (self.rules.batch, self.rules.batch)
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

//! Facts of what rows said of fields and what is not in force: a row that was corrected is known by them, so that
//! what it said before does not come back.
//!
//! An update keeps no row's version but its own, and its digest no field's value; a correction may be of one row of
//! many, of one field of many, refused itself, or found after a newer batch has failed. Hence field by field, under
//! the version of the row. Pure. Not here: updates in doubt, of which only the digest is known (`failure.rs`).

use super::{FieldState, LedgerEntry, LedgerField};
use crate::row::Version;
use crate::update::{FieldFact, FieldKind};

/// Values of [`LedgerEntry::said`] kept per subject: the newest, and first of all those that were replaced. A
/// forgotten one is sent when its row is fed back as it was.
pub const SAID_MAX: usize = 32;

/// What a row said of a field in an update that failed, or before it was corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// The field, the value, and the version of the row.
    pub fact: FieldFact,
    /// Whether another value was acknowledged since under the same version. Until then the value may be sent again.
    pub is_replaced: bool,
}

impl LedgerEntry {
    /// Whether a row has said this and was corrected since: sent, it would undo the correction.
    pub fn is_replaced(&self, fact: &FieldFact) -> bool {
        self.said.iter().any(|said| said.is_replaced && said.fact == *fact)
    }

    /// Whether it is neither what was acknowledged nor what the row has said before.
    pub fn is_news(&self, fact: &FieldFact) -> bool {
        self.field(fact.kind).is_none_or(|field| field.state != FieldState::Known(fact.hash))
            && !self.said.iter().any(|said| said.fact == *fact)
    }

    /// Whether a row was corrected to what is acknowledged already, by something older: there is nothing to send, and
    /// yet what it said before is not to come back.
    pub fn corrects(&self, mut facts: impl Iterator<Item = FieldFact>) -> bool {
        !self.said.is_empty()
            && facts.any(|fact| {
                let is_older = |field: LedgerField| {
                    field.state == FieldState::Known(fact.hash) && field.version < fact.version
                };
                let is_other = |said: &Said| is_of(&said.fact, &fact) && said.fact.hash != fact.hash;
                self.field(fact.kind).is_some_and(is_older) && self.said.iter().any(is_other)
            })
    }

    /// Whether the field was acknowledged as a row of this version was corrected, as far as is known.
    pub fn was_corrected(&self, kind: FieldKind, version: Version) -> bool {
        let is_of_field = |said: &Said| said.fact.kind == kind && said.fact.version == version;
        let was_in_doubt = self.corrected.iter().any(|corrected| corrected.version == version);
        let is_in_force = |field: LedgerField| field.version == version;
        self.said.iter().any(|said| said.is_replaced && is_of_field(said))
            || was_in_doubt && self.field(kind).is_some_and(is_in_force)
    }

    /// Whether a field that is unknown since an update of this row's batch is so by the word of this very row: the
    /// update was of several rows and bears the version of the last, it failed, and what it said of the field was
    /// this row's. Then nothing newer has set it. Of an update in doubt nobody knows which of its rows had the field.
    pub fn is_own_word(&self, kind: FieldKind, version: Version) -> bool {
        let unknown = self.field(kind).filter(|field| field.state == FieldState::Unknown);
        let Some(since) = unknown.map(|field| field.version) else { return false };
        if since.batch != version.batch || self.refusal(since).is_none() || self.may_be_in_doubt(since) {
            return false;
        }
        let words = self.said.iter().filter(|said| said.fact.kind == kind && said.fact.version <= since);
        let newest = words.max_by_key(|said| (said.fact.version, !said.is_replaced));
        newest.is_some_and(|said| said.fact.version == version && !said.is_replaced)
    }

    /// An update failed that would have set this: kept, unless it is in force, or something newer is.
    pub(super) fn say(&mut self, facts: &[FieldFact]) {
        for fact in facts {
            let is_idle = |field: LedgerField| match field.state {
                FieldState::Known(hash) => {
                    field.version > fact.version || field.version == fact.version && hash == fact.hash
                }
                FieldState::Unknown => false,
            };
            if !self.field(fact.kind).is_some_and(is_idle) {
                self.keep_said(Said { fact: *fact, is_replaced: false });
            }
        }
    }

    pub(super) fn keep_said(&mut self, said: Said) {
        self.said.retain(|other| other.fact != said.fact);
        self.said.push(said);
        if self.said.len() > SAID_MAX {
            let at = self.said.iter().position(|said| !said.is_replaced);
            self.said.remove(at.unwrap_or(0));
        }
    }

    /// This was acknowledged, where the field was so `before`: whatever else rows of the same version have said is
    /// replaced, what older ones have said is overtaken.
    pub(super) fn replace_said(&mut self, fact: &FieldFact, before: Option<LedgerField>) {
        if let Some(LedgerField { state: FieldState::Known(hash), version }) = before
            && version == fact.version
            && hash != fact.hash
        {
            self.keep_said(Said { fact: FieldFact { hash, ..*fact }, is_replaced: true });
        }
        self.said.retain(|said| {
            said.fact.kind != fact.kind || said.fact.version >= fact.version && said.fact != *fact
        });
        self.said.iter_mut().filter(|said| is_of(&said.fact, fact)).for_each(|said| said.is_replaced = true);
    }
}

/// Whether both are of one field of one row.
fn is_of(one: &FieldFact, other: &FieldFact) -> bool {
    one.kind == other.kind && one.version == other.version
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{FieldHash, SubjectId, update_digest};
    use crate::ledger::{EntryFold, REFUSALS_MAX, Record};
    use crate::update::FieldSet;

    const SUBJECT: SubjectId = SubjectId([1; 16]);
    const MONDAY: u64 = 1;
    const TUESDAY: u64 = 2;

    fn class(batch: u64, ordinal: u64, hash: u64) -> FieldFact {
        let version = Version { batch, ordinal };
        FieldFact { kind: FieldKind::UserClass, hash: FieldHash(hash), version }
    }

    fn login(batch: u64, ordinal: u64) -> FieldFact {
        FieldFact { kind: FieldKind::Username, ..class(batch, ordinal, 9) }
    }

    fn refused(facts: &[FieldFact]) -> Record {
        let version = facts.iter().map(|fact| fact.version).max().unwrap();
        let (digest, signature, unknown) = (update_digest(facts), String::new(), FieldSet::EMPTY);
        let facts = facts.to_vec();
        Record::Refused { subject: SUBJECT, version, digest, status: 422, signature, unknown, facts }
    }

    fn synced(facts: &[FieldFact]) -> Record {
        let version = facts.iter().map(|fact| fact.version).max().unwrap();
        Record::Synced { subject: SUBJECT, version, facts: facts.to_vec(), at_s: 9 }
    }

    fn entry(records: &[Record]) -> LedgerEntry {
        let mut fold = EntryFold::new(LedgerEntry::new(SUBJECT));
        records.iter().for_each(|record| fold.apply(record));
        fold.finish()
    }

    #[test]
    fn what_a_row_said_is_known_whatever_failed_with_it_and_since() {
        let gold = class(MONDAY, 4, 1);
        let monday = refused(&[gold]);
        let silver = synced(&[class(MONDAY, 4, 2)]);
        let tuesday = refused(&[class(TUESDAY, 4, 1)]);
        assert!(!entry(std::slice::from_ref(&monday)).is_replaced(&gold));
        assert!(entry(&[monday.clone(), silver.clone()]).is_replaced(&gold));
        let after_tuesday = entry(&[monday, tuesday, silver.clone()]);
        assert!(after_tuesday.is_replaced(&gold) && !after_tuesday.is_replaced(&class(TUESDAY, 4, 1)));
        // Failed in one update with a later row, which was not corrected.
        let folded = entry(&[refused(&[login(MONDAY, 5), gold]), silver]);
        assert!(folded.is_replaced(&gold) && !folded.is_replaced(&login(MONDAY, 5)));
    }

    #[test]
    fn what_is_overtaken_is_forgotten_and_of_the_rest_the_newest_is_kept() {
        let gold = class(MONDAY, 4, 1);
        let monday = [refused(&[gold]), synced(&[class(MONDAY, 4, 2)])];
        let overtaken = entry(&[&monday[..], &[synced(&[class(TUESDAY, 4, 3)])]].concat());
        assert_eq!(overtaken.said, []);
        // Night after night another failure: the correction is still known.
        let nights = (TUESDAY..).take(SAID_MAX.max(REFUSALS_MAX) * 2);
        let nights: Vec<Record> = nights.map(|batch| refused(&[class(batch, 4, 1)])).collect();
        let long = entry(&[&monday[..], &nights].concat());
        assert_eq!(long.said.len(), SAID_MAX);
        assert!(long.is_replaced(&gold));
    }
}

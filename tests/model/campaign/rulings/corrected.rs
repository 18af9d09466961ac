//! Corrections: what a row says no more because it was corrected since, and what corrected one.
//!
//! Not here: what else a row does not say (`rulings.rs`).

use std::collections::BTreeSet;

use super::super::laws::Flaw;
use super::super::memory::{Facts, State, Version, Word};
use super::super::rows::{Cells, Field};
use super::{Duplicates, Subject, Valid};

impl Subject<'_> {
    /// Whether a row that has nothing to send was corrected to what was acknowledged before.
    pub(super) fn corrects(&self, facts: &Facts) -> bool {
        facts.iter().any(|(field, (value, version))| {
            let is_other =
                |told: &Word| (told.field, told.version) == (*field, *version) && told.value != *value;
            *field != Field::Key
                && self.entry.holds(*field, value)
                && self.entry.version(*field).is_some_and(|held| held < *version)
                && self.entry.said.iter().any(is_other)
        })
    }

    /// Fields of a row that are not sent because it was corrected since: those that would undo the correction, or all
    /// where the row says nothing new.
    pub(super) fn undone(&self, row: &Valid) -> BTreeSet<Field> {
        if self.rules.laws.has(Flaw::CorrectionsAreUndone) {
            return BTreeSet::new();
        }
        let version = row.version;
        let was_in_doubt = self
            .entry
            .corrected
            .iter()
            .any(|(of, values)| of.batch == version.batch && version <= *of && self.is_read(*of, values));
        let says = |field: &Field, value: &String| {
            self.entry
                .said
                .iter()
                .find(|told| (told.field, told.version, &told.value) == (*field, version, value))
        };
        let is_undone = |(field, value): &(&Field, &String)| {
            let is_known =
                matches!(self.entry.fields.get(field), Some((State::Known(_), of)) if *of == version);
            says(field, value).is_some_and(|told| told.is_replaced)
                || was_in_doubt && is_known && !self.entry.holds(**field, value)
        };
        let read = || row.cells.iter().filter(|(field, _)| **field != Field::Key);
        let undone: BTreeSet<Field> = read().filter(is_undone).map(|(field, _)| *field).collect();
        let is_news = |(field, value): (&Field, &String)| {
            !undone.contains(field) && !self.entry.holds(*field, value) && says(field, value).is_none()
        };
        if undone.is_empty() || !was_in_doubt && read().any(is_news) {
            return undone;
        }
        read().map(|(field, _)| *field).collect()
    }

    /// Whether a field that is unknown since a failed update of several rows is so by what a row of this version said.
    pub(super) fn is_own_word(&self, field: Field, version: Version, since: Version) -> bool {
        let entry = self.entry;
        let is_unknown = matches!(entry.fields.get(&field), Some((State::Unknown, _)));
        let is_in_doubt = entry.doubts.iter().any(|doubt| doubt.version == since);
        let words = || entry.said.iter().filter(|told| told.field == field && told.version <= since);
        let newest = words().map(|told| told.version).max();
        is_unknown
            && since.batch == version.batch
            && entry.has_refused(since)
            && !is_in_doubt
            && newest == Some(version)
            && words().any(|told| told.version == version && !told.is_replaced)
    }

    /// Whether the rows up to this version are those of an update that once had these values.
    fn is_read(&self, version: Version, values: &Cells) -> bool {
        let is_fold = self.rules.duplicates == Duplicates::Fold;
        let mut read = Facts::new();
        for row in self.rows {
            let of = row.version;
            if of == version || is_fold && of.batch == version.batch && of < version {
                read.extend(row.cells.iter().map(|(field, value)| (*field, (value.clone(), of))));
            }
        }
        let is_read =
            |(field, value): (&Field, &String)| read.get(field).is_some_and(|(read, _)| read == value);
        values.iter().all(is_read)
            && values.keys().filter_map(|field| read.get(field)).any(|(_, of)| *of == version)
    }
}

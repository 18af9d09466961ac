//! What a plan tells about subjects beside its rulings: how many are known, missing, unchanged, altered; the value that
//! most of them share; and samples of what changes.
//!
//! Of the survey in memory. Not here: the rulings (`join.rs`), what is usual (`usual.rs`).

use crate::digest::FieldHash;
use crate::event::{PlanFacts, Repeated};
use crate::ledger::{FieldState, LedgerEntry};
use crate::update::{FieldKind, FieldSet};

use super::conflict::{last_claim, same_subject};
use super::dispositions::Sample;
use super::rules::PlanRules;
use super::ruling::Ruling;
use super::survey::{HashTable, Marks, RowRecord};

/// Identifiers of which one value in the rows of many subjects is a placeholder.
const IDENTIFIERS: [FieldKind; 5] =
    [FieldKind::Number, FieldKind::Imei, FieldKind::Imsi, FieldKind::Iccid, FieldKind::Username];

/// Counts the ledger's entries while the join passes over them.
#[derive(Debug, Default)]
pub(super) struct KnownSubjects {
    /// Known subjects of the job's target and key field.
    pub(super) all: u64,
    /// Those of which the batch has a row.
    pub(super) present: u64,
    /// Fields known, and fields unknown, before, of subjects in the batch, by subject, in the order of subjects.
    fields: Vec<(FieldSet, FieldSet)>,
}

impl KnownSubjects {
    /// An entry was read, whether the batch has its subject or not.
    pub(super) fn pass(&mut self, entry: &LedgerEntry, rules: &PlanRules) {
        self.all += u64::from(is_counted(entry, rules));
    }

    /// The next subject of the batch, with its entry.
    pub(super) fn join(&mut self, entry: Option<&LedgerEntry>, rules: &PlanRules) {
        self.present += u64::from(entry.is_some_and(|entry| is_counted(entry, rules)));
        let is_known = |kind: &FieldKind| {
            let field = entry.and_then(|entry| entry.field(*kind));
            field.is_some_and(|field| matches!(field.state, FieldState::Known(_)))
        };
        let known = FieldKind::ALL.into_iter().filter(is_known).collect();
        self.fields.push((known, entry.map_or(FieldSet::EMPTY, LedgerEntry::unknown)));
    }

    /// Fills in the numbers, and takes the samples. Rows come by subject, ruled on for good.
    pub(super) fn conclude(
        &self,
        records: &[RowRecord],
        table: &HashTable,
        rules: &PlanRules,
        facts: &mut PlanFacts,
    ) -> Vec<Sample> {
        facts.subjects_known = self.all;
        facts.subjects_missing = self.all - self.present;
        facts.repeated = repeated(records, table, rules.key);
        let mut samples = Vec::new();
        for (rows, (known, unknown)) in records.chunk_by(same_subject).zip(&self.fields) {
            let is_sent = rows.iter().any(|row| row.ruling.is_sent());
            let is_unchanged = rows.iter().any(|row| row.ruling == Ruling::Unchanged);
            facts.subjects_unchanged += u64::from(is_unchanged && !is_sent);
            let alters = |row: &RowRecord| {
                row.ruling.is_sent() && row.marks.has(Marks::KNOWN) && !row.changed.minus(*unknown).is_empty()
            };
            facts.subjects_altered += u64::from(rows.iter().any(alters));
            samples.extend(rows.iter().filter(|row| row.ruling.is_sent()).map(|row| Sample {
                ordinal: row.ordinal,
                changed: row.changed,
                known: *known,
                is_new: !row.marks.has(Marks::KNOWN),
            }));
        }
        samples.sort_unstable_by_key(|sample| sample.ordinal);
        samples.truncate(rules.samples);
        samples
    }
}

fn is_counted(entry: &LedgerEntry, rules: &PlanRules) -> bool {
    entry.acked.is_some() && rules.tag == Some(entry.subject.tag())
}

/// The value that most subjects share, if an update to send sets it.
fn repeated(records: &[RowRecord], table: &HashTable, key: FieldKind) -> Option<Repeated> {
    let mut most: Option<Repeated> = None;
    for field in IDENTIFIERS.into_iter().filter(|field| *field != key && table.mapped().contains(*field)) {
        let alike = table.repeated(field);
        if alike.is_empty() {
            continue;
        }
        let mut claims: Vec<(FieldHash, u64, bool)> = records
            .chunk_by(same_subject)
            .filter_map(|rows| {
                let (hash, ordinal) = last_claim(rows, table, field)?;
                let is_live =
                    rows.iter().any(|row| row.ruling != Ruling::Unchanged && row.marks.has(Marks::CARRIER));
                alike.binary_search(&hash).is_ok().then_some((hash, ordinal, is_live))
            })
            .collect();
        claims.sort_unstable();
        for equal in claims.chunk_by(|one, next| one.0 == next.0) {
            let subjects = equal.len() as u64;
            let is_more = most.is_none_or(|most| subjects > most.subjects);
            if subjects > 1 && is_more && equal.iter().any(|(_, _, is_live)| *is_live) {
                let first_ordinal = equal.iter().map(|(_, ordinal, _)| *ordinal).min().unwrap_or(0);
                most = Some(Repeated { field, subjects, first_ordinal });
            }
        }
    }
    most
}

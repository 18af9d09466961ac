//! Looking into the sandbox: requests and subjects as the controls and tests see them, passwords masked.
//!
//! Not here: changing anything, counting (`log.rs`).

use std::collections::BTreeMap;

use serde::Serialize;

use super::book::{Book, MASK, SubjectIndex};
use super::log::{Log, Record};
use crate::update::FieldKind;

/// The record of one request, to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestView {
    /// Ordinal in order of arrival, from 1.
    pub seq: u64,
    /// Arrival in milliseconds since the start.
    pub at_ms: u64,
    /// Key of its subject; `None` when it could not be told.
    pub subject: Option<String>,
    /// `Idempotency-Key` header.
    pub idempotency_key: Option<String>,
    /// Status of the answer; `None` when there was none.
    pub status: Option<u16>,
    /// Name of the fault that struck it.
    pub fault: Option<&'static str>,
    /// Whether its update was applied.
    pub applied: bool,
    /// Whether its answer was a replay of an earlier one.
    pub replayed: bool,
    /// What it set, `None` for a cleared field; passwords masked. Empty when it could not be read.
    pub fields: BTreeMap<String, Option<String>>,
}

/// What is known of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubjectView {
    /// Value it is recognised by.
    pub key: String,
    /// Field that value stands in.
    pub matched_by: &'static str,
    /// Updates applied to it.
    pub applied: u64,
    /// Requests that named it.
    pub attempts: u64,
    /// What is stored now; passwords masked.
    pub fields: BTreeMap<String, String>,
    /// Its requests in order of arrival; left out of lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<RequestView>,
}

/// Everything that can be looked at.
pub(super) struct Views<'a> {
    pub(super) book: &'a Book,
    pub(super) log: &'a Log,
    pub(super) match_by: &'a [FieldKind],
}

impl Views<'_> {
    /// Records of requests after this ordinal, at most so many.
    pub(super) fn requests(&self, after: u64, rows_max: usize) -> impl Iterator<Item = RequestView> {
        let first = self.log.records.partition_point(|record| record.seq <= after);
        self.log.records[first..].iter().take(rows_max).map(|record| self.request(record))
    }

    /// Every subject in order of first appearance, without history.
    pub(super) fn subjects(&self) -> impl Iterator<Item = SubjectView> {
        (0..self.book.subjects.len()).map(|index| self.subject_at(index, &[]))
    }

    /// One subject, with its history.
    pub(super) fn subject(&self, key: &str) -> Option<SubjectView> {
        let index = self.book.find(self.match_by, key)?;
        Some(self.subject_at(index, &self.book.subjects[index].history))
    }

    fn subject_at(&self, index: SubjectIndex, places: &[u32]) -> SubjectView {
        let subject = &self.book.subjects[index];
        let shown = |kind, value: &str| if kind == FieldKind::Password { MASK } else { value }.to_owned();
        let fields = subject.fields.iter().map(|(kind, value)| (kind.name().to_owned(), shown(kind, value)));
        let record = |place: &u32| self.log.records.get(usize::try_from(*place).ok()?);
        SubjectView {
            key: subject.key.to_string(),
            matched_by: subject.kind.name(),
            applied: subject.applied,
            attempts: subject.attempts,
            fields: fields.collect(),
            history: places.iter().filter_map(record).map(|record| self.request(record)).collect(),
        }
    }

    fn request(&self, record: &Record) -> RequestView {
        let fields = record.fields.as_deref().and_then(|json| serde_json::from_str(json).ok());
        RequestView {
            seq: record.seq,
            at_ms: record.at_ms,
            subject: record.subject.map(|index| self.book.subjects[index].key.to_string()),
            idempotency_key: record.idempotency_key.as_deref().map(str::to_owned),
            status: record.status,
            fault: record.fault,
            applied: record.applied,
            replayed: record.replayed,
            fields: fields.unwrap_or_default(),
        }
    }
}

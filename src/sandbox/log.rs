//! What the sandbox remembers of requests: the records of them, bounded, and the counts, which are not.
//!
//! Not here: what a request does (`state.rs`), what is stored for subjects (`book.rs`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// Counts since the start or the last reset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Stats {
    /// Requests to the endpoint that arrived whole.
    pub requests: u64,
    /// Of them: updates applied.
    pub applied: u64,
    /// Of them: answers replayed for an `Idempotency-Key` seen before. Nothing was applied again.
    pub replayed: u64,
    /// Of the applied ones: those that set exactly what the subject's last applied update had set.
    pub duplicates: u64,
    /// Answers by status, the ones cut short included.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests that were reset or left hanging.
    pub unanswered: u64,
    /// Requests struck by a fault, by its name.
    pub by_fault: BTreeMap<&'static str, u64>,
    /// Different `Idempotency-Key`s; a lower bound when there are more than `history_max`.
    pub distinct_idempotency_keys: u64,
    /// Subjects that requests have named.
    pub subjects: u64,
    /// Requests under way now.
    pub in_flight: u64,
    /// Most requests that were ever under way at once.
    pub in_flight_max: u64,
    /// Most requests for one subject that were ever under way at once. A client that gives up on a request and
    /// sends it again before the old connection's end has been seen counts as two.
    pub subject_in_flight_max: u64,
    /// Most requests that arrived within one second, by seconds since the start.
    pub requests_per_second_max: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub connections_open: u64,
    /// Requests of which a record is kept; the others are only counted.
    pub recorded: u64,
}

/// The record of one request.
pub(super) struct Record {
    pub(super) seq: u64,
    pub(super) at_ms: u64,
    pub(super) subject: Option<usize>,
    pub(super) status: Option<u16>,
    pub(super) applied: bool,
    pub(super) replayed: bool,
    pub(super) fault: Option<&'static str>,
    pub(super) idempotency_key: Option<Box<str>>,
    /// What was sent, as JSON, passwords masked: a third of the memory of nine optional strings.
    pub(super) fields: Option<Box<str>>,
}

/// Records and counts.
pub(super) struct Log {
    pub(super) records: Vec<Record>,
    pub(super) stats: Stats,
    records_max: usize,
    /// The second that is being counted, and its requests so far.
    second: (u64, u64),
}

impl Log {
    pub(super) fn new(records_max: usize) -> Log {
        Log { records: Vec::new(), stats: Stats::default(), records_max, second: (0, 0) }
    }

    /// Counts an arrival; its ordinal.
    pub(super) fn arrive(&mut self, elapsed: Duration) -> u64 {
        let stats = &mut self.stats;
        stats.requests += 1;
        stats.in_flight += 1;
        stats.in_flight_max = stats.in_flight_max.max(stats.in_flight);
        let second = elapsed.as_secs();
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        stats.requests_per_second_max = stats.requests_per_second_max.max(self.second.1);
        stats.requests
    }

    /// Counts what became of a request and keeps its record where there is room; the record's place.
    pub(super) fn settle(&mut self, record: Record) -> Option<u32> {
        let stats = &mut self.stats;
        match record.status {
            Some(status) => *stats.by_status.entry(status).or_default() += 1,
            None => stats.unanswered += 1,
        }
        if let Some(fault) = record.fault {
            *stats.by_fault.entry(fault).or_default() += 1;
        }
        stats.applied += u64::from(record.applied);
        stats.replayed += u64::from(record.replayed);
        if self.records.len() >= self.records_max {
            return None;
        }
        let place = u32::try_from(self.records.len()).ok()?;
        self.records.push(record);
        stats.recorded += 1;
        Some(place)
    }

    /// Forgets everything but the requests still under way.
    pub(super) fn reset(&mut self) {
        let in_flight = self.stats.in_flight;
        *self = Log::new(self.records_max);
        self.stats.in_flight = in_flight;
    }
}

//! The numbers of a run: a pure fold over its events. Bar, summary, JSON, metrics and exit code all read these.
//!
//! Not here: printing (`report/`). Nothing else counts anything.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::event::{AlarmFacts, Breach, Event, Halt, PlanFacts, RunFacts, Stamped};
use crate::ledger::FailureKind;
use crate::row::Place;
use crate::update::FieldKind;

/// Distinct signatures kept apart; further ones are counted together under [`SIGNATURE_OTHER`].
pub const SIGNATURES_MAX: usize = 200;

/// Name under which signatures beyond the bound are counted.
pub const SIGNATURE_OTHER: &str = "(other complaints)";

/// Rows by their fate, as the books of a run have them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rows {
    /// Rows read.
    pub read: u64,
    /// Acknowledged, durably.
    pub synced: u64,
    /// Part of a later row's update.
    pub folded: u64,
    /// Equal to their subject's immediately preceding row.
    pub duplicate: u64,
    /// Nothing to change.
    pub unchanged: u64,
    /// Overtaken by something newer.
    pub superseded: u64,
    /// Two subjects claim one identifier.
    pub conflict: u64,
    /// Kept back by a policy.
    pub held: u64,
    /// Rejected by a rule, or unreadable.
    pub rejected: u64,
    /// Sent and failed.
    pub failed: u64,
    /// Sent, outcome not known.
    pub in_doubt: u64,
    /// Not settled: to be sent by the next run.
    pub pending: u64,
    /// Left out by a filter.
    pub filtered: u64,
    /// Another shard's.
    pub elsewhere: u64,
}

impl Rows {
    /// Whether the books close: every row read in exactly one place (promise 1).
    pub fn is_balanced(&self) -> bool {
        let booked = [
            self.synced,
            self.folded,
            self.duplicate,
            self.unchanged,
            self.superseded,
            self.conflict,
            self.held,
            self.rejected,
            self.failed,
            self.in_doubt,
            self.pending,
            self.filtered,
            self.elsewhere,
        ];
        self.read == booked.iter().sum::<u64>()
    }

    /// Whether some rows need a person: the reason for exit code 3.
    pub fn leaves_rows(&self) -> bool {
        self.rejected + self.failed + self.conflict + self.held + self.superseded + self.in_doubt > 0
    }
}

/// Places kept of whatever is counted: the first ones.
pub const PLACES_MAX: usize = 3;

/// How often something happened and where first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// Where first.
    pub first: Place,
    /// The places after the first, at most [`PLACES_MAX`] with it.
    pub next: Vec<Place>,
}

/// Rules that applied: by code, and by field where a rule is about several.
pub type Tallies = BTreeMap<(&'static str, Option<FieldKind>), Tally>;

/// A cluster of equal complaints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureTally {
    /// How often.
    pub count: u64,
    /// Where first.
    pub first: Place,
    /// How these updates failed.
    pub kind: FailureKind,
}

/// The numbers of a run.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// What the run is about.
    pub run: RunFacts,
    /// The phase the run is in, in one word.
    pub phase: &'static str,
    /// Rows by their fate.
    pub rows: Rows,
    /// What the plan found, once it is made.
    pub plan: Option<PlanFacts>,
    /// Attempts ended, retries included.
    pub attempts: u64,
    /// Attempts of updates that had been attempted before in this run.
    pub retries: u64,
    /// Answers by status; 0 stands for attempts without an answer.
    pub http: BTreeMap<u16, u64>,
    /// Attempts by outcome word.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Updates to send.
    pub updates: u64,
    /// Updates refused for a conflict so far, whatever became of them later.
    pub deferred: u64,
    /// Reasons of rejected rows. A row of several reasons counts in each.
    pub rejections: Tallies,
    /// Warnings.
    pub warnings: Tallies,
    /// Silent normalisations.
    pub fixes: Tallies,
    /// Alarms about whole columns.
    pub alarms: Vec<AlarmFacts>,
    /// Blank lines passed over.
    pub lines_blank: u64,
    /// Lines of footers and trailers passed over.
    pub lines_footer: u64,
    /// Repeated headers passed over.
    pub lines_header: u64,
    /// Server complaints, by signature.
    pub signatures: BTreeMap<String, SignatureTally>,
    /// Things about the whole run to be read once.
    pub notices: Vec<String>,
    /// Those of them that somebody is harmed by.
    pub alerts: Vec<String>,
    /// Bytes and rows of the current pass.
    pub pass_rows: u64,
    /// Input bytes passed in the current pass.
    pub pass_bytes: u64,
    /// Input bytes of the current pass.
    pub pass_bytes_total: u64,
    /// Why sending pauses just now.
    pub paused: Option<&'static str>,
    /// True swaps that were broken by clearing one of their subjects.
    pub swaps_broken: u64,
    /// Subjects that are cleared of what others take just now, and wait for their own updates.
    pub cleared: u64,
    /// Why sending is slower than its rate just now.
    pub slowed: Option<String>,
    /// Milliseconds spent paused, up to the last change.
    pub paused_ms: u64,
    /// Attempts that may be on the wire at once, as told last.
    pub in_flight_limit: Option<u64>,
    /// Records made durable.
    pub committed: u64,
    /// Sum of latencies of attempts, in milliseconds.
    pub latency_sum_ms: u64,
    /// Largest latency of an attempt, in milliseconds.
    pub latency_max_ms: u64,
    /// Moment of the last event, in milliseconds since the run began.
    pub at_ms: u64,
    /// Whether the API had acknowledged something of this target, envelope and mapping before.
    pub is_proven: bool,
    /// Moment delivery began.
    pub delivery_began_ms: Option<u64>,
    /// The exit code, once the run has ended.
    pub exit_code: Option<u8>,
    /// Why the run stopped early, if it did.
    pub stopped: Option<String>,
    /// The refusals that stopped it, if they did.
    pub halt: Option<Halt>,
    paused_since_ms: Option<u64>,
}

impl Stats {
    /// Takes one event into the numbers.
    pub fn apply(&mut self, stamped: &Stamped) {
        self.at_ms = stamped.at_ms;
        match &stamped.event {
            Event::RunStarted(facts) => (self.run, self.phase) = (facts.clone(), "survey"),
            // Texts that no count can hold are the reporters' own to keep.
            Event::InputOpened { .. } | Event::ColumnsMapped { .. } | Event::StatusAsked => {}
            Event::LinesSkipped { blank, footer, header } => {
                self.lines_blank += blank;
                self.lines_footer += footer;
                self.lines_header += header;
            }
            Event::ColumnAlarmed(alarm) => self.alarms.push(alarm.clone()),
            Event::Noticed { text } => self.notices.push(text.clone()),
            Event::Warned { text } => self.warn(text),
            Event::Progressed { rows, bytes, bytes_total } => {
                self.pass_rows = *rows;
                self.pass_bytes = *bytes;
                self.pass_bytes_total = *bytes_total;
                if self.plan.is_none() {
                    // Until the plan is made every row read is pending, rejected or filtered; the books close at any
                    // moment.
                    self.rows.read = *rows;
                    self.leave_pending();
                }
            }
            Event::RuleApplied { place, code, warning, field } => {
                let tallies = if *warning { &mut self.warnings } else { &mut self.fixes };
                tally(tallies, code, *place, *field);
            }
            Event::RowRejected { place, code, field, also } => self.reject(*place, code, *field, also),
            Event::RowFiltered { place } => {
                self.rows.filtered += 1;
                self.rows.read = self.rows.read.max(place.ordinal);
                self.leave_pending();
            }
            Event::PlanMade(facts) => self.take_plan(facts),
            Event::GateTripped { text, .. } => self.notices.push(text.clone()),
            Event::DeliveryStarted { updates, is_proven } => {
                (self.updates, self.is_proven) = (*updates, *is_proven);
                self.phase = "deliver";
                self.delivery_began_ms = Some(stamped.at_ms);
            }
            Event::AttemptEnded { .. }
            | Event::UpdateSynced { .. }
            | Event::UpdateFailed { .. }
            | Event::UpdateDeferred { .. }
            | Event::UpdateInDoubt { .. }
            | Event::Committed { .. } => self.take_delivery(&stamped.event),
            Event::SwapBroken => self.swaps_broken += 1,
            Event::RowsSetAside => (self.rows, self.rejections) = Default::default(),
            Event::SubjectsCleared { subjects } => self.cleared = *subjects,
            Event::Slowed { why } => self.slowed.clone_from(why),
            Event::LimitChanged { in_flight } => self.in_flight_limit = Some(*in_flight),
            Event::Paused { reason, .. } => {
                self.paused = Some(reason);
                self.paused_since_ms.get_or_insert(stamped.at_ms);
            }
            Event::Resumed => self.end_pause(stamped.at_ms),
            Event::LaterPassStarted { about, .. } => self.phase = about,
            Event::DrainStarted { halt, .. } => (self.phase, self.halt) = ("drain", *halt),
            Event::RunEnded { exit_code, stopped } => {
                self.slowed = None;
                self.end_pause(stamped.at_ms);
                self.phase = "ended";
                self.exit_code = Some(*exit_code);
                self.stopped.clone_from(stopped);
            }
        }
    }

    fn reject(&mut self, place: Place, code: &'static str, field: Option<FieldKind>, also: &[Breach]) {
        self.rows.rejected += 1;
        if self.plan.is_none() {
            // Progress comes in steps; a reading that ends between two of them must close its books too.
            self.rows.read = self.rows.read.max(place.ordinal);
            self.leave_pending();
        }
        tally(&mut self.rejections, code, place, field);
        for breach in also {
            tally(&mut self.rejections, breach.code, place, breach.field);
        }
    }

    /// Before the plan is made: what is neither rejected nor filtered is pending.
    fn leave_pending(&mut self) {
        self.rows.pending = self.rows.read.saturating_sub(self.rows.rejected + self.rows.filtered);
    }

    fn end_pause(&mut self, at_ms: u64) {
        self.paused = None;
        if let Some(since) = self.paused_since_ms.take() {
            self.paused_ms += at_ms.saturating_sub(since);
        }
    }

    fn warn(&mut self, text: &str) {
        self.notices.push(text.to_owned());
        self.alerts.push(text.to_owned());
    }

    fn take_plan(&mut self, facts: &PlanFacts) {
        let rows = &facts.rows;
        self.rows = Rows {
            read: rows.read,
            synced: 0,
            folded: rows.folded,
            duplicate: rows.duplicate,
            unchanged: rows.unchanged,
            superseded: rows.superseded,
            conflict: rows.conflict,
            held: rows.held,
            rejected: rows.rejected,
            failed: rows.refused_before,
            in_doubt: 0,
            pending: rows.send,
            filtered: rows.filtered,
            elsewhere: rows.elsewhere,
        };
        self.plan = Some(facts.clone());
        self.phase = "plan";
    }

    fn take_delivery(&mut self, event: &Event) {
        if let Event::AttemptEnded { status, outcome, latency_ms, is_retry } = event {
            self.attempts += 1;
            self.retries += u64::from(*is_retry);
            *self.http.entry(status.unwrap_or(0)).or_default() += 1;
            *self.outcomes.entry(outcome).or_default() += 1;
            self.latency_sum_ms += latency_ms;
            self.latency_max_ms = self.latency_max_ms.max(*latency_ms);
        }
        if let Event::UpdateSynced { .. } = event {
            self.rows.synced += 1;
            self.rows.pending = self.rows.pending.saturating_sub(1);
        }
        if let Event::UpdateFailed { place, kind, signature, .. } = event {
            self.rows.failed += 1;
            self.rows.pending = self.rows.pending.saturating_sub(1);
            self.complain(signature, *place, *kind);
        }
        if let Event::UpdateInDoubt { .. } = event {
            self.rows.in_doubt += 1;
            self.rows.pending = self.rows.pending.saturating_sub(1);
        }
        if let Event::UpdateDeferred { .. } = event {
            self.deferred += 1;
        }
        if let Event::Committed { records } = event {
            self.committed += records;
        }
    }

    fn complain(&mut self, signature: &str, place: Place, kind: FailureKind) {
        let known = self.signatures.contains_key(signature) || self.signatures.len() < SIGNATURES_MAX;
        let name = if known { signature } else { SIGNATURE_OTHER };
        let tally =
            self.signatures.entry(name.to_owned()).or_insert(SignatureTally { count: 0, first: place, kind });
        tally.count += 1;
    }
}

fn tally(tallies: &mut Tallies, code: &'static str, place: Place, field: Option<FieldKind>) {
    match tallies.entry((code, field)) {
        Entry::Vacant(entry) => {
            entry.insert(Tally { count: 1, first: place, next: Vec::new() });
        }
        Entry::Occupied(mut entry) => {
            let tally = entry.get_mut();
            tally.count += 1;
            if tally.next.len() + 1 < PLACES_MAX {
                tally.next.push(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::PlanRows;

    fn fold(events: Vec<Event>) -> Stats {
        let mut stats = Stats::default();
        for (at_ms, event) in (0..).zip(events) {
            stats.apply(&Stamped { at_ms, event });
        }
        stats
    }

    const HERE: Place = Place { ordinal: 1, file: 0, line: 2 };

    fn rejected(ordinal: u64) -> Event {
        let place = Place { ordinal, ..HERE };
        Event::RowRejected { place, code: "imei.14", field: Some(FieldKind::Imei), also: Vec::new() }
    }

    #[test]
    fn the_books_close_at_every_moment() {
        let rows = PlanRows { read: 5, rejected: 1, folded: 1, send: 3, ..PlanRows::default() };
        let events = vec![
            rejected(1),
            Event::Progressed { rows: 5, bytes: 9, bytes_total: 9 },
            Event::PlanMade(Box::new(PlanFacts { rows, ..PlanFacts::default() })),
            Event::UpdateSynced { place: HERE },
            Event::UpdateFailed {
                place: HERE,
                kind: FailureKind::Refused,
                status: Some(422),
                signature: "422 no".into(),
            },
            Event::UpdateInDoubt { place: HERE },
        ];
        for upto in 2..=events.len() {
            let stats = fold(events[..upto].to_vec());
            assert!(stats.rows.is_balanced(), "after {upto} events: {:?}", stats.rows);
        }
        let stats = fold(events);
        assert_eq!(
            (stats.rows.synced, stats.rows.failed, stats.rows.in_doubt, stats.rows.pending),
            (1, 1, 1, 0)
        );
        assert!(stats.rows.leaves_rows());
    }

    #[test]
    fn the_books_close_when_a_reading_ends_between_two_steps_of_progress() {
        let stats = fold(vec![rejected(1), rejected(3)]);
        assert!(stats.rows.is_balanced(), "{:?}", stats.rows);
        assert_eq!((stats.rows.read, stats.rows.pending), (3, 1));
    }

    #[test]
    fn a_row_of_several_reasons_is_one_row_and_counts_in_each() {
        let also = vec![Breach { code: "imei.14", field: None }, Breach { code: "key.missing", field: None }];
        let twice = Event::RowRejected { place: HERE, code: "imei.14", field: Some(FieldKind::Imei), also };
        let stats = fold(vec![twice, rejected(2), rejected(3), rejected(4)]);
        assert_eq!((stats.rows.rejected, stats.rejections.len()), (4, 3));
        let tally = &stats.rejections[&("imei.14", Some(FieldKind::Imei))];
        assert_eq!((tally.count, tally.first.ordinal, tally.next.len()), (4, 1, PLACES_MAX - 1));
        assert_eq!(stats.rejections[&("key.missing", None)].count, 1);
    }

    #[test]
    fn a_filtered_row_is_neither_pending_nor_rejected() {
        let filtered = |ordinal| Event::RowFiltered { place: Place { ordinal, ..HERE } };
        let rejected = Event::RowRejected {
            place: Place { ordinal: 4, ..HERE },
            code: "imei.14",
            field: None,
            also: Vec::new(),
        };
        let mut events = vec![filtered(1), filtered(3), rejected];
        let stats = fold(events.clone());
        assert!(stats.rows.is_balanced(), "{:?}", stats.rows);
        assert_eq!((stats.rows.read, stats.rows.filtered, stats.rows.pending), (4, 2, 1));
        // The plan counts them once more, and not on top.
        let rows = PlanRows { read: 4, filtered: 2, rejected: 1, send: 1, ..PlanRows::default() };
        events.push(Event::PlanMade(Box::new(PlanFacts { rows, ..PlanFacts::default() })));
        let stats = fold(events);
        assert!(stats.rows.is_balanced() && stats.rows.filtered == 2, "{:?}", stats.rows);
    }

    #[test]
    fn a_pause_ends_with_the_run() {
        let ended = Event::RunEnded { exit_code: 5, stopped: None };
        let stats = fold(vec![Event::Paused { reason: "down", for_ms: None }, ended]);
        assert_eq!((stats.paused_ms, stats.paused), (1, None));
    }

    #[test]
    fn a_missing_row_shows_in_the_books() {
        let rows = Rows { read: 2, synced: 1, ..Rows::default() };
        assert!(!rows.is_balanced());
    }

    #[test]
    fn paused_time_is_added_up() {
        let paused = |reason| Event::Paused { reason, for_ms: None };
        let stats = fold(vec![paused("throttled"), paused("breaker"), Event::Resumed]);
        assert_eq!(stats.paused_ms, 2);
        assert_eq!(stats.paused, None);
    }
}

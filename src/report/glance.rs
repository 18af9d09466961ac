//! How a run stands at a moment, in the few figures that bar, status line, `progress` message and `status.json` share.
//!
//! Not here: counting (`stats.rs`), and how each of them shows it.

use std::collections::VecDeque;

use serde::Serialize;

use crate::report::build::{per_second, row_counts};
use crate::report::model::RowCounts;
use crate::report::style::{milli_per_s, percent, plural, rate, span, thousands};
use crate::stats::Stats;

/// Milliseconds between two samples of the recent rate.
const SAMPLE_EVERY_MS: u64 = 1_000;

/// Samples kept: the recent rate is that of the last ten seconds or so.
const SAMPLES_MAX: usize = 10;

/// The rate of late, which an average over hours hides.
#[derive(Debug, Default)]
pub(super) struct Recent {
    samples: VecDeque<(u64, u64)>,
    is_delivery: bool,
}

impl Recent {
    /// Takes a sample, if the last one is old enough.
    pub(super) fn sample(&mut self, stats: &Stats) {
        let is_delivery = stats.delivery_began_ms.is_some();
        if is_delivery != self.is_delivery {
            self.samples.clear();
            self.is_delivery = is_delivery;
        }
        let is_due = self.samples.back().is_none_or(|(at_ms, _)| stats.at_ms >= at_ms + SAMPLE_EVERY_MS);
        if is_due {
            if self.samples.len() == SAMPLES_MAX {
                self.samples.pop_front();
            }
            self.samples.push_back((stats.at_ms, done(stats)));
        }
    }

    /// Steps per second of late, in thousandths; the average since the phase began until there are two samples.
    fn milli_per_s(&self, stats: &Stats) -> u64 {
        match self.samples.front() {
            Some((at_ms, count)) if stats.at_ms > *at_ms => {
                milli_per_s(done(stats).saturating_sub(*count), stats.at_ms - at_ms)
            }
            Some(_) | None => milli_per_s(done(stats), stats.at_ms - stats.delivery_began_ms.unwrap_or(0)),
        }
    }
}

/// The figures of a moment. Its JSON is the `progress` message and `status.json`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Glance {
    /// The phase, in a word.
    pub phase: &'static str,
    /// Milliseconds since the run began.
    pub at_ms: u64,
    /// Rows by their fate.
    pub rows: RowCounts,
    /// Updates settled.
    pub settled: u64,
    /// Updates to send.
    pub updates: u64,
    /// Input bytes passed in this pass.
    pub bytes: u64,
    /// Input bytes of this pass.
    pub bytes_total: u64,
    /// Attempts so far.
    pub attempts: u64,
    /// Retries so far.
    pub retries: u64,
    /// Attempts that may be on the wire at once, once that is known.
    pub in_flight_limit: Option<u64>,
    /// Rows (survey) or updates (delivery) per second of late.
    pub per_s: f64,
    /// Milliseconds to the end of the phase at that rate, if that can be told.
    pub eta_ms: Option<u64>,
    /// Subjects that are cleared of what others take, and wait for their own updates.
    pub cleared: u64,
    /// Why sending pauses, if it does.
    pub paused: Option<&'static str>,
    /// Why sending is slower than its rate, if it is and does not pause.
    pub slowed: Option<String>,
    #[serde(skip)]
    milli_per_s: u64,
    #[serde(skip)]
    is_delivery: bool,
}

impl Glance {
    /// The figures as of the last event.
    pub(super) fn of(stats: &Stats, recent: &Recent) -> Glance {
        let is_delivery = stats.delivery_began_ms.is_some();
        let milli_per_s = recent.milli_per_s(stats);
        let settled = if is_delivery { done(stats) } else { 0 };
        let left = if is_delivery { stats.updates.saturating_sub(settled) } else { rows_left(stats) };
        Glance {
            phase: stats.phase,
            at_ms: stats.at_ms,
            rows: row_counts(&stats.rows),
            settled,
            updates: stats.updates,
            bytes: stats.pass_bytes,
            bytes_total: stats.pass_bytes_total,
            attempts: stats.attempts,
            retries: stats.retries,
            in_flight_limit: stats.in_flight_limit,
            per_s: per_second(milli_per_s, 1_000_000),
            eta_ms: left.checked_mul(1_000_000).and_then(|left| left.checked_div(milli_per_s)),
            cleared: stats.cleared,
            paused: stats.paused,
            slowed: stats.slowed.clone().filter(|_| stats.paused.is_none()),
            milli_per_s,
            is_delivery,
        }
    }

    /// How far the phase is: `(done, of)`.
    pub(super) fn position(&self) -> (u64, u64) {
        if self.is_delivery { (self.settled, self.updates) } else { (self.bytes, self.bytes_total) }
    }

    /// The figures as text: all of it static or numbers, so there is nothing to escape.
    pub(super) fn text(&self) -> String {
        let (done, of) = self.position();
        let mut parts = if self.is_delivery {
            vec![format!("{} of {} settled", thousands(self.settled), plural(self.updates, "update"))]
        } else {
            vec![plural(self.rows.read, "row")]
        };
        let share = percent(done, of);
        if !share.is_empty() {
            parts.push(share);
        }
        parts.push(format!("{}/s", rate(self.milli_per_s)));
        let troubles = [
            (self.rows.rejected, "rejected"),
            (self.rows.failed, "failed"),
            (self.rows.in_doubt, "in doubt"),
        ];
        for (count, name) in troubles {
            if count > 0 {
                parts.push(format!("{} {name}", thousands(count)));
            }
        }
        if let Some(limit) = self.in_flight_limit {
            parts.push(format!("{} at once", thousands(limit)));
        }
        if self.retries > 0 {
            parts.push(plural(self.retries, "retry"));
        }
        match self.cleared {
            0 => {}
            1 => parts.push("1 subject cleared, its own update pending".to_owned()),
            more => parts.push(format!("{} subjects cleared, their own updates pending", thousands(more))),
        }
        match (self.paused, self.eta_ms) {
            (Some(reason), _) => parts.push(format!("paused: {reason}")),
            (None, Some(eta_ms)) if eta_ms >= 1_000 => parts.push(format!("{} left", span(eta_ms))),
            (None, _) => {}
        }
        if let Some(why) = &self.slowed {
            parts.push(format!("slowed: {why}"));
        }
        parts.join(" · ")
    }
}

/// Steps of the current phase that are done: rows in the survey, settled updates in delivery.
fn done(stats: &Stats) -> u64 {
    if stats.delivery_began_ms.is_some() {
        stats.updates.saturating_sub(stats.rows.pending)
    } else {
        stats.pass_rows
    }
}

/// Rows still to survey, guessed from the bytes: nobody knows their number before the end.
fn rows_left(stats: &Stats) -> u64 {
    let left = u128::from(stats.pass_bytes_total.saturating_sub(stats.pass_bytes));
    let rows = (left * u128::from(stats.pass_rows)).checked_div(u128::from(stats.pass_bytes)).unwrap_or(0);
    u64::try_from(rows).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Stamped};
    use crate::row::Place;

    fn at(stats: &mut Stats, recent: &mut Recent, at_ms: u64, event: Event) -> Glance {
        stats.apply(&Stamped { at_ms, event });
        recent.sample(stats);
        Glance::of(stats, recent)
    }

    #[test]
    fn a_survey_counts_rows_and_guesses_the_rest_from_bytes() {
        let (mut stats, mut recent) = (Stats::default(), Recent::default());
        let passed = |rows, bytes| Event::Progressed { rows, bytes, bytes_total: 4_000 };
        at(&mut stats, &mut recent, 1_000, passed(10, 1_000));
        let glance = at(&mut stats, &mut recent, 2_000, passed(20, 2_000));
        assert_eq!(glance.text(), "20 rows · 50 % · 10.0/s · 2 s left");
        assert_eq!(glance.position(), (2_000, 4_000));
    }

    #[test]
    fn delivery_counts_settled_updates_and_the_recent_rate() {
        let (mut stats, mut recent) = (Stats::default(), Recent::default());
        stats.rows.pending = 1_000;
        at(&mut stats, &mut recent, 0, Event::DeliveryStarted { updates: 1_000, is_proven: false });
        let place = Place { ordinal: 1, file: 0, line: 2 };
        // Ten a second for half a minute, then one a second for half a minute: the recent rate is one.
        for step in 0..300 {
            at(&mut stats, &mut recent, step * 100, Event::UpdateSynced { place });
        }
        let mut glance = at(&mut stats, &mut recent, 29_900, Event::Resumed);
        assert_eq!(glance.milli_per_s, 10_000);
        for step in 0..30 {
            glance = at(&mut stats, &mut recent, 31_000 + step * 1_000, Event::UpdateSynced { place });
        }
        assert_eq!((glance.settled, glance.milli_per_s), (330, 1_000));
        assert_eq!(glance.text(), "330 of 1,000 updates settled · 33 % · 1.0/s · 11 min 10 s left");
        let glance = at(&mut stats, &mut recent, 61_000, Event::Paused { reason: "throttled", for_ms: None });
        assert!(glance.text().ends_with("paused: throttled"));
        at(&mut stats, &mut recent, 61_500, Event::Resumed);
        let glance = at(&mut stats, &mut recent, 61_900, Event::SubjectsCleared { subjects: 2 });
        assert!(
            glance.text().contains(" · 2 subjects cleared, their own updates pending"),
            "{}",
            glance.text()
        );
        let why = Some("too many requests fail".to_owned());
        let glance = at(&mut stats, &mut recent, 62_000, Event::Slowed { why });
        assert!(glance.text().ends_with(" left · slowed: too many requests fail"), "{}", glance.text());
    }

    #[test]
    fn nothing_yet_is_no_division_by_zero() {
        let glance = Glance::of(&Stats::default(), &Recent::default());
        assert_eq!(glance.text(), "0 rows · 0.00/s");
        assert_eq!(glance.eta_ms, None);
    }
}

//! What is kept of rows that were judged, until it is their turn to be gathered and told.
//!
//! Rows are judged on several threads, a stretch of an input on each, and gathered on one, in their order. Of a row
//! only what that needs is kept: no cell. Not here: the judgement (`survey.rs`), the turn (`reading.rs`).

use crate::event::Breach;
use crate::fields::{ColumnNotes, Severity};
use crate::input::{Look, Row, RowError};
use crate::plan::{Staged, Surveyed};
use crate::row::Place;
use crate::update::FieldKind;

use super::{Judge, Judged};

/// What is to be told of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// It is an update to which rules applied.
    Valid,
    /// It is rejected.
    Rejected(Breach),
    /// A condition leaves it out.
    Filtered,
}

/// A rule that applied to a row that goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) code: &'static str,
    pub(super) warning: bool,
    pub(super) field: Option<FieldKind>,
}

/// A row of which something is to be told, and how much of the batch's lists is its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted {
    pub(super) place: Place,
    pub(super) fate: Fate,
    /// End of what is told of it: of a valid row rules that applied, of a rejected one further reasons.
    pub(super) told_to: usize,
}

/// Rows that were judged, in their order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Ordinal of the first row.
    pub(super) first_ordinal: u64,
    /// Of every row the offset in the text behind it, or the bytes of the inputs behind it.
    pub(super) text_ends: Vec<u64>,
    /// What the plan needs of them.
    pub(super) staged: Staged,
    /// Those of which something is to be told.
    pub(super) noted: Vec<Noted>,
    pub(super) told: Vec<Told>,
    pub(super) also: Vec<Breach>,
    pub(super) columns: ColumnNotes,
}

impl Batch {
    /// Judges a row, and keeps what is needed of it.
    pub(super) fn judge(
        &mut self,
        judge: &mut Judge<'_>,
        row: &Result<Row<'_>, RowError>,
        text_end: u64,
    ) -> Judged {
        let (place, judged) = judge.read(row);
        if row.is_ok() && judged != Judged::Filtered {
            self.columns.observe(place, &judge.checked);
        }
        if self.text_ends.is_empty() {
            self.first_ordinal = place.ordinal;
        }
        self.text_ends.push(text_end);
        match judged {
            Judged::Rejected { code, field } => self.rejected(judge, row, place, Breach { code, field }),
            Judged::Filtered => self.note(place, Fate::Filtered, self.told.len()),
            Judged::Valid { subject, version, rank } => {
                let (ordinal, facts, old) = (place.ordinal, &judge.facts[..], &judge.old[..]);
                self.staged.row(&Surveyed { ordinal, subject, version, rank, facts, old });
                let told_from = self.told.len();
                self.tell(judge);
                if self.told.len() > told_from {
                    self.note(place, Fate::Valid, self.told.len());
                }
            }
        }
        judged
    }

    fn note(&mut self, place: Place, fate: Fate, told_to: usize) {
        self.noted.push(Noted { place, fate, told_to });
    }

    fn rejected(&mut self, judge: &Judge<'_>, row: &Result<Row<'_>, RowError>, place: Place, breach: Breach) {
        let Breach { code, field } = breach;
        self.also.extend(judge.also(Judged::Rejected { code, field }));
        if let Some((subject, rank)) = row.as_ref().ok().and_then(|row| judge.place_of_rejected(row)) {
            self.staged.rejected_in_order(place.ordinal, subject, rank);
        }
        self.note(place, Fate::Rejected(breach), self.also.len());
    }

    /// What was normalized, and what is worth a warning, in a row that goes on.
    fn tell(&mut self, judge: &Judge<'_>) {
        for finding in &judge.checked.findings {
            let warning = match finding.severity {
                Severity::Warn => true,
                Severity::Fix => false,
                Severity::Off | Severity::Error => continue,
            };
            let code = finding.rule.rule().code;
            self.told.push(Told { code, warning, field: finding.field });
        }
    }

    /// Forgets the rows and keeps the memory. What was noted of the columns is to be taken over before.
    pub(super) fn clear(&mut self) {
        self.text_ends.clear();
        self.staged.clear();
        self.noted.clear();
        self.told.clear();
        self.also.clear();
    }
}

/// A judge on a thread of its own.
pub(super) struct Helper<'a>(pub(super) Judge<'a>);

impl Look for Helper<'_> {
    type Seen = Batch;

    fn row(&mut self, row: &Result<Row<'_>, RowError>, text_end: u64, seen: &mut Batch) {
        seen.judge(&mut self.0, row, text_end);
    }
}

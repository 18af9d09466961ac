//! What is kept of rows that were judged, until it is their turn to be gathered and told.
//!
//! Rows are judged on several threads, a stretch of an input on each, and gathered on one, in their order. Of a row only
//! what that needs is kept: no cell. Not here: the judgement (`survey.rs`), the turn (`reading.rs`).

use crate::digest::{FieldHash, SubjectId};
use crate::event::Breach;
use crate::fields::{ColumnNotes, Severity};
use crate::input::{Look, Row, RowError};
use crate::row::{Place, Version};
use crate::update::FieldKind;

use super::{Judge, Judged};

/// What became of a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// It is an update of this subject, with neither version nor rank nor old values.
    Valid(SubjectId),
    /// It is an update of this subject; its [`Extra`] comes next.
    ValidBut(SubjectId),
    /// It is rejected.
    Rejected(Breach),
    /// It is rejected and keeps its place among its subject's rows; its [`Displaced`] comes next.
    Displaced(Breach),
    /// A condition leaves it out.
    Filtered,
}

/// What few rows have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extra {
    pub(super) version: Option<Version>,
    pub(super) rank: Option<i128>,
    /// End of what its fields were before, as columns say.
    pub(super) old_to: usize,
}

/// Whom a rejected row is about, and its rank.
#[derive(Debug, Clone, Copy)]
pub(super) struct Displaced {
    pub(super) subject: SubjectId,
    pub(super) rank: i128,
}

/// A rule that applied to a row that goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) code: &'static str,
    pub(super) warning: bool,
    pub(super) field: Option<FieldKind>,
}

/// A row, and how much of the batch's lists is its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted {
    pub(super) place: Place,
    /// Offset in the text behind it, or bytes of the inputs behind it.
    pub(super) text_end: u64,
    pub(super) fate: Fate,
    /// End of its facts.
    pub(super) facts_to: usize,
    /// End of what is told of it: of a valid row rules that applied, of a rejected one further reasons.
    pub(super) told_to: usize,
}

/// Rows that were judged, in their order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) rows: Vec<Noted>,
    pub(super) facts: Vec<(FieldKind, FieldHash)>,
    pub(super) told: Vec<Told>,
    pub(super) also: Vec<Breach>,
    pub(super) extras: Vec<Extra>,
    pub(super) old: Vec<(FieldKind, FieldHash)>,
    pub(super) displaced: Vec<Displaced>,
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
        let fate = match judged {
            Judged::Rejected { code, field } => self.rejected(judge, row, Breach { code, field }),
            Judged::Filtered => Fate::Filtered,
            Judged::Valid { subject, version, rank } => {
                self.facts.extend_from_slice(&judge.facts);
                self.tell(judge);
                if version.is_none() && rank.is_none() && judge.old.is_empty() {
                    Fate::Valid(subject)
                } else {
                    self.old.extend_from_slice(&judge.old);
                    self.extras.push(Extra { version, rank, old_to: self.old.len() });
                    Fate::ValidBut(subject)
                }
            }
        };
        let told_to = match fate {
            Fate::Valid(_) | Fate::ValidBut(_) | Fate::Filtered => self.told.len(),
            Fate::Rejected(_) | Fate::Displaced(_) => self.also.len(),
        };
        self.rows.push(Noted { place, text_end, fate, facts_to: self.facts.len(), told_to });
        judged
    }

    fn rejected(&mut self, judge: &Judge<'_>, row: &Result<Row<'_>, RowError>, breach: Breach) -> Fate {
        let Breach { code, field } = breach;
        self.also.extend(judge.also(Judged::Rejected { code, field }));
        match row.as_ref().ok().and_then(|row| judge.place_of_rejected(row)) {
            Some((subject, rank)) => {
                self.displaced.push(Displaced { subject, rank });
                Fate::Displaced(breach)
            }
            None => Fate::Rejected(breach),
        }
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
        self.rows.clear();
        self.facts.clear();
        self.told.clear();
        self.also.clear();
        self.extras.clear();
        self.old.clear();
        self.displaced.clear();
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

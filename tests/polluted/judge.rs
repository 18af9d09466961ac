//! What was read of a polluted file, held against the clean export.
//!
//! Not here: how it was read (`reading.rs`).

use std::collections::BTreeSet;

use simsync::update::FieldKind;

use crate::base::{Base, MAPPED, digits_of};
use crate::reading::{Read, Seen};

/// A fault, told with the smallest example of its pollution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Wrong,
    Vanished,
}

/// What became of one polluted file.
#[derive(Default)]
pub(crate) struct Judgment {
    pub(crate) refused: bool,
    pub(crate) rejected: usize,
    /// Rows accepted that are their clean row.
    pub(crate) right: usize,
    /// Of them: rows that lack a value of their clean row.
    pub(crate) partial: usize,
    /// Rows accepted that are another than their clean row, with a warning on the value.
    pub(crate) warned: usize,
    /// The same without any.
    pub(crate) wrong: usize,
    /// Clean rows of which nothing was said.
    pub(crate) vanished: usize,
    /// The first fault of each kind, for people.
    pub(crate) faults: Vec<(Fault, String)>,
}

/// How an accepted row compares.
enum Match {
    Right { row: usize, partial: bool },
    Other { row: Option<usize>, warned: bool, what: String },
}

/// Judges one file.
pub(crate) fn judge(base: &Base, bytes: &[u8], read: &Read) -> Judgment {
    if read.stopped.is_some() {
        return Judgment { refused: true, ..Judgment::default() };
    }
    let mut judgment = Judgment::default();
    let mut told: BTreeSet<usize> = BTreeSet::new();
    let on_line = rows_on_lines(base, bytes);
    for seen in &read.rows {
        if seen.rejected {
            judgment.rejected += 1;
            told.extend(on_line.get(seen.line - 1).into_iter().flatten());
            continue;
        }
        match compare(base, seen) {
            Match::Right { row, partial } => {
                judgment.right += 1;
                judgment.partial += usize::from(partial);
                told.insert(row);
            }
            Match::Other { row, warned, what } => {
                told.extend(row);
                told.extend(on_line.get(seen.line - 1).into_iter().flatten());
                if warned {
                    judgment.warned += 1;
                } else {
                    judgment.wrong += 1;
                    judgment.note(Fault::Wrong, || format!("line {}: {what}", seen.line));
                }
            }
        }
    }
    for (at, rows) in on_line.iter().enumerate() {
        for row in rows {
            if told.insert(*row) {
                judgment.vanished += 1;
                judgment.note(Fault::Vanished, || format!("the row on line {} is not told of", at + 1));
            }
        }
    }
    judgment
}

impl Judgment {
    fn note(&mut self, fault: Fault, text: impl FnOnce() -> String) {
        if !self.faults.iter().any(|(known, _)| *known == fault) {
            self.faults.push((fault, text()));
        }
    }
}

fn compare(base: &Base, seen: &Seen) -> Match {
    let identifiers =
        [FieldKind::UserExternalId, FieldKind::Iccid, FieldKind::Imsi, FieldKind::Imei, FieldKind::Number];
    let named = |kind: &FieldKind| base.named_by(&digits_of(seen.value(*kind)?));
    let Some(row) = identifiers.iter().find_map(named) else {
        let what = if seen.fields.is_empty() { "a row without a value" } else { "a row that names nobody" };
        return Match::Other { row: None, warned: seen.fields.is_empty(), what: what.to_owned() };
    };
    let mut partial = false;
    for (kind, column) in MAPPED {
        let clean = &base.rows[row][column];
        match seen.value(kind) {
            None => partial |= !clean.is_empty(),
            Some(value) if value == clean => {}
            Some(value) => {
                let what = format!("{kind} is {value:?}, should be {clean:?}");
                return Match::Other { row: Some(row), warned: seen.warned.contains(&kind), what };
            }
        }
    }
    Match::Right { row, partial }
}

/// Of each physical line, the clean rows of which an identifier stands on it, whole.
fn rows_on_lines(base: &Base, bytes: &[u8]) -> Vec<Vec<usize>> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let rows_on = |line: &str| {
        let runs = line.split(|c: char| !c.is_ascii_digit());
        let mut rows: Vec<usize> = runs.filter_map(|run| base.named_by(run)).collect();
        rows.dedup();
        rows
    };
    text.split('\n').map(rows_on).collect()
}

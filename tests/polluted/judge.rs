//! What was read of a polluted file, held against the clean export.
//!
//! Not here: how it was read (`reading.rs`).

use std::collections::BTreeSet;

use simsync::update::FieldKind;

use crate::base::{Base, digits_of};
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
    for (at, seen) in read.rows.iter().enumerate() {
        let end = read.rows.get(at + 1).map_or(on_line.len(), |next| next.line - 1);
        let span = on_line.get(seen.line - 1..end).unwrap_or_default();
        if seen.rejected {
            judgment.rejected += 1;
            told.extend(told_by(span));
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
                told.extend(told_by(span));
                if warned || read.noted == Some(seen.line) {
                    judgment.warned += 1;
                } else {
                    judgment.wrong += 1;
                    judgment.note(Fault::Wrong, || format!("line {}: {what}", seen.line));
                }
            }
        }
    }
    if judgment.right + judgment.warned + judgment.wrong > 0 {
        judgment.count_vanished(&on_line, told);
    }
    judgment
}

/// The rows that a rejected record tells of: those on its first line, or else the first one within it. What else it
/// holds it has swallowed.
fn told_by(span: &[Vec<usize>]) -> Vec<usize> {
    match span.first() {
        Some(first) if !first.is_empty() => first.clone(),
        Some(_) | None => span.iter().flatten().take(1).copied().collect(),
    }
}

impl Judgment {
    /// A file of which nothing was accepted is as good as refused; in any other, every row must be told of.
    fn count_vanished(&mut self, on_line: &[Vec<usize>], mut told: BTreeSet<usize>) {
        for (at, rows) in on_line.iter().enumerate() {
            for row in rows {
                if told.insert(*row) {
                    self.vanished += 1;
                    self.note(Fault::Vanished, || format!("the row on line {} is not told of", at + 1));
                }
            }
        }
    }

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
    for (kind, column) in base.mapped {
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

//! The verdict on a record with quotes: trusted, or in doubt up to a place.
//!
//! Pure. Not here: how readings are found (`quotes.rs`), how lines in doubt are told and passed (`csv.rs`).

use super::error::Problem;
use super::header::CsvLayout;
use super::quotes::{Contest, Form, Other, Others, Reading, RowsWithin, Text};
use super::split::{Quotes, Splitter, count_breaks};

/// A record as it was cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) start: usize,
    pub(super) next: usize,
    pub(super) breaks: u64,
    pub(super) quotes: Quotes,
    /// The line it begins on.
    pub(super) line: u64,
}

/// What a record with quotes is worth.
#[derive(Debug)]
pub(super) enum Trust {
    /// It is what it reads like.
    Sound,
    /// It is no row; nor is any line before `until`: a quote may be open there.
    Doubt { problem: Problem, until: usize },
    /// It reads soundly in two ways.
    Ambiguous,
    /// More of the file has to be in memory.
    More,
}

/// Judges a record with quotes.
pub(super) fn judge(text: Text<'_>, splitter: &mut Splitter, layout: &CsvLayout, cut: Cut) -> Trust {
    let Cut { start, next, breaks, quotes, .. } = cut;
    // Nearly all records: what comes after them shows that their last quote closed a cell.
    let mut may_go_on = || text.may_go_on(start, next, |at| splitter.quote(text.bytes, at));
    if quotes != Quotes::Stray && breaks == 0 {
        match may_go_on() {
            None => return Trust::More,
            Some(false) => return Trust::Sound,
            Some(true) => {}
        }
    }
    let Some(reading) = text.as_cut(start) else { return Trust::Ambiguous };
    let form = layout.form();
    let within = if breaks > 0 { text.rows_within(&reading, form) } else { RowsWithin::None };
    let problem = problem(text, &reading, layout, cut);
    if problem.is_none() && within == RowsWithin::None && quotes != Quotes::Stray {
        match may_go_on() {
            None => return Trust::More,
            Some(false) => return Trust::Sound,
            Some(true) => {}
        }
    }
    let line_end = splitter.line_end(text.bytes, start);
    let others = match text.others(start, &reading, form) {
        Others::More => return Trust::More,
        Others::Known(others) => Some(others),
        Others::Untold => None,
    };
    match (problem, others) {
        (Some(problem), Some(others)) if !others.is_empty() => {
            Trust::Doubt { problem, until: common_end(&others) }
        }
        (Some(problem), Some(_)) if within == RowsWithin::Only => {
            Trust::Doubt { problem, until: line_end + 1 }
        }
        (Some(problem), _) => Trust::Doubt { problem, until: next },
        (None, Some(others)) if quotes == Quotes::Stray => stray(&others, &reading, form),
        (None, Some(others)) => match contest(text, &others, cut) {
            // Either two quotes too many have swallowed rows, or a note quotes some. They are not read as rows, since
            // nothing tells which it is.
            Trust::Sound if within != RowsWithin::None => {
                Trust::Doubt { problem: swallowed(cut, "lines within it read like rows"), until: next }
            }
            trust @ (Trust::Sound | Trust::Doubt { .. } | Trust::Ambiguous | Trust::More) => trust,
        },
        (None, None) => Trust::Ambiguous,
    }
}

/// A quote that took in what may be rows. The first cell that stretches over lines begins on the record's own line.
fn swallowed(cut: Cut, what: &str) -> Problem {
    Problem::new("csv.unbalanced_quote", format!("unbalanced quote opened at line {}: {what}", cut.line))
}

/// A record with a stray quote that seems to do no harm: it is a row when every sound reading gives the same.
fn stray(others: &[Other], reading: &Reading, form: Form<'_>) -> Trust {
    if others.iter().all(|other| agrees(other, reading, form)) {
        return Trust::Sound;
    }
    let problem = Problem::new("csv.stray_quote", "a quote that may open a cell");
    Trust::Doubt { problem, until: common_end(others) }
}

/// A record that reads soundly in several ways: the one that stands is taken where all others come to nothing.
fn contest(text: Text<'_>, others: &[Other], cut: Cut) -> Trust {
    let mut doubt_to = None;
    for other in others {
        let end = other.ends.last().copied().unwrap_or(cut.next);
        match text.contest(cut.next, end) {
            Contest::More => return Trust::More,
            Contest::Untold => return Trust::Ambiguous,
            Contest::Mine => {}
            Contest::Other(until) => doubt_to = doubt_to.max(Some(until)),
        }
    }
    let Some(until) = doubt_to else { return Trust::Sound };
    Trust::Doubt { problem: swallowed(cut, "what follows reads soundly without it"), until }
}

/// What is wrong with a record's quotes, read as they stand.
fn problem(text: Text<'_>, reading: &Reading, layout: &CsvLayout, cut: Cut) -> Option<Problem> {
    let name = |column: usize| layout.names.get(column).map_or("", String::as_str);
    let broken = |column: &&usize| {
        reading.cells.get(**column).is_some_and(|cell| count_breaks(&text.bytes[cell.clone()]) > 0)
    };
    if cut.breaks > 0
        && let Some(column) = layout.mapped.iter().find(broken)
    {
        let detail = "a line end within an identifier; is a quote unbalanced?";
        return Some(Problem::new("csv.newline_in_identifier", detail).of_column(name(*column)));
    }
    if reading.strays.iter().any(|stray| stray.merged) && cut.breaks > 0 {
        return Some(swallowed(cut, "text goes on after the quote that closes it"));
    }
    if let Some(stray) = reading.strays.iter().find(|stray| layout.mapped.contains(&stray.cell)) {
        let detail = "a quote within an identifier";
        return Some(Problem::new("csv.stray_quote", detail).of_column(name(stray.cell)));
    }
    if let Some(stray) = reading.strays.first() {
        let width = layout.names.len();
        let is_harmless = cut.breaks == 0 && reading.cells.len() == width;
        let merged = reading.strays.iter().any(|stray| stray.merged);
        // A row of another width is told as that; its cells may have shifted whatever its quotes mean.
        if merged || (!is_harmless && (cut.breaks > 0 || reading.cells.len() > width)) {
            let detail = "a quote within a cell, so cells may have merged";
            return Some(Problem::new("csv.stray_quote", detail).of_column(name(stray.cell)));
        }
    }
    None
}

/// Whether another reading gives the same row: its place and the cells of all fields.
fn agrees(other: &Other, reading: &Reading, form: Form<'_>) -> bool {
    let same = |column: &usize| other.reading.cells.get(*column) == reading.cells.get(*column);
    other.ends == [reading.next]
        && other.reading.cells.len() == reading.cells.len()
        && form.mapped.iter().all(same)
}

/// The first place at which all readings begin a record; where there is none, the last one that is known.
fn common_end(others: &[Other]) -> usize {
    let ends = others.iter().map(|other| other.ends.as_slice());
    let is_common = |end: &&usize| ends.clone().all(|ends| ends.contains(end));
    let first = others.first().and_then(|other| other.ends.iter().find(is_common));
    let last = ends.clone().flat_map(|ends| ends.last()).max();
    first.or(last).copied().unwrap_or(0)
}

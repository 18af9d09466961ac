//! Empty cells that all rows of a file have after those of its header: the delimiter that some exports write after
//! every cell.
//!
//! They are a habit of the file or they are none: a row alone with an empty cell too many has an extra delimiter
//! somewhere, and its cells have shifted. Decided once, from the first rows. Pure. Not here: rows that break the habit
//! (`csv/check.rs`).

use super::csv::is_blank;
use super::footer::{self, Kind};
use super::head::Head;
use super::header::CsvLayout;
use super::quotes::Text;
use super::split::{Split, Splitter};

/// Records the habit is looked for in, as far as they are in memory when the file is opened.
const RECORDS_MAX: usize = 50;

/// One row alone has no habit.
const RECORDS_MIN: usize = 2;

/// Of ten records, how many have to have it. The others may be damaged.
const OF_TEN_MIN: usize = 9;

/// How many empty cells the rows have after those of the header; 0 as a rule.
pub(super) fn of_rows(head: Head<'_>, layout: &CsvLayout) -> usize {
    let (bytes, at_end) = (head.window.bytes(), head.window.at_end());
    let rules = layout.split_rules(head.bounds);
    let text = Text { bytes, at_end, rules };
    let width = layout.names.len();
    let mut splitter = Splitter::new();
    let mut at = layout.body;
    let mut found: Vec<usize> = Vec::new();
    while found.len() < RECORDS_MAX {
        let Split::Record { end, next, .. } = splitter.split(bytes, at, at_end, rules) else { break };
        if next == at {
            break;
        }
        if !is_blank(&bytes[at..end], layout.delimiter) {
            let Some(reading) = text.as_cut(at) else { break };
            let cells: Vec<&str> = reading
                .cells
                .iter()
                .map(|cell| std::str::from_utf8(&bytes[cell.clone()]).unwrap_or("?"))
                .collect();
            if footer::kind(&cells, width, &layout.mapped) == Kind::Row {
                let is_filled = |cell: &&str| !cell.trim().is_empty() && *cell != "\"\"";
                let is_habit = !cells.iter().skip(width).any(is_filled);
                found.push(if is_habit { cells.len().saturating_sub(width) } else { 0 });
            }
        }
        at = next;
    }
    let habit = found.iter().copied().find(|surplus| is_common(*surplus, &found));
    habit.filter(|_| found.len() >= RECORDS_MIN).unwrap_or(0)
}

fn is_common(surplus: usize, found: &[usize]) -> bool {
    let alike = found.iter().filter(|other| **other == surplus).count();
    alike * 10 >= found.len() * OF_TEN_MIN
}

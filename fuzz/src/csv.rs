//! The laws of CSV.
//!
//! Not here: the laws of every format (`reading.rs`).

use simsync::input::{Bounds, Format, InputOptions};
use simsync::update::FieldKind;

use crate::choices::{self, Choices};
use crate::reading::{self, Reading, Seen};

/// Holds a CSV input against the laws. The first two bytes choose the settings.
pub fn csv(bytes: &[u8]) {
    let Some((mut choices, content)) = choices::split(bytes) else { return };
    let options = options(&mut choices);
    let Some(reading) = reading::read(content, &options) else { return };
    identifiers_are_whole(&reading);
    if options.encoding.is_none() && options.bounds == Bounds::default() {
        unquoted_lines_are_their_cells(&reading, content);
    }
}

fn options(choices: &mut Choices) -> InputOptions {
    let bounds = if choices.flag() {
        Bounds {
            record_bytes_max: 64,
            record_lines_max: 3,
            columns_max: 6,
            field_bytes_max: 24,
            ..Bounds::default()
        }
    } else {
        Bounds::default()
    };
    let names = ["number", "imei", "note"].map(str::to_owned).to_vec();
    InputOptions {
        format: Format::Csv,
        bounds,
        delimiter: choices.of(&[None, None, Some(b';'), Some(b'\t')]),
        flexible: choices.flag(),
        skip_rows: choices.of(&[0, 0, 0, 1]),
        column_names: choices.of(&[false, false, false, true]).then_some(names),
        encoding: choices.of(&[None, None, Some("windows-1252"), Some("utf-16le")]).map(str::to_owned),
        columns: choices.flag().then(|| (FieldKind::Password, "pw".to_owned())).into_iter().collect(),
        ..InputOptions::default()
    }
}

/// A line end within an identifier is two rows run into one.
fn identifiers_are_whole(reading: &Reading) {
    for row in &reading.rows {
        let Seen::Row { place, cells, .. } = row else { continue };
        for cell in cells.iter().flatten() {
            assert!(!cell.contains(['\n', '\r', '\0']), "line {}: an identifier over two lines", place.line);
        }
    }
}

/// A row from a line without a quote is that line, cut at the delimiter: nothing shifts, nothing is swallowed.
fn unquoted_lines_are_their_cells(reading: &Reading, content: &[u8]) {
    let Ok(text) = std::str::from_utf8(content) else { return };
    let Some(delimiter) = delimiter(&reading.inputs.shaping()) else { return };
    let text = text.trim_start_matches('\u{feff}').trim_end_matches('\u{1a}');
    let lines: Vec<&str> = lines(text);
    for row in &reading.rows {
        let Seen::Row { place, originals, .. } = row else { continue };
        let at = usize::try_from(place.line - 1).expect("a line");
        let line = lines.get(at).expect("a row stands on a line");
        if line.contains('"') {
            continue;
        }
        let mut cells: Vec<&str> = line.split(delimiter).collect();
        // Our own columns are not among the originals, and empty cells too many are cut off.
        if originals.len() < cells.len() {
            assert!(
                cells[originals.len()..].iter().all(|cell| cell.trim().is_empty())
                    || reading.inputs.shaping().contains("_r")
                    || has_own_column(&lines),
                "line {}: cells are lost",
                place.line
            );
            cells.truncate(originals.len());
        }
        if has_own_column(&lines) {
            continue;
        }
        for (cell, original) in cells.iter().zip(originals) {
            let original = original.as_deref().unwrap_or("");
            assert_eq!(*cell, original, "line {}: a cell is another", place.line);
        }
    }
}

/// Columns that simsync writes itself stand in no list of columns.
fn has_own_column(lines: &[&str]) -> bool {
    lines.iter().any(|line| line.contains("_r") || line.contains("_file") || line.contains("_line"))
        || lines.iter().any(|line| line.contains("_signature") || line.contains("_detail"))
}

/// Physical lines: LF, CRLF and CR end one.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\n', '\r']) {
        lines.push(&rest[..end]);
        let width = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
    }
    lines.push(rest);
    lines
}

/// The delimiter that was decided on, from `csv , number="..."`.
fn delimiter(shaping: &str) -> Option<char> {
    let rest = shaping.strip_prefix("csv ")?;
    match rest.strip_prefix('\\') {
        Some(escaped) if escaped.starts_with('t') => Some('\t'),
        Some(escaped) => escaped.chars().next(),
        None => rest.chars().next(),
    }
}

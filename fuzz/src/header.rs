//! The laws of header mapping.
//!
//! Not here: the laws of every format (`reading.rs`).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use simsync::input::{Format, InputOptions, Inputs, MappedBy, MappingNote};
use simsync::update::FieldKind;

use crate::choices::{self, Choices};
use crate::reading::{self, Seen};

/// Columns of a header at most: more say nothing new.
const NAMES_MAX: usize = 24;

/// Holds a header against the laws: the content is column names, one a line. The first two bytes choose which of
/// them are mapped by name.
pub fn header(bytes: &[u8]) {
    let Some((mut choices, content)) = choices::split(bytes) else { return };
    let Ok(text) = std::str::from_utf8(content) else { return };
    // Which delimiter is meant is not the question here.
    let clean = |name: &str| name.replace(['"', ';', '\t', '|', '\r', '\0', '\u{1a}'], " ");
    let mut names: Vec<String> = text.split('\n').take(NAMES_MAX).map(clean).collect();
    let options = InputOptions {
        format: Format::Csv,
        delimiter: Some(b','),
        columns: mapped(&mut choices, &names),
        ..InputOptions::default()
    };
    let forward = map(&names, &options);
    if choices.flag() {
        assert_eq!(map(&names, &options), forward, "the same header maps the same way");
    }
    let unique = names.iter().map(|name| name.trim()).collect::<BTreeSet<_>>().len() == names.len();
    names.reverse();
    let backward = map(&names, &options);
    if unique {
        assert_eq!(forward, backward, "the order of columns means nothing");
    }
}

fn mapped(choices: &mut Choices, names: &[String]) -> Vec<(FieldKind, String)> {
    let count = choices.of(&[0, 0, 1, 2]);
    let one = |_| {
        let field = choices.of(&FieldKind::ALL);
        let name = choices.of(&[0, 1, 2, 3]);
        Some((field, names.get(name)?.clone()))
    };
    (0..count).filter_map(one).collect()
}

/// What the header makes of the columns; `None` when it is refused.
fn map(names: &[String], options: &InputOptions) -> Option<Vec<(FieldKind, String, MappedBy)>> {
    let mut content = String::new();
    for row in [names.to_vec(), (0..names.len()).map(|at| format!("v{at}")).collect()] {
        let cells: Vec<String> = row.iter().map(|cell| format!("\"{cell}\"")).collect();
        writeln!(content, "{}", cells.join(",")).expect("writing to a string does not fail");
    }
    let reading = reading::read_once(content.as_bytes(), options)?;
    let notes = reading.inputs.mapping_notes();
    one_column_a_field(&notes);
    let by_synonym = |note: &&MappingNote| note.by == Some(MappedBy::Synonym);
    for note in notes.iter().filter(by_synonym) {
        assert!(note.field != FieldKind::Password, "a password is mapped by name only");
        let explicit = options.columns.iter().any(|(field, _)| *field == note.field);
        assert!(!explicit, "a field mapped by name takes no synonym");
        let sharing = notes.iter().filter(|other| other.by.is_some() && other.column == note.column).count();
        let written = names.iter().filter(|name| name.trim() == note.column).count();
        assert!(sharing <= written, "a known name stands for one field");
    }
    cells_are_those_of_the_column(&reading.rows, &notes, names);
    unknown_is_what_is_not_mapped(&reading.inputs, &notes);
    let mut mapped: Vec<_> =
        notes.into_iter().filter_map(|note| Some((note.field, note.column, note.by?))).collect();
    mapped.sort_by_key(|(field, _, _)| field.index());
    Some(mapped)
}

fn one_column_a_field(notes: &[MappingNote]) {
    for field in FieldKind::ALL {
        let columns = notes.iter().filter(|note| note.field == field && note.by.is_some()).count();
        assert!(columns <= 1, "{field} has {columns} columns");
    }
}

fn cells_are_those_of_the_column(rows: &[Seen], notes: &[MappingNote], names: &[String]) {
    for row in rows {
        let Seen::Row { cells, .. } = row else { continue };
        for field in FieldKind::ALL {
            let note = notes.iter().find(|note| note.field == field && note.by.is_some());
            match (note, cells[field.index()].as_deref()) {
                (None, cell) => assert_eq!(cell, None, "{field} has no column"),
                (Some(note), cell) => {
                    let value = cell.expect("a mapped column has a cell");
                    let at: usize = value[1..].parse().expect("the cell of a column");
                    assert_eq!(names[at].trim(), note.column, "{field}: the cell is that of its column");
                }
            }
        }
    }
}

fn unknown_is_what_is_not_mapped(inputs: &Inputs, notes: &[MappingNote]) {
    for unknown in inputs.unknown_columns() {
        let twice = inputs.columns().iter().filter(|name| **name == unknown.name).count() > 1;
        let mapped = notes.iter().any(|note| note.by.is_some() && note.column == unknown.name);
        assert!(twice || !mapped, "a column is mapped or unknown");
    }
}

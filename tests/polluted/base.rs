//! The clean export that is polluted, and what it holds.
//!
//! Not here: pollutions (`pollutions.rs` and its siblings), judging what was read (`judge.rs`).

use std::collections::HashMap;
use std::ops::Range;

use simsync::update::FieldKind;

/// Rows of an export.
pub(crate) const ROWS: usize = 200;

/// The columns. The last one is often empty, as the last column of an export often is.
const NAMES: [&str; 9] =
    ["user_external_id", "username", "number", "note", "imei", "imsi", "iccid", "user_class", "comment"];

/// The columns that stand for a field.
const MAPPED: [(FieldKind, usize); 7] = [
    (FieldKind::UserExternalId, 0),
    (FieldKind::Username, 1),
    (FieldKind::Number, 2),
    (FieldKind::Imei, 4),
    (FieldKind::Imsi, 5),
    (FieldKind::Iccid, 6),
    (FieldKind::UserClass, 7),
];

/// The columns that hold identifiers.
const IDENTIFIERS: [usize; 5] = [0, 2, 4, 5, 6];

/// How cells are quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    All,
    Minimal,
}

/// A clean export: every identifier is valid, canonical and unique, and each names its row.
pub(crate) struct Base {
    pub(crate) names: [&'static str; 9],
    /// The columns that stand for a field.
    pub(crate) mapped: [(FieldKind, usize); 7],
    /// The columns that hold identifiers.
    pub(crate) identifiers: [usize; 5],
    pub(crate) rows: Vec<Vec<String>>,
    /// Digits of each identifier to the row it names.
    digits: HashMap<String, usize>,
}

/// An export as bytes, with the places of its cells. Record 0 is the header.
#[derive(Clone)]
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    /// Of each record the places of its cells, quotes included.
    pub(crate) cells: Vec<Vec<Range<usize>>>,
}

impl Text {
    /// Where a record stands, without its line end.
    pub(crate) fn record(&self, record: usize) -> Range<usize> {
        let cells = &self.cells[record];
        cells[0].start..cells[cells.len() - 1].end
    }
}

impl Base {
    /// The first `turn` columns come last: so another one is the last, which may stand for a field.
    pub(crate) fn new(turn: usize) -> Base {
        let turn = turn % NAMES.len();
        let turned = |column: usize| (column + NAMES.len() - turn) % NAMES.len();
        let mut names = NAMES;
        names.rotate_left(turn);
        let mut rows: Vec<Vec<String>> = (0..ROWS).map(row).collect();
        rows.iter_mut().for_each(|row| row.rotate_left(turn));
        let mapped = MAPPED.map(|(field, column)| (field, turned(column)));
        let identifiers = IDENTIFIERS.map(turned);
        let mut digits = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            for column in identifiers {
                let other = digits.insert(digits_of(&row[column]), at);
                assert_eq!(other, None, "an identifier names one row");
            }
        }
        Base { names, mapped, identifiers, rows, digits }
    }

    /// The row that one of its identifiers' digits name; the name's digits are those of the external id.
    pub(crate) fn named_by(&self, digits: &str) -> Option<usize> {
        self.digits.get(digits).copied()
    }

    /// Writes the export.
    pub(crate) fn write(&self, quoting: Quoting, delimiter: &str, line_end: &str) -> Text {
        let header = self.names.map(str::to_owned).to_vec();
        let records: Vec<&Vec<String>> = std::iter::once(&header).chain(&self.rows).collect();
        write(&records, quoting, delimiter, line_end)
    }
}

/// Writes records by RFC 4180.
pub(crate) fn write(records: &[&Vec<String>], quoting: Quoting, delimiter: &str, line_end: &str) -> Text {
    let mut text = Text { bytes: Vec::new(), cells: Vec::new() };
    for record in records {
        let mut places = Vec::new();
        for (at, cell) in record.iter().enumerate() {
            if at > 0 {
                text.bytes.extend_from_slice(delimiter.as_bytes());
            }
            let start = text.bytes.len();
            let needs = cell.contains(['"', '\n', '\r']) || cell.contains(delimiter);
            if needs || quoting == Quoting::All {
                text.bytes.extend_from_slice(format!("\"{}\"", cell.replace('"', "\"\"")).as_bytes());
            } else {
                text.bytes.extend_from_slice(cell.as_bytes());
            }
            places.push(start..text.bytes.len());
        }
        text.bytes.extend_from_slice(line_end.as_bytes());
        text.cells.push(places);
    }
    text
}

fn row(at: usize) -> Vec<String> {
    const NOTES: [&str; 8] = [
        "",
        "prefers mail",
        "moved, see contract",
        "said \"never\", then \"yes\"",
        "first line\nsecond line",
        "a list:\n- one, two\n- \"three\"\n",
        "it's 5\" wide",
        "Zoë, \"la directrice\"",
    ];
    const CLASSES: [&str; 4] = ["premium", "basic", "standard", ""];
    // Far apart, so that a slip of one digit leads to nobody.
    let spread = at * 7919 + 104_729;
    vec![
        format!("crm-{spread:07}"),
        format!("user{spread:07}"),
        format!("+447911{:06}", 100_000 + at * 3571),
        NOTES[at % NOTES.len()].to_owned(),
        with_check_digit(&format!("35686800{:06}", 200_000 + at * 2903)),
        format!("23415{:010}", 1_234_567_891_u64 + u64::try_from(at).unwrap() * 7_654_321),
        with_check_digit(&format!(
            "894450{:012}",
            123_456_789_013_u64 + u64::try_from(at).unwrap() * 987_654_321
        )),
        CLASSES[at % CLASSES.len()].to_owned(),
        if at.is_multiple_of(3) { format!("batch {}", at / 50) } else { String::new() },
    ]
}

/// Digits with their Luhn digit behind.
fn with_check_digit(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, byte)| {
            let digit = u32::from(byte - b'0') * if at % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

pub(crate) fn digits_of(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

//! Pollutions of quotes.
//!
//! Not here: the table of all (`pollutions.rs`).

use crate::base::{Quoting, Text, write};
use crate::pollutions::{Case, Scene, spliced};

/// Quote characters of other worlds, opening and closing.
const OTHERS: [(&str, &str); 5] = [("'", "'"), ("`", "`"), ("“", "”"), ("‘", "’"), ("«", "»")];

fn inserted(text: &Text, at: usize, what: &str) -> Vec<u8> {
    spliced(&text.bytes, at..at, what.as_bytes())
}

pub(crate) fn before(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        vec![("a quote before".to_owned(), inserted(text, text.cells[record][column].start, "\""))]
    })
}

pub(crate) fn after(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        vec![("a quote after".to_owned(), inserted(text, text.cells[record][column].end, "\""))]
    })
}

pub(crate) fn inside(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        let place = text.cells[record][column].clone();
        let places = [place.start + 1, (place.start + place.end) / 2, place.end.saturating_sub(1)];
        let within = places.into_iter().filter(|at| *at > place.start && *at < place.end);
        let is_start = |at: &usize| std::str::from_utf8(&text.bytes[*at..]).is_ok();
        within
            .filter(is_start)
            .map(|at| (format!("a quote at byte {at}"), inserted(text, at, "\"")))
            .collect()
    })
}

pub(crate) fn doubled(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        quote_places(text, record, column)
            .into_iter()
            .map(|at| (format!("the quote at byte {at} twice"), inserted(text, at, "\"")))
            .collect()
    })
}

pub(crate) fn missing(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        quote_places(text, record, column)
            .into_iter()
            .map(|at| (format!("no quote at byte {at}"), spliced(&text.bytes, at..at + 1, b"")))
            .collect()
    })
}

fn quote_places(text: &Text, record: usize, column: usize) -> Vec<usize> {
    text.cells[record][column].clone().filter(|at| text.bytes[*at] == b'"').collect()
}

pub(crate) fn record_unopened(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_record(|text, record| {
        let mut bytes = text.bytes.clone();
        for place in
            text.cells[record].iter().rev().filter(|place| text.bytes.get(place.start) == Some(&b'"'))
        {
            bytes.remove(place.start);
        }
        vec![("no opening quote".to_owned(), bytes)]
    })
}

pub(crate) fn padded(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        let place = text.cells[record][column].clone();
        vec![
            ("a blank before".to_owned(), inserted(text, place.start, " ")),
            ("a blank after".to_owned(), inserted(text, place.end, " ")),
            ("a tab before".to_owned(), inserted(text, place.start, "\t")),
        ]
    })
}

pub(crate) fn other_cell(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        let place = text.cells[record][column].clone();
        let inner = bare(&text.bytes[place.clone()]);
        OTHERS
            .iter()
            .map(|(open, close)| {
                let cell = [open.as_bytes(), inner, close.as_bytes()].concat();
                (format!("in {open}{close}"), spliced(&text.bytes, place.clone(), &cell))
            })
            .collect()
    })
}

pub(crate) fn other_column(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_text(|_, text| {
        let mut cases = Vec::new();
        for (column, name) in scene.base.names.iter().enumerate() {
            for (open, close) in OTHERS {
                let in_column = |_: usize, at: usize| at == column;
                cases.push((format!("{name} in {open}{close}"), requoted(text, open, close, in_column)));
            }
        }
        cases
    })
}

pub(crate) fn other_file(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_text(|_, text| {
        let mut cases = Vec::new();
        for (open, close) in OTHERS {
            cases.push((format!("all in {open}{close}"), requoted(text, open, close, |_, _| true)));
            let in_rows = |record: usize, _: usize| record > 0;
            cases.push((format!("rows in {open}{close}"), requoted(text, open, close, in_rows)));
        }
        cases
    })
}

/// The export with the quotes of chosen cells replaced, and what is within left as it was.
fn requoted(text: &Text, open: &str, close: &str, chosen: impl Fn(usize, usize) -> bool) -> Vec<u8> {
    let (mut bytes, mut done) = (Vec::new(), 0);
    for (record, cells) in text.cells.iter().enumerate() {
        for (column, place) in cells.iter().enumerate() {
            if !chosen(record, column) {
                continue;
            }
            bytes.extend_from_slice(&text.bytes[done..place.start]);
            bytes.extend_from_slice(open.as_bytes());
            bytes.extend_from_slice(bare(&text.bytes[place.clone()]));
            bytes.extend_from_slice(close.as_bytes());
            done = place.end;
        }
    }
    bytes.extend_from_slice(&text.bytes[done..]);
    bytes
}

/// A cell without the quotes around it.
fn bare(cell: &[u8]) -> &[u8] {
    cell.strip_prefix(b"\"").and_then(|cell| cell.strip_suffix(b"\"")).unwrap_or(cell)
}

/// Doubled quotes as another world writes them: in one record, or in all.
pub(crate) fn backslashes(scene: &Scene<'_>) -> Vec<Case> {
    escapes(scene, "\\\"")
}

pub(crate) fn unescaped(scene: &Scene<'_>) -> Vec<Case> {
    escapes(scene, "\"")
}

fn escapes(scene: &Scene<'_>, escape: &str) -> Vec<Case> {
    let escaped = |text: &Text, record: usize| {
        let place = text.record(record);
        let record = std::str::from_utf8(&text.bytes[place.clone()]).unwrap();
        // A doubled quote at the border of a cell may be an empty cell.
        let parts: Vec<String> = record.split("\",\"").map(|part| part.replace("\"\"", escape)).collect();
        (place, parts.join("\",\""))
    };
    let mut cases = scene.each_record(|text, record| {
        let (place, with) = escaped(text, record);
        vec![(format!("{escape} for a doubled quote"), spliced(&text.bytes, place, with.as_bytes()))]
    });
    cases.extend(scene.each_text(|_, text| {
        let mut bytes = Vec::new();
        for record in 0..text.cells.len() {
            bytes.extend_from_slice(escaped(text, record).1.as_bytes());
            bytes.push(b'\n');
        }
        vec![(format!("{escape} for every doubled quote"), bytes)]
    }));
    cases
}

/// Whatever the cells hold, no cell is quoted: in one record, or in all.
pub(crate) fn unquoted(scene: &Scene<'_>) -> Vec<Case> {
    let plain = |record: usize| {
        let header = scene.base.names.map(str::to_owned).to_vec();
        if record == 0 { header.join(",") } else { scene.base.rows[record - 1].join(",") }
    };
    let mut cases = scene.each_record(|text, record| {
        vec![("no quotes".to_owned(), spliced(&text.bytes, text.record(record), plain(record).as_bytes()))]
    });
    let all: Vec<String> = (0..=scene.base.rows.len()).map(plain).collect();
    cases
        .push(Case { told: "no quotes in the file".to_owned(), bytes: (all.join("\n") + "\n").into_bytes() });
    let rows: Vec<&Vec<String>> = scene.base.rows.iter().collect();
    let headless = write(&rows, Quoting::Minimal, ",", "\n");
    let quoted_header = scene.base.names.map(|name| format!("\"{name}\"")).join(",") + "\n";
    let bytes = [quoted_header.as_bytes(), &headless.bytes].concat();
    cases.push(Case { told: "quotes in the header alone".to_owned(), bytes });
    cases
}

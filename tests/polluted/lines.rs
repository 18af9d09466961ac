//! Pollutions of delimiters and line ends.
//!
//! Not here: the table of all (`pollutions.rs`).

use crate::base::{Quoting, Text};
use crate::pollutions::{Case, Chance, Scene, spliced};

const OTHERS: [&str; 4] = [";", "\t", "|", ":"];

fn inserted(text: &Text, at: usize, what: &str) -> Vec<u8> {
    spliced(&text.bytes, at..at, what.as_bytes())
}

/// The middle of a cell, at a letter's border; `None` when it has none within.
fn middle(text: &Text, record: usize, column: usize) -> Option<usize> {
    let place = text.cells[record][column].clone();
    let middle = (place.start + place.end) / 2;
    (middle..place.end).find(|at| *at > place.start && std::str::from_utf8(&text.bytes[*at..]).is_ok())
}

pub(crate) fn extra_before(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        let at = text.cells[record][column].start;
        vec![
            ("a delimiter before".to_owned(), inserted(text, at, ",")),
            ("two delimiters before".to_owned(), inserted(text, at, ",,")),
        ]
    })
}

pub(crate) fn extra_inside(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        // Within quotes it is part of the value, and the value another one.
        let is_bare = |at: &usize| text.bytes[text.cells[record][column].start] != b'"' && *at > 0;
        let at = middle(text, record, column).filter(is_bare);
        at.map(|at| ("a delimiter inside".to_owned(), inserted(text, at, ","))).into_iter().collect()
    })
}

pub(crate) fn missing(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        if column == 0 {
            return Vec::new();
        }
        let at = text.cells[record][column].start;
        vec![("no delimiter before".to_owned(), spliced(&text.bytes, at - 1..at, b""))]
    })
}

pub(crate) fn one_other(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        let at = text.cells[record][column].start;
        let others = OTHERS.iter().filter(|_| column > 0);
        others
            .map(|other| (format!("{other:?} before"), spliced(&text.bytes, at - 1..at, other.as_bytes())))
            .collect()
    })
}

/// A record with its delimiters replaced and its cells as they were.
fn redelimited(text: &Text, record: usize, delimiter: &str) -> Vec<u8> {
    let cells: Vec<&[u8]> = text.cells[record].iter().map(|place| &text.bytes[place.clone()]).collect();
    cells.join(delimiter.as_bytes())
}

pub(crate) fn row_other(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_record(|text, record| {
        OTHERS
            .iter()
            .map(|other| {
                let with = redelimited(text, record, other);
                (format!("{other:?} for every comma"), spliced(&text.bytes, text.record(record), &with))
            })
            .collect()
    })
}

pub(crate) fn rows_other(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_text(|_, text| {
        let rows = |from: usize, other: &str| {
            let records = 0..text.cells.len();
            let lines =
                records.map(|record| redelimited(text, record, if record < from { "," } else { other }));
            lines.collect::<Vec<_>>().join(&b'\n')
        };
        let half = text.cells.len() / 2;
        let cases = OTHERS.iter().flat_map(|other| {
            [
                (format!("{other:?} after the header"), rows(1, other)),
                (format!("{other:?} from the middle"), rows(half, other)),
            ]
        });
        cases.collect()
    })
}

pub(crate) fn all_other(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_text(|quoting, _| {
        let others = OTHERS.iter().chain(&[",,", ", "]);
        let write = |other: &&str| scene.base.write(quoting, other, "\n").bytes;
        others.map(|other| (format!("{other:?}"), write(other))).collect()
    })
}

pub(crate) fn broken_cell(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        let Some(at) = middle(text, record, column) else { return Vec::new() };
        ["\n", "\r\n", "\r"].map(|end| (format!("{end:?} inside"), inserted(text, at, end))).to_vec()
    })
}

pub(crate) fn broken_record(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        let place = text.cells[record][column].clone();
        let mut cases = vec![("a line end before".to_owned(), inserted(text, place.start, "\n"))];
        if column + 1 < scene.base.names.len() {
            let behind = place.end..place.end + 1;
            cases.push(("a line end for the delimiter".to_owned(), spliced(&text.bytes, behind, b"\n")));
        }
        cases
    })
}

pub(crate) fn joined(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_record(|text, record| {
        let end = text.record(record).end;
        vec![
            ("no line end".to_owned(), spliced(&text.bytes, end..end + 1, b"")),
            ("a blank for the line end".to_owned(), spliced(&text.bytes, end..end + 1, b" ")),
            ("a delimiter for the line end".to_owned(), spliced(&text.bytes, end..end + 1, b",")),
        ]
    })
}

pub(crate) fn ends(scene: &Scene<'_>) -> Vec<Case> {
    let mut cases = scene.each_text(|quoting, text| {
        let all = ["\r\n", "\r", "\n\r", "\r\r\n", "\u{2028}", "\u{b}"];
        let mut cases: Vec<(String, Vec<u8>)> = all
            .iter()
            .map(|end| (format!("{end:?} throughout"), scene.base.write(quoting, ",", end).bytes))
            .collect();
        for seed in 0..12 {
            let mut chance = Chance(seed);
            let mut bytes = Vec::new();
            for record in 0..text.cells.len() {
                bytes.extend_from_slice(&text.bytes[text.record(record)]);
                bytes.extend_from_slice(["\n", "\r\n", "\r"][chance.below(3)].as_bytes());
            }
            cases.push((format!("mixed, {seed}"), bytes));
        }
        cases
    });
    cases.extend(scene.each_record(|text, record| {
        let end = text.record(record).end;
        let with = |other: &str| spliced(&text.bytes, end..end + 1, other.as_bytes());
        ["\r", "\r\n", "\n\r", "\u{b}", "\u{c}"]
            .map(|other| (format!("{other:?} once"), with(other)))
            .to_vec()
    }));
    cases
}

pub(crate) fn blank(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_record(|text, record| {
        let at = text.record(record).start;
        ["\n", "\n\n\n", "   \n", ",,,,,,,,\n", ",\n", "\"\"\n", "\"\",\"\"\n"]
            .map(|line| (format!("{line:?} before"), inserted(text, at, line)))
            .to_vec()
    })
}

pub(crate) fn last_end(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_text(|quoting: Quoting, text| {
        let mut cases = Vec::new();
        for end in ["\n", "\r\n", "\r"] {
            let whole = scene.base.write(quoting, ",", end).bytes;
            cases.push((format!("no {end:?}"), whole[..whole.len() - end.len()].to_vec()));
            cases.push((format!("two {end:?}"), [&whole[..], end.as_bytes()].concat()));
        }
        cases.push(("a quote alone".to_owned(), [&text.bytes[..], b"\""].concat()));
        cases.push(("a delimiter alone".to_owned(), [&text.bytes[..], b","].concat()));
        cases
    })
}

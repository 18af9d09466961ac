//! Pollutions of whole files: what stands around the table, other encodings, damage by a spreadsheet.
//!
//! Not here: the table of all (`pollutions.rs`).

use crate::base::{Quoting, Text, write};
use crate::pollutions::{Case, Scene, spliced};

/// Rows at the end that a file is cut off within.
const CUT_ROWS: usize = 3;

fn framed(before: &str, text: &Text, after: &str) -> Vec<u8> {
    [before.as_bytes(), &text.bytes, after.as_bytes()].concat()
}

pub(crate) fn clean(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_text(|_, text| vec![("as it is".to_owned(), text.bytes.clone())])
}

pub(crate) fn truncated(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_text(|_, text| {
        let from = text.record(text.cells.len() - CUT_ROWS).start;
        (from..text.bytes.len()).map(|at| (format!("at byte {at}"), text.bytes[..at].to_vec())).collect()
    })
}

pub(crate) fn preamble(scene: &Scene<'_>) -> Vec<Case> {
    const LINES: [&str; 7] = [
        "Contacts\n",
        "Contacts,,,,,,,,\n",
        "Report: Mobile subscribers\nGenerated on 2026-11-22\n\n",
        "# a comment\n",
        "HDR|SIMSWAP|20261122|000200\n",
        "\"Report \"\"daily\"\"\"\n",
        "FORMAT:IDI/SIM\n",
    ];
    scene.each_text(|_, text| LINES.map(|line| (format!("{line:?}"), framed(line, text, ""))).to_vec())
}

pub(crate) fn tall_header(scene: &Scene<'_>) -> Vec<Case> {
    let groups = "person,,contact,,device,card,,,\n";
    let types = "text,text,E.164,text,15,15,19,text,text\n";
    let split = scene.base.names.map(|name| format!("\"{}\"", name.replace('_', "\n"))).join(",") + "\n";
    scene.each_text(|_, text| {
        let body = text.record(1).start;
        let with = |line: &str| spliced(&text.bytes, body..body, line.as_bytes());
        vec![
            ("groups above".to_owned(), framed(groups, text, "")),
            ("types below".to_owned(), with(types)),
            ("labels below".to_owned(), with("Id,Login,Mobile,Note,IMEI,IMSI,SIM,Tier,Comment\n")),
            ("groups and types".to_owned(), [groups.as_bytes(), &with(types)].concat()),
            ("line ends in names".to_owned(), spliced(&text.bytes, 0..body, split.as_bytes())),
        ]
    })
}

pub(crate) fn headless(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_text(|_, text| {
        let body = text.record(1).start;
        vec![
            ("none".to_owned(), text.bytes[body..].to_vec()),
            ("an empty line".to_owned(), [b"\n", &text.bytes[body..]].concat()),
            ("numbers".to_owned(), [b"1,2,3,4,5,6,7,8,9\n", &text.bytes[body..]].concat()),
        ]
    })
}

pub(crate) fn repeated_header(scene: &Scene<'_>) -> Vec<Case> {
    let upper = scene.base.names.map(str::to_uppercase).join(",") + "\n";
    scene.each_record(|text, record| {
        let at = text.record(record).start;
        let header = [&text.bytes[text.record(0)], b"\n"].concat();
        vec![
            ("the header before".to_owned(), spliced(&text.bytes, at..at, &header)),
            ("the header in capitals before".to_owned(), spliced(&text.bytes, at..at, upper.as_bytes())),
        ]
    })
}

/// The first half under the usual header, the second under another.
fn tables(scene: &Scene<'_>, columns: &[usize], gap: &str) -> Vec<(String, Vec<u8>)> {
    let names = scene.base.names.map(str::to_owned).to_vec();
    let pick = |row: &Vec<String>| columns.iter().map(|column| row[*column].clone()).collect::<Vec<_>>();
    let half = scene.base.rows.len() / 2;
    let first: Vec<&Vec<String>> = std::iter::once(&names).chain(&scene.base.rows[..half]).collect();
    let second: Vec<Vec<String>> =
        std::iter::once(&names).chain(&scene.base.rows[half..]).map(pick).collect();
    let second: Vec<&Vec<String>> = second.iter().collect();
    [Quoting::Minimal, Quoting::All]
        .map(|quoting| {
            let tables = [&first, &second].map(|records| write(records, quoting, ",", "\n").bytes);
            let bytes = [&tables[0][..], gap.as_bytes(), &tables[1]].concat();
            (format!("{quoting:?} quoting, columns {columns:?} after {gap:?}"), bytes)
        })
        .to_vec()
}

fn tables_of(scene: &Scene<'_>, orders: &[&[usize]]) -> Vec<Case> {
    let gaps = ["", "\n", "Table 2\n", ",,,,,,,,\n"];
    let all = orders.iter().flat_map(|columns| gaps.iter().flat_map(|gap| tables(scene, columns, gap)));
    all.map(|(told, bytes)| Case { told, bytes }).collect()
}

pub(crate) fn second_table(scene: &Scene<'_>) -> Vec<Case> {
    tables_of(
        scene,
        &[&[0, 2], &[0, 1, 2, 4, 5, 6, 7], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 3], &[8, 0, 1, 2, 3, 4, 5, 6]],
    )
}

pub(crate) fn permuted_table(scene: &Scene<'_>) -> Vec<Case> {
    tables_of(
        scene,
        &[
            &[1, 0, 2, 3, 4, 5, 6, 7, 8],
            &[0, 1, 2, 3, 5, 4, 6, 7, 8],
            &[0, 7, 2, 3, 4, 5, 6, 1, 8],
            &[8, 7, 6, 5, 4, 3, 2, 1, 0],
        ],
    )
}

pub(crate) fn concatenated(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_text(|_, text| {
        let half = text.cells.len() / 2;
        let (header, at) = (text.record(0), text.record(half).start);
        let first = &text.bytes[..at];
        let second = [&text.bytes[header], b"\n", &text.bytes[at..]].concat();
        let join = |between: &[u8], cut: usize| [&first[..first.len() - cut], between, &second].concat();
        vec![
            ("without a line end".to_owned(), join(b"", 1)),
            ("with a line end".to_owned(), join(b"", 0)),
            ("with Ctrl-Z".to_owned(), join(b"\x1a", 0)),
            ("with a byte order mark".to_owned(), join(b"\xef\xbb\xbf", 0)),
            (
                "with neither line end nor header".to_owned(),
                [&first[..first.len() - 1], &text.bytes[at..]].concat(),
            ),
            ("with a blank line".to_owned(), join(b"\n", 0)),
        ]
    })
}

pub(crate) fn footers(scene: &Scene<'_>) -> Vec<Case> {
    const LINES: [&str; 10] = [
        "Grand Total\n",
        "Grand Total,,,,,,,,\n",
        "Total,200,,,,,,,\n",
        "TRL|000200\n",
        "TRL|000201\n",
        "(200 rows)\n",
        "Total rows: 7\n",
        "\nGenerated By: somebody\nCopyright (c) 2000-2026\n",
        "\n\"Subscribers\"\n\"Copyright (c) 2000-2026 example, inc.\"\n\"Confidential - Do Not Distribute\"\n",
        "End of report",
    ];
    scene.each_text(|_, text| LINES.map(|line| (format!("{line:?}"), framed("", text, line))).to_vec())
}

pub(crate) fn nul(scene: &Scene<'_>) -> Vec<Case> {
    inserted_around(scene, b"\0", "NUL")
}

pub(crate) fn ctrl_z(scene: &Scene<'_>) -> Vec<Case> {
    let mut cases = inserted_around(scene, b"\x1a", "Ctrl-Z");
    cases.extend(scene.each_text(|_, text| {
        ["\u{1a}", "\u{1a}\n", "\n\u{1a}\u{1a}"]
            .map(|end| (format!("{end:?} at the end"), framed("", text, end)))
            .to_vec()
    }));
    cases
}

pub(crate) fn inner_mark(scene: &Scene<'_>) -> Vec<Case> {
    inserted_around(scene, b"\xef\xbb\xbf", "a mark")
}

fn inserted_around(scene: &Scene<'_>, what: &[u8], name: &str) -> Vec<Case> {
    scene.each_cell(|text, record, column| {
        let place = text.cells[record][column].clone();
        let with = |at: usize| spliced(&text.bytes, at..at, what);
        let mut cases =
            vec![(format!("{name} before"), with(place.start)), (format!("{name} after"), with(place.end))];
        let middle = (place.start + place.end) / 2;
        if middle > place.start && std::str::from_utf8(&text.bytes[middle..]).is_ok() {
            cases.push((format!("{name} inside"), with(middle)));
        }
        cases
    })
}

pub(crate) fn utf16(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_text(|_, text| {
        let units: Vec<u16> = std::str::from_utf8(&text.bytes).unwrap().encode_utf16().collect();
        let encode = |order: fn(u16) -> [u8; 2]| units.iter().copied().flat_map(order).collect::<Vec<u8>>();
        let (little, big) = (encode(u16::to_le_bytes), encode(u16::to_be_bytes));
        vec![
            ("the last unit cut".to_owned(), little[..little.len() - 1].to_vec()),
            ("the first byte lost".to_owned(), little[1..].to_vec()),
            ("little endian".to_owned(), little),
            ("big endian".to_owned(), big),
        ]
    })
}

pub(crate) fn latin1(scene: &Scene<'_>) -> Vec<Case> {
    let mut cases = scene.each_text(|_, text| {
        let letters = std::str::from_utf8(&text.bytes).unwrap().chars();
        let bytes = letters.map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?')).collect();
        vec![("all of it".to_owned(), bytes)]
    });
    cases.extend(inserted_around(scene, b"\xe9", "0xE9"));
    cases
}

/// What spreadsheets do to a column: each a name, a column, and the cell it makes.
pub(crate) fn spreadsheet(scene: &Scene<'_>) -> Vec<Case> {
    type Damage = (&'static str, fn(&str) -> String);
    const DAMAGES: [Damage; 11] = [
        ("as a formula", |cell| format!("=\"{cell}\"")),
        ("with an apostrophe", |cell| format!("'{cell}")),
        ("with a tab", |cell| format!("\t{cell}")),
        ("without its plus", |cell| cell.trim_start_matches('+').to_owned()),
        ("as a decimal", |cell| number(cell).map_or(cell.to_owned(), |value| format!("{value:.1}"))),
        ("in scientific notation", |cell| scientific(cell, 6)),
        ("in longer scientific notation", |cell| scientific(cell, 15)),
        ("with digits zeroed", zeroed),
        ("as a double", |cell| number(cell).map_or(cell.to_owned(), |value| format!("{value:.0}"))),
        ("with thousands", thousands),
        ("as an error", |_| "#REF!".to_owned()),
    ];
    let mut cases = Vec::new();
    for quoting in [Quoting::Minimal, Quoting::All] {
        for column in scene.base.identifiers {
            for (name, damage) in DAMAGES {
                let header = scene.base.names.map(str::to_owned).to_vec();
                let mut rows = scene.base.rows.clone();
                rows.iter_mut().for_each(|row| row[column] = damage(&row[column]));
                let records: Vec<&Vec<String>> = std::iter::once(&header).chain(&rows).collect();
                let bytes = write(&records, quoting, ",", "\n").bytes;
                cases.push(Case {
                    told: format!("{quoting:?} quoting, {} {name}", scene.base.names[column]),
                    bytes,
                });
            }
        }
    }
    cases
}

fn number(cell: &str) -> Option<f64> {
    cell.trim_start_matches('+').parse::<f64>().ok()
}

fn scientific(cell: &str, digits: usize) -> String {
    let Some(value) = number(cell) else { return cell.to_owned() };
    let text = format!("{value:.*E}", digits - 1);
    let (mantissa, exponent) = text.split_once('E').unwrap();
    format!("{}E+{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
}

fn zeroed(cell: &str) -> String {
    const KEPT: usize = 15;
    if number(cell).is_none() || cell.len() <= KEPT {
        return cell.to_owned();
    }
    format!("{}{}", &cell[..KEPT], "0".repeat(cell.len() - KEPT))
}

fn thousands(cell: &str) -> String {
    if number(cell).is_none() {
        return cell.to_owned();
    }
    let digits = cell.trim_start_matches('+');
    let first = digits.len() % 3;
    let groups = digits.as_bytes()[first..].chunks(3).map(|group| std::str::from_utf8(group).unwrap());
    let groups: Vec<&str> =
        std::iter::once(&digits[..first]).filter(|group| !group.is_empty()).chain(groups).collect();
    groups.join(",")
}

pub(crate) fn halves(scene: &Scene<'_>) -> Vec<Case> {
    scene.each_record(|text, record| {
        let place = text.record(record);
        let line = &text.bytes[place.clone()];
        let mut half = line.len() / 2;
        while std::str::from_utf8(&line[..half]).is_err() {
            half += 1;
        }
        let with = |what: &[&[u8]]| spliced(&text.bytes, place.start..place.start, &what.concat());
        vec![
            ("twice".to_owned(), with(&[line, b"\n"])),
            ("its first half before".to_owned(), with(&[&line[..half], b"\n"])),
            ("its second half before".to_owned(), with(&[&line[half..], b"\n"])),
            ("its first half run into it".to_owned(), with(&[&line[..half]])),
            ("twice on a line".to_owned(), with(&[line])),
        ]
    })
}

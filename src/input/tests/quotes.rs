//! One stray quote never silently merges or shifts rows: the law, and the cases it is made of.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Rows, Scene, column, read_all};
use crate::input::Pass;
use crate::update::FieldKind::{Imsi, UserExternalId};

/// Notes with all that makes a quote hard to place: delimiters, line ends, quotes, and whole rows.
fn note() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ab,\"\n ]{0,10}",
        2 => "[a-c ]{0,6}",
        1 => "(\n?[0-9]{4},a,b,x\n?){1,3}",
        1 => "(\n?[0-9]{4},\"a\",b,x\n?){1,3}",
        1 => Just(String::new()),
    ]
}

/// Rows of an identifier, a text that is sent, a note, and a text that is not.
fn table() -> impl Strategy<Value = Vec<[String; 4]>> {
    let id = "[a-c0-9,\" ]{0,5}";
    let row = (id, note(), "[a-c,\" ]{0,4}").prop_map(|(id, note, other)| [String::new(), id, note, other]);
    vec(row, 1..8).prop_map(|mut rows| {
        for (at, row) in rows.iter_mut().enumerate() {
            row[0] = (23_400 + at).to_string();
        }
        rows
    })
}

/// A sound file; `order` says which column stands where.
fn written(rows: &[[String; 4]], order: [usize; 4], always: bool, crlf: bool) -> Vec<u8> {
    let style = if always { ::csv::QuoteStyle::Always } else { ::csv::QuoteStyle::Necessary };
    let end = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
    let mut writer = ::csv::WriterBuilder::new().quote_style(style).terminator(end).from_writer(Vec::new());
    let names = ["imsi", "user_external_id", "note", "other"];
    writer.write_record(order.map(|at| names[at])).unwrap();
    for row in rows {
        writer.write_record(order.map(|at| row[at].as_str())).unwrap();
    }
    writer.into_inner().unwrap()
}

/// The cells of both fields, where a row was accepted.
fn accepted(rows: &Rows) -> Vec<(String, String)> {
    let cells = column(rows, Imsi).into_iter().zip(column(rows, UserExternalId));
    cells.zip(rows).filter(|(_, row)| row.is_ok()).map(|(cells, _)| cells).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn one_quote_more_never_changes_an_identifier_nor_loses_a_row(
        rows in table(),
        order in Just([0, 1, 2, 3]).prop_shuffle(),
        always: bool,
        crlf: bool,
        place: prop::sample::Index,
    ) {
        let mut bytes = written(&rows, order, always, crlf);
        let sound: Vec<_> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
        let quoting = rows.iter().any(|row| row[2].contains(char::is_numeric));
        let read = accepted(&Scene::csv(&bytes).rows());
        if quoting {
            // Notes that quote rows are not read as rows; their own rows may be rejected.
            prop_assert!(read.iter().all(|row| sound.contains(row)), "the sound file");
        } else {
            prop_assert_eq!(read, sound.clone(), "the sound file");
        }
        bytes.insert(place.index(bytes.len() + 1), b'"');
        let scene = Scene::csv(&bytes);
        let shown = String::from_utf8_lossy(&bytes);
        let Ok(mut inputs) = scene.open() else { return Ok(()) };
        let Ok(read) = read_all(&mut inputs, Pass::Survey) else { return Ok(()) };
        let mut left = sound;
        for row in accepted(&read) {
            let at = left.iter().position(|sound| *sound == row);
            prop_assert!(at.is_some(), "{:?} is no row of\n{}", row, shown);
            left.remove(at.unwrap());
        }
        let rejected = read.iter().filter(|row| row.is_err()).count();
        prop_assert!(left.len() <= rejected, "{} rows gone, {} rejected\n{}", left.len(), rejected, shown);
    }
}

#[test]
fn two_stray_quotes_that_meet_over_a_line_end_merge_no_rows() {
    let header = "user_external_id,note,number,user_class\n";
    for (body, expected) in [
        // The first row's identifiers would be the second one's.
        ("C-1,\"hi,+447911123451,a\nC-2,\"\"x, y\",+447911123452,b\nC-3,z,+447911123453,c\n", 1),
        // A note over two lines is one, commas and all.
        ("C-1,\"hi, you\nthere\",+447911123451,a\nC-3,z,+447911123453,c\n", 2),
        ("C-1,\"hi, all, of, you\nthere\",+447911123451,a\nC-3,z,+447911123453,c\n", 2),
    ] {
        let rows = Scene::csv(format!("{header}{body}")).rows();
        assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), expected, "{body}");
    }
    let ends = Scene::csv("number,note\n+447911123451,\"hi\nthere\"\n+447911123452,x\n").rows();
    assert_eq!(ends.iter().filter(|row| row.is_ok()).count(), 2, "a note in the last column");
}

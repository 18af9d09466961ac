//! Records of another shape than the header: shifted, broken over lines, joined, cut off.

use super::{Rows, Scene, column, lines};
use crate::input::{Pass, TextNote};
use crate::update::FieldKind::{Imsi, Number};

/// Imsi, or the code of a bad row, by its line.
fn told(content: &str) -> Vec<(u64, String)> {
    let rows = Scene::csv(content).rows();
    lines(&rows).into_iter().zip(column(&rows, Imsi)).collect()
}

fn codes(content: &str) -> Vec<String> {
    column(&Scene::csv(content).rows(), Imsi)
}

fn details(rows: &Rows) -> Vec<&str> {
    rows.iter().filter_map(|row| Some(row.as_ref().err()?.detail.as_str())).collect()
}

#[test]
fn empty_cells_too_many_are_a_habit_of_the_file_or_a_shift() {
    for (rows, expected) in [
        ("a,1,x\nb,2,y,\nc,3,z\n", &["1", "!csv.ragged_long", "3"][..]),
        ("a,,1,x\nb,2,y\nc,3,\n", &["!csv.ragged_long", "2", "3"]),
        ("a,1,x,\n", &["!csv.ragged_long"]),
        ("a,1,x,,\nb,2,y,,\n", &["1", "2"]),
        ("a,1,x,\"\"\nb,2,y, \n", &["1", "2"]),
        // Blank lines and footers are no rows.
        ("\na,1,x,\n,,,\nb,2,y,\nTotal,2\n", &["1", "2"]),
        // With the habit, one cell less may as well be two cells merged.
        (&("a,1,x,\n".repeat(20) + "b,2,\n"), &[&["1"; 20][..], &["!csv.ragged_short"]].concat()),
        (&("a,1,x,\n".repeat(20) + "b,2,y,,\n"), &[&["1"; 20][..], &["!csv.ragged_long"]].concat()),
        (&("a,1,x,\n".repeat(20) + "b,2,y,z\n"), &[&["1"; 20][..], &["!csv.ragged_long"]].concat()),
        // A habit that one row in two has is none.
        ("a,1,x,\nb,2,y\nc,3,z,\nd,4,z\n", &["!csv.ragged_long", "2", "!csv.ragged_long", "4"]),
    ] {
        assert_eq!(codes(&format!("note,imsi,comment\n{rows}")), expected, "{rows:?}");
    }
}

#[test]
fn the_habit_is_that_of_the_first_fifty() {
    let content = format!("note,imsi\n{}{}", "a,1\n".repeat(50), "a,1,\n".repeat(50));
    let expected = [[&"1"; 50], [&"!csv.ragged_long"; 50]].concat();
    assert!(codes(&content).iter().eq(expected));
}

#[test]
fn a_row_broken_within_its_first_or_last_cell_is_no_row() {
    let (short, broken) = ("!csv.ragged_short", "!csv.broken_row");
    for (header, rows, expected) in [
        // The first column is a field: the row after the piece.
        ("imsi,note", "234\n15,x\n7,y\n", &[(2, short), (3, broken), (4, "7")][..]),
        ("imsi,note", "234\r\n\r\n15,x\r\n", &[(2, short), (4, broken)]),
        ("imsi,note", "2\n3\n4,x\n", &[(2, short), (3, short), (4, broken)]),
        // The last column is: the row before the piece.
        ("note,imsi", "x,234\n15\ny,7\n", &[(2, broken), (3, short), (4, "7")]),
        ("note,imsi", "x,\n\n 15\ny,7\n", &[(2, broken), (4, short), (5, "7")]),
        ("note,imsi", "x,234\n15", &[(2, broken), (3, "!csv.truncated_row")]),
        ("imsi,note,number", "1,x,2\n3\n4,x,5\n", &[(2, broken), (3, short), (4, broken)]),
        // Neither is.
        ("note,imsi,x", "a\nb,7,c\nd,8,e\nf\n", &[(2, short), (3, "7"), (4, "8"), (5, short)]),
        // A cell in quotes is whole; so is a row of two cells.
        ("imsi,note", "\"234\"\n15,x\n", &[(2, short), (3, "15")]),
        ("note,imsi", "x,234\n\"15\"\ny,7\n", &[(2, "234"), (3, short), (4, "7")]),
        ("note,imsi", "x,234\n\"a\nb\",7\n", &[(2, "234"), (3, "7")]),
        ("imsi,note,x", "1,2\n3,x,4\n", &[(2, short), (3, "3")]),
        // Something stands between.
        ("imsi,note", "234\n,\n15,x\n", &[(2, short), (4, "15")]),
        ("imsi,note", "234\nimsi,note\n15,x\n", &[(2, short), (4, "15")]),
        // Nor does a footer break a row, nor the mark at the end.
        ("note,imsi", "x,1\ny,2\nEnd of report\n", &[(2, "1"), (3, "2")]),
        ("note,imsi", "x,1\ny,2\n\nour contacts\nEnd of report\n", &[(2, "1"), (3, "2")]),
        ("note,imsi", "x,1\ny,2\n\u{1a}\n", &[(2, "1"), (3, "2")]),
        ("imsi", "1\n2\n", &[(2, "1"), (3, "2")]),
    ] {
        let expected: Vec<_> = expected.iter().map(|(line, told)| (*line, (*told).to_owned())).collect();
        assert_eq!(told(&format!("{header}\n{rows}")), expected, "{header}: {rows:?}");
    }
}

#[test]
fn a_piece_beyond_a_block_is_found() {
    // The first block ends at every place around the seam.
    for before in (1 << 20) - 30..(1 << 20) + 5 {
        let header = "note,imsi\n";
        let long = "x".repeat(1000) + ",1\n";
        let rows = (before - header.len()) / long.len();
        let rest = before - header.len() - rows * long.len();
        let pad = if rest < 4 { String::new() } else { format!("{},1\n", "y".repeat(rest - 3)) };
        let content =
            format!("{header}{}{pad}z,234\r\n\r\n15\r\nz,7\r\n{}", long.repeat(rows), long.repeat(70));
        let found = codes(&content);
        let at = rows + usize::from(!pad.is_empty());
        assert_eq!(found[at..at + 3], ["!csv.broken_row", "!csv.ragged_short", "7"], "{before}");
    }
}

#[test]
fn broken_rows_name_the_other_line() {
    let rows = Scene::csv("imsi,note,number\n1,x,2\n3\n4,x,5\n").rows();
    assert_eq!(
        details(&rows),
        [
            "its last cell may go on on line 3, which has no other",
            "1 cell where the header has 3",
            "its first cell may have begun on line 3, which has no other",
        ]
    );
    let columns: Vec<_> = rows.iter().map(|row| row.as_ref().unwrap_err().column.as_deref()).collect();
    assert_eq!(columns, [Some("number"), None, Some("imsi")]);
}

#[test]
fn joined_rows_are_told_line_by_line() {
    for (joint, expected) in [
        ("", &[(2, "!csv.ragged_long"), (3, "!csv.ragged_long"), (4, "3")][..]),
        ("\u{b}", &[(2, "!csv.ragged_long"), (3, "!csv.ragged_long"), (4, "3")]),
        (",", &[(2, "!csv.ragged_long"), (3, "!csv.ragged_long"), (4, "3")]),
        ("\n", &[(2, "1"), (4, "2"), (5, "3")]),
    ] {
        let content = format!("note,imsi,x\n\"a\nb\",1,y{joint}c,2,z\nd,3,z\n");
        let expected: Vec<_> = expected.iter().map(|(line, told)| (*line, (*told).to_owned())).collect();
        assert_eq!(told(&content), expected, "{joint:?}");
    }
    let rows = Scene::csv("note,imsi,x\n\"a\nb\",1,yc,2,z\n\"a\nb\",1\n").rows();
    assert_eq!(
        details(&rows),
        [
            "5 cells where the header has 3; the record of lines 2 to 3",
            "in the record of lines 2 to 3",
            "2 cells where the header has 3; the record of lines 4 to 5",
        ]
    );
}

#[test]
fn a_count_in_a_trailer_is_not_held_against_joined_rows() {
    let rows = Scene::csv("note,imsi,x\na,1,y,b,2,z\nTRL,2\n").rows();
    assert_eq!(column(&rows, Imsi), ["!csv.ragged_long"]);
}

fn notes(scene: &Scene) -> Vec<TextNote> {
    let mut inputs = scene.open().unwrap();
    super::read_all(&mut inputs, Pass::Survey).unwrap();
    inputs.text_notes()
}

#[test]
fn a_file_that_was_cut_off_is_told_once() {
    let scene = Scene::csv("imsi,number\n1,2\n3");
    let found = notes(&scene);
    assert!(matches!(found.as_slice(), [TextNote::CutOff { line: 3, .. }]), "{found:?}");
    assert!(
        found[0].to_string().contains("line 3: the last row has too few cells and no line end"),
        "{}",
        found[0]
    );
    let found = notes(&Scene::csv("imsi,number\n1,2\n3,4"));
    assert!(matches!(found.as_slice(), [TextNote::NoLastLineEnd { line: 3, .. }]), "{found:?}");
    for sound in [
        "imsi,number\n1,2\n3\n",
        "imsi,number\n",
        "imsi,number\n1,2\n3,",
        "imsi,number\n1,2\n3,\"4\"",
        "imsi,number,note\n1,2,x\n3,4,y",
    ] {
        assert_eq!(notes(&Scene::csv(sound)), [], "{sound:?}");
    }
}

#[test]
fn a_delimiter_that_contradicts_the_file_is_told() {
    for (told, taken, expected) in [(';', b',', true), (',', b',', false)] {
        let mut scene = Scene::csv(format!("sep={told}\nimsi,number\n1,2\n"));
        scene.options.delimiter = Some(taken);
        let found = notes(&scene);
        let is_told =
            matches!(found.as_slice(), [TextNote::DelimiterOverruled { told: ';', taken: ',', .. }]);
        assert_eq!((is_told, found.is_empty()), (expected, !expected), "{found:?}");
        assert_eq!(column(&scene.rows(), Number), ["2"]);
    }
    assert_eq!(notes(&Scene::csv("sep=;\nimsi;number\n1;2\n")), []);
}

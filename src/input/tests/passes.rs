//! Several passes over the same handles: equal when nothing changed, and stopped in time when something did.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;

use super::{Scene, read_all};
use crate::input::{Pass, SourceError};

/// Some two and a half blocks of CSV, with records that lie across the borders of blocks.
fn large() -> String {
    let mut text = String::from("imsi,note\n");
    for row in 0..80_000 {
        let note =
            if row % 7 == 0 { "\"two\nlines, and \"\"quotes\"\"\"" } else { "a plain note of some length" };
        text.push_str(&format!("{row:08},{note}\n"));
    }
    assert!(text.len() > 5 << 19);
    text
}

#[test]
fn two_passes_give_identical_rows() {
    let ndjson: String =
        (0..40_000).map(|row| format!("{{\"imei\":\"{row}\",\"n{}\":null}}\n", row / 1000)).collect();
    for scene in [Scene::csv(large()), Scene::ndjson(ndjson)] {
        let mut inputs = scene.open().unwrap();
        let first = read_all(&mut inputs, Pass::Survey).unwrap();
        let hashes = inputs.content_hashes();
        assert!(first.len() >= 40_000);
        for _ in 0..2 {
            let again = read_all(&mut inputs, Pass::Again).unwrap();
            assert_eq!(first.len(), again.len());
            // NDJSON members found during the survey lengthen the originals of the rows before.
            let equal = first.iter().zip(&again).all(|(left, right)| match (left, right) {
                (Ok(left), Ok(right)) => {
                    let known = left.originals.len();
                    left.place == right.place
                        && left.cells == right.cells
                        && left.originals == right.originals[..known]
                        && right.originals[known..].iter().all(Option::is_none)
                }
                (left, right) => left == right,
            });
            assert!(equal);
        }
        assert_eq!(inputs.content_hashes(), hashes);
        let mut reopened = scene.open().unwrap();
        assert_ne!(reopened.content_hashes(), hashes, "a hash of the head alone is not the content's");
        assert_eq!(read_all(&mut reopened, Pass::Survey).unwrap(), first);
        assert_eq!(reopened.content_hashes(), hashes);
    }
}

#[test]
fn no_row_of_a_changed_block_is_used() {
    let scene = Scene::csv(large());
    let mut inputs = scene.open().unwrap();
    read_all(&mut inputs, Pass::Survey).unwrap();
    // One digit deep in the second block, without a change of length.
    let file = OpenOptions::new().write(true).open(scene.path("a.csv")).unwrap();
    file.write_at(b"9", (1 << 20) + 500_000).unwrap();
    let mut reader = inputs.read(Pass::Again);
    let error = loop {
        match reader.next_row() {
            Ok(row) => assert!(row.is_some(), "the change must be found"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SourceError::Changed { .. }), "{error:?}");
    assert!(reader.bytes_read() <= 1 << 20, "rows up to byte {} were used", reader.bytes_read());
    assert!(reader.bytes_read() > (1 << 20) - 1000, "and the rows before it were");
}

#[test]
fn another_length_is_a_change_in_any_pass() {
    for survey_first in [true, false] {
        for cut in [true, false] {
            let scene = Scene::csv(large());
            let mut inputs = scene.open().unwrap();
            if survey_first {
                read_all(&mut inputs, Pass::Survey).unwrap();
            }
            let mut file = OpenOptions::new().append(true).open(scene.path("a.csv")).unwrap();
            if cut {
                file.set_len(2 << 20).unwrap();
            } else {
                file.write_all(b"1,x\n").unwrap();
            }
            let pass = if survey_first { Pass::Again } else { Pass::Survey };
            let error = read_all(&mut inputs, pass).expect_err("another length");
            assert!(matches!(error, SourceError::Changed { .. }), "{error:?}");
        }
    }
}

#[test]
fn a_head_that_changes_before_the_survey_is_a_change() {
    let scene = Scene::csv("imsi,note\n1,a\n");
    let mut inputs = scene.open().unwrap();
    std::fs::write(scene.path("a.csv"), "note,imsi\n1,a\n").unwrap();
    assert!(matches!(read_all(&mut inputs, Pass::Survey), Err(SourceError::Changed { .. })));
}

#[test]
fn a_pass_without_a_survey_is_refused() {
    let scene = Scene::csv(large());
    let mut inputs = scene.open().unwrap();
    assert!(matches!(read_all(&mut inputs, Pass::Again), Err(SourceError::NotSurveyed { .. })));
}

#[test]
fn nothing_read_shows_under_debug() {
    fn is_send<T: Send>(_: &T) {}
    let scene = Scene::csv("imsi,310260123456789\n310260987654321,x\n");
    let mut inputs = scene.open().unwrap();
    is_send(&inputs);
    assert!(!format!("{inputs:?}").contains("310260"));
    let mut reader = inputs.read(Pass::Survey);
    is_send(&reader);
    assert!(!format!("{:?}", reader.next_row()).contains("310260"));
    assert!(!format!("{reader:?}").contains("310260"));
}

#[test]
fn bytes_read_end_at_the_total() {
    let scene = Scene::new(&[("a.csv", "\u{feff}imsi\n1\n"), ("b.csv", ""), ("c.csv", "imsi\r\n2\x1a")]);
    let mut inputs = scene.open().unwrap();
    let total = inputs.bytes_total();
    let mut reader = inputs.read(Pass::Survey);
    let mut last = 0;
    while reader.next_row().unwrap().is_some() {
        assert!(reader.bytes_read() > last);
        last = reader.bytes_read();
    }
    assert_eq!(reader.bytes_read(), total);
}

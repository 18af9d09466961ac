//! Laws: what the csv crate writes is read back in its places, our cut agrees with the csv crate's, and no bytes
//! bring the room down.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Scene, read_all};
use crate::input::Pass;
use crate::update::FieldKind;

/// Cells with everything that needs care.
fn cell() -> impl Strategy<Value = String> {
    "[a-c0-9 ,;\"'\r\n\té=]{0,8}"
}

fn breaks(text: &str) -> u64 {
    let single = text.replace("\r\n", "\n");
    u64::try_from(single.matches(['\n', '\r']).count()).unwrap()
}

/// Whether a record of the csv crate is a row to us. One of empty cells is left out: it is a blank line to us when
/// it has no quotes, and the crate does not tell.
fn is_row(record: &[String]) -> bool {
    let [_, id, _] = record else { return false };
    record.iter().any(|cell| !cell.trim().is_empty()) && !id.contains(['\n', '\r'])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read_back(rows in vec(vec(cell(), 3), 0..20), crlf: bool) {
        let terminator = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut writer = ::csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
        writer.write_record(["imsi", "one", "two", "three"]).unwrap();
        for (at, row) in rows.iter().enumerate() {
            // The identifier keeps the record from being blank, and free text may break lines.
            let id = at.to_string();
            writer.write_record([&id, &row[0], &row[1], &row[2]]).unwrap();
        }
        let scene = Scene::csv(writer.into_inner().unwrap());
        let mut line = 2;
        let read = scene.rows();
        prop_assert_eq!(read.len(), rows.len());
        for (at, (read, written)) in read.iter().zip(&rows).enumerate() {
            let seen = read.as_ref().unwrap();
            let originals: Vec<_> = seen.originals.iter().map(|cell| cell.clone().unwrap()).collect();
            prop_assert_eq!(&originals[0], &at.to_string());
            prop_assert_eq!(&originals[1..], &written[..]);
            prop_assert_eq!(seen.place.line, line);
            line += 1 + written.iter().map(|cell| breaks(cell)).sum::<u64>();
        }
    }

    #[test]
    fn records_are_cut_where_the_csv_crate_cuts(text in "[a,\"\n\r]{0,40}") {
        // A quote left open at the end is accepted by the crate and refused by us; up to there both must agree.
        // No field is first or last, since next to a record of one cell it would be told as broken.
        let content = format!("y,imsi,x\n0,1,2\n0,1,2\n{text}\n");
        let mut crate_reader =
            ::csv::ReaderBuilder::new().flexible(true).from_reader(content.as_bytes());
        let expected: Vec<Vec<String>> = crate_reader
            .records()
            .map(|record| record.unwrap().iter().map(str::to_owned).collect())
            .filter(|record: &Vec<String>| is_row(record))
            .collect();
        let scene = Scene::csv(&content);
        let mut inputs = scene.open().unwrap();
        let mut reader = inputs.read(Pass::Survey);
        let mut found: Vec<Vec<String>> = Vec::new();
        let unbalanced = loop {
            match reader.next_row() {
                Ok(Some(Ok(row))) => {
                    let mut originals = Vec::new();
                    row.originals(&mut originals);
                    found.push(originals.iter().map(|cell| cell.as_deref().unwrap().to_owned()).collect());
                }
                // The crate takes such quotes for text, and we do not.
                Ok(Some(Err(error))) if error.code != "csv.ragged_short" && error.code != "csv.ragged_long" => {
                    return Ok(());
                }
                Ok(Some(Err(_))) => {}
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        found.retain(|record| is_row(record));
        if unbalanced {
            prop_assert!(expected.starts_with(&found));
        } else {
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn no_bytes_bring_it_down(bytes in vec(any::<u8>(), 0..300), json: bool, header: bool) {
        let mut content = Vec::new();
        if header {
            content.extend_from_slice(if json { b"{\"imei\":1}\n" } else { b"imei,imsi\n" });
        }
        content.extend_from_slice(&bytes);
        let scene = if json { Scene::ndjson(&content) } else { Scene::csv(&content) };
        let Ok(mut inputs) = scene.open() else { return Ok(()) };
        let first = read_all(&mut inputs, Pass::Survey);
        if let Ok(first) = first {
            let again = read_all(&mut inputs, Pass::Again).unwrap();
            prop_assert_eq!(first.len(), again.len());
        }
    }

    #[test]
    fn json_strings_are_read_back(values in vec("\\PC{0,12}", 1..10)) {
        let content: String = values
            .iter()
            .map(|value| format!("{}\n", serde_json::json!({ "x": [1], "username": value })))
            .collect();
        let rows = Scene::ndjson(content).rows();
        for (row, value) in rows.iter().zip(&values) {
            let seen = row.as_ref().unwrap();
            prop_assert_eq!(&seen.cells, &[(FieldKind::Username, value.clone())]);
        }
        prop_assert_eq!(rows.len(), values.len());
    }
}

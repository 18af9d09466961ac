//! Laws of NDJSON: what a JSON writer writes is read back cell by cell, at the top and at the end of a path, and no
//! text that is nearly JSON brings the room down.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Scene, column, read_all};
use crate::input::Pass;
use crate::update::FieldKind::{self, Imei, Number, Username};

/// Pieces of which nearly JSON is made.
fn nearly_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\n", "\r\n", "\"imei\"", "\"c\"", "\"p\"", "{\"imei\":1}", "{\"c\":{\"p\":2}}",
            "\\u", "\\ud800", "\\", "null", "true", "NaN", "1e9", "-", "007", "\u{feff}", "\u{1e}", "\0", "'", "//", "é", "\"_run\":",
            "\"records\":[{",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,3}",
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A scalar, and its text as a cell.
fn scalar() -> impl Strategy<Value = (Value, Option<String>)> {
    prop_oneof![
        "\\PC{0,12}".prop_map(|text| (json!(text), Some(text))),
        (-(1_i64 << 53) + 1..1 << 53).prop_map(|number| (json!(number), Some(number.to_string()))),
        Just((Value::Null, None)),
    ]
}

fn cells(column: Vec<String>) -> Vec<Option<String>> {
    column.into_iter().map(|cell| (cell != "(absent)").then_some(cell)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read_back(rows in vec((scalar(), scalar(), any::<bool>()), 1..10)) {
        let content: String = rows
            .iter()
            .map(|((flat, _), (nested, _), first)| {
                let (flat, nested) = (json!({ "username": flat }), json!({ "c": [{ "p": nested }, 1], "imei": "1" }));
                let (flat, nested) = (flat.to_string(), nested.to_string());
                let (one, other) = if *first { (&flat, &nested) } else { (&nested, &flat) };
                format!("{},{}\n", &one[..one.len() - 1], &other[1..])
            })
            .collect();
        let scene = Scene::ndjson(content).map(Number, "/c/0/p");
        let read = scene.rows();
        prop_assert_eq!(cells(column(&read, Username)), rows.iter().map(|row| row.0.1.clone()).collect::<Vec<_>>());
        prop_assert_eq!(cells(column(&read, Number)), rows.iter().map(|row| row.1.1.clone()).collect::<Vec<_>>());
    }

    /// The originals of rows with nested members, written as CSV, give the same cells under the same mapping.
    #[test]
    fn what_goes_to_a_row_file_comes_back(rows in vec(scalar(), 1..10)) {
        let content: String = rows.iter().map(|(value, _)| format!("{}\n", json!({ "imei": "1", "c": { "p": value } }))).collect();
        let scene = Scene::ndjson(content).map(Number, "/c/p");
        let mut inputs = scene.open().unwrap();
        let first = read_all(&mut inputs, Pass::Survey).unwrap();
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(inputs.columns()).unwrap();
        for row in &first {
            let cells = row.as_ref().unwrap().originals.iter();
            writer.write_record(cells.map(|cell| cell.as_deref().unwrap_or(""))).unwrap();
        }
        let again = Scene::csv(writer.into_inner().unwrap()).map(Number, "/c/p").rows();
        let cells = |rows: &super::Rows, field: FieldKind| column(rows, field);
        prop_assert_eq!(cells(&first, Number), cells(&again, Number));
        prop_assert_eq!(cells(&first, Imei), cells(&again, Imei));
    }

    #[test]
    fn nearly_json_brings_nothing_down(text in nearly_json(), header: bool, mapped: bool) {
        let content = if header { format!("{{\"imei\":1,\"c\":{{\"p\":1}}}}\n{text}") } else { text };
        let mut scene = Scene::ndjson(&content);
        if mapped {
            scene = scene.map(Number, "/c/p").map(Username, "c.0.p");
        }
        let Ok(mut inputs) = scene.open() else { return Ok(()) };
        let shaping = inputs.shaping();
        if let Ok(first) = read_all(&mut inputs, Pass::Survey) {
            let again = read_all(&mut inputs, Pass::Again).unwrap();
            prop_assert_eq!(first, again);
            prop_assert_eq!(inputs.shaping(), shaping);
        }
    }
}

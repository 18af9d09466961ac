//! csv-spectrum: a corpus of CSV dialects, each file with the JSON it stands for, read by our reader.
//!
//! Not here: damaged files (`tests/polluted`), fixtures of our own (`bad_input.rs`).

use csv_spectrum::{Sample, spectrum};
use serde_json::Value;
use simsync::input::{InputOptions, Inputs, Pass};
use simsync::update::FieldKind;

/// What a sample stands for: column names, and the cells of each row.
#[derive(Debug, PartialEq, Eq)]
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// A digit that the corpus masked in the JSON of `location_coordinates`, and nowhere in its CSV.
const MASKED: (&str, &str) = ("1234567890", "2095257564");

fn expected(sample: &Sample) -> Table {
    let header = std::str::from_utf8(sample.csv).unwrap().lines().next().unwrap();
    let names: Vec<String> = header.split(',').map(str::to_owned).collect();
    let json: Value = serde_json::from_slice(sample.json).unwrap();
    // One sample's JSON is its only row, without an array around it.
    let rows = json.as_array().cloned().unwrap_or_else(|| vec![json]);
    let cell = |value: &str| if value == MASKED.0 { MASKED.1.to_owned() } else { value.to_owned() };
    let cells = |row: &Value| names.iter().map(|name| cell(row[name].as_str().unwrap())).collect();
    let rows = rows.iter().map(cells).collect();
    Table { names, rows }
}

fn read(sample: &Sample, column: &str) -> Table {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sample.csv");
    std::fs::write(&path, sample.csv).unwrap();
    let options = InputOptions {
        inputs: vec![path.to_str().unwrap().to_owned()],
        columns: vec![(FieldKind::UserExternalId, column.to_owned())],
        spool_dir: dir.path().to_owned(),
        ..InputOptions::default()
    };
    let mut inputs = Inputs::open(&options).unwrap_or_else(|error| panic!("{}: {error}", sample.name));
    let names = inputs.columns().to_vec();
    let mut rows = Vec::new();
    let mut reader = inputs.read(Pass::Survey);
    while let Some(row) = reader.next_row().unwrap() {
        let row = row.unwrap_or_else(|error| panic!("{}: {error:?}", sample.name));
        let mut cells = Vec::new();
        row.originals(&mut cells);
        rows.push(cells.into_iter().map(|cell| cell.unwrap().into_owned()).collect());
    }
    Table { names, rows }
}

#[test]
fn every_dialect_of_csv_spectrum_is_read_as_it_is_meant() {
    for sample in spectrum() {
        let expected = expected(sample);
        // A line end within an identifier rejects its row, so the identifier is a column that has none.
        let is_flat = |at: &usize| expected.rows.iter().all(|row| !row[*at].contains(['\n', '\r']));
        let column = (0..expected.names.len()).find(is_flat).unwrap();
        assert_eq!(read(sample, &expected.names[column]), expected, "{}", sample.name);
    }
    assert_eq!(spectrum().len(), 12);
}

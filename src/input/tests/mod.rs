//! Tests of the whole room on real files: what is read, with which places, and what is refused.

mod ahead;
mod case_table;
mod cases;
mod coded;
mod csv;
mod json_cases;
mod json_laws;
mod laws;
mod ndjson;
mod opening;
mod passes;
mod quotes;
mod shapes;
mod watched;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Bounds, InputOptions, Inputs, Pass, Row, RowError, SourceError};
use crate::row::Place;
use crate::update::FieldKind;

/// A directory with input files, gone at the end of the test.
struct Scene {
    dir: tempfile::TempDir,
    options: InputOptions,
}

/// A row in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    place: Place,
    cells: Vec<(FieldKind, String)>,
    origin: Option<(String, u64)>,
    originals: Vec<Option<String>>,
}

/// What a pass came to.
type Rows = Vec<Result<Seen, RowError>>;

impl Scene {
    /// Files by name and content, read in this order.
    fn new<B: AsRef<[u8]>>(files: &[(&str, B)]) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let options = InputOptions { spool_dir: dir.path().to_owned(), ..InputOptions::default() };
        let mut scene = Scene { dir, options };
        for (name, content) in files {
            fs::write(scene.path(name), content).unwrap();
            let path = scene.path(name).to_str().unwrap().to_owned();
            scene.options.inputs.push(path);
        }
        scene
    }

    fn csv(content: impl AsRef<[u8]>) -> Scene {
        Scene::new(&[("a.csv", content)])
    }

    fn ndjson(content: impl AsRef<[u8]>) -> Scene {
        Scene::new(&[("a.ndjson", content)])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn map(mut self, field: FieldKind, column: &str) -> Scene {
        self.options.columns.push((field, column.to_owned()));
        self
    }

    fn bounds(mut self, change: impl FnOnce(&mut Bounds)) -> Scene {
        change(&mut self.options.bounds);
        self
    }

    fn open(&self) -> Result<Inputs, SourceError> {
        Inputs::open_with(&self.options, &mut no_stdin())
    }

    fn open_error(&self) -> SourceError {
        self.open().map(|_| ()).expect_err("opening should fail")
    }

    /// Reads one survey.
    fn rows(&self) -> Rows {
        let mut inputs = self.open().unwrap();
        read_all(&mut inputs, Pass::Survey).unwrap()
    }

    /// The error that ends a survey.
    fn read_error(&self) -> SourceError {
        let mut inputs = self.open().unwrap();
        read_all(&mut inputs, Pass::Survey).expect_err("reading should fail")
    }
}

fn no_stdin() -> impl Read {
    std::io::empty()
}

fn read_all(inputs: &mut Inputs, pass: Pass) -> Result<Rows, SourceError> {
    let mut rows = Vec::new();
    let mut reader = inputs.read(pass);
    while let Some(row) = reader.next_row()? {
        rows.push(row.map(|row| seen(&row)));
    }
    assert!(reader.next_row()?.is_none(), "a pass that is over stays over");
    Ok(rows)
}

fn seen(row: &Row<'_>) -> Seen {
    let mut originals = Vec::new();
    row.originals(&mut originals);
    Seen {
        place: row.place(),
        cells: FieldKind::ALL
            .into_iter()
            .filter_map(|field| Some((field, row.cell(field)?.to_owned())))
            .collect(),
        origin: row.origin().map(|origin| (origin.run, origin.row)),
        originals: originals.into_iter().map(|cell| cell.map(|cell| cell.into_owned())).collect(),
    }
}

/// The cells of one field, and the codes of bad rows in their places.
fn column(rows: &Rows, field: FieldKind) -> Vec<String> {
    rows.iter()
        .map(|row| match row {
            Ok(seen) => {
                let cell = seen.cells.iter().find(|(kind, _)| *kind == field);
                cell.map_or("(absent)".to_owned(), |(_, cell)| cell.clone())
            }
            Err(error) => format!("!{}", error.code),
        })
        .collect()
}

fn lines(rows: &Rows) -> Vec<u64> {
    rows.iter()
        .map(|row| row.as_ref().map_or_else(|error| error.place.line, |seen| seen.place.line))
        .collect()
}

fn text_of(error: &SourceError, dir: &Path) -> String {
    error.to_string().replace(&format!("{}/", dir.display()), "")
}

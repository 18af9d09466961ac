//! One input read through the public door of the library, twice, with the laws that hold whatever the format.
//!
//! Not here: what a format promises of its own (`csv.rs`, `ndjson.rs`).

use std::cell::OnceCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use simsync::input::{InputOptions, Inputs, Pass, SourceError};
use simsync::row::{Origin, Place};
use simsync::update::FieldKind;

/// A row or a row that could not be read, in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Row {
        place: Place,
        /// Text of each field, in wire order.
        cells: Vec<Option<String>>,
        originals: Vec<Option<String>>,
        origin: Option<Origin>,
    },
    Bad {
        place: Place,
        code: &'static str,
    },
}

impl Seen {
    pub(crate) fn place(&self) -> Place {
        match self {
            Seen::Row { place, .. } | Seen::Bad { place, .. } => *place,
        }
    }
}

/// What a whole reading came to.
pub(crate) struct Reading {
    pub(crate) inputs: Inputs,
    pub(crate) rows: Vec<Seen>,
    /// The input was read to its end.
    complete: bool,
}

/// The file that every input is written to: one, because making one costs more than reading it.
struct Feed {
    file: File,
    path: PathBuf,
}

thread_local! {
    static FEED: OnceCell<Feed> = const { OnceCell::new() };
}

impl Feed {
    /// In memory where the system has a place for that.
    fn open() -> Feed {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = dir.join(format!("simsync-fuzz-{}", std::process::id()));
        let file = File::create(&path).expect("a place for the input");
        Feed { file, path }
    }

    fn write(&self, content: &[u8]) -> String {
        self.file.set_len(0).expect("an empty file");
        self.file.write_all_at(content, 0).expect("room for the input");
        self.path.to_str().expect("a path in UTF-8").to_owned()
    }
}

/// Reads the content under the options, and holds it against the laws of every format. `None`: it was refused.
pub(crate) fn read(content: &[u8], options: &InputOptions) -> Option<Reading> {
    let mut reading = read_once(content, options)?;
    if reading.complete {
        let (inputs, rows) = (&mut reading.inputs, &reading.rows);
        assert_eq!(inputs.files()[0].rows_seen, count(rows), "rows are counted");
        let shaping = inputs.shaping();
        let (again, complete) = pass(inputs, Pass::Again);
        assert!(complete, "what was surveyed can be read again");
        assert!(again == *rows, "both passes see the same rows");
        assert_eq!(inputs.shaping(), shaping, "decisions stay");
    }
    Some(reading)
}

/// The same with the survey alone, for what is decided before the first row.
pub(crate) fn read_once(content: &[u8], options: &InputOptions) -> Option<Reading> {
    let name = FEED.with(|feed| feed.get_or_init(Feed::open).write(content));
    let options = InputOptions { inputs: vec![name], spool_dir: std::env::temp_dir(), ..options.clone() };
    let mut inputs = Inputs::open(&options).inspect_err(explain).ok()?;
    let (rows, complete) = pass(&mut inputs, Pass::Survey);
    places_ascend(&rows, content);
    bounds_hold(&rows, &options);
    Some(Reading { inputs, rows, complete })
}

/// An error has a text and a remedy for the operator.
fn explain(error: &SourceError) {
    assert!(!error.to_string().is_empty() && !error.remedy().is_empty(), "an error says what to do");
}

fn pass(inputs: &mut Inputs, pass: Pass) -> (Vec<Seen>, bool) {
    let mut rows = Vec::new();
    let mut reader = inputs.read(pass);
    let complete = loop {
        match reader.next_row() {
            Ok(Some(Ok(row))) => {
                let mut originals = Vec::new();
                row.originals(&mut originals);
                rows.push(Seen::Row {
                    place: row.place(),
                    cells: FieldKind::ALL.map(|kind| row.cell(kind).map(str::to_owned)).to_vec(),
                    originals: originals.into_iter().map(|cell| cell.map(|cell| cell.into_owned())).collect(),
                    origin: row.origin(),
                });
            }
            Ok(Some(Err(error))) => {
                assert!(!error.code.is_empty() && !error.detail.is_empty(), "a bad row says why");
                assert!(
                    error.raw.len() <= simsync::input::RAW_BYTES_MAX,
                    "what is kept of a bad row is bounded"
                );
                rows.push(Seen::Bad { place: error.place, code: error.code });
            }
            Ok(None) => break true,
            Err(error) => {
                explain(&error);
                break false;
            }
        }
    };
    assert!(matches!(reader.next_row(), Ok(None)), "a pass that is over stays over");
    (rows, complete)
}

fn count(rows: &[Seen]) -> u64 {
    u64::try_from(rows.len()).expect("a length")
}

/// Ordinals follow each other, lines ascend, and none is beyond the content.
fn places_ascend(rows: &[Seen], content: &[u8]) {
    let breaks = content.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    let lines = u64::try_from(breaks + 1).expect("a length");
    let (mut ordinal, mut line) = (0, 0);
    for row in rows {
        let place = row.place();
        assert_eq!(place.ordinal, ordinal + 1, "ordinals follow each other");
        assert!(place.line > line, "line {} comes after line {line}", place.line);
        assert!(place.line <= lines, "line {} of {lines}", place.line);
        assert_eq!(place.file, 0, "there is one file");
        (ordinal, line) = (place.ordinal, place.line);
    }
}

/// No cell and no record is larger than it may be.
fn bounds_hold(rows: &[Seen], options: &InputOptions) {
    let bounds = &options.bounds;
    for row in rows {
        let Seen::Row { cells, originals, .. } = row else { continue };
        let longest = cells.iter().flatten().map(String::len).max().unwrap_or(0);
        assert!(longest <= bounds.field_bytes_max, "a cell of {longest} bytes");
        let all: usize = originals.iter().flatten().map(String::len).sum();
        assert!(all <= bounds.record_bytes_max, "a record of {all} bytes");
        assert!(originals.len() <= bounds.columns_max, "{} columns", originals.len());
    }
}

//! A polluted file as simsync reads it: in process, or by the real binary.
//!
//! Not here: what it should have read (`judge.rs`).

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use simsync::fields::{Checked, RuleOptions, RuleSet, Severity, check_row};
use simsync::input::{InputOptions, Inputs, Pass, SourceError, TextNote};
use simsync::update::FieldKind;

/// A row as it was judged.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) line: usize,
    pub(crate) rejected: bool,
    pub(crate) fields: Vec<(FieldKind, String)>,
    /// Fields with a warning.
    pub(crate) warned: Vec<FieldKind>,
}

impl Seen {
    pub(crate) fn value(&self, kind: FieldKind) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == kind).map(|(_, value)| value.as_str())
    }

    fn rejected(line: u64) -> Seen {
        Seen { line: usize::try_from(line).unwrap(), rejected: true, fields: Vec::new(), warned: Vec::new() }
    }
}

/// What a reading came to.
pub(crate) struct Read {
    pub(crate) rows: Vec<Seen>,
    /// Why the file was refused.
    pub(crate) stopped: Option<String>,
    /// The line of a last row that may be cut off; the binary tells people.
    pub(crate) noted: Option<usize>,
}

impl Read {
    /// The first thing that another reading of the same file came to otherwise.
    pub(crate) fn difference(&self, other: &Read) -> Option<String> {
        match (&self.stopped, &other.stopped) {
            (Some(_), Some(_)) => return None,
            (None, None) => {}
            (mine, theirs) => return Some(format!("stopped by {mine:?} and {theirs:?}")),
        }
        if self.rows.len() != other.rows.len() {
            return Some(format!("{} and {} rows", self.rows.len(), other.rows.len()));
        }
        let mut pairs = self.rows.iter().zip(&other.rows);
        pairs.find(|(mine, theirs)| mine != theirs).map(|(mine, theirs)| format!("{mine:?} and {theirs:?}"))
    }
}

/// Reads as pass 1 does: parse, check, and a row without its key is rejected.
pub(crate) fn in_process(path: &Path) -> Read {
    let options = InputOptions {
        inputs: vec![path.to_str().unwrap().to_owned()],
        spool_dir: path.parent().unwrap().to_owned(),
        ..InputOptions::default()
    };
    let mut rows = Vec::new();
    match read_all(&options, &mut rows) {
        Ok(noted) => Read { rows, stopped: None, noted },
        Err(error) => Read { rows, stopped: Some(error.to_string()), noted: None },
    }
}

fn read_all(options: &InputOptions, rows: &mut Vec<Seen>) -> Result<Option<usize>, SourceError> {
    let rules = RuleSet::new(&RuleOptions::default()).unwrap();
    let mut inputs = Inputs::open(options)?;
    let has_key = inputs.mapped().contains(FieldKind::UserExternalId);
    let mut reader = inputs.read(Pass::Survey);
    let mut checked = Checked::default();
    while let Some(row) = reader.next_row()? {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                rows.push(Seen::rejected(error.place.line));
                continue;
            }
        };
        check_row(&rules, &|kind| row.cell(kind), &mut checked);
        let keyless = has_key && checked.fields.get(FieldKind::UserExternalId).is_none();
        if checked.rejected().is_some() || keyless {
            rows.push(Seen::rejected(row.place().line));
            continue;
        }
        let warnings = checked.findings.iter().filter(|finding| finding.severity == Severity::Warn);
        rows.push(Seen {
            line: usize::try_from(row.place().line).unwrap(),
            rejected: false,
            fields: checked.fields.iter().map(|(kind, value)| (kind, value.to_owned())).collect(),
            warned: in_order(warnings.filter_map(|finding| finding.field)),
        });
    }
    let cut = inputs.text_notes().into_iter().find_map(|note| match note {
        TextNote::NoLastLineEnd { line, .. } => Some(usize::try_from(line).unwrap()),
        TextNote::Decoded { .. }
        | TextNote::Mojibake { .. }
        | TextNote::CutOff { .. }
        | TextNote::DelimiterOverruled { .. } => None,
    });
    Ok(cut)
}

/// Reads by `simsync check FILE --output OUT`. The error says why the binary cannot be judged.
pub(crate) fn by_binary(path: &Path) -> Result<Read, String> {
    let out = path.with_extension("verdicts");
    let run = Command::new(env!("CARGO_BIN_EXE_simsync"))
        .current_dir(path.parent().unwrap())
        .arg("check")
        .arg(path)
        .arg("--output")
        .arg(&out)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    match run.status.code() {
        Some(0 | 3) => {}
        Some(6) => return Ok(Read { rows: Vec::new(), stopped: Some(told), noted: None }),
        code => return Err(format!("check ended with {code:?}: {told}")),
    }
    let text = std::fs::read_to_string(&out).map_err(|error| format!("no verdicts: {error}"))?;
    std::fs::remove_file(&out).unwrap();
    Ok(Read { rows: text.lines().map(verdict).collect(), stopped: None, noted: None })
}

/// One line of `--output`.
fn verdict(line: &str) -> Seen {
    let verdict: Value = serde_json::from_str(line).unwrap();
    let line = verdict["line"].as_u64().unwrap();
    if verdict["verdict"] == "rejected" {
        return Seen::rejected(line);
    }
    let (mut fields, mut warned) = (Vec::new(), Vec::new());
    for (name, field) in verdict["fields"].as_object().unwrap() {
        let kind = FieldKind::from_name(name).unwrap();
        fields.extend(field["value"].as_str().map(|value| (kind, value.to_owned())));
        if field["verdict"] == "warn" {
            warned.push(kind);
        }
    }
    fields.sort_by_key(|(kind, _): &(FieldKind, String)| kind.index());
    let warned = in_order(warned.into_iter());
    Seen { line: usize::try_from(line).unwrap(), rejected: false, fields, warned }
}

/// Fields in wire order, each once.
fn in_order(fields: impl Iterator<Item = FieldKind>) -> Vec<FieldKind> {
    let named: Vec<FieldKind> = fields.collect();
    FieldKind::ALL.into_iter().filter(|field| named.contains(field)).collect()
}

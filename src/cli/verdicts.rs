//! From a judged row to its line in the verdicts of `check`.
//!
//! Not here: how a line is written (`report/verdicts.rs`), and the judgement itself (`survey.rs`).

use std::path::Path;

use super::fatal::Fatal;
use crate::exit::Exit;
use crate::fields::{Finding, Severity};
use crate::input::{Inputs, Row, RowError};
use crate::report::{CellLine, CellVerdict, RowVerdict, VERDICTS_STDOUT, VerdictLine, Verdicts, WrittenFile};
use crate::survey::{Judge, Judged};
use crate::update::FieldKind;

/// Where the verdicts go, if anywhere.
pub(super) struct Output {
    verdicts: Option<Verdicts>,
    /// Names of the inputs, by their index.
    files: Vec<String>,
}

impl Output {
    /// Opens the output, if one is asked for.
    pub(super) fn open(output: Option<&str>, inputs: &Inputs, is_json: bool) -> Result<Output, Fatal> {
        if is_json && output == Some(VERDICTS_STDOUT) {
            return Err(Fatal::new(
                Exit::Usage,
                "--json and --output - would both write to standard output",
                "name a file with --output, or leave --json out",
            ));
        }
        let files: Vec<String> = inputs.files().iter().map(|file| file.name.clone()).collect();
        // Standard input may be a file too, and the shell knows its name alone.
        let stdin = Path::new("/dev/stdin");
        let paths: Vec<&Path> = files.iter().map(Path::new).chain([stdin]).collect();
        let verdicts = output.map(|output| Verdicts::create(Path::new(output), &paths)).transpose()?;
        Ok(Output { verdicts, files })
    }

    /// Writes a row's line.
    pub(super) fn row(&mut self, row: &Result<Row<'_>, RowError>, judged: Judged, judge: &Judge<'_>) {
        let Some(verdicts) = &mut self.verdicts else { return };
        let place = match row {
            Ok(row) => row.place(),
            Err(error) => error.place,
        };
        let cells = match row {
            Ok(row) if judged != Judged::Filtered => cells(row, judge),
            Ok(_) | Err(_) => Vec::new(),
        };
        let codes = row_codes(judged, judge);
        let key = judge.key_field();
        let subject = cells.iter().find(|cell| Some(cell.field) == key).and_then(|cell| cell.value);
        let file = usize::try_from(place.file).ok().and_then(|index| self.files.get(index));
        verdicts.write(&VerdictLine {
            file: file.map_or("", String::as_str),
            line: place.line,
            row: place.ordinal,
            verdict: verdict(judged, judge),
            subject,
            fields: &cells,
            codes: &codes,
        });
    }

    /// Completes the output. Not called, it leaves nothing behind.
    pub(super) fn finish(self) -> Result<Option<WrittenFile>, Fatal> {
        Ok(self.verdicts.map_or(Ok(None), Verdicts::finish)?)
    }
}

/// The code of a row that a condition leaves out. It is no rule: nothing is wrong with the row.
const FILTERED: &str = "row.filtered";

fn verdict(judged: Judged, judge: &Judge<'_>) -> RowVerdict {
    match judged {
        Judged::Rejected { .. } => RowVerdict::Rejected,
        // Nobody asked a rule about it.
        Judged::Filtered => RowVerdict::Ok,
        Judged::Valid { .. } => {
            let is_warning = |finding: &Finding| finding.severity == Severity::Warn;
            if judge.checked.findings.iter().any(is_warning) { RowVerdict::Warned } else { RowVerdict::Ok }
        }
    }
}

/// The mapped fields of the row's input, in wire order.
fn cells<'a>(row: &Row<'a>, judge: &'a Judge<'_>) -> Vec<CellLine<'a>> {
    row.mapped().iter().map(|field| cell(field, row.cell(field), judge)).collect()
}

fn cell<'a>(field: FieldKind, raw: Option<&'a str>, judge: &'a Judge<'_>) -> CellLine<'a> {
    let mut codes = Vec::new();
    let mut worst = None;
    for finding in judge.checked.findings.iter().filter(|finding| finding.field == Some(field)) {
        push(&mut codes, finding.rule.rule().code);
        worst = worst.max(Some(finding.severity));
    }
    let value = judge.checked.fields.get(field);
    let verdict = match (worst, value) {
        (Some(Severity::Error), _) => CellVerdict::Error,
        (Some(Severity::Warn), _) => CellVerdict::Warn,
        (Some(Severity::Fix), _) => CellVerdict::Fix,
        (Some(Severity::Off) | None, Some(_)) => CellVerdict::Ok,
        (Some(Severity::Off) | None, None) => CellVerdict::Absent,
    };
    // A rule between fields may reject a cell whose own value is sound.
    let value = value.filter(|_| verdict != CellVerdict::Error);
    CellLine { field, raw, value, verdict, codes }
}

/// Codes about the row: what it was rejected for beside its cells, and findings of no field.
fn row_codes(judged: Judged, judge: &Judge<'_>) -> Vec<&'static str> {
    if judged == Judged::Filtered {
        return vec![FILTERED];
    }
    let mut codes = Vec::new();
    let in_cells = |code| judge.checked.findings.iter().any(|finding| finding.rule.rule().code == code);
    if let Judged::Rejected { code, .. } = judged
        && !in_cells(code)
    {
        push(&mut codes, code);
    }
    for finding in judge.checked.findings.iter().filter(|finding| finding.field.is_none()) {
        push(&mut codes, finding.rule.rule().code);
    }
    for breach in judge.also(judged) {
        if !in_cells(breach.code) {
            push(&mut codes, breach.code);
        }
    }
    codes
}

fn push(codes: &mut Vec<&'static str>, code: &'static str) {
    if !codes.contains(&code) {
        codes.push(code);
    }
}

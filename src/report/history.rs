//! Past runs: `runs` lists them, `show RUN` tells one again. Reads `summary.json` and `status.json` only, never the
//! journal, so it works while a run goes on.
//!
//! Not here: rendering a summary (`summary.rs`).

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::report::error::ReportError;
use crate::report::json::to_line;
use crate::report::model::{SCHEMA_VERSION, Summary};
use crate::report::run_dir::{STATUS_FILE, SUMMARY_FILE, runs_dir};
use crate::report::status::Status;
use crate::report::style::{Align, Paint, clean, clock, table, thousands};
use crate::report::summary::{millis, render};

/// Name that stands for the newest run.
pub const LATEST: &str = "latest";

/// Near names offered for an unknown run.
const NEAR_MAX: usize = 3;

/// Largest report read: a summary is bounded by its lists, so what is larger is not one of ours.
const REPORT_BYTES_MAX: u64 = 64 << 20;

/// The list of runs, oldest first: a table, or JSON Lines with `json`. Runs whose reports cannot be read are listed as
/// such: one damaged file hides no other.
///
/// # Errors
/// When the directory of runs cannot be read.
pub fn list_runs(state: &Path, json: bool) -> Result<String, ReportError> {
    let dir = runs_dir(state);
    let mut text = String::new();
    let mut rows = vec![
        ["RUN", "STARTED", "COMMAND", "TARGET", "EXIT", "SYNCED", "FAILED", "REJECTED"]
            .map(String::from)
            .to_vec(),
    ];
    for name in run_names(&dir)? {
        let read = read_run(&dir, &name);
        match (read, json) {
            (Ok(run), true) => text.push_str(&to_line(&run.summary)),
            (Ok(run), false) => rows.push(row(&name, &run)),
            (Err(error), true) => {
                let failed =
                    serde_json::json!({"type": "unreadable", "run_id": name, "message": error.to_string()});
                text.push_str(&to_line(&failed));
            }
            (Err(_), false) => rows.push(vec![clean(&name).into_owned(), "unreadable".into()]),
        }
    }
    if !json {
        let align = [
            Align::Left,
            Align::Left,
            Align::Left,
            Align::Left,
            Align::Right,
            Align::Right,
            Align::Right,
            Align::Right,
        ];
        text = if rows.len() > 1 { table(0, &align, &rows) } else { no_runs(state) };
    }
    Ok(text)
}

/// The empty list. Rehearsals (`sync --sandbox`) have a state of their own, which is named where it has runs.
fn no_runs(state: &Path) -> String {
    let rehearsals = state.join("sandbox");
    if runs_dir(&rehearsals).is_dir() {
        let rehearsals = super::style::shell_quote(&rehearsals);
        return format!(
            "no runs yet; those of --sandbox are listed by `simsync runs --state {rehearsals}`\n"
        );
    }
    "no runs yet\n".into()
}

/// One run told again: text, or its summary as one line of JSON. `name` is a run's id, the beginning of just one, or
/// `latest`.
///
/// # Errors
/// When no run has that name, or its reports cannot be read.
pub fn show_run(state: &Path, name: &str, json: bool, paint: Paint) -> Result<String, ReportError> {
    let dir = runs_dir(state);
    let names = run_names(&dir)?;
    let name = find(&names, name, &dir)?;
    let Run { summary, status } = read_run(&dir, name)?;
    if json {
        return Ok(to_line(&summary));
    }
    let mut text = format!(
        "{}\n",
        paint.bold(&format!(
            "run {} · {} · {} · started {}",
            clean(&summary.run_id),
            clean(&summary.command),
            clean(&summary.target),
            clean(&summary.started_at)
        ))
    );
    for notice in &summary.notices {
        text.push_str(&format!("{} {}\n", paint.yellow("note:"), clean(notice)));
    }
    if let Some(status) = status {
        text.push_str(&format!(
            "{} it still runs as process {}, or it was killed in phase {}; the figures are those of {}\n",
            paint.yellow("this run has no end:"),
            status.pid,
            clean(&status.phase),
            clean(&status.updated_at)
        ));
    }
    text.push_str(&render(&summary, paint));
    if let Some(code) = summary.exit_code {
        text.push_str(&format!("exit {code}: {}\n", clean(&summary.exit_meaning)));
    }
    Ok(text)
}

/// A run that was found by its name.
#[derive(Debug)]
pub struct FoundRun {
    /// Its directory.
    pub dir: PathBuf,
    /// What it told of itself. Of a run without an end, what its status says.
    pub summary: Summary,
    /// Whether it came to its end.
    pub has_ended: bool,
}

/// Finds a run by its id, the beginning of just one, or `latest`.
///
/// # Errors
/// When no run has that name, or its reports cannot be read.
pub fn find_run(state: &Path, name: &str) -> Result<FoundRun, ReportError> {
    let dir = runs_dir(state);
    let names = run_names(&dir)?;
    let name = find(&names, name, &dir)?;
    let Run { mut summary, status } = read_run(&dir, name)?;
    // The directory's name is the run's id, whatever the file says.
    name.clone_into(&mut summary.run_id);
    Ok(FoundRun { dir: dir.join(name), summary, has_ended: status.is_none() })
}

/// Ids of all runs of a state directory, oldest first.
///
/// # Errors
/// When the directory of runs cannot be read.
pub fn run_ids(state: &Path) -> Result<Vec<String>, ReportError> {
    run_names(&runs_dir(state))
}

struct Run {
    summary: Summary,
    /// Present when the run has no summary of its own.
    status: Option<Status>,
}

/// Names of runs, sorted: ids are sortable by time.
fn run_names(dir: &Path) -> Result<Vec<String>, ReportError> {
    let unreadable = |source| ReportError::Read { path: dir.into(), source };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        if entry.file_type().map_err(unreadable)?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn find<'n>(names: &'n [String], name: &str, dir: &Path) -> Result<&'n str, ReportError> {
    let Some(newest) = names.last() else { return Err(ReportError::NoRuns { path: dir.into() }) };
    if name == LATEST {
        return Ok(newest);
    }
    if let Some(exact) = names.iter().find(|known| *known == name) {
        return Ok(exact);
    }
    let begins: Vec<&String> =
        names.iter().filter(|known| !name.is_empty() && known.starts_with(name)).collect();
    match begins.as_slice() {
        [only] => Ok(only),
        [_, _, ..] => Err(ReportError::AmbiguousRun {
            name: clean(name).into_owned(),
            count: begins.len(),
            some: begins.iter().rev().take(NEAR_MAX).map(|known| clean(known).into_owned()).collect(),
        }),
        [] => Err(ReportError::UnknownRun { name: clean(name).into_owned(), near: near(names, name) }),
    }
}

/// Runs that share the longest beginning or hold the text, newest first.
fn near(names: &[String], name: &str) -> Vec<String> {
    let shared = |known: &str| known.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
    let mut ranked: Vec<(bool, usize, &String)> = names
        .iter()
        .rev()
        .map(|known| (!name.is_empty() && known.contains(name), shared(known), known))
        .collect();
    ranked.sort_by_key(|(holds, shared, _)| std::cmp::Reverse((*holds, *shared)));
    let is_near = |(holds, shared, _): &(bool, usize, &String)| *holds || *shared > 0;
    ranked.into_iter().filter(is_near).take(NEAR_MAX).map(|(_, _, known)| clean(known).into_owned()).collect()
}

fn read_run(dir: &Path, name: &str) -> Result<Run, ReportError> {
    let dir = dir.join(name);
    if let Some(summary) = read::<Summary>(&dir.join(SUMMARY_FILE))? {
        return Ok(Run { summary, status: None });
    }
    let path = dir.join(STATUS_FILE);
    let Some(status) = read::<Status>(&path)? else {
        // Killed before its first second: the directory is all there is.
        let status = Status { run_id: name.into(), phase: "start".into(), ..Status::default() };
        return Ok(Run { summary: Summary { balanced: true, ..of_status(&status) }, status: Some(status) });
    };
    Ok(Run { summary: of_status(&status), status: Some(status) })
}

/// What is known of a run that has no summary.
fn of_status(status: &Status) -> Summary {
    Summary {
        schema_version: status.schema_version,
        kind: "summary".into(),
        tool_version: status.tool_version.clone(),
        run_id: status.run_id.clone(),
        command: status.command.clone(),
        target: status.target.clone(),
        started_at: status.started_at.clone(),
        ended_at: String::new(),
        duration_s: std::time::Duration::from_millis(status.at_ms).as_secs_f64(),
        rows: status.rows,
        balanced: true,
        updates: status.updates,
        attempts: status.attempts,
        retries: status.retries,
        ..Summary::default()
    }
}

#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    schema_version: u32,
}

/// Reads a report; `None` when there is none.
fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, ReportError> {
    let failed = |source| ReportError::Read { path: path.into(), source };
    let length = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if length > REPORT_BYTES_MAX {
        return Err(failed(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    let unreadable = |source| ReportError::Unreadable { path: path.into(), source };
    let Versioned { schema_version } = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if schema_version > SCHEMA_VERSION {
        return Err(ReportError::Newer { path: path.into(), found: schema_version, known: SCHEMA_VERSION });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
}

fn row(name: &str, run: &Run) -> Vec<String> {
    let Run { summary, status } = run;
    let exit = summary.exit_code.map_or_else(|| "-".into(), |code| code.to_string());
    let mut cells = vec![
        clean(name).into_owned(),
        clean(&summary.started_at).into_owned(),
        clean(&summary.command).into_owned(),
        clean(&summary.target).into_owned(),
        exit,
        thousands(summary.rows.synced),
        thousands(summary.rows.failed),
        thousands(summary.rows.rejected),
    ];
    if status.is_some() {
        cells[2] = format!("{} (no end, {})", cells[2], clock(millis(summary.duration_s)));
    }
    cells
}

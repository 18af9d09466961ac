//! `journal forget`: a subject leaves the ledger, the store and the row files of all runs; or old runs go.
//!
//! What rehearsals (`sync --sandbox`) know of a subject is removed with it: their state directory lies within. The lock is held all the way, so nothing is written meanwhile. The files of runs come first, then the ledger, then the
//! store written anew: killed in between, the same command finds what is left. Not here: the journal's own steps
//! (`journal/upkeep.rs`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{moment, open, paint, who};
use crate::cli::args::ForgetArgs;
use crate::cli::common::print;
use crate::cli::fatal::Fatal;
use crate::cli::{parts, subject};
use crate::digest::SubjectId;
use crate::engine::clock;
use crate::exit::Exit;
use crate::fields::{Checked, RuleSet};
use crate::input::Inputs;
use crate::journal::{JournalIndex, TargetFact, Upkeep};
use crate::report::{self, ForgetReport, ForgetRunsReport, OWN_COLUMNS, ReportError, remove_rows};
use crate::settings::Settings;
use crate::update::{FieldKind, FieldSet, Fields};

/// Digits or letters of a value from which it is found within other text, whatever separates them.
const COMPACT_LENGTH_MIN: usize = 7;

/// Column of a row file with a record that could not be split.
const RAW_COLUMN: &str = "_raw";

/// What a run's directory is called while it is being removed.
const REMOVED_PREFIX: &str = ".removed-";

/// Runs the command.
pub(super) fn forget(settings: &Settings, state: &Path, args: &ForgetArgs) -> Result<Exit, Fatal> {
    let values = subject::values(settings, &args.fields)?;
    match (&args.before, values.present().is_empty()) {
        (Some(before), true) => forget_runs(settings, state, before, args.yes),
        (None, false) => forget_subject(settings, state, args, &values),
        (Some(_), false) => Err(Fatal::new(
            Exit::Usage,
            "a subject and --before do not go together",
            "forget the subject and the old runs with two commands",
        )),
        (None, true) => Err(Fatal::new(
            Exit::Usage,
            "nothing was named to forget",
            "name a subject by its key field, such as --number +447700900123, or runs with --before DATE",
        )),
    }
}

fn forget_subject(
    settings: &Settings,
    state: &Path,
    args: &ForgetArgs,
    values: &Fields,
) -> Result<Exit, Fatal> {
    // All of them are locked before anything is removed.
    let mut states = vec![(state.to_owned(), open(state)?)];
    let rehearsals = state.join(parts::SANDBOX_TARGET);
    if let Some(upkeep) = Upkeep::open(&rehearsals, &who())? {
        states.push((rehearsals, upkeep));
    }
    let mut keys = FieldSet::EMPTY;
    for (_, upkeep) in &states {
        keys = upkeep.index()?.targets.iter().filter_map(|fact| fact.key).chain(keys.iter()).collect();
    }
    let mut given = keys.intersect(values.present());
    // A run under another --key has left entries under that field, too; nobody keeps a list of those fields.
    for field in values.present().minus(keys).iter() {
        for (_, upkeep) in &mut states {
            let subjects = subjects(upkeep, &[(field, values.get(field).unwrap_or_default())])?;
            if upkeep.known(&subjects)? > 0 {
                given.insert(field);
            }
        }
    }
    if given.is_empty() {
        // An earlier try may have been killed when nothing but this was left to be done.
        states.into_iter().try_for_each(|(_, upkeep)| upkeep.rewrite())?;
        return Err(not_a_key(keys));
    }
    let sought = Sought::new(settings, args, values, given)?;
    let mut report = ForgetReport::default();
    for (state, upkeep) in states {
        forget_in(settings, &state, upkeep, &sought, &mut report)?;
    }
    print(&if settings.run.json { report.json() } else { report.text(paint(settings)) })?;
    Ok(Exit::Success)
}

/// The ids under which these values of key fields are known, at every target.
fn subjects(upkeep: &Upkeep, values: &[(FieldKind, &str)]) -> Result<Vec<SubjectId>, Fatal> {
    let targets = upkeep.index()?.targets;
    let of_target = |fact: &TargetFact| {
        values.iter().map(|(field, value)| upkeep.key().subject(&fact.target, *field, value)).collect()
    };
    Ok(targets.iter().flat_map::<Vec<SubjectId>, _>(of_target).collect())
}

/// Removes the subject in one state directory.
fn forget_in(
    settings: &Settings,
    state: &Path,
    mut upkeep: Upkeep,
    sought: &Sought<'_>,
    report: &mut ForgetReport,
) -> Result<(), Fatal> {
    let (files, rows) = remove_from_files(settings, state, sought)?;
    for fact in upkeep.index()?.targets {
        let Some(key) = fact.key else { continue };
        let is_told = sought.values.iter().any(|(field, _)| *field == key);
        if is_told { &mut report.targets } else { &mut report.targets_passed_over }.push(fact.target);
    }
    let subjects = subjects(&upkeep, &sought.values)?;
    report.entries += upkeep.forget_subjects(&subjects)?;
    report.rows += rows;
    report.files += files;
    // Always: an earlier try may have been killed before it came to this.
    Ok(upkeep.rewrite()?)
}

fn not_a_key(keys: FieldSet) -> Fatal {
    let flags: Vec<String> = keys.iter().map(subject::flag).collect();
    let hint = if flags.is_empty() {
        "the journal has no target with a key field, so it knows no subject".to_owned()
    } else {
        format!("give its value for {}", flags.join(" or "))
    };
    Fatal::new(Exit::Usage, "none of the fields given is the key field of a target", hint)
}

/// Whose rows are removed.
struct Sought<'a> {
    rules: RuleSet,
    /// Key fields and their canonical values.
    values: Vec<(FieldKind, &'a str)>,
    /// Texts that give a row away wherever they stand in it: as typed and canonical.
    texts: Vec<String>,
}

impl<'a> Sought<'a> {
    fn new(
        settings: &Settings,
        args: &'a ForgetArgs,
        values: &'a Fields,
        given: FieldSet,
    ) -> Result<Sought<'a>, Fatal> {
        let values: Vec<(FieldKind, &str)> =
            given.iter().filter_map(|field| Some((field, values.get(field)?))).collect();
        let typed = given.iter().filter_map(|field| args.fields.get(field));
        let texts = values.iter().map(|(_, value)| *value).chain(typed).map(|text| text.trim().to_owned());
        Ok(Sought { rules: parts::rule_set(settings)?, texts: texts.collect(), values })
    }

    /// Whether a row is about the subject: the cell of the key field says so once it is normalized, or the value stands
    /// elsewhere in the row, as it does in a record that could not be split. A short value means something else in
    /// another column, and is looked for only where no column is known to be the key's.
    fn is_in(
        &self,
        key_columns: &[(FieldKind, String)],
        columns: &[String],
        cells: &[String],
        checked: &mut Checked,
    ) -> bool {
        let cell = |name: &str| cells.get(columns.iter().position(|column| column == name)?);
        let is_key = |(field, column): &(FieldKind, String)| {
            let canonical =
                cell(column).and_then(|cell| subject::canonical(&self.rules, *field, cell, checked));
            canonical
                .is_some_and(|found| self.values.iter().any(|(of, value)| of == field && found == *value))
        };
        if key_columns.iter().any(is_key) {
            return true;
        }
        columns.iter().map(Some).chain(std::iter::repeat(None)).zip(cells).any(|(column, cell)| {
            let column = column.map_or("", String::as_str);
            let is_raw = column == RAW_COLUMN || key_columns.is_empty();
            let is_own = OWN_COLUMNS.contains(&column) && column != RAW_COLUMN;
            let is_told = |text: &&String| is_raw || text.len() >= COMPACT_LENGTH_MIN;
            !is_own && self.texts.iter().filter(is_told).any(|text| mentions(cell, text))
        })
    }
}

/// Whether a text holds a value: as a word, or with something else between its digits or letters.
fn mentions(text: &str, value: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    let is_word = text.match_indices(value).any(|(at, found)| {
        is_edge(text[..at].chars().next_back()) && is_edge(text[at + found.len()..].chars().next())
    });
    let compact = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let needle = compact(value);
    let is_number = needle.len() >= COMPACT_LENGTH_MIN && needle.bytes().all(|byte| byte.is_ascii_digit());
    is_word || is_number && compact(text).contains(&needle)
}

/// Removes the subject's rows from every row file; how many files had some, and how many rows these were.
fn remove_from_files(settings: &Settings, state: &Path, sought: &Sought<'_>) -> Result<(u64, u64), Fatal> {
    let (mut files, mut rows) = (0, 0);
    let mut checked = Checked::default();
    for dir in run_dirs(state)? {
        for path in list(&dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') && name.ends_with(".tmp") {
                // What a killed run had begun to write. The lock is held: nobody writes it any more.
                fs::remove_file(&path).map_err(|source| unreadable(&path, source))?;
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "csv") {
                continue;
            }
            let key_columns = key_columns(settings, &path, sought);
            let removed = remove_rows(&path, &mut |columns, cells| {
                sought.is_in(&key_columns, columns, cells, &mut checked)
            })?;
            files += u64::from(removed > 0);
            rows += removed;
        }
    }
    Ok((files, rows))
}

/// The columns of a row file that stand for the key fields, under the mapping in force; none where the file cannot be
/// understood, which leaves the search for the values themselves.
fn key_columns(settings: &Settings, path: &Path, sought: &Sought<'_>) -> Vec<(FieldKind, String)> {
    let Ok(rows) = parts::row_rules(settings) else { return Vec::new() };
    let input = [path.to_string_lossy().into_owned()];
    let mut options = parts::input_options(settings, &rows, &input, std::env::temp_dir());
    options.watched.clear();
    let inputs = Inputs::open(&options).or_else(|_| {
        // Columns named for other exports are not in every file.
        options.columns.clear();
        Inputs::open(&options)
    });
    let Ok(inputs) = inputs else { return Vec::new() };
    let mut named = Vec::new();
    for (field, _) in &sought.values {
        let at = inputs.columns_of(*field).into_iter().flatten();
        named.extend(at.filter_map(|at| Some((*field, inputs.columns().get(at)?.clone()))));
    }
    named
}

/// Directories of runs, by id.
fn run_dirs(state: &Path) -> Result<Vec<PathBuf>, Fatal> {
    let mut dirs = list(&report::runs_dir(state))?;
    dirs.retain(|path| path.is_dir());
    dirs.sort();
    Ok(dirs)
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, Fatal> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(dir, error)),
    };
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    paths.map_err(|source| unreadable(dir, source))
}

fn unreadable(path: &Path, source: io::Error) -> Fatal {
    ReportError::Read { path: path.into(), source }.into()
}

fn forget_runs(settings: &Settings, state: &Path, before: &str, yes: bool) -> Result<Exit, Fatal> {
    let zone = settings.delivery.time_zone.as_deref();
    let before_s = clock::moment_s(before, zone).map_err(|error| {
        Fatal::new(
            Exit::Usage,
            format!("--before {before} is no date: {error}"),
            "write it like 2026-01-31, or as a moment: 2026-01-31T12:00:00Z",
        )
    })?;
    let upkeep = open(state)?;
    let index = upkeep.index()?;
    let old = OldRuns::find(state, &index, before_s)?;
    let mut report = ForgetRunsReport {
        removed: yes,
        before: moment(settings, before_s),
        directories: old.dirs.len() as u64,
        records: old.records.len() as u64,
        kept: old.kept,
        batches: old.batches.len() as u64,
        first: old.ids().min().map(str::to_owned),
        last: old.ids().max().map(str::to_owned),
    };
    if yes {
        report.records = remove_runs(upkeep, state, &old)?;
    } else {
        upkeep.close()?;
    }
    print(&if settings.run.json { report.json() } else { report.text() })?;
    if yes || old.dirs.is_empty() && old.records.is_empty() {
        return Ok(Exit::Success);
    }
    Err(Fatal::new(Exit::Stopped, "nothing was removed", "add --yes to remove them"))
}

/// Runs that began before a moment, but those whose batch may still be continued: open, the newest of its target, and
/// begun to be delivered. Any other open batch is of no more use: overtaken, or begun anew when it is run again. Kept
/// for it, the personal data in its row files would stay for ever.
struct OldRuns {
    dirs: Vec<String>,
    records: Vec<String>,
    kept: u64,
    /// Open batches all of whose runs go: target and sequence.
    batches: Vec<(String, u64)>,
}

impl OldRuns {
    fn find(state: &Path, index: &JournalIndex, before_s: i64) -> Result<OldRuns, Fatal> {
        let is_old = |run_id: &str| clock::run_began_s(run_id).is_some_and(|began_s| began_s < before_s);
        let is_open = |run_id: &str| {
            index.runs.iter().filter(|run| run.run_id == run_id).any(|run| {
                let mut targets = index.targets.iter().filter(|fact| fact.target == run.target);
                targets.any(|fact| {
                    run.batch == fact.newest_batch
                        && fact.open.iter().any(|open| open.seq == run.batch && open.delivered)
                })
            })
        };
        let mut batches = Vec::new();
        for fact in &index.targets {
            for open in &fact.open {
                let runs = index.runs_of(&fact.target, open.seq);
                if !runs.is_empty() && runs.iter().all(|run| is_old(run) && !is_open(run)) {
                    batches.push((fact.target.clone(), open.seq));
                }
            }
        }
        let dirs = run_dirs(state)?;
        let names = dirs.iter().filter_map(|dir| dir.file_name()?.to_str());
        let (kept, dirs): (Vec<String>, Vec<String>) =
            names.filter(|name| is_old(name)).map(str::to_owned).partition(|name| is_open(name));
        let records = index.runs.iter().map(|run| &run.run_id);
        let records = records.filter(|run| is_old(run) && !is_open(run)).cloned().collect();
        Ok(OldRuns { dirs, records, kept: kept.len() as u64, batches })
    }

    fn ids(&self) -> impl Iterator<Item = &str> {
        self.dirs.iter().chain(&self.records).map(String::as_str)
    }
}

/// Directories first: what the journal has of a run whose directory is gone is found again by its record.
fn remove_runs(mut upkeep: Upkeep, state: &Path, old: &OldRuns) -> Result<u64, Fatal> {
    // Killed after this, the same command finds their runs as those of closed batches.
    upkeep.close_batches(&old.batches)?;
    let runs = report::runs_dir(state);
    for name in &old.dirs {
        // Under its own name, half a directory would be listed as a run without an end.
        let removed = runs.join(format!("{REMOVED_PREFIX}{name}"));
        fs::rename(runs.join(name), &removed).map_err(|source| unreadable(&removed, source))?;
    }
    for dir in run_dirs(state)? {
        let is_removed = dir.file_name().and_then(|name| name.to_str());
        if is_removed.is_some_and(|name| name.starts_with(REMOVED_PREFIX)) {
            fs::remove_dir_all(&dir).map_err(|source| unreadable(&dir, source))?;
        }
    }
    let records = upkeep.forget_runs(&old.records)?;
    upkeep.rewrite()?;
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_as_a_word_and_a_number_through_what_separates_it() {
        for (text, value, is_there) in [
            ("C-1001", "C-1001", true),
            ("C-10011", "C-1001", false),
            ("a;C-1001;b", "C-1001", true),
            ("x +44 7700 900123 y", "+447700900123", true),
            ("447700900123", "+447700900123", true),
            ("4477009001234", "+44770090012", true),
            ("1001", "1", false),
            ("row 1 of 2", "1", true),
        ] {
            assert_eq!(mentions(text, value), is_there, "{text} {value}");
        }
    }
}

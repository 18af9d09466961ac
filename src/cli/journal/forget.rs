//! `journal forget`: a subject leaves the ledger, the store and the row files of all runs; or old runs go.
//!
//! What rehearsals (`sync --sandbox`) know of a subject is removed with it: their state directory lies within. The
//! lock is held all the way, so nothing is written meanwhile. The files of runs come first, then the ledger, then the
//! store written anew: killed in between, the same command finds what is left. Not here: the journal's own steps
//! (`journal/upkeep.rs`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{moment, open, paint, who};
use crate::cli::args::ForgetArgs;
use crate::cli::common::print;
use crate::cli::fatal::Fatal;
use crate::cli::{parts, subject};
use crate::digest::SubjectId;
use crate::engine::clock;
use crate::exit::Exit;
use crate::fields::{BareNumbers, Checked, Imei14, Imei16, RuleSet, Spare0, home_of_number};
use crate::input::Inputs;
use crate::journal::{JournalIndex, TargetFact, Upkeep};
use crate::ledger::ClearedFirst;
use crate::report::{
    self, ClearedRecord, ForgetReport, ForgetRunsReport, OWN_COLUMNS, ReportError, SUMMARY_FILE, plural,
    remove_rows,
};
use crate::settings::Settings;
use crate::update::{FieldKind, FieldSet, Fields};

/// Digits or letters of a value from which it is found within other text, whatever separates them.
const COMPACT_LENGTH_MIN: usize = 7;

/// Column of a row file with a record that could not be split.
const RAW_COLUMN: &str = "_raw";

/// What may separate the cells of such a record.
const RAW_SEPARATORS: [char; 5] = [',', ';', '\t', '|', '\n'];

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
    if report.rows_unread == 0 {
        return Ok(Exit::Success);
    }
    Err(Fatal::new(
        Exit::RowsLeft,
        format!("of {} nobody can tell whose they are", plural(report.rows_unread, "row")),
        "look at them and delete the files, or run again with --drop-unreadable, which removes these rows",
    ))
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
    remove_from_files(settings, state, sought, report)?;
    for fact in upkeep.index()?.targets {
        let Some(key) = fact.key else { continue };
        let is_told = sought.values.iter().any(|(field, _)| *field == key);
        if is_told { &mut report.targets } else { &mut report.targets_passed_over }.push(fact.target);
    }
    let subjects = subjects(&upkeep, &sought.values)?;
    for (_, ClearedFirst { fields, is_certain }) in upkeep.cleared_first(&subjects)? {
        let fields = fields.iter().map(|field| field.name().to_owned()).collect();
        report.cleared.push(ClearedRecord { fields, is_certain, state: state.display().to_string() });
    }
    report.entries += upkeep.forget_subjects(&subjects)?;
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
    /// The rules in force, and those under which an earlier run may have read a cell as the value sought.
    rules: Vec<RuleSet>,
    /// Key fields and their canonical values.
    values: Vec<(FieldKind, &'a str)>,
    /// Texts that give a row away wherever they stand in it: as typed and canonical.
    texts: Vec<String>,
    /// Whether rows whose key cell cannot be read go as well.
    drops_unread: bool,
}

/// What a row file's row is to the subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowIs {
    Theirs,
    AnothersOrNone,
    /// Its key cell cannot be read.
    Unread,
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
        let drops_unread = args.drop_unreadable;
        Ok(Sought { rules: readings(settings, &values)?, texts: texts.collect(), values, drops_unread })
    }

    /// Whether a row is about the subject: the cell of the key field says so once it is normalized, or the value stands
    /// elsewhere in the row, as it does in a record that could not be split. A short value means something else in
    /// another column, and is looked for only where no column is known to be the key's.
    fn judge(
        &self,
        key_columns: &KeyColumns,
        columns: &[String],
        cells: &[String],
        checked: &mut Checked,
    ) -> RowIs {
        let cell = |name: &str| cells.get(columns.iter().position(|column| column == name)?);
        let mut is_read = false;
        for (field, column) in &key_columns.named {
            let Some(cell) = cell(column) else { continue };
            for rules in &self.rules {
                let Some(found) = subject::canonical(rules, *field, cell, checked) else { continue };
                is_read = true;
                if self.values.iter().any(|(of, value)| of == field && found == *value) {
                    return RowIs::Theirs;
                }
            }
        }
        let mut is_mentioned = false;
        for (column, cell) in columns.iter().map(Some).chain(std::iter::repeat(None)).zip(cells) {
            let column = column.map_or("", String::as_str);
            let is_raw = column == RAW_COLUMN || key_columns.named.is_empty();
            let is_own = OWN_COLUMNS.contains(&column) && column != RAW_COLUMN;
            let is_told = |text: &&String| is_raw || text.len() >= COMPACT_LENGTH_MIN;
            is_mentioned |= !is_own
                && (self.texts.iter().filter(is_told).any(|text| mentions(cell, text))
                    || is_raw && self.is_piece_of(cell, checked));
        }
        if is_mentioned {
            return RowIs::Theirs;
        }
        // A record that could not be split was searched as a whole. Where the run went by another key, an odd cell of
        // this field names nobody.
        let is_searched = cell(RAW_COLUMN).is_some_and(|raw| !raw.is_empty());
        if is_read || is_searched || !key_columns.are_the_keys {
            RowIs::AnothersOrNone
        } else {
            RowIs::Unread
        }
    }

    /// Whether a value is what stands between two separators of a text that could not be split.
    fn is_piece_of(&self, text: &str, checked: &mut Checked) -> bool {
        text.split(RAW_SEPARATORS).map(|piece| piece.trim().trim_matches('"')).any(|piece| {
            self.values.iter().any(|(field, value)| {
                let mut readings = self.rules.iter();
                readings.any(|rules| {
                    subject::canonical(rules, *field, piece, checked).is_some_and(|found| found == *value)
                })
            })
        })
    }
}

/// The rules in force, and others under which a run may have read a cell as one of these values: numbers were
/// national in their own country, or had lost their sign, and IMEIs were completed.
fn readings(settings: &Settings, values: &[(FieldKind, &str)]) -> Result<Vec<RuleSet>, Fatal> {
    let mut readings = vec![parts::rule_set(settings)?];
    for (field, value) in values {
        let mut options = settings.rules.clone();
        match field {
            FieldKind::Number => {
                options.default_country = home_of_number(value);
                for bare in [BareNumbers::Reject, BareNumbers::E164] {
                    options.bare_numbers = bare;
                    readings.push(RuleSet::new(&options)?);
                }
            }
            FieldKind::Imei => {
                options.imei_16 = Imei16::Convert;
                options.imei_spare0 = Spare0::Recompute;
                for imei_14 in [Imei14::Complete, Imei14::ZeroPad] {
                    options.imei_14 = imei_14;
                    readings.push(RuleSet::new(&options)?);
                }
            }
            FieldKind::GenericId
            | FieldKind::Imsi
            | FieldKind::Iccid
            | FieldKind::Username
            | FieldKind::Password
            | FieldKind::UserExternalId
            | FieldKind::UserClass => {}
        }
    }
    Ok(readings)
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

/// Removes the subject's rows from every row file, and enters how many these were.
fn remove_from_files(
    settings: &Settings,
    state: &Path,
    sought: &Sought<'_>,
    report: &mut ForgetReport,
) -> Result<(), Fatal> {
    let mut checked = Checked::default();
    for dir in run_dirs(state)? {
        let told = RunTold::read(&dir);
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
            let key_columns = key_columns(settings, &path, sought, &told);
            let mut unread = 0;
            let removed = remove_rows(&path, &mut |columns, cells| {
                let row = sought.judge(&key_columns, columns, cells, &mut checked);
                unread += u64::from(row == RowIs::Unread && !sought.drops_unread);
                row == RowIs::Theirs || row == RowIs::Unread && sought.drops_unread
            })?;
            report.files += u64::from(removed > 0);
            report.rows += removed;
            if unread > 0 {
                report.rows_unread += unread;
                report.files_unread.push(path.display().to_string());
            }
        }
    }
    Ok(())
}

/// What a run's summary tells of how it read its inputs; nothing where it was killed.
#[derive(Default, Deserialize)]
struct RunTold {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    columns: Vec<ToldColumn>,
}

#[derive(Deserialize)]
struct ToldColumn {
    field: String,
    column: String,
}

impl RunTold {
    fn read(dir: &Path) -> RunTold {
        let bytes = fs::read(dir.join(SUMMARY_FILE)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}

/// The columns of a row file that stand for the key fields sought.
struct KeyColumns {
    named: Vec<(FieldKind, String)>,
    /// Whether they name the subjects of the rows, as far as is known: the run may have gone by another key.
    are_the_keys: bool,
}

/// The columns of a row file that stand for the key fields, under the mapping in force and under that of the run; none
/// where the file cannot be understood, which leaves the search for the values themselves.
fn key_columns(settings: &Settings, path: &Path, sought: &Sought<'_>, told: &RunTold) -> KeyColumns {
    let mut named = columns_in_force(settings, path, sought);
    for line in &told.columns {
        let field = FieldKind::from_name(&line.field).filter(|of| sought.values.iter().any(|(f, _)| f == of));
        if let Some(field) = field
            && !named.iter().any(|(of, column)| *of == field && *column == line.column)
        {
            named.push((field, line.column.clone()));
        }
    }
    let is_key = |key: &String| sought.values.iter().any(|(field, _)| field.name() == key);
    let are_the_keys = !named.is_empty() && told.key.as_ref().is_none_or(is_key);
    KeyColumns { named, are_the_keys }
}

fn columns_in_force(settings: &Settings, path: &Path, sought: &Sought<'_>) -> Vec<(FieldKind, String)> {
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

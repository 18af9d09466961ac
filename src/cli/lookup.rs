//! `lookup`: what was last acknowledged for a subject, field by field, when, and by which run.
//!
//! By the key field it is a direct read, by another one the ledger is searched for the value's hash. While a run
//! holds the journal, the ledger's last fold is read without the lock. Not here: how it looks (`report/lookup.rs`).

use std::path::{Path, PathBuf};

use super::args::LookupArgs;
use super::common::{print, report_options};
use super::fatal::Fatal;
use super::journal::{no_journal, who};
use super::{parts, subject};
use crate::api::Endpoint;
use crate::digest::FieldHash;
use crate::engine::clock;
use crate::exit::Exit;
use crate::journal::{JournalError, JournalIndex, LedgerView, LockHolder, Upkeep, lock_holder};
use crate::ledger::{FieldState, LedgerEntry};
use crate::report::{
    Console, DoubtLine, FailureLine, FieldLine, LookupReport, Moment, RunOn, SubjectReport, Trace,
};
use crate::row::Version;
use crate::settings::Settings;
use crate::update::{FieldKind, FieldSet, Fields};

/// Subjects listed, at most; the rest is counted.
const SUBJECTS_MAX: usize = 20;

/// Threads that search the ledger, at most.
const THREADS_MAX: usize = 8;

/// Runs the command.
pub(super) fn lookup(settings: &Settings, args: &LookupArgs) -> Result<Exit, Fatal> {
    let values = subject::values(settings, &args.fields)?;
    if values.present().is_empty() {
        return Err(Fatal::new(
            Exit::Usage,
            "no value was given to look up",
            "name the subject by its key field, such as --number +447700900123, or by another field",
        ));
    }
    let state = state_dir(settings);
    let source = Source::open(&state)?;
    let target = target(settings, &source.index)?;
    let key = settings.input.key.or_else(|| source.index.key(&target));
    let found = match key {
        Some(key) => find(&source.view, &target, key, &values)?,
        None => Vec::new(),
    };
    let about = About { settings, source: &source, target: &target, values: &values };
    let report = about.report(key, &found);
    let paint = Console::stderr(&report_options(settings)).paint();
    print(&if settings.run.json { report.json() } else { report.text(paint) })?;
    Ok(Exit::Success)
}

/// Where the ledger is read from.
struct Source {
    view: LedgerView,
    index: JournalIndex,
    /// A process holds the journal, and is this one if its lock says so.
    run: Option<Option<LockHolder>>,
    /// Records of the log that could not be folded, for nothing may be written there.
    records_unread: u64,
}

impl Source {
    /// The newest facts, if nobody holds the journal; the ledger's last fold otherwise. The lock is tried only where
    /// something may be newer than the fold: a run that begins in that instant would find it taken.
    fn open(state: &Path) -> Result<Source, Fatal> {
        let view = LedgerView::open(state)?.ok_or_else(|| no_journal(state))?;
        let index = view.index();
        if view.log_records() == 0
            && lock_holder(state).is_none()
            && let Some(index) = index
        {
            return Ok(Source { view, index, run: None, records_unread: 0 });
        }
        match Upkeep::open(state, &who()) {
            Ok(Some(upkeep)) => {
                let index = upkeep.index()?;
                upkeep.close()?;
                let view = LedgerView::open(state)?.ok_or_else(|| no_journal(state))?;
                Ok(Source { view, index, run: None, records_unread: 0 })
            }
            Ok(None) => Err(no_journal(state)),
            // What the run has written of itself is newer than what was read before.
            Err(JournalError::Locked { holder }) => {
                let view = LedgerView::open(state)?.ok_or_else(|| no_journal(state))?;
                let index = view.index().unwrap_or_default();
                Ok(Source { view, index, run: Some(holder), records_unread: 0 })
            }
            Err(error) if error.is_not_writable() => match view.index() {
                Some(index) => {
                    let records_unread = view.log_records();
                    Ok(Source { view, index, run: None, records_unread })
                }
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

fn state_dir(settings: &Settings) -> PathBuf {
    parts::state_of(settings)
}

/// The target asked about: the one configured, or the only one of the journal.
fn target(settings: &Settings, index: &JournalIndex) -> Result<String, Fatal> {
    if settings.run.sandbox {
        return Ok(parts::SANDBOX_TARGET.to_owned());
    }
    if let Some(target) = &settings.api.target {
        return Ok(target.clone());
    }
    if let Some(url) = &settings.api.url {
        return Ok(Endpoint::parse(url, settings.api.allow_plain_http)?.target());
    }
    match index.targets.as_slice() {
        [only] => Ok(only.target.clone()),
        targets => {
            let names: Vec<&str> = targets.iter().map(|fact| fact.target.as_str()).collect();
            Err(Fatal::new(
                Exit::Config,
                format!("the journal knows {} targets, and none is configured", targets.len()),
                format!("name one with --api-url or api.target: {}", names.join(", ")),
            ))
        }
    }
}

/// The entries of the subject, or of all subjects with these values.
fn find(view: &LedgerView, target: &str, key: FieldKind, values: &Fields) -> Result<Vec<LedgerEntry>, Fatal> {
    let subjects = view.key().subjects(target, key);
    if let Some(value) = values.get(key) {
        return Ok(view.get(subjects.id(value))?.into_iter().collect());
    }
    let wanted: Vec<(FieldKind, FieldHash)> =
        values.iter().map(|(field, value)| (field, view.key().field(field, value))).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    Ok(view.find(subjects.tag(), &wanted, threads)?)
}

/// What a report is made from, beside the entries.
struct About<'a> {
    settings: &'a Settings,
    source: &'a Source,
    target: &'a str,
    values: &'a Fields,
}

impl About<'_> {
    fn report(&self, key: Option<FieldKind>, found: &[LedgerEntry]) -> LookupReport {
        let (schema_version, kind) = LookupReport::HEAD;
        let is_on = self.source.run.is_some();
        let is_behind = is_on || self.source.records_unread > 0;
        let as_of_s = if is_behind { self.source.view.folded_at_s() } else { Some(clock::wall_s()) };
        let run = self.source.run.iter().flatten().next().map(|holder| RunOn {
            run_id: holder.run_id.clone(),
            pid: holder.pid,
            host: holder.host.clone(),
            since: self.moment(holder.since_s),
        });
        // By the key field one subject is asked about; the other values are compared with its own.
        let by = match key.filter(|key| self.values.get(*key).is_some()) {
            Some(key) => vec![key.name()],
            None => names(self.values.present()),
        };
        LookupReport {
            schema_version,
            kind,
            found: !found.is_empty(),
            not_known_yet: found.is_empty() && is_behind && as_of_s.is_none(),
            target: self.target.to_owned(),
            key: key.map(FieldKind::name),
            by,
            as_of: as_of_s.map(|at_s| self.moment(at_s)),
            records_unread: self.source.records_unread,
            run_is_on: is_on,
            run,
            subjects: found.iter().take(SUBJECTS_MAX).map(|entry| self.subject(entry)).collect(),
            subjects_total: found.len() as u64,
        }
    }

    fn subject(&self, entry: &LedgerEntry) -> SubjectReport {
        SubjectReport {
            acknowledged_at: entry.acked.map(|_| self.moment(entry.acked_at_s)),
            acknowledged_by: entry.acked.map(|version| self.trace(version)),
            fields: FieldKind::ALL.into_iter().map(|field| self.field(entry, field)).collect(),
            in_doubt: entry
                .in_doubt
                .iter()
                .map(|doubt| DoubtLine { by: self.trace(doubt.version), fields: names(doubt.fields) })
                .collect(),
            failures: entry
                .standing_refusals()
                .map(|refusal| FailureLine {
                    by: self.trace(refusal.version),
                    kind: refusal.kind.name(),
                    status: refusal.status,
                    signature: refusal.signature.clone(),
                    refusals: refusal.count,
                })
                .collect(),
        }
    }

    fn field(&self, entry: &LedgerEntry, field: FieldKind) -> FieldLine {
        let known = entry.field(field);
        let state = match known.map(|known| known.state) {
            Some(FieldState::Known(FieldHash::CLEARED)) => "cleared",
            Some(FieldState::Known(_)) => "acknowledged",
            Some(FieldState::Unknown) => "unknown",
            None => "never sent",
        };
        let given = self.values.get(field).map(|value| self.source.view.key().field(field, value));
        let equals_given = match (known.map(|known| known.state), given) {
            (Some(FieldState::Known(hash)), Some(given)) => Some(hash == given),
            (Some(FieldState::Unknown) | None, _) | (_, None) => None,
        };
        FieldLine {
            field: field.name(),
            state,
            by: known.map(|known| self.trace(known.version)),
            equals_given,
        }
    }

    fn trace(&self, version: Version) -> Trace {
        let runs = self.source.index.runs_of(self.target, version.batch);
        let runs = runs.into_iter().map(str::to_owned).collect();
        Trace { batch: version.batch, row: version.ordinal, runs }
    }

    fn moment(&self, at_s: i64) -> Moment {
        let zone = self.settings.delivery.time_zone.as_deref();
        Moment { at: clock::rfc3339(at_s), local: clock::local(at_s, zone) }
    }
}

fn names(fields: FieldSet) -> Vec<&'static str> {
    fields.iter().map(FieldKind::name).collect()
}

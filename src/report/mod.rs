//! Reports: the only printer. Reporters listen to events; every number they show comes from one fold of them
//! ([`Stats`]), so bar, summary, JSON and files cannot disagree.
//!
//! Not here: counting (`stats.rs`), deciding (exit codes, gates), and reading inputs for the row files
//! (`deliver/rows.rs`). Another report is one file with a `Reporter` and one line in [`Reporters::on`].

mod build;
mod console;
mod doctor;
mod error;
mod explain;
mod glance;
mod history;
mod json;
mod line;
mod lookup;
mod model;
mod next;
mod options;
mod out;
mod progress;
mod rows;
mod run_dir;
mod status;
mod style;
mod summary;
mod survey_text;
#[cfg(test)]
mod tests;
mod tools;
mod verdicts;

pub use build::plan_counts;
pub use console::{Console, LogWriter, init_logs};
pub use doctor::{CheckRecord, CheckStatus, DoctorReport};
pub use error::ReportError;
pub use explain::Explanation;
pub use history::{FoundRun, LATEST, find_run, list_runs, run_ids, show_run};
pub use lookup::{DoubtLine, FailureLine, FieldLine, LookupReport, Moment, RunOn, SubjectReport, Trace};
pub use model::{
    AlarmRecord, ChangeRecord, ColumnRecord, Complaint, FieldReason, FileRecord, GateRecord, InputRecord,
    PlaceRecord, PlanCounts, PlanRecord, Reason, RowCounts, SCHEMA_VERSION, SampleRecord, SkippedRecord,
    Summary,
};
pub use options::{ColorChoice, NextCommands, ReportOptions, RuleText, STATUS_EVERY_MS, SendingTime};
pub use out::Out;
pub use rows::{OWN_COLUMNS, RowFileKind, RowFiles, RowLine, WrittenFile, remove_rows};
pub use run_dir::{STATUS_FILE, SUMMARY_FILE, run_dir, runs_dir, write_private};
pub use style::{
    Align, Paint, clean, clock, is_hostile, percent, plural, rate, shell_quote, shell_word, span, table,
    thousands,
};
pub use summary::{QUIET_LINES_MAX, quiet, render, with_paths};
pub use tools::{
    BatchRecord, ClearedRecord, CompactReport, DiskRecord, FindingRecord, ForgetReport, ForgetRunsReport,
    StatsReport, TargetRecord, VerifyReport,
};
pub use verdicts::{CellLine, CellVerdict, RowVerdict, VERDICTS_STDOUT, VerdictLine, Verdicts};

use crate::event::{Event, Listener, Stamped};
use crate::report::build::Notes;
use crate::report::glance::{Glance, Recent};
use crate::stats::Stats;

/// Somebody who tells people or machines about a run.
trait Reporter: Send {
    /// An event happened; the numbers already contain it.
    fn on_event(&mut self, stamped: &Stamped, view: &View<'_>);

    /// Time passed without an event.
    fn on_tick(&mut self, view: &View<'_>);

    /// The run ended, and this is its summary.
    fn on_end(&mut self, _summary: &Summary) {}
}

/// What reporters see beside the event.
struct View<'a> {
    stats: &'a Stats,
    recent: &'a Recent,
    notes: &'a Notes,
}

impl View<'_> {
    fn glance(&self) -> Glance {
        Glance::of(self.stats, self.recent)
    }
}

/// All reporters of a run, and the numbers they share.
pub struct Reporters {
    stats: Stats,
    recent: Recent,
    notes: Notes,
    options: ReportOptions,
    console: Console,
    stdout: Out,
    list: Vec<Box<dyn Reporter>>,
}

/// What is left of the reporters when the run is over.
#[derive(Debug)]
pub struct Finished {
    /// The numbers.
    pub stats: Stats,
    /// The summary that was reported.
    pub summary: Summary,
    /// A report that could not be written. The run's own result stands; whether it may still end with success is the
    /// caller's to rule.
    pub problem: Option<ReportError>,
}

impl Reporters {
    /// Reporters of this process. Creates the run's directory.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn new(options: ReportOptions) -> Result<Reporters, ReportError> {
        let console = Console::stderr(&options);
        Reporters::on(options, console, Out::stdout())
    }

    /// Like [`Reporters::new`], on a console that exists already (logs may write to it), or any other.
    ///
    /// # Errors
    /// When the run's directory cannot be created.
    pub fn on(options: ReportOptions, console: Console, stdout: Out) -> Result<Reporters, ReportError> {
        let mut list: Vec<Box<dyn Reporter>> = Vec::new();
        if let Some(dir) = &options.run_dir {
            run_dir::create_private_dir(dir)?;
            list.push(Box::new(status::StatusFile::new(dir.clone(), options.wall)));
        }
        if options.json {
            list.push(Box::new(json::Json::new(stdout.clone(), options.clone())));
        }
        if options.has_text() {
            list.push(Box::new(line::Lines::new(console.clone(), &options)));
        }
        if options.has_bar() {
            list.push(Box::new(progress::Progress::on_stderr(console.bar(), options.has_color())));
        }
        Ok(Reporters {
            stats: Stats::default(),
            recent: Recent::default(),
            notes: Notes::default(),
            options,
            console,
            stdout,
            list,
        })
    }

    /// The numbers so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Standard error as the reporters share it.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// The writer for logs, which leaves the bar whole.
    pub fn log_writer(&self) -> LogWriter {
        self.console.log_writer()
    }

    /// Row files that were written, to be named in the summary.
    pub fn files_written(&mut self, files: Vec<WrittenFile>) {
        self.notes.files.extend(files);
    }

    /// Tells that time has passed without an event, in milliseconds since the run began: status lines and
    /// `status.json` go on while nothing happens.
    pub fn tick(&mut self, at_ms: u64) {
        self.stats.at_ms = self.stats.at_ms.max(at_ms);
        self.recent.sample(&self.stats);
        let view = View { stats: &self.stats, recent: &self.recent, notes: &self.notes };
        for reporter in &mut self.list {
            reporter.on_tick(&view);
        }
    }

    /// Prints a status line now, whatever the options: somebody asked (`SIGUSR1`).
    pub fn status_now(&self) {
        let view = View { stats: &self.stats, recent: &self.recent, notes: &self.notes };
        self.console.line(&line::status(&view));
    }

    /// Ends the reports: summary for people or machines, `summary.json`. Call it after the last event and after the
    /// row files were written.
    pub fn finish(self) -> Finished {
        let Reporters { stats, notes, options, console, stdout, mut list, .. } = self;
        let mut summary = build::summary(&stats, &notes, &options);
        let mut problem = None;
        if let Some(dir) = &options.run_dir
            && let Err(error) = write_summary(dir, &summary)
        {
            // What is named must exist.
            summary.files.retain(|file| file.name != SUMMARY_FILE);
            problem = Some(error);
        }
        for reporter in &mut list {
            reporter.on_end(&summary);
        }
        drop(list);
        // Why it stopped is the error's to tell, which the front door prints after this.
        let told = Summary { stopped: None, ..summary.clone() };
        if options.has_text() {
            console.block(&render(&told, console.paint()));
        } else if !options.json {
            console.block(&quiet(&told));
        }
        if let Some(source) = stdout.take_failure() {
            problem = problem.or(Some(ReportError::Output { source }));
        }
        Finished { stats, summary, problem }
    }
}

impl Listener for Reporters {
    fn on_event(&mut self, stamped: &Stamped) {
        self.stats.apply(stamped);
        match &stamped.event {
            Event::InputOpened { name, bytes, format } => {
                self.notes.inputs.push(InputRecord {
                    name: name.clone(),
                    bytes: *bytes,
                    format: (*format).into(),
                });
            }
            Event::GateTripped { gate, text, overridden } => {
                self.notes.gates.push(GateRecord {
                    gate: (*gate).into(),
                    text: text.clone(),
                    overridden: *overridden,
                });
            }
            Event::ColumnsMapped { columns, key, key_by } => {
                self.notes.columns.clone_from(columns);
                self.notes.key = key.map(|key| (key, *key_by));
            }
            Event::StatusAsked => self.status_now(),
            // There may be several for every row, and nobody tells of them before the summary does.
            Event::RuleApplied { .. } => return,
            Event::RunStarted(_)
            | Event::Noticed { .. }
            | Event::Warned { .. }
            | Event::Progressed { .. }
            | Event::RowRejected { .. }
            | Event::LinesSkipped { .. }
            | Event::ColumnAlarmed(_)
            | Event::RowFiltered { .. }
            | Event::PlanMade(_)
            | Event::DeliveryStarted { .. }
            | Event::AttemptEnded { .. }
            | Event::UpdateSynced { .. }
            | Event::UpdateFailed { .. }
            | Event::UpdateDeferred { .. }
            | Event::UpdateInDoubt { .. }
            | Event::Paused { .. }
            | Event::LimitChanged { .. }
            | Event::SubjectsCleared { .. }
            | Event::SwapBroken
            | Event::RowsSetAside
            | Event::Slowed { .. }
            | Event::Resumed
            | Event::LaterPassStarted { .. }
            | Event::Committed { .. }
            | Event::DrainStarted { .. }
            | Event::RunEnded { .. } => {}
        }
        self.recent.sample(&self.stats);
        let view = View { stats: &self.stats, recent: &self.recent, notes: &self.notes };
        for reporter in &mut self.list {
            reporter.on_event(stamped, &view);
        }
    }
}

fn write_summary(dir: &std::path::Path, summary: &Summary) -> Result<(), ReportError> {
    let failed = |source| ReportError::Write { what: "the summary", path: dir.join(SUMMARY_FILE), source };
    let mut bytes = serde_json::to_vec_pretty(summary).map_err(|error| failed(error.into()))?;
    bytes.push(b'\n');
    run_dir::write_atomic(dir, SUMMARY_FILE, &bytes, run_dir::Durable::Power).map_err(failed)
}

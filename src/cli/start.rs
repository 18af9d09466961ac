//! `sync` and `plan` from the command line to the job, and the job's start for everybody who runs it: rules, token,
//! inputs, journal, reporters.
//!
//! Not here: the job's steps (`job.rs`).

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::common::{console, report_options};
use super::fatal::Fatal;
use super::job::Job;
use super::parts::{self, Destination};
use crate::api::TokenSource;
use crate::deliver::Reload;
use crate::engine::clock::{self, Clock};
use crate::engine::signals::Signals;
use crate::engine::{self, chance::Chance};
use crate::exit::Exit;
use crate::input::Inputs;
use crate::journal::{Journal, JournalOptions};
use crate::report::{self, Console, NextCommands, Out, ReportOptions, Reporters};
use crate::settings::{self, Flags, Settings, Surroundings};
use crate::survey::{Chosen, RowRules};

/// `sync` and `plan`. `args` are as typed, the program's name first, to be named in hints.
pub(super) fn job_command(
    flags: &Flags,
    around: &Surroundings,
    inputs: &[String],
    is_plan: bool,
    args: &[OsString],
) -> Result<Exit, Fatal> {
    let resolved = settings::resolve(flags, around)?;
    let settings = &resolved.settings;
    let console = console(settings)?;
    for warning in &resolved.warnings {
        tracing::warn!("{warning}");
    }
    let destination = parts::destination(settings, is_plan)?;
    let reload = || {
        let again = settings::resolve(flags, around).map_err(|error| error.to_string())?;
        Ok(parts::steering(&again.settings))
    };
    let task = Task { inputs, is_plan, replay: None, commands: next_commands(args, inputs) };
    run_job(settings, destination, task, console, Box::new(reload))
}

/// What a job is to do.
pub(super) struct Task<'a> {
    /// The inputs, as given.
    pub(super) inputs: &'a [String],
    /// Whether it ends before anything is sent.
    pub(super) is_plan: bool,
    /// What is replayed, if the inputs are a run's row files.
    pub(super) replay: Option<Replay>,
    /// Commands for hints.
    pub(super) commands: NextCommands,
}

/// A replay of a run's row files.
#[derive(Debug, Clone)]
pub(super) struct Replay {
    /// Which rows are taken; `None` for all.
    pub(super) chosen: Option<Chosen>,
    /// What is told before anything is read.
    pub(super) notes: Vec<String>,
}

/// Runs the job against a destination: the rest of `sync`, `plan` and `demo`.
pub(super) fn run_job(
    settings: &Settings,
    destination: Destination,
    task: Task<'_>,
    console: Console,
    reload: Box<Reload<'_>>,
) -> Result<Exit, Fatal> {
    let Task { inputs, is_plan, replay, commands } = task;
    let rules = Arc::new(parts::rule_set(settings)?);
    let chosen = replay.as_ref().and_then(|replay| replay.chosen.clone());
    let row_rules = Arc::new(RowRules { chosen, ..parts::row_rules(settings)? });
    // Read before anything else, so that a missing token is known before the first row is.
    let token = destination.token.as_ref().map(TokenSource::first).transpose()?;
    let spool_dir = spool_dir(&destination.state, inputs, is_plan)?;
    let inputs = Inputs::open(&parts::input_options(settings, &row_rules, inputs, spool_dir))?;
    let clock = Clock::start();
    let stop_at = parts::stop_at(settings, clock.now_ms())?;
    let signals = Signals::listen()?;
    let run_id = clock::run_id(Chance::from_entropy().next_u64());
    let options = parts::journal_options(settings, &destination.state);
    let journal = open_journal(&options, &run_id, is_plan)?;
    let run_dir = (!is_plan).then(|| report::run_dir(&destination.state, &run_id));
    let options = ReportOptions {
        run_dir: run_dir.clone(),
        commands,
        rate_per_s: settings.delivery.rate.per_second(),
        ..report_options(settings)
    };
    let reporters = Reporters::on(options, console.clone(), Out::stdout())?;
    let files = Vec::new();
    let job = Job {
        settings,
        run_id: &run_id,
        is_plan,
        replay,
        destination,
        token,
        rules,
        row_rules,
        inputs,
        signals,
        stop_at,
        reload,
        journal,
        run_dir,
        files,
        settled: None,
    };
    let (mut ended, reporters, closing) = job.run(clock, reporters);
    let finished = reporters.finish();
    if let Some(fatal) = &ended.fatal {
        fatal.explanation.print(&console, settings.run.json, settings.run.quiet);
    }
    if let Err(fatal) = closing.close()
        && ended.fatal.is_none()
    {
        fatal.explanation.print(&console, settings.run.json, settings.run.quiet);
        ended.exit = if ended.exit == Exit::Success { fatal.exit } else { ended.exit };
    }
    match finished.problem {
        // A report that could not be written does not undo the run, but it must not pass as a success either.
        Some(problem) if ended.exit == Exit::Success => Err(problem.into()),
        Some(problem) => {
            Fatal::from(problem).explanation.print(&console, settings.run.json, settings.run.quiet);
            Ok(ended.exit)
        }
        None => Ok(ended.exit),
    }
}

fn open_journal(options: &JournalOptions, run_id: &str, is_plan: bool) -> Result<Option<Journal>, Fatal> {
    let host = engine::host_name();
    let now_s = clock::wall_s();
    Ok(if is_plan {
        Journal::open_existing(options, run_id, &host, now_s)?
    } else {
        Some(Journal::open(options, run_id, &host, now_s)?)
    })
}

/// A private directory for what can be read only once. A plan leaves no trace in the state directory, and neither does
/// a run whose inputs are plain files until they could be opened.
fn spool_dir(state: &Path, inputs: &[String], is_plan: bool) -> Result<PathBuf, Fatal> {
    let is_plain = |input: &String| match fs::metadata(input) {
        Ok(metadata) => metadata.is_file() || metadata.is_dir(),
        // A pattern may find anything; what is missing is told by whoever opens it.
        Err(_) => input != "-" && !input.contains(['*', '?', '[']),
    };
    if is_plan || inputs.iter().all(is_plain) {
        return Ok(std::env::temp_dir());
    }
    fs::create_dir_all(state).map_err(|error| {
        Fatal::new(
            Exit::Journal,
            format!("cannot create the state directory {}: {error}", state.display()),
            "choose another with --state DIR, or make its parent writable for this user",
        )
    })?;
    Ok(state.to_owned())
}

/// The command as typed, for hints: with its inputs, and without them.
fn next_commands(args: &[OsString], inputs: &[String]) -> NextCommands {
    let words: Vec<String> = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let without: Vec<String> = words.iter().filter(|word| !inputs.contains(word)).cloned().collect();
    let line = |words: &[String]| command_line(words.iter().map(String::as_str));
    let again = if inputs.iter().any(|input| input == "-") { String::new() } else { line(&words) };
    NextCommands {
        again: again.replacen("simsync plan", "simsync sync", 1),
        without_inputs: line(&without).replacen("simsync plan", "simsync sync", 1),
        options: options_text(without.iter().skip(1).map(String::as_str)),
    }
}

/// A command line of these words, to be pasted into a shell.
pub(super) fn command_line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    format!("simsync{}", options_text(words))
}

/// Words as they are appended to a command line.
pub(super) fn options_text<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!(" {}", report::shell_word(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_command_as_typed() {
        let args: Vec<OsString> =
            ["/usr/bin/simsync", "sync", "my export.csv", "--rate", "200/s"].map(OsString::from).into();
        let next = next_commands(&args, &["my export.csv".to_owned()]);
        assert_eq!(next.again, "simsync sync 'my export.csv' --rate 200/s");
        assert_eq!(next.without_inputs, "simsync sync --rate 200/s");
        assert_eq!(next.options, " --rate 200/s");
    }
}

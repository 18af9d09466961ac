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
use super::job::{Closing, Ended, Job};
use super::parts::{self, Destination};
use super::plan_file::Task;
use crate::api::TokenSource;
use crate::deliver::Reload;
use crate::engine::clock::{self, Clock};
use crate::engine::signals::Signals;
use crate::engine::{self, chance::Chance};
use crate::exit::Exit;
use crate::input::Inputs;
use crate::journal::{Journal, JournalErrorKind, JournalOptions};
use crate::report::{self, Console, NextCommands, Out, ReportOptions, Reporters};
use crate::settings::{self, Flags, NONE, Settings, Surroundings};
use crate::survey::{Chosen, RowRules};

/// Flags of the limits at which a run stops in order, as typed and as the table of settings has them.
const LIMITS: [(&str, &str); 3] =
    [("--max-rows", "max-rows"), ("--max-duration", "max-duration"), ("--until", "until")];

/// Flags of the error budgets, likewise.
const BUDGETS: [(&str, &str); 2] =
    [("--max-errors", "max-errors"), ("--max-errors-per-signature", "max-errors-per-signature")];

/// `sync` and `plan`. `args` are as typed, the program's name first, to be named in hints.
pub(super) fn job_command(
    flags: &Flags,
    around: &Surroundings,
    inputs: &[String],
    task: Task,
    args: &[OsString],
) -> Result<Exit, Fatal> {
    let is_plan = task.is_plan();
    let resolved = settings::resolve(flags, around)?;
    let settings = &resolved.settings;
    let console = console(settings)?;
    for warning in &resolved.warnings {
        tracing::warn!("{warning}");
    }
    let destination = parts::destination(settings, is_plan)?;
    let reload = || {
        let again = settings::resolve(flags, around).map_err(|error| first_line(&error.to_string()))?;
        Ok(parts::steering(&again.settings))
    };
    let inputs = task.inputs(inputs);
    let commands = next_commands(args, &inputs, &task, Lifted::of(flags, around));
    let work = Work { inputs: &inputs, task, replay: None, commands };
    run_job(settings, destination, work, console, Box::new(reload))
}

/// The line that says it all: those below show the place, for a terminal.
pub(super) fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// What a job is to do.
pub(super) struct Work<'a> {
    /// The inputs, as given.
    pub(super) inputs: &'a [String],
    /// What is to be done with the plan.
    pub(super) task: Task,
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
    work: Work<'_>,
    console: Console,
    reload: Box<Reload<'_>>,
) -> Result<Exit, Fatal> {
    let speaks = (console.clone(), Out::stdout());
    let (ended, reporters, closing) = carry_out(settings, destination, work, speaks, reload)?;
    conclude(settings, &console, ended, reporters, closing)
}

/// Runs the job against a destination to its closed books; what is left is to tell how it ended. Lines for people go to
/// the console, `--json` to the other one.
pub(super) fn carry_out(
    settings: &Settings,
    destination: Destination,
    work: Work<'_>,
    (console, stdout): (Console, Out),
    reload: Box<Reload<'_>>,
) -> Result<(Ended, Reporters, Closing), Fatal> {
    let Work { inputs, task, replay, commands } = work;
    let (is_plan, input_args) = (task.is_plan(), inputs.to_vec());
    let rules = Arc::new(parts::rule_set(settings)?);
    let chosen = replay.as_ref().and_then(|replay| replay.chosen.clone());
    let row_rules = Arc::new(RowRules { chosen, ..parts::row_rules(settings)? });
    parts::check_client(settings, destination.endpoint.clone().filter(|_| !is_plan), &rules)?;
    // Read before anything else, so that a missing token is known before the first row is.
    let token = destination.token.as_ref().map(TokenSource::first).transpose()?;
    let spool_dir = spool_dir(&destination.state, inputs, is_plan)?;
    let inputs = Inputs::open(&parts::input_options(settings, &row_rules, inputs, spool_dir))?;
    let clock = Clock::start();
    let stop_at = parts::stop_at(settings, clock.now_ms())?;
    parts::check_zone(&settings.delivery)?;
    let signals = Signals::listen()?;
    let run_id = clock::run_id(Chance::from_entropy().next_u64());
    let options = parts::journal_options(settings, &destination.state);
    let journal = open_journal(&options, &run_id, is_plan)?;
    let run_dir = (!is_plan).then(|| report::run_dir(&destination.state, &run_id));
    let options = ReportOptions {
        run_dir: run_dir.clone(),
        commands,
        rate_per_s: parts::rate_per_s(&settings.delivery),
        sending_time: parts::sending_time(&settings.delivery),
        ..report_options(settings)
    };
    let reporters = Reporters::on(options, console, stdout)?;
    let files = Vec::new();
    let job = Job {
        settings,
        run_id: &run_id,
        is_plan,
        task,
        input_args,
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
        figures: None,
    };
    Ok(job.run(clock, reporters))
}

/// Tells how the job ended, and closes the batch and the journal.
fn conclude(
    settings: &Settings,
    console: &Console,
    mut ended: Ended,
    reporters: Reporters,
    closing: Closing,
) -> Result<Exit, Fatal> {
    let finished = reporters.finish();
    if let Some(fatal) = &mut ended.fatal {
        fatal.name_files(&finished.summary.files);
        fatal.explanation.print(console, settings.run.json, settings.run.quiet);
    }
    if let Err(fatal) = closing.close()
        && ended.fatal.is_none()
    {
        fatal.explanation.print(console, settings.run.json, settings.run.quiet);
        ended.exit = if ended.exit == Exit::Success { fatal.exit } else { ended.exit };
    }
    let problem = finished.problem.map(|problem| {
        let mut fatal = Fatal::from(problem);
        fatal.name_files(&finished.summary.files);
        fatal
    });
    match problem {
        // A report that could not be written does not undo the run, but it must not pass as a success either.
        Some(fatal) if ended.exit == Exit::Success => Err(fatal),
        Some(fatal) => {
            fatal.explanation.print(console, settings.run.json, settings.run.quiet);
            Ok(ended.exit)
        }
        None => Ok(ended.exit),
    }
}

fn open_journal(options: &JournalOptions, run_id: &str, is_plan: bool) -> Result<Option<Journal>, Fatal> {
    let host = engine::host_name();
    let now_s = clock::wall_s();
    Ok(if is_plan {
        let opened = Journal::open_existing(options, run_id, &host, now_s);
        // What the run has acknowledged since the last fold is in no file that could be read beside it: a plan of the
        // same export would show everything as still to be sent, and be refused as soon as the run has delivered.
        opened.map_err(|error| {
            let is_held = error.kind() == JournalErrorKind::Locked;
            let mut fatal = Fatal::from(error);
            if is_held {
                let hint = "a plan needs a ledger that stands still: wait for the run to end; `simsync show latest` \
                            and `simsync lookup` work meanwhile";
                fatal.explanation.hint = Some(hint.to_owned());
            }
            fatal
        })?
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

/// The command as typed, for hints: with its inputs, and without them. A saved plan remembers its inputs, and is no
/// plan for rows fed back. Limits that the command does not set itself are `lifted` in the one that goes on.
pub(super) fn next_commands(
    args: &[OsString],
    inputs: &[String],
    task: &Task,
    lifted: Lifted,
) -> NextCommands {
    let words: Vec<String> = args.iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let words = without_option(words, &["-o", "--output"]);
    let is_input = |word: &String| inputs.contains(word);
    let without: Vec<String> = words.iter().filter(|word| !is_input(word)).cloned().collect();
    let unbudgeted = [without_budgets(words.clone()), lifted.budgets].concat();
    let line = |words: &[String]| {
        command_line(words.iter().map(String::as_str)).replacen("simsync plan", "simsync sync", 1)
    };
    let again = match task {
        Task::Plan { save_as: Some(path) } => {
            format!("{} --plan {}", line(&without), report::shell_quote(path))
        }
        Task::Plan { save_as: None } | Task::Sync { .. } => line(&words),
    };
    let without = without_option(without, &["--plan"]);
    // Standard input cannot be read again.
    let named = |line: String| if inputs.iter().any(|input| input == "-") { String::new() } else { line };
    let probed = |input: &String| {
        let settings = without_limits(without.iter().skip(1).cloned().collect());
        let words = settings.iter().map(String::as_str).chain(["--probe", input]);
        command_line(std::iter::once("doctor").chain(words))
    };
    NextCommands {
        again: named(again),
        readdressed: named(line(&readdressed(words.clone()))),
        unlimited: named(line(&[without_limits(words), lifted.limits].concat())),
        unbudgeted: named(line(&unbudgeted)),
        probe: named(inputs.first().map(probed).unwrap_or_default()),
        without_inputs: line(&without),
        options: options_text(without.iter().skip(1).map(String::as_str)),
    }
}

/// The words without the limits at which a run stops: in force again, they stop the next one, too.
pub(super) fn without_limits(words: Vec<String>) -> Vec<String> {
    without_option(words, &LIMITS.map(|(flag, _)| flag))
}

/// The words with a place to be filled in for the address, where they name one.
pub(super) fn readdressed(words: Vec<String>) -> Vec<String> {
    const FLAG: &str = "--api-url";
    let mut is_address = false;
    let readdress = |word: String| {
        if std::mem::replace(&mut is_address, word == FLAG) {
            return "URL".to_owned();
        }
        if word.starts_with(&format!("{FLAG}=")) { format!("{FLAG}=URL") } else { word }
    };
    words.into_iter().map(readdress).collect()
}

/// The words without the error budgets.
pub(super) fn without_budgets(words: Vec<String>) -> Vec<String> {
    without_option(words, &BUDGETS.map(|(flag, _)| flag))
}

/// Words that lift what no flag sets, and what the command without its flags would find again: in the configuration
/// file, or in a variable.
#[derive(Debug, Default)]
pub(super) struct Lifted {
    /// The limits at which a run stops in order.
    pub(super) limits: Vec<String>,
    /// The error budgets.
    pub(super) budgets: Vec<String>,
}

impl Lifted {
    /// What is in force without its own flags.
    pub(super) fn of(flags: &Flags, around: &Surroundings) -> Lifted {
        let bare = flags.without(&LIMITS.map(|(_, flag)| flag)).without(&BUDGETS.map(|(_, flag)| flag));
        // Whoever cannot read the settings any more tells so himself.
        let Ok(resolved) = settings::resolve(&bare, around) else { return Lifted::default() };
        let delivery = &resolved.settings.delivery;
        let limits =
            [delivery.max_rows.is_some(), delivery.max_duration_ms.is_some(), delivery.until.is_some()];
        let budgets = [delivery.max_errors.is_some(), delivery.max_errors_per_signature.is_some()];
        Lifted { limits: lifting(LIMITS, limits), budgets: lifting(BUDGETS, budgets) }
    }
}

/// `--flag none` for each that is in force.
fn lifting<const N: usize>(flags: [(&str, &str); N], in_force: [bool; N]) -> Vec<String> {
    let flags = flags.into_iter().zip(in_force).filter(|(_, is_in_force)| *is_in_force);
    flags.flat_map(|((flag, _), _)| [flag.to_owned(), NONE.to_owned()]).collect()
}

/// The words without an option and its value.
fn without_option(words: Vec<String>, names: &[&str]) -> Vec<String> {
    let mut kept = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if names.contains(&word.as_str()) {
            words.next();
            continue;
        }
        let is_joined = names.iter().any(|name| {
            let is_long = name.starts_with("--");
            word.strip_prefix(name).is_some_and(|rest| !is_long || rest.starts_with('='))
        });
        if !is_joined {
            kept.push(word);
        }
    }
    kept
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
        let next = next_commands(&args, &["my export.csv".to_owned()], &Task::SYNC, Lifted::default());
        assert_eq!(next.again, "simsync sync 'my export.csv' --rate 200/s");
        assert_eq!(next.readdressed, next.again, "the address is elsewhere");
        assert_eq!(next.without_inputs, "simsync sync --rate 200/s");
        assert_eq!(next.options, " --rate 200/s");
    }

    #[test]
    fn what_would_stop_the_next_run_too_is_left_out() {
        let line = "simsync sync crm.csv --max-rows 5 --rate 9/s --until=06:00 --max-duration 2h";
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let limits = vec!["--until".to_owned(), "none".to_owned()];
        let lifted = Lifted { limits, ..Lifted::default() };
        let next = next_commands(&args, &["crm.csv".to_owned()], &Task::SYNC, lifted);
        assert_eq!(next.unlimited, "simsync sync crm.csv --rate 9/s --until none");
        assert_eq!(next.probe, "simsync doctor --rate 9/s --probe crm.csv");
        assert_eq!(next.again, line);
    }

    #[test]
    fn another_address_is_to_be_filled_in() {
        for line in ["sync --api-url https://x/ a.csv", "sync --api-url=https://x/ a.csv"] {
            let args: Vec<OsString> = format!("simsync {line}").split(' ').map(OsString::from).collect();
            let next = next_commands(&args, &["a.csv".to_owned()], &Task::SYNC, Lifted::default());
            assert_eq!(next.readdressed, format!("simsync {}", line.replace("https://x/", "URL")));
        }
    }

    #[test]
    fn a_saved_plan_is_named_instead_of_its_inputs() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let inputs = ["crm.csv".to_owned()];
        let task = Task::Plan { save_as: Some("p.json".into()) };
        for option in ["-o p.json", "-op.json", "--output p.json", "--output=p.json"] {
            let next = next_commands(
                &words(&format!("simsync plan {option} crm.csv --full")),
                &inputs,
                &task,
                Lifted::default(),
            );
            assert_eq!(next.again, "simsync sync --full --plan p.json", "{option}");
            assert_eq!(next.without_inputs, "simsync sync --full", "{option}");
        }
        let next =
            next_commands(&words("simsync sync --plan p.json --full"), &[], &Task::SYNC, Lifted::default());
        assert_eq!(next.again, "simsync sync --plan p.json --full");
        assert_eq!(next.without_inputs, "simsync sync --full");
    }
}

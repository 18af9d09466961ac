//! From a parsed command line to its exit code: which command does what.
//!
//! Not here: parsing (`args.rs`), the commands themselves.

use std::ffi::OsString;
use std::sync::Arc;

use super::common::{print, report_options};
use super::fatal::Fatal;
use super::plan_file::Task;
use super::start::{job_command, options_text};
use super::{Cli, Command, ConfigCommand, check, demo, doctor, journal, lookup, parts, replay, serve};
use crate::engine::signals;
use crate::exit::Exit;
use crate::report::{self, Console, ReportOptions};
use crate::settings::{self, Flags, Surroundings};

/// What a hint about an input says where the command typed belongs.
const HINT_COMMAND: &str = "simsync COMMAND -";

/// Commands as hints name them that look into a state directory.
const LOOKING: [&str; 3] = ["`simsync runs`", "`simsync show latest`", "`simsync journal verify`"];

/// Options that say which one that is.
const PLACES: [&str; 2] = ["--config", "--state"];

/// Runs a parsed command line to its exit code. `args` are as typed, the program's name first, to be named in hints.
pub fn run(cli: &Cli, args: &[OsString]) -> Exit {
    if let Err(error) = signals::let_large_writes_fail() {
        // As correct as with it: what is durable stays, the process only ends without a word.
        tracing::debug!("SIGXFSZ keeps its default: {error}");
    }
    if is_long(&cli.command)
        && let Err(error) = signals::outlive_asks()
    {
        tracing::debug!("SIGUSR1 and SIGHUP keep their defaults for now: {error}");
    }
    let (is_json, is_quiet) = (cli.command.is_json(), cli.command.is_quiet());
    let outcome = surroundings().and_then(|around| dispatch(cli, args, &around));
    outcome.unwrap_or_else(|mut fatal| {
        // A hint that names a command for the input names the one that was typed.
        let command = args.get(1).map(|arg| arg.to_string_lossy()).filter(|_| cli.command.flags().is_some());
        if let (Some(hint), Some(command)) = (&mut fatal.explanation.hint, command) {
            *hint = hint.replace(HINT_COMMAND, &format!("simsync {command} -"));
        }
        fatal.explanation.hint = fatal.explanation.hint.map(|hint| placed(hint, args));
        fatal.explanation.print(&Console::stderr(&ReportOptions::of_process()), is_json, is_quiet);
        fatal.exit
    })
}

/// A hint whose commands look where the command that was typed has looked.
fn placed(hint: String, args: &[OsString]) -> String {
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let mut places: Vec<&str> = Vec::new();
    for (nth, word) in words.iter().enumerate() {
        let is_joined = |name: &&str| word.strip_prefix(*name).is_some_and(|rest| rest.starts_with('='));
        if PLACES.contains(&word.as_str()) {
            places.extend(words[nth..].iter().take(2).map(String::as_str));
        } else if PLACES.iter().any(is_joined) {
            places.push(word);
        }
    }
    let places = options_text(places);
    LOOKING.iter().fold(hint, |hint, command| {
        hint.replace(command, &format!("{}{places}`", command.trim_end_matches('`')))
    })
}

/// Whether the command listens to signals once it is at work.
const fn is_long(command: &Command) -> bool {
    match command {
        Command::Sync(_) | Command::Plan(_) | Command::Replay(_) | Command::Check(_) | Command::Demo(_) => {
            true
        }
        Command::Runs(_)
        | Command::Show(_)
        | Command::Lookup(_)
        | Command::Journal(_)
        | Command::Doctor(_)
        | Command::Config(_)
        | Command::Sandbox(_) => false,
    }
}

fn surroundings() -> Result<Surroundings, Fatal> {
    Ok(Surroundings::new(std::env::vars_os(), std::env::current_dir()?))
}

fn dispatch(cli: &Cli, args: &[OsString], around: &Surroundings) -> Result<Exit, Fatal> {
    let flags = cli.command.flags().unwrap_or_default();
    match &cli.command {
        Command::Sync(sync) => {
            job_command(&flags, around, &sync.inputs, Task::sync(sync.plan.as_deref())?, args)
        }
        Command::Plan(plan) => {
            job_command(&flags, around, &plan.input.inputs, Task::plan(plan.output.as_deref())?, args)
        }
        Command::Replay(replayed) => replay::replay(replayed, &flags, around, args),
        Command::Check(check) => check::check(&settings::resolve(&flags, around)?.settings, check),
        Command::Runs(_) => {
            let settings = settings::resolve(&flags, around)?.settings;
            print(&report::list_runs(&settings.state, settings.run.json)?)?;
            Ok(Exit::Success)
        }
        Command::Show(show) => {
            let settings = settings::resolve(&flags, around)?.settings;
            let paint = Console::stderr(&report_options(&settings)).paint();
            print(&report::show_run(&settings.state, &show.run, settings.run.json, paint)?)?;
            Ok(Exit::Success)
        }
        Command::Lookup(args) => lookup::lookup(&settings::resolve(&flags, around)?.settings, args),
        Command::Journal(command) => journal::journal(command, &flags, around, args),
        Command::Doctor(doctor) => doctor::doctor(doctor, &flags, around),
        Command::Config(config) => config_command(config, &flags, around),
        Command::Sandbox(sandbox) => serve::serve(sandbox),
        Command::Demo(demo) => demo::demo(demo),
    }
}

fn config_command(config: &ConfigCommand, flags: &Flags, around: &Surroundings) -> Result<Exit, Fatal> {
    match config {
        ConfigCommand::Init(init) => {
            crate::config::init(&init.file, init.force).map_err(settings::ConfigError::from)?;
            print(&format!("wrote {}\n", init.file.display()))?;
        }
        ConfigCommand::Show(_) => {
            let resolved = settings::resolve(flags, around)?;
            print(&settings::show(&resolved, resolved.settings.run.json))?;
        }
        ConfigCommand::Check(_) => {
            let resolved = settings::resolve(flags, around)?;
            let rules = Arc::new(parts::rule_set(&resolved.settings)?);
            parts::row_rules(&resolved.settings)?;
            parts::check_client(&resolved.settings, parts::endpoint(&resolved.settings)?, &rules)?;
            parts::check_zone(&resolved.settings.delivery)?;
            let console = Console::stderr(&report_options(&resolved.settings));
            for warning in &resolved.warnings {
                console.line(&format!("warning: {warning}"));
            }
            print(&settings::checked(&resolved))?;
        }
    }
    Ok(Exit::Success)
}

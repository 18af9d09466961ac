//! The command line as typed: commands, options and help. The only door of `clap`.
//!
//! Not here: what an option means, its default and its precedence (`settings/`). No flag takes a token: a flag's
//! value is seen by everybody on the machine.

mod adopt;
mod args;
mod check;
mod closed;
mod common;
mod demo;
mod doctor;
mod elsewhere;
mod expiry;
mod explain;
mod fatal;
mod help;
mod job;
mod journal;
mod key;
mod learned;
mod lookup;
mod parts;
mod places;
mod plan_file;
mod planned;
mod replay;
mod run;
mod run_names;
mod samples;
mod serve;
mod start;
mod subject;
mod verdicts;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::settings::Flags;

pub use args::{
    AdoptArgs, CheckArgs, CommonArgs, ConfigInitArgs, DemoArgs, DoctorArgs, Faults, FieldArgs, ForgetArgs,
    InputArgs, LookupArgs, PlanArgs, PlanningArgs, ReplayArgs, RowArgs, RunsArgs, SandboxArgs, SendingArgs,
    SettingArgs, ShowArgs, SyncArgs, TargetArgs, ToolArgs, ValueArgs,
};
pub use clap::Error as UsageError;
pub use fatal::Fatal;
pub use run::run;

/// The command line.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "simsync",
    bin_name = "simsync",
    version,
    about = "Keeps a telecom device-management platform in step with a CRM"
)]
#[command(after_help = help::TOP, subcommand_required = true, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Survey, gates, deliver; run it again to resume
    #[command(after_help = help::sync())]
    Sync(Box<SyncArgs>),
    /// The survey alone: what would change; no network
    #[command(after_help = help::PLAN)]
    Plan(Box<PlanArgs>),
    /// Send again what a run left failed or in doubt
    #[command(after_help = help::REPLAY)]
    Replay(Box<ReplayArgs>),
    /// Validation alone
    #[command(after_help = help::CHECK)]
    Check(Box<CheckArgs>),
    /// The history of runs
    #[command(after_help = help::RUNS)]
    Runs(RunsArgs),
    /// One run's summary
    #[command(after_help = help::SHOW)]
    Show(ShowArgs),
    /// What was last acknowledged for a subject, when, by which run
    #[command(after_help = help::LOOKUP)]
    Lookup(Box<LookupArgs>),
    /// The journal: stats, verify, compact, forget, adopt
    #[command(subcommand, after_help = help::JOURNAL, disable_help_subcommand = true)]
    Journal(JournalCommand),
    /// Config, token, DNS, TLS, disk, lock, journal: is everything in place?
    #[command(after_help = help::DOCTOR)]
    Doctor(Box<DoctorArgs>),
    /// The configuration: write, show, check
    #[command(subcommand, after_help = help::CONFIG, disable_help_subcommand = true)]
    Config(ConfigCommand),
    /// The embedded API server, with faults on demand
    #[command(after_help = help::SANDBOX)]
    Sandbox(SandboxArgs),
    /// The main job on the embedded sandbox, in under a minute
    #[command(after_help = help::DEMO)]
    Demo(DemoArgs),
}

/// What to do with the journal.
#[derive(Debug, Clone, Subcommand)]
pub enum JournalCommand {
    /// Sizes, targets, batches, known subjects, acknowledgements
    Stats(ToolArgs),
    /// Read everything and say what is wrong and what is lost by it; changes nothing
    Verify(ToolArgs),
    /// Fold the log and give space back
    Compact(ToolArgs),
    /// Remove a subject everywhere, or the runs before a date
    #[command(after_help = help::FORGET)]
    Forget(Box<ForgetArgs>),
    /// Record an export as already applied, without sending it
    #[command(after_help = help::ADOPT)]
    Adopt(Box<AdoptArgs>),
}

impl JournalCommand {
    fn flags(&self) -> Flags {
        match self {
            JournalCommand::Stats(args) | JournalCommand::Verify(args) | JournalCommand::Compact(args) => {
                args.common.flags()
            }
            JournalCommand::Forget(args) => args.flags(),
            JournalCommand::Adopt(args) => args.flags(),
        }
    }

    fn common(&self) -> &CommonArgs {
        match self {
            JournalCommand::Stats(args) | JournalCommand::Verify(args) | JournalCommand::Compact(args) => {
                &args.common
            }
            JournalCommand::Forget(args) => &args.common,
            JournalCommand::Adopt(args) => &args.common,
        }
    }
}

/// What to do with the configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Write a file with every setting and its default
    Init(ConfigInitArgs),
    /// Print every value with where it came from
    Show(Box<SettingArgs>),
    /// Say whether the configuration is valid
    Check(Box<SettingArgs>),
}

impl Command {
    /// The options given that are settings; `None` for commands that have no settings.
    pub fn flags(&self) -> Option<Flags> {
        match self {
            Command::Sync(args) => Some(args.settings.flags()),
            Command::Plan(args) => Some(args.settings.flags()),
            Command::Replay(args) => Some(args.settings.flags()),
            Command::Check(args) => Some(args.flags()),
            Command::Runs(args) => Some(args.common.flags()),
            Command::Doctor(args) => Some(args.settings.flags()),
            Command::Show(args) => Some(args.common.flags()),
            Command::Lookup(args) => Some(args.flags()),
            Command::Journal(journal) => Some(journal.flags()),
            Command::Config(ConfigCommand::Show(args) | ConfigCommand::Check(args)) => Some(args.flags()),
            Command::Config(ConfigCommand::Init(_)) | Command::Sandbox(_) | Command::Demo(_) => None,
        }
    }

    /// Whether JSON Lines were asked for, before settings are known.
    pub fn is_json(&self) -> bool {
        match self {
            Command::Sandbox(args) => args.json,
            Command::Demo(args) => args.json,
            Command::Sync(_)
            | Command::Plan(_)
            | Command::Replay(_)
            | Command::Check(_)
            | Command::Runs(_)
            | Command::Show(_)
            | Command::Lookup(_)
            | Command::Journal(_)
            | Command::Doctor(_)
            | Command::Config(_) => self.common().is_some_and(|common| common.json),
        }
    }

    /// Whether few lines were asked for, before settings are known.
    pub fn is_quiet(&self) -> bool {
        if let Command::Demo(args) = self {
            return args.quiet;
        }
        self.common().is_some_and(|common| common.quiet)
    }

    fn common(&self) -> Option<&CommonArgs> {
        match self {
            Command::Sync(args) => Some(&args.settings.common),
            Command::Plan(args) => Some(&args.settings.common),
            Command::Replay(args) => Some(&args.settings.common),
            Command::Check(args) => Some(&args.common),
            Command::Runs(args) => Some(&args.common),
            Command::Show(args) => Some(&args.common),
            Command::Lookup(args) => Some(&args.common),
            Command::Journal(journal) => Some(journal.common()),
            Command::Doctor(args) => Some(&args.settings.common),
            Command::Config(ConfigCommand::Show(args) | ConfigCommand::Check(args)) => Some(&args.common),
            Command::Config(ConfigCommand::Init(_)) | Command::Sandbox(_) | Command::Demo(_) => None,
        }
    }

    /// Its name, as reports show it.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Sync(_) => "sync",
            Command::Plan(_) => "plan",
            Command::Replay(_) => "replay",
            Command::Check(_) => "check",
            Command::Runs(_) => "runs",
            Command::Show(_) => "show",
            Command::Lookup(_) => "lookup",
            Command::Journal(_) => "journal",
            Command::Doctor(_) => "doctor",
            Command::Config(_) => "config",
            Command::Sandbox(_) => "sandbox",
            Command::Demo(_) => "demo",
        }
    }
}

/// Parses a command line, the program's name first.
///
/// # Errors
/// Usage errors (exit 2), and the texts of `--help` and `--version`, which are errors to clap (exit 0): print them
/// with [`UsageError::render`], and take the code from [`UsageError::exit_code`].
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, UsageError> {
    Cli::try_parse_from(args).map_err(without_token)
}

/// Somebody who types a token as a flag hears why there is none, and the value is not printed back.
fn without_token(error: UsageError) -> UsageError {
    let is_token = error.kind() == ErrorKind::UnknownArgument
        && matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(flag)) if flag.starts_with("--token") || flag.starts_with("--password"));
    if !is_token {
        return error;
    }
    Cli::command().error(
        ErrorKind::UnknownArgument,
        "there is no flag for a token or a password: everybody on the machine could read it\n\n  tip: set api.token_file or \
         api.token_command in the configuration file, or the variable SIMSYNC_TOKEN",
    )
}

#[cfg(test)]
mod tests;

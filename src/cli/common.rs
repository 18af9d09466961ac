//! What several commands share: standard output, standard error, and how reports are to look.
//!
//! Not here: any command.

use super::fatal::Fatal;
use crate::engine::clock;
use crate::fields::RuleId;
use crate::input::Inputs;
use crate::report::{self, Console, Out, ReportError, ReportOptions};
use crate::settings::Settings;

/// Prints data to standard output; a reader that has gone away is no error.
pub(super) fn print(text: &str) -> Result<(), Fatal> {
    let out = Out::stdout();
    out.write(text);
    out.take_failure().map_or(Ok(()), |source| Err(ReportError::Output { source }.into()))
}

/// Standard error as logs and reports of this process share it.
pub(super) fn console(settings: &Settings) -> Result<Console, Fatal> {
    let options = report_options(settings);
    let console = Console::stderr(&options);
    report::init_logs(&options, console.log_writer())?;
    Ok(console)
}

/// The columns that are not used, each with the field it may be meant for; `None` when all are used.
pub(super) fn unused_columns(inputs: &Inputs) -> Option<String> {
    let names: Vec<String> = inputs
        .unknown_columns()
        .into_iter()
        .map(|column| match column.suggestion {
            Some(field) => format!("{} (like {field}? --map {field}={})", column.name, column.name),
            None => column.name,
        })
        .collect();
    (!names.is_empty()).then(|| format!("columns not used: {}", names.join(", ")))
}

/// What settings and process say about reporting.
pub(super) fn report_options(settings: &Settings) -> ReportOptions {
    ReportOptions {
        quiet: settings.run.quiet,
        json: settings.run.json,
        verbose: settings.run.verbose,
        color: settings.report.color,
        status_every_ms: settings.report.status_every_ms,
        rule_text: |code| RuleId::of(code).map(|id| (id.rule().says, id.rule().remedy)),
        wall: clock::wall_rfc3339,
        ..ReportOptions::of_process()
    }
}

//! `check`: validation alone, without journal, target or network.
//!
//! Not here: the rules (`fields/`).

use super::CheckArgs;
use super::common::{console, print, report_options};
use super::fatal::Fatal;
use super::parts;
use crate::engine::clock::{self, Clock};
use crate::engine::signals::Signals;
use crate::event::{Event, RunFacts};
use crate::exit::Exit;
use crate::fields::{self, RuleId};
use crate::input::Inputs;
use crate::report::{Out, Reporters};
use crate::settings::Settings;
use crate::survey::{self, Emitter, Judge};

/// Checks the inputs, or explains a rule.
pub(super) fn check(settings: &Settings, args: &CheckArgs) -> Result<Exit, Fatal> {
    if let Some(code) = &args.explain {
        return explain(code);
    }
    let console = console(settings)?;
    let rules = parts::rule_set(settings)?;
    let mut inputs = Inputs::open(&parts::input_options(settings, &args.inputs, std::env::temp_dir()))?;
    let mut reporters = Reporters::on(report_options(settings), console, Out::stdout())?;
    let clock = Clock::start();
    let mut emitter = Emitter::new(clock, &mut reporters);
    emitter.emit(Event::RunStarted(RunFacts {
        run_id: String::new(),
        command: "check",
        target: String::new(),
        started_at: clock::wall_rfc3339(),
        tool_version: env!("CARGO_PKG_VERSION"),
    }));
    for file in inputs.files() {
        let (name, bytes) = (file.name.clone(), file.bytes);
        emitter.emit(Event::InputOpened { name, bytes, format: file.format.name() });
    }
    let unknown: Vec<String> = inputs.unknown_columns().into_iter().map(|column| column.name).collect();
    if !unknown.is_empty() {
        emitter.emit(Event::Noticed { text: format!("columns not used: {}", unknown.join(", ")) });
    }
    let mut judge = Judge::new(&rules, None);
    let surveyed = survey::survey(&mut inputs, &mut judge, &mut emitter, &Signals::listen()?);
    inputs.text_notes().iter().for_each(|note| emitter.emit(Event::Noticed { text: note.to_string() }));
    let fatal = match surveyed {
        Ok(survey) if survey.rows() > 0 => None,
        Ok(_) if settings.input.require_rows => {
            Some(Fatal::new(Exit::Input, "the input has no rows", "check the export"))
        }
        Ok(_) => {
            emitter.emit(Event::Noticed { text: "the input has no rows; there is nothing to check".into() });
            None
        }
        Err(error) => Some(Fatal::from(error)),
    };
    let exit = match &fatal {
        Some(fatal) => fatal.exit,
        None if reporters.stats().rows.rejected > 0 => Exit::RowsLeft,
        None => Exit::Success,
    };
    let stopped = fatal.as_ref().map(|fatal| fatal.explanation.message.clone());
    Emitter::new(clock, &mut reporters).emit(Event::RunEnded { exit_code: exit.code(), stopped });
    reporters.finish();
    fatal.map_or(Ok(exit), Err)
}

fn explain(code: &str) -> Result<Exit, Fatal> {
    let Some(id) = RuleId::of(code) else {
        let near = fields::suggest(code);
        let hint = if near.is_empty() {
            "there is no rule of a similar name".to_owned()
        } else {
            format!("did you mean {}?", near.join(", "))
        };
        return Err(Fatal::new(Exit::Usage, format!("there is no rule `{code}`"), hint));
    };
    let rule = id.rule();
    let field = rule.field.map_or("the row", |field| field.name());
    print(&format!(
        "{code} ({field})\n  {}\n  severity: {} (lenient: {}, strict: {})\n  source:   {}\n  remedy:   {}\n",
        rule.says,
        rule.severity.name(),
        rule.lenient.name(),
        rule.strict.name(),
        rule.source,
        rule.remedy,
    ));
    Ok(Exit::Success)
}

//! `check`: validation alone, without journal, target or network.
//!
//! Not here: the rules (`fields/`), what they mean in words (`explain.rs`), a row's line in `--output` (`verdicts.rs`).

use super::CheckArgs;
use super::common::{console, report_options, unused_columns};
use super::explain;
use super::fatal::Fatal;
use super::job::{no_rows, require_left};
use super::key::{self, KeyChoice};
use super::parts;
use super::verdicts::Output;
use crate::digest::StateKey;
use crate::engine::clock::{self, Clock};
use crate::engine::signals::Signals;
use crate::event::{Event, RunFacts};
use crate::exit::Exit;
use crate::fields::RuleSet;
use crate::input::Inputs;
use crate::report::{Out, Reporters};
use crate::settings::Settings;
use crate::survey::{self, Emitter, GatherOptions, Identity, Judge, RowRules};

/// Checks the inputs, or explains rules.
pub(super) fn check(settings: &Settings, args: &CheckArgs) -> Result<Exit, Fatal> {
    let rules = parts::rule_set(settings)?;
    if args.codes {
        return explain::list(settings, &rules);
    }
    if let Some(code) = &args.explain {
        return explain::explain(settings, &rules, code);
    }
    let console = console(settings)?;
    let row_rules = parts::row_rules(settings)?;
    let options = parts::input_options(settings, &row_rules, &args.inputs, std::env::temp_dir());
    let mut inputs = Inputs::open(&options)?;
    let key = key::choose(settings.input.key, None, inputs.mapped())?;
    let mut output = Output::open(args.output.as_deref(), &inputs, settings.run.json)?;
    let mut reporters = Reporters::on(report_options(settings), console.clone(), Out::stdout())?;
    let clock = Clock::start();
    let fatal = read(
        settings,
        (&rules, &row_rules),
        &mut inputs,
        key,
        &mut Emitter::new(clock, &mut reporters),
        &mut output,
    );
    let fatal = fatal.err();
    // An output of a check that did not come to its end must not get a name that says so.
    let written = if fatal.is_none() { output.finish() } else { Ok(None) };
    let unwritten = match written {
        Ok(written) => {
            reporters.files_written(written.into_iter().collect());
            None
        }
        Err(unwritten) => Some(unwritten),
    };
    let fatal = fatal.or(unwritten);
    let exit = match &fatal {
        Some(fatal) => fatal.exit,
        None if reporters.stats().rows.rejected > 0 => Exit::RowsLeft,
        None => Exit::Success,
    };
    let stopped = fatal.as_ref().map(|fatal| fatal.explanation.message.clone());
    Emitter::new(clock, &mut reporters).emit(Event::RunEnded { exit_code: exit.code(), stopped });
    let finished = reporters.finish();
    match (fatal, finished.problem) {
        (Some(fatal), _) => Err(fatal),
        // Whoever reads standard output has not got all of it.
        (None, Some(problem)) => Err(problem.into()),
        (None, None) => Ok(exit),
    }
}

/// The check itself: what was opened, every row, and what is known when all are read.
fn read(
    settings: &Settings,
    (rules, row_rules): (&RuleSet, &RowRules),
    inputs: &mut Inputs,
    key: KeyChoice,
    emitter: &mut Emitter<'_>,
    output: &mut Output,
) -> Result<(), Fatal> {
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
    if let Some(text) = unused_columns(inputs) {
        emitter.emit(Event::Noticed { text });
    }
    let state_key = StateKey::new(&[0; StateKey::LEN]);
    // Without a journal nobody knows the runs that rows were fed back from; whether they are known is the plan's to
    // say.
    let find_run = |_: &str| Some(1);
    let identity = Identity { state_key: &state_key, target: "", key_field: key.field, find_run: &find_run };
    let mut judge = Judge::new(rules, Some(identity)).minding(row_rules);
    let signals = Signals::listen()?;
    // Nothing is planned, so that nothing need be kept.
    let gather = GatherOptions::counting();
    let survey =
        survey::survey_watched(inputs, &mut judge, emitter, &signals, &gather, &mut |row, judged, judge| {
            output.row(row, judged, judge);
        })?;
    let columns = survey::mapped_columns(inputs);
    if !columns.is_empty() {
        emitter.emit(Event::ColumnsMapped { columns, key: Some(key.field), key_by: key.origin });
    }
    if survey.rows() == 0 {
        if settings.input.require_rows {
            return Err(Fatal::new(Exit::Input, no_rows(inputs), "check the export"));
        }
        emitter.emit(Event::Noticed { text: "the input has no rows; there is nothing to check".into() });
    }
    require_left(&survey, settings, emitter)?;
    Ok(())
}

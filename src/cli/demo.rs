//! `demo`: the main job on an embedded sandbox that misbehaves a little, with the export among the fixtures.
//!
//! Not here: anything that `sync` does not do as well; the demo only chooses input, destination and faults.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::DemoArgs;
use super::common::console;
use super::fatal::Fatal;
use super::parts;
use super::plan_file::Task;
use super::start::{Work, run_job};
use crate::exit::Exit;
use crate::report::{Align, NextCommands, shell_quote, table};
use crate::sandbox::{Faults, RetryAfter, SandboxOptions, Shares};
use crate::settings::{self, Flags, Surroundings};

/// The export, part of the binary, so that the demo runs from anywhere.
const EXPORT: &str = include_str!("../../fixtures/crm-export.csv");

/// Values the demo's sandbox refuses, to show failed rows: three IMEIs of the export.
const REFUSED: [&str; 3] = ["864532046257496", "490154201230556", "356868001557818"];

/// Attempts per second of the demo: slow enough to watch, done in a few seconds.
const RATE: &str = "60/s";

/// Runs the demo.
pub(super) fn demo(args: &DemoArgs) -> Result<Exit, Fatal> {
    // Hermetic: no variable and no file of this machine changes what the demo shows.
    let around = &Surroundings::new([], args.state.clone()).with_system_config(args.state.join("none.toml"));
    let mut flags = Flags::default();
    flags.set("rate", if args.rows.is_some() { "unlimited" } else { RATE });
    flags.set("sandbox", "true");
    flags.set("state", args.state.to_string_lossy());
    if args.json {
        flags.set("json", "true");
    }
    if args.quiet {
        flags.set("quiet", "true");
    }
    let resolved = settings::resolve(&flags, around)?;
    let settings = &resolved.settings;
    let console = console(settings)?;
    fs::create_dir_all(&args.state).map_err(|error| {
        Fatal::new(
            Exit::Journal,
            format!("cannot create {}: {error}", args.state.display()),
            "choose another directory with --state DIR",
        )
    })?;
    let export = args.state.join("crm-export.csv");
    write_export(&export, args.rows)?;
    if !settings.run.quiet && !settings.run.json {
        console.block(&format!(
            "simsync demo: {} against an embedded sandbox that misbehaves\n(500 for 6 % of requests, now and then 429 or a reset; three devices of the export are refused for good)\n\n",
            export.display()
        ));
    }
    let destination = parts::start_sandbox(
        "demo".into(),
        args.state.clone(),
        SandboxOptions { faults: faults(args.rows), ..SandboxOptions::default() },
    )?;
    let inputs = [export.to_string_lossy().into_owned()];
    let work = Work { inputs: &inputs, task: Task::SYNC, replay: None, commands: NextCommands::default() };
    let exit = run_job(
        settings,
        destination,
        work,
        console.clone(),
        // Hermetic: there is nothing to read again.
        Box::new(|| Ok(parts::steering(settings))),
    )?;
    if !settings.run.quiet && !settings.run.json {
        console.block(&next(&args.state, exit));
    }
    // Rejected and failed rows are what the demo shows; they are no failure of the demo.
    Ok(if exit == Exit::RowsLeft { Exit::Success } else { exit })
}

/// What to do after the demo, with commands that can be pasted.
fn next(state: &Path, exit: Exit) -> String {
    let default = Path::new(super::args::DEMO_STATE);
    let option = if state == default { String::new() } else { format!(" --state {}", shell_quote(state)) };
    let state = shell_quote(state);
    let steps = [
        (format!("simsync demo{option}"), "once more: nothing that was acknowledged is sent a second time"),
        (format!("simsync show latest --state {state}"), "this summary again"),
        (format!("simsync runs --state {state}"), "all runs of the demo"),
        ("simsync check EXPORT.csv".to_owned(), "your own export; then plan, and sync --sandbox to rehearse"),
    ];
    let rows: Vec<_> = steps.into_iter().map(|(command, why)| vec![command, why.to_owned()]).collect();
    let mut text = format!("next:\n{}", table(2, &[Align::Left, Align::Left], &rows));
    if exit == Exit::RowsLeft {
        text.push_str("`sync` would end with exit code 3 here: some rows need a person\n");
    }
    text
}

/// Faults to watch. 429 asks everybody to wait, so a large export meets it less often.
fn faults(rows: Option<u64>) -> Faults {
    let share_429 = if rows.is_some() { 0.001 } else { 0.02 };
    Faults {
        seed: 7,
        shares: Shares {
            error_500_before: 0.06,
            too_many_429: share_429,
            reset_after: 0.01,
            ..Shares::default()
        },
        retry_after: RetryAfter::Seconds(1),
        latency_ms: 15,
        latency_jitter_ms: 30,
        refused_values: REFUSED.into_iter().map(str::to_owned).collect::<HashSet<_>>(),
        ..Faults::default()
    }
}

fn write_export(path: &Path, rows: Option<u64>) -> Result<(), Fatal> {
    let text = rows.map_or_else(|| EXPORT.to_owned(), made_up);
    fs::write(path, text).map_err(|error| {
        Fatal::new(
            Exit::Journal,
            format!("cannot write {}: {error}", path.display()),
            "choose another directory with --state DIR",
        )
    })
}

/// So many clean rows, for a look at larger exports.
fn made_up(rows: u64) -> String {
    let mut text = String::from("Record ID,Mobile Phone,Tier\n");
    for row in 0..rows {
        text.push_str(&format!("DEMO-{row:08},+4479{:08},basic\n", row % 100_000_000));
    }
    text
}

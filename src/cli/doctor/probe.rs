//! The doctor's probe: the first valid row of an input, sent as a real update through the whole job, under one envelope
//! after another until one is understood.
//!
//! It is a run like any other, of one row: journaled, with a run directory, its books closed. Not here: the job
//! (`job.rs`), and what is tried where a server merely is not well: that is no envelope's fault.

use std::io;

use super::{INPUT, PROBE, failed};
use crate::api::Envelope;
use crate::cli::fatal::Fatal;
use crate::cli::plan_file::Task;
use crate::cli::{closed, key, parts, start};
use crate::deliver::NO_API;
use crate::delivery::outcome::PAGE;
use crate::digest::StateKey;
use crate::exit::Exit;
use crate::input::{Inputs, Pass};
use crate::ledger::FailureKind;
use crate::report::{CheckRecord, Console, Finished, NextCommands, Out};
use crate::row::Place;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::survey::{Identity, Judge, Judged};
use crate::update::FieldKind;

/// Attempts of the one row at most, under one envelope.
const ATTEMPTS_MAX: u32 = 3;

/// How long an outage is waited for, in milliseconds.
const OUTAGE_MAX_MS: u64 = 30_000;

/// How long the probe may take under one envelope, in milliseconds.
const DURATION_MAX_MS: u64 = 120_000;

/// The input: whether it can be read, and its first valid row. The key field is the one kept for the target, if any.
pub(super) fn input(
    settings: &Settings,
    input: &str,
    kept: Option<FieldKind>,
) -> (CheckRecord, Option<Place>) {
    match first_valid(settings, input, kept) {
        Ok(Some(place)) => {
            let says = format!("{input} can be read; its first valid row begins on line {}", place.line);
            (CheckRecord::ok(INPUT, says), Some(place))
        }
        Ok(None) => {
            let says = format!("{input} has no valid row that sets anything");
            let hint = "look at it with simsync check";
            (CheckRecord::failed(INPUT, Exit::Input, says, hint), None)
        }
        Err(fatal) => (failed(INPUT, &fatal), None),
    }
}

/// The place of the first row that is no condition's to leave out, no rule's to reject, and more than a key.
fn first_valid(settings: &Settings, input: &str, kept: Option<FieldKind>) -> Result<Option<Place>, Fatal> {
    let rules = parts::rule_set(settings)?;
    let row_rules = parts::row_rules(settings)?;
    let options = parts::input_options(settings, &row_rules, &[input.to_owned()], std::env::temp_dir());
    let mut inputs = Inputs::open(&options)?;
    let key = key::choose(settings.input.key, kept, inputs.mapped())?;
    let state_key = StateKey::new(&[0; StateKey::LEN]);
    let find_run = |_: &str| Some(1);
    let identity = Identity { state_key: &state_key, target: "", key_field: key.field, find_run: &find_run };
    let mut judge = Judge::new(&rules, Some(identity)).minding(&row_rules);
    let mut reader = inputs.read(Pass::Survey);
    while let Some(row) = reader.next_row()? {
        let (place, judged) = judge.read(&row);
        if matches!(judged, Judged::Valid { .. }) && judge.facts.len() > 1 {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// What one envelope led to.
enum Tried {
    /// The update was acknowledged.
    Understood,
    /// It was refused as something that cannot be read is, with this complaint.
    Refused(String),
    /// Anything else: no other envelope would do better.
    Ended(CheckRecord),
}

/// Sends the row under the envelope that is set, and under the others only after a definite refusal that reads like a
/// wrong one.
pub(super) fn probe(settings: &Settings, input: &str, row: Place, console: &Console) -> CheckRecord {
    // A probe keeps the hours as a run does, and nobody waits for hours at the doctor's.
    if let Some(closed) = closed::note(settings, None, 0) {
        let hint = "probe then, or with a configuration without this window";
        return CheckRecord::failed(PROBE, Exit::Temporary, closed, hint);
    }
    let set = settings.api.envelope;
    let others = Envelope::ALL.into_iter().filter(|envelope| *envelope != set);
    let mut complaints = Vec::new();
    for envelope in std::iter::once(set).chain(others) {
        match send(settings, input, row, envelope, console) {
            Ok(Tried::Understood) if envelope == set => {
                let says = format!(
                    "line {} was sent and acknowledged, as api.envelope = \"{}\"",
                    row.line,
                    set.name()
                );
                return CheckRecord::ok(PROBE, says);
            }
            Ok(Tried::Understood) => {
                let says = format!(
                    "the API does not understand api.envelope = \"{}\" ({}); it acknowledged line {} as \"{}\"",
                    set.name(),
                    complaints.first().map_or("", String::as_str),
                    row.line,
                    envelope.name()
                );
                let hint =
                    format!("set api.envelope = \"{}\" (--envelope {})", envelope.name(), envelope.name());
                return CheckRecord::failed(PROBE, Exit::Config, says, hint);
            }
            Ok(Tried::Refused(complaint)) => complaints.push(complaint),
            Ok(Tried::Ended(record)) => return record,
            Err(fatal) => return failed(PROBE, &fatal),
        }
    }
    let says = format!("line {} was refused under every envelope: {}", row.line, complaints.join("; "));
    CheckRecord::failed(
        PROBE,
        Exit::Stopped,
        says,
        "it is the row, the mapping or the path; look at what the API says",
    )
}

/// One run of the job with this row alone, told to nobody.
fn send(
    settings: &Settings,
    input: &str,
    row: Place,
    envelope: Envelope,
    console: &Console,
) -> Result<Tried, Fatal> {
    let probing = probing(settings, row, envelope);
    let silent = Out::to(Box::new(io::sink()));
    let (ended, reporters, closing) = start::carry_out(
        &probing,
        // The sandbox understands the envelope that is set, not the one that is tried.
        parts::destination(settings, false)?,
        start::Work {
            inputs: &[input.to_owned()],
            task: Task::SYNC,
            replay: None,
            commands: NextCommands::default(),
        },
        (console.clone(), silent),
        Box::new(|| Ok(parts::steering(&probing))),
    )?;
    let Finished { stats, .. } = reporters.finish();
    closing.close()?;
    if stats.rows.synced > 0 {
        return Ok(Tried::Understood);
    }
    if let Some(fatal) = ended.fatal {
        return Ok(Tried::Ended(failed(PROBE, &fatal)));
    }
    Ok(unsynced(&stats, row))
}

/// The settings under which one row is sent: those there are, less patient, and going on where a gate would stop.
fn probing(settings: &Settings, row: Place, envelope: Envelope) -> Settings {
    let mut probing = settings.clone();
    probing.api.envelope = envelope;
    let run = &mut probing.run;
    run.only_row = Some(row.ordinal);
    // Asked for by name: also what is unchanged, and what the envelope before it was refused for.
    (run.full, run.retry_failed, run.new_batch, run.yes) = (true, true, false, true);
    // Lines of JSON, to nobody.
    (run.json, run.quiet) = (true, false);
    let delivery = &mut probing.delivery;
    delivery.concurrency = Some(1);
    delivery.attempts_max = delivery.attempts_max.min(ATTEMPTS_MAX);
    delivery.outage_max_ms = delivery.outage_max_ms.min(OUTAGE_MAX_MS);
    delivery.max_duration_ms = Some(delivery.max_duration_ms.unwrap_or(DURATION_MAX_MS).min(DURATION_MAX_MS));
    delivery.until = None;
    delivery.max_rows = None;
    delivery.max_errors = None;
    delivery.refusals_in_a_row_max = 0;
    delivery.max_errors_per_signature = None;
    probing.input.require_rows = false;
    probing
}

/// Why the plan did not send the row, and what to do instead.
fn unsent(stats: &Stats) -> (&'static str, &'static str) {
    let rows = &stats.rows;
    if rows.superseded > 0 {
        let hint = "this input is older than what was sent last; probe a newer export, or one row in a file of its own";
        ("something newer has set its values (superseded)", hint)
    } else if rows.unchanged > 0 {
        (
            "the API acknowledged this very update before (unchanged)",
            "probe another input; this one is understood",
        )
    } else if rows.conflict > 0 {
        ("another subject claims one of its values (conflict)", "probe an input without this conflict")
    } else {
        ("a rule or another row of the input decides otherwise", "simsync plan tells what becomes of it")
    }
}

/// What it means that the row was not acknowledged, and the run came to its end.
fn unsynced(stats: &Stats, row: Place) -> Tried {
    let (rows, line) = (&stats.rows, row.line);
    if rows.held + rows.in_doubt > 0 {
        let says = format!("line {line} is in doubt from an earlier run, and was not sent");
        let hint = "in_doubt = \"resend\" would send it";
        return Tried::Ended(CheckRecord::warning(PROBE, says, Some(hint)));
    }
    let Some((complaint, tally)) = stats.signatures.iter().next() else {
        let (why, hint) = unsent(stats);
        let says = format!("line {line} was not sent: {why}");
        return Tried::Ended(CheckRecord::failed(PROBE, Exit::RowsLeft, says, hint));
    };
    let reads_so = ["400", "422"].iter().any(|status| complaint.starts_with(status));
    if tally.kind == FailureKind::Refused && reads_so && stats.deferred == 0 {
        return Tried::Refused(complaint.clone());
    }
    if complaint.contains(PAGE) {
        let says = format!("line {line} was sent, and what answered is no API: {complaint}");
        return Tried::Ended(CheckRecord::failed(PROBE, Exit::Stopped, says, NO_API));
    }
    let (exit, hint) = match tally.kind {
        FailureKind::Refused if complaint.starts_with('3') => (
            Exit::Config,
            "check scheme, host and path in api.url, and whether a portal or a proxy answers in its place",
        ),
        FailureKind::Refused => (Exit::Stopped, "check the path in api.url, the row and the mapping"),
        FailureKind::Deferred | FailureKind::Unresolved => {
            (Exit::Stopped, "another subject holds one of its values; try another row")
        }
        FailureKind::Exhausted => (Exit::Temporary, "try again when the API is well"),
        FailureKind::EchoMismatch => {
            (Exit::Stopped, "the API echoes other values than it was sent; --verify status asks for less")
        }
    };
    let says = format!("line {line} was sent and failed ({}): {complaint}", tally.kind.name());
    Tried::Ended(CheckRecord::failed(PROBE, exit, says, hint))
}

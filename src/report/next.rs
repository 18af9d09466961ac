//! What to do next: the last lines of a summary, with commands that can be pasted.
//!
//! Not here: the commands themselves (`cli/start.rs`), and why a run stopped (`deliver::Stopped`).

use std::path::Path;

use crate::event::Halt;
use crate::exit::Exit;
use crate::ledger::FailureKind;
use crate::report::model::{Complaint, Summary};
use crate::report::options::{NextCommands, ReportOptions};
use crate::report::rows::RowFileKind;
use crate::report::style::shell_quote;
use crate::report::summary::is_unread;

/// What true swaps take that stay held whatever is decided about their rows.
const SWAPS: &str =
    "of true swaps --conflicts send sends both sides, and --break-cycles clear clears one first";

/// What to do next, most pressing first.
pub(super) fn next_steps(summary: &Summary, options: &ReportOptions, is_proven: bool) -> Vec<String> {
    let (again, rows) = (&options.commands.again, &summary.rows);
    let command = |text: &str| format!("run `{text}`");
    let mut steps = Vec::new();
    if again.is_empty() && options.commands.without_inputs.is_empty() {
        return steps;
    }
    let sends = summary.plan.as_ref().is_some_and(|plan| plan.rows.send > 0);
    let swaps = summary.plan.as_ref().map_or(0, |plan| plan.swaps.saturating_sub(plan.swaps_broken));
    let is_survey = matches!(summary.command.as_str(), "plan" | "check");
    let is_gated = summary.gates.iter().any(|gate| !gate.overridden);
    if is_gated && summary.command != "check" {
        steps.extend(past_gate(summary, again));
    } else if is_survey {
        if summary.command == "plan" && sends && !again.is_empty() {
            steps.push(format!("{} to send it", command(again)));
        }
        if swaps > 0 {
            steps.push(SWAPS.to_owned());
        }
    } else if rows.pending + rows.in_doubt > 0
        && !again.is_empty()
        && !is_unread(summary)
        && !is_refused(summary)
        && summary.exit_code != Some(Exit::Journal.code())
    {
        steps.extend(resuming(summary, options, is_proven));
    }
    if summary.overtaken && rows.superseded > 0 && !is_survey && !again.is_empty() {
        let newest = command(&format!("{} --new-batch", going_on(summary, &options.commands)));
        steps.push(format!(
            "if these inputs are the newest, {newest} to send what is superseded all the same"
        ));
    }
    let has = |kind: RowFileKind| summary.files.iter().find(|file| file.name == kind.file_name());
    let with_file = |kind: RowFileKind, verb: &str| {
        let path = shell_quote(Path::new(&has(kind)?.path));
        let run = command(&format!("{} {path}", options.commands.without_inputs));
        Some(format!("{verb} {} and {run}", kind.file_name()))
    };
    steps.extend(with_file(RowFileKind::Rejected, "correct"));
    // First of these two: what is held may be what others were refused for.
    if rows.held > 0 && rows.pending == 0 && !again.is_empty() {
        steps.push(format!(
            "look at {} and {} to send what is held",
            RowFileKind::InDoubt.file_name(),
            command(&resending(again))
        ));
    }
    if has(RowFileKind::Failed).is_some() {
        steps.extend(replaying(summary, options, is_proven));
    }
    steps.extend(with_file(RowFileKind::Conflict, "decide in").map(|step| match swaps {
        0 => step,
        // What two subjects want of each other nobody decides by leaving out rows.
        1.. => format!("{step}; {SWAPS}"),
    }));
    if steps.is_empty() && has(RowFileKind::Superseded).is_some() {
        steps.push(format!("look at {} for what gave way, and to what", RowFileKind::Superseded.file_name()));
    }
    steps
}

/// The command that goes on past a gate. What is unchanged goes on as well: the export is one more that is usual then.
fn past_gate(summary: &Summary, again: &str) -> Option<String> {
    let rows = &summary.plan.as_ref()?.rows;
    let verb = match summary.command.as_str() {
        "adopt" => "record it",
        _ if rows.send > 0 => "send",
        _ => "go on",
    };
    let is_left = rows.send + rows.unchanged > 0 && !again.is_empty();
    is_left.then(|| format!("look at what the gate found; run `{again} --yes` to {verb} all the same"))
}

/// The same command that sends what is held in doubt.
fn resending(again: &str) -> String {
    ["--in-doubt hold", "--in-doubt=hold"]
        .into_iter()
        .find(|hold| again.contains(hold))
        .map_or_else(|| format!("{again} --in-doubt resend"), |hold| again.replace(hold, "--in-doubt resend"))
}

/// What to do about failed updates. Under an envelope that nobody understands, a replay would be refused like the run.
fn replaying(summary: &Summary, options: &ReportOptions, is_proven: bool) -> Vec<String> {
    let mut steps = Vec::new();
    if summary.halt == Some(Halt::NothingAccepted) {
        return steps;
    }
    if !is_proven && is_first_contact(summary) && !options.commands.probe.is_empty() {
        steps.push(format!("run `{}` to find out what the API accepts", options.commands.probe));
    }
    let replay = format!("run `simsync replay {}{}`", summary.run_id, options.commands.options);
    // Who only ran out of attempts has nothing to correct.
    let may_be_wrong = |complaint: &Complaint| complaint.kind != FailureKind::Exhausted.name();
    let is_wrong = summary.signatures.is_empty() || summary.signatures.iter().any(may_be_wrong);
    let mut step = if is_wrong {
        format!("correct failed.csv where it is wrong and {replay}")
    } else {
        format!("{replay} to send again what failed, once the API is well")
    };
    // The batch is open: refusals stand in it, and what ran out of attempts does not.
    let has_run_out = summary.signatures.iter().any(|complaint| !may_be_wrong(complaint));
    let is_open = summary.rows.pending > 0 || summary.exit_code == Some(Exit::Temporary.code());
    if is_open && has_run_out {
        step += "; continuing this run sends what ran out of attempts again, last";
    }
    if summary.rows.pending > 0 && is_wrong {
        step += "; continuing this run leaves out what was refused, unless with --retry-failed";
    }
    steps.push(step);
    steps
}

/// The command that goes on where this run stopped: without the limit that was reached, the budget that was used up,
/// or the address that redirects. A limit is a matter of the run it was given for (a canary, a night's window):
/// whoever goes on has seen how that went, and wants the rest; in every step that goes on, or two of them would
/// contradict each other.
fn going_on<'a>(summary: &Summary, commands: &'a NextCommands) -> &'a str {
    if summary.exit_code == Some(Exit::Limit.code()) {
        return &commands.unlimited;
    }
    match summary.halt {
        Some(Halt::Redirected) => &commands.readdressed,
        Some(Halt::Budget) => &commands.unbudgeted,
        Some(Halt::NothingAccepted | Halt::RefusalsInARow) | None => &commands.again,
    }
}

/// What goes on with a run that left rows pending, where the same command alone would stop where this one did.
fn resuming(summary: &Summary, options: &ReportOptions, is_proven: bool) -> Option<String> {
    let commands = &options.commands;
    let again = going_on(summary, commands);
    if summary.exit_code == Some(Exit::Limit.code()) {
        return Some(format!("run `{again}` to resume"));
    }
    if summary.halt == Some(Halt::Redirected) {
        return Some(readdressing(summary, commands, is_proven));
    }
    // A certificate: nothing but the address of the target would be another one under another address.
    if summary.exit_code == Some(Exit::Config.code()) {
        return Some(format!("correct what the error names, then run `{}` to resume", commands.again));
    }
    if summary.exit_code == Some(Exit::Token.code()) {
        return Some(format!("renew the token, then run `{}` to resume", commands.again));
    }
    if summary.exit_code != Some(Exit::Stopped.code()) {
        return Some(format!("run `{}` to resume", commands.again));
    }
    match summary.halt {
        Some(Halt::Budget) => {
            let name = RowFileKind::Failed.file_name();
            let failed = summary.files.iter().find(|file| file.name == name).map(|file| file.path.as_str());
            Some(format!(
                "look at {}; run `{again}` to go on all the same, without the error budget",
                failed.unwrap_or(name)
            ))
        }
        // Redirects end with another exit code.
        Some(Halt::Redirected) => None,
        // The next run sends mixed, so that it gets further even where nothing but rows was wrong.
        Some(Halt::NothingAccepted | Halt::RefusalsInARow) | None => Some(match commands.probe.as_str() {
            "" => format!("find out what the API accepts, then run `{}` to resume", commands.again),
            probe => {
                format!("run `{probe}` to find out what the API accepts, then `{}` to resume", commands.again)
            }
        }),
    }
}

/// What goes on with a run that redirects have stopped: the address is wrong, which the same command would name
/// again. Under another one it is another target, whose journal is empty, unless it is named.
fn readdressing(summary: &Summary, commands: &NextCommands, is_proven: bool) -> String {
    let (run, target) = (going_on(summary, commands), &summary.target);
    if !is_proven && summary.rows.synced == 0 {
        return format!(
            "correct api.url, or take out of the way what answers in its place, then run `{run}`"
        );
    }
    format!(
        "correct api.url where the API has moved, or take out of the way what answers in its place, then run `{run}` to \
         resume; under another address set api.target = '{target}', so that what was sent is known there"
    )
}

/// Whether rows were refused and the API has accepted none of this export: where it never has accepted anything, the
/// envelope may be wrong, or the mapping. Who finds a conflict has understood, and who fails has not looked.
fn is_first_contact(summary: &Summary) -> bool {
    let rows = &summary.rows;
    let says_no = [FailureKind::Refused.name(), FailureKind::EchoMismatch.name()];
    let is_refused = summary.signatures.iter().any(|complaint| says_no.contains(&complaint.kind.as_str()));
    is_refused && rows.synced + rows.unchanged == 0 && summary.halt.is_none()
}

/// Whether the run was refused before its first request by something else than a gate, so that the same command would
/// be refused again: a saved plan that no longer stands.
fn is_refused(summary: &Summary) -> bool {
    summary.exit_code == Some(Exit::Stopped.code()) && summary.attempts == 0
}

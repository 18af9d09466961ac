//! Fills the summary from the numbers of a run: names instead of indexes, texts beside rule codes, and what to do next.
//!
//! Not here: counting (`stats.rs`), the shape (`model.rs`), rendering (`summary.rs`).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::event::{AlarmFacts, ChangeSample, FieldChange, Halt, MappedColumn, PlanFacts, PlanRows};
use crate::exit::Exit;
use crate::ledger::FailureKind;
use crate::report::model::{
    AlarmRecord, ChangeRecord, ClearRecord, ColumnRecord, Complaint, FieldReason, FileRecord, GateRecord,
    InputRecord, ObstacleRecord, PlaceRecord, PlanCounts, PlanRecord, Reason, RowCounts, SCHEMA_VERSION,
    SampleRecord, SkippedRecord, Summary,
};
use crate::report::options::{NextCommands, ReportOptions, RuleText};
use crate::report::rows::WrittenFile;
use crate::report::style::{percent, plural, shell_quote, thousands};
use crate::row::Place;
use crate::stats::{PLACES_MAX, Rows, Stats, Tallies};
use crate::update::{FIELD_COUNT, FieldKind};

/// Code of the alarm that has a sentence of its own.
const DAMAGE: &str = "column.damage";

/// What listeners keep beside the numbers: texts that no count can hold.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Inputs in the order they were opened.
    pub inputs: Vec<InputRecord>,
    /// Gates that tripped.
    pub gates: Vec<GateRecord>,
    /// Row files written.
    pub files: Vec<WrittenFile>,
    /// Columns of fields.
    pub columns: Vec<MappedColumn>,
    /// The key field and how it came to be the key, where no plan tells.
    pub key: Option<(FieldKind, &'static str)>,
}

impl Notes {
    /// A place with its file's name.
    pub(super) fn place(&self, place: Place) -> PlaceRecord {
        let input = usize::try_from(place.file).ok().and_then(|index| self.inputs.get(index));
        PlaceRecord {
            row: place.ordinal,
            file: input
                .map_or_else(|| format!("input {}", u64::from(place.file) + 1), |input| input.name.clone()),
            line: place.line,
        }
    }
}

/// The summary as of now.
pub(super) fn summary(stats: &Stats, notes: &Notes, options: &ReportOptions) -> Summary {
    let exit = Exit::ALL.into_iter().find(|exit| Some(exit.code()) == stats.exit_code);
    let delivery_ms = stats.delivery_began_ms.map_or(0, |began| stats.at_ms.saturating_sub(began));
    let plan = stats.plan.as_ref();
    let mut summary = Summary {
        schema_version: SCHEMA_VERSION,
        kind: "summary".into(),
        tool_version: stats.run.tool_version.into(),
        run_id: stats.run.run_id.clone(),
        command: stats.run.command.into(),
        target: stats.run.target.clone(),
        batch: plan.map_or_else(String::new, |plan| plan.batch.clone()),
        resumed: plan.is_some_and(|plan| plan.resumed),
        overtaken: plan.is_some_and(|plan| plan.overtaken),
        key: plan.and_then(|plan| plan.key).or(notes.key.map(|(key, _)| key)).map(|key| key.name().into()),
        key_by: notes.key.map_or_else(String::new, |(_, by)| by.into()),
        exit_code: stats.exit_code,
        exit_meaning: exit.map_or_else(String::new, |exit| exit.meaning().into()),
        stopped: stats.stopped.clone(),
        halt: stats.halt,
        started_at: stats.run.started_at.clone(),
        ended_at: (options.wall)(),
        duration_s: seconds(stats.at_ms),
        delivery_s: seconds(delivery_ms),
        paused_s: seconds(stats.paused_ms),
        rows: row_counts(&stats.rows),
        balanced: stats.rows.is_balanced(),
        updates: stats.updates,
        updates_per_s: per_second(stats.updates.saturating_sub(stats.rows.pending), delivery_ms),
        deferred: stats.deferred,
        swaps_broken: Some(stats.swaps_broken),
        attempts: stats.attempts,
        retries: stats.retries,
        in_flight_limit: stats.in_flight_limit,
        http: stats.http.iter().map(|(status, count)| (status_name(*status), *count)).collect(),
        outcomes: stats.outcomes.iter().map(|(name, count)| ((*name).into(), *count)).collect(),
        latency_mean_ms: stats.latency_sum_ms.checked_div(stats.attempts).unwrap_or(0),
        latency_max_ms: stats.latency_max_ms,
        committed: stats.committed,
        inputs: notes.inputs.clone(),
        rejections: reasons(&stats.rejections, notes, options.rule_text),
        warnings: reasons(&stats.warnings, notes, options.rule_text),
        fixes: reasons(&stats.fixes, notes, options.rule_text),
        column_alarms: alarms(stats, notes, options.rule_text),
        skipped: SkippedRecord {
            blank: stats.lines_blank,
            footer: stats.lines_footer,
            header: stats.lines_header,
        },
        columns: notes.columns.iter().map(column_record).collect(),
        signatures: complaints(stats, notes),
        notices: stats.notices.clone(),
        alerts: stats.alerts.clone(),
        gates: notes.gates.clone(),
        plan: plan.map(|plan| plan_record(plan, notes, options)),
        files: files(notes, options.run_dir.as_deref()),
        next: Vec::new(),
    };
    summary.next = next_steps(&summary, options, stats.is_proven);
    summary
}

/// What the plan found, with names and times.
pub(super) fn plan_record(plan: &PlanFacts, notes: &Notes, options: &ReportOptions) -> PlanRecord {
    let duration = options.sending_time.of(plan.rows.send);
    PlanRecord {
        rows: plan_counts(&plan.rows),
        field_changes: by_field(plan.field_changes),
        subjects_new: plan.subjects_new,
        subjects_changed: plan.subjects_changed,
        updates_refreshed: plan.updates_refreshed,
        in_doubt_resent: plan.in_doubt_resent,
        subjects_in_doubt: plan.subjects_in_doubt,
        in_doubt_places: plan.in_doubt_places.iter().map(|place| notes.place(*place)).collect(),
        refused_before: plan.refused_before,
        clears: plan.clears,
        subjects_unchanged: plan.subjects_unchanged,
        subjects_known: plan.subjects_known,
        subjects_missing: plan.is_whole.then_some(plan.subjects_missing),
        left_in_doubt: plan.left_in_doubt,
        left_cleared: plan.left_cleared,
        subjects_missing_before: plan.usual.last().map(|figures| figures.missing),
        filled: by_field(plan.filled),
        samples: plan.samples.iter().map(|sample| sample_record(sample, notes)).collect(),
        chains: plan.chains.chains,
        chain_longest: plan.chains.longest,
        chain_waiting: plan.chains.waiting,
        chain_unordered: plan.chains.unordered,
        swaps: plan.chains.swaps,
        swap_subjects: plan.chains.swap_subjects,
        swaps_broken: plan.chains.swaps_broken,
        swap_clears: plan
            .swap_clears
            .iter()
            .map(|(place, fields)| ClearRecord {
                place: notes.place(*place),
                fields: fields.iter().map(|kind| kind.name().to_owned()).collect(),
            })
            .collect(),
        swap_obstacles: plan
            .swap_obstacles
            .iter()
            .map(|(place, why)| ObstacleRecord { place: notes.place(*place), why: why.clone() })
            .collect(),
        swap_places: plan
            .swap_places
            .iter()
            .map(|swap| swap.iter().map(|place| notes.place(*place)).collect())
            .collect(),
        rate_per_s: options.rate_per_s,
        duration_s: duration.map(|duration| duration.as_secs_f64()),
        done_at: duration.and_then(|duration| later(&(options.wall)(), duration)),
    }
}

/// Counts by the names of their fields; zeros are left out.
fn by_field(counts: [u64; FIELD_COUNT]) -> BTreeMap<String, u64> {
    let counts = FieldKind::ALL.into_iter().zip(counts);
    counts.filter(|(_, count)| *count > 0).map(|(kind, count)| (kind.name().into(), count)).collect()
}

fn sample_record(sample: &ChangeSample, notes: &Notes) -> SampleRecord {
    let change = |change: &FieldChange| ChangeRecord {
        field: change.field.name().into(),
        before: change.before.name().into(),
        cleared: change.is_cleared,
        value: change.masked.clone(),
    };
    let changes = sample.changes.iter().map(change).collect();
    SampleRecord { place: notes.place(sample.place), is_new: sample.is_new, changes }
}

/// A wall clock text so much later, in UTC to the second.
fn later(wall: &str, by: Duration) -> Option<String> {
    let now: jiff::Timestamp = wall.parse().ok()?;
    let then = now.checked_add(jiff::SignedDuration::try_from(by).ok()?).ok()?;
    Some(then.round(jiff::Unit::Second).ok()?.to_string())
}

/// Key of a status in JSON: the number, or `none` for attempts without an answer.
pub(super) fn status_name(status: u16) -> String {
    if status == 0 { "none".into() } else { status.to_string() }
}

/// Rows by their fate, in their mirror type.
pub(super) fn row_counts(rows: &Rows) -> RowCounts {
    let Rows {
        read,
        synced,
        folded,
        duplicate,
        unchanged,
        superseded,
        conflict,
        held,
        rejected,
        failed,
        in_doubt,
        pending,
        filtered,
        elsewhere,
    } = *rows;
    RowCounts {
        read,
        synced,
        folded,
        duplicate,
        unchanged,
        superseded,
        conflict,
        held,
        rejected,
        failed,
        in_doubt,
        pending,
        filtered,
        elsewhere,
    }
}

/// Rows by disposition, in their mirror type.
pub fn plan_counts(rows: &PlanRows) -> PlanCounts {
    let PlanRows {
        read,
        rejected,
        filtered,
        elsewhere,
        duplicate,
        superseded,
        unchanged,
        conflict,
        held,
        folded,
        refused_before,
        send,
    } = *rows;
    PlanCounts {
        read,
        rejected,
        filtered,
        elsewhere,
        duplicate,
        superseded,
        unchanged,
        conflict,
        held,
        folded,
        refused_before,
        send,
    }
}

/// The rules that applied, one reason per code: of several fields the numbers are added up and told apart beneath.
fn reasons(tallies: &Tallies, notes: &Notes, rule_text: RuleText) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    // The tallies come by code, so that those of one code are neighbors.
    for ((code, field), tally) in tallies {
        let of_field = FieldReason {
            field: field.map(|field| field.name().into()),
            count: tally.count,
            first: notes.place(tally.first),
            next: tally.next.iter().map(|place| notes.place(*place)).collect(),
        };
        match reasons.last_mut().filter(|reason| reason.code == *code) {
            Some(reason) => add(reason, of_field),
            None => {
                let (says, remedy) = rule_text(code).unwrap_or_default();
                reasons.push(Reason {
                    code: (*code).into(),
                    count: of_field.count,
                    field: of_field.field.clone(),
                    first: of_field.first.clone(),
                    next: of_field.next.clone(),
                    fields: Vec::new(),
                    says: says.into(),
                    remedy: remedy.into(),
                });
            }
        }
    }
    // The sort is stable: equal counts stay in the order of their codes.
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    reasons
}

/// Adds what happened to another field.
fn add(reason: &mut Reason, of_field: FieldReason) {
    if reason.fields.is_empty() {
        let Reason { field, count, first, next, .. } = &*reason;
        let (field, first, next) = (field.clone(), first.clone(), next.clone());
        reason.fields.push(FieldReason { field, count: *count, first, next });
    }
    let mut places: Vec<PlaceRecord> = std::mem::take(&mut reason.next);
    places.push(reason.first.clone());
    places.push(of_field.first.clone());
    places.extend(of_field.next.iter().cloned());
    places.sort_by_key(|place| place.row);
    reason.count += of_field.count;
    if of_field.first.row < reason.first.row {
        reason.field.clone_from(&of_field.field);
    }
    reason.first = places.remove(0);
    places.truncate(PLACES_MAX - 1);
    reason.next = places;
    reason.fields.push(of_field);
}

fn column_record(column: &MappedColumn) -> ColumnRecord {
    ColumnRecord {
        file: column.file.clone(),
        field: column.field.name().into(),
        column: column.column.clone(),
        by: column.by.into(),
    }
}

fn alarms(stats: &Stats, notes: &Notes, rule_text: RuleText) -> Vec<AlarmRecord> {
    stats.alarms.iter().map(|alarm| alarm_record(alarm, notes, rule_text)).collect()
}

/// An alarm with names, and in a sentence.
pub(super) fn alarm_record(alarm: &AlarmFacts, notes: &Notes, rule_text: RuleText) -> AlarmRecord {
    let AlarmFacts { column, field, code, affected, values, first } = alarm;
    let text = if *code == DAMAGE {
        let share = percent(*affected, *values);
        format!("column {column}: {share} of values carry spreadsheet damage; export it as text")
    } else {
        let (says, remedy) = rule_text(code).unwrap_or((code, ""));
        let counts = match (*affected, *values) {
            (0, _) => String::new(),
            (affected, values) => format!(" ({} of {})", thousands(affected), plural(values, "value")),
        };
        let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
        format!("column {column}: {says}{counts}{remedy}")
    };
    AlarmRecord {
        column: column.clone(),
        field: field.name().into(),
        code: (*code).into(),
        affected: *affected,
        values: *values,
        first: first.map(|place| notes.place(place)),
        text,
    }
}

fn complaints(stats: &Stats, notes: &Notes) -> Vec<Complaint> {
    let mut complaints: Vec<Complaint> = stats
        .signatures
        .iter()
        .map(|(signature, tally)| Complaint {
            id: String::new(),
            signature: signature.clone(),
            count: tally.count,
            kind: tally.kind.name().into(),
            first: notes.place(tally.first),
        })
        .collect();
    complaints.sort_by_key(|complaint| std::cmp::Reverse(complaint.count));
    for (nth, complaint) in (1..).zip(&mut complaints) {
        complaint.id = super::model::complaint_id(nth);
    }
    complaints
}

fn files(notes: &Notes, run_dir: Option<&Path>) -> Vec<FileRecord> {
    let rows = notes.files.iter().map(|file| FileRecord {
        name: file.name.into(),
        path: file.path.to_string_lossy().into_owned(),
        rows: Some(file.rows),
    });
    let own = run_dir.map(|dir| FileRecord {
        name: super::run_dir::SUMMARY_FILE.into(),
        path: dir.join(super::run_dir::SUMMARY_FILE).to_string_lossy().into_owned(),
        rows: None,
    });
    rows.chain(own).collect()
}

/// What to do next, most pressing first.
fn next_steps(summary: &Summary, options: &ReportOptions, is_proven: bool) -> Vec<String> {
    let (again, rows) = (&options.commands.again, &summary.rows);
    let command = |text: &str| format!("run `{text}`");
    let mut steps = Vec::new();
    if again.is_empty() && options.commands.without_inputs.is_empty() {
        return steps;
    }
    let is_survey = matches!(summary.command.as_str(), "plan" | "check");
    let is_gated = summary.gates.iter().any(|gate| !gate.overridden);
    if is_gated && summary.command != "check" {
        if !again.is_empty() {
            steps.push(format!(
                "look at what the gate found; {} to send all the same",
                command(&format!("{again} --yes"))
            ));
        }
    } else if is_survey {
        let sends = summary.plan.as_ref().is_some_and(|plan| plan.rows.send > 0);
        if summary.command == "plan" && sends && !again.is_empty() {
            steps.push(format!("{} to send it", command(again)));
        }
    } else if rows.pending + rows.in_doubt > 0
        && !again.is_empty()
        && !super::summary::is_unread(summary)
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
    let has = |kind: super::RowFileKind| summary.files.iter().find(|file| file.name == kind.file_name());
    let with_file = |kind: super::RowFileKind, verb: &str| {
        let path = shell_quote(Path::new(&has(kind)?.path));
        let run = command(&format!("{} {path}", options.commands.without_inputs));
        Some(format!("{verb} {} and {run}", kind.file_name()))
    };
    steps.extend(with_file(super::RowFileKind::Rejected, "correct"));
    // First of these two: what is held may be what others were refused for.
    if rows.held > 0 && rows.pending == 0 && !again.is_empty() {
        let resend =
            ["--in-doubt hold", "--in-doubt=hold"].into_iter().find(|hold| again.contains(hold)).map_or_else(
                || format!("{again} --in-doubt resend"),
                |hold| again.replace(hold, "--in-doubt resend"),
            );
        let resend = command(&resend);
        steps.push(format!(
            "look at {} and {resend} to send what is held",
            super::RowFileKind::InDoubt.file_name()
        ));
    }
    if has(super::RowFileKind::Failed).is_some() {
        steps.extend(replaying(summary, options, is_proven));
    }
    steps.extend(with_file(super::RowFileKind::Conflict, "decide in"));
    steps
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
            let name = super::RowFileKind::Failed.file_name();
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

fn seconds(duration_ms: u64) -> f64 {
    Duration::from_millis(duration_ms).as_secs_f64()
}

/// Events per second, to the thousandth.
pub(super) fn per_second(count: u64, duration_ms: u64) -> f64 {
    seconds(super::style::milli_per_s(count, duration_ms))
}

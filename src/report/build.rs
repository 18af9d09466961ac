//! Fills the summary from the numbers of a run: names instead of indexes, and texts beside rule codes.
//!
//! Not here: counting (`stats.rs`), what to do next (`next.rs`), the shape (`model.rs`), rendering (`summary.rs`).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::event::{AlarmFacts, ChangeSample, FieldChange, MappedColumn, PlanFacts, PlanRows};
use crate::exit::Exit;
use crate::report::model::{
    AlarmRecord, ChangeRecord, ClearRecord, ColumnRecord, Complaint, FieldReason, FileRecord, GateRecord,
    InputRecord, ObstacleRecord, PlaceRecord, PlanCounts, PlanRecord, Reason, RowCounts, SCHEMA_VERSION,
    SampleRecord, SkippedRecord, Summary,
};
use crate::report::next::next_steps;
use crate::report::options::{ReportOptions, RuleText};
use crate::report::rows::WrittenFile;
use crate::report::style::{percent, plural, thousands};
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

fn seconds(duration_ms: u64) -> f64 {
    Duration::from_millis(duration_ms).as_secs_f64()
}

/// Events per second, to the thousandth.
pub(super) fn per_second(count: u64, duration_ms: u64) -> f64 {
    seconds(super::style::milli_per_s(count, duration_ms))
}

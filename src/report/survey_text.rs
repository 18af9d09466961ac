//! What `plan` and `check` say to people: what would happen, and what is wrong with the input.
//!
//! Not here: the summary of a run that sent something (`summary.rs`).

use crate::report::model::{ChangeRecord, FieldReason, PlanRecord, Reason, SkippedRecord, Summary};
use crate::report::style::{Align, Paint, clean, clock, percent, plural, rate, span, table, thousands};
use crate::report::summary::{block, ending, gates, has_books, in_doubt, millis, place, reasons, warnings};

/// Rules that `check` lists one by one: it is its business, so more than in a run's summary.
const FINDINGS_SHOWN_MAX: usize = 40;

/// The text of `plan`.
pub(super) fn plan(summary: &Summary, paint: Paint) -> String {
    let mut text = head(summary, paint);
    let Some(plan) = &summary.plan else {
        text.push_str("no plan was made, and nothing was sent\n");
        text.push_str(&ending(summary, paint));
        return text;
    };
    text.push_str(&dispositions(plan));
    text.push_str(&skipped(summary));
    text.push_str(&subjects(plan));
    text.push_str(&changes(plan));
    text.push_str(&samples(plan, summary));
    text.push_str(&clears(plan));
    text.push_str(&chains(plan, summary, paint));
    text.push_str(&reasons(&paint.red("rejected:"), &summary.rejections, summary));
    text.push_str(&in_doubt(summary, paint));
    text.push_str(&warnings(summary, paint));
    text.push_str(&alarms(summary, paint));
    text.push_str(&gates(&summary.gates, paint));
    text.push_str(&finishing(plan));
    text.push_str(&ending(summary, paint));
    text
}

/// The line of the books of `check`, which sends nothing: what is valid and what is not.
pub(super) fn check_books(summary: &Summary, paint: Paint) -> String {
    let rows = &summary.rows;
    let valid = rows.read.saturating_sub(rows.rejected + rows.filtered);
    let warned: u64 = summary.warnings.iter().map(|reason| reason.count).sum();
    let fixed: u64 = summary.fixes.iter().map(|reason| reason.count).sum();
    let rejected = format!("rejected {}", thousands(rows.rejected));
    let filtered =
        if rows.filtered > 0 { format!(" · filtered {}", thousands(rows.filtered)) } else { String::new() };
    format!(
        "{} · {} · {} · normalized {}{filtered}      ({} read, {})",
        paint.green(&format!("valid {}", thousands(valid))),
        if rows.rejected > 0 { paint.red(&rejected) } else { rejected },
        plural(warned, "warning"),
        plural(fixed, "cell"),
        plural(rows.read, "row"),
        clock(millis(summary.duration_s)),
    )
}

/// The text of `check`.
pub(super) fn check(summary: &Summary, paint: Paint) -> String {
    let mut text =
        if has_books(summary) { format!("{}\n", check_books(summary, paint)) } else { String::new() };
    text.push_str(&skipped(summary));
    text.push_str(&columns(summary));
    text.push_str(&findings(&paint.red("rejected:"), &summary.rejections, summary));
    text.push_str(&findings(&paint.yellow("warnings:"), &summary.warnings, summary));
    text.push_str(&normalized(summary));
    text.push_str(&alarms(summary, paint));
    text.push_str(&gates(&summary.gates, paint));
    if !(summary.rejections.is_empty() && summary.warnings.is_empty()) {
        text.push_str("`simsync check --explain CODE` tells what a rule means and how to change it\n");
    }
    text.push_str(&ending(summary, paint));
    text
}

/// Which column stands for which field, once where all inputs agree, and the key.
fn columns(summary: &Summary) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for column in &summary.columns {
        let has_several = summary.columns.iter().any(|other| other.file != column.file);
        let mut row = vec![
            clean(&column.field).into_owned(),
            format!("<- {}", clean(&column.column)),
            format!("({})", clean(&column.by)),
        ];
        if Some(&column.field) == summary.key.as_ref() {
            let by = clean(&summary.key_by);
            row.push(if by.is_empty() { "the key".into() } else { format!("the key, {by}") });
        }
        if rows.contains(&row) {
            continue;
        }
        // Where another input reads the field otherwise, each of its columns is told with its file.
        let differs = has_several
            && summary.columns.iter().any(|other| {
                other.field == column.field && (&other.column, &other.by) != (&column.column, &column.by)
            });
        if differs {
            row.push(format!("in {}", clean(&column.file)));
        }
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "columns:\n{}",
        table(2, &[Align::Left, Align::Left, Align::Left, Align::Left, Align::Left], &rows)
    )
}

/// A list of rules that applied, with the column and the first lines of each.
fn findings(label: &str, reasons: &[Reason], summary: &Summary) -> String {
    let mut rows = Vec::new();
    for reason in reasons.iter().take(FINDINGS_SHOWN_MAX) {
        for (nth, of) in by_field(reason).iter().enumerate() {
            let says = if nth == 0 { clean(&reason.says).into_owned() } else { String::new() };
            rows.push(vec![
                format!("{} ×", thousands(of.count)),
                clean(&reason.code).into_owned(),
                column_of(reason, of, summary),
                places(of, summary),
                says,
            ]);
        }
        if !reason.remedy.is_empty() {
            let remedy = format!("→ {}", clean(&reason.remedy));
            rows.push(vec![String::new(), String::new(), String::new(), String::new(), remedy]);
        }
    }
    let align = [Align::Right, Align::Left, Align::Left, Align::Left, Align::Left];
    let body = table(2, &align, &rows);
    let rest: Vec<u64> = reasons.iter().skip(FINDINGS_SHOWN_MAX).map(|reason| reason.count).collect();
    block(label, &body, &rest, summary)
}

/// A rule by the fields it applied to; by itself where it is only one.
fn by_field(reason: &Reason) -> Vec<FieldReason> {
    if !reason.fields.is_empty() {
        return reason.fields.clone();
    }
    let Reason { field, count, first, next, .. } = reason;
    let (field, first, next) = (field.clone(), first.clone(), next.clone());
    vec![FieldReason { field, count: *count, first, next }]
}

/// The column a rule applied to, as the input of the first place names it, or its field; neither where the code says
/// it.
fn column_of(reason: &Reason, of: &FieldReason, summary: &Summary) -> String {
    let Some(field) = &of.field else { return String::new() };
    let columns = || summary.columns.iter().filter(|column| column.field == *field);
    let column = columns().find(|column| column.file == of.first.file).or_else(|| columns().next());
    match column.filter(|column| column.column != *field) {
        Some(column) => clean(&column.column).into_owned(),
        None if reason.code.split('.').next() == Some(field) => String::new(),
        None => clean(field).into_owned(),
    }
}

/// The first lines on which a rule applied.
fn places(reason: &FieldReason, summary: &Summary) -> String {
    if reason.count == 1 {
        return place(summary, &reason.first);
    }
    let has_one_input = summary.inputs.len() == 1;
    let all = std::iter::once(&reason.first).chain(&reason.next);
    let mut lines: Vec<String> =
        all.map(|at| if has_one_input { at.line.to_string() } else { place(summary, at) }).collect();
    lines.dedup();
    let shown = 1 + u64::try_from(reason.next.len()).unwrap_or(u64::MAX);
    let more = if reason.count > shown { ", …" } else { "" };
    let label = match (has_one_input, lines.len()) {
        (true, 1) => "line ",
        (true, _) => "lines ",
        (false, _) => "",
    };
    format!("{label}{}{more}", lines.join(", "))
}

/// Normalizations in one line: they cost nothing and need no one.
fn normalized(summary: &Summary) -> String {
    let fixes: Vec<String> = summary
        .fixes
        .iter()
        .map(|fix| {
            let fields = by_field(fix).into_iter().filter_map(|of| of.field);
            let fields: Vec<String> = fields.map(|field| clean(&field).into_owned()).collect();
            let fields = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
            format!("{} × {}{fields}", thousands(fix.count), clean(&fix.code))
        })
        .collect();
    if fixes.is_empty() { String::new() } else { format!("normalized: {}\n", fixes.join(" · ")) }
}

/// Lines passed over because they are no rows.
pub(super) fn skipped(summary: &Summary) -> String {
    let SkippedRecord { blank, footer, header } = summary.skipped;
    let parts: Vec<String> = [(blank, "blank line"), (footer, "footer line"), (header, "repeated header")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, noun)| plural(count, noun))
        .collect();
    if parts.is_empty() { String::new() } else { format!("skipped: {}\n", parts.join(", ")) }
}

/// Alarms about whole columns, a line each.
pub(super) fn alarms(summary: &Summary, paint: Paint) -> String {
    let mut text = String::new();
    for alarm in &summary.column_alarms {
        let first =
            alarm.first.as_ref().map_or_else(String::new, |at| format!(" (first: {})", place(summary, at)));
        text.push_str(&format!("{} {}{first}\n", paint.yellow("alarm:"), clean(&alarm.text)));
    }
    text
}

fn head(summary: &Summary, paint: Paint) -> String {
    let mut parts = vec![format!("plan for {}", clean(&summary.target))];
    if let Some(key) = &summary.key {
        parts.push(format!("key {}", clean(key)));
    }
    if !summary.batch.is_empty() {
        let continues = if summary.resumed { " (continues an open batch)" } else { "" };
        let batch: String = clean(&summary.batch).chars().take(12).collect();
        parts.push(format!("batch {batch}{continues}"));
    }
    format!("{}\n", paint.bold(&parts.join(" · ")))
}

/// The table of dispositions: those that have no row are left out, but for the first and the ones to send.
fn dispositions(plan: &PlanRecord) -> String {
    let rows = &plan.rows;
    let known = format!("{} new, {} known", thousands(plan.subjects_new), thousands(plan.subjects_changed));
    let lines: [(&str, u64, &str); 12] = [
        ("rows read", rows.read, ""),
        ("to send", rows.send, &known),
        ("folded", rows.folded, "part of a later row's update"),
        ("duplicate", rows.duplicate, "equal to the subject's preceding row"),
        ("unchanged", rows.unchanged, "already acknowledged"),
        ("superseded", rows.superseded, "overtaken by something newer"),
        ("conflict", rows.conflict, "another subject claims the same identifier"),
        ("held", rows.held, "kept back by a policy"),
        ("refused before", rows.refused_before, "in this batch; --retry-failed sends them again"),
        ("rejected", rows.rejected, "by a rule, see below"),
        ("filtered", rows.filtered, "left out by a filter"),
        ("elsewhere", rows.elsewhere, "another shard's"),
    ];
    let cells: Vec<Vec<String>> = lines
        .into_iter()
        .enumerate()
        .filter(|(index, (_, count, _))| *index < 2 || *count > 0)
        .map(|(index, (name, count, says))| {
            let share = if index == 0 { String::new() } else { percent(count, rows.read) };
            vec![name.into(), thousands(count), share, says.into()]
        })
        .collect();
    table(2, &[Align::Left, Align::Right, Align::Right, Align::Left], &cells)
}

/// Subjects, where something is known of any: at the first run every one is new.
fn subjects(plan: &PlanRecord) -> String {
    if plan.subjects_known == 0 {
        return String::new();
    }
    let refreshed = match plan.updates_refreshed {
        0 => String::new(),
        again => format!(", {} sent again unchanged (resend_after has passed, or --full)", thousands(again)),
    };
    let mut text = format!(
        "subjects: {} new, {} changed{refreshed}, {} unchanged\n",
        thousands(plan.subjects_new),
        thousands(plan.subjects_changed.saturating_sub(plan.updates_refreshed)),
        thousands(plan.subjects_unchanged)
    );
    if let Some(missing) = plan.subjects_missing {
        let before = plan.subjects_missing_before;
        let is_are = if missing == 1 { "is" } else { "are" };
        if missing > 0 || before.is_some_and(|before| before > 0) {
            let before =
                before.map_or_else(String::new, |before| format!(" ({} at the last run)", thousands(before)));
            text.push_str(&format!(
                "{} {is_are} not in this input{before}\n",
                plural(missing, "known subject")
            ));
        }
    }
    text
}

/// Some of the updates, each in a line, their values masked.
fn samples(plan: &PlanRecord, summary: &Summary) -> String {
    if plan.samples.is_empty() {
        return String::new();
    }
    let mut rows = Vec::new();
    for sample in &plan.samples {
        let change = |change: &ChangeRecord| {
            let value = if change.cleared { "cleared".into() } else { clean(&change.value) };
            // Of a new subject everything is new; to say it once is enough.
            let before = if sample.is_new { String::new() } else { format!(" ({})", clean(&change.before)) };
            format!("{} {value}{before}", clean(&change.field))
        };
        let changes: Vec<String> = sample.changes.iter().map(change).collect();
        let changes =
            if changes.is_empty() { "nothing new, sent again".to_owned() } else { changes.join(" · ") };
        let is_new = if sample.is_new { "new" } else { "" };
        rows.push(vec![place(summary, &sample.place), is_new.into(), changes]);
    }
    let shown = thousands(u64::try_from(plan.samples.len()).unwrap_or(u64::MAX));
    let all = thousands(plan.rows.send);
    let table = table(2, &[Align::Left, Align::Left, Align::Left], &rows);
    format!("changes, {shown} of {all}, values masked:\n{table}")
}

fn changes(plan: &PlanRecord) -> String {
    if plan.field_changes.is_empty() {
        return String::new();
    }
    let fields: Vec<String> = plan
        .field_changes
        .iter()
        .map(|(name, count)| format!("{} {}", clean(name), thousands(*count)))
        .collect();
    format!("changes by field: {}\n", fields.join(" · "))
}

/// Clears are told wherever there are any: they are what cannot be got back.
pub(super) fn clears(plan: &PlanRecord) -> String {
    if plan.clears == 0 {
        return String::new();
    }
    format!("clears: {} a field\n", rows_that(plan.clears, "clear"))
}

/// Chains and true swaps, where there are any.
pub(super) fn chains(plan: &PlanRecord, summary: &Summary, paint: Paint) -> String {
    let mut text = String::new();
    if plan.chains > 0 {
        text.push_str(&format!(
            "chains: {}, the longest of {}; {} for what another gives up, sent in that order\n",
            plural(plan.chains, "chain"),
            plural(plan.chain_longest, "subject"),
            updates_that(plan.chain_waiting, "wait"),
        ));
    }
    if plan.chain_unordered > 0 {
        let pairs = plural(plan.chain_unordered, "pair");
        text.push_str(&format!(
            "{} {pairs} of rows more than plan.chain_rows_max allows: the server decides about their order\n",
            paint.yellow("chains:")
        ));
    }
    let held = plan.swaps.saturating_sub(plan.swaps_broken);
    if plan.swaps > 0 {
        let (name, what) = if held == 0 {
            ("swaps:".to_owned(), "each broken by clearing one of them first")
        } else {
            (paint.yellow("swaps:").to_string(), "in which nobody can be first")
        };
        text.push_str(&format!(
            "{name} {} of {}, {what}\n",
            plural(plan.swaps, "true swap"),
            plural(plan.swap_subjects, "subject")
        ));
        for swap in &plan.swap_places {
            let clear = plan.swap_clears.iter().find(|clear| swap.contains(&clear.place));
            let clear = clear.map(|clear| {
                format!(": clears {} of {} first", clear.fields.join(", "), place(summary, &clear.place))
            });
            let kept = plan.swap_obstacles.iter().find(|kept| swap.contains(&kept.place));
            let clear = clear.or_else(|| Some(format!(": not broken: {}", clean(&kept?.why))));
            let places: Vec<String> = swap.iter().map(|at| place(summary, at)).collect();
            text.push_str(&format!("  {}{}\n", places.join(", "), clear.unwrap_or_default()));
        }
        if plan.swaps_broken > 0 {
            text.push_str(&broken(plan.swaps_broken, held, summary));
        }
    }
    text
}

/// How many true swaps will be broken, and how many are not to be; of a run that sends, how many of them it has broken.
fn broken(planned: u64, held: u64, summary: &Summary) -> String {
    let swaps = plural(planned, "true swap");
    // An older version did not count them.
    let Some(broken) = summary.swaps_broken.filter(|_| summary.command != "plan") else {
        return format!("  {swaps} will be broken by clearing a field, {held} not\n");
    };
    let were = if broken == 1 { "was" } else { "were" };
    let of = if broken == planned { String::new() } else { format!("{} of ", thousands(broken)) };
    format!(
        "  {of}{swaps} {were} broken by clearing a field, {held} {} not to be\n",
        if held == 1 { "was" } else { "were" }
    )
}

fn updates_that(updates: u64, verb: &str) -> String {
    let verb = if updates == 1 { format!("{verb}s") } else { verb.to_owned() };
    format!("{} {verb}", plural(updates, "update"))
}

fn rows_that(rows: u64, verb: &str) -> String {
    let verb = if rows == 1 { format!("{verb}s") } else { verb.to_owned() };
    format!("{} {verb}", plural(rows, "row"))
}

fn finishing(plan: &PlanRecord) -> String {
    if plan.rows.send == 0 {
        return "nothing to send\n".into();
    }
    let Some(duration_s) = plan.duration_s else {
        return "no rate is set: how long sending takes depends on the API\n".into();
    };
    let done =
        plan.done_at.as_ref().map_or_else(String::new, |at| format!(", done at {} if begun now", clean(at)));
    let pace = plan.rate_per_s.map_or("at the rates of delivery.window".to_owned(), |rate_per_s| {
        let rate = rate(millis(rate_per_s));
        format!("at {}/s", rate.strip_suffix(".0").unwrap_or(&rate))
    });
    format!("{pace} sending takes {}{done}\n", span(millis(duration_s)))
}

//! What `plan` and `check` say to people: what would happen, and what is wrong with the input.
//!
//! Not here: the summary of a run that sent something (`summary.rs`).

use crate::exit::Exit;
use crate::report::model::{PlanRecord, Summary};
use crate::report::style::{Align, Paint, clean, clock, percent, plural, rate, span, table, thousands};
use crate::report::summary::{ending, gates, in_doubt, millis, reasons, warnings};

/// The text of `plan`.
pub(super) fn plan(summary: &Summary, paint: Paint) -> String {
    let mut text = head(summary, paint);
    let Some(plan) = &summary.plan else {
        text.push_str("no plan was made, and nothing was sent\n");
        text.push_str(&ending(summary, paint));
        return text;
    };
    text.push_str(&dispositions(plan));
    text.push_str(&changes(plan));
    text.push_str(&clears(plan));
    text.push_str(&reasons(&paint.red("rejected:"), &summary.rejections, summary));
    text.push_str(&in_doubt(summary, paint));
    text.push_str(&warnings(summary, paint));
    text.push_str(&gates(&summary.gates, paint));
    text.push_str(&finishing(plan));
    text.push_str(&ending(summary, paint));
    text
}

/// The text of `check`.
pub(super) fn check(summary: &Summary, paint: Paint) -> String {
    let rows = &summary.rows;
    let valid = rows.read.saturating_sub(rows.rejected + rows.filtered);
    let warned: u64 = summary.warnings.iter().map(|reason| reason.count).sum();
    let fixed: u64 = summary.fixes.iter().map(|reason| reason.count).sum();
    let rejected = format!("rejected {}", thousands(rows.rejected));
    let filtered =
        if rows.filtered > 0 { format!(" · filtered {}", thousands(rows.filtered)) } else { String::new() };
    let books = format!(
        "{} · {} · {} · normalized {}{filtered}      ({} read, {})\n",
        paint.green(&format!("valid {}", thousands(valid))),
        if rows.rejected > 0 { paint.red(&rejected) } else { rejected },
        plural(warned, "warning"),
        plural(fixed, "cell"),
        plural(rows.read, "row"),
        clock(millis(summary.duration_s)),
    );
    // An input that could not be read to its end has no books, and zeros would look like some.
    let is_read = rows.read > 0 || summary.exit_code == Some(Exit::Success.code());
    let mut text = if is_read { books } else { String::new() };
    text.push_str(&reasons(&paint.red("rejected:"), &summary.rejections, summary));
    text.push_str(&reasons(&paint.yellow("warnings:"), &summary.warnings, summary));
    text.push_str(&gates(&summary.gates, paint));
    text.push_str(&ending(summary, paint));
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

fn rows_that(rows: u64, verb: &str) -> String {
    let verb = if rows == 1 { format!("{verb}s") } else { verb.to_owned() };
    format!("{} {verb}", plural(rows, "row"))
}

fn finishing(plan: &PlanRecord) -> String {
    if plan.rows.send == 0 {
        return "nothing to send\n".into();
    }
    let (Some(rate_per_s), Some(duration_s)) = (plan.rate_per_s, plan.duration_s) else {
        return "no rate is set: how long sending takes depends on the API\n".into();
    };
    let done =
        plan.done_at.as_ref().map_or_else(String::new, |at| format!(", done at {} if begun now", clean(at)));
    let rate = rate(millis(rate_per_s));
    let rate = rate.strip_suffix(".0").unwrap_or(&rate);
    format!("at {rate}/s sending takes {}{done}\n", span(millis(duration_s)))
}

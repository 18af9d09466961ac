//! The summary of a run as text for people: at its end, and again whenever `show` is asked.
//!
//! Not here: the numbers (`build.rs`), `plan` and `check` (`survey_text.rs`), the JSON summary (`model.rs`, `json.rs`).

use std::path::Path;

use crate::exit::Exit;
use crate::report::model::{FileRecord, GateRecord, PlaceRecord, Reason, RowCounts, Summary, complaint_id};
use crate::report::rows::RowFileKind;
use crate::report::style::{Align, Paint, clean, clock, plural, rate, span, table, thousands};
use crate::report::survey_text;

/// Most lines of a `-q` run that did not succeed, the error's own lines included.
pub const QUIET_LINES_MAX: usize = 10;

/// Lines of them that the summary may take; the rest is the error printer's.
const QUIET_SUMMARY_LINES_MAX: usize = 7;

/// Kinds of what was rejected, or failed, that a line of them tells.
const QUIET_KINDS_MAX: usize = 3;

/// What stands before the name of a file of the run in hints and next steps.
const WORDS_BEFORE_FILES: [&str; 5] =
    ["look at ", "correct ", "decide in ", "with the run's ", "read the run's "];

/// Reasons, warnings or complaints listed one by one; the rest is counted in one line.
pub(super) const REASONS_SHOWN_MAX: usize = 10;

/// Longest text of a complaint on a line, in characters.
const SIGNATURE_CHARS_MAX: usize = 100;

/// Renders the summary, each line ended.
pub fn render(summary: &Summary, paint: Paint) -> String {
    match summary.command.as_str() {
        "plan" => survey_text::plan(summary, paint),
        "check" => survey_text::check(summary, paint),
        _ => sync(summary, paint),
    }
}

fn sync(summary: &Summary, paint: Paint) -> String {
    let mut text = String::new();
    if has_books(summary) {
        push(&mut text, &books(summary, paint));
    }
    if let Some(line) = traffic(summary) {
        push(&mut text, &line);
    }
    if let Some(plan) = &summary.plan {
        text.push_str(&survey_text::clears(plan));
        text.push_str(&survey_text::chains(plan, summary, paint));
    }
    text.push_str(&reasons(&paint.red("rejected:"), &summary.rejections, summary));
    text.push_str(&complaints(summary, paint));
    text.push_str(&in_doubt(summary, paint));
    text.push_str(&warnings(summary, paint));
    text.push_str(&survey_text::skipped(summary));
    text.push_str(&survey_text::alarms(summary, paint));
    text.push_str(&gates(&summary.gates, paint));
    text.push_str(&ending(summary, paint));
    text
}

/// Whether the input could not be read to its end before anything was sent: run again, it cannot either, and the rows
/// before that place wait for nothing.
pub(super) fn is_unread(summary: &Summary) -> bool {
    summary.exit_code == Some(Exit::Input.code()) && summary.attempts == 0
}

/// Whether the books say anything: of an input that could not be read to its end they would be those of a part.
pub(super) fn has_books(summary: &Summary) -> bool {
    !is_unread(summary) && (summary.rows.read > 0 || summary.exit_code == Some(Exit::Success.code()))
}

/// What `-q` prints: nothing on success but what somebody is harmed by, else the little that a mail from a scheduler
/// should say.
pub fn quiet(summary: &Summary) -> String {
    let code = summary.exit_code.unwrap_or(Exit::Unexpected.code());
    let alert =
        summary.alerts.last().map(|alert| format!("simsync {}: {}", clean(&summary.command), clean(alert)));
    if code == Exit::Success.code() {
        return alert.map(|alert| alert + "\n").unwrap_or_default();
    }
    let mut lines = vec![format!(
        "simsync {}: exit {code}: {}",
        clean(&summary.command),
        summary.stopped.as_deref().map_or_else(|| clean(&summary.exit_meaning), clean)
    )];
    if summary.rows.read > 0 && !is_unread(summary) {
        let is_check = summary.command == "check";
        lines.push(if is_check {
            survey_text::check_books(summary, Paint::PLAIN)
        } else {
            books(summary, Paint::PLAIN)
        });
    }
    lines.extend(summary.gates.iter().filter(|gate| !gate.overridden).take(1).map(gate_line));
    // What the API answered, or that nothing did, is all that tells one outage from another.
    lines.extend(traffic(summary).filter(|_| code == Exit::Temporary.code()));
    let rejections = summary.rejections.iter().enumerate().map(|(nth, reason)| {
        // What the code means is told of the most frequent alone.
        let say = if nth == 0 { says(reason) } else { String::new() };
        (reason.count, format!("{}{say}", clean(&reason.code)), &reason.first)
    });
    lines.extend(kinds("rejected:", rejections));
    let complaints = summary.signatures.iter();
    let complaints =
        complaints.map(|complaint| (complaint.count, shortened(&complaint.signature), &complaint.first));
    lines.extend(kinds("failed:", complaints));
    lines.extend(alert);
    if let Some(next) = summary.next.first() {
        lines.push(format!("next: {}", clean(&with_paths(next, &summary.files))));
    } else if let Some(first) = summary.rejections.first().filter(|_| summary.command == "check") {
        let code = clean(&first.code);
        lines.push(format!("next: run `simsync check --explain {code}`: what it means, and what helps"));
    }
    lines.truncate(QUIET_SUMMARY_LINES_MAX);
    let mut text = String::new();
    for line in lines {
        push(&mut text, &line);
    }
    text
}

/// One line of the most frequent kinds, each with its count and first place, and the count of the others; none where
/// there is no kind.
fn kinds<'a>(label: &str, kinds: impl Iterator<Item = (u64, String, &'a PlaceRecord)>) -> Option<String> {
    let kinds: Vec<_> = kinds.collect();
    let (told, rest) = kinds.split_at(kinds.len().min(QUIET_KINDS_MAX));
    let mut parts: Vec<String> = told
        .iter()
        .map(|(count, what, first)| {
            format!("{} × {what} (first: {})", thousands(*count), file_and_line(first))
        })
        .collect();
    if !rest.is_empty() {
        let more = u64::try_from(rest.len()).unwrap_or(u64::MAX);
        let rows = rest.iter().map(|(count, ..)| count).sum();
        parts.push(format!("{} ({})", plural(more, "more kind"), plural(rows, "row")));
    }
    (!parts.is_empty()).then(|| format!("{label} {}", parts.join(" · ")))
}

/// A text that tells to look at files of the run by name, with their paths: whoever reads it may read nothing else. An
/// input may have the name of such a file, so that only the words in front of a name tell which one is meant.
pub fn with_paths(text: &str, files: &[FileRecord]) -> String {
    let mut text = text.to_owned();
    for file in files.iter().filter(|file| file.name != file.path) {
        if text.contains(&file.path) {
            continue;
        }
        for words in WORDS_BEFORE_FILES {
            text = text.replacen(&format!("{words}{}", file.name), &format!("{words}{}", file.path), 1);
        }
    }
    text
}

/// The line of the books: every row in one place.
fn books(summary: &Summary, paint: Paint) -> String {
    let is_adopted = summary.command == "adopt";
    let parts: Vec<String> = fates(&summary.rows)
        .into_iter()
        .filter(|(_, count, always)| *always || *count > 0)
        .map(|(name, count, _)| {
            // What was adopted went nowhere.
            let said = if is_adopted && name == "synced" { "recorded" } else { name };
            let part = format!("{said} {}", thousands(count));
            match (name, count) {
                (_, 0) => part,
                ("synced", _) => paint.green(&part),
                ("rejected" | "failed", _) => paint.red(&part),
                ("conflict" | "held" | "in doubt" | "pending", _) => paint.yellow(&part),
                (_, _) => part,
            }
        })
        .collect();
    let mut line = parts.join(" · ");
    let read = plural(summary.rows.read, "row");
    line.push_str(&format!("      ({read} read, {})", clock(millis(summary.duration_s))));
    if !summary.balanced {
        line.push_str(&paint.red("  the books do not close: please report this"));
    }
    line
}

/// Fates in the order of the books: name, count, whether it is shown when zero.
fn fates(rows: &RowCounts) -> [(&'static str, u64, bool); 13] {
    [
        ("synced", rows.synced, true),
        ("folded", rows.folded, true),
        ("duplicate", rows.duplicate, true),
        ("unchanged", rows.unchanged, true),
        ("superseded", rows.superseded, false),
        ("conflict", rows.conflict, true),
        ("held", rows.held, false),
        ("rejected", rows.rejected, true),
        ("failed", rows.failed, true),
        ("in doubt", rows.in_doubt, false),
        ("pending", rows.pending, true),
        ("filtered", rows.filtered, false),
        ("elsewhere", rows.elsewhere, false),
    ]
}

/// The line about attempts; none when there was no attempt.
fn traffic(summary: &Summary) -> Option<String> {
    if summary.attempts == 0 {
        return None;
    }
    let mut parts =
        vec![format!("attempts {} ({})", thousands(summary.attempts), plural(summary.retries, "retry"))];
    let mut statuses: Vec<_> = summary.http.iter().collect();
    statuses.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (status, count) in statuses {
        let status = if status == "none" { "no answer".into() } else { clean(status) };
        parts.push(format!("{status} ×{}", thousands(*count)));
    }
    if let Some(limit) = summary.in_flight_limit {
        parts.push(format!("{} at once", thousands(limit)));
    }
    if summary.deferred > 0 {
        parts.push(format!("deferred {}", thousands(summary.deferred)));
    }
    if summary.paused_s >= 0.001 {
        parts.push(format!("paused {}", span(millis(summary.paused_s))));
    }
    parts.push(format!("{} rows/s", rate(millis(summary.updates_per_s))));
    Some(parts.join(" · "))
}

/// A list of rules that applied, in a table, each with its remedy below; empty when there is none.
pub(super) fn reasons(label: &str, reasons: &[Reason], summary: &Summary) -> String {
    let mut rows = Vec::new();
    for reason in reasons.iter().take(REASONS_SHOWN_MAX) {
        rows.push(vec![
            format!("{} ×", thousands(reason.count)),
            clean(&reason.code).into_owned(),
            first(summary, reason.count, &reason.first),
            clean(&reason.says).into_owned(),
        ]);
        if !reason.remedy.is_empty() {
            let remedy = format!("→ {}", clean(&reason.remedy));
            rows.push(vec![String::new(), String::new(), String::new(), remedy]);
        }
    }
    let body = table(2, &[Align::Right, Align::Left, Align::Left, Align::Left], &rows);
    let rest: Vec<u64> = reasons.iter().skip(REASONS_SHOWN_MAX).map(|reason| reason.count).collect();
    block(label, &body, &rest, summary)
}

fn complaints(summary: &Summary, paint: Paint) -> String {
    let complaints = &summary.signatures;
    let rows = (1..).zip(complaints).take(REASONS_SHOWN_MAX).map(|(nth, complaint)| {
        vec![
            complaint_id(nth),
            format!("{} ×", thousands(complaint.count)),
            clean(&complaint.kind).into_owned(),
            first(summary, complaint.count, &complaint.first),
            shortened(&complaint.signature),
        ]
    });
    let align = [Align::Left, Align::Right, Align::Left, Align::Left, Align::Left];
    let body = table(2, &align, &rows.collect::<Vec<_>>());
    let rest: Vec<u64> = complaints.iter().skip(REASONS_SHOWN_MAX).map(|complaint| complaint.count).collect();
    block(&paint.red("failed:"), &body, &rest, summary)
}

/// Warnings in one line: they cost no row, so they get no table.
pub(super) fn warnings(summary: &Summary, paint: Paint) -> String {
    let warnings = &summary.warnings;
    if warnings.is_empty() {
        return String::new();
    }
    let mut parts: Vec<String> = warnings
        .iter()
        .take(REASONS_SHOWN_MAX)
        .map(|warning| {
            let (count, code) = (thousands(warning.count), clean(&warning.code));
            format!("{count} × {code} ({})", first(summary, warning.count, &warning.first))
        })
        .collect();
    if let Some(more) = warnings.len().checked_sub(REASONS_SHOWN_MAX).filter(|more| *more > 0) {
        parts.push(format!("{more} more kinds"));
    }
    format!("{} {}\n", paint.yellow("warnings:"), parts.join(" · "))
}

/// What an earlier run left in doubt and this one sent again.
pub(super) fn in_doubt(summary: &Summary, paint: Paint) -> String {
    let Some(plan) = summary.plan.as_ref().filter(|plan| plan.in_doubt_resent > 0) else {
        return String::new();
    };
    let places: Vec<String> =
        plan.in_doubt_places.iter().take(REASONS_SHOWN_MAX).map(|at| place(summary, at)).collect();
    let label = paint.yellow("in doubt:");
    // A summary of an older version counts the updates alone.
    let subjects = if plan.subjects_in_doubt > 0 { plan.subjects_in_doubt } else { plan.in_doubt_resent };
    let subjects = plural(subjects, "subject");
    let wherever = if places.is_empty() { String::new() } else { format!(" (first: {})", places.join(", ")) };
    format!(
        "{label} {subjects}, for whom a request of an interrupted run may have been applied; what is sent now settles \
         that{wherever}\n"
    )
}

/// Gates that tripped, a line each.
pub(super) fn gates(gates: &[GateRecord], paint: Paint) -> String {
    let mut text = String::new();
    for gate in gates {
        let line = gate_line(gate);
        push(&mut text, &if gate.overridden { paint.yellow(&line) } else { paint.red(&line) });
    }
    text
}

fn gate_line(gate: &GateRecord) -> String {
    let what = if gate.overridden { "overridden by --yes" } else { "nothing was sent" };
    format!("gate {}: {} ({what})", clean(&gate.gate), clean(&gate.text))
}

/// The last lines: files, why it stopped, what to do next.
pub(super) fn ending(summary: &Summary, paint: Paint) -> String {
    let mut text = String::new();
    text.push_str(&files(summary));
    if let Some(stopped) = &summary.stopped {
        push(&mut text, &format!("{} {}", paint.red("stopped:"), clean(stopped)));
    }
    let label = paint.bold("next:");
    match summary.next.as_slice() {
        [] => {}
        [step] => push(&mut text, &format!("{label} {}", clean(step))),
        steps => {
            push(&mut text, &label);
            for step in steps {
                push(&mut text, &format!("  {}", clean(step)));
            }
        }
    }
    text
}

/// The files of the run; their directory is told once.
fn files(summary: &Summary) -> String {
    let Some(dir) = summary.files.first().and_then(|file| Path::new(&file.path).parent()) else {
        return String::new();
    };
    let files: Vec<String> = summary
        .files
        .iter()
        .map(|file| {
            let path = Path::new(&file.path);
            let path = path.strip_prefix(dir).unwrap_or(path).to_string_lossy();
            let path = clean(&path);
            // A failed update brings the rows that were folded into it.
            let with =
                if file.rows > Some(summary.rows.failed) && file.name == RowFileKind::Failed.file_name() {
                    ", with those folded into them"
                } else {
                    ""
                };
            file.rows
                .map_or_else(|| path.to_string(), |rows| format!("{path} ({}{with})", plural(rows, "row")))
        })
        .collect();
    let dir = dir.to_string_lossy();
    let dir = clean(&dir);
    let dir = if dir.is_empty() { String::new() } else { format!(" in {dir}") };
    format!("files{dir}: {}\n", files.join(" · "))
}

/// A labeled block of table lines, with a last line for what is not listed.
pub(super) fn block(label: &str, body: &str, rest: &[u64], summary: &Summary) -> String {
    if body.is_empty() {
        return String::new();
    }
    let mut text = format!("{label}\n{body}");
    if !rest.is_empty() {
        let more = u64::try_from(rest.len()).unwrap_or(u64::MAX);
        let rows = plural(rest.iter().sum(), "row");
        let all = if summary.files.is_empty() { "--json lists them" } else { "see summary.json" };
        push(&mut text, &format!("  … and {} ({rows}): {all}", plural(more, "more kind")));
    }
    text
}

fn says(reason: &Reason) -> String {
    if reason.says.is_empty() { String::new() } else { format!(", {}", clean(&reason.says)) }
}

fn shortened(signature: &str) -> String {
    let clean = clean(signature);
    match clean.char_indices().nth(SIGNATURE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean.into_owned(),
    }
}

/// `line 14`, or `crm-export.csv:14` where there are several inputs.
pub(super) fn place(summary: &Summary, place: &PlaceRecord) -> String {
    if summary.inputs.len() == 1 { format!("line {}", place.line) } else { file_and_line(place) }
}

/// `crm-export.csv:14`.
fn file_and_line(place: &PlaceRecord) -> String {
    format!("{}:{}", clean(&place.file), place.line)
}

/// Where something applied that has happened so often: the one place, or the first of several.
fn first(summary: &Summary, count: u64, at: &PlaceRecord) -> String {
    let place = place(summary, at);
    if count > 1 { format!("from {place}") } else { place }
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// Whole thousandths of a number of seconds (or of a rate per second), for the functions that take those.
pub(super) fn millis(seconds: f64) -> u64 {
    let nanos = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_nanos();
    // Rounded, since 3.007 as a binary fraction is a little less than 3.007.
    u64::try_from((nanos + 500_000) / 1_000_000).unwrap_or(u64::MAX)
}

//! What became of the updates of a run, as far as it can be told from the requests the sandbox saw: for each update the
//! outcomes it may have. Where a run came to its end there is one; where it was killed the journal has to say which.
//!
//! Not here: the comparison with the journal (`checks.rs`).

use std::collections::BTreeMap;

use simsync::sandbox::RequestView;

use super::memory::{Failed, Outcome};
use super::rows::Cells;
use super::rulings::Update;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It ruled on every row and tried every update.
    Finished,
    /// It stopped in order before that.
    Drained,
    /// It was killed.
    Killed,
}

/// The attempts of the updates of one subject, in the order of the updates. An error is a request that nothing planned.
pub(crate) fn attempts_of<'r>(
    updates: &[&Update],
    requests: &[&'r RequestView],
) -> Result<Vec<Vec<&'r RequestView>>, String> {
    let mut attempts: Vec<Vec<&RequestView>> = vec![Vec::new(); updates.len()];
    let mut at = 0;
    for request in requests {
        let sent = sent(request);
        while at < updates.len() {
            let is_over = attempts[at].last().is_some_and(|last| is_definite(last));
            if !is_over && wire(updates[at]) == sent {
                break;
            }
            at += 1;
        }
        if at == updates.len() {
            let said = if updates.is_empty() { "nothing was to be sent" } else { "not as planned" };
            return Err(format!(
                "request {} for {:?} sets {sent:?}: {said}; updates: {updates:?}",
                request.seq, request.subject
            ));
        }
        attempts[at].push(request);
    }
    Ok(attempts)
}

/// The values of an update as the sandbox records them.
fn wire(update: &Update) -> BTreeMap<String, Option<String>> {
    let values: Cells = super::memory::values(&update.facts);
    let shown = |value: String| if value.is_empty() { None } else { Some(value) };
    values.into_iter().map(|(field, value)| (field.kind().name().to_owned(), shown(value))).collect()
}

fn sent(request: &RequestView) -> BTreeMap<String, Option<String>> {
    request.fields.clone()
}

/// Whether an answer ends its update: anything but what is tried again, in this pass or a later one.
fn is_definite(request: &RequestView) -> bool {
    !is_conflict(request) && request.status.is_some_and(|status| status < 500 && status != 429)
}

/// Whether another subject holds what was sent.
pub(crate) fn is_conflict(request: &RequestView) -> bool {
    request.fault == Some("uniqueness")
}

/// Whether an attempt may have been applied for all the client knows.
fn is_maybe(request: &RequestView) -> bool {
    request.status.is_none_or(|status| status >= 500)
}

/// What the last attempt says of its update; nothing if it would be tried again.
pub(crate) fn verdict(attempts: &[&RequestView]) -> Option<Outcome> {
    let (last, before) = attempts.split_last()?;
    let was_maybe = before.iter().any(|request| is_maybe(request));
    match (last.status, last.fault) {
        (Some(201), Some("wrong_echo" | "wrong_status" | "garbage_body")) => {
            Some(Outcome::Failed(Failed::EchoMismatch, true))
        }
        (Some(201), _) => Some(Outcome::Synced),
        (Some(_), _) if is_conflict(last) => Some(Outcome::Failed(Failed::Unresolved, was_maybe)),
        (Some(status), _) if status < 500 && status != 429 => {
            Some(Outcome::Failed(Failed::Refused, was_maybe))
        }
        _ => None,
    }
}

/// The outcomes an update may have by its attempts. `is_behind` tells of an earlier update of the subject that met a
/// conflict: those behind it wait with it. `is_guarded` tells of a run that the guard at first contact has stopped,
/// or may have stopped before it was killed.
fn possible(attempts: &[&RequestView], end: End, is_guarded: bool, is_behind: bool) -> Vec<Outcome> {
    let verdict = verdict(attempts);
    let is_maybe_applied = attempts.iter().any(|request| is_maybe(request));
    let exhausted = Outcome::Failed(Failed::Exhausted, true);
    let mut possible = match (end, attempts.is_empty(), verdict) {
        // What waits for another subject's conflict is tried with it, or not at all.
        (End::Finished, true, _) if is_behind => vec![Outcome::Failed(Failed::Unresolved, false)],
        (End::Finished, true, _) => Vec::new(),
        (End::Finished, false, verdict) => return vec![verdict.unwrap_or(exhausted)],
        (End::Drained, true, _) => vec![Outcome::Untouched],
        (End::Drained, false, Some(Outcome::Synced)) => return vec![Outcome::Synced],
        // Of a run that nothing was accepted of, nothing is marked failed.
        (End::Drained, false, Some(Outcome::Failed(_, true))) if is_guarded => vec![Outcome::Open],
        (End::Drained, false, Some(Outcome::Failed(_, false))) if is_guarded => vec![Outcome::Untouched],
        // Before the first success at a target, verdicts against rows are kept back, and forgotten with the run.
        // Which of these it then is, the journal does not tell where the update was in doubt before.
        (End::Drained, false, Some(refused @ Outcome::Failed(_, true))) => vec![refused, Outcome::Open],
        (End::Drained, false, Some(refused)) => vec![refused, Outcome::Untouched],
        (End::Drained, false, None) if is_maybe_applied => vec![exhausted, Outcome::Open],
        (End::Drained, false, None) => vec![Outcome::Untouched],
        (End::Killed, true, _) => vec![Outcome::Untouched, Outcome::Open],
        // A run that was stopped so withdraws its intents at once, and ends only when all of them are committed and
        // its reports are written: a kill in between finds the refused as if they had never been sent. What an
        // earlier attempt may have done stays open then, as below.
        (End::Killed, false, Some(refused @ Outcome::Failed(_, false))) if is_guarded => {
            vec![refused, Outcome::Untouched, Outcome::Open]
        }
        (End::Killed, false, verdict) => vec![verdict.unwrap_or(exhausted), Outcome::Open],
    };
    if end != End::Finished && (is_behind || attempts.iter().any(|request| is_conflict(request))) {
        // What is withdrawn, or left open, was deferred before.
        for is_maybe in [false, true] {
            possible.extend([Outcome::Deferred(is_maybe), Outcome::Again(is_maybe)]);
        }
        possible.retain(|outcome| {
            is_maybe_applied || !matches!(outcome, Outcome::Deferred(true) | Outcome::Again(true))
        });
    }
    possible
}

/// Every way in which a subject's updates may have ended, where the guard at first contact may have stopped the run
/// or not, and conflicts were met in it or not. Outcomes are committed in order: behind one that is not, nothing is
/// settled.
pub(crate) fn ways(
    attempts: &[Vec<&RequestView>],
    end: End,
    is_guarded: bool,
    has_conflicts: bool,
) -> Vec<Vec<Outcome>> {
    let mut ways: Vec<Vec<Outcome>> = vec![Vec::new()];
    let mut is_behind = has_conflicts;
    for attempts in attempts {
        let possible = possible(attempts, end, is_guarded, is_behind);
        let longer = |way: &Vec<Outcome>| {
            let is_stuck = way.iter().any(|outcome| outcome.is_unsettled());
            let fitting = possible.iter().filter(move |outcome| !is_stuck || outcome.is_unsettled());
            fitting.map(|outcome| [way.as_slice(), &[*outcome]].concat()).collect::<Vec<_>>()
        };
        ways = ways.iter().flat_map(longer).collect();
        is_behind |= attempts.iter().any(|request| is_conflict(request));
    }
    ways
}

/// The same of updates that are recorded and not sent.
pub(crate) fn adopted_ways(updates: usize, end: End) -> Vec<Vec<Outcome>> {
    let recorded = if end == End::Killed { 0..=updates } else { updates..=updates };
    let way = |recorded| {
        let outcome = |at| if at < recorded { Outcome::Synced } else { Outcome::Untouched };
        (0..updates).map(outcome).collect()
    };
    recorded.map(way).collect()
}

/// Whether a conflict was met.
pub(crate) fn has_conflict(attempts: &[Vec<&RequestView>]) -> bool {
    attempts.iter().flatten().any(|request| is_conflict(request))
}

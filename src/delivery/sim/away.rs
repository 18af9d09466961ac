//! A day of several runs: rows that are turned away for their own sake (401, 403, a redirect), and what turns
//! everybody away for a while. What a run was stopped for is carried over to the next one, as the command does
//! (`cli/learned.rs`).
//!
//! Not here: how a run goes (`mod.rs`), and what every step of it is held against (`checker.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::checker::ensure;
use super::day::{Day, Kind, Line, Phase};
use super::evening::{Evening, Fate};
use super::planted::Flaw;
use super::{World, lived};
use crate::delivery::outcome::StopCause;
use crate::delivery::{FEW_MAX, TurnedAway, UpdateId};
use crate::digest::SubjectId;

/// Runs after which nobody goes on any more.
const RUNS_MAX: usize = 16;

/// Runs from the first one on in which not everybody is turned away, by the end of which all healthy rows are synced.
const HEALTHY_RUNS: usize = 2;

/// Redirects that nobody else is left to tell from a wrong address.
const REDIRECTS_MAX: usize = 3;

/// What is kept of a run that was stopped.
pub(super) struct Kept {
    pub(super) token: usize,
    pub(super) others_passed: bool,
    pub(super) subjects: Vec<SubjectId>,
}

/// Lives through the runs of a day, and judges each.
pub(super) fn live(day: &Day, seed: u64) -> Result<Evening, String> {
    let mut all = Evening::default();
    let mut kept: Option<Kept> = None;
    for run in 0..RUNS_MAX {
        // Renewed once nobody turns everybody away any more.
        let token = usize::from(run >= day.revoked_runs);
        let ids: Vec<UpdateId> =
            (0..).take(day.lines.len()).filter(|id| !is_settled(all.fates.get(id))).collect();
        let today = of_run(day, run, &ids, kept.as_ref().map(|kept| told(kept, token)));
        let flaw = day.flaw;
        let is_mixed = kept.is_some() && flaw != Some(Flaw::ForgetsTheStop);
        let world = lived(today, seed ^ ((run as u64) << 32), is_mixed, None)
            .map_err(|complaint| format!("run {run}: {complaint}"))?;
        take(&mut all, &world, &ids);
        judge(day, run, &all.fates)?;
        if world.evening.stop.is_none() {
            return ended(day, all);
        }
        kept = Some(carried(kept, &world, token));
    }
    ensure(may_be_left(day, &all.fates), || format!("few are left for ever: {:?}", all.stop))?;
    Ok(all)
}

pub(super) fn is_settled(fate: Option<&Fate>) -> bool {
    fate.is_some_and(|fate| *fate != Fate::Leftover)
}

fn is_healthy(line: &Line) -> bool {
    line.kind == Kind::Good
}

/// The day as this run has it: what is pending.
pub(super) fn of_run(day: &Day, run: usize, ids: &[UpdateId], away: Option<TurnedAway>) -> Day {
    let line = |id: &UpdateId| day.lines[usize::try_from(*id).unwrap_or_default()];
    let phases = match run {
        0 => day.phases.clone(),
        _ if run < day.revoked_runs => {
            day.phases.last().map(|(_, phase)| (u64::MAX, *phase)).into_iter().collect()
        }
        _ => Vec::<(u64, Phase)>::new(),
    };
    let mut today = Day { lines: ids.iter().map(line).collect(), phases, ..day.clone() };
    today.rules.turned_away = Arc::new(away.unwrap_or_default());
    let told = if day.flaw == Some(Flaw::ForgetsTheStop) {
        Arc::default()
    } else {
        Arc::clone(&today.rules.turned_away)
    };
    today.told.turned_away = told;
    today
}

pub(super) fn told(kept: &Kept, token: usize) -> TurnedAway {
    TurnedAway {
        are_left_alone: kept.others_passed && kept.token == token && kept.subjects.len() < FEW_MAX,
        subjects: kept.subjects.iter().copied().collect(),
        ..TurnedAway::default()
    }
}

pub(super) fn carried(before: Option<Kept>, world: &World, token: usize) -> Kept {
    let had_passed = before.as_ref().is_some_and(|before| before.others_passed);
    let still = world.scheduler.still_away();
    // What fails while the server is down has not failed for its own sake.
    let is_outage = world.evening.stop == Some(StopCause::Outage);
    let mut subjects = if is_outage { Vec::new() } else { world.blamed.clone() };
    let before = before.into_iter().flat_map(|before| before.subjects);
    subjects.extend(before.filter(|subject| still.contains(subject)));
    subjects.sort_unstable();
    subjects.dedup();
    Kept { token, others_passed: had_passed || world.scheduler.have_others_passed(), subjects }
}

/// Adds a run to the day.
pub(super) fn take(all: &mut Evening, world: &World, ids: &[UpdateId]) {
    let of = &world.evening;
    for (at, id) in (0..).zip(ids) {
        all.fates.insert(*id, of.fates.get(&at).copied().unwrap_or(Fate::Leftover));
        *all.attempts.entry(*id).or_default() += of.attempts.get(&at).copied().unwrap_or_default();
    }
    all.stop.clone_from(&of.stop);
    all.sent.extend(of.sent.iter().map(|(at_ms, in_flight)| (all.ended_ms + at_ms, *in_flight)));
    all.ended_ms += of.ended_ms;
}

fn judge(day: &Day, run: usize, fates: &BTreeMap<UpdateId, Fate>) -> Result<(), String> {
    let is_late = run + 1 >= day.revoked_runs + HEALTHY_RUNS;
    for (id, _) in (0..).zip(&day.lines).filter(|(_, line)| is_healthy(line)) {
        let fate = fates.get(&id);
        ensure(matches!(fate, Some(Fate::Synced | Fate::Leftover)), || {
            format!("run {run} has cost {id} its verdict: {fate:?}")
        })?;
        ensure(!is_late || fate == Some(&Fate::Synced), || format!("{id} waits beyond run {run}"))?;
    }
    Ok(())
}

/// A run that ended in order: who was turned away for its own sake has failed, and nobody is left.
fn ended(day: &Day, all: Evening) -> Result<Evening, String> {
    for (id, line) in (0..).zip(&day.lines) {
        let fate = all.fates.get(&id);
        let is_right = match fate {
            Some(Fate::Synced) => is_healthy(line),
            Some(Fate::Failed(_)) => !is_healthy(line),
            Some(Fate::Deferred | Fate::Leftover) | None => false,
        };
        ensure(is_right, || format!("{id}, {:?}, is {fate:?} in the end", line.kind))?;
    }
    Ok(all)
}

/// Whether those that are left may be so for ever: many, or redirects, which nobody is left to tell from everybody's.
fn may_be_left(day: &Day, fates: &BTreeMap<UpdateId, Fate>) -> bool {
    let left: Vec<Kind> = (0..)
        .zip(&day.lines)
        .filter(|(id, _)| !is_settled(fates.get(id)))
        .map(|(_, line)| line.kind)
        .collect();
    let are_bad =
        left.iter().all(|kind| matches!(kind, Kind::Forbidden | Kind::Unauthorized | Kind::Redirected));
    are_bad && (left.len() >= FEW_MAX || left.len() >= REDIRECTS_MAX && left.contains(&Kind::Redirected))
}

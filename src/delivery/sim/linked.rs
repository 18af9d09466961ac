//! A day of links, in several runs: of the batch in which everybody is turned away in the midst of chains and rings,
//! until its end; and of further ones, in which others pass, where some are left that were turned away for their own
//! sake.
//!
//! Not here: when each link has its turn (`links.rs`), and what is carried over from run to run (`away.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::away::{Kept, carried, is_settled, of_run, take, told};
use super::checker::ensure;
use super::day::{Day, Kind, Line};
use super::evening::{Evening, Fate};
use super::lived;
use super::planted::Flaw;
use super::server::Server;
use crate::delivery::outcome::StopCause;
use crate::delivery::{FEW_MAX, TurnedAway, UpdateId};
use crate::ledger::FailureKind;

/// Runs of a batch, behind those in which everybody is turned away, after which nobody goes on any more.
const RUNS_MAX: usize = 5;

/// Runs from the first one on in which not everybody is turned away, by the end of which all healthy rows are synced.
const HEALTHY_RUNS: usize = 2;

/// Later batches by the end of which all that are turned away for their own sake have failed, and others in each.
const NIGHTS_MAX: usize = 8;
const NIGHT_OTHERS: u64 = 10;

/// A day as far as it has come.
struct Runs {
    day: Day,
    all: Evening,
    kept: Option<Kept>,
    server: Option<Server>,
    applied: BTreeSet<UpdateId>,
    seed: u64,
    runs: u64,
}

/// Lives through the runs of a day, and judges each.
pub(super) fn live(day: Day, seed: u64) -> Result<Evening, String> {
    let all = Evening::default();
    let mut runs = Runs { day, all, kept: None, server: None, applied: BTreeSet::new(), seed, runs: 0 };
    for night in 0..=NIGHTS_MAX {
        let complain = |complaint| format!("night {night}: {complaint}");
        if runs.batch(night).map_err(complain)? {
            runs.ended()?;
            return Ok(runs.all);
        }
        if night < NIGHTS_MAX {
            let first = runs.day.lines.len() as u64;
            runs.day.lines.extend((first..first + NIGHT_OTHERS).map(|at| Line::good(100_000 + at)));
        }
    }
    runs.may_be_left()?;
    Ok(runs.all)
}

impl Runs {
    fn line(&self, id: UpdateId) -> Line {
        self.day.lines[usize::try_from(id).unwrap_or_default()]
    }

    /// What is still to be sent: a clear where the whole ring is.
    fn pending(&self) -> Vec<UpdateId> {
        let is_open = |id: &UpdateId| !is_settled(self.all.fates.get(id));
        let is_whole = |ring: u32| {
            let of_ring = |line: &Line| line.link.is_some_and(|link| link.ring == ring) && !line.is_clear();
            (0..).zip(&self.day.lines).filter(|(_, line)| of_ring(line)).all(|(id, _)| is_open(&id))
        };
        let ids = (0..).zip(&self.day.lines);
        let is_sent = |(id, line): &(UpdateId, &Line)| match line.link.filter(|_| line.is_clear()) {
            Some(link) => self.all.fates.get(id) != Some(&Fate::Synced) && is_whole(link.ring),
            None => is_open(id),
        };
        ids.filter(is_sent).map(|(id, _)| id).collect()
    }

    /// The runs of a batch; whether it ends in order.
    fn batch(&mut self, night: usize) -> Result<bool, String> {
        let revoked_runs = if night == 0 { self.day.revoked_runs } else { 0 };
        for run in 0..revoked_runs + RUNS_MAX {
            let is_renewed = night > 0 || run >= self.day.revoked_runs;
            let token = usize::from(self.day.renews_token && is_renewed);
            let about = |complaint| format!("run {run}: {complaint}");
            self.run((night, run), token).map_err(about)?;
            let is_late = run + 1 >= revoked_runs + HEALTHY_RUNS;
            self.judge(is_late).map_err(about)?;
            if self.all.stop.is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn run(&mut self, (night, run): (usize, usize), token: usize) -> Result<(), String> {
        let ids = self.pending();
        let away = self.kept.as_ref().map(|kept| match run {
            // Of another batch nothing but the subjects tells of this one.
            0 if night > 0 => TurnedAway {
                were_before: kept.subjects.len() < FEW_MAX,
                is_same_token: kept.token == token,
                subjects: kept.subjects.iter().copied().collect(),
                ..TurnedAway::default()
            },
            _ => told(kept, token),
        });
        let at = if night > 0 { self.day.revoked_runs.max(1) } else { run };
        let today = of_run(&self.day, at, &ids, away);
        let is_mixed = self.kept.is_some() && self.day.flaw != Some(Flaw::ForgetsTheStop);
        let seed = self.seed ^ (self.runs << 32);
        self.runs += 1;
        let before: BTreeMap<UpdateId, Fate> = self.all.fates.clone();
        let world = lived(today, seed, is_mixed, self.server.take())?;
        take(&mut self.all, &world, &ids);
        for (at, id) in (0..).zip(&ids) {
            let times = world.server.applied.get(&at).copied().unwrap_or_default();
            let is_again = times > 1 || times > 0 && !self.applied.insert(*id);
            ensure(!is_again || !self.day.are_values_unique && self.line(*id).is_clear(), || {
                format!("{id} was applied again")
            })?;
            // What waits for a later pass when a run is stopped is pending.
            if self.all.fates.get(id) == Some(&Fate::Deferred) {
                self.all.fates.insert(*id, Fate::Leftover);
            }
        }
        for (id, fate) in &before {
            let is_same =
                !is_settled(Some(fate)) || self.line(*id).is_clear() || self.all.fates.get(id) == Some(fate);
            ensure(is_same, || format!("{id} was {fate:?} already"))?;
        }
        let is_other_batch = night > 0 && run == 0;
        let before = self
            .kept
            .take()
            .map(|kept| Kept { others_passed: kept.others_passed && !is_other_batch, ..kept });
        self.kept = Some(carried(before, &world, token));
        self.server = Some(world.server);
        Ok(())
    }

    /// Those before an update in its chain or ring, to its beginning or its clear.
    fn before(&self, id: UpdateId) -> Vec<UpdateId> {
        let mut before = vec![id];
        while let Some(wants) = self.line(before[before.len() - 1]).link.and_then(|link| link.wants) {
            let has = |line: &Line| line.link.is_some_and(|link| link.has == wants);
            let mut holders = (0..).zip(&self.day.lines).filter(|(_, line)| has(line)).map(|(id, _)| id);
            let (first, second) = (holders.next(), holders.next());
            let Some(holder) = second.or(first) else { break };
            before.push(holder);
        }
        before
    }

    /// Whether somebody before it in its chain or ring is bad, or it is itself.
    fn is_behind_bad(&self, id: UpdateId) -> bool {
        self.before(id).iter().any(|of| self.line(*of).kind != Kind::Good)
    }

    fn judge(&self, is_late: bool) -> Result<(), String> {
        let may_stop = [
            None,
            Some(StopCause::TokenRefused),
            Some(StopCause::Outage),
            Some(StopCause::Redirected { status: 302 }),
        ];
        let is_own_redirect = self.all.stop == Some(StopCause::Redirected { status: 307 });
        ensure(may_stop.contains(&self.all.stop) || is_own_redirect, || {
            format!("stopped for {:?}", self.all.stop)
        })?;
        for (id, fate) in &self.all.fates {
            let (is_good, is_behind) = (self.line(*id).kind == Kind::Good, self.is_behind_bad(*id));
            let is_right = match fate {
                Fate::Synced => is_good && (!is_behind || !self.day.are_values_unique),
                Fate::Failed(FailureKind::Unresolved) => is_good && self.has_lost_its_place(*id),
                // One that may fail all the same was looked at when it did.
                Fate::Failed(_) => true,
                Fate::Leftover => !is_late || is_behind,
                Fate::Deferred => false,
            };
            ensure(is_right, || format!("{id} is {fate:?}, stopped for {:?}", self.all.stop))?;
        }
        Ok(())
    }

    /// Whether somebody before it has failed for its own sake.
    fn has_lost_its_place(&self, id: UpdateId) -> bool {
        let is_lost = |of: &UpdateId| matches!(self.all.fates.get(of), Some(Fate::Failed(kind)) if *kind != FailureKind::Unresolved);
        self.before(id).iter().any(is_lost)
    }

    /// A batch that ended in order: nobody is left.
    fn ended(&self) -> Result<(), String> {
        let is_left =
            |(id, line): &(UpdateId, &Line)| !line.is_clear() && !is_settled(self.all.fates.get(id));
        let left: Vec<_> = (0..).zip(&self.day.lines).filter(is_left).map(|(id, _)| id).collect();
        ensure(left.is_empty(), || format!("left at an end in order: {left:?}"))
    }

    /// Whether those that are left for ever may be: some of them are links, which go behind all others, and are
    /// answered with 503 when nobody else is left; or they are more than are told by night.
    fn may_be_left(&self) -> Result<(), String> {
        let left: Vec<(UpdateId, Kind)> =
            self.pending().into_iter().map(|id| (id, self.line(id).kind)).collect();
        let is_outage = self.all.stop == Some(StopCause::Outage);
        let are_many = self.kept.as_ref().is_some_and(|kept| kept.subjects.len() >= FEW_MAX);
        let are_linked = left.iter().any(|(id, kind)| *kind != Kind::Good && self.line(*id).link.is_some());
        ensure(are_many || is_outage && are_linked, || {
            format!("these never fail, though others pass night after night: {left:?}, {:?}", self.all.stop)
        })
    }
}

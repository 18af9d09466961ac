//! The driver's part where updates are linked: each goes when the one before it in its chain or ring is settled; what
//! waits for somebody who is kept back is put aside for later passes; and in these, where nobody else has a turn, one
//! that waits is asked whether that is everybody's matter, before anybody is ruled on.
//!
//! A model of `deliver/waves.rs`, `later.rs`, `aside.rs`, `resolve.rs` and `chains.rs`, without the journal, the
//! limits, and the search where nobody knows the order. A clear has a number of its own here. Not here: the passes of
//! other days (`mod.rs`), and what must be true of the runs (`linked.rs`).

use std::collections::{BTreeMap, BTreeSet};

use super::checker::ensure;
use super::day::{Kind, Line, Sort};
use super::evening::Fate;
use super::planted::Flaw;
use super::server::Server;
use super::{Pass, World};
use crate::delivery::UpdateId;
use crate::delivery::outcome::Verdict;
use crate::ledger::FailureKind;

/// Redirects at the end of all that are taken for the rows' own.
const FEW_REDIRECTS_MAX: usize = 2;

/// Where an update stands among those it is linked with.
#[derive(Debug, Clone, Copy, Default)]
struct Linked {
    /// The update of the subject that has what this one takes.
    waits_for: Option<UpdateId>,
    group: u32,
    ring: u32,
}

/// Updates that are linked with each other.
#[derive(Debug, Default)]
struct Group {
    /// Of the wave that has its turn.
    unsettled: BTreeSet<UpdateId>,
    waves: BTreeMap<usize, Vec<UpdateId>>,
}

/// The links of a run.
#[derive(Debug, Default)]
pub(super) struct Links {
    linked: BTreeMap<UpdateId, Linked>,
    /// Of each value, the update of the subject that has it, where there is one.
    holders: BTreeMap<u64, UpdateId>,
    /// By the update of a subject that is cleared before its ring, the clear.
    clears: BTreeMap<UpdateId, UpdateId>,
    groups: BTreeMap<u32, Group>,
    /// Rings whose clears are kept back since an earlier pass.
    rings_kept_back: BTreeSet<u32>,
    /// Updates in conflict; in a later pass, with how many were synced before it.
    refused: BTreeMap<UpdateId, Option<usize>>,
    /// How many were synced when an update was tried last.
    tried: BTreeMap<UpdateId, usize>,
    is_forward: bool,
    /// What was kept back when the pass began.
    carried: BTreeSet<UpdateId>,
    /// Whoever was asked out of its turn.
    witnesses: BTreeSet<UpdateId>,
}

impl Links {
    /// What the plan says of these lines: who waits for whom, now that this server's subjects have what they have.
    pub(super) fn of(lines: &[Line], server: &Server) -> Links {
        let mut links = Links::default();
        let updates: BTreeMap<u64, UpdateId> = (0..)
            .zip(lines)
            .filter(|(_, line)| !line.is_clear())
            .map(|(id, line)| (line.subject, id))
            .collect();
        for (id, line) in (0..).zip(lines) {
            let Some(link) = line.link else { continue };
            let holder = server.owner(link.has).filter(|owner| *owner == line.subject);
            if line.is_clear() {
                let update = updates.get(&line.subject).copied().unwrap_or_default();
                links.clears.insert(update, id);
            } else if holder.is_some() {
                links.holders.insert(link.has, id);
            }
        }
        let rings: BTreeSet<u32> =
            lines.iter().filter(|line| line.is_clear()).filter_map(|line| Some(line.link?.ring)).collect();
        for (id, line) in (0..).zip(lines) {
            let Some(link) = line.link else { continue };
            let ring = if rings.contains(&link.ring) { link.ring } else { 0 };
            let holder = link.wants.and_then(|wants| links.holders.get(&wants)).copied();
            let waits_for = holder.filter(|holder| !links.clears.contains_key(holder));
            if waits_for.is_some() || ring != 0 {
                links.linked.insert(id, Linked { waits_for, group: link.group, ring });
            }
        }
        let waves: Vec<_> = links.linked.iter().map(|(id, of)| (*id, of.group, links.wave(*id))).collect();
        for (id, group, wave) in waves {
            links.groups.entry(group).or_default().waves.entry(wave).or_default().push(id);
        }
        links
    }

    /// When an update is sent: those before it, and the clear of its ring.
    fn wave(&self, id: UpdateId) -> usize {
        let before = std::iter::successors(Some(id), |id| self.linked.get(id)?.waits_for);
        let is_behind_clear = self.linked(id).ring != 0 && !self.clears.values().any(|clear| *clear == id);
        before.count() + usize::from(is_behind_clear)
    }

    /// Whether nobody is linked.
    pub(super) fn is_empty(&self) -> bool {
        self.linked.is_empty()
    }

    /// Whether an update has its place in a wave.
    pub(super) fn waits(&self, id: UpdateId) -> bool {
        self.linked.contains_key(&id)
    }

    fn linked(&self, id: UpdateId) -> Linked {
        self.linked.get(&id).copied().unwrap_or_default()
    }

    fn is_clear(&self, id: UpdateId) -> bool {
        self.clears.values().any(|clear| *clear == id)
    }

    /// An update is settled or put aside: with the last of its wave the next one has its turn.
    fn settle(&mut self, id: UpdateId) -> Vec<UpdateId> {
        let number = self.linked(id).group;
        let Some(group) = self.groups.get_mut(&number) else { return Vec::new() };
        if group.unsettled.remove(&id) && group.unsettled.is_empty() {
            return self.promote(number);
        }
        Vec::new()
    }

    fn promote(&mut self, number: u32) -> Vec<UpdateId> {
        let Some(group) = self.groups.get_mut(&number) else { return Vec::new() };
        let Some((_, wave)) = group.waves.pop_first() else {
            self.groups.remove(&number);
            return Vec::new();
        };
        group.unsettled = wave.iter().copied().collect();
        wave
    }
}

impl World {
    /// Whether this update, or the clear before it, is kept back since an earlier pass, or is on its way.
    fn is_carried(&self, id: UpdateId) -> bool {
        let clear = self.links.clears.get(&id);
        self.held.contains(&id) || clear.is_some_and(|clear| self.held.contains(clear))
    }

    /// Rings whose clears are with the scheduler, as far as they are asked for.
    fn rings_held(&self, is_asked_for: impl Fn(UpdateId) -> bool) -> BTreeSet<u32> {
        let clears =
            self.links.clears.values().filter(|clear| self.held.contains(clear) && is_asked_for(**clear));
        clears.map(|clear| self.links.linked(*clear).ring).collect()
    }

    /// Lets an update wait for the later passes without an attempt, where the one it waits for does.
    pub(super) fn put_aside(&mut self, id: UpdateId) -> bool {
        if self.pass != Pass::Linked || self.links.is_clear(id) {
            return false;
        }
        let linked = self.links.linked(id);
        let waits = linked.waits_for.is_some_and(|of| self.deferred.contains(&of) || self.is_carried(of))
            || self.links.rings_kept_back.contains(&linked.ring)
            || self.is_carried(id);
        if waits {
            self.scheduler.take_deferred_room();
            self.deferred.insert(id);
            self.settle_link(id);
        }
        waits
    }

    /// An update is settled, or is not sent in this pass.
    fn settle_link(&mut self, id: UpdateId) {
        let next = self.links.settle(id);
        self.is_input_over &= next.is_empty();
        self.unread.extend(next);
    }

    /// An update has its fate.
    pub(super) fn note_fate(&mut self, id: UpdateId, fate: Fate) {
        self.held.remove(&id);
        if self.day.sort != Sort::Linked {
            return;
        }
        if fate == Fate::Deferred {
            self.links.refused.insert(id, self.links.tried.get(&id).copied());
        } else {
            self.deferred.remove(&id);
        }
        if self.links.is_clear(id) {
            self.links.rings_kept_back.remove(&self.links.linked(id).ring);
            if fate != Fate::Synced {
                self.scheduler.keep_away(self.subject(id));
            }
        }
        self.settle_link(id);
    }

    /// Whoever waits for another one is not sent before that is settled, unless it is asked for its sake; nor does
    /// anybody who is in conflict go again for nothing.
    pub(super) fn see_link_sent(&self, id: UpdateId) -> Result<(), String> {
        let before = self.links.linked(id).waits_for;
        let is_open =
            |of: &UpdateId| !matches!(self.evening.fates.get(of), Some(Fate::Synced | Fate::Failed(_)));
        let is_asked = self.links.witnesses.contains(&id) || self.links.carried.contains(&id);
        let before = before.filter(|of| is_open(of) && !is_asked);
        let is_early = |of: UpdateId| self.pass == Pass::Linked || self.links.carried.contains(&of);
        ensure(!before.is_some_and(is_early), || format!("{id} sent before {before:?}, which it waits for"))?;
        let refused = self.links.refused.get(&id).filter(|then| then.is_some_and(|then| then >= self.synced));
        ensure(refused.is_none(), || format!("{id}, in conflict, sent again, and nobody was synced since"))
    }

    /// The pass behind this one on a day of links.
    pub(super) fn next_linked_pass(&mut self) -> Result<bool, String> {
        if self.pass == Pass::Main && !self.links.groups.is_empty() {
            let groups: Vec<u32> = self.links.groups.keys().copied().collect();
            let flawed = self.day.flaw == Some(Flaw::SendsLinksAtOnce);
            self.unread = groups.iter().flat_map(|group| self.links.promote(*group)).collect();
            if flawed {
                let all = std::mem::take(&mut self.links.groups).into_values();
                self.unread.extend(all.flat_map(|group| group.waves.into_values()).flatten());
            }
            self.pass = Pass::Linked;
        } else if self.pass == Pass::Linked && !self.links.groups.is_empty() {
            self.links.rings_kept_back = self.rings_held(|_| true);
            for id in self.held.clone() {
                self.settle_link(id);
            }
            ensure(!self.unread.is_empty() || self.links.groups.is_empty(), || {
                format!("links that never have their turn: {:?}", self.links.groups)
            })?;
        } else if !self.resolve()? {
            return Ok(false);
        }
        self.links.carried = self.held.clone();
        self.begin_pass()?;
        if self.is_mixed && self.pass == Pass::Linked {
            self.read_ahead();
        }
        Ok(true)
    }

    /// The later passes: those whose turn it is, else one that is asked, else what is kept back is ruled on.
    fn resolve(&mut self) -> Result<bool, String> {
        if self.day.flaw == Some(Flaw::RulesBeforeAsking)
            && self.pass == Pass::Linked
            && !self.held.is_empty()
        {
            self.pass = Pass::Closing(self.synced);
            return Ok(true);
        }
        let mut turn = self.turn();
        if turn.is_empty() {
            self.note_linked();
            if self.day.flaw != Some(Flaw::NeverAsks) {
                turn.extend(self.witness());
            }
        }
        if !turn.is_empty() {
            self.unread = turn.into();
            self.pass = Pass::Turn;
            return Ok(true);
        }
        if !self.held.is_empty() {
            self.pass = Pass::Closing(self.synced);
            return Ok(true);
        }
        for id in std::mem::take(&mut self.deferred) {
            // A conflict to the end.
            self.evening.fates.insert(id, Fate::Failed(FailureKind::Unresolved));
            let decision = self.scheduler.count_unresolved("409 no");
            self.hear(decision)?;
        }
        Ok(false)
    }

    /// Whether any of those that are kept back waits for another one of them, or for the clear of its ring.
    fn note_linked(&mut self) {
        let rings = self.rings_held(|_| true);
        let waits = |id: &UpdateId| {
            let linked = self.links.linked(*id);
            let is_behind =
                linked.waits_for.is_some_and(|of| self.is_carried(of)) || rings.contains(&linked.ring);
            !self.links.is_clear(*id) && is_behind
        };
        let are_linked = self.held.iter().any(waits) && self.day.flaw != Some(Flaw::HidesLinks);
        self.scheduler.note_linked(are_linked);
    }

    /// Who may be tried: those that wait for nobody who waits, for the first time or again since others were synced.
    fn turn(&mut self) -> Vec<UpdateId> {
        let rings = self.rings_held(|_| true);
        let is_open = |id: &UpdateId| {
            let linked = self.links.linked(*id);
            let is_kept_back = self.is_carried(*id) || linked.waits_for.is_some_and(|of| self.is_carried(of));
            let is_tried = self.links.tried.get(id).is_some_and(|then| *then >= self.synced);
            !is_kept_back && !rings.contains(&linked.ring) && !is_tried
        };
        let open: Vec<UpdateId> = self.deferred.iter().copied().filter(is_open).collect();
        let is_free = |id: &UpdateId| {
            let waits_for = self.links.linked(*id).waits_for;
            let wants = self.line(*id).link.and_then(|link| link.wants);
            let holder = wants.and_then(|wants| self.links.holders.get(&wants)).copied();
            !waits_for.into_iter().chain(holder).any(|of| of != *id && self.deferred.contains(&of))
        };
        let free: Vec<UpdateId> = open.iter().copied().filter(is_free).collect();
        let untried: Vec<UpdateId> =
            free.iter().copied().filter(|id| !self.links.tried.contains_key(id)).collect();
        let mut chosen = [untried, free].into_iter().find(|those| !those.is_empty()).unwrap_or(open);
        self.links.tried.extend(chosen.iter().map(|id| (*id, self.synced)));
        if !self.links.is_forward {
            chosen.reverse();
        }
        self.links.is_forward = !self.links.is_forward;
        chosen
    }

    /// One that was never sent and waits for nobody but for one that was turned away, or for a clear that was.
    fn witness(&mut self) -> Option<UpdateId> {
        let away = self.scheduler.seeks_testimony();
        let all = self.rings_held(|_| true);
        let rings = self.rings_held(|clear| away.contains(&clear));
        let is_away = |of: UpdateId| {
            away.contains(&of) || self.links.clears.get(&of).is_some_and(|clear| away.contains(clear))
        };
        let asks_again = self.day.flaw == Some(Flaw::AsksTheSame);
        let is_witness = |id: &UpdateId| {
            let linked = self.links.linked(*id);
            let waits = linked.waits_for.is_some_and(is_away) || rings.contains(&linked.ring);
            let is_behind =
                |of: UpdateId| (self.deferred.contains(&of) || self.is_carried(of)) && !is_away(of);
            let waits_for_others = linked.waits_for.is_some_and(is_behind)
                || all.contains(&linked.ring) && !rings.contains(&linked.ring);
            let was_sent = self.links.refused.contains_key(id) || self.links.tried.contains_key(id);
            waits && !waits_for_others && !self.is_carried(*id) && (!was_sent || asks_again)
        };
        let chosen = self.deferred.iter().copied().find(is_witness)?;
        self.links.tried.insert(chosen, self.synced);
        self.links.witnesses.insert(chosen);
        Some(chosen)
    }

    /// Whether somebody before it never gives up what it takes, so that it comes to nothing.
    fn comes_to_nothing(&self, id: UpdateId) -> bool {
        let before = std::iter::successors(Some(id), |id| self.links.linked(*id).waits_for);
        let before: Vec<UpdateId> = before.take(self.day.lines.len()).collect();
        let is_bad = |id: &UpdateId| self.line(*id).kind != Kind::Good;
        let ring = self.links.linked(id).ring;
        let mut clears = self.links.clears.values().filter(|clear| self.links.linked(**clear).ring == ring);
        let first = before.last().map(|id| self.line(*id));
        let owner = first.and_then(|line| self.server.owner(line.link?.wants?));
        let is_held = ring == 0 && owner.is_some_and(|owner| first.is_some_and(|line| line.subject != owner));
        before.iter().any(is_bad) || clears.any(is_bad) || self.day.are_values_unique && is_held
    }

    /// Whether a healthy update may have failed with what turns everybody away: it was the last one of all (with a
    /// redirect, one of two), or one of few that wait for each other in no way, after others had passed, in a run that was continued under the same
    /// token.
    pub(super) fn see_own_failures(&self, verdicts: &[(UpdateId, Verdict)]) -> Result<(), String> {
        let is_failed = |verdict: &Verdict| matches!(verdict, Verdict::Failed(failure) if failure.kind != FailureKind::Unresolved);
        let is_healthy = |id: UpdateId| self.line(id).kind == Kind::Good && !self.comes_to_nothing(id);
        let healthy = verdicts.iter().find(|(id, verdict)| is_failed(verdict) && is_healthy(*id));
        let Some((id, _)) = healthy else { return Ok(()) };
        let is_left = |id: &UpdateId| {
            let fate = self.evening.fates.get(id);
            !matches!(fate, Some(Fate::Synced | Fate::Failed(_)))
        };
        let left: BTreeSet<UpdateId> = (0..self.day.lines.len() as u64).filter(is_left).collect();
        let waits = |id: &UpdateId| {
            let linked = self.links.linked(*id);
            let mut clears = left.iter().filter(|of| self.links.is_clear(**of));
            let waits_for_clear = clears.any(|of| self.links.linked(*of).ring == linked.ring && of != id);
            waits_for_clear || linked.waits_for.is_some_and(|of| left.contains(&of))
        };
        let are_linked = left.iter().any(waits) && left.len() > 1;
        let is_redirected = verdicts.iter().any(|(of, verdict)| of == id && is_redirect(verdict));
        let few_max = if is_redirected { FEW_REDIRECTS_MAX } else { 1 };
        let are_told = self.day.rules.turned_away.are_left_alone || left.len() <= few_max;
        ensure(are_told && !are_linked, || format!("{id} is healthy, and has failed; left were {left:?}"))
    }
}

fn is_redirect(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failed(failure) if matches!(failure.status, Some(300..=399)))
}

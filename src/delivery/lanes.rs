//! Where every held update is: behind another of its subject, ready, waiting for a moment, on the wire, or parked.
//!
//! One lane per subject; only the update at a lane's head is ever ready, which is the whole of promise 3. The ready
//! ones stand in four queues: *front* (goes again at no cost, or was chosen to probe), *retries*, *fresh*, and *last*
//! (chronic ones).
//!
//! Not here: when anything may be sent at all (`schedule.rs`).

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::ahead::scattered;
use super::alone::PushedBack;
use super::decision::{Leftover, Offer, UpdateId};
use super::same::TurnedAway;
use super::turned_away::Against;
use crate::digest::SubjectId;

#[cfg(test)]
pub(super) use charge::EXHAUSTED_MAX;
pub(super) use charge::Exhausted;

mod charge;

/// Retries that the retry budget may save up.
const CREDIT_RETRIES_MAX: u32 = 4;

/// Of the fresh ones, once the server was taken for down: how many of the oldest go in a row without an answer that
/// shows that it is well, and then of the newest.
const TURNS_MAX: u32 = 3;

/// Of so many fresh ones, one is taken from the end at which rows are pushed back.
const SHUNNED_OF: u32 = 5;

/// Where an update is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Behind another update of its subject.
    Behind,
    /// In a queue.
    Ready,
    /// Not before a moment.
    Delayed,
    /// On the wire.
    InFlight,
    /// Its verdict is kept back.
    Parked,
}

/// A held update.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) subject: SubjectId,
    pub(super) chronic: bool,
    /// How an earlier update of its subject ran out of attempts in this run, where it is chronic only since then.
    pub(super) follows: Option<Exhausted>,
    /// Requests made for it, whatever became of them.
    pub(super) attempts: u32,
    /// Attempts that count against it.
    pub(super) charged: u32,
    /// Those of them that do not after all, because the server was sick.
    pub(super) waived: u32,
    /// Those charged that the application itself answered with an error, and not a gateway on its behalf, nor silence.
    pub(super) answered: u32,
    /// Those charged that a definite answer has followed.
    pub(super) confirmed: u32,
    /// Whether somebody passed after a failure of it, charged or not.
    pub(super) is_passed_over: bool,
    /// Number of its latest attempt that failed.
    failed_number: Option<u64>,
    /// When the first failure that counts was, on the clock of the time the run was free to send.
    failed_first_ms: Option<u64>,
    /// Temporary failures its delay grows with.
    pub(super) strikes: u32,
    /// Whether some attempt of it may have been applied.
    pub(super) maybe_applied: bool,
    /// Breaker's epoch and moment of the latest attempt.
    pub(super) sent: (u32, u64),
    /// Number of the latest attempt among all of the run.
    pub(super) number: u64,
    /// Whether the latest attempt was a probe.
    pub(super) probed: bool,
    /// Whether the latest attempt left so long after the one before it that it did not come too fast.
    pub(super) unhurried: bool,
    /// Under which token it was refused with others in a row, and is tried once more.
    pub(super) suspected: Option<u64>,
    /// Whether it was refused once more under that token.
    pub(super) refused_again: bool,
    /// Whether an earlier run was stopped for its subject.
    pub(super) away: bool,
    /// The kind of its latest answer that was none to its liking.
    pub(super) against: Option<Against>,
    /// Passes in which it went on although its attempts were used up.
    passes: u32,
    /// Requests for it that the server did not look at.
    pub(super) unprocessed: u32,
    /// Its 429.
    pub(super) pushed_back: PushedBack,
    /// Its 429 and 503.
    pub(super) turned_away: TurnedAway,
    /// Whether it was taken from among the newest.
    is_from_behind: bool,
    stand: Stand,
}

/// All held updates.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    items: HashMap<UpdateId, Item>,
    /// Subjects with an update at the head of their lane, and what waits behind it.
    behind: HashMap<SubjectId, VecDeque<UpdateId>>,
    front: VecDeque<UpdateId>,
    /// Retries of those of whom no later answer has told yet whose failure it was: best found out while others pass.
    doubtful: VecDeque<UpdateId>,
    /// All other retries.
    retries: VecDeque<UpdateId>,
    fresh: VecDeque<UpdateId>,
    last: VecDeque<UpdateId>,
    /// By moment; the second number tells equal moments apart.
    delayed: BTreeMap<(u64, u64), UpdateId>,
    delayed_chronic: BTreeMap<(u64, u64), UpdateId>,
    delays: u64,
    /// Subjects of which an update ran out of attempts and none has passed since, as far as they are kept.
    exhausted: HashMap<SubjectId, Exhausted>,
    /// Attempts launched so far.
    launched: u64,
    in_flight: usize,
    /// Whether the newest of the fresh ones go between the oldest, since the server was taken for down: rows that
    /// fail on their own stand together, and look like an outage unless others pass between them.
    is_mixed: bool,
    /// Whether nobody passes, so that the newest of the fresh ones go first.
    is_lost: bool,
    /// The end of the fresh ones at which rows are pushed back, whether it is that of the newest; and those taken
    /// since.
    shunned: Option<(bool, u32)>,
    /// Fresh ones that went so since the last definite answer, counted round.
    turn: u32,
    /// Fresh ones that were taken to probe.
    probes: u32,
    plain: usize,
    plain_heads: usize,
    /// Retry budget: first attempts since the latest retry, bounded.
    credit: u32,
    /// Whether more first attempts are on their way, so that retries keep to their budget even while none is here.
    expects_fresh: bool,
}

impl Lanes {
    /// Takes an update in, at the end of its subject's lane.
    pub(super) fn offer(&mut self, offer: Offer, is_away: bool) {
        debug_assert!(!self.items.contains_key(&offer.id), "an update is offered once");
        let follows = self.exhausted.get(&offer.subject).filter(|_| !offer.chronic).copied();
        let item = Item {
            subject: offer.subject,
            chronic: offer.chronic || follows.is_some(),
            follows,
            attempts: 0,
            charged: 0,
            waived: 0,
            answered: 0,
            confirmed: 0,
            is_passed_over: false,
            failed_number: None,
            failed_first_ms: None,
            strikes: 0,
            maybe_applied: false,
            sent: (0, 0),
            number: 0,
            probed: false,
            unhurried: false,
            suspected: None,
            refused_again: false,
            away: is_away,
            against: None,
            passes: 0,
            unprocessed: 0,
            pushed_back: follows.and_then(Exhausted::pushed_back).unwrap_or_default(),
            turned_away: TurnedAway::default(),
            is_from_behind: false,
            stand: Stand::Behind,
        };
        self.plain += usize::from(!item.chronic);
        self.items.insert(offer.id, item);
        if let Some(behind) = self.behind.get_mut(&offer.subject) {
            behind.push_back(offer.id);
        } else {
            self.behind.insert(offer.subject, VecDeque::new());
            self.become_head(offer.id);
        }
    }

    pub(super) fn held(&self) -> usize {
        self.items.len()
    }

    /// Attempts launched so far.
    pub(super) fn launched(&self) -> u64 {
        self.launched
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn in_flight_ids(&self) -> Vec<UpdateId> {
        let mut ids: Vec<UpdateId> =
            self.items.iter().filter(|(_, item)| item.stand == Stand::InFlight).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn get(&self, id: UpdateId) -> Option<&Item> {
        self.items.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: UpdateId) -> Option<&mut Item> {
        self.items.get_mut(&id)
    }

    /// All that are held, in no order.
    pub(super) fn items(&self) -> impl Iterator<Item = (UpdateId, &Item)> {
        self.items.iter().map(|(id, item)| (*id, item))
    }

    /// Updates that were never tried, are not chronic, and could be sent as far as they themselves are concerned.
    pub(super) fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// Whether nobody is left who was never tried, or goes again at no cost.
    pub(super) fn are_all_tried(&self) -> bool {
        self.front.is_empty() && self.fresh.is_empty()
    }

    /// Updates behind the first one of this subject.
    pub(super) fn behind(&self, subject: SubjectId) -> impl Iterator<Item = UpdateId> {
        self.behind.get(&subject).into_iter().flatten().copied()
    }

    /// Moves an update that was just offered before the others, where it is the first of its subject.
    pub(super) fn prefer(&mut self, id: UpdateId) {
        if self.fresh.back() == Some(&id) {
            self.fresh.pop_back();
            self.front.push_front(id);
        }
    }

    /// Updates that could be sent as far as they themselves are concerned, delayed ones not counted.
    pub(super) fn ready(&self) -> usize {
        self.plain_ready() + self.last.len()
    }

    /// Subjects whose turn it is and whose update may testify about the server.
    pub(super) fn plain_heads(&self) -> usize {
        self.plain_heads
    }

    /// Updates that wait for a moment.
    pub(super) fn delayed(&self) -> usize {
        self.delayed.len() + self.delayed_chronic.len()
    }

    /// Whether more first attempts are on their way.
    pub(super) fn expects_fresh(&self) -> bool {
        self.expects_fresh
    }

    /// Whether nothing is ready, delayed or on the wire.
    pub(super) fn nothing_moves(&self) -> bool {
        self.ready() == 0 && self.delayed.is_empty() && self.delayed_chronic.is_empty() && self.in_flight == 0
    }

    /// Says whether more first attempts are on their way.
    pub(super) fn expect_fresh(&mut self, are_coming: bool) {
        self.expects_fresh = are_coming;
    }

    /// Updates [`Lanes::take`] could give out at this moment, counted up to `limit`.
    pub(super) fn available(&self, now_ms: u64, limit: usize, fresh_per_retry: u32) -> usize {
        let due = |delays: &BTreeMap<(u64, u64), UpdateId>, limit: usize| {
            delays.range(..=(now_ms, u64::MAX)).take(limit).count()
        };
        let first = self.front.len().saturating_add(self.fresh.len());
        let retries = self.doubtful.len() + self.retries.len();
        let retries = retries.saturating_add(due(&self.delayed, limit));
        let allowed = self.retries_allowed(fresh_per_retry).min(retries);
        let mut count = first.saturating_add(allowed).min(limit);
        if allowed == retries {
            count = count.saturating_add(self.last.len()).min(limit);
            count += due(&self.delayed_chronic, limit - count);
        }
        count
    }

    /// Retries that the budget lets through before another first attempt has come.
    fn retries_allowed(&self, fresh_per_retry: u32) -> usize {
        if !self.expects_fresh || fresh_per_retry == 0 {
            return usize::MAX;
        }
        let per_retry = usize::try_from(fresh_per_retry).unwrap_or(usize::MAX);
        let credit = usize::try_from(self.credit).unwrap_or(usize::MAX);
        credit.saturating_add(self.fresh.len()) / per_retry
    }

    /// The first moment at which a delay ends, if it is after `now_ms`; `is_probe` as in [`Lanes::take_probe`].
    pub(super) fn next_delay_ms(&self, now_ms: u64, is_probe: bool) -> Option<u64> {
        let first = |delays: &BTreeMap<(u64, u64), UpdateId>| {
            delays.range((now_ms.saturating_add(1), 0)..).next().map(|((at_ms, _), _)| *at_ms)
        };
        let chronic = if is_probe && self.plain > 0 { None } else { first(&self.delayed_chronic) };
        first(&self.delayed).into_iter().chain(chronic).min()
    }

    /// Whether [`Lanes::take_probe`] would find somebody at this moment.
    pub(super) fn has_probe(&self, now_ms: u64) -> bool {
        let is_due = |delays: &BTreeMap<(u64, u64), UpdateId>| {
            delays.first_key_value().is_some_and(|((at_ms, _), _)| *at_ms <= now_ms)
        };
        if self.plain > 0 {
            return self.plain_ready() > 0 || is_due(&self.delayed);
        }
        !self.last.is_empty() || is_due(&self.delayed_chronic)
    }

    /// Moves the updates whose delay is over into their queues.
    pub(super) fn promote(&mut self, now_ms: u64) {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now_ms) {
            let id = entry.remove();
            self.stand(id, Stand::Ready);
            let is_known = self.items.get(&id).is_some_and(|item| item.confirmed > 0);
            let retries = if is_known { &mut self.retries } else { &mut self.doubtful };
            retries.push_back(id);
        }
        while let Some(entry) = self.delayed_chronic.first_entry().filter(|entry| entry.key().0 <= now_ms) {
            let id = entry.remove();
            self.stand(id, Stand::Ready);
            self.last.push_back(id);
        }
    }

    /// Takes the next update out of the queues. A retry goes when the budget allows it, or nothing fresh is left and
    /// nothing fresh is coming; until then chronic ones wait with it.
    pub(super) fn take(&mut self, fresh_per_retry: u32) -> Option<UpdateId> {
        let is_fresh_asked = self.is_lost && !self.fresh.is_empty();
        if !is_fresh_asked && let Some(id) = self.front.pop_front() {
            return Some(id);
        }
        let is_all_fresh_gone = self.fresh.is_empty() && !self.expects_fresh;
        if !is_fresh_asked
            && (self.credit >= fresh_per_retry || is_all_fresh_gone)
            && let Some(id) = self.doubtful.pop_front().or_else(|| self.retries.pop_front())
        {
            self.credit = self.credit.saturating_sub(fresh_per_retry);
            return Some(id);
        }
        if let Some(id) = self.take_fresh() {
            let credit_max = fresh_per_retry.saturating_mul(CREDIT_RETRIES_MAX);
            self.credit = self.credit.saturating_add(1).min(credit_max);
            return Some(id);
        }
        if self.doubtful.is_empty() && self.retries.is_empty() { self.last.pop_front() } else { None }
    }

    /// Takes an update that can probe: another subject than the one probed last, if there is one; no chronic one
    /// unless nothing else is held.
    pub(super) fn take_probe(&mut self, last_probed: Option<SubjectId>) -> Option<UpdateId> {
        if self.plain == 0 {
            return take_other(&mut self.last, &self.items, last_probed).or_else(|| self.last.pop_front());
        }
        self.is_mixed = true;
        // Fresh ones before those that have failed already: their answer says more. And from anywhere among them:
        // rows that fail on their own stand together, and the next one in the file tells least whether it is the
        // server.
        if let Some(id) = take_other(&mut self.front, &self.items, last_probed) {
            return Some(id);
        }
        if !self.fresh.is_empty() {
            self.probes = self.probes.wrapping_add(1);
            return self.fresh.remove(scattered(self.probes, self.fresh.len()));
        }
        for retries in [&mut self.retries, &mut self.doubtful] {
            if let Some(id) = take_other(retries, &self.items, last_probed) {
                return Some(id);
            }
        }
        [&mut self.front, &mut self.fresh, &mut self.doubtful, &mut self.retries]
            .into_iter()
            .find_map(VecDeque::pop_front)
    }

    /// Takes one of those that were never tried, from anywhere; the next in turn where there is none, or where one
    /// that goes again is wanted (`is_again`) and there is one.
    pub(super) fn take_other(&mut self, is_again: bool, fresh_per_retry: u32) -> Option<UpdateId> {
        if self.fresh.is_empty() || is_again && !self.front.is_empty() {
            return self.take(fresh_per_retry);
        }
        self.is_mixed = true;
        self.probes = self.probes.wrapping_add(1);
        self.fresh.remove(scattered(self.probes, self.fresh.len()))
    }

    /// The server is well.
    pub(super) fn on_definite(&mut self) {
        (self.turn, self.is_lost) = (0, false);
    }

    /// Whether rows may be failing for their own sake, many together.
    pub(super) fn is_mixed(&self) -> bool {
        self.is_mixed
    }

    /// Whoever is pushed back is so for its own sake, and keeps nobody waiting.
    pub(super) fn shun_nobody(&mut self) {
        self.shunned = None;
    }

    /// Nobody passes: the newest go first, those that were read ahead and are mixed.
    pub(super) fn mix(&mut self) {
        (self.is_mixed, self.is_lost) = (true, true);
    }

    /// A fresh one was pushed back, and with it everybody: fewer are taken from where it stood, for rows that are
    /// pushed back for their own sake stand together.
    pub(super) fn shun(&mut self, id: UpdateId) {
        let is_shunned = |item: &&Item| self.is_mixed && !self.is_lost && item.attempts == 1;
        if let Some(item) = self.items.get(&id).filter(is_shunned) {
            self.shunned = Some((item.is_from_behind, 0));
        }
    }

    fn take_fresh(&mut self) -> Option<UpdateId> {
        if !self.is_mixed {
            return self.fresh.pop_front();
        }
        let is_newest = if self.is_lost {
            true
        } else if let Some((is_newest, taken)) = &mut self.shunned {
            *taken += 1;
            *is_newest == taken.is_multiple_of(SHUNNED_OF)
        } else {
            let is_newest = self.turn >= TURNS_MAX;
            self.turn = (self.turn + 1) % (2 * TURNS_MAX);
            is_newest
        };
        let id = if is_newest { self.fresh.pop_back() } else { self.fresh.pop_front() }?;
        if let Some(item) = self.items.get_mut(&id) {
            item.is_from_behind = is_newest;
        }
        Some(id)
    }

    /// The update taken out of a queue is on the wire.
    pub(super) fn launch(&mut self, id: UpdateId, epoch: u32, now_ms: u64, is_probe: bool) -> Option<&Item> {
        let item = self.items.get_mut(&id)?;
        item.attempts = item.attempts.saturating_add(1);
        item.sent = (epoch, now_ms);
        self.launched += 1;
        item.number = self.launched;
        item.probed = is_probe;
        item.unhurried = false;
        item.stand = Stand::InFlight;
        self.in_flight += 1;
        Some(item)
    }

    /// Says of the update that was just launched whether it came slowly.
    pub(super) fn note_unhurried(&mut self, id: UpdateId, is_unhurried: bool) {
        if let Some(item) = self.items.get_mut(&id) {
            item.unhurried = is_unhurried;
        }
    }

    /// The update is off the wire; false if it was not on it. The caller says next where it goes.
    pub(super) fn land(&mut self, id: UpdateId) -> bool {
        let was_in_flight = self.items.get(&id).is_some_and(|item| item.stand == Stand::InFlight);
        if was_in_flight {
            self.in_flight -= 1;
            self.stand(id, Stand::Parked);
        }
        was_in_flight
    }

    /// Back to the front of its queue.
    pub(super) fn put_in_front(&mut self, id: UpdateId) {
        self.stand(id, Stand::Ready);
        if self.is_chronic(id) {
            self.last.push_front(id);
        } else {
            self.front.push_front(id);
        }
    }

    /// Not before a moment.
    pub(super) fn delay(&mut self, id: UpdateId, until_ms: u64) {
        self.delays += 1;
        let key = (until_ms, self.delays);
        self.stand(id, Stand::Delayed);
        if self.is_chronic(id) {
            self.delayed_chronic.insert(key, id);
        } else {
            self.delayed.insert(key, id);
        }
    }

    /// Lets go of an update that is off the wire, and moves its lane up.
    pub(super) fn settle(&mut self, id: UpdateId) -> Option<Item> {
        let item = self.items.remove(&id)?;
        debug_assert!(item.stand == Stand::Parked, "only what is in nobody's queue settles");
        self.plain -= usize::from(!item.chronic);
        self.plain_heads -= usize::from(!item.chronic);
        match self.behind.get_mut(&item.subject).and_then(VecDeque::pop_front) {
            Some(next) => self.become_head(next),
            None => {
                self.behind.remove(&item.subject);
            }
        }
        Some(item)
    }

    /// Lets go of an update and of all that wait behind it. Returns those.
    pub(super) fn settle_lane(&mut self, id: UpdateId) -> Vec<UpdateId> {
        let Some(subject) = self.items.get(&id).map(|item| item.subject) else {
            return Vec::new();
        };
        let behind = self.behind.get_mut(&subject).map(std::mem::take).unwrap_or_default();
        for waiting in &behind {
            if let Some(item) = self.items.remove(waiting) {
                self.plain -= usize::from(!item.chronic);
            }
        }
        self.settle(id);
        behind.into()
    }

    /// Takes everything that is not on the wire, in the order of ids.
    pub(super) fn take_unsent(&mut self) -> Vec<Leftover> {
        for queue in [&mut self.front, &mut self.doubtful, &mut self.retries, &mut self.fresh, &mut self.last]
        {
            queue.clear();
        }
        self.delayed.clear();
        self.delayed_chronic.clear();
        let mut unsent = Vec::new();
        self.items.retain(|id, item| {
            let stays = item.stand == Stand::InFlight;
            if !stays {
                unsent.push(Leftover { id: *id, maybe_applied: item.maybe_applied });
            }
            stays
        });
        unsent.sort_unstable_by_key(|leftover| leftover.id);
        self.behind = self.items.values().map(|item| (item.subject, VecDeque::new())).collect();
        self.plain = self.items.values().filter(|item| !item.chronic).count();
        self.plain_heads = self.plain;
        unsent
    }

    fn become_head(&mut self, id: UpdateId) {
        self.stand(id, Stand::Ready);
        if self.is_chronic(id) {
            self.last.push_back(id);
        } else {
            self.plain_heads += 1;
            self.fresh.push_back(id);
        }
    }

    fn plain_ready(&self) -> usize {
        self.front.len() + self.doubtful.len() + self.retries.len() + self.fresh.len()
    }

    fn is_chronic(&self, id: UpdateId) -> bool {
        self.items.get(&id).is_some_and(|item| item.chronic)
    }

    fn stand(&mut self, id: UpdateId, stand: Stand) {
        if let Some(item) = self.items.get_mut(&id) {
            item.stand = stand;
        }
    }
}

/// Takes the first update of another subject. A subject stands in the queues at most once, so the second place is
/// the farthest to look.
fn take_other(
    queue: &mut VecDeque<UpdateId>,
    items: &HashMap<UpdateId, Item>,
    last_probed: Option<SubjectId>,
) -> Option<UpdateId> {
    let is_other =
        |id: &UpdateId| last_probed.is_none() || items.get(id).map(|item| item.subject) != last_probed;
    let place = queue.iter().take(2).position(is_other)?;
    queue.remove(place)
}

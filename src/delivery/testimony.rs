//! What an outcome tells of the server, whatever becomes of its update: to the brake, to the rate that passes, to the
//! limit on attempts in flight, and to those who count whether it is always the same rows.
//!
//! Not here: what it means for its update (`ruling.rs`), and what each of them makes of it (the files beside this one).

use super::brake::TESTIMONIES_MAX;
use super::decision::UpdateId;
use super::outcome::Outcome;
use super::schedule::Scheduler;
use super::shed;

impl Scheduler {
    /// Notes an answer about what the update says.
    pub(super) fn note_answered(&mut self, id: UpdateId, outcome: &Outcome, generation: u64, now_ms: u64) {
        self.testify(id, true, now_ms);
        let Some(item) = self.lanes.get(id) else { return };
        self.same.on_passed(item.turned_away);
        let is_failing_taken_back = self.brake.on_passed(item.failing);
        self.heard = self.heard.max(item.number);
        if *outcome != Outcome::Acknowledged && !self.is_first_contact() {
            self.token.on_answered(generation, item.number, item.subject);
        }
        // Where it is not always the same ones after all, nobody is known to be for its own sake.
        if self.same.is_taken_back() {
            self.lanes.take_same_back();
        }
        if is_failing_taken_back {
            self.lanes.take_failing_back();
        }
    }

    /// Notes a failure for the time being that may be the row's or the server's.
    pub(super) fn note_failed(&mut self, id: UpdateId, now_ms: u64) {
        if let Some(item) = self.lanes.get_mut(id).filter(|item| !item.chronic) {
            self.brake.on_failed(&mut item.failing, now_ms);
        }
        self.testify(id, false, now_ms);
    }

    /// Tells the brake whether the server passes or fails what nothing but the server explains. Without a connection
    /// nobody was asked, and a 429 has its quiet: neither is told.
    fn testify(&mut self, id: UpdateId, has_passed: bool, now_ms: u64) {
        let Some(item) = self.lanes.get(id) else { return };
        let is_own = item.is_turned_away_alone() || item.failing.is_own();
        let is_heard = !item.chronic && !item.probed && !is_own;
        if is_heard && item.charged < TESTIMONIES_MAX {
            self.brake.on_outcome(item.subject, has_passed, now_ms);
        }
    }

    /// Whether a rate may be learned from those that are turned away: not where it seems to be always the same ones,
    /// nor, once many have failed together, before one of them has passed.
    pub(super) fn may_be_by_rate(&self) -> bool {
        !self.same.seem_same() && (!self.lanes.is_mixed() || self.same.has_passed_again())
    }

    /// Notes who is turned away; where it is always the same ones, it was no rate that turned them away.
    pub(super) fn note_turned_away(
        &mut self,
        id: UpdateId,
        outcome: &Outcome,
        status: Option<u16>,
        now_ms: u64,
    ) {
        let is_turned_away = matches!(outcome, Outcome::Throttled { .. })
            || status == Some(503) && matches!(outcome, Outcome::ServerFailed { .. });
        let Some(item) = self.lanes.get_mut(id).filter(|item| is_turned_away && !item.chronic) else {
            return;
        };
        self.same.on_turned_away(&mut item.turned_away);
        if self.same.seem_same() {
            self.shed.on_same(now_ms);
        }
        if self.same.are_known() {
            self.lanes.shun_nobody();
        }
    }

    /// Tells what the server takes in and what it turns away without a word about how long; whether it has. A row
    /// known to fail on its own is told all the same: where a server sheds, every row has been turned away before.
    fn feed_shed(&mut self, id: UpdateId, outcome: &Outcome, status: Option<u16>, now_ms: u64) -> bool {
        let Some(item) =
            self.lanes.get(id).filter(|item| !item.chronic && !item.probed && !item.is_turned_away_alone())
        else {
            return false;
        };
        match outcome {
            Outcome::Throttled { retry_after_ms: None | Some(0) } => {}
            Outcome::ServerFailed { retry_after_ms: None | Some(0), .. } if status == Some(503) => {}
            Outcome::ServerFailed { .. }
            | Outcome::Page { .. }
            | Outcome::NotConnected
            | Outcome::TimedOut
            | Outcome::Disconnected => {
                self.shed.on_failed(now_ms);
                return false;
            }
            Outcome::Unprocessed => return false,
            Outcome::Acknowledged
            | Outcome::EchoMismatch { .. }
            | Outcome::Refused { .. }
            | Outcome::Conflict { .. }
            | Outcome::TokenRefused
            | Outcome::Forbidden { .. }
            | Outcome::Throttled { .. }
            | Outcome::Redirected => {
                self.shed.on_passed(now_ms);
                return false;
            }
        }
        if !self.may_be_by_rate() {
            return true;
        }
        let testifies = item.waived < shed::TESTIMONIES_MAX && !item.unhurried;
        self.shed.on_turned_away(item.subject, testifies, now_ms);
        true
    }

    /// Tells the limit what the attempt says about how much the server can take at once. A row known to fail on its
    /// own says nothing, nor does a probe, which was alone on the wire.
    pub(super) fn feed_concurrency(
        &mut self,
        id: UpdateId,
        outcome: &Outcome,
        status: Option<u16>,
        now_ms: u64,
    ) {
        // Where turning away goes by rate, fewer at once are no remedy.
        let is_turned_away = self.feed_shed(id, outcome, status, now_ms);
        if is_turned_away && (self.shed.is_by_rate() || self.same.seem_same()) {
            return;
        }
        let Some(item) = self.lanes.get(id) else { return };
        if item.chronic || item.confirmed > 0 || item.probed || item.is_turned_away_alone() {
            return;
        }
        let sent_ms = item.sent.1;
        match outcome {
            Outcome::Acknowledged | Outcome::EchoMismatch { .. } => {
                self.concurrency.on_answer(sent_ms, now_ms)
            }
            Outcome::Throttled { .. } | Outcome::TimedOut => self.concurrency.on_pushback(sent_ms, now_ms),
            Outcome::ServerFailed { .. } if matches!(status, Some(503 | 504)) => {
                self.concurrency.on_pushback(sent_ms, now_ms);
            }
            // Refusals are quicker than work, and other failures tell of faults and not of load.
            Outcome::ServerFailed { .. }
            | Outcome::Page { .. }
            | Outcome::Refused { .. }
            | Outcome::Conflict { .. }
            | Outcome::TokenRefused
            | Outcome::Forbidden { .. }
            | Outcome::Disconnected
            | Outcome::NotConnected
            | Outcome::Unprocessed
            | Outcome::Redirected => {}
        }
    }
}

//! Limits that were asked for and steering from outside, in the driver: how long and how much a run may send, a status
//! line on demand, and other bounds in the middle of a run.
//!
//! Not here: how a stopped run drains (`drain.rs`), and where other bounds come from (the front door).

use super::driver::Driver;
use super::feed::Fed;
use super::{Limit, Steering, Stopped};
use crate::engine::credit::Credit;
use crate::engine::signals::Ask;
use crate::event::Event;

/// Finds out what the bounds are now; the error says why they stay as they were.
pub type Reload<'a> = dyn Fn() -> Result<Steering, String> + 'a;

impl Driver<'_, '_> {
    /// Stops the run when its time is over.
    pub(super) fn check_time(&mut self) {
        if let Some((at_ms, limit)) = &self.rules.stop_at
            && self.is_going()
            && self.now_ms() >= *at_ms
        {
            self.stop(Stopped::Limit(limit.clone()));
        }
    }

    /// When the run's time is over; as late as can be, if it has no such limit.
    pub(super) fn stop_at_ms(&self) -> u64 {
        match &self.rules.stop_at {
            Some((at_ms, _)) if self.is_going() => *at_ms,
            Some(_) | None => u64::MAX,
        }
    }

    /// Takes as much of a group as the limit on updates, and the rings that are begun, allow. The rest was never on
    /// the wire and has no intent: it stays pending, and nothing more is read where nothing more can come. What waits
    /// for a later pass has its place.
    pub(super) fn within_limit(&mut self, mut group: Vec<Fed>, credit: &Credit) -> Vec<Fed> {
        if self.is_resolving || !self.is_going() {
            return group;
        }
        let fed = group.len();
        group.retain(|fed| {
            let is_sent = self.accept(fed);
            if is_sent {
                self.take_place(fed);
            }
            is_sent
        });
        credit.give(fed - group.len());
        if self.is_full() {
            credit.close();
        }
        group
    }

    /// Whether a run that has more to send than it is allowed to can take nothing more.
    pub(super) fn is_full(&self) -> bool {
        self.rings.is_over_limit && self.left() == 0 && !self.rings.is_any_open()
    }

    /// After a pass: a run that had more to send than it was allowed to stops in order, unless updates that have
    /// their places wait for a later pass and were not tried yet.
    pub(super) fn check_updates(&mut self) {
        if self.is_full()
            && !self.is_carrying()
            && self.deferred.values().all(|unresolved| unresolved.is_tried)
        {
            self.end_updates();
        }
    }

    /// After the last pass: the same, where there are places that nothing fits which is left.
    pub(super) fn end_updates(&mut self) {
        if let (true, Some(updates)) = (self.rings.is_over_limit && self.is_going(), self.rules.updates_max) {
            self.tell_without_room();
            self.stop(Stopped::Limit(Limit::Updates { updates, left: self.left() }));
        }
    }

    /// The operator asks for something that does not stop the run.
    pub(super) fn on_ask(&mut self, ask: Ask, credit: &Credit) {
        match ask {
            Ask::Status => {
                self.tell_cleared_so_far();
                self.tell_slowing();
                self.emitter.emit(Event::StatusAsked);
            }
            Ask::Reload => match (self.reload)() {
                Ok(steering) => self.steer(steering, credit),
                Err(why) => {
                    let text =
                        format!("the configuration was not read again, everything stays as it was: {why}");
                    self.emitter.emit(Event::Noticed { text });
                }
            },
        }
    }

    fn steer(&mut self, steering: Steering, credit: &Credit) {
        let Steering { hours, max_in_flight, text } = steering;
        // More at once, or faster, needs more at hand. Credit once given is not taken back: less is only sent less of.
        let window = super::window(max_in_flight, &hours);
        let more = window.saturating_sub(self.window);
        self.room.free += more;
        credit.give(more);
        self.window = self.window.max(window);
        self.set_hours(hours);
        self.scheduler.set_max_in_flight(max_in_flight);
        self.emitter.emit(Event::Noticed { text: format!("read the configuration again: {text}") });
        self.tell_limit();
    }
}

//! How many attempts may be on the wire at once: as many as the server answers without getting slower.
//!
//! The limit moves between 1 and the operator's maximum. It is judged once per window of answers: it grows while it is
//! used up and the window's mean latency stays near the baseline, and shrinks when the latency rises with it or the
//! server pushes back (429, 503, 504, no answer in time), at most once per round trip. The baseline is what the server
//! takes when this program is not what keeps it busy. It cannot be known from above, so now and then the limit *dips*
//! to its half: latency that falls with it was a queue of our own making, latency that does not is the server's way.
//!
//! Chronic rows and probes are not to feed it. Not here: the rate limit (`engine/permits.rs`), the quiet after a 429
//! (`pause.rs`), and the limits at first contact (`guard.rs`), which hold beside this one.

/// Limit at a target of which nothing is known.
pub(super) const CONCURRENCY_START: usize = 8;
/// Answers that make a window, at least; a window also holds no fewer than the limit, so that it spans a round trip.
const WINDOW_ANSWERS_MIN: u64 = 40;
/// Round trips that a window lasts, at most: near the bottom, so many answers take too long to come back from.
const WINDOW_ROUND_TRIPS_MAX: u64 = 12;
/// Latency above this share of the baseline has risen, in hundredths …
const RISEN_PERCENT: u64 = 135;
/// … above this one it has soared, which needs no second window to be believed …
const SOARED_PERCENT: u64 = 200;
/// … if it is longer by this at all: below it are the clock's steps and this machine's own moods.
const RISE_MIN_US: u64 = 5_000;
/// What a pushback leaves of the limit, in tenths.
const PUSHBACK_TENTHS: usize = 7;
/// What risen latency leaves at least of the limit, in hundredths, and at most.
const CUT_PERCENT: (u64, u64) = (50, 90);
/// Latency down to this share after the limit was halved shows a queue, in hundredths.
const RELIEF_PERCENT: u64 = 75;
/// Cuts in a row that brought no relief and so show that the latency is not of our making.
const UNRELIEVED_MAX: u32 = 2;
/// Windows between two dips.
const DIP_EVERY: u32 = 48;
/// Weight of the latest window in the settled limit: one in so many.
const SETTLED_WINDOWS: u64 = 8;

/// Answers since the limit was judged last.
#[derive(Debug, Default)]
struct Window {
    answers: u64,
    sum_us: u64,
    launches: u64,
    /// Launches that used the limit up.
    full: u64,
}

impl Window {
    /// Whether the limit was what bounded the traffic, in half of the launches at least.
    fn is_used_up(&self) -> bool {
        self.full * 2 >= self.launches
    }
}

/// What keeps the limit where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The operator's own maximum.
    Own,
    /// With more at once the API got slower or pushed back.
    Api,
    /// Nothing so far: it grows while answers come as quickly as before.
    Open,
}

/// A look at the latency under half the limit.
#[derive(Debug, Clone, Copy)]
struct Dip {
    from: usize,
    before_us: u64,
}

/// The limit and what it was learned from.
#[derive(Debug)]
pub(super) struct Concurrency {
    limit: usize,
    limit_max: usize,
    is_fixed: bool,
    window: Window,
    baseline_us: Option<u64>,
    /// Attempts that left up to here left under a larger limit and say nothing about this one.
    reduced_ms: Option<u64>,
    /// Answers to be passed over still: the first after a jump are the quick ones, and met a server not yet as busy.
    skip: u64,
    /// Whether the limit doubles, because nothing has shown its end yet.
    is_doubling: bool,
    /// Windows in a row with risen latency.
    risen: u32,
    /// Latency before the last cut for latency, until the window after it is judged.
    cut_at_us: Option<u64>,
    unrelieved: u32,
    dip: Option<Dip>,
    dip_in: u32,
    settled_milli: Option<u64>,
    /// The limit under which the server was slower or pushed back, until it has answered as many quickly again.
    too_many: Option<usize>,
    /// Whether the latest window of answers used the limit up.
    was_used_up: bool,
}

impl Concurrency {
    /// Adapts between 1 and `limit_max`; begins at `start`, where the last run settled, if there was one.
    pub(super) fn adaptive(limit_max: usize, start: Option<usize>) -> Concurrency {
        let limit_max = limit_max.max(1);
        let limit = start.unwrap_or(CONCURRENCY_START).clamp(1, limit_max);
        Concurrency {
            limit,
            limit_max,
            is_fixed: false,
            window: Window::default(),
            baseline_us: None,
            reduced_ms: None,
            skip: wide(limit),
            is_doubling: start.is_none(),
            risen: 0,
            cut_at_us: None,
            unrelieved: 0,
            dip: None,
            dip_in: 1,
            settled_milli: None,
            too_many: None,
            was_used_up: true,
        }
    }

    /// Stays at `limit`.
    pub(super) fn fixed(limit: usize) -> Concurrency {
        Concurrency { is_fixed: true, limit: limit.max(1), ..Concurrency::adaptive(limit, None) }
    }

    /// Attempts that may be on the wire at once.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Where it has settled, averaged over the latest windows; `None` until a window was judged.
    pub(super) fn settled(&self) -> Option<usize> {
        let milli = self.settled_milli.filter(|_| !self.is_fixed)?;
        usize::try_from((milli + 500) / 1_000).ok().map(|settled| settled.clamp(1, self.limit_max))
    }

    /// What keeps the limit where it is; `None` where it is not what bounds the traffic, or only looks at half of it.
    pub(super) fn bound(&self) -> Option<Bound> {
        let is_telling = self.window.launches >= WINDOW_ANSWERS_MIN / 2;
        if !(if is_telling { self.window.is_used_up() } else { self.was_used_up }) {
            return None;
        }
        if self.is_fixed || self.limit >= self.limit_max {
            return Some(Bound::Own);
        }
        match self.too_many {
            _ if self.dip.is_some() => None,
            Some(_) => Some(Bound::Api),
            None => Some(Bound::Open),
        }
    }

    /// Changes the maximum; a fixed limit is changed to it.
    pub(super) fn set_max(&mut self, limit_max: usize) {
        self.limit_max = limit_max.max(1);
        self.limit = if self.is_fixed { self.limit_max } else { self.limit.min(self.limit_max) };
        self.dip = self.dip.map(|dip| Dip { from: dip.from.min(self.limit_max), ..dip });
    }

    /// An attempt left; `in_flight` counts it.
    pub(super) fn on_launch(&mut self, in_flight: usize) {
        self.window.launches += 1;
        self.window.full += u64::from(in_flight >= self.limit);
    }

    /// An update was taken by the server.
    pub(super) fn on_answer(&mut self, sent_ms: u64, now_ms: u64) {
        if self.is_fixed {
            self.window.answers += 1;
            if self.window.answers >= WINDOW_ANSWERS_MIN {
                self.was_used_up = std::mem::take(&mut self.window).is_used_up();
            }
            return;
        }
        if self.reduced_ms.is_some_and(|reduced_ms| sent_ms <= reduced_ms) {
            return;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.window.answers += 1;
        self.window.sum_us =
            self.window.sum_us.saturating_add(now_ms.saturating_sub(sent_ms).saturating_mul(1_000));
        let round_trips = WINDOW_ROUND_TRIPS_MAX.saturating_mul(wide(self.limit));
        let answers_min = WINDOW_ANSWERS_MIN.min(round_trips).max(wide(self.limit));
        // A dip decides on half the limit or nothing: it looks twice as long.
        if self.window.answers >= if self.dip.is_some() { 2 * answers_min } else { answers_min } {
            let window = std::mem::take(&mut self.window);
            self.was_used_up = window.is_used_up();
            self.judge(&window, now_ms);
        }
    }

    /// The server pushed back, or did not answer in time. Only the first in a round trip counts.
    pub(super) fn on_pushback(&mut self, sent_ms: u64, now_ms: u64) {
        if self.is_fixed || self.reduced_ms.is_some_and(|reduced_ms| sent_ms <= reduced_ms) {
            return;
        }
        self.dip = None;
        self.cut_at_us = None;
        self.reduce(self.limit * PUSHBACK_TENTHS / 10, now_ms);
    }

    fn judge(&mut self, window: &Window, now_ms: u64) {
        let mean_us = window.sum_us / window.answers.max(1);
        if let Some(dip) = self.dip.take() {
            self.end_dip(dip, mean_us);
            return;
        }
        if !window.is_used_up() {
            // Something else bounds the traffic: neither is the latency our doing, nor is more room wanted.
            return;
        }
        self.dip_in = self.dip_in.saturating_sub(1);
        self.take_relief(mean_us);
        let baseline_us = self.learn(mean_us);
        let is_risen = has_risen(mean_us, baseline_us, RISEN_PERCENT);
        self.risen = if is_risen { self.risen + 1 } else { 0 };
        if has_risen(mean_us, baseline_us, SOARED_PERCENT) || self.risen > 1 {
            let (least, most) = CUT_PERCENT;
            // To just below where the baseline is reached, if the latency grows in proportion to the limit.
            let percent = (baseline_us * most / mean_us.max(1)).clamp(least, most);
            self.cut_at_us = Some(mean_us);
            self.reduce(narrow(wide(self.limit) * percent / 100), now_ms);
        } else if is_risen {
            self.is_doubling = false;
        } else if self.dip_in == 0 && self.limit > 1 {
            self.dip = Some(Dip { from: self.limit, before_us: mean_us });
            self.halve(now_ms);
        } else {
            self.grow();
        }
        if self.dip.is_none() {
            self.settle();
        }
    }

    fn end_dip(&mut self, dip: Dip, mean_us: u64) {
        // Compared with the window before and with the average of many, lest one slow window pass for a queue.
        let is_below = |us: u64| {
            has_risen(us, mean_us, 100)
                && u128::from(mean_us) * 100 <= u128::from(us) * u128::from(RELIEF_PERCENT)
        };
        let is_relieved = is_below(dip.before_us) && is_below(self.baseline_us.unwrap_or(dip.before_us));
        if is_relieved {
            // There was a queue, and there may be one still: the next window is asked again.
            self.is_doubling = false;
            self.too_many = Some(dip.from);
            self.baseline_us = Some(mean_us);
            self.dip_in = 1;
        } else {
            self.limit = dip.from.min(self.limit_max);
            self.skip = wide(self.limit);
            self.baseline_us = Some(self.baseline_us.unwrap_or(mean_us).midpoint(mean_us));
            self.dip_in = DIP_EVERY;
            self.grow();
        }
        self.settle();
    }

    /// After a cut for latency: has it fallen? Twice not, and it is the server's way now.
    fn take_relief(&mut self, mean_us: u64) {
        let Some(before_us) = self.cut_at_us.take() else { return };
        let has_fallen = u128::from(mean_us) * 10 <= u128::from(before_us) * 9;
        self.unrelieved = if has_fallen { 0 } else { self.unrelieved + 1 };
        if self.unrelieved >= UNRELIEVED_MAX {
            self.unrelieved = 0;
            self.too_many = None;
            self.baseline_us = Some(mean_us);
        }
    }

    /// The baseline follows what is near it, down quicker than up: the fastest of many windows is mere luck, and what
    /// is slower may be a queue.
    fn learn(&mut self, mean_us: u64) -> u64 {
        let baseline_us = match self.baseline_us {
            // Alone on the wire, nobody else is waited for.
            Some(_) if self.limit == 1 => mean_us,
            Some(baseline_us) if mean_us < baseline_us => baseline_us - (baseline_us - mean_us) / 8,
            Some(baseline_us) if has_risen(mean_us, baseline_us, RISEN_PERCENT) => baseline_us,
            Some(baseline_us) => baseline_us + (mean_us - baseline_us) / 32,
            None => mean_us,
        };
        self.baseline_us = Some(baseline_us);
        baseline_us
    }

    fn grow(&mut self) {
        let step = if self.is_doubling { self.limit } else { (self.limit.isqrt() / 2).max(1) };
        self.limit = self.limit.saturating_add(step).min(self.limit_max);
        self.too_many = self.too_many.filter(|too_many| self.limit < *too_many);
        if self.is_doubling {
            self.skip = wide(self.limit);
        }
    }

    fn reduce(&mut self, limit: usize, now_ms: u64) {
        self.is_doubling = false;
        self.risen = 0;
        self.too_many = Some(self.limit);
        self.limit = limit.clamp(1, self.limit_max);
        self.reduced_ms = Some(now_ms);
        self.skip = wide(self.limit);
        self.window = Window::default();
    }

    fn halve(&mut self, now_ms: u64) {
        self.limit = (self.limit / 2).max(1);
        self.skip = wide(self.limit);
        self.reduced_ms = Some(now_ms);
    }

    fn settle(&mut self) {
        let now = wide(self.limit).saturating_mul(1_000);
        self.settled_milli = Some(match self.settled_milli {
            Some(milli) if !self.is_doubling => (milli * (SETTLED_WINDOWS - 1) + now) / SETTLED_WINDOWS,
            Some(_) | None => now,
        });
    }
}

fn has_risen(mean_us: u64, baseline_us: u64, percent: u64) -> bool {
    mean_us > baseline_us.saturating_add(RISE_MIN_US)
        && u128::from(mean_us) * 100 > u128::from(baseline_us) * u128::from(percent)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn narrow(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;

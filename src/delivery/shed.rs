//! Shedding: a server, or a proxy before it, that turns requests away (429 or 503 that name no delay) because there are
//! too many of them, whoever's they are.
//!
//! Two questions. *Whose fault is it?* What many subjects meet is nobody's own, and costs no row an attempt. *What
//! passes?* Where turning away goes by rate, fewer attempts at once are no remedy, since one after the other is still
//! too fast: the rate that passes is measured, kept to, and raised again little by little, and by more the longer
//! nobody is turned away. Whether it goes by rate shows in the odds: asked less often, such a server turns a smaller
//! share away. One that turns every other request away however rare they are is sick, and is left to `brake.rs`.
//!
//! Not here: quiets (`pause.rs`), the limit on attempts in flight (`concurrency.rs`), the operator's rate.

use std::collections::VecDeque;

use super::rules::DeliveryRules;
use crate::digest::SubjectId;

/// Time after which a subject turned away says nothing about the others.
const MEMORY_MS: u64 = 60_000;
/// Shortest time over which the rate that passes is measured, and the outcomes it takes at least.
const TICK_MS: u64 = 1_000;
const OUTCOMES_MIN: u64 = 10;
/// Share turned away from which the rate is found to be too high, in hundredths, …
const SHEDS_PERCENT: u64 = 20;
/// … from which a lower one is too high still, …
const TOO_MANY_PERCENT: u64 = 5;
/// … and how many it takes at least: fewer are chance.
const TURNED_AWAY_MIN: u64 = 3;
/// Share of other failures from which the server is sick and does not shed, in hundredths.
const SICK_PERCENT: u64 = 10;
/// Longest step to a lower rate.
const STEP_TIMES_MAX: u64 = 8;
/// Odds of being turned away, down to which a lower rate has helped, in hundredths of those before.
const RELIEF_PERCENT: u64 = 75;
/// Lower rates in a row that did not help and so show that turning away does not go by rate.
const UNRELIEVED_MAX: u32 = 2;
/// First step to a higher rate, in hundredths; doubles while nobody is turned away, …
const RISE_PERCENT: u64 = 10;
/// … up to this.
const RISE_PERCENT_MAX: u64 = 100;
/// Time since the attempt before, as a multiple of that between two requests that pass, from which an attempt is not
/// turned away for coming too fast.
const UNHURRIED_TIMES: u64 = 4;
/// The same as a multiple of the time between two that is kept to.
const SLOW_TIMES: u64 = 2;
/// Longest time between two attempts.
const GAP_MAX_US: u64 = 10_000_000;
/// How far attempts may catch up after a pause, beside one gap.
const CATCH_UP_US: u64 = 10_000;
/// Attempts of one update that are waived while others are turned away as well, as a multiple of those it has.
pub(super) const WAIVED_TIMES: u32 = 8;

/// Times that an update tells, by being turned away, of the server and not of itself.
pub(super) const TESTIMONIES_MAX: u32 = 3;
/// Requests that pass in a row, as a multiple of the subjects that it takes, and show that those turned away before
/// were so for themselves.
const PASSED_TIMES: u64 = 4;

/// Outcomes since the rate was looked at last.
#[derive(Debug, Default, Clone, Copy)]
struct Tick {
    since_ms: u64,
    launches: u64,
    passed: u64,
    turned_away: u64,
    failed: u64,
}

/// The rate that is kept to.
#[derive(Debug, Clone, Copy)]
struct Kept {
    gap_us: u64,
    /// Time between two attempts before the first one was turned away.
    well_us: u64,
    next_at_us: u64,
    rise_percent: u64,
    /// Turned away and passed before the rate was lowered, until that is judged.
    lowered_at: Option<(u64, u64)>,
    unrelieved: u32,
    is_by_rate: bool,
    /// The gap at which everybody was last told to be quiet: too short, or nearly so.
    short_us: Option<u64>,
}

/// How fast requests pass.
#[derive(Debug, Default, Clone, Copy)]
struct Passing {
    /// Time between two that passed, when so many had that it is known.
    gap_us: Option<u64>,
    /// Those since then.
    since_ms: u64,
    passed: u64,
    launched_ms: u64,
    /// Time between the latest two attempts.
    waited_us: u64,
}

/// Who is turned away, and the rate that passes.
#[derive(Debug)]
pub(super) struct Shed {
    subjects_min: usize,
    /// Subjects turned away lately, the latest at the end, and when.
    subjects: VecDeque<(u64, SubjectId)>,
    /// Requests that passed since one of them was.
    passed_since: u64,
    passing: Passing,
    tick: Tick,
    /// Until when quiets are left out of the count already.
    quiet_until_ms: u64,
    kept: Option<Kept>,
    /// Whose 429 have lowered the rate, and what was kept to before the first of them.
    volleys: Vec<SubjectId>,
    before: Option<Kept>,
    /// Lower rates did not help, and nothing was well since.
    is_in_vain: bool,
}

impl Shed {
    /// Nobody was turned away yet.
    pub(super) fn new(rules: &DeliveryRules) -> Shed {
        let subjects_min = usize::try_from(rules.breaker_subjects).unwrap_or(usize::MAX).max(2);
        Shed {
            subjects_min,
            subjects: VecDeque::new(),
            passed_since: 0,
            passing: Passing::default(),
            tick: Tick::default(),
            quiet_until_ms: 0,
            kept: None,
            volleys: Vec::new(),
            before: None,
            is_in_vain: false,
        }
    }

    /// Whether so many others than this one were turned away lately that it is nobody's own fault.
    pub(super) fn is_spread(&self, besides: SubjectId, now_ms: u64) -> bool {
        let is_other = |(at_ms, subject): &&(u64, SubjectId)| {
            *subject != besides && now_ms.saturating_sub(*at_ms) <= MEMORY_MS
        };
        self.passed_since < PASSED_TIMES * self.subjects_min as u64
            && self.subjects.iter().filter(is_other).count() + 1 >= self.subjects_min
    }

    /// Whether the server is known to turn away what comes too fast.
    pub(super) fn is_by_rate(&self) -> bool {
        self.kept.is_some_and(|kept| kept.is_by_rate)
    }

    /// Time between two attempts, while a rate is kept to.
    pub(super) fn gap_us(&self) -> Option<u64> {
        self.kept.map(|kept| kept.gap_us)
    }

    /// How many attempts may leave now.
    pub(super) fn slots(&self, now_ms: u64) -> usize {
        let Some(kept) = self.kept else { return usize::MAX };
        let now_us = now_ms.saturating_mul(1_000);
        let next_us = kept.floor_us(now_us);
        let slots = if next_us > now_us { 0 } else { (now_us - next_us) / kept.gap_us.max(1) + 1 };
        usize::try_from(slots).unwrap_or(usize::MAX)
    }

    /// When the next attempt may leave, if that is after `now_ms`.
    pub(super) fn closed_until_ms(&self, now_ms: u64) -> Option<u64> {
        self.kept.map(|kept| kept.next_at_us.div_ceil(1_000)).filter(|at_ms| *at_ms > now_ms)
    }

    /// An attempt left. Whether it did so long after the one before it that no rate can be the reason if it is turned
    /// away.
    pub(super) fn on_launch(&mut self, now_ms: u64) -> bool {
        self.tick.launches += 1;
        let is_unhurried = self.passing.is_unhurried(now_ms);
        if let Some(kept) = &mut self.kept {
            kept.next_at_us = kept.floor_us(now_ms.saturating_mul(1_000)).saturating_add(kept.gap_us);
        }
        is_unhurried
    }

    /// Everybody is quiet for so long after a 429 that names no delay, or was turned away so often in a row that the
    /// breaker opened. Nothing more is learned meanwhile: the rate is lowered at once, by half, or by less where it
    /// was kept to for a while. `of` is the subject of the 429.
    pub(super) fn on_volley(&mut self, of: Option<SubjectId>, for_ms: u64, now_ms: u64) {
        if of.is_some_and(|of| !self.note(of)) {
            return self.on_quiet(for_ms, now_ms);
        }
        if self.kept.is_some_and(|kept| self.passing.waited_us >= SLOW_TIMES * kept.gap_us) {
            // It came more slowly than what is kept to, and was not too fast.
            return self.on_quiet(for_ms, now_ms);
        }
        if of.is_none() && self.kept.is_some_and(|kept| kept.lowered_at.is_some()) {
            // The streak that opened the breaker has lowered the rate already, and whether that helps is to be seen.
            return self.on_quiet(for_ms, now_ms);
        }
        let elapsed_us = now_ms.saturating_sub(self.tick.since_ms).saturating_mul(1_000);
        let launches = self.tick.launches;
        let since_ms = now_ms.saturating_add(for_ms);
        if self.kept.is_none() && launches < OUTCOMES_MIN {
            // Too few to learn from, as after every such quiet where the next attempt is turned away soon: they are
            // added up.
            self.tick.since_ms = since_ms.saturating_sub(elapsed_us / 1_000);
            return;
        }
        self.tick = Tick { since_ms, ..Tick::default() };
        if let Some(kept) = &mut self.kept {
            kept.short_us = Some(kept.gap_us);
            let is_far_off = elapsed_us < TICK_MS * 1_000;
            kept.gap_us =
                (kept.gap_us * if is_far_off { 4 } else { 3 } / 2).min(GAP_MAX_US.max(kept.well_us));
            kept.is_by_rate = true;
        } else {
            let well_us = (elapsed_us / launches).max(1);
            let kept = Kept::at(well_us);
            self.kept = Some(Kept { gap_us: (2 * well_us).min(GAP_MAX_US.max(well_us)), ..kept });
        }
    }

    /// The breaker closed: what was seen since it opened were probes.
    pub(super) fn on_recovery(&mut self, now_ms: u64) {
        self.tick = Tick { since_ms: now_ms.max(self.tick.since_ms), ..Tick::default() };
    }

    /// It is always the same ones that are turned away: there is no rate to keep to.
    pub(super) fn on_same(&mut self, now_ms: u64) {
        self.subjects.clear();
        self.volleys.clear();
        (self.kept, self.before) = (None, None);
        self.on_recovery(now_ms);
    }

    /// An update is known to be pushed back for itself: what its 429 taught of the rate, and nobody else's, is
    /// forgotten.
    pub(super) fn on_own(&mut self, subject: SubjectId) {
        let had_any = !self.volleys.is_empty();
        self.volleys.retain(|of| *of != subject);
        if had_any && self.volleys.is_empty() {
            // What was left meanwhile, or raised beyond it, does not come back.
            let before = self.before.take();
            let faster =
                |kept: Kept| before.map(|before| if before.gap_us < kept.gap_us { before } else { kept });
            self.kept = self.kept.and_then(faster);
        }
    }

    /// Everybody is quiet for so long, for another reason: that time says nothing of how fast attempts leave.
    /// Where one quiet extends another, only what it adds.
    pub(super) fn on_quiet(&mut self, for_ms: u64, now_ms: u64) {
        let until_ms = now_ms.saturating_add(for_ms);
        let added_ms = until_ms.saturating_sub(self.quiet_until_ms.max(now_ms));
        self.quiet_until_ms = self.quiet_until_ms.max(until_ms);
        self.tick.since_ms = self.tick.since_ms.saturating_add(added_ms);
    }

    /// Whether the 429 of a subject may lower the rate: the first of each, until there were so many subjects that it
    /// is nobody's own.
    fn note(&mut self, of: SubjectId) -> bool {
        if self.volleys.is_empty() {
            self.before = self.kept;
        }
        let are_many = self.volleys.len() >= self.subjects_min;
        let is_new = !self.volleys.contains(&of);
        if is_new && !are_many {
            self.volleys.push(of);
        }
        is_new || are_many
    }

    /// An attempt was taken in, whatever was answered.
    pub(super) fn on_passed(&mut self, now_ms: u64) {
        self.tick.passed += 1;
        self.passed_since += 1;
        self.passing.on_passed(now_ms);
        self.look(now_ms);
    }

    /// An attempt failed otherwise.
    pub(super) fn on_failed(&mut self, now_ms: u64) {
        self.tick.failed += 1;
        self.look(now_ms);
    }

    /// An attempt was turned away.
    pub(super) fn on_turned_away(&mut self, subject: SubjectId, testifies: bool, now_ms: u64) {
        if testifies {
            self.passed_since = 0;
            self.subjects.retain(|(_, other)| *other != subject);
            self.subjects.push_back((now_ms, subject));
            if self.subjects.len() > self.subjects_min {
                self.subjects.pop_front();
            }
        }
        self.tick.turned_away += 1;
        self.look(now_ms);
    }

    fn look(&mut self, now_ms: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.tick.since_ms);
        let outcomes = self.tick.passed + self.tick.turned_away + self.tick.failed;
        if elapsed_ms < TICK_MS || outcomes < OUTCOMES_MIN {
            return;
        }
        let tick = std::mem::replace(&mut self.tick, Tick { since_ms: now_ms, ..Tick::default() });
        if tick.failed * 100 >= outcomes * SICK_PERCENT {
            self.kept = None;
            return;
        }
        let elapsed_us = elapsed_ms.saturating_mul(1_000);
        let pace_us = (elapsed_us / tick.launches.max(1)).max(1);
        let percent = if self.kept.is_some() { TOO_MANY_PERCENT } else { SHEDS_PERCENT };
        let is_too_many = tick.turned_away >= TURNED_AWAY_MIN && tick.turned_away * 100 >= outcomes * percent;
        self.is_in_vain &= is_too_many;
        match &mut self.kept {
            Some(kept) if is_too_many => {
                self.is_in_vain = !kept.lower(&tick, elapsed_us, now_ms);
                self.kept = self.kept.filter(|_| !self.is_in_vain);
            }
            Some(kept) => {
                let is_over = kept.raise(&tick, pace_us);
                self.kept = self.kept.filter(|_| !is_over);
            }
            None if is_too_many && !self.is_in_vain && self.subjects.len() >= self.subjects_min => {
                let mut kept = Kept::at(pace_us);
                kept.lower(&tick, elapsed_us, now_ms);
                self.kept = Some(kept);
            }
            None => {}
        }
    }
}

impl Passing {
    fn on_passed(&mut self, now_ms: u64) {
        self.passed += 1;
        if let Some(gap_us) = self.measured_us(now_ms) {
            *self = Passing { gap_us: Some(gap_us), since_ms: now_ms, passed: 0, ..*self };
        }
    }

    fn measured_us(&self, now_ms: u64) -> Option<u64> {
        let elapsed_ms = now_ms.saturating_sub(self.since_ms);
        let is_enough = elapsed_ms >= TICK_MS && self.passed >= OUTCOMES_MIN;
        is_enough.then(|| elapsed_ms.saturating_mul(1_000) / self.passed)
    }

    /// An attempt leaves: whether the latest was so long ago.
    fn is_unhurried(&mut self, now_ms: u64) -> bool {
        let waited_us = now_ms.saturating_sub(self.launched_ms).saturating_mul(1_000);
        (self.launched_ms, self.waited_us) = (now_ms, waited_us);
        let gap_us = self.gap_us.or_else(|| self.measured_us(now_ms));
        gap_us.is_some_and(|gap_us| waited_us >= UNHURRIED_TIMES * gap_us.max(1))
    }
}

impl Kept {
    /// This rate, at which all was well.
    fn at(gap_us: u64) -> Kept {
        Kept {
            gap_us,
            well_us: gap_us,
            next_at_us: 0,
            rise_percent: RISE_PERCENT,
            lowered_at: None,
            unrelieved: 0,
            is_by_rate: false,
            short_us: None,
        }
    }

    /// The next moment for an attempt; what was missed is caught up with a little.
    fn floor_us(&self, now_us: u64) -> u64 {
        self.next_at_us.max(now_us.saturating_sub(self.gap_us.max(CATCH_UP_US)))
    }

    /// To the rate that passed; false when lower rates do not help.
    fn lower(&mut self, tick: &Tick, elapsed_us: u64, now_ms: u64) -> bool {
        self.rise_percent = RISE_PERCENT;
        if let Some((turned_away, passed)) = self.lowered_at.take() {
            // Odds are compared crosswise: a tick may have none that passed.
            let (now, before) = (
                u128::from(tick.turned_away) * u128::from(passed.max(1)) * 100,
                u128::from(turned_away) * u128::from(tick.passed.max(1)) * u128::from(RELIEF_PERCENT),
            );
            self.is_by_rate |= now <= before;
            self.unrelieved = if now <= before { 0 } else { self.unrelieved + 1 };
        }
        if self.unrelieved >= UNRELIEVED_MAX {
            return false;
        }
        let passed_us = elapsed_us / tick.passed.max(1);
        let gap_us = passed_us.max(self.gap_us).min(self.gap_us.saturating_mul(STEP_TIMES_MAX));
        self.gap_us = gap_us.clamp(1, GAP_MAX_US.max(self.well_us));
        self.lowered_at = Some((tick.turned_away, tick.passed));
        self.next_at_us = now_ms.saturating_mul(1_000).saturating_add(self.gap_us);
        true
    }

    /// A little faster; true when something else is slower by now, so that there is nothing to keep to.
    fn raise(&mut self, tick: &Tick, pace_us: u64) -> bool {
        self.is_by_rate |= self.lowered_at.take().is_some();
        self.unrelieved = 0;
        if tick.turned_away > 0 {
            // About as fast as it may be.
            self.rise_percent = RISE_PERCENT;
            return false;
        }
        if let Some(short_us) = self.short_us {
            // Slowly on to where it was too fast, and then beyond: the server may take more by now.
            let left_us = self.gap_us.saturating_sub(short_us);
            self.short_us = Some(short_us).filter(|_| left_us * 20 > self.gap_us);
            self.gap_us -= left_us / 4;
            return false;
        }
        // Judged by the rate that was kept to meanwhile, not by the one from now on.
        let is_over = self.gap_us.saturating_mul(2) < pace_us.min(self.well_us);
        self.gap_us = (self.gap_us * 100 / (100 + self.rise_percent)).max(1);
        self.rise_percent = (self.rise_percent * 2).min(RISE_PERCENT_MAX);
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(number: u64) -> SubjectId {
        SubjectId(u128::from(number).to_be_bytes())
    }

    /// Lets a server have as many attempts as may leave in a second of a rate, of which so many a second pass.
    struct Proxy {
        shed: Shed,
        now_ms: u64,
        sent: u64,
        level_milli: u64,
    }

    impl Proxy {
        fn new() -> Proxy {
            Proxy { shed: Shed::new(&DeliveryRules::default()), now_ms: 0, sent: 0, level_milli: 0 }
        }

        /// Sent and turned away in a second at up to 500/s.
        fn second(&mut self, passes_per_s: u64) -> (u64, u64) {
            let (mut sent, mut turned_away) = (0, 0);
            for _ in 0..500 {
                self.now_ms += 2;
                self.level_milli = (self.level_milli + 2 * passes_per_s).min(5_000);
                if self.shed.slots(self.now_ms) == 0 {
                    continue;
                }
                self.shed.on_launch(self.now_ms);
                (sent, self.sent) = (sent + 1, self.sent + 1);
                if self.level_milli >= 1_000 {
                    self.level_milli -= 1_000;
                    self.shed.on_passed(self.now_ms);
                } else {
                    turned_away += 1;
                    self.shed.on_turned_away(subject(self.sent), true, self.now_ms);
                }
            }
            (sent, turned_away)
        }
    }

    #[test]
    fn the_rate_that_passes_is_found_kept_and_left_when_there_is_more() {
        let mut proxy = Proxy::new();
        let seconds: Vec<(u64, u64)> = (0..30).map(|_| proxy.second(50)).collect();
        assert_eq!(seconds[0].0, 500, "nothing is known at first");
        let (sent, turned_away) = seconds[5..].iter().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        assert!(turned_away * 100 <= sent * 20, "{seconds:?}");
        assert!(sent - turned_away >= 25 * 45, "what passes is used: {seconds:?}");
        assert!(proxy.shed.is_by_rate());
        let seconds: Vec<(u64, u64)> = (0..15).map(|_| proxy.second(100_000)).collect();
        assert_eq!(seconds.last(), Some(&(500, 0)), "{seconds:?}");
        assert!(proxy.shed.kept.is_none());
    }

    #[test]
    fn a_server_that_turns_away_whatever_comes_is_not_asked_ever_less_often() {
        let mut shed = Shed::new(&DeliveryRules::default());
        let (mut now_ms, mut sent) = (0, 0_u64);
        for _ in 0..60_000 {
            now_ms += 10;
            if shed.slots(now_ms) > 0 {
                shed.on_launch(now_ms);
                sent += 1;
                if sent.is_multiple_of(2) {
                    shed.on_passed(now_ms);
                } else {
                    shed.on_turned_away(subject(sent), true, now_ms);
                }
            }
        }
        assert!(!shed.is_by_rate());
        assert!(sent >= 600 * 100 / 10, "{sent} in ten minutes at up to 100/s");
    }

    #[test]
    fn quiets_that_extend_each_other_are_left_out_once() {
        let mut shed = Shed::new(&DeliveryRules::default());
        (0..20).for_each(|second| shed.on_quiet(300_000, second * 1_000));
        assert_eq!(shed.tick.since_ms, 319_000);
        shed.on_quiet(10_000, 400_000);
        assert_eq!(shed.tick.since_ms, 329_000);
    }

    #[test]
    fn what_a_row_of_its_own_taught_is_forgotten_and_no_rate_comes_back_that_was_left_meanwhile() {
        let mut proxy = Proxy::new();
        for _ in 0..30 {
            proxy.second(50);
        }
        let learned_us = proxy.shed.gap_us();
        assert!(learned_us.is_some());
        proxy.shed.on_volley(Some(subject(1_000_000)), 1_000, proxy.now_ms);
        assert!(proxy.shed.gap_us() > learned_us, "its 429 has lowered the rate");
        for _ in 0..60 {
            proxy.second(100_000);
        }
        assert_eq!(proxy.shed.gap_us(), None, "the server takes whatever comes");
        proxy.shed.on_own(subject(1_000_000));
        assert_eq!(proxy.shed.gap_us(), None);
    }

    #[test]
    fn one_subject_among_others_that_pass_is_alone_and_five_are_not() {
        let mut shed = Shed::new(&DeliveryRules::default());
        for number in [1, 2, 3, 4, 1, 2, 3, 4] {
            shed.on_turned_away(subject(number), true, 1_000);
        }
        assert!(!shed.is_spread(subject(1), 1_000), "four rows of their own");
        assert!(shed.is_spread(subject(5), 1_000));
        assert!(!shed.is_spread(subject(5), 1_000 + MEMORY_MS + 1), "that was long ago");
        (0..PASSED_TIMES * shed.subjects_min as u64).for_each(|_| shed.on_passed(1_000));
        assert!(!shed.is_spread(subject(5), 1_000), "so many others pass");
        shed.on_turned_away(subject(6), false, 1_000);
        assert!(!shed.is_spread(subject(5), 1_000), "who is turned away for ever tells of itself alone");
        shed.on_turned_away(subject(6), true, 1_000);
        assert!(shed.is_spread(subject(5), 1_000));
    }
}

//! The brake: a server that fails many first tries is asked less often, until it is well again.
//!
//! The breaker is for a server that is down: nothing passes, and probes are enough. A server that fails every other
//! request never opens it, and retries would add to its load. So while a large share of attempts fails that nothing
//! but the server explains, attempts are spaced: half as many a second, then a quarter, down to an eighth; and twice
//! as many again for every second in which it is well. Rows wait meanwhile: most of their failures are waived.
//!
//! Retries have a budget beside that, one for so many first tries (`lanes.rs`). Not here: which outcome testifies
//! (`ruling.rs`).

use std::collections::HashSet;

use super::rules::DeliveryRules;
use crate::digest::SubjectId;

/// Shortest time over which the server is judged.
const TICK_MS: u64 = 1_000;
/// Outcomes it is judged by, at least, …
const OUTCOMES_MIN: u64 = 10;
/// … and while attempts are spaced, when they are slow to gather and a mistake is soon corrected.
const OUTCOMES_SPACED_MIN: u64 = 6;
/// Share of failures up to which a sick server is well again, in hundredths; from which one is sick is a rule.
const WELL_PERCENT: u64 = 10;
/// Longest gap between two attempts, as a multiple of the one before it fell ill …
const GAP_TIMES_MAX: u64 = 8;
/// … and in any case, unless half the pace is slower still.
const GAP_MAX_US: u64 = 10_000_000;
/// Time without any testimony after which it is given the benefit of the doubt.
const SILENCE_MS: u64 = 60_000;
/// Failures of one update up to which it testifies: what fails more often may do so on its own.
pub(super) const TESTIMONIES_MAX: u32 = 4;
/// Failures of one update that are waived while the server is sick, as a multiple of the attempts it has. At every
/// second request failing, 24 in a row are no chance any more.
pub(super) const WAIVED_TIMES: u32 = 2;

/// What was seen since the server was judged last.
#[derive(Debug, Default)]
struct Tick {
    since_ms: u64,
    launches: u64,
    passed: u64,
    failed: u64,
    /// Subjects that failed.
    subjects: HashSet<SubjectId>,
}

/// How the attempts are spaced.
#[derive(Debug, Clone, Copy)]
struct Gap {
    us: u64,
    well_us: u64,
    next_at_us: u64,
}

/// The brake. Off until the server falls ill.
#[derive(Debug)]
pub(super) struct Brake {
    sick_percent: u64,
    subjects_min: usize,
    tick: Tick,
    gap: Option<Gap>,
    /// Time between two attempts when the server was well last.
    well_us: Option<u64>,
    heard_ms: u64,
}

impl Brake {
    /// A brake that is off.
    pub(super) fn new(rules: &DeliveryRules) -> Brake {
        Brake {
            sick_percent: rules.sick_percent,
            subjects_min: usize::try_from(rules.breaker_subjects).unwrap_or(usize::MAX),
            tick: Tick::default(),
            gap: None,
            well_us: None,
            heard_ms: 0,
        }
    }

    /// Whether attempts are spaced, because the server is sick.
    pub(super) fn is_on(&self) -> bool {
        self.gap.is_some()
    }

    /// Time between two attempts, while the server is sick.
    pub(super) fn gap_us(&self) -> Option<u64> {
        self.gap.map(|gap| gap.us)
    }

    /// How many attempts may leave now; `None` for any number.
    pub(super) fn slots(&self, now_ms: u64) -> Option<u64> {
        let gap = self.gap?;
        let now_us = now_ms.saturating_mul(1_000);
        let next_us = gap.next_at_us.max(now_us.saturating_sub(gap.us));
        Some(if next_us > now_us { 0 } else { (now_us - next_us) / gap.us + 1 })
    }

    /// When the next attempt may leave, if that is after `now_ms`.
    pub(super) fn closed_until_ms(&self, now_ms: u64) -> Option<u64> {
        self.gap.map(|gap| gap.next_at_us.div_ceil(1_000)).filter(|at_ms| *at_ms > now_ms)
    }

    /// An attempt left.
    pub(super) fn on_launch(&mut self, now_ms: u64) {
        if self.gap.is_some() && now_ms.saturating_sub(self.heard_ms) >= SILENCE_MS {
            self.gap = None;
        }
        self.tick.launches += 1;
        if let Some(gap) = &mut self.gap {
            let now_us = now_ms.saturating_mul(1_000);
            gap.next_at_us = gap.next_at_us.max(now_us.saturating_sub(gap.us)).saturating_add(gap.us);
        }
    }

    /// An attempt ended in a way that testifies.
    pub(super) fn on_outcome(&mut self, subject: SubjectId, has_passed: bool, now_ms: u64) {
        self.heard_ms = now_ms;
        if has_passed {
            self.tick.passed += 1;
        } else {
            self.tick.failed += 1;
            // A few rows failing again and again are not the server; how many more than enough there are is no matter.
            if self.tick.subjects.len() < self.subjects_min {
                self.tick.subjects.insert(subject);
            }
        }
        let outcomes = self.tick.passed + self.tick.failed;
        let elapsed_ms = now_ms.saturating_sub(self.tick.since_ms);
        let outcomes_min = if self.gap.is_some() { OUTCOMES_SPACED_MIN } else { OUTCOMES_MIN };
        if elapsed_ms < TICK_MS || outcomes < outcomes_min {
            return;
        }
        let tick = std::mem::replace(&mut self.tick, Tick { since_ms: now_ms, ..Tick::default() });
        let pace_us = (elapsed_ms.saturating_mul(1_000) / tick.launches.max(1)).max(1);
        let is_spread = self.gap.is_some() || tick.subjects.len() >= self.subjects_min;
        if is_spread && tick.failed * 100 >= outcomes * self.sick_percent {
            self.press(pace_us, now_ms);
        } else if tick.failed * 100 <= outcomes * WELL_PERCENT {
            if self.gap.is_none() {
                self.well_us = Some(pace_us);
            }
            let gap = self.gap.map(|gap| Gap { us: gap.us / 2, ..gap });
            self.gap = gap.filter(|gap| gap.us > gap.well_us);
        }
    }

    /// The breaker opened: the latest failures were an outage, and what was first concluded from them is taken back.
    pub(super) fn on_outage(&mut self, now_ms: u64) {
        self.gap = self.gap.filter(|gap| gap.us > 2 * gap.well_us);
        self.tick = Tick { since_ms: now_ms, ..Tick::default() };
    }

    /// The breaker closed: what was seen since it opened were probes.
    pub(super) fn on_recovery(&mut self, now_ms: u64) {
        self.tick = Tick { since_ms: now_ms, ..Tick::default() };
    }

    fn press(&mut self, pace_us: u64, now_ms: u64) {
        let (before_us, well_us) = match self.gap {
            Some(gap) => (gap.us, gap.well_us),
            // Timeouts have slowed this tick down already.
            None => {
                let well_us = self.well_us.unwrap_or(pace_us).min(pace_us);
                (well_us, well_us)
            }
        };
        let most_us = (GAP_TIMES_MAX * well_us).min(GAP_MAX_US.max(2 * well_us));
        let us = before_us.saturating_mul(2).min(most_us);
        self.gap = Some(Gap { us, well_us, next_at_us: now_ms.saturating_mul(1_000).saturating_add(us) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brake() -> Brake {
        Brake::new(&DeliveryRules::default())
    }

    fn subject(number: u64) -> SubjectId {
        SubjectId(u128::from(number).to_be_bytes())
    }

    /// Attempts of one second at up to 100/s, so many of a hundred failing.
    fn second(brake: &mut Brake, now_ms: &mut u64, failing: u64) -> u64 {
        let mut sent = 0;
        for step in 0..100 {
            *now_ms += 10;
            if brake.slots(*now_ms) != Some(0) {
                brake.on_launch(*now_ms);
                brake.on_outcome(subject(step), (sent * 37 + step) % 100 >= failing, *now_ms);
                sent += 1;
            }
        }
        sent
    }

    #[test]
    fn a_sick_server_is_asked_less_and_a_well_one_as_before() {
        let (mut brake, mut now_ms) = (brake(), 0);
        for _ in 0..5 {
            assert_eq!(second(&mut brake, &mut now_ms, 5), 100, "one in twenty is nothing");
        }
        let rates: Vec<u64> = (0..12).map(|_| second(&mut brake, &mut now_ms, 50)).collect();
        assert!(rates[2] <= 50 && rates[8..].iter().all(|rate| (8..=26).contains(rate)), "{rates:?}");
        let rates: Vec<u64> = (0..12).map(|_| second(&mut brake, &mut now_ms, 0)).collect();
        assert_eq!(rates.last(), Some(&100), "{rates:?}");
        assert!(!brake.is_on());
    }

    #[test]
    fn a_few_rows_that_always_fail_are_not_the_server() {
        let mut brake = brake();
        for step in 0..1_000 {
            brake.on_launch(step * 10);
            brake.on_outcome(subject(step % 4), false, step * 10);
        }
        assert!(!brake.is_on());
    }

    #[test]
    fn few_outcomes_are_no_judgement_and_silence_is_none_either() {
        let (mut brake, mut now_ms) = (brake(), 0);
        for number in 0..9 {
            now_ms += 5_000;
            brake.on_launch(now_ms);
            brake.on_outcome(subject(number), false, now_ms);
        }
        assert!(!brake.is_on());
        now_ms += 5_000;
        brake.on_launch(now_ms);
        brake.on_outcome(subject(9), false, now_ms);
        assert!(brake.is_on());
        assert_eq!(brake.closed_until_ms(now_ms), Some(now_ms + 10_000));
        now_ms += SILENCE_MS;
        brake.on_launch(now_ms);
        assert!(!brake.is_on());
    }
}

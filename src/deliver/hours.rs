//! The pace by time of day: which one is in force in a minute, and the driver's change from one to the next.
//!
//! Not here: what time it is (`engine/clock.rs`), how a pace is kept (`engine/permits.rs`), how windows are written.

use std::time::Duration;

use super::driver::{Driver, Wake};
use crate::engine::clock;
use crate::engine::permits::{Pace, Permits};
use crate::event::Event;

/// Time between two looks at the clock on the wall.
const LOOK_MS: u64 = 1_000;

/// Minutes of a day.
const DAY_MINUTES: u64 = 24 * 60;

/// Longest time that a finishing time is worked out for.
const DAYS_MAX: u64 = 366;

/// How fast attempts may begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flow {
    /// Not at all.
    Closed,
    /// As fast as the server allows.
    Unlimited,
    /// At a pace.
    At(Pace),
}

impl Flow {
    /// Microseconds between two attempts; 0 where the server alone sets the pace.
    pub(super) fn gap_us(self) -> u64 {
        match self {
            Flow::Closed => u64::MAX,
            Flow::Unlimited => 0,
            Flow::At(pace) => u64::try_from(pace.period.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Permits per second; `None` for as many as the server allows.
    fn per_second(self) -> Option<f64> {
        match self {
            Flow::Closed => Some(0.0),
            Flow::Unlimited => None,
            Flow::At(pace) => Some(pace.period.as_secs_f64().recip()),
        }
    }
}

/// A flow of its own between two minutes of the day.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// First minute of the day it is in force.
    pub from_minute: u16,
    /// First minute it is in force no more; not after `from_minute` when it goes over midnight.
    pub to_minute: u16,
    /// How fast.
    pub flow: Flow,
    /// As it was written, for people.
    pub text: String,
}

impl Window {
    fn contains(&self, minute: u16) -> bool {
        if self.from_minute < self.to_minute {
            (self.from_minute..self.to_minute).contains(&minute)
        } else {
            minute >= self.from_minute || minute < self.to_minute
        }
    }
}

/// How fast, by time of day.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    /// Outside of every window.
    pub whole_day: Flow,
    /// No two of them overlap.
    pub windows: Vec<Window>,
    /// IANA name of the time zone; `None` for that of this machine.
    pub time_zone: Option<String>,
}

impl Hours {
    /// The same all day.
    pub fn always(flow: Flow) -> Hours {
        Hours { whole_day: flow, windows: Vec::new(), time_zone: None }
    }

    /// What is in force in a minute of the day, and the window that says so.
    pub fn at(&self, minute: u16) -> (Flow, Option<&Window>) {
        let window = self.windows.iter().find(|window| window.contains(minute));
        (window.map_or(self.whole_day, |window| window.flow), window)
    }

    /// Where nothing may be sent in a minute of the day: the first one in which something may, or `None` where there
    /// is no such minute.
    pub fn closed_until(&self, minute: u16) -> Option<Option<u16>> {
        if self.at(minute).0 != Flow::Closed {
            return None;
        }
        let day = u16::try_from(DAY_MINUTES).unwrap_or(u16::MAX);
        let later = (minute..day).chain(0..minute);
        Some(later.into_iter().find(|minute| self.at(*minute).0 != Flow::Closed))
    }

    /// Where nothing may be sent now: the minute of the day in which something may again, and how many milliseconds
    /// it is away; `None` in it where there is no such minute. Nothing where nobody can tell the time, either.
    pub fn opens(&self) -> Option<Option<(u16, u64)>> {
        let zone = self.time_zone.as_deref();
        let opens = self.closed_until(clock::minute_of_day(zone).ok()?)?;
        Some(opens.and_then(|minute| {
            let (hour, rest) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
            Some((minute, clock::until_ms(hour, rest, zone).ok()?))
        }))
    }

    /// The fastest of the day; `None` where it is unlimited.
    pub fn fastest(&self) -> Option<Pace> {
        let flows = || self.windows.iter().map(|window| window.flow).chain([self.whole_day]);
        if flows().any(|flow| flow == Flow::Unlimited) {
            return None;
        }
        let paces = flows().filter_map(|flow| match flow {
            Flow::At(pace) => Some(pace),
            Flow::Closed | Flow::Unlimited => None,
        });
        // Windows that are closed all day leave a pace that never comes to pass.
        paces.min_by_key(|pace| pace.period).or(Some(Pace { period: Duration::from_secs(1), burst: 1 }))
    }

    /// How long so many attempts take when the first may begin in this minute of the day; `None` when nobody can tell,
    /// because the server alone sets the pace or nothing is ever sent.
    pub fn duration(&self, attempts: u64, minute: u16) -> Option<Duration> {
        let mut left = attempts as f64;
        let mut passed = 0_u64;
        while passed < DAYS_MAX * DAY_MINUTES {
            let now = u16::try_from((u64::from(minute) + passed) % DAY_MINUTES).unwrap_or_default();
            let per_minute = self.at(now).0.per_second()? * 60.0;
            if left <= per_minute {
                let seconds = passed as f64 * 60.0 + 60.0 * left / per_minute.max(f64::MIN_POSITIVE);
                return Duration::try_from_secs_f64(seconds).ok();
            }
            left -= per_minute;
            passed += 1;
            if self.windows.is_empty() && per_minute > 0.0 {
                let seconds = (passed as f64 + left / per_minute) * 60.0;
                return Duration::try_from_secs_f64(seconds).ok();
            }
        }
        None
    }
}

impl Driver<'_, '_> {
    /// Takes what is in force now, once a second: a change of the clocks is one of the wall clock like any other.
    pub(super) fn check_hours(&mut self) {
        let now_ms = self.now_ms();
        if now_ms < self.hours_looked_ms {
            return;
        }
        self.hours_looked_ms = now_ms + LOOK_MS;
        if self.hours.windows.is_empty() {
            return;
        }
        let minute = match clock::minute_of_day(self.hours.time_zone.as_deref()) {
            Ok(minute) => minute,
            Err(error) => {
                tracing::error!(%error, "nobody knows what time it is; the pace stays as it is");
                return;
            }
        };
        let (flow, window) = self.hours.at(minute);
        let text =
            window.map_or("outside of every window".to_owned(), |window| format!("window {}", window.text));
        if flow != self.flow {
            self.set_flow(flow);
            self.emitter.emit(Event::Noticed { text: format!("the pace changes by time of day: {text}") });
        }
    }

    /// The window in force, where it is slower than the rest of the day.
    pub(super) fn slow_window(&self) -> Option<&str> {
        if self.hours.windows.is_empty() {
            return None;
        }
        let minute = clock::minute_of_day(self.hours.time_zone.as_deref()).ok()?;
        let (flow, window) = self.hours.at(minute);
        window.filter(|_| flow.gap_us() > self.hours.whole_day.gap_us()).map(|window| window.text.as_str())
    }

    /// Milliseconds until something may be sent again, where nothing may be at this time of day and there is such a
    /// time.
    pub(super) fn opens_in_ms(&self) -> Option<u64> {
        self.hours.opens()?.map(|(_, in_ms)| in_ms)
    }

    /// Takes other hours, from now on.
    pub(super) fn set_hours(&mut self, hours: Hours) {
        self.hours = hours;
        if self.hours.windows.is_empty() {
            let flow = self.hours.whole_day;
            if flow != self.flow {
                self.set_flow(flow);
            }
            return;
        }
        self.hours_looked_ms = 0;
        self.check_hours();
    }

    /// Begins to send at another pace. What was granted before is given back, so that it does not come on top.
    fn set_flow(&mut self, flow: Flow) {
        if let Some(permits) = &self.permits {
            permits.want(0);
        }
        self.permits_in_hand = 0;
        let now_ms = self.now_ms();
        self.scheduler.set_closed(flow == Flow::Closed, now_ms);
        let Flow::At(pace) = flow else {
            (self.permits, self.flow) = (None, flow);
            return;
        };
        let waker = self.waker.clone();
        match Permits::start(pace, move |count| drop(waker.send(Wake::Granted(count)))) {
            Ok(permits) => (self.permits, self.flow) = (Some(permits), flow),
            Err(error) => tracing::error!(%error, "no thread for the new rate; the old one stays"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(per_s: u32) -> Flow {
        Flow::At(Pace { period: Duration::from_secs(1) / per_s, burst: 1 })
    }

    fn window(from: u16, to: u16, flow: Flow) -> Window {
        Window { from_minute: from * 60, to_minute: to * 60, flow, text: format!("{from}-{to}") }
    }

    fn hours(whole_day: Flow, windows: Vec<Window>) -> Hours {
        Hours { whole_day, windows, time_zone: None }
    }

    #[test]
    fn a_window_is_in_force_in_its_minutes_and_the_whole_day_in_the_rest() {
        let hours = hours(at(50), vec![window(1, 5, at(500)), window(22, 1, Flow::Closed)]);
        for (minute, expected) in [
            (0, Flow::Closed),
            (59, Flow::Closed),
            (60, at(500)),
            (299, at(500)),
            (300, at(50)),
            (1_319, at(50)),
            (1_320, Flow::Closed),
            (1_439, Flow::Closed),
        ] {
            assert_eq!(hours.at(minute).0, expected, "{minute}");
        }
        assert_eq!(hours.fastest(), Some(Pace { period: Duration::from_millis(2), burst: 1 }));
        assert_eq!(Hours::always(Flow::Unlimited).fastest(), None);
    }

    #[test]
    fn closed_hours_end_in_the_first_minute_that_is_not() {
        let hours_of = |windows| hours(at(50), windows);
        let night = hours_of(vec![window(22, 1, Flow::Closed), window(1, 5, Flow::Closed)]);
        for (minute, expected) in [(21 * 60, None), (22 * 60, Some(Some(300))), (30, Some(Some(300)))] {
            assert_eq!(night.closed_until(minute), expected, "{minute}");
        }
        let never = hours_of(vec![window(0, 12, Flow::Closed), window(12, 0, Flow::Closed)]);
        assert_eq!(never.closed_until(5), Some(None));
    }

    #[test]
    fn a_finishing_time_minds_the_windows() {
        let busy = hours(at(10), vec![window(1, 2, at(100)), window(2, 24, Flow::Closed)]);
        for (hours, attempts, minute, expected_s) in [
            (&hours(at(50), vec![]), 100, 0, Some(2)),
            (&hours(at(50), vec![]), 1_000_000, 0, Some(20_000)),
            // An hour at ten, an hour at a hundred, and the rest in the next night.
            (&busy, 36_000, 0, Some(3_600)),
            (&busy, 36_000 + 360_000, 0, Some(7_200)),
            (&busy, 36_000 + 360_000 + 10, 0, Some(86_401)),
            (&busy, 10, 120, Some(22 * 3_600 + 1)),
            (&hours(Flow::Closed, vec![]), 1, 0, None),
            (&hours(Flow::Unlimited, vec![]), 1, 0, None),
            (&busy, 0, 120, Some(0)),
        ] {
            let duration = hours.duration(attempts, minute).map(|duration| duration.as_secs());
            assert_eq!(duration, expected_s, "{attempts} from minute {minute}");
        }
    }
}

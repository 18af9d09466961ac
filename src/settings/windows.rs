//! Rates by time of day, as they are written: `01:00-05:00 500/s`, or a table with `from`, `to`, `rate` and `burst`.
//!
//! Not here: which of them is in force at a moment (`delivery/windows.rs`), and what time it is (`engine/clock.rs`).

use std::fmt;

use crate::settings::units::{self, Rate};

/// Windows at most: one for each half hour of a day.
pub(crate) const WINDOWS_MAX: usize = 48;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// How fast a window lets attempts begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowRate {
    /// Not at all.
    Pause,
    /// At a rate.
    At(Rate),
}

/// A rate of its own between two times of day. Written `HH:MM-HH:MM RATE`, with `burst N` behind it where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateWindow {
    /// First minute of the day it is in force, 0 to 1439.
    pub from_minute: u16,
    /// First minute of the day it is in force no more. Not after `from_minute` when it goes over midnight.
    pub to_minute: u16,
    /// How fast.
    pub rate: WindowRate,
    /// Attempts that may begin at once, where it is not that of the whole day.
    pub burst: Option<u32>,
}

impl RateWindow {
    /// Reads one as it is written.
    pub(crate) fn parse(text: &str) -> Result<RateWindow, String> {
        let no_window = || format!("`{text}` is no window such as `01:00-05:00 500/s`");
        let (times, rest) = text.trim().split_once(char::is_whitespace).ok_or_else(no_window)?;
        let (from, to) = times.split_once('-').ok_or_else(no_window)?;
        let (rate, burst) = match rest.split_once("burst") {
            Some((rate, burst)) => (rate.trim(), Some(burst.trim())),
            None => (rest.trim(), None),
        };
        RateWindow::of(from, to, rate, burst)
    }

    /// Makes one of its parts.
    pub(crate) fn of(from: &str, to: &str, rate: &str, burst: Option<&str>) -> Result<RateWindow, String> {
        let minute = |text: &str| {
            // The end of the day has a name of its own.
            let (hour, minute) = if text == "24:00" { (0, 0) } else { units::time_of_day(text)? };
            Ok::<u16, String>(u16::from(hour.unsigned_abs()) * 60 + u16::from(minute.unsigned_abs()))
        };
        let (from_minute, to_minute) = (minute(from)?, minute(to)?);
        if from_minute == to_minute {
            return Err(format!(
                "the window from {from} to {to} is empty; delivery.rate is the rate of the whole day"
            ));
        }
        let rate = match rate {
            "pause" => WindowRate::Pause,
            rate => WindowRate::At(Rate::parse(rate).map_err(|error| format!("{error} (or pause)"))?),
        };
        let burst = burst.map(|text| {
            let burst = units::whole(text).and_then(|burst| u32::try_from(burst).ok());
            burst.filter(|burst| (1..=100_000).contains(burst)).ok_or_else(|| format!("`{text}` is no burst"))
        });
        Ok(RateWindow { from_minute, to_minute, rate, burst: burst.transpose()? })
    }

    /// Whether it is in force in a minute of the day.
    pub fn contains(&self, minute: u16) -> bool {
        if self.from_minute < self.to_minute {
            (self.from_minute..self.to_minute).contains(&minute)
        } else {
            minute >= self.from_minute || minute < self.to_minute
        }
    }
}

/// Refuses windows of which two are in force at once.
pub(crate) fn check(windows: &[RateWindow]) -> Result<(), String> {
    if windows.len() > WINDOWS_MAX {
        return Err(format!("there are more than {WINDOWS_MAX} windows"));
    }
    let overlap = (0..DAY_MINUTES).find_map(|minute| {
        let mut both = windows.iter().filter(|window| window.contains(minute));
        Some((both.next()?, both.next()?))
    });
    match overlap {
        Some((one, other)) => Err(format!("the windows `{one}` and `{other}` overlap")),
        None => Ok(()),
    }
}

impl fmt::Display for RateWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, "{}-{} {}", time(self.from_minute), time(self.to_minute), self.rate)?;
        self.burst.map_or(Ok(()), |burst| write!(f, " burst {burst}"))
    }
}

impl fmt::Display for WindowRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WindowRate::Pause => f.write_str("pause"),
            WindowRate::At(rate) => write!(f, "{rate}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_as_people_write_them() {
        for (text, expected) in [
            ("01:00-05:00 500/s", Some("01:00-05:00 500/s")),
            (" 22:30-06:00  100/m burst 20 ", Some("22:30-06:00 100/m burst 20")),
            ("08:00-18:00 pause", Some("08:00-18:00 pause")),
            ("20:00-24:00 unlimited", Some("20:00-00:00 unlimited")),
            ("01:00-01:00 5/s", None),
            ("1:00-05:00 5/s", None),
            ("01:00-05:00", None),
            ("01:00 05:00 5/s", None),
            ("01:00-25:00 5/s", None),
            ("01:00-05:00 0/s", None),
            ("01:00-05:00 5/s burst 0", None),
            ("01:00-05:00 5/s burst", None),
        ] {
            let read = RateWindow::parse(text);
            assert_eq!(read.as_ref().ok().map(RateWindow::to_string).as_deref(), expected, "{text}");
            if let Ok(window) = read {
                assert_eq!(RateWindow::parse(&window.to_string()), Ok(window));
            }
        }
    }

    #[test]
    fn a_window_over_midnight_has_two_parts() {
        let window = RateWindow::parse("22:00-02:00 5/s").unwrap();
        for (minute, expected) in
            [(0, true), (119, true), (120, false), (1_319, false), (1_320, true), (1_439, true)]
        {
            assert_eq!(window.contains(minute), expected, "{minute}");
        }
        let whole = RateWindow::parse("00:00-24:00 5/s");
        assert!(whole.unwrap_err().contains("delivery.rate"));
    }

    #[test]
    fn windows_that_overlap_are_refused() {
        let windows =
            |texts: &[&str]| texts.iter().map(|text| RateWindow::parse(text).unwrap()).collect::<Vec<_>>();
        assert_eq!(check(&windows(&["22:00-02:00 5/s", "02:00-22:00 6/s"])), Ok(()));
        let complaint = check(&windows(&["22:00-02:00 5/s", "01:59-03:00 6/s"])).unwrap_err();
        assert!(
            complaint.contains("22:00-02:00 5/s") && complaint.contains("01:59-03:00 6/s"),
            "{complaint}"
        );
    }
}

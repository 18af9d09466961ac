//! The one home of the clock. Everybody else is handed the time.
//!
//! Not here: waiting; whoever waits does so on a channel with a deadline.
#![expect(clippy::disallowed_methods, reason = "this file is the one home of the clock")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A run's clock: monotonic milliseconds since it was started, and the wall clock for people and records.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Monotonic milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The wall clock.
pub fn wall() -> SystemTime {
    SystemTime::now()
}

/// The wall clock in seconds since the Unix epoch; 0 when it stands before that.
pub fn wall_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The wall clock in RFC 3339, UTC, whole seconds.
pub fn wall_rfc3339() -> String {
    rfc3339(wall_s())
}

/// A moment of the wall clock, in seconds since the Unix epoch, in RFC 3339, UTC.
pub fn rfc3339(at_s: i64) -> String {
    jiff::Timestamp::from_second(at_s).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// The minute of the day that the wall clock shows, 0 to 1439, in the time zone of this IANA name, or of this machine.
///
/// # Errors
/// When there is no such time zone.
pub fn minute_of_day(zone: Option<&str>) -> Result<u16, jiff::Error> {
    let zone = zone.map_or_else(|| Ok(jiff::tz::TimeZone::system()), jiff::tz::TimeZone::get)?;
    Ok(minute_of(&jiff::Timestamp::try_from(wall())?.to_zoned(zone)))
}

fn minute_of(now: &jiff::Zoned) -> u16 {
    u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs())
}

/// A moment of the wall clock, in seconds since the Unix epoch, as the time zone of this IANA name shows it, or that of
/// this machine: `2026-11-22 13:05:09 +01:00`. A name that is none is passed over for the machine's own.
pub fn local(at_s: i64, zone: Option<&str>) -> String {
    let at = jiff::Timestamp::from_second(at_s).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let zone = zone_of(zone).unwrap_or_else(|_| jiff::tz::TimeZone::system());
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// The moment at which a date begins (`2026-01-31`), in the time zone of this IANA name or of this machine, or a moment
/// in RFC 3339 (`2026-01-31T12:00:00Z`), in seconds since the Unix epoch.
///
/// # Errors
/// When it is neither, or there is no such time zone.
pub fn moment_s(text: &str, zone: Option<&str>) -> Result<i64, jiff::Error> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_second());
    }
    let date: jiff::civil::Date = text.parse()?;
    Ok(date.to_zoned(zone_of(zone)?)?.timestamp().as_second())
}

fn zone_of(zone: Option<&str>) -> Result<jiff::tz::TimeZone, jiff::Error> {
    zone.map_or_else(|| Ok(jiff::tz::TimeZone::system()), jiff::tz::TimeZone::get)
}

/// When the run of this id began, in seconds since the Unix epoch; `None` for a name that is no run id.
pub fn run_began_s(run_id: &str) -> Option<i64> {
    let (stamp, _) = run_id.split_once('-')?;
    let stamp = stamp.split(['.', 'Z']).next()?;
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", stamp).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// Milliseconds from now until the wall clock shows `hour`:`minute` next, in the time zone of this IANA name, or of
/// this machine. A moment that a change of the clock leaves out is the one right after it.
///
/// # Errors
/// When there is no such time zone, or no such time of day.
pub fn until_ms(hour: i8, minute: i8, zone: Option<&str>) -> Result<u64, jiff::Error> {
    next_ms(&jiff::Timestamp::try_from(wall())?.to_zoned(zone_of(zone)?), hour, minute)
}

/// Whether the wall clock has shown this time of day already today, so that the next time is tomorrow's.
///
/// # Errors
/// When there is no such time zone, or no such time of day.
pub fn is_tomorrow(hour: i8, minute: i8, zone: Option<&str>) -> Result<bool, jiff::Error> {
    let now = jiff::Timestamp::try_from(wall())?.to_zoned(zone_of(zone)?);
    Ok(today_at(&now, hour, minute)? <= now)
}

fn today_at(now: &jiff::Zoned, hour: i8, minute: i8) -> Result<jiff::Zoned, jiff::Error> {
    let time = jiff::civil::Time::new(hour, minute, 0, 0)?;
    now.date().to_datetime(time).to_zoned(now.time_zone().clone())
}

fn next_ms(now: &jiff::Zoned, hour: i8, minute: i8) -> Result<u64, jiff::Error> {
    let time = jiff::civil::Time::new(hour, minute, 0, 0)?;
    let today = today_at(now, hour, minute)?;
    let next = if today > *now {
        today
    } else {
        now.date().tomorrow()?.to_datetime(time).to_zoned(now.time_zone().clone())?
    };
    let ms = next.timestamp().as_millisecond() - now.timestamp().as_millisecond();
    Ok(u64::try_from(ms).unwrap_or(0))
}

/// A run id: sortable by time to the millisecond, readable, and different for two runs by its last part.
pub fn run_id(chance: u64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_millis()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let now = now.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}-{:06x}", now.strftime("%Y%m%dT%H%M%S%.3fZ"), chance & 0xff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_next_one_in_its_zone() {
        const HOUR: u64 = 3_600_000;
        // By its rule, because not every machine has the time zones by name. The clocks go back at 2:00, forward at
        // 1:00.
        let london = jiff::tz::TimeZone::posix("GMT0BST,M3.5.0/1,M10.5.0").expect("a rule");
        let utc = jiff::tz::TimeZone::UTC;
        for (now, zone, hour, minute, expected) in [
            ("2026-11-22T22:00", &utc, 5, 30, 7 * HOUR + HOUR / 2),
            ("2026-11-22T05:29", &utc, 5, 30, 60_000),
            ("2026-11-22T05:30", &utc, 5, 30, 24 * HOUR),
            ("2026-10-25T00:00", &london, 5, 0, 6 * HOUR),
            ("2026-03-29T00:00", &london, 1, 30, HOUR + HOUR / 2),
        ] {
            let now: jiff::civil::DateTime = now.parse().expect("a moment");
            let now = now.to_zoned(zone.clone()).expect("a moment there");
            assert_eq!(next_ms(&now, hour, minute).expect("a time"), expected, "{now}");
        }
        assert!(until_ms(24, 0, None).is_err());
        assert!(until_ms(1, 0, Some("Europe/Nowhere")).is_err());
    }

    #[test]
    fn moments_are_dates_or_rfc_3339_and_run_ids_say_when() {
        assert_eq!(moment_s("2026-11-22T22:37:19Z", None).expect("a moment"), 1_795_387_039);
        assert_eq!(moment_s("2026-11-22", Some("UTC")).expect("a date") % 86_400, 0);
        assert!(moment_s("yesterday", None).is_err());
        assert_eq!(run_began_s("20261122T223719.123Z-c24cdd"), Some(1_795_387_039));
        let (id, now) = (run_id(7), wall_s());
        assert!(run_began_s(&id).is_some_and(|began| (now - began).abs() <= 2), "{id}");
        assert_eq!((run_began_s("latest"), run_began_s("20261399T000000Z-1")), (None, None));
        assert_eq!(local(1_795_387_039, Some("UTC")), "2026-11-22 22:37:19 +00:00");
    }

    #[test]
    fn run_ids_sort_by_time_within_a_second() {
        // The last part falls, so that nothing but the time can bring them into order.
        let mut ids = Vec::new();
        for chance in (0..20).rev() {
            ids.push(run_id(chance));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(ids[0].len(), "20261122T223719.123Z-c24cdd".len());
    }
}

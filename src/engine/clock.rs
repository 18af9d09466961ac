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

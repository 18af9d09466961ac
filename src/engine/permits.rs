//! The permit dispatcher: the only door of governor. Every attempt, retries included, passes here.
//!
//! One thread takes permits from the limiter in groups and hands them out on demand, because waiting on the limiter
//! from many tasks loses a tenth of the rate at 1,000/s and half of it at 20,000/s. Not here: what a permit is spent
//! on.

use std::num::NonZeroU32;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{Quota, RateLimiter};

/// Permits per second above which they are handed out in groups.
const GROUP_FROM_PER_S: f64 = 1_000.0;

/// How fast: one permit per `period`, and how many may come at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Time between two permits.
    pub period: Duration,
    /// Permits that may come at once after a rest; at least 1.
    pub burst: u32,
}

impl Pace {
    /// Permits handed out at a time: one millisecond's worth, at least one.
    pub fn group(&self) -> u32 {
        let per_s = 1.0 / self.period.as_secs_f64();
        let mut group = 1;
        while f64::from(group) * GROUP_FROM_PER_S < per_s && group < 1_000 {
            group += 1;
        }
        group
    }

    /// The burst in force: the one asked for, at least two groups, so that a late wake-up of the dispatcher loses no
    /// permit.
    pub fn burst_in_force(&self) -> u32 {
        self.burst.max(2 * self.group())
    }

    /// Whether a rest is to give less than the burst in force: what that adds for late wake-ups is for those alone.
    fn is_burst_unasked(&self) -> bool {
        self.burst <= self.group()
    }
}

/// Hands out permits on demand, at a pace.
#[derive(Debug)]
pub struct Permits {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<Demand>,
    changed: Condvar,
}

#[derive(Debug)]
struct Demand {
    wanted: u32,
    closed: bool,
}

impl Permits {
    /// Starts the dispatcher. `granted` is called on its thread with the number of permits just taken.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(pace: Pace, granted: impl Fn(u32) + Send + 'static) -> std::io::Result<Permits> {
        let shared = Arc::new(Shared {
            state: Mutex::new(Demand { wanted: 0, closed: false }),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("permits".into())
            .spawn(move || dispatch(pace, &theirs, granted))?;
        Ok(Permits { shared, thread: Some(thread) })
    }

    /// States how many permits are wanted from now on. It replaces what was wanted before, so that a pause can take
    /// a demand back.
    pub fn want(&self, count: u32) {
        let mut state = self.shared.lock();
        if state.wanted != count {
            state.wanted = count;
            if count > 0 {
                self.shared.changed.notify_all();
            }
        }
    }
}

impl Drop for Permits {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // The dispatcher may be asleep for a whole period (a minute at 1/m); it ends by itself after that.
            if thread.is_finished() && thread.join().is_err() {
                tracing::error!("the permit dispatcher panicked");
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Demand> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a demand, and tells whether there was none for a while; `None` when closed.
    fn wanted(&self) -> Option<(u32, bool)> {
        let mut state = self.lock();
        let has_rested = state.wanted == 0;
        while state.wanted == 0 && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed { None } else { Some((state.wanted, has_rested)) }
    }

    /// Takes up to `count` off the demand; the rest is no longer wanted.
    fn fill(&self, count: u32) -> u32 {
        let mut state = self.lock();
        let filled = count.min(state.wanted);
        state.wanted -= filled;
        filled
    }
}

fn dispatch(pace: Pace, shared: &Shared, granted: impl Fn(u32)) {
    let clock = DefaultClock::default();
    let burst = NonZeroU32::new(pace.burst_in_force()).unwrap_or(NonZeroU32::MIN);
    let Some(quota) = Quota::with_period(pace.period) else {
        // A period of zero is no limit; the wiring does not start a dispatcher then.
        return;
    };
    let limiter = RateLimiter::direct_with_clock(quota.allow_burst(burst), clock.clone());
    let mut is_first = true;
    while let Some((wanted, has_rested)) = shared.wanted() {
        let take = NonZeroU32::new(wanted.min(pace.group())).unwrap_or(NonZeroU32::MIN);
        let is_rested = std::mem::take(&mut is_first) || has_rested;
        // All that a rest has filled the limiter with is taken then, and one group is given.
        let is_emptied = is_rested && pace.is_burst_unasked() && matches!(limiter.check_n(burst), Ok(Ok(())));
        match if is_emptied { Ok(Ok(())) } else { limiter.check_n(take) } {
            Ok(Ok(())) => {
                let filled = shared.fill(take.get());
                if filled > 0 {
                    granted(filled);
                }
            }
            Ok(Err(not_until)) => std::thread::sleep(not_until.wait_time_from(clock.now())),
            // A group is never larger than the burst in force.
            Err(governor::InsufficientCapacity(_)) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn pace(per_s: u32, burst: u32) -> Pace {
        Pace { period: Duration::from_secs(1) / per_s, burst }
    }

    #[test]
    fn groups_are_a_millisecond_worth() {
        for (per_s, group, burst) in
            [(1, 1, 2), (100, 1, 2), (1_000, 1, 2), (20_000, 20, 40), (50_000, 50, 100)]
        {
            assert_eq!(pace(per_s, 1).group(), group, "{per_s}/s");
            assert_eq!(pace(per_s, 1).burst_in_force(), burst, "{per_s}/s");
        }
    }

    #[test]
    fn grants_what_is_wanted_and_no_more() {
        let (granted, grants) = mpsc::channel();
        let permits = Permits::start(pace(10_000, 1), move |count| granted.send(count).unwrap()).unwrap();
        permits.want(25);
        let mut sum = 0;
        while sum < 25 {
            sum += grants.recv_timeout(Duration::from_secs(5)).unwrap();
        }
        assert_eq!(sum, 25);
        assert!(grants.recv_timeout(Duration::from_millis(20)).is_err());
    }

    /// A server that grants one a second would be given two after every pause that it asks for.
    #[test]
    fn after_a_rest_no_more_come_at_once_than_were_asked_for() {
        for (burst, at_once) in [(1, 1), (2, 2), (3, 3)] {
            let (granted, grants) = mpsc::channel();
            let pace = Pace { period: Duration::from_secs(3), burst };
            let permits = Permits::start(pace, move |count| granted.send(count).unwrap()).unwrap();
            permits.want(10);
            let taken = || {
                let mut sum = grants.recv_timeout(Duration::from_secs(5)).unwrap();
                while let Ok(count) = grants.recv_timeout(Duration::from_millis(300)) {
                    sum += count;
                }
                sum
            };
            assert_eq!(taken(), at_once, "at the start, with a burst of {burst}");
        }
        let (granted, grants) = mpsc::channel();
        let pace = Pace { period: Duration::from_millis(500), burst: 1 };
        let permits = Permits::start(pace, move |count| granted.send(count).unwrap()).unwrap();
        permits.want(1);
        grants.recv_timeout(Duration::from_secs(5)).unwrap();
        std::thread::sleep(Duration::from_millis(1_200));
        permits.want(10);
        grants.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(grants.recv_timeout(Duration::from_millis(100)).is_err(), "two after a rest");
    }

    #[test]
    fn a_demand_can_be_taken_back() {
        let (granted, grants) = mpsc::channel();
        let permits = Permits::start(pace(20, 1), move |count| granted.send(count).unwrap()).unwrap();
        permits.want(100);
        grants.recv_timeout(Duration::from_secs(5)).unwrap();
        permits.want(0);
        // One grant may already be on its way; after it there is silence.
        let late = grants.recv_timeout(Duration::from_millis(200)).is_ok();
        assert!(grants.recv_timeout(Duration::from_millis(200)).is_err(), "late one: {late}");
    }
}

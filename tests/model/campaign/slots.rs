//! How many sequences run at a time. One that waits for time to pass gives its place to another.
//!
//! Not here: the threads (`main.rs`).

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Places that are free; as many as are asked for until somebody says how many there are.
static FREE: Mutex<u64> = Mutex::new(u64::MAX / 2);

static FREED: Condvar = Condvar::new();

/// So many sequences run at a time.
pub(crate) fn set(places: u64) {
    *FREE.lock().unwrap_or_else(PoisonError::into_inner) = places;
}

/// Waits for a place and takes it.
pub(crate) fn take() {
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut free = FREED.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
    *free -= 1;
}

/// Gives the place back.
pub(crate) fn give() {
    *FREE.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    FREED.notify_one();
}

/// Waits without a place.
pub(crate) fn sleep(time: Duration) {
    give();
    std::thread::sleep(time);
    take();
}

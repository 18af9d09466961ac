//! Credit: bounds how many updates the reading side may have handed over and not yet got back.
//!
//! Not here: what is bounded, and by how much.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A counter that one side waits on and the other fills up again.
#[derive(Debug)]
pub struct Credit {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    left: usize,
    closed: bool,
}

impl Credit {
    /// Starts with so many.
    pub fn new(left: usize) -> Credit {
        Credit { state: Mutex::new(State { left, closed: false }), changed: Condvar::new() }
    }

    /// Takes one if there is one.
    pub fn try_take(&self) -> bool {
        let mut state = self.lock();
        let taken = !state.closed && state.left > 0;
        if taken {
            state.left -= 1;
        }
        taken
    }

    /// Waits for one and takes it; `false` when the credit was closed.
    pub fn take(&self) -> bool {
        let mut state = self.lock();
        while state.left == 0 && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return false;
        }
        state.left -= 1;
        true
    }

    /// Whether there is none left to take, so that a waiting side waits.
    pub fn is_exhausted(&self) -> bool {
        self.lock().left == 0
    }

    /// Gives some back.
    pub fn give(&self, count: usize) {
        if count > 0 {
            self.lock().left += count;
            self.changed.notify_all();
        }
    }

    /// Ends all waiting, now and later.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves a plain counter behind, which is as good as before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_side_wakes_on_credit_and_on_close() {
        let credit = Credit::new(1);
        assert!(credit.try_take());
        assert!(!credit.try_take());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| (credit.take(), credit.take()));
            credit.give(1);
            credit.close();
            let (_, second) = waiter.join().unwrap();
            assert!(!second);
        });
    }
}

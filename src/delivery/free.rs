//! The clock of `retry_elapsed_max`: how long the run has been free to send. It stands still while the run is held,
//! because the breaker is open, everybody is quiet, the token is awaited, or nothing may be sent at this time of day:
//! no row can help that.
//!
//! Not here: what holds the run (`schedule.rs`), and which failures count (`lanes.rs`).

/// The clock. It begins at zero.
#[derive(Debug, Default)]
pub(super) struct FreeTime {
    free_ms: u64,
    looked_ms: u64,
}

impl FreeTime {
    /// A clock that stands at zero at this moment.
    pub(super) fn new(now_ms: u64) -> FreeTime {
        FreeTime { free_ms: 0, looked_ms: now_ms }
    }

    /// When it was looked at last.
    pub(super) fn looked_ms(&self) -> u64 {
        self.looked_ms
    }

    /// Goes on to now, from when it was looked at last or from when the run was not held any more, whatever came later.
    pub(super) fn go_on(&mut self, held_until_ms: u64, now_ms: u64) {
        self.free_ms += now_ms.saturating_sub(held_until_ms.max(self.looked_ms));
        self.looked_ms = self.looked_ms.max(now_ms);
    }

    /// Milliseconds so far.
    pub(super) fn ms(&self) -> u64 {
        self.free_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_while_the_run_is_held() {
        let mut free = FreeTime::new(1_000);
        for (held_until_ms, now_ms, expected) in
            [(0, 1_500, 500), (1_700, 2_000, 800), (9_000, 3_000, 800), (3_000, 3_000, 800), (0, 3_001, 801)]
        {
            free.go_on(held_until_ms, now_ms);
            assert_eq!((free.ms(), free.looked_ms()), (expected, now_ms));
        }
    }
}

//! The one home of randomness: jitter for retry delays and the tail of run ids. Not for secrets.
//!
//! Pure code is handed the numbers.

use std::hash::{BuildHasher, RandomState};

/// A small generator (SplitMix64), seeded from the process's own random state.
#[derive(Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// Seeds from the operating system, through the standard library's hash keys.
    pub fn from_entropy() -> Chance {
        Chance { state: RandomState::new().hash_one(std::process::id()) }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number in 0..1.
    pub fn next_unit(&mut self) -> f64 {
        // 32 bits are far more than a delay in milliseconds can show, and convert without loss.
        let top = u32::try_from(self.next_u64() >> 32).unwrap_or(u32::MAX);
        f64::from(top) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_lie_in_range_and_differ() {
        let mut chance = Chance::from_entropy();
        let units: Vec<f64> = (0..1000).map(|_| chance.next_unit()).collect();
        assert!(units.iter().all(|unit| (0.0..1.0).contains(unit)));
        assert!(units.windows(2).any(|pair| pair[0] < pair[1]));
    }
}

//! Chance of the sandbox: which fault meets the n-th request, and how long it waits. Pure and seeded.
//!
//! Every draw depends on the seed and the request's ordinal alone, never on earlier draws: a fault that is
//! switched off does not move the others. Not here: the faults themselves (`faults.rs`).

use super::faults::{Fault, Faults};

/// What chance has in store for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lot {
    /// The fault it meets, if any.
    pub(super) fault: Option<Fault>,
    /// How long its answer waits, in milliseconds.
    pub(super) delay_ms: u64,
}

/// The faults by chance of one set, ready to be drawn from.
#[derive(Debug)]
pub(super) struct Chance {
    seed: u64,
    /// Upper border of each fault on the line from 0 to 1, ascending.
    borders: Vec<(f64, Fault)>,
    latency_ms: u64,
    jitter_ms: u64,
}

impl Chance {
    pub(super) fn new(faults: &Faults) -> Chance {
        let mut border = 0.0;
        let mut borders = Vec::new();
        for (fault, share) in faults.shares.table() {
            if share > 0.0 {
                border += share;
                borders.push((border, fault));
            }
        }
        Chance {
            seed: faults.seed,
            borders,
            latency_ms: faults.latency_ms,
            jitter_ms: faults.latency_jitter_ms,
        }
    }

    /// Draws for the request of this ordinal.
    pub(super) fn draw(&self, ordinal: u64) -> Lot {
        let fault = if self.borders.is_empty() {
            None
        } else {
            let point = unit(self.bits(ordinal, 1));
            self.borders.iter().find(|(border, _)| point < *border).map(|(_, fault)| *fault)
        };
        let jitter_ms = if self.jitter_ms == 0 { 0 } else { self.bits(ordinal, 2) % (self.jitter_ms + 1) };
        Lot { fault, delay_ms: self.latency_ms + jitter_ms }
    }

    fn bits(&self, ordinal: u64, purpose: u64) -> u64 {
        mix(mix(self.seed ^ purpose.wrapping_mul(0xA076_1D64_78BD_642F)).wrapping_add(ordinal))
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number from 0 up to but excluding 1, from the upper 53 bits, which a double holds exactly.
fn unit(bits: u64) -> f64 {
    const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
    (bits >> 11) as f64 * STEP
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Shares;

    fn faults(seed: u64) -> Faults {
        let shares = Shares { error_500_before: 0.1, reset_after: 0.05, ..Shares::default() };
        Faults { seed, shares, latency_ms: 5, latency_jitter_ms: 10, ..Faults::default() }
    }

    fn lots(faults: &Faults) -> Vec<Lot> {
        let chance = Chance::new(faults);
        (1..=20_000).map(|ordinal| chance.draw(ordinal)).collect()
    }

    #[test]
    fn a_seed_decides_everything() {
        assert_eq!(lots(&faults(7)), lots(&faults(7)));
        assert_ne!(lots(&faults(7)), lots(&faults(8)));
    }

    #[test]
    fn shares_are_met() {
        let lots = lots(&faults(3));
        let count = |fault| lots.iter().filter(|lot| lot.fault == Some(fault)).count();
        // Five standard deviations of 20,000 draws.
        assert!(count(Fault::Status(500)).abs_diff(2000) < 215, "{}", count(Fault::Status(500)));
        assert!(count(Fault::ResetAfter).abs_diff(1000) < 155, "{}", count(Fault::ResetAfter));
        assert_eq!(lots.iter().map(|lot| lot.delay_ms).min(), Some(5));
        assert_eq!(lots.iter().map(|lot| lot.delay_ms).max(), Some(15));
    }

    #[test]
    fn a_share_of_one_spares_nobody_and_none_strikes_nobody() {
        let mut all = Faults::default();
        all.shares.garbage_body = 1.0;
        assert!(lots(&all).iter().all(|lot| lot.fault == Some(Fault::GarbageBody)));
        assert!(lots(&Faults::default()).iter().all(|lot| lot.fault.is_none()));
    }

    #[test]
    fn the_jitter_does_not_move_the_faults() {
        let mut steady = faults(7);
        steady.latency_jitter_ms = 0;
        let struck = |faults: &Faults| lots(faults).iter().map(|lot| lot.fault).collect::<Vec<_>>();
        assert_eq!(struck(&steady), struck(&faults(7)));
    }
}

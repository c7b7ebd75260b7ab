//! Chance as a value: the spread of retries and the low bits of ids. Secrets never come from here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's randomness, or a sequence that a seed repeats; clones share the sequence.
#[derive(Clone, Debug)]
pub struct Chance(Option<Arc<Sequence>>);

#[derive(Debug)]
struct Sequence {
    seed: u64,
    state: AtomicU64,
}

impl Chance {
    pub fn system() -> Self {
        Self(None)
    }

    /// For tests: the same seed gives the same numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(Some(Arc::new(Sequence {
            seed,
            state: AtomicU64::new(seed),
        })))
    }

    pub fn bits(&self) -> u64 {
        match &self.0 {
            Some(own) => split_mix(own.state.fetch_add(GOLDEN, Ordering::Relaxed)),
            None => rand::random(),
        }
    }

    /// In 0..1. With a seed it depends on what it is for and not on who asked before, so that it
    /// is the same whichever of two tasks is quicker.
    pub fn fraction_for(&self, what: [i64; 3]) -> f64 {
        let bits = match &self.0 {
            Some(own) => what.into_iter().fold(own.seed, |bits, part| {
                split_mix(bits ^ part.cast_unsigned())
            }),
            None => rand::random(),
        };
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of `SplitMix64`.
fn split_mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence_and_fractions_stay_below_one() {
        let (one, two) = (Chance::seeded(7), Chance::seeded(7));
        for i in 0..1000 {
            let fraction = one.fraction_for([i, 2, 3]);
            assert!((0.0..1.0).contains(&fraction));
            assert_eq!(one.bits(), two.bits());
            assert_eq!(fraction.to_bits(), two.fraction_for([i, 2, 3]).to_bits());
            assert_ne!(fraction.to_bits(), two.fraction_for([i, 3, 2]).to_bits());
        }
        assert_ne!(Chance::seeded(8).bits(), Chance::seeded(7).bits());
    }
}

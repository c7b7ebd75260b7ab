//! Seeded dice: the same seed gives the same people, ids and decisions.

use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::lock;

#[derive(Debug)]
pub(crate) struct Chance(Mutex<StdRng>);

impl Chance {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// 0 to `n - 1`; 0 when `n` is 0.
    pub(crate) fn below(&self, n: usize) -> usize {
        if n == 0 {
            0
        } else {
            lock(&self.0).random_range(0..n)
        }
    }

    /// `low` to `high`, both possible.
    pub(crate) fn between(&self, low: i64, high: i64) -> i64 {
        lock(&self.0).random_range(low..=high.max(low))
    }

    /// True with probability `p`.
    pub(crate) fn happens(&self, p: f64) -> bool {
        lock(&self.0).random_bool(p.clamp(0.0, 1.0))
    }

    pub(crate) fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    /// `n` letters and digits.
    pub(crate) fn word(&self, n: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut dice = lock(&self.0);
        (0..n)
            .map(|_| char::from(LETTERS[dice.random_range(0..LETTERS.len())]))
            .collect()
    }

    /// `n` lower hexadecimal digits, as Shopify's tokens.
    pub(crate) fn hex(&self, n: usize) -> String {
        let mut dice = lock(&self.0);
        (0..n)
            .map(|_| char::from(b"0123456789abcdef"[dice.random_range(0..16)]))
            .collect()
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&self) -> String {
        let hex = self.hex(32);
        format!(
            "{}-{}-4{}-a{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..]
        )
    }
}

//! Faults: what becomes of a broadcast when processes, databases, networks, clocks and Meta fail.
//!
//! The stories with processes run the real binary in real time. They are short in an ordinary run
//! (a few kills in a campaign of 2,000); with `PAGECAST_TEST_LONG=1` they are long (100 kills in a
//! campaign of 20,000). Instants are chosen by a seed, printed when a story fails;
//! `PAGECAST_TEST_SEED` replays it.

pub(crate) mod audience;
pub(crate) mod operator;

mod control;
mod deploy;
mod fair;
mod front;
mod frozen;
mod grown;
mod inside;
mod kills;
mod pace;
mod platform;
mod storage;
mod time;

use std::time::Duration;

/// Whether the long forms were asked for.
fn is_long() -> bool {
    std::env::var("PAGECAST_TEST_LONG").is_ok_and(|value| value == "1")
}

/// The short or the long size of something.
fn sized<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

/// Chance that can be replayed: xorshift over a seed, which is told when the story fails.
struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("PAGECAST_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| rand::random::<u64>() | 1);
        Self { seed, state: seed }
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        low + self.state % (high - low + 1)
    }

    /// Waits for a random time of so many milliseconds.
    async fn waits(&mut self, low: u64, high: u64) {
        tokio::time::sleep(Duration::from_millis(self.between(low, high))).await;
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with PAGECAST_TEST_SEED={}", self.seed);
        }
    }
}

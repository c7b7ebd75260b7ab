//! Figures that took long to count are shown again for a while. Only those of many rows: small
//! ones are counted afresh each time, so that nobody sees a figure that is behind its list.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From so many rows on, counting is felt.
pub(super) const MANY: i64 = 50_000;
/// Figures are shown for so many times as long as counting them took, so that counting never takes
/// more than a twentieth of anybody's time.
const TIMES: u32 = 20;
const LONGEST: Duration = Duration::from_mins(1);
/// More entries than a person opens in a minute; then the cache starts anew.
const MOST: usize = 2_000;

pub(super) struct Kept<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, value) = kept.get(key)?;
        (*until > Instant::now()).then(|| value.clone())
    }

    /// Keeps what was counted over `rows` rows since `began`, if that is worth it.
    pub(super) fn keep(&self, key: K, value: &V, rows: i64, began: Instant) {
        if rows < MANY {
            return;
        }
        let now = Instant::now();
        let until = now + ((now - began) * TIMES).min(LONGEST);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(key, (until, value.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_took_long_and_is_large_is_shown_again() {
        let kept = Kept::new();
        let began = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        kept.keep("small", &1, MANY - 1, began);
        kept.keep("large", &2, MANY, began);
        kept.keep("quick", &3, MANY, Instant::now() + LONGEST);
        assert_eq!(kept.get(&"small"), None);
        assert_eq!(kept.get(&"large"), Some(2));
        assert_eq!(kept.get(&"quick"), None);
    }
}

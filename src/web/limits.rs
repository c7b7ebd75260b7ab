//! How often somebody may call: a bucket for each of them, in each process.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::{Millis, SECOND};

/// Callers remembered before those with a full bucket are forgotten.
const REMEMBERED: usize = 10_000;
/// A bucket counts in thousandths of a call.
const CALL: i64 = SECOND;

/// Buckets of calls, by caller. Clones share them.
#[derive(Debug)]
pub(super) struct Limits<K> {
    /// Calls that may come at once.
    burst: i64,
    /// Calls that come back each second.
    a_second: i64,
    buckets: Arc<Mutex<HashMap<K, Bucket>>>,
}

impl<K> Clone for Limits<K> {
    fn clone(&self) -> Self {
        Self {
            buckets: Arc::clone(&self.buckets),
            ..*self
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: i64,
    at: Millis,
}

impl<K: Eq + Hash + Clone> Limits<K> {
    pub(super) fn new(burst: i64, a_second: i64) -> Self {
        Self {
            burst,
            a_second,
            buckets: Arc::default(),
        }
    }

    pub(super) fn allow(&self, caller: &K, now: Millis) -> bool {
        let most = self.burst * CALL;
        let refilled = |bucket: &Bucket| {
            let back = (now - bucket.at).max(0).saturating_mul(self.a_second);
            bucket.left.saturating_add(back).min(most)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED {
            buckets.retain(|_, bucket| refilled(bucket) < most);
        }
        let full = Bucket {
            left: most,
            at: now,
        };
        let bucket = buckets.entry(caller.clone()).or_insert(full);
        let left = refilled(bucket);
        let allowed = left >= CALL;
        *bucket = Bucket {
            left: if allowed { left - CALL } else { left },
            at: now,
        };
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_that_calls_too_often_waits_and_the_others_do_not() {
        let limits = Limits::new(500, 50);
        let through = |now| (0..1_000).filter(|_| limits.allow(&"loud", now)).count();
        assert_eq!(through(1_000), 500);
        assert!(limits.allow(&"quiet", 1_000));
        assert_eq!(through(1_020), 1, "one comes back every 20 ms");
        assert_eq!(through(3_020), 100);
        assert_eq!(through(999_999), 500, "never more than the bucket holds");
    }
}

//! Time as a value. Everything that asks for the time asks a [`Clock`], so a test can steer it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;

/// Milliseconds since the Unix epoch, as stored in every `*_at` column.
pub type Millis = i64;

pub const SECOND: Millis = 1_000;
pub const MINUTE: Millis = 60 * SECOND;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;

/// The system's clock, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Kind);

#[derive(Clone, Debug)]
enum Kind {
    System,
    Steered(Arc<AtomicI64>),
    Simulated(Arc<dyn Timeline>),
}

/// A time that passes by somebody else's rules: several actors wait on it, and whoever keeps it
/// decides when each of them goes on.
pub trait Timeline: std::fmt::Debug + Send + Sync {
    fn now(&self) -> Millis;

    fn sleep_until(&self, at: Millis) -> BoxFuture<'static, ()>;
}

impl Clock {
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that stands still until it is moved; clones share the time.
    pub fn steerable(now: Millis) -> Self {
        Self(Kind::Steered(Arc::new(AtomicI64::new(now))))
    }

    pub fn simulated(timeline: Arc<dyn Timeline>) -> Self {
        Self(Kind::Simulated(timeline))
    }

    pub fn is_steerable(&self) -> bool {
        matches!(self.0, Kind::Steered(_))
    }

    /// Now, in epoch milliseconds.
    pub fn now(&self) -> Millis {
        match &self.0 {
            Kind::Steered(steered) => steered.load(Ordering::SeqCst),
            Kind::Simulated(timeline) => timeline.now(),
            Kind::System => system_now(),
        }
    }

    /// Moves a steerable clock; no other can be moved.
    pub fn advance(&self, by: Millis) {
        if let Kind::Steered(steered) = &self.0 {
            steered.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Waits for `what`, for `span` at most. On a steerable clock the span is real time, because
    /// waiting would move the clock.
    pub async fn within<T>(&self, span: Millis, what: impl Future<Output = T>) -> Option<T> {
        if self.is_steerable() {
            let span = Duration::from_millis(span.unsigned_abs());
            return tokio::time::timeout(span, what).await.ok();
        }
        tokio::select! {
            biased;
            done = what => Some(done),
            () = self.sleep_until(self.now() + span) => None,
        }
    }

    /// Waits until the clock shows `at`. On a steerable clock waiting *is* what moves time, so a
    /// simulated hour of pacing takes no real time.
    pub async fn sleep_until(&self, at: Millis) {
        match &self.0 {
            Kind::Steered(steered) => {
                steered.fetch_max(at, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
            Kind::Simulated(timeline) => timeline.sleep_until(at).await,
            Kind::System => {
                let wait = at - system_now();
                if wait > 0 {
                    tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
                }
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the system's clock"
)]
fn system_now() -> Millis {
    Timestamp::now().as_millisecond()
}

/// RFC 3339 in UTC to the second, the way times leave the public API.
pub fn rfc3339(at: Millis) -> String {
    Timestamp::from_millisecond(at)
        .map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

/// Reads an RFC 3339 time (any offset) into epoch milliseconds.
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    text.trim()
        .parse::<Timestamp>()
        .ok()
        .map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_the_round_trip_and_offsets_are_understood() {
        assert_eq!(rfc3339(1_790_000_000_000), "2026-09-21T14:13:20Z");
        assert_eq!(
            parse_rfc3339("2026-09-21T16:13:20+02:00"),
            Some(1_790_000_000_000)
        );
        assert_eq!(parse_rfc3339("yesterday"), None);
    }
}

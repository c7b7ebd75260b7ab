//! Trouble on demand.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Meta;
use super::events::EventShape;
use super::graph::Refusal;
use crate::sandbox::lock;

/// "Too many calls", and what it says of when to come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// Meta's code in its error object; a bare HTTP 429 when absent.
    pub code: Option<i64>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// `estimated_time_to_regain_access` of the business use case header, in minutes.
    pub regain_minutes: Option<u32>,
}

/// A send that Meta saw, whatever it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenCall {
    /// In real time, since the sandbox began.
    pub at: Duration,
    /// Audio or video.
    pub heavy: bool,
}

impl Meta {
    /// The next `n` sends, on either channel, come to "too many calls" before they are looked at.
    pub fn throttles_next(&self, throttle: Throttle, n: usize) {
        self.faults()
            .throttles
            .extend(std::iter::repeat_n(throttle, n));
    }

    /// Notes when each send comes, for [`Meta::calls_seen`].
    pub fn times_calls(&self, on: bool) {
        self.faults().times_calls = on;
    }

    /// The sends to this Page's people since [`Meta::times_calls`], in order.
    pub fn calls_seen(&self, page_id: &str) -> Vec<SeenCall> {
        self.state()
            .pages
            .get(page_id)
            .map(|page| page.calls.clone())
            .unwrap_or_default()
    }

    /// Every webhook waits this long (in real time) before it is delivered.
    pub fn delays_webhooks(&self, ms: u64) {
        self.inner.outbox.delays(ms);
    }

    /// The next `n` sends, on either channel, are refused with this error and have no effect.
    pub fn refuses_next(&self, code: i64, subcode: Option<i64>, n: usize) {
        self.faults()
            .refusals
            .extend(std::iter::repeat_n((code, subcode), n));
    }

    /// The next `n` uploads are refused with this error.
    pub fn refuses_uploads(&self, code: i64, subcode: Option<i64>, n: usize) {
        self.faults()
            .refused_uploads
            .extend(std::iter::repeat_n((code, subcode), n));
    }

    /// Every call waits this long (in real time) before it is looked at.
    pub fn delays(&self, ms: u64) {
        self.faults().delay_ms = ms;
    }

    /// The next `n` accepted sends take effect, and the connection is closed without an answer.
    pub fn drops_answers(&self, n: u32) {
        self.faults().drop_answers = n;
    }

    /// The next `n` accepted sends take effect, and are answered with this error all the same.
    pub fn errs_after_taking(&self, status: u16, code: i64, n: usize) {
        self.faults()
            .lies
            .extend(std::iter::repeat_n((status, code), n));
    }

    /// Every webhook comes twice.
    pub fn doubles_webhooks(&self, on: bool) {
        self.inner.outbox.doubles(on);
    }

    /// Webhooks come one by one, in any order.
    pub fn reorders_webhooks(&self, on: bool) {
        self.inner.outbox.reorders(on);
    }

    /// No echo, no delivery, no read receipt.
    pub fn goes_silent(&self, on: bool) {
        self.faults().silent = on;
    }

    /// 503 on every call.
    pub fn is_down(&self, on: bool) {
        self.faults().down = on;
    }

    /// What the usage headers claim; `None` goes back to the truth.
    pub fn shows_usage(&self, percent: Option<u32>) {
        self.faults().usage_percent = percent;
    }

    /// Echo and delivery webhooks follow every accepted send by themselves. On by default in
    /// explicit mode; in auto mode the people do it in their own time.
    pub fn auto_receipts(&self, on: bool) {
        self.inner.auto_receipts.store(on, Ordering::SeqCst);
    }

    /// The envelope of the marketing message events, which Meta does not document.
    pub fn shapes_marketing_events(&self, shape: EventShape) {
        *lock(&self.inner.shape) = shape;
    }

    pub(super) fn throttle_due(&self) -> Option<Throttle> {
        self.faults().throttles.pop_front()
    }

    pub(super) fn since_start(&self) -> Duration {
        Instant::now().duration_since(self.inner.started)
    }

    pub(super) fn lie_due(&self) -> Option<Refusal> {
        let (status, code) = self.faults().lies.pop_front()?;
        let text = "An unknown error has occurred.";
        Some(Refusal::new(code, text).status(status))
    }

    pub(super) fn drops_this_answer(&self) -> bool {
        let mut faults = self.faults();
        if faults.drop_answers == 0 {
            return false;
        }
        faults.drop_answers -= 1;
        true
    }
}

//! How people behave in auto mode, as shares and times.

use crate::clock::{Millis, SECOND};

/// How people behave. Shares are of the step before; times in milliseconds, least and most.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Messages that reach the phone, and how soon.
    pub delivered: f64,
    pub delivered_after: (Millis, Millis),
    /// Of those delivered.
    pub read: f64,
    pub read_after: (Millis, Millis),
    /// Of those who read a message with a link.
    pub clicked: f64,
    pub clicked_after: (Millis, Millis),
    /// Of those who clicked.
    pub bought: f64,
    pub bought_after: (Millis, Millis),
    /// Of those who bought; half of them return everything.
    pub refunded: f64,
    pub refunded_after: (Millis, Millis),
    /// Of those who got a message.
    pub stopped: f64,
    pub stopped_after: (Millis, Millis),
    /// Of those who were shown an opt-in card.
    pub opted_in: f64,
    pub opted_in_after: (Millis, Millis),
    /// Between two new shoppers, if there is a link to come in by.
    pub newcomer_every: (Millis, Millis),
    /// Between two abandoned checkouts.
    pub abandoned_every: (Millis, Millis),
    /// Of abandoned checkouts, those completed without any reminder.
    pub came_back: f64,
    pub came_back_after: (Millis, Millis),
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            delivered: 0.92,
            delivered_after: (SECOND, 3 * SECOND),
            read: 0.65,
            read_after: (2 * SECOND, 40 * SECOND),
            clicked: 0.18,
            clicked_after: (SECOND, 15 * SECOND),
            bought: 0.12,
            bought_after: (3 * SECOND, 20 * SECOND),
            refunded: 0.06,
            refunded_after: (8 * SECOND, 40 * SECOND),
            stopped: 0.004,
            stopped_after: (3 * SECOND, 60 * SECOND),
            opted_in: 0.85,
            opted_in_after: (2 * SECOND, 12 * SECOND),
            newcomer_every: (8 * SECOND, 25 * SECOND),
            abandoned_every: (12 * SECOND, 40 * SECOND),
            came_back: 0.3,
            came_back_after: (30 * SECOND, 120 * SECOND),
        }
    }
}

//! Shapes that several answers share.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::analytics::{Figures, Revenue};
use crate::shopify::money;
use crate::store::page::Page;

/// An amount in the currency's own number of digits.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Money {
    #[schema(example = "12.34")]
    pub amount: String,
    #[schema(example = "USD")]
    pub currency: String,
}

/// What credited orders brought in one currency. `net` is `gross` less `refunded`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Revenue)]
pub(super) struct Earned {
    #[schema(example = "USD")]
    pub currency: String,
    #[schema(example = "40.00")]
    pub gross: String,
    /// Taken back by refunds and cancellations.
    #[schema(example = "15.50")]
    pub refunded: String,
    #[schema(example = "24.50")]
    pub net: String,
}

/// Messages by what became of them. queued, sending, sent, failed, skipped and unknown add up to
/// the audience; delivered, read and clicked are parts of sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Counts {
    pub queued: i64,
    pub sending: i64,
    pub sent: i64,
    pub delivered: i64,
    pub read: i64,
    /// People who clicked.
    pub clicked: i64,
    pub failed: i64,
    pub skipped: i64,
    /// Given to Meta without an answer; a receipt settles it.
    pub unknown: i64,
}

/// What became of the messages, and what they earned.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Outcome {
    pub counts: Counts,
    /// Why messages were skipped: reason and number.
    pub skipped: BTreeMap<String, i64>,
    /// Why messages failed: reason and number.
    pub failed: BTreeMap<String, i64>,
    /// Orders credited to them.
    pub orders: i64,
    pub revenue: Vec<Earned>,
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Listed<T> {
    pub data: Vec<T>,
    /// Send it as `?cursor=` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

impl Money {
    pub(super) fn new(minor: i64, currency: &str) -> Self {
        Self {
            amount: money::decimal(minor, currency),
            currency: currency.to_owned(),
        }
    }
}

impl From<&Revenue> for Earned {
    fn from(revenue: &Revenue) -> Self {
        let text = |minor| money::decimal(minor, &revenue.currency);
        Self {
            gross: text(revenue.gross),
            refunded: text(revenue.refunded),
            net: text(revenue.net()),
            currency: revenue.currency.clone(),
        }
    }
}

impl From<Figures> for Outcome {
    fn from(figures: Figures) -> Self {
        Self {
            counts: Counts {
                queued: figures.queued,
                sending: figures.sending,
                sent: figures.sent,
                delivered: figures.delivered,
                read: figures.read,
                clicked: figures.clicked,
                failed: figures.failed,
                skipped: figures.skipped,
                unknown: figures.unknown,
            },
            skipped: figures.skipped_why.into_iter().collect(),
            failed: figures.failed_why.into_iter().collect(),
            orders: figures.orders,
            revenue: figures.revenue.iter().map(Earned::from).collect(),
        }
    }
}

impl<T> Listed<T> {
    pub(super) fn of<R>(page: Page<R>, shape: impl Fn(R) -> T) -> Self {
        Self {
            data: page.rows.into_iter().map(shape).collect(),
            next_cursor: page.next,
        }
    }
}

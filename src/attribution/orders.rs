//! Orders as the shop tells them, and the credit each may carry.

use crate::app::App;
use crate::clock::Millis;
use crate::shopify::payloads;
use crate::store::Conn;
use crate::store::ids::{AutomationId, CampaignId, OrderId, SubscriberId, WorkspaceId};
use crate::store::page::{Cursor, Page};

/// An order for lists and the API; money in minor units.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: OrderId,
    pub shop_order_id: String,
    pub name: String,
    pub total: i64,
    /// Never more than `total`; all of it for a cancelled order.
    pub refunded: i64,
    pub currency: String,
    pub ordered_at: Millis,
    pub cancelled_at: Option<Millis>,
    pub credit: Option<CreditView>,
}

#[derive(Clone, Debug)]
pub struct CreditView {
    pub campaign: Option<CampaignId>,
    pub automation: Option<AutomationId>,
    /// The campaign's or automation's name.
    pub name: String,
    pub subscriber: SubscriberId,
    pub subscriber_name: Option<String>,
    /// `click`.
    pub touch_kind: String,
    pub touch_at: Millis,
    pub matched_by: String,
    pub window_days: i64,
}

#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Only those with (or, `false`, without) a credit.
    pub credited: Option<bool>,
    pub campaign: Option<CampaignId>,
    pub automation: Option<AutomationId>,
    pub subscriber: Option<SubscriberId>,
}

/// Keeps the order once, newest `updated_at` wins; credits it if a touch fits; marks the customer's
/// subscribers as having ordered; completes the checkout.
pub async fn record_order(
    _app: &App,
    _conn: &mut Conn,
    _ws: WorkspaceId,
    _order: &payloads::Order,
) -> anyhow::Result<()> {
    unimplemented!()
}

/// Takes revenue back; may come before its order.
pub async fn record_refund(
    _app: &App,
    _conn: &mut Conn,
    _ws: WorkspaceId,
    _refund: &payloads::Refund,
) -> anyhow::Result<()> {
    unimplemented!()
}

/// Asks Shopify for the journeys of uncredited orders that are due (after 5 min, 1 h, 24 h).
pub async fn sweep_journeys(_app: &App) -> anyhow::Result<usize> {
    unimplemented!()
}

pub async fn find(_app: &App, _ws: WorkspaceId, _id: OrderId) -> anyhow::Result<Option<Order>> {
    unimplemented!()
}

/// Newest first.
pub async fn list(
    _app: &App,
    _ws: WorkspaceId,
    _filter: &OrderFilter,
    _cursor: Cursor,
) -> anyhow::Result<Page<Order>> {
    unimplemented!()
}

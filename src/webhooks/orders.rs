//! What an order means to us, whichever way we hear of it.

use serde_json::Map;

use crate::app::App;
use crate::attribution::record_order;
use crate::automations::{self, Happening};
use crate::shopify::money::decimal;
use crate::shopify::payloads::Order;
use crate::store::Conn;
use crate::store::ids::WorkspaceId;
use crate::subscribers;
use crate::webhooks::shopify::known;

/// Keeps the order with its buyer and gives it its credit; `is_paid`: it was paid just now, which
/// starts automations. `true` if a run began.
pub(super) async fn apply(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    order: &Order,
    is_paid: bool,
) -> anyhow::Result<bool> {
    let mut buyer = order.customer.as_ref().map(known).unwrap_or_default();
    buyer.email = buyer.email.or(order.email.clone());
    buyer.phone = buyer.phone.or(order.phone.clone());
    let at = order
        .customer
        .as_ref()
        .and_then(|customer| customer.updated_at)
        .unwrap_or(order.updated_at);
    subscribers::save_customer(app, conn, ws, &buyer, at).await?;
    // Whoever came in with this checkout is, at the latest now, this customer.
    if let Some(token) = &order.checkout_token {
        for id in subscribers::by_checkout(conn, ws, token).await? {
            subscribers::link_customer(app, conn, id, &buyer).await?;
        }
    }
    record_order(app, conn, ws, order).await?;
    if !is_paid || order.lost_at().is_some() {
        return Ok(false);
    }
    let mut began = false;
    for subscriber in subscribers::recognise(app, conn, ws, &buyer).await? {
        let mut context = Map::new();
        context.insert("order_name".to_owned(), order.name.clone().into());
        context.insert(
            "total".to_owned(),
            decimal(order.total, &order.currency).into(),
        );
        context.insert("currency".to_owned(), order.currency.clone().into());
        let happening = Happening {
            workspace: ws,
            subscriber,
            kind: "order_paid",
            key: String::new(),
            trigger_ref: order.id.to_string(),
            context,
            at: order.updated_at,
        };
        began |= automations::start(app, conn, &happening).await? > 0;
    }
    Ok(began)
}

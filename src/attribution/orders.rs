//! Orders as the shop tells them: kept once, in the order of the shop's own `updated_at`, however
//! the webhooks arrive.

use anyhow::Context;
use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::attribution::evidence::Evidence;
use crate::attribution::journeys;
use crate::attribution::touches::{self, Kept};
use crate::shopify::payloads;
use crate::store::ids::{OrderId, SubscriberId, WorkspaceId};
use crate::store::sealed::{email_hash, phone_hash};
use crate::store::{Conn, clean, placeholders};
use crate::tallies;

/// Keeps the order once, newest `updated_at` wins; credits it if a touch fits; marks the customer's
/// subscribers as having ordered; completes the checkout.
pub async fn record_order(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    order: &payloads::Order,
) -> anyhow::Result<()> {
    one_at_a_time(conn, ws).await?;
    let shop_order_id = order.id.to_string();
    let before = tallies::earned(conn, ws, &shop_order_id).await?;
    let evidence = Evidence::of_order(order);
    save(app, conn, ws, order, &evidence).await?;
    for refund in &order.refunds {
        save_refund(conn, ws, refund).await?;
    }
    take_back(conn, ws, &shop_order_id).await?;
    let kept = load(conn, ws, &shop_order_id).await?;
    complete_checkout(conn, &kept, order.cart_token.as_deref()).await?;
    let phone = order.phone.as_deref().or_else(|| {
        let customer = order.customer.as_ref()?;
        customer.phone.as_deref()
    });
    let phone_hash = phone.and_then(phone_hash);
    let subscribers = touches::subscribers_of(conn, &kept, phone_hash.as_deref()).await?;
    if kept.test == 0 {
        mark_ordered(conn, &kept, &subscribers).await?;
    }
    let verdict = touches::give_credit(app, conn, &kept, &evidence, &subscribers).await?;
    let now = tallies::earned(conn, ws, &shop_order_id).await?;
    tallies::earnings_moved(conn, ws, before, now).await?;
    journeys::plan(app, conn, &kept, verdict).await
}

/// Takes revenue back; may come before its order.
pub async fn record_refund(
    _app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    refund: &payloads::Refund,
) -> anyhow::Result<()> {
    one_at_a_time(conn, ws).await?;
    let shop_order_id = refund.order_id.to_string();
    let before = tallies::earned(conn, ws, &shop_order_id).await?;
    save_refund(conn, ws, refund).await?;
    take_back(conn, ws, &shop_order_id).await?;
    let now = tallies::earned(conn, ws, &shop_order_id).await?;
    tallies::earnings_moved(conn, ws, before, now).await?;
    Ok(())
}

/// An order and its refund, handled at the same moment by two workers, would each miss what the
/// other has not committed: one workspace's orders are written one after the other.
pub(super) async fn one_at_a_time(conn: &mut Conn, ws: WorkspaceId) -> anyhow::Result<()> {
    let locked = sqlx::query("UPDATE workspaces SET name = name WHERE id = $1")
        .bind(ws)
        .execute(conn)
        .await?;
    anyhow::ensure!(locked.rows_affected() == 1, "there is no workspace {ws}");
    Ok(())
}

/// What a later body leaves out stays known; a cancellation is final, whichever body tells it.
async fn save(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    order: &payloads::Order,
    evidence: &Evidence,
) -> anyhow::Result<()> {
    let email = order.email.as_deref().or_else(|| {
        let customer = order.customer.as_ref()?;
        customer.email.as_deref()
    });
    sqlx::query(
        "INSERT INTO orders (id, workspace_id, shop_order_id, name, customer_id, email_hash,
             checkout_token, cart_token, total, currency, click_ref, utm_id, source_name, test,
             ordered_at, shop_updated_at, cancelled_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
         ON CONFLICT (workspace_id, shop_order_id) DO UPDATE SET
             name = excluded.name,
             customer_id = COALESCE(excluded.customer_id, orders.customer_id),
             email_hash = COALESCE(excluded.email_hash, orders.email_hash),
             checkout_token = COALESCE(excluded.checkout_token, orders.checkout_token),
             cart_token = COALESCE(excluded.cart_token, orders.cart_token),
             total = excluded.total,
             currency = excluded.currency,
             click_ref = COALESCE(excluded.click_ref, orders.click_ref),
             utm_id = COALESCE(excluded.utm_id, orders.utm_id),
             source_name = COALESCE(excluded.source_name, orders.source_name),
             test = excluded.test,
             shop_updated_at = excluded.shop_updated_at
         WHERE excluded.shop_updated_at >= orders.shop_updated_at",
    )
    .bind(app.ids.next::<OrderId>())
    .bind(ws)
    .bind(order.id.to_string())
    .bind(clean(&order.name))
    .bind(
        order
            .customer
            .as_ref()
            .map(|customer| customer.id.to_string()),
    )
    .bind(email.and_then(email_hash))
    .bind(order.checkout_token.as_deref().map(clean))
    .bind(order.cart_token.as_deref().map(clean))
    .bind(order.total)
    .bind(clean(&order.currency))
    .bind(evidence.click_ref())
    .bind(evidence.utm_id())
    .bind(order.source_name.as_deref().map(clean))
    .bind(i64::from(order.test))
    .bind(order.created_at)
    .bind(order.updated_at)
    .bind(order.cancelled_at)
    .bind(app.clock.now())
    .execute(&mut *conn)
    .await
    .context("keep an order")?;
    if let Some(at) = order.cancelled_at {
        sqlx::query(
            "UPDATE orders SET cancelled_at = $1
             WHERE workspace_id = $2 AND shop_order_id = $3 AND cancelled_at IS NULL",
        )
        .bind(at)
        .bind(ws)
        .bind(order.id.to_string())
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// A refund once. An estimate gives way to what is certain and never the other way round; among
/// equals the amount only grows, because bodies come in any order and an earlier one knows less.
async fn save_refund(
    conn: &mut Conn,
    ws: WorkspaceId,
    refund: &payloads::Refund,
) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO refunds (workspace_id, id, shop_order_id, amount, is_estimate, at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (workspace_id, id) DO UPDATE
             SET amount = excluded.amount, is_estimate = excluded.is_estimate
         WHERE excluded.is_estimate < refunds.is_estimate
             OR (excluded.is_estimate = refunds.is_estimate AND excluded.amount > refunds.amount)",
    )
    .bind(ws)
    .bind(refund.id.to_string())
    .bind(refund.order_id.to_string())
    .bind(refund.amount)
    .bind(i64::from(refund.is_estimate))
    .bind(refund.created_at)
    .execute(conn)
    .await
    .context("keep a refund")?;
    Ok(())
}

/// Writes what the order lost: all of it when cancelled, else its refunds, never more than it was.
async fn take_back(conn: &mut Conn, ws: WorkspaceId, shop_order_id: &str) -> anyhow::Result<()> {
    let sum: i64 = sqlx::query_scalar(
        "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM refunds
         WHERE workspace_id = $1 AND shop_order_id = $2",
    )
    .bind(ws)
    .bind(shop_order_id)
    .fetch_one(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE orders SET refunded = CASE
             WHEN cancelled_at IS NOT NULL OR $1 > total THEN total ELSE $1 END
         WHERE workspace_id = $2 AND shop_order_id = $3",
    )
    .bind(sum)
    .bind(ws)
    .bind(shop_order_id)
    .execute(conn)
    .await?;
    Ok(())
}

async fn load(conn: &mut Conn, ws: WorkspaceId, shop_order_id: &str) -> anyhow::Result<Kept> {
    sqlx::query_as(
        "SELECT id, workspace_id, shop_order_id, name, customer_id, email_hash, checkout_token,
             click_ref, utm_id, source_name, test, total, currency, ordered_at, created_at,
             journey_due_at
         FROM orders WHERE workspace_id = $1 AND shop_order_id = $2",
    )
    .bind(ws)
    .bind(shop_order_id)
    .fetch_one(conn)
    .await
    .context("read an order back")
}

/// The checkout is no longer abandoned. One that the shop tells of later is found by its order.
async fn complete_checkout(
    conn: &mut Conn,
    order: &Kept,
    cart_token: Option<&str>,
) -> anyhow::Result<()> {
    for (sql, token) in [
        (
            "UPDATE checkouts SET completed_at = $1
             WHERE workspace_id = $2 AND token = $3 AND completed_at IS NULL",
            order.checkout_token.as_deref(),
        ),
        (
            "UPDATE checkouts SET completed_at = $1
             WHERE workspace_id = $2 AND cart_token = $3 AND cart_token IS NOT NULL
               AND completed_at IS NULL",
            cart_token,
        ),
    ] {
        let Some(token) = token else { continue };
        sqlx::query(sql)
            .bind(order.ordered_at)
            .bind(order.workspace_id)
            .bind(token)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// This is what stops their runs: delivery and automations look at it at the moment of sending.
async fn mark_ordered(
    conn: &mut Conn,
    order: &Kept,
    subscribers: &[SubscriberId],
) -> anyhow::Result<()> {
    if subscribers.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE subscribers SET last_ordered_at = $1
         WHERE workspace_id = $2 AND COALESCE(last_ordered_at, 0) < $1 AND id IN {}",
        placeholders(3, 1, subscribers.len())
    );
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(order.ordered_at)
        .bind(order.workspace_id);
    for subscriber in subscribers {
        query = query.bind(subscriber);
    }
    query.execute(conn).await?;
    Ok(())
}

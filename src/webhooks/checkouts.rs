//! Checkouts as the shop tells them. Shopify has no event for an abandoned one: every sign of life
//! starts the wait anew, and who completes the checkout is not written to.

use serde_json::{Map, Value};

use crate::app::App;
use crate::automations::{self, Happening};
use crate::clock::{DAY, Millis};
use crate::shopify::money::decimal;
use crate::shopify::payloads::Checkout;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::store::sealed::{email_hash, phone_hash};
use crate::store::{Conn, clean};

/// A checkout older than this is not brought up when somebody opts in.
const LEFT_BEHIND: Millis = DAY;

/// A checkout as it is kept.
#[derive(sqlx::FromRow)]
struct Row {
    token: String,
    url: Option<String>,
    total: i64,
    currency: String,
    items: String,
    shop_updated_at: Millis,
}

/// Keeps the checkout; the newest `updated_at` wins, and what is completed stays so. `false` when
/// something newer is there already.
pub(super) async fn save(
    conn: &mut Conn,
    ws: WorkspaceId,
    checkout: &Checkout,
) -> anyhow::Result<bool> {
    let customer = checkout.customer.as_ref();
    let address = |own: &Option<String>, theirs: Option<&String>| own.clone().or(theirs.cloned());
    let email = address(&checkout.email, customer.and_then(|c| c.email.as_ref()));
    let phone = address(&checkout.phone, customer.and_then(|c| c.phone.as_ref()));
    let saved = sqlx::query(
        "INSERT INTO checkouts (workspace_id, token, cart_token, customer_id, email_hash, phone_hash,
             url, total, currency, items, created_at, shop_updated_at, completed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (workspace_id, token) DO UPDATE SET
             cart_token = COALESCE(excluded.cart_token, checkouts.cart_token),
             customer_id = COALESCE(excluded.customer_id, checkouts.customer_id),
             email_hash = COALESCE(excluded.email_hash, checkouts.email_hash),
             phone_hash = COALESCE(excluded.phone_hash, checkouts.phone_hash),
             url = COALESCE(excluded.url, checkouts.url),
             total = excluded.total, currency = excluded.currency, items = excluded.items,
             shop_updated_at = excluded.shop_updated_at,
             completed_at = COALESCE(checkouts.completed_at, excluded.completed_at)
         WHERE checkouts.shop_updated_at <= excluded.shop_updated_at",
    )
    .bind(ws)
    .bind(clean(&checkout.token))
    .bind(checkout.cart_token.as_deref())
    .bind(customer.map(|customer| customer.id.to_string()))
    .bind(email.as_deref().and_then(email_hash))
    .bind(phone.as_deref().and_then(phone_hash))
    .bind(checkout.url.as_deref())
    .bind(checkout.total)
    .bind(&checkout.currency)
    .bind(serde_json::to_string(&checkout.items)?)
    .bind(checkout.created_at)
    .bind(checkout.updated_at)
    .bind(checkout.completed_at)
    .execute(conn)
    .await?;
    Ok(saved.rows_affected() > 0)
}

/// The checkout was left by these people as far as we can tell now; `true` if a run began.
pub(super) async fn start_abandoned(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    people: &[SubscriberId],
    token: &str,
) -> anyhow::Result<bool> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT token, url, total, currency, items, shop_updated_at FROM checkouts
         WHERE workspace_id = $1 AND token = $2 AND completed_at IS NULL",
    )
    .bind(ws)
    .bind(token)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(false) };
    if is_ordered(conn, ws, &row.token).await? {
        return Ok(false);
    }
    let mut began = false;
    for subscriber in people {
        began |= start(app, conn, ws, *subscriber, &row).await?;
    }
    Ok(began)
}

/// Somebody has just opted in: the checkouts they left open before that count from now on, too.
pub(super) async fn start_left_behind(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    subscriber: SubscriberId,
) -> anyhow::Result<bool> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT token, url, total, currency, items, shop_updated_at FROM checkouts
         WHERE workspace_id = $1 AND completed_at IS NULL AND shop_updated_at > $3 AND token IN (
             SELECT c.token FROM checkouts c JOIN subscribers s ON s.checkout_token = c.token
                 WHERE c.workspace_id = $1 AND s.workspace_id = $1 AND s.id = $2
             UNION SELECT c.token FROM checkouts c JOIN subscribers s ON s.customer_id = c.customer_id
                 WHERE c.workspace_id = $1 AND s.workspace_id = $1 AND s.id = $2)
         ORDER BY shop_updated_at DESC LIMIT 5",
    )
    .bind(ws)
    .bind(subscriber)
    .bind(app.clock.now() - LEFT_BEHIND)
    .fetch_all(&mut *conn)
    .await?;
    let mut began = false;
    for row in rows {
        if !is_ordered(conn, ws, &row.token).await? {
            began |= start(app, conn, ws, subscriber, &row).await?;
        }
    }
    Ok(began)
}

/// The order may be here before the checkout's last word.
async fn is_ordered(conn: &mut Conn, ws: WorkspaceId, token: &str) -> anyhow::Result<bool> {
    let order =
        sqlx::query("SELECT 1 FROM orders WHERE workspace_id = $1 AND checkout_token = $2 LIMIT 1")
            .bind(ws)
            .bind(token)
            .fetch_optional(conn)
            .await?;
    Ok(order.is_some())
}

async fn start(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    subscriber: SubscriberId,
    row: &Row,
) -> anyhow::Result<bool> {
    let happening = Happening {
        workspace: ws,
        subscriber,
        kind: "checkout_abandoned",
        key: String::new(),
        trigger_ref: row.token.clone(),
        context: context(row),
        at: row.shop_updated_at,
    };
    Ok(automations::start(app, conn, &happening).await? > 0)
}

/// What the messages may name.
fn context(row: &Row) -> Map<String, Value> {
    let items: Vec<String> = serde_json::from_str(&row.items).unwrap_or_default();
    let mut context = Map::new();
    if let Some(url) = &row.url {
        context.insert("checkout_url".to_owned(), url.clone().into());
    }
    if let Some(first) = items.first() {
        context.insert("first_item".to_owned(), first.clone().into());
    }
    context.insert("items".to_owned(), items.into());
    context.insert("total".to_owned(), decimal(row.total, &row.currency).into());
    context.insert("currency".to_owned(), row.currency.clone().into());
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_can_name_what_was_left_and_where_it_goes_on() {
        let row = Row {
            token: "t".to_owned(),
            url: Some("https://shop.example/recover".to_owned()),
            total: 4_990,
            currency: "USD".to_owned(),
            items: r#"["Red mug","Blue mug"]"#.to_owned(),
            shop_updated_at: 0,
        };
        let context = context(&row);
        assert_eq!(context["first_item"], "Red mug");
        assert_eq!(context["total"], "49.90");
        assert_eq!(context["checkout_url"], "https://shop.example/recover");
    }
}

//! What the web pixel told of a purchase. Anybody could have told it, so by itself it means
//! nothing: it is evidence for an order that came through the shop's own webhook, and only with a
//! click that really happened.

use crate::app::App;
use crate::attribution::credit::MatchedBy;
use crate::attribution::evidence::Evidence;
use crate::attribution::touches::Kept;
use crate::store::Conn;
use crate::store::clean;
use crate::store::ids::{ClickId, WorkspaceId};

/// One click leads to so many purchases at most; more is somebody's game.
const OF_ONE_CLICK: i64 = 20;
/// Hints that an order looks at.
const OF_ONE_ORDER: i64 = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PixelHint {
    /// Shopify's id of the event: the same on every repeat.
    pub event_id: String,
    pub click: ClickId,
    pub checkout_token: Option<String>,
    pub shop_order_id: Option<String>,
}

/// Keeps the hint once, if it names a click of this workspace's, and has an order that is here
/// without a credit looked at again.
pub async fn note_hint(app: &App, ws: WorkspaceId, hint: &PixelHint) -> anyhow::Result<()> {
    let now = app.clock.now();
    let kept = sqlx::query(
        "INSERT INTO pixel_hints (workspace_id, event_id, checkout_token, shop_order_id, click_id,
             at)
         SELECT workspace_id, $1, $2, $3, id, $4 FROM clicks
         WHERE workspace_id = $5 AND id = $6
           AND (SELECT COUNT(*) FROM pixel_hints WHERE workspace_id = $5 AND click_id = $6) < $7
         ON CONFLICT (workspace_id, event_id) DO NOTHING",
    )
    .bind(clean(&hint.event_id))
    .bind(hint.checkout_token.as_deref().map(clean))
    .bind(hint.shop_order_id.as_deref())
    .bind(now)
    .bind(ws)
    .bind(hint.click)
    .bind(OF_ONE_CLICK)
    .execute(app.db.writer())
    .await?;
    if kept.rows_affected() == 0 {
        return Ok(());
    }
    sqlx::query(
        "UPDATE orders SET journey_due_at = $1
         WHERE workspace_id = $2 AND (journey_due_at IS NULL OR journey_due_at > $1)
           AND id IN (
             SELECT id FROM orders WHERE workspace_id = $2 AND checkout_token = $3
             UNION SELECT id FROM orders WHERE workspace_id = $2 AND shop_order_id = $4)
           AND id NOT IN (SELECT order_id FROM credits WHERE workspace_id = $2
                            AND order_id = orders.id)",
    )
    .bind(now)
    .bind(ws)
    .bind(hint.checkout_token.as_deref().map(clean))
    .bind(hint.shop_order_id.as_deref())
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// Adds the clicks that hints name for this order. A checkout's token nobody can guess; a number
/// anybody can, so it counts only where the hint knew no token.
pub(super) async fn add(
    conn: &mut Conn,
    order: &Kept,
    evidence: &mut Evidence,
) -> Result<(), sqlx::Error> {
    let clicks: Vec<ClickId> = sqlx::query_scalar(
        "SELECT click_id FROM pixel_hints
         WHERE workspace_id = $1
           AND (checkout_token = $2 OR (checkout_token IS NULL AND shop_order_id = $3))
         ORDER BY at DESC LIMIT $4",
    )
    .bind(order.workspace_id)
    .bind(&order.checkout_token)
    .bind(&order.shop_order_id)
    .bind(OF_ONE_ORDER)
    .fetch_all(conn)
    .await?;
    for click in clicks {
        evidence.add_click(&click.to_string(), MatchedBy::Pixel);
    }
    Ok(())
}

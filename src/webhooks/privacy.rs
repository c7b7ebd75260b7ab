//! Shopify's demands about personal data: obeyed at once, with a row that says so.

use crate::app::App;
use crate::clock::{DAY, Millis};
use crate::shopify::payloads::Compliance;
use crate::store::Conn;
use crate::store::ids::{RequestId, WorkspaceId};
use crate::subscribers::{self, Known};
use crate::webhooks::process::{Delivery, Trouble, Understood};
use crate::workspaces::{self, Shop};

/// Shopify's deadline.
const DEADLINE: Millis = 30 * DAY;

pub(super) fn is_demand(topic: &str) -> bool {
    matches!(
        topic,
        "customers/data_request" | "customers/redact" | "shop/redact"
    )
}

pub(super) async fn obey(
    app: &App,
    conn: &mut Conn,
    shop: &Shop,
    delivery: &Delivery,
    done: &mut Understood,
) -> Result<(), Trouble> {
    let demand = Compliance::parse(&delivery.body).map_err(Trouble::unreadable)?;
    let ws = shop.workspace;
    let mut known = Known {
        customer_id: demand.customer_id.map(|id| id.to_string()),
        email: demand.email.clone(),
        phone: demand.phone.clone(),
        ..Known::default()
    };
    // The demand may leave out what we know of the customer.
    if let Some(id) = &known.customer_id
        && let Some(kept) = subscribers::customer(app, conn, ws, id).await?
    {
        known.email = known.email.or(kept.email);
        known.phone = known.phone.or(kept.phone);
    }
    let id: RequestId = app.ids.next();
    match delivery.topic.as_str() {
        "customers/data_request" => {
            let export = subscribers::export_customer(app, conn, ws, &known).await?;
            let context = format!("privacy_requests.export:{}", id.0);
            let sealed = app.keys.seal(&context, &export.to_string())?;
            let detail = "Everything kept of one customer, for the store owner to hand over.";
            keep(app, conn, ws, id, delivery, detail, Some(sealed)).await?;
            done.forget = true;
        }
        "customers/redact" => {
            let people = subscribers::erase_customer(app, conn, ws, &known).await?;
            forget_orders(conn, ws, &demand.order_ids).await?;
            let detail = format!("One customer erased; subscribers erased with them: {people}.");
            keep(app, conn, ws, id, delivery, &detail, None).await?;
            done.forget = true;
        }
        _ => {
            let asked = delivery.triggered_at.unwrap_or(delivery.received_at);
            if shop.installed_at > asked {
                done.remark = Some(
                    "The app was installed again since this demand; nothing was erased.".to_owned(),
                );
                return Ok(());
            }
            let people = subscribers::erase_shop(app, conn, ws).await?;
            workspaces::shop_redacted(conn, ws, app.clock.now()).await?;
            let detail = format!("The shop's data erased; subscribers erased: {people}.");
            keep(app, conn, ws, id, delivery, &detail, None).await?;
            done.forget = true;
        }
    }
    Ok(())
}

/// A repeat under another webhook id is a demand of its own, done again.
async fn keep(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    id: RequestId,
    delivery: &Delivery,
    detail: &str,
    export_sealed: Option<String>,
) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO privacy_requests (id, workspace_id, kind, external_ref, detail, export_sealed,
             received_at, due_at, done_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (workspace_id, kind, external_ref) DO NOTHING",
    )
    .bind(id)
    .bind(ws)
    .bind(&delivery.topic)
    .bind(&delivery.external_id)
    .bind(detail)
    .bind(export_sealed)
    .bind(delivery.received_at)
    .bind(delivery.received_at + DEADLINE)
    .bind(app.clock.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// Orders the demand names, though they may be linked to nobody we know.
async fn forget_orders(conn: &mut Conn, ws: WorkspaceId, orders: &[i64]) -> anyhow::Result<()> {
    for order in orders {
        sqlx::query(
            "UPDATE orders SET customer_id = NULL, email_hash = NULL
             WHERE workspace_id = $1 AND shop_order_id = $2",
        )
        .bind(ws)
        .bind(order.to_string())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

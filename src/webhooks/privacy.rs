//! Shopify's demands about personal data: obeyed at once, with a row that says so.

use crate::app::App;
use crate::campaigns;
use crate::shopify::payloads::Compliance;
use crate::store::Conn;
use crate::subscribers::privacy::{self, Demand};
use crate::subscribers::{self, Known};
use crate::webhooks::process::{Delivery, Trouble, Understood};
use crate::workspaces::audit::{self, Actor, Note};
use crate::workspaces::{self, Shop};

pub(super) fn is_demand(topic: &str) -> bool {
    matches!(
        topic,
        "customers/data_request" | "customers/redact" | "shop/redact"
    )
}

/// How the delivery is recognised when it comes again.
pub(super) fn demand(delivery: &Delivery) -> Demand<'_> {
    Demand {
        actor: Actor::Shopify,
        external_ref: &delivery.external_id,
        received_at: delivery.received_at,
    }
}

pub(super) async fn obey(
    app: &App,
    conn: &mut Conn,
    shop: &Shop,
    delivery: &Delivery,
    done: &mut Understood,
) -> Result<(), Trouble> {
    let asked = Compliance::parse(&delivery.body).map_err(Trouble::unreadable)?;
    let (ws, demand) = (shop.workspace, demand(delivery));
    let mut known = Known {
        customer_id: asked.customer_id.map(|id| id.to_string()),
        email: asked.email.clone(),
        phone: asked.phone.clone(),
        ..Known::default()
    };
    // The demand may leave out what we know of the customer.
    if let Some(id) = &known.customer_id
        && let Some(kept) = subscribers::customer(app, conn, ws, id).await?
    {
        known.email = known.email.or(kept.email);
        known.phone = known.phone.or(kept.phone);
    }
    done.forget = true;
    match delivery.topic.as_str() {
        "customers/data_request" => privacy::export(app, conn, ws, demand, &known).await?,
        "customers/redact" => {
            privacy::erase(app, conn, ws, demand, known, &asked.order_ids).await?;
            done.erasure = true;
        }
        _ => {
            let at = delivery.triggered_at.unwrap_or(delivery.received_at);
            if shop.installed_at > at {
                done.remark = Some(
                    "The app was installed again since this demand; nothing was erased.".to_owned(),
                );
                return Ok(());
            }
            workspaces::shop_redacted(conn, ws, app.clock.now()).await?;
            privacy::erase_shop(app, conn, ws, demand).await?;
            done.erasure = true;
        }
    }
    Ok(())
}

/// The app is gone from the shop: what would go out is stopped, and it is noted.
pub(super) async fn removed(app: &App, conn: &mut Conn, shop: &Shop) -> anyhow::Result<()> {
    let words = "The app was removed from the shop, so nothing was sent since. If that has been \
                 mended, resume it or cancel it.";
    let paused = campaigns::pause_all(app, conn, shop.workspace, words).await?;
    let note = Note {
        actor: Actor::Shopify,
        action: "app_removed",
        about: Some(shop.id.to_string()),
        detail: format!(
            "The app was removed from the shop. Its access to the shop was forgotten, sending \
             stopped, campaigns paused: {paused}."
        ),
    };
    audit::note(app, conn, shop.workspace, note).await
}

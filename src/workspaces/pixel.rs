//! The shop's web pixel: told once after an installation whose it is and where it reports to, and
//! again when our address changes. Only an app that was installed from Shopify has one.

use serde_json::json;

use super::{ask_shop, shop};
use crate::app::App;
use crate::clock::{DAY, MINUTE, Millis};
use crate::shopify::Error;
use crate::store::ids::{ShopId, WorkspaceId};

/// After an answer that may be another the next time, and after a refusal.
const SOON: Millis = 10 * MINUTE;
const LATER: Millis = DAY;
const BATCH: i64 = 20;

/// Places what is missing or points elsewhere, a few shops at a time.
pub async fn place_pixels(app: &App) -> anyhow::Result<()> {
    let address = format!("{}/extensions/pixel", app.config.public_url);
    for (id, ws) in due(app, &address).await? {
        if app.stop.is_cancelled() {
            break;
        }
        // One shop's trouble is not the others'.
        if let Err(error) = place(app, id, ws, &address).await {
            tracing::warn!(shop.id = %id, "The web pixel could not be placed: {error:#}");
        }
    }
    Ok(())
}

/// Takes them by moving each on, so that of two workers one tries.
async fn due(app: &App, address: &str) -> anyhow::Result<Vec<(ShopId, WorkspaceId)>> {
    let now = app.clock.now();
    Ok(sqlx::query_as(
        "UPDATE shops SET pixel_due_at = $1
         WHERE id IN (SELECT id FROM shops
                      WHERE pixel_due_at <= $2 AND uninstalled_at IS NULL AND reauth_at IS NULL
                        AND refresh_token_sealed IS NOT NULL AND scopes LIKE '%write_pixels%'
                        AND (pixel_placed_at IS NULL OR pixel_placed_at < installed_at
                             OR pixel_address <> $3)
                      ORDER BY pixel_due_at LIMIT $4)
           AND pixel_due_at <= $2
         RETURNING id, workspace_id",
    )
    .bind(now + SOON)
    .bind(now)
    .bind(address)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?)
}

async fn place(app: &App, id: ShopId, ws: WorkspaceId, address: &str) -> anyhow::Result<()> {
    let Some(shop) = shop(app, ws).await?.filter(|shop| shop.id == id) else {
        return Ok(());
    };
    let settings = json!({ "accountID": ws.to_string(), "address": address });
    let asked = ask_shop(app, &shop, |token| {
        let (domain, settings) = (&shop.domain, &settings);
        async move { app.shopify.place_pixel(domain, &token, settings).await }
    })
    .await?;
    match asked {
        Ok(()) => {
            sqlx::query("UPDATE shops SET pixel_address = $2, pixel_placed_at = $3 WHERE id = $1")
                .bind(id)
                .bind(address)
                .bind(app.clock.now())
                .execute(app.db.writer())
                .await?;
        }
        Err(error) => {
            tracing::warn!(shop.id = %id, "The web pixel was not placed: {error}");
            if let Error::Refused(_) = error {
                sqlx::query("UPDATE shops SET pixel_due_at = $2 WHERE id = $1")
                    .bind(id)
                    .bind(app.clock.now() + LATER)
                    .execute(app.db.writer())
                    .await?;
            }
        }
    }
    Ok(())
}

//! What is done with every shop again and again. The rows say when next; whoever claims one moves
//! it on first, so that of many workers one does it and a crash costs one lease.

use anyhow::Context;

use super::shops::Shop;
use crate::app::App;
use crate::clock::{DAY, HOUR, MINUTE, Millis};
use crate::shopify::{Error, ShopDomain};
use crate::store::ids::{ShopId, WorkspaceId};

/// How long one worker may be at a shop before another takes it.
const LEASE: Millis = 10 * MINUTE;
/// Shops taken at a time.
const BATCH: i64 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShopRound {
    /// Orders whose webhooks did not arrive.
    Orders,
}

impl ShopRound {
    const ALL: [Self; 1] = [Self::Orders];

    fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
        }
    }
}

/// A shop whose turn it is.
#[derive(Clone, Debug)]
pub struct ShopTurn {
    pub shop: Shop,
    /// The time of the shop's up to which the round was done; `None` before the first.
    pub until: Option<Millis>,
}

/// Every installed shop takes part in every round, and no other does.
pub async fn prepare_shop_rounds(app: &App) -> anyhow::Result<()> {
    for round in ShopRound::ALL {
        sqlx::query(
            "INSERT INTO shop_rounds (shop_id, round)
             SELECT id, $1 FROM shops
             WHERE uninstalled_at IS NULL AND token_sealed IS NOT NULL AND NOT EXISTS
                 (SELECT 1 FROM shop_rounds r WHERE r.shop_id = shops.id AND r.round = $1)
             ON CONFLICT (shop_id, round) DO NOTHING",
        )
        .bind(round.as_str())
        .execute(app.db.writer())
        .await?;
    }
    sqlx::query(
        "DELETE FROM shop_rounds WHERE shop_id IN
             (SELECT id FROM shops WHERE uninstalled_at IS NOT NULL)",
    )
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// Takes shops whose turn it is. Those whose token is dead keep their turn until the merchant has
/// opened the app.
pub async fn shops_due(app: &App, round: ShopRound) -> anyhow::Result<Vec<ShopTurn>> {
    let now = app.clock.now();
    let taken: Vec<(ShopId, Option<Millis>)> = sqlx::query_as(
        "UPDATE shop_rounds SET due_at = $1
         WHERE round = $2 AND due_at <= $3 AND shop_id IN (
             SELECT r.shop_id FROM shop_rounds r JOIN shops s ON s.id = r.shop_id
             WHERE r.round = $2 AND r.due_at <= $3 AND s.uninstalled_at IS NULL
                 AND s.token_sealed IS NOT NULL AND s.reauth_at IS NULL
             ORDER BY r.due_at LIMIT $4)
         RETURNING shop_id, until_at",
    )
    .bind(now + LEASE)
    .bind(round.as_str())
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?;
    let mut turns = Vec::new();
    for (id, until) in taken {
        turns.extend(load(app, id).await?.map(|shop| ShopTurn { shop, until }));
    }
    Ok(turns)
}

/// The turn is over: done up to `until`, and due again.
pub async fn shop_turn_done(
    app: &App,
    shop: ShopId,
    round: ShopRound,
    until: Option<Millis>,
    due_at: Millis,
) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE shop_rounds SET until_at = COALESCE($3, until_at), due_at = $4
         WHERE shop_id = $1 AND round = $2",
    )
    .bind(shop)
    .bind(round.as_str())
    .bind(until)
    .bind(due_at)
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// How long a shop is left alone after this answer: what asks for patience says so itself, what was
/// refused needs somebody to change something.
pub fn rest_after(error: &Error) -> Millis {
    match error {
        Error::Retry { after, .. } => (*after).max(MINUTE),
        Error::Reconnect(_) => HOUR,
        Error::Refused(_) => DAY,
    }
}

async fn load(app: &App, id: ShopId) -> anyhow::Result<Option<Shop>> {
    type Row = (WorkspaceId, String, Option<String>, Option<String>, i64);
    let row: Option<Row> = sqlx::query_as(
        "SELECT workspace_id, domain, name, currency, installed_at FROM shops
         WHERE id = $1 AND uninstalled_at IS NULL",
    )
    .bind(id)
    .fetch_optional(app.db.pool())
    .await?;
    row.map(|(workspace, domain, name, currency, installed_at)| {
        Ok(Shop {
            id,
            workspace,
            domain: ShopDomain::parse(&domain).context("a kept shop domain is not one")?,
            name,
            currency,
            installed_at,
            needs_reauth: false,
        })
    })
    .transpose()
}

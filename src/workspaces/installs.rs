//! A shop opened from Shopify's admin: what the merchant installed there becomes a workspace here,
//! with tokens of its own, without anybody being asked for anything.

use anyhow::{Context, anyhow};
use secrecy::SecretString;

use super::shop_tokens::keep;
use crate::app::App;
use crate::clock::{MINUTE, Millis};
use crate::shopify::tokens::Tokens;
use crate::shopify::{self, ShopDomain};
use crate::store::clean;
use crate::store::ids::{ShopId, WorkspaceId};

/// How exactly it is known when the app was last open.
const OPENED_EVERY: Millis = MINUTE;

/// A request out of Shopify's admin whose session token was verified.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    pub shop: &'a ShopDomain,
    /// When Shopify issued the session token.
    pub issued_at: Millis,
    pub session_token: &'a SecretString,
}

/// Why the request does not get to a workspace.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Shopify does not take the session token: a fresh one may do.
    #[error("Shopify does not accept the session token")]
    SessionToken,
    #[error(transparent)]
    Shopify(shopify::Error),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

#[derive(sqlx::FromRow)]
struct Known {
    id: ShopId,
    workspace_id: WorkspaceId,
    name: Option<String>,
    opened_at: Millis,
    works: i64,
}

/// The shop's workspace, made at its first open. Tokens are asked for only where none is kept that
/// works, or where the merchant granted other scopes since.
pub async fn open_shop(app: &App, opening: Opening<'_>) -> Result<WorkspaceId, OpenError> {
    let known = known(app, opening.shop).await?;
    if let Some(known) = known.as_ref().filter(|known| known.works == 1) {
        if known.opened_at + OPENED_EVERY < opening.issued_at {
            note_open(app, known.id, opening.issued_at).await?;
        }
        return Ok(known.workspace_id);
    }
    let tokens = match app
        .shopify
        .exchange(opening.shop, opening.session_token)
        .await
    {
        Ok(tokens) => tokens,
        Err(shopify::Error::Reconnect(_)) => return Err(OpenError::SessionToken),
        Err(error) => {
            let Some(known) = known else {
                return Err(OpenError::Shopify(error));
            };
            // What is kept here can be looked at all the same; the next request tries again.
            tracing::warn!(shop.id = %known.id, "The shop's token could not be exchanged: {error}");
            return Ok(known.workspace_id);
        }
    };
    let (id, ws) = match install(app, opening, &tokens).await {
        Ok(done) => done,
        // Two first opens at once: the second finds what the first made.
        Err(error) if is_taken(&error) => install(app, opening, &tokens).await?,
        Err(error) => return Err(error.into()),
    };
    if known.is_none_or(|known| known.id != id || known.name.is_none()) {
        learn(app, id, ws, opening.shop, &tokens.access).await?;
    }
    Ok(ws)
}

async fn known(app: &App, shop: &ShopDomain) -> anyhow::Result<Option<Known>> {
    Ok(sqlx::query_as(
        "SELECT id, workspace_id, name, opened_at, \
           CAST(CASE WHEN token_sealed IS NOT NULL AND reauth_at IS NULL \
                  AND exchange_due_at IS NULL \
                  AND (token_expires_at IS NULL OR token_expires_at > $2 \
                       OR (refresh_token_sealed IS NOT NULL \
                           AND (refresh_expires_at IS NULL OR refresh_expires_at > $2))) \
                THEN 1 ELSE 0 END AS BIGINT) AS works \
         FROM shops WHERE domain = $1 AND uninstalled_at IS NULL",
    )
    .bind(shop.as_str())
    .bind(app.clock.now())
    .fetch_optional(app.db.pool())
    .await?)
}

async fn note_open(app: &App, id: ShopId, at: Millis) -> anyhow::Result<()> {
    sqlx::query("UPDATE shops SET opened_at = $2 WHERE id = $1 AND opened_at < $2")
        .bind(id)
        .bind(at)
        .execute(app.db.writer())
        .await?;
    Ok(())
}

/// Keeps the tokens with the shop as it is known: installed, removed once (it gets its workspace
/// back, unless that has another shop by now), or new.
async fn install(
    app: &App,
    opening: Opening<'_>,
    tokens: &Tokens,
) -> anyhow::Result<(ShopId, WorkspaceId)> {
    let mut tx = app.db.begin().await?;
    let former: Option<(ShopId, WorkspaceId)> = sqlx::query_as(
        "SELECT id, workspace_id FROM shops s \
         WHERE domain = $1 AND (uninstalled_at IS NULL OR NOT EXISTS ( \
             SELECT 1 FROM shops o WHERE o.workspace_id = s.workspace_id \
               AND o.uninstalled_at IS NULL)) \
         ORDER BY CASE WHEN uninstalled_at IS NULL THEN 0 ELSE 1 END, uninstalled_at DESC LIMIT 1",
    )
    .bind(opening.shop.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let (id, ws) = if let Some(former) = former {
        former
    } else {
        let ws = super::insert(app, &mut tx, opening.shop.handle()).await?;
        let id: ShopId = app.ids.next();
        // Installed as of the session token, which is Shopify's time as the notice of a removal is.
        sqlx::query(
            "INSERT INTO shops (id, workspace_id, domain, installed_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(id)
        .bind(ws)
        .bind(opening.shop.as_str())
        .bind(opening.issued_at)
        .execute(&mut *tx)
        .await?;
        (id, ws)
    };
    sqlx::query(
        "UPDATE shops SET \
           installed_at = CASE WHEN uninstalled_at IS NULL THEN installed_at ELSE $2 END, \
           uninstalled_at = NULL, redacted_at = NULL, \
           opened_at = CASE WHEN opened_at < $2 THEN $2 ELSE opened_at END, \
           scopes = $3, scopes_at = $4, exchange_due_at = NULL \
         WHERE id = $1",
    )
    .bind(id)
    .bind(opening.issued_at)
    .bind(clean(&tokens.scopes))
    .bind(app.clock.now())
    .execute(&mut *tx)
    .await?;
    keep(app, &mut tx, id, tokens).await?;
    tx.commit().await.context("keep the installation")?;
    tracing::info!(shop.id = %id, workspace.id = %ws, "A shop's tokens were exchanged");
    Ok((id, ws))
}

fn is_taken(error: &anyhow::Error) -> bool {
    let database = error
        .downcast_ref::<sqlx::Error>()
        .and_then(sqlx::Error::as_database_error);
    database.is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Takes over the shop's name, currency and time zone. Without them the shop is installed all the
/// same, and asked again when it is next exchanged.
async fn learn(
    app: &App,
    id: ShopId,
    ws: WorkspaceId,
    shop: &ShopDomain,
    token: &SecretString,
) -> anyhow::Result<()> {
    let info = match app.shopify.shop_info(shop, token).await {
        Ok(info) => info,
        Err(error) => {
            tracing::warn!(shop.id = %id, "The shop does not say what it is called: {error}");
            return Ok(());
        }
    };
    let mut tx = app.db.begin().await?;
    sqlx::query("UPDATE shops SET name = $2, currency = $3, timezone = $4 WHERE id = $1")
        .bind(id)
        .bind(clean(&info.name))
        .bind(info.currency.as_deref().map(clean))
        .bind(info.timezone.as_deref().map(clean))
        .execute(&mut *tx)
        .await?;
    // What a person chose stays.
    sqlx::query(
        "UPDATE workspaces SET name = CASE WHEN name = $3 THEN $2 ELSE name END, \
           timezone = CASE WHEN timezone = 'UTC' THEN $4 ELSE timezone END \
         WHERE id = $1",
    )
    .bind(ws)
    .bind(name_of(&info.name, shop))
    .bind(shop.handle())
    .bind(clean(info.timezone.as_deref().unwrap_or("UTC")))
    .execute(&mut *tx)
    .await?;
    tx.commit()
        .await
        .map_err(|error| anyhow!(error).context("keep what the shop is called"))
}

/// A workspace's name has its limit, a shop's has none.
fn name_of(name: &str, shop: &ShopDomain) -> String {
    let short: String = clean(name.trim()).chars().take(100).collect();
    if short.is_empty() {
        shop.handle().to_owned()
    } else {
        short
    }
}

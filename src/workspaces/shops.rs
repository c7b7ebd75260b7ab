//! The shop of a workspace: one, installed or not.

use anyhow::{Context, anyhow, bail};
use secrecy::{ExposeSecret, SecretString};

use super::set_up::Left;
use super::shop_tokens::token_context;
use crate::app::App;
use crate::clock::Millis;
use crate::shopify::admin::ShopInfo;
use crate::shopify::webhooks::TOPICS;
use crate::shopify::{self, ShopDomain};
use crate::store::ids::{ShopId, WorkspaceId};
use crate::store::{Conn, clean};

#[derive(Clone, Debug)]
pub struct Shop {
    pub id: ShopId,
    pub workspace: WorkspaceId,
    pub domain: ShopDomain,
    pub name: Option<String>,
    pub currency: Option<String>,
    pub installed_at: i64,
    /// Shopify no longer takes our token: the merchant has to open the app there.
    pub needs_reauth: bool,
}

/// Takes over the shop's name, currency and time zone, subscribes webhooks, and keeps the token.
/// What does not work is told and tried again later; only a token that the shop does not accept is
/// refused.
pub async fn connect_shop(
    app: &App,
    ws: WorkspaceId,
    shop: ShopDomain,
    token: SecretString,
) -> anyhow::Result<ShopId> {
    refuse_foreign(&mut *app.db.acquire().await?, ws, &shop).await?;
    let (info, left) = set_up(app, &shop, &token)
        .await
        .map_err(|error| plain(&error))?;
    let scopes = match app.shopify.access_scopes(&shop, &token).await {
        Ok(scopes) => Some(scopes.join(",")),
        Err(error) => {
            tracing::warn!("The granted scopes could not be read: {error}.");
            None
        }
    };

    let mut tx = app.db.begin().await?;
    refuse_foreign(&mut tx, ws, &shop).await?;
    let known: Option<ShopId> = sqlx::query_scalar(
        "SELECT id FROM shops WHERE workspace_id = $1 AND domain = $2 ORDER BY id DESC LIMIT 1",
    )
    .bind(ws)
    .bind(shop.as_str())
    .fetch_optional(&mut *tx)
    .await?;
    let id = known.unwrap_or_else(|| app.ids.next());
    let now = app.clock.now();
    sqlx::query(
        "INSERT INTO shops (id, workspace_id, domain, token_sealed, scopes, installed_at, \
                            setup_due_at) \
         VALUES ($1, $2, $3, $4, COALESCE($5, ''), $6, $7) \
         ON CONFLICT (id) DO UPDATE SET token_sealed = excluded.token_sealed, \
           scopes = COALESCE($5, shops.scopes), installed_at = excluded.installed_at, \
           setup_due_at = excluded.setup_due_at, uninstalled_at = NULL, redacted_at = NULL, \
           token_expires_at = NULL, refresh_token_sealed = NULL, refresh_expires_at = NULL, \
           token_at = NULL, renewing_until = 0, reauth_at = NULL, exchange_due_at = NULL",
    )
    .bind(id)
    .bind(ws)
    .bind(shop.as_str())
    .bind(app.keys.seal(&token_context(id), token.expose_secret())?)
    .bind(scopes.as_deref().map(clean))
    .bind(now)
    .bind(left.due_at(now))
    .execute(&mut *tx)
    .await
    .context("keep the shop")?;
    if let Some(info) = info {
        take_over(&mut tx, id, info).await?;
    }
    tx.commit().await?;
    Ok(id)
}

/// What the shop says of itself, and what is left to do. An error only when it does not accept
/// the token.
async fn set_up(
    app: &App,
    shop: &ShopDomain,
    token: &SecretString,
) -> Result<(Option<ShopInfo>, Left), shopify::Error> {
    let mut left = Left::default();
    let info = match app.shopify.shop_info(shop, token).await {
        Ok(info) => Some(info),
        Err(error @ shopify::Error::Reconnect(_)) => return Err(error),
        Err(error) => {
            tracing::warn!(
                "The shop's name, currency and time zone could not be read ({error}). Check the \
                 domain, the network and SHOPIFY_ADMIN_URL; they are asked for again later."
            );
            wait(&mut left, &error);
            None
        }
    };
    subscribe(app, shop, token, &mut left).await;
    Ok((info, left))
}

/// The sweep's way through [`set_up`]. A shop that no longer accepts the token is left alone: it is
/// connected again, or tells us that the app is gone.
pub(super) async fn set_up_again(
    app: &App,
    id: ShopId,
    shop: &ShopDomain,
    token: &SecretString,
) -> anyhow::Result<()> {
    let (info, left) = match set_up(app, shop, token).await {
        Ok(done) => done,
        Err(error) => {
            tracing::warn!(shop.id = %id, "The shop could not be set up: {error}");
            (None, Left::default())
        }
    };
    let mut tx = app.db.begin().await?;
    if let Some(info) = info {
        take_over(&mut tx, id, info).await?;
    }
    sqlx::query("UPDATE shops SET setup_due_at = $2 WHERE id = $1")
        .bind(id)
        .bind(left.due_at(app.clock.now()))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

async fn take_over(conn: &mut Conn, id: ShopId, info: ShopInfo) -> anyhow::Result<()> {
    sqlx::query("UPDATE shops SET name = $2, currency = $3, timezone = $4 WHERE id = $1")
        .bind(id)
        .bind(clean(&info.name))
        .bind(info.currency.as_deref().map(clean))
        .bind(info.timezone.as_deref().map(clean))
        .execute(&mut *conn)
        .await?;
    if let Some(timezone) = info.timezone {
        // A zone that a person chose stays.
        sqlx::query(
            "UPDATE workspaces SET timezone = $2 WHERE timezone = 'UTC' \
               AND id = (SELECT workspace_id FROM shops WHERE id = $1)",
        )
        .bind(id)
        .bind(clean(&timezone))
        .execute(conn)
        .await?;
    }
    Ok(())
}

fn wait(left: &mut Left, error: &shopify::Error) {
    match error {
        shopify::Error::Retry { .. } => left.soon(),
        shopify::Error::Refused(_) | shopify::Error::Reconnect(_) => left.later(),
    }
}

/// A shop stands in one workspace, and a workspace has one shop.
async fn refuse_foreign(conn: &mut Conn, ws: WorkspaceId, shop: &ShopDomain) -> anyhow::Result<()> {
    let installed: Vec<(WorkspaceId, String)> = sqlx::query_as(
        "SELECT workspace_id, domain FROM shops \
         WHERE uninstalled_at IS NULL AND (workspace_id = $1 OR domain = $2)",
    )
    .bind(ws)
    .bind(shop.as_str())
    .fetch_all(conn)
    .await?;
    for (owner, domain) in installed {
        if owner != ws {
            bail!(
                "This shop is connected to another workspace. A shop belongs to one; uninstall the \
                 app there first."
            );
        }
        if domain != shop.as_str() {
            bail!(
                "This workspace has the shop {domain} already. A workspace has one shop: make \
                 another workspace for this one."
            );
        }
    }
    Ok(())
}

/// Asks for the topics that are missing. Shopify refuses addresses that are not https; the shop is
/// connected all the same, so that it can be tried without a public address.
async fn subscribe(app: &App, shop: &ShopDomain, token: &SecretString, left: &mut Left) {
    let address = format!("{}/webhooks/shopify", app.config.public_url);
    let there = match app.shopify.webhook_subscriptions(shop, token).await {
        Ok(there) => there,
        Err(error) => {
            tracing::warn!("The shop's webhook subscriptions could not be read: {error}.");
            wait(left, &error);
            Vec::new()
        }
    };
    let is_there = |topic: &str| {
        there
            .iter()
            .any(|one| one.topic == topic && one.uri == address)
    };
    let mut refused: Vec<&str> = Vec::new();
    let mut why = String::new();
    for (topic, name) in TOPICS {
        if is_there(topic) {
            continue;
        }
        if let Err(error) = app
            .shopify
            .webhook_subscribe(shop, token, topic, &address)
            .await
        {
            refused.push(name);
            wait(left, &error);
            why = error.to_string();
        }
    }
    if !refused.is_empty() {
        tracing::warn!(
            "{} of {} webhook topics were refused for {address} ({}): {why}. Set PUBLIC_URL to an \
             https address that Shopify reaches and connect the shop again (it is also tried again \
             by itself).",
            refused.len(),
            TOPICS.len(),
            refused.join(", "),
        );
    }
}

/// What an operator reads when Shopify says no.
fn plain(error: &shopify::Error) -> anyhow::Error {
    anyhow!(
        "The shop does not accept this token ({error}). Make a new Admin API access token for the \
         app and connect again."
    )
}

/// The workspace's installed shop.
pub async fn shop(app: &App, ws: WorkspaceId) -> anyhow::Result<Option<Shop>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, workspace_id, domain, name, currency, installed_at, reauth_at FROM shops \
         WHERE workspace_id = $1 AND uninstalled_at IS NULL ORDER BY id DESC LIMIT 1",
    )
    .bind(ws)
    .fetch_optional(app.db.pool())
    .await?;
    row.map(Row::shop).transpose()
}

/// The shop with this domain, if the app is installed there.
pub async fn installed_shop(app: &App, domain: &ShopDomain) -> anyhow::Result<Option<Shop>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, workspace_id, domain, name, currency, installed_at, reauth_at FROM shops \
         WHERE domain = $1 AND uninstalled_at IS NULL",
    )
    .bind(domain.as_str())
    .fetch_optional(app.db.pool())
    .await?;
    row.map(Row::shop).transpose()
}

/// The installed shop with this domain (or, when none is, the one last uninstalled).
pub async fn shop_by_domain(conn: &mut Conn, domain: &str) -> anyhow::Result<Option<Shop>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, workspace_id, domain, name, currency, installed_at, reauth_at FROM shops \
         WHERE domain = $1 \
         ORDER BY CASE WHEN uninstalled_at IS NULL THEN 0 ELSE 1 END, uninstalled_at DESC LIMIT 1",
    )
    .bind(domain)
    .fetch_optional(conn)
    .await?;
    row.map(Row::shop).transpose()
}

/// The merchant removed the app at `at`: the tokens are dead and dropped. A notice from before the
/// present installation, or from before Shopify last opened the app, removes nothing but tokens
/// that are as old; `false` then.
pub async fn shop_uninstalled(conn: &mut Conn, id: ShopId, at: Millis) -> anyhow::Result<bool> {
    let done = sqlx::query(
        "UPDATE shops SET uninstalled_at = $2, token_sealed = NULL, token_expires_at = NULL, \
           refresh_token_sealed = NULL, refresh_expires_at = NULL, renewing_until = 0 \
         WHERE id = $1 AND uninstalled_at IS NULL AND installed_at <= $2 AND opened_at <= $2",
    )
    .bind(id)
    .bind(at)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() > 0 {
        return Ok(true);
    }
    // Installed again, and we did not notice: what was handed out before died with that
    // installation, and the next request from the admin brings new ones.
    sqlx::query(
        "UPDATE shops SET token_sealed = NULL, token_expires_at = NULL, \
           refresh_token_sealed = NULL, refresh_expires_at = NULL, renewing_until = 0 \
         WHERE id = $1 AND uninstalled_at IS NULL AND token_at <= $2",
    )
    .bind(id)
    .bind(at)
    .execute(conn)
    .await?;
    Ok(false)
}

/// The merchant granted other scopes at `at`. A token of ours that is older has to be exchanged;
/// what was told later than this stands.
pub async fn shop_scopes_changed(
    conn: &mut Conn,
    id: ShopId,
    scopes: &[String],
    at: Millis,
) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE shops SET scopes = $2, scopes_at = $3, \
           exchange_due_at = CASE WHEN refresh_token_sealed IS NULL THEN NULL ELSE $3 END \
         WHERE id = $1 AND scopes_at < $3",
    )
    .bind(id)
    .bind(clean(&scopes.join(",")))
    .bind(at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Shopify demanded that the shop's data goes: its name, and every access that the merchant gave us
/// for it, the Pages' and Klaviyo's too.
pub async fn shop_redacted(conn: &mut Conn, ws: WorkspaceId, at: Millis) -> anyhow::Result<()> {
    for statement in [
        "UPDATE shops SET token_sealed = NULL, token_expires_at = NULL, \
                          refresh_token_sealed = NULL, refresh_expires_at = NULL, name = NULL, \
                          redacted_at = $2, uninstalled_at = COALESCE(uninstalled_at, $2) \
         WHERE workspace_id = $1",
        "UPDATE pages SET token_sealed = NULL, ad_token_sealed = NULL, \
                          disconnected_at = COALESCE(disconnected_at, $2) \
         WHERE workspace_id = $1",
        "DELETE FROM klaviyo_accounts WHERE workspace_id = $1 AND $2 > 0",
    ] {
        sqlx::query(statement)
            .bind(ws)
            .bind(at)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: ShopId,
    workspace_id: WorkspaceId,
    domain: String,
    name: Option<String>,
    currency: Option<String>,
    installed_at: i64,
    reauth_at: Option<i64>,
}

impl Row {
    fn shop(self) -> anyhow::Result<Shop> {
        let domain = ShopDomain::parse(&self.domain).context("a kept shop domain is not one")?;
        Ok(Shop {
            id: self.id,
            workspace: self.workspace_id,
            domain,
            name: self.name,
            currency: self.currency,
            installed_at: self.installed_at,
            needs_reauth: self.reauth_at.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_app_asks_for_the_topics_that_a_shop_connected_by_hand_gets() {
        let file = include_str!("../../shopify.app.toml");
        let told: BTreeSet<&str> = file
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(|text| text.contains('/') && !text.starts_with(['/', 'h']))
            .collect();
        let compliance = ["customers/data_request", "customers/redact", "shop/redact"];
        let ours = TOPICS.iter().map(|(_, name)| *name).chain(compliance);
        assert_eq!(told, ours.collect());
    }
}

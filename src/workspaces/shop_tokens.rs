//! The Admin token of a shop: given by hand, or expiring and renewed by one worker at a time. The
//! row is the truth and the lock; whatever Shopify hands out replaces what was there.

use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};

use super::shops::Shop;
use crate::app::App;
use crate::clock::{DAY, MINUTE, Millis, SECOND};
use crate::shopify::tokens::Tokens;
use crate::shopify::{Error, ShopDomain};
use crate::store::Conn;
use crate::store::ids::ShopId;

/// An access token with less than this left is renewed before it is used.
const RENEW_BEFORE: Millis = 5 * MINUTE;
/// One with less than this left is not used any more.
const TOO_LATE: Millis = 10 * SECOND;
/// How long one worker may be at renewing before another tries; longer than any call takes.
const LEASE: Millis = 30 * SECOND;
/// How often we look whether somebody else's renewal has ended, and how many times.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const LOOKS: usize = 160;
/// A shop nobody speaks to is renewed this often, so that its refresh token (90 days) never dies.
const IDLE: Millis = 7 * DAY;
/// Idle shops renewed in one sweep.
const BATCH: i64 = 20;

#[derive(sqlx::FromRow)]
struct Row {
    domain: String,
    token_sealed: Option<String>,
    token_expires_at: Option<Millis>,
    refresh_token_sealed: Option<String>,
    reauth_at: Option<Millis>,
}

/// What came of asking Shopify for the next pair.
enum Renewal {
    Token(SecretString),
    /// The refresh token is dead: the merchant has to open the app.
    Dead,
    /// Not now; what we hold stays.
    Later(Error),
    /// Somebody replaced the tokens meanwhile.
    Overtaken,
}

/// The token to speak with, renewed if it is about to end; `None` if the shop has none that works.
pub async fn shop_token(app: &App, id: ShopId) -> anyhow::Result<Option<SecretString>> {
    for _ in 0..LOOKS {
        let Some(row) = load(app, id).await? else {
            return Ok(None);
        };
        let Some(sealed) = &row.token_sealed else {
            return Ok(None);
        };
        let left = row.token_expires_at.map(|at| at - app.clock.now());
        if left.is_none_or(|left| left >= RENEW_BEFORE) {
            return open(app, id, sealed).map(Some);
        }
        let usable = left.is_some_and(|left| left > TOO_LATE);
        if row.reauth_at.is_some() || row.refresh_token_sealed.is_none() {
            return usable.then(|| open(app, id, sealed)).transpose();
        }
        if let Some(lease) = begin(app, id, sealed).await? {
            match renew(app, id, &row, lease).await? {
                Renewal::Token(token) => return Ok(Some(token)),
                Renewal::Dead => return Ok(None),
                Renewal::Later(_) if usable => return open(app, id, sealed).map(Some),
                Renewal::Later(error) => return Err(error).context("renew the shop's token"),
                Renewal::Overtaken => {}
            }
        }
        if usable {
            return open(app, id, sealed).map(Some);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    bail!("another worker's renewal of the shop's token did not end")
}

/// Asks the shop something. A token that Shopify does not take is renewed once and the question
/// asked again; after that the shop waits for its merchant to open the app.
pub async fn ask_shop<T, Ask, Answer>(
    app: &App,
    shop: &Shop,
    ask: Ask,
) -> anyhow::Result<Result<T, Error>>
where
    Ask: Fn(SecretString) -> Answer,
    Answer: Future<Output = Result<T, Error>>,
{
    let none = || Error::Reconnect("the merchant has to open the app in Shopify".into());
    let Some(token) = shop_token(app, shop.id).await? else {
        return Ok(Err(none()));
    };
    let first = ask(token.clone()).await;
    if !matches!(first, Err(Error::Reconnect(_))) {
        return Ok(first);
    }
    let Some(next) = replaced(app, shop.id, &token).await? else {
        return Ok(first);
    };
    let second = ask(next).await;
    if matches!(second, Err(Error::Reconnect(_))) {
        needs_reauth(app, shop.id).await?;
    }
    Ok(second)
}

/// Renews what has lain idle, a few at a time, whoever failed longest ago first.
pub async fn renew_idle_shops(app: &App) -> anyhow::Result<()> {
    let idle: Vec<ShopId> = sqlx::query_scalar(
        "SELECT id FROM shops \
         WHERE refresh_token_sealed IS NOT NULL AND reauth_at IS NULL \
           AND uninstalled_at IS NULL AND token_at < $1 AND renewing_until <= $2 \
         ORDER BY renewing_until LIMIT $3",
    )
    .bind(app.clock.now() - IDLE)
    .bind(app.clock.now() - MINUTE)
    .bind(BATCH)
    .fetch_all(app.db.pool())
    .await?;
    for id in idle {
        if app.stop.is_cancelled() {
            break;
        }
        // One shop's trouble is not the others'.
        if let Err(error) = shop_token(app, id).await {
            tracing::warn!(shop.id = %id, "An idle shop's token was not renewed: {error:#}");
        }
    }
    Ok(())
}

/// A token in place of the one that Shopify refused: somebody else's newer one, or a renewed one.
async fn replaced(
    app: &App,
    id: ShopId,
    refused: &SecretString,
) -> anyhow::Result<Option<SecretString>> {
    for _ in 0..LOOKS {
        let Some(row) = load(app, id).await? else {
            return Ok(None);
        };
        let Some(sealed) = &row.token_sealed else {
            return Ok(None);
        };
        let token = open(app, id, sealed)?;
        if token.expose_secret() != refused.expose_secret() {
            return Ok(Some(token));
        }
        if row.refresh_token_sealed.is_none() {
            needs_reauth(app, id).await?;
            return Ok(None);
        }
        if row.reauth_at.is_some() {
            return Ok(None);
        }
        if let Some(lease) = begin(app, id, sealed).await? {
            match renew(app, id, &row, lease).await? {
                Renewal::Token(token) => return Ok(Some(token)),
                Renewal::Dead | Renewal::Later(_) => return Ok(None),
                Renewal::Overtaken => {}
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    bail!("another worker's renewal of the shop's token did not end")
}

async fn load(app: &App, id: ShopId) -> anyhow::Result<Option<Row>> {
    Ok(sqlx::query_as(
        "SELECT domain, token_sealed, token_expires_at, refresh_token_sealed, reauth_at \
         FROM shops WHERE id = $1 AND uninstalled_at IS NULL",
    )
    .bind(id)
    .fetch_optional(app.db.pool())
    .await?)
}

/// Takes the lock on replacing this very token: an `UPDATE` that only one can win, on either
/// engine; no database lock is held while Shopify is spoken to. The lease is also the proof by
/// which the winner may write.
async fn begin(app: &App, id: ShopId, sealed: &str) -> anyhow::Result<Option<Millis>> {
    let now = app.clock.now();
    let lease = now + LEASE;
    let won = sqlx::query(
        "UPDATE shops SET renewing_until = $2 \
         WHERE id = $1 AND renewing_until <= $3 AND token_sealed = $4 AND uninstalled_at IS NULL",
    )
    .bind(id)
    .bind(lease)
    .bind(now)
    .bind(sealed)
    .execute(app.db.writer())
    .await?;
    Ok((won.rows_affected() == 1).then_some(lease))
}

async fn renew(app: &App, id: ShopId, row: &Row, lease: Millis) -> anyhow::Result<Renewal> {
    let domain = ShopDomain::parse(&row.domain).context("a kept shop domain is not one")?;
    let sealed = row.refresh_token_sealed.as_deref();
    let sealed = sealed.context("no refresh token is kept")?;
    let refresh = app.keys.open(&refresh_context(id), sealed)?;
    match app.shopify.refresh(&domain, &refresh).await {
        Ok(tokens) => {
            let mut tx = app.db.begin().await?;
            let mine: Option<i64> = sqlx::query_scalar(
                "UPDATE shops SET renewing_until = 0 \
                 WHERE id = $1 AND renewing_until = $2 AND uninstalled_at IS NULL RETURNING 1",
            )
            .bind(id)
            .bind(lease)
            .fetch_optional(&mut *tx)
            .await?;
            if mine.is_none() {
                return Ok(Renewal::Overtaken);
            }
            keep(app, &mut tx, id, &tokens).await?;
            tx.commit().await.context("keep the shop's tokens")?;
            Ok(Renewal::Token(tokens.access))
        }
        Err(Error::Reconnect(_)) => {
            let ours = sqlx::query(
                "UPDATE shops SET renewing_until = 0, reauth_at = $3 \
                 WHERE id = $1 AND renewing_until = $2",
            )
            .bind(id)
            .bind(lease)
            .bind(app.clock.now())
            .execute(app.db.writer())
            .await?;
            if ours.rows_affected() == 0 {
                return Ok(Renewal::Overtaken);
            }
            Ok(Renewal::Dead)
        }
        Err(error) => {
            // The lease ends at once, so that the next in line need not wait for it.
            sqlx::query(
                "UPDATE shops SET renewing_until = $3 WHERE id = $1 AND renewing_until = $2",
            )
            .bind(id)
            .bind(lease)
            .bind(app.clock.now())
            .execute(app.db.writer())
            .await?;
            Ok(Renewal::Later(error))
        }
    }
}

/// Writes what Shopify handed out over what was there.
pub(super) async fn keep(
    app: &App,
    conn: &mut Conn,
    id: ShopId,
    tokens: &Tokens,
) -> anyhow::Result<()> {
    let now = app.clock.now();
    let refresh = tokens
        .refresh
        .as_ref()
        .map(|token| app.keys.seal(&refresh_context(id), token.expose_secret()))
        .transpose()?;
    sqlx::query(
        "UPDATE shops SET token_sealed = $2, token_expires_at = $3, refresh_token_sealed = $4, \
           refresh_expires_at = $5, token_at = $6, renewing_until = 0, reauth_at = NULL \
         WHERE id = $1",
    )
    .bind(id)
    .bind(
        app.keys
            .seal(&token_context(id), tokens.access.expose_secret())?,
    )
    .bind(tokens.expires_in.map(|ms| now + ms))
    .bind(refresh)
    .bind(tokens.refresh_expires_in.map(|ms| now + ms))
    .bind(now)
    .execute(conn)
    .await
    .context("keep the shop's tokens")?;
    Ok(())
}

async fn needs_reauth(app: &App, id: ShopId) -> anyhow::Result<()> {
    sqlx::query("UPDATE shops SET reauth_at = $2 WHERE id = $1 AND reauth_at IS NULL")
        .bind(id)
        .bind(app.clock.now())
        .execute(app.db.writer())
        .await?;
    Ok(())
}

fn open(app: &App, id: ShopId, sealed: &str) -> anyhow::Result<SecretString> {
    app.keys.open(&token_context(id), sealed)
}

pub(super) fn token_context(id: ShopId) -> String {
    format!("shops.token:{id}")
}

fn refresh_context(id: ShopId) -> String {
    format!("shops.refresh_token:{id}")
}

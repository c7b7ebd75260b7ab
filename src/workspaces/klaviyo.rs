//! A workspace's Klaviyo account: connected, set up, and told apart from the one before.

use std::time::Duration;

use anyhow::{Context, anyhow};
use secrecy::{ExposeSecret, SecretString};

use super::klaviyo_tokens::{ask_klaviyo, klaviyo_auth};
use super::set_up::Left;
use crate::app::App;
use crate::clock::SECOND;
use crate::klaviyo::{Auth, Error};
use crate::store::ids::WorkspaceId;
use crate::store::{clean, sealed};

/// Our own events, as topics spell them: subscribing to them would be a loop.
const OUR_METRICS: &[&str] = &[
    "received_messenger_message",
    "read_messenger_message",
    "clicked_messenger_message",
    "replied_to_messenger_message",
    "failed_to_deliver_messenger_message",
    "subscribed_to_messenger",
    "unsubscribed_from_messenger",
    "placed_order_from_messenger",
];

#[derive(Debug)]
pub enum KlaviyoSecret {
    RefreshToken(SecretString),
    PrivateKey(SecretString),
}

/// Keeps the secret, reads the account and creates our system webhook where it may have one. What
/// does not work is told and tried again later; only a secret that Klaviyo does not accept is
/// refused.
pub async fn connect_klaviyo(
    app: &App,
    ws: WorkspaceId,
    secret: KlaviyoSecret,
) -> anyhow::Result<()> {
    let mut left = Left::default();
    let (auth, key, refresh, tokens) = match secret {
        KlaviyoSecret::PrivateKey(key) => {
            (Some(Auth::PrivateKey(key.clone())), Some(key), None, None)
        }
        KlaviyoSecret::RefreshToken(token) => {
            match patiently(|| app.klaviyo.refresh(&token)).await {
                Ok(tokens) => {
                    let auth = Auth::Bearer(tokens.access.clone());
                    (Some(auth), None, Some(tokens.refresh.clone()), Some(tokens))
                }
                Err(error) if is_final(&error) => return Err(plain(&error)),
                Err(error) => {
                    tracing::warn!(
                        "Klaviyo gave no access token yet ({error}). Check the network and \
                         KLAVIYO_API_URL; it is asked again by itself."
                    );
                    left.soon();
                    (None, None, Some(token), None)
                }
            }
        }
    };
    let account = match &auth {
        Some(auth) => account(app, auth, &mut left).await?,
        None => None,
    };
    let seal = |column: &str, value: Option<&SecretString>| {
        value
            .map(|value| app.keys.seal(&context(column, ws), value.expose_secret()))
            .transpose()
    };
    let now = app.clock.now();
    // A private key and OAuth are never mixed for one merchant, so the other is dropped.
    sqlx::query(
        "INSERT INTO klaviyo_accounts (workspace_id, account_id, private_key_sealed, \
           refresh_token_sealed, access_token_sealed, access_expires_at, connected_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (workspace_id) DO UPDATE SET account_id = excluded.account_id, \
           private_key_sealed = excluded.private_key_sealed, \
           refresh_token_sealed = excluded.refresh_token_sealed, \
           access_token_sealed = excluded.access_token_sealed, \
           access_expires_at = excluded.access_expires_at, renewing_until = 0, \
           connected_at = excluded.connected_at, state = 'active', attention = NULL",
    )
    .bind(ws)
    .bind(account.as_deref().map(clean))
    .bind(seal("private_key", key.as_ref())?)
    .bind(seal("refresh_token", refresh.as_ref())?)
    .bind(seal("access_token", tokens.as_ref().map(|t| &t.access))?)
    .bind(tokens.as_ref().map(|tokens| now + tokens.expires_in))
    .bind(now)
    .execute(app.db.writer())
    .await
    .context("keep the Klaviyo connection")?;
    if let Some(auth) = &auth {
        set_up_webhook(app, ws, auth, &mut left).await;
    }
    keep_left(app, ws, left).await
}

/// The account's id, where Klaviyo tells it; an error only when it does not accept the secret.
async fn account(app: &App, auth: &Auth, left: &mut Left) -> anyhow::Result<Option<String>> {
    match patiently(|| app.klaviyo.account(auth)).await {
        Ok(account) => Ok(Some(account)),
        Err(error) if is_final(&error) => Err(plain(&error)),
        Err(error) => {
            tracing::warn!(
                "The Klaviyo account could not be read ({error}). Check the network, \
                 KLAVIYO_API_URL and that the key or app has the scope accounts:read; it is asked \
                 for again later."
            );
            wait(left, &error);
            Ok(None)
        }
    }
}

async fn set_up_webhook(app: &App, ws: WorkspaceId, auth: &Auth, left: &mut Left) {
    let Err(error) = create_webhook(app, ws, auth).await else {
        return;
    };
    tracing::warn!(
        "Klaviyo's system webhook could not be created ({error:#}). Flow webhooks work all the \
         same; system webhooks need an https PUBLIC_URL and an account that may have them. It is \
         tried again by itself."
    );
    match error.downcast_ref::<Error>() {
        Some(error) => wait(left, error),
        None => left.later(),
    }
}

/// The sweep's way through what connecting left undone.
pub(super) async fn set_up_again(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    let mut left = Left::default();
    let asked = ask_klaviyo(app, ws, |auth| async move {
        patiently(|| app.klaviyo.account(&auth)).await
    });
    match asked.await {
        Ok(Ok(account)) => {
            sqlx::query("UPDATE klaviyo_accounts SET account_id = $2 WHERE workspace_id = $1")
                .bind(ws)
                .bind(clean(&account))
                .execute(app.db.writer())
                .await?;
        }
        // Broken, which is said where it was found out.
        Ok(Err(Error::Reconnect(_))) => return Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(workspace.id = %ws, "The Klaviyo account could not be read: {error}");
            wait(&mut left, &error);
        }
        Err(error) => {
            tracing::warn!(workspace.id = %ws, "Klaviyo gave no access token: {error:#}");
            left.soon();
            return keep_left(app, ws, left).await;
        }
    }
    let Some(auth) = klaviyo_auth(app, ws).await? else {
        return Ok(());
    };
    set_up_webhook(app, ws, &auth, &mut left).await;
    keep_left(app, ws, left).await
}

async fn keep_left(app: &App, ws: WorkspaceId, left: Left) -> anyhow::Result<()> {
    sqlx::query("UPDATE klaviyo_accounts SET setup_due_at = $2 WHERE workspace_id = $1")
        .bind(ws)
        .bind(left.due_at(app.clock.now()))
        .execute(app.db.writer())
        .await?;
    Ok(())
}

fn wait(left: &mut Left, error: &Error) {
    match error {
        Error::Retry { .. } => left.soon(),
        Error::Reconnect(_) | Error::NotFound(_) | Error::Refused { .. } => left.later(),
    }
}

/// The secret, or our own credentials beside it, will not be accepted the next time either.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Reconnect(_) => true,
        // 0: it never left this machine, because the configuration does not allow it.
        Error::Refused { status, .. } => matches!(status, 0 | 401),
        Error::Retry { .. } | Error::NotFound(_) => false,
    }
}

/// Klaviyo lets through one of these calls a second: what it asks to wait, if it is short, is
/// waited here.
async fn patiently<T, Call, Answer>(call: Call) -> Result<T, Error>
where
    Call: Fn() -> Answer,
    Answer: Future<Output = Result<T, Error>>,
{
    for _ in 0..2 {
        match call().await {
            Err(Error::Retry { after, .. }) if after <= 5 * SECOND => {
                tokio::time::sleep(Duration::from_millis(after.unsigned_abs())).await;
            }
            other => return other,
        }
    }
    call().await
}

/// Replaces our system webhook: Klaviyo never tells its secret or address again, so an old one
/// cannot be trusted to be right.
async fn create_webhook(app: &App, ws: WorkspaceId, auth: &Auth) -> anyhow::Result<()> {
    let topics: Vec<String> = patiently(|| app.klaviyo.webhook_topics(auth))
        .await?
        .into_iter()
        .filter(|topic| !is_ours(topic))
        .collect();
    if topics.is_empty() {
        return Err(anyhow!("the account offers no topics yet"));
    }
    let old: Option<Option<String>> =
        sqlx::query_scalar("SELECT webhook_id FROM klaviyo_accounts WHERE workspace_id = $1")
            .bind(ws)
            .fetch_optional(app.db.pool())
            .await?;
    let secret = sealed::random_token("", 32);
    let sealed = app
        .keys
        .seal(&context("webhook_secret", ws), secret.expose_secret())?;
    let endpoint = format!("{}/webhooks/klaviyo/{ws}", app.config.public_url);
    let create = || {
        app.klaviyo
            .create_webhook(auth, "Pagecast", &endpoint, &secret, &topics)
    };
    let id = patiently(create).await?;
    sqlx::query(
        "UPDATE klaviyo_accounts SET webhook_id = $2, webhook_secret_sealed = $3 \
         WHERE workspace_id = $1",
    )
    .bind(ws)
    .bind(clean(&id))
    .bind(sealed)
    .execute(app.db.writer())
    .await?;
    if let Some(old) = old.flatten().filter(|old| *old != id)
        && let Err(error) = app.klaviyo.delete_webhook(auth, &old).await
    {
        tracing::debug!("the former system webhook could not be deleted: {error}");
    }
    Ok(())
}

/// `event:<integration>.<metric slug>`: whether the metric is one of ours.
fn is_ours(topic: &str) -> bool {
    let slug = topic.rsplit('.').next().unwrap_or(topic);
    OUR_METRICS.contains(&slug)
}

/// What an operator reads when Klaviyo says no.
fn plain(error: &Error) -> anyhow::Error {
    match error {
        Error::Refused { status, detail } => anyhow!("Klaviyo refused ({status}): {detail}."),
        error => anyhow!(
            "Klaviyo does not accept this key or token ({error}). Make a new one and connect again."
        ),
    }
}

/// `(state, attention)` of the Klaviyo connection, if there is one.
pub async fn klaviyo_state(
    app: &App,
    ws: WorkspaceId,
) -> anyhow::Result<Option<(String, Option<String>)>> {
    Ok(
        sqlx::query_as("SELECT state, attention FROM klaviyo_accounts WHERE workspace_id = $1")
            .bind(ws)
            .fetch_optional(app.db.pool())
            .await?,
    )
}

/// The secret that Klaviyo signs this workspace's system webhooks with, if one was created.
pub async fn klaviyo_webhook_secret(
    app: &App,
    ws: WorkspaceId,
) -> anyhow::Result<Option<SecretString>> {
    let sealed: Option<Option<String>> = sqlx::query_scalar(
        "SELECT webhook_secret_sealed FROM klaviyo_accounts WHERE workspace_id = $1",
    )
    .bind(ws)
    .fetch_optional(app.db.pool())
    .await?;
    sealed
        .flatten()
        .map(|sealed| app.keys.open(&context("webhook_secret", ws), &sealed))
        .transpose()
}

pub(super) fn context(column: &str, ws: WorkspaceId) -> String {
    format!("klaviyo_accounts.{column}:{ws}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_metrics_are_never_subscribed() {
        assert!(is_ours("event:api.clicked_messenger_message"));
        assert!(is_ours("event:pagecast.placed_order_from_messenger"));
        assert!(!is_ours("event:api.viewed_product"));
        assert!(!is_ours("event:klaviyo.clicked_email"));
    }
}

//! How a workspace speaks to Klaviyo: a private key, or OAuth tokens that one worker at a time
//! renews. The row is the truth and the lock; who is slow finds it changed and changes nothing.

use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};

use super::klaviyo::context;
use crate::app::App;
use crate::clock::{MINUTE, Millis, SECOND};
use crate::klaviyo::oauth::Tokens;
use crate::klaviyo::{Auth, Error};
use crate::store::clean;
use crate::store::ids::WorkspaceId;

/// An access token with less than this left is renewed before it is used.
const RENEW_BEFORE: Millis = 5 * MINUTE;
/// One with less than this left is not used any more.
const TOO_LATE: Millis = 10 * SECOND;
/// How long one worker may be at renewing before another tries; longer than any call takes.
const LEASE: Millis = 30 * SECOND;
/// How often we look whether somebody else's renewal has ended, and how many times.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const LOOKS: usize = 160;
/// After a renewal that was put off.
const PAUSE: Millis = 5 * SECOND;
const BROKEN: &str = "Klaviyo no longer accepts the connection. Connect the account again.";

#[derive(sqlx::FromRow)]
struct Row {
    private_key_sealed: Option<String>,
    refresh_token_sealed: Option<String>,
    access_token_sealed: Option<String>,
    access_expires_at: Option<Millis>,
}

/// What came of asking Klaviyo for the next access token.
enum Renewal {
    Token(Auth),
    /// The refresh token is dead: the connection is marked as broken.
    Dead,
    /// Not now; what we hold stays.
    Later(Error),
    /// Somebody replaced the tokens meanwhile, or connected anew.
    Overtaken,
}

/// How to speak for this workspace to Klaviyo, refreshed if need be; `None` if not connected or
/// in need of reconnection.
pub async fn klaviyo_auth(app: &App, ws: WorkspaceId) -> anyhow::Result<Option<Auth>> {
    for _ in 0..LOOKS {
        let Some(row) = load(app, ws).await? else {
            return Ok(None);
        };
        let held = open(app, ws, &row)?;
        let left = row.access_expires_at.unwrap_or(0) - app.clock.now();
        match held {
            Some(Auth::PrivateKey(_)) => return Ok(held),
            Some(Auth::Bearer(_)) if left >= RENEW_BEFORE => return Ok(held),
            _ => {}
        }
        let usable = held.filter(|_| left > TOO_LATE);
        if let Some(lease) = begin(app, ws, &row).await? {
            match renew(app, ws, &row, lease).await? {
                Renewal::Token(auth) => return Ok(Some(auth)),
                Renewal::Dead => return Ok(None),
                Renewal::Later(_) if usable.is_some() => return Ok(usable),
                Renewal::Later(error) => return Err(error).context("renew the Klaviyo token"),
                Renewal::Overtaken => {}
            }
        }
        if usable.is_some() {
            return Ok(usable);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    bail!("another worker's renewal of the Klaviyo token did not end")
}

/// Asks Klaviyo something. A token that Klaviyo does not take is renewed once and the question asked
/// again; only then is the connection broken.
pub async fn ask_klaviyo<T, Ask, Answer>(
    app: &App,
    ws: WorkspaceId,
    ask: Ask,
) -> anyhow::Result<Result<T, Error>>
where
    Ask: Fn(Auth) -> Answer,
    Answer: Future<Output = Result<T, Error>>,
{
    let Some(auth) = klaviyo_auth(app, ws).await? else {
        return Ok(Err(Error::Reconnect("connect Klaviyo again".into())));
    };
    let first = ask(auth.clone()).await;
    if !matches!(first, Err(Error::Reconnect(_))) {
        return Ok(first);
    }
    let next = match replaced(app, ws, &auth).await? {
        Renewal::Token(next) => next,
        Renewal::Dead | Renewal::Overtaken => return Ok(first),
        Renewal::Later(error) => {
            return Ok(Err(Error::Retry {
                after: PAUSE,
                why: format!("the access token could not be renewed ({error})"),
            }));
        }
    };
    let second = ask(next.clone()).await;
    if matches!(second, Err(Error::Reconnect(_))) {
        klaviyo_broke(app, ws, &next, BROKEN).await?;
    }
    Ok(second)
}

/// A token in place of the one that Klaviyo refused: somebody else's newer one, or a renewed one.
async fn replaced(app: &App, ws: WorkspaceId, refused: &Auth) -> anyhow::Result<Renewal> {
    for _ in 0..LOOKS {
        let Some(row) = load(app, ws).await? else {
            return Ok(Renewal::Dead);
        };
        match open(app, ws, &row)? {
            Some(held) if !is_same(&held, refused) => return Ok(Renewal::Token(held)),
            Some(Auth::PrivateKey(_)) => {
                klaviyo_broke(app, ws, refused, BROKEN).await?;
                return Ok(Renewal::Dead);
            }
            _ => {}
        }
        if let Some(lease) = begin(app, ws, &row).await? {
            match renew(app, ws, &row, lease).await? {
                Renewal::Overtaken => {}
                ended => return Ok(ended),
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    bail!("another worker's renewal of the Klaviyo token did not end")
}

/// Marks the Klaviyo connection as in trouble, if it is still the one that was `used`.
pub async fn klaviyo_broke(
    app: &App,
    ws: WorkspaceId,
    used: &Auth,
    words: &str,
) -> anyhow::Result<()> {
    let Some(row) = load(app, ws).await? else {
        return Ok(());
    };
    if !open(app, ws, &row)?.is_some_and(|held| is_same(&held, used)) {
        return Ok(());
    }
    sqlx::query(
        "UPDATE klaviyo_accounts SET state = 'needs_reconnect', attention = $2, \
           renewing_until = 0 \
         WHERE workspace_id = $1 AND COALESCE(private_key_sealed, access_token_sealed) = $3",
    )
    .bind(ws)
    .bind(clean(words))
    .bind(row.private_key_sealed.or(row.access_token_sealed))
    .execute(app.db.writer())
    .await?;
    Ok(())
}

async fn load(app: &App, ws: WorkspaceId) -> anyhow::Result<Option<Row>> {
    Ok(sqlx::query_as(
        "SELECT private_key_sealed, refresh_token_sealed, access_token_sealed, access_expires_at \
         FROM klaviyo_accounts WHERE workspace_id = $1 AND state = 'active'",
    )
    .bind(ws)
    .fetch_optional(app.db.pool())
    .await?)
}

/// What the row holds; `None` before the first access token came.
fn open(app: &App, ws: WorkspaceId, row: &Row) -> anyhow::Result<Option<Auth>> {
    if let Some(key) = &row.private_key_sealed {
        let key = app.keys.open(&context("private_key", ws), key)?;
        return Ok(Some(Auth::PrivateKey(key)));
    }
    let Some(access) = &row.access_token_sealed else {
        return Ok(None);
    };
    let access = app.keys.open(&context("access_token", ws), access)?;
    Ok(Some(Auth::Bearer(access)))
}

fn is_same(one: &Auth, other: &Auth) -> bool {
    match (one, other) {
        (Auth::Bearer(one), Auth::Bearer(other))
        | (Auth::PrivateKey(one), Auth::PrivateKey(other)) => {
            one.expose_secret() == other.expose_secret()
        }
        _ => false,
    }
}

/// Takes the lock on replacing these very tokens: an `UPDATE` that only one can win, on either
/// engine; no database lock is held while Klaviyo is spoken to. The lease is also the proof by which
/// the winner may write: connecting anew ends it.
async fn begin(app: &App, ws: WorkspaceId, row: &Row) -> anyhow::Result<Option<Millis>> {
    let now = app.clock.now();
    let lease = now + LEASE;
    let won = sqlx::query(
        "UPDATE klaviyo_accounts SET renewing_until = $2 \
         WHERE workspace_id = $1 AND renewing_until <= $3 AND state = 'active' \
           AND refresh_token_sealed = $4 AND COALESCE(access_token_sealed, '') = $5",
    )
    .bind(ws)
    .bind(lease)
    .bind(now)
    .bind(&row.refresh_token_sealed)
    .bind(row.access_token_sealed.as_deref().unwrap_or_default())
    .execute(app.db.writer())
    .await?;
    Ok((won.rows_affected() == 1).then_some(lease))
}

async fn renew(app: &App, ws: WorkspaceId, row: &Row, lease: Millis) -> anyhow::Result<Renewal> {
    let sealed = row.refresh_token_sealed.as_deref();
    let sealed = sealed.context("no refresh token is kept")?;
    let refresh = app.keys.open(&context("refresh_token", ws), sealed)?;
    match app.klaviyo.refresh(&refresh).await {
        Ok(tokens) if keep(app, ws, &tokens, lease).await? => {
            Ok(Renewal::Token(Auth::Bearer(tokens.access)))
        }
        Ok(_) => Ok(Renewal::Overtaken),
        Err(Error::Reconnect(_)) => {
            let ours = sqlx::query(
                "UPDATE klaviyo_accounts SET state = 'needs_reconnect', attention = $3, \
                   renewing_until = 0 \
                 WHERE workspace_id = $1 AND renewing_until = $2",
            )
            .bind(ws)
            .bind(lease)
            .bind(BROKEN)
            .execute(app.db.writer())
            .await?;
            Ok(if ours.rows_affected() == 0 {
                Renewal::Overtaken
            } else {
                Renewal::Dead
            })
        }
        Err(error) => {
            // The lease ends at once, so that the next in line need not wait for it.
            sqlx::query(
                "UPDATE klaviyo_accounts SET renewing_until = 0 \
                 WHERE workspace_id = $1 AND renewing_until = $2",
            )
            .bind(ws)
            .bind(lease)
            .execute(app.db.writer())
            .await?;
            Ok(Renewal::Later(error))
        }
    }
}

/// Whatever comes back is stored: Klaviyo may or may not hand out a new refresh token. `false` if
/// the lease is not ours any more.
async fn keep(app: &App, ws: WorkspaceId, tokens: &Tokens, lease: Millis) -> anyhow::Result<bool> {
    let seal = |column: &str, value: &SecretString| {
        app.keys.seal(&context(column, ws), value.expose_secret())
    };
    let kept = sqlx::query(
        "UPDATE klaviyo_accounts SET refresh_token_sealed = $2, access_token_sealed = $3, \
           access_expires_at = $4, renewing_until = 0, state = 'active', attention = NULL \
         WHERE workspace_id = $1 AND renewing_until = $5",
    )
    .bind(ws)
    .bind(seal("refresh_token", &tokens.refresh)?)
    .bind(seal("access_token", &tokens.access)?)
    .bind(app.clock.now() + tokens.expires_in)
    .bind(lease)
    .execute(app.db.writer())
    .await
    .context("keep the Klaviyo tokens")?;
    Ok(kept.rows_affected() == 1)
}

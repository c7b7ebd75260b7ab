//! Who may look: API tokens, one-time sign-in links, browser sessions. Only hashes are kept.

use anyhow::{Context, ensure};
use secrecy::{ExposeSecret, SecretString};

use super::people;
use crate::app::App;
use crate::clock::{DAY, MINUTE, Millis};
use crate::store::clean;
use crate::store::ids::{TokenId, WorkspaceId};
use crate::store::sealed::{random_token, token_hash};

/// How long a sign-in link waits for its reader.
const LINK_LIFETIME: Millis = 15 * MINUTE;
/// How long a browser stays signed in.
const SESSION_LIFETIME: Millis = 30 * DAY;

/// A sign-in link, valid once and for a quarter of an hour.
#[derive(Debug)]
pub struct LoginLink {
    pub url: String,
}

/// An API token as it is listed: its secret is gone.
#[derive(Clone, Debug)]
pub struct ApiToken {
    pub id: TokenId,
    pub name: String,
    pub created_at: Millis,
}

/// Makes an API token (`pc_…`), shown once.
pub async fn create_token(app: &App, ws: WorkspaceId, name: &str) -> anyhow::Result<SecretString> {
    let name = clean(name.trim());
    ensure!(!name.is_empty(), "Give the token a name.");
    let token = random_token("pc_", 32);
    sqlx::query(
        "INSERT INTO api_tokens (id, workspace_id, name, token_hash, created_at) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(app.ids.next::<TokenId>())
    .bind(ws)
    .bind(name)
    .bind(token_hash(&token))
    .bind(app.clock.now())
    .execute(app.db.writer())
    .await
    .context("keep the token")?;
    Ok(token)
}

/// The workspace's tokens that still open, oldest first.
pub async fn tokens(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<ApiToken>> {
    let rows: Vec<(TokenId, String, Millis)> = sqlx::query_as(
        "SELECT id, name, created_at FROM api_tokens \
         WHERE workspace_id = $1 AND revoked_at IS NULL ORDER BY id",
    )
    .bind(ws)
    .fetch_all(app.db.pool())
    .await?;
    let token = |(id, name, created_at)| ApiToken {
        id,
        name,
        created_at,
    };
    Ok(rows.into_iter().map(token).collect())
}

/// From now on the token opens nothing; `false` if there is none.
pub async fn revoke_token(app: &App, ws: WorkspaceId, id: TokenId) -> anyhow::Result<bool> {
    let done = sqlx::query(
        "UPDATE api_tokens SET revoked_at = $3 \
         WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL",
    )
    .bind(ws)
    .bind(id)
    .bind(app.clock.now())
    .execute(app.db.writer())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Whose token it is.
pub async fn authenticate(app: &App, token: &SecretString) -> anyhow::Result<Option<WorkspaceId>> {
    Ok(sqlx::query_scalar(
        "SELECT workspace_id FROM api_tokens WHERE token_hash = $1 AND revoked_at IS NULL",
    )
    .bind(token_hash(token))
    .fetch_optional(app.db.pool())
    .await?)
}

/// Makes `{PUBLIC_URL}/app/sign-in?token=…`.
pub async fn login_link(app: &App, ws: WorkspaceId) -> anyhow::Result<LoginLink> {
    let token = random_token("", 32);
    let now = app.clock.now();
    sqlx::query(
        "INSERT INTO login_links (token_hash, workspace_id, created_at, expires_at) \
         VALUES ($1, $2, $3, $4)",
    )
    .bind(token_hash(&token))
    .bind(ws)
    .bind(now)
    .bind(now + LINK_LIFETIME)
    .execute(app.db.writer())
    .await
    .context("keep the sign-in link")?;
    let url = format!(
        "{}/app/sign-in?token={}",
        app.config.public_url,
        token.expose_secret()
    );
    Ok(LoginLink { url })
}

/// Trades the token of a sign-in link, once, for a session token (for the cookie).
pub async fn open_login(app: &App, token: &SecretString) -> anyhow::Result<Option<SecretString>> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let ws: Option<WorkspaceId> = sqlx::query_scalar(
        "UPDATE login_links SET used_at = $2 \
         WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2 RETURNING workspace_id",
    )
    .bind(token_hash(token))
    .bind(now)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(ws) = ws else {
        return Ok(None);
    };
    let session = random_token("", 32);
    sqlx::query(
        "INSERT INTO sessions (token_hash, workspace_id, created_at, expires_at) \
         VALUES ($1, $2, $3, $4)",
    )
    .bind(token_hash(&session))
    .bind(ws)
    .bind(now)
    .bind(now + SESSION_LIFETIME)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Some(session))
}

/// Whose session it is, while it lasts.
pub async fn session(app: &App, token: &SecretString) -> anyhow::Result<Option<WorkspaceId>> {
    Ok(sqlx::query_scalar(
        "SELECT workspace_id FROM sessions WHERE token_hash = $1 AND expires_at > $2",
    )
    .bind(token_hash(token))
    .bind(app.clock.now())
    .fetch_optional(app.db.pool())
    .await?)
}

pub async fn sign_out(app: &App, token: &SecretString) -> anyhow::Result<()> {
    sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
        .bind(token_hash(token))
        .execute(app.db.writer())
        .await?;
    people::end_session(app, token).await
}

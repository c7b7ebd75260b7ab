//! A link with which somebody (a client, a colleague) connects a Page to a workspace: once, within
//! a week, and nothing else. It ends by itself.

use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::clock::{DAY, Millis};
use crate::store::ids::WorkspaceId;
use crate::store::sealed::{random_token, token_hash};

const LIFETIME: Millis = 7 * DAY;

/// Makes `{PUBLIC_URL}/auth/meta/invited?code=…`, shown once.
pub async fn invite(app: &App, ws: WorkspaceId) -> anyhow::Result<String> {
    let code = random_token("", 24);
    let now = app.clock.now();
    sqlx::query(
        "INSERT INTO invitations (code_hash, workspace_id, created_at, expires_at) \
         VALUES ($1, $2, $3, $4)",
    )
    .bind(token_hash(&code))
    .bind(ws)
    .bind(now)
    .bind(now + LIFETIME)
    .execute(app.db.writer())
    .await?;
    Ok(format!(
        "{}/auth/meta/invited?code={}",
        app.config.public_url,
        code.expose_secret()
    ))
}

/// Whose invitation it is, while it can be used.
pub async fn invitation(app: &App, code: &SecretString) -> anyhow::Result<Option<WorkspaceId>> {
    Ok(sqlx::query_scalar(
        "SELECT workspace_id FROM invitations \
         WHERE code_hash = $1 AND used_at IS NULL AND expires_at > $2",
    )
    .bind(token_hash(code))
    .bind(app.clock.now())
    .fetch_optional(app.db.pool())
    .await?)
}

/// A Page was connected by it: it is used up. By its hash, which is what an errand carries.
pub async fn invitation_used(app: &App, code_hash: &str) -> anyhow::Result<()> {
    sqlx::query("UPDATE invitations SET used_at = $2 WHERE code_hash = $1 AND used_at IS NULL")
        .bind(code_hash)
        .bind(app.clock.now())
        .execute(app.db.writer())
        .await?;
    Ok(())
}

/// Whether the invitation with this hash can still be used.
pub async fn invitation_holds(app: &App, code_hash: &str) -> anyhow::Result<bool> {
    let row: Option<(i64,)> = sqlx::query_as(
        "SELECT 1 FROM invitations WHERE code_hash = $1 AND used_at IS NULL AND expires_at > $2",
    )
    .bind(code_hash)
    .bind(app.clock.now())
    .fetch_optional(app.db.pool())
    .await?;
    Ok(row.is_some())
}

/// Invitations that are open.
pub async fn open_invitations(app: &App, ws: WorkspaceId) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar(
        "SELECT COUNT(*) FROM invitations \
         WHERE workspace_id = $1 AND used_at IS NULL AND expires_at > $2",
    )
    .bind(ws)
    .bind(app.clock.now())
    .fetch_one(app.db.pool())
    .await?)
}

/// Takes back every open invitation of the workspace.
pub async fn withdraw_invitations(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    sqlx::query("DELETE FROM invitations WHERE workspace_id = $1 AND used_at IS NULL")
        .bind(ws)
        .execute(app.db.writer())
        .await?;
    Ok(())
}

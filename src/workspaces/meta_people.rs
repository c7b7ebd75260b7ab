//! People at Meta who connected something here and take it back: they removed the app, or want to
//! be forgotten. What they connected stops; what others connected goes on.

use secrecy::ExposeSecret;

use super::people;
use crate::app::App;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::sealed::{random_token, token_hash};

const REMOVED: &str = "The Facebook account that connected this Page has removed Pagecast, so Meta \
                       ended our access. Connect the Page again with an account that manages it; \
                       messages wait until then.";

/// A demand to delete what is kept of a person, as its status page shows it.
#[derive(Clone, Copy, Debug)]
pub struct Deletion {
    pub asked_at: Millis,
    pub done_at: Option<Millis>,
}

/// The person removed the app: their tokens are dead. Returns how many Pages stopped.
pub async fn person_removed_app(app: &App, user_id: &str) -> anyhow::Result<u64> {
    let mut tx = app.db.begin().await?;
    let pages = stop(app, &mut tx, user_id).await?;
    tx.commit().await?;
    tracing::info!(pages, "Somebody removed the app at Meta");
    Ok(pages)
}

/// What the person granted has changed at Meta: what they connected is looked at now.
pub async fn person_changed(app: &App, conn: &mut Conn, user_id: &str) -> anyhow::Result<()> {
    for statement in [
        "UPDATE pages SET check_due_at = $2 WHERE disconnected_at IS NULL AND connected_by = $1",
        "UPDATE meta_logins SET check_due_at = $2 WHERE ended_at IS NULL AND user_id = $1",
        "UPDATE people SET check_due_at = $2 WHERE ended_at IS NULL AND user_id = $1",
    ] {
        sqlx::query(statement)
            .bind(user_id)
            .bind(app.clock.now())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Deletes all that is kept of the person, at once; returns the code of the status page.
pub async fn delete_person(app: &App, user_id: &str) -> anyhow::Result<String> {
    let code = random_token("", 16);
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let pages = stop(app, &mut tx, user_id).await?;
    for statement in [
        "UPDATE meta_logins SET user_id = NULL, name_sealed = NULL, granted = '{}' \
         WHERE user_id = $1",
        "UPDATE pages SET connected_by = NULL WHERE connected_by = $1",
        "UPDATE people SET user_id = NULL, name_sealed = NULL WHERE user_id = $1",
    ] {
        sqlx::query(statement)
            .bind(user_id)
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query("INSERT INTO meta_deletions (code_hash, asked_at, done_at) VALUES ($1, $2, $2)")
        .bind(token_hash(&code))
        .bind(now)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    tracing::info!(pages, "What was kept of a person at Meta was deleted");
    Ok(code.expose_secret().to_owned())
}

/// The demand with this code.
pub async fn deletion(app: &App, code: &str) -> anyhow::Result<Option<Deletion>> {
    let row: Option<(Millis, Option<Millis>)> =
        sqlx::query_as("SELECT asked_at, done_at FROM meta_deletions WHERE code_hash = $1")
            .bind(token_hash(&code.into()))
            .fetch_optional(app.db.pool())
            .await?;
    Ok(row.map(|(asked_at, done_at)| Deletion { asked_at, done_at }))
}

/// Ends the person's logins and drops every token that came from them.
async fn stop(app: &App, conn: &mut Conn, user_id: &str) -> anyhow::Result<u64> {
    let now = app.clock.now();
    sqlx::query(
        "UPDATE pages SET ad_token_sealed = NULL WHERE login_id IN \
           (SELECT id FROM meta_logins WHERE user_id = $1)",
    )
    .bind(user_id)
    .execute(&mut *conn)
    .await?;
    let stopped = sqlx::query(
        "UPDATE pages SET token_sealed = NULL, state = 'needs_reconnect', attention = $2, \
           trouble = 'removed' \
         WHERE disconnected_at IS NULL \
           AND (connected_by = $1 OR login_id IN (SELECT id FROM meta_logins WHERE user_id = $1))",
    )
    .bind(user_id)
    .bind(REMOVED)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE meta_logins SET token_sealed = NULL, browser_hash = NULL, \
           ended_at = COALESCE(ended_at, $2) WHERE user_id = $1",
    )
    .bind(user_id)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    people::person_gone(app, conn, user_id).await?;
    Ok(stopped.rows_affected())
}

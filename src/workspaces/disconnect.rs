//! A Page stops speaking for a workspace: because somebody said so, or because another workspace
//! took it over. Its subscribers and their consent stay and work again when it comes back.

use secrecy::SecretString;

use super::pages;
use crate::app::App;
use crate::store::Conn;
use crate::store::ids::{PageRowId, WorkspaceId};

pub(super) const TAKEN_OVER: &str =
    "Somebody who manages this Page at Meta connected it to another workspace.";
const DISCONNECTED: &str = "The Page was disconnected.";

/// What stops when the Page is disconnected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stops {
    pub running: i64,
    pub scheduled: i64,
    pub automations: i64,
    pub subscribers: i64,
}

/// What would stop, for the question before it.
pub async fn stops(app: &App, ws: WorkspaceId, page: PageRowId) -> anyhow::Result<Stops> {
    let (running, scheduled, automations, subscribers): (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT COUNT(*) FROM campaigns WHERE workspace_id = $1 \
                   AND status IN ('preparing', 'running', 'paused')), \
                (SELECT COUNT(*) FROM campaigns WHERE workspace_id = $1 AND status = 'scheduled'), \
                (SELECT COUNT(*) FROM automations WHERE workspace_id = $1 AND status = 'on' \
                   AND deleted_at IS NULL), \
                (SELECT COUNT(*) FROM subscribers WHERE workspace_id = $1 AND page_id = $2 \
                   AND opted_in_at IS NOT NULL AND opted_out_at IS NULL AND erased_at IS NULL)",
    )
    .bind(ws)
    .bind(page)
    .fetch_one(app.db.pool())
    .await?;
    Ok(Stops {
        running,
        scheduled,
        automations,
        subscribers,
    })
}

/// Disconnects the workspace's Page and tells Meta to send no more events; `false` if there is
/// none.
pub async fn disconnect_page(app: &App, ws: WorkspaceId, id: PageRowId) -> anyhow::Result<bool> {
    let Some(page) = pages::page(app, id)
        .await?
        .filter(|page| page.workspace == ws)
    else {
        return Ok(false);
    };
    let mut tx = app.db.begin().await?;
    release(app, &mut tx, id, DISCONNECTED).await?;
    tx.commit().await?;
    if let Some(token) = &page.token {
        unsubscribe(app, &page.meta_id, token).await;
    }
    tracing::info!(workspace.id = %ws, page.id = %id, "A Page was disconnected");
    Ok(true)
}

/// The row stays with its history; its tokens go, and nothing is sent from it any more.
pub(super) async fn release(
    app: &App,
    conn: &mut Conn,
    id: PageRowId,
    words: &str,
) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE pages SET disconnected_at = $2, state = 'disconnected', attention = $3, \
           trouble = NULL, token_sealed = NULL, ad_token_sealed = NULL, login_id = NULL, \
           connected_by = NULL, setup_due_at = NULL \
         WHERE id = $1 AND disconnected_at IS NULL",
    )
    .bind(id)
    .bind(app.clock.now())
    .bind(words)
    .execute(conn)
    .await?;
    Ok(())
}

/// The row of a Page that was connected to this workspace before.
pub(super) async fn former(
    conn: &mut Conn,
    ws: WorkspaceId,
    meta_id: &str,
) -> anyhow::Result<Option<PageRowId>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM pages WHERE workspace_id = $1 AND meta_id = $2 \
           AND disconnected_at IS NOT NULL ORDER BY disconnected_at DESC LIMIT 1",
    )
    .bind(ws)
    .bind(meta_id)
    .fetch_optional(conn)
    .await?)
}

/// Best effort: events of a Page that nobody has here are dropped anyway.
async fn unsubscribe(app: &App, meta_id: &str, token: &SecretString) {
    if let Err(error) = app.meta.unsubscribe_page(meta_id, token).await {
        tracing::warn!("The Page's events could not be given up at Meta: {error}");
    }
}

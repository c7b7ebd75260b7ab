//! The audit log: who did what of weight, and when. Append-only. It proves what was done without
//! naming anybody it was done to: ids of ours, words and counts, never personal data.

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::WorkspaceId;
use crate::store::page::{Cursor, Page};
use crate::store::{Conn, clean};

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    Shopify,
    Meta,
    /// Somebody in the admin.
    Merchant,
    /// Pagecast by itself, as the settings say.
    Pagecast,
}

/// What is to be noted.
#[derive(Clone, Debug)]
pub struct Note {
    pub actor: Actor,
    /// A name of the deed, as `customer_erased`.
    pub action: &'static str,
    /// An id of ours, as `req_…`.
    pub about: Option<String>,
    /// For people to read.
    pub detail: String,
}

/// A line of the log.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Noted {
    pub id: i64,
    pub at: Millis,
    pub actor: String,
    pub action: String,
    pub about: Option<String>,
    pub detail: String,
}

impl Actor {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shopify => "shopify",
            Self::Meta => "meta",
            Self::Merchant => "merchant",
            Self::Pagecast => "pagecast",
        }
    }
}

/// Writes the line in the transaction of the deed, so that neither is there without the other.
pub async fn note(app: &App, conn: &mut Conn, ws: WorkspaceId, note: Note) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO audit_log (id, workspace_id, at, actor, action, about, detail) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(app.ids.next::<i64>())
    .bind(ws)
    .bind(app.clock.now())
    .bind(note.actor.as_str())
    .bind(note.action)
    .bind(note.about)
    .bind(clean(&note.detail))
    .execute(conn)
    .await?;
    Ok(())
}

/// Newest first.
pub async fn noted(app: &App, ws: WorkspaceId, cursor: Cursor) -> anyhow::Result<Page<Noted>> {
    let rows: Vec<Noted> = sqlx::query_as(
        "SELECT id, at, actor, action, about, detail FROM audit_log \
         WHERE workspace_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(ws)
    .bind(cursor.after.unwrap_or(i64::MAX))
    .bind(cursor.limit + 1)
    .fetch_all(app.db.pool())
    .await?;
    Ok(cursor.cut(rows, |row| row.id))
}

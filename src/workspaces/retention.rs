//! For how long a workspace keeps what names people. The upkeep prunes by it.

use crate::app::App;
use crate::clock::{HOUR, Millis};
use crate::store::ids::WorkspaceId;

/// Days; figures stay beyond them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Retention {
    /// What the platforms told us, whole.
    pub events_days: i64,
    /// The words of single messages, and what they were filled with.
    pub messages_days: i64,
    /// Who the people were who left, and customers the shop no longer speaks of.
    pub people_days: i64,
}

/// A workspace is looked through this often.
const EVERY: Millis = HOUR;

pub async fn retention(app: &App, ws: WorkspaceId) -> anyhow::Result<Retention> {
    Ok(sqlx::query_as(
        "SELECT keep_events_days AS events_days, keep_messages_days AS messages_days, \
                keep_people_days AS people_days FROM workspaces WHERE id = $1",
    )
    .bind(ws)
    .fetch_one(app.db.pool())
    .await?)
}

/// The caller checked the spans. What is older goes with the next look.
pub async fn save_retention(app: &App, ws: WorkspaceId, keep: Retention) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE workspaces SET keep_events_days = $2, keep_messages_days = $3, \
           keep_people_days = $4, pruned_at = 0 WHERE id = $1",
    )
    .bind(ws)
    .bind(keep.events_days)
    .bind(keep.messages_days)
    .bind(keep.people_days)
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// Takes the workspaces whose turn it is, each for one worker.
pub async fn to_prune(app: &App, limit: i64) -> anyhow::Result<Vec<(WorkspaceId, Retention)>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        id: WorkspaceId,
        #[sqlx(flatten)]
        keep: Retention,
    }
    let now = app.clock.now();
    let rows: Vec<Row> = sqlx::query_as(
        "UPDATE workspaces SET pruned_at = $1 \
         WHERE id IN (SELECT id FROM workspaces WHERE pruned_at <= $2 ORDER BY pruned_at LIMIT $3) \
           AND pruned_at <= $2 \
         RETURNING id, keep_events_days AS events_days, keep_messages_days AS messages_days, \
           keep_people_days AS people_days",
    )
    .bind(now)
    .bind(now - EVERY)
    .bind(limit)
    .fetch_all(app.db.writer())
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.keep)).collect())
}

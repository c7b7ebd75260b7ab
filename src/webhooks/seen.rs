//! Single events inside batched deliveries, so that a repeat in another batch changes nothing.

use crate::app::App;
use crate::store::ids::WorkspaceId;
use crate::store::{Conn, clean};

/// `false` for an event that was seen before.
pub(super) async fn first_time(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    event_key: &str,
) -> anyhow::Result<bool> {
    let new = sqlx::query(
        "INSERT INTO seen_events (workspace_id, event_key, seen_at) VALUES ($1, $2, $3)
         ON CONFLICT (workspace_id, event_key) DO NOTHING",
    )
    .bind(ws)
    .bind(clean(event_key))
    .bind(app.clock.now())
    .execute(conn)
    .await?;
    Ok(new.rows_affected() > 0)
}

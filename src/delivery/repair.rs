//! Repair: messages that failed go back into the queue because a person asked for it.

use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::{CampaignId, WorkspaceId};

/// `failed` → `queued`, due now and with all its tries again; only those that failed for `reason`,
/// if one is named. What was sent or is in doubt is not touched. The names that Meta gave to a
/// first try are forgotten, so that receipts of the next are not taken for receipts of that one.
pub async fn reopen_failed(
    conn: &mut Conn,
    ws: WorkspaceId,
    campaign: CampaignId,
    reason: Option<&str>,
    now: Millis,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "UPDATE messages SET status = 'queued', reason = NULL, detail = NULL, due_at = $4,
             attempts = 0, sent_at = NULL, mid = NULL, tracking_id = NULL
         WHERE workspace_id = $1 AND campaign_id = $2 AND campaign_id IS NOT NULL
           AND status = 'failed' AND ($3 IS NULL OR reason = $3)",
    )
    .bind(ws)
    .bind(campaign)
    .bind(reason)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

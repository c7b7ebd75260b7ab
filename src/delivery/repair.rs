//! What a person asks for a whole campaign: that what failed is sent again, that what is queued is
//! not sent at all.

use crate::app::App;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::{CampaignId, WorkspaceId};
use crate::tallies::Changes;

/// `failed` → `queued`, due now and with all its tries again; only those that failed for `reason`,
/// if one is named. The status is said in the
/// words of the index `messages_campaign_rest`, too. What was sent or is in doubt is not touched. The names that Meta gave to a
/// first try are forgotten, so that receipts of the next are not taken for receipts of that one.
pub async fn reopen_failed(
    conn: &mut Conn,
    ws: WorkspaceId,
    campaign: CampaignId,
    reason: Option<&str>,
    now: Millis,
) -> sqlx::Result<u64> {
    let reasons: Vec<(String,)> = sqlx::query_as(
        "SELECT DISTINCT COALESCE(reason, '') FROM messages
         WHERE workspace_id = $1 AND campaign_id = $2 AND campaign_id IS NOT NULL
           AND status NOT IN ('queued', 'sending', 'sent') AND status = 'failed'",
    )
    .bind(ws)
    .bind(campaign)
    .fetch_all(&mut *conn)
    .await?;
    let mut changes = Changes::default();
    let mut people = 0;
    for (failed_for,) in reasons {
        if reason.is_some_and(|wanted| wanted != failed_for) {
            continue;
        }
        let reopened = sqlx::query(
            "UPDATE messages SET status = 'queued', reason = NULL, detail = NULL, due_at = $4,
                 attempts = 0, sent_at = NULL, mid = NULL, tracking_id = NULL
             WHERE workspace_id = $1 AND campaign_id = $2 AND campaign_id IS NOT NULL
               AND status NOT IN ('queued', 'sending', 'sent') AND status = 'failed'
               AND COALESCE(reason, '') = $3",
        )
        .bind(ws)
        .bind(campaign)
        .bind(&failed_for)
        .bind(now)
        .execute(&mut *conn)
        .await?
        .rows_affected();
        changes.many_went(ws, campaign.0, "failed", &failed_for, reopened);
        people += reopened;
    }
    changes.write(conn).await?;
    Ok(people)
}

/// Messages of a cancelled campaign: what is queued will not be sent. Commits.
pub async fn cancel_queued(app: &App, ws: WorkspaceId, campaign: CampaignId) -> sqlx::Result<u64> {
    let mut tx = app.db.begin_long().await?;
    let done = sqlx::query(
        "UPDATE messages SET status = 'skipped', reason = 'cancelled', started_at = $3
         WHERE workspace_id = $1 AND campaign_id = $2 AND campaign_id IS NOT NULL
           AND status = 'queued'",
    )
    .bind(ws)
    .bind(campaign)
    .bind(app.clock.now())
    .execute(&mut *tx)
    .await?;
    let mut changes = Changes::default();
    changes.many_came(ws, campaign.0, "skipped", "cancelled", done.rows_affected());
    changes.write(&mut tx).await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

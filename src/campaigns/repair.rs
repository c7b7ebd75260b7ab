//! Repair: a campaign that is through, or stands, sends once more to those it failed to reach.

use super::{Campaign, Error, find};
use crate::app::App;
use crate::delivery::{self, warm_up};
use crate::queue::Job;
use crate::store::ids::{CampaignId, WorkspaceId};
use crate::workspaces;

/// Sends again to those for whom it failed (for `reason`, if one is named), and runs until that is
/// done. How many they are. Nobody else gets anything twice: what was sent, skipped or is in doubt
/// stays as it is.
pub async fn repair(
    app: &App,
    ws: WorkspaceId,
    id: CampaignId,
    reason: Option<&str>,
) -> Result<(Campaign, u64), Error> {
    let campaign = find(app, ws, id).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin_long().await?;
    // The campaign first: whoever is about to finish it must see that it has moved.
    let moved = sqlx::query(
        "UPDATE campaigns SET status = 'running', paused_at = NULL, finished_at = NULL,
             attention = NULL, updated_at = $3, recount_at = 0
         WHERE workspace_id = $1 AND id = $2 AND launched_at IS NOT NULL
           AND status IN ('running', 'paused', 'finished', 'failed')",
    )
    .bind(ws)
    .bind(id)
    .bind(now)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if moved == 0 {
        return Err(Error::Conflict(format!(
            "A campaign that is {} has nothing to send again.",
            campaign.status
        )));
    }
    warm_up::clear_problems(&mut tx, ws, id.0).await?;
    let people = delivery::reopen_failed(&mut tx, ws, id, reason, now).await?;
    if people == 0 {
        return Err(Error::Conflict(
            match reason {
                Some(_) => {
                    "Nobody's message failed for this reason, so there is nothing to send again."
                }
                None => "Nobody's message failed, so there is nothing to send again.",
            }
            .to_owned(),
        ));
    }
    tx.commit().await?;
    tracing::info!(campaign.id = %id, people, "campaign repaired");
    app.queue.nudge(Job::Campaigns);
    for page in workspaces::pages(app, ws).await? {
        app.queue.nudge(Job::Messages(page.id));
    }
    Ok((find(app, ws, id).await?, people))
}

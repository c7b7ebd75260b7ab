//! What was queued for a Page that was disconnected will not be sent: it ends as skipped, so that
//! its campaign can end too.

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::tallies::{self, Changes, Counted};

/// Messages that one transaction ends.
const BATCH: i64 = 1_000;

/// Single messages, and those of open campaigns; each by its own index.
const SOURCES: [&str; 2] = [
    "SELECT m.origin_id, m.subscriber_id FROM pages p JOIN messages m ON m.page_id = p.id
     WHERE p.disconnected_at IS NOT NULL AND m.status = 'queued' AND m.campaign_id IS NULL",
    "SELECT m.origin_id, m.subscriber_id FROM pages p
     JOIN campaigns c ON c.workspace_id = p.workspace_id
     JOIN messages m ON m.campaign_id = c.id AND m.page_id = p.id
     WHERE p.disconnected_at IS NOT NULL AND c.status IN ('running', 'paused')
       AND m.status = 'queued' AND m.campaign_id IS NOT NULL",
];

pub(super) async fn skip_disconnected(app: &App) -> anyhow::Result<()> {
    for source in SOURCES {
        while skip_some(app, source).await? && !app.stop.is_cancelled() {}
    }
    Ok(())
}

/// `true` if there may be more.
async fn skip_some(app: &App, source: &str) -> anyhow::Result<bool> {
    let mut tx = app.db.begin().await?;
    let sql = format!(
        "UPDATE messages SET status = 'skipped', reason = 'page_disconnected', started_at = $1
         WHERE (origin_id, subscriber_id) IN ({source} LIMIT $2) AND status = 'queued'
         RETURNING {}",
        tallies::COLUMNS
    );
    let ended: Vec<Counted> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(app.clock.now())
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?;
    let mut changes = Changes::default();
    for message in &ended {
        changes.came(message);
    }
    changes.write(&mut tx).await?;
    tx.commit().await?;
    Ok(i64::try_from(ended.len())? >= BATCH)
}

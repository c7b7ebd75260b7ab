//! What a crash leaves: messages that somebody was sending.

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::tallies::{self, Changes, Counted};

/// Leases that ran out: somebody was speaking to Meta and never told us the end.
pub(super) async fn expire_leases(app: &App) -> sqlx::Result<u64> {
    let now = app.clock.now();
    // Asked every second: reading costs nothing, while even an empty UPDATE takes SQLite's one
    // write lock.
    let expired: Option<(i64,)> = sqlx::query_as(
        "SELECT 1 FROM messages WHERE status = 'sending' AND lease_until < $1 LIMIT 1",
    )
    .bind(now)
    .fetch_optional(app.db.pool())
    .await?;
    if expired.is_none() {
        return Ok(0);
    }
    let sql = format!(
        "UPDATE messages SET status = 'unknown', lease_until = NULL,
             reason = COALESCE(reason, 'answer_lost'),
             detail = 'The process stopped while Meta was answering.'
         WHERE status = 'sending' AND lease_until < $1 RETURNING {}",
        tallies::COLUMNS
    );
    let mut tx = app.db.begin().await?;
    let left: Vec<Counted> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(now)
        .fetch_all(&mut *tx)
        .await?;
    let mut changes = Changes::default();
    for message in &left {
        changes.came(message);
    }
    changes.write(&mut tx).await?;
    tx.commit().await?;
    Ok(left.len() as u64)
}

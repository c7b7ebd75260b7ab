//! Which orders we have not heard of, or not lately.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::WorkspaceId;
use crate::store::placeholders;

/// Whether there is anybody in the workspace to whom a message may have gone.
pub async fn may_be_owed(app: &App, ws: WorkspaceId) -> anyhow::Result<bool> {
    let anybody = sqlx::query("SELECT 1 FROM subscribers WHERE workspace_id = $1 LIMIT 1")
        .bind(ws)
        .fetch_optional(app.db.pool())
        .await?;
    Ok(anybody.is_some())
}

/// Of these orders of the shop (each with when it changed last) those that are not here, or older.
pub async fn orders_behind(
    app: &App,
    ws: WorkspaceId,
    told: &[(i64, Millis)],
) -> anyhow::Result<Vec<i64>> {
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT shop_order_id, shop_updated_at FROM orders
         WHERE workspace_id = $1 AND shop_order_id IN {}",
        placeholders(2, 1, told.len())
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(ws);
    for (id, _) in told {
        query = query.bind(id.to_string());
    }
    let kept: Vec<(String, Millis)> = query.fetch_all(app.db.pool()).await?;
    let kept: HashMap<String, Millis> = kept.into_iter().collect();
    let is_behind =
        |(id, at): &&(i64, Millis)| kept.get(&id.to_string()).is_none_or(|known| known < at);
    Ok(told.iter().filter(is_behind).map(|(id, _)| *id).collect())
}

//! Tags that the merchant gives to subscribers.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::store::{clean, placeholders};

/// Adds and removes tags (1 to 50 characters, checked by the caller); `false` if there is no such
/// subscriber.
pub async fn tag(
    app: &App,
    ws: WorkspaceId,
    id: SubscriberId,
    add: &[String],
    remove: &[String],
) -> anyhow::Result<bool> {
    let mut tx = app.db.begin().await?;
    let there: Option<(i64,)> =
        sqlx::query_as("SELECT 1 FROM subscribers WHERE workspace_id = $1 AND id = $2")
            .bind(ws)
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
    if there.is_none() {
        return Ok(false);
    }
    for tag in add {
        sqlx::query(
            "INSERT INTO subscriber_tags (workspace_id, subscriber_id, tag) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
        )
        .bind(ws)
        .bind(id)
        .bind(clean(tag.trim()))
        .execute(&mut *tx)
        .await?;
    }
    for tag in remove {
        sqlx::query(
            "DELETE FROM subscriber_tags
             WHERE workspace_id = $1 AND subscriber_id = $2 AND tag = $3",
        )
        .bind(ws)
        .bind(id)
        .bind(clean(tag.trim()))
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// A subscriber's tags, sorted.
pub async fn tags(app: &App, ws: WorkspaceId, id: SubscriberId) -> anyhow::Result<Vec<String>> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT tag FROM subscriber_tags WHERE workspace_id = $1 AND subscriber_id = $2
         ORDER BY tag",
    )
    .bind(ws)
    .bind(id)
    .fetch_all(app.db.pool())
    .await?;
    Ok(rows.into_iter().map(|(tag,)| tag).collect())
}

/// The tags of several subscribers, each sorted; who has none is missing.
pub async fn tags_of(
    app: &App,
    ws: WorkspaceId,
    ids: &[SubscriberId],
) -> anyhow::Result<HashMap<SubscriberId, Vec<String>>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT subscriber_id, tag FROM subscriber_tags
         WHERE workspace_id = $1 AND subscriber_id IN {} ORDER BY tag",
        placeholders(2, 1, ids.len())
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(ws);
    for id in ids {
        query = query.bind(id);
    }
    let rows: Vec<(SubscriberId, String)> = query.fetch_all(app.db.pool()).await?;
    let mut tags: HashMap<SubscriberId, Vec<String>> = HashMap::new();
    for (id, tag) in rows {
        tags.entry(id).or_default().push(tag);
    }
    Ok(tags)
}

//! Finding and listing subscribers; tags.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{LinkId, PageRowId, SubscriberId, WorkspaceId};
use crate::store::page::{Cursor, Page};
use crate::store::sealed::email_hash;
use crate::store::{clean, placeholders};

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Subscribed,
    OptedOut,
    /// Wrote or tapped, but never accepted the card.
    NotSubscribed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscribed => "subscribed",
            Self::OptedOut => "opted_out",
            Self::NotSubscribed => "not_subscribed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Subscribed, Self::OptedOut, Self::NotSubscribed]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

#[derive(Clone, Debug)]
pub struct Subscriber {
    pub id: SubscriberId,
    pub page: PageRowId,
    pub status: Status,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub source: Option<String>,
    pub timezone: Option<String>,
    pub customer_id: Option<String>,
    pub klaviyo_profile_id: Option<String>,
    pub has_token: bool,
    pub created_at: Millis,
    pub opted_in_at: Option<Millis>,
    pub opted_out_at: Option<Millis>,
    /// The 24 h window is open for a day from here.
    pub last_action_at: Option<Millis>,
    pub last_marketing_at: Option<Millis>,
    pub last_clicked_at: Option<Millis>,
    pub last_ordered_at: Option<Millis>,
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub status: Option<Status>,
    pub tag: Option<String>,
    pub source: Option<String>,
    /// Name prefix, e-mail address (whole), or an id.
    pub search: Option<String>,
    /// Only those who came in through this opt-in link.
    pub link: Option<LinkId>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: SubscriberId,
    page_id: PageRowId,
    first_name: Option<String>,
    last_name: Option<String>,
    source: Option<String>,
    timezone: Option<String>,
    customer_id: Option<String>,
    klaviyo_profile_id: Option<String>,
    has_token: i64,
    created_at: Millis,
    opted_in_at: Option<Millis>,
    opted_out_at: Option<Millis>,
    last_action_at: Option<Millis>,
    last_marketing_at: Option<Millis>,
    last_clicked_at: Option<Millis>,
    last_ordered_at: Option<Millis>,
}

impl From<Row> for Subscriber {
    fn from(row: Row) -> Self {
        let status = match (row.opted_in_at, row.opted_out_at) {
            (_, Some(_)) => Status::OptedOut,
            (Some(_), None) => Status::Subscribed,
            (None, None) => Status::NotSubscribed,
        };
        Self {
            id: row.id,
            page: row.page_id,
            status,
            first_name: row.first_name,
            last_name: row.last_name,
            source: row.source,
            timezone: row.timezone,
            customer_id: row.customer_id,
            klaviyo_profile_id: row.klaviyo_profile_id,
            has_token: row.has_token != 0,
            created_at: row.created_at,
            opted_in_at: row.opted_in_at,
            opted_out_at: row.opted_out_at,
            last_action_at: row.last_action_at,
            last_marketing_at: row.last_marketing_at,
            last_clicked_at: row.last_clicked_at,
            last_ordered_at: row.last_ordered_at,
        }
    }
}

const COLUMNS: &str = "s.id, s.page_id, s.first_name, s.last_name, s.source, s.timezone,
    s.customer_id, s.klaviyo_profile_id,
    CASE WHEN s.token IS NULL THEN 0 ELSE 1 END AS has_token, s.created_at, s.opted_in_at,
    s.opted_out_at, s.last_action_at, s.last_marketing_at, s.last_clicked_at, s.last_ordered_at";

pub async fn find(
    app: &App,
    ws: WorkspaceId,
    id: SubscriberId,
) -> anyhow::Result<Option<Subscriber>> {
    let sql =
        format!("SELECT {COLUMNS} FROM subscribers s WHERE s.workspace_id = $1 AND s.id = $2");
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(ws)
        .bind(id)
        .fetch_optional(app.db.pool())
        .await?;
    Ok(row.map(Subscriber::from))
}

/// Newest first; erased people are not listed.
pub async fn list(
    app: &App,
    ws: WorkspaceId,
    filter: &Filter,
    cursor: Cursor,
) -> anyhow::Result<Page<Subscriber>> {
    let mut sql = format!(
        "SELECT {COLUMNS} FROM subscribers s
         WHERE s.workspace_id = $1 AND s.id < $2 AND s.erased_at IS NULL
           AND ($4 = '' OR s.source = $4)"
    );
    sql.push_str(match filter.status {
        None => "",
        Some(Status::Subscribed) => " AND s.opted_in_at IS NOT NULL AND s.opted_out_at IS NULL",
        Some(Status::OptedOut) => " AND s.opted_out_at IS NOT NULL",
        Some(Status::NotSubscribed) => " AND s.opted_in_at IS NULL AND s.opted_out_at IS NULL",
    });
    if filter.tag.is_some() {
        sql.push_str(
            " AND s.id IN (SELECT t.subscriber_id FROM subscriber_tags t
              WHERE t.workspace_id = $1 AND t.tag = $5)",
        );
    } else {
        sql.push_str(" AND $5 = ''");
    }
    if let Some(link) = filter.link {
        sql.push_str(&format!(" AND s.opt_in_link_id = {}", link.0));
    }
    let (condition, value) = search(filter.search.as_deref().unwrap_or("").trim());
    sql.push_str(condition);
    sql.push_str(" ORDER BY s.id DESC LIMIT $3");
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(ws)
        .bind(cursor.after.unwrap_or(i64::MAX))
        .bind(cursor.limit + 1)
        .bind(filter.source.as_deref().unwrap_or(""))
        .bind(filter.tag.as_deref().unwrap_or(""))
        .bind(value)
        .fetch_all(app.db.pool())
        .await?;
    let rows: Vec<Subscriber> = rows.into_iter().map(Subscriber::from).collect();
    Ok(cursor.cut(rows, |subscriber| subscriber.id.0))
}

/// What a search text asks for: an id, a whole e-mail address, or the beginning of a name.
fn search(text: &str) -> (&'static str, String) {
    if text.is_empty() {
        return (" AND $6 = ''", String::new());
    }
    if let Ok(id) = text.parse::<SubscriberId>() {
        return (" AND CAST(s.id AS TEXT) = $6", id.0.to_string());
    }
    if let Some(hash) = email_hash(text) {
        return (" AND s.email_hash = $6", hash);
    }
    let plain: String = clean(text).to_lowercase().replace(['%', '_', '\\'], "");
    (
        " AND (LOWER(s.first_name) LIKE $6 OR LOWER(s.last_name) LIKE $6)",
        format!("{plain}%"),
    )
}

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

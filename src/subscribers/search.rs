//! Finding and listing subscribers.

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{LinkId, PageRowId, SubscriberId, WorkspaceId};
use crate::store::names;
use crate::store::page::{Cursor, Page, Patience, WINDOW};
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

/// So many people can be read and sorted for one page.
const FEW: i64 = 5_000;

/// Newest first; erased people are not listed. Where a filter lets few through, a page may hold
/// fewer than asked for and lead on.
pub async fn list(
    app: &App,
    ws: WorkspaceId,
    filter: &Filter,
    cursor: Cursor,
) -> anyhow::Result<Page<Subscriber>> {
    let found = Search::of(app, ws, filter.search.as_deref().unwrap_or("").trim()).await?;
    let is_plain = filter.source.is_none()
        && matches!(filter.status, None | Some(Status::Subscribed))
        && matches!(found, Search::None);
    let is_direct = is_plain || filter.link.is_some() || found.is_direct();
    let sql = statement(filter, &found);
    let patience = Patience::default();
    let mut rows: Vec<Row> = Vec::new();
    let mut at = cursor.after.unwrap_or(i64::MAX);
    loop {
        let until = if is_direct {
            None
        } else {
            window(app, ws, at).await?
        };
        let (low, high) = found.keys();
        let some: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql.clone()))
            .bind(ws)
            .bind(at)
            .bind(cursor.limit + 1 - i64::try_from(rows.len())?)
            .bind(filter.source.as_deref().unwrap_or(""))
            .bind(filter.tag.as_deref().unwrap_or(""))
            .bind(found.text())
            .bind(until.unwrap_or(0))
            .bind(low)
            .bind(high)
            .fetch_all(app.db.pool())
            .await?;
        rows.extend(some);
        let Some(until) =
            until.filter(|_| i64::try_from(rows.len()).is_ok_and(|n| n <= cursor.limit))
        else {
            break;
        };
        at = until;
        if patience.is_over() {
            return Ok(Page {
                rows: rows.into_iter().map(Subscriber::from).collect(),
                next: Some(Cursor::after(at)),
            });
        }
    }
    let rows: Vec<Subscriber> = rows.into_iter().map(Subscriber::from).collect();
    Ok(cursor.cut(rows, |subscriber| subscriber.id.0))
}

/// The last person of the window that begins behind `at`.
async fn window(app: &App, ws: WorkspaceId, at: i64) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar(
        "SELECT id FROM subscribers WHERE workspace_id = $1 AND id < $2
         ORDER BY id DESC LIMIT 1 OFFSET $3",
    )
    .bind(ws)
    .bind(at)
    .bind(WINDOW - 1)
    .fetch_optional(app.db.pool())
    .await
}

fn statement(filter: &Filter, search: &Search) -> String {
    let mut sql = format!(
        "SELECT {COLUMNS} FROM subscribers s
         WHERE s.workspace_id = $1 AND s.id < $2 AND s.id >= $7 AND s.erased_at IS NULL
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
    sql.push_str(search.condition());
    sql.push_str(" ORDER BY s.id DESC LIMIT $3");
    sql
}

/// What a search text asks for.
enum Search {
    None,
    Id(SubscriberId),
    /// The hash of a whole e-mail address.
    Email(String),
    /// The beginning of a name that few have: by its keys.
    RareName {
        pattern: String,
        keys: (i64, i64),
    },
    /// The beginning of a name: everybody is looked through.
    Name {
        pattern: String,
    },
}

impl Search {
    async fn of(app: &App, ws: WorkspaceId, text: &str) -> anyhow::Result<Self> {
        if text.is_empty() {
            return Ok(Self::None);
        }
        if let Ok(id) = text.parse::<SubscriberId>() {
            return Ok(Self::Id(id));
        }
        if let Some(hash) = email_hash(text) {
            return Ok(Self::Email(hash));
        }
        let pattern = names::pattern(&clean(text));
        let Some((low, high, _)) = names::range(text) else {
            return Ok(Self::Name { pattern });
        };
        if has_unkeyed(app, ws).await? || !few_called(app, ws, low, high).await? {
            return Ok(Self::Name { pattern });
        }
        Ok(Self::RareName {
            pattern,
            keys: (low, high),
        })
    }

    fn is_direct(&self) -> bool {
        !matches!(self, Self::None | Self::Name { .. })
    }

    fn text(&self) -> &str {
        match self {
            Self::None | Self::Id(_) => "",
            Self::Email(text)
            | Self::RareName { pattern: text, .. }
            | Self::Name { pattern: text } => text,
        }
    }

    fn keys(&self) -> (i64, i64) {
        match self {
            Self::RareName { keys, .. } => *keys,
            Self::Id(id) => (id.0, 0),
            _ => (0, 0),
        }
    }

    /// Uses `$6`, `$8` and `$9`. A key that is the whole of the range stands for longer names, and
    /// those are compared.
    fn condition(&self) -> &'static str {
        match self {
            Self::None => " AND $6 = '' AND $8 = $9",
            Self::Id(_) => " AND s.id = $8 AND $6 = '' AND $9 = 0",
            Self::Email(_) => " AND s.email_hash = $6 AND $8 = $9",
            Self::RareName { .. } => {
                r" AND s.id IN (
                     SELECT n.id FROM subscribers n
                     WHERE n.workspace_id = $1 AND n.first_key >= $8 AND n.first_key <= $9
                       AND (n.first_key < $9 OR LOWER(n.first_name) LIKE $6 ESCAPE '\')
                     UNION
                     SELECT n.id FROM subscribers n
                     WHERE n.workspace_id = $1 AND n.last_key >= $8 AND n.last_key <= $9
                       AND (n.last_key < $9 OR LOWER(n.last_name) LIKE $6 ESCAPE '\'))"
            }
            Self::Name { .. } => {
                r" AND (LOWER(s.first_name) LIKE $6 ESCAPE '\'
                     OR LOWER(s.last_name) LIKE $6 ESCAPE '\') AND $8 = $9"
            }
        }
    }
}

/// Whether there are names whose keys are not written yet.
async fn has_unkeyed(app: &App, ws: WorkspaceId) -> sqlx::Result<bool> {
    let found: Option<(i64,)> = sqlx::query_as(
        "SELECT 1 FROM subscribers WHERE workspace_id = $1 AND first_key IS NULL
           AND (first_name IS NOT NULL OR last_name IS NOT NULL) LIMIT 1",
    )
    .bind(ws)
    .fetch_optional(app.db.pool())
    .await?;
    Ok(found.is_some())
}

async fn few_called(app: &App, ws: WorkspaceId, low: i64, high: i64) -> sqlx::Result<bool> {
    let called: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM (
             SELECT * FROM (SELECT 1 AS one FROM subscribers
                 WHERE workspace_id = $1 AND first_key >= $2 AND first_key <= $3 LIMIT $4) AS firsts
             UNION ALL
             SELECT * FROM (SELECT 1 AS one FROM subscribers
                 WHERE workspace_id = $1 AND last_key >= $2 AND last_key <= $3 LIMIT $4) AS lasts)
             AS few",
    )
    .bind(ws)
    .bind(low)
    .bind(high)
    .bind(FEW + 1)
    .fetch_one(app.db.pool())
    .await?;
    Ok(called <= FEW)
}

/// Writes the keys of names that have none: those that an older version kept. Part of the upkeep.
pub async fn key_names(app: &App) -> anyhow::Result<()> {
    const BATCH: i64 = 1_000;
    loop {
        let rows: Vec<(SubscriberId, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT id, first_name, last_name FROM subscribers
             WHERE first_key IS NULL AND (first_name IS NOT NULL OR last_name IS NOT NULL)
             LIMIT $1",
        )
        .bind(BATCH)
        .fetch_all(app.db.pool())
        .await?;
        if rows.is_empty() || app.stop.is_cancelled() {
            return Ok(());
        }
        let sql = format!(
            "UPDATE subscribers SET first_key = v.column2, last_key = v.column3
             FROM (VALUES {}) AS v
             WHERE subscribers.id = v.column1 AND subscribers.first_key IS NULL",
            placeholders(1, rows.len(), 3)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, first, last) in &rows {
            query = query
                .bind(id)
                .bind(names::key(first.as_deref().unwrap_or_default()))
                .bind(names::key(last.as_deref().unwrap_or_default()));
        }
        query.execute(app.db.writer()).await?;
    }
}

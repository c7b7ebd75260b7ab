//! The inbox: every delivery whole, once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::{HOUR, Millis};
use crate::queue::Job;
use crate::store::clean;
use crate::store::ids::{WebhookId, WorkspaceId};
use crate::store::page::{Cursor, Page};
use crate::telemetry;

/// Klaviyo repeats a flow's call for up to 24 hours; the same call later than this is a new one.
const FLOW_REPEATS: Millis = 25 * HOUR;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    Shopify,
    Meta,
    /// System webhooks.
    Klaviyo,
    /// Flow webhooks.
    KlaviyoFlow,
}

/// A delivery whose signature or key was checked.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub platform: Platform,
    /// What makes a repeat recognisable: Shopify's webhook id; else a hash of the body.
    pub external_id: String,
    pub topic: String,
    /// Shop domain, Page id or workspace id: whose it is, as the delivery says.
    pub account: String,
    pub triggered_at: Option<Millis>,
    pub body: Vec<u8>,
}

/// A kept delivery, for people to look at.
#[derive(Clone, Debug)]
pub struct Kept {
    pub id: WebhookId,
    pub platform: String,
    pub topic: String,
    pub account: String,
    pub received_at: Millis,
    pub processed_at: Option<Millis>,
    pub attempts: i64,
    pub error: Option<String>,
    /// Only in [`find`].
    pub payload: Option<String>,
}

impl Platform {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shopify => "shopify",
            Self::Meta => "meta",
            Self::Klaviyo => "klaviyo",
            Self::KlaviyoFlow => "klaviyo_flow",
        }
    }

    /// What understands its deliveries.
    fn job(self) -> Job {
        match self {
            Self::Shopify | Self::Meta => Job::Webhooks,
            Self::Klaviyo | Self::KlaviyoFlow => Job::KlaviyoWebhooks,
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Shopify, Self::Meta, Self::Klaviyo, Self::KlaviyoFlow]
            .into_iter()
            .find(|platform| platform.as_str() == text)
    }
}

/// Keeps the delivery and nudges; a repeat changes nothing. When this returns, it is durable.
pub async fn receive(app: &App, arrival: Arrival) -> anyhow::Result<()> {
    let now = app.clock.now();
    let platform = arrival.platform;
    let external_id = match platform {
        Platform::KlaviyoFlow => match flow_id(app, &arrival.external_id, now).await? {
            Some(id) => id,
            None => return Ok(()),
        },
        _ => clean(&arrival.external_id),
    };
    let (encoding, payload) = as_text(arrival.body);
    let kept = sqlx::query(
        "INSERT INTO webhooks (id, platform, external_id, topic, account, triggered_at, encoding,
             payload, received_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (platform, external_id) DO NOTHING",
    )
    .bind(app.ids.next::<WebhookId>())
    .bind(platform.as_str())
    .bind(external_id)
    .bind(clean(&arrival.topic))
    .bind(clean(&arrival.account))
    .bind(arrival.triggered_at)
    .bind(encoding)
    .bind(payload)
    .bind(now)
    .execute(app.db.writer())
    .await?;
    if kept.rows_affected() > 0 {
        telemetry::webhook(platform.as_str(), "kept");
        app.queue.nudge(platform.job());
    }
    Ok(())
}

/// Numbers the stretches of [`FLOW_REPEATS`]: two calls of one stretch are the same, and so are
/// two of neighbouring stretches that lie close enough. `None` for such a repeat.
async fn flow_id(app: &App, external_id: &str, now: Millis) -> anyhow::Result<Option<String>> {
    let stretch = now.div_euclid(FLOW_REPEATS);
    let id = |stretch: i64| format!("{external_id}:{stretch}");
    let repeated = sqlx::query(
        "SELECT 1 FROM webhooks WHERE platform = $1 AND external_id = $2 AND received_at > $3",
    )
    .bind(Platform::KlaviyoFlow.as_str())
    .bind(id(stretch - 1))
    .bind(now - FLOW_REPEATS)
    .fetch_optional(app.db.pool())
    .await?;
    Ok(repeated.is_none().then(|| id(stretch)))
}

/// A body that no TEXT column takes is kept as base64.
fn as_text(body: Vec<u8>) -> (&'static str, String) {
    match String::from_utf8(body) {
        Ok(text) if !text.contains('\0') => ("utf8", text),
        Ok(text) => ("base64", STANDARD.encode(text)),
        Err(error) => ("base64", STANDARD.encode(error.as_bytes())),
    }
}

/// The bytes as they came.
pub(super) fn as_bytes(encoding: &str, payload: String) -> anyhow::Result<Vec<u8>> {
    match encoding {
        "base64" => Ok(STANDARD.decode(payload)?),
        _ => Ok(payload.into_bytes()),
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: WebhookId,
    platform: String,
    topic: String,
    account: String,
    received_at: Millis,
    processed_at: Option<Millis>,
    attempts: i64,
    error: Option<String>,
    payload: Option<String>,
}

impl From<Row> for Kept {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            platform: row.platform,
            topic: row.topic,
            account: row.account,
            received_at: row.received_at,
            processed_at: row.processed_at,
            attempts: row.attempts,
            error: row.error,
            payload: row.payload,
        }
    }
}

/// Newest first. `ws`: only that workspace's; `failed`: only those with an error.
pub async fn list(
    app: &App,
    ws: Option<WorkspaceId>,
    failed: bool,
    cursor: Cursor,
) -> anyhow::Result<Page<Kept>> {
    let mut sql = "SELECT id, platform, topic, account, received_at, processed_at, attempts, error,
             NULL AS payload
         FROM webhooks WHERE id < $1"
        .to_owned();
    if ws.is_some() {
        sql.push_str(" AND workspace_id = $2");
    }
    if failed {
        sql.push_str(" AND error IS NOT NULL");
    }
    let limit = if ws.is_some() { "$3" } else { "$2" };
    sql.push_str(" ORDER BY id DESC LIMIT ");
    sql.push_str(limit);
    let mut query =
        sqlx::query_as::<_, Row>(AssertSqlSafe(sql)).bind(cursor.after.unwrap_or(i64::MAX));
    if let Some(ws) = ws {
        query = query.bind(ws);
    }
    let rows = query
        .bind(cursor.limit + 1)
        .fetch_all(app.db.pool())
        .await?;
    let page = cursor.cut(rows, |row| row.id.0);
    Ok(Page {
        rows: page.rows.into_iter().map(Kept::from).collect(),
        next: page.next,
    })
}

/// One delivery with its payload, as it came or (what is no text) as base64.
pub async fn find(
    app: &App,
    ws: Option<WorkspaceId>,
    id: WebhookId,
) -> anyhow::Result<Option<Kept>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, platform, topic, account, received_at, processed_at, attempts, error, payload
         FROM webhooks WHERE id = $1 AND ($2 IS NULL OR workspace_id = $2)",
    )
    .bind(id)
    .bind(ws)
    .fetch_optional(app.db.pool())
    .await?;
    Ok(row.map(Kept::from))
}

/// Opens it again for processing; `false` if there is none.
pub async fn replay(app: &App, ws: Option<WorkspaceId>, id: WebhookId) -> anyhow::Result<bool> {
    let opened = sqlx::query(
        "UPDATE webhooks SET processed_at = NULL, attempts = 0, retry_at = 0, error = NULL
         WHERE id = $1 AND ($2 IS NULL OR workspace_id = $2)",
    )
    .bind(id)
    .bind(ws)
    .execute(app.db.writer())
    .await?;
    app.queue.nudge(Job::Webhooks);
    app.queue.nudge(Job::KlaviyoWebhooks);
    Ok(opened.rows_affected() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_byte_for_byte_whatever_it_is() {
        for body in [
            &b"{\"a\":1}"[..],
            b"nul \0 inside",
            b"\xff\xfe no text",
            b"",
        ] {
            let (encoding, payload) = as_text(body.to_vec());
            assert!(!payload.contains('\0'));
            assert_eq!(as_bytes(encoding, payload).unwrap(), body);
        }
    }

    #[test]
    fn platforms_are_read_back_from_their_rows() {
        assert_eq!(Platform::parse("klaviyo_flow"), Some(Platform::KlaviyoFlow));
        assert_eq!(Platform::parse("myspace"), None);
    }
}

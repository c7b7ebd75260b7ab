//! One row per subscriber: what became of each message.

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{
    AutomationId, CampaignId, MessageKey, OriginId, SubscriberId, WorkspaceId,
};
use crate::store::names;
use crate::store::page::{Cursor, Page, Patience, WINDOW};

#[derive(Clone, Debug)]
pub struct LogEntry {
    pub message: MessageKey,
    pub subscriber: SubscriberId,
    pub subscriber_name: Option<String>,
    /// campaign, automation, test, card, reply; and the campaign's or automation's name and id
    /// text.
    pub kind: String,
    pub about: Option<String>,
    pub about_id: Option<String>,
    pub status: String,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub channel: Option<String>,
    pub queued_at: Millis,
    pub due_at: Millis,
    pub sent_at: Option<Millis>,
    pub delivered_at: Option<Millis>,
    pub read_at: Option<Millis>,
    pub clicked_at: Option<Millis>,
    /// Tries so far.
    pub attempts: i64,
    /// Orders credited to it.
    pub orders: i64,
}

#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// A message status, or `delivered`, `read`, `clicked`.
    pub status: Option<String>,
    pub reason: Option<String>,
    /// First name prefix, or a subscriber's id.
    pub search: Option<String>,
}

const ROWS: &str = "SELECT m.origin_id, m.subscriber_id, s.first_name, s.last_name, m.kind,
        COALESCE(c.name, a.name) AS about, c.id AS campaign_id, a.id AS automation_id,
        m.status, m.reason, m.detail, m.channel, m.created_at, m.due_at, m.sent_at, m.delivered_at, m.read_at,
        m.clicked_at, m.attempts,
        (SELECT COUNT(*) FROM credits r
         WHERE r.origin_id = m.origin_id AND r.subscriber_id = m.subscriber_id
           AND r.workspace_id = m.workspace_id) AS orders
    FROM messages m
    JOIN subscribers s ON s.id = m.subscriber_id
    LEFT JOIN campaigns c ON c.id = COALESCE(m.campaign_id, m.test_of)
        AND c.workspace_id = m.workspace_id
    LEFT JOIN automations a ON a.id = m.automation_id AND a.workspace_id = m.workspace_id";

/// In the order of subscribers; those that are queued backwards, because sending begins at the
/// front. Where a filter lets few rows through, a page may hold fewer than asked for and lead on.
pub async fn campaign_log(
    app: &App,
    ws: WorkspaceId,
    id: CampaignId,
    filter: &LogFilter,
    cursor: Cursor,
) -> anyhow::Result<Page<LogEntry>> {
    let reading = Reading::of(app, ws, id, filter).await?;
    let patience = Patience::default();
    let (first, last) = (cursor.after.unwrap_or(reading.start()), reading.end());
    let mut rows = Vec::new();
    let mut at = first;
    loop {
        let until = if reading.is_direct {
            last
        } else {
            reading.window(at).await?.unwrap_or(last)
        };
        let missing = cursor.limit + 1 - i64::try_from(rows.len())?;
        rows.extend(reading.rows(at, until, missing).await?);
        if until == last || i64::try_from(rows.len())? > cursor.limit {
            break;
        }
        at = until;
        if patience.is_over() {
            return Ok(Page {
                rows: rows.into_iter().map(LogEntry::from).collect(),
                next: Some(Cursor::after(at)),
            });
        }
    }
    let page = cursor.cut(rows, |row| row.subscriber_id.0);
    Ok(Page {
        rows: page.rows.into_iter().map(LogEntry::from).collect(),
        next: page.next,
    })
}

/// How a filtered log is read.
struct Reading<'a> {
    app: &'a App,
    ws: WorkspaceId,
    id: CampaignId,
    filter: &'a LogFilter,
    person: Option<SubscriberId>,
    /// Conditions over `m` and `s`; each uses `$5` to `$9`.
    conditions: String,
    /// An index of its own leads to the rows. Otherwise the campaign's messages are looked through,
    /// a window at a time.
    is_direct: bool,
    is_backwards: bool,
}

/// So many rows can be read and sorted for one page.
const FEW: i64 = 5_000;

impl<'a> Reading<'a> {
    async fn of(
        app: &'a App,
        ws: WorkspaceId,
        id: CampaignId,
        filter: &'a LogFilter,
    ) -> anyhow::Result<Self> {
        let status = filter.status.as_deref().unwrap_or_default();
        let search = filter.search.as_deref().map(str::trim).unwrap_or_default();
        let mut reading = Self {
            app,
            ws,
            id,
            filter,
            person: search.parse().ok(),
            conditions: String::new(),
            is_direct: false,
            is_backwards: status == "queued",
        };
        let narrowed = match status {
            "" => "m.origin_id = $2 AND $5 = ''",
            "sent" => "m.origin_id = $2 AND m.status = $5",
            "delivered" => {
                "m.origin_id = $2 AND $5 <> '' AND m.status = 'sent' AND m.delivered_at IS NOT NULL"
            }
            "read" => {
                "m.origin_id = $2 AND $5 <> '' AND m.status = 'sent' AND m.read_at IS NOT NULL"
            }
            "clicked" => {
                "m.origin_id = $2 AND $5 <> '' AND m.status = 'sent' AND m.clicked_at IS NOT NULL"
            }
            "sending" => {
                reading.is_direct = true;
                "m.campaign_id = $2 AND m.status = 'sending' AND $5 <> '' AND m.lease_until > 0"
            }
            "queued" if reading.few_queued().await? => {
                reading.is_direct = true;
                "m.campaign_id = $2 AND m.campaign_id IS NOT NULL AND m.status = 'queued' AND $5 <> ''"
            }
            "queued" => "m.origin_id = $2 AND m.status = 'queued' AND $5 <> ''",
            _ => {
                reading.is_direct = search.is_empty();
                // The index of the ends of a campaign; said so that both engines see it fits.
                "m.campaign_id = $2 AND m.campaign_id IS NOT NULL
                 AND m.status NOT IN ('queued', 'sending', 'sent') AND m.status = $5"
            }
        };
        let named = match (reading.person, search) {
            (Some(_), _) => "m.subscriber_id = $7 AND $8 = '' AND $9 = 0",
            (None, "") => "$7 = 0 AND $8 = '' AND $9 = 0",
            (None, _) if reading.few_named(search).await? => {
                reading.is_direct = true;
                r"$7 > 0 AND m.subscriber_id IN (SELECT n.id FROM subscribers n
                      WHERE n.workspace_id = $1 AND n.first_key >= $7 AND n.first_key <= $9
                        AND (n.first_key < $9 OR LOWER(n.first_name) LIKE $8 ESCAPE '\'))"
            }
            (None, _) => r"$7 >= 0 AND $9 >= 0 AND LOWER(s.first_name) LIKE $8 ESCAPE '\'",
        };
        let is_plain = status.is_empty() && filter.reason.is_none() && search.is_empty();
        reading.is_direct |= is_plain || reading.person.is_some();
        reading.conditions = format!("{narrowed} AND ($6 = '' OR m.reason = $6) AND {named}");
        Ok(reading)
    }

    /// Where a list begins that has no cursor.
    fn start(&self) -> i64 {
        if self.is_backwards { i64::MAX } else { 0 }
    }

    fn end(&self) -> i64 {
        if self.is_backwards { 0 } else { i64::MAX }
    }

    async fn few_queued(&self) -> sqlx::Result<bool> {
        let queued: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM (SELECT 1 FROM messages
                 WHERE workspace_id = $1 AND campaign_id = $2 AND campaign_id IS NOT NULL
                   AND status = 'queued' LIMIT $3) AS few",
        )
        .bind(self.ws)
        .bind(self.id)
        .bind(FEW + 1)
        .fetch_one(self.app.db.pool())
        .await?;
        Ok(queued <= FEW)
    }

    /// Whether few people are called so, and all names can be found by their keys.
    async fn few_named(&self, search: &str) -> sqlx::Result<bool> {
        let Some((low, high, _)) = names::range(search) else {
            return Ok(false);
        };
        let unkeyed: Option<(i64,)> = sqlx::query_as(
            "SELECT 1 FROM subscribers WHERE workspace_id = $1 AND first_key IS NULL
               AND (first_name IS NOT NULL OR last_name IS NOT NULL) LIMIT 1",
        )
        .bind(self.ws)
        .fetch_optional(self.app.db.pool())
        .await?;
        if unkeyed.is_some() {
            return Ok(false);
        }
        let named: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM (SELECT 1 FROM subscribers
                 WHERE workspace_id = $1 AND first_key >= $2 AND first_key <= $3 LIMIT $4) AS few",
        )
        .bind(self.ws)
        .bind(low)
        .bind(high)
        .bind(FEW + 1)
        .fetch_one(self.app.db.pool())
        .await?;
        Ok(named <= FEW)
    }

    /// The last subscriber of the window that begins behind `at`; `None` when it is the last window.
    async fn window(&self, at: i64) -> sqlx::Result<Option<i64>> {
        let sql = if self.is_backwards {
            "SELECT subscriber_id FROM messages WHERE origin_id = $1 AND subscriber_id < $2
             ORDER BY subscriber_id DESC LIMIT 1 OFFSET $3"
        } else {
            "SELECT subscriber_id FROM messages WHERE origin_id = $1 AND subscriber_id > $2
             ORDER BY subscriber_id LIMIT 1 OFFSET $3"
        };
        sqlx::query_scalar(sql)
            .bind(self.id)
            .bind(at)
            .bind(WINDOW - 1)
            .fetch_optional(self.app.db.pool())
            .await
    }

    /// Rows behind `at`, up to and with `until`.
    async fn rows(&self, at: i64, until: i64, limit: i64) -> sqlx::Result<Vec<Row>> {
        let span = if self.is_backwards {
            "m.subscriber_id < $3 AND m.subscriber_id >= $4"
        } else {
            "m.subscriber_id > $3 AND m.subscriber_id <= $4"
        };
        let order = if self.is_backwards { " DESC" } else { "" };
        let sql = format!(
            "{ROWS} WHERE m.workspace_id = $1 AND {span} AND {}
             ORDER BY m.subscriber_id{order} LIMIT $10",
            self.conditions
        );
        let search = self.filter.search.as_deref().map(str::trim);
        let search = search.filter(|_| self.person.is_none()).unwrap_or_default();
        let (low, high, _) = names::range(search).unwrap_or_default();
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(self.ws)
            .bind(self.id)
            .bind(at)
            .bind(until)
            .bind(self.filter.status.as_deref().unwrap_or_default())
            .bind(self.filter.reason.as_deref().unwrap_or_default())
            .bind(self.person.map_or(low, |id| id.0))
            .bind(if search.is_empty() {
                String::new()
            } else {
                names::pattern(search)
            })
            .bind(high)
            .bind(limit)
            .fetch_all(self.app.db.pool())
            .await
    }
}

/// An automation's messages, one row per step and person, newest first; `search` is not looked at.
pub async fn automation_log(
    app: &App,
    ws: WorkspaceId,
    id: AutomationId,
    filter: &LogFilter,
    cursor: Cursor,
) -> anyhow::Result<Page<LogEntry>> {
    let narrowed = match filter.status.as_deref().unwrap_or_default() {
        "" => "$4 = ''",
        "delivered" => "$4 <> '' AND m.status = 'sent' AND m.delivered_at IS NOT NULL",
        "read" => "$4 <> '' AND m.status = 'sent' AND m.read_at IS NOT NULL",
        "clicked" => "$4 <> '' AND m.status = 'sent' AND m.clicked_at IS NOT NULL",
        _ => "m.status = $4",
    };
    // Each message of an automation has an origin of its own, so the origin is the row's place.
    let sql = format!(
        "{ROWS} WHERE m.workspace_id = $1 AND m.automation_id = $2 AND m.automation_id IS NOT NULL
             AND m.origin_id < $3 AND m.origin_id >= $7
             AND {narrowed} AND ($5 = '' OR m.reason = $5)
         ORDER BY m.origin_id DESC LIMIT $6"
    );
    let patience = Patience::default();
    let mut rows: Vec<Row> = Vec::new();
    let mut at = cursor.after.unwrap_or(i64::MAX);
    loop {
        let until: Option<i64> = sqlx::query_scalar(
            "SELECT origin_id FROM messages WHERE automation_id = $1 AND automation_id IS NOT NULL
               AND origin_id < $2 ORDER BY origin_id DESC LIMIT 1 OFFSET $3",
        )
        .bind(id)
        .bind(at)
        .bind(WINDOW - 1)
        .fetch_optional(app.db.pool())
        .await?;
        let missing = cursor.limit + 1 - i64::try_from(rows.len())?;
        let found: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql.clone()))
            .bind(ws)
            .bind(id)
            .bind(at)
            .bind(filter.status.as_deref().unwrap_or_default())
            .bind(filter.reason.as_deref().unwrap_or_default())
            .bind(missing)
            .bind(until.unwrap_or(0))
            .fetch_all(app.db.pool())
            .await?;
        rows.extend(found);
        let Some(until) =
            until.filter(|_| i64::try_from(rows.len()).is_ok_and(|found| found <= cursor.limit))
        else {
            break;
        };
        at = until;
        if patience.is_over() {
            return Ok(Page {
                rows: rows.into_iter().map(LogEntry::from).collect(),
                next: Some(Cursor::after(at)),
            });
        }
    }
    let page = cursor.cut(rows, |row| row.origin_id.0);
    Ok(Page {
        rows: page.rows.into_iter().map(LogEntry::from).collect(),
        next: page.next,
    })
}

/// The latest messages of one subscriber, newest first.
pub async fn subscriber_log(
    app: &App,
    ws: WorkspaceId,
    id: SubscriberId,
    limit: i64,
) -> anyhow::Result<Vec<LogEntry>> {
    let sql = format!(
        "{ROWS} WHERE m.workspace_id = $1 AND m.subscriber_id = $2
         ORDER BY m.created_at DESC, m.origin_id DESC LIMIT $3"
    );
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(ws)
        .bind(id)
        .bind(limit)
        .fetch_all(app.db.pool())
        .await?;
    Ok(rows.into_iter().map(LogEntry::from).collect())
}

/// The tries of a message that did not simply succeed, oldest first: `(at, outcome, words)`.
pub async fn attempts(
    app: &App,
    ws: WorkspaceId,
    message: MessageKey,
) -> anyhow::Result<Vec<(Millis, String, String)>> {
    type Try = (Millis, String, Option<i64>, Option<i64>, Option<String>);
    let rows: Vec<Try> = sqlx::query_as(
        "SELECT at, outcome, code, subcode, detail FROM attempts
         WHERE origin_id = $2 AND subscriber_id = $3 AND workspace_id = $1 ORDER BY id",
    )
    .bind(ws)
    .bind(message.origin)
    .bind(message.subscriber)
    .fetch_all(app.db.pool())
    .await?;
    let told = |(at, outcome, code, subcode, detail): (_, _, Option<i64>, Option<i64>, _)| {
        let number = match (code, subcode) {
            (Some(code), Some(subcode)) => Some(format!("error {code}/{subcode}")),
            (Some(code), None) => Some(format!("error {code}")),
            (None, _) => None,
        };
        let words = match (detail, number) {
            (Some(detail), Some(number)) => format!("{detail} ({number})"),
            (Some(words), None) | (None, Some(words)) => words,
            (None, None) => String::new(),
        };
        (at, outcome, words)
    };
    Ok(rows.into_iter().map(told).collect())
}

#[derive(sqlx::FromRow)]
struct Row {
    origin_id: OriginId,
    subscriber_id: SubscriberId,
    first_name: Option<String>,
    last_name: Option<String>,
    kind: String,
    about: Option<String>,
    campaign_id: Option<CampaignId>,
    automation_id: Option<AutomationId>,
    status: String,
    reason: Option<String>,
    detail: Option<String>,
    channel: Option<String>,
    created_at: Millis,
    due_at: Millis,
    sent_at: Option<Millis>,
    delivered_at: Option<Millis>,
    read_at: Option<Millis>,
    clicked_at: Option<Millis>,
    attempts: i64,
    orders: i64,
}

impl From<Row> for LogEntry {
    fn from(row: Row) -> Self {
        let names: Vec<String> = [row.first_name, row.last_name]
            .into_iter()
            .flatten()
            .filter(|name| !name.is_empty())
            .collect();
        let about_id = row
            .campaign_id
            .map(|id| id.to_string())
            .or_else(|| row.automation_id.map(|id| id.to_string()));
        Self {
            message: MessageKey {
                origin: row.origin_id,
                subscriber: row.subscriber_id,
            },
            subscriber: row.subscriber_id,
            subscriber_name: (!names.is_empty()).then(|| names.join(" ")),
            kind: row.kind,
            about: row.about,
            about_id,
            status: row.status,
            reason: row.reason,
            detail: row.detail,
            channel: row.channel,
            queued_at: row.created_at,
            due_at: row.due_at,
            sent_at: row.sent_at,
            delivered_at: row.delivered_at,
            read_at: row.read_at,
            clicked_at: row.clicked_at,
            attempts: row.attempts,
            orders: row.orders,
        }
    }
}

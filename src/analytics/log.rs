//! One row per subscriber: what became of each message.

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{
    AutomationId, CampaignId, MessageKey, OriginId, SubscriberId, WorkspaceId,
};
use crate::store::page::{Cursor, Page};

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

/// In the order of subscribers.
pub async fn campaign_log(
    app: &App,
    ws: WorkspaceId,
    id: CampaignId,
    filter: &LogFilter,
    cursor: Cursor,
) -> anyhow::Result<Page<LogEntry>> {
    let search = filter.search.as_deref().map(str::trim).unwrap_or_default();
    let person: Option<SubscriberId> = search.parse().ok();
    // Each form walks an index in the order of subscribers: by the message's key, or by status.
    let narrowed = match filter.status.as_deref().unwrap_or_default() {
        "" => "m.origin_id = $2 AND $4 = ''",
        "delivered" => {
            "m.origin_id = $2 AND $4 <> '' AND m.status = 'sent' AND m.delivered_at IS NOT NULL"
        }
        "read" => "m.origin_id = $2 AND $4 <> '' AND m.status = 'sent' AND m.read_at IS NOT NULL",
        "clicked" => {
            "m.origin_id = $2 AND $4 <> '' AND m.status = 'sent' AND m.clicked_at IS NOT NULL"
        }
        "queued" | "sending" | "sent" => "m.origin_id = $2 AND m.status = $4",
        _ => {
            "m.campaign_id = $2 AND m.status = $4
             AND m.status NOT IN ('queued', 'sending', 'sent')"
        }
    };
    let named = match (person, search) {
        (Some(_), _) => "m.subscriber_id = $6 AND $7 = ''",
        (None, "") => "$6 = 0 AND $7 = ''",
        (None, _) => r"$6 = 0 AND LOWER(s.first_name) LIKE $7 ESCAPE '\'",
    };
    let sql = format!(
        "{ROWS} WHERE m.workspace_id = $1 AND m.subscriber_id > $3
             AND {narrowed} AND ($5 = '' OR m.reason = $5) AND {named}
         ORDER BY m.subscriber_id LIMIT $8"
    );
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(ws)
        .bind(id)
        .bind(cursor.after.unwrap_or(0))
        .bind(filter.status.as_deref().unwrap_or_default())
        .bind(filter.reason.as_deref().unwrap_or_default())
        .bind(person.map_or(0, |id| id.0))
        .bind(if person.is_some() {
            String::new()
        } else {
            prefix(search)
        })
        .bind(cursor.limit + 1)
        .fetch_all(app.db.pool())
        .await?;
    let page = cursor.cut(rows, |row| row.subscriber_id.0);
    Ok(Page {
        rows: page.rows.into_iter().map(LogEntry::from).collect(),
        next: page.next,
    })
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
        "{ROWS} WHERE m.workspace_id = $1 AND m.automation_id = $2 AND m.origin_id < $3
             AND {narrowed} AND ($5 = '' OR m.reason = $5)
         ORDER BY m.origin_id DESC LIMIT $6"
    );
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(ws)
        .bind(id)
        .bind(cursor.after.unwrap_or(i64::MAX))
        .bind(filter.status.as_deref().unwrap_or_default())
        .bind(filter.reason.as_deref().unwrap_or_default())
        .bind(cursor.limit + 1)
        .fetch_all(app.db.pool())
        .await?;
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

/// A `LIKE` pattern for names that begin so; what the person typed stands for itself.
fn prefix(search: &str) -> String {
    if search.is_empty() {
        return String::new();
    }
    let mut pattern = String::new();
    for c in search.to_lowercase().chars().filter(|c| *c != '\0') {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
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

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn what_a_person_types_is_never_a_pattern() {
        assert_eq!(prefix("Ana"), "ana%");
        assert_eq!(prefix("50%_"), r"50\%\_%");
        assert_eq!(prefix(""), "");
    }
}

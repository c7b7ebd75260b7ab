//! Writing a campaign: create, change, delete; checked before it is stored.

use crate::app::App;
use crate::campaigns::{Audience, Error};
use crate::clock::Millis;
use crate::delivery::{Message, Problem};
use crate::store::ids::{CampaignId, WorkspaceId};
use crate::store::page::{Cursor, Page};
use crate::store::{Conn, clean, clean_json};

#[derive(Clone, Debug)]
pub struct Draft {
    pub name: String,
    pub message: Message,
    pub audience: Audience,
    /// `auto`, `marketing_message` or `standard`.
    pub channel: String,
    /// UTM overrides, `utm_…` keys.
    pub utm: Vec<(String, String)>,
}

/// Changes to a draft or scheduled campaign; `None` leaves a part as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    pub name: Option<String>,
    pub message: Option<Message>,
    pub audience: Option<Audience>,
    pub channel: Option<String>,
    pub utm: Option<Vec<(String, String)>>,
}

#[derive(Clone, Debug)]
pub struct Campaign {
    pub id: CampaignId,
    pub workspace: WorkspaceId,
    pub name: String,
    pub message: Message,
    pub audience: Audience,
    pub channel: String,
    pub utm: Vec<(String, String)>,
    /// draft, scheduled, preparing, running, paused, finished, cancelled, failed.
    pub status: String,
    pub scheduled_at: Option<Millis>,
    pub timezone: Option<String>,
    pub in_subscriber_timezone: bool,
    pub late_limit_minutes: i64,
    /// What the merchant must know or decide, in words.
    pub attention: Option<String>,
    pub created_at: Millis,
    pub updated_at: Millis,
    pub launched_at: Option<Millis>,
    pub paused_at: Option<Millis>,
    pub finished_at: Option<Millis>,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: CampaignId,
    workspace_id: WorkspaceId,
    name: String,
    message: String,
    audience: String,
    channel: String,
    utm: Option<String>,
    status: String,
    scheduled_at: Option<Millis>,
    timezone: Option<String>,
    in_subscriber_timezone: i64,
    late_limit_minutes: i64,
    attention: Option<String>,
    created_at: Millis,
    updated_at: Millis,
    launched_at: Option<Millis>,
    paused_at: Option<Millis>,
    finished_at: Option<Millis>,
}

impl TryFrom<Row> for Campaign {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        Ok(Self {
            id: row.id,
            workspace: row.workspace_id,
            name: row.name,
            message: serde_json::from_str(&row.message)?,
            audience: serde_json::from_str(&row.audience)?,
            channel: row.channel,
            utm: row
                .utm
                .as_deref()
                .map(serde_json::from_str)
                .transpose()?
                .unwrap_or_default(),
            status: row.status,
            scheduled_at: row.scheduled_at,
            timezone: row.timezone,
            in_subscriber_timezone: row.in_subscriber_timezone != 0,
            late_limit_minutes: row.late_limit_minutes,
            attention: row.attention,
            created_at: row.created_at,
            updated_at: row.updated_at,
            launched_at: row.launched_at,
            paused_at: row.paused_at,
            finished_at: row.finished_at,
        })
    }
}

impl Campaign {
    /// Whether its words and audience may still change.
    pub fn is_editable(&self) -> bool {
        matches!(self.status.as_str(), "draft" | "scheduled") && self.launched_at.is_none()
    }
}

/// What must be mended before it can be stored or sent.
pub(super) fn problems(draft: &Draft) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut add = |pointer: &str, detail: &str| {
        found.push(Problem {
            pointer: pointer.to_owned(),
            detail: detail.to_owned(),
        });
    };
    let length = draft.name.trim().chars().count();
    if length == 0 {
        add("/name", "Give the campaign a name.");
    } else if length > 120 {
        add("/name", "Shorten the name to 120 characters.");
    }
    if !["auto", "marketing_message", "standard"].contains(&draft.channel.as_str()) {
        add("/channel", "Use auto, marketing_message or standard.");
    }
    for (key, value) in &draft.utm {
        let named = key.strip_prefix("utm_").unwrap_or(key);
        let fits = !named.is_empty()
            && named.len() <= 40
            && named
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !fits {
            add(
                &format!("/utm/{key}"),
                "Name it utm_ and small letters, as utm_content.",
            );
        } else if value.trim().is_empty() || value.chars().count() > 200 {
            add(
                &format!("/utm/{key}"),
                "Give it a value of 1 to 200 characters.",
            );
        }
    }
    let within = |prefix: &'static str| {
        move |problem: Problem| Problem {
            pointer: format!("{prefix}{}", problem.pointer),
            ..problem
        }
    };
    found.extend(draft.message.problems().into_iter().map(within("/message")));
    found.extend(
        draft
            .message
            .foreign_placeholders()
            .into_iter()
            .map(within("/message")),
    );
    found.extend(
        draft
            .audience
            .problems()
            .into_iter()
            .map(within("/audience")),
    );
    found
}

fn checked(mut draft: Draft) -> Result<Draft, Error> {
    draft.name = clean(draft.name.trim());
    let found = problems(&draft);
    if found.is_empty() {
        Ok(draft)
    } else {
        Err(Error::Invalid(found))
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    // As an escape a NUL would be stored, but PostgreSQL would refuse it later.
    let mut value = serde_json::to_value(value).map_err(anyhow::Error::from)?;
    clean_json(&mut value);
    Ok(value.to_string())
}

pub async fn create(app: &App, ws: WorkspaceId, draft: Draft) -> Result<Campaign, Error> {
    create_as(app, ws, app.ids.next(), draft).await
}

/// Under an id that the caller chose; one that is there already was made by an earlier try and is
/// left as it is.
pub async fn create_as(
    app: &App,
    ws: WorkspaceId,
    id: CampaignId,
    draft: Draft,
) -> Result<Campaign, Error> {
    let mut tx = app.db.begin().await?;
    write(app, &mut tx, ws, id, draft).await?;
    let campaign = load(&mut tx, ws, id).await?;
    tx.commit().await?;
    Ok(campaign)
}

/// `false` if it is there already.
pub(super) async fn write(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    id: CampaignId,
    draft: Draft,
) -> Result<bool, Error> {
    let draft = checked(draft)?;
    let written = sqlx::query(
        "INSERT INTO campaigns (id, workspace_id, name, message, audience, channel, utm, status,
             created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'draft', $8, $8)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(ws)
    .bind(&draft.name)
    .bind(json(&draft.message)?)
    .bind(json(&draft.audience)?)
    .bind(&draft.channel)
    .bind(json(&draft.utm)?)
    .bind(app.clock.now())
    .execute(conn)
    .await?;
    Ok(written.rows_affected() > 0)
}

/// Where nobody said in which zone a time on everybody's own clock was meant, it is the workspace's.
const COLUMNS: &str = "id, workspace_id, name, message, audience, channel, utm, status,
    scheduled_at, CASE WHEN timezone IS NULL AND in_subscriber_timezone = 1
        THEN (SELECT w.timezone FROM workspaces w WHERE w.id = campaigns.workspace_id)
        ELSE timezone END AS timezone,
    in_subscriber_timezone, late_limit_minutes, attention, created_at,
    updated_at, launched_at, paused_at, finished_at";

pub async fn find(app: &App, ws: WorkspaceId, id: CampaignId) -> Result<Campaign, Error> {
    load(&mut *app.db.acquire().await?, ws, id).await
}

pub(super) async fn load(
    conn: &mut Conn,
    ws: WorkspaceId,
    id: CampaignId,
) -> Result<Campaign, Error> {
    let sql = format!("SELECT {COLUMNS} FROM campaigns WHERE workspace_id = $1 AND id = $2");
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(ws)
        .bind(id)
        .fetch_optional(conn)
        .await?;
    Ok(row.ok_or(Error::NotFound)?.try_into()?)
}

/// Newest first; `status` narrows.
pub async fn list(
    app: &App,
    ws: WorkspaceId,
    status: Option<&str>,
    cursor: Cursor,
) -> anyhow::Result<Page<Campaign>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM campaigns
         WHERE workspace_id = $1 AND id < $2 AND ($3 = '' OR status = $3)
         ORDER BY id DESC LIMIT $4"
    );
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(ws)
        .bind(cursor.after.unwrap_or(i64::MAX))
        .bind(status.unwrap_or(""))
        .bind(cursor.limit + 1)
        .fetch_all(app.db.pool())
        .await?;
    let rows = rows
        .into_iter()
        .map(Campaign::try_from)
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(cursor.cut(rows, |campaign| campaign.id.0))
}

/// Every campaign in one of these states, over all workspaces: for the sweep.
pub(super) async fn in_states(app: &App, states: &[&str]) -> anyhow::Result<Vec<Campaign>> {
    let list = states
        .iter()
        .map(|state| format!("'{state}'"))
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "SELECT {COLUMNS} FROM campaigns WHERE status IN ({list}) ORDER BY scheduled_at, id"
    );
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_all(app.db.pool())
        .await?;
    rows.into_iter().map(Campaign::try_from).collect()
}

pub async fn patch(
    app: &App,
    ws: WorkspaceId,
    id: CampaignId,
    patch: Patch,
) -> Result<Campaign, Error> {
    let mut tx = app.db.begin().await?;
    change(app, &mut tx, ws, id, patch).await?;
    let campaign = load(&mut tx, ws, id).await?;
    tx.commit().await?;
    Ok(campaign)
}

pub(super) async fn change(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    id: CampaignId,
    patch: Patch,
) -> Result<(), Error> {
    let now = load(&mut *conn, ws, id).await?;
    if !now.is_editable() {
        return Err(Error::Conflict(format!(
            "A campaign that is {} can no longer be changed. Copy it into a new one.",
            now.status
        )));
    }
    let draft = checked(Draft {
        name: patch.name.unwrap_or(now.name),
        message: patch.message.unwrap_or(now.message),
        audience: patch.audience.unwrap_or(now.audience),
        channel: patch.channel.unwrap_or(now.channel),
        utm: patch.utm.unwrap_or(now.utm),
    })?;
    let changed = sqlx::query(
        "UPDATE campaigns SET name = $3, message = $4, audience = $5, channel = $6, utm = $7,
             updated_at = $8
         WHERE workspace_id = $1 AND id = $2 AND status IN ('draft', 'scheduled')
           AND launched_at IS NULL",
    )
    .bind(ws)
    .bind(id)
    .bind(&draft.name)
    .bind(json(&draft.message)?)
    .bind(json(&draft.audience)?)
    .bind(&draft.channel)
    .bind(json(&draft.utm)?)
    .bind(app.clock.now())
    .execute(conn)
    .await?;
    if changed.rows_affected() == 0 {
        return Err(Error::Conflict(
            "It started meanwhile and can no longer be changed.".into(),
        ));
    }
    Ok(())
}

/// Only a campaign that never ran can be deleted.
pub async fn delete(app: &App, ws: WorkspaceId, id: CampaignId) -> Result<(), Error> {
    let campaign = find(app, ws, id).await?;
    let done = sqlx::query(
        "DELETE FROM campaigns WHERE workspace_id = $1 AND id = $2 AND launched_at IS NULL
           AND status IN ('draft', 'scheduled', 'cancelled', 'paused', 'failed')",
    )
    .bind(ws)
    .bind(id)
    .execute(app.db.writer())
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::Conflict(format!(
            "A campaign that is {} stays for its report. Cancel it instead.",
            campaign.status
        )));
    }
    Ok(())
}

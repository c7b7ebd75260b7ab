//! Writing automations.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::automations::check;
use crate::automations::{Error, Trigger};
use crate::clock::Millis;
use crate::delivery::{Message, warm_up};
use crate::store::ids::{AutomationId, WorkspaceId};
use crate::store::page::{Cursor, Page};
use crate::store::{Conn, clean};
use crate::tallies::Changes;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Minutes after the step before (or after the trigger).
    pub wait_minutes: i64,
    pub message: Message,
}

#[derive(Clone, Debug)]
pub struct Draft {
    pub name: String,
    pub trigger: Trigger,
    pub steps: Vec<Step>,
    pub stop_on_order: bool,
    /// `on` or `off`.
    pub status: String,
}

#[derive(Clone, Debug, Default)]
pub struct Patch {
    pub name: Option<String>,
    pub trigger: Option<Trigger>,
    pub steps: Option<Vec<Step>>,
    pub stop_on_order: Option<bool>,
    pub status: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Automation {
    pub id: AutomationId,
    pub workspace: WorkspaceId,
    pub name: String,
    pub trigger: Trigger,
    pub steps: Vec<Step>,
    pub stop_on_order: bool,
    pub status: String,
    pub created_at: Millis,
    pub updated_at: Millis,
}

pub async fn create(app: &App, ws: WorkspaceId, draft: Draft) -> Result<Automation, Error> {
    create_as(app, ws, app.ids.next(), draft).await
}

/// Under an id that the caller chose; one that is there already was made by an earlier try and is
/// left as it is.
pub async fn create_as(
    app: &App,
    ws: WorkspaceId,
    id: AutomationId,
    draft: Draft,
) -> Result<Automation, Error> {
    let now = app.clock.now();
    let automation = checked(id, ws, draft, now)?;
    let made = sqlx::query(
        "INSERT INTO automations (id, workspace_id, name, trigger_kind, trigger_key, trigger_json,
             steps, stop_on_order, status, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(automation.id)
    .bind(ws)
    .bind(&automation.name)
    .bind(automation.trigger.kind())
    .bind(clean(&automation.trigger.key()))
    .bind(json(&automation.trigger)?)
    .bind(json(&automation.steps)?)
    .bind(i64::from(automation.stop_on_order))
    .bind(&automation.status)
    .bind(now)
    .execute(app.db.writer())
    .await?;
    if made.rows_affected() == 0 {
        return find(app, ws, id).await;
    }
    warm_up_behind(app, &automation);
    Ok(automation)
}

/// Meta wants its message campaign warm for an hour, so the hour begins now. Behind the answer:
/// nobody waits for Meta here, and what fails the sweep does.
fn warm_up_behind(app: &App, automation: &Automation) {
    if automation.status != "on" {
        return;
    }
    let (task, automation) = (app.clone(), automation.clone());
    app.spawn(async move {
        let (ws, id) = (automation.workspace, automation.id);
        if let Err(error) = warm_up::prepare_everywhere(&task, ws, id.0, &automation.name).await {
            tracing::warn!(automation.id = %id, error = format!("{error:#}"), "not warmed up yet");
        }
    });
}

pub async fn find(app: &App, ws: WorkspaceId, id: AutomationId) -> Result<Automation, Error> {
    load(&mut *app.db.acquire().await?, ws, id).await
}

/// Newest first.
pub async fn list(app: &App, ws: WorkspaceId, cursor: Cursor) -> anyhow::Result<Page<Automation>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, workspace_id, name, trigger_json, steps, stop_on_order, status, created_at,
             updated_at
         FROM automations
         WHERE workspace_id = $1 AND deleted_at IS NULL AND ($2 IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3",
    )
    .bind(ws)
    .bind(cursor.after)
    .bind(cursor.limit + 1)
    .fetch_all(app.db.pool())
    .await?;
    let page = cursor.cut(rows, |row| row.id.0);
    Ok(Page {
        rows: page
            .rows
            .into_iter()
            .map(Row::read)
            .collect::<Result<_, _>>()?,
        next: page.next,
    })
}

/// Turned off, it starts nothing more and what it has queued is not sent. Runs that are under way
/// go on by the new steps. Turned on (also where it is on), it tries again what Meta had stopped.
pub async fn patch(
    app: &App,
    ws: WorkspaceId,
    id: AutomationId,
    patch: Patch,
) -> Result<Automation, Error> {
    let mut tx = app.db.begin().await?;
    let old = load(&mut tx, ws, id).await?;
    let turned_on = patch.status.as_deref() == Some("on");
    let draft = Draft {
        name: patch.name.unwrap_or(old.name),
        trigger: patch.trigger.unwrap_or(old.trigger),
        steps: patch.steps.unwrap_or(old.steps),
        stop_on_order: patch.stop_on_order.unwrap_or(old.stop_on_order),
        status: patch.status.unwrap_or(old.status),
    };
    let mut new = checked(id, ws, draft, app.clock.now())?;
    new.created_at = old.created_at;
    sqlx::query(
        "UPDATE automations SET name = $1, trigger_kind = $2, trigger_key = $3, trigger_json = $4,
             steps = $5, stop_on_order = $6, status = $7, updated_at = $8
         WHERE workspace_id = $9 AND id = $10",
    )
    .bind(&new.name)
    .bind(new.trigger.kind())
    .bind(clean(&new.trigger.key()))
    .bind(json(&new.trigger)?)
    .bind(json(&new.steps)?)
    .bind(i64::from(new.stop_on_order))
    .bind(&new.status)
    .bind(new.updated_at)
    .bind(ws)
    .bind(id)
    .execute(&mut *tx)
    .await?;
    if new.status == "off" {
        stop_runs(&mut tx, ws, id, "automation_off", new.updated_at).await?;
    } else if turned_on {
        warm_up::clear_problems(&mut tx, ws, id.0).await?;
    }
    tx.commit().await?;
    warm_up_behind(app, &new);
    Ok(new)
}

/// Ends its runs; what was sent stays in the reports.
pub async fn delete(app: &App, ws: WorkspaceId, id: AutomationId) -> Result<(), Error> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let deleted = sqlx::query(
        "UPDATE automations SET deleted_at = $1, status = 'off', updated_at = $1
         WHERE workspace_id = $2 AND id = $3 AND deleted_at IS NULL",
    )
    .bind(now)
    .bind(ws)
    .bind(id)
    .execute(&mut *tx)
    .await?;
    if deleted.rows_affected() == 0 {
        return Err(Error::NotFound);
    }
    stop_runs(&mut tx, ws, id, "automation_deleted", now).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends waiting runs and takes back what is queued, each with its reason.
async fn stop_runs(
    conn: &mut Conn,
    ws: WorkspaceId,
    id: AutomationId,
    reason: &str,
    now: Millis,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE runs SET status = 'stopped', reason = $1, ended_at = $2
         WHERE workspace_id = $3 AND automation_id = $4 AND status = 'waiting'",
    )
    .bind(reason)
    .bind(now)
    .bind(ws)
    .bind(id)
    .execute(&mut *conn)
    .await?;
    let cancelled = sqlx::query(
        "UPDATE messages SET status = 'skipped', reason = 'cancelled'
         WHERE workspace_id = $1 AND automation_id = $2 AND status = 'queued'",
    )
    .bind(ws)
    .bind(id)
    .execute(&mut *conn)
    .await?;
    let mut changes = Changes::default();
    let cancelled = cancelled.rows_affected();
    changes.many_came(ws, id.0, "skipped", "cancelled", cancelled);
    changes.write(conn).await
}

fn checked(
    id: AutomationId,
    ws: WorkspaceId,
    draft: Draft,
    now: Millis,
) -> Result<Automation, Error> {
    let problems = check::problems(&draft);
    let (true, Some(status)) = (problems.is_empty(), check::status(&draft.status)) else {
        return Err(Error::Invalid(problems));
    };
    Ok(Automation {
        id,
        workspace: ws,
        name: clean(draft.name.trim()),
        trigger: draft.trigger,
        steps: draft.steps,
        stop_on_order: draft.stop_on_order,
        status: status.to_owned(),
        created_at: now,
        updated_at: now,
    })
}

async fn load(conn: &mut Conn, ws: WorkspaceId, id: AutomationId) -> Result<Automation, Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, workspace_id, name, trigger_json, steps, stop_on_order, status, created_at,
             updated_at
         FROM automations WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL",
    )
    .bind(ws)
    .bind(id)
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else {
        return Err(Error::NotFound);
    };
    Ok(row.read()?)
}

fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)?)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: AutomationId,
    workspace_id: WorkspaceId,
    name: String,
    trigger_json: String,
    steps: String,
    stop_on_order: i64,
    status: String,
    created_at: Millis,
    updated_at: Millis,
}

impl Row {
    fn read(self) -> anyhow::Result<Automation> {
        let what = || format!("read automation {}", self.id);
        Ok(Automation {
            id: self.id,
            workspace: self.workspace_id,
            trigger: serde_json::from_str(&self.trigger_json).with_context(what)?,
            steps: serde_json::from_str(&self.steps).with_context(what)?,
            name: self.name,
            stop_on_order: self.stop_on_order != 0,
            status: self.status,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

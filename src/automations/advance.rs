//! Advancing: when a run is due, ask again whether it still makes sense, then put its step's
//! message into the queue and the run on its way, in one transaction.

use std::collections::BTreeSet;

use anyhow::Context;
use serde_json::{Map, Value};

use crate::app::App;
use crate::automations::edit::Step;
use crate::automations::fill::fill;
use crate::automations::runs::is_completed;
use crate::clock::{HOUR, MINUTE, Millis};
use crate::delivery::content::Body;
use crate::delivery::{self, Content, MessageKind, NewMessage};
use crate::links::Tags;
use crate::queue::Job;
use crate::store::Conn;
use crate::store::ids::{AutomationId, OriginId, PageRowId, RunId, SubscriberId, WorkspaceId};

const BATCH: i64 = 200;
/// A step's message that could not be sent for so long is not sent any more.
const LIFETIME: Millis = 24 * HOUR;
/// Until a run that failed is tried again.
const AFTER_FAILURE: Millis = MINUTE;

/// A due run with all that decides about it.
#[derive(Debug, sqlx::FromRow)]
struct Run {
    id: RunId,
    workspace_id: WorkspaceId,
    automation_id: AutomationId,
    subscriber_id: SubscriberId,
    trigger_ref: String,
    context: String,
    triggered_at: Millis,
    step: i64,
    due_at: Millis,
    name: String,
    trigger_kind: String,
    steps: String,
    stop_on_order: i64,
    automation_status: String,
    deleted_at: Option<Millis>,
    page_id: PageRowId,
    customer_id: Option<String>,
    email_hash: Option<String>,
    opted_out_at: Option<Millis>,
    erased_at: Option<Millis>,
    last_ordered_at: Option<Millis>,
}

/// Where a run goes from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Move {
    step: i64,
    status: &'static str,
    /// Why it stopped, or why a step was left out.
    reason: Option<String>,
    due_at: Millis,
}

/// Moves on every run that is due; how many messages were enqueued.
pub async fn advance_due(app: &App) -> anyhow::Result<usize> {
    let mut enqueued = 0;
    while !app.stop.is_cancelled() {
        let due: Vec<RunId> = sqlx::query_scalar(
            "SELECT id FROM runs WHERE status = 'waiting' AND due_at <= $1
             ORDER BY due_at, id LIMIT $2",
        )
        .bind(app.clock.now())
        .bind(BATCH)
        .fetch_all(app.db.pool())
        .await?;
        if due.is_empty() {
            break;
        }
        let mut pages = BTreeSet::new();
        for id in due {
            match advance(app, id).await {
                Ok(Some(page)) => {
                    enqueued += 1;
                    pages.insert(page);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(run.id = %id, error = %format!("{error:#}"), "Could not advance a run, trying again later");
                    postpone(app, id).await?;
                }
            }
        }
        for page in pages {
            app.queue.nudge(Job::Messages(page));
        }
    }
    Ok(enqueued)
}

/// The Page to nudge when a message was enqueued.
async fn advance(app: &App, id: RunId) -> anyhow::Result<Option<PageRowId>> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let Some(run) = load(&mut tx, id, now).await? else {
        return Ok(None);
    };
    if let Some(reason) = stop_reason(&mut tx, &run).await? {
        let stopped = Move {
            step: run.step,
            status: "stopped",
            reason: Some(reason.to_owned()),
            due_at: run.due_at,
        };
        go(&mut tx, &run, &stopped, now).await?;
        tx.commit().await?;
        return Ok(None);
    }
    let steps: Vec<Step> = serde_json::from_str(&run.steps).context("read the steps")?;
    let step = usize::try_from(run.step).ok().and_then(|i| steps.get(i));
    let mut next = next_move(&run, &steps, now);
    let message = match step {
        Some(step) => match fill(&step.message, &context(&run)) {
            Ok(message) => Some(message),
            Err(why) => {
                next.reason = Some(format!("step {} was left out: {why}", run.step + 1));
                None
            }
        },
        None => None,
    };
    if !go(&mut tx, &run, &next, now).await? {
        return Ok(None);
    }
    let Some(message) = message else {
        tx.commit().await?;
        return Ok(None);
    };
    let is_welcome = run.trigger_kind == "opted_in" && run.step == 0;
    let new = NewMessage {
        workspace: run.workspace_id,
        page: run.page_id,
        subscriber: run.subscriber_id,
        origin: app.ids.next::<OriginId>(),
        kind: if is_welcome {
            MessageKind::Welcome
        } else {
            MessageKind::Automation
        },
        automation: Some((run.automation_id, run.id, run.step)),
        content: Content {
            body: Body::Message(message),
            tags: Tags::new(&run.name, &run.automation_id.to_string(), &[]),
        },
        due_at: run.due_at,
        expires_at: Some(run.due_at + LIFETIME),
    };
    delivery::enqueue(&mut tx, now, &new).await?;
    tx.commit().await?;
    Ok(Some(run.page_id))
}

async fn load(conn: &mut Conn, id: RunId, now: Millis) -> anyhow::Result<Option<Run>> {
    let run = sqlx::query_as(
        "SELECT r.id, r.workspace_id, r.automation_id, r.subscriber_id, r.trigger_ref, r.context,
             r.triggered_at, r.step, r.due_at, a.name, a.trigger_kind, a.steps, a.stop_on_order,
             a.status AS automation_status, a.deleted_at, s.page_id, s.customer_id, s.email_hash,
             s.opted_out_at, s.erased_at, s.last_ordered_at
         FROM runs r
         JOIN automations a ON a.id = r.automation_id AND a.workspace_id = r.workspace_id
         JOIN subscribers s ON s.id = r.subscriber_id AND s.workspace_id = r.workspace_id
         WHERE r.id = $1 AND r.status = 'waiting' AND r.due_at <= $2",
    )
    .bind(id)
    .bind(now)
    .fetch_optional(conn)
    .await?;
    Ok(run)
}

/// Why the run ends here, if it does. Consent and window are delivery's to judge, at the moment of
/// sending; what can never be sent again need not be enqueued.
async fn stop_reason(conn: &mut Conn, run: &Run) -> anyhow::Result<Option<&'static str>> {
    if run.deleted_at.is_some() {
        return Ok(Some("automation_deleted"));
    }
    if run.automation_status != "on" {
        return Ok(Some("automation_off"));
    }
    if run.erased_at.is_some() {
        return Ok(Some("erased"));
    }
    if run.opted_out_at.is_some() {
        return Ok(Some("opted_out"));
    }
    // A checkout that was bought is not abandoned, whatever the automation says about orders.
    let bought = run.trigger_kind == "checkout_abandoned"
        && is_completed(conn, run.workspace_id, &run.trigger_ref).await?;
    if bought || (run.stop_on_order == 1 && has_ordered(conn, run).await?) {
        return Ok(Some("ordered"));
    }
    Ok(None)
}

async fn has_ordered(conn: &mut Conn, run: &Run) -> anyhow::Result<bool> {
    if run.last_ordered_at.is_some_and(|at| at >= run.triggered_at) {
        return Ok(true);
    }
    let order: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM orders
         WHERE workspace_id = $1 AND ordered_at >= $2 AND test = 0 AND shop_order_id <> $3
             AND (customer_id = $4 OR email_hash = $5)
         LIMIT 1",
    )
    .bind(run.workspace_id)
    .bind(run.triggered_at)
    .bind(&run.trigger_ref)
    .bind(&run.customer_id)
    .bind(&run.email_hash)
    .fetch_optional(conn)
    .await?;
    Ok(order.is_some())
}

fn next_move(run: &Run, steps: &[Step], now: Millis) -> Move {
    let step = run.step + 1;
    let next = usize::try_from(step).ok().and_then(|i| steps.get(i));
    match next {
        Some(next) => Move {
            step,
            status: "waiting",
            reason: None,
            due_at: now + next.wait_minutes * MINUTE,
        },
        None => Move {
            step,
            status: "done",
            reason: None,
            due_at: run.due_at,
        },
    }
}

/// An erased person's context is empty.
fn context(run: &Run) -> Map<String, Value> {
    serde_json::from_str(&run.context).unwrap_or_default()
}

/// `false` when another worker moved the run first.
async fn go(conn: &mut Conn, run: &Run, next: &Move, now: Millis) -> anyhow::Result<bool> {
    let ended = (next.status != "waiting").then_some(now);
    let moved = sqlx::query(
        "UPDATE runs SET step = $1, status = $2, reason = COALESCE($3, reason), due_at = $4,
             ended_at = $5
         WHERE id = $6 AND workspace_id = $7 AND step = $8 AND status = 'waiting' AND due_at = $9",
    )
    .bind(next.step)
    .bind(next.status)
    .bind(&next.reason)
    .bind(next.due_at)
    .bind(ended)
    .bind(run.id)
    .bind(run.workspace_id)
    .bind(run.step)
    .bind(run.due_at)
    .execute(conn)
    .await?;
    Ok(moved.rows_affected() == 1)
}

async fn postpone(app: &App, id: RunId) -> anyhow::Result<()> {
    sqlx::query("UPDATE runs SET due_at = $1 WHERE id = $2 AND status = 'waiting'")
        .bind(app.clock.now() + AFTER_FAILURE)
        .bind(id)
        .execute(app.db.writer())
        .await?;
    Ok(())
}

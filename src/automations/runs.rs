//! Runs: started by a happening, one per automation, subscriber and happening.

use serde_json::{Map, Value};

use crate::app::App;
use crate::automations::edit::Step;
use crate::automations::trigger::{Trigger, normal_key};
use crate::clock::{HOUR, MINUTE, Millis};
use crate::store::ids::{AutomationId, RunId, SubscriberId, WorkspaceId};
use crate::store::{Conn, clean};

/// Meta's window after the person's last action.
const WINDOW: Millis = 24 * HOUR;

/// Something that may start automations.
#[derive(Clone, Debug)]
pub struct Happening {
    pub workspace: WorkspaceId,
    pub subscriber: SubscriberId,
    /// As [`super::Trigger::kind`].
    pub kind: &'static str,
    /// Metric (its name, slug or topic) or event name, empty for the other kinds.
    pub key: String,
    /// Checkout token, event id, order id: the same happening starts an automation once.
    pub trigger_ref: String,
    /// What the messages may name, as `{{event.product}}`, `{{checkout_url}}`.
    pub context: Map<String, Value>,
    pub at: Millis,
}

/// Starts the matching automations; how many runs began. A checkout that moves on while its run
/// still waits for the first step waits anew. Nudge `Job::Runs` after the commit.
pub async fn start(app: &App, conn: &mut Conn, happening: &Happening) -> anyhow::Result<usize> {
    let is_checkout = happening.kind == "checkout_abandoned";
    if is_checkout && is_completed(conn, happening.workspace, &happening.trigger_ref).await? {
        return Ok(0);
    }
    let mut began = 0;
    for (automation, due_at) in matching(conn, happening).await? {
        if begin(app, conn, happening, automation, due_at).await? {
            began += 1;
        } else if is_checkout {
            wait_anew(conn, happening, automation, due_at).await?;
        }
    }
    Ok(began)
}

/// Whether an automation of this kind is on, so that what it promises can be promised.
pub async fn answers_to(app: &App, ws: WorkspaceId, kind: &str) -> anyhow::Result<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM automations
         WHERE workspace_id = $1 AND trigger_kind = $2 AND status = 'on' AND deleted_at IS NULL
         LIMIT 1",
    )
    .bind(ws)
    .bind(kind)
    .fetch_optional(app.db.pool())
    .await?;
    Ok(found.is_some())
}

/// Automations that are on, with the time of their first step.
async fn matching(
    conn: &mut Conn,
    happening: &Happening,
) -> anyhow::Result<Vec<(AutomationId, Millis)>> {
    let rows: Vec<(AutomationId, String, String)> = sqlx::query_as(
        "SELECT id, trigger_json, steps FROM automations
         WHERE workspace_id = $1 AND trigger_kind = $2 AND trigger_key = $3 AND status = 'on'
             AND deleted_at IS NULL",
    )
    .bind(happening.workspace)
    .bind(happening.kind)
    .bind(clean(&normal_key(happening.kind, &happening.key)))
    .fetch_all(conn)
    .await?;
    let mut found = Vec::new();
    for (id, trigger, steps) in rows {
        let trigger: Trigger = serde_json::from_str(&trigger)?;
        let steps: Vec<Step> = serde_json::from_str(&steps)?;
        if let Some(first) = steps.first() {
            let wait = trigger.delay() + first.wait_minutes * MINUTE;
            found.push((id, happening.at + wait));
        }
    }
    Ok(found)
}

/// Only someone who may be written to begins a run. A run that an order began must not be stopped
/// by that very order, so it counts as triggered right after it.
async fn begin(
    app: &App,
    conn: &mut Conn,
    happening: &Happening,
    automation: AutomationId,
    due_at: Millis,
) -> anyhow::Result<bool> {
    let began = sqlx::query(
        "INSERT INTO runs (id, automation_id, workspace_id, subscriber_id, trigger_ref, context,
             triggered_at, due_at)
         SELECT $1, $2, s.workspace_id, s.id, $3, $4,
             CASE WHEN $5 = 1 AND COALESCE(s.last_ordered_at, 0) >= $6 THEN s.last_ordered_at + 1
                  WHEN $5 = 1 THEN $6 + 1
                  ELSE $6 END,
             $7
         FROM subscribers s
         WHERE s.workspace_id = $8 AND s.id = $9 AND s.erased_at IS NULL
             AND s.opted_out_at IS NULL
             AND (s.opted_in_at IS NOT NULL OR s.last_action_at > $10)
         ON CONFLICT (automation_id, subscriber_id, trigger_ref) DO NOTHING",
    )
    .bind(app.ids.next::<RunId>())
    .bind(automation)
    .bind(clean(&happening.trigger_ref))
    .bind(serde_json::to_string(&happening.context)?)
    .bind(i64::from(happening.kind == "order_paid"))
    .bind(happening.at)
    .bind(due_at)
    .bind(happening.workspace)
    .bind(happening.subscriber)
    .bind(app.clock.now() - WINDOW)
    .execute(conn)
    .await?;
    Ok(began.rows_affected() == 1)
}

async fn wait_anew(
    conn: &mut Conn,
    happening: &Happening,
    automation: AutomationId,
    due_at: Millis,
) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE runs SET due_at = $1, context = $2
         WHERE workspace_id = $3 AND automation_id = $4 AND subscriber_id = $5
             AND trigger_ref = $6 AND status = 'waiting' AND step = 0 AND due_at < $1",
    )
    .bind(due_at)
    .bind(serde_json::to_string(&happening.context)?)
    .bind(happening.workspace)
    .bind(automation)
    .bind(happening.subscriber)
    .bind(clean(&happening.trigger_ref))
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether the checkout was bought, by its own row or by an order, whichever came first.
pub(super) async fn is_completed(
    conn: &mut Conn,
    ws: WorkspaceId,
    checkout_token: &str,
) -> anyhow::Result<bool> {
    let completed: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM checkouts
         WHERE workspace_id = $1 AND token = $2 AND completed_at IS NOT NULL
         UNION ALL
         SELECT 1 FROM orders WHERE workspace_id = $1 AND checkout_token = $2
         LIMIT 1",
    )
    .bind(ws)
    .bind(clean(checkout_token))
    .fetch_optional(conn)
    .await?;
    Ok(completed.is_some())
}

//! What each workspace's own settings say is kept no longer. Words and names go; figures stay.

use crate::app::App;
use crate::clock::{DAY, Millis};
use crate::store::ids::WorkspaceId;
use crate::subscribers::privacy;
use crate::workspaces::{self, Retention};

/// Workspaces looked through in one turn of the upkeep.
const WORKSPACES: i64 = 50;
/// Rows that go in one statement, and how many statements of a kind in one turn: whoever shortens
/// a span after years does not hold the database for minutes.
const ROWS: i64 = 2_000;
const TURNS: usize = 25;

/// `$1` is the workspace, `$2` the moment before which it goes, `$3` how many rows at a time.
const EVENTS: &[&str] = &["DELETE FROM webhooks WHERE id IN (SELECT id FROM webhooks \
     WHERE workspace_id = $1 AND received_at < $2 AND processed_at IS NOT NULL \
       AND error IS NULL LIMIT $3)"];
const WORDS: &[&str] = &[
    "UPDATE messages SET content = NULL, detail = NULL \
     WHERE workspace_id = $1 AND (origin_id, subscriber_id) IN \
       (SELECT origin_id, subscriber_id FROM messages \
        WHERE workspace_id = $1 AND content IS NOT NULL AND created_at < $2 \
          AND status NOT IN ('queued', 'sending', 'unknown') LIMIT $3)",
    "UPDATE runs SET context = '{}' WHERE id IN (SELECT id FROM runs \
     WHERE workspace_id = $1 AND ended_at IS NOT NULL AND context <> '{}' \
       AND ended_at < $2 LIMIT $3)",
    "UPDATE opt_in_links SET name = 'No longer kept', \
         slug = 'gone-' || CAST(id AS TEXT), customer_id = NULL, email_hash = NULL, \
         email_sealed = NULL, phone_hash = NULL, phone_sealed = NULL, checkout_token = NULL, \
         archived_at = COALESCE(archived_at, $2) \
     WHERE id IN (SELECT id FROM opt_in_links WHERE workspace_id = $1 AND created_at < $2 \
       AND (customer_id IS NOT NULL OR email_hash IS NOT NULL OR phone_hash IS NOT NULL \
         OR checkout_token IS NOT NULL) LIMIT $3)",
];
/// The shop's customers who are nobody's subscriber.
const PEOPLE: &[&str] = &[
    "DELETE FROM customers WHERE workspace_id = $1 AND id IN (SELECT c.id FROM customers c \
     WHERE c.workspace_id = $1 AND c.updated_at < $2 AND c.erased_at IS NULL \
       AND NOT EXISTS (SELECT 1 FROM subscribers s WHERE s.workspace_id = $1 \
                         AND s.customer_id = c.id) LIMIT $3)",
];

pub(super) async fn prune(app: &App) -> anyhow::Result<()> {
    for (ws, keep) in workspaces::to_prune(app, WORKSPACES).await? {
        // One workspace's trouble is not the others'.
        if let Err(error) = workspace(app, ws, keep).await {
            tracing::error!(workspace.id = %ws, "What is kept no longer did not go: {error:#}");
        }
        if app.stop.is_cancelled() {
            break;
        }
    }
    Ok(())
}

async fn workspace(app: &App, ws: WorkspaceId, keep: Retention) -> anyhow::Result<()> {
    let before = |days: i64| app.clock.now() - days * DAY;
    let spans = [
        (EVENTS, before(keep.events_days)),
        (WORDS, before(keep.messages_days)),
        (PEOPLE, before(keep.people_days)),
    ];
    for (statements, before) in spans {
        for statement in statements {
            run(app, ws, statement, before).await?;
        }
    }
    for _ in 0..TURNS {
        if privacy::erase_leavers(app, ws, before(keep.people_days)).await? == 0 {
            break;
        }
    }
    Ok(())
}

async fn run(
    app: &App,
    ws: WorkspaceId,
    statement: &'static str,
    before: Millis,
) -> anyhow::Result<()> {
    for _ in 0..TURNS {
        let gone = sqlx::query(statement)
            .bind(ws)
            .bind(before)
            .bind(ROWS)
            .execute(app.db.writer())
            .await?;
        if gone.rows_affected() < ROWS.unsigned_abs() || app.stop.is_cancelled() {
            break;
        }
    }
    Ok(())
}

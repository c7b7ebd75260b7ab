//! Automations that Meta brought to a stand: they are on, and send nothing until somebody looks.

use crate::app::App;
use crate::store::ids::{AutomationId, WorkspaceId};

/// Automations named one by one; the list has the others.
const MOST: i64 = 5;

#[derive(Clone, Debug)]
pub struct Stopped {
    pub automation: AutomationId,
    pub name: String,
    /// What happened and what to do.
    pub words: String,
}

/// One automation, if it stands still, or those of the workspace.
pub async fn stopped(
    app: &App,
    ws: WorkspaceId,
    automation: Option<AutomationId>,
) -> anyhow::Result<Vec<Stopped>> {
    let rows: Vec<(AutomationId, String, String, String)> = sqlx::query_as(
        "SELECT a.id, a.name, MIN(m.problem_kind), MIN(m.problem)
         FROM automations a JOIN meta_campaigns m ON m.owner_id = a.id
         WHERE a.workspace_id = $1 AND ($2 IS NULL OR a.id = $2) AND a.status = 'on'
           AND a.deleted_at IS NULL AND m.problem IS NOT NULL
         GROUP BY a.id, a.name ORDER BY a.id DESC LIMIT $3",
    )
    .bind(ws)
    .bind(automation)
    .bind(MOST)
    .fetch_all(app.db.pool())
    .await?;
    let told = |(automation, name, kind, problem): (_, _, String, String)| {
        let problem = problem.trim_end_matches('.');
        let words = if kind == "failed" {
            format!("Meta stopped it: {problem}. Nothing is sent until you try again.")
        } else {
            format!("{problem}. Mend it at Meta, then try again.")
        };
        Stopped {
            automation,
            name,
            words,
        }
    };
    Ok(rows.into_iter().map(told).collect())
}

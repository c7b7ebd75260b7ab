//! One client among many, as an agency sees it: what is wrong, what it brought, what goes out next.

use super::needs::{Needs, needs};
use super::overview::{Overview, overview};
use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::WorkspaceId;

/// A client's row.
#[derive(Clone, Debug)]
pub struct Glance {
    /// What needs somebody, most urgent first; first steps and remarks are left out.
    pub needs: Vec<Needs>,
    pub overview: Overview,
    /// When the next campaign goes out.
    pub next_send: Option<Millis>,
    pub last_campaign: Option<String>,
}

pub async fn glance(
    app: &App,
    ws: WorkspaceId,
    from: Millis,
    to: Millis,
) -> anyhow::Result<Glance> {
    let mut found = needs(app, ws).await?;
    found.retain(|need| need.tone != "mute");
    let (next_send, last_campaign): (Option<Millis>, Option<String>) = sqlx::query_as(
        "SELECT (SELECT MIN(scheduled_at) FROM campaigns \
                   WHERE workspace_id = $1 AND status IN ('scheduled', 'preparing')), \
                (SELECT name FROM campaigns WHERE workspace_id = $1 \
                   AND status IN ('running', 'finished') ORDER BY id DESC LIMIT 1)",
    )
    .bind(ws)
    .fetch_one(app.db.pool())
    .await?;
    Ok(Glance {
        needs: found,
        overview: overview(app, ws, from, to).await?,
        next_send,
        last_campaign,
    })
}

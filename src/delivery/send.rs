//! The send loop of one Page.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::task::JoinSet;

use super::batch::{self, Claim, Source, Work, claim};
use super::outcome;
use super::speak::{Spoken, speak};
use super::warm_up;
use crate::app::App;
use crate::clock::{MINUTE, Millis, SECOND};
use crate::queue::Job;
use crate::store::ids::{CampaignId, PageRowId};
use crate::workspaces::{self, Page, Workspace};

/// Batches under way at once, so that the next is claimed while the last is still being answered.
const LANES: usize = 3;

/// Sends what is due on this Page: claims, asks the policy, keeps the pace, speaks to Meta, writes
/// what happened; until nothing is due. Safe to run in many workers at once.
pub async fn send_due(app: &App, id: PageRowId) -> anyhow::Result<()> {
    // Tasks, not futures of this one: a batch that is writing its outcomes holds the database's
    // lock, and must go on while the next one is being claimed.
    let mut under_way = JoinSet::new();
    let mut turn = 0;
    loop {
        let mut dry = false;
        while under_way.len() < LANES && !dry && !app.stop.is_cancelled() {
            match next_batch(app, id, turn).await? {
                Next::Batch(ours, work) => {
                    turn += 1;
                    let app = app.clone();
                    under_way.spawn(async move { send_batch(&app, *ours, work).await });
                }
                Next::Moved => turn += 1,
                Next::Dry => dry = true,
            }
        }
        match under_way.join_next().await {
            Some(result) => result??,
            None => break,
        }
    }
    Ok(())
}

enum Next {
    Batch(Box<(Workspace, Page)>, Vec<Work>),
    Moved,
    Dry,
}

/// The next batch, fair between campaigns: single messages first, then each campaign in turn.
async fn next_batch(app: &App, id: PageRowId, turn: usize) -> anyhow::Result<Next> {
    let Some(page) = workspaces::page(app, id).await? else {
        return Ok(Next::Dry);
    };
    if page.state != "active" {
        return Ok(Next::Dry);
    }
    let Some(workspace) = workspaces::find(app, page.workspace).await? else {
        return Ok(Next::Dry);
    };
    let campaigns = running_campaigns(app, &page).await?;
    let rotated = (0..campaigns.len()).map(|i| campaigns[(i + turn) % campaigns.len()]);
    let sources = [Source::Single, Source::Unsettled]
        .into_iter()
        .chain(rotated.map(Source::Campaign));
    let mut moved = false;
    for source in sources {
        match claim(app, &workspace, &page, source).await? {
            Claim::Work(work) => return Ok(Next::Batch(Box::new((workspace, page)), work)),
            Claim::Moved => moved = true,
            Claim::Nothing => {}
            Claim::Resting(until) => {
                // The sweep comes back; only a short rest is worth waiting for.
                if until - app.clock.now() < SECOND && !app.clock.is_steerable() {
                    app.clock.sleep_until(until).await;
                    return Ok(Next::Moved);
                }
                return Ok(Next::Dry);
            }
        }
    }
    Ok(if moved { Next::Moved } else { Next::Dry })
}

/// Campaigns that may send from this Page now, the longest running first.
async fn running_campaigns(app: &App, page: &Page) -> anyhow::Result<Vec<CampaignId>> {
    let rows: Vec<(CampaignId,)> = sqlx::query_as(
        "SELECT c.id FROM campaigns c
         LEFT JOIN meta_campaigns m ON m.owner_id = c.id AND m.page_id = $2
         WHERE c.workspace_id = $1 AND c.status = 'running' AND m.problem IS NULL
         ORDER BY c.launched_at",
    )
    .bind(page.workspace)
    .bind(page.id)
    .fetch_all(app.db.pool())
    .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

async fn send_batch(
    app: &App,
    (workspace, page): (Workspace, Page),
    work: Vec<Work>,
) -> anyhow::Result<()> {
    let calls: FuturesUnordered<_> = work
        .into_iter()
        .map(|work| async {
            let spoken = speak(app, &page, &work).await;
            (work, spoken)
        })
        .collect();
    let done: Vec<(Work, Spoken)> = calls.collect().await;
    outcome::record(app, &workspace, &page, done).await?;
    app.queue.nudge(Job::Campaigns);
    Ok(())
}

/// Pages on which something is due now. Leases that ran out are found here first, so that what a
/// crash left is taken up within seconds.
pub async fn pages_due(app: &App) -> anyhow::Result<Vec<PageRowId>> {
    let expired = outcome::expire_leases(app).await?;
    if expired > 0 {
        tracing::warn!(
            messages = expired,
            "leases ran out: their messages are unknown"
        );
    }
    let now = app.clock.now();
    let rows: Vec<(PageRowId,)> = sqlx::query_as(
        "SELECT p.id FROM pages p
         LEFT JOIN paces ON paces.page_id = p.id
         WHERE p.state = 'active' AND p.disconnected_at IS NULL
           AND (paces.hold_until IS NULL OR paces.hold_until <= $1)
           AND (EXISTS (SELECT 1 FROM messages m WHERE m.page_id = p.id
                    AND m.campaign_id IS NULL AND m.status = 'queued' AND m.due_at <= $1)
             OR EXISTS (SELECT 1 FROM messages m WHERE m.page_id = p.id
                    AND m.status = 'unknown' AND m.reason = 'answer_lost'
                    AND m.channel = 'marketing_message'
                    AND m.started_at <= $2 AND m.started_at > $3 AND m.due_at <= $1
                    AND NOT EXISTS (SELECT 1 FROM campaigns c WHERE c.id = m.campaign_id
                                    AND c.status IN ('paused', 'failed', 'cancelled')))
             OR EXISTS (SELECT 1 FROM campaigns c
                    JOIN messages m ON m.campaign_id = c.id AND m.page_id = p.id
                    LEFT JOIN meta_campaigns v ON v.owner_id = c.id AND v.page_id = p.id
                    WHERE c.workspace_id = p.workspace_id AND c.status = 'running'
                      AND v.problem IS NULL AND m.campaign_id IS NOT NULL
                      AND m.status = 'queued' AND m.due_at <= $1))",
    )
    .bind(now)
    .bind(now - batch::SETTLE_AFTER)
    .bind(now - batch::SETTLE_BEFORE)
    .fetch_all(app.db.pool())
    .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Finds what a crash left: leases that ran out become `unknown` (and those of the paid channel
/// are tried once more, by [`send_due`]); automations keep their vehicles warm.
pub async fn sweep(app: &App) -> anyhow::Result<()> {
    for page in pages_due(app).await? {
        app.queue.nudge(Job::Messages(page));
    }
    warm_up::keep_automations_warm(app).await
}

/// How long an unknown message keeps its campaign open: until its safe retry and its echo had
/// their time.
pub const UNSETTLED: Millis = MINUTE;

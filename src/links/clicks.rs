//! Clicks, written in batches behind the answer: the shopper never waits for the database.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use crate::app::App;
use crate::clock::Millis;
use crate::profiles::{self, Report};
use crate::queue::Job;
use crate::store::ids::{
    AutomationId, CampaignId, ClickId, MessageKey, OriginId, SubscriberId, WorkspaceId,
};
use crate::store::{Conn, placeholders};
use crate::tallies::{COLUMNS, Changes, Clicked, Counted};
use crate::telemetry;

/// Clicks that may wait to be written (some 20 MiB); whoever comes then waits for room.
const BUFFER: usize = 262_144;
/// Large, because the clicks of a moment lie scattered: the more are written at once, in the order
/// of their messages, the fewer pages are written twice.
const BATCH: usize = 1_000;
/// How long the first click of a batch waits for company: short, because the order may follow at
/// once; under load the batches fill while the one before is written.
const GATHER: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Tries for a batch once the process has been asked to stop.
const LAST_TRIES: u32 = 5;

/// A click that counts.
#[derive(Clone, Debug)]
pub struct Click {
    pub id: ClickId,
    pub workspace: WorkspaceId,
    pub message: MessageKey,
    pub campaign: Option<CampaignId>,
    pub automation: Option<AutomationId>,
    pub link: u8,
    pub at: Millis,
}

/// Takes clicks without waiting and writes them in batches: the click's row, the message's
/// `clicked_at` and `clicks`, the subscriber's `last_clicked_at`, the event for Klaviyo.
#[derive(Clone, Debug)]
pub struct Recorder {
    to: mpsc::Sender<Item>,
}

#[derive(Debug)]
enum Item {
    Click(Click),
    /// Answered when everything before it is written.
    Flush(oneshot::Sender<()>),
}

impl Recorder {
    /// Starts the writer; it drains and ends when the app stops.
    pub fn start(app: &App) -> Self {
        let (to, from) = mpsc::channel(BUFFER);
        app.spawn(write_all(app.clone(), from));
        Self { to }
    }

    /// Waits only while the buffer is full. Once the process has been asked to stop it gives the
    /// click back: the caller then writes it itself, with [`keep`].
    pub async fn record(&self, click: Click) -> Result<(), Click> {
        match self.to.send(Item::Click(click)).await {
            Ok(()) | Err(mpsc::error::SendError(Item::Flush(_))) => Ok(()),
            Err(mpsc::error::SendError(Item::Click(click))) => Err(click),
        }
    }

    /// Waits until everything recorded so far is written.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.to.send(Item::Flush(done)).await.is_ok() {
            // The writer ends only after it has drained, so a closed channel means written too.
            written.await.ok();
        }
    }
}

/// Writes clicks in one transaction; one that is there already changes nothing.
pub async fn keep(app: &App, clicks: &[Click]) -> anyhow::Result<()> {
    for batch in clicks.chunks(BATCH) {
        let mut tx = app.db.begin().await?;
        let mut changes = Changes::default();
        let reported = write(app, &mut tx, batch, &mut changes).await?;
        changes.write(&mut tx).await?;
        tx.commit().await?;
        telemetry::clicks(u64::try_from(batch.len()).unwrap_or(0));
        if reported {
            app.queue.nudge(Job::Profiles);
        }
    }
    Ok(())
}

async fn write_all(app: App, mut from: mpsc::Receiver<Item>) {
    loop {
        let first = tokio::select! {
            item = from.recv() => item,
            () = app.stop.cancelled(), if !from.is_closed() => {
                // From here on `record` says false; what is in the buffer is still ours.
                from.close();
                continue;
            }
        };
        let Some(first) = first else {
            return;
        };
        let mut clicks = Vec::new();
        let mut waiting = Vec::new();
        sort_in(first, &mut clicks, &mut waiting);
        let until = Instant::now() + GATHER;
        while clicks.len() < BATCH && waiting.is_empty() {
            match timeout_at(until, from.recv()).await {
                Ok(Some(item)) => sort_in(item, &mut clicks, &mut waiting),
                Ok(None) | Err(_) => break,
            }
        }
        write_persistently(&app, &clicks).await;
        for done in waiting {
            done.send(()).ok();
        }
    }
}

fn sort_in(item: Item, clicks: &mut Vec<Click>, waiting: &mut Vec<oneshot::Sender<()>>) {
    match item {
        Item::Click(click) => clicks.push(click),
        Item::Flush(done) => waiting.push(done),
    }
}

/// A batch is given up only when the process must end and the database still refuses.
async fn write_persistently(app: &App, clicks: &[Click]) {
    if clicks.is_empty() {
        return;
    }
    let mut pause = Duration::from_millis(100);
    let mut tries_left = LAST_TRIES;
    while let Err(error) = keep(app, clicks).await {
        if app.stop.is_cancelled() {
            tries_left -= 1;
        }
        if tries_left == 0 {
            tracing::error!(clicks = clicks.len(), %error, "Clicks could not be written and are lost");
            return;
        }
        tracing::warn!(clicks = clicks.len(), %error, "Could not write clicks, trying again");
        tokio::select! {
            () = sleep(pause) => {}
            () = app.stop.cancelled(), if !app.stop.is_cancelled() => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether there is something for Klaviyo now.
async fn write(
    app: &App,
    conn: &mut Conn,
    clicks: &[Click],
    changes: &mut Changes,
) -> anyhow::Result<bool> {
    let mut new = insert(conn, clicks).await?;
    // Removing makes one that is twice in the batch count once.
    let fresh: Vec<&Click> = clicks
        .iter()
        .filter(|click| new.remove(&click.id))
        .collect();
    if fresh.is_empty() {
        return Ok(false);
    }
    mark_messages(app, conn, &fresh, changes).await?;
    count_links(conn, &fresh, changes).await?;
    mark_subscribers(conn, &fresh).await?;
    report(app, conn, &fresh).await
}

/// The ids that were not there yet.
async fn insert(conn: &mut Conn, clicks: &[Click]) -> anyhow::Result<HashSet<ClickId>> {
    let sql = format!(
        "INSERT INTO clicks (id, workspace_id, origin_id, subscriber_id, campaign_id,
             automation_id, link, at)
         VALUES {} ON CONFLICT (id) DO NOTHING RETURNING id",
        placeholders(1, clicks.len(), 8)
    );
    let mut query = sqlx::query_scalar(AssertSqlSafe(sql));
    for click in clicks {
        query = query
            .bind(click.id)
            .bind(click.workspace)
            .bind(click.message.origin)
            .bind(click.message.subscriber)
            .bind(click.campaign)
            .bind(click.automation)
            .bind(i64::from(click.link))
            .bind(click.at);
    }
    Ok(query.fetch_all(conn).await?.into_iter().collect())
}

/// A click proves that the message arrived and was read, whatever the receipts said.
async fn mark_messages(
    app: &App,
    conn: &mut Conn,
    clicks: &[&Click],
    changes: &mut Changes,
) -> anyhow::Result<()> {
    let mut counts: BTreeMap<(WorkspaceId, MessageKey), (i64, Millis)> = BTreeMap::new();
    for click in clicks {
        let entry = counts
            .entry((click.workspace, click.message))
            .or_insert((0, click.at));
        entry.0 += 1;
        entry.1 = entry.1.min(click.at);
    }
    for before in clicked(app, conn, counts.keys().copied()).await? {
        let message = MessageKey {
            origin: OriginId(before.origin_id),
            subscriber: SubscriberId(before.subscriber_id),
        };
        let Some((count, at)) = counts.get(&(before.workspace_id, message)) else {
            continue;
        };
        let mut now = before.clone();
        now.clicks += count;
        now.clicked_at.get_or_insert(*at);
        now.delivered_at.get_or_insert(*at);
        now.read_at.get_or_insert(*at);
        changes.moved(&before, &now);
    }
    let sql = format!(
        "UPDATE messages SET clicks = clicks + v.column4,
             clicked_at = COALESCE(clicked_at, v.column5),
             delivered_at = COALESCE(delivered_at, v.column5),
             read_at = COALESCE(read_at, v.column5)
         FROM (VALUES {}) AS v
         WHERE messages.origin_id = v.column2 AND messages.subscriber_id = v.column3
             AND messages.workspace_id = v.column1",
        placeholders(1, counts.len(), 5)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for ((workspace, message), (count, at)) in counts {
        query = query
            .bind(workspace)
            .bind(message.origin)
            .bind(message.subscriber)
            .bind(count)
            .bind(at);
    }
    query.execute(conn).await?;
    Ok(())
}

/// The messages as they are before the clicks, under our lock.
async fn clicked(
    app: &App,
    conn: &mut Conn,
    messages: impl ExactSizeIterator<Item = (WorkspaceId, MessageKey)>,
) -> sqlx::Result<Vec<Counted>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM (VALUES {}) AS v
         JOIN messages ON messages.origin_id = v.column2 AND messages.subscriber_id = v.column3
             AND messages.workspace_id = v.column1
         ORDER BY origin_id, subscriber_id{}",
        placeholders(1, messages.len(), 3),
        app.db.locking("messages")
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
    for (workspace, message) in messages {
        query = query
            .bind(workspace)
            .bind(message.origin)
            .bind(message.subscriber);
    }
    query.fetch_all(conn).await
}

/// Who had not clicked a link of a campaign before counts as one of its people. The messages stand
/// under our lock, so of two who write at the same moment the second sees the first.
async fn count_links(
    conn: &mut Conn,
    clicks: &[&Click],
    changes: &mut Changes,
) -> sqlx::Result<()> {
    let mut fresh: BTreeMap<(MessageKey, i64), (CampaignId, WorkspaceId, i64)> = BTreeMap::new();
    for click in clicks {
        if let Some(campaign) = click.campaign {
            let key = (click.message, i64::from(click.link));
            fresh.entry(key).or_insert((campaign, click.workspace, 0)).2 += 1;
        }
    }
    if fresh.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT c.origin_id, c.subscriber_id, c.link, COUNT(*) FROM (VALUES {}) AS v
         JOIN clicks c ON c.origin_id = v.column1 AND c.subscriber_id = v.column2
             AND c.link = v.column3
         GROUP BY c.origin_id, c.subscriber_id, c.link",
        placeholders(1, fresh.len(), 3)
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql));
    for (message, link) in fresh.keys() {
        query = query
            .bind(message.origin)
            .bind(message.subscriber)
            .bind(link);
    }
    let rows: Vec<(OriginId, SubscriberId, i64, i64)> = query.fetch_all(conn).await?;
    for (origin, subscriber, link, all) in rows {
        let message = MessageKey { origin, subscriber };
        if let Some((campaign, workspace, clicks)) = fresh.get(&(message, link)) {
            let clicked = Clicked {
                people: i64::from(all == *clicks),
                clicks: *clicks,
            };
            changes.clicked(*workspace, *campaign, link, clicked);
        }
    }
    Ok(())
}

async fn mark_subscribers(conn: &mut Conn, clicks: &[&Click]) -> anyhow::Result<()> {
    let mut last = BTreeMap::new();
    for click in clicks {
        let at = last
            .entry((click.message.subscriber, click.workspace))
            .or_insert(click.at);
        *at = click.at.max(*at);
    }
    let sql = format!(
        "UPDATE subscribers SET last_clicked_at = v.column3
         FROM (VALUES {}) AS v
         WHERE subscribers.id = v.column1 AND subscribers.workspace_id = v.column2
             AND COALESCE(subscribers.last_clicked_at, 0) < v.column3",
        placeholders(1, last.len(), 3)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for ((subscriber, workspace), at) in last {
        query = query.bind(subscriber).bind(workspace).bind(at);
    }
    query.execute(conn).await?;
    Ok(())
}

async fn report(app: &App, conn: &mut Conn, clicks: &[&Click]) -> anyhow::Result<bool> {
    let mut wanted: HashMap<WorkspaceId, bool> = HashMap::new();
    let mut names: HashMap<(WorkspaceId, i64), Option<String>> = HashMap::new();
    let mut reported = false;
    for click in clicks {
        let ws = click.workspace;
        if let Entry::Vacant(unknown) = wanted.entry(ws) {
            unknown.insert(profiles::is_wanted(conn, ws).await?);
        }
        if !wanted.get(&ws).is_some_and(|wanted| *wanted) {
            continue;
        }
        let mut properties = Map::new();
        properties.insert("message_id".into(), click.message.to_string().into());
        properties.insert("link".into(), i64::from(click.link).into());
        let origin = click
            .campaign
            .map(|id| id.0)
            .or(click.automation.map(|id| id.0));
        if let Some(origin) = origin {
            if let Entry::Vacant(unknown) = names.entry((ws, origin)) {
                unknown.insert(name_of(conn, ws, click).await?);
            }
            let name = names.get(&(ws, origin)).cloned().flatten();
            let (kind, id) = match click.campaign {
                Some(campaign) => ("campaign", campaign.to_string()),
                None => (
                    "automation",
                    click
                        .automation
                        .map(|id| id.to_string())
                        .unwrap_or_default(),
                ),
            };
            properties.insert(format!("{kind}_id"), id.into());
            properties.insert(
                format!("{kind}_name"),
                name.map_or(Value::Null, Value::from),
            );
        }
        let event = Report {
            workspace: ws,
            subscriber: click.message.subscriber,
            metric: "Clicked Messenger Message",
            properties,
            value: None,
            at: click.at,
            unique_id: format!("msgr:{}:click:{}", click.message, click.id),
        };
        profiles::report(app, conn, event).await?;
        reported = true;
    }
    Ok(reported)
}

/// The campaign's or automation's name, for people who read the profile at Klaviyo.
async fn name_of(conn: &mut Conn, ws: WorkspaceId, click: &Click) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT name FROM campaigns WHERE workspace_id = $1 AND id = $2
         UNION ALL
         SELECT name FROM automations WHERE workspace_id = $1 AND id = $3",
    )
    .bind(ws)
    .bind(click.campaign)
    .bind(click.automation)
    .fetch_optional(conn)
    .await
}

//! The tallies against the rows. Both are read in one statement, so in one state of the database:
//! a difference is a fault (or what an older version of the program sent while it still ran), and
//! it is mended by adding the difference, which what goes on meanwhile does not disturb.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;

use super::earned::{self, Change};
use super::joins::{self, Joins};
use super::links;
use super::{Changes, Counts, Group};
use crate::app::App;
use crate::clock::{DAY, MINUTE, Millis};
use crate::store::Conn;
use crate::store::ids::{AutomationId, CampaignId, PageRowId, WorkspaceId};

/// A campaign is looked at when it has ended, and once more when most receipts have come.
const RECEIPTS: Millis = 3 * DAY;
/// Automations and people.
const REGULAR: Millis = DAY;
/// Owners of one round, and how long a round goes on taking the next.
const OWNERS: i64 = 20;
const PATIENCE: Duration = Duration::from_secs(2);

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Campaign(CampaignId),
    Automation(AutomationId),
    /// Who joined and left.
    People,
    /// Everything; reads every message, so only for tests and small workspaces.
    Workspace,
}

impl Part {
    /// The messages, the rows of the tallies and the credits it is about; `$2` is its number.
    fn conditions(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Campaign(_) => (
                "origin_id = $2 AND campaign_id = $2",
                "owner_id = $2",
                "c.campaign_id = $2",
            ),
            Self::Automation(_) => (
                "automation_id = $2 AND campaign_id IS NULL",
                "owner_id = $2",
                "c.automation_id = $2 AND c.campaign_id IS NULL",
            ),
            Self::People | Self::Workspace => ("$2 = 0", "$2 = 0", "$2 = 0"),
        }
    }

    fn number(self) -> i64 {
        match self {
            Self::Campaign(id) => id.0,
            Self::Automation(id) => id.0,
            Self::People | Self::Workspace => 0,
        }
    }
}

/// What the tallies lack, in words; empty when they agree with the rows.
pub async fn differences(app: &App, ws: WorkspaceId, part: Part) -> anyhow::Result<Vec<String>> {
    let mut conn = app.db.acquire().await?;
    let found = compare(&mut conn, ws, part).await?;
    Ok(found.words())
}

/// Sets right what differs; how many rows of the tallies did.
pub async fn mend(app: &App, ws: WorkspaceId, part: Part) -> anyhow::Result<usize> {
    {
        let mut conn = app.db.acquire().await?;
        if compare(&mut conn, ws, part).await?.is_empty() {
            return Ok(0);
        }
    }
    let mut tx = app.db.begin().await?;
    // One at a time: two who add the same difference would make another.
    sqlx::query("UPDATE workspaces SET name = name WHERE id = $1")
        .bind(ws)
        .execute(&mut *tx)
        .await?;
    let found = compare(&mut tx, ws, part).await?;
    let rows = found.words().len();
    for (id, people) in &found.people {
        sqlx::query("UPDATE campaigns SET people = $3 WHERE workspace_id = $1 AND id = $2")
            .bind(ws)
            .bind(id)
            .bind(people)
            .execute(&mut *tx)
            .await?;
    }
    earned::upsert(&mut tx, ws, &found.earnings).await?;
    joins::add_notes(app, &mut tx, ws, found.joins).await?;
    found.messages.write(&mut tx).await?;
    tx.commit().await?;
    Ok(rows)
}

/// Compares owners that are due, mends them and says so. Part of the upkeep.
pub async fn recount_due(app: &App) -> anyhow::Result<()> {
    let start = Instant::now();
    for (ws, part, ended_at) in due(app).await? {
        if start.elapsed() > PATIENCE || app.stop.is_cancelled() {
            break;
        }
        let wrong = mend(app, ws, part).await?;
        if wrong > 0 {
            tracing::warn!(workspace.id = %ws, owner = part.number(), rows = wrong, "figures differed from their rows and were mended");
        }
        put_off(app, ws, part, ended_at).await?;
    }
    Ok(())
}

async fn due(app: &App) -> anyhow::Result<Vec<(WorkspaceId, Part, Millis)>> {
    let now = app.clock.now();
    let campaigns: Vec<(WorkspaceId, CampaignId, Millis)> = sqlx::query_as(
        "SELECT workspace_id, id, finished_at FROM campaigns
         WHERE recount_at IS NOT NULL AND recount_at <= $1 AND finished_at IS NOT NULL
           AND finished_at < $2
         ORDER BY recount_at LIMIT $3",
    )
    .bind(now)
    .bind(now - MINUTE)
    .bind(OWNERS)
    .fetch_all(app.db.pool())
    .await?;
    let automations: Vec<(WorkspaceId, AutomationId)> = sqlx::query_as(
        "SELECT workspace_id, id FROM automations
         WHERE deleted_at IS NULL AND recount_at <= $1 ORDER BY recount_at LIMIT $2",
    )
    .bind(now)
    .bind(OWNERS)
    .fetch_all(app.db.pool())
    .await?;
    let workspaces: Vec<(WorkspaceId,)> = sqlx::query_as(
        "SELECT id FROM workspaces WHERE recount_at <= $1 ORDER BY recount_at LIMIT $2",
    )
    .bind(now)
    .bind(OWNERS)
    .fetch_all(app.db.pool())
    .await?;
    let campaigns = campaigns
        .into_iter()
        .map(|(ws, id, ended_at)| (ws, Part::Campaign(id), ended_at));
    let automations = automations
        .into_iter()
        .map(|(ws, id)| (ws, Part::Automation(id), now));
    let workspaces = workspaces.into_iter().map(|(ws,)| (ws, Part::People, now));
    Ok(campaigns.chain(automations).chain(workspaces).collect())
}

async fn put_off(app: &App, ws: WorkspaceId, part: Part, ended_at: Millis) -> sqlx::Result<()> {
    let now = app.clock.now();
    let (sql, next) = match part {
        Part::Campaign(_) => (
            "UPDATE campaigns SET recount_at = $3 WHERE workspace_id = $1 AND id = $2",
            (now < ended_at + RECEIPTS).then_some(ended_at + RECEIPTS),
        ),
        Part::Automation(_) => (
            "UPDATE automations SET recount_at = $3 WHERE workspace_id = $1 AND id = $2",
            Some(now + REGULAR),
        ),
        Part::People => (
            "UPDATE workspaces SET recount_at = $3 WHERE id = $1 AND $2 = 0",
            Some(now + REGULAR),
        ),
        Part::Workspace => return Ok(()),
    };
    sqlx::query(sql)
        .bind(ws)
        .bind(part.number())
        .bind(next)
        .execute(app.db.writer())
        .await?;
    Ok(())
}

/// What must be added to the tallies to make them agree with the rows.
#[derive(Debug, Default)]
struct Found {
    messages: Changes,
    earnings: Vec<Change>,
    /// Campaigns whose frozen audience is another than was written down.
    people: Vec<(CampaignId, i64)>,
    joins: Vec<(Millis, Joins)>,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.words().is_empty()
    }

    fn words(&self) -> Vec<String> {
        let lacks =
            |what: &dyn std::fmt::Debug, n: &dyn std::fmt::Debug| format!("{what:?}: {n:?}");
        let messages = self.messages.messages.iter().map(|(of, n)| lacks(of, n));
        let links = self.messages.links.iter().map(|(of, n)| lacks(of, n));
        let earnings = self.earnings.iter().map(|change| format!("{change:?}"));
        let people = self.people.iter().map(|(of, n)| lacks(of, n));
        let joins = self.joins.iter().map(|(of, n)| lacks(of, n));
        messages
            .chain(links)
            .chain(earnings)
            .chain(people)
            .chain(joins)
            .collect()
    }
}

async fn compare(conn: &mut Conn, ws: WorkspaceId, part: Part) -> anyhow::Result<Found> {
    let mut found = Found::default();
    if matches!(part, Part::People | Part::Workspace) {
        found.joins = joins::compare(conn, ws).await?;
    }
    if part == Part::People {
        return Ok(found);
    }
    found.messages = messages(conn, ws, part).await?;
    found.earnings = earnings(conn, ws, part).await?;
    if !matches!(part, Part::Automation(_)) {
        let links = links::compare(conn, ws, part.number()).await?;
        found.messages.links.extend(links);
        found.people = people(conn, ws, part).await?;
    }
    Ok(found)
}

#[derive(sqlx::FromRow)]
struct Row {
    owner_id: i64,
    page_id: PageRowId,
    status: String,
    reason: String,
    bucket: Millis,
    messages: i64,
    delivered: i64,
    read_: i64,
    clicked: i64,
    clicks: i64,
}

async fn messages(conn: &mut Conn, ws: WorkspaceId, part: Part) -> anyhow::Result<Changes> {
    let (rows, tallies, _) = part.conditions();
    // Skips of a whole queue name no Page, so Pages are compared for what was sent only.
    let sql = format!(
        "SELECT owner_id, page_id, status, reason, bucket,
             CAST(SUM(messages) AS BIGINT) AS messages, CAST(SUM(delivered) AS BIGINT) AS delivered,
             CAST(SUM(read_) AS BIGINT) AS read_, CAST(SUM(clicked) AS BIGINT) AS clicked,
             CAST(SUM(clicks) AS BIGINT) AS clicks
         FROM (
             SELECT owner_id, page_id, status, reason, bucket, COUNT(*) AS messages,
                 COUNT(delivered_at) AS delivered, COUNT(read_at) AS read_,
                 COUNT(clicked_at) AS clicked, CAST(SUM(clicks) AS BIGINT) AS clicks
             FROM (
                 SELECT COALESCE(campaign_id, automation_id) AS owner_id, status,
                     CASE WHEN status IN ('failed', 'skipped') THEN COALESCE(reason, '') ELSE '' END
                         AS reason,
                     CASE WHEN status = 'sent' THEN page_id ELSE 0 END AS page_id,
                     CASE WHEN status = 'sent' THEN COALESCE(sent_at, 0) / 900000 * 900000 ELSE 0 END
                         AS bucket,
                     CASE WHEN status = 'sent' THEN delivered_at END AS delivered_at,
                     CASE WHEN status = 'sent' THEN read_at END AS read_at,
                     CASE WHEN status = 'sent' THEN clicked_at END AS clicked_at,
                     CASE WHEN status = 'sent' THEN clicks ELSE 0 END AS clicks
                 FROM messages
                 WHERE workspace_id = $1 AND {rows} AND status NOT IN ('queued', 'sending')
                   AND (campaign_id IS NOT NULL OR automation_id IS NOT NULL)) AS ended
             GROUP BY owner_id, page_id, status, reason, bucket
             UNION ALL
             SELECT owner_id, CASE WHEN status = 'sent' THEN page_id ELSE 0 END, status, reason,
                 bucket, -messages, -delivered, -read_, -clicked, -clicks
             FROM tallies WHERE workspace_id = $1 AND {tallies}) AS sides
         GROUP BY owner_id, page_id, status, reason, bucket
         HAVING SUM(messages) <> 0 OR SUM(delivered) <> 0 OR SUM(read_) <> 0 OR SUM(clicked) <> 0
             OR SUM(clicks) <> 0"
    );
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(ws)
        .bind(part.number())
        .fetch_all(conn)
        .await?;
    let change = |row: Row| {
        let group = Group {
            owner: row.owner_id,
            status: row.status,
            reason: row.reason,
            bucket: row.bucket,
            page: row.page_id,
            workspace: ws,
        };
        let counts = Counts {
            messages: row.messages,
            delivered: row.delivered,
            read: row.read_,
            clicked: row.clicked,
            clicks: row.clicks,
        };
        (group, counts)
    };
    Ok(Changes {
        messages: rows.into_iter().map(change).collect(),
        ..Changes::default()
    })
}

async fn earnings(conn: &mut Conn, ws: WorkspaceId, part: Part) -> anyhow::Result<Vec<Change>> {
    let (_, tallies, credits) = part.conditions();
    let sql = format!(
        "SELECT owner_id, MAX(automated) AS automated, currency, bucket,
             CAST(SUM(orders) AS BIGINT) AS orders, CAST(SUM(total) AS BIGINT) AS total,
             CAST(SUM(refunded) AS BIGINT) AS refunded
         FROM (
             SELECT COALESCE(c.campaign_id, c.automation_id, 0) AS owner_id,
                 CAST(CASE WHEN c.automation_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS automated,
                 o.currency, o.ordered_at / 900000 * 900000 AS bucket, CAST(1 AS BIGINT) AS orders,
                 o.total, o.refunded
             FROM credits c JOIN orders o ON o.id = c.order_id AND o.workspace_id = c.workspace_id
             WHERE c.workspace_id = $1 AND {credits}
             UNION ALL
             SELECT owner_id, automated, currency, bucket, -orders, -total, -refunded
             FROM earnings WHERE workspace_id = $1 AND {tallies}) AS sides
         GROUP BY owner_id, currency, bucket
         HAVING SUM(orders) <> 0 OR SUM(total) <> 0 OR SUM(refunded) <> 0"
    );
    let rows = sqlx::query_as(AssertSqlSafe(sql))
        .bind(ws)
        .bind(part.number())
        .fetch_all(conn)
        .await?;
    Ok(rows)
}

async fn people(
    conn: &mut Conn,
    ws: WorkspaceId,
    part: Part,
) -> anyhow::Result<Vec<(CampaignId, i64)>> {
    let rows = sqlx::query_as(
        "SELECT id, people FROM (
             SELECT c.id, c.people AS noted, (SELECT COUNT(*) FROM messages m
                 WHERE m.origin_id = c.id AND m.campaign_id = c.id) AS people
             FROM campaigns c
             WHERE c.workspace_id = $1 AND ($2 = 0 OR c.id = $2) AND c.launched_at IS NOT NULL
         ) AS counted
         WHERE noted IS NULL OR noted <> people",
    )
    .bind(ws)
    .bind(part.number())
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

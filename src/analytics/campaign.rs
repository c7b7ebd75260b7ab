//! What became of a campaign's or an automation's messages. Counted from the rows, so a figure and
//! its list agree; tests and cards carry no campaign and are not counted.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Instant;

use sqlx::AssertSqlSafe;

use crate::analytics::kept::Kept;
use crate::app::App;
use crate::store::ids::{AutomationId, CampaignId, WorkspaceId};
use crate::store::placeholders;

/// Counts of messages and what they earned. queued + sending + sent + failed + skipped + unknown =
/// the audience; delivered, read and clicked are parts of sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub queued: i64,
    pub sending: i64,
    pub sent: i64,
    pub delivered: i64,
    pub read: i64,
    /// People who clicked.
    pub clicked: i64,
    /// All their clicks.
    pub clicks: i64,
    pub failed: i64,
    pub skipped: i64,
    pub unknown: i64,
    /// Reason and number, largest first.
    pub skipped_why: Vec<(String, i64)>,
    pub failed_why: Vec<(String, i64)>,
    pub orders: i64,
    /// Minor units per currency, the largest gross first.
    pub revenue: Vec<Revenue>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revenue {
    pub currency: String,
    pub gross: i64,
    pub refunded: i64,
}

impl Revenue {
    pub fn net(&self) -> i64 {
        self.gross - self.refunded
    }
}

impl Figures {
    pub fn audience(&self) -> i64 {
        self.queued + self.sending + self.sent + self.failed + self.skipped + self.unknown
    }

    /// Those whose message has come to an end.
    pub fn handled(&self) -> i64 {
        self.audience() - self.queued - self.sending
    }

    fn add(&mut self, group: Group) {
        match group.status.as_str() {
            "queued" => self.queued += group.messages,
            "sending" => self.sending += group.messages,
            "failed" => {
                self.failed += group.messages;
                self.failed_why.push((group.reason, group.messages));
            }
            "skipped" => {
                self.skipped += group.messages;
                self.skipped_why.push((group.reason, group.messages));
            }
            "unknown" => self.unknown += group.messages,
            _ => {
                self.sent += group.messages;
                self.delivered += group.delivered;
                self.read += group.read_;
                self.clicked += group.clicked;
                self.clicks += group.clicks;
            }
        }
    }

    fn sort(&mut self) {
        for why in [&mut self.skipped_why, &mut self.failed_why] {
            why.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        }
        sort_revenue(&mut self.revenue);
    }
}

pub(super) fn sort_revenue(revenue: &mut [Revenue]) {
    revenue.sort_by(|a, b| {
        b.gross
            .cmp(&a.gross)
            .then_with(|| a.currency.cmp(&b.currency))
    });
}

/// Clicks on one link of a campaign's message.
#[derive(Clone, Debug)]
pub struct LinkClicks {
    pub link: i64,
    pub people: i64,
    pub clicks: i64,
}

/// Messages of one owner that share a status and a reason.
#[derive(sqlx::FromRow)]
struct Group {
    owner: i64,
    status: String,
    reason: String,
    messages: i64,
    delivered: i64,
    read_: i64,
    clicked: i64,
    clicks: i64,
}

/// Which column of `messages` and `credits` names the owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Campaign,
    Automation,
}

impl Owner {
    fn column(self) -> &'static str {
        match self {
            Self::Campaign => "campaign_id",
            Self::Automation => "automation_id",
        }
    }
}

pub async fn campaign(app: &App, ws: WorkspaceId, id: CampaignId) -> anyhow::Result<Figures> {
    one(app, ws, Owner::Campaign, id.0).await
}

/// For a page of campaigns at once, in the order of `ids`.
pub async fn campaigns(
    app: &App,
    ws: WorkspaceId,
    ids: &[CampaignId],
) -> anyhow::Result<Vec<Figures>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    count(app, ws, Owner::Campaign, &ids).await
}

pub async fn automation(app: &App, ws: WorkspaceId, id: AutomationId) -> anyhow::Result<Figures> {
    one(app, ws, Owner::Automation, id.0).await
}

/// As [`campaigns`].
pub async fn automations(
    app: &App,
    ws: WorkspaceId,
    ids: &[AutomationId],
) -> anyhow::Result<Vec<Figures>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    count(app, ws, Owner::Automation, &ids).await
}

pub async fn campaign_links(
    app: &App,
    ws: WorkspaceId,
    id: CampaignId,
) -> anyhow::Result<Vec<LinkClicks>> {
    let rows: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT link, COUNT(DISTINCT subscriber_id), COUNT(*) FROM clicks
         WHERE campaign_id = $2 AND workspace_id = $1 GROUP BY link ORDER BY link",
    )
    .bind(ws)
    .bind(id)
    .fetch_all(app.db.pool())
    .await?;
    let clicks = |(link, people, clicks)| LinkClicks {
        link,
        people,
        clicks,
    };
    Ok(rows.into_iter().map(clicks).collect())
}

async fn one(app: &App, ws: WorkspaceId, owner: Owner, id: i64) -> anyhow::Result<Figures> {
    let mut figures = count(app, ws, owner, &[id]).await?;
    Ok(figures.pop().unwrap_or_default())
}

/// Counts those that were not counted lately.
async fn count(
    app: &App,
    ws: WorkspaceId,
    owner: Owner,
    ids: &[i64],
) -> anyhow::Result<Vec<Figures>> {
    static KEPT: LazyLock<Kept<(WorkspaceId, Owner, i64), Figures>> = LazyLock::new(Kept::new);
    let mut known: HashMap<i64, Figures> = HashMap::new();
    for id in ids {
        if let Some(figures) = KEPT.get(&(ws, owner, *id)) {
            known.insert(*id, figures);
        }
    }
    let missing: Vec<i64> = ids
        .iter()
        .copied()
        .filter(|id| !known.contains_key(id))
        .collect();
    let began = Instant::now();
    for (id, figures) in missing
        .iter()
        .zip(count_rows(app, ws, owner, &missing).await?)
    {
        KEPT.keep((ws, owner, *id), &figures, figures.audience(), began);
        known.insert(*id, figures);
    }
    Ok(ids
        .iter()
        .map(|id| known.get(id).cloned().unwrap_or_default())
        .collect())
}

async fn count_rows(
    app: &App,
    ws: WorkspaceId,
    owner: Owner,
    ids: &[i64],
) -> anyhow::Result<Vec<Figures>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let column = owner.column();
    // A campaign is the origin of its messages, and by that they are found.
    let key = match owner {
        Owner::Campaign => "origin_id",
        Owner::Automation => "automation_id",
    };
    let listed = placeholders(2, 1, ids.len());
    let mut found: HashMap<i64, Figures> = HashMap::new();

    let sql = format!(
        "SELECT {key} AS owner, status, COALESCE(reason, '') AS reason,
             COUNT(*) AS messages, COUNT(delivered_at) AS delivered, COUNT(read_at) AS read_,
             COUNT(clicked_at) AS clicked, CAST(COALESCE(SUM(clicks), 0) AS BIGINT) AS clicks
         FROM messages WHERE workspace_id = $1 AND {key} IN {listed}
         GROUP BY {key}, status, COALESCE(reason, '')"
    );
    let mut query = sqlx::query_as::<_, Group>(AssertSqlSafe(sql)).bind(ws);
    for id in ids {
        query = query.bind(*id);
    }
    for group in query.fetch_all(app.db.pool()).await? {
        found.entry(group.owner).or_default().add(group);
    }

    let sql = format!(
        "SELECT c.{column}, o.currency, COUNT(*), CAST(COALESCE(SUM(o.total), 0) AS BIGINT),
             CAST(COALESCE(SUM(o.refunded), 0) AS BIGINT)
         FROM credits c JOIN orders o ON o.id = c.order_id
         WHERE c.workspace_id = $1 AND o.workspace_id = $1 AND c.{column} IN {listed}
         GROUP BY c.{column}, o.currency"
    );
    let mut query = sqlx::query_as::<_, (i64, String, i64, i64, i64)>(AssertSqlSafe(sql)).bind(ws);
    for id in ids {
        query = query.bind(*id);
    }
    for (id, currency, orders, gross, refunded) in query.fetch_all(app.db.pool()).await? {
        let figures = found.entry(id).or_default();
        figures.orders += orders;
        figures.revenue.push(Revenue {
            currency,
            gross,
            refunded,
        });
    }
    let take = |id: &i64| {
        let mut figures = found.remove(id).unwrap_or_default();
        figures.sort();
        figures
    };
    Ok(ids.iter().map(take).collect())
}

//! What became of a campaign's or an automation's messages: read from the tallies that the writers
//! keep, so it takes as long for a million as for ten. Tests and cards carry no campaign and are not
//! counted.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;

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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Campaign,
    Automation,
}

/// The frozen audience as the group `people`, what is on its way, and what has ended: in one
/// statement, so that they are of one moment and what is left over is queued. Without a note of the
/// audience the queue itself is counted.
const CAMPAIGNS: &str = "SELECT id AS owner, 'people' AS status, '' AS reason, people AS messages,
        CAST(0 AS BIGINT) AS delivered, CAST(0 AS BIGINT) AS read_, CAST(0 AS BIGINT) AS clicked,
        CAST(0 AS BIGINT) AS clicks
    FROM campaigns WHERE workspace_id = $1 AND people IS NOT NULL AND id IN {listed}
    UNION ALL
    SELECT m.campaign_id, 'queued', '', COUNT(*), 0, 0, 0, 0
    FROM messages m JOIN campaigns c ON c.id = m.campaign_id AND c.people IS NULL
    WHERE m.workspace_id = $1 AND m.status = 'queued' AND m.campaign_id IS NOT NULL
      AND m.campaign_id IN {listed}
    GROUP BY m.campaign_id
    UNION ALL
    SELECT campaign_id, 'sending', '', COUNT(*), 0, 0, 0, 0
    FROM messages
    WHERE workspace_id = $1 AND status = 'sending' AND lease_until > 0 AND campaign_id IN {listed}
    GROUP BY campaign_id";

const AUTOMATIONS: &str = "SELECT automation_id AS owner, status, '' AS reason,
        COUNT(*) AS messages, CAST(0 AS BIGINT) AS delivered, CAST(0 AS BIGINT) AS read_,
        CAST(0 AS BIGINT) AS clicked, CAST(0 AS BIGINT) AS clicks
    FROM messages
    WHERE workspace_id = $1 AND automation_id IN {listed} AND automation_id IS NOT NULL
      AND status IN ('queued', 'sending')
    GROUP BY automation_id, status";

const ENDED: &str = " UNION ALL
    SELECT owner_id, status, reason, CAST(SUM(messages) AS BIGINT), CAST(SUM(delivered) AS BIGINT),
        CAST(SUM(read_) AS BIGINT), CAST(SUM(clicked) AS BIGINT), CAST(SUM(clicks) AS BIGINT)
    FROM tallies WHERE workspace_id = $1 AND owner_id IN {listed}
    GROUP BY owner_id, status, reason";

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
        "SELECT link, people, clicks FROM link_tallies
         WHERE campaign_id = $2 AND workspace_id = $1 AND clicks > 0 ORDER BY link",
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

async fn count(
    app: &App,
    ws: WorkspaceId,
    owner: Owner,
    ids: &[i64],
) -> anyhow::Result<Vec<Figures>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let listed = placeholders(2, 1, ids.len());
    let open = match owner {
        Owner::Campaign => CAMPAIGNS,
        Owner::Automation => AUTOMATIONS,
    };
    let sql = format!("{open}{ENDED}").replace("{listed}", &listed);
    let mut query = sqlx::query_as::<_, Group>(AssertSqlSafe(sql)).bind(ws);
    for id in ids {
        query = query.bind(*id);
    }
    let mut found: HashMap<i64, Figures> = HashMap::new();
    let mut people: HashMap<i64, i64> = HashMap::new();
    for group in query.fetch_all(app.db.pool()).await? {
        if group.status == "people" {
            people.insert(group.owner, group.messages);
        } else if group.messages != 0 {
            found.entry(group.owner).or_default().add(group);
        }
    }
    for (id, people) in people {
        let figures = found.entry(id).or_default();
        figures.queued = (people - figures.audience()).max(0);
    }
    for earned in earnings(app, ws, ids).await? {
        let figures = found.entry(earned.owner_id).or_default();
        figures.orders += earned.orders;
        figures.revenue.push(Revenue {
            currency: earned.currency,
            gross: earned.total,
            refunded: earned.refunded,
        });
    }
    let take = |id: &i64| {
        let mut figures = found.remove(id).unwrap_or_default();
        figures.sort();
        figures
    };
    Ok(ids.iter().map(take).collect())
}

#[derive(sqlx::FromRow)]
struct Earnings {
    owner_id: i64,
    currency: String,
    orders: i64,
    total: i64,
    refunded: i64,
}

async fn earnings(app: &App, ws: WorkspaceId, ids: &[i64]) -> sqlx::Result<Vec<Earnings>> {
    let sql = format!(
        "SELECT owner_id, currency, CAST(SUM(orders) AS BIGINT) AS orders,
             CAST(SUM(total) AS BIGINT) AS total, CAST(SUM(refunded) AS BIGINT) AS refunded
         FROM earnings WHERE workspace_id = $1 AND owner_id IN {}
         GROUP BY owner_id, currency HAVING SUM(orders) <> 0",
        placeholders(2, 1, ids.len())
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(ws);
    for id in ids {
        query = query.bind(*id);
    }
    query.fetch_all(app.db.pool()).await
}

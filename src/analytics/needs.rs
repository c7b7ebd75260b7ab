//! What needs the merchant: connections in trouble, decisions that wait, first steps not taken.

use super::stopped::stopped;
use crate::app::App;
use crate::clock::DAY;
use crate::store::ids::{CampaignId, WorkspaceId};
use crate::workspaces;

/// What needs the merchant, most urgent first.
#[derive(Clone, Debug)]
pub struct Needs {
    /// `bad`, `warn` or `mute`.
    pub tone: &'static str,
    pub title: String,
    pub detail: String,
    /// Button text and path, if there is something to press.
    pub action: Option<(String, String)>,
}

/// Campaigns named one by one; the list has the others.
const CAMPAIGNS: i64 = 5;

impl Needs {
    fn new(tone: &'static str, title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            tone,
            title: title.into(),
            detail: detail.into(),
            action: None,
        }
    }

    fn with(mut self, button: &str, path: impl Into<String>) -> Self {
        self.action = Some((button.to_owned(), path.into()));
        self
    }
}

pub async fn needs(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<Needs>> {
    let mut found = connections(app, ws).await?;
    found.extend(campaigns(app, ws).await?);
    for stopped in stopped(app, ws, None).await? {
        let path = format!("/app/automations/{}", stopped.automation);
        found.push(Needs::new("warn", stopped.name, stopped.words).with("Open automation", path));
    }
    found.extend(leftovers(app, ws).await?);
    found.extend(first_steps(app, ws).await?);
    found.extend(plan(app, ws).await?);
    let rank = |needs: &Needs| match needs.tone {
        "bad" => 0,
        "warn" => 1,
        _ => 2,
    };
    found.sort_by_key(rank);
    Ok(found)
}

async fn connections(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<Needs>> {
    let mut found = Vec::new();
    let pages: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT name, attention FROM pages
         WHERE workspace_id = $1 AND disconnected_at IS NULL AND state <> 'active' ORDER BY id",
    )
    .bind(ws)
    .fetch_all(app.db.pool())
    .await?;
    for (name, attention) in pages {
        let words = attention.unwrap_or_else(|| {
            "Nothing is sent from this Page until it is connected again.".to_owned()
        });
        found.push(
            Needs::new("bad", format!("Connect {name} again"), words)
                .with("Connections", "/app/connections"),
        );
    }
    if let Some((state, attention)) = workspaces::klaviyo_state(app, ws).await?
        && state != "active"
    {
        let words = attention.unwrap_or_else(|| {
            "Segments are not synced and events are kept until it is connected again.".to_owned()
        });
        found.push(
            Needs::new("bad", "Connect Klaviyo again", words)
                .with("Connections", "/app/connections"),
        );
    }
    Ok(found)
}

async fn campaigns(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<Needs>> {
    let rows: Vec<(CampaignId, String, String)> = sqlx::query_as(
        "SELECT id, name, attention FROM campaigns
         WHERE workspace_id = $1 AND attention IS NOT NULL
           AND status NOT IN ('finished', 'cancelled')
         ORDER BY id DESC LIMIT $2",
    )
    .bind(ws)
    .bind(CAMPAIGNS)
    .fetch_all(app.db.pool())
    .await?;
    let needs = |(id, name, attention): (CampaignId, String, String)| {
        Needs::new("warn", name, attention).with("Open campaign", format!("/app/campaigns/{id}"))
    };
    Ok(rows.into_iter().map(needs).collect())
}

async fn leftovers(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<Needs>> {
    let mut found = Vec::new();
    let failed: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM webhooks WHERE workspace_id = $1 AND error IS NOT NULL",
    )
    .bind(ws)
    .fetch_one(app.db.pool())
    .await?;
    if failed > 0 {
        found.push(
            Needs::new(
                "warn",
                counted(
                    failed,
                    "webhook was not understood",
                    "webhooks were not understood",
                ),
                "They are kept with their errors and can be played again.",
            )
            .with("Webhooks", "/app/webhooks?failed=1"),
        );
    }
    let unknown: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM messages WHERE workspace_id = $1 AND status = 'unknown'",
    )
    .bind(ws)
    .fetch_one(app.db.pool())
    .await?;
    if unknown > 0 {
        found.push(Needs::new(
            "mute",
            counted(
                unknown,
                "message may or may not have arrived",
                "messages may or may not have arrived",
            ),
            "The connection to Meta broke while they were sent. A receipt settles them; they are \
             never sent twice.",
        ));
    }
    Ok(found)
}

async fn first_steps(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<Needs>> {
    let mut found = Vec::new();
    let exists = |sql: &'static str| async move {
        let row: Option<(i64,)> = sqlx::query_as(sql)
            .bind(ws)
            .fetch_optional(app.db.pool())
            .await?;
        anyhow::Ok(row.is_some())
    };
    let page = "SELECT id FROM pages WHERE workspace_id = $1 AND disconnected_at IS NULL LIMIT 1";
    let shop = "SELECT id FROM shops WHERE workspace_id = $1 AND uninstalled_at IS NULL LIMIT 1";
    let subscriber = "SELECT id FROM subscribers
         WHERE workspace_id = $1 AND opted_in_at IS NOT NULL LIMIT 1";
    let has_page = exists(page).await?;
    if !has_page {
        found.push(
            Needs::new(
                "warn",
                "Connect your Facebook Page",
                "Messages come from your Page; without it nobody can opt in.",
            )
            .with("Connections", "/app/connections"),
        );
    }
    if !exists(shop).await? {
        found.push(
            Needs::new(
                "warn",
                "Connect your shop",
                "Orders are credited to messages once Shopify tells us about them.",
            )
            .with("Connections", "/app/connections"),
        );
    }
    if has_page && !exists(subscriber).await? {
        found.push(
            Needs::new(
                "mute",
                "Find your first subscribers",
                "Make an opt-in link or a QR code and put it where your customers are.",
            )
            .with("Opt-in links", "/app/opt-in-links"),
        );
    }
    Ok(found)
}

/// A step down to a smaller plan is told while the former one still holds.
async fn plan(app: &App, ws: WorkspaceId) -> anyhow::Result<Option<Needs>> {
    let standing = workspaces::plan(app, ws).await?;
    let Some((former, until)) = standing.and_then(|standing| standing.grace) else {
        return Ok(None);
    };
    let days = (until - app.clock.now()).div_euclid(DAY) + 1;
    let title = format!("Your former plan {} ends soon", former.name);
    let detail = format!(
        "It holds for {} more. After that the smaller plan’s limits apply to campaigns that are \
         scheduled then.",
        counted(days, "day", "days")
    );
    Ok(Some(
        Needs::new("warn", title, detail).with("See the plan", "/app/plan"),
    ))
}

fn counted(n: i64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

//! From evidence to credit: which clicks there are, whose they are, and the one row that says so.

use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::attribution::credit::{self, MatchedBy, Touch};
use crate::attribution::evidence::{Evidence, Origin};
use crate::clock::{DAY, MINUTE, Millis};
use crate::links::Tags;
use crate::profiles::{self, Report};
use crate::shopify::money::decimal;
use crate::store::ids::{
    AutomationId, CampaignId, ClickId, MessageKey, OrderId, OriginId, SubscriberId, WorkspaceId,
};
use crate::store::{Conn, placeholders};

/// Clicks of one customer that are looked at; more in one window is no shopper.
const CLICKS: i64 = 200;

/// An order as it is kept.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Kept {
    pub id: OrderId,
    pub workspace_id: WorkspaceId,
    pub shop_order_id: String,
    pub name: String,
    pub customer_id: Option<String>,
    pub email_hash: Option<String>,
    pub checkout_token: Option<String>,
    pub click_ref: Option<String>,
    pub utm_id: Option<String>,
    pub source_name: Option<String>,
    pub test: i64,
    pub total: i64,
    pub currency: String,
    pub ordered_at: Millis,
    pub created_at: Millis,
    pub journey_due_at: Option<Millis>,
}

impl Kept {
    /// Test orders and those made by hand or at the counter are owed to no message.
    pub(super) fn may_be_credited(&self) -> bool {
        let by_hand = matches!(
            self.source_name.as_deref(),
            Some("pos" | "shopify_draft_order")
        );
        self.test == 0 && !by_hand
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has its credit, now or since long.
    Credited,
    /// Nothing fits.
    None,
    /// The order names a click that is not written yet.
    ClickMissing,
}

/// Everyone in the workspace whom the shopper may be.
pub(super) async fn subscribers_of(
    conn: &mut Conn,
    order: &Kept,
    phone_hash: Option<&str>,
) -> anyhow::Result<Vec<SubscriberId>> {
    let found = sqlx::query_scalar(
        "SELECT id FROM subscribers WHERE workspace_id = $1 AND customer_id = $2
         UNION SELECT id FROM subscribers WHERE workspace_id = $1 AND email_hash = $3
         UNION SELECT id FROM subscribers WHERE workspace_id = $1 AND phone_hash = $4
         UNION SELECT id FROM subscribers WHERE workspace_id = $1 AND checkout_token = $5",
    )
    .bind(order.workspace_id)
    .bind(&order.customer_id)
    .bind(&order.email_hash)
    .bind(phone_hash)
    .bind(&order.checkout_token)
    .fetch_all(conn)
    .await?;
    Ok(found)
}

/// Gives the order its one credit, if a touch fits. A credit that is there is never moved.
pub(super) async fn give_credit(
    app: &App,
    conn: &mut Conn,
    order: &Kept,
    evidence: &Evidence,
    subscribers: &[SubscriberId],
) -> anyhow::Result<Verdict> {
    if !order.may_be_credited() {
        return Ok(Verdict::None);
    }
    if has_credit(conn, order).await? {
        return Ok(Verdict::Credited);
    }
    let window: i64 =
        sqlx::query_scalar("SELECT attribution_window_days FROM workspaces WHERE id = $1")
            .bind(order.workspace_id)
            .fetch_one(&mut *conn)
            .await?;
    let mut touches = Vec::new();
    let mut missing = false;
    for (click, matched_by) in &evidence.clicks {
        match clicked_at(conn, order.workspace_id, *click).await? {
            Some(at) => touches.push(Touch {
                click: *click,
                at,
                matched_by: *matched_by,
            }),
            None => missing = true,
        }
    }
    touches.extend(touches_of(conn, order, evidence, subscribers, window).await?);
    let Some(chosen) = credit::choose(&touches, order.ordered_at, window) else {
        return Ok(if missing {
            Verdict::ClickMissing
        } else {
            Verdict::None
        });
    };
    if insert(app, conn, order, chosen, window).await? {
        report(app, conn, order).await?;
    }
    Ok(Verdict::Credited)
}

async fn has_credit(conn: &mut Conn, order: &Kept) -> anyhow::Result<bool> {
    let credit: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM credits WHERE order_id = $1 AND workspace_id = $2")
            .bind(order.id)
            .bind(order.workspace_id)
            .fetch_optional(conn)
            .await?;
    Ok(credit.is_some())
}

/// Another workspace's click is no click.
async fn clicked_at(
    conn: &mut Conn,
    ws: WorkspaceId,
    click: ClickId,
) -> anyhow::Result<Option<Millis>> {
    let at = sqlx::query_scalar("SELECT at FROM clicks WHERE id = $1 AND workspace_id = $2")
        .bind(click)
        .bind(ws)
        .fetch_optional(conn)
        .await?;
    Ok(at)
}

/// The shopper's own clicks; one for what the order's `utm_id` or `utm_campaign` names counts as
/// named by it.
async fn touches_of(
    conn: &mut Conn,
    order: &Kept,
    evidence: &Evidence,
    subscribers: &[SubscriberId],
    window_days: i64,
) -> anyhow::Result<Vec<Touch>> {
    if subscribers.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT c.id, c.at, c.campaign_id, c.automation_id, p.utm,
                COALESCE(p.name, a.name, '') AS name
         FROM clicks c
         LEFT JOIN campaigns p ON p.id = c.campaign_id AND p.workspace_id = c.workspace_id
         LEFT JOIN automations a ON a.id = c.automation_id AND a.workspace_id = c.workspace_id
         -- By the person, not by all clicks of the window.
         WHERE +c.workspace_id = $1 AND c.at >= $2 AND c.at <= $3 AND c.subscriber_id IN {}
         ORDER BY c.at DESC LIMIT $4",
        placeholders(5, 1, subscribers.len())
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql))
        .bind(order.workspace_id)
        .bind(order.ordered_at - window_days * DAY)
        .bind(order.ordered_at + 5 * MINUTE)
        .bind(CLICKS);
    for subscriber in subscribers {
        query = query.bind(subscriber);
    }
    let clicks: Vec<Clicked> = query.fetch_all(conn).await?;
    let mut touches = Vec::new();
    for clicked in clicks {
        let by_id = evidence.origins.iter().filter(|(origin, _)| match origin {
            Origin::Campaign(id) => clicked.campaign_id == Some(*id),
            Origin::Automation(id) => clicked.automation_id == Some(*id),
        });
        let by_name = evidence
            .names
            .iter()
            .filter(|(name, _)| clicked.is_tagged(name));
        let ways = by_id
            .map(|(_, matched_by)| *matched_by)
            .chain(by_name.map(|(_, matched_by)| *matched_by))
            .chain([MatchedBy::Customer]);
        touches.extend(ways.map(|matched_by| Touch {
            click: clicked.id,
            at: clicked.at,
            matched_by,
        }));
    }
    Ok(touches)
}

/// A click and how the link it was on was tagged.
#[derive(sqlx::FromRow)]
struct Clicked {
    id: ClickId,
    at: Millis,
    campaign_id: Option<CampaignId>,
    automation_id: Option<AutomationId>,
    name: String,
    utm: Option<String>,
}

impl Clicked {
    /// Whether its link carried this `utm_campaign`.
    fn is_tagged(&self, campaign: &str) -> bool {
        let id = match (self.campaign_id, self.automation_id) {
            (Some(id), _) => id.to_string(),
            (None, Some(id)) => id.to_string(),
            (None, None) => return false,
        };
        let utm = self.utm.as_deref().map(serde_json::from_str);
        let utm: Vec<(String, String)> = utm.and_then(Result::ok).unwrap_or_default();
        let tags = Tags::new(&self.name, &id, &utm).utm;
        tags.iter()
            .any(|(key, value)| key == "utm_campaign" && value.to_lowercase() == campaign)
    }
}

/// `true` if the credit is new.
async fn insert(
    app: &App,
    conn: &mut Conn,
    order: &Kept,
    touch: &Touch,
    window_days: i64,
) -> anyhow::Result<bool> {
    let inserted = sqlx::query(
        "INSERT INTO credits (order_id, workspace_id, campaign_id, automation_id, origin_id,
             subscriber_id, click_id, touch_kind, touch_at, matched_by, window_days, credited_at)
         SELECT $1, workspace_id, campaign_id, automation_id, origin_id, subscriber_id, id,
             'click', at, $2, $3, $4
         FROM clicks WHERE id = $5 AND workspace_id = $6
         ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(order.id)
    .bind(touch.matched_by.as_str())
    .bind(window_days)
    .bind(app.clock.now())
    .bind(touch.click)
    .bind(order.workspace_id)
    .execute(conn)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Tells Klaviyo what the message earned; never as "Placed Order", which the shop itself reports.
async fn report(app: &App, conn: &mut Conn, order: &Kept) -> anyhow::Result<()> {
    #[derive(sqlx::FromRow)]
    struct Credit {
        subscriber_id: SubscriberId,
        origin_id: OriginId,
        campaign_id: Option<CampaignId>,
        campaign_name: Option<String>,
        automation_id: Option<AutomationId>,
        automation_name: Option<String>,
    }
    let credit: Credit = sqlx::query_as(
        "SELECT c.subscriber_id, c.origin_id, c.campaign_id, p.name AS campaign_name,
             c.automation_id, a.name AS automation_name
         FROM credits c
         LEFT JOIN campaigns p ON p.id = c.campaign_id AND p.workspace_id = c.workspace_id
         LEFT JOIN automations a ON a.id = c.automation_id AND a.workspace_id = c.workspace_id
         WHERE c.order_id = $1 AND c.workspace_id = $2",
    )
    .bind(order.id)
    .bind(order.workspace_id)
    .fetch_one(&mut *conn)
    .await?;
    let message = MessageKey {
        origin: credit.origin_id,
        subscriber: credit.subscriber_id,
    };
    let pairs = [
        ("order_id", Some(order.shop_order_id.clone())),
        ("order_name", Some(order.name.clone())),
        ("message_id", Some(message.to_string())),
        ("campaign_id", credit.campaign_id.map(|id| id.to_string())),
        ("campaign_name", credit.campaign_name),
        (
            "automation_id",
            credit.automation_id.map(|id| id.to_string()),
        ),
        ("automation_name", credit.automation_name),
    ];
    let properties: Map<String, Value> = pairs
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
        .collect();
    let event = Report {
        workspace: order.workspace_id,
        subscriber: credit.subscriber_id,
        metric: "Placed Order from Messenger",
        properties,
        value: Some((
            decimal(order.total, &order.currency),
            order.currency.clone(),
        )),
        at: order.ordered_at,
        unique_id: order.shop_order_id.clone(),
    };
    profiles::report(app, conn, event).await
}

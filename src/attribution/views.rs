//! Orders for lists and the API, each with the credit it may carry.

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{AutomationId, CampaignId, OrderId, SubscriberId, WorkspaceId};
use crate::store::page::{Cursor, Page};

/// An order for lists and the API; money in minor units.
#[derive(Clone, Debug)]
pub struct Order {
    pub id: OrderId,
    pub shop_order_id: String,
    pub name: String,
    pub total: i64,
    /// Never more than `total`; all of it for a cancelled order.
    pub refunded: i64,
    pub currency: String,
    pub ordered_at: Millis,
    pub cancelled_at: Option<Millis>,
    pub credit: Option<CreditView>,
}

#[derive(Clone, Debug)]
pub struct CreditView {
    pub campaign: Option<CampaignId>,
    pub automation: Option<AutomationId>,
    /// The campaign's or automation's name.
    pub name: String,
    pub subscriber: SubscriberId,
    pub subscriber_name: Option<String>,
    /// `click`, or `code` where the message's discount code was used.
    pub touch_kind: String,
    pub touch_at: Millis,
    pub matched_by: String,
    pub window_days: i64,
}

#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Only those with (or, `false`, without) a credit.
    pub credited: Option<bool>,
    pub campaign: Option<CampaignId>,
    pub automation: Option<AutomationId>,
    pub subscriber: Option<SubscriberId>,
}

/// The columns of [`Row`], from orders narrowed by `$rest`.
macro_rules! orders {
    ($rest:literal) => {
        concat!(
            "SELECT o.id, o.shop_order_id, o.name, o.total, o.refunded, o.currency, o.ordered_at,
             o.cancelled_at, c.campaign_id, c.automation_id, p.name AS campaign_name,
             a.name AS automation_name, c.subscriber_id, s.first_name, s.last_name, c.touch_kind,
             c.touch_at, c.matched_by, c.window_days
         FROM orders o
         LEFT JOIN credits c ON c.order_id = o.id AND c.workspace_id = o.workspace_id
         LEFT JOIN campaigns p ON p.id = c.campaign_id AND p.workspace_id = o.workspace_id
         LEFT JOIN automations a ON a.id = c.automation_id AND a.workspace_id = o.workspace_id
         LEFT JOIN subscribers s ON s.id = c.subscriber_id AND s.workspace_id = o.workspace_id ",
            $rest
        )
    };
}

pub async fn find(app: &App, ws: WorkspaceId, id: OrderId) -> anyhow::Result<Option<Order>> {
    let row: Option<Row> = sqlx::query_as(orders!("WHERE o.workspace_id = $1 AND o.id = $2"))
        .bind(ws)
        .bind(id)
        .fetch_optional(app.db.pool())
        .await?;
    Ok(row.map(Order::from))
}

impl OrderFilter {
    /// Each form walks one index backwards. A credit is named by its order, so credits lead to
    /// their orders in the order of the list.
    fn statement(&self) -> &'static str {
        if self.credited == Some(false) {
            // Whoever asks for uncredited orders of somebody gets none.
            return orders!(
                "WHERE o.workspace_id = $1 AND o.id < $2 AND c.order_id IS NULL
                     AND $4 + $5 + $6 = 0
                 ORDER BY o.id DESC LIMIT $3"
            );
        }
        match (self.campaign, self.automation, self.subscriber) {
            (Some(_), _, _) => orders!(
                "WHERE o.workspace_id = $1 AND c.workspace_id = $1 AND c.order_id < $2
                     AND c.campaign_id = $4 AND c.campaign_id IS NOT NULL
                     AND ($5 = 0 OR c.automation_id = $5) AND ($6 = 0 OR c.subscriber_id = $6)
                 ORDER BY c.order_id DESC LIMIT $3"
            ),
            (_, Some(_), _) => orders!(
                "WHERE o.workspace_id = $1 AND c.workspace_id = $1 AND c.order_id < $2
                     AND c.automation_id = $5 AND c.automation_id IS NOT NULL AND $4 = 0
                     AND ($6 = 0 OR c.subscriber_id = $6)
                 ORDER BY c.order_id DESC LIMIT $3"
            ),
            (_, _, Some(_)) => orders!(
                "WHERE o.workspace_id = $1 AND c.workspace_id = $1 AND c.order_id < $2
                     AND c.subscriber_id = $6 AND $4 = 0 AND $5 = 0
                 ORDER BY c.order_id DESC LIMIT $3"
            ),
            _ if self.credited == Some(true) => orders!(
                "WHERE o.workspace_id = $1 AND c.workspace_id = $1 AND c.order_id < $2
                     AND $4 + $5 + $6 = 0
                 ORDER BY c.order_id DESC LIMIT $3"
            ),
            _ => orders!(
                "WHERE o.workspace_id = $1 AND o.id < $2 AND $4 + $5 + $6 = 0
                 ORDER BY o.id DESC LIMIT $3"
            ),
        }
    }
}

/// Newest first.
pub async fn list(
    app: &App,
    ws: WorkspaceId,
    filter: &OrderFilter,
    cursor: Cursor,
) -> anyhow::Result<Page<Order>> {
    let rows: Vec<Row> = sqlx::query_as(filter.statement())
        .bind(ws)
        .bind(cursor.after.unwrap_or(i64::MAX))
        .bind(cursor.limit + 1)
        .bind(filter.campaign.map_or(0, |id| id.0))
        .bind(filter.automation.map_or(0, |id| id.0))
        .bind(filter.subscriber.map_or(0, |id| id.0))
        .fetch_all(app.db.pool())
        .await?;
    let page = cursor.cut(rows, |row| row.id.0);
    Ok(Page {
        rows: page.rows.into_iter().map(Order::from).collect(),
        next: page.next,
    })
}

#[derive(sqlx::FromRow)]
struct Row {
    id: OrderId,
    shop_order_id: String,
    name: String,
    total: i64,
    refunded: i64,
    currency: String,
    ordered_at: Millis,
    cancelled_at: Option<Millis>,
    campaign_id: Option<CampaignId>,
    automation_id: Option<AutomationId>,
    campaign_name: Option<String>,
    automation_name: Option<String>,
    subscriber_id: Option<SubscriberId>,
    first_name: Option<String>,
    last_name: Option<String>,
    touch_kind: Option<String>,
    touch_at: Option<Millis>,
    matched_by: Option<String>,
    window_days: Option<i64>,
}

impl From<Row> for Order {
    fn from(row: Row) -> Self {
        let names: Vec<String> = [row.first_name, row.last_name]
            .into_iter()
            .flatten()
            .filter(|name| !name.is_empty())
            .collect();
        let credit = row
            .subscriber_id
            .zip(row.touch_at)
            .map(|(subscriber, touch_at)| CreditView {
                campaign: row.campaign_id,
                automation: row.automation_id,
                name: row
                    .campaign_name
                    .or(row.automation_name)
                    .unwrap_or_default(),
                subscriber,
                subscriber_name: (!names.is_empty()).then(|| names.join(" ")),
                touch_kind: row.touch_kind.unwrap_or_default(),
                touch_at,
                matched_by: row.matched_by.unwrap_or_default(),
                window_days: row.window_days.unwrap_or_default(),
            });
        Self {
            id: row.id,
            shop_order_id: row.shop_order_id,
            name: row.name,
            total: row.total,
            refunded: row.refunded,
            currency: row.currency,
            ordered_at: row.ordered_at,
            cancelled_at: row.cancelled_at,
            credit,
        }
    }
}

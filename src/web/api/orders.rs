//! Orders, each with the campaign or automation it is credited to.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::attribution::{self, CreditView, OrderFilter};
use crate::clock::rfc3339;
use crate::store::ids::{AutomationId, CampaignId, OrderId, SubscriberId};
use crate::web::Web;
use crate::web::api::access::Caller;
use crate::web::api::campaigns::one_of;
use crate::web::api::problem::Problem;
use crate::web::api::request::{Id, Params, cursor};
use crate::web::api::shapes::{Listed, Money};

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Order {
    #[schema(example = "ord_0t2zq3k5s0w2m")]
    id: String,
    /// The shop's own id.
    shop_order_id: String,
    #[schema(example = "#1001")]
    name: String,
    total: Money,
    /// Never more than the total; all of it once the order is cancelled.
    refunded: Money,
    ordered_at: String,
    cancelled_at: Option<String>,
    /// Null when no message of ours led to it.
    attribution: Option<Attribution>,
}

/// Why the order is credited, and to whom.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Attribution {
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    automation_id: Option<String>,
    subscriber_id: String,
    touch: Touch,
    /// `click_id`, `landing_site`, `journey`, `pixel`, `customer` or `discount_code`, in the order of
    /// trust.
    matched_by: String,
    /// Days after the touch in which an order counted when this was decided.
    window_days: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Touch {
    /// `click`.
    kind: String,
    at: String,
}

impl From<CreditView> for Attribution {
    fn from(credit: CreditView) -> Self {
        Self {
            campaign_id: credit.campaign.map(|id| id.to_string()),
            automation_id: credit.automation.map(|id| id.to_string()),
            subscriber_id: credit.subscriber.to_string(),
            touch: Touch {
                kind: credit.touch_kind,
                at: rfc3339(credit.touch_at),
            },
            matched_by: credit.matched_by,
            window_days: credit.window_days,
        }
    }
}

impl From<attribution::Order> for Order {
    fn from(order: attribution::Order) -> Self {
        Self {
            id: order.id.to_string(),
            shop_order_id: order.shop_order_id,
            name: order.name,
            total: Money::new(order.total, &order.currency),
            refunded: Money::new(order.refunded, &order.currency),
            ordered_at: rfc3339(order.ordered_at),
            cancelled_at: order.cancelled_at.map(rfc3339),
            attribution: order.credit.map(Attribution::from),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OrderList {
    /// `true`: only credited orders; `false`: only the others.
    #[param(value_type = Option<bool>)]
    attributed: Option<String>,
    /// Only those credited to this campaign.
    campaign_id: Option<String>,
    /// Only those credited to this automation.
    automation_id: Option<String>,
    /// Only those credited to this subscriber's messages.
    subscriber_id: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 50 when absent.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

fn id<T: std::str::FromStr>(name: &str, text: Option<&str>) -> Result<Option<T>, Problem> {
    text.map(|text| {
        text.parse()
            .map_err(|_| Problem::parameter(name, "There is nothing with this id."))
    })
    .transpose()
}

/// List orders
///
/// Newest first.
#[utoipa::path(get, path = "/orders", tag = "Orders", params(OrderList),
    responses((status = 200, description = "One page.", body = Listed<Order>)))]
pub(super) async fn list_orders(
    State(web): State<Web>,
    caller: Caller,
    Params(query): Params<OrderList>,
) -> Result<Json<Listed<Order>>, Problem> {
    let cursor = cursor(query.cursor.as_deref(), query.limit.as_deref())?;
    one_of(
        "attributed",
        query.attributed.as_deref(),
        &["true", "false"],
    )?;
    let filter = OrderFilter {
        credited: query.attributed.map(|word| word == "true"),
        campaign: id::<CampaignId>("campaign_id", query.campaign_id.as_deref())?,
        automation: id::<AutomationId>("automation_id", query.automation_id.as_deref())?,
        subscriber: id::<SubscriberId>("subscriber_id", query.subscriber_id.as_deref())?,
    };
    let page = attribution::list(&web.app, caller.0, &filter, cursor).await?;
    Ok(Json(Listed::of(page, Order::from)))
}

/// Get an order
#[utoipa::path(get, path = "/orders/{id}", tag = "Orders", params(("id" = String, Path)),
    responses((status = 200, description = "The order.", body = Order)))]
pub(super) async fn get_order(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<OrderId>,
) -> Result<Json<Order>, Problem> {
    let order = attribution::find(&web.app, caller.0, id).await?;
    let order = order.ok_or_else(|| Problem::not_found("There is no such order."))?;
    Ok(Json(order.into()))
}

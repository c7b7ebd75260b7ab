//! Orders, and which message each is owed to, or why to none.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::app::App;
use crate::attribution::{self, CreditView, Order, OrderFilter};
use crate::clock::{DAY, HOUR, MINUTE, Millis};
use crate::store::ids::{AutomationId, CampaignId, OrderId, SubscriberId};
use crate::web::Web;
use crate::web::pages::{Failure, Frame, Outcome, Session, Tab, cursor, href, page, plural};
use crate::{automations, campaigns, subscribers, workspaces};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/orders", get(list))
        .route("/app/orders/{id}", get(show))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    /// `yes`, `no` or nothing.
    credited: String,
    campaign: String,
    automation: String,
    subscriber: String,
    cursor: String,
}

#[derive(Template)]
#[template(path = "orders/list.html")]
struct List {
    frame: Frame,
    sub: String,
    tabs: Vec<Tab>,
    filtered: bool,
    only: Option<Only>,
    none: &'static str,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
    zone: String,
}

/// The one campaign, automation or person whose orders are shown.
struct Only {
    before: &'static str,
    href: String,
    text: String,
}

struct Row {
    id: String,
    name: String,
    cancelled: bool,
    when: String,
    credit: Option<Credit>,
    total: String,
    refunded: String,
    net: String,
}

struct Credit {
    about: String,
    about_href: String,
    kind: &'static str,
    subscriber: String,
    person: String,
    matched: &'static str,
    matched_sentence: &'static str,
    touched: String,
    /// `6 minutes after the click`.
    after: String,
    window: String,
}

#[derive(Template)]
#[template(path = "orders/order.html")]
struct Detail {
    frame: Frame,
    name: String,
    when: String,
    cancelled: Option<String>,
    in_shop: Option<String>,
    credit: Option<Credit>,
    journey: &'static str,
    window: String,
    total: String,
    refunded: String,
    net: String,
    zone: String,
}

async fn list(
    State(web): State<Web>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Outcome<Response> {
    let app = &web.app;
    let filter = filter(&asked)?;
    let only = only(app, &session, &filter).await?;
    let found = attribution::list(
        app,
        session.workspace.id,
        &filter,
        cursor(&asked.cursor)?,
    )
    .await?;
    let to = |credited: &str, cursor: &str| {
        href(
            "/app/orders",
            &[
                ("credited", credited),
                ("campaign", &asked.campaign),
                ("automation", &asked.automation),
                ("subscriber", &asked.subscriber),
                ("cursor", cursor),
            ],
        )
    };
    // Of one campaign, automation or person only credited orders are known: no choice to offer.
    let tabs = if only.is_some() {
        Vec::new()
    } else {
        [("", "All"), ("yes", "Owed to a message"), ("no", "Owed to none")]
            .into_iter()
            .map(|(key, label)| Tab::new(label, to(key, ""), asked.credited == key))
            .collect()
    };
    page(&List {
        sub: format!(
            "Every order of the shop, and the message it is owed to: the last one clicked within {} before it.",
            days_words(session.workspace.attribution_window_days)
        ),
        tabs,
        filtered: only.is_some() || !asked.credited.is_empty() || !asked.cursor.is_empty(),
        none: match (asked.credited.as_str(), only.is_some()) {
            (_, true) => "No order is owed to it yet. Orders appear here within seconds of their payment.",
            ("yes", _) => "No order has been owed to a message yet.",
            ("no", _) => "Every order is owed to a message.",
            _ => "You have seen them all.",
        },
        only,
        rows: found.rows.iter().map(|order| row(&session, order)).collect(),
        first: (!asked.cursor.is_empty()).then(|| to(&asked.credited, "")),
        next: found.next.as_deref().map(|next| to(&asked.credited, next)),
        zone: session.zone_words(),
        frame: session.frame("orders"),
    })
}

async fn show(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
) -> Outcome<Response> {
    let app = &web.app;
    let ws = session.workspace.id;
    let id: OrderId = id.parse().map_err(|_| Failure::NotFound)?;
    let order = attribution::find(app, ws, id)
        .await?
        .ok_or(Failure::NotFound)?;
    let shop = workspaces::shop(app, ws).await?;
    let money = |minor: i64| session.money(minor, &order.currency);
    // Shopify tells a journey late; we ask again for a day.
    let young = order.ordered_at + DAY > app.clock.now();
    page(&Detail {
        name: order.name.clone(),
        when: session.time(order.ordered_at),
        cancelled: order.cancelled_at.map(|at| session.time(at)),
        in_shop: shop.map(|shop| format!("https://{}/admin/orders/{}", shop.domain, order.shop_order_id)),
        credit: order.credit.as_ref().map(|c| credit(&session, &order, c)),
        journey: if young {
            "Nothing of ours in it so far. Shopify can be late with it, so we ask again within a day of the order."
        } else {
            "Nothing of ours in it, or Shopify recorded none."
        },
        window: days_words(session.workspace.attribution_window_days),
        total: money(order.total),
        refunded: money(order.refunded),
        net: money(order.total - order.refunded),
        zone: session.zone_words(),
        frame: session.frame("orders"),
    })
}

/// Reads the filter; an id that is none of ours leads nowhere rather than to all orders.
fn filter(asked: &Asked) -> Outcome<OrderFilter> {
    fn id<T: std::str::FromStr>(text: &str) -> Outcome<Option<T>> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| Failure::NotFound)
    }
    Ok(OrderFilter {
        credited: match asked.credited.as_str() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
        campaign: id::<CampaignId>(&asked.campaign)?,
        automation: id::<AutomationId>(&asked.automation)?,
        subscriber: id::<SubscriberId>(&asked.subscriber)?,
    })
}

async fn only(app: &App, session: &Session, filter: &OrderFilter) -> Outcome<Option<Only>> {
    let ws = session.workspace.id;
    if let Some(id) = filter.campaign {
        let campaign = campaigns::find(app, ws, id)
            .await
            .map_err(|_| Failure::NotFound)?;
        return Ok(Some(Only {
            before: "Only orders owed to the campaign",
            href: format!("/app/campaigns/{id}"),
            text: campaign.name,
        }));
    }
    if let Some(id) = filter.automation {
        let text = match automations::find(app, ws, id).await {
            Ok(automation) => automation.name,
            // Its orders outlive a deleted automation.
            Err(automations::Error::NotFound) => "that was deleted".to_owned(),
            Err(error) => return Err(anyhow::Error::from(error).into()),
        };
        return Ok(Some(Only {
            before: "Only orders owed to the automation",
            href: format!("/app/automations/{id}"),
            text,
        }));
    }
    if let Some(id) = filter.subscriber {
        let subscriber = subscribers::find(app, ws, id)
            .await?
            .ok_or(Failure::NotFound)?;
        return Ok(Some(Only {
            before: "Only orders owed to a message to",
            href: format!("/app/subscribers/{id}"),
            text: super::subscribers::name(&subscriber),
        }));
    }
    Ok(None)
}

fn row(session: &Session, order: &Order) -> Row {
    let money = |minor: i64| session.money(minor, &order.currency);
    Row {
        id: order.id.to_string(),
        name: order.name.clone(),
        cancelled: order.cancelled_at.is_some(),
        when: session.time(order.ordered_at),
        credit: order.credit.as_ref().map(|c| credit(session, order, c)),
        total: money(order.total),
        refunded: if order.refunded == 0 {
            String::new()
        } else {
            money(order.refunded)
        },
        net: money(order.total - order.refunded),
    }
}

fn credit(session: &Session, order: &Order, credit: &CreditView) -> Credit {
    let (about_href, kind) = match (credit.campaign, credit.automation) {
        (Some(id), _) => (format!("/app/campaigns/{id}"), "campaign"),
        (None, Some(id)) => (format!("/app/automations/{id}"), "automation"),
        (None, None) => ("/app/orders".to_owned(), "message"),
    };
    let (matched, matched_sentence) = matched_words(&credit.matched_by);
    Credit {
        about: credit.name.clone(),
        about_href,
        kind,
        subscriber: credit.subscriber.to_string(),
        person: credit
            .subscriber_name
            .clone()
            .filter(|name| !name.trim().is_empty())
            .unwrap_or_else(|| "Name not known".to_owned()),
        matched,
        matched_sentence,
        touched: session.time(credit.touch_at),
        after: format!(
            "{} after the click",
            span_words(order.ordered_at - credit.touch_at)
        ),
        window: days_words(credit.window_days),
    }
}

/// How the click was found, short and as a sentence.
pub(super) fn matched_words(matched_by: &str) -> (&'static str, &'static str) {
    match matched_by {
        "click_id" => (
            "our click id on the order",
            "Matched by our click id, which the shop kept on the order: the surest way.",
        ),
        "landing_site" => (
            "our tags in the first address",
            "Matched by our tags in the address where the visit to the shop began.",
        ),
        "journey" => (
            "Shopify’s customer journey",
            "Matched by the journey that Shopify recorded for this customer.",
        ),
        "customer" => (
            "the customer’s own click",
            "Matched by a click of the subscriber who is this customer.",
        ),
        _ => ("a click", "Matched by a click."),
    }
}

fn days_words(days: i64) -> String {
    plural(days, "day", "days")
}

/// A span in its largest unit: `6 minutes`, `3 hours`, `2 days`.
pub(super) fn span_words(span: Millis) -> String {
    match span.max(0) {
        s if s < MINUTE => "less than a minute".to_owned(),
        s if s < HOUR => plural(s / MINUTE, "minute", "minutes"),
        s if s < DAY => plural(s / HOUR, "hour", "hours"),
        s => plural(s / DAY, "day", "days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_largest_unit() {
        assert_eq!(span_words(-5), "less than a minute");
        assert_eq!(span_words(MINUTE), "1 minute");
        assert_eq!(span_words(6 * MINUTE + 900), "6 minutes");
        assert_eq!(span_words(3 * HOUR), "3 hours");
        assert_eq!(span_words(2 * DAY + HOUR), "2 days");
    }

    #[test]
    fn an_id_that_is_none_leads_nowhere() {
        let asked = Asked {
            campaign: "cmp_nonsense".to_owned(),
            ..Asked::default()
        };
        assert!(matches!(filter(&asked), Err(Failure::NotFound)));
    }
}

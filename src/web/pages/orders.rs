//! Orders, and which message each is owed to, or why to none.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use serde::Deserialize;

use crate::app::App;
use crate::attribution::{self, CreditView, Order, OrderFilter};
use crate::clock::{DAY, HOUR, MINUTE, Millis};
use crate::store::ids::{AutomationId, CampaignId, OrderId, SubscriberId};
use crate::store::page::Page;
use crate::web::Web;
use crate::web::pages::answer::{Answer, page};
use crate::web::pages::error::Error;
use crate::web::pages::format::Format;
use crate::web::pages::listing::{self, Tab, cursor};
use crate::web::pages::parts::{Pager, address};
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::web::pages::words;
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
    shell: Shell,
    sub: String,
    tabs: Vec<Tab>,
    filtered: bool,
    only: Option<Only>,
    none: &'static str,
    rows: Vec<Row>,
    pager: Option<Pager>,
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
    /// `clicked in`.
    did: &'static str,
    /// `6 minutes after the click`.
    after: String,
    window: String,
}

#[derive(Template)]
#[template(path = "orders/order.html")]
struct Detail {
    shell: Shell,
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

async fn list(State(web): State<Web>, session: Session, Query(asked): Query<Asked>) -> Answer {
    let app = &web.app;
    let filter = filter(&asked)?;
    let only = only(app, &session, &filter).await?;
    let found =
        attribution::list(app, session.workspace.id, &filter, cursor(&asked.cursor)?).await?;
    page(&listed(&session, &asked, only, &found))
}

fn listed(session: &Session, asked: &Asked, only: Option<Only>, found: &Page<Order>) -> List {
    let f = &session.format();
    let to = |credited: &str| {
        address(
            "/app/orders",
            &[
                ("credited", credited),
                ("campaign", &asked.campaign),
                ("automation", &asked.automation),
                ("subscriber", &asked.subscriber),
            ],
        )
    };
    // Of one campaign, automation or person only credited orders are known: no choice to offer.
    let tabs = if only.is_some() {
        Vec::new()
    } else {
        [
            ("", "All"),
            ("yes", "Owed to a message"),
            ("no", "Owed to none"),
        ]
        .into_iter()
        .map(|(key, label)| Tab::new(label, to(key), asked.credited == key))
        .collect()
    };
    List {
        sub: format!(
            "Every order of the shop, and the message it is owed to: the last one clicked within {} before it.",
            days_words(session.workspace.attribution_window_days)
        ),
        tabs,
        filtered: only.is_some() || !asked.credited.is_empty() || !asked.cursor.is_empty(),
        none: match (asked.credited.as_str(), only.is_some()) {
            (_, true) => {
                "No order is owed to it yet. Orders appear here within seconds of their payment."
            }
            ("yes", _) => "No order has been owed to a message yet.",
            ("no", _) => "Every order is owed to a message.",
            _ => "You have seen them all.",
        },
        only,
        rows: found.rows.iter().map(|order| row(f, order)).collect(),
        pager: listing::pager(
            "/app/orders",
            &[
                ("credited", &asked.credited),
                ("campaign", &asked.campaign),
                ("automation", &asked.automation),
                ("subscriber", &asked.subscriber),
            ],
            &asked.cursor,
            found,
        ),
        zone: f.zone(),
        shell: session.shell(Nav::Orders, "Orders"),
    }
}

async fn show(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let app = &web.app;
    let ws = session.workspace.id;
    let id: OrderId = id.parse().map_err(|_| Error::NotFound)?;
    let order = attribution::find(app, ws, id)
        .await?
        .ok_or(Error::NotFound)?;
    let shop = workspaces::shop(app, ws).await?;
    let domain = shop.as_ref().map(|shop| shop.domain.as_str());
    page(&detail(&session, &order, domain))
}

fn detail(session: &Session, order: &Order, shop: Option<&str>) -> Detail {
    let f = &session.format();
    let money = |minor: i64| f.money(minor, &order.currency);
    // Shopify tells a journey late; we ask again for a day.
    let young = order.ordered_at + DAY > f.now();
    Detail {
        name: order.name.clone(),
        when: f.time(order.ordered_at),
        cancelled: order.cancelled_at.map(|at| f.time(at)),
        in_shop: shop.map(|shop| format!("https://{shop}/admin/orders/{}", order.shop_order_id)),
        credit: order.credit.as_ref().map(|c| credit(f, order, c)),
        journey: if young {
            "Nothing of ours in it so far. Shopify can be late with it, so we ask again within a day of the order."
        } else {
            "Nothing of ours in it, or Shopify recorded none."
        },
        window: days_words(session.workspace.attribution_window_days),
        total: money(order.total),
        refunded: money(order.refunded),
        net: money(order.total - order.refunded),
        zone: f.zone(),
        shell: session.shell(Nav::Orders, format!("Order {}", order.name)),
    }
}

/// Reads the filter; an id that is none of ours leads nowhere rather than to all orders.
fn filter(asked: &Asked) -> Result<OrderFilter, Error> {
    fn id<T: std::str::FromStr>(text: &str) -> Result<Option<T>, Error> {
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| Error::NotFound)
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

async fn only(app: &App, session: &Session, filter: &OrderFilter) -> Result<Option<Only>, Error> {
    let ws = session.workspace.id;
    if let Some(id) = filter.campaign {
        let campaign = campaigns::find(app, ws, id)
            .await
            .map_err(|_| Error::NotFound)?;
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
            Err(error) => return Err(error.into()),
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
            .ok_or(Error::NotFound)?;
        return Ok(Some(Only {
            before: "Only orders owed to a message to",
            href: format!("/app/subscribers/{id}"),
            text: super::subscribers::name(&subscriber),
        }));
    }
    Ok(None)
}

fn row(f: &Format, order: &Order) -> Row {
    let money = |minor: i64| f.money(minor, &order.currency);
    Row {
        id: order.id.to_string(),
        name: order.name.clone(),
        cancelled: order.cancelled_at.is_some(),
        when: f.time(order.ordered_at),
        credit: order.credit.as_ref().map(|c| credit(f, order, c)),
        total: money(order.total),
        refunded: if order.refunded == 0 {
            String::new()
        } else {
            money(order.refunded)
        },
        net: money(order.total - order.refunded),
    }
}

fn credit(f: &Format, order: &Order, credit: &CreditView) -> Credit {
    let (about_href, kind) = match (credit.campaign, credit.automation) {
        (Some(id), _) => (format!("/app/campaigns/{id}"), "campaign"),
        (None, Some(id)) => (format!("/app/automations/{id}"), "automation"),
        (None, None) => ("/app/orders".to_owned(), "message"),
    };
    let matched = matched(&credit.matched_by);
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
        matched: matched.short,
        matched_sentence: matched.sentence,
        touched: f.time(credit.touch_at),
        did: match credit.touch_kind.as_str() {
            "code" => "got the code with",
            _ => "clicked in",
        },
        after: words::sentence(&format!(
            "{} after the {}",
            span_words(order.ordered_at - credit.touch_at),
            touch_words(&credit.touch_kind)
        )),
        window: days_words(credit.window_days),
    }
}

/// How the click was found.
pub(super) struct Matched {
    /// For a column.
    pub(super) short: &'static str,
    /// After "Matched by".
    pub(super) phrase: &'static str,
    pub(super) sentence: &'static str,
}

pub(super) fn matched(matched_by: &str) -> Matched {
    let (short, phrase, sentence) = match matched_by {
        "click_id" => (
            "Click id",
            "our click id on the order",
            "Matched by our click id, which the shop kept on the order: the surest way.",
        ),
        "landing_site" => (
            "First address",
            "our tags in the first address",
            "Matched by our tags in the address where the visit to the shop began.",
        ),
        "journey" => (
            "Journey",
            "Shopify’s customer journey",
            "Matched by the journey that Shopify recorded for this customer.",
        ),
        "pixel" => (
            "Pixel",
            "our pixel at the checkout",
            "Matched by our pixel, which saw the click’s visit end in this checkout.",
        ),
        "customer" => (
            "Customer",
            "the customer’s own click",
            "Matched by a click of the subscriber who is this customer.",
        ),
        "discount_code" => (
            "Code",
            "the message’s discount code",
            "Matched by the discount code that only this message carried to this customer.",
        ),
        _ => ("Click", "a click", "Matched by a click."),
    };
    Matched {
        short,
        phrase,
        sentence,
    }
}

/// What a credit goes back to.
pub(super) fn touch_words(touch_kind: &str) -> &'static str {
    match touch_kind {
        "code" => "message",
        _ => "click",
    }
}

fn days_words(days: i64) -> String {
    words::count(days, "day", "days")
}

/// A span in its largest unit: `6 minutes`, `3 hours`, `2 days`.
pub(super) fn span_words(span: Millis) -> String {
    match span.max(0) {
        s if s < MINUTE => "less than a minute".to_owned(),
        s if s < HOUR => words::count(s / MINUTE, "minute", "minutes"),
        s if s < DAY => words::count(s / HOUR, "hour", "hours"),
        s => words::count(s / DAY, "day", "days"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

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
        assert!(matches!(filter(&asked), Err(Error::NotFound)));
    }

    fn order(credit: bool) -> Order {
        Order {
            id: OrderId(9),
            shop_order_id: "5001".to_owned(),
            name: "#41873".to_owned(),
            total: 6800,
            refunded: 1800,
            currency: "USD".to_owned(),
            ordered_at: NOW - HOUR,
            cancelled_at: (!credit).then_some(NOW),
            credit: credit.then(|| CreditView {
                campaign: Some(CampaignId(3)),
                automation: None,
                name: "Cold brew <kit>".to_owned(),
                subscriber: SubscriberId(4),
                subscriber_name: None,
                touch_kind: "click".to_owned(),
                touch_at: NOW - HOUR - 6 * MINUTE,
                matched_by: "click_id".to_owned(),
                window_days: 5,
            }),
        }
    }

    #[test]
    fn a_credited_order_says_by_which_click_and_window() {
        let html = html(&detail(
            &session(),
            &order(true),
            Some("pine.myshopify.com"),
        ));
        clean(&html);
        for part in [
            "Cold brew &#60;kit&#62;",
            "6 minutes after the click, inside the window of 5 days",
            "Matched by our click id",
            "https://pine.myshopify.com/admin/orders/5001",
            "Name not known",
            &format!("/app/campaigns/{}", CampaignId(3)),
        ] {
            assert!(html.contains(part), "{part}");
        }
    }

    #[test]
    fn an_order_without_credit_says_where_we_looked() {
        let html = html(&detail(&session(), &order(false), None));
        clean(&html);
        assert!(html.contains("Owed to no message"));
        assert!(html.contains("we ask again within a day"));
        assert!(!html.contains("/admin/orders/"));
    }

    #[test]
    fn the_list_keeps_its_filter_from_page_to_page() {
        let asked = Asked {
            credited: "yes".to_owned(),
            ..Asked::default()
        };
        let found = Page {
            rows: vec![order(true), order(false)],
            next: Some("zz".to_owned()),
        };
        let list = html(&listed(&session(), &asked, None, &found));
        clean(&list);
        assert!(list.contains("/app/orders?credited=yes&#38;cursor=zz"));
        let none = Page {
            rows: Vec::new(),
            next: None,
        };
        let empty = html(&listed(&session(), &Asked::default(), None, &none));
        clean(&empty);
        assert!(empty.contains("No order has come in yet"));
        let only = Only {
            before: "Only orders owed to the campaign",
            href: "/app/campaigns/x".to_owned(),
            text: "Autumn".to_owned(),
        };
        let narrowed = html(&listed(&session(), &Asked::default(), Some(only), &none));
        clean(&narrowed);
        assert!(narrowed.contains("No order is owed to it yet"));
    }
}

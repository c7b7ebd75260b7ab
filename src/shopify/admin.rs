//! The Admin GraphQL API, throttle-aware; every query stands in `queries/` and is checked against
//! the schema by a test.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::read::{list, text, time};
use super::{Client, Error, ShopDomain};
use crate::clock::Millis;

/// Pages of moments that are read; a shopper who came more often did so in vain.
const MOMENT_PAGES: usize = 4;

/// The shop as its merchant set it up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShopInfo {
    pub name: String,
    /// ISO 4217.
    pub currency: Option<String>,
    /// IANA name, `Europe/Berlin`.
    pub timezone: Option<String>,
    /// The storefront's address.
    pub url: Option<String>,
    pub plan: Option<String>,
    /// A development store: its orders are no revenue.
    pub is_development: bool,
}

/// What led to an order, as Shopify saw it: the last visit first, then the others, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journey {
    /// False until Shopify has attributed the order: ask again in 5 min, 1 h, 24 h.
    pub ready: bool,
    pub visits: Vec<Visit>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    pub at: Option<Millis>,
    pub landing_page: Option<String>,
    /// From the address's `ref`, `source` or `r`.
    pub referral_code: Option<String>,
    pub source: Option<String>,
    pub utm: Utm,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Utm {
    pub source: Option<String>,
    pub medium: Option<String>,
    pub campaign: Option<String>,
    pub content: Option<String>,
    pub term: Option<String>,
}

/// A webhook subscription made through the API (those of `shopify.app.toml` are not listed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub id: String,
    /// The enum's spelling, `ORDERS_CREATE`.
    pub topic: String,
    pub uri: String,
}

impl Client {
    pub async fn shop_info(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
    ) -> Result<ShopInfo, Error> {
        let query = include_str!("queries/shop_info.graphql");
        let data: Value = self.graphql(shop, token, query, json!({})).await?;
        Ok(read_shop(data.get("shop").unwrap_or(&Value::Null), shop))
    }

    /// The journey of an order; `None` when Shopify does not know the order.
    pub async fn order_journey(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        order_id: i64,
    ) -> Result<Option<Journey>, Error> {
        let query = include_str!("queries/order_journey.graphql");
        let mut journey: Option<Journey> = None;
        let mut after: Option<String> = None;
        for _ in 0..MOMENT_PAGES {
            let id = format!("gid://shopify/Order/{order_id}");
            let variables = json!({ "id": id, "after": after });
            let data: Value = self.graphql(shop, token, query, variables).await?;
            let Some(order) = data.get("order").filter(|order| order.is_object()) else {
                return Ok(None);
            };
            let summary = &order["customerJourneySummary"];
            let page = read_journey(summary);
            let whole = journey.get_or_insert_with(Journey::default);
            whole.ready = page.ready;
            for visit in page.visits {
                if !whole.visits.contains(&visit) {
                    whole.visits.push(visit);
                }
            }
            let info = &summary["moments"]["pageInfo"];
            let next = text(info, "endCursor").filter(|_| info["hasNextPage"] == true);
            if next.is_none() || next == after {
                break;
            }
            after = next;
        }
        Ok(journey)
    }

    /// Subscribes the shop to a topic (the enum's spelling). A subscription that exists already
    /// is as good.
    pub async fn webhook_subscribe(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        topic: &str,
        uri: &str,
    ) -> Result<(), Error> {
        let query = include_str!("queries/webhook_subscribe.graphql");
        let variables = json!({ "topic": topic, "uri": uri });
        match self.graphql::<Value>(shop, token, query, variables).await {
            Ok(data) if data["webhookSubscriptionCreate"].is_object() => Ok(()),
            Ok(_) => Err(Error::Refused(format!("{topic}: no reason given"))),
            Err(Error::Refused(words)) if words.contains("already been taken") => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub async fn webhook_subscriptions(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
    ) -> Result<Vec<Subscription>, Error> {
        let query = include_str!("queries/webhook_subscriptions.graphql");
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let variables = json!({ "after": after });
            let data: Value = self.graphql(shop, token, query, variables).await?;
            let connection = &data["webhookSubscriptions"];
            found.extend(
                list(connection, "nodes")
                    .iter()
                    .filter_map(read_subscription),
            );
            let info = &connection["pageInfo"];
            let next = text(info, "endCursor").filter(|_| info["hasNextPage"] == true);
            if next.is_none() || next == after {
                return Ok(found);
            }
            after = next;
        }
    }

    /// The scopes the merchant granted.
    pub async fn access_scopes(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
    ) -> Result<Vec<String>, Error> {
        let query = include_str!("queries/access_scopes.graphql");
        let data: Value = self.graphql(shop, token, query, json!({})).await?;
        let scopes = list(&data["currentAppInstallation"], "accessScopes");
        Ok(scopes
            .iter()
            .filter_map(|scope| text(scope, "handle"))
            .collect())
    }
}

fn read_shop(shop: &Value, domain: &ShopDomain) -> ShopInfo {
    ShopInfo {
        name: text(shop, "name").unwrap_or_else(|| domain.as_str().to_owned()),
        currency: text(shop, "currencyCode"),
        timezone: text(shop, "ianaTimezone"),
        url: text(&shop["primaryDomain"], "url"),
        plan: text(&shop["plan"], "publicDisplayName"),
        is_development: shop["plan"]["partnerDevelopment"] == true,
    }
}

fn read_journey(summary: &Value) -> Journey {
    let last = [&summary["lastVisit"]];
    let mut others: Vec<&Value> = list(&summary["moments"], "nodes").iter().collect();
    others.push(&summary["firstVisit"]);
    others.sort_by_key(|visit| std::cmp::Reverse(time(visit, "occurredAt")));
    let mut seen = Vec::new();
    let mut visits = Vec::new();
    for visit in last
        .into_iter()
        .chain(others)
        .filter(|visit| visit.is_object())
    {
        let id = text(visit, "id");
        if id.is_some() && seen.contains(&id) {
            continue;
        }
        seen.push(id);
        visits.push(read_visit(visit));
    }
    // Null without visits or without consent: nothing more will come.
    let ready = !summary.is_object() || summary["ready"] == true;
    Journey { ready, visits }
}

fn read_visit(visit: &Value) -> Visit {
    let utm = &visit["utmParameters"];
    Visit {
        at: time(visit, "occurredAt"),
        landing_page: text(visit, "landingPage"),
        referral_code: text(visit, "referralCode"),
        source: text(visit, "source"),
        utm: Utm {
            source: text(utm, "source"),
            medium: text(utm, "medium"),
            campaign: text(utm, "campaign"),
            content: text(utm, "content"),
            term: text(utm, "term"),
        },
    }
}

fn read_subscription(node: &Value) -> Option<Subscription> {
    Some(Subscription {
        id: text(node, "id")?,
        topic: text(node, "topic")?,
        uri: text(node, "uri").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_visit_comes_first_and_each_visit_once() {
        let visit = |id: &str, at: &str| {
            json!({"id": id, "occurredAt": at, "landingPage": format!("https://s.example/{id}"),
                "utmParameters": {"source": "pagecast", "campaign": "sale"}})
        };
        let (a, b, c) = (
            visit("a", "2026-11-01T00:00:00Z"),
            visit("b", "2026-11-02T00:00:00Z"),
            visit("c", "2026-11-03T00:00:00Z"),
        );
        let summary = json!({"ready": true, "firstVisit": a, "lastVisit": c,
            "moments": {"nodes": [a, b, c]}});
        let journey = read_journey(&summary);
        let pages: Vec<_> = journey
            .visits
            .iter()
            .map(|visit| visit.landing_page.as_deref().unwrap())
            .collect();
        assert_eq!(
            pages,
            [
                "https://s.example/c",
                "https://s.example/b",
                "https://s.example/a"
            ]
        );
        assert!(journey.ready);
        assert_eq!(journey.visits[0].utm.campaign.as_deref(), Some("sale"));
    }

    #[test]
    fn a_journey_that_is_not_attributed_yet_says_so_and_a_missing_one_is_final() {
        assert!(!read_journey(&json!({"ready": false, "lastVisit": null})).ready);
        assert_eq!(
            read_journey(&Value::Null),
            Journey {
                ready: true,
                visits: vec![]
            }
        );
    }
}

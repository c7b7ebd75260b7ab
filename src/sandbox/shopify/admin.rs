//! The Admin GraphQL API: token, version, throttle, and the root fields that the product asks for.

use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::graphql::{Document, Root};
use super::search::{connection, matches, sorted};
use super::tokens::Worth;
use super::{
    BUCKET, NEWEST, RESTORED_A_SECOND, Shop, Shopify, Subscription, VERSIONS, catalogue, discounts,
    extensions, nodes,
};
use crate::clock::rfc3339;

/// Topics that `webhookSubscriptionCreate` takes, of those that concern us.
const TOPICS: &[&str] = &[
    "APP_UNINSTALLED",
    "APP_SCOPES_UPDATE",
    "APP_SUBSCRIPTIONS_UPDATE",
    "CARTS_CREATE",
    "CARTS_UPDATE",
    "CHECKOUTS_CREATE",
    "CHECKOUTS_DELETE",
    "CHECKOUTS_UPDATE",
    "CUSTOMERS_CREATE",
    "CUSTOMERS_DELETE",
    "CUSTOMERS_EMAIL_MARKETING_CONSENT_UPDATE",
    "CUSTOMERS_MARKETING_CONSENT_UPDATE",
    "CUSTOMERS_MERGE",
    "CUSTOMERS_UPDATE",
    "FULFILLMENTS_CREATE",
    "FULFILLMENTS_UPDATE",
    "FULFILLMENT_EVENTS_CREATE",
    "INVENTORY_LEVELS_UPDATE",
    "ORDERS_CANCELLED",
    "ORDERS_CREATE",
    "ORDERS_FULFILLED",
    "ORDERS_PAID",
    "ORDERS_UPDATED",
    "PRODUCTS_UPDATE",
    "REFUNDS_CREATE",
    "SHOP_UPDATE",
    "VARIANTS_IN_STOCK",
    "VARIANTS_OUT_OF_STOCK",
];

pub(super) async fn graphql(
    Shared(shopify): Shared<Shopify>,
    Path((domain, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = headers
        .get("x-shopify-access-token")
        .and_then(|h| h.to_str().ok());
    let (status, answer) = shopify.admin_call(&domain, &version, token, &headers, &body);
    (
        status,
        [("x-shopify-api-version", NEWEST)],
        axum::Json(answer),
    )
        .into_response()
}

impl Shopify {
    fn admin_call(
        &self,
        domain: &str,
        version: &str,
        token: Option<&str>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> (StatusCode, Value) {
        if self.inner.down.load(Ordering::SeqCst) {
            let text = json!({ "errors": "Service Unavailable" });
            return (StatusCode::SERVICE_UNAVAILABLE, text);
        }
        let now = self.now();
        let mut state = self.state();
        if let Some(status) = state.refusals.pop_front() {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            return (status, json!({ "errors": "Refused by order" }));
        }
        let state = &mut *state;
        let known = VERSIONS.contains(&version);
        let Some(shop) = state.shops.get_mut(domain).filter(|_| known) else {
            state
                .unknown_calls
                .push(format!("shopify: /{domain}/admin/api/{version}"));
            return (StatusCode::NOT_FOUND, json!({ "errors": "Not Found" }));
        };
        match shop.worth(token, now) {
            Worth::Good => {}
            Worth::NonExpiring => {
                let text =
                    "[API] Non-expiring access tokens are no longer accepted for the Admin API.";
                return (StatusCode::FORBIDDEN, json!({ "errors": text }));
            }
            Worth::Nothing => {
                let text =
                    "[API] Invalid API key or access token (unrecognized login or wrong password)";
                return (StatusCode::UNAUTHORIZED, json!({ "errors": text }));
            }
        }
        let json_sent = headers
            .get("content-type")
            .and_then(|h| h.to_str().ok())
            .is_some_and(|h| h.starts_with("application/json"));
        let call: Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(query) = call
            .get("query")
            .and_then(Value::as_str)
            .filter(|_| json_sent)
        else {
            let text = json!({ "errors": { "query": "Required parameter missing or invalid" } });
            return (StatusCode::BAD_REQUEST, text);
        };
        let variables = call.get("variables").cloned().unwrap_or_default();
        let document = match Document::parse(query, &variables) {
            Ok(document) => document,
            Err(problem) => {
                state.unknown_calls.push(format!("shopify: {problem}"));
                return (StatusCode::OK, errors(&problem, "parseError"));
            }
        };
        let cost = if document.is_mutation {
            10
        } else {
            i64::try_from(document.roots.len()).unwrap_or(1) * 3
        };
        let restored = (now - shop.bucket_at).max(0) * RESTORED_A_SECOND / 1_000;
        shop.bucket = (shop.bucket + restored).min(BUCKET);
        shop.bucket_at = now;
        if shop.bucket < cost {
            let mut refusal = errors("Throttled", "THROTTLED");
            refusal["extensions"] = cost_shown(cost, None, shop.bucket);
            return (StatusCode::OK, refusal);
        }
        shop.bucket -= cost;
        let left = shop.bucket;
        let ready = self.inner.journeys_ready.load(Ordering::SeqCst);
        let mut data = Map::new();
        for root in document.root_fields() {
            state.questions.push(root.name.to_owned());
            if let Some(scope) = scope_of(root.name)
                && !shop.scopes.iter().any(|granted| granted == scope)
            {
                return (StatusCode::OK, denied(root.name, scope));
            }
            let found = match root_value(shop, &root, now, ready) {
                Some(Ok(value)) => document.select(&value, root.inner, root.name),
                Some(Err(problem)) => return (StatusCode::OK, errors(&problem, "argumentError")),
                None => Err(format!(
                    "Field '{}' doesn't exist on type 'QueryRoot'",
                    root.name
                )),
            };
            match found {
                Ok(value) => data.insert(root.alias.to_owned(), value),
                Err(problem) => {
                    state.unknown_calls.push(format!("shopify: {problem}"));
                    return (StatusCode::OK, errors(&problem, "undefinedField"));
                }
            };
        }
        let answer = json!({ "data": data, "extensions": cost_shown(cost, Some(cost), left) });
        (StatusCode::OK, answer)
    }
}

fn errors(message: &str, code: &str) -> Value {
    json!({ "errors": [{ "message": message, "extensions": { "code": code } }] })
}

/// What a root field needs, of those that came later than the app's first scopes.
fn scope_of(field: &str) -> Option<&'static str> {
    Some(match field {
        "product" | "products" => "read_products",
        "discountCodeBasicCreate" | "discountRedeemCodeBulkAdd" => "write_discounts",
        "marketingActivityUpsertExternal" | "marketingEngagementCreate" => "write_marketing_events",
        _ => return None,
    })
}

/// A scope that the merchant has not granted.
fn denied(field: &str, scope: &str) -> Value {
    let text = format!("Access denied for {field} field. Required access: `{scope}` access scope.");
    errors(&text, "ACCESS_DENIED")
}

fn cost_shown(requested: i64, actual: Option<i64>, available: i64) -> Value {
    json!({ "cost": {
        "requestedQueryCost": requested,
        "actualQueryCost": actual,
        "throttleStatus": {
            "maximumAvailable": BUCKET,
            "currentlyAvailable": available,
            "restoreRate": RESTORED_A_SECOND,
        },
    } })
}

/// The full object behind a root field; `None` when there is no such field.
fn root_value(
    shop: &mut Shop,
    root: &Root<'_>,
    now: i64,
    ready: bool,
) -> Option<Result<Value, String>> {
    let search = root
        .arguments
        .get("query")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Some(Ok(match root.name {
        "shop" => nodes::shop_node(shop),
        "order" => match numeric_id(root, "Order") {
            Ok(id) => shop
                .orders
                .get(&id)
                .map_or(Value::Null, |order| nodes::order_node(shop, order, ready)),
            Err(problem) => return Some(Err(problem)),
        },
        "customer" => match numeric_id(root, "Customer") {
            Ok(id) => shop
                .customers
                .get(&id)
                .map_or(Value::Null, nodes::customer_node),
            Err(problem) => return Some(Err(problem)),
        },
        "orders" => {
            let found = shop
                .orders
                .values()
                .map(|order| nodes::order_node(shop, order, ready))
                .filter(|node| matches(node, search))
                .collect();
            return Some(sorted(root, found).and_then(|found| connection(root, found)));
        }
        "customers" => {
            let found = shop.customers.values().map(nodes::customer_node);
            return Some(connection(
                root,
                found.filter(|node| matches(node, search)).collect(),
            ));
        }
        "product" => match numeric_id(root, "Product") {
            Ok(id) => {
                let wanted = json!(id.to_string());
                let mut found = catalogue::product_nodes(shop).into_iter();
                let product = found.find(|node| node["legacyResourceId"] == wanted);
                product.unwrap_or(Value::Null)
            }
            Err(problem) => return Some(Err(problem)),
        },
        "products" => {
            let found = catalogue::product_nodes(shop);
            let found = found.into_iter().filter(|node| matches(node, search));
            let found = sorted(root, found.collect());
            return Some(found.and_then(|found| connection(root, found)));
        }
        "currentAppInstallation" => {
            let scopes: Vec<Value> = shop
                .scopes
                .iter()
                .map(|s| json!({ "handle": s, "description": s.replace('_', " ") }))
                .collect();
            json!({
                "id": "gid://shopify/AppInstallation/1",
                "accessScopes": scopes,
                "activeSubscriptions": shop.active_subscriptions(),
                "launchUrl": format!("https://{}/admin/apps/pagecast", shop.domain),
                "app": { "id": "gid://shopify/App/1", "title": "Pagecast", "handle": "pagecast" },
            })
        }
        "webhookSubscriptions" => {
            let topics = root.arguments.get("topics").and_then(Value::as_array);
            let wanted =
                |s: &&Subscription| topics.is_none_or(|t| t.iter().any(|v| v == s.topic.as_str()));
            let found = shop
                .subscriptions
                .iter()
                .filter(wanted)
                .map(subscription_node)
                .collect();
            return Some(connection(root, found));
        }
        "discountCodeBasicCreate" => return Some(discounts::create(shop, root)),
        "webhookSubscriptionCreate" => subscribe(shop, root, now),
        "productVariant" => match numeric_id(root, "ProductVariant") {
            Ok(id) => extensions::variant_node(id),
            Err(problem) => return Some(Err(problem)),
        },
        "webPixel" => return Some(extensions::pixel_node(shop)),
        "webPixelCreate" => extensions::create_pixel(shop, root),
        "webPixelUpdate" => extensions::update_pixel(shop, root),
        "webhookSubscriptionDelete" => unsubscribe(shop, root),
        _ => return None,
    }))
}

fn unsubscribe(shop: &mut Shop, root: &Root<'_>) -> Value {
    let id = root
        .arguments
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let before = shop.subscriptions.len();
    shop.subscriptions.retain(|s| s.id != id);
    let found = before != shop.subscriptions.len();
    let problem = json!({"field": ["id"], "message": "Webhook subscription does not exist"});
    json!({
        "deletedWebhookSubscriptionId": found.then_some(id),
        "userErrors": if found { json!([]) } else { json!([problem]) },
    })
}

fn subscribe(shop: &mut Shop, root: &Root<'_>, now: i64) -> Value {
    let refuse = |field: &[&str], message: &str| {
        json!({
            "webhookSubscription": null,
            "userErrors": [{ "field": field, "message": message }],
        })
    };
    let topic = root
        .arguments
        .get("topic")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !TOPICS.contains(&topic) {
        return refuse(&["topic"], "Topic is not one that can be subscribed to");
    }
    let input = root
        .arguments
        .get("webhookSubscription")
        .and_then(Value::as_object);
    let known = [
        "uri",
        "callbackUrl",
        "format",
        "filter",
        "includeFields",
        "name",
    ];
    if let Some(odd) = input.and_then(|i| i.keys().find(|k| !known.contains(&k.as_str()))) {
        return refuse(&["webhookSubscription", odd], "Field is not defined");
    }
    let address = input.and_then(|i| i.get("uri").or_else(|| i.get("callbackUrl")));
    let Some(uri) = address
        .and_then(Value::as_str)
        .filter(|u| u.starts_with("http"))
    else {
        return refuse(&["webhookSubscription", "uri"], "Address is invalid");
    };
    if shop
        .subscriptions
        .iter()
        .any(|s| s.topic == topic && s.uri == uri)
    {
        let text = "Address for this topic has already been taken";
        return refuse(&["webhookSubscription", "uri"], text);
    }
    let subscription = Subscription {
        id: format!(
            "gid://shopify/WebhookSubscription/{}",
            1_000 + shop.subscriptions.len()
        ),
        topic: topic.to_owned(),
        uri: uri.to_owned(),
        created_at: now,
    };
    let node = subscription_node(&subscription);
    shop.subscriptions.push(subscription);
    json!({ "webhookSubscription": node, "userErrors": [] })
}

fn subscription_node(s: &Subscription) -> Value {
    json!({
        "id": s.id, "legacyResourceId": s.id.rsplit('/').next(), "topic": s.topic, "uri": s.uri,
        "callbackUrl": s.uri, "format": "JSON", "filter": null, "includeFields": [], "name": null,
        "createdAt": rfc3339(s.created_at), "updatedAt": rfc3339(s.created_at),
        "apiVersion": { "handle": NEWEST, "displayName": NEWEST, "supported": true },
        "endpoint": { "callbackUrl": s.uri },
    })
}

fn numeric_id(root: &Root<'_>, kind: &str) -> Result<i64, String> {
    let id = root
        .arguments
        .get("id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    id.strip_prefix(&format!("gid://shopify/{kind}/"))
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("Invalid global id '{id}'"))
}

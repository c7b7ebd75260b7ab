//! Shopify: shops with customers, checkouts and orders; the Admin GraphQL API; signed webhooks.

mod admin;
mod billing;
mod bodies;
mod catalogue;
mod discounts;
mod extensions;
mod graphql;
mod journeys;
mod nodes;
mod search;
mod shoppers;
mod storefront;
#[cfg(test)]
mod tests;
mod tokens;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::signature::hmac_sha256;
use super::webhook_sender::{Delivery, Outbox};
use super::{Config, World, lock};
use crate::clock::Millis;

pub use shoppers::{Customer, Item, Purchase};
pub(crate) use storefront::SHELF;

/// Live versions of the Admin API.
const VERSIONS: [&str; 4] = ["2026-01", "2026-04", "2026-07", "2026-10"];
const NEWEST: &str = VERSIONS[VERSIONS.len() - 1];
/// Points of the leaky bucket of a Standard shop, and how many come back each second.
const BUCKET: i64 = 2_000;
const RESTORED_A_SECOND: i64 = 100;

/// The sandbox's Shopify, looking at one shop: the one it was asked for, else the first. Cheap to
/// clone.
#[derive(Clone, Debug)]
pub struct Shopify {
    inner: Arc<Inner>,
    at: Option<Arc<str>>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    address: SocketAddr,
    client_id: String,
    app_secret: String,
    /// What webhooks and session tokens are signed with now.
    secret: Mutex<String>,
    newer_headers: AtomicBool,
    /// Webhooks get lost: nothing is told.
    silent: AtomicBool,
    journeys_ready: AtomicBool,
    down: AtomicBool,
    state: Mutex<State>,
    outbox: Outbox<Webhook>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the app's own (toml) subscriptions point.
    webhook_url: Option<String>,
    shops: BTreeMap<String, Shop>,
    first_shop: Option<String>,
    unknown_calls: Vec<String>,
    /// The root fields asked for, in order.
    questions: Vec<String>,
    /// Refusals that a story ordered: HTTP status of the next Admin calls.
    refusals: std::collections::VecDeque<u16>,
}

#[derive(Debug)]
struct Shop {
    id: i64,
    domain: String,
    name: String,
    /// Given by hand; it does not expire.
    token: String,
    /// What the token endpoint gave out since the app was installed.
    grants: Vec<tokens::Grant>,
    installed: bool,
    scopes: Vec<String>,
    /// The subscription chosen at Shopify: name and status.
    plan: Option<(String, String)>,
    currency: String,
    next_order_number: i64,
    customers: BTreeMap<i64, Customer>,
    /// Orders and checkouts as their webhook bodies.
    orders: BTreeMap<i64, Value>,
    checkouts: BTreeMap<String, Value>,
    /// Discount codes made by the app, with the share they take off.
    codes: Vec<(String, f64)>,
    /// Visits before an order that only its customer journey tells of.
    visits: BTreeMap<i64, Vec<(Millis, String)>>,
    subscriptions: Vec<Subscription>,
    /// The web pixel's settings, while it is on.
    pixel: Option<Value>,
    bucket: i64,
    bucket_at: Millis,
}

/// A subscription made by `webhookSubscriptionCreate`.
#[derive(Clone, Debug)]
struct Subscription {
    id: String,
    /// As in the API: `ORDERS_CREATE`.
    topic: String,
    uri: String,
    created_at: Millis,
}

/// One event of one shop, waiting for its webhook.
#[derive(Debug)]
struct Webhook {
    shop: String,
    /// As in the header: `orders/create`.
    topic: String,
    body: Value,
    at: Millis,
}

/// The scopes of our app's configuration.
const SCOPES: [&str; 9] = [
    "read_orders",
    "read_customers",
    "read_products",
    "read_fulfillments",
    "write_app_proxy",
    "write_pixels",
    "read_customer_events",
    "write_marketing_events",
    "write_discounts",
];

impl Shopify {
    pub(super) fn new(world: World, config: &Config, address: SocketAddr) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !config.shopify_secret.is_empty(),
            "the sandbox needs a Shopify secret"
        );
        Ok(Self {
            inner: Arc::new(Inner {
                world,
                address,
                client_id: config.shopify_key.clone(),
                app_secret: config.shopify_secret.clone(),
                secret: Mutex::new(config.shopify_secret.clone()),
                newer_headers: AtomicBool::new(false),
                silent: AtomicBool::new(false),
                journeys_ready: AtomicBool::new(true),
                down: AtomicBool::new(false),
                state: Mutex::default(),
                outbox: Outbox::new(),
            }),
            at: None,
        })
    }

    pub(super) fn start(
        &self,
        tracker: &TaskTracker,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let shopify = self.clone();
        let encode = move |events: Vec<Webhook>| {
            events
                .iter()
                .flat_map(|event| shopify.encode(event))
                .collect()
        };
        self.inner
            .outbox
            .start(tracker, stop, self.inner.world.clone(), 1, encode)
    }

    pub(super) fn router(&self) -> Router {
        Router::new()
            .route(
                "/{shop}/admin/api/{version}/graphql.json",
                post(admin::graphql),
            )
            .route(
                "/{shop}/admin/oauth/access_token",
                post(tokens::access_token),
            )
            .route("/{shop}/storefront", get(storefront::page))
            .route("/{shop}/storefront/buy", post(storefront::buy))
            .route("/{shop}/storefront/{*path}", get(storefront::page_below))
            .fallback(any(unknown))
            .with_state(self.clone())
    }

    /// `SHOPIFY_ADMIN_URL`, with its `{shop}` placeholder.
    pub fn url(&self) -> String {
        format!("http://{}/{{shop}}", self.inner.address)
    }

    /// A page of the shop that takes what a link was tagged with and sells coffee: for links in
    /// the demo's messages.
    pub fn storefront_url(&self) -> String {
        let shop = self.domain().unwrap_or_default();
        format!("http://{}/{shop}/storefront", self.inner.address)
    }

    /// Opens a shop (or reinstalls the app on it) and looks at it.
    pub fn shop(&self, domain: &str, token: &str) -> Self {
        let now = self.now();
        let mut state = self.state();
        state.first_shop.get_or_insert_with(|| domain.to_owned());
        if let Some(shop) = state.shops.get_mut(domain) {
            token.clone_into(&mut shop.token);
            shop.installed = true;
        } else {
            let handle = domain.split('.').next().unwrap_or(domain);
            let words = handle.split('-').map(|word| {
                let (first, rest) = word.split_at(word.len().min(1));
                first.to_uppercase() + rest
            });
            let shop = Shop {
                id: self.inner.world.chance.between(100_000_000, 999_999_999),
                domain: domain.to_owned(),
                name: words.collect::<Vec<_>>().join(" "),
                token: token.to_owned(),
                grants: Vec::new(),
                installed: true,
                plan: None,
                scopes: SCOPES.iter().map(|&s| s.to_owned()).collect(),
                currency: "USD".to_owned(),
                next_order_number: 1001,
                customers: BTreeMap::new(),
                orders: BTreeMap::new(),
                checkouts: BTreeMap::new(),
                codes: Vec::new(),
                visits: BTreeMap::new(),
                subscriptions: Vec::new(),
                pixel: None,
                bucket: BUCKET,
                bucket_at: now,
            };
            state.shops.insert(domain.to_owned(), shop);
        }
        self.of(domain)
    }

    /// The same Shopify, looking at another shop.
    pub fn of(&self, domain: &str) -> Self {
        Self {
            inner: self.inner.clone(),
            at: Some(domain.into()),
        }
    }

    /// Where webhooks of the app's own configuration go: the product's `/webhooks/shopify`.
    /// Subscriptions made through the API take precedence for their topics.
    pub fn points_webhooks_at(&self, url: &str) {
        self.state().webhook_url = Some(url.to_owned());
    }

    /// Signs with another secret from now on, as after a rotation.
    pub fn signs_with(&self, secret: &str) {
        secret.clone_into(&mut lock(&self.inner.secret));
    }

    /// Webhooks carry the newer header family (`shopify-topic`) instead of the classic one.
    pub fn newer_headers(&self, on: bool) {
        self.inner.newer_headers.store(on, Ordering::SeqCst);
    }

    /// Whether customer journeys are attributed already (`ready`).
    pub fn journeys_are_ready(&self, ready: bool) {
        self.inner.journeys_ready.store(ready, Ordering::SeqCst);
    }

    /// 503 on every Admin call.
    pub fn is_down(&self, on: bool) {
        self.inner.down.store(on, Ordering::SeqCst);
    }

    /// The next `n` Admin calls are answered with this HTTP status.
    pub fn refuses_next(&self, status: u16, n: usize) {
        self.state().refusals.extend(std::iter::repeat_n(status, n));
    }

    /// Webhooks of what happens from now on get lost on the way.
    pub fn loses_webhooks(&self, on: bool) {
        self.inner.silent.store(on, Ordering::SeqCst);
    }

    pub fn doubles_webhooks(&self, on: bool) {
        self.inner.outbox.doubles(on);
    }

    pub fn reorders_webhooks(&self, on: bool) {
        self.inner.outbox.reorders(on);
    }

    /// The API-made webhook subscriptions of the shop: (topic as `ORDERS_CREATE`, address).
    pub fn subscriptions(&self) -> Vec<(String, String)> {
        self.with_shop(|shop| {
            shop.subscriptions
                .iter()
                .map(|s| (s.topic.clone(), s.uri.clone()))
                .collect()
        })
        .unwrap_or_default()
    }

    /// Calls and fields that Shopify does not have.
    pub fn unknown_calls(&self) -> Vec<String> {
        self.state().unknown_calls.clone()
    }

    /// The root fields that the Admin API was asked for and answered, in order.
    pub fn questions(&self) -> Vec<String> {
        self.state().questions.clone()
    }

    /// Resolves when every queued webhook was delivered or given up.
    pub async fn settled(&self) {
        self.inner.outbox.settled().await;
    }

    pub fn undelivered_webhooks(&self) -> u64 {
        self.inner.outbox.given_up()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.inner.state)
    }

    fn now(&self) -> Millis {
        self.inner.world.clock.now()
    }

    /// The domain of the shop that is looked at.
    fn domain(&self) -> anyhow::Result<String> {
        let first = || self.state().first_shop.clone();
        let domain = self.at.as_deref().map(str::to_owned).or_else(first);
        domain.ok_or_else(|| anyhow::anyhow!("the sandbox has no shop yet: open one with shop()"))
    }

    fn with_shop<T>(&self, work: impl FnOnce(&mut Shop) -> T) -> anyhow::Result<T> {
        let domain = self.domain()?;
        let mut state = self.state();
        let shop = state.shops.get_mut(&domain);
        let shop = shop.ok_or_else(|| anyhow::anyhow!("the sandbox has no shop {domain}"))?;
        Ok(work(shop))
    }

    fn tell(&self, topic: &str, body: Value) -> anyhow::Result<()> {
        let shop = self.domain()?;
        if self.inner.silent.load(Ordering::SeqCst) {
            return Ok(());
        }
        let webhook = Webhook {
            shop,
            topic: topic.to_owned(),
            body,
            at: self.now(),
        };
        self.inner.outbox.push(webhook);
        Ok(())
    }

    /// One delivery for each matching subscription: two ids, one event id.
    fn encode(&self, webhook: &Webhook) -> Vec<Delivery> {
        let chance = &self.inner.world.chance;
        let enumerated = webhook.topic.to_uppercase().replace('/', "_");
        let urls: Vec<String> = {
            let state = self.state();
            let by_api = state.shops.get(&webhook.shop).into_iter().flat_map(|shop| {
                shop.subscriptions
                    .iter()
                    .filter(|s| s.topic == enumerated)
                    .map(|s| s.uri.clone())
            });
            let by_api: Vec<String> = by_api.collect();
            if by_api.is_empty() {
                state.webhook_url.iter().cloned().collect()
            } else {
                by_api
            }
        };
        let text = webhook.body.to_string();
        let signature = STANDARD.encode(hmac_sha256(&lock(&self.inner.secret), text.as_bytes()));
        let event_id = chance.uuid();
        let triggered_at = crate::clock::rfc3339(webhook.at);
        let newer = self.inner.newer_headers.load(Ordering::SeqCst);
        urls.into_iter()
            .map(|url| {
                let id = chance.uuid();
                let mut headers = vec![
                    ("content-type".to_owned(), "application/json".to_owned()),
                    ("user-agent".to_owned(), "Shopify-Captain-Hook".to_owned()),
                ];
                let prefix = if newer { "shopify" } else { "X-Shopify" };
                let mut add = |name: &str, value: &str| {
                    headers.push((format!("{prefix}-{name}"), value.to_owned()));
                };
                add("Topic", &webhook.topic);
                add("Hmac-Sha256", &signature);
                add("Shop-Domain", &webhook.shop);
                add("API-Version", NEWEST);
                add("Webhook-Id", &id);
                add("Triggered-At", &triggered_at);
                if newer {
                    let (resource, action) = webhook.topic.rsplit_once('/').unwrap_or_default();
                    add("Handle", resource);
                    add("Action", action);
                } else {
                    add("Event-Id", &event_id);
                }
                Delivery {
                    url,
                    headers,
                    body: text.clone().into_bytes(),
                }
            })
            .collect()
    }
}

async fn unknown(Shared(shopify): Shared<Shopify>, method: Method, uri: Uri) -> Response {
    shopify
        .state()
        .unknown_calls
        .push(format!("shopify: {method} {}", uri.path()));
    (
        StatusCode::NOT_FOUND,
        axum::Json(json!({ "errors": "Not Found" })),
    )
        .into_response()
}

//! Klaviyo: accounts with profiles, segments, lists, metrics and events; the JSON:API in front of
//! them; system and flow webhooks.

mod events;
mod filters;
mod groups;
mod merchants;
mod oauth;
#[cfg(test)]
mod tests;
mod webhooks;
mod wire;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::webhook_sender::{Delivery, Outbox};
use super::{Config, World, lock};
use crate::clock::Millis;

use wire::{Call, Refusal, Reply};

/// The sandbox's Klaviyo, looking at one account: the one it was asked for, else the first. Cheap
/// to clone.
#[derive(Clone, Debug)]
pub struct Klaviyo {
    inner: Arc<Inner>,
    at: Option<usize>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    address: SocketAddr,
    client_id: String,
    client_secret: String,
    rate_limits: AtomicBool,
    down: AtomicBool,
    state: Mutex<State>,
    /// Requests that are encoded already: Klaviyo signs at the moment of the event.
    outbox: Outbox<Delivery>,
}

#[derive(Debug, Default)]
struct State {
    accounts: Vec<Account>,
    unknown_calls: Vec<String>,
    /// HTTP statuses that a story ordered for the next calls.
    refusals: std::collections::VecDeque<u16>,
}

#[derive(Debug)]
struct Account {
    id: String,
    private_key: String,
    refresh_token: String,
    /// Uninstalled at Klaviyo: the refresh token is dead.
    revoked: bool,
    /// Access tokens and their end.
    access_tokens: HashMap<String, Millis>,
    /// Private keys may manage webhooks only with this plan.
    advanced_kdp: bool,
    profiles: BTreeMap<String, Profile>,
    groups: BTreeMap<String, Group>,
    /// Metric names to ids.
    metrics: BTreeMap<String, String>,
    events: Vec<ReceivedEvent>,
    /// (profile, metric, unique id) of every event kept.
    kept: HashSet<(String, String, String)>,
    hooks: BTreeMap<String, Hook>,
    /// Calls in the current second and minute, by tier key.
    windows: HashMap<String, wire::Window>,
}

/// A profile of an account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    pub id: String,
    pub email: Option<String>,
    pub phone_number: Option<String>,
    pub external_id: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub kx: Option<String>,
    pub properties: Map<String, Value>,
    pub created_at: Millis,
    pub updated_at: Millis,
}

#[derive(Debug)]
struct Group {
    id: String,
    name: String,
    is_segment: bool,
    created_at: Millis,
    updated_at: Millis,
    /// Profile ids and when they joined.
    members: BTreeMap<String, Millis>,
}

/// An event that the product sent, kept once for each profile, metric and unique id.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedEvent {
    pub metric: String,
    pub profile: Profile,
    pub properties: Map<String, Value>,
    pub unique_id: String,
    pub time: Option<String>,
    pub value: Option<f64>,
    pub value_currency: Option<String>,
}

/// A system webhook made through the API.
#[derive(Clone, Debug)]
struct Hook {
    id: String,
    name: String,
    description: Option<String>,
    endpoint_url: String,
    secret_key: String,
    topics: Vec<String>,
    enabled: bool,
    created_at: Millis,
}

impl Klaviyo {
    pub(super) fn new(world: World, config: &Config, address: SocketAddr) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !config.klaviyo_client_id.is_empty(),
            "the sandbox needs a client id"
        );
        Ok(Self {
            inner: Arc::new(Inner {
                world,
                address,
                client_id: config.klaviyo_client_id.clone(),
                client_secret: config.klaviyo_client_secret.clone(),
                rate_limits: AtomicBool::new(true),
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
        self.inner
            .outbox
            .start(tracker, stop, self.inner.world.clone(), 1, |ready| ready)
    }

    pub(super) fn router(&self) -> Router {
        Router::new().fallback(api).with_state(self.clone())
    }

    /// `KLAVIYO_API_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    /// Limits by tier, on unless told.
    pub fn rate_limits(&self, on: bool) {
        self.inner.rate_limits.store(on, Ordering::SeqCst);
    }

    /// 503 on every call.
    pub fn is_down(&self, on: bool) {
        self.inner.down.store(on, Ordering::SeqCst);
    }

    /// The next `n` API calls are answered with this HTTP status.
    pub fn refuses_next(&self, status: u16, n: usize) {
        self.state().refusals.extend(std::iter::repeat_n(status, n));
    }

    pub fn doubles_webhooks(&self, on: bool) {
        self.inner.outbox.doubles(on);
    }

    pub fn reorders_webhooks(&self, on: bool) {
        self.inner.outbox.reorders(on);
    }

    /// Calls to paths that Klaviyo does not have.
    pub fn unknown_calls(&self) -> Vec<String> {
        self.state().unknown_calls.clone()
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

    fn id(&self) -> String {
        format!("01K{}", self.inner.world.chance.word(23).to_uppercase())
    }

    fn route(&self, call: &Call) -> Reply {
        let account = call.account;
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        match (call.method.as_str(), path.as_slice()) {
            ("GET", ["api", "accounts"]) => self.accounts(account),
            ("GET", ["api", kind @ ("segments" | "lists")]) => self.groups(call, kind),
            ("GET", ["api", kind @ ("segments" | "lists"), id]) => self.group(call, kind, id),
            ("GET", ["api", kind @ ("segments" | "lists"), id, "profiles"]) => {
                self.members(call, kind, id, false)
            }
            (
                "GET",
                [
                    "api",
                    kind @ ("segments" | "lists"),
                    id,
                    "relationships",
                    "profiles",
                ],
            ) => self.members(call, kind, id, true),
            ("GET", ["api", "profiles"]) => self.profiles(call),
            ("GET", ["api", "profiles", id]) => self.profile_node(call, id),
            ("POST", ["api", "profile-import"]) => self.import_profile(call),
            ("GET", ["api", "metrics"]) => self.metrics(account),
            ("POST", ["api", "events"]) => self.create_event(call),
            ("POST", ["api", "event-bulk-create-jobs"]) => self.create_events(call),
            ("GET", ["api", "webhook-topics"]) => self.topics(account),
            ("GET", ["api", "webhooks"]) => self.hooks(account),
            ("POST", ["api", "webhooks"]) => self.create_hook(call),
            ("GET", ["api", "webhooks", id]) => self.hook(account, id),
            ("PATCH", ["api", "webhooks", id]) => self.change_hook(call, id),
            ("DELETE", ["api", "webhooks", id]) => self.delete_hook(account, id),
            ("GET", ["api", "tracking-settings"]) => self.tracking_settings(account),
            _ => {
                let said = format!("klaviyo: {} /{}", call.method, path.join("/"));
                self.state().unknown_calls.push(said);
                Err(Refusal::new(
                    404,
                    "not_found",
                    "The requested path does not exist.",
                ))
            }
        }
    }
}

async fn api(
    Shared(klaviyo): Shared<Klaviyo>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    klaviyo.answer(method, &uri, &headers, &body)
}

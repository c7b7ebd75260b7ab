//! Meta: the Graph API for Pages, people, subscription tokens, campaigns and messages, and the
//! signed webhooks about them. Who calls is checked first, then what, then whether it may.

mod ad_accounts;
mod campaigns;
mod checks;
mod consent;
mod content;
mod events;
mod faults;
mod graph;
mod login;
mod managers;
mod messages;
mod pages;
mod people;
mod state;
#[cfg(test)]
mod tests;
mod tokens;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::signature::hmac_hex;
use super::webhook_sender::Outbox;
use super::{Config, World, lock};

pub use events::EventShape;
pub use faults::{SeenCall, Throttle};
pub use login::PORTFOLIO_CONFIG;
pub(super) use login::{ASSET_CONFIG, LEADS_CONFIG};
pub(crate) use people::Line;
pub use people::Person;
pub use state::{Campaign, Channel, SentMessage};

use events::PageEvent;
use graph::{Answer, Call, Refusal, UsageShown};
use state::{Faults, State};

/// Several events may share one webhook, as Meta batches them.
const EVENTS_PER_WEBHOOK: usize = 50;

/// The sandbox's Meta. Cheap to clone; all clones are the same Meta.
#[derive(Clone, Debug)]
pub struct Meta {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    app_id: String,
    app_secret: String,
    verify_token: String,
    warm_up_ms: i64,
    address: SocketAddr,
    started: Instant,
    /// Echo and delivery come by themselves once a message was taken.
    auto_receipts: std::sync::atomic::AtomicBool,
    shape: Mutex<EventShape>,
    state: Mutex<State>,
    faults: Mutex<Faults>,
    outbox: Outbox<PageEvent>,
    /// Told of every message that was taken, in auto mode.
    watcher: Mutex<Option<UnboundedSender<Taken>>>,
}

/// A message reached a person's thread.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) psid: String,
    pub(crate) mid: String,
    pub(crate) is_card: bool,
}

/// Whose token a call carries.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Caller {
    Page(String),
    /// A user or system user, by its token; it may hold several Pages.
    Login(String),
    App,
}

impl Meta {
    pub(super) fn new(world: World, config: &Config, address: SocketAddr) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !config.app_secret.is_empty(),
            "the sandbox needs an app secret"
        );
        Ok(Self {
            inner: Arc::new(Inner {
                world,
                app_id: config.app_id.clone(),
                app_secret: config.app_secret.clone(),
                verify_token: config.verify_token.clone(),
                warm_up_ms: config.warm_up_ms,
                address,
                started: Instant::now(),
                auto_receipts: (config.mode == super::Mode::Explicit).into(),
                shape: Mutex::new(EventShape::Changes),
                state: Mutex::default(),
                faults: Mutex::default(),
                outbox: Outbox::new(),
                watcher: Mutex::new(None),
            }),
        })
    }

    pub(super) fn start(
        &self,
        tracker: &TaskTracker,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let meta = self.clone();
        let encode = move |events| meta.encode(events);
        let world = self.inner.world.clone();
        self.inner
            .outbox
            .start(tracker, stop, world, EVENTS_PER_WEBHOOK, encode)
    }

    pub(super) fn router(&self) -> Router {
        Router::new().fallback(graph_api).with_state(self.clone())
    }

    /// `META_GRAPH_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.inner.address)
    }

    /// Calls to paths that Meta does not have.
    pub fn unknown_calls(&self) -> Vec<String> {
        self.state().unknown_calls.clone()
    }

    /// Resolves when every queued webhook was delivered or given up.
    pub async fn settled(&self) {
        self.inner.outbox.settled().await;
    }

    /// Webhooks that nobody took, however often they were offered.
    pub fn undelivered_webhooks(&self) -> u64 {
        self.inner.outbox.given_up()
    }

    pub(crate) fn watched_by(&self, watcher: UnboundedSender<Taken>) {
        *lock(&self.inner.watcher) = Some(watcher);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.inner.state)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.inner.faults)
    }

    fn now(&self) -> i64 {
        self.inner.world.clock.now()
    }

    /// Whose token this is; 190 for nobody's, 100 for a proof that does not fit.
    fn caller(&self, call: &Call) -> Result<Caller, Refusal> {
        let Some(token) = call.token.as_deref().filter(|t| !t.is_empty()) else {
            let text = "An access token is required to request this resource.";
            return Err(Refusal::new(190, text).status(401));
        };
        if let Some(proof) = &call.proof
            && *proof != hmac_hex(&self.inner.app_secret, token.as_bytes())
        {
            let text = "Invalid appsecret_proof provided in the API argument";
            return Err(Refusal::new(100, text));
        }
        if token == format!("{}|{}", self.inner.app_id, self.inner.app_secret) {
            return Ok(Caller::App);
        }
        if let Some(known) = self.login_caller(token) {
            return known;
        }
        let state = self.state();
        if let Some(page) = state.pages.values().find(|p| p.token == token) {
            return Ok(Caller::Page(page.id.clone()));
        }
        if state.pages.values().any(|p| p.ad_token == token) {
            return Ok(Caller::Login(token.to_owned()));
        }
        let text = "Error validating access token: The session is invalid.";
        Err(Refusal::new(190, text).sub(467).status(401))
    }

    fn dispatch(&self, call: &Call) -> (Answer, UsageShown) {
        let mut usage = UsageShown {
            percent: 1,
            business_use_case: None,
        };
        if call.method == Method::GET && call.path == ["oauth", "access_token"] {
            return (self.access_token(call), usage);
        }
        let caller = match self.caller(call) {
            Ok(caller) => caller,
            Err(refusal) => return (Err(refusal), usage),
        };
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        if let Some(first) = path.first() {
            usage.business_use_case = self.use_case(first);
            usage.percent = self.usage_percent(first);
        }
        let answer = self.route(call, &caller, &path);
        if let Err(Refusal {
            code: 613 | 4 | 32 | 80_001,
            ..
        }) = &answer
        {
            usage.percent = usage.percent.max(100);
        }
        (answer, usage)
    }

    fn route(&self, call: &Call, caller: &Caller, path: &[&str]) -> Answer {
        let method = call.method.as_str();
        match (method, path) {
            ("POST", [act, "messages"]) if act.starts_with("act_") => {
                self.send_marketing(act, call, caller)
            }
            ("POST", [act, "message_campaign"]) => self.create_campaign(act, call, caller),
            ("GET", [act, "message_delivery_estimate"]) => self.estimate(act, call, caller),
            ("GET", [act, "minimum_budgets"]) => self.minimum_budgets(act, call, caller),
            ("POST", [page, "messages"]) => self.send_as_page(page, call, caller),
            ("GET" | "POST" | "DELETE", [page, "subscribed_apps"]) => {
                self.subscribed_apps(page, call, caller)
            }
            ("GET" | "POST" | "DELETE", [page, "messenger_profile"]) => {
                self.messenger_profile(page, call, caller)
            }
            ("GET", [page, "notification_message_tokens"]) => self.tokens(page, call, caller),
            ("POST", [page, "messaging_customer_base", "unsubscribe"]) => {
                self.unsubscribe(page, call, caller)
            }
            ("POST", [page, "message_attachments"]) => self.upload(page, call, caller),
            ("GET", ["debug_token"]) => self.debug_token(call, caller),
            ("GET", ["me", "accounts"]) => self.accounts(call, caller),
            ("GET", ["me", "adaccounts"]) => self.ad_accounts(call, caller),
            ("GET", ["me", "businesses"]) => self.businesses(call, caller),
            ("GET", [page, "agencies"]) => self.agencies(page, call, caller),
            ("GET", ["me"]) => self.me(call, caller),
            ("POST", [_app, "subscriptions"]) => self.app_subscriptions(call, caller),
            ("GET", [id]) => self.node(id, call, caller),
            ("DELETE", [id]) => self.delete_campaign(id, call, caller),
            _ => {
                let said = format!("{method} /{}", path.join("/"));
                self.state().unknown_calls.push(format!("meta: {said}"));
                Err(Refusal::unknown_path(&call.path))
            }
        }
    }

    fn usage_percent(&self, id: &str) -> u32 {
        if let Some(forced) = self.faults().usage_percent {
            return forced;
        }
        let state = self.state();
        let page = state
            .pages
            .values()
            .find(|p| p.id == id || p.ad_account == id);
        // 200 calls for each person the Page can message, in 24 h; a small Page has an allowance.
        let allowance = 200 * u64::try_from(state.people.len()).unwrap_or(0).max(100);
        let percent = page.map_or(0, |p| p.sends * 100 / allowance);
        u32::try_from(percent.min(99)).unwrap_or(99)
    }

    fn use_case(&self, id: &str) -> Option<(String, &'static str)> {
        let state = self.state();
        if let Some(account) = id.strip_prefix("act_") {
            return Some((account.to_owned(), "ads_management"));
        }
        state
            .pages
            .contains_key(id)
            .then(|| (id.to_owned(), "messenger"))
    }
}

/// Every call of the Graph API comes in here.
async fn graph_api(
    Shared(meta): Shared<Meta>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (delay, down) = {
        let faults = meta.faults();
        (faults.delay_ms, faults.down)
    };
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let trace = meta.inner.world.chance.word(22);
    if down {
        let refusal = Refusal::new(2, "Service temporarily unavailable").status(503);
        return graph::respond(503, &refusal.body(&trace), &UsageShown::default());
    }
    let call = match Call::read(method.clone(), &uri, &headers, &body) {
        Ok(call) => call,
        Err(refusal) => {
            if refusal.status == 404 {
                meta.state()
                    .unknown_calls
                    .push(format!("meta: {method} {}", uri.path()));
            }
            return graph::respond(
                refusal.status,
                &refusal.body(&trace),
                &UsageShown::default(),
            );
        }
    };
    if method == Method::GET && call.path == ["dialog", "oauth"] {
        return meta.dialog(&call);
    }
    let is_send = call.path.last().is_some_and(|edge| edge == "messages");
    if is_send && let Some(throttle) = meta.throttle_due() {
        return graph::throttled(throttle, &trace, meta.use_case(&call.path[0]));
    }
    let (answer, usage) = meta.dispatch(&call);
    if is_send && answer.is_ok() && meta.drops_this_answer() {
        return broken_off();
    }
    match answer {
        Ok(value) => graph::respond(200, &value, &usage),
        Err(refusal) => graph::respond(refusal.status, &refusal.body(&trace), &usage),
    }
}

/// A body that fails at once: the connection is closed before anything was answered.
fn broken_off() -> Response {
    let error = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
    let body = Body::from_stream(futures::stream::once(async { Err::<Bytes, _>(error) }));
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    response
}

/// `{"success": true}`.
fn success() -> Value {
    serde_json::json!({ "success": true })
}

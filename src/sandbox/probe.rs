//! For the sandbox's own tests: somebody who receives webhooks, and a story's beginning.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use super::{Config, Sandbox, lock, start};
use crate::clock::{Clock, DAY};

pub(crate) const NOON: i64 = 1_790_000_000_000;
pub(crate) const PAGE: &str = "104512345678901";
pub(crate) const PAGE_TOKEN: &str = "page-token";
pub(crate) const ACCOUNT: &str = "act_22";
pub(crate) const LOGIN_TOKEN: &str = "login-token";
pub(crate) const SHOP: &str = "harbour-coffee.myshopify.com";

/// A sandbox on a steerable clock, and a receiver its webhooks point at.
pub(crate) struct Story {
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Clock,
    pub(crate) inbox: Inbox,
    pub(crate) http: reqwest::Client,
}

type Letters = Arc<Mutex<Vec<(HeaderMap, Vec<u8>)>>>;

#[derive(Clone)]
pub(crate) struct Inbox {
    pub(crate) url: String,
    letters: Letters,
    answers: Arc<Mutex<Vec<StatusCode>>>,
    _tasks: TaskTracker,
}

impl Story {
    pub(crate) async fn begins() -> Self {
        let clock = Clock::steerable(NOON);
        let sandbox = start(Config::new(clock.clone())).await.unwrap();
        let inbox = Inbox::open().await;
        sandbox
            .meta
            .page(PAGE, "Harbour Coffee", PAGE_TOKEN, ACCOUNT, LOGIN_TOKEN);
        sandbox.meta.page_is_ready(PAGE, "GET_STARTED");
        sandbox.meta.points_webhooks_at(&inbox.url);
        sandbox.shopify.shop(SHOP, "shpat_1");
        sandbox.shopify.points_webhooks_at(&inbox.url);
        sandbox.klaviyo.account("pk_1", "refresh-1");
        let http = super::webhook_sender::outbound().unwrap();
        Self {
            sandbox,
            clock,
            inbox,
            http,
        }
    }

    /// A Graph call with a JSON body: status, code, subcode, body.
    pub(crate) async fn graph(&self, token: &str, path: &str, body: Value) -> GraphAnswer {
        let url = format!("{}/v26.0/{path}", self.sandbox.meta.url());
        let answer = self
            .http
            .post(url)
            .bearer_auth(token)
            .json(&body)
            .send()
            .await
            .unwrap();
        GraphAnswer::of(answer).await
    }

    pub(crate) async fn graph_get(&self, token: &str, path: &str) -> GraphAnswer {
        let url = format!("{}/v26.0/{path}", self.sandbox.meta.url());
        let answer = self.http.get(url).bearer_auth(token).send().await.unwrap();
        GraphAnswer::of(answer).await
    }

    /// A campaign that is a day old, so warm.
    pub(crate) async fn warm_campaign(&self) -> String {
        let body = json!({ "name": "Sale", "page_id": PAGE });
        let answer = self
            .graph(LOGIN_TOKEN, &format!("{ACCOUNT}/message_campaign"), body)
            .await;
        self.clock.advance(DAY);
        answer.body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn sends_paid(
        &self,
        campaign: &str,
        token: &str,
        message: Value,
    ) -> GraphAnswer {
        let body = json!({
            "message_id": campaign,
            "messenger_delivery_data": { "subscription_token": token },
            "message": message,
        });
        self.graph(LOGIN_TOKEN, &format!("{ACCOUNT}/messages"), body)
            .await
    }

    pub(crate) async fn sends(&self, psid: &str, message: Value) -> GraphAnswer {
        let body = json!({
            "recipient": { "id": psid }, "messaging_type": "RESPONSE", "message": message,
        });
        self.graph(PAGE_TOKEN, &format!("{PAGE}/messages"), body)
            .await
    }
}

#[derive(Debug)]
pub(crate) struct GraphAnswer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl GraphAnswer {
    async fn of(answer: reqwest::Response) -> Self {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let text = answer.text().await.unwrap();
        Self {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or_default(),
        }
    }

    /// `(code, subcode)` of the refusal; `(0, 0)` when there was none.
    pub(crate) fn error(&self) -> (i64, i64) {
        let number = |key: &str| self.body["error"][key].as_i64().unwrap_or(0);
        (number("code"), number("error_subcode"))
    }
}

impl Inbox {
    async fn open() -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
        let tasks = TaskTracker::new();
        let inbox = Self {
            url,
            letters: Letters::default(),
            answers: Arc::default(),
            _tasks: tasks.clone(),
        };
        let app = Router::new().fallback(receive).with_state(inbox.clone());
        tasks.spawn(async move { axum::serve(listener, app).await });
        inbox
    }

    /// The next deliveries are answered with these.
    pub(crate) fn answers(&self, statuses: &[StatusCode]) {
        lock(&self.answers).extend_from_slice(statuses);
    }

    pub(crate) fn letters(&self) -> Vec<(HeaderMap, Vec<u8>)> {
        lock(&self.letters).clone()
    }

    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.letters()
            .iter()
            .map(|(_, body)| serde_json::from_slice(body).unwrap())
            .collect()
    }

    /// Every Meta entry in order, whatever webhook it came in.
    pub(crate) fn entries(&self) -> Vec<Value> {
        let entries = |b: &Value| b["entry"].as_array().cloned().unwrap_or_default();
        self.bodies().iter().flat_map(entries).collect()
    }

    pub(crate) fn topics(&self) -> Vec<String> {
        let topic = |(headers, _): &(HeaderMap, Vec<u8>)| {
            headers["x-shopify-topic"].to_str().unwrap().to_owned()
        };
        self.letters().iter().map(topic).collect()
    }
}

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let answer = {
        let mut answers = lock(&inbox.answers);
        if answers.is_empty() {
            StatusCode::OK
        } else {
            answers.remove(0)
        }
    };
    if answer.is_success() {
        lock(&inbox.letters).push((headers, body.to_vec()));
    }
    answer
}

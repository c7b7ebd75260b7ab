//! Webhooks: verify the raw bytes, keep, answer. What is not signed as it should be is answered
//! 401 and leaves no trace; what is signed but unreadable is kept with its error, and answered 200.

use axum::Router;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::store::ids::WorkspaceId;
use crate::store::sealed::sha256_hex;
use crate::web::Web;
use crate::webhooks::{self, Arrival, Platform};
use crate::{klaviyo, meta, shopify, workspaces};

/// Larger bodies are refused.
const MAX_BODY: usize = 5 * 1024 * 1024;
/// Bodies that do not end are not heard out.
const MAX_HEARD_OUT: usize = 64 * 1024 * 1024;

pub fn router() -> Router<Web> {
    Router::new()
        .route("/webhooks/shopify", post(from_shopify))
        .route("/webhooks/shopify/compliance", post(from_shopify))
        .route("/webhooks/meta", get(handshake).post(from_meta))
        .route("/webhooks/klaviyo/{workspace}", post(from_klaviyo))
        .route("/webhooks/klaviyo/{workspace}/flow", post(from_flow))
}

/// A body as it came, whatever its content type says.
struct Raw {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = StatusCode;

    async fn from_request(request: Request, _: &S) -> Result<Self, StatusCode> {
        let (parts, body) = request.into_parts();
        let mut stream = body.into_data_stream();
        let mut body = Vec::new();
        let mut length = 0;
        // A body that is too long is read to its end all the same: a sender that is still writing
        // would take an early answer for a broken connection.
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
            length += chunk.len();
            if length > MAX_HEARD_OUT {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            if length <= MAX_BODY {
                body.extend_from_slice(&chunk);
            } else {
                body = Vec::new();
            }
        }
        if length > MAX_BODY {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Ok(Self {
            headers: parts.headers,
            body,
        })
    }
}

impl Raw {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// One Shopify delivery. Its headers say what it is; without one of them it cannot be kept under
/// what makes a repeat recognisable, so it is refused.
async fn from_shopify(State(app): State<App>, raw: Raw) -> Response {
    let signature = shopify::webhooks::signature(&raw.headers);
    if !shopify::webhooks::verify_hmac(&app.config.shopify.api_secrets, &raw.body, signature) {
        return refused(Platform::Shopify);
    }
    let headers = match shopify::webhooks::read_headers(&raw.headers) {
        Ok(headers) => headers,
        Err(missing) => return (StatusCode::BAD_REQUEST, format!("{missing}\n")).into_response(),
    };
    let arrival = Arrival {
        platform: Platform::Shopify,
        external_id: headers.webhook_id,
        topic: headers.topic,
        account: headers.shop.as_str().to_owned(),
        triggered_at: headers.triggered_at,
        body: raw.body,
    };
    keep(&app, arrival).await
}

#[derive(Deserialize)]
struct Handshake {
    #[serde(rename = "hub.mode")]
    mode: Option<String>,
    #[serde(rename = "hub.verify_token")]
    verify_token: Option<String>,
    #[serde(rename = "hub.challenge")]
    challenge: Option<String>,
}

/// Meta asks whether we are the ones who subscribed.
async fn handshake(State(app): State<App>, Query(asked): Query<Handshake>) -> Response {
    let challenge = app.config.meta.verify_token.as_ref().and_then(|ours| {
        meta::webhooks::verify_handshake(
            ours,
            asked.mode.as_deref(),
            asked.verify_token.as_deref(),
            asked.challenge.as_deref(),
        )
    });
    match challenge {
        Some(challenge) => {
            let headers = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, challenge.to_owned()).into_response()
        }
        None => StatusCode::FORBIDDEN.into_response(),
    }
}

async fn from_meta(State(app): State<App>, raw: Raw) -> Response {
    let signature = raw.header("x-hub-signature-256");
    let is_signed = app
        .config
        .meta
        .app_secret
        .as_ref()
        .is_some_and(|secret| meta::webhooks::verify_signature(secret, &raw.body, signature));
    if !is_signed {
        return refused(Platform::Meta);
    }
    let about = About::of(&raw.body);
    if about.object.as_deref().is_some_and(is_foreign) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let arrival = Arrival {
        platform: Platform::Meta,
        external_id: sha256_hex(&raw.body),
        topic: about.topic,
        account: about.page,
        triggered_at: None,
        body: raw.body,
    };
    keep(&app, arrival).await
}

/// Meta asks for 404 on objects that nobody subscribed to.
fn is_foreign(object: &str) -> bool {
    !matches!(object, "page" | "permissions" | "ad_account")
}

/// What a delivery of Meta's is about, for the list of deliveries: its first entry speaks for all.
#[derive(Default)]
struct About {
    object: Option<String>,
    page: String,
    topic: String,
}

impl About {
    fn of(body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
            return Self::default();
        };
        let entry = body.pointer("/entry/0");
        // Entries about permissions are named by a person, who is not to be kept.
        let is_page = body
            .get("object")
            .is_none_or(|object| object != "permissions");
        let page = match entry.filter(|_| is_page).and_then(|entry| entry.get("id")) {
            Some(serde_json::Value::String(id)) => id.clone(),
            Some(serde_json::Value::Number(id)) => id.to_string(),
            _ => String::new(),
        };
        let lists = ["messaging", "standby"];
        let event = lists
            .iter()
            .find_map(|list| entry?.get(list)?.get(0)?.as_object());
        let telling = event.and_then(|event| {
            let parties = ["sender", "recipient", "timestamp", "field"];
            let mut members = event.keys().filter(|key| !parties.contains(&key.as_str()));
            members.next().cloned()
        });
        let field =
            entry.and_then(|entry| Some(entry.pointer("/changes/0/field")?.as_str()?.to_owned()));
        let flat = || Some(body.get("field")?.as_str()?.to_owned());
        Self {
            object: body
                .get("object")
                .and_then(|o| o.as_str())
                .map(str::to_owned),
            page,
            topic: telling.or(field).or_else(flat).unwrap_or_default(),
        }
    }
}

/// A system webhook; each workspace has a secret of its own. An unknown workspace is answered like
/// a wrong signature, so that nobody learns which exist.
async fn from_klaviyo(State(app): State<App>, Path(workspace): Path<String>, raw: Raw) -> Response {
    let Ok(workspace) = workspace.parse::<WorkspaceId>() else {
        return refused(Platform::Klaviyo);
    };
    let secret = match workspaces::klaviyo_webhook_secret(&app, workspace).await {
        Ok(Some(secret)) => secret,
        Ok(None) => return refused(Platform::Klaviyo),
        Err(error) => return unavailable(&error),
    };
    let (timestamp, signature) = (
        raw.header("klaviyo-timestamp"),
        raw.header("klaviyo-signature"),
    );
    if !klaviyo::webhooks::verify_signature(&secret, &raw.body, timestamp, signature) {
        return refused(Platform::Klaviyo);
    }
    let parsed = klaviyo::webhooks::parse_system(&raw.body);
    // The two must be equal (facts/klaviyo.md 3.1). Ours is not compared: the secret, which only
    // this workspace's webhook has, says whose it is, whatever name Klaviyo gives it.
    if let (Ok((Some(id), _)), Some(said)) = (&parsed, raw.header("klaviyo-webhook-id"))
        && said.trim() != id
    {
        return refused(Platform::Klaviyo);
    }
    let first = parsed
        .ok()
        .and_then(|(_, events)| events.into_iter().next());
    let arrival = Arrival {
        platform: Platform::Klaviyo,
        external_id: format!("{}:{}", workspace.0, sha256_hex(&raw.body)),
        topic: first.map(|event| event.topic).unwrap_or_default(),
        account: workspace.to_string(),
        triggered_at: None,
        body: raw.body,
    };
    keep(&app, arrival).await
}

/// A flow's webhook action: unsigned, so it carries the workspace's key.
async fn from_flow(State(app): State<App>, Path(workspace): Path<String>, raw: Raw) -> Response {
    let Ok(workspace) = workspace.parse::<WorkspaceId>() else {
        return refused(Platform::KlaviyoFlow);
    };
    let key = match flow_key(&app, workspace).await {
        Ok(Some(key)) => key,
        Ok(None) => return refused(Platform::KlaviyoFlow),
        Err(error) => return unavailable(&error),
    };
    let given = raw.header("x-pagecast-key").unwrap_or_default().trim();
    if !bool::from(given.as_bytes().ct_eq(key.expose_secret().as_bytes())) {
        return refused(Platform::KlaviyoFlow);
    }
    let flow = raw.header("x-klaviyo-flow-id").unwrap_or_default();
    let call = [flow.as_bytes(), b"\n", &raw.body].concat();
    let topic = klaviyo::webhooks::parse_flow(&raw.body).map(|flow| flow.event);
    let arrival = Arrival {
        platform: Platform::KlaviyoFlow,
        external_id: format!("{}:{}", workspace.0, sha256_hex(&call)),
        topic: topic.unwrap_or_default(),
        account: workspace.to_string(),
        triggered_at: None,
        body: raw.body,
    };
    keep(&app, arrival).await
}

async fn flow_key(app: &App, workspace: WorkspaceId) -> anyhow::Result<Option<SecretString>> {
    match workspaces::find(app, workspace).await? {
        Some(_) => workspaces::flow_key(app, workspace).await.map(Some),
        None => Ok(None),
    }
}

/// 200 only once the delivery is in the database: until then its sender must try again.
async fn keep(app: &App, arrival: Arrival) -> Response {
    match webhooks::receive(app, arrival).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => unavailable(&error),
    }
}

fn refused(platform: Platform) -> Response {
    tracing::warn!(
        platform = platform.as_str(),
        "A delivery without a valid signature or key was refused"
    );
    StatusCode::UNAUTHORIZED.into_response()
}

fn unavailable(error: &anyhow::Error) -> Response {
    tracing::error!("A delivery could not be kept: {error:#}");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_of_metas_is_named_by_its_first_event() {
        let about = About::of(
            br#"{"object":"page","entry":[{"id":12,"messaging":[{"sender":{"id":1},"optin":{}}]}]}"#,
        );
        assert_eq!((about.page.as_str(), about.topic.as_str()), ("12", "optin"));
        let about =
            About::of(br#"{"object":"page","entry":[{"id":"7","changes":[{"field":"feed"}]}]}"#);
        assert_eq!((about.page.as_str(), about.topic.as_str()), ("7", "feed"));
        assert!(is_foreign("instagram") && !is_foreign("page"));
        assert_eq!(About::of(b"nonsense").page, "");
    }
}

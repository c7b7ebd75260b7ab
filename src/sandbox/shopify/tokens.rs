//! The token endpoint and what the embedded admin hands the app: session tokens, expiring offline
//! tokens, their refresh with rotation.

use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Shop, Shopify};
use crate::clock::{DAY, HOUR, Millis, SECOND};
use crate::sandbox::lock;
use crate::sandbox::signature::{hmac_hex, hmac_sha256};

/// How long an access token, a refresh token and a session token live.
const ACCESS: Millis = HOUR;
const REFRESH: Millis = 90 * DAY;
const SESSION: Millis = 60 * SECOND;
/// How long a used refresh token still answers for its lost replacement.
const SECOND_CHANCE: Millis = 30 * DAY;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const OFFLINE: &str = "urn:shopify:params:oauth:token-type:offline-access-token";

/// One answer of the token endpoint.
#[derive(Debug)]
pub(super) struct Grant {
    access: String,
    /// `None`: it was asked for without `expiring`.
    expires_at: Option<Millis>,
    refresh: String,
    refresh_expires_at: Millis,
    first_used_at: Option<Millis>,
    /// Whose refresh token it came from.
    before: Option<usize>,
    /// Its replacement was used, so nobody can have lost it.
    is_over: bool,
}

/// What an access token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    Good,
    NonExpiring,
    Nothing,
}

impl Shop {
    pub(super) fn worth(&self, token: Option<&str>, now: Millis) -> Worth {
        let Some(token) = token.filter(|_| self.installed) else {
            return Worth::Nothing;
        };
        if token == self.token {
            return Worth::Good;
        }
        match self.grants.iter().find(|grant| grant.access == token) {
            Some(grant) => match grant.expires_at {
                Some(at) if at > now => Worth::Good,
                Some(_) => Worth::Nothing,
                None => Worth::NonExpiring,
            },
            None => Worth::Nothing,
        }
    }
}

impl Shopify {
    /// The merchant installs the app by Shopify's grant screen; nobody here is told, and no token
    /// is known outside until the app asks for one.
    pub fn installs(&self, domain: &str) -> Self {
        let nobodys = self.inner.world.chance.hex(32);
        self.shop(domain, &nobodys)
    }

    /// What App Bridge hands out for a member of staff: a minute's worth.
    pub fn session_token(&self, user: u64) -> anyhow::Result<String> {
        let domain = self.domain()?;
        let now = self.now() / SECOND;
        let claims = json!({
            "iss": format!("https://{domain}/admin"), "dest": format!("https://{domain}"),
            "aud": self.inner.client_id, "sub": user.to_string(), "exp": now + SESSION / SECOND,
            "nbf": now, "iat": now, "jti": self.inner.world.chance.uuid(),
            "sid": self.inner.world.chance.hex(64), "sig": self.inner.world.chance.hex(64),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!(
            "{}.{}",
            part(&json!({"alg": "HS256", "typ": "JWT"})),
            part(&claims)
        );
        let signature = hmac_sha256(&lock(&self.inner.secret), message.as_bytes());
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The query with which the admin opens the app in its iframe.
    pub fn embedded_query(&self, user: u64) -> anyhow::Result<String> {
        let domain = self.domain()?;
        let handle = domain.split('.').next().unwrap_or_default();
        let host = STANDARD_NO_PAD.encode(format!("admin.shopify.com/store/{handle}"));
        let pairs = [
            ("embedded", "1".to_owned()),
            ("host", host),
            ("id_token", self.session_token(user)?),
            ("locale", "en-US".to_owned()),
            ("session", self.inner.world.chance.hex(64)),
            ("shop", domain),
            ("timestamp", (self.now() / SECOND).to_string()),
        ];
        let message: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let hmac = hmac_hex(&lock(&self.inner.secret), message.join("&").as_bytes());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&pairs).append_pair("hmac", &hmac);
        Ok(query.finish())
    }

    /// The query that the app proxy puts on a call from the storefront: the shopper's own
    /// parameters, and what Shopify adds and signs.
    pub fn proxy_query(&self, own: &[(&str, &str)]) -> anyhow::Result<String> {
        let stamp = (self.now() / SECOND).to_string();
        let domain = self.domain()?;
        let mut pairs = own.to_vec();
        // Nobody is signed in unless a story says so.
        if !own.iter().any(|(name, _)| *name == "logged_in_customer_id") {
            pairs.push(("logged_in_customer_id", ""));
        }
        pairs.extend([
            ("path_prefix", "/apps/pagecast"),
            ("shop", domain.as_str()),
            ("timestamp", stamp.as_str()),
        ]);
        let mut sorted: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        sorted.sort();
        let signature = hmac_hex(&lock(&self.inner.secret), sorted.concat().as_bytes());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .extend_pairs(&pairs)
            .append_pair("signature", &signature);
        Ok(query.finish())
    }

    /// What the token endpoint gave to the shop's app, in order: `exchange` or `refresh`.
    pub fn tokens_given(&self) -> Vec<&'static str> {
        self.with_shop(|shop| {
            let kind = |grant: &Grant| match grant.before {
                Some(_) => "refresh",
                None => "exchange",
            };
            shop.grants.iter().map(kind).collect()
        })
        .unwrap_or_default()
    }

    /// Every token the app holds for the shop dies, as when Shopify revokes them.
    pub fn revokes_tokens(&self) -> anyhow::Result<()> {
        self.with_shop(|shop| {
            for grant in &mut shop.grants {
                grant.expires_at = Some(0);
                grant.is_over = true;
            }
        })
    }

    /// The access tokens end before their time; what refreshes them lives on.
    pub fn ends_access_tokens(&self) -> anyhow::Result<()> {
        self.with_shop(|shop| {
            for grant in &mut shop.grants {
                grant.expires_at = Some(0);
            }
        })
    }

    fn token_call(&self, domain: &str, is_json: bool, body: &[u8]) -> (StatusCode, Value) {
        let refused = |code: &str| (StatusCode::BAD_REQUEST, json!({ "error": code }));
        if self.inner.down.load(Ordering::SeqCst) {
            return (StatusCode::SERVICE_UNAVAILABLE, Value::Null);
        }
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        if !is_json || !asked.is_object() {
            return refused("invalid_request");
        }
        let field = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default();
        let now = self.now();
        // During a rotation Shopify takes the secret it signs with and the app's other one.
        let secrets = [
            lock(&self.inner.secret).clone(),
            self.inner.app_secret.clone(),
        ];
        let (access, refresh) = {
            let chance = &self.inner.world.chance;
            (
                format!("shpat_{}", chance.hex(32)),
                format!("shprt_{}", chance.hex(32)),
            )
        };
        let mut state = self.state();
        let Some(shop) = state.shops.get_mut(domain) else {
            return (StatusCode::NOT_FOUND, json!({ "errors": "Not Found" }));
        };
        let is_ours = field("client_id") == self.inner.client_id
            && secrets
                .iter()
                .any(|secret| secret == field("client_secret"));
        if !is_ours || !shop.installed {
            return refused("invalid_client");
        }
        let before = match field("grant_type") {
            EXCHANGE => {
                if field("subject_token_type") != ID_TOKEN
                    || field("requested_token_type") != OFFLINE
                {
                    return refused("invalid_request");
                }
                if !is_fresh(field("subject_token"), &secrets, domain, now) {
                    return refused("invalid_subject_token");
                }
                None
            }
            "refresh_token" => match used(shop, field("refresh_token"), now) {
                Some(index) => Some(index),
                None => return refused("invalid_grant"),
            },
            _ => return refused("unsupported_grant_type"),
        };
        let is_expiring = before.is_some() || field("expiring") == "1";
        let expires_at = is_expiring.then_some(now + ACCESS);
        let mut answer = json!({ "access_token": access, "scope": shop.scopes.join(",") });
        if expires_at.is_some() {
            answer["expires_in"] = json!(ACCESS / SECOND);
            answer["refresh_token"] = json!(refresh);
            answer["refresh_token_expires_in"] = json!(REFRESH / SECOND);
        }
        shop.grants.push(Grant {
            access,
            expires_at,
            refresh,
            refresh_expires_at: now + REFRESH,
            first_used_at: None,
            before,
            is_over: false,
        });
        (StatusCode::OK, answer)
    }
}

pub(super) async fn access_token(
    Shared(shopify): Shared<Shopify>,
    Path(domain): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let kind = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.starts_with("application/json"));
    let (status, answer) = shopify.token_call(&domain, is_json, &body);
    (status, axum::Json(answer)).into_response()
}

/// Takes a refresh token: it stays good for whoever lost the answer, until the replacement is used.
fn used(shop: &mut Shop, refresh: &str, now: Millis) -> Option<usize> {
    let index = shop.grants.iter().position(|grant| {
        grant.refresh == refresh
            && grant.expires_at.is_some()
            && !grant.is_over
            && grant.refresh_expires_at > now
            && grant
                .first_used_at
                .is_none_or(|first| first + SECOND_CHANCE > now)
    })?;
    let grant = &mut shop.grants[index];
    grant.first_used_at.get_or_insert(now);
    if let Some(before) = grant.before {
        shop.grants[before].is_over = true;
    }
    Some(index)
}

/// Ours, of this shop's staff, and not a second too old.
fn is_fresh(token: &str, secrets: &[String], domain: &str, now: Millis) -> bool {
    let Some((message, signature)) = token.rsplit_once('.') else {
        return false;
    };
    let given = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    let is_signed = secrets
        .iter()
        .any(|secret| hmac_sha256(secret, message.as_bytes()) == given);
    let claims = message
        .split_once('.')
        .and_then(|(_, claims)| URL_SAFE_NO_PAD.decode(claims).ok())
        .and_then(|claims| serde_json::from_slice::<Value>(&claims).ok())
        .unwrap_or_default();
    let seconds = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
    is_signed
        && claims["dest"] == format!("https://{domain}")
        && seconds("exp") * SECOND > now
        && seconds("nbf") * SECOND <= now
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{EXCHANGE, ID_TOKEN, OFFLINE};
    use crate::clock::{DAY, HOUR, MINUTE};
    use crate::sandbox::probe::{SHOP, Story};

    async fn asks(story: &Story, own: Value) -> (u16, Value) {
        let mut body = json!({"client_id": "sandbox-shopify-key",
            "client_secret": "sandbox-shopify-secret"});
        let fields = body.as_object_mut().unwrap();
        fields.extend(own.as_object().unwrap().clone());
        let url = story.sandbox.shopify.url().replace("{shop}", SHOP);
        let answer = story
            .http
            .post(format!("{url}/admin/oauth/access_token"))
            .json(&body)
            .send()
            .await
            .unwrap();
        (
            answer.status().as_u16(),
            answer.json().await.unwrap_or_default(),
        )
    }

    fn exchange(token: &str) -> Value {
        json!({"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ID_TOKEN,
            "requested_token_type": OFFLINE, "expiring": "1"})
    }

    fn refresh(answer: &Value) -> Value {
        json!({"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]})
    }

    #[tokio::test]
    async fn a_session_token_is_exchanged_while_it_is_fresh_and_in_full_words_only() {
        let story = Story::begins().await;
        let token = story.sandbox.shopify.session_token(42).unwrap();
        let (status, answer) = asks(&story, exchange(&token)).await;
        assert_eq!((status, &answer["expires_in"]), (200, &json!(3600)));
        for (field, value, error) in [
            ("client_secret", "wrong", "invalid_client"),
            ("grant_type", "password", "unsupported_grant_type"),
            ("subject_token_type", OFFLINE, "invalid_request"),
            ("subject_token", "a.b.c", "invalid_subject_token"),
        ] {
            let mut wrong = exchange(&token);
            wrong[field] = json!(value);
            let (status, answer) = asks(&story, wrong).await;
            assert_eq!((status, &answer["error"]), (400, &json!(error)), "{field}");
        }
        story.clock.advance(2 * MINUTE);
        let (_, answer) = asks(&story, exchange(&token)).await;
        assert_eq!(answer["error"], "invalid_subject_token");
    }

    #[tokio::test]
    async fn a_used_refresh_token_answers_again_until_its_replacement_is_used() {
        let story = Story::begins().await;
        let token = story.sandbox.shopify.session_token(42).unwrap();
        let first = asks(&story, exchange(&token)).await.1;
        let lost = asks(&story, refresh(&first)).await.1;
        let again = asks(&story, refresh(&first)).await;
        assert_eq!(again.0, 200, "the answer was lost, the old one still works");
        assert_ne!(lost["refresh_token"], again.1["refresh_token"]);
        assert_eq!(asks(&story, refresh(&again.1)).await.0, 200);
        let over = asks(&story, refresh(&first)).await;
        assert_eq!((over.0, &over.1["error"]), (400, &json!("invalid_grant")));

        story.clock.advance(91 * DAY);
        assert_eq!(
            asks(&story, refresh(&lost)).await.0,
            400,
            "90 days are over"
        );
    }

    #[tokio::test]
    async fn access_tokens_end_after_an_hour_and_those_without_an_end_are_not_taken() {
        let story = Story::begins().await;
        let call = async |token: &Value| {
            let url = story.sandbox.shopify.url().replace("{shop}", SHOP);
            let answer = story
                .http
                .post(format!("{url}/admin/api/2026-10/graphql.json"))
                .header("x-shopify-access-token", token.as_str().unwrap())
                .json(&json!({"query": "{ shop { name } }"}));
            answer.send().await.unwrap().status().as_u16()
        };
        let token = story.sandbox.shopify.session_token(42).unwrap();
        let mut endless = exchange(&token);
        endless["expiring"] = json!("0");
        let endless = asks(&story, endless).await.1;
        assert!(endless.get("expires_in").is_none());
        assert_eq!(call(&endless["access_token"]).await, 403);

        let expiring = asks(&story, exchange(&token)).await.1;
        assert_eq!(call(&expiring["access_token"]).await, 200);
        story.clock.advance(HOUR);
        assert_eq!(call(&expiring["access_token"]).await, 401);
    }
}

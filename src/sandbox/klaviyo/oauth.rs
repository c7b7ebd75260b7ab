//! `POST /oauth/token` and `/oauth/revoke`. A refresh returns the same refresh token and a new
//! access token, as observed at Klaviyo.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Klaviyo;
use crate::clock::HOUR;

impl Klaviyo {
    /// The answer to an OAuth call; `None` for any other call.
    pub(super) fn oauth(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Response> {
        let answer = match (method.as_str(), uri.path()) {
            ("POST", "/oauth/token") => self.token(headers, body),
            ("POST", "/oauth/revoke") => self.revoke(headers, body),
            _ => return None,
        };
        let (status, body) = answer;
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json");
        Some(
            response
                .body(Body::from(body.to_string()))
                .unwrap_or_default(),
        )
    }

    fn token(&self, headers: &HeaderMap, body: &[u8]) -> (u16, Value) {
        let Some(form) = self.oauth_form(headers, body) else {
            return (401, json!({ "error": "invalid_client" }));
        };
        let value = |name: &str| {
            form.iter()
                .find(|(k, _)| k == name)
                .map(|(_, v)| v.as_str())
        };
        if value("grant_type") != Some("refresh_token") {
            return (400, json!({ "error": "unsupported_grant_type" }));
        }
        let now = self.now();
        let access = format!("kl_at_{}", self.inner.world.chance.word(32));
        let mut state = self.state();
        let given = value("refresh_token").unwrap_or_default();
        let account = state
            .accounts
            .iter_mut()
            .find(|a| a.refresh_token == given && !a.revoked);
        let Some(account) = account else {
            return (400, json!({ "error": "invalid_grant" }));
        };
        account.access_tokens.insert(access.clone(), now + HOUR);
        let scope = "accounts:read segments:read lists:read profiles:read profiles:write \
                     events:read events:write metrics:read webhooks:read webhooks:write \
                     tracking-settings:read";
        (
            200,
            json!({
                "access_token": access, "token_type": "Bearer", "expires_in": 3600,
                "refresh_token": account.refresh_token, "scope": scope,
            }),
        )
    }

    fn revoke(&self, headers: &HeaderMap, body: &[u8]) -> (u16, Value) {
        let Some(form) = self.oauth_form(headers, body) else {
            return (401, json!({ "error": "invalid_client" }));
        };
        let mut state = self.state();
        for account in &mut state.accounts {
            if form
                .iter()
                .any(|(k, v)| k == "token" && *v == account.refresh_token)
            {
                account.revoked = true;
                account.access_tokens.clear();
            }
        }
        (200, json!({}))
    }

    /// The form, if our client stands behind it.
    fn oauth_form(&self, headers: &HeaderMap, body: &[u8]) -> Option<Vec<(String, String)>> {
        let given = headers
            .get("authorization")?
            .to_str()
            .ok()?
            .strip_prefix("Basic ")?;
        let pair = String::from_utf8(STANDARD.decode(given).ok()?).ok()?;
        let ours = format!("{}:{}", self.inner.client_id, self.inner.client_secret);
        let is_form = headers
            .get("content-type")?
            .to_str()
            .ok()?
            .starts_with("application/x-www-form");
        let form = url::form_urlencoded::parse(body);
        (pair == ours && is_form).then(|| form.into_owned().collect())
    }
}

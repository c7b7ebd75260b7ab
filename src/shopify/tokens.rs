//! Expiring offline tokens: from a session token the first time, from the refresh token after that.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::read::text;
use super::{Client, Error, ShopDomain};
use crate::clock::{DAY, Millis, SECOND};
use crate::http_client::Answer;

/// After an answer that names no time.
const PAUSE: Millis = 5 * SECOND;
/// No lifetime that Shopify names is longer than this.
const LONGEST: Millis = 400 * DAY;

/// What the token endpoint hands out; store whatever comes back.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: SecretString,
    /// What the merchant granted, comma-separated.
    pub scopes: String,
    /// Lifetime of the access token in milliseconds; `None`: it does not expire.
    pub expires_in: Option<Millis>,
    /// New with every answer.
    pub refresh: Option<SecretString>,
    /// Lifetime of the refresh token in milliseconds.
    pub refresh_expires_in: Option<Millis>,
}

impl Client {
    /// Offline tokens for a verified session token. [`Error::Reconnect`]: Shopify wants a fresher
    /// session token.
    pub async fn exchange(
        &self,
        shop: &ShopDomain,
        session_token: &SecretString,
    ) -> Result<Tokens, Error> {
        let asked = json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": session_token.expose_secret(),
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "requested_token_type": "urn:shopify:params:oauth:token-type:offline-access-token",
            "expiring": "1",
        });
        self.tokens(shop, asked).await
    }

    /// The next pair for a refresh token. The caller holds the shop's lock. [`Error::Reconnect`]:
    /// the refresh token is dead, and only the merchant opening the app brings new ones.
    pub async fn refresh(
        &self,
        shop: &ShopDomain,
        refresh_token: &SecretString,
    ) -> Result<Tokens, Error> {
        let asked = json!({
            "grant_type": "refresh_token",
            "refresh_token": refresh_token.expose_secret(),
        });
        self.tokens(shop, asked).await
    }

    async fn tokens(&self, shop: &ShopDomain, mut asked: Value) -> Result<Tokens, Error> {
        let (Some(id), Some(secret)) = (&self.settings.client_id, &self.settings.client_secret)
        else {
            return Err(Error::Refused(
                "set SHOPIFY_API_KEY and SHOPIFY_API_SECRET".into(),
            ));
        };
        asked["client_id"] = json!(id);
        asked["client_secret"] = json!(secret.expose_secret());
        let url = format!("{}/admin/oauth/access_token", self.admin(shop));
        let request = self
            .http
            .post(&url)
            .header("Accept", "application/json")
            .json(&asked);
        let answer = self.http.send(request).await;
        let answer = answer.map_err(|why| retry(why.to_string()))?;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        let body: Value = answer
            .json()
            .map_err(|_| retry("an unreadable answer".into()))?;
        read(&body).ok_or_else(|| retry("no access_token came".into()))
    }
}

fn read(body: &Value) -> Option<Tokens> {
    Some(Tokens {
        access: text(body, "access_token")?.into(),
        scopes: text(body, "scope").unwrap_or_default(),
        expires_in: lifetime(body, "expires_in"),
        refresh: text(body, "refresh_token").map(Into::into),
        refresh_expires_in: lifetime(body, "refresh_token_expires_in"),
    })
}

fn lifetime(body: &Value, field: &str) -> Option<Millis> {
    let seconds = body.get(field)?.as_i64()?;
    Some(seconds.saturating_mul(SECOND).clamp(0, LONGEST))
}

/// Only Shopify's own word that the grant is dead costs the tokens we hold; all else passes.
fn refused(answer: &Answer) -> Error {
    let status = answer.status;
    let body: Value = answer.json().unwrap_or_default();
    let code = text(&body, "error").unwrap_or_default();
    match code.as_str() {
        "invalid_subject_token" | "invalid_grant" => Error::Reconnect(code),
        "invalid_client" => Error::Refused(
            "invalid_client: SHOPIFY_API_KEY or SHOPIFY_API_SECRET is wrong, or the app was removed"
                .into(),
        ),
        _ => Error::Retry {
            after: answer.retry_after_ms().unwrap_or(PAUSE).max(SECOND),
            why: format!("HTTP {status} from the token endpoint"),
        },
    }
}

fn retry(why: String) -> Error {
    Error::Retry { after: PAUSE, why }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn answered(status: u16, body: &str) -> Error {
        refused(&Answer {
            status,
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn only_a_dead_grant_costs_the_tokens_whatever_its_status() {
        for status in [400, 401] {
            let dead = answered(status, r#"{"error":"invalid_grant"}"#);
            assert!(matches!(dead, Error::Reconnect(_)));
        }
        let stale = answered(400, r#"{"error":"invalid_subject_token"}"#);
        assert!(matches!(stale, Error::Reconnect(_)));
        let ours = answered(401, r#"{"error":"invalid_client"}"#);
        assert!(matches!(ours, Error::Refused(_)));
        for (status, body) in [(401, ""), (403, "{}"), (429, "slow"), (503, "<html>")] {
            assert!(matches!(answered(status, body), Error::Retry { .. }));
        }
    }

    #[test]
    fn a_token_without_an_end_is_read_as_such() {
        let tokens = read(&json!({"access_token": "a", "scope": "read_orders"})).unwrap();
        assert!(tokens.expires_in.is_none() && tokens.refresh.is_none());
        let tokens = read(&json!({"access_token": "a", "expires_in": 3600,
            "refresh_token": "r", "refresh_token_expires_in": 7_776_000}))
        .unwrap();
        assert_eq!(tokens.expires_in, Some(3_600_000));
        assert_eq!(tokens.refresh_expires_in, Some(7_776_000_000));
        assert!(read(&json!({"scope": "read_orders"})).is_none());
    }
}

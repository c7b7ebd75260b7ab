//! Access tokens from refresh tokens.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::read::text;
use super::request::refusal;
use super::{Auth, Client, Error};
use crate::clock::{Millis, SECOND};
use crate::http_client::Answer;

const PAUSE: Millis = 5 * SECOND;
/// Seconds an access token lives when the answer does not say.
const DEFAULT_LIFETIME: i64 = 3_600;
const MAX_LIFETIME: i64 = 30 * 86_400;

/// What `POST /oauth/token` returns; store whatever comes back.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: SecretString,
    pub refresh: SecretString,
    /// Lifetime of the access token in milliseconds.
    pub expires_in: Millis,
}

impl Client {
    /// New tokens for a refresh token. The caller holds the connection's lock: two refreshes at
    /// once could each get tokens and only one pair be kept.
    pub async fn refresh(&self, refresh_token: &SecretString) -> Result<Tokens, Error> {
        let (Some(id), Some(secret)) = (&self.settings.client_id, &self.settings.client_secret)
        else {
            return Err(Error::Refused {
                status: 0,
                detail: "set KLAVIYO_CLIENT_ID and KLAVIYO_CLIENT_SECRET".into(),
            });
        };
        let request = self
            .http
            .post(self.address(&["oauth", "token"])?.as_str())
            .basic_auth(id, Some(secret.expose_secret()))
            .form(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh_token.expose_secret()),
            ]);
        let retry = |why: String| Error::Retry { after: PAUSE, why };
        let answer = self
            .http
            .send(request)
            .await
            .map_err(|why| retry(why.to_string()))?;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        let body: Value = answer
            .json()
            .map_err(|_| retry("an unreadable answer".into()))?;
        let access =
            text(&body, "access_token").ok_or_else(|| retry("no access_token came".into()))?;
        let seconds = body
            .get("expires_in")
            .and_then(Value::as_i64)
            .unwrap_or(DEFAULT_LIFETIME);
        Ok(Tokens {
            access: access.into(),
            refresh: text(&body, "refresh_token").map_or(refresh_token.clone(), Into::into),
            expires_in: seconds.clamp(0, MAX_LIFETIME) * SECOND,
        })
    }

    /// The account behind the connection, one per merchant.
    pub async fn account(&self, auth: &Auth) -> Result<String, Error> {
        let answer = self.get(auth, &self.address(&["api", "accounts"])?).await?;
        let account = answer
            .pointer("/data/0")
            .and_then(|account| text(account, "id"));
        account.ok_or_else(|| Error::NotFound("no account came".into()))
    }
}

/// A dead refresh token is the merchant's to mend, wrong client credentials the operator's.
fn refused(answer: &Answer) -> Error {
    let body: Value = answer.json().unwrap_or_default();
    if text(&body, "error").as_deref() == Some("invalid_grant") {
        return Error::Reconnect("connect Klaviyo again".into());
    }
    if answer.status == 401 || text(&body, "error").as_deref() == Some("invalid_client") {
        return Error::Refused {
            status: answer.status,
            detail: "check KLAVIYO_CLIENT_ID and KLAVIYO_CLIENT_SECRET".into(),
        };
    }
    refusal(answer)
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
    fn only_a_dead_refresh_token_asks_the_merchant_to_connect_again() {
        let dead = answered(400, r#"{"error":"invalid_grant"}"#);
        assert!(matches!(dead, Error::Reconnect(_)));
        let ours = answered(401, r#"{"error":"invalid_client"}"#);
        assert!(matches!(ours, Error::Refused { status: 401, .. }));
        assert!(matches!(answered(503, "busy"), Error::Retry { .. }));
    }
}

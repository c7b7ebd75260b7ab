//! The one way to the Graph API: address, token, proof, and what became of the call.

use std::cmp::max;

use hmac::{Hmac, Mac};
use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::Sha256;

use super::errors::classify;
use super::{Client, Error, Usage};
use crate::clock::{MINUTE, Millis};
use crate::http_client::{Answer, Failure};

impl Client {
    /// `{graph_url}/{graph_version}/{segments}`; ids from outside cannot leave their segment.
    pub(super) fn address(&self, segments: &[&str]) -> Result<url::Url, Error> {
        let mut url = url::Url::parse(&self.settings.graph_url)
            .map_err(|_| Error::NotSent("META_GRAPH_URL is not an address".into()))?;
        url.path_segments_mut()
            .map_err(|()| Error::NotSent("META_GRAPH_URL is not an address".into()))?
            .pop_if_empty()
            .push(&self.settings.graph_version)
            .extend(segments);
        Ok(url)
    }

    pub(super) fn get(&self, segments: &[&str]) -> Result<RequestBuilder, Error> {
        Ok(self.http.get(self.address(segments)?.as_str()))
    }

    pub(super) fn post(&self, segments: &[&str]) -> Result<RequestBuilder, Error> {
        Ok(self.http.post(self.address(segments)?.as_str()))
    }

    pub(super) fn delete(&self, segments: &[&str]) -> Result<RequestBuilder, Error> {
        Ok(self.http.delete(self.address(segments)?.as_str()))
    }

    /// Signs, sends and reads: every call goes through here.
    pub(super) async fn request<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        token: &SecretString,
    ) -> Result<(T, Usage), Error> {
        let mut request = request.bearer_auth(token.expose_secret());
        if let Some(secret) = &self.settings.app_secret {
            request = request.query(&[("appsecret_proof", proof(secret, token))]);
        }
        self.request_bare(request).await
    }

    /// A call that proves itself by its own parameters.
    pub(super) async fn request_bare<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<(T, Usage), Error> {
        let answer = self
            .http
            .send(request)
            .await
            .map_err(|failure| match failure {
                Failure::NotSent(why) => Error::NotSent(why),
                Failure::AnswerLost(why) => Error::AnswerLost(why),
            })?;
        read(&answer)
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<(T, Usage), Error> {
    let usage = usage(&answer.headers);
    if !answer.is_success() {
        // A gateway that gave up waiting does not know whether Meta acted.
        if answer.status == 504 && !holds_error(answer) {
            return Err(Error::AnswerLost("a gateway timed out".into()));
        }
        return Err(refusal(answer, usage));
    }
    let unreadable =
        || Error::AnswerLost(format!("HTTP {} with an unreadable body", answer.status));
    let body: Value = answer.json().map_err(|_| unreadable())?;
    if body.get("error").is_some_and(Value::is_object) {
        return Err(refusal(answer, usage));
    }
    let value = serde_json::from_value(body).map_err(|_| unreadable())?;
    Ok((value, usage))
}

fn refusal(answer: &Answer, usage: Usage) -> Error {
    let wait = answer.retry_after_ms();
    Error::Api(classify(answer.status, &answer.body, wait, usage))
}

fn holds_error(answer: &Answer) -> bool {
    answer
        .json::<Value>()
        .is_ok_and(|body| body.get("error").is_some_and(Value::is_object))
}

/// `appsecret_proof`: lower-case hex HMAC-SHA256 of the token under the app secret.
fn proof(secret: &SecretString, token: &SecretString) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(token.expose_secret().as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// The highest percentage of all counters, and the longest wait Meta names.
pub fn usage(headers: &HeaderMap) -> Usage {
    let json = |name: &str| -> Option<Value> {
        serde_json::from_slice(headers.get(name)?.as_bytes()).ok()
    };
    let mut usage = Usage::default();
    for name in ["x-app-usage", "x-page-usage"] {
        if let Some(counters) = json(name) {
            count(&mut usage, &counters);
        }
    }
    let Some(Value::Object(by_business)) = json("x-business-use-case-usage") else {
        return usage;
    };
    for counters in by_business.values().filter_map(Value::as_array).flatten() {
        count(&mut usage, counters);
    }
    usage
}

fn count(usage: &mut Usage, counters: &Value) {
    for key in ["call_count", "total_cputime", "total_time"] {
        usage.percent = max(usage.percent, number(counters, key));
    }
    let wait = Millis::from(number(counters, "estimated_time_to_regain_access")) * MINUTE;
    if wait > 0 {
        usage.regain_after = max(usage.regain_after, Some(wait));
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped before"
)]
fn number(counters: &Value, key: &str) -> u32 {
    counters
        .get(key)
        .and_then(Value::as_f64)
        .map_or(0, |n| n.clamp(0.0, 1e6).ceil() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn the_highest_counter_and_the_longest_wait_win() {
        let page = headers(
            "X-Page-Usage",
            r#"{"call_count":12.4,"total_cputime":3,"total_time":40}"#,
        );
        assert_eq!(
            usage(&page),
            Usage {
                percent: 40,
                regain_after: None
            }
        );
        let business = headers(
            "X-Business-Use-Case-Usage",
            concat!(
                r#"{"1":[{"type":"messenger","call_count":99.2,"estimated_time_to_regain_access":0},"#,
                r#"{"type":"pages","total_time":5,"estimated_time_to_regain_access":3}]}"#,
            ),
        );
        assert_eq!(
            usage(&business),
            Usage {
                percent: 100,
                regain_after: Some(180_000)
            }
        );
    }

    #[test]
    fn headers_that_cannot_be_read_count_as_no_usage() {
        assert_eq!(usage(&headers("X-App-Usage", "busy")), Usage::default());
    }

    #[test]
    fn the_proof_is_the_hex_hmac_of_the_token() {
        let proof = proof(
            &"key".into(),
            &"The quick brown fox jumps over the lazy dog".into(),
        );
        assert_eq!(
            proof,
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
        );
    }
}

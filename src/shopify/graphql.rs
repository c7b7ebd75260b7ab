//! One call to the Admin GraphQL API, and what its answer means. Shopify says "no" in four places:
//! the status, `errors`, their codes, and `userErrors` inside the data.

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::read::{list, text};
use super::{API_VERSION, Client, Error, ShopDomain};
use crate::clock::{HOUR, Millis, SECOND};
use crate::http_client::Answer;

/// After an answer that names no time.
const PAUSE: Millis = 5 * SECOND;
/// A frozen or locked shop does not thaw within seconds.
const SHOP_CLOSED: Millis = HOUR;

impl Client {
    /// Runs a query or mutation and reads its `data`. A non-empty `userErrors` is a refusal; data
    /// that is only partly there (protected fields) is read as far as it goes.
    pub async fn graphql<T: DeserializeOwned>(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        query: &str,
        variables: Value,
    ) -> Result<T, Error> {
        let url = format!("{}/admin/api/{API_VERSION}/graphql.json", self.admin(shop));
        let request = self
            .http
            .post(&url)
            .header("X-Shopify-Access-Token", token.expose_secret())
            .json(&json!({ "query": query, "variables": variables }));
        let answer = self.http.send(request).await;
        let answer = answer.map_err(|why| Error::Retry {
            after: PAUSE,
            why: why.to_string(),
        })?;
        read(&answer)
    }
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Error> {
    if !answer.is_success() {
        return Err(by_status(answer));
    }
    let Ok(body) = answer.json::<Value>() else {
        return Err(Error::Retry {
            after: PAUSE,
            why: "an unreadable answer".into(),
        });
    };
    let refusal = first_error(&body);
    let data = body.get("data").filter(|data| data.is_object());
    let Some(data) = data else {
        return Err(refusal.unwrap_or_else(|| Error::Refused("an answer without data".into())));
    };
    if let Some(words) = user_errors(data) {
        return Err(Error::Refused(words));
    }
    match (serde_json::from_value(data.clone()), refusal) {
        // A throttled or failed part would be read as "there is none".
        (Ok(_), Some(retry @ Error::Retry { .. })) => Err(retry),
        (Ok(data), _) => Ok(data),
        (Err(_), Some(refusal)) => Err(refusal),
        (Err(why), None) => Err(Error::Refused(format!(
            "the answer lacks what was asked: {why}"
        ))),
    }
}

fn by_status(answer: &Answer) -> Error {
    let status = answer.status;
    let retry = |after| Error::Retry {
        after,
        why: format!("HTTP {status}"),
    };
    match status {
        401 => Error::Reconnect("open the app in Shopify again to renew its access".into()),
        402 | 423 => retry(SHOP_CLOSED),
        403 => Error::Refused(format!("HTTP 403: {}", words(answer))),
        429 => retry(answer.retry_after_ms().unwrap_or(PAUSE).max(SECOND)),
        430 => Error::Refused("HTTP 430: Shopify judged the call malicious".into()),
        408 | 500.. => retry(answer.retry_after_ms().unwrap_or(PAUSE)),
        _ => Error::Refused(format!("HTTP {status}: {}", words(answer))),
    }
}

/// Shopify's own words of a refusal, which come in three shapes.
fn words(answer: &Answer) -> String {
    let body: Value = answer.json().unwrap_or_default();
    let said = match body.get("errors") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(errors)) => errors
            .iter()
            .find_map(|error| text(error, "message"))
            .unwrap_or_default(),
        _ => text(&body, "error").unwrap_or_default(),
    };
    if said.is_empty() {
        "no reason given".into()
    } else {
        said
    }
}

fn first_error(body: &Value) -> Option<Error> {
    if let Some(Value::String(words)) = body.get("errors") {
        return Some(Error::Refused(words.clone()));
    }
    let errors = list(body, "errors");
    let code = |error: &Value| {
        error
            .get("extensions")
            .and_then(|extra| text(extra, "code"))
    };
    // The one that asks for patience decides: the others may only follow from it.
    let patient = |error: &&Value| {
        matches!(
            code(error).as_deref(),
            Some("THROTTLED" | "INTERNAL_SERVER_ERROR" | "SHOP_INACTIVE")
        )
    };
    let error = errors.iter().find(patient).or_else(|| errors.first())?;
    let message = text(error, "message").unwrap_or_default();
    Some(match code(error).as_deref() {
        Some("THROTTLED") => Error::Retry {
            after: throttled(body),
            why: "throttled".into(),
        },
        Some("INTERNAL_SERVER_ERROR") => Error::Retry {
            after: PAUSE,
            why: "an internal error of Shopify's".into(),
        },
        Some("SHOP_INACTIVE") => Error::Retry {
            after: SHOP_CLOSED,
            why: "the shop is frozen or locked".into(),
        },
        Some(code) => Error::Refused(format!("{code}: {message}")),
        None => Error::Refused(message),
    })
}

/// Until the bucket holds the query again: (requested - available) / restore rate.
#[expect(clippy::cast_possible_truncation, reason = "clamped to an hour")]
fn throttled(body: &Value) -> Millis {
    let number = |path: &str| body.pointer(path).and_then(Value::as_f64);
    let cost = "/extensions/cost";
    let missing = number(&format!("{cost}/requestedQueryCost")).unwrap_or(100.0)
        - number(&format!("{cost}/throttleStatus/currentlyAvailable")).unwrap_or(0.0);
    let rate = number(&format!("{cost}/throttleStatus/restoreRate"))
        .unwrap_or(50.0)
        .max(1.0);
    (missing / rate * 1_000.0)
        .ceil()
        .clamp(1_000.0, 3_600_000.0) as Millis
}

fn user_errors(data: &Value) -> Option<String> {
    let fields = data.as_object()?.values();
    let errors = fields.flat_map(|field| list(field, "userErrors"));
    let words = |error: &Value| {
        let message = text(error, "message")?;
        Some(match text(error, "code") {
            Some(code) => format!("{code}: {message}"),
            None => message,
        })
    };
    let said: Vec<String> = errors.filter_map(words).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &Value) -> Result<Value, Error> {
        let headers = reqwest::header::HeaderMap::default();
        read(&Answer {
            status,
            headers,
            body: body.to_string().into_bytes(),
        })
    }

    fn failed(code: &str) -> Value {
        json!({"errors": [{"message": "said", "extensions": {"code": code}}]})
    }

    #[test]
    fn a_throttled_query_waits_until_the_bucket_holds_it() {
        let mut body = failed("THROTTLED");
        body["extensions"] = json!({"cost": {"requestedQueryCost": 350,
            "throttleStatus": {"currentlyAvailable": 50, "restoreRate": 100}}});
        let Err(Error::Retry { after, .. }) = answered(200, &body) else {
            panic!("not a retry")
        };
        assert_eq!(after, 3_000);
    }

    #[test]
    fn each_code_and_status_has_its_consequence() {
        let retried = |result| matches!(result, Err(Error::Retry { .. }));
        let refused = |result| matches!(result, Err(Error::Refused(_)));
        assert!(retried(answered(200, &failed("INTERNAL_SERVER_ERROR"))));
        assert!(retried(answered(200, &failed("SHOP_INACTIVE"))));
        assert!(refused(answered(200, &failed("ACCESS_DENIED"))));
        assert!(refused(answered(200, &failed("MAX_COST_EXCEEDED"))));
        assert!(matches!(
            answered(401, &json!({})),
            Err(Error::Reconnect(_))
        ));
        assert!(retried(answered(402, &json!({}))));
        assert!(retried(answered(423, &json!({}))));
        assert!(refused(answered(403, &json!({"errors": "[API] no"}))));
        assert!(refused(answered(430, &json!({}))));
        assert!(retried(answered(429, &json!({}))));
        assert!(retried(answered(502, &json!({}))));
    }

    #[test]
    fn user_errors_are_a_refusal_with_their_words() {
        let body = json!({"data": {"webhookSubscriptionCreate":
            {"webhookSubscription": null, "userErrors": [{"field": ["uri"], "message": "bad"}]}}});
        assert_eq!(
            answered(200, &body).unwrap_err().to_string(),
            "Shopify refused: bad"
        );
    }

    #[test]
    fn protected_fields_that_come_as_null_do_not_spoil_the_rest() {
        let mut body = failed("ACCESS_DENIED");
        body["data"] = json!({"order": {"name": "#1", "email": null}});
        assert_eq!(answered(200, &body).unwrap()["order"]["name"], "#1");
        let mut body = failed("THROTTLED");
        body["data"] = json!({"order": null});
        assert!(matches!(answered(200, &body), Err(Error::Retry { .. })));
    }
}

//! What Klaviyo tells us: system webhooks (signed) and flow webhooks (keyed).

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::read::{properties, rows, text, time};
use super::{Auth, Client, Error};
use crate::clock::{Millis, SECOND};

/// Characters of a metric's name at Klaviyo, and so of an event's name here.
const EVENT_LIMIT: usize = 128;
/// Characters of any identifier of a person.
const IDENTIFIER_LIMIT: usize = 255;
/// Keys Klaviyo allows in an event's properties.
const PROPERTIES_LIMIT: usize = 400;

/// One event of a system webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemEvent {
    /// The event's own id: the dedupe key.
    pub external_id: String,
    /// `event:<integration>.<metric_slug>`.
    pub topic: String,
    pub profile_id: Option<String>,
    pub metric_id: Option<String>,
    pub properties: serde_json::Map<String, serde_json::Value>,
    pub at: Option<Millis>,
}

/// The body of a flow's webhook action, as design section 7 describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowEvent {
    pub event: String,
    pub email: Option<String>,
    pub phone_number: Option<String>,
    pub profile_id: Option<String>,
    pub external_id: Option<String>,
    pub properties: serde_json::Map<String, serde_json::Value>,
}

/// The body is not a system webhook; it is kept with this text.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    #[error("the body is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("the body has no readable `{0}`")]
    Missing(&'static str),
}

/// What is wrong with the body of a flow webhook, for the merchant who wrote its template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", if field.is_empty() { String::new() } else { format!("{field}: ") })]
pub struct FieldError {
    /// Empty when the body as a whole is meant.
    pub field: &'static str,
    pub problem: String,
}

/// `Klaviyo-Signature`: hex HMAC-SHA256 over the raw body followed by the `Klaviyo-Timestamp`
/// header as it came, without a separator. The timestamp is an input only, never a clock: it
/// was seen five hours off.
pub fn verify_signature(
    secret: &SecretString,
    body: &[u8],
    timestamp_header: Option<&str>,
    signature_header: Option<&str>,
) -> bool {
    let (Some(timestamp), Some(given)) = (timestamp_header, signature_header) else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(body);
    mac.update(timestamp.as_bytes());
    let expected = hex::encode(mac.finalize().into_bytes());
    expected.as_bytes().ct_eq(given.trim().as_bytes()).into()
}

/// The webhook's id, where the body names it (the `Klaviyo-Webhook-Id` header must not name
/// another), and its events.
pub fn parse_system(body: &[u8]) -> Result<(Option<String>, Vec<SystemEvent>), ParseError> {
    let body: Value = serde_json::from_slice(body)?;
    let webhook_id = body
        .get("meta")
        .and_then(|meta| text(meta, "klaviyo_webhook_id"));
    if !body.get("data").is_some_and(Value::is_array) {
        return Err(ParseError::Missing("data"));
    }
    // One event without an id must not hold up the thousand that came with it.
    let events: Vec<SystemEvent> = rows(&body).iter().filter_map(read_event).collect();
    if events.is_empty() && !rows(&body).is_empty() {
        return Err(ParseError::Missing("data[].external_id"));
    }
    Ok((webhook_id, events))
}

fn read_event(item: &Value) -> Option<SystemEvent> {
    let null = &Value::Null;
    let event = item.pointer("/payload/data").unwrap_or(null);
    let attributes = event.get("attributes").unwrap_or(null);
    let related = |name: &str| text(event.pointer(&format!("/relationships/{name}/data"))?, "id");
    let seconds = || attributes.get("timestamp").and_then(Value::as_i64);
    Some(SystemEvent {
        external_id: text(item, "external_id").or_else(|| text(event, "id"))?,
        topic: text(item, "topic").unwrap_or_default(),
        profile_id: related("profile"),
        metric_id: related("metric"),
        properties: properties(attributes.get("event_properties")),
        at: time(attributes, "datetime")
            .or_else(|| seconds().and_then(|seconds| seconds.checked_mul(SECOND))),
    })
}

/// Reads the body of a flow's webhook action and says which field is wrong.
pub fn parse_flow(body: &[u8]) -> Result<FlowEvent, FieldError> {
    let problem = |field, problem: &str| FieldError {
        field,
        problem: problem.to_owned(),
    };
    let body: Value = serde_json::from_slice(body)
        .map_err(|why| problem("", &format!("the body is not JSON: {why}")))?;
    if !body.is_object() {
        return Err(problem("", "the body must be a JSON object"));
    }
    let event = match body.get("event") {
        None | Some(Value::Null) => return Err(problem("event", "is required")),
        Some(Value::String(_)) => text(&body, "event").ok_or(problem("event", "is empty"))?,
        Some(_) => return Err(problem("event", "must be text")),
    };
    let event = event.trim().to_owned();
    if event.chars().count() > EVENT_LIMIT {
        return Err(problem(
            "event",
            &format!("is longer than {EVENT_LIMIT} characters"),
        ));
    }
    let identifier = |field: &'static str| match body.get(field) {
        Some(Value::String(_) | Value::Number(_) | Value::Null) | None => {
            let value = text(&body, field).map(|value| value.trim().to_owned());
            if value
                .as_ref()
                .is_some_and(|value| value.chars().count() > IDENTIFIER_LIMIT)
            {
                let limit = format!("is longer than {IDENTIFIER_LIMIT} characters");
                return Err(problem(field, &limit));
            }
            Ok(value)
        }
        Some(_) => Err(problem(field, "must be text")),
    };
    let given = match body.get("properties") {
        None | Some(Value::Null) => Map::new(),
        // A template's empty object may arrive as a list.
        Some(Value::Array(items)) if items.is_empty() => Map::new(),
        Some(object @ Value::Object(_)) => properties(Some(object)),
        Some(_) => return Err(problem("properties", "must be an object")),
    };
    if given.len() > PROPERTIES_LIMIT {
        let limit = format!("has more than {PROPERTIES_LIMIT} keys");
        return Err(problem("properties", &limit));
    }
    let flow = FlowEvent {
        event,
        email: identifier("email")?,
        phone_number: identifier("phone_number")?,
        profile_id: identifier("profile_id")?,
        external_id: identifier("external_id")?,
        properties: given,
    };
    let known = [
        &flow.email,
        &flow.phone_number,
        &flow.profile_id,
        &flow.external_id,
    ];
    if known.iter().all(|identifier| identifier.is_none()) {
        let one = "give the person's email, phone_number, profile_id or external_id";
        return Err(problem("email", one));
    }
    Ok(flow)
}

impl Client {
    /// The topics this account offers; they differ from account to account.
    pub async fn webhook_topics(&self, auth: &Auth) -> Result<Vec<String>, Error> {
        let answer = self
            .get(auth, &self.address(&["api", "webhook-topics"])?)
            .await?;
        Ok(rows(&answer)
            .iter()
            .filter_map(|topic| text(topic, "id"))
            .collect())
    }

    /// Creates a webhook and returns its id. Klaviyo never shows secret or address again.
    pub async fn create_webhook(
        &self,
        auth: &Auth,
        name: &str,
        endpoint_url: &str,
        secret: &SecretString,
        topics: &[String],
    ) -> Result<String, Error> {
        let body = webhook_body(name, endpoint_url, secret, topics);
        let answer = self.post(auth, &["api", "webhooks"], &body).await?;
        let id = answer.get("data").and_then(|webhook| text(webhook, "id"));
        id.ok_or_else(|| Error::NotFound("no webhook came back".into()))
    }

    pub async fn delete_webhook(&self, auth: &Auth, id: &str) -> Result<(), Error> {
        let url = self.address(&["api", "webhooks", id])?;
        self.request(auth, self.http.delete(url.as_str()), None)
            .await?;
        Ok(())
    }

    /// Switches a webhook on again after Klaviyo gave up on it.
    pub async fn enable_webhook(&self, auth: &Auth, id: &str) -> Result<(), Error> {
        let url = self.address(&["api", "webhooks", id])?;
        let request = self.http.patch(url.as_str());
        self.request(auth, request, Some(&enable_webhook_body(id)))
            .await?;
        Ok(())
    }
}

/// The body of `POST /api/webhooks`.
pub fn webhook_body(
    name: &str,
    endpoint_url: &str,
    secret: &SecretString,
    topics: &[String],
) -> Value {
    let topics: Vec<Value> = topics
        .iter()
        .map(|topic| json!({ "type": "webhook-topic", "id": topic }))
        .collect();
    json!({
        "data": {
            "type": "webhook",
            "attributes": {
                "name": name,
                "endpoint_url": endpoint_url,
                "secret_key": secret.expose_secret(),
            },
            "relationships": { "webhook-topics": { "data": topics } },
        },
    })
}

/// The body of `PATCH /api/webhooks/{id}` that switches it on.
pub fn enable_webhook_body(id: &str) -> Value {
    json!({ "data": { "type": "webhook", "id": id, "attributes": { "enabled": true } } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_signature_recipe_holds() {
        let secret = SecretString::from("0123456789abcdef");
        let body = br#"{"data":[],"meta":{"klaviyo_webhook_id":"w","timestamp":"2026-04-13T22:50:12.101159+00:00"}}"#;
        let timestamp = Some("Tue, 14 Apr 2026 03:50:12 GMT");
        let signature = Some("1ce9c31fcdd7ebe5754d639a175bc4136a490f8c262b0d30d22dc161b209d8ff");
        assert!(verify_signature(&secret, body, timestamp, signature));
        assert!(!verify_signature(
            &secret,
            body,
            Some("Tue, 14 Apr 2026 03:50:13 GMT"),
            signature
        ));
        assert!(!verify_signature(&secret, &body[1..], timestamp, signature));
        assert!(!verify_signature(
            &"other".into(),
            body,
            timestamp,
            signature
        ));
        assert!(!verify_signature(&secret, body, None, signature));
        assert!(!verify_signature(&secret, body, timestamp, None));
    }

    #[test]
    fn a_recorded_delivery_is_understood() {
        let body = br#"{"data":[{"external_id":"73WCCK7JKtE","topic":"event:klaviyo.unsubscribed_from_email_marketing",
            "payload":{"data":{"type":"event","id":"73WCCK7JKtE","attributes":{"timestamp":1776118606,"datetime":"2026-04-13 22:16:46+00:00","event_properties":{"$event_id":"1776118606","method":"PROFILE_PAGE"}},
            "relationships":{"profile":{"data":{"type":"profile","id":"01KP4E"}},"metric":{"data":{"type":"metric","id":"SHi67A"}}}}}}],
            "meta":{"klaviyo_webhook_id":"01KP4F","klaviyo_account_id":"WBhXHN","version":"2024-06-28"}}"#;
        let (webhook_id, events) = parse_system(body).unwrap();
        assert_eq!(webhook_id.as_deref(), Some("01KP4F"));
        let [event] = events.as_slice() else {
            panic!("one event")
        };
        assert_eq!(event.external_id, "73WCCK7JKtE");
        assert_eq!(event.profile_id.as_deref(), Some("01KP4E"));
        assert_eq!(event.metric_id.as_deref(), Some("SHi67A"));
        assert_eq!(event.at, Some(1_776_118_606_000));
        assert_eq!(event.properties["method"], "PROFILE_PAGE");
    }

    #[test]
    fn a_system_body_needs_events_but_not_the_name_of_its_webhook() {
        let (webhook_id, events) =
            parse_system(br#"{"data":[{"external_id":"a"}],"meta":{}}"#).unwrap();
        assert_eq!((webhook_id, events.len()), (None, 1));
        assert!(matches!(
            parse_system(b"{\"meta\":{}}"),
            Err(ParseError::Missing(_))
        ));
        assert!(matches!(parse_system(b"nope"), Err(ParseError::NotJson(_))));
    }

    #[test]
    fn a_flow_body_is_read_or_its_field_is_named() {
        let flow = parse_flow(
            br#"{"event":" Price drop ","email":"a@b.example","external_id":7,"properties":{"n":1}}"#,
        )
        .unwrap();
        assert_eq!(
            (flow.event.as_str(), flow.external_id.as_deref()),
            ("Price drop", Some("7"))
        );
        assert_eq!(flow.properties["n"], 1);
        let wrong = |body: &str| parse_flow(body.as_bytes()).unwrap_err().field;
        assert_eq!(wrong("[]"), "");
        assert_eq!(wrong("{"), "");
        assert_eq!(wrong(r#"{"email":"a@b.example"}"#), "event");
        assert_eq!(wrong(r#"{"event":"","email":"a@b.example"}"#), "event");
        assert_eq!(
            wrong(&format!(r#"{{"event":"{}"}}"#, "x".repeat(129))),
            "event"
        );
        assert_eq!(wrong(r#"{"event":"e","email":{}}"#), "email");
        assert_eq!(wrong(r#"{"event":"e","email":""}"#), "email");
        assert_eq!(
            wrong(r#"{"event":"e","email":"a@b","properties":"x"}"#),
            "properties"
        );
    }
}

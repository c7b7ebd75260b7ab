//! Events and profile properties out. The bodies are pure functions, checked against Klaviyo's
//! own specification by a test.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::read::text;
use super::{Auth, Client, Error};
use crate::clock::{Millis, rfc3339};

/// Events one bulk call may carry.
pub const BULK_LIMIT: usize = 1_000;

/// One event for a profile. `unique_id` makes a repeat harmless.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// `Clicked Messenger Message` and its like; under 128 characters.
    pub metric: String,
    pub profile: ProfileKey,
    pub properties: serde_json::Map<String, serde_json::Value>,
    pub at: Millis,
    /// Decimal text and currency code, where the event has a value.
    pub value: Option<(String, String)>,
    pub unique_id: String,
}

/// At least one of them is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProfileKey {
    pub id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub external_id: Option<String>,
}

impl Client {
    /// Records one event. 202 is acceptance: it shows on the profile minutes later.
    pub async fn create_event(&self, auth: &Auth, event: &NewEvent) -> Result<(), Error> {
        self.post(auth, &["api", "events"], &event_body(event))
            .await?;
        Ok(())
    }

    /// Records up to [`BULK_LIMIT`] events in one call. A repeated `unique_id` would fail the
    /// whole call at Klaviyo, so it is refused here with its name.
    pub async fn create_events(&self, auth: &Auth, events: &[NewEvent]) -> Result<(), Error> {
        if let Some(problem) = bulk_problem(events) {
            return Err(Error::Refused {
                status: 0,
                detail: problem,
            });
        }
        if events.is_empty() {
            return Ok(());
        }
        self.post(
            auth,
            &["api", "event-bulk-create-jobs"],
            &events_body(events),
        )
        .await?;
        Ok(())
    }

    /// Creates or updates a profile and returns its id. Properties that are null are cleared,
    /// those left out are kept.
    pub async fn upsert_profile(
        &self,
        auth: &Auth,
        key: &ProfileKey,
        properties: Map<String, Value>,
    ) -> Result<String, Error> {
        let body = profile_body(key, properties);
        let answer = self.post(auth, &["api", "profile-import"], &body).await?;
        let id = answer.get("data").and_then(|profile| text(profile, "id"));
        id.ok_or_else(|| Error::NotFound("no profile came back".into()))
    }
}

/// The body of `POST /api/events`.
pub fn event_body(event: &NewEvent) -> Value {
    let mut attributes = event_attributes(event);
    attributes.insert(
        "profile".into(),
        json!({ "data": profile_data(&event.profile) }),
    );
    json!({ "data": { "type": "event", "attributes": attributes } })
}

/// The body of `POST /api/event-bulk-create-jobs`: the events of one profile together.
pub fn events_body(events: &[NewEvent]) -> Value {
    let mut place: HashMap<&ProfileKey, usize> = HashMap::new();
    let mut groups: Vec<(&ProfileKey, Vec<Value>)> = Vec::new();
    for event in events {
        let at = *place.entry(&event.profile).or_insert_with(|| {
            groups.push((&event.profile, Vec::new()));
            groups.len() - 1
        });
        groups[at]
            .1
            .push(json!({ "type": "event", "attributes": event_attributes(event) }));
    }
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(profile, events)| {
            json!({
                "type": "event-bulk-create",
                "attributes": {
                    "profile": { "data": profile_data(profile) },
                    "events": { "data": events },
                },
            })
        })
        .collect();
    json!({
        "data": {
            "type": "event-bulk-create-job",
            "attributes": { "events-bulk-create": { "data": groups } },
        },
    })
}

/// The body of `POST /api/profile-import`.
pub fn profile_body(key: &ProfileKey, properties: Map<String, Value>) -> Value {
    let mut profile = profile_data(key);
    profile["attributes"]["properties"] = Value::Object(properties);
    json!({ "data": profile })
}

fn bulk_problem(events: &[NewEvent]) -> Option<String> {
    if events.len() > BULK_LIMIT {
        return Some(format!(
            "{} events in one call, at most {BULK_LIMIT}",
            events.len()
        ));
    }
    let mut seen = HashSet::new();
    let repeated = events.iter().find(|event| {
        !seen.insert((
            &event.profile,
            event.metric.as_str(),
            event.unique_id.as_str(),
        ))
    })?;
    Some(format!("unique_id {} appears twice", repeated.unique_id))
}

fn event_attributes(event: &NewEvent) -> Map<String, Value> {
    let metric = json!({ "data": { "type": "metric", "attributes": { "name": event.metric } } });
    let mut attributes = Map::new();
    attributes.insert("properties".into(), Value::Object(event.properties.clone()));
    attributes.insert("time".into(), rfc3339(event.at).into());
    attributes.insert("unique_id".into(), event.unique_id.as_str().into());
    attributes.insert("metric".into(), metric);
    let value = event.value.as_ref().and_then(|(amount, currency)| {
        Some((
            amount
                .parse::<f64>()
                .ok()
                .filter(|amount| amount.is_finite())?,
            currency,
        ))
    });
    if let Some((amount, currency)) = value {
        attributes.insert("value".into(), amount.into());
        attributes.insert("value_currency".into(), currency.as_str().into());
    }
    attributes
}

fn profile_data(key: &ProfileKey) -> Value {
    let identifiers = [
        ("email", &key.email),
        ("phone_number", &key.phone),
        ("external_id", &key.external_id),
    ];
    let attributes: Map<String, Value> = identifiers
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.as_deref()?.into())))
        .collect();
    let mut profile = json!({ "type": "profile", "attributes": attributes });
    if let Some(id) = &key.id {
        profile["id"] = id.as_str().into();
    }
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(profile: &str, unique_id: &str) -> NewEvent {
        NewEvent {
            metric: "Clicked Messenger Message".into(),
            profile: ProfileKey {
                id: Some(profile.into()),
                ..ProfileKey::default()
            },
            properties: Map::new(),
            at: 1_790_000_000_000,
            value: Some(("49.90".into(), "USD".into())),
            unique_id: unique_id.into(),
        }
    }

    #[test]
    fn events_of_one_profile_travel_together() {
        let body = events_body(&[event("A", "1"), event("B", "2"), event("A", "3")]);
        let groups = &body["data"]["attributes"]["events-bulk-create"]["data"];
        assert_eq!(groups.as_array().unwrap().len(), 2);
        assert_eq!(groups[0]["attributes"]["profile"]["data"]["id"], "A");
        let events = groups[0]["attributes"]["events"]["data"]
            .as_array()
            .unwrap();
        let ids: Vec<_> = events
            .iter()
            .map(|event| &event["attributes"]["unique_id"])
            .collect();
        assert_eq!(ids, ["1", "3"]);
        assert_eq!(events[0]["attributes"]["value"], 49.9);
    }

    #[test]
    fn a_repeated_unique_id_is_named_before_it_fails_the_whole_call() {
        let twice = [event("A", "1"), event("A", "1")];
        assert_eq!(
            bulk_problem(&twice).as_deref(),
            Some("unique_id 1 appears twice")
        );
        assert_eq!(bulk_problem(&[event("A", "1"), event("B", "1")]), None);
        let many: Vec<_> = (0..=BULK_LIMIT)
            .map(|n| event("A", &n.to_string()))
            .collect();
        assert!(bulk_problem(&many).is_some());
    }

    #[test]
    fn an_event_carries_only_the_identifiers_it_has() {
        let mut event = event("A", "1");
        event.profile.email = Some("a@b.example".into());
        let body = event_body(&event);
        let profile = &body["data"]["attributes"]["profile"]["data"];
        let expected =
            json!({"type": "profile", "id": "A", "attributes": {"email": "a@b.example"}});
        assert_eq!(*profile, expected);
        assert_eq!(body["data"]["attributes"]["time"], "2026-09-21T14:13:20Z");
    }
}

//! Events and profiles coming in. A repeated `unique_id` for one profile and metric is dropped
//! silently when it comes alone, and fails the whole request in bulk.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::wire::{Call, Refusal, Reply, object, of_type, text};
use super::{Account, Klaviyo, Profile, ReceivedEvent};
use crate::clock::{Millis, parse_rfc3339};

const EVENT_KEYS: &[&str] = &[
    "properties",
    "time",
    "value",
    "value_currency",
    "unique_id",
    "metric",
    "backfill",
];
const PROFILE_KEYS: &[&str] = &[
    "email",
    "phone_number",
    "external_id",
    "anonymous_id",
    "_kx",
    "first_name",
    "last_name",
    "organization",
    "locale",
    "title",
    "image",
    "location",
    "properties",
    "meta",
];
const MOST_IN_BULK: usize = 1_000;

/// One event that passed the checks, not yet kept.
struct Checked {
    metric: String,
    properties: Map<String, Value>,
    unique_id: Option<String>,
    time: Option<String>,
    value: Option<f64>,
    value_currency: Option<String>,
}

impl Klaviyo {
    /// The events the product sent, repeats left out, oldest first.
    pub fn events_received(&self) -> Vec<ReceivedEvent> {
        let at = self.at.unwrap_or(0);
        self.state()
            .accounts
            .get(at)
            .map(|a| a.events.clone())
            .unwrap_or_default()
    }

    pub(super) fn create_event(&self, call: &Call) -> Reply {
        call.only(&[])?;
        of_type(&call.body, "/data", "event")?;
        object(&call.body, "/data", &["type", "attributes"])?;
        let mut known = EVENT_KEYS.to_vec();
        known.push("profile");
        object(&call.body, "/data/attributes", &known)?;
        let event = check_event(&call.body, "/data/attributes", self.now())?;
        let profile = check_profile(&call.body, "/data/attributes/profile/data")?;
        let now = self.now();
        let id = self.id();
        let metric_id = self.inner.world.chance.word(6);
        let mut state = self.state();
        if let Some(account) = state.accounts.get_mut(call.account) {
            let profile = resolve(account, profile, id, now);
            keep(account, profile, event, metric_id);
        }
        Ok((202, None))
    }

    pub(super) fn create_events(&self, call: &Call) -> Reply {
        call.only(&[])?;
        of_type(&call.body, "/data", "event-bulk-create-job")?;
        object(&call.body, "/data/attributes", &["events-bulk-create"])?;
        let pointer = "/data/attributes/events-bulk-create/data";
        let Some(groups) = call.body.pointer(pointer).and_then(Value::as_array) else {
            return Err(Refusal::field(pointer, "This field is required."));
        };
        let now = self.now();
        let mut checked = Vec::new();
        let mut seen = HashSet::new();
        for i in 0..groups.len() {
            let at = format!("{pointer}/{i}");
            of_type(&call.body, &at, "event-bulk-create")?;
            object(
                &call.body,
                &format!("{at}/attributes"),
                &["profile", "events", "backfill"],
            )?;
            let profile = check_profile(&call.body, &format!("{at}/attributes/profile/data"))?;
            let events = format!("{at}/attributes/events/data");
            let Some(list) = call.body.pointer(&events).and_then(Value::as_array) else {
                return Err(Refusal::field(events, "This field is required."));
            };
            for j in 0..list.len() {
                let event_at = format!("{events}/{j}");
                of_type(&call.body, &event_at, "event")?;
                let event_at = format!("{event_at}/attributes");
                object(&call.body, &event_at, EVENT_KEYS)?;
                let event = check_event(&call.body, &event_at, now)?;
                if let Some(unique_id) = &event.unique_id {
                    let key = (key_text(&profile), event.metric.clone(), unique_id.clone());
                    if !seen.insert(key) {
                        let text = "unique_id is repeated for one profile and metric.";
                        return Err(Refusal::field(format!("{event_at}/unique_id"), text));
                    }
                }
                checked.push((profile.clone(), event));
            }
        }
        if checked.is_empty() || checked.len() > MOST_IN_BULK {
            return Err(Refusal::field(
                pointer,
                format!("1 to {MOST_IN_BULK} events, please."),
            ));
        }
        let made: Vec<(String, String)> = checked
            .iter()
            .map(|_| (self.id(), self.inner.world.chance.word(6)))
            .collect();
        let mut state = self.state();
        if let Some(account) = state.accounts.get_mut(call.account) {
            for ((profile, event), (id, metric_id)) in checked.into_iter().zip(made) {
                let profile = resolve(account, profile, id, now);
                keep(account, profile, event, metric_id);
            }
        }
        Ok((202, None))
    }

    pub(super) fn import_profile(&self, call: &Call) -> Reply {
        call.only(&["fields[profile]", "additional-fields[profile]"])?;
        of_type(&call.body, "/data", "profile")?;
        object(&call.body, "/data", &["type", "id", "attributes", "meta"])?;
        let given = check_profile(&call.body, "/data")?;
        let now = self.now();
        let id = self.id();
        let mut state = self.state();
        let Some(account) = state.accounts.get_mut(call.account) else {
            return Err(Refusal::new(404, "not_found", "No account."));
        };
        let before = account.profiles.len();
        let profile = resolve(account, given, id, now);
        let status = if account.profiles.len() > before {
            201
        } else {
            200
        };
        let row = super::groups::profile_row(&profile, None, None);
        Ok((status, Some(json!({ "data": row }))))
    }
}

fn check_event(body: &Value, at: &str, now: Millis) -> Result<Checked, Refusal> {
    let pointer = format!("{at}/properties");
    let Some(properties) = body.pointer(&pointer).and_then(Value::as_object) else {
        return Err(Refusal::field(
            pointer,
            "This field is required and must be an object.",
        ));
    };
    if properties.len() > 400 {
        return Err(Refusal::field(pointer, "400 properties at most."));
    }
    of_type(body, &format!("{at}/metric/data"), "metric")?;
    object(
        body,
        &format!("{at}/metric/data/attributes"),
        &["name", "service"],
    )?;
    let metric = text(body, &format!("{at}/metric/data/attributes/name"), 127)?;
    let unique_at = format!("{at}/unique_id");
    let unique_id = match body.pointer(&unique_at) {
        None | Some(Value::Null) => None,
        Some(_) => Some(text(body, &unique_at, 255)?),
    };
    let time_at = format!("{at}/time");
    let time = match body.pointer(&time_at) {
        None | Some(Value::Null) => None,
        Some(_) => {
            let time = text(body, &time_at, 40)?;
            let year = crate::clock::DAY * 365;
            if !parse_rfc3339(&time).is_some_and(|t| (631_152_000_000..now + year).contains(&t)) {
                return Err(Refusal::field(time_at, "This is not a valid time."));
            }
            Some(time)
        }
    };
    let value_at = format!("{at}/value");
    let value = match body.pointer(&value_at) {
        None | Some(Value::Null) => None,
        Some(Value::Number(number)) => number.as_f64(),
        Some(_) => return Err(Refusal::field(value_at, "The value must be a number.")),
    };
    let currency = body
        .pointer(&format!("{at}/value_currency"))
        .and_then(Value::as_str);
    Ok(Checked {
        metric,
        properties: properties.clone(),
        unique_id,
        time,
        value,
        value_currency: currency.map(str::to_owned),
    })
}

/// The identifiers and details of a profile resource; at least one identifier.
fn check_profile(body: &Value, at: &str) -> Result<Profile, Refusal> {
    of_type(body, at, "profile")?;
    let attributes = object(body, &format!("{at}/attributes"), PROFILE_KEYS)?;
    let word = |key: &str| {
        attributes
            .get(key)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    if let Some(email) = word("email")
        && !email.contains('@')
    {
        return Err(Refusal::field(
            format!("{at}/attributes/email"),
            "Invalid email address.",
        ));
    }
    if let Some(phone) = word("phone_number") {
        let digits = phone.strip_prefix('+').unwrap_or_default();
        if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            let text = "Invalid phone number format (Example of a valid format: +12345678901)";
            return Err(Refusal::field(
                format!("{at}/attributes/phone_number"),
                text,
            ));
        }
    }
    let id = body
        .pointer(&format!("{at}/id"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let properties = attributes
        .get("properties")
        .and_then(Value::as_object)
        .cloned();
    let profile = Profile {
        id: id.to_owned(),
        email: word("email"),
        phone_number: word("phone_number"),
        external_id: word("external_id"),
        first_name: word("first_name"),
        last_name: word("last_name"),
        kx: word("_kx"),
        properties: properties.unwrap_or_default(),
        ..Profile::default()
    };
    let known = [
        &profile.email,
        &profile.phone_number,
        &profile.external_id,
        &profile.kx,
    ];
    if profile.id.is_empty() && known.iter().all(|k| k.is_none()) && word("anonymous_id").is_none()
    {
        return Err(Refusal::field(at, "At least one identifier is required."));
    }
    Ok(profile)
}

fn key_text(profile: &Profile) -> String {
    format!(
        "{}|{:?}|{:?}|{:?}",
        profile.id, profile.email, profile.phone_number, profile.external_id
    )
}

/// The account's profile with one of these identifiers, brought up to date; a new one if none.
fn resolve(account: &mut Account, given: Profile, new_id: String, now: Millis) -> Profile {
    let same = |own: &Option<String>, other: &Option<String>| other.is_some() && own == other;
    let found = account.profiles.values_mut().find(|p| {
        p.id == given.id
            || same(&p.email, &given.email)
            || same(&p.phone_number, &given.phone_number)
            || same(&p.external_id, &given.external_id)
            || same(&p.kx, &given.kx)
    });
    if let Some(profile) = found {
        let fill = |own: &mut Option<String>, other: Option<String>| {
            if other.is_some() {
                *own = other;
            }
        };
        fill(&mut profile.email, given.email);
        fill(&mut profile.phone_number, given.phone_number);
        fill(&mut profile.external_id, given.external_id);
        fill(&mut profile.first_name, given.first_name);
        fill(&mut profile.last_name, given.last_name);
        profile.properties.extend(given.properties);
        profile.updated_at = now;
        return profile.clone();
    }
    let profile = Profile {
        id: new_id,
        created_at: now,
        updated_at: now,
        ..given
    };
    account.profiles.insert(profile.id.clone(), profile.clone());
    profile
}

fn keep(account: &mut Account, profile: Profile, event: Checked, metric_id: String) {
    // Without a unique id, Klaviyo counts one event for each profile, metric and second.
    let unique_id = event
        .unique_id
        .unwrap_or_else(|| event.time.clone().unwrap_or_default());
    let key = (profile.id.clone(), event.metric.clone(), unique_id.clone());
    if !account.kept.insert(key) {
        return;
    }
    account
        .metrics
        .entry(event.metric.clone())
        .or_insert(metric_id);
    account.events.push(ReceivedEvent {
        metric: event.metric,
        profile,
        properties: event.properties,
        unique_id,
        time: event.time,
        value: event.value,
        value_currency: event.value_currency,
    });
}

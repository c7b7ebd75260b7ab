//! Meta's envelopes. Messaging events come in `messaging[]`, `standby[]` or (from the dashboard's
//! test button) `changes[]`; the paid channel's envelope is not documented, so `changes[]`, flat
//! and messaging forms are all understood.

use serde_json::Value;

use super::read::{id_of, text, time};
use super::webhooks::{Event, EventKind, Marketing, Referral};
use crate::clock::Millis;

/// The body is not an envelope of Meta's; it is kept with this text.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    #[error("the body is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("the body is JSON but not an event envelope (no `entry`)")]
    NotAnEnvelope,
}

/// All events of a delivery, in its order. What we do not know becomes [`EventKind::Other`]; what
/// belongs to no Page (another `object`) yields nothing.
pub fn parse(body: &[u8]) -> Result<Vec<Event>, ParseError> {
    let body: Value = serde_json::from_slice(body)?;
    let mut events = Vec::new();
    let Some(entries) = body.get("entry") else {
        let Some(field) = text(&body, "field") else {
            return Err(ParseError::NotAnEnvelope);
        };
        change(&Place::of(&body), &field, payload_of(&body), &mut events);
        return Ok(events);
    };
    let object = text(&body, "object");
    if object
        .as_deref()
        .is_some_and(|object| !matches!(object, "page" | "ad_account" | "permissions"))
    {
        return Ok(events);
    }
    for item in each(entries) {
        entry(item, &mut events);
    }
    Ok(events)
}

/// Where an event stands: the Page it is about, and the time if it names none itself.
struct Place {
    page_id: String,
    at: Millis,
}

impl Place {
    fn of(entry: &Value) -> Self {
        let page_id = text(entry, "id")
            .or_else(|| text(entry, "page_id"))
            .unwrap_or_default();
        let at = time(entry, "time")
            .or_else(|| time(entry, "timestamp"))
            .unwrap_or_default();
        Self { page_id, at }
    }

    fn event(&self, at: Option<Millis>, psid: Option<String>, kind: EventKind) -> Event {
        Event {
            page_id: self.page_id.clone(),
            at: at.unwrap_or(self.at),
            psid,
            kind,
        }
    }

    fn other(&self, field: &str) -> Event {
        self.event(
            None,
            None,
            EventKind::Other {
                field: field.to_owned(),
            },
        )
    }
}

fn entry(entry: &Value, events: &mut Vec<Event>) {
    let place = Place::of(entry);
    for list in ["messaging", "standby"] {
        for item in entry.get(list).map(each).unwrap_or_default() {
            messaging(&place, item, events);
        }
    }
    for item in entry.get("changes").map(each).unwrap_or_default() {
        let field = text(item, "field").unwrap_or_default();
        change(&place, &field, payload_of(item), events);
    }
    if let Some(field) = text(entry, "field") {
        change(&place, &field, payload_of(entry), events);
    }
    marketing_members(&place, entry, events);
}

/// One `field` with its `value`, which may hold several.
fn change(place: &Place, field: &str, value: &Value, events: &mut Vec<Event>) {
    for value in each(value) {
        let event = match field {
            _ if marketing_kind(field).is_some() => marketing(place, field, value, value),
            "feed" => comment(place, value),
            "leadgen" => lead(place, value),
            _ if names_parties(value) => {
                messaging(place, value, events);
                continue;
            }
            _ => place.other(field),
        };
        events.push(event);
    }
}

/// An event of the conversation: who, when, and one telling member.
fn messaging(place: &Place, item: &Value, events: &mut Vec<Event>) {
    if let Some(field) = text(item, "field") {
        return change(place, &field, payload_of(item), events);
    }
    let before = events.len();
    marketing_members(place, item, events);
    if events.len() > before {
        return;
    }
    let psid = person(place, item);
    let at = time(item, "timestamp");
    let member = |key: &str| item.get(key).filter(|value| value.is_object());
    let kind = if let Some(message) = member("message") {
        if let Some(opened) = message.get("referral").filter(|value| value.is_object()) {
            events.push(place.event(at, psid.clone(), EventKind::Referral(referral(opened))));
        }
        message_kind(message)
    } else if let Some(postback) = member("postback") {
        EventKind::Postback {
            mid: text(postback, "mid"),
            payload: text(postback, "payload").unwrap_or_default(),
            title: text(postback, "title"),
            referral: postback
                .get("referral")
                .filter(|value| value.is_object())
                .map(referral),
        }
    } else if let Some(opened) = member("referral") {
        EventKind::Referral(referral(opened))
    } else if let Some(optin) = member("optin") {
        optin_kind(optin)
    } else if let Some(delivery) = member("delivery") {
        EventKind::Delivered {
            mids: mids(delivery),
            watermark: watermark(delivery, at, place),
        }
    } else if let Some(read) = member("read") {
        EventKind::Read {
            watermark: watermark(read, at, place),
        }
    } else if let Some(reaction) = member("reaction") {
        EventKind::Reaction {
            mid: text(reaction, "mid").unwrap_or_default(),
            added: text(reaction, "action").as_deref() != Some("unreact"),
        }
    } else if let Some(policy) = member("policy-enforcement") {
        EventKind::Policy {
            blocked: text(policy, "action").as_deref() == Some("block"),
            reason: text(policy, "reason"),
        }
    } else {
        EventKind::Other {
            field: telling_member(item),
        }
    };
    events.push(place.event(at, psid, kind));
}

fn message_kind(message: &Value) -> EventKind {
    let Some(mid) = text(message, "mid") else {
        return EventKind::Other {
            field: "message".into(),
        };
    };
    let flag = |key: &str| message.get(key) == Some(&Value::Bool(true));
    if flag("is_echo") {
        let (app_id, metadata) = (text(message, "app_id"), text(message, "metadata"));
        return EventKind::Echo {
            mid,
            app_id,
            metadata,
        };
    }
    if flag("is_deleted") {
        // Taking a message back is not an action that opens the window.
        return EventKind::Other {
            field: "message_deleted".into(),
        };
    }
    let quick_reply = message
        .get("quick_reply")
        .and_then(|reply| text(reply, "payload"));
    EventKind::Message {
        mid,
        text: text(message, "text"),
        quick_reply,
    }
}

/// Accepted, stopped or resumed. The spelling of the status is not settled, so only its words
/// count; an opt-in of the retired kinds carries no token.
fn optin_kind(optin: &Value) -> EventKind {
    let token = text(optin, "notification_messages_token");
    let status = text(optin, "notification_messages_status")
        .unwrap_or_default()
        .to_uppercase();
    if status.contains("STOP") {
        return EventKind::Stop { token };
    }
    if status.contains("RESUME") {
        return EventKind::Resume { token };
    }
    let Some(token) = token else {
        return EventKind::Other {
            field: "optin".into(),
        };
    };
    EventKind::OptIn {
        token,
        payload: text(optin, "payload"),
        title: text(optin, "title"),
        timezone: text(optin, "notification_messages_timezone"),
        expires_at: time(optin, "token_expiry_timestamp"),
        reference: text(optin, "ref"),
        is_refreshed: text(optin, "user_token_status")
            .is_some_and(|status| status.eq_ignore_ascii_case("REFRESHED")),
    }
}

fn referral(referral: &Value) -> Referral {
    Referral {
        reference: text(referral, "ref"),
        source: text(referral, "source"),
        ad_id: text(referral, "ad_id"),
    }
}

fn mids(delivery: &Value) -> Vec<String> {
    let mids = delivery
        .get("mids")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    mids.iter()
        .filter_map(|mid| mid.as_str().map(|mid| mid.replace('\0', "")))
        .collect()
}

/// Without a watermark nothing older than the event itself can be meant.
fn watermark(receipt: &Value, at: Option<Millis>, place: &Place) -> Millis {
    time(receipt, "watermark").or(at).unwrap_or(place.at)
}

/// Members such as `"marketing_message_reads": {…}`, the messaging form of the paid channel.
fn marketing_members(place: &Place, item: &Value, events: &mut Vec<Event>) {
    for (field, value) in item.as_object().into_iter().flatten() {
        if marketing_kind(field).is_none() {
            continue;
        }
        for value in each(value).iter().filter(|value| value.is_object()) {
            events.push(marketing(place, field, value, item));
        }
    }
}

fn marketing_kind(field: &str) -> Option<Marketing> {
    let what = field.strip_prefix("marketing_message_")?;
    let known = [
        ("delivery_fail", Marketing::Failed),
        ("fail", Marketing::Failed),
        ("echo", Marketing::Echo),
        ("deliver", Marketing::Delivered),
        ("read", Marketing::Read),
        ("click", Marketing::Clicked),
    ];
    known
        .iter()
        .find(|(stem, _)| what.starts_with(stem))
        .map(|(_, kind)| *kind)
}

/// `around` is the item that holds `value`: in the messaging form the parties stand there.
fn marketing(place: &Place, field: &str, value: &Value, around: &Value) -> Event {
    let Some(what) = marketing_kind(field) else {
        return place.other(field);
    };
    let page_id = text(value, "page_id").unwrap_or_else(|| place.page_id.clone());
    let psid = text(value, "recipient_id").or_else(|| person(place, around));
    let at = time(value, "timestamp")
        .or_else(|| time(around, "timestamp"))
        .unwrap_or(place.at);
    let kind = EventKind::Marketing {
        what,
        mid: text(value, "mid"),
        tracking_id: text(value, "marketing_message_tracking_id"),
        token: text(value, "messenger_subscription_token"),
        meta_campaign_id: text(value, "message_id"),
        error: text(value, "error_message"),
    };
    Event {
        page_id,
        at,
        psid,
        kind,
    }
}

/// Comments of others; the Page's own are not news to it.
fn comment(place: &Place, value: &Value) -> Event {
    let from = id_of(value, "from");
    let verb = text(value, "verb");
    let added = match verb.as_deref() {
        Some("add") => true,
        Some("remove") => false,
        _ => return place.other("feed"),
    };
    let (Some("comment"), Some(comment_id), Some(post_id)) = (
        value.get("item").and_then(Value::as_str),
        text(value, "comment_id"),
        text(value, "post_id"),
    ) else {
        return place.other("feed");
    };
    if from.as_deref() == Some(&place.page_id) {
        return place.other("feed");
    }
    let text = text(value, "message");
    let kind = EventKind::Comment {
        comment_id,
        post_id,
        from,
        added,
        text,
    };
    place.event(time(value, "created_time"), None, kind)
}

fn lead(place: &Place, value: &Value) -> Event {
    let Some(leadgen_id) = text(value, "leadgen_id") else {
        return place.other("leadgen");
    };
    let kind = EventKind::Lead {
        leadgen_id,
        form_id: text(value, "form_id"),
    };
    place.event(time(value, "created_time"), None, kind)
}

/// The party that is not the Page.
fn person(place: &Place, item: &Value) -> Option<String> {
    let others = ["sender", "recipient"]
        .into_iter()
        .filter_map(|party| id_of(item, party));
    others.into_iter().find(|id| *id != place.page_id)
}

fn names_parties(value: &Value) -> bool {
    value.get("sender").is_some() || value.get("recipient").is_some()
}

/// The member that says what an unknown event is about.
fn telling_member(item: &Value) -> String {
    let known = ["sender", "recipient", "timestamp"];
    let mut members = item.as_object().into_iter().flatten().map(|(key, _)| key);
    let found = members.find(|key| !known.contains(&key.as_str()));
    found.map_or_else(|| "messaging".into(), |key| key.replace('\0', ""))
}

/// The `value` of a change, or the item itself where it is flat.
fn payload_of(item: &Value) -> &Value {
    item.get("value").unwrap_or(item)
}

/// A list, or a single item as a list of one.
fn each(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        single => std::slice::from_ref(single),
    }
}

//! Webhooks about what happened: envelopes, signature, receipts.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::Meta;
use super::state::{Channel, SentMessage, State};
use crate::sandbox::lock;
use crate::sandbox::signature::hmac_hex;
use crate::sandbox::webhook_sender::Delivery;

/// How the marketing message events are wrapped. Undocumented, so a receiver must take all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventShape {
    /// `entry[].changes[{field, value}]`.
    Changes,
    /// The event's keys right in the entry, with `field`.
    Flat,
    /// `entry[].messaging[]`, with sender, recipient and the event under its field's name.
    Messaging,
}

/// One event of one Page, waiting for its webhook.
#[derive(Debug)]
pub(super) struct PageEvent {
    page_id: String,
    at: i64,
    wrapped: Wrapped,
}

#[derive(Debug)]
enum Wrapped {
    Messaging(Value),
    Change(Value),
    Flat(Value),
}

impl Meta {
    /// Queues a messaging event unless the Page has no subscription to `field`.
    pub(super) fn tell(&self, state: &mut State, field: &str, page_id: &str, event: Value) {
        self.queue(state, field, page_id, Wrapped::Messaging(event));
    }

    fn queue(&self, state: &mut State, field: &str, page_id: &str, wrapped: Wrapped) {
        let subscribed = state
            .pages
            .get(page_id)
            .is_some_and(|p| p.subscribed.contains(field));
        if !subscribed || state.webhook_url.is_none() {
            state.untold += 1;
            return;
        }
        let event = PageEvent {
            page_id: page_id.to_owned(),
            at: self.now(),
            wrapped,
        };
        self.inner.outbox.push(event);
    }

    /// Makes one signed request of several events.
    pub(super) fn encode(&self, events: Vec<PageEvent>) -> Vec<Delivery> {
        let Some(url) = self.state().webhook_url.clone() else {
            return Vec::new();
        };
        let entries: Vec<Value> = events
            .into_iter()
            .map(|event| {
                let mut entry = json!({ "id": event.page_id, "time": event.at });
                match event.wrapped {
                    Wrapped::Messaging(event) => entry["messaging"] = json!([event]),
                    Wrapped::Change(change) => entry["changes"] = json!([change]),
                    Wrapped::Flat(Value::Object(keys)) => {
                        for (key, value) in keys {
                            entry[key] = value;
                        }
                    }
                    Wrapped::Flat(_) => {}
                }
                entry
            })
            .collect();
        let text = escaped(&json!({ "object": "page", "entry": entries }).to_string());
        let signature = hmac_hex(&self.inner.app_secret, text.as_bytes());
        vec![Delivery {
            url,
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("user-agent".to_owned(), "facebookexternalua".to_owned()),
                (
                    "x-hub-signature-256".to_owned(),
                    format!("sha256={signature}"),
                ),
            ],
            body: text.into_bytes(),
        }]
    }

    /// Echo and, unless people deliver in their own time, the delivery receipt.
    pub(super) fn receipts_for(&self, state: &mut State, psid: &str, mid: &str) {
        if self.faults().silent {
            return;
        }
        let auto = self.inner.auto_receipts.load(Ordering::SeqCst);
        if !auto && lock(&self.inner.watcher).is_none() {
            return;
        }
        self.echo(state, psid, mid);
        if auto {
            self.deliver(state, psid, Some(mid));
        }
    }

    fn echo(&self, state: &mut State, psid: &str, mid: &str) {
        let Some(human) = state.people.get(psid) else {
            return;
        };
        let page_id = human.page_id.clone();
        let Some(message) = human.sent().find(|m| m.mid == mid).cloned() else {
            return;
        };
        if message.channel == Channel::Marketing {
            self.tell_marketing(state, "marketing_message_echoes", psid, &message);
            return;
        }
        let mut said = json!({
            "mid": message.mid,
            "is_echo": true,
            "app_id": self.inner.app_id.parse::<u64>().unwrap_or_default(),
        });
        if let Some(metadata) = &message.metadata {
            said["metadata"] = json!(metadata);
        }
        if let Some(text) = message.body.get("text") {
            said["text"] = text.clone();
        } else if let Some(attachment) = message.body.get("attachment") {
            said["attachments"] = json!([attachment]);
        }
        let event = json!({
            "sender": { "id": page_id },
            "recipient": { "id": psid },
            "timestamp": message.at,
            "message": said,
        });
        self.tell(state, "message_echoes", &page_id, event);
    }

    /// Marks as delivered and sends the receipts; one message, or all that were not yet.
    pub(super) fn deliver(&self, state: &mut State, psid: &str, mid: Option<&str>) {
        let now = self.now();
        let silent = self.faults().silent;
        let Some(human) = state.people.get_mut(psid) else {
            return;
        };
        let page_id = human.page_id.clone();
        let mut fresh = Vec::new();
        for message in human.sent_mut() {
            if message.delivered_at.is_none() && mid.is_none_or(|m| m == message.mid) {
                message.delivered_at = Some(now);
                fresh.push(message.clone());
            }
        }
        if silent {
            return;
        }
        let (paid, free): (Vec<_>, Vec<_>) = fresh
            .into_iter()
            .partition(|m| m.channel == Channel::Marketing);
        for message in paid {
            self.tell_marketing(state, "marketing_message_deliveries", psid, &message);
        }
        if let Some(last) = free.last() {
            let mids: Vec<&str> = free.iter().map(|m| m.mid.as_str()).collect();
            let event = json!({
                "sender": { "id": psid },
                "recipient": { "id": page_id },
                "timestamp": now,
                "delivery": { "mids": mids, "watermark": last.at },
            });
            self.tell(state, "message_deliveries", &page_id, event);
        }
    }

    /// Marks as read (and so delivered) and sends the receipts; one message, or all.
    pub(super) fn read(&self, state: &mut State, psid: &str, mid: Option<&str>) {
        let now = self.now();
        let silent = self.faults().silent;
        let Some(human) = state.people.get_mut(psid) else {
            return;
        };
        let page_id = human.page_id.clone();
        let mut fresh = Vec::new();
        for message in human.sent_mut() {
            if message.read_at.is_none() && mid.is_none_or(|m| m == message.mid) {
                message.read_at = Some(now);
                message.delivered_at.get_or_insert(now);
                fresh.push(message.clone());
            }
        }
        if silent {
            return;
        }
        let (paid, free): (Vec<_>, Vec<_>) = fresh
            .into_iter()
            .partition(|m| m.channel == Channel::Marketing);
        for message in paid {
            self.tell_marketing(state, "marketing_message_reads", psid, &message);
        }
        if let Some(last) = free.last() {
            let event = json!({
                "sender": { "id": psid },
                "recipient": { "id": page_id },
                "timestamp": now,
                "read": { "watermark": last.at },
            });
            self.tell(state, "message_reads", &page_id, event);
        }
    }

    /// An event of the paid channel, in the shape that was chosen.
    pub(super) fn tell_marketing(
        &self,
        state: &mut State,
        field: &str,
        psid: &str,
        message: &SentMessage,
    ) {
        let Some(page_id) = state.people.get(psid).map(|h| h.page_id.clone()) else {
            return;
        };
        let mut value = json!({
            "field": field,
            "recipient_id": psid,
            "page_id": page_id,
            "app_id": self.inner.app_id,
            "timestamp": self.now(),
            "marketing_message_tracking_id": message.tracking_id,
            "messenger_subscription_token": message.token,
            "message_id": message.campaign_id,
        });
        if field != "marketing_message_reads" {
            value["mid"] = json!(message.mid);
        }
        let wrapped = match *lock(&self.inner.shape) {
            EventShape::Changes => Wrapped::Change(json!({ "field": field, "value": value })),
            EventShape::Flat => Wrapped::Flat(value),
            EventShape::Messaging => Wrapped::Messaging(json!({
                "sender": { "id": psid },
                "recipient": { "id": page_id },
                "timestamp": self.now(),
                field: value,
            })),
        };
        self.queue(state, field, &page_id, wrapped);
    }
}

/// Meta signs and sends its JSON with everything beyond ASCII escaped, and slashes too.
fn escaped(json: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if character == '/' {
            out.push_str("\\/");
        } else if character.is_ascii() {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

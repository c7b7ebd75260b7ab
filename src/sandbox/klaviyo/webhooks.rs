//! System webhooks: made through the API, signed with their own secret; and the flow webhook
//! action, unsigned with a key header.

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::wire::{Call, Refusal, Reply, object, of_type, text};
use super::{Hook, Klaviyo, Profile};
use crate::clock::{HOUR, rfc3339};
use crate::sandbox::signature::hmac_hex;
use crate::sandbox::webhook_sender::Delivery;

/// Topics that every account has, besides one for each of its metrics.
const TOPICS: &[&str] = &[
    "event:klaviyo.opened_email",
    "event:klaviyo.clicked_email",
    "event:klaviyo.received_email",
    "event:klaviyo.bounced_email",
    "event:klaviyo.marked_email_as_spam",
    "event:klaviyo.subscribed_to_email_marketing",
    "event:klaviyo.unsubscribed_from_email_marketing",
    "event:klaviyo.subscribed_to_list",
    "event:klaviyo.unsubscribed_from_list",
    "event:klaviyo.merged_profile",
    "event:api.viewed_product",
    "event:api.added_to_cart",
    "event:shopify.placed_order",
    "event:shopify.checkout_started",
    "event:shopify.viewed_product",
];

impl Klaviyo {
    /// An event that the product asked to be told of: every enabled webhook with this topic
    /// (`event:<integration>.<metric_slug>`) gets a signed delivery. Returns its `external_id`.
    pub fn system_event(
        &self,
        topic: &str,
        profile: &Profile,
        properties: Map<String, Value>,
    ) -> anyhow::Result<String> {
        let chance = &self.inner.world.chance;
        let id = chance.word(11);
        let now = self.now();
        let metric_id = chance.word(6);
        let mut properties = properties;
        properties.insert("$event_id".to_owned(), json!((now / 1_000).to_string()));
        let at = self.at.unwrap_or(0);
        let state = self.state();
        let account = state
            .accounts
            .get(at)
            .context("the sandbox has no Klaviyo account yet")?;
        for hook in account.hooks.values() {
            if !hook.enabled || !hook.topics.iter().any(|t| t == topic) {
                continue;
            }
            let event = json!({
                "type": "event",
                "id": id,
                "attributes": {
                    "timestamp": now / 1_000,
                    "datetime": rfc3339(now).replace('Z', "+00:00"),
                    "event_properties": properties,
                },
                "relationships": {
                    "profile": { "data": { "type": "profile", "id": profile.id } },
                    "metric": { "data": { "type": "metric", "id": metric_id } },
                },
            });
            let body = json!({
                "data": [{ "external_id": id, "topic": topic, "payload": { "data": event } }],
                "meta": {
                    "klaviyo_webhook_id": hook.id,
                    "klaviyo_account_id": account.id,
                    "timestamp": rfc3339(now).replace('Z', ".261080+00:00"),
                    "version": "2024-06-28",
                },
            })
            .to_string();
            // Five hours ahead of GMT, as observed.
            let timestamp = imf_fixdate(now + 5 * HOUR);
            let signed = format!("{body}{timestamp}");
            let signature = hmac_hex(&hook.secret_key, signed.as_bytes());
            self.inner.outbox.push(Delivery {
                url: hook.endpoint_url.clone(),
                headers: vec![
                    ("content-type".to_owned(), "application/json".to_owned()),
                    ("klaviyo-webhook-id".to_owned(), hook.id.clone()),
                    ("klaviyo-timestamp".to_owned(), timestamp),
                    ("klaviyo-signature".to_owned(), signature),
                ],
                body: body.into_bytes(),
            });
        }
        Ok(id)
    }

    /// A flow's webhook action: posts `body` to `url` with the header line the merchant pasted
    /// (`X-Pagecast-Key: …`).
    ///
    /// # Errors
    /// When the line is no header.
    pub fn calls_flow_webhook(
        &self,
        url: &str,
        key_header_line: &str,
        body: &Value,
    ) -> anyhow::Result<()> {
        let (name, value) = key_header_line
            .split_once(':')
            .context("a header line has a colon")?;
        self.inner.outbox.push(Delivery {
            url: url.to_owned(),
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("x-klaviyo-flow-id".to_owned(), "VrX3aB".to_owned()),
                (name.trim().to_lowercase(), value.trim().to_owned()),
            ],
            body: body.to_string().into_bytes(),
        });
        Ok(())
    }

    /// The webhooks made through the API: (address, topics, enabled).
    pub fn webhooks(&self) -> Vec<(String, Vec<String>, bool)> {
        let state = self.state();
        let account = state.accounts.get(self.at.unwrap_or(0));
        account
            .into_iter()
            .flat_map(|a| a.hooks.values())
            .map(|h| (h.endpoint_url.clone(), h.topics.clone(), h.enabled))
            .collect()
    }

    pub(super) fn topics(&self, account: usize) -> Reply {
        let rows: Vec<Value> = self
            .topic_ids(account)
            .into_iter()
            .map(|id| json!({ "type": "webhook-topic", "id": id, "attributes": {} }))
            .collect();
        let own = format!("{}/api/webhook-topics", self.url());
        Ok((200, Some(json!({ "data": rows, "links": { "self": own } }))))
    }

    fn topic_ids(&self, account: usize) -> Vec<String> {
        let state = self.state();
        let metrics = state
            .accounts
            .get(account)
            .into_iter()
            .flat_map(|a| a.metrics.keys());
        let of_metrics =
            metrics.map(|name| format!("event:api.{}", name.to_lowercase().replace(' ', "_")));
        let mut ids: Vec<String> = TOPICS
            .iter()
            .map(|&t| t.to_owned())
            .chain(of_metrics)
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Private keys need Advanced KDP; OAuth apps do not.
    fn may_manage_hooks(&self, call: &Call) -> Result<(), Refusal> {
        let state = self.state();
        let has_plan = state
            .accounts
            .get(call.account)
            .is_some_and(|a| a.advanced_kdp);
        if !call.by_key || has_plan {
            return Ok(());
        }
        let text = "You must have Advanced KDP enabled to use webhooks.";
        Err(Refusal::new(403, "permission_denied", text))
    }

    pub(super) fn create_hook(&self, call: &Call) -> Reply {
        self.may_manage_hooks(call)?;
        call.only(&["fields[webhook]"])?;
        of_type(&call.body, "/data", "webhook")?;
        object(
            &call.body,
            "/data",
            &["type", "attributes", "relationships"],
        )?;
        let known = ["name", "description", "endpoint_url", "secret_key"];
        object(&call.body, "/data/attributes", &known)?;
        let name = text(&call.body, "/data/attributes/name", 255)?;
        let endpoint_url = text(&call.body, "/data/attributes/endpoint_url", 2048)?;
        let secret_key = text(&call.body, "/data/attributes/secret_key", 255)?;
        if secret_key.len() < 16 {
            let text = "The secret has 16 characters at least.";
            return Err(Refusal::field("/data/attributes/secret_key", text));
        }
        if !is_https_or_loopback(&endpoint_url) {
            let text = "The endpoint must be an https address.";
            return Err(Refusal::field("/data/attributes/endpoint_url", text));
        }
        let topics = self.checked_topics(call)?;
        let description = call.body.pointer("/data/attributes/description");
        let hook = Hook {
            id: self.id(),
            name,
            description: description.and_then(Value::as_str).map(str::to_owned),
            endpoint_url,
            secret_key,
            topics,
            enabled: true,
            created_at: self.now(),
        };
        let row = hook_row(&hook);
        if let Some(account) = self.state().accounts.get_mut(call.account) {
            account.hooks.insert(hook.id.clone(), hook);
        }
        Ok((201, Some(json!({ "data": row }))))
    }

    fn checked_topics(&self, call: &Call) -> Result<Vec<String>, Refusal> {
        let pointer = "/data/relationships/webhook-topics/data";
        let Some(list) = call.body.pointer(pointer).and_then(Value::as_array) else {
            return Err(Refusal::field(pointer, "This field is required."));
        };
        let known = self.topic_ids(call.account);
        let mut topics = Vec::new();
        for i in 0..list.len() {
            of_type(&call.body, &format!("{pointer}/{i}"), "webhook-topic")?;
            let id = text(&call.body, &format!("{pointer}/{i}/id"), 255)?;
            if !known.contains(&id) {
                let text = format!("Webhook topic {id} does not exist.");
                return Err(Refusal::field(format!("{pointer}/{i}/id"), text));
            }
            topics.push(id);
        }
        Ok(topics)
    }

    pub(super) fn hooks(&self, account: usize) -> Reply {
        let state = self.state();
        let hooks = state
            .accounts
            .get(account)
            .into_iter()
            .flat_map(|a| a.hooks.values());
        let rows: Vec<Value> = hooks.map(hook_row).collect();
        let own = format!("{}/api/webhooks", self.url());
        Ok((200, Some(json!({ "data": rows, "links": { "self": own } }))))
    }

    pub(super) fn hook(&self, account: usize, id: &str) -> Reply {
        let state = self.state();
        let hook = state.accounts.get(account).and_then(|a| a.hooks.get(id));
        let hook = hook.ok_or_else(no_hook)?;
        Ok((200, Some(json!({ "data": hook_row(hook) }))))
    }

    pub(super) fn change_hook(&self, call: &Call, id: &str) -> Reply {
        self.may_manage_hooks(call)?;
        of_type(&call.body, "/data", "webhook")?;
        if call.body.pointer("/data/id").and_then(Value::as_str) != Some(id) {
            return Err(Refusal::field(
                "/data/id",
                "The id must be the one in the path.",
            ));
        }
        let known = [
            "name",
            "description",
            "endpoint_url",
            "secret_key",
            "enabled",
        ];
        object(&call.body, "/data/attributes", &known)?;
        let topics = match call.body.pointer("/data/relationships") {
            Some(_) => Some(self.checked_topics(call)?),
            None => None,
        };
        let word = |key: &str| {
            let pointer = format!("/data/attributes/{key}");
            call.body
                .pointer(&pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let mut state = self.state();
        let account = state.accounts.get_mut(call.account);
        let hook = account
            .and_then(|a| a.hooks.get_mut(id))
            .ok_or_else(no_hook)?;
        if let Some(name) = word("name") {
            hook.name = name;
        }
        if let Some(url) = word("endpoint_url") {
            hook.endpoint_url = url;
        }
        if let Some(secret) = word("secret_key") {
            hook.secret_key = secret;
        }
        if let Some(enabled) = call
            .body
            .pointer("/data/attributes/enabled")
            .and_then(Value::as_bool)
        {
            hook.enabled = enabled;
        }
        if let Some(topics) = topics {
            hook.topics = topics;
        }
        Ok((200, Some(json!({ "data": hook_row(hook) }))))
    }

    pub(super) fn delete_hook(&self, account: usize, id: &str) -> Reply {
        let mut state = self.state();
        let hooks = state.accounts.get_mut(account).map(|a| &mut a.hooks);
        hooks.and_then(|h| h.remove(id)).ok_or_else(no_hook)?;
        Ok((204, None))
    }
}

fn no_hook() -> Refusal {
    Refusal::new(404, "not_found", "A webhook with this id does not exist.")
}

/// Klaviyo takes https only; on loopback nobody has a certificate.
fn is_https_or_loopback(address: &str) -> bool {
    let Ok(url) = url::Url::parse(address) else {
        return false;
    };
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

fn hook_row(hook: &Hook) -> Value {
    let host = url::Url::parse(&hook.endpoint_url).ok();
    let host = host
        .as_ref()
        .and_then(url::Url::host_str)
        .unwrap_or("hidden");
    let topics: Vec<Value> = hook
        .topics
        .iter()
        .map(|t| json!({ "type": "webhook-topic", "id": t }))
        .collect();
    json!({
        "type": "webhook",
        "id": hook.id,
        "attributes": {
            "name": hook.name,
            "description": hook.description,
            // The address and the secret are never given back.
            "endpoint_url": format!("https://{host}/*****"),
            "enabled": hook.enabled,
            "created_at": rfc3339(hook.created_at),
            "updated_at": rfc3339(hook.created_at),
        },
        "relationships": { "webhook-topics": { "data": topics } },
    })
}

/// `Fri, 04 Sep 2026 18:16:52 GMT`.
fn imf_fixdate(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at)
        .map(|t| t.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

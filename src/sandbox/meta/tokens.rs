//! Subscription tokens: listed, looked at, stopped.

use serde_json::{Value, json};

use super::graph::{Answer, Call, Refusal};
use super::pages::pick;
use super::state::Subscription;
use super::{Caller, Meta};
use crate::clock::{DAY, HOUR};

impl Meta {
    pub(super) fn tokens(&self, page_id: &str, call: &Call, caller: &Caller) -> Answer {
        self.page_call(page_id, caller)?;
        call.only(&[
            "custom_audience_ids",
            "do_not_return_duplicates",
            "is_previously_messaged",
            "opt_in_source",
            "since",
            "subscriber_tag_ids",
            "until",
            "limit",
            "after",
        ])?;
        let fields = call.fields(TOKEN_FIELDS, TOKEN_FIELDS)?;
        let limit = match call.text("limit") {
            None => 100,
            Some(text) => text
                .parse::<usize>()
                .ok()
                .filter(|n| (1..=1000).contains(n))
                .ok_or_else(|| Refusal::parameter("limit must be 1 to 1000"))?,
        };
        let after = call.text("after").unwrap_or_default();
        let state = self.state();
        let mut all: Vec<&Subscription> = state
            .subscriptions
            .values()
            .filter(|s| s.page_id == page_id)
            .collect();
        all.sort_by(|a, b| a.token.cmp(&b.token));
        let mut rest = all.into_iter().filter(|s| s.token > after).peekable();
        let rows: Vec<&Subscription> = rest.by_ref().take(limit).collect();
        let cursor = rows.last().map(|s| s.token.clone());
        let data: Vec<Value> = rows.into_iter().map(|s| token_row(s, &fields)).collect();
        let mut answer = json!({ "data": data });
        if let Some(cursor) = cursor {
            answer["paging"] = json!({ "cursors": { "before": after, "after": cursor } });
            if rest.peek().is_some() {
                answer["paging"]["next"] = json!(format!(
                    "{}/v26.0/{page_id}/notification_message_tokens?after={cursor}&limit={limit}",
                    self.url()
                ));
            }
        }
        Ok(answer)
    }

    pub(super) fn unsubscribe(&self, page_id: &str, call: &Call, caller: &Caller) -> Answer {
        self.page_call(page_id, caller)?;
        call.only(&["data"])?;
        let rows = call.value("data");
        let Some(rows) = rows
            .as_ref()
            .and_then(Value::as_array)
            .filter(|r| !r.is_empty())
        else {
            return Err(Refusal::new(100, "(#100) The parameter data is required"));
        };
        let mut invalid = 0;
        let mut state = self.state();
        for row in rows {
            let keys: Vec<&str> = row
                .as_object()
                .map(|o| o.keys().map(String::as_str).collect())
                .unwrap_or_default();
            let Some(subscription) = (match keys.as_slice() {
                ["psid"] => state
                    .subscriptions
                    .values_mut()
                    .find(|s| s.page_id == page_id && row["psid"].as_str() == Some(&s.psid)),
                ["subscriber_token"] => state
                    .subscriptions
                    .values_mut()
                    .find(|s| row["subscriber_token"].as_str() == Some(&s.token)),
                ["email" | "phone"] | ["email", "phone"] | ["phone", "email"] => continue,
                _ => None,
            }) else {
                invalid += 1;
                continue;
            };
            subscription.stopped = true;
        }
        Ok(json!({ "invalid_rows_count": invalid }))
    }

    /// `GET /notification_messages_{token}`.
    pub(super) fn token_node(&self, token: &str, call: &Call, caller: &Caller) -> Answer {
        call.only(&[])?;
        let fields = call.fields(TOKEN_FIELDS, TOKEN_FIELDS)?;
        let state = self.state();
        let subscription = state.subscriptions.get(token);
        match subscription.filter(|s| *caller == Caller::Page(s.page_id.clone())) {
            Some(subscription) => Ok(token_row(subscription, &fields)),
            None => Err(Refusal::new(100, "Object does not exist").sub(33)),
        }
    }
}

const TOKEN_FIELDS: &[&str] = &[
    "notification_messages_token",
    "recipient_id",
    "notification_messages_reoptin",
    "creation_timestamp",
    "token_expiry_timestamp",
    "user_token_status",
    "topic_title",
    "notification_messages_timezone",
    "next_eligible_time",
    "next_eligible_time_for_paid_messaging",
];

fn token_row(s: &Subscription, fields: &[String]) -> Value {
    let next = s.last_paid_at.map_or(s.created_at, |at| at + 12 * HOUR);
    let row = json!({
        "notification_messages_token": s.token,
        "recipient_id": s.psid,
        "notification_messages_reoptin": if s.stopped { "DISABLED" } else { "ENABLED" },
        "creation_timestamp": s.created_at,
        "token_expiry_timestamp": s.created_at + 3650 * DAY,
        "user_token_status": "NOT_REFRESHED",
        "topic_title": "Updates and promotions",
        "notification_messages_timezone": s.timezone,
        "next_eligible_time": next,
        "next_eligible_time_for_paid_messaging": next,
    });
    pick(&row, fields)
}

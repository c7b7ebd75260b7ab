//! Who a subscriber is at Klaviyo, and what their profile shall say about Messenger.

use std::collections::HashMap;

use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::{Millis, rfc3339};
use crate::klaviyo::events::ProfileKey;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::store::placeholders;

/// How Klaviyo knows the subscriber, and what the profile shall say about them.
#[derive(Debug)]
pub(super) struct Person {
    pub key: ProfileKey,
    pub properties: Map<String, Value>,
}

/// Those whom Klaviyo can find by an id, an e-mail address or a phone number.
pub(super) async fn people(
    app: &App,
    ws: WorkspaceId,
    mut wanted: Vec<SubscriberId>,
) -> anyhow::Result<HashMap<SubscriberId, Person>> {
    #[derive(sqlx::FromRow)]
    struct Subscriber {
        id: SubscriberId,
        klaviyo_profile_id: Option<String>,
        email_sealed: Option<String>,
        phone_sealed: Option<String>,
        opted_in_at: Option<Millis>,
        opted_out_at: Option<Millis>,
    }

    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT id, klaviyo_profile_id, email_sealed, phone_sealed, opted_in_at, opted_out_at
         FROM subscribers WHERE workspace_id = $1 AND erased_at IS NULL AND id IN {}",
        placeholders(2, 1, wanted.len())
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(ws);
    for id in &wanted {
        query = query.bind(id);
    }
    let found: Vec<Subscriber> = query.fetch_all(app.db.pool()).await?;
    let mut people = HashMap::new();
    for one in found {
        let open = |column: &str, sealed: Option<&str>| {
            let context = format!("subscribers.{column}:{}", one.id.0);
            let opened = app.keys.open(&context, sealed?);
            // A value sealed with a key that is gone is as good as absent.
            opened.ok().map(|text| text.expose_secret().to_owned())
        };
        let key = match one.klaviyo_profile_id {
            Some(id) => ProfileKey {
                id: Some(id),
                ..ProfileKey::default()
            },
            None => ProfileKey {
                email: open("email", one.email_sealed.as_deref()),
                phone: open("phone", one.phone_sealed.as_deref()).filter(|phone| is_e164(phone)),
                ..ProfileKey::default()
            },
        };
        if key == ProfileKey::default() {
            continue;
        }
        let properties = messenger_properties(one.opted_in_at, one.opted_out_at);
        people.insert(one.id, Person { key, properties });
    }
    Ok(people)
}

/// Klaviyo refuses a whole profile for a phone number written otherwise.
fn is_e164(phone: &str) -> bool {
    phone.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

fn messenger_properties(
    opted_in_at: Option<Millis>,
    opted_out_at: Option<Millis>,
) -> Map<String, Value> {
    let status = match (opted_in_at, opted_out_at) {
        (_, Some(_)) => "unsubscribed",
        (Some(_), None) => "subscribed",
        (None, None) => "never subscribed",
    };
    let time = |at: Option<Millis>| at.map_or(Value::Null, |at| rfc3339(at).into());
    let pairs = [
        ("Pagecast Messenger Status", status.into()),
        ("Pagecast Messenger Opted In At", time(opted_in_at)),
        ("Pagecast Messenger Opted Out At", time(opted_out_at)),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_klaviyo_takes_are_sent() {
        assert!(is_e164("+15005550006"));
        for phone in ["15005550006", "+49 30 1234", "+12", ""] {
            assert!(!is_e164(phone), "{phone}");
        }
    }

    #[test]
    fn the_profile_says_how_things_stand_now() {
        let properties = messenger_properties(Some(1_790_000_000_000), None);
        assert_eq!(properties["Pagecast Messenger Status"], "subscribed");
        assert_eq!(properties["Pagecast Messenger Opted Out At"], Value::Null);
        let left = messenger_properties(Some(1), Some(1_790_000_000_000));
        assert_eq!(left["Pagecast Messenger Status"], "unsubscribed");
        assert_eq!(
            left["Pagecast Messenger Opted Out At"],
            "2026-09-21T14:13:20Z"
        );
    }
}

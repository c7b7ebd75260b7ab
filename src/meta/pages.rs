//! Pages and what belongs to them: webhooks, Get Started, subscription tokens, people's names,
//! and whether a token still holds.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::errors::ApiError;
use super::read::{text, time};
use super::{Client, Error, PageInfo, PersonName, TokenPage, TokenRow};
use crate::clock::Millis;

/// Every event we understand. The list is always sent whole, since Meta does not say whether a
/// subscription adds or replaces.
pub const SUBSCRIBED_FIELDS: &[&str] = &[
    "messages",
    "message_echoes",
    "messaging_postbacks",
    "messaging_referrals",
    "messaging_optins",
    "message_deliveries",
    "message_reads",
    "message_reactions",
    "messaging_policy_enforcement",
    "marketing_message_echoes",
    "marketing_message_deliveries",
    "marketing_message_reads",
    "marketing_message_clicks",
    "marketing_message_delivery_failed",
    "standby",
];

const TOKEN_FIELDS: &str = "notification_messages_token,recipient_id,\
                            notification_messages_reoptin,notification_messages_timezone,\
                            token_expiry_timestamp,next_eligible_time_for_paid_messaging";

/// What `debug_token` says about a token.
#[derive(Clone, Debug, Default)]
pub struct TokenInfo {
    /// Meta does not call it invalid.
    pub valid: bool,
    /// `PAGE`, `USER`, `SYSTEM_USER`.
    pub kind: Option<String>,
    /// `None` when it never expires.
    pub expires_at: Option<Millis>,
    pub data_access_expires_at: Option<Millis>,
    pub scopes: Vec<String>,
    /// The assets a scope was granted for; a scope that is not here was granted for all of them.
    pub granular: BTreeMap<String, Vec<String>>,
    pub user_id: Option<String>,
}

/// `has_lead_access`: who may see the leads of the Page's forms.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeadAccess {
    pub can_access: bool,
    /// Whether the app is assigned; `None` where Meta does not say.
    pub app_may: Option<bool>,
    pub person_may: Option<bool>,
}

impl Client {
    /// Whether the leads of the Page's forms can be had, by the app and by this person.
    pub async fn lead_access(
        &self,
        page_id: &str,
        token: &SecretString,
        user_id: &str,
    ) -> Result<LeadAccess, Error> {
        let field = format!("has_lead_access.user_id({user_id})");
        let request = self.get(&[page_id])?.query(&[("fields", field)]);
        let (answer, _): (Value, _) = self.request(request, token).await?;
        let told = answer.get("has_lead_access").unwrap_or(&Value::Null);
        let flag = |key| told.get(key).and_then(Value::as_bool);
        Ok(LeadAccess {
            // Where Meta says nothing, nothing is held against anybody.
            can_access: flag("can_access_lead").unwrap_or(true),
            app_may: flag("app_has_leads_permission"),
            person_may: flag("user_has_leads_permission"),
        })
    }

    /// The Page's name; also the proof that the token may read it.
    pub async fn page(&self, page_id: &str, token: &SecretString) -> Result<PageInfo, Error> {
        let request = self.get(&[page_id])?.query(&[("fields", "id,name")]);
        let (answer, _): (Value, _) = self.request(request, token).await?;
        let id = text(&answer, "id").unwrap_or_else(|| page_id.to_owned());
        Ok(PageInfo {
            id,
            name: text(&answer, "name").unwrap_or_default(),
        })
    }

    /// Asks Meta to send the Page's events ([`SUBSCRIBED_FIELDS`]) to the app.
    pub async fn subscribe_page(&self, page_id: &str, token: &SecretString) -> Result<(), Error> {
        let fields = SUBSCRIBED_FIELDS.join(",");
        let request = self
            .post(&[page_id, "subscribed_apps"])?
            .query(&[("subscribed_fields", fields)]);
        let (answer, _): (Value, _) = self.request(request, token).await?;
        confirmed(&answer)
    }

    /// Ends what [`Client::subscribe_page`] began.
    pub async fn unsubscribe_page(&self, page_id: &str, token: &SecretString) -> Result<(), Error> {
        let request = self.delete(&[page_id, "subscribed_apps"])?;
        let (answer, _): (Value, _) = self.request(request, token).await?;
        confirmed(&answer)
    }

    /// What comes back when somebody presses Get Started; `None` where there is no button.
    pub async fn get_started(
        &self,
        page_id: &str,
        token: &SecretString,
    ) -> Result<Option<String>, Error> {
        let request = self
            .get(&[page_id, "messenger_profile"])?
            .query(&[("fields", "get_started")]);
        let (answer, _): (Value, _) = self.request(request, token).await?;
        let button = answer.pointer("/data/0/get_started");
        Ok(button.and_then(|button| text(button, "payload")))
    }

    /// The fields our app is subscribed to on the Page; empty when it is not subscribed.
    pub async fn subscribed_fields(
        &self,
        page_id: &str,
        token: &SecretString,
    ) -> Result<Vec<String>, Error> {
        let request = self.get(&[page_id, "subscribed_apps"])?;
        let (answer, _): (Value, _) = self.request(request, token).await?;
        let ours = |app: &&Value| match (&self.settings.app_id, text(app, "id")) {
            (Some(ours), Some(id)) => *ours == id,
            _ => true,
        };
        let apps = rows(&answer).iter().filter(ours);
        Ok(apps
            .flat_map(|app| words(app.get("subscribed_fields")))
            .collect())
    }

    /// Sets the Get Started button: without it an m.me `ref` never arrives from a new thread.
    pub async fn set_get_started(
        &self,
        page_id: &str,
        token: &SecretString,
        payload: &str,
    ) -> Result<(), Error> {
        let body = json!({ "get_started": { "payload": payload } });
        let request = self.post(&[page_id, "messenger_profile"])?.json(&body);
        let _: (Value, _) = self.request(request, token).await?;
        Ok(())
    }

    /// Up to 1000 subscription tokens of the Page, and the cursor for the next call.
    pub async fn tokens(
        &self,
        page_id: &str,
        token: &SecretString,
        after: Option<&str>,
    ) -> Result<TokenPage, Error> {
        let mut request = self
            .get(&[page_id, "notification_message_tokens"])?
            .query(&[
                ("limit", "1000"),
                ("do_not_return_duplicates", "true"),
                ("fields", TOKEN_FIELDS),
            ]);
        if let Some(after) = after {
            request = request.query(&[("after", after)]);
        }
        let (answer, _): (Value, _) = self.request(request, token).await?;
        Ok(read_tokens(&answer, after))
    }

    /// First and last name of somebody who wrote to the Page.
    pub async fn person_name(&self, psid: &str, token: &SecretString) -> Result<PersonName, Error> {
        let request = self
            .get(&[psid])?
            .query(&[("fields", "first_name,last_name")]);
        let (answer, _): (Value, _) = self.request(request, token).await?;
        Ok(PersonName {
            first_name: text(&answer, "first_name"),
            last_name: text(&answer, "last_name"),
        })
    }

    /// Tells Meta that the person opted out with us.
    pub async fn unsubscribe(
        &self,
        page_id: &str,
        token: &SecretString,
        psid: &str,
    ) -> Result<(), Error> {
        let body = json!({ "data": [{ "psid": psid }] });
        let path = [page_id, "messaging_customer_base", "unsubscribe"];
        let request = self.post(&path)?.json(&body);
        let _: (Value, _) = self.request(request, token).await?;
        Ok(())
    }

    /// Whether a token still holds and what it may do; needs `META_APP_ID` and `META_APP_SECRET`.
    pub async fn debug_token(&self, token: &SecretString) -> Result<TokenInfo, Error> {
        let (Some(id), Some(secret)) = (&self.settings.app_id, &self.settings.app_secret) else {
            return Err(Error::NotSent(
                "META_APP_ID or META_APP_SECRET is not set".into(),
            ));
        };
        let app_token = SecretString::from(format!("{id}|{}", secret.expose_secret()));
        let request = self
            .get(&["debug_token"])?
            .query(&[("input_token", token.expose_secret())]);
        let (answer, _): (Value, _) = self.request(request, &app_token).await?;
        let data = answer.get("data").unwrap_or(&answer);
        Ok(TokenInfo {
            valid: data.get("is_valid") != Some(&Value::Bool(false)),
            kind: text(data, "type"),
            expires_at: time(data, "expires_at"),
            data_access_expires_at: time(data, "data_access_expires_at"),
            scopes: words(data.get("scopes")),
            granular: granular(data.get("granular_scopes")),
            user_id: text(data, "user_id"),
        })
    }
}

/// `{"success": true}`, or the text `"true"`, or nothing about it.
fn confirmed(answer: &Value) -> Result<(), Error> {
    match answer.get("success") {
        Some(no) if *no == false || *no == "false" => Err(Error::Api(ApiError::unsayable(
            "Meta answered success: false",
        ))),
        _ => Ok(()),
    }
}

fn read_tokens(answer: &Value, asked: Option<&str>) -> TokenPage {
    let rows = rows(answer).iter().filter_map(|row| {
        let reoptin = text(row, "notification_messages_reoptin");
        Some(TokenRow {
            token: text(row, "notification_messages_token")?,
            recipient_id: text(row, "recipient_id"),
            enabled: reoptin.is_none_or(|word| word.eq_ignore_ascii_case("ENABLED")),
            timezone: text(row, "notification_messages_timezone"),
            expires_at: time(row, "token_expiry_timestamp"),
            next_eligible_at: time(row, "next_eligible_time_for_paid_messaging"),
        })
    });
    let rows: Vec<TokenRow> = rows.collect();
    let after = if rows.is_empty() {
        None
    } else {
        next_cursor(answer)
    };
    // A cursor that leads to itself would never end.
    TokenPage {
        rows,
        after: after.filter(|cursor| Some(cursor.as_str()) != asked),
    }
}

/// The cursor itself, or the one inside the address of the next page.
fn next_cursor(answer: &Value) -> Option<String> {
    let paging = answer.get("paging")?;
    if let Some(after) = paging
        .get("cursors")
        .and_then(|cursors| text(cursors, "after"))
    {
        return Some(after);
    }
    let next = url::Url::parse(paging.get("next")?.as_str()?).ok()?;
    next.query_pairs()
        .find(|(key, _)| key == "after")
        .map(|(_, after)| after.into_owned())
}

pub(super) fn rows(answer: &Value) -> &[Value] {
    answer
        .get("data")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// `[{scope, target_ids}]`; without `target_ids` the scope holds for everything.
fn granular(list: Option<&Value>) -> BTreeMap<String, Vec<String>> {
    let list = list.and_then(Value::as_array);
    let row = |row: &Value| {
        let targets = row.get("target_ids")?.as_array()?;
        let plain = |id: &Value| match id {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        };
        Some((
            text(row, "scope")?,
            targets.iter().filter_map(plain).collect(),
        ))
    };
    list.into_iter().flatten().filter_map(row).collect()
}

/// A list of words, whether plain or as `{"name": …}`.
pub(super) fn words(list: Option<&Value>) -> Vec<String> {
    let list = list
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    list.iter()
        .filter_map(|word| {
            word.as_str()
                .map(str::to_owned)
                .or_else(|| text(word, "name"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_a_list_upload_have_no_person_and_count_as_enabled() {
        let answer = json!({"data": [{"notification_messages_token": "1", "topic_title": "x"}]});
        let page = read_tokens(&answer, None);
        assert_eq!(page.rows.len(), 1);
        assert!(page.rows[0].enabled);
        assert_eq!(page.rows[0].recipient_id, None);
        assert_eq!(page.after, None);
    }

    #[test]
    fn times_are_milliseconds_whatever_meta_wrote_and_numbers_become_text() {
        let answer = json!({
            "data": [{
                "notification_messages_token": 77, "recipient_id": 5,
                "notification_messages_reoptin": "DISABLED",
                "token_expiry_timestamp": 1_800_000_000_123_i64,
                "next_eligible_time_for_paid_messaging": "1790000000",
            }],
            "paging": {"cursors": {"after": "abc"}, "next": "https://graph.example/next"},
        });
        let page = read_tokens(&answer, None);
        assert_eq!(page.rows[0].token, "77");
        assert_eq!(page.rows[0].recipient_id.as_deref(), Some("5"));
        assert!(!page.rows[0].enabled);
        assert_eq!(page.rows[0].expires_at, Some(1_800_000_000_123));
        assert_eq!(page.rows[0].next_eligible_at, Some(1_790_000_000_000));
        assert_eq!(page.after.as_deref(), Some("abc"));
    }

    #[test]
    fn paging_ends_with_an_empty_page_or_a_cursor_that_repeats() {
        let cursor = json!({"cursors": {"after": "abc"}});
        let empty = json!({"data": [], "paging": cursor});
        assert_eq!(read_tokens(&empty, Some("x")).after, None);
        let row = json!({"notification_messages_token": "1"});
        let full = json!({"data": [row], "paging": cursor});
        assert_eq!(read_tokens(&full, Some("x")).after.as_deref(), Some("abc"));
        assert_eq!(read_tokens(&full, Some("abc")).after, None);
        let next = "https://graph.example/v26.0/1/notification_message_tokens?limit=2&after=q%3D";
        let address = json!({"data": [row], "paging": {"next": next}});
        assert_eq!(read_tokens(&address, None).after.as_deref(), Some("q="));
    }
}

//! The Page's side: subscriptions, Messenger profile, subscription tokens, names, token checks.

use serde_json::{Map, Value, json};

use super::graph::{Answer, Call, Refusal};
use super::state::Page;
use super::{Caller, Meta, success};

/// What `subscribed_apps` takes, of the enum in Meta's SDK, as far as messaging and Pages go.
const FIELDS: &[&str] = &[
    "feed",
    "leadgen",
    "live_videos",
    "marketing_message_clicks",
    "marketing_message_deliveries",
    "marketing_message_delivery_failed",
    "marketing_message_echoes",
    "marketing_message_reads",
    "marketing_messages_subscriber_upload_status",
    "mention",
    "message_context",
    "message_deliveries",
    "message_echoes",
    "message_edits",
    "message_mention",
    "message_reactions",
    "message_reads",
    "message_template_status_update",
    "messages",
    "messaging_account_linking",
    "messaging_customer_information",
    "messaging_feedback",
    "messaging_handovers",
    "messaging_integrity",
    "messaging_optins",
    "messaging_optouts",
    "messaging_policy_enforcement",
    "messaging_postbacks",
    "messaging_referrals",
    "standby",
];

impl Meta {
    /// Opens a Page with its Page token, ad account (`act_…`) and the merchant's login token.
    pub fn page(&self, id: &str, name: &str, page_token: &str, ad_account: &str, ad_token: &str) {
        let mut state = self.state();
        state.first_page.get_or_insert_with(|| id.to_owned());
        state.pages.insert(
            id.to_owned(),
            Page {
                id: id.to_owned(),
                name: name.to_owned(),
                token: page_token.to_owned(),
                ad_account: ad_account.to_owned(),
                ad_token: ad_token.to_owned(),
                subscribed: std::collections::BTreeSet::new(),
                get_started: None,
                second: (0, 0, 0),
                sends: 0,
                calls: Vec::new(),
            },
        );
    }

    /// Subscribes a Page to everything and gives it a Get Started button, for stories that do not
    /// connect it through the product.
    pub fn page_is_ready(&self, id: &str, get_started_payload: &str) {
        if let Some(page) = self.state().pages.get_mut(id) {
            page.subscribed = FIELDS.iter().map(|&f| f.to_owned()).collect();
            page.get_started = Some(get_started_payload.to_owned());
        }
    }

    /// The webhook fields a Page is subscribed to.
    pub fn subscribed_fields(&self, page_id: &str) -> Vec<String> {
        let state = self.state();
        state
            .pages
            .get(page_id)
            .map(|p| p.subscribed.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// A Page token changes: calls with the old one get 190.
    pub fn revokes_page_token(&self, page_id: &str, new_token: &str) {
        if let Some(page) = self.state().pages.get_mut(page_id) {
            new_token.clone_into(&mut page.token);
        }
    }

    /// The Page must exist and the caller must hold its token.
    pub(super) fn page_call(&self, page_id: &str, caller: &Caller) -> Result<(), Refusal> {
        if !self.state().pages.contains_key(page_id) {
            let text = format!("Unsupported request. Object with ID '{page_id}' does not exist");
            return Err(Refusal::new(100, text).sub(33));
        }
        if *caller == Caller::Page(page_id.to_owned()) {
            return Ok(());
        }
        Err(Refusal::new(
            210,
            "(#210) A page access token is required to request this resource.",
        ))
    }

    pub(super) fn subscribed_apps(&self, page_id: &str, call: &Call, caller: &Caller) -> Answer {
        self.page_call(page_id, caller)?;
        let mut state = self.state();
        let Some(page) = state.pages.get_mut(page_id) else {
            return Ok(success());
        };
        match call.method.as_str() {
            "GET" => {
                call.only(&["limit", "after"])?;
                if page.subscribed.is_empty() {
                    return Ok(json!({ "data": [] }));
                }
                let fields: Vec<&String> = page.subscribed.iter().collect();
                Ok(json!({ "data": [{
                    "id": self.inner.app_id,
                    "name": "Pagecast",
                    "category": "Business",
                    "link": "https://pagecast.example/",
                    "subscribed_fields": fields,
                }] }))
            }
            "DELETE" => {
                call.only(&[])?;
                page.subscribed.clear();
                Ok(success())
            }
            _ => {
                call.only(&["subscribed_fields"])?;
                let fields = call.list("subscribed_fields");
                if fields.is_empty() {
                    let text = "(#100) The parameter subscribed_fields is required.";
                    return Err(Refusal::new(100, text));
                }
                if let Some(wrong) = fields.iter().find(|f| !FIELDS.contains(&f.as_str())) {
                    return Err(Refusal::parameter(format_args!(
                        "subscribed_fields must be one of the known fields, got {wrong}"
                    )));
                }
                page.subscribed = fields.into_iter().collect();
                Ok(success())
            }
        }
    }

    pub(super) fn messenger_profile(&self, page_id: &str, call: &Call, caller: &Caller) -> Answer {
        self.page_call(page_id, caller)?;
        let mut state = self.state();
        let Some(page) = state.pages.get_mut(page_id) else {
            return Ok(success());
        };
        match call.method.as_str() {
            "GET" => {
                call.only(&["limit", "after"])?;
                let row = page
                    .get_started
                    .as_ref()
                    .map(|p| json!({"get_started": {"payload": p}}));
                Ok(json!({ "data": row.into_iter().collect::<Vec<_>>() }))
            }
            "DELETE" => {
                call.only(&["fields"])?;
                if call.list("fields").iter().any(|f| f == "get_started") {
                    page.get_started = None;
                }
                Ok(json!({ "result": "success" }))
            }
            _ => {
                call.only(&[
                    "get_started",
                    "greeting",
                    "persistent_menu",
                    "ice_breakers",
                    "whitelisted_domains",
                    "platform",
                ])?;
                if call.value("get_started").is_some() {
                    let button = call.object("get_started")?;
                    super::checks::only(&button, "get_started", &["payload"])?;
                    let payload = button.get("payload").and_then(Value::as_str);
                    let Some(payload) = payload.filter(|p| !p.is_empty()) else {
                        return Err(Refusal::parameter("get_started.payload is required"));
                    };
                    page.get_started = Some(payload.to_owned());
                }
                Ok(json!({ "result": "success" }))
            }
        }
    }

    pub(super) fn upload(&self, page_id: &str, call: &Call, caller: &Caller) -> Answer {
        self.page_call(page_id, caller)?;
        call.only(&["message", "platform"])?;
        call.object("message")?;
        let id = self
            .inner
            .world
            .chance
            .between(100_000_000_000_000, 999_999_999_999_999);
        Ok(json!({ "attachment_id": id.to_string() }))
    }

    /// `GET /{id}` of whatever the id names.
    pub(super) fn node(&self, id: &str, call: &Call, caller: &Caller) -> Answer {
        if let Some(token) = id.strip_prefix("notification_messages_") {
            return self.token_node(token, call, caller);
        }
        if self.state().campaigns.contains_key(id) {
            return self.campaign_node(id, call, caller);
        }
        if id.starts_with("act_") {
            self.account_call(id, caller)?;
            return self.ad_account_node(id, call);
        }
        call.only(&[])?;
        if let Some(human) = self.state().people.get(id) {
            if *caller != Caller::Page(human.page_id.clone()) {
                return Err(Refusal::new(
                    2_018_218,
                    "No profile available for this person",
                ));
            }
            let known = [
                "id",
                "first_name",
                "last_name",
                "name",
                "profile_pic",
                "locale",
            ];
            let fields = call.fields(&known, &["id", "first_name", "last_name"])?;
            let row = json!({
                "id": id, "first_name": human.first_name, "last_name": human.last_name,
                "name": format!("{} {}", human.first_name, human.last_name).trim(),
                "profile_pic": "https://platform-lookaside.example/p.jpg", "locale": "en_US",
            });
            return Ok(pick(&row, &fields));
        }
        let state = self.state();
        let holds = |p: &Page| match caller {
            Caller::Page(page_id) => *page_id == p.id,
            Caller::Login(token) => *token == p.ad_token,
            Caller::App => false,
        };
        let Some(page) = state.pages.get(id).filter(|p| holds(p)) else {
            let text = format!("Unsupported get request. Object with ID '{id}' does not exist");
            return Err(Refusal::new(100, text).sub(33));
        };
        let known = [
            "id",
            "name",
            "username",
            "category",
            "link",
            "access_token",
            "has_lead_access",
        ];
        let mut fields = call.fields(&known, &["id", "name"])?;
        let mut leads = Value::Null;
        for field in &mut fields {
            if let Some(user) = field
                .strip_prefix("has_lead_access.user_id(")
                .and_then(|rest| rest.strip_suffix(')'))
            {
                leads = state.login.lead_access(&page.id, user);
                "has_lead_access".clone_into(field);
            }
        }
        let row = json!({
            "id": page.id, "name": page.name, "username": page.id, "category": "Coffee shop",
            "link": format!("https://www.facebook.com/{}", page.id), "access_token": page.token,
            "has_lead_access": leads,
        });
        Ok(pick(&row, &fields))
    }

    pub(super) fn debug_token(&self, call: &Call, caller: &Caller) -> Answer {
        call.only(&["input_token"])?;
        let token = call.required_text("input_token")?;
        if *caller == Caller::App || matches!(caller, Caller::Login(own) if *own == token) {
            if let Some(data) = self.login_inspected(&token) {
                return Ok(json!({ "data": data }));
            }
            let state = self.state();
            let page = state.pages.values().find(|p| p.token == token);
            let login = state.pages.values().find(|p| p.ad_token == token);
            let scopes = [
                "pages_show_list",
                "pages_messaging",
                "pages_manage_metadata",
                "ads_management",
                "paid_marketing_messages",
                "pages_read_engagement",
                "business_management",
            ];
            let Some(page_of) = page.or(login) else {
                return Ok(json!({ "data": {
                    "is_valid": false, "scopes": [],
                    "error": { "code": 190, "message": "Invalid OAuth access token." },
                } }));
            };
            return Ok(json!({ "data": {
                "app_id": self.inner.app_id,
                "application": "Pagecast",
                "type": if page.is_some() { "PAGE" } else { "SYSTEM_USER" },
                "is_valid": true,
                "expires_at": 0,
                "data_access_expires_at": 0,
                "scopes": scopes,
                "granular_scopes": [{ "scope": "pages_messaging", "target_ids": [page_of.id] }],
                "user_id": "122100000000001",
                "profile_id": page_of.id,
            } }));
        }
        Err(Refusal::new(
            100,
            "(#100) You must provide an app access token",
        ))
    }

    pub(super) fn accounts(&self, call: &Call, caller: &Caller) -> Answer {
        call.only(&["limit", "after"])?;
        let known = [
            "id",
            "name",
            "access_token",
            "tasks",
            "picture",
            "followers_count",
        ];
        let fields = call.fields(&known, &["id", "name", "access_token"])?;
        let Caller::Login(token) = caller else {
            return Err(Refusal::new(
                100,
                "(#100) Tried accessing nonexisting field (accounts)",
            ));
        };
        if let Some(rows) = self.login_accounts(token, &fields) {
            return Ok(json!({ "data": rows }));
        }
        let state = self.state();
        let rows: Vec<Value> = state
            .pages
            .values()
            .filter(|p| p.ad_token == *token)
            .map(|p| {
                let tasks = [
                    "ADVERTISE",
                    "ANALYZE",
                    "CREATE_CONTENT",
                    "MESSAGING",
                    "MODERATE",
                    "MANAGE",
                ];
                pick(
                    &json!({"id": p.id, "name": p.name, "access_token": p.token, "tasks": tasks}),
                    &fields,
                )
            })
            .collect();
        Ok(json!({ "data": rows }))
    }

    pub(super) fn me(&self, call: &Call, caller: &Caller) -> Answer {
        call.only(&[])?;
        match caller {
            Caller::Page(id) => self.node(id, call, caller),
            Caller::Login(token) => {
                let row = self
                    .login_me(token)
                    .unwrap_or_else(|| json!({"id": "122100000000001", "name": "System user"}));
                let fields = call.fields(&["id", "name"], &["id", "name"])?;
                Ok(pick(&row, &fields))
            }
            Caller::App => Err(Refusal::new(2500, "An active access token must be used")),
        }
    }

    pub(super) fn app_subscriptions(&self, call: &Call, caller: &Caller) -> Answer {
        if *caller != Caller::App {
            return Err(Refusal::new(
                15,
                "(#15) This method must be called with an app access_token.",
            ));
        }
        call.only(&[
            "object",
            "callback_url",
            "verify_token",
            "fields",
            "include_values",
        ])?;
        for required in ["object", "callback_url", "verify_token", "fields"] {
            call.required_text(required)?;
        }
        Ok(success())
    }
}

/// The asked fields, and `id` as Graph always adds it.
pub(super) fn pick(row: &Value, fields: &[String]) -> Value {
    let mut picked = Map::new();
    for field in fields {
        if let Some(value) = row.get(field) {
            picked.insert(field.clone(), value.clone());
        }
    }
    if let Some(id) = row.get("id") {
        picked.insert("id".to_owned(), id.clone());
    }
    Value::Object(picked)
}

//! Facebook Login for Business: who sits at the browser, what a configuration asks for, the dialog,
//! the code, and the tokens that come of it.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::ad_accounts::AdAccount;
use super::graph::{Answer, Call, Refusal};
use super::pages::pick;
use super::{Caller, Meta};
use crate::clock::{DAY, HOUR, MINUTE, Millis, SECOND};

/// The configuration that stands ready: a system user of the business, permissions of flow 1.
pub const PORTFOLIO_CONFIG: &str = "700000000000001";
/// A person's own token, permissions of flow 2.
pub(crate) const ASSET_CONFIG: &str = "700000000000002";
/// Lead forms, with a person's own token.
pub(crate) const LEADS_CONFIG: &str = "700000000000003";

const CORE: [&str; 3] = [
    "pages_show_list",
    "pages_messaging",
    "pages_manage_metadata",
];
/// What a dialog's address may hold.
const DIALOG: [&str; 7] = [
    "client_id",
    "config_id",
    "redirect_uri",
    "response_type",
    "override_default_response_type",
    "state",
    "auth_type",
];

/// People with a Facebook account, their tokens, and the ad accounts.
#[derive(Debug, Default)]
pub(super) struct LoginState {
    pub(super) people: BTreeMap<String, Member>,
    pub(super) at_the_browser: Option<String>,
    pub(super) declines: bool,
    codes: BTreeMap<String, Code>,
    pub(super) tokens: BTreeMap<String, LoginToken>,
    pub(super) page_tokens: BTreeMap<String, (String, String)>,
    pub(super) ad_accounts: BTreeMap<String, AdAccount>,
    /// The business of a person, and the businesses with which a Page is shared: number and name.
    pub(super) businesses: BTreeMap<String, (String, String)>,
    pub(super) agencies: BTreeMap<String, Vec<(String, String)>>,
    /// Pages whose leads were taken from the app in Leads Access Manager.
    pub(super) leads_taken: BTreeSet<String>,
    minted: u64,
}

impl LoginState {
    pub(super) fn lead_access(&self, page_id: &str, user_id: &str) -> Value {
        let app_may = !self.leads_taken.contains(page_id);
        let person_may = self
            .people
            .get(user_id)
            .is_some_and(|member| member.tasks.contains_key(page_id));
        let mut told = json!({
            "app_has_leads_permission": app_may, "user_has_leads_permission": person_may,
            "can_access_lead": app_may && person_may, "enabled_lead_access_manager": !app_may,
            "is_page_admin": person_may, "page_id": page_id, "user_id": user_id,
        });
        if !app_may {
            told["failure_reason"] = json!("CRM access has been revoked");
        }
        told
    }
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Tasks on Pages, by the Page's id.
    pub(super) tasks: BTreeMap<String, Vec<String>>,
    pub(super) ad_accounts: BTreeSet<String>,
    pub(super) has_app: bool,
    /// Permissions that were taken back one by one.
    pub(super) revoked: BTreeSet<String>,
}

#[derive(Debug)]
struct Code {
    user_id: String,
    config_id: String,
    redirect_uri: String,
    ends_at: Millis,
}

#[derive(Clone, Debug)]
pub(super) struct LoginToken {
    pub(super) user_id: String,
    is_system: bool,
    scopes: Vec<&'static str>,
    ends_at: Option<Millis>,
}

impl Meta {
    /// `GET /{version}/dialog/oauth`, as a browser opens it.
    pub(super) fn dialog(&self, call: &Call) -> Response {
        match self.decide(call) {
            Ok(target) => redirect(&target),
            Err(refusal) => page(&format!("Facebook does not open this: {}", refusal.message)),
        }
    }

    fn decide(&self, call: &Call) -> Result<String, Refusal> {
        call.only(&DIALOG)?;
        if call.required_text("client_id")? != self.inner.app_id {
            return Err(Refusal::new(101, "Invalid App ID"));
        }
        let config_id = call.required_text("config_id")?;
        if configuration(&config_id).is_none() {
            return Err(Refusal::parameter("config_id"));
        }
        if call.required_text("response_type")? != "code" {
            return Err(Refusal::parameter("response_type"));
        }
        let redirect_uri = call.required_text("redirect_uri")?;
        let state_word = call.required_text("state")?;
        let mut target = url::Url::parse(&redirect_uri)
            .map_err(|_| Refusal::parameter("redirect_uri is no address"))?;
        let mut state = self.state();
        let Some(user_id) = state.login.at_the_browser.clone() else {
            return Err(Refusal::new(1, "nobody is signed in to Facebook here"));
        };
        if state.login.declines {
            target
                .query_pairs_mut()
                .append_pair("error", "access_denied")
                .append_pair("error_code", "200")
                .append_pair("error_description", "Permissions error")
                .append_pair("error_reason", "user_denied")
                .append_pair("state", &state_word);
            return Ok(target.into());
        }
        let code = format!("AQ{}", self.inner.world.chance.word(60));
        state.login.codes.insert(
            code.clone(),
            Code {
                user_id: user_id.clone(),
                config_id,
                redirect_uri,
                ends_at: self.now() + 10 * MINUTE,
            },
        );
        if let Some(member) = state.login.people.get_mut(&user_id) {
            member.has_app = true;
            member.revoked.clear();
        }
        target
            .query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &state_word);
        Ok(target.into())
    }

    /// `GET /oauth/access_token`: a code or a token, with the app's secret.
    pub(super) fn access_token(&self, call: &Call) -> Answer {
        if call.required_text("client_id")? != self.inner.app_id
            || call.required_text("client_secret")? != self.inner.app_secret
        {
            return Err(Refusal::new(1, "Error validating client secret."));
        }
        if call.text("grant_type").is_some() {
            return self.prolong(call);
        }
        call.only(&["client_id", "client_secret", "redirect_uri", "code"])?;
        let code = call.required_text("code")?;
        let redirect_uri = call.required_text("redirect_uri")?;
        let mut state = self.state();
        let Some(known) = state.login.codes.remove(&code) else {
            return Err(Refusal::new(100, "This authorization code has been used.").sub(36_009));
        };
        if known.redirect_uri != redirect_uri {
            let text = "Error validating verification code. Please make sure your redirect_uri is \
                        identical to the one you used in the OAuth dialog request";
            return Err(Refusal::new(100, text).sub(36_008));
        }
        let Some((is_system, scopes)) =
            configuration(&known.config_id).filter(|_| known.ends_at > self.now())
        else {
            return Err(Refusal::new(100, "This authorization code has expired.").sub(36_007));
        };
        let token = LoginToken {
            user_id: known.user_id,
            is_system,
            scopes,
            ends_at: (!is_system).then(|| self.now() + HOUR),
        };
        Ok(self.mint(&mut state.login, token))
    }

    fn prolong(&self, call: &Call) -> Answer {
        call.only(&[
            "grant_type",
            "client_id",
            "client_secret",
            "fb_exchange_token",
        ])?;
        if call.required_text("grant_type")? != "fb_exchange_token" {
            return Err(Refusal::parameter("grant_type"));
        }
        let given = call.required_text("fb_exchange_token")?;
        let mut state = self.state();
        let Some(token) = state.login.tokens.get(&given).cloned() else {
            return Err(Refusal::new(190, "Invalid OAuth access token.").status(401));
        };
        let longer = LoginToken {
            ends_at: (!token.is_system).then(|| self.now() + 60 * DAY),
            ..token
        };
        Ok(self.mint(&mut state.login, longer))
    }

    fn mint(&self, login: &mut LoginState, token: LoginToken) -> Value {
        login.minted += 1;
        let text = format!("EAAL{}{}", login.minted, self.inner.world.chance.word(40));
        let lasts = token.ends_at.map(|at| (at - self.now()) / SECOND);
        login.tokens.insert(text.clone(), token);
        let mut answer = json!({ "access_token": text, "token_type": "bearer" });
        if let Some(seconds) = lasts {
            answer["expires_in"] = json!(seconds);
        }
        answer
    }

    /// Whose token of the login's it is; `None` if it did not come from a login.
    pub(super) fn login_caller(&self, token: &str) -> Option<Result<Caller, Refusal>> {
        let state = self.state();
        if let Some((page_id, user_id)) = state.login.page_tokens.get(token) {
            let member = state.login.people.get(user_id);
            if member.is_none_or(|member| !member.tasks.contains_key(page_id)) {
                let text = "Error validating access token: The user must be an administrator, \
                            editor, or moderator of the page in order to impersonate it. If the \
                            page business requires Two Factor Authentication, the user also needs \
                            to enable Two Factor Authentication.";
                return Some(Err(Refusal::new(190, text).sub(492)));
            }
            return Some(Ok(Caller::Page(page_id.clone())));
        }
        let known = state.login.tokens.get(token)?;
        if known.ends_at.is_some_and(|at| at <= self.now()) {
            let text = "Error validating access token: Session has expired.";
            return Some(Err(Refusal::new(190, text).sub(463).status(401)));
        }
        let has_app = state
            .login
            .people
            .get(&known.user_id)
            .is_some_and(|m| m.has_app);
        if !has_app {
            let text = "Error validating access token: The user has not authorized application.";
            return Some(Err(Refusal::new(190, text).sub(458)));
        }
        Some(Ok(Caller::Login(token.to_owned())))
    }

    /// Whether the login's person may use the ad account.
    pub(super) fn login_holds_account(&self, token: &str, account: &str) -> bool {
        let state = self.state();
        let Some(known) = state.login.tokens.get(token) else {
            return false;
        };
        let member = state.login.people.get(&known.user_id);
        known.scopes.contains(&"ads_management")
            && member.is_some_and(|member| member.ad_accounts.contains(account))
    }

    /// `GET /me/accounts` of a login's token; `None` if it is none.
    pub(super) fn login_accounts(&self, token: &str, fields: &[String]) -> Option<Vec<Value>> {
        let mut state = self.state();
        let known = state.login.tokens.get(token)?.clone();
        let member = state.login.people.get(&known.user_id)?;
        let held: Vec<(String, Vec<String>)> = member
            .tasks
            .iter()
            .map(|(page, tasks)| (page.clone(), tasks.clone()))
            .collect();
        let mut rows = Vec::new();
        for (page_id, tasks) in held {
            let Some(page) = state.pages.get(&page_id) else {
                continue;
            };
            let (name, followers) = (page.name.clone(), 100 * page_id.len());
            let page_token = format!("EAAP{page_id}of{token}");
            let owner = (page_id.clone(), known.user_id.clone());
            state.login.page_tokens.insert(page_token.clone(), owner);
            let row = json!({
                "id": page_id, "name": name, "access_token": page_token, "tasks": tasks,
                "followers_count": followers,
                "picture": { "data": { "url": "https://scontent.example/page.jpg" } },
            });
            rows.push(picked(&row, fields));
        }
        Some(rows)
    }

    /// `data` of `debug_token` for what came from a login; `None` for anything else.
    pub(super) fn login_inspected(&self, token: &str) -> Option<Value> {
        let state = self.state();
        let of_page = state.login.page_tokens.get(token).cloned();
        let (user_id, login) = match &of_page {
            Some((page_id, user_id)) => {
                let made_from = token.strip_prefix(&format!("EAAP{page_id}of"))?;
                (user_id.clone(), state.login.tokens.get(made_from)?)
            }
            None => {
                let login = state.login.tokens.get(token)?;
                (login.user_id.clone(), login)
            }
        };
        let member = state.login.people.get(&user_id)?;
        let scopes: Vec<&&str> = login
            .scopes
            .iter()
            .filter(|scope| !member.revoked.contains(**scope))
            .collect();
        let in_time = login.ends_at.is_none_or(|at| at > self.now());
        let holds = of_page
            .as_ref()
            .is_none_or(|(page_id, _)| member.tasks.contains_key(page_id));
        let pages: Vec<&String> = member.tasks.keys().collect();
        let kind = match (&of_page, login.is_system) {
            (Some(_), _) => "PAGE",
            (None, true) => "SYSTEM_USER",
            (None, false) => "USER",
        };
        let ends = login
            .ends_at
            .filter(|_| of_page.is_none())
            .map_or(0, |at| at / SECOND);
        Some(json!({
            "app_id": self.inner.app_id, "application": "Pagecast", "type": kind,
            "is_valid": in_time && holds && member.has_app, "expires_at": ends,
            "data_access_expires_at": (self.now() + 90 * DAY) / SECOND, "scopes": scopes,
            "granular_scopes": [
                { "scope": "pages_messaging", "target_ids": pages },
                { "scope": "pages_show_list", "target_ids": pages },
            ],
            "user_id": user_id,
        }))
    }

    /// `GET /me` of a login's token.
    pub(super) fn login_me(&self, token: &str) -> Option<Value> {
        let state = self.state();
        let known = state.login.tokens.get(token)?;
        let member = state.login.people.get(&known.user_id)?;
        let name = if known.is_system {
            "Pagecast system user"
        } else {
            member.name.as_str()
        };
        Some(json!({ "id": known.user_id, "name": name }))
    }
}

/// Whether its token is a system user's, and what it asks for: all of it or nothing.
fn configuration(id: &str) -> Option<(bool, Vec<&'static str>)> {
    let (is_system, more): (bool, &[&str]) = match id {
        PORTFOLIO_CONFIG => (
            true,
            &[
                "ads_management",
                "paid_marketing_messages",
                "business_management",
            ],
        ),
        ASSET_CONFIG => (false, &["ads_management", "marketing_messages_messenger"]),
        LEADS_CONFIG => (
            false,
            &[
                "ads_management",
                "leads_retrieval",
                "pages_manage_ads",
                "pages_read_engagement",
            ],
        ),
        _ => return None,
    };
    Some((is_system, CORE.iter().chain(more).copied().collect()))
}

/// `picture{url}` names a field with its own fields.
fn picked(row: &Value, fields: &[String]) -> Value {
    let plain: Vec<String> = fields
        .iter()
        .map(|field| field.split('{').next().unwrap_or_default().to_owned())
        .collect();
    pick(row, &plain)
}

fn redirect(target: &str) -> Response {
    Response::builder()
        .status(StatusCode::FOUND)
        .header(header::LOCATION, target)
        .body(Body::empty())
        .unwrap_or_default()
}

fn page(text: &str) -> Response {
    Response::builder()
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Body::from(text.to_owned()))
        .unwrap_or_default()
}

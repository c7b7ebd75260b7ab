//! Why a browser goes to Facebook and where it comes back to: sealed, so that it survives the way
//! there without a row, and bound to the browser that set out.

use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis};
use crate::meta::permissions::Flow;
use crate::store::ids::WorkspaceId;
use crate::store::sealed::{random_token, token_hash};
use crate::web::pages::session::cookie;

/// From the admin to `/auth/meta/login`: as long as a page may stand open before its link is used.
pub(super) const TICKET: Kind = Kind("meta.ticket", 30 * MINUTE);
/// From `/auth/meta/login` over Facebook and back.
pub(super) const STATE: Kind = Kind("meta.state", HOUR);

const COOKIE: &str = "pagecast_facebook";

/// What a sealed errand may be used for, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind(&'static str, Millis);

/// Where the browser set out from, which decides who may go on and where it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Door {
    /// The admin standing alone: its session must be there when the browser sets out.
    Alone,
    /// Shopify's admin, which has no session at top level; the address leads back into it.
    Embedded { back: String, shop: String },
    /// An invitation to connect a Page once, by the hash of its code.
    Invited { code_hash: String },
    /// Somebody signs in to Pagecast itself.
    SignIn,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Errand {
    /// For whom; nobody yet where somebody only signs in.
    pub(super) workspace: Option<WorkspaceId>,
    /// `portfolio`, or a name of `META_LOGIN_CONFIG_IDS`.
    pub(super) config: String,
    pub(super) door: Door,
    at: Millis,
    /// Hash of what only the browser that set out knows.
    browser: Option<String>,
}

impl Errand {
    pub(super) fn new(
        app: &App,
        workspace: impl Into<Option<WorkspaceId>>,
        config: &str,
        door: Door,
    ) -> Self {
        Self {
            workspace: workspace.into(),
            config: config.to_owned(),
            door,
            at: app.clock.now(),
            browser: None,
        }
    }

    pub(super) fn seal(&self, app: &App, kind: Kind) -> anyhow::Result<String> {
        app.keys.seal(kind.0, &serde_json::to_string(self)?)
    }

    /// `None` for what we did not seal, sealed for something else, or sealed too long ago.
    pub(super) fn open(app: &App, kind: Kind, sealed: &str) -> Option<Self> {
        let text = app.keys.open(kind.0, sealed).ok()?;
        let errand: Self = serde_json::from_str(text.expose_secret()).ok()?;
        (app.clock.now() - errand.at < kind.1).then_some(errand)
    }

    /// For this browser only, from now on.
    pub(super) fn bound(mut self, app: &App, browser: &SecretString) -> Self {
        self.browser = Some(token_hash(browser));
        self.at = app.clock.now();
        self
    }

    pub(super) fn is_of(&self, browser: &SecretString) -> bool {
        self.browser.as_deref() == Some(token_hash(browser).as_str())
    }

    /// Which way to the paid channel this is; an optional feature is asked of a person.
    pub(super) fn flow(&self) -> Flow {
        Flow::parse(&self.config).unwrap_or(Flow::Asset)
    }

    /// Where the browser goes when all is done, or given up.
    pub(super) fn back(&self) -> &str {
        match &self.door {
            Door::Alone => "/app/connections",
            Door::Embedded { back, .. } => back,
            Door::Invited { .. } => "/auth/meta/invited",
            Door::SignIn => "/app/sign-in",
        }
    }
}

/// The configuration's id at Meta, where the operator named one.
pub(super) fn config_id<'a>(app: &'a App, config: &str) -> Option<&'a str> {
    let meta = &app.config.meta;
    let id = if config == Flow::Portfolio.as_str() {
        meta.login_config_id.as_ref()
    } else {
        meta.login_configs.get(config)
    };
    id.filter(|_| meta.app_id.is_some() && meta.app_secret.is_some())
        .map(String::as_str)
}

/// The configuration with which people sign in: a person's own token, never a system user's.
pub(super) fn sign_in_config(app: &App) -> Option<&'static str> {
    ["people", "asset"]
        .into_iter()
        .find(|config| config_id(app, config).is_some())
}

/// The configuration with which an invited person connects a Page, whoever owns it.
pub(super) fn invited_config(app: &App) -> &'static str {
    if config_id(app, Flow::Asset.as_str()).is_some() {
        Flow::Asset.as_str()
    } else {
        Flow::Portfolio.as_str()
    }
}

/// A secret for this browser, and the cookie that gives it to the browser with its errand.
pub(super) fn new_browser() -> SecretString {
    random_token("", 32)
}

pub(super) fn set_cookie(app: &App, browser: &SecretString, state: &str) -> HeaderValue {
    let secure = if app.config.public_url.starts_with("https:") {
        "; Secure"
    } else {
        ""
    };
    let text = format!(
        "{COOKIE}={}.{state}; Path=/auth/meta; Max-Age=3600; HttpOnly; SameSite=Lax{secure}",
        browser.expose_secret()
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

/// Who the browser is and what it set out for.
pub(super) fn of_cookie(app: &App, headers: &HeaderMap) -> Option<(SecretString, Errand)> {
    let (browser, state) = cookie(headers, COOKIE)?.split_once('.')?;
    let browser = SecretString::from(browser);
    let errand = Errand::open(app, STATE, state)?;
    errand.is_of(&browser).then_some((browser, errand))
}

/// `PUBLIC_URL/auth/meta/callback`, which the app's settings at Meta must name.
pub(super) fn redirect_uri(app: &App) -> String {
    format!("{}/auth/meta/callback", app.config.public_url)
}

/// Takes the cookie back.
pub(super) fn forget(headers: &mut HeaderMap) {
    let gone = format!("{COOKIE}=; Path=/auth/meta; Max-Age=0; HttpOnly; SameSite=Lax");
    if let Ok(gone) = HeaderValue::from_str(&gone) {
        headers.append(header::SET_COOKIE, gone);
    }
}

//! Meta's protocol: the Graph API and its webhooks. It knows how to speak, never whether we may:
//! no database, no workspace, no consent.

pub mod campaigns;
pub mod errors;
pub mod graph;
pub mod login;
pub mod pages;
pub mod permissions;
pub mod send;
pub mod signed_request;
pub mod webhooks;

mod events;
mod read;
mod wire;

pub use errors::{ApiError, Class};
pub use send::{Button, Card, Outgoing, QuickReply, Sent};

use secrecy::SecretString;

use crate::clock::Millis;
use crate::http_client::HttpClient;

/// Where Graph stands and who we are there.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `META_GRAPH_URL`, without a trailing slash.
    pub graph_url: String,
    /// `META_GRAPH_VERSION`, as `v26.0`.
    pub graph_version: String,
    pub app_id: Option<String>,
    /// Signs `appsecret_proof`; without it calls go unproven.
    pub app_secret: Option<SecretString>,
}

/// Speaks to the Graph API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: HttpClient,
    settings: Settings,
}

impl Client {
    pub fn new(http: HttpClient, settings: Settings) -> Self {
        Self { http, settings }
    }
}

/// `act_…`, however the account was written down.
fn ad_account_segment(ad_account: &str) -> String {
    format!(
        "act_{}",
        ad_account.strip_prefix("act_").unwrap_or(ad_account)
    )
}

/// Why a call to Meta did not succeed, in the terms a caller acts on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Meta answered with an error; its [`Class`] says what to do.
    #[error("Meta refused: {0}")]
    Api(#[from] ApiError),
    /// The call certainly had no effect.
    #[error("Meta was not reached: {0}")]
    NotSent(String),
    /// The call may have had its effect: the answer was lost or unreadable.
    #[error("Meta's answer was lost: {0}")]
    AnswerLost(String),
}

/// How much of a limit is used, from `X-App-Usage`, `X-Page-Usage` and
/// `X-Business-Use-Case-Usage` (the highest percentage of all counters wins).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// 0 to 100 and above; Meta throttles at 100.
    pub percent: u32,
    /// `estimated_time_to_regain_access`, in milliseconds.
    pub regain_after: Option<Millis>,
}

/// `GET /{page}?fields=id,name`.
#[derive(Clone, Debug)]
pub struct PageInfo {
    pub id: String,
    pub name: String,
}

/// A row of `GET /{page}/notification_message_tokens`. Tokens from a list upload carry neither
/// PSID nor times.
#[derive(Clone, Debug, Default)]
pub struct TokenRow {
    pub token: String,
    pub recipient_id: Option<String>,
    /// `notification_messages_reoptin == "ENABLED"`; absent counts as enabled.
    pub enabled: bool,
    pub timezone: Option<String>,
    pub expires_at: Option<Millis>,
    /// `next_eligible_time_for_paid_messaging`.
    pub next_eligible_at: Option<Millis>,
}

/// One page of tokens and the cursor of the next.
#[derive(Clone, Debug, Default)]
pub struct TokenPage {
    pub rows: Vec<TokenRow>,
    pub after: Option<String>,
}

/// Meta's own forecast for a broadcast; money in minor units of the ad account's currency.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryEstimate {
    pub delivered_low: Option<i64>,
    pub delivered_high: Option<i64>,
    pub cost_low: Option<i64>,
    pub cost_high: Option<i64>,
}

/// First and last name as the person shows them to the Page.
#[derive(Clone, Debug, Default)]
pub struct PersonName {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

//! Klaviyo's protocol: OAuth and keys, segments and lists, events in and out, webhooks.

pub mod events;
pub mod oauth;
pub mod segments;
pub mod webhooks;

mod read;
mod request;

use secrecy::SecretString;

use crate::clock::Millis;
use crate::http_client::HttpClient;

/// The revision that `contracts/klaviyo/openapi.json` describes.
pub const REVISION: &str = "2026-07-15";

#[derive(Clone, Debug)]
pub struct Settings {
    /// `KLAVIYO_API_URL`, without a trailing slash.
    pub api_url: String,
    pub client_id: Option<String>,
    pub client_secret: Option<SecretString>,
}

/// Speaks to Klaviyo. Cheap to clone.
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

/// How a call is authorised; one merchant never mixes both.
#[derive(Clone, Debug)]
pub enum Auth {
    /// An OAuth access token.
    Bearer(SecretString),
    /// A private key, `pk_…`.
    PrivateKey(SecretString),
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 429 (obeyed to the second), 5xx, or no connection; in milliseconds.
    #[error("Klaviyo asks to wait {after} ms: {why}")]
    Retry { after: Millis, why: String },
    /// 401, or `invalid_grant`: the merchant must connect again.
    #[error("Klaviyo no longer accepts the connection: {0}")]
    Reconnect(String),
    /// Gone: the segment, list or webhook does not exist any more.
    #[error("Klaviyo does not know it: {0}")]
    NotFound(String),
    /// Anything else Klaviyo refused, with its own words.
    #[error("Klaviyo refused ({status}): {detail}")]
    Refused { status: u16, detail: String },
}

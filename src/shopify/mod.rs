//! Shopify's protocol: signatures, session tokens, webhook bodies, the Admin GraphQL API.

pub mod admin;
pub mod auth;
pub mod billing;
pub mod discounts;
pub mod extensions;
pub mod graphql;
pub mod money;
pub mod orders;
pub mod payloads;
pub mod products;
pub mod tokens;
pub mod webhooks;

mod read;
mod refunds;

use secrecy::SecretString;

use crate::clock::Millis;
use crate::http_client::HttpClient;

/// The version every call and every webhook subscription names.
pub const API_VERSION: &str = "2026-10";

#[derive(Clone, Debug)]
pub struct Settings {
    /// Where shops' Admin APIs stand: `SHOPIFY_ADMIN_URL`, in which `{shop}` is replaced.
    pub admin_url: String,
    pub client_id: Option<String>,
    /// The current one of a rotation.
    pub client_secret: Option<SecretString>,
}

/// Speaks Admin GraphQL to any shop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: HttpClient,
    settings: Settings,
}

impl Client {
    pub fn new(http: HttpClient, settings: Settings) -> Self {
        Self { http, settings }
    }

    /// The address of the shop's admin, without a trailing slash.
    fn admin(&self, shop: &ShopDomain) -> String {
        let url = self.settings.admin_url.replace("{shop}", shop.as_str());
        url.trim_end_matches('/').to_owned()
    }
}

/// A `*.myshopify.com` host that was checked (facts 1.2 rule 4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ShopDomain(String);

impl ShopDomain {
    /// `None` unless the whole text is `^[a-z0-9][a-z0-9-]*\.myshopify\.com$`.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix(".myshopify.com")?;
        let first = name.chars().next()?;
        let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        (ok(first) && name.chars().all(|c| ok(c) || c == '-')).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the merchant calls it in addresses: `harbour` of `harbour.myshopify.com`.
    pub fn handle(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Throttled, down, or no connection: try again after this many milliseconds.
    #[error("Shopify asks to wait {after} ms: {why}")]
    Retry { after: Millis, why: String },
    /// The token is dead or the app was removed: the merchant must open the app again.
    #[error("Shopify no longer accepts the token: {0}")]
    Reconnect(String),
    /// A scope is missing, a `userErrors` entry came back, or the query is wrong.
    #[error("Shopify refused: {0}")]
    Refused(String),
}

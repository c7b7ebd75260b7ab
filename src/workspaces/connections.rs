//! What a workspace connected: its shop, its Pages, its Klaviyo account. Tokens are sealed.

use secrecy::SecretString;

use crate::app::App;
use crate::klaviyo;
use crate::shopify::ShopDomain;
use crate::store::Conn;
use crate::store::ids::{PageRowId, ShopId, WorkspaceId};

/// A connected Page, its tokens opened.
#[derive(Clone, Debug)]
pub struct Page {
    pub id: PageRowId,
    pub workspace: WorkspaceId,
    /// Meta's id.
    pub meta_id: String,
    pub name: String,
    pub token: Option<SecretString>,
    /// `act_…`.
    pub ad_account: Option<String>,
    pub ad_token: Option<SecretString>,
    /// `active` or `needs_reconnect`.
    pub state: String,
    /// What is wrong, in words for the merchant.
    pub attention: Option<String>,
    pub connected_at: i64,
}

/// Which Page an event is about, without opening its tokens.
#[derive(Clone, Copy, Debug)]
pub struct PageRef {
    pub id: PageRowId,
    pub workspace: WorkspaceId,
}

#[derive(Clone, Debug)]
pub struct Shop {
    pub id: ShopId,
    pub workspace: WorkspaceId,
    pub domain: ShopDomain,
    pub name: Option<String>,
    pub currency: Option<String>,
    pub installed_at: i64,
}

/// What an operator gives for `connect page`.
#[derive(Debug)]
pub struct ConnectPage {
    pub meta_id: String,
    pub token: SecretString,
    /// With or without `act_`.
    pub ad_account: Option<String>,
    pub ad_token: Option<SecretString>,
}

#[derive(Debug)]
pub enum KlaviyoSecret {
    RefreshToken(SecretString),
    PrivateKey(SecretString),
}

/// Checks the token with the shop, takes over name, currency and time zone, subscribes webhooks.
pub async fn connect_shop(
    _app: &App,
    _ws: WorkspaceId,
    _shop: ShopDomain,
    _token: SecretString,
) -> anyhow::Result<ShopId> {
    unimplemented!()
}

/// Checks the token with Meta, subscribes the Page's webhooks, sets Get Started.
pub async fn connect_page(
    _app: &App,
    _ws: WorkspaceId,
    _page: ConnectPage,
) -> anyhow::Result<PageRowId> {
    unimplemented!()
}

/// Checks the secret with Klaviyo and creates our system webhook where the account allows it.
pub async fn connect_klaviyo(
    _app: &App,
    _ws: WorkspaceId,
    _secret: KlaviyoSecret,
) -> anyhow::Result<()> {
    unimplemented!()
}

pub async fn pages(_app: &App, _ws: WorkspaceId) -> anyhow::Result<Vec<Page>> {
    unimplemented!()
}

pub async fn page(_app: &App, _id: PageRowId) -> anyhow::Result<Option<Page>> {
    unimplemented!()
}

pub async fn page_by_meta_id(_conn: &mut Conn, _meta_id: &str) -> anyhow::Result<Option<PageRef>> {
    unimplemented!()
}

/// Marks the Page as in trouble: its sends stand still until it is connected again.
pub async fn page_needs_reconnect(_app: &App, _id: PageRowId, _words: &str) -> anyhow::Result<()> {
    unimplemented!()
}

/// The workspace's installed shop.
pub async fn shop(_app: &App, _ws: WorkspaceId) -> anyhow::Result<Option<Shop>> {
    unimplemented!()
}

/// The installed shop with this domain (or, when none is, the one last uninstalled).
pub async fn shop_by_domain(_conn: &mut Conn, _domain: &str) -> anyhow::Result<Option<Shop>> {
    unimplemented!()
}

pub async fn shop_token(_app: &App, _id: ShopId) -> anyhow::Result<Option<SecretString>> {
    unimplemented!()
}

/// How to speak for this workspace to Klaviyo, refreshed if need be; `None` if not connected or
/// in need of reconnection.
pub async fn klaviyo_auth(_app: &App, _ws: WorkspaceId) -> anyhow::Result<Option<klaviyo::Auth>> {
    unimplemented!()
}

/// Marks the Klaviyo connection as in trouble.
pub async fn klaviyo_broke(_app: &App, _ws: WorkspaceId, _words: &str) -> anyhow::Result<()> {
    unimplemented!()
}

/// `(state, attention)` of the Klaviyo connection, if there is one.
pub async fn klaviyo_state(
    _app: &App,
    _ws: WorkspaceId,
) -> anyhow::Result<Option<(String, Option<String>)>> {
    unimplemented!()
}

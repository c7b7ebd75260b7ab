//! The inbox: every delivery whole, once.

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{WebhookId, WorkspaceId};
use crate::store::page::{Cursor, Page};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    Shopify,
    Meta,
    /// System webhooks.
    Klaviyo,
    /// Flow webhooks.
    KlaviyoFlow,
}

/// A delivery whose signature or key was checked.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub platform: Platform,
    /// What makes a repeat recognisable: Shopify's webhook id; else a hash of the body.
    pub external_id: String,
    pub topic: String,
    /// Shop domain, Page id or workspace id: whose it is, as the delivery says.
    pub account: String,
    pub triggered_at: Option<Millis>,
    pub body: Vec<u8>,
}

/// A kept delivery, for people to look at.
#[derive(Clone, Debug)]
pub struct Kept {
    pub id: WebhookId,
    pub platform: String,
    pub topic: String,
    pub account: String,
    pub received_at: Millis,
    pub processed_at: Option<Millis>,
    pub attempts: i64,
    pub error: Option<String>,
    /// Only in [`find`].
    pub payload: Option<String>,
}

/// Keeps the delivery and nudges; a repeat changes nothing. When this returns, it is durable.
pub async fn receive(_app: &App, _arrival: Arrival) -> anyhow::Result<()> {
    unimplemented!()
}

/// Newest first. `ws`: only that workspace's; `failed`: only those with an error.
pub async fn list(
    _app: &App,
    _ws: Option<WorkspaceId>,
    _failed: bool,
    _cursor: Cursor,
) -> anyhow::Result<Page<Kept>> {
    unimplemented!()
}

pub async fn find(
    _app: &App,
    _ws: Option<WorkspaceId>,
    _id: WebhookId,
) -> anyhow::Result<Option<Kept>> {
    unimplemented!()
}

/// Opens it again for processing; `false` if there is none.
pub async fn replay(_app: &App, _ws: Option<WorkspaceId>, _id: WebhookId) -> anyhow::Result<bool> {
    unimplemented!()
}

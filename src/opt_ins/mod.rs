//! Where subscribers come from: opt-in links, their QR codes and landing pages, the card that asks.

mod reference;

pub use reference::{reference, resolve_reference};

use crate::app::App;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::{LinkId, SubscriberId, WorkspaceId};
use crate::store::page::{Cursor, Page};
use crate::subscribers::Known;
use crate::workspaces::PageRef;

/// What is asked for when a link is made.
#[derive(Clone, Debug, Default)]
pub struct NewLink {
    pub name: String,
    /// Opt-in source, as `link`, `qr`, `landing_page`, `storefront`, `checkout`.
    pub source: String,
    /// Words shown to the person beside the way in; a default of ours when absent.
    pub consent_text: Option<String>,
    pub known: Known,
    pub checkout_token: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Link {
    pub id: LinkId,
    pub workspace: WorkspaceId,
    pub name: String,
    pub source: String,
    pub slug: String,
    pub consent_text: String,
    pub created_at: Millis,
    /// The signed token of the m.me link.
    pub reference: String,
    /// `https://m.me/{page}?ref=…`.
    pub url: String,
    /// `{PUBLIC_URL}/s/{slug}`.
    pub landing_url: String,
    /// `{PUBLIC_URL}/s/{slug}/qr.svg`.
    pub qr_svg_url: String,
    pub page_name: String,
    /// People who opted in through it and are still subscribed.
    pub subscribers: i64,
}

/// Why no link was made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("Connect a Facebook Page first.")]
    NoPage,
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

pub async fn create_link(_app: &App, _ws: WorkspaceId, _link: NewLink) -> Result<Link, LinkError> {
    unimplemented!()
}

/// Newest first; links made for one known person are left out.
pub async fn links(_app: &App, _ws: WorkspaceId, _cursor: Cursor) -> anyhow::Result<Page<Link>> {
    unimplemented!()
}

pub async fn link(_app: &App, _ws: WorkspaceId, _id: LinkId) -> anyhow::Result<Option<Link>> {
    unimplemented!()
}

/// For the public landing page.
pub async fn link_by_slug(_app: &App, _slug: &str) -> anyhow::Result<Option<Link>> {
    unimplemented!()
}

/// A person came through a link (or started the chat without one, `None`): remembers the source,
/// links the customer, and enqueues the opt-in card unless they are subscribed already or were
/// asked for the same within the week (Meta allows one request a week per person and title).
pub async fn arrive(
    _app: &App,
    _conn: &mut Conn,
    _page: PageRef,
    _id: SubscriberId,
    _reference: Option<&str>,
    _at: Millis,
) -> anyhow::Result<()> {
    unimplemented!()
}

/// Reads Meta's list of subscription tokens for the Page and takes over what changed.
pub async fn resync_page(_app: &App, _page: crate::store::ids::PageRowId) -> anyhow::Result<()> {
    Ok(())
}

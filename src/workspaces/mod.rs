//! Whose data it is: workspaces, what they connected, and who may look.

mod access;
mod connections;

pub use access::{
    LoginLink, authenticate, create_token, login_link, open_login, session, sign_out,
};
pub use connections::{
    ConnectPage, KlaviyoSecret, Page, PageRef, Shop, connect_klaviyo, connect_page, connect_shop,
    klaviyo_auth, klaviyo_broke, klaviyo_state, page, page_by_meta_id, page_needs_reconnect, pages,
    shop, shop_by_domain, shop_token,
};

use secrecy::SecretString;

use crate::app::App;
use crate::store::ids::WorkspaceId;

/// A workspace and its settings.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub id: WorkspaceId,
    pub name: String,
    /// IANA name, as `America/Los_Angeles`.
    pub timezone: String,
    /// Local times `HH:MM` between which nobody is written to; may span midnight.
    pub quiet_hours: Option<(String, String)>,
    /// At most one marketing message per person in this many hours.
    pub cap_hours: i64,
    /// Days after a click in which an order counts.
    pub attribution_window_days: i64,
}

/// Makes a workspace and the key for its Klaviyo flow webhooks.
pub async fn create(_app: &App, _name: &str) -> anyhow::Result<WorkspaceId> {
    unimplemented!()
}

pub async fn find(_app: &App, _id: WorkspaceId) -> anyhow::Result<Option<Workspace>> {
    unimplemented!()
}

/// All workspaces, for sweeps and the operator.
pub async fn all(_app: &App) -> anyhow::Result<Vec<Workspace>> {
    unimplemented!()
}

/// Stores name, time zone, quiet hours, cap and window; the caller checked them.
pub async fn save(_app: &App, _workspace: &Workspace) -> anyhow::Result<()> {
    unimplemented!()
}

/// The value of `X-Pagecast-Key` for this workspace.
pub async fn flow_key(_app: &App, _id: WorkspaceId) -> anyhow::Result<SecretString> {
    unimplemented!()
}

//! Finding and listing subscribers; tags.

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{LinkId, PageRowId, SubscriberId, WorkspaceId};
use crate::store::page::{Cursor, Page};

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Subscribed,
    OptedOut,
    /// Wrote or tapped, but never accepted the card.
    NotSubscribed,
}

#[derive(Clone, Debug)]
pub struct Subscriber {
    pub id: SubscriberId,
    pub page: PageRowId,
    pub status: Status,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub source: Option<String>,
    pub timezone: Option<String>,
    pub customer_id: Option<String>,
    pub klaviyo_profile_id: Option<String>,
    pub has_token: bool,
    pub created_at: Millis,
    pub opted_in_at: Option<Millis>,
    pub opted_out_at: Option<Millis>,
    /// The 24 h window is open until here, if it is.
    pub last_action_at: Option<Millis>,
    pub last_marketing_at: Option<Millis>,
    pub last_clicked_at: Option<Millis>,
    pub last_ordered_at: Option<Millis>,
}

#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub status: Option<Status>,
    pub tag: Option<String>,
    pub source: Option<String>,
    /// Name prefix, e-mail address (whole), or an id.
    pub search: Option<String>,
    /// Only those who came in through this opt-in link.
    pub link: Option<LinkId>,
}

pub async fn find(
    _app: &App,
    _ws: WorkspaceId,
    _id: SubscriberId,
) -> anyhow::Result<Option<Subscriber>> {
    unimplemented!()
}

/// Newest first.
pub async fn list(
    _app: &App,
    _ws: WorkspaceId,
    _filter: &Filter,
    _cursor: Cursor,
) -> anyhow::Result<Page<Subscriber>> {
    unimplemented!()
}

/// Adds and removes tags (1 to 50 characters, checked by the caller); `false` if there is no such subscriber.
pub async fn tag(
    _app: &App,
    _ws: WorkspaceId,
    _id: SubscriberId,
    _add: &[String],
    _remove: &[String],
) -> anyhow::Result<bool> {
    unimplemented!()
}

pub async fn tags(_app: &App, _ws: WorkspaceId, _id: SubscriberId) -> anyhow::Result<Vec<String>> {
    unimplemented!()
}

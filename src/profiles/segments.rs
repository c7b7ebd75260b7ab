//! Segments and lists that audiences name, and their members as last synced.

use crate::app::App;
use crate::clock::Millis;
use crate::klaviyo::segments::GroupKind;
use crate::store::ids::WorkspaceId;

#[derive(Clone, Debug)]
pub struct Group {
    pub kind: GroupKind,
    pub id: String,
    pub name: String,
    /// Members at Klaviyo, as last synced.
    pub members: i64,
    /// Those of them who are subscribers here.
    pub reachable: i64,
    pub synced_at: Option<Millis>,
    pub problem: Option<String>,
}

/// Asks for a sync of this group no older than `fresh_since`; `true` once it is there.
pub async fn want(
    _app: &App,
    _ws: WorkspaceId,
    _kind: GroupKind,
    _id: &str,
    _fresh_since: Millis,
) -> anyhow::Result<bool> {
    unimplemented!()
}

/// The groups known for this workspace.
pub async fn groups(_app: &App, _ws: WorkspaceId) -> anyhow::Result<Vec<Group>> {
    unimplemented!()
}

/// Reads the names of all segments and lists from Klaviyo, so that they can be chosen.
pub async fn refresh_names(_app: &App, _ws: WorkspaceId) -> anyhow::Result<()> {
    unimplemented!()
}

/// Syncs what is wanted and due. Returns how many groups were synced.
pub async fn sync_due(_app: &App) -> anyhow::Result<usize> {
    unimplemented!()
}

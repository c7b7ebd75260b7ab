//! Export and erasure of personal data, per customer and per shop.

use crate::app::App;
use crate::store::Conn;
use crate::store::ids::WorkspaceId;
use crate::subscribers::Known;

/// Erases what identifies the person: names, addresses, PSID, tokens, texts; figures stay.
pub async fn erase_customer(
    _app: &App,
    _conn: &mut Conn,
    _ws: WorkspaceId,
    _known: &Known,
) -> anyhow::Result<u64> {
    unimplemented!()
}

/// The same for everyone in the workspace, and the shop's own secrets.
pub async fn erase_shop(_app: &App, _conn: &mut Conn, _ws: WorkspaceId) -> anyhow::Result<u64> {
    unimplemented!()
}

/// Everything we keep of the person, as JSON for the store owner.
pub async fn export_customer(
    _app: &App,
    _conn: &mut Conn,
    _ws: WorkspaceId,
    _known: &Known,
) -> anyhow::Result<serde_json::Value> {
    unimplemented!()
}

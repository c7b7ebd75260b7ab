//! Events for Klaviyo profiles: written in the transaction of what happened, sent by a job.

use crate::app::App;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::{SubscriberId, WorkspaceId};

/// Something that happened to a subscriber.
#[derive(Clone, Debug)]
pub struct Report {
    pub workspace: WorkspaceId,
    pub subscriber: SubscriberId,
    /// A metric's name of facts/klaviyo.md section 4, as `Clicked Messenger Message`.
    pub metric: &'static str,
    pub properties: serde_json::Map<String, serde_json::Value>,
    /// Decimal amount and currency.
    pub value: Option<(String, String)>,
    pub at: Millis,
    /// Deterministic: the same happening always has the same.
    pub unique_id: String,
}

/// Keeps the event for sending; does nothing for a workspace without Klaviyo, or when it is kept already.
pub async fn report(_app: &App, _conn: &mut Conn, _event: Report) -> anyhow::Result<()> {
    Ok(())
}

/// Sends what is due, in bulk, within Klaviyo's limits. Returns how many were accepted.
pub async fn send_due(_app: &App) -> anyhow::Result<usize> {
    unimplemented!()
}

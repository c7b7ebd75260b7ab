//! Runs: started by a happening, advanced when due, stopped by an order.

use serde_json::{Map, Value};

use crate::app::App;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::{SubscriberId, WorkspaceId};

/// Something that may start automations.
#[derive(Clone, Debug)]
pub struct Happening {
    pub workspace: WorkspaceId,
    pub subscriber: SubscriberId,
    /// As [`super::Trigger::kind`].
    pub kind: &'static str,
    /// Metric or event name, empty for the other kinds.
    pub key: String,
    /// Checkout token, event id, order id: the same happening starts an automation once.
    pub trigger_ref: String,
    /// What the messages may name, as `{{event.product}}`, `{{checkout_url}}`.
    pub context: Map<String, Value>,
    pub at: Millis,
}

/// Starts the matching automations; how many runs began.
pub async fn start(_app: &App, _conn: &mut Conn, _happening: &Happening) -> anyhow::Result<usize> {
    unimplemented!()
}

/// Moves on every run that is due; how many messages were enqueued.
pub async fn advance_due(_app: &App) -> anyhow::Result<usize> {
    unimplemented!()
}

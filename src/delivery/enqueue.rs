//! Putting a single message into the queue.

use crate::clock::Millis;
use crate::delivery::Content;
use crate::store::Conn;
use crate::store::ids::{
    AutomationId, MessageKey, OriginId, PageRowId, RunId, SubscriberId, WorkspaceId,
};

/// What kind of message it is decides its priority and which rules hold for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// The opt-in card: standard window only, needs no consent yet.
    Card,
    /// A confirmation the person caused (STOP, RESUME): standard window only.
    Reply,
    /// The merchant tries a campaign on a chosen subscriber: caps and quiet hours do not hold.
    Test,
    /// A step of an automation.
    Automation,
    Campaign,
}

#[derive(Clone, Debug)]
pub struct NewMessage {
    pub workspace: WorkspaceId,
    pub page: PageRowId,
    pub subscriber: SubscriberId,
    /// The same cause never tells the same person twice: a second row is not made.
    pub origin: OriginId,
    pub kind: MessageKind,
    pub automation: Option<(AutomationId, RunId, i64)>,
    pub content: Content,
    pub due_at: Millis,
    /// Not sent any more after this.
    pub expires_at: Option<Millis>,
}

/// Writes the `queued` row. Nudge `Job::Messages(page)` after the commit.
pub async fn enqueue(
    _conn: &mut Conn,
    _now: Millis,
    _message: &NewMessage,
) -> anyhow::Result<MessageKey> {
    unimplemented!()
}

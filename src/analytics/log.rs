//! One row per subscriber: what became of each message.

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{CampaignId, MessageKey, SubscriberId, WorkspaceId};
use crate::store::page::{Cursor, Page};

#[derive(Clone, Debug)]
pub struct LogEntry {
    pub message: MessageKey,
    pub subscriber: SubscriberId,
    pub subscriber_name: Option<String>,
    /// campaign, automation, test, card, reply; and the campaign's or automation's name and id text.
    pub kind: String,
    pub about: Option<String>,
    pub about_id: Option<String>,
    pub status: String,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub channel: Option<String>,
    pub due_at: Millis,
    pub sent_at: Option<Millis>,
    pub delivered_at: Option<Millis>,
    pub read_at: Option<Millis>,
    pub clicked_at: Option<Millis>,
    /// Tries so far.
    pub attempts: i64,
    /// Orders credited to it.
    pub orders: i64,
}

#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// A message status, or `delivered`, `read`, `clicked`.
    pub status: Option<String>,
    pub reason: Option<String>,
    /// First name prefix, or a subscriber's id.
    pub search: Option<String>,
}

/// In the order of subscribers.
pub async fn campaign_log(
    _app: &App,
    _ws: WorkspaceId,
    _id: CampaignId,
    _filter: &LogFilter,
    _cursor: Cursor,
) -> anyhow::Result<Page<LogEntry>> {
    unimplemented!()
}

/// The latest messages of one subscriber, newest first.
pub async fn subscriber_log(
    _app: &App,
    _ws: WorkspaceId,
    _id: SubscriberId,
    _limit: i64,
) -> anyhow::Result<Vec<LogEntry>> {
    unimplemented!()
}

/// The tries of a message that did not simply succeed, oldest first: `(at, outcome, words)`.
pub async fn attempts(
    _app: &App,
    _ws: WorkspaceId,
    _message: MessageKey,
) -> anyhow::Result<Vec<(Millis, String, String)>> {
    unimplemented!()
}

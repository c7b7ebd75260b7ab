//! Moving a campaign: schedule, pause, resume, cancel, test.

use crate::app::App;
use crate::campaigns::{Campaign, Error};
use crate::clock::Millis;
use crate::store::ids::{CampaignId, MessageKey, SubscriberId, WorkspaceId};

#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// `None` = now.
    pub at: Option<Millis>,
    /// IANA name in which `at` was meant; the workspace's by default.
    pub timezone: Option<String>,
    /// At the same wall-clock time in each subscriber's own zone.
    pub in_subscriber_timezone: bool,
    /// Later than this it does not start by itself; 60 by default.
    pub late_limit_minutes: Option<i64>,
}

pub async fn schedule(
    _app: &App,
    _ws: WorkspaceId,
    _id: CampaignId,
    _schedule: Schedule,
) -> Result<Campaign, Error> {
    unimplemented!()
}

pub async fn pause(_app: &App, _ws: WorkspaceId, _id: CampaignId) -> Result<Campaign, Error> {
    unimplemented!()
}

pub async fn resume(_app: &App, _ws: WorkspaceId, _id: CampaignId) -> Result<Campaign, Error> {
    unimplemented!()
}

/// Final: what is queued will not be sent.
pub async fn cancel(_app: &App, _ws: WorkspaceId, _id: CampaignId) -> Result<Campaign, Error> {
    unimplemented!()
}

/// Sends the campaign's message to one subscriber now, outside its counts.
pub async fn test_send(
    _app: &App,
    _ws: WorkspaceId,
    _id: CampaignId,
    _to: SubscriberId,
) -> Result<MessageKey, Error> {
    unimplemented!()
}

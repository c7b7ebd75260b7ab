//! Writing a campaign: create, change, delete; checked before it is stored.

use crate::app::App;
use crate::campaigns::{Audience, Error};
use crate::clock::Millis;
use crate::delivery::Message;
use crate::store::ids::{CampaignId, WorkspaceId};
use crate::store::page::{Cursor, Page};

#[derive(Clone, Debug)]
pub struct Draft {
    pub name: String,
    pub message: Message,
    pub audience: Audience,
    /// `auto`, `marketing_message` or `standard`.
    pub channel: String,
    /// UTM overrides, `utm_…` keys.
    pub utm: Vec<(String, String)>,
}

/// Changes to a draft or scheduled campaign; `None` leaves a part as it is.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    pub name: Option<String>,
    pub message: Option<Message>,
    pub audience: Option<Audience>,
    pub channel: Option<String>,
    pub utm: Option<Vec<(String, String)>>,
}

#[derive(Clone, Debug)]
pub struct Campaign {
    pub id: CampaignId,
    pub workspace: WorkspaceId,
    pub name: String,
    pub message: Message,
    pub audience: Audience,
    pub channel: String,
    pub utm: Vec<(String, String)>,
    /// draft, scheduled, preparing, running, paused, finished, cancelled, failed.
    pub status: String,
    pub scheduled_at: Option<Millis>,
    pub timezone: Option<String>,
    pub in_subscriber_timezone: bool,
    pub late_limit_minutes: i64,
    /// What the merchant must know or decide, in words.
    pub attention: Option<String>,
    pub created_at: Millis,
    pub updated_at: Millis,
    pub launched_at: Option<Millis>,
    pub paused_at: Option<Millis>,
    pub finished_at: Option<Millis>,
}

pub async fn create(_app: &App, _ws: WorkspaceId, _draft: Draft) -> Result<Campaign, Error> {
    unimplemented!()
}

pub async fn find(_app: &App, _ws: WorkspaceId, _id: CampaignId) -> Result<Campaign, Error> {
    unimplemented!()
}

/// Newest first; `status` narrows.
pub async fn list(
    _app: &App,
    _ws: WorkspaceId,
    _status: Option<&str>,
    _cursor: Cursor,
) -> anyhow::Result<Page<Campaign>> {
    unimplemented!()
}

pub async fn patch(
    _app: &App,
    _ws: WorkspaceId,
    _id: CampaignId,
    _patch: Patch,
) -> Result<Campaign, Error> {
    unimplemented!()
}

/// Only a campaign that never ran can be deleted.
pub async fn delete(_app: &App, _ws: WorkspaceId, _id: CampaignId) -> Result<(), Error> {
    unimplemented!()
}

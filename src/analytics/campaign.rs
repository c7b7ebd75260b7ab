//! What became of a campaign's or an automation's messages.

use crate::app::App;
use crate::store::ids::{AutomationId, CampaignId, WorkspaceId};

/// Counts of messages and what they earned. queued + sending + sent + failed + skipped + unknown =
/// the audience; delivered, read and clicked are parts of sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub queued: i64,
    pub sending: i64,
    pub sent: i64,
    pub delivered: i64,
    pub read: i64,
    /// People who clicked.
    pub clicked: i64,
    /// All their clicks.
    pub clicks: i64,
    pub failed: i64,
    pub skipped: i64,
    pub unknown: i64,
    /// Reason and number, largest first.
    pub skipped_why: Vec<(String, i64)>,
    pub failed_why: Vec<(String, i64)>,
    pub orders: i64,
    /// Minor units per currency.
    pub revenue: Vec<Revenue>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revenue {
    pub currency: String,
    pub gross: i64,
    pub refunded: i64,
}

impl Revenue {
    pub fn net(&self) -> i64 {
        self.gross - self.refunded
    }
}

impl Figures {
    pub fn audience(&self) -> i64 {
        self.queued + self.sending + self.sent + self.failed + self.skipped + self.unknown
    }

    /// Those whose message has come to an end.
    pub fn handled(&self) -> i64 {
        self.audience() - self.queued - self.sending
    }
}

/// Clicks on one link of a campaign's message.
#[derive(Clone, Debug)]
pub struct LinkClicks {
    pub link: i64,
    pub people: i64,
    pub clicks: i64,
}

pub async fn campaign(_app: &App, _ws: WorkspaceId, _id: CampaignId) -> anyhow::Result<Figures> {
    unimplemented!()
}

/// For a page of campaigns at once, in few queries.
pub async fn campaigns(
    _app: &App,
    _ws: WorkspaceId,
    _ids: &[CampaignId],
) -> anyhow::Result<Vec<Figures>> {
    unimplemented!()
}

pub async fn automation(
    _app: &App,
    _ws: WorkspaceId,
    _id: AutomationId,
) -> anyhow::Result<Figures> {
    unimplemented!()
}

pub async fn campaign_links(
    _app: &App,
    _ws: WorkspaceId,
    _id: CampaignId,
) -> anyhow::Result<Vec<LinkClicks>> {
    unimplemented!()
}

//! Delivery: what one subscriber is to be told once, from `queued` to its receipts.

pub mod content;

mod enqueue;
mod receipts;

pub use content::{Content, Message, Problem};
pub use enqueue::{MessageKind, NewMessage, enqueue};
pub use receipts::{MarketingReceipt, Receipt, record_receipt};

use crate::app::App;
use crate::links::Tags;
use crate::store::ids::{AutomationId, CampaignId, MessageKey, PageRowId, WorkspaceId};

/// Where a link of a message leads.
#[derive(Clone, Debug)]
pub struct Destination {
    pub workspace: WorkspaceId,
    pub campaign: Option<CampaignId>,
    pub automation: Option<AutomationId>,
    pub url: String,
    pub tags: Tags,
}

/// Where link number `link` of the message leads; remembered per campaign, so a broadcast's
/// clicks cost no query.
pub async fn destination(
    _app: &App,
    _message: MessageKey,
    _link: u8,
) -> anyhow::Result<Option<Destination>> {
    unimplemented!()
}

/// Sends what is due on this Page: claims, asks the policy, keeps the pace, speaks to Meta, writes
/// what happened; until nothing is due. Safe to run in many workers at once.
pub async fn send_due(_app: &App, _page: PageRowId) -> anyhow::Result<()> {
    unimplemented!()
}

/// Pages with something due.
pub async fn pages_due(_app: &App) -> anyhow::Result<Vec<PageRowId>> {
    unimplemented!()
}

/// Finds what a crash left: leases that ran out become `unknown`, unknown ones of the paid channel
/// are retried once while that is safe.
pub async fn sweep(_app: &App) -> anyhow::Result<()> {
    unimplemented!()
}

//! Who clicked: decided from the request, written in batches behind the answer.

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{AutomationId, CampaignId, ClickId, MessageKey, WorkspaceId};

/// A click that counts.
#[derive(Clone, Debug)]
pub struct Click {
    pub id: ClickId,
    pub workspace: WorkspaceId,
    pub message: MessageKey,
    pub campaign: Option<CampaignId>,
    pub automation: Option<AutomationId>,
    pub link: u8,
    pub at: Millis,
}

/// Takes clicks without waiting and writes them in batches: the click's row, the message's
/// `clicked_at` and `clicks`, the subscriber's `last_clicked_at`, the event for Klaviyo.
#[derive(Clone, Debug)]
pub struct Recorder {
    to: tokio::sync::mpsc::Sender<Click>,
}

impl Recorder {
    /// Starts the writer; it drains and ends when the app stops.
    pub fn start(_app: &App) -> Self {
        unimplemented!()
    }

    /// Never blocks; `false` when the buffer is full (the caller then writes it itself).
    pub fn record(&self, click: Click) -> bool {
        self.to.try_send(click).is_ok()
    }

    /// Waits until everything recorded so far is written.
    pub async fn flush(&self) {
        unimplemented!()
    }
}

/// Whether the request is a person's click: not HEAD, not a prefetch, not a link scanner or a
/// preview bot (their User-Agents).
pub fn is_counted(_method: &str, _user_agent: Option<&str>, _purpose: Option<&str>) -> bool {
    unimplemented!()
}

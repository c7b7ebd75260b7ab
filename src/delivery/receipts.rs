//! What comes back: echoes, deliveries, reads. A receipt never moves a status backwards.

use crate::app::App;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::SubscriberId;
use crate::workspaces::PageRef;

/// A receipt, however it names its message.
#[derive(Clone, Debug)]
pub enum Receipt {
    /// The standard channel's echo; `metadata` is our message key.
    Echo {
        mid: String,
        metadata: Option<String>,
    },
    /// `mids` were delivered, and all sent to `subscriber` up to `watermark`.
    Delivered {
        subscriber: SubscriberId,
        mids: Vec<String>,
        watermark: Millis,
    },
    /// All sent to `subscriber` up to `watermark` was read.
    Read {
        subscriber: SubscriberId,
        watermark: Millis,
    },
    /// The paid channel, by tracking id, else by (token, Meta's campaign).
    Marketing {
        what: MarketingReceipt,
        mid: Option<String>,
        tracking_id: Option<String>,
        token: Option<String>,
        meta_campaign_id: Option<String>,
        error: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketingReceipt {
    Sent,
    Delivered,
    Read,
    Failed,
}

/// Applies a receipt; one that matches nothing of ours changes nothing. `at` is Meta's time.
pub async fn record_receipt(
    _app: &App,
    _conn: &mut Conn,
    _page: PageRef,
    _at: Millis,
    _receipt: &Receipt,
) -> anyhow::Result<()> {
    unimplemented!()
}

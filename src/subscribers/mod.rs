//! People who may be written to on one Page, and the ledger of their consent.

mod consent;
mod customers;
mod privacy;
mod search;

pub use consent::{Consent, Means, OptIn, ledger, opt_in, opt_out, token_moved};
pub use customers::{Known, link_customer, recognise, save_customer};
pub use privacy::{erase_customer, erase_shop, export_customer};
pub use search::{Filter, Status, Subscriber, find, list, tag, tags};

use crate::app::App;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::SubscriberId;
use crate::workspaces::PageRef;

/// Finds the person on this Page, or makes the row on first contact. `acted_at` is given when the
/// person did something that opens the 24 h window; it never moves the window back.
pub async fn resolve(
    _app: &App,
    _conn: &mut Conn,
    _page: PageRef,
    _psid: &str,
    _acted_at: Option<Millis>,
) -> anyhow::Result<SubscriberId> {
    unimplemented!()
}

//! The shop's customers, as far as they are needed to recognise a subscriber.

use crate::app::App;
use crate::store::Conn;
use crate::store::ids::{SubscriberId, WorkspaceId};

/// What is known of a person from outside; any part may be missing.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub customer_id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub klaviyo_profile_id: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

/// Creates or updates the shop's customer (never backwards in `updated_at`) and hands names and
/// addresses on to the subscribers linked to it.
pub async fn save_customer(
    _app: &App,
    _conn: &mut Conn,
    _ws: WorkspaceId,
    _customer: &Known,
    _updated_at: i64,
) -> anyhow::Result<()> {
    unimplemented!()
}

/// Writes what is known onto the subscriber; never replaces a value by nothing.
pub async fn link_customer(
    _app: &App,
    _conn: &mut Conn,
    _id: SubscriberId,
    _known: &Known,
) -> anyhow::Result<()> {
    unimplemented!()
}

/// The workspace's subscribers that this person is: by customer, Klaviyo profile, e-mail, phone.
pub async fn recognise(
    _app: &App,
    _conn: &mut Conn,
    _ws: WorkspaceId,
    _known: &Known,
) -> anyhow::Result<Vec<SubscriberId>> {
    unimplemented!()
}

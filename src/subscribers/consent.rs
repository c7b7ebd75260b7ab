//! The ledger: who agreed to what, when, by which means, with which text shown. Append-only.

use crate::app::App;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::{SubscriberId, WorkspaceId};

/// How we learned of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The opt-in card was accepted.
    Card,
    /// Meta's STOP or RESUME event.
    Webhook,
    /// The person wrote STOP or RESUME.
    Keyword,
    /// A send was answered with "opted out".
    SendError,
    /// Found in Meta's list of tokens.
    Resync,
    /// The public API or the admin.
    Merchant,
    /// The shop's or Meta's demand to erase.
    Erasure,
}

#[derive(Clone, Debug, Default)]
pub struct OptIn {
    /// Meta's subscription token; `None` leaves the one there is.
    pub token: Option<String>,
    pub token_expires_at: Option<Millis>,
    pub timezone: Option<String>,
    /// Opt-in source (`link`, `checkout`, …); `None` leaves the first one.
    pub source: Option<String>,
    pub text_shown: Option<String>,
}

/// A row of the ledger.
#[derive(Clone, Debug)]
pub struct Consent {
    /// `opted_in` or `opted_out`.
    pub action: String,
    pub means: String,
    pub source: Option<String>,
    pub text_shown: Option<String>,
    pub at: Millis,
}

impl Means {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Webhook => "webhook",
            Self::Keyword => "keyword",
            Self::SendError => "send_error",
            Self::Resync => "resync",
            Self::Merchant => "merchant",
            Self::Erasure => "erasure",
        }
    }
}

/// Writes the ledger and moves the subscriber's state; an event older than the state there is
/// goes into the ledger only. `event_key` makes a repeat harmless. `true` if the person became
/// subscribed by it (so a welcome may start).
pub async fn opt_in(
    _app: &App,
    _conn: &mut Conn,
    _id: SubscriberId,
    _means: Means,
    _how: OptIn,
    _at: Millis,
    _event_key: &str,
) -> anyhow::Result<bool> {
    unimplemented!()
}

/// As [`opt_in`], the other way. `true` if the person was subscribed until now.
pub async fn opt_out(
    _app: &App,
    _conn: &mut Conn,
    _id: SubscriberId,
    _means: Means,
    _at: Millis,
    _event_key: &str,
) -> anyhow::Result<bool> {
    unimplemented!()
}

/// Meta refreshed or replaced the token without a new decision of the person.
pub async fn token_moved(
    _app: &App,
    _conn: &mut Conn,
    _id: SubscriberId,
    _token: &str,
    _expires_at: Option<Millis>,
) -> anyhow::Result<()> {
    unimplemented!()
}

/// A subscriber's ledger, newest first.
pub async fn ledger(
    _app: &App,
    _ws: WorkspaceId,
    _id: SubscriberId,
) -> anyhow::Result<Vec<Consent>> {
    unimplemented!()
}

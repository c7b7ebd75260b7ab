//! The pure decision: last click inside the window wins.

use crate::clock::Millis;
use crate::store::ids::ClickId;

/// A click that may have caused the order, and how it was matched to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    pub click: ClickId,
    pub at: Millis,
    pub matched_by: MatchedBy,
}

/// In the order of trust: what stands first wins over what stands later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchedBy {
    /// Our click id in the order's attributes.
    ClickId,
    /// Our `ref`/`pc_click`/UTMs in the landing address.
    LandingSite,
    /// Shopify's customer journey.
    Journey,
    /// A click by the subscriber who is this customer.
    Customer,
}

impl MatchedBy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClickId => "click_id",
            Self::LandingSite => "landing_site",
            Self::Journey => "journey",
            Self::Customer => "customer",
        }
    }
}

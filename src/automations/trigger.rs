//! What starts an automation.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Trigger {
    /// A checkout was left for so many minutes.
    CheckoutAbandoned { after_minutes: i64 },
    /// An event of this metric at Klaviyo, by its name, as `Viewed Product`.
    KlaviyoEvent { metric: String },
    /// A flow's webhook action with this event.
    KlaviyoFlow { event: String },
    /// The person subscribed.
    OptedIn {},
    /// An order was paid.
    OrderPaid {},
}

impl Trigger {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CheckoutAbandoned { .. } => "checkout_abandoned",
            Self::KlaviyoEvent { .. } => "klaviyo_event",
            Self::KlaviyoFlow { .. } => "klaviyo_flow",
            Self::OptedIn {} => "opted_in",
            Self::OrderPaid {} => "order_paid",
        }
    }
}

//! What starts an automation.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::{MINUTE, Millis};

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
    /// Something that the person asked about in the storefront is back in stock.
    BackInStock {},
}

impl Trigger {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CheckoutAbandoned { .. } => "checkout_abandoned",
            Self::KlaviyoEvent { .. } => "klaviyo_event",
            Self::KlaviyoFlow { .. } => "klaviyo_flow",
            Self::OptedIn {} => "opted_in",
            Self::OrderPaid {} => "order_paid",
            Self::BackInStock {} => "back_in_stock",
        }
    }

    /// What a happening's key must be for it to start this.
    pub(super) fn key(&self) -> String {
        match self {
            Self::KlaviyoEvent { metric } => normal_key(self.kind(), metric),
            Self::KlaviyoFlow { event } => normal_key(self.kind(), event),
            Self::CheckoutAbandoned { .. }
            | Self::OptedIn {}
            | Self::OrderPaid {}
            | Self::BackInStock {} => String::new(),
        }
    }

    /// How long after the happening the first step's own wait begins.
    pub(super) fn delay(&self) -> Millis {
        match self {
            Self::CheckoutAbandoned { after_minutes } => after_minutes * MINUTE,
            Self::KlaviyoEvent { .. }
            | Self::KlaviyoFlow { .. }
            | Self::OptedIn {}
            | Self::OrderPaid {}
            | Self::BackInStock {} => 0,
        }
    }
}

/// A metric is called by its name (`Viewed Product`), by its slug, or by Klaviyo's topic
/// (`event:api.viewed_product`): all become the slug. A flow's event is the merchant's own word.
pub(super) fn normal_key(kind: &str, text: &str) -> String {
    let text = text.trim();
    if kind != "klaviyo_event" {
        return text.to_owned();
    }
    let name = match text.strip_prefix("event:") {
        Some(topic) => topic.rsplit('.').next().unwrap_or(topic),
        None => text,
    };
    slug(name)
}

/// Lower case, everything between letters and digits one underscore, as Klaviyo makes its topics.
fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        return lower;
    }
    words.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_recognised_however_it_is_written() {
        let trigger = Trigger::KlaviyoEvent {
            metric: "Viewed Product".into(),
        };
        for text in [
            "viewed_product",
            "event:api.viewed_product",
            "event:my.app.viewed_product",
            " VIEWED  product ",
            "Viewed-Product!",
        ] {
            assert_eq!(normal_key("klaviyo_event", text), trigger.key(), "{text}");
        }
        for text in ["viewed_products", "event:api.ordered_product", "St. Viewed"] {
            assert_ne!(normal_key("klaviyo_event", text), trigger.key(), "{text}");
        }
    }

    #[test]
    fn a_flows_event_is_taken_as_it_is() {
        let trigger = Trigger::KlaviyoFlow {
            event: " VIP.Welcome ".into(),
        };
        assert_eq!(trigger.key(), "VIP.Welcome");
        assert_ne!(normal_key("klaviyo_flow", "vip.welcome"), trigger.key());
    }
}

//! What Klaviyo tells us: system webhooks (signed) and flow webhooks (keyed).

use crate::clock::Millis;

/// One event of a system webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemEvent {
    /// The event's own id: the dedupe key.
    pub external_id: String,
    /// `event:<integration>.<metric_slug>`.
    pub topic: String,
    pub profile_id: Option<String>,
    pub metric_id: Option<String>,
    pub properties: serde_json::Map<String, serde_json::Value>,
    pub at: Option<Millis>,
}

/// The body of a flow's webhook action, as design section 7 describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowEvent {
    pub event: String,
    pub email: Option<String>,
    pub phone_number: Option<String>,
    pub profile_id: Option<String>,
    pub external_id: Option<String>,
    pub properties: serde_json::Map<String, serde_json::Value>,
}

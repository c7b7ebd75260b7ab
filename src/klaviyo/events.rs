//! Events out.

use crate::clock::Millis;

/// One event for a profile. `unique_id` makes a repeat harmless.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// `Clicked Messenger Message` and its like; under 128 characters.
    pub metric: String,
    pub profile: ProfileKey,
    pub properties: serde_json::Map<String, serde_json::Value>,
    pub at: Millis,
    /// Decimal text and currency code, where the event has a value.
    pub value: Option<(String, String)>,
    pub unique_id: String,
}

/// At least one of them is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProfileKey {
    pub id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub external_id: Option<String>,
}

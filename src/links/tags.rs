//! UTM parameters and the click id, added to the merchant's address; what is there already stays.

use crate::store::ids::ClickId;

/// What every link of a message carries. Stored with the message's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tags {
    /// `utm_source`, `utm_medium`, `utm_campaign`, `utm_id` and what the merchant set, in order.
    pub utm: Vec<(String, String)>,
}

impl Tags {
    /// The defaults of design section 7 for something named `name` with the id `id`; `overrides`
    /// (keys without or with the `utm_` prefix) win.
    pub fn new(_name: &str, _id: &str, _overrides: &[(String, String)]) -> Self {
        unimplemented!()
    }
}

/// The address to lead on to. `click` becomes `pc_click` and `ref`.
pub fn tag(_url: &str, _tags: &Tags, _click: ClickId) -> String {
    unimplemented!()
}

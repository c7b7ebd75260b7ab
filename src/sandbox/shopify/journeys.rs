//! What only the customer journey knows of an order.

use super::Shopify;
use crate::clock::Millis;

impl Shopify {
    /// The shopper of this order came by at `at` through `site` (a path or an address), which the
    /// order itself does not say.
    pub fn remembers_visit(&self, order_id: i64, at: Millis, site: &str) -> anyhow::Result<()> {
        self.with_shop(|shop| {
            let visits = shop.visits.entry(order_id).or_default();
            visits.push((at, site.to_owned()));
            visits.sort();
        })
    }
}

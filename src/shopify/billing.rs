//! Shopify App Pricing: which subscription the shop has. Merchants choose and pay at Shopify; we
//! only read.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::read::{list, text};
use super::{Client, Error, ShopDomain};

impl Client {
    /// The name of the subscription that entitles the shop; `None` on the free plan. Only `ACTIVE`
    /// entitles.
    pub async fn active_plan(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
    ) -> Result<Option<String>, Error> {
        let query = include_str!("queries/active_subscriptions.graphql");
        let data: Value = self.graphql(shop, token, query, json!({})).await?;
        let installation = &data["currentAppInstallation"];
        if !installation["activeSubscriptions"].is_array() {
            return Err(Error::Refused("the answer names no subscriptions".into()));
        }
        Ok(active(installation))
    }
}

fn active(installation: &Value) -> Option<String> {
    list(installation, "activeSubscriptions")
        .iter()
        .filter(|one| text(one, "status").as_deref() == Some("ACTIVE"))
        .find_map(|one| text(one, "name"))
}

/// Where the merchant chooses a plan: a page of Shopify's own.
pub fn pricing_page(shop: &ShopDomain, app_handle: &str) -> String {
    format!(
        "https://admin.shopify.com/store/{}/charges/{app_handle}/pricing_plans",
        shop.handle()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_active_entitles() {
        let with = |status: &str| {
            active(&json!({"activeSubscriptions": [
                {"name": "Old", "status": "CANCELLED"}, {"name": "Growth", "status": status}]}))
        };
        assert_eq!(with("ACTIVE").as_deref(), Some("Growth"));
        for status in ["PENDING", "FROZEN", "DECLINED", "EXPIRED", "ACCEPTED"] {
            assert_eq!(with(status), None, "{status}");
        }
        assert_eq!(active(&json!({"activeSubscriptions": []})), None);
    }

    #[test]
    fn the_merchant_is_led_to_shopify() {
        let shop = ShopDomain::parse("harbour.myshopify.com").unwrap();
        assert_eq!(
            pricing_page(&shop, "pagecast"),
            "https://admin.shopify.com/store/harbour/charges/pagecast/pricing_plans"
        );
    }
}

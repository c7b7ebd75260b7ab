//! Shopify App Pricing: what the merchant chose on Shopify's own page.

use serde_json::{Value, json};

use super::{Shop, Shopify, bodies};

impl Shop {
    /// Only what is active is listed, as the real field's name says.
    pub(super) fn active_subscriptions(&self) -> Vec<Value> {
        self.plan
            .iter()
            .filter(|(_, status)| status == "ACTIVE")
            .map(|(name, status)| {
                json!({
                    "id": "gid://shopify/AppSubscription/1", "name": name, "status": status,
                    "test": false, "currentPeriodEnd": null, "trialDays": 0,
                })
            })
            .collect()
    }
}

impl Shopify {
    /// The merchant chooses a plan: `app_subscriptions/update`.
    pub fn chooses_plan(&self, name: &str) -> anyhow::Result<()> {
        self.plan_becomes(name, "ACTIVE")
    }

    /// The merchant goes back to the free plan.
    pub fn cancels_plan(&self) -> anyhow::Result<()> {
        let name = self.with_shop(|shop| shop.plan.clone().map(|(name, _)| name))?;
        self.plan_becomes(&name.unwrap_or_default(), "CANCELLED")
    }

    fn plan_becomes(&self, name: &str, status: &str) -> anyhow::Result<()> {
        let now = bodies::stamp(self.now());
        let body = self.with_shop(|shop| {
            shop.plan = Some((name.to_owned(), status.to_owned()));
            json!({ "app_subscription": {
                "admin_graphql_api_id": "gid://shopify/AppSubscription/1", "name": name,
                "status": status,
                "admin_graphql_api_shop_id": format!("gid://shopify/Shop/{}", shop.id),
                "created_at": now, "updated_at": now, "currency": "USD", "capped_amount": null,
            } })
        })?;
        self.tell("app_subscriptions/update", body)
    }
}

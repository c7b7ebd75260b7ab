//! What our extensions in the shop need of the Admin API: who bought an order, and the web pixel.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::read::{id, text};
use super::{Client, Error, ShopDomain};

/// Whose order it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderBuyer {
    /// The customer's number; `None` for a guest, or when we may not know.
    pub customer_id: Option<String>,
    pub checkout_token: Option<String>,
}

impl Client {
    /// Who bought the order; `None` when the shop has no such order.
    pub async fn order_buyer(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        order_id: i64,
    ) -> Result<Option<OrderBuyer>, Error> {
        let query = include_str!("queries/order_buyer.graphql");
        let variables = json!({ "id": format!("gid://shopify/Order/{order_id}") });
        let data: Value = self.graphql(shop, token, query, variables).await?;
        let order = data.get("order").filter(|order| order.is_object());
        Ok(order.map(|order| OrderBuyer {
            customer_id: id(&order["customer"], "id").map(|id| id.to_string()),
            checkout_token: text(order, "checkoutToken"),
        }))
    }

    /// Turns the app's web pixel on with these settings; one that is on gets them instead.
    pub async fn place_pixel(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        settings: &Value,
    ) -> Result<(), Error> {
        // The API wants the settings as a text.
        let settings = settings.to_string();
        let create = include_str!("queries/web_pixel_create.graphql");
        let variables = json!({ "settings": settings });
        let refused = match self.graphql::<Value>(shop, token, create, variables).await {
            Ok(_) => return Ok(()),
            Err(refused @ Error::Refused(_)) => refused,
            Err(error) => return Err(error),
        };
        // Refused because there is one, or for another reason: only the question tells.
        let query = include_str!("queries/web_pixel.graphql");
        let found = self.graphql::<Value>(shop, token, query, json!({})).await;
        let Ok(Some(pixel)) = found.map(|data| text(&data["webPixel"], "id")) else {
            return Err(refused);
        };
        let update = include_str!("queries/web_pixel_update.graphql");
        let variables = json!({ "id": pixel, "settings": settings });
        self.graphql::<Value>(shop, token, update, variables)
            .await
            .map(|_| ())
    }
}

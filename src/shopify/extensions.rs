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

/// Something that is sold, as a message may name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// `Enamel mug, blue`.
    pub title: String,
    /// Where it is bought.
    pub url: String,
    pub image_url: Option<String>,
}

impl Client {
    /// The variant; `None` when the shop has no such.
    pub async fn variant(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        variant_id: i64,
    ) -> Result<Option<Variant>, Error> {
        let query = include_str!("queries/variant.graphql");
        let variables = json!({ "id": format!("gid://shopify/ProductVariant/{variant_id}") });
        let data: Value = self.graphql(shop, token, query, variables).await?;
        let found = data
            .get("productVariant")
            .filter(|variant| variant.is_object());
        Ok(found.and_then(|variant| read_variant(variant, shop, variant_id)))
    }
}

fn read_variant(variant: &Value, shop: &ShopDomain, id: i64) -> Option<Variant> {
    let product = &variant["product"];
    let name = text(product, "title")?;
    // What a product without options calls its only variant.
    let own = text(variant, "title").filter(|title| title != "Default Title");
    let address = text(product, "onlineStoreUrl").or_else(|| {
        let handle = text(product, "handle")?;
        Some(format!("https://{}/products/{handle}", shop.as_str()))
    })?;
    let image = text(&variant["image"], "url");
    Some(Variant {
        title: own.map_or_else(|| name.clone(), |own| format!("{name}, {own}")),
        url: format!("{address}?variant={id}"),
        image_url: image.or_else(|| text(&product["featuredMedia"]["preview"]["image"], "url")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_called_by_its_product_and_what_sets_it_apart() {
        let shop = ShopDomain::parse("s.myshopify.com").unwrap();
        let read = |variant: Value| read_variant(&variant, &shop, 7).unwrap();
        let blue = read(
            json!({"title": "Blue", "image": null, "product": {"title": "Mug",
            "handle": "mug", "onlineStoreUrl": "https://s.example/products/mug",
            "featuredMedia": {"preview": {"image": {"url": "https://cdn.example/mug.jpg"}}}}}),
        );
        assert_eq!(blue.title, "Mug, Blue");
        assert_eq!(blue.url, "https://s.example/products/mug?variant=7");
        assert_eq!(
            blue.image_url.as_deref(),
            Some("https://cdn.example/mug.jpg")
        );
        let only = read(json!({"title": "Default Title",
            "product": {"title": "Mug", "handle": "mug", "onlineStoreUrl": null}}));
        assert_eq!(only.title, "Mug");
        assert_eq!(only.url, "https://s.myshopify.com/products/mug?variant=7");
        assert_eq!(read_variant(&json!({"product": null}), &shop, 7), None);
    }
}

//! The app's extensions as Shopify runs them: the session token that a buyer's page hands the block
//! on the thank-you page, and the web pixel's settings.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::graphql::Root;
use super::shoppers::Item;
use super::{SHELF, Shop, Shopify};
use crate::clock::{MINUTE, SECOND};
use crate::sandbox::lock;
use crate::sandbox::signature::hmac_sha256;

/// Longer than the admin's.
const SESSION: i64 = 5 * MINUTE;

impl Shopify {
    /// What the page of a buyer hands an extension; who the buyer is stands in it when they are
    /// signed in.
    pub fn buyer_token(&self, customer: Option<i64>) -> anyhow::Result<String> {
        let domain = self.domain()?;
        let now = self.now() / SECOND;
        let mut claims = json!({
            "dest": domain, "aud": self.inner.client_id, "exp": now + SESSION / SECOND,
            "nbf": now, "iat": now, "jti": self.inner.world.chance.uuid(),
        });
        if let Some(id) = customer {
            claims["sub"] = json!(format!("gid://shopify/Customer/{id}"));
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "HS256", "typ": "JWT"});
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = hmac_sha256(&lock(&self.inner.secret), message.as_bytes());
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The settings of the shop's web pixel, once it is on.
    pub fn pixel(&self) -> Option<Value> {
        self.with_shop(|shop| shop.pixel.clone()).ok().flatten()
    }
}

impl Item {
    /// Its only variant.
    pub fn variant_id(&self) -> i64 {
        42_000_000_000_000 + self.product_id
    }
}

/// A variant of what the shop has on its shelf, under the number that line items give it.
pub(super) fn variant_node(id: i64) -> Value {
    let shelf = SHELF
        .iter()
        .map(|(title, price)| Item::new(title, price, 1));
    let Some(item) = shelf.into_iter().find(|item| item.variant_id() == id) else {
        return Value::Null;
    };
    let handle = item.title.to_lowercase().replace(' ', "-");
    json!({
        "id": format!("gid://shopify/ProductVariant/{id}"),
        "title": "Default Title",
        "availableForSale": false,
        "image": null,
        "product": {
            "id": format!("gid://shopify/Product/{}", item.product_id),
            "title": item.title,
            "handle": handle,
            "onlineStoreUrl": format!("https://harbour.example/products/{handle}"),
            "featuredMedia": { "preview": { "image": {
                "url": format!("https://cdn.shopify.example/{handle}.jpg"),
            } } },
        },
    })
}

impl Shopify {
    /// A variant is there to be bought again: `variants/in_stock`.
    pub fn restocks(&self, item: &Item) -> anyhow::Result<()> {
        let id = item.variant_id();
        let body = json!({
            "id": id, "admin_graphql_api_id": format!("gid://shopify/ProductVariant/{id}"),
            "product_id": item.product_id, "title": "Default Title", "price": item.price,
            "inventory_quantity": 3, "updated_at": super::bodies::stamp(self.now()),
        });
        self.tell("variants/in_stock", body)
    }
}

const PIXEL: &str = "gid://shopify/WebPixel/1";

/// `webPixelCreate`: one for each app and shop.
pub(super) fn create_pixel(shop: &mut Shop, root: &Root<'_>) -> Value {
    if shop.pixel.is_some() {
        return refused("TAKEN", "Web pixel has already been taken");
    }
    set(shop, root)
}

/// `webPixelUpdate`.
pub(super) fn update_pixel(shop: &mut Shop, root: &Root<'_>) -> Value {
    let id = root.arguments.get("id").and_then(Value::as_str);
    if shop.pixel.is_none() || id != Some(PIXEL) {
        return refused("NOT_FOUND", "Web pixel does not exist");
    }
    set(shop, root)
}

/// The root field `webPixel`.
pub(super) fn pixel_node(shop: &Shop) -> Result<Value, String> {
    let settings = shop.pixel.as_ref();
    settings
        .map(|settings| json!({ "id": PIXEL, "settings": settings.to_string() }))
        .ok_or_else(|| "No web pixel was found for this app.".to_owned())
}

/// Holds them against the settings that `shopify.extension.toml` declares, as Shopify does.
fn set(shop: &mut Shop, root: &Root<'_>) -> Value {
    let given = root
        .arguments
        .get("webPixel")
        .map(|input| &input["settings"]);
    let Some(text) = given.and_then(Value::as_str) else {
        return refused("BLANK", "Settings can't be blank");
    };
    let Ok(Value::Object(settings)) = serde_json::from_str(text) else {
        return refused("INVALID_CONFIGURATION_JSON", "Settings is not valid JSON");
    };
    let declared = ["accountID", "address"];
    let all_there = declared.iter().all(|name| {
        settings
            .get(*name)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    });
    if !all_there || settings.len() != declared.len() {
        return refused("INVALID_SETTINGS", "Settings does not match the definition");
    }
    shop.pixel = Some(Value::Object(settings));
    json!({ "webPixel": { "id": PIXEL, "settings": text }, "userErrors": [] })
}

fn refused(code: &str, message: &str) -> Value {
    let error = json!({ "code": code, "field": ["webPixel", "settings"], "message": message });
    json!({ "webPixel": null, "userErrors": [error] })
}

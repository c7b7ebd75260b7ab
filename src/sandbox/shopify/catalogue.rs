//! What a shop sells, as the Admin API shows it.

use serde_json::{Value, json};

use super::Shop;
use super::shoppers::Item;
use super::storefront::SHELF;
use crate::clock::rfc3339;

/// Every shop of the sandbox sells the same.
pub(super) fn product_nodes(shop: &Shop) -> Vec<Value> {
    SHELF
        .iter()
        .map(|(title, price)| product_node(shop, title, price))
        .collect()
}

fn product_node(shop: &Shop, title: &str, price: &str) -> Value {
    let id = Item::new(title, price, 1).product_id;
    let handle = title.to_lowercase().replace(' ', "-");
    let money = json!({ "amount": price, "currencyCode": shop.currency });
    // Only the kits have a picture, and it is not really there.
    let picture = title.ends_with("Kit").then(|| {
        let url = format!("https://cdn.shopify.com/s/files/1/0001/products/{handle}.jpg");
        json!({
            "alt": title, "mediaContentType": "IMAGE",
            "preview": { "image": { "url": url, "width": 900, "height": 900, "altText": title } },
        })
    });
    let at = rfc3339(shop.bucket_at);
    json!({
        "id": format!("gid://shopify/Product/{id}"),
        "legacyResourceId": id.to_string(),
        "title": title,
        "handle": handle,
        "status": "ACTIVE",
        "published_status": "published",
        "vendor": "Harbour Coffee",
        "createdAt": at,
        "updatedAt": at,
        "totalInventory": 40,
        "onlineStoreUrl": format!("https://{}/products/{handle}", shop.domain),
        "featuredMedia": picture,
        "priceRangeV2": { "minVariantPrice": money, "maxVariantPrice": money },
    })
}

//! What comes with every webhook: the signature over the raw bytes and the headers of both families.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sha2::Sha256;

use super::ShopDomain;
use crate::clock::{Millis, parse_rfc3339};

/// The topics a shop's webhooks are subscribed to by hand (`connect shop`), as the API's enum
/// spells them and as headers do. The compliance topics exist in `shopify.app.toml` only.
pub const TOPICS: &[(&str, &str)] = &[
    ("APP_UNINSTALLED", "app/uninstalled"),
    ("APP_SCOPES_UPDATE", "app/scopes_update"),
    ("APP_SUBSCRIPTIONS_UPDATE", "app_subscriptions/update"),
    ("ORDERS_CREATE", "orders/create"),
    ("ORDERS_PAID", "orders/paid"),
    ("ORDERS_UPDATED", "orders/updated"),
    ("ORDERS_CANCELLED", "orders/cancelled"),
    ("REFUNDS_CREATE", "refunds/create"),
    ("CHECKOUTS_CREATE", "checkouts/create"),
    ("CHECKOUTS_UPDATE", "checkouts/update"),
    ("CUSTOMERS_CREATE", "customers/create"),
    ("CUSTOMERS_UPDATE", "customers/update"),
    ("CUSTOMERS_DELETE", "customers/delete"),
    ("PRODUCTS_UPDATE", "products/update"),
    ("VARIANTS_IN_STOCK", "variants/in_stock"),
];

/// What the headers say about a delivery. Only the body is signed, so these are claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Lower case, `orders/create`.
    pub topic: String,
    pub shop: ShopDomain,
    /// The same on all retries of one delivery: the dedupe key.
    pub webhook_id: String,
    /// The same for all deliveries of one action of the merchant.
    pub event_id: Option<String>,
    pub api_version: String,
    pub triggered_at: Option<Millis>,
}

/// A delivery without what every delivery has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header for the {0} is missing or unreadable")]
pub struct MissingHeader(pub &'static str);

/// `X-Shopify-Hmac-Sha256` over the raw bytes; during a rotation either secret may have signed.
pub fn verify_hmac(secrets: &[SecretString], body: &[u8], header: Option<&str>) -> bool {
    let Some(given) = header.and_then(|header| STANDARD.decode(header.trim()).ok()) else {
        return false;
    };
    secrets
        .iter()
        .any(|secret| mac(secret, body).verify_slice(&given).is_ok())
}

/// HMAC-SHA256 under the app's secret, the base of all of Shopify's signatures.
pub(super) fn mac(secret: &SecretString, message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(message);
    mac
}

/// The signature header of either family.
pub fn signature(headers: &HeaderMap) -> Option<&str> {
    either(headers, "x-shopify-hmac-sha256", "shopify-hmac-sha256")
}

/// Reads the headers of either family; they may be mixed.
pub fn read_headers(headers: &HeaderMap) -> Result<Headers, MissingHeader> {
    let text = |classic: &str, newer: &str, what| {
        either(headers, classic, newer)
            .map(str::to_owned)
            .ok_or(MissingHeader(what))
    };
    let shop = text("x-shopify-shop-domain", "shopify-shop-domain", "shop")?;
    Ok(Headers {
        topic: text("x-shopify-topic", "shopify-topic", "topic")?.to_lowercase(),
        shop: ShopDomain::parse(&shop.to_lowercase()).ok_or(MissingHeader("shop"))?,
        webhook_id: text("x-shopify-webhook-id", "shopify-webhook-id", "webhook id")?,
        event_id: text("x-shopify-event-id", "shopify-event-id", "event id").ok(),
        api_version: text(
            "x-shopify-api-version",
            "shopify-api-version",
            "API version",
        )?,
        triggered_at: either(headers, "x-shopify-triggered-at", "shopify-triggered-at")
            .and_then(parse_rfc3339),
    })
}

/// A signed text that is no delivery: Shopify signs session tokens and queries with the same secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a JSON object")]
pub struct NotADelivery;

/// The shops that the signed body names, to be compared with the header's. Every body of Shopify's
/// is a JSON object; anything else was not signed as a delivery.
pub fn named_shops(body: &[u8]) -> Result<Vec<String>, NotADelivery> {
    let body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| NotADelivery)?;
    let names = ["shop_domain", "myshopify_domain"];
    Ok(names
        .iter()
        .filter_map(|name| body.get(*name)?.as_str())
        .map(str::to_owned)
        .collect())
}

fn either<'a>(headers: &'a HeaderMap, classic: &str, newer: &str) -> Option<&'a str> {
    let header = headers.get(classic).or_else(|| headers.get(newer))?;
    Some(header.to_str().ok()?.trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn both_families_of_headers_say_the_same() {
        let classic = headers(&[
            ("X-Shopify-Topic", "orders/create"),
            ("X-Shopify-Shop-Domain", "a-shop.myshopify.com"),
            ("X-Shopify-API-Version", "2026-10"),
            ("X-Shopify-Webhook-Id", "w1"),
            ("X-Shopify-Triggered-At", "2026-11-21T10:00:00.123456789Z"),
            ("X-Shopify-Hmac-Sha256", "sig="),
        ]);
        let newer = headers(&[
            ("shopify-topic", "orders/create"),
            ("shopify-shop-domain", "a-shop.myshopify.com"),
            ("shopify-api-version", "2026-10"),
            ("shopify-webhook-id", "w1"),
            ("shopify-triggered-at", "2026-11-21T10:00:00.123456789Z"),
            ("shopify-hmac-sha256", "sig="),
        ]);
        let read = read_headers(&classic).unwrap();
        assert_eq!(read, read_headers(&newer).unwrap());
        assert_eq!(read.triggered_at, Some(1_795_255_200_123));
        assert_eq!(read.event_id, None);
        assert_eq!(signature(&classic), Some("sig="));
        assert_eq!(signature(&newer), Some("sig="));
    }

    #[test]
    fn a_delivery_without_its_id_or_from_no_shop_is_refused() {
        let mut all = headers(&[
            ("x-shopify-topic", "orders/create"),
            ("x-shopify-shop-domain", "evil.example"),
            ("x-shopify-api-version", "2026-10"),
            ("x-shopify-webhook-id", "w1"),
        ]);
        assert_eq!(read_headers(&all), Err(MissingHeader("shop")));
        all.insert("x-shopify-shop-domain", "s.myshopify.com".parse().unwrap());
        assert!(read_headers(&all).is_ok());
        all.remove("x-shopify-webhook-id");
        assert_eq!(read_headers(&all), Err(MissingHeader("webhook id")));
    }

    #[test]
    fn the_body_may_name_its_shop() {
        let body = br#"{"shop_id":1,"shop_domain":"s.myshopify.com"}"#;
        assert_eq!(named_shops(body).unwrap(), ["s.myshopify.com"]);
        let shop = br#"{"id":1,"domain":"s.example","myshopify_domain":"s.myshopify.com"}"#;
        assert_eq!(named_shops(shop).unwrap(), ["s.myshopify.com"]);
        assert!(
            named_shops(br#"{"id":1,"shop_domain":null}"#)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_else_is_signed_with_the_secret_is_no_delivery() {
        for body in [
            "eyJhbGciOiJIUzI1NiJ9.eyJkZXN0IjoiIn0",
            "shop=s.myshopify.com",
            "[]",
            "1",
            "",
        ] {
            assert_eq!(named_shops(body.as_bytes()), Err(NotADelivery), "{body}");
        }
    }
}

//! What Shopify's webhooks say, modelled on the samples of its own
//! library (version 2026-04 on: checkouts without `id`, orders without `checkout_id`).

use serde_json::{Value, json};

use super::Shop;
use super::shoppers::{Customer, Item};
use crate::clock::{HOUR, Millis, rfc3339};

/// A time as Shopify writes it in webhooks: to the second, with the shop's offset.
pub(super) fn stamp(at: Millis) -> String {
    rfc3339(at - 5 * HOUR).replace('Z', "-05:00")
}

pub(super) fn money(amount: &str, currency: &str) -> Value {
    let one = json!({ "amount": amount, "currency_code": currency });
    json!({ "shop_money": one, "presentment_money": one })
}

pub(super) fn customer_body(customer: &Customer, currency: &str) -> Value {
    json!({
        "id": customer.id,
        "email": customer.email,
        "created_at": stamp(customer.created_at),
        "updated_at": stamp(customer.updated_at),
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "orders_count": customer.orders,
        "state": "disabled",
        "total_spent": "0.00",
        "last_order_id": null,
        "note": null,
        "verified_email": true,
        "multipass_identifier": null,
        "tax_exempt": false,
        "tags": "",
        "last_order_name": null,
        "currency": currency,
        "phone": customer.phone,
        "addresses": [],
        "tax_exemptions": [],
        "email_marketing_consent": {
            "state": "subscribed", "opt_in_level": "single_opt_in", "consent_updated_at": null,
        },
        "sms_marketing_consent": null,
        "admin_graphql_api_id": format!("gid://shopify/Customer/{}", customer.id),
    })
}

fn line_items(items: &[Item], currency: &str) -> Vec<Value> {
    items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            let variant = item.variant_id();
            json!({
                "id": 13_000_000_000_000_i64 + item.product_id * 10 + i64::try_from(i).unwrap_or(0),
                "admin_graphql_api_id": format!("gid://shopify/LineItem/{}", item.product_id),
                "current_quantity": item.quantity,
                "fulfillable_quantity": item.quantity,
                "fulfillment_service": "manual",
                "fulfillment_status": null,
                "gift_card": false,
                "grams": 250,
                "name": item.title,
                "price": item.price,
                "price_set": money(&item.price, currency),
                "product_exists": true,
                "product_id": item.product_id,
                "properties": [],
                "quantity": item.quantity,
                "requires_shipping": true,
                "sku": format!("HC-{}", item.product_id),
                "taxable": true,
                "title": item.title,
                "total_discount": "0.00",
                "variant_id": variant,
                "variant_title": null,
                "vendor": "Harbour Coffee",
                "tax_lines": [],
                "discount_allocations": [],
            })
        })
        .collect()
}

pub(super) struct OrderFacts<'a> {
    pub(super) id: i64,
    pub(super) number: i64,
    pub(super) domain: &'a str,
    pub(super) customer: &'a Customer,
    pub(super) items: &'a [Item],
    pub(super) total: &'a str,
    pub(super) currency: &'a str,
    pub(super) landing_site: Option<&'a str>,
    pub(super) note_attributes: &'a [(String, String)],
    pub(super) discount_codes: &'a [String],
    pub(super) checkout_token: &'a str,
    pub(super) cart_token: &'a str,
    pub(super) source_name: &'a str,
    pub(super) test: bool,
    pub(super) at: Millis,
}

pub(super) fn order_body(facts: &OrderFacts<'_>) -> Value {
    let OrderFacts {
        id,
        number,
        domain,
        customer,
        total,
        currency,
        ..
    } = facts;
    let at = stamp(facts.at);
    let attributes: Vec<Value> = facts
        .note_attributes
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let codes: Vec<Value> = facts
        .discount_codes
        .iter()
        .map(|code| json!({ "code": code, "amount": "0.00", "type": "percentage" }))
        .collect();
    let landing_ref = facts.landing_site.and_then(|site| parameter(site, "ref"));
    let body = json!({
        "id": id,
        "admin_graphql_api_id": format!("gid://shopify/Order/{id}"),
        "app_id": 580_111,
        "browser_ip": "203.0.113.7",
        "buyer_accepts_marketing": true,
        "cancel_reason": null,
        "cancelled_at": null,
        "cart_token": facts.cart_token,
        "checkout_token": facts.checkout_token,
        "client_details": null,
        "closed_at": null,
        "confirmation_number": format!("HC{number}"),
        "confirmed": true,
        "contact_email": customer.email,
        "created_at": at,
        "currency": currency,
        "current_subtotal_price": total,
        "current_total_discounts": "0.00",
        "current_total_price": total,
        "current_total_price_set": money(total, currency),
        "current_total_tax": "0.00",
        "customer_locale": "en-US",
        "discount_codes": codes,
        "email": customer.email,
        "financial_status": "pending",
        "fulfillment_status": null,
    });
    let rest = json!({
        "landing_site": facts.landing_site,
        "landing_site_ref": landing_ref,
        "location_id": null,
        "name": format!("#{number}"),
        "note": null,
        "note_attributes": attributes,
        "number": number - 1000,
        "order_number": number,
        "order_status_url": format!("https://{domain}/orders/{id}"),
        "payment_gateway_names": ["shopify_payments"],
        "phone": customer.phone,
        "presentment_currency": currency,
        "processed_at": at,
        "referring_site": "https://www.messenger.com/",
        "source_name": facts.source_name,
        "subtotal_price": total,
        "tags": "",
        "taxes_included": false,
        "test": facts.test,
        "token": facts.checkout_token,
        "total_discounts": "0.00",
        "total_line_items_price": total,
        "total_outstanding": total,
        "total_price": total,
        "total_price_set": money(total, currency),
        "total_tax": "0.00",
        "updated_at": at,
        "user_id": null,
        "customer": customer_body(customer, currency),
        "discount_applications": [],
        "fulfillments": [],
        "line_items": line_items(facts.items, currency),
        "refunds": [],
        "shipping_lines": [],
    });
    joined(body, rest)
}

/// Both objects in one; `json!` cannot take this many keys at once.
fn joined(mut body: Value, rest: Value) -> Value {
    if let (Value::Object(body), Value::Object(rest)) = (&mut body, rest) {
        body.extend(rest);
    }
    body
}

pub(super) fn checkout_body(facts: &OrderFacts<'_>) -> Value {
    let OrderFacts {
        domain,
        customer,
        total,
        currency,
        ..
    } = facts;
    let at = stamp(facts.at);
    let token = facts.checkout_token;
    let attributes: Vec<Value> = facts
        .note_attributes
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    json!({
        "token": token,
        "cart_token": facts.cart_token,
        "email": customer.email,
        "gateway": null,
        "buyer_accepts_marketing": false,
        "created_at": at,
        "updated_at": at,
        "landing_site": facts.landing_site,
        "note": null,
        "note_attributes": attributes,
        "referring_site": null,
        "shipping_lines": [],
        "taxes_included": false,
        "total_weight": 500,
        "currency": currency,
        "completed_at": null,
        "closed_at": null,
        "phone": customer.phone,
        "customer_locale": "en",
        "line_items": line_items(facts.items, currency),
        "name": format!("#{}", &token[..token.len().min(9)]),
        "abandoned_checkout_url": format!("https://{domain}/checkouts/{token}/recover"),
        "discount_codes": [],
        "tax_lines": [],
        "source_name": "web",
        "presentment_currency": currency,
        "total_discounts": "0.00",
        "total_line_items_price": total,
        "total_price": total,
        "total_tax": "0.00",
        "subtotal_price": total,
        "customer": customer_body(customer, currency),
    })
}

pub(super) fn refund_body(
    id: i64,
    order_id: i64,
    amount: &str,
    currency: &str,
    at: Millis,
) -> Value {
    json!({
        "id": id,
        "admin_graphql_api_id": format!("gid://shopify/Refund/{id}"),
        "order_id": order_id,
        "created_at": stamp(at),
        "processed_at": stamp(at),
        "note": "Customer changed their mind",
        "restock": true,
        "user_id": 548_380_009,
        "order_adjustments": [],
        "refund_line_items": [],
        "duties": [],
        "transactions": [{
            "id": id + 1,
            "admin_graphql_api_id": format!("gid://shopify/OrderTransaction/{}", id + 1),
            "order_id": order_id,
            "kind": "refund",
            "gateway": "shopify_payments",
            "status": "success",
            "message": "Transaction approved",
            "created_at": stamp(at),
            "processed_at": stamp(at),
            "test": false,
            "parent_id": id - 1,
            "currency": currency,
            "amount": amount,
            "error_code": null,
        }],
    })
}

/// The Shop object: also the body of `app/uninstalled` and `shop/update`.
pub(super) fn shop_body(shop: &Shop) -> Value {
    json!({
        "id": shop.id, "name": shop.name, "email": "owner@example.com", "domain": shop.domain,
        "myshopify_domain": shop.domain, "country_code": "US", "currency": shop.currency,
        "iana_timezone": "America/New_York", "timezone": "(GMT-05:00) America/New_York",
        "plan_name": "basic", "plan_display_name": "Basic", "shop_owner": "Ada Harbour",
    })
}

/// A query parameter of a path or an address.
pub(super) fn parameter(landing_site: &str, name: &str) -> Option<String> {
    let (_, query) = landing_site.split_once('?')?;
    let query = query.split('#').next()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

//! Objects of the Admin GraphQL API, made from what the shop keeps.

use serde_json::{Value, json};

use super::Shop;
use super::bodies::parameter;
use super::shoppers::Customer;
use crate::clock::{parse_rfc3339, rfc3339};

pub(super) fn shop_node(shop: &Shop) -> Value {
    json!({
        "id": format!("gid://shopify/Shop/{}", shop.id),
        "name": shop.name,
        "email": "owner@example.com",
        "contactEmail": "hello@example.com",
        "shopOwnerName": "Ada Harbour",
        "myshopifyDomain": shop.domain,
        "url": format!("https://{}", shop.domain),
        "primaryDomain": { "url": format!("https://{}", shop.domain), "host": shop.domain },
        "currencyCode": shop.currency,
        "enabledPresentmentCurrencies": [shop.currency],
        "ianaTimezone": "America/New_York",
        "timezoneAbbreviation": "EST",
        "timezoneOffset": "-0500",
        "createdAt": "2024-03-01T09:00:00Z",
        "billingAddress": { "country": "United States", "countryCodeV2": "US" },
        "plan": {
            "displayName": "Basic", "publicDisplayName": "Basic", "partnerDevelopment": false,
            "shopifyPlus": false,
        },
    })
}

pub(super) fn customer_node(customer: &Customer) -> Value {
    json!({
        "id": format!("gid://shopify/Customer/{}", customer.id),
        "legacyResourceId": customer.id.to_string(),
        "firstName": customer.first_name,
        "lastName": customer.last_name,
        "displayName": format!("{} {}", customer.first_name, customer.last_name),
        "email": customer.email,
        "phone": customer.phone,
        "defaultEmailAddress": { "emailAddress": customer.email },
        "defaultPhoneNumber": customer.phone.as_ref().map(|p| json!({ "phoneNumber": p })),
        "numberOfOrders": customer.orders.to_string(),
        "createdAt": rfc3339(customer.created_at),
        "updatedAt": rfc3339(customer.updated_at),
        "tags": [],
        "locale": "en",
        "note": null,
    })
}

/// The GraphQL face of an order that is kept as its webhook body.
pub(super) fn order_node(shop: &Shop, order: &Value, ready: bool) -> Value {
    let id = order["id"].as_i64().unwrap_or_default();
    let utc = |key: &str| {
        let at = order[key].as_str().and_then(parse_rfc3339);
        at.map(rfc3339)
    };
    let currency = order["currency"].clone();
    let money = |key: &str| {
        let one = json!({ "amount": order[key], "currencyCode": currency });
        json!({ "shopMoney": one, "presentmentMoney": one })
    };
    let attributes: Vec<Value> = order["note_attributes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|a| json!({ "key": a["name"], "value": a["value"] }))
        .collect();
    let codes: Vec<Value> = order["discount_codes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| c["code"].clone())
        .collect();
    let landed = order["landing_site"]
        .as_str()
        .map(|site| (order["created_at"].as_str().and_then(parse_rfc3339), site));
    let remembered = shop.visits.get(&id).into_iter().flatten();
    let moments: Vec<Value> = remembered
        .map(|(at, site)| (Some(*at), site.as_str()))
        .chain(landed)
        .enumerate()
        .map(|(number, (at, site))| visit_node(&shop.domain, (id, number), site, at.map(rfc3339)))
        .collect();
    let (first, last) = (moments.first(), moments.last());
    let status = order["financial_status"]
        .as_str()
        .unwrap_or("pending")
        .to_uppercase();
    let customer = &order["customer"];
    json!({
        "id": format!("gid://shopify/Order/{id}"),
        "legacyResourceId": id.to_string(),
        "name": order["name"],
        "email": order["email"],
        "phone": order["phone"],
        "createdAt": utc("created_at"),
        "updatedAt": utc("updated_at"),
        "processedAt": utc("processed_at"),
        "cancelledAt": utc("cancelled_at"),
        "cancelReason": order["cancel_reason"],
        "test": order["test"],
        "sourceName": order["source_name"],
        "cartToken": order["cart_token"],
        "checkoutToken": order["checkout_token"],
        "discountCodes": codes,
        "displayFinancialStatus": status,
        "displayFulfillmentStatus": "UNFULFILLED",
        "currencyCode": currency,
        "totalPriceSet": money("total_price"),
        "currentTotalPriceSet": money("current_total_price"),
        "customAttributes": attributes,
        "attribution": null,
        "note": order["note"],
        "tags": [],
        "customerId": customer["id"].as_i64().map(|id| id.to_string()),
        "customer": customer["id"].as_i64().map(|id| json!({
            "id": format!("gid://shopify/Customer/{id}"), "legacyResourceId": id.to_string(),
            "email": customer["email"], "phone": customer["phone"],
            "firstName": customer["first_name"], "lastName": customer["last_name"],
            "updatedAt": customer["updated_at"].as_str().and_then(parse_rfc3339).map(rfc3339),
            "defaultEmailAddress": reached("emailAddress", &customer["email"]),
            "defaultPhoneNumber": reached("phoneNumber", &customer["phone"]),
        })),
        "refunds": order["refunds"].as_array().into_iter().flatten().map(refund_node)
            .collect::<Vec<_>>(),
        "customerJourneySummary": {
            "ready": ready,
            "customerOrderIndex": if ready { json!(0) } else { Value::Null },
            "daysToConversion": if ready { json!(0) } else { Value::Null },
            "firstVisit": first.filter(|_| ready),
            "lastVisit": last.filter(|_| ready),
            "momentsCount": { "count": moments.len(), "precision": "EXACT" },
            "moments": {
                "pageInfo": {
                    "hasNextPage": false, "hasPreviousPage": false, "startCursor": null,
                    "endCursor": null,
                },
                "nodes": if ready { json!(moments) } else { json!([]) },
                "edges": [],
            },
        },
    })
}

fn reached(field: &str, address: &Value) -> Value {
    address
        .as_str()
        .map_or(Value::Null, |text| json!({ field: text }))
}

fn refund_node(refund: &Value) -> Value {
    let utc = |key: &str| refund[key].as_str().and_then(parse_rfc3339).map(rfc3339);
    let bag = |amount: &Value, currency: &Value| {
        let one = json!({ "amount": amount, "currencyCode": currency });
        json!({ "shopMoney": one, "presentmentMoney": one })
    };
    let told = refund["transactions"].as_array().into_iter().flatten();
    let transactions: Vec<Value> = told
        .map(|one| {
            let word = |key: &str| one[key].as_str().map(str::to_uppercase);
            json!({
                "id": one["admin_graphql_api_id"], "kind": word("kind"),
                "status": word("status"), "gateway": one["gateway"], "test": one["test"],
                "amountSet": bag(&one["amount"], &one["currency"]),
            })
        })
        .collect();
    let whole = transactions.first().map(|one| one["amountSet"].clone());
    json!({
        "id": refund["admin_graphql_api_id"],
        "legacyResourceId": refund["id"].as_i64().map(|id| id.to_string()),
        "createdAt": utc("created_at"), "processedAt": utc("processed_at"),
        "updatedAt": utc("processed_at"), "note": refund["note"],
        "totalRefundedSet": whole.unwrap_or_else(|| bag(&json!("0.0"), &Value::Null)),
        "transactions": { "nodes": transactions, "edges": [] },
    })
}

fn visit_node(
    domain: &str,
    (order, number): (i64, usize),
    landing_site: &str,
    at: Option<String>,
) -> Value {
    let page = if landing_site.starts_with("http") {
        landing_site.to_owned()
    } else {
        format!("https://{domain}{landing_site}")
    };
    let utm = |name: &str| parameter(landing_site, &format!("utm_{name}"));
    let tagged = utm("source").is_some() || utm("medium").is_some();
    let utm = tagged.then(|| {
        json!({
            "source": utm("source"), "medium": utm("medium"), "campaign": utm("campaign"),
            "content": utm("content"), "term": utm("term"),
        })
    });
    json!({
        "id": format!("gid://shopify/CustomerVisit/{order}{number}"),
        "occurredAt": at,
        "landingPage": page,
        "landingPageHtml": page,
        "referrerUrl": "https://www.messenger.com/",
        "referralCode": parameter(landing_site, "ref"),
        "referralInfoHtml": "",
        "source": "messenger",
        "sourceType": null,
        "sourceDescription": null,
        "utmParameters": utm,
        "marketingEvent": null,
    })
}

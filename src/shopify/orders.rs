//! Orders by the Admin API, for those whose webhooks did not arrive: first only which changed and
//! when, then the few that are missing, one by one and with everything a webhook would have said.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::payloads::{Order, PayloadError};
use super::read::{id, list, text, time};
use super::{Client, Error, ShopDomain};
use crate::clock::{Millis, rfc3339};

/// That an order changed, and when last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    pub id: i64,
    pub updated_at: Millis,
}

/// One page of changed orders, those that changed first in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedOrders {
    pub orders: Vec<Changed>,
    /// Where the next page begins.
    pub next: Option<String>,
}

impl Client {
    /// The orders that changed last between these times, to the second and both included.
    pub async fn changed_orders(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        (from, to): (Millis, Millis),
        after: Option<&str>,
    ) -> Result<ChangedOrders, Error> {
        let query = include_str!("queries/orders_updated.graphql");
        let search = format!(
            "updated_at:>='{}' AND updated_at:<='{}'",
            rfc3339(from),
            rfc3339(to)
        );
        let variables = json!({ "search": search, "after": after });
        let data: Value = self.graphql(shop, token, query, variables).await?;
        let connection = &data["orders"];
        let info = &connection["pageInfo"];
        Ok(ChangedOrders {
            orders: list(connection, "nodes")
                .iter()
                .filter_map(|node| {
                    Some(Changed {
                        id: id(node, "legacyResourceId")?,
                        updated_at: time(node, "updatedAt")?,
                    })
                })
                .collect(),
            next: text(info, "endCursor")
                .filter(|_| info["hasNextPage"] == true)
                .filter(|next| Some(next.as_str()) != after),
        })
    }

    /// The order as a webhook would tell it now, but for `landing_site`, which only the customer
    /// journey knows; `None` when the shop has it no more or we may not see it.
    pub async fn order(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        id: i64,
    ) -> Result<Option<Order>, Error> {
        let query = include_str!("queries/order.graphql");
        let variables = json!({ "id": format!("gid://shopify/Order/{id}") });
        let data: Value = self.graphql(shop, token, query, variables).await?;
        let order = data.get("order").filter(|order| order.is_object());
        order
            .map(read_order)
            .transpose()
            .map_err(|why| Error::Refused(format!("the order cannot be read: {why}")))
    }
}

/// There is one way to read an order: in the words of its webhook.
fn read_order(order: &Value) -> Result<Order, PayloadError> {
    let attributes: Vec<Value> = list(order, "customAttributes")
        .iter()
        .map(|pair| json!({ "name": pair["key"], "value": pair["value"] }))
        .collect();
    let codes: Vec<Value> = list(order, "discountCodes")
        .iter()
        .map(|code| json!({ "code": code }))
        .collect();
    let refunds: Vec<Value> = list(order, "refunds").iter().map(refund_body).collect();
    let status = text(order, "displayFinancialStatus").map(|status| status.to_lowercase());
    let total = &order["totalPriceSet"]["shopMoney"];
    Order::read(&json!({
        "id": order["legacyResourceId"],
        "name": order["name"],
        "email": order["email"],
        "phone": order["phone"],
        "created_at": order["createdAt"],
        "updated_at": order["updatedAt"],
        "cancelled_at": order["cancelledAt"],
        "test": order["test"],
        "source_name": order["sourceName"],
        "cart_token": order["cartToken"],
        "checkout_token": order["checkoutToken"],
        "discount_codes": codes,
        "financial_status": status,
        "currency": text(total, "currencyCode").or_else(|| text(order, "currencyCode")),
        "total_price": total["amount"],
        "note_attributes": attributes,
        "customer": customer_body(&order["customer"]),
        "refunds": refunds,
    }))
}

fn customer_body(customer: &Value) -> Value {
    if !customer.is_object() {
        return Value::Null;
    }
    json!({
        "id": customer["legacyResourceId"],
        "first_name": customer["firstName"],
        "last_name": customer["lastName"],
        "email": customer["defaultEmailAddress"]["emailAddress"],
        "phone": customer["defaultPhoneNumber"]["phoneNumber"],
        "updated_at": customer["updatedAt"],
    })
}

/// A refund settled outside Shopify has no transactions: then its total stands for one.
fn refund_body(refund: &Value) -> Value {
    let mut transactions: Vec<Value> = list(&refund["transactions"], "nodes")
        .iter()
        .map(|transaction| {
            let money = &transaction["amountSet"]["shopMoney"];
            json!({
                "kind": transaction["kind"], "status": transaction["status"],
                "amount": money["amount"], "currency": money["currencyCode"],
            })
        })
        .collect();
    let total = &refund["totalRefundedSet"]["shopMoney"];
    if transactions.is_empty() && total.is_object() {
        transactions.push(json!({
            "kind": "refund", "status": "success",
            "amount": total["amount"], "currency": total["currencyCode"],
        }));
    }
    json!({
        "id": refund["legacyResourceId"],
        "created_at": refund["createdAt"],
        "processed_at": refund["processedAt"],
        "transactions": transactions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: &str) -> Value {
        json!({ "shopMoney": { "amount": amount, "currencyCode": "EUR" } })
    }

    fn node() -> Value {
        json!({
            "legacyResourceId": "17", "name": "#1001", "email": null, "phone": null,
            "createdAt": "2026-11-21T10:00:00Z", "updatedAt": "2026-11-21T11:00:00Z",
            "cancelledAt": null, "test": false, "sourceName": "web", "cartToken": "c",
            "checkoutToken": "t", "discountCodes": ["SAVE10"], "currencyCode": "EUR",
            "displayFinancialStatus": "PARTIALLY_REFUNDED", "totalPriceSet": money("40.0"),
            "customAttributes": [{ "key": "pc_click", "value": "clk_1" }],
            "customer": { "legacyResourceId": "5", "firstName": "Ana", "lastName": null,
                "updatedAt": "2026-11-21T10:00:00Z", "defaultPhoneNumber": null,
                "defaultEmailAddress": { "emailAddress": "ana@shop.example" } },
            "refunds": [
                { "legacyResourceId": "9", "createdAt": "2026-11-21T10:30:00Z",
                  "totalRefundedSet": money("12.5"), "transactions": { "nodes": [
                    { "kind": "REFUND", "status": "SUCCESS", "amountSet": money("12.5") },
                    { "kind": "REFUND", "status": "FAILURE", "amountSet": money("1.0") } ] } },
                { "legacyResourceId": "10", "createdAt": "2026-11-21T10:40:00Z",
                  "totalRefundedSet": money("2.0"), "transactions": { "nodes": [] } } ],
        })
    }

    #[test]
    fn an_order_reads_as_its_webhook_would() {
        let order = read_order(&node()).unwrap();
        assert_eq!((order.id, order.total), (17, 4_000));
        assert_eq!(order.currency, "EUR");
        assert_eq!(
            order.financial_status.as_deref(),
            Some("partially_refunded")
        );
        assert_eq!(order.discount_codes, ["SAVE10"]);
        assert_eq!(
            order.note_attributes,
            [("pc_click".to_owned(), "clk_1".to_owned())]
        );
        let customer = order.customer.unwrap();
        assert_eq!(customer.email.as_deref(), Some("ana@shop.example"));
        let refunds: Vec<_> = order
            .refunds
            .iter()
            .map(|refund| {
                (
                    refund.id,
                    refund.order_id,
                    refund.amount,
                    refund.is_estimate,
                )
            })
            .collect();
        assert_eq!(refunds, [(9, 17, 1_250, false), (10, 17, 200, false)]);
    }

    #[test]
    fn protected_data_that_is_withheld_leaves_the_order_readable() {
        let mut node = node();
        for key in ["customer", "email", "phone", "refunds", "customAttributes"] {
            node[key] = Value::Null;
        }
        let order = read_order(&node).unwrap();
        assert_eq!((order.customer, order.refunds.len()), (None, 0));
        node["totalPriceSet"] = Value::Null;
        assert!(
            read_order(&node).is_err(),
            "an order without its total is not a free one"
        );
    }
}

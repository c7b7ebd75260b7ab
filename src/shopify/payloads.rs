//! Webhook bodies as we need them. Nearly anything may be null or absent, money is a string, ids
//! are 64-bit integers; unknown fields are ignored.

use serde_json::Value;

use super::read::{id, list, money, shop_money, text, time};
use crate::clock::Millis;

pub use super::read::PayloadError;
pub use super::refunds::Refund;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Order {
    pub id: i64,
    /// `#1001`.
    pub name: String,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub customer: Option<Customer>,
    pub checkout_token: Option<String>,
    pub cart_token: Option<String>,
    /// `total_price` in minor units of `currency`.
    pub total: i64,
    pub currency: String,
    pub financial_status: Option<String>,
    pub cancelled_at: Option<Millis>,
    pub created_at: Millis,
    /// Orders are applied in the order of this.
    pub updated_at: Millis,
    pub test: bool,
    pub source_name: Option<String>,
    pub landing_site: Option<String>,
    pub note_attributes: Vec<(String, String)>,
    pub discount_codes: Vec<String>,
    /// The refunds that ride along with the order.
    pub refunds: Vec<Refund>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Customer {
    pub id: i64,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub updated_at: Option<Millis>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkout {
    pub token: String,
    pub cart_token: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub customer: Option<Customer>,
    /// Where the shopper can go on: `abandoned_checkout_url`.
    pub url: Option<String>,
    /// `total_price` in minor units of `currency`.
    pub total: i64,
    pub currency: String,
    pub created_at: Millis,
    pub updated_at: Millis,
    pub completed_at: Option<Millis>,
    /// Titles of the line items, first first.
    pub items: Vec<String>,
    pub note_attributes: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Product {
    pub id: i64,
    pub title: String,
    pub handle: Option<String>,
    pub image_url: Option<String>,
    pub updated_at: Millis,
}

/// `app/scopes_update`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopesUpdate {
    pub current: Vec<String>,
}

/// The body of all three compliance topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compliance {
    pub shop_domain: String,
    pub customer_id: Option<i64>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub order_ids: Vec<i64>,
    pub data_request_id: Option<i64>,
}

impl Order {
    /// Since when nothing is earned by it: it was cancelled, or its payment was voided or expired.
    pub fn lost_at(&self) -> Option<Millis> {
        let lapsed = matches!(self.financial_status.as_deref(), Some("voided" | "expired"));
        self.cancelled_at
            .or_else(|| lapsed.then_some(self.updated_at))
    }

    pub fn parse(body: &[u8]) -> Result<Self, PayloadError> {
        Self::read(&serde_json::from_slice(body)?)
    }

    pub(super) fn read(order: &Value) -> Result<Self, PayloadError> {
        let order_id = id(order, "id").ok_or(PayloadError::Missing("id"))?;
        let currency = text(order, "currency")
            .or_else(|| shop_money(order, "total_price_set").map(|(_, currency)| currency))
            .ok_or(PayloadError::Missing("currency"))?;
        let total = money(order, "total_price", &currency)
            .or_else(|| shop_money(order, "total_price_set").map(|(amount, _)| amount))
            .ok_or(PayloadError::Missing("total_price"))?;
        let (created_at, updated_at) =
            created_and_updated(order).ok_or(PayloadError::Missing("updated_at"))?;
        let refunds = list(order, "refunds");
        Ok(Self {
            id: order_id,
            name: text(order, "name").unwrap_or_else(|| format!("#{order_id}")),
            email: text(order, "email").or_else(|| text(order, "contact_email")),
            phone: text(order, "phone"),
            customer: order.get("customer").and_then(Customer::read),
            checkout_token: text(order, "checkout_token"),
            cart_token: text(order, "cart_token"),
            total,
            financial_status: text(order, "financial_status"),
            cancelled_at: time(order, "cancelled_at"),
            created_at,
            updated_at,
            test: order.get("test") == Some(&Value::Bool(true)),
            source_name: text(order, "source_name"),
            landing_site: text(order, "landing_site"),
            note_attributes: note_attributes(order),
            discount_codes: list(order, "discount_codes")
                .iter()
                .filter_map(|code| text(code, "code"))
                .collect(),
            refunds: refunds
                .iter()
                .filter_map(|refund| Refund::read(refund, Some((order_id, currency.as_str()))))
                .collect(),
            currency,
        })
    }
}

impl Customer {
    /// The body of `customers/*`; `customers/delete` has the id only.
    pub fn parse(body: &[u8]) -> Result<Self, PayloadError> {
        let customer: Value = serde_json::from_slice(body)?;
        Self::read(&customer).ok_or(PayloadError::Missing("id"))
    }

    fn read(customer: &Value) -> Option<Self> {
        Some(Self {
            id: id(customer, "id")?,
            email: text(customer, "email"),
            phone: text(customer, "phone"),
            first_name: text(customer, "first_name"),
            last_name: text(customer, "last_name"),
            updated_at: time(customer, "updated_at"),
        })
    }
}

impl Checkout {
    pub fn parse(body: &[u8]) -> Result<Self, PayloadError> {
        let checkout: Value = serde_json::from_slice(body)?;
        let (created_at, updated_at) =
            created_and_updated(&checkout).ok_or(PayloadError::Missing("updated_at"))?;
        let currency = text(&checkout, "currency")
            .or_else(|| text(&checkout, "presentment_currency"))
            .unwrap_or_default();
        let item = |item: &Value| text(item, "title").or_else(|| text(item, "presentment_title"));
        Ok(Self {
            token: text(&checkout, "token").ok_or(PayloadError::Missing("token"))?,
            cart_token: text(&checkout, "cart_token"),
            email: text(&checkout, "email"),
            phone: text(&checkout, "phone"),
            customer: checkout.get("customer").and_then(Customer::read),
            url: text(&checkout, "abandoned_checkout_url"),
            total: money(&checkout, "total_price", &currency).unwrap_or_default(),
            currency,
            created_at,
            updated_at,
            completed_at: time(&checkout, "completed_at"),
            items: list(&checkout, "line_items")
                .iter()
                .filter_map(item)
                .collect(),
            note_attributes: note_attributes(&checkout),
        })
    }
}

impl Product {
    pub fn parse(body: &[u8]) -> Result<Self, PayloadError> {
        let product: Value = serde_json::from_slice(body)?;
        let main = product.get("image").and_then(|image| text(image, "src"));
        let first = || {
            list(&product, "images")
                .iter()
                .find_map(|image| text(image, "src"))
        };
        let (_, updated_at) =
            created_and_updated(&product).ok_or(PayloadError::Missing("updated_at"))?;
        Ok(Self {
            id: id(&product, "id").ok_or(PayloadError::Missing("id"))?,
            title: text(&product, "title").unwrap_or_default(),
            handle: text(&product, "handle"),
            image_url: main.or_else(first),
            updated_at,
        })
    }
}

impl ScopesUpdate {
    pub fn parse(body: &[u8]) -> Result<Self, PayloadError> {
        let update: Value = serde_json::from_slice(body)?;
        let current = update.get("current").and_then(Value::as_array);
        let current = current.ok_or(PayloadError::Missing("current"))?;
        Ok(Self {
            current: current
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        })
    }
}

impl Compliance {
    pub fn parse(body: &[u8]) -> Result<Self, PayloadError> {
        let demand: Value = serde_json::from_slice(body)?;
        let customer = demand.get("customer").unwrap_or(&Value::Null);
        let orders = ["orders_requested", "orders_to_redact"].map(|key| list(&demand, key));
        Ok(Self {
            shop_domain: text(&demand, "shop_domain")
                .ok_or(PayloadError::Missing("shop_domain"))?,
            customer_id: id(customer, "id"),
            email: text(customer, "email"),
            phone: text(customer, "phone"),
            order_ids: orders.concat().iter().filter_map(Value::as_i64).collect(),
            data_request_id: demand
                .get("data_request")
                .and_then(|request| id(request, "id")),
        })
    }
}

/// The variant of `variants/in_stock`, of whose body only the ids are sure.
pub fn variant_id(body: &[u8]) -> Result<i64, PayloadError> {
    let variant: Value = serde_json::from_slice(body)?;
    let found = id(&variant, "id").or_else(|| id(&variant, "admin_graphql_api_id"));
    found.ok_or(PayloadError::Missing("id"))
}

/// Both times, each standing in for the other; a trimmed body may lack one.
fn created_and_updated(value: &Value) -> Option<(Millis, Millis)> {
    let created = time(value, "created_at").or_else(|| time(value, "processed_at"));
    let updated = time(value, "updated_at").or(created)?;
    Some((created.unwrap_or(updated), updated))
}

fn note_attributes(value: &Value) -> Vec<(String, String)> {
    list(value, "note_attributes")
        .iter()
        .filter_map(|pair| Some((text(pair, "name")?, text(pair, "value").unwrap_or_default())))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_order_survives_nulls_and_text_that_no_column_takes() {
        let body = json!({"id": "17", "name": null, "currency": "JPY", "total_price": "1200",
            "updated_at": "2026-11-21T10:00:00+09:00", "email": "a\u{0}na@shop.example",
            "customer": null, "note_attributes": [{"name": "pc_click", "value": null}],
            "landing_site": ""});
        let order = Order::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(
            (order.id, order.total, order.name.as_str()),
            (17, 1_200, "#17")
        );
        assert_eq!(order.email.as_deref(), Some("ana@shop.example"));
        assert_eq!(order.created_at, order.updated_at);
        assert_eq!(
            order.note_attributes,
            [("pc_click".to_owned(), String::new())]
        );
        assert_eq!(order.landing_site, None);
    }

    #[test]
    fn an_order_without_a_total_is_an_error_and_not_a_free_order() {
        let body = br#"{"id":1,"currency":"USD","updated_at":"2026-11-21T10:00:00Z"}"#;
        let error = Order::parse(body).unwrap_err();
        assert_eq!(error.to_string(), "the body has no readable `total_price`");
        assert!(matches!(Order::parse(b"{"), Err(PayloadError::NotJson(_))));
    }

    #[test]
    fn a_payment_that_lapsed_is_as_good_as_a_cancellation() {
        let lost_at = |status: &str| {
            let body = json!({"id": 1, "currency": "USD", "total_price": "5.00",
                "financial_status": status, "updated_at": "2026-11-21T10:00:00Z"});
            let order = Order::parse(body.to_string().as_bytes()).unwrap();
            order.lost_at().map(|at| at == order.updated_at)
        };
        for status in ["voided", "expired"] {
            assert_eq!(lost_at(status), Some(true), "{status}");
        }
        for status in ["paid", "pending", "authorized", "refunded"] {
            assert_eq!(lost_at(status), None, "{status}");
        }
    }

    #[test]
    fn all_three_demands_for_privacy_are_read() {
        let body = json!({"shop_id": 1, "shop_domain": "s.myshopify.com", "orders_requested": [9],
            "customer": {"id": 5, "email": null, "phone": "1"}, "data_request": {"id": 7}});
        let request = Compliance::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!(
            (request.customer_id, request.data_request_id),
            (Some(5), Some(7))
        );
        assert_eq!(
            (request.order_ids.as_slice(), request.email),
            ([9].as_slice(), None)
        );
        let shop = br#"{"shop_id":1,"shop_domain":"s.myshopify.com"}"#;
        assert_eq!(Compliance::parse(shop).unwrap().customer_id, None);
    }
}

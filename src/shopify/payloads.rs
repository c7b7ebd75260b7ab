//! Webhook bodies as we need them. Nearly anything may be null or absent, money is a string, ids
//! are 64-bit integers; unknown fields are ignored.

use crate::clock::Millis;

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
pub struct Refund {
    pub id: i64,
    pub order_id: i64,
    /// Successful refund transactions, in minor units of their currency.
    pub amount: i64,
    pub created_at: Millis,
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

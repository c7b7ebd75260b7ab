//! A bare shop to land on: the demo's links lead here, and whoever plays a shopper can buy. It
//! keeps what the link was tagged with, as Shopify's `landing_site` does.

use axum::Form;
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::Shopify;
use super::shoppers::{Customer, Item, Purchase};
use crate::sandbox::play::escape;

/// What Harbour Coffee sells.
pub(crate) const SHELF: [(&str, &str); 6] = [
    ("House Blend 250 g", "14.50"),
    ("Ethiopia Guji 250 g", "18.00"),
    ("Colombia Huila 1 kg", "52.00"),
    ("Cold Brew Kit", "34.00"),
    ("Pour-over Dripper", "26.00"),
    ("Enamel Mug", "16.00"),
];

#[derive(Deserialize)]
pub(super) struct Basket {
    email: String,
    title: String,
    landing_site: String,
}

pub(super) async fn page(
    Shared(shopify): Shared<Shopify>,
    Path(shop): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    show(&shopify, &shop, "/", query)
}

pub(super) async fn page_below(
    Shared(shopify): Shared<Shopify>,
    Path((shop, path)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    show(&shopify, &shop, &format!("/{path}"), query)
}

fn show(shopify: &Shopify, shop: &str, path: &str, query: Option<String>) -> Response {
    let Some(name) = shopify.state().shops.get(shop).map(|s| s.name.clone()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let landing_site = match query {
        Some(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    };
    let options: String = SHELF
        .iter()
        .map(|(title, price)| {
            format!(
                "<option value=\"{0}\">{0}, ${price}</option>",
                escape(title)
            )
        })
        .collect();
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{name}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem}}\
         input,select,button{{font:inherit;width:100%;padding:.6rem;margin:.25rem 0 1rem;box-sizing:border-box}}\
         code{{overflow-wrap:anywhere}}</style></head><body><h1>{name}</h1>\
         <p>A shop of the sandbox. You came in through <code>{landing}</code>.</p>\
         <form method=\"post\" action=\"/{shop}/storefront/buy\">\
         <input type=\"hidden\" name=\"landing_site\" value=\"{landing}\">\
         <label>Product<select name=\"title\">{options}</select></label>\
         <label>E-mail of the shopper<input name=\"email\" type=\"email\" required></label>\
         <button>Buy</button></form></body></html>",
        name = escape(&name),
        landing = escape(&landing_site),
        shop = escape(shop),
    ))
    .into_response()
}

pub(super) async fn buy(
    Shared(shopify): Shared<Shopify>,
    Path(shop): Path<String>,
    Form(basket): Form<Basket>,
) -> Response {
    let shopify = shopify.of(&shop);
    let price = SHELF
        .iter()
        .find(|(title, _)| *title == basket.title)
        .map(|(_, price)| *price);
    let Some(price) = price else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let bought = shopify
        .customer_by_email(&basket.email)
        .and_then(|customer| {
            let purchase = Purchase {
                items: vec![Item::new(&basket.title, price, 1)],
                landing_site: Some(basket.landing_site),
                ..Purchase::default()
            };
            shopify.buys(&customer, &purchase)
        });
    match bought {
        Ok(id) => Html(format!(
            "<!doctype html><title>Thank you</title><p>Thank you. Order {id}.</p>"
        ))
        .into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

impl Shopify {
    /// The customer with this address; a new one if the shop has none.
    pub(crate) fn customer_by_email(&self, email: &str) -> anyhow::Result<Customer> {
        let known = self.with_shop(|shop| {
            let has = |c: &&Customer| {
                c.email
                    .as_deref()
                    .is_some_and(|e| e.eq_ignore_ascii_case(email))
            };
            shop.customers.values().find(has).cloned()
        })?;
        match known {
            Some(customer) => Ok(customer),
            None => {
                let first = email.split(['@', '.']).next().unwrap_or("Guest").to_owned();
                self.customer(&first, "", email)
            }
        }
    }
}

//! Shopify's resources as its own library documents them, which webhook bodies are.

use pagecast::shopify::payloads::{Checkout, Customer, Order, Product, Refund};
use serde_json::Value;

use crate::{bytes, fixture};

fn sample(name: &str) -> Vec<u8> {
    bytes(&format!("shopify/samples/{name}.json"))
}

/// The sample without a key that newer versions do not send.
fn trimmed(name: &str, key: &str) -> Vec<u8> {
    let mut value = fixture(&format!("shopify/samples/{name}.json"));
    value
        .as_object_mut()
        .unwrap()
        .remove(key)
        .expect("the sample has the key");
    value.to_string().into_bytes()
}

#[test]
fn an_order_is_understood_with_and_without_its_checkout_id() {
    let order = Order::parse(&sample("order")).unwrap();
    assert_eq!(
        order,
        Order::parse(&trimmed("order", "checkout_id")).unwrap()
    );
    assert_eq!((order.id, order.name.as_str()), (450_789_469, "#1001"));
    assert_eq!((order.total, order.currency.as_str()), (59_894, "USD"));
    assert_eq!(order.financial_status.as_deref(), Some("refunded"));
    assert_eq!(
        order.checkout_token.as_deref(),
        Some("bd5a8aa1ecd019dd3520ff791ee3a24c")
    );
    assert_eq!(
        order.landing_site.as_deref(),
        Some("http://www.example.com?source=abc")
    );
    assert_eq!(
        order.note_attributes[1],
        ("colour".to_owned(), "green".to_owned())
    );
    assert_eq!(order.discount_codes, ["TENOFF"]);
    assert_eq!(order.cancelled_at, Some(1_743_611_481_000));
    assert_eq!(order.created_at, 1_199_980_800_000);
    assert_eq!(order.customer.as_ref().unwrap().id, 207_119_551);
    assert!(!order.test);
    let [refund] = order.refunds.as_slice() else {
        panic!("one refund")
    };
    assert_eq!(
        (refund.id, refund.order_id, refund.amount),
        (929_361_465, 450_789_469, 1_000)
    );
}

#[test]
fn a_refund_alone_reads_as_it_does_inside_its_order() {
    let order: Value = fixture("shopify/samples/order.json");
    let refund = Refund::parse(order["refunds"][0].to_string().as_bytes()).unwrap();
    assert_eq!(refund, Order::parse(&sample("order")).unwrap().refunds[0]);
    assert_eq!(refund.currency.as_deref(), Some("USD"));
}

#[test]
fn a_checkout_is_understood_with_and_without_its_id() {
    let checkout = Checkout::parse(&sample("abandoned_checkout")).unwrap();
    assert_eq!(
        checkout,
        Checkout::parse(&trimmed("abandoned_checkout", "id")).unwrap()
    );
    assert_eq!(checkout.token, "2a1ace52255252df566af0faaedfbfa7");
    assert_eq!(
        (checkout.total, checkout.currency.as_str()),
        (37_969, "USD")
    );
    assert_eq!(checkout.items, ["IPod Nano - 8GB", "IPod Nano - 8GB"]);
    assert!(checkout.url.unwrap().ends_with("/recover"));
    assert_eq!(checkout.completed_at, None);
    assert_eq!(
        checkout.customer.unwrap().phone.as_deref(),
        Some("+16136120707")
    );
}

#[test]
fn customers_and_products_are_understood() {
    let customer = Customer::parse(&sample("customer")).unwrap();
    assert_eq!(
        customer.email.as_deref(),
        Some("bob.norman@mail.example.com")
    );
    assert_eq!(customer.updated_at, Some(1_743_611_158_000));
    let deleted = Customer::parse(br#"{"id":207119551}"#).unwrap();
    assert_eq!((deleted.id, deleted.email), (207_119_551, None));
    let product = Product::parse(&sample("product")).unwrap();
    assert_eq!(
        (product.id, product.handle.as_deref()),
        (632_910_392, Some("ipod-nano"))
    );
    assert!(
        product
            .image_url
            .unwrap()
            .starts_with("https://cdn.shopify.com/")
    );
}

//! Our GraphQL fits the Admin schema, our topics exist, and a call looks as Shopify wants it.

use std::io::Read;

use apollo_compiler::{ExecutableDocument, Schema};
use pagecast::http_client::HttpClient;
use pagecast::shopify::webhooks::TOPICS;
use pagecast::shopify::{Client, Error, Settings, ShopDomain};
use secrecy::SecretString;

use crate::recorder::Recorder;
use crate::{bytes, fixture};

#[test]
fn admin_queries_match_the_schema() {
    // graphql-js leaves out the built-in @oneOf definition; without it the schema is refused.
    let mut sdl = String::from("directive @oneOf on INPUT_OBJECT\n");
    let zipped = bytes("shopify/admin_2026-10.graphql.gz");
    flate2::read::GzDecoder::new(&zipped[..])
        .read_to_string(&mut sdl)
        .unwrap();
    let schema = Schema::parse_and_validate(sdl, "admin_2026-10.graphql").expect("schema");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/shopify/queries");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        if let Err(why) = ExecutableDocument::parse_and_validate(&schema, text, &path) {
            panic!("{}: {}", path.display(), why.errors);
        }
        checked += 1;
    }
    assert!(checked >= 5, "the queries were not found");
}

#[test]
fn every_topic_we_subscribe_to_exists() {
    let known = fixture("shopify/webhook_topics.json");
    let known = known["topics"].as_array().unwrap();
    for (name, topic) in TOPICS {
        let found = known
            .iter()
            .any(|row| row["enum"] == *name && row["topic"] == *topic);
        assert!(found, "{name} {topic}");
    }
}

#[test]
fn the_app_asks_for_the_scopes_that_its_topics_and_calls_need_and_for_no_other() {
    let app = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/shopify.app.toml"));
    let app = app.unwrap();
    let line = app.lines().find(|line| line.starts_with("scopes = "));
    let asked: Vec<&str> = line
        .unwrap()
        .split('"')
        .nth(1)
        .unwrap()
        .split(',')
        .collect();
    let known = fixture("shopify/webhook_topics.json");
    // The proxy, the two without which no web pixel can be placed, and a coupon's code.
    let mut needed = vec![
        "write_app_proxy",
        "write_pixels",
        "read_customer_events",
        "write_discounts",
    ];
    for (name, topic) in TOPICS {
        let rows = known["topics"].as_array().unwrap();
        let row = rows.iter().find(|row| row["enum"] == *name).unwrap();
        let any = row["any_scope"].as_array().unwrap();
        let used = asked
            .iter()
            .find(|scope| any.iter().any(|one| one == **scope));
        assert!(
            any.is_empty() || used.is_some(),
            "{topic} needs one of {any:?}"
        );
        needed.extend(used);
    }
    for scope in asked {
        assert!(
            needed.contains(&scope),
            "{scope} is asked for and not needed"
        );
    }
}

fn client(url: &str) -> (Client, ShopDomain, SecretString) {
    let settings = Settings {
        admin_url: format!("{url}/{{shop}}"),
        client_id: Some("client".to_owned()),
        client_secret: Some("hush".into()),
    };
    let shop = ShopDomain::parse("a-shop.myshopify.com").unwrap();
    (
        Client::new(HttpClient::new().unwrap(), settings),
        shop,
        "shpat_1".into(),
    )
}

#[tokio::test]
async fn a_call_names_version_token_and_variables() {
    let answer = r#"{"data":{"webhookSubscriptionCreate":{"webhookSubscription":{"id":"1"},"userErrors":[]}}}"#;
    let server = Recorder::start(200, answer).await;
    let (client, shop, token) = client(&server.url);
    client
        .webhook_subscribe(&shop, &token, "ORDERS_CREATE", "https://p.example/w")
        .await
        .unwrap();
    let call = server.heard().remove(0);
    assert_eq!(call.method, "POST");
    assert_eq!(
        call.path,
        "/a-shop.myshopify.com/admin/api/2026-10/graphql.json"
    );
    assert_eq!(call.header("x-shopify-access-token"), "shpat_1");
    assert_eq!(call.body["variables"]["topic"], "ORDERS_CREATE");
    assert_eq!(call.body["variables"]["uri"], "https://p.example/w");
    assert!(call.body["query"].as_str().unwrap().starts_with("mutation"));
}

#[tokio::test]
async fn a_subscription_that_exists_is_as_good_as_a_new_one() {
    let answer = |said: &str| {
        format!(
            r#"{{"data":{{"webhookSubscriptionCreate":{{"webhookSubscription":null,
            "userErrors":[{{"field":["webhookSubscription","uri"],"message":"{said}"}}]}}}}}}"#
        )
    };
    let server = Recorder::start(
        200,
        &answer("Address for this topic has already been taken"),
    )
    .await;
    let (there, shop, token) = client(&server.url);
    there
        .webhook_subscribe(&shop, &token, "ORDERS_CREATE", "https://p.example/w")
        .await
        .unwrap();
    let server = Recorder::start(200, &answer("Address is not allowed")).await;
    let (there, shop, token) = client(&server.url);
    let refused = there
        .webhook_subscribe(&shop, &token, "ORDERS_CREATE", "http://x")
        .await;
    assert!(matches!(refused, Err(Error::Refused(_))));
}

#[tokio::test]
async fn what_the_shop_says_about_itself_is_read() {
    let answer = r#"{"data":{"shop":{"name":"A Shop","currencyCode":"EUR","ianaTimezone":"Europe/Berlin",
        "primaryDomain":{"url":"https://shop.example"},"plan":{"publicDisplayName":"Basic","partnerDevelopment":false}},
        "currentAppInstallation":{"accessScopes":[{"handle":"read_orders"}]},
        "webhookSubscriptions":{"pageInfo":{"hasNextPage":false,"endCursor":"x"},
        "nodes":[{"id":"gid://1","topic":"ORDERS_CREATE","uri":"https://p.example/w"}]},"order":null}}"#;
    let server = Recorder::start(200, answer).await;
    let (client, shop, token) = client(&server.url);
    let info = client.shop_info(&shop, &token).await.unwrap();
    assert_eq!(
        (info.name.as_str(), info.currency.as_deref()),
        ("A Shop", Some("EUR"))
    );
    assert_eq!(info.timezone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(
        client.access_scopes(&shop, &token).await.unwrap(),
        ["read_orders"]
    );
    let there = client.webhook_subscriptions(&shop, &token).await.unwrap();
    assert_eq!(there[0].topic, "ORDERS_CREATE");
    assert_eq!(client.order_journey(&shop, &token, 5).await.unwrap(), None);
    let call = server.heard().pop().unwrap();
    assert_eq!(call.body["variables"]["id"], "gid://shopify/Order/5");
}

//! What Shopify refuses and what it tells.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sandbox::probe::{SHOP, Story};
use crate::sandbox::shopify::{Item, Purchase};
use crate::sandbox::signature::hmac_sha256;

async fn admin(story: &Story, token: &str, query: &str, variables: Value) -> (u16, Value) {
    let url = story.sandbox.shopify.url().replace("{shop}", SHOP);
    let answer = story
        .http
        .post(format!("{url}/admin/api/2026-10/graphql.json"))
        .header("x-shopify-access-token", token)
        .json(&json!({ "query": query, "variables": variables }))
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap())
}

#[tokio::test]
async fn orders_and_refunds_are_told_with_a_signature_over_the_raw_body() {
    let story = Story::begins().await;
    let shopify = &story.sandbox.shopify;
    let ana = shopify.customer("Ana", "Silva", "ana@example.com").unwrap();
    let token = shopify
        .abandons_checkout(&ana, &[Item::new("Mug", "16.00", 2)])
        .unwrap();
    let landing = "/?utm_id=cmp_1&pc_click=abc";
    let order = shopify
        .pays(
            &ana,
            "32.00",
            Some(landing),
            &[("pc_click", "abc")],
            Some(&token),
        )
        .unwrap();
    shopify.refunds(order, "12.50").unwrap();
    shopify.cancels(order).unwrap();
    shopify.settled().await;
    assert_eq!(
        story.inbox.topics(),
        [
            "customers/create",
            "checkouts/create",
            "orders/create",
            "orders/paid",
            "refunds/create",
            "orders/updated",
            "orders/cancelled",
            "orders/updated",
        ]
    );
    let (headers, body) = &story.inbox.letters()[2];
    let signature = STANDARD.encode(hmac_sha256("sandbox-shopify-secret", body));
    assert_eq!(headers["x-shopify-hmac-sha256"], signature.as_str());
    let bodies = story.inbox.bodies();
    assert_eq!(bodies[1]["total_price"], "32.00");
    assert!(
        bodies[1].get("id").is_none(),
        "checkouts have no id since 2026-04"
    );
    assert_eq!(bodies[2]["checkout_token"], token.as_str());
    assert_eq!(bodies[2]["cart_token"], bodies[1]["cart_token"]);
    assert_eq!(bodies[2]["landing_site"], landing);
    assert_eq!(bodies[4]["transactions"][0]["amount"], "12.50");
    assert_eq!(bodies[5]["current_total_price"], "19.50");
    assert_eq!(bodies[5]["financial_status"], "partially_refunded");
}

#[tokio::test]
async fn a_wrong_token_is_401_and_so_is_any_after_the_uninstall() {
    let story = Story::begins().await;
    let query = "{ shop { name } }";
    assert_eq!(admin(&story, "wrong", query, json!({})).await.0, 401);
    let (status, answer) = admin(&story, "shpat_1", query, json!({})).await;
    assert_eq!(
        (status, &answer["data"]["shop"]["name"]),
        (200, &json!("Harbour Coffee"))
    );
    assert_eq!(
        answer["extensions"]["cost"]["throttleStatus"]["restoreRate"],
        100
    );
    story.sandbox.shopify.uninstalls().unwrap();
    assert_eq!(admin(&story, "shpat_1", query, json!({})).await.0, 401);
}

#[tokio::test]
async fn fields_that_do_not_exist_are_refused_and_remembered() {
    let story = Story::begins().await;
    let (_, answer) = admin(&story, "shpat_1", "{ shop { shoeSize } }", json!({})).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "undefinedField");
    let (_, answer) = admin(&story, "shpat_1", "{ weather { today } }", json!({})).await;
    assert!(
        answer["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("weather")
    );
    assert_eq!(story.sandbox.unknown_calls().len(), 2);
}

#[tokio::test]
async fn the_journey_of_an_order_is_read_from_its_landing_site() {
    let story = Story::begins().await;
    let shopify = &story.sandbox.shopify;
    let ana = shopify
        .has_customer("Ana", "Silva", "ana@example.com")
        .unwrap();
    let landing = "/products/mug?utm_source=pagecast&utm_medium=messenger&ref=k1";
    let purchase = Purchase {
        landing_site: Some(landing.to_owned()),
        ..Purchase::default()
    };
    let id = shopify.buys(&ana, &purchase).unwrap();
    // The query of the platform notes, with its fragment.
    let query = "query OrderJourney($id: ID!) { order(id: $id) {
        id name createdAt updatedAt cancelledAt test sourceName cartToken checkoutToken discountCodes
        customAttributes { key value } attribution { handle displayName }
        customerJourneySummary { ready customerOrderIndex daysToConversion
          firstVisit { ...V } lastVisit { ...V }
          moments(first: 50) { pageInfo { hasNextPage endCursor } nodes { occurredAt ...V } } } } }
      fragment V on CustomerVisit { id occurredAt landingPage referrerUrl referralCode source sourceType
        utmParameters { source medium campaign content term } marketingEvent { id } }";
    let variables = json!({ "id": format!("gid://shopify/Order/{id}") });
    let (_, answer) = admin(&story, "shpat_1", query, variables.clone()).await;
    let summary = &answer["data"]["order"]["customerJourneySummary"];
    assert_eq!(summary["ready"], true, "{answer}");
    assert_eq!(summary["lastVisit"]["referralCode"], "k1");
    assert_eq!(
        summary["moments"]["nodes"][0]["utmParameters"]["medium"],
        "messenger"
    );
    shopify.journeys_are_ready(false);
    let (_, answer) = admin(&story, "shpat_1", query, variables).await;
    assert_eq!(
        answer["data"]["order"]["customerJourneySummary"]["lastVisit"],
        Value::Null
    );
}

#[tokio::test]
async fn subscriptions_are_made_once_and_take_their_topics() {
    let story = Story::begins().await;
    let query = "mutation S($topic: WebhookSubscriptionTopic!, $sub: WebhookSubscriptionInput!) {
        webhookSubscriptionCreate(topic: $topic, webhookSubscription: $sub) {
          webhookSubscription { id topic uri } userErrors { field message } } }";
    let uri = format!("{}/own", story.inbox.url);
    let variables = json!({ "topic": "ORDERS_CREATE", "sub": { "uri": uri } });
    let (_, made) = admin(&story, "shpat_1", query, variables.clone()).await;
    let made = &made["data"]["webhookSubscriptionCreate"];
    assert_eq!(made["userErrors"], json!([]));
    let (_, again) = admin(&story, "shpat_1", query, variables).await;
    let errors = &again["data"]["webhookSubscriptionCreate"]["userErrors"];
    assert!(
        errors[0]["message"]
            .as_str()
            .unwrap()
            .contains("already been taken")
    );
    let compliance = json!({ "topic": "SHOP_REDACT", "sub": { "uri": uri } });
    let (_, refused) = admin(&story, "shpat_1", query, compliance).await;
    assert_ne!(
        refused["data"]["webhookSubscriptionCreate"]["userErrors"],
        json!([])
    );

    let list =
        "{ webhookSubscriptions(first: 50) { nodes { topic uri } pageInfo { hasNextPage } } }";
    let (_, listed) = admin(&story, "shpat_1", list, json!({})).await;
    let nodes = &listed["data"]["webhookSubscriptions"]["nodes"];
    assert_eq!(*nodes, json!([{ "topic": "ORDERS_CREATE", "uri": uri }]));
}

#[tokio::test]
async fn customers_and_orders_are_found_by_search() {
    let story = Story::begins().await;
    let shopify = &story.sandbox.shopify;
    shopify
        .has_customer("Ben", "Berg", "ben@example.com")
        .unwrap();
    let ana = shopify
        .has_customer("Ana", "Silva", "ana@example.com")
        .unwrap();
    shopify.pays(&ana, "20.00", None, &[], None).unwrap();
    let query = "query C($q: String) { customers(first: 5, query: $q) { nodes { id email } }
        orders(first: 5, query: $q) { edges { node { name customer { email } } } } }";
    let variables = json!({ "q": "email:'ana@example.com'" });
    let (_, found) = admin(&story, "shpat_1", query, variables).await;
    assert_eq!(
        found["data"]["customers"]["nodes"]
            .as_array()
            .unwrap()
            .len(),
        1,
        "{found}"
    );
    assert_eq!(
        found["data"]["orders"]["edges"][0]["node"]["customer"]["email"],
        "ana@example.com"
    );
}

#[tokio::test]
async fn the_newer_header_family_and_compliance_topics() {
    let story = Story::begins().await;
    let shopify = &story.sandbox.shopify;
    let ana = shopify
        .has_customer("Ana", "Silva", "ana@example.com")
        .unwrap();
    shopify.newer_headers(true);
    shopify.data_request(&ana).unwrap();
    shopify.redacts(&ana).unwrap();
    shopify.redact_shop().unwrap();
    shopify.settled().await;
    let letters = story.inbox.letters();
    assert_eq!(letters[0].0["shopify-topic"], "customers/data_request");
    assert!(letters[0].0.get("x-shopify-topic").is_none());
    assert_eq!(story.inbox.bodies()[1]["customer"]["id"], ana.id);
    assert_eq!(story.inbox.bodies()[2]["shop_domain"], SHOP);
}

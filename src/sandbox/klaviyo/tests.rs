//! What Klaviyo refuses, keeps and tells.

use serde_json::{Map, Value, json};

use crate::clock::MINUTE;
use crate::sandbox::probe::Story;
use crate::sandbox::signature::hmac_hex;

const KEY: &str = "Klaviyo-API-Key pk_1";

async fn call(story: &Story, method: &str, path: &str, auth: &str, body: Value) -> (u16, Value) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = story
        .http
        .request(method, format!("{}{path}", story.sandbox.klaviyo.url()))
        .header("authorization", auth)
        .header("revision", "2026-07-15")
        .header("accept", "application/vnd.api+json");
    if !body.is_null() {
        let kind = "application/vnd.api+json";
        request = request.header("content-type", kind).body(body.to_string());
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_default())
}

async fn bearer(story: &Story) -> String {
    let answer = story
        .http
        .post(format!("{}/oauth/token", story.sandbox.klaviyo.url()))
        .basic_auth("sandbox-klaviyo-client", Some("sandbox-klaviyo-secret"))
        .form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", "refresh-1"),
        ])
        .send()
        .await
        .unwrap();
    let tokens: Value = answer.json().await.unwrap();
    format!("Bearer {}", tokens["access_token"].as_str().unwrap())
}

fn event(unique_id: &str) -> Value {
    json!({ "data": { "type": "event", "attributes": {
        "properties": { "campaign_id": "cmp_1" },
        "time": "2026-09-21T14:00:00+00:00",
        "unique_id": unique_id,
        "metric": { "data": { "type": "metric", "attributes": { "name": "Clicked Messenger Message" } } },
        "profile": { "data": { "type": "profile", "attributes": { "email": "ana@example.com" } } },
    } } })
}

#[tokio::test]
async fn the_doorkeeper_wants_revision_credentials_and_content_type() {
    let story = Story::begins().await;
    let url = format!("{}/api/accounts", story.sandbox.klaviyo.url());
    let bare = story
        .http
        .get(&url)
        .header("authorization", KEY)
        .send()
        .await
        .unwrap();
    assert_eq!(bare.status(), 400);
    let old = story
        .http
        .get(&url)
        .header("authorization", KEY)
        .header("revision", "2023-01-01");
    assert_eq!(old.send().await.unwrap().status(), 410);
    let wrong = call(
        &story,
        "GET",
        "/api/accounts",
        "Klaviyo-API-Key pk_2",
        Value::Null,
    )
    .await;
    assert_eq!(wrong.0, 401);
    let plain = story
        .http
        .post(format!("{}/api/events", story.sandbox.klaviyo.url()))
        .header("authorization", KEY)
        .header("revision", "2026-07-15")
        .json(&event("1"));
    assert_eq!(plain.send().await.unwrap().status(), 415);
    assert_eq!(
        call(&story, "GET", "/api/coupons", KEY, Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(story.sandbox.unknown_calls(), ["klaviyo: GET /api/coupons"]);
}

#[tokio::test]
async fn a_repeated_event_is_dropped_alone_and_refused_in_bulk() {
    let story = Story::begins().await;
    for unique_id in ["m:1", "m:1", "m:2"] {
        assert_eq!(
            call(&story, "POST", "/api/events", KEY, event(unique_id))
                .await
                .0,
            202
        );
    }
    let received = story.sandbox.klaviyo.events_received();
    let ids: Vec<&str> = received.iter().map(|e| e.unique_id.as_str()).collect();
    assert_eq!(ids, ["m:1", "m:2"]);
    assert_eq!(received[0].profile.id, received[1].profile.id);

    let attributes = event("m:3")["data"]["attributes"].clone();
    let mut one = attributes.clone();
    let profile = one.as_object_mut().unwrap().remove("profile").unwrap();
    let bulk = |events: Vec<Value>| {
        let events: Vec<Value> = events
            .into_iter()
            .map(|a| json!({ "type": "event", "attributes": a }))
            .collect();
        json!({ "data": { "type": "event-bulk-create-job", "attributes": { "events-bulk-create": {
            "data": [{ "type": "event-bulk-create", "attributes": {
                "profile": profile, "events": { "data": events },
            } }],
        } } } })
    };
    let path = "/api/event-bulk-create-jobs";
    let doubled = bulk(vec![one.clone(), one.clone()]);
    assert_eq!(call(&story, "POST", path, KEY, doubled).await.0, 400);
    assert_eq!(
        call(&story, "POST", path, KEY, bulk(vec![one])).await.0,
        202
    );
    assert_eq!(story.sandbox.klaviyo.events_received().len(), 3);
}

#[tokio::test]
async fn wrong_fields_are_named_by_pointer() {
    let story = Story::begins().await;
    let mut odd = event("1");
    odd["data"]["attributes"]["shoe_size"] = json!(43);
    let (status, answer) = call(&story, "POST", "/api/events", KEY, odd).await;
    assert_eq!(status, 400);
    assert_eq!(
        answer["errors"][0]["source"]["pointer"],
        "/data/attributes/shoe_size"
    );
    let mut nobody = event("1");
    nobody["data"]["attributes"]["profile"]["data"]["attributes"] = json!({});
    assert_eq!(
        call(&story, "POST", "/api/events", KEY, nobody).await.0,
        400
    );
    let mut unnamed = event("1");
    unnamed["data"]["attributes"]["metric"]["data"]["attributes"]["name"] = json!("");
    assert_eq!(
        call(&story, "POST", "/api/events", KEY, unnamed).await.0,
        400
    );
}

#[tokio::test]
async fn members_come_in_pages_and_only_entrants_can_be_asked_for() {
    let story = Story::begins().await;
    let klaviyo = &story.sandbox.klaviyo;
    let profiles: Vec<_> = (0..3)
        .map(|i| klaviyo.profile(&format!("p{i}@example.com")).unwrap())
        .collect();
    let id = klaviyo.segment("VIP", &profiles).unwrap();
    story.clock.advance(MINUTE);
    let late = klaviyo.profile("late@example.com").unwrap();
    klaviyo.enters_segment(&late, "VIP").unwrap();

    let path = format!("/api/segments/{id}/profiles?page[size]=3&sort=joined_group_at");
    let (_, first) = call(&story, "GET", &path, KEY, Value::Null).await;
    assert_eq!(first["data"].as_array().unwrap().len(), 3);
    let next = first["links"]["next"].as_str().unwrap();
    let next = next.strip_prefix(&klaviyo.url()).unwrap();
    let (_, rest) = call(&story, "GET", next, KEY, Value::Null).await;
    assert_eq!(rest["data"][0]["attributes"]["email"], "late@example.com");
    assert_eq!(rest["links"]["next"], Value::Null);

    let since = crate::clock::rfc3339(story.clock.now());
    let path = format!(
        "/api/segments/{id}/profiles?filter=greater-or-equal(joined_group_at,{since})&fields[profile]=email"
    );
    let (_, entered) = call(&story, "GET", &path, KEY, Value::Null).await;
    assert_eq!(entered["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        entered["data"][0]["attributes"],
        json!({ "email": "late@example.com" })
    );

    for wrong in [
        "page[size]=101",
        "include=lists",
        "filter=equals(name,\"x\")",
        "sort=email",
    ] {
        let path = format!("/api/segments/{id}/profiles?{wrong}");
        assert_eq!(
            call(&story, "GET", &path, KEY, Value::Null).await.0,
            400,
            "{wrong}"
        );
    }
    let too_many = "/api/segments?page[size]=11";
    assert_eq!(call(&story, "GET", too_many, KEY, Value::Null).await.0, 400);
    assert_eq!(
        call(
            &story,
            "GET",
            "/api/segments/none/profiles",
            KEY,
            Value::Null
        )
        .await
        .0,
        404
    );
}

#[tokio::test]
async fn tiers_limit_calls_unless_switched_off() {
    let story = Story::begins().await;
    assert_eq!(
        call(&story, "GET", "/api/accounts", KEY, Value::Null)
            .await
            .0,
        200
    );
    let (status, answer) = call(&story, "GET", "/api/accounts", KEY, Value::Null).await;
    assert_eq!(
        (status, &answer["errors"][0]["code"]),
        (429, &json!("throttled"))
    );
    story.clock.advance(1_000);
    assert_eq!(
        call(&story, "GET", "/api/accounts", KEY, Value::Null)
            .await
            .0,
        200
    );
    story.sandbox.klaviyo.rate_limits(false);
    for _ in 0..20 {
        assert_eq!(
            call(&story, "GET", "/api/accounts", KEY, Value::Null)
                .await
                .0,
            200
        );
    }
}

#[tokio::test]
async fn system_webhooks_are_for_oauth_apps_and_signed_by_the_recipe() {
    let story = Story::begins().await;
    let klaviyo = &story.sandbox.klaviyo;
    klaviyo.rate_limits(false);
    let topic = "event:api.viewed_product";
    let hook = |secret: &str| {
        json!({ "data": {
            "type": "webhook",
            "attributes": { "name": "Pagecast", "endpoint_url": story.inbox.url, "secret_key": secret },
            "relationships": { "webhook-topics": { "data": [{ "type": "webhook-topic", "id": topic }] } },
        } })
    };
    let secret = "0123456789abcdef0123456789abcdef";
    assert_eq!(
        call(&story, "POST", "/api/webhooks", KEY, hook(secret))
            .await
            .0,
        403
    );
    let auth = bearer(&story).await;
    assert_eq!(
        call(&story, "POST", "/api/webhooks", &auth, hook("short"))
            .await
            .0,
        400
    );
    let (status, made) = call(&story, "POST", "/api/webhooks", &auth, hook(secret)).await;
    assert_eq!(status, 201, "{made}");

    let ana = klaviyo.profile("ana@example.com").unwrap();
    klaviyo.system_event(topic, &ana, Map::new()).unwrap();
    klaviyo
        .system_event("event:klaviyo.opened_email", &ana, Map::new())
        .unwrap();
    klaviyo.settled().await;
    let letters = story.inbox.letters();
    assert_eq!(letters.len(), 1, "only the topic that was asked for");
    let (headers, body) = &letters[0];
    let timestamp = headers["klaviyo-timestamp"].to_str().unwrap();
    let signed = [body.as_slice(), timestamp.as_bytes()].concat();
    assert_eq!(
        headers["klaviyo-signature"],
        hmac_hex(secret, &signed).as_str()
    );
    let told = &story.inbox.bodies()[0];
    assert_eq!(told["meta"]["klaviyo_webhook_id"], made["data"]["id"]);
    let profile = &told["data"][0]["payload"]["data"]["relationships"]["profile"]["data"]["id"];
    assert_eq!(*profile, ana.id.as_str());
}

#[tokio::test]
async fn after_the_uninstall_the_refresh_token_is_an_invalid_grant() {
    let story = Story::begins().await;
    let auth = bearer(&story).await;
    assert_eq!(
        call(&story, "GET", "/api/accounts", &auth, Value::Null)
            .await
            .0,
        200
    );
    story.sandbox.klaviyo.uninstalls().unwrap();
    assert_eq!(
        call(&story, "GET", "/api/accounts", &auth, Value::Null)
            .await
            .0,
        401
    );
    let answer = story
        .http
        .post(format!("{}/oauth/token", story.sandbox.klaviyo.url()))
        .basic_auth("sandbox-klaviyo-client", Some("sandbox-klaviyo-secret"))
        .form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", "refresh-1"),
        ]);
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("invalid_grant"));
}

#[tokio::test]
async fn a_flow_posts_with_the_merchants_header_line() {
    let story = Story::begins().await;
    let klaviyo = &story.sandbox.klaviyo;
    let body = json!({ "event": "vip", "email": "ana@example.com" });
    klaviyo
        .calls_flow_webhook(&story.inbox.url, "X-Pagecast-Key: k1", &body)
        .unwrap();
    klaviyo.settled().await;
    let (headers, _) = &story.inbox.letters()[0];
    assert_eq!(headers["x-pagecast-key"], "k1");
    assert!(headers.contains_key("x-klaviyo-flow-id"));
}

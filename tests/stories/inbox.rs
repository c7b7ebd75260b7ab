//! What comes in: the doors of the webhooks, and what each event means.

use hmac::{Hmac, Mac};
use pagecast::automations;
use pagecast::opt_ins::{self, Link, NewLink};
use pagecast::store::page::Cursor;
use pagecast::subscribers::{self, Filter, Known, Subscriber};
use pagecast::webhooks;
use pagecast::workspaces;
use secrecy::ExposeSecret;
use serde_json::json;
use sha2::Sha256;

use crate::story;
use crate::support::Story;
use crate::support::story::{PAGE, SHOP};

fn hmac(secret: &str, body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) async fn meta_says(story: &Story, body: Vec<u8>) -> u16 {
    let secret = story.app.config.meta.app_secret.clone().unwrap();
    let signature = hex::encode(hmac(secret.expose_secret(), &body));
    let request = story.http.post(format!("{}/webhooks/meta", story.url));
    let request = request.header("X-Hub-Signature-256", format!("sha256={signature}"));
    request.body(body).send().await.unwrap().status().as_u16()
}

pub(crate) async fn shopify_says(
    story: &Story,
    topic: &str,
    id: &str,
    at: &str,
    body: Vec<u8>,
) -> u16 {
    use base64::Engine;
    let secret = story.app.config.shopify.api_secrets[0].clone();
    let signature =
        base64::engine::general_purpose::STANDARD.encode(hmac(secret.expose_secret(), &body));
    let request = story.http.post(format!("{}/webhooks/shopify", story.url));
    let request = request
        .header("X-Shopify-Hmac-Sha256", signature)
        .header("X-Shopify-Shop-Domain", SHOP)
        .header("X-Shopify-API-Version", "2026-10")
        .header("X-Shopify-Triggered-At", at)
        .header("X-Shopify-Webhook-Id", id)
        .header("Content-Type", "text/plain");
    let request = match topic {
        "" => request,
        topic => request.header("X-Shopify-Topic", topic),
    };
    request.body(body).send().await.unwrap().status().as_u16()
}

async fn kept(story: &Story) -> Vec<webhooks::Kept> {
    webhooks::list(&story.app, None, false, Cursor::default())
        .await
        .unwrap()
        .rows
}

async fn link(story: &Story, known: Known, checkout_token: Option<String>) -> Link {
    let new = NewLink {
        name: "Thank-you page".to_owned(),
        source: "checkout".to_owned(),
        consent_text: None,
        known,
        checkout_token,
    };
    opt_ins::create_link(&story.app, story.workspace, new)
        .await
        .unwrap()
}

async fn everybody(story: &Story) -> Vec<Subscriber> {
    let filter = Filter::default();
    let list = subscribers::list(&story.app, story.workspace, &filter, Cursor::default());
    list.await.unwrap().rows
}

async fn comes_and_accepts(story: &Story, link: &Link, name: &str) -> pagecast::sandbox::Person {
    let person = story.sandbox.meta.person(name);
    story.sandbox.meta.follows(&person, &link.url).unwrap();
    story.settles().await;
    story.sandbox.meta.taps_card(&person).unwrap();
    story.settles().await;
    person
}

async fn runs(story: &Story) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM runs")
        .fetch_one(story.app.db.pool())
        .await
        .unwrap()
}

async fn automation(story: &Story, trigger: serde_json::Value) {
    let steps = json!([{"wait_minutes": 60, "message": {"kind": "text", "text": "Hello"}}]);
    let draft = automations::Draft {
        name: "Flow".to_owned(),
        trigger: serde_json::from_value(trigger).unwrap(),
        steps: serde_json::from_value(steps).unwrap(),
        stop_on_order: true,
        status: "on".to_owned(),
    };
    automations::create(&story.app, story.workspace, draft)
        .await
        .unwrap();
}

story! {
    async fn a_tap_becomes_a_consent_and_stop_means_stop(story: &mut Story) {
        story.sandbox.meta.doubles_webhooks(true);
        let link = link(story, Known::default(), None).await;
        let ana = comes_and_accepts(story, &link, "Ana Lima").await;
        let [person] = everybody(story).await.try_into().unwrap();
        let id = person.id;
        assert_eq!(person.status, subscribers::Status::Subscribed);
        assert_eq!(person.source.as_deref(), Some("checkout"));
        let ledger = subscribers::ledger(&story.app, story.workspace, id).await.unwrap();
        assert_eq!(ledger.len(), 1);
        assert!(ledger[0].text_shown.as_deref().unwrap().contains(&link.consent_text));
        assert!(ledger[0].text_shown.as_deref().unwrap().contains("Harbour Coffee"));

        story.clock.advance(60_000);
        story.sandbox.meta.writes(&ana, " Stop. ").unwrap();
        story.settles().await;
        let now = subscribers::find(&story.app, story.workspace, id).await.unwrap().unwrap();
        assert_eq!(now.status, subscribers::Status::OptedOut);
        let heard = story.heard(&ana);
        assert_eq!(heard.iter().filter(|text| text.contains("no more messages")).count(), 1, "{heard:?}");

        story.clock.advance(60_000);
        story.sandbox.meta.writes(&ana, "START").unwrap();
        story.settles().await;
        let now = subscribers::find(&story.app, story.workspace, id).await.unwrap().unwrap();
        assert_eq!(now.status, subscribers::Status::Subscribed);

        story.clock.advance(60_000);
        story.sandbox.meta.stops(&ana).unwrap();
        story.settles().await;
        let now = subscribers::find(&story.app, story.workspace, id).await.unwrap().unwrap();
        assert_eq!(now.status, subscribers::Status::OptedOut);
        let ledger = subscribers::ledger(&story.app, story.workspace, id).await.unwrap();
        let means: Vec<&str> = ledger.iter().map(|row| row.means.as_str()).collect();
        assert_eq!(means, ["webhook", "keyword", "keyword", "card"]);
    }
}

story! {
    async fn a_stop_that_comes_late_does_not_undo_a_newer_decision(story: &mut Story) {
        let link = link(story, Known::default(), None).await;
        let ana = comes_and_accepts(story, &link, "Ana Lima").await;
        let event = |at: i64, status: &str| json!({"object": "page", "entry": [{"id": PAGE, "time": at,
            "messaging": [{"sender": {"id": ana.psid}, "recipient": {"id": PAGE}, "timestamp": at,
            "optin": {"type": "notification_messages", "notification_messages_token": "t",
                      "notification_messages_status": status}}]}]}).to_string().into_bytes();
        let (before, after) = (story.now() - 60_000, story.now() + 60_000);
        story.clock.advance(120_000);
        assert_eq!(meta_says(story, event(before, "STOP NOTIFICATIONS")).await, 200);
        story.settles().await;
        assert_eq!(everybody(story).await[0].status, subscribers::Status::Subscribed);
        assert_eq!(meta_says(story, event(after, "STOP_NOTIFICATIONS")).await, 200);
        story.settles().await;
        assert_eq!(everybody(story).await[0].status, subscribers::Status::OptedOut);
    }
}

story! {
    async fn what_is_not_signed_leaves_no_trace_and_what_cannot_be_read_is_kept(story: &mut Story) {
        let before = kept(story).await.len();
        for path in ["meta", "shopify", "shopify/compliance", "klaviyo/ws_0000000000001",
                     "klaviyo/nonsense/flow", &format!("klaviyo/{}/flow", story.workspace),
                     &format!("klaviyo/{}", story.workspace)] {
            let url = format!("{}/webhooks/{path}", story.url);
            let post = story.http.post(&url).header("X-Hub-Signature-256", "sha256=00");
            assert_eq!(post.body("{}").send().await.unwrap().status(), 401, "{path}");
            let put = story.http.put(&url).send().await.unwrap();
            assert_eq!(put.status(), 405, "{path}");
        }
        assert_eq!(kept(story).await.len(), before);

        let limit = 5 * 1024 * 1024;
        assert_eq!(meta_says(story, vec![b' '; limit + 1]).await, 413);
        assert_eq!(meta_says(story, vec![b' '; limit]).await, 200);
        assert_eq!(meta_says(story, b"{\"object\":\"instagram\"}".to_vec()).await, 404);
        assert_eq!(meta_says(story, b"\xff\0 garbage".to_vec()).await, 200);
        assert_eq!(shopify_says(story, "", "w0", "", b"{}".to_vec()).await, 400);
        assert_eq!(shopify_says(story, "orders/create", "w1", "", b"[1".to_vec()).await, 200);
        assert_eq!(shopify_says(story, "orders/create", "w1", "", b"[1".to_vec()).await, 200);
        assert_eq!(shopify_says(story, "themes/publish", "w2", "", b"{}".to_vec()).await, 200);
        story.settles().await;

        let rows = kept(story).await;
        assert_eq!(rows.len(), before + 4);
        assert!(rows.iter().all(|row| row.processed_at.is_some()));
        let failed = webhooks::list(&story.app, None, true, Cursor::default()).await.unwrap().rows;
        assert_eq!(failed.len(), 3);
        let order = failed.iter().find(|row| row.topic == "orders/create").unwrap();
        let own = webhooks::find(&story.app, Some(story.workspace), order.id).await.unwrap().unwrap();
        assert_eq!(own.payload.as_deref(), Some("[1"));
        assert!(webhooks::replay(&story.app, Some(story.workspace), order.id).await.unwrap());
        let open = webhooks::find(&story.app, None, order.id).await.unwrap().unwrap();
        assert_eq!((open.processed_at, open.error), (None, None));
        story.settles().await;
        let again = webhooks::find(&story.app, None, order.id).await.unwrap().unwrap();
        assert!(again.error.is_some());
    }
}

story! {
    async fn meta_shakes_hands_only_with_our_token(story: &mut Story) {
        story.sandbox.meta.verifies_webhooks().await.unwrap();
        let url = format!("{}/webhooks/meta?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1", story.url);
        assert_eq!(story.http.get(url).send().await.unwrap().status(), 403);
    }
}

story! {
    async fn an_erased_customer_cannot_be_found_anywhere(story: &mut Story) {
        let shopper = story.sandbox.shopify.customer("Zuzanna", "Wyrwidab", "zuza@dab.example").unwrap();
        story.settles().await;
        let known = Known { customer_id: Some(shopper.id.to_string()), ..Known::default() };
        let link = link(story, known, None).await;
        let zuza = comes_and_accepts(story, &link, "Zuzanna Wyrwidab").await;
        let person = everybody(story).await.remove(0);
        assert_eq!(person.first_name.as_deref(), Some("Zuzanna"));
        story.sandbox.meta.writes(&zuza, "Is Zuzanna's order here?").unwrap();
        story.sandbox.shopify.pays(&shopper, "12.00", None, &[], None).unwrap();
        story.settles().await;
        let path = format!("/subscribers/{}/tags", person.id);
        let tagged = story
            .call(reqwest::Method::POST, &path, Some(json!({"add": ["vip"]})), &[("Idempotency-Key", "k")])
            .await;
        assert_eq!(tagged.status, 200, "{tagged:?}");
        assert!(found(story, "Zuzanna").await.contains(&"idempotency_keys.body".to_owned()));

        story.sandbox.shopify.data_request(&shopper).unwrap();
        story.settles().await;
        story.sandbox.shopify.redacts(&shopper).unwrap();
        story.settles().await;
        for needle in ["Zuzanna", "Wyrwidab", "zuza@dab.example", zuza.psid.as_str()] {
            assert_eq!(found(story, needle).await, Vec::<String>::new(), "{needle}");
        }
        let done: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM privacy_requests WHERE done_at IS NOT NULL",
        ).fetch_one(story.app.db.pool()).await.unwrap();
        assert_eq!(done, 2);
        let orders: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM orders")
            .fetch_one(story.app.db.pool()).await.unwrap();
        assert_eq!(orders, 1, "figures stay");
    }
}

/// Every column of text in which the needle stands.
async fn found(story: &Story, needle: &str) -> Vec<String> {
    const COLUMNS: &[(&str, &str)] = &[
        ("webhooks", "payload"),
        ("webhooks", "error"),
        ("webhooks", "external_id"),
        ("seen_events", "event_key"),
        ("subscribers", "psid"),
        ("subscribers", "token"),
        ("subscribers", "first_name"),
        ("subscribers", "last_name"),
        ("consents", "event_key"),
        ("consents", "text_shown"),
        ("customers", "first_name"),
        ("customers", "last_name"),
        ("opt_in_links", "name"),
        ("messages", "content"),
        ("messages", "detail"),
        ("attempts", "detail"),
        ("runs", "context"),
        ("runs", "trigger_ref"),
        ("checkouts", "url"),
        ("klaviyo_outbox", "properties"),
        ("klaviyo_outbox", "unique_id"),
        ("privacy_requests", "detail"),
        ("privacy_requests", "external_ref"),
        ("privacy_requests", "export_sealed"),
        ("idempotency_keys", "body"),
        ("orders", "name"),
    ];
    let mut places = Vec::new();
    for (table, column) in COLUMNS {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE {column} LIKE $1");
        let hits: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(format!("%{needle}%"))
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        if hits > 0 {
            places.push(format!("{table}.{column}"));
        }
    }
    places
}

story! {
    async fn a_checkout_left_before_or_after_the_opt_in_is_brought_up_once(story: &mut Story) {
        automation(story, json!({"kind": "checkout_abandoned", "after_minutes": 30})).await;
        let shopper = story.sandbox.shopify.customer("Ben", "Osei", "ben@osei.example").unwrap();
        let item = pagecast::sandbox::Item::new("Winter Blend", "14.00", 2);
        let before = story.sandbox.shopify.abandons_checkout(&shopper, std::slice::from_ref(&item)).unwrap();
        story.settles().await;
        assert_eq!(runs(story).await, 0, "nobody is subscribed yet");
        let link = link(story, Known::default(), Some(before.clone())).await;
        comes_and_accepts(story, &link, "Ben Osei").await;
        assert_eq!(runs(story).await, 1);
        assert_eq!(everybody(story).await[0].customer_id, Some(shopper.id.to_string()));

        story.sandbox.shopify.updates_checkout(&before).unwrap();
        story.sandbox.shopify.abandons_checkout(&shopper, &[item]).unwrap();
        story.settles().await;
        assert_eq!(runs(story).await, 2);
    }
}

story! {
    async fn klaviyo_events_and_flows_find_the_subscriber(story: &mut Story) {
        automation(story, json!({"kind": "klaviyo_flow", "event": "Price drop"})).await;
        let known = Known { email: Some("cy@doe.example".to_owned()), ..Known::default() };
        let link = link(story, known, None).await;
        comes_and_accepts(story, &link, "Cy Doe").await;
        let profile = story.sandbox.klaviyo.profile("cy@doe.example").unwrap();

        let key = workspaces::flow_key(&story.app, story.workspace).await.unwrap();
        let line = format!("X-Pagecast-Key: {}", key.expose_secret());
        let url = format!("{}/webhooks/klaviyo/{}/flow", story.url, story.workspace);
        let call = json!({"event": "Price drop", "profile_id": profile.id, "properties": {"product": "Mug"}});
        for _ in 0..3 {
            story.sandbox.klaviyo.calls_flow_webhook(&url, &line, &call).unwrap();
            story.settles().await;
        }
        assert_eq!(runs(story).await, 1, "a repeat within the day is a repeat");
        assert_eq!(everybody(story).await[0].klaviyo_profile_id.as_deref(), Some(profile.id.as_str()));
        story.clock.advance(26 * 3_600_000);
        story.sandbox.klaviyo.calls_flow_webhook(&url, &line, &call).unwrap();
        // A body without its event is kept, and answered.
        story.sandbox.klaviyo.calls_flow_webhook(&url, &line, &json!({"email": "cy@doe.example"})).unwrap();
        story.settles().await;
        let failed = webhooks::list(&story.app, Some(story.workspace), true, Cursor::default()).await.unwrap();
        assert_eq!(failed.rows.len(), 1);
        assert!(failed.rows[0].error.as_deref().unwrap().contains("event"));
    }
}

story! {
    async fn a_klaviyo_event_of_an_unknown_profile_is_recognised_by_its_address(story: &mut Story) {
        automation(story, json!({"kind": "klaviyo_event", "metric": "Viewed Product"})).await;
        let known = Known { email: Some("cy@doe.example".to_owned()), ..Known::default() };
        let link = link(story, known, None).await;
        comes_and_accepts(story, &link, "Cy Doe").await;
        let cy = story.sandbox.klaviyo.profile("cy@doe.example").unwrap();
        let dan = story.sandbox.klaviyo.profile("dan@doe.example").unwrap();
        webhook_secret(story, "0123456789abcdef0123456789abcdef").await;

        let event = |id: &str, topic: &str, profile: &str| json!({"external_id": id, "topic": topic,
            "payload": {"data": {"type": "event", "id": id, "attributes": {
                "datetime": "2026-11-24T09:59:00+00:00", "event_properties": {"product": "Mug"}},
            "relationships": {"profile": {"data": {"type": "profile", "id": profile}}}}}});
        let batch = |events: Vec<serde_json::Value>| json!({"data": events,
            "meta": {"klaviyo_webhook_id": "hook"}}).to_string().into_bytes();
        let viewed = event("e1", "event:api.viewed_product", &cy.id);
        let first = batch(vec![viewed.clone(), event("e2", "event:api.viewed_product", &dan.id),
                               event("e3", "event:api.opened_email", &cy.id)]);
        assert_eq!(klaviyo_says(story, "hook", first).await, 200);
        story.settles().await;
        assert_eq!(runs(story).await, 1);
        // The same event in another batch, then a new one.
        assert_eq!(klaviyo_says(story, "hook", batch(vec![viewed])).await, 200);
        let next = batch(vec![event("e4", "event:api.viewed_product", &cy.id)]);
        assert_eq!(klaviyo_says(story, "hook", next.clone()).await, 200);
        assert_eq!(klaviyo_says(story, "another", next).await, 401);
        // The signature says whose it is, whatever Klaviyo calls the webhook, or whether it does.
        let renamed = br#"{"data":[],"meta":{"klaviyo_webhook_id":"renamed"}}"#.to_vec();
        assert_eq!(klaviyo_says(story, "renamed", renamed).await, 200);
        let nameless = br#"{"data":[],"meta":{}}"#.to_vec();
        assert_eq!(klaviyo_says(story, "hook", nameless).await, 200);
        story.settles().await;
        assert_eq!(runs(story).await, 2);
        assert_eq!(everybody(story).await[0].klaviyo_profile_id.as_deref(), Some(cy.id.as_str()));
    }
}

/// As if Klaviyo had taken our webhook (it wants an https address, which no story has).
async fn webhook_secret(story: &Story, secret: &str) {
    let context = format!("klaviyo_accounts.webhook_secret:{}", story.workspace);
    let sealed = story.app.keys.seal(&context, secret).unwrap();
    sqlx::query(
        "UPDATE klaviyo_accounts SET webhook_id = 'hook', webhook_secret_sealed = $1
         WHERE workspace_id = $2",
    )
    .bind(sealed)
    .bind(story.workspace)
    .execute(story.app.db.pool())
    .await
    .unwrap();
}

async fn klaviyo_says(story: &Story, webhook: &str, body: Vec<u8>) -> u16 {
    let timestamp = "Tue, 24 Nov 2026 15:00:00 GMT";
    let signed = [&body, timestamp.as_bytes()].concat();
    let signature = hex::encode(hmac("0123456789abcdef0123456789abcdef", &signed));
    let request = story.http.post(format!(
        "{}/webhooks/klaviyo/{}",
        story.url, story.workspace
    ));
    let request = request
        .header("Klaviyo-Webhook-Id", webhook)
        .header("Klaviyo-Timestamp", timestamp)
        .header("Klaviyo-Signature", signature);
    request.body(body).send().await.unwrap().status().as_u16()
}

story! {
    async fn a_late_notice_does_not_remove_a_newer_installation(story: &mut Story) {
        let body = json!({"myshopify_domain": SHOP}).to_string().into_bytes();
        shopify_says(story, "app/uninstalled", "u1", "2026-11-01T00:00:00Z", body.clone()).await;
        story.settles().await;
        assert!(workspaces::shop(&story.app, story.workspace).await.unwrap().is_some());
        let other = json!({"myshopify_domain": "other.myshopify.com"}).to_string().into_bytes();
        shopify_says(story, "app/uninstalled", "u2", "2026-12-01T00:00:00Z", other).await;
        story.settles().await;
        assert!(workspaces::shop(&story.app, story.workspace).await.unwrap().is_some());
        shopify_says(story, "app/uninstalled", "u3", "2026-12-01T00:00:00Z", body).await;
        story.settles().await;
        assert!(workspaces::shop(&story.app, story.workspace).await.unwrap().is_none());
    }
}

story! {
    async fn landing_pages_and_their_codes_lead_to_the_chat(story: &mut Story) {
        let link = link(story, Known::default(), None).await;
        let page = story.http.get(&link.landing_url).send().await.unwrap();
        assert_eq!(page.status(), 200);
        let html = page.text().await.unwrap();
        assert!(html.contains(&link.url) && html.contains("Harbour Coffee") && html.contains("STOP"));
        let svg = story.http.get(&link.qr_svg_url).send().await.unwrap();
        assert_eq!(svg.headers()["content-type"], "image/svg+xml");
        let png = story.http.get(format!("{}/qr.png", link.landing_url)).send().await.unwrap();
        assert_eq!(png.headers()["content-type"], "image/png");
        assert!(png.bytes().await.unwrap().starts_with(b"\x89PNG"));
        for missing in ["/s/nothing-here", "/s/nothing-here/qr.svg", "/c/AAAA"] {
            let answer = story.http.get(format!("{}{missing}", story.url)).send().await.unwrap();
            assert_eq!(answer.status(), 404, "{missing}");
            assert!(answer.text().await.unwrap().contains("<h1>"));
        }
    }
}

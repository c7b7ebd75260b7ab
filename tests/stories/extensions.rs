//! The extensions in the shop: the block on the thank-you and order-status pages, and the web pixel.

use pagecast::clock::MINUTE;
use pagecast::sandbox::Item;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::story;
use crate::support::Story;
use crate::support::story::{FORMER_SECRET, PAGE, SHOP};

/// The block asks, with the token that the page of this buyer hands it.
async fn asks(story: &Story, customer: Option<i64>, body: &Value) -> Value {
    let token = story
        .sandbox
        .shopify
        .of(SHOP)
        .buyer_token(customer)
        .unwrap();
    let answer = posts(story, "opt-in", Some(&token), body.to_string()).await;
    assert_eq!(answer.status(), 200);
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

async fn posts(story: &Story, path: &str, token: Option<&str>, body: String) -> Response {
    let call = story
        .http
        .post(format!("{}/extensions/{path}", story.url))
        .body(body);
    let call = match token {
        Some(token) => call.bearer_auth(token),
        None => call,
    };
    let answer = call.send().await.unwrap();
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    answer
}

/// The pixel reports; the answer is the same whatever it says.
async fn reports(story: &Story, body: Value) {
    let answer = posts(story, "pixel", None, body.to_string()).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.text().await.unwrap(), "");
}

/// Somebody follows the link of a broadcast; the click's id.
async fn clicks(story: &mut Story, name: &str) -> String {
    let ana = story.subscriber(name).await;
    story.broadcasts("Ten percent off").await;
    let link = story.sent_to(&ana).last().unwrap().links[0].clone();
    let location = story.clicks(&link).await;
    let query = location.split_once('?').unwrap().1.to_owned();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .into_owned()
        .find(|(key, _)| key == "pc_click")
        .unwrap()
        .1
}

async fn attribution(story: &Story, order: i64) -> Value {
    let orders = story.get("/orders").await;
    let rows = orders.body["data"].as_array().unwrap().clone();
    let mut rows = rows.into_iter();
    let id = format!("#{order}");
    let found = rows.find(|row| row["name"] == id.as_str()).unwrap();
    found["attribution"].clone()
}

async fn hints(story: &Story) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM pixel_hints")
        .fetch_one(story.app.db.pool())
        .await
        .unwrap()
}

story! {
    async fn a_buyer_signs_up_on_the_thank_you_page_and_is_the_shops_customer(story: &mut Story) {
        let shopify = story.sandbox.shopify.of(SHOP);
        let bea = shopify.customer("Bea", "Lind", "bea@example.com").unwrap();
        let checkout = shopify.abandons_checkout(&bea, &[Item::new("Mug", "16.00", 1)]).unwrap();
        let order = shopify.pays(&bea, "16.00", None, &[], Some(&checkout)).unwrap();
        story.settles().await;
        let body = json!({"order_id": format!("gid://shopify/OrderIdentity/{order}"),
            "checkout_token": checkout, "locale": "de-DE"});
        let way = asks(story, None, &body).await;
        assert_eq!(way["state"], "ready");
        assert_eq!(way["page"], "Harbour Coffee");
        assert!(way["consent_text"].as_str().unwrap().starts_with("Ja, schickt mir"));
        let url = way["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with(&format!("https://m.me/{PAGE}?ref=")));
        assert_eq!(asks(story, None, &body).await["url"], url, "however often they look");
        let mut own = body.clone();
        own["consent_text"] = json!("  Send me the Harbour letter.  ");
        let own = asks(story, None, &own).await;
        assert_eq!(own["consent_text"], "Send me the Harbour letter.", "the merchant's words");
        assert_ne!(own["url"], url);

        let person = story.sandbox.meta.person("Bea Lind");
        story.sandbox.meta.follows(&person, own["url"].as_str().unwrap()).unwrap();
        story.settles().await;
        story.sandbox.meta.taps_card(&person).unwrap();
        story.settles().await;
        let id = story.id_of(&person).await;
        let subscriber = story.get(&format!("/subscribers/{id}")).await.body;
        assert_eq!(subscriber["source"], "checkout", "{subscriber}");
        let (customer, shown): (String, String) = sqlx::query_as(
            "SELECT s.customer_id, c.text_shown FROM subscribers s
             JOIN consents c ON c.subscriber_id = s.id AND c.action = 'opted_in'
             WHERE s.workspace_id = $1")
            .bind(story.workspace)
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert_eq!(customer, bea.id.to_string());
        assert!(shown.starts_with("Send me the Harbour letter."), "{shown}");
        assert_eq!(asks(story, None, &body).await, json!({"state": "subscribed"}));
        assert_eq!(asks(story, Some(bea.id), &json!({})).await, json!({"state": "subscribed"}));
    }
}

story! {
    async fn an_order_is_believed_only_of_whoever_bought_it(story: &mut Story) {
        let shopify = story.sandbox.shopify.of(SHOP);
        let bea = shopify.customer("Bea", "Lind", "bea@example.com").unwrap();
        let cleo = shopify.customer("Cleo", "Marsh", "cleo@example.com").unwrap();
        let order = shopify.pays(&bea, "16.00", None, &[], None).unwrap();
        story.settles().await;
        let gid = format!("gid://shopify/Order/{order}");
        let everybodys = asks(story, None, &json!({})).await["url"].clone();
        // A counted number, a made-up token, another's order, no order at all.
        for (who, body) in [
            (None, json!({"order_id": gid})),
            (None, json!({"order_id": gid, "checkout_token": "guessed", "consent_text": "Mine"})),
            (None, json!({"order_id": "gid://shopify/Order/1"})),
            (None, json!({"order_id": "nonsense", "checkout_token": "x".repeat(5_000)})),
        ] {
            assert_eq!(asks(story, who, &body).await["url"], everybodys, "{body}");
        }
        let cleos = asks(story, Some(cleo.id), &json!({"order_id": gid})).await;
        let known: Vec<Option<String>> = sqlx::query_scalar(
            "SELECT customer_id FROM opt_in_links WHERE workspace_id = $1 AND customer_id IS NOT NULL")
            .bind(story.workspace)
            .fetch_all(story.app.db.pool())
            .await
            .unwrap();
        assert_eq!(known, [Some(cleo.id.to_string())], "her own token says who she is: {cleos}");

        // Shopify is down: the checkout that its own webhook told of is proof as well.
        let checkout = shopify.abandons_checkout(&bea, &[Item::new("Mug", "16.00", 1)]).unwrap();
        story.settles().await;
        shopify.is_down(true);
        let way = asks(story, None, &json!({"order_id": gid, "checkout_token": checkout})).await;
        assert_ne!(way["url"], everybodys);
        let way = asks(story, None, &json!({"order_id": gid, "checkout_token": "guessed"})).await;
        assert_eq!(way["url"], everybodys);
        shopify.is_down(false);
    }
}

story! {
    async fn only_a_buyers_token_opens_the_door_and_anybody_may_read_why(story: &mut Story) {
        let shopify = story.sandbox.shopify.of(SHOP);
        let preflight = story.http
            .request(Method::OPTIONS, format!("{}/extensions/opt-in", story.url))
            .header("origin", "null")
            .header("access-control-request-headers", "authorization,content-type")
            .send()
            .await
            .unwrap();
        assert_eq!(preflight.status(), 204);
        let headers = preflight.headers();
        assert_eq!(headers["access-control-allow-origin"], "*");
        assert_eq!(headers["access-control-allow-headers"], "Authorization, Content-Type");
        assert_eq!(headers["access-control-max-age"], "7200");

        let body = || json!({}).to_string();
        let token = shopify.buyer_token(None).unwrap();
        for given in [None, Some(""), Some("nonsense"), Some(&format!("{token}x"))] {
            let refused = posts(story, "opt-in", given.map(|token| token as &str), body()).await;
            assert_eq!(refused.status(), 401, "{given:?}");
        }
        let unreadable = posts(story, "opt-in", Some(&token), "{".to_owned()).await;
        assert_eq!(unreadable.status(), 400);
        let long = posts(story, "opt-in", Some(&token), "x".repeat(9_000)).await;
        assert_eq!(long.status(), 413);
        assert_eq!(posts(story, "elsewhere", Some(&token), body()).await.status(), 404);
        story.clock.advance(6 * MINUTE);
        assert_eq!(posts(story, "opt-in", Some(&token), body()).await.status(), 401, "too old");
        shopify.signs_with(FORMER_SECRET);
        let token = shopify.buyer_token(None).unwrap();
        assert_eq!(posts(story, "opt-in", Some(&token), body()).await.status(), 200);

        let strange = story.sandbox.shopify.installs("new-here.myshopify.com");
        let token = strange.buyer_token(None).unwrap();
        assert_eq!(posts(story, "opt-in", Some(&token), body()).await.status(), 404);
        story.http.get(format!("{}/app?{}", story.url, strange.embedded_query(1).unwrap()))
            .send().await.unwrap();
        let none = posts(story, "opt-in", Some(&token), body()).await;
        assert_eq!(none.text().await.unwrap(), r#"{"state":"none"}"#, "no Page yet");

        let token = shopify.buyer_token(None).unwrap();
        let mut answers = Vec::new();
        for _ in 0..220 {
            answers.push(posts(story, "opt-in", Some(&token), body()).await.status().as_u16());
        }
        assert!(answers.contains(&429), "a shop's bucket empties");
        story.clock.advance(MINUTE);
        assert_eq!(posts(story, "opt-in", Some(&token), body()).await.status(), 200);
    }
}

story! {
    async fn what_the_pixel_saw_counts_once_the_shop_tells_of_the_order(story: &mut Story) {
        let click = clicks(story, "Ana Silva").await;
        let shopify = story.sandbox.shopify.of(SHOP);
        let guest = shopify.customer("Gus", "Guest", "gus@example.com").unwrap();
        let checkout = shopify.abandons_checkout(&guest, &[Item::new("Mug", "16.00", 1)]).unwrap();
        let hint = json!({"account": story.workspace.to_string(), "event": "checkout_completed",
            "event_id": "sh-1", "click": click, "checkout_token": checkout, "order_id": "77"});
        reports(story, hint.clone()).await;
        reports(story, hint).await;
        assert_eq!(hints(story).await, 1, "told twice, kept once");
        story.settles().await;
        let none = story.get("/orders").await;
        assert_eq!(none.body["data"], json!([]), "a hint alone is no order");

        shopify.pays(&guest, "16.00", None, &[], Some(&checkout)).unwrap();
        story.settles().await;
        let credit = attribution(story, 1001).await;
        assert_eq!(credit["matched_by"], "pixel", "{credit}");

        // The other way round: the order is here, and the pixel is late.
        let checkout = shopify.abandons_checkout(&guest, &[Item::new("Mug", "16.00", 1)]).unwrap();
        let order = shopify.pays(&guest, "16.00", None, &[], Some(&checkout)).unwrap();
        story.settles().await;
        assert_eq!(attribution(story, 1002).await, Value::Null);
        reports(story, json!({"account": story.workspace.to_string(),
            "event": "checkout_completed", "event_id": "sh-2", "click": click,
            "order_id": format!("gid://shopify/Order/{order}")})).await;
        story.minutes_pass(2).await;
        assert_eq!(attribution(story, 1002).await["matched_by"], "pixel");
    }
}

story! {
    async fn what_is_made_up_is_not_kept(story: &mut Story) {
        let click = clicks(story, "Ana Silva").await;
        let ws = story.workspace.to_string();
        let other = pagecast::workspaces::create(&story.app, "Other").await.unwrap().to_string();
        let told = |changed: Value| {
            let mut told = json!({"account": ws, "event": "checkout_completed", "event_id": "e",
                "click": click, "checkout_token": "c"});
            for (key, value) in changed.as_object().unwrap() {
                told[key] = value.clone();
            }
            told
        };
        for changed in [
            json!({"account": other}),
            json!({"account": "nobody"}),
            json!({"click": "clk_0000000000001"}),
            json!({"click": "friend"}),
            json!({"event": "page_viewed"}),
            json!({"event_id": ""}),
            json!({"checkout_token": null}),
            json!({"checkout_token": "x".repeat(200)}),
        ] {
            reports(story, told(changed.clone())).await;
            assert_eq!(hints(story).await, 0, "{changed}");
        }
        for body in ["", "[]", "{}", "nonsense"] {
            let refused = posts(story, "pixel", None, body.to_owned()).await;
            assert_eq!(refused.status(), 400, "{body}");
        }
        assert_eq!(posts(story, "pixel", None, "x".repeat(9_000)).await.status(), 413);

        story.clock.advance(MINUTE);
        for i in 0..30 {
            reports(story, told(json!({"event_id": format!("e{i}")}))).await;
        }
        assert_eq!(hints(story).await, 20, "one click does not lead to thirty purchases");
        let mut answers = Vec::new();
        for _ in 0..220 {
            let body = told(json!({})).to_string();
            answers.push(posts(story, "pixel", None, body).await.status().as_u16());
        }
        assert!(answers.contains(&429), "an account's bucket empties");
        story.hours_pass(8 * 24).await;
        assert_eq!(hints(story).await, 0, "kept for a week");
    }
}

story! {
    async fn an_installed_shop_gets_its_pixel_once_and_again_after_it_was_removed(story: &mut Story) {
        let pine = story.sandbox.shopify.installs("hollow-pine.myshopify.com");
        story.http.get(format!("{}/app?{}", story.url, pine.embedded_query(7).unwrap()))
            .send().await.unwrap();
        assert_eq!(pine.pixel(), None);
        story.minutes_pass(1).await;
        let settings = pine.pixel().unwrap();
        assert!(settings["accountID"].as_str().unwrap().starts_with("ws_"));
        assert_eq!(settings["address"], format!("{}/extensions/pixel", story.url));
        assert_eq!(story.sandbox.shopify.of(SHOP).pixel(), None, "connected by hand: no app there");

        // Somebody else's settings are put right when our address has changed.
        sqlx::query("UPDATE shops SET pixel_address = 'https://old.example', pixel_due_at = 0
                     WHERE domain = 'hollow-pine.myshopify.com'")
            .execute(story.app.db.pool())
            .await
            .unwrap();
        story.minutes_pass(1).await;
        assert_eq!(pine.pixel(), Some(settings));
        let (address,): (String,) = sqlx::query_as(
            "SELECT pixel_address FROM shops WHERE domain = 'hollow-pine.myshopify.com'")
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert!(address.starts_with(&story.url));

        // Removed with the app, and back with it.
        pine.uninstalls().unwrap();
        story.settles().await;
        story.minutes_pass(5).await;
        assert_eq!(pine.pixel(), None);
        story.sandbox.shopify.installs("hollow-pine.myshopify.com");
        story.http.get(format!("{}/app?{}", story.url, pine.embedded_query(7).unwrap()))
            .send().await.unwrap();
        story.minutes_pass(15).await;
        assert!(pine.pixel().is_some());
    }
}

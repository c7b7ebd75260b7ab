//! What Meta refuses and what it tells, over HTTP on a steerable clock.

use serde_json::{Value, json};

use crate::clock::{DAY, HOUR, MINUTE};
use crate::sandbox::probe::{ACCOUNT, LOGIN_TOKEN, PAGE, PAGE_TOKEN, Story};
use crate::sandbox::signature::hmac_hex;

mod telling;

fn hello() -> Value {
    json!({ "text": "Hello" })
}

fn card() -> Value {
    json!({ "attachment": { "type": "template", "payload": {
        "template_type": "notification_messages", "title": "Café news",
        "notification_messages_cta_text": "SIGN_UP", "payload": "source-7",
    } } })
}

fn m_me(reference: &str) -> String {
    format!("https://m.me/{PAGE}?ref={reference}")
}

#[tokio::test]
async fn a_call_needs_a_token_and_a_proof_that_fits() {
    let story = Story::begins().await;
    let url = format!("{}/v26.0/{PAGE}", story.sandbox.meta.url());
    let without = story.http.get(&url).send().await.unwrap();
    assert_eq!(without.status(), 401);
    assert!(without.text().await.unwrap().contains("\"code\":190"));

    let forged = story
        .graph_get(PAGE_TOKEN, &format!("{PAGE}?appsecret_proof=00"))
        .await;
    assert_eq!(forged.error(), (100, 0));

    let proof = hmac_hex("sandbox-meta-app-secret", PAGE_TOKEN.as_bytes());
    let path = format!("{PAGE}?fields=id,name&appsecret_proof={proof}");
    let proven = story.graph_get(PAGE_TOKEN, &path).await;
    assert_eq!(proven.body, json!({ "id": PAGE, "name": "Harbour Coffee" }));
    assert!(proven.headers.contains_key("x-business-use-case-usage"));
}

#[tokio::test]
async fn parameters_and_fields_that_meta_does_not_have_are_refused() {
    let story = Story::begins().await;
    let ana = story.sandbox.meta.person("Ana Silva");
    story.sandbox.meta.writes(&ana, "hi").unwrap();
    let path = format!("{PAGE}/messages");
    let odd = json!({ "recipient": { "id": ana.psid }, "message": hello(), "priority": 1 });
    assert_eq!(story.graph(PAGE_TOKEN, &path, odd).await.error(), (100, 0));
    let legacy = json!({ "recipient": { "notification_messages_token": "1" }, "message": hello() });
    assert_eq!(
        story.graph(PAGE_TOKEN, &path, legacy).await.error(),
        (100, 0)
    );
    let button = json!({ "type": "web_url", "title": "Go", "link": "https://a.example" });
    let message = json!({ "attachment": { "type": "template", "payload": {
        "template_type": "button", "text": "Hi", "buttons": [button],
    } } });
    assert_eq!(story.sends(&ana.psid, message).await.error(), (100, 0));
    let field = story
        .graph_get(PAGE_TOKEN, &format!("{PAGE}?fields=shoe_size"))
        .await;
    assert_eq!(field.error(), (100, 0));
}

#[tokio::test]
async fn unknown_paths_are_404_and_remembered() {
    let story = Story::begins().await;
    let answer = story
        .graph_get(PAGE_TOKEN, &format!("{PAGE}/broadcasts"))
        .await;
    assert_eq!((answer.status, answer.error()), (404, (2500, 0)));
    let url = format!("{}/{PAGE}/messages", story.sandbox.meta.url());
    assert_eq!(story.http.post(url).send().await.unwrap().status(), 404);
    assert_eq!(story.sandbox.unknown_calls().len(), 2);
}

#[tokio::test]
async fn the_standard_channel_closes_24_hours_after_the_last_action() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    let ana = meta.person("Ana Silva");
    assert_eq!(
        story.sends(&ana.psid, hello()).await.error(),
        (10, 2_018_278)
    );
    meta.follows(&ana, &m_me("abc")).unwrap();
    assert_eq!(story.sends(&ana.psid, hello()).await.status, 200);
    story.clock.advance(DAY - MINUTE);
    assert_eq!(story.sends(&ana.psid, hello()).await.status, 200);
    story.clock.advance(MINUTE);
    assert_eq!(
        story.sends(&ana.psid, hello()).await.error(),
        (10, 2_018_278)
    );
    meta.reacts(&ana).unwrap();
    assert_eq!(story.sends(&ana.psid, hello()).await.status, 200);
    assert_eq!(story.sends("999", hello()).await.error(), (100, 2_018_001));
}

#[tokio::test]
async fn opting_in_goes_from_the_link_over_the_card_to_a_token() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    let ana = meta.person("Ana Silva");
    meta.follows(&ana, &m_me("tok.en")).unwrap();
    assert!(meta.taps_card(&ana).is_err());
    let sent = story.sends(&ana.psid, card()).await;
    assert!(sent.body["recipient"]["message_id"].is_string());
    assert_eq!(
        story.sends(&ana.psid, card()).await.error(),
        (613, 1_893_016)
    );
    let token = meta.taps_card(&ana).unwrap();
    meta.follows(&ana, &m_me("again")).unwrap();
    meta.settled().await;

    let (headers, body) = &story.inbox.letters()[0];
    let signature = headers["x-hub-signature-256"].to_str().unwrap();
    let expected = hmac_hex("sandbox-meta-app-secret", body);
    assert_eq!(signature, format!("sha256={expected}"));

    let entries = story.inbox.entries();
    let events: Vec<&Value> = entries.iter().map(|e| &e["messaging"][0]).collect();
    assert_eq!(events[0]["postback"]["referral"]["ref"], "tok.en");
    let optin = events.iter().find(|e| e["optin"].is_object()).unwrap();
    assert_eq!(
        optin["optin"]["notification_messages_token"],
        token.as_str()
    );
    assert_eq!(optin["optin"]["payload"], "source-7");
    assert_eq!(events.last().unwrap()["referral"]["ref"], "again");
    let raw: Vec<u8> = story
        .inbox
        .letters()
        .into_iter()
        .flat_map(|(_, body)| body)
        .collect();
    assert!(raw.is_ascii(), "Meta escapes everything beyond ASCII");
    assert!(String::from_utf8(raw).unwrap().contains("Caf\\u00e9 news"));
}

#[tokio::test]
async fn the_paid_channel_asks_for_warmth_rest_and_consent() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    let ana = meta.person("Ana Silva");
    let token = meta.has_subscribed(&ana).unwrap();
    assert_eq!(
        story.sends_paid("77", &token, hello()).await.error().0,
        2_300_001
    );

    let path = format!("{ACCOUNT}/message_campaign");
    let body = json!({ "name": "Sale", "page_id": PAGE });
    assert_eq!(
        story.graph(PAGE_TOKEN, &path, body.clone()).await.error().0,
        200
    );
    let created = story.graph(LOGIN_TOKEN, &path, body).await;
    let campaign = created.body["id"].as_str().unwrap().to_owned();
    story.clock.advance(HOUR - 1);
    assert_eq!(
        story.sends_paid(&campaign, &token, hello()).await.error().0,
        2_300_003
    );
    story.clock.advance(1);
    let first = story.sends_paid(&campaign, &token, hello()).await;
    assert!(first.body["marketing_message_tracking_id"].is_string());
    story.clock.advance(12 * HOUR - 1);
    assert_eq!(
        story.sends_paid(&campaign, &token, hello()).await.error().0,
        2_300_035
    );
    story.clock.advance(1);
    assert_eq!(
        story.sends_paid(&campaign, &token, hello()).await.status,
        200
    );

    story.clock.advance(DAY);
    meta.stops(&ana).unwrap();
    assert_eq!(
        story.sends_paid(&campaign, &token, hello()).await.error().0,
        2_300_034
    );
    assert_eq!(
        story.sends_paid(&campaign, "1", hello()).await.error().0,
        2_300_004
    );
    assert_eq!(meta.accepted(), [((campaign.clone(), token), 2)]);

    meta.page("200", "Other", "other-token", ACCOUNT, LOGIN_TOKEN);
    let ben = meta.person_of("200", "Ben Other");
    let other = meta.has_subscribed(&ben).unwrap();
    assert_eq!(
        story.sends_paid(&campaign, &other, hello()).await.error().0,
        2_300_005
    );
    let elsa = meta.person("Elsa Berg");
    meta.lives_in(&elsa, "DE");
    let german = meta.has_subscribed(&elsa).unwrap();
    assert_eq!(
        story
            .sends_paid(&campaign, &german, hello())
            .await
            .error()
            .0,
        2_300_032
    );
}

#[tokio::test]
async fn content_has_limits() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    let ana = meta.person("Ana Silva");
    meta.writes(&ana, "hi").unwrap();
    let token = meta.has_subscribed(&ana).unwrap();
    let campaign = story.warm_campaign().await;
    let template =
        |payload: Value| json!({ "attachment": { "type": "template", "payload": payload } });
    let button =
        |title: &str| json!({ "type": "web_url", "title": title, "url": "https://a.example" });
    let with = |buttons: Vec<Value>| {
        template(json!({ "template_type": "button", "text": "Hi", "buttons": buttons }))
    };
    let cards = |n: usize, title: usize| {
        let card = json!({ "title": "t".repeat(title) });
        template(json!({ "template_type": "generic", "elements": vec![card; n] }))
    };
    let refused = [
        (json!({ "text": "x".repeat(641) }), 100),
        (json!({ "text": "" }), 100),
        (with(vec![button("Go"); 4]), 2_300_026),
        (with(vec![button("a title of 21 letters")]), 100),
        (with(vec![button("")]), 2_300_025),
        (cards(11, 5), 100),
        (cards(0, 5), 100),
        (cards(1, 81), 100),
        (
            json!({ "attachment": { "type": "image", "payload": { "url": "https://a.example/i.png" } } }),
            2_300_010,
        ),
        (json!({ "text": "a", "metadata": "m" }), 100),
        (card(), 100),
    ];
    for (message, code) in refused {
        let answer = story.sends_paid(&campaign, &token, message.clone()).await;
        assert_eq!(answer.error().0, code, "{message}");
    }
    let fits = cards(10, 80);
    assert_eq!(story.sends_paid(&campaign, &token, fits).await.status, 200);
    meta.writes(&ana, "hi").unwrap();
    assert_eq!(
        story
            .sends(&ana.psid, with(vec![button("Go"); 4]))
            .await
            .error()
            .0,
        100
    );
    assert_eq!(story.sends(&ana.psid, with(vec![])).await.error().0, 100);
    assert_eq!(
        story
            .sends(&ana.psid, json!({ "text": "x".repeat(641) }))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_301st_send_of_a_second_is_refused() {
    let story = Story::begins().await;
    let ana = story.sandbox.meta.person("Ana Silva");
    story.sandbox.meta.writes(&ana, "hi").unwrap();
    for _ in 0..300 {
        assert_eq!(story.sends(&ana.psid, hello()).await.status, 200);
    }
    let refused = story.sends(&ana.psid, hello()).await;
    assert_eq!(refused.error().0, 613);
    let usage = refused.headers["x-business-use-case-usage"]
        .to_str()
        .unwrap();
    assert!(usage.contains("\"call_count\":100"), "{usage}");
    story.clock.advance(1_000);
    assert_eq!(story.sends(&ana.psid, hello()).await.status, 200);
}

//! What Meta tells, and how it goes wrong on demand.

use serde_json::json;

use super::{card, hello, m_me};
use crate::sandbox::meta::{Channel, EventShape};
use crate::sandbox::probe::{PAGE, PAGE_TOKEN, Story};

#[tokio::test]
async fn a_dropped_answer_has_taken_effect_and_is_echoed() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    let ana = meta.person("Ana Silva");
    meta.writes(&ana, "hi").unwrap();
    meta.drops_answers(1);
    let body = json!({
        "recipient": { "id": ana.psid }, "message": { "text": "Hello", "metadata": "msg_1" },
    });
    let url = format!("{}/v26.0/{PAGE}/messages", meta.url());
    let lost = story
        .http
        .post(url)
        .bearer_auth(PAGE_TOKEN)
        .json(&body)
        .send()
        .await;
    assert!(lost.is_err(), "{lost:?}");
    let sent = meta.sent_to(&ana);
    assert_eq!((sent.len(), sent[0].channel), (1, Channel::Standard));
    meta.settled().await;
    let entries = story.inbox.entries();
    let echo = entries
        .iter()
        .find(|e| e["messaging"][0]["message"]["is_echo"] == true)
        .unwrap();
    assert_eq!(echo["messaging"][0]["message"]["metadata"], "msg_1");
    assert_eq!(echo["messaging"][0]["sender"]["id"], PAGE);
}

#[tokio::test]
async fn ordered_refusals_have_no_effect() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    let ana = meta.person("Ana Silva");
    meta.writes(&ana, "hi").unwrap();
    meta.refuses_next(190, Some(460), 1);
    assert_eq!(story.sends(&ana.psid, hello()).await.error(), (190, 460));
    assert!(meta.sent_to(&ana).is_empty());
    assert_eq!(story.sends(&ana.psid, hello()).await.status, 200);
    meta.is_down(true);
    assert_eq!(story.sends(&ana.psid, hello()).await.status, 503);
}

#[tokio::test]
async fn marketing_receipts_come_in_three_shapes_and_twice_when_doubled() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    let campaign = story.warm_campaign().await;
    let shapes = [EventShape::Changes, EventShape::Flat, EventShape::Messaging];
    for shape in shapes {
        meta.shapes_marketing_events(shape);
        let person = meta.person("Ana Silva");
        let token = meta.has_subscribed(&person).unwrap();
        let sent = story.sends_paid(&campaign, &token, hello()).await;
        let tracking_id = sent.body["marketing_message_tracking_id"].clone();
        let before = story.inbox.entries().len();
        meta.reads_all(&person);
        meta.settled().await;
        let told = &story.inbox.entries()[before..];
        let read = told.last().unwrap();
        let event = match shape {
            EventShape::Changes => &read["changes"][0]["value"],
            EventShape::Flat => read,
            EventShape::Messaging => &read["messaging"][0]["marketing_message_reads"],
        };
        assert_eq!(
            event["marketing_message_tracking_id"], tracking_id,
            "{shape:?}"
        );
        assert_eq!(event["messenger_subscription_token"], token.as_str());
        assert!(event.get("mid").is_none());
    }
    let before = story.inbox.letters().len();
    meta.doubles_webhooks(true);
    let ana = meta.person("Ana Silva");
    meta.writes(&ana, "hi").unwrap();
    meta.settled().await;
    let letters = story.inbox.letters();
    assert_eq!(letters.len() - before, 2);
    assert_eq!(letters[before].1, letters[before + 1].1);
}

#[tokio::test]
async fn a_refused_webhook_is_offered_again_and_order_is_kept() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    story
        .inbox
        .answers(&[axum::http::StatusCode::INTERNAL_SERVER_ERROR; 2]);
    let ana = meta.person("Ana Silva");
    for i in 0..60 {
        meta.writes(&ana, &i.to_string()).unwrap();
    }
    meta.settled().await;
    let texts: Vec<String> = story
        .inbox
        .entries()
        .iter()
        .map(|e| {
            e["messaging"][0]["message"]["text"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    let expected: Vec<String> = (0..60).map(|i| i.to_string()).collect();
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn without_a_subscription_nothing_is_told_and_get_started_is_missing() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    meta.page("300", "Bare", "bare-token", "act_3", "bare-login");
    let ben = meta.person_of("300", "Ben Bare");
    assert!(meta.follows(&ben, "https://m.me/300?ref=x").is_err());
    meta.writes(&ben, "hi").unwrap();
    meta.settled().await;
    assert!(story.inbox.letters().is_empty());

    let fields = json!({ "subscribed_fields": ["messages", "gossip"] });
    assert_eq!(
        story
            .graph("bare-token", "300/subscribed_apps", fields)
            .await
            .error()
            .0,
        100
    );
    let fields = json!({ "subscribed_fields": "messages,messaging_postbacks" });
    assert_eq!(
        story
            .graph("bare-token", "300/subscribed_apps", fields)
            .await
            .status,
        200
    );
    let button = json!({ "get_started": { "payload": "START" } });
    assert_eq!(
        story
            .graph("bare-token", "300/messenger_profile", button)
            .await
            .status,
        200
    );
    let new = meta.person_of("300", "Cleo Bare");
    meta.follows(&new, "https://m.me/300?ref=x").unwrap();
    meta.settled().await;
    assert_eq!(
        story.inbox.entries()[0]["messaging"][0]["postback"]["payload"],
        "START"
    );
}

#[tokio::test]
async fn tokens_are_listed_in_pages_and_the_unsubscribe_call_stops_them() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    let people: Vec<_> = (0..5).map(|i| meta.person(&format!("P{i} X"))).collect();
    for person in &people {
        meta.has_subscribed(person).unwrap();
    }
    let path = format!("{PAGE}/notification_message_tokens?limit=3");
    let first = story.graph_get(PAGE_TOKEN, &path).await;
    assert_eq!(first.body["data"].as_array().unwrap().len(), 3);
    let after = first.body["paging"]["cursors"]["after"]
        .as_str()
        .unwrap()
        .to_owned();
    let rest = story
        .graph_get(PAGE_TOKEN, &format!("{path}&after={after}"))
        .await;
    assert_eq!(rest.body["data"].as_array().unwrap().len(), 2);
    assert!(rest.body["paging"].get("next").is_none());
    let too_many = format!("{PAGE}/notification_message_tokens?limit=1001");
    assert_eq!(story.graph_get(PAGE_TOKEN, &too_many).await.error().0, 100);

    let body = json!({ "data": [{ "psid": people[0].psid }] });
    let path = format!("{PAGE}/messaging_customer_base/unsubscribe");
    let answer = story.graph(PAGE_TOKEN, &path, body).await;
    assert_eq!(answer.body["invalid_rows_count"], 0);
    assert!(!meta.token_of(&people[0]).unwrap().1);
}

#[tokio::test]
async fn a_reader_plays_a_shopper_through_plain_forms() {
    let story = Story::begins().await;
    let meta = &story.sandbox.meta;
    let base = story.sandbox.play_url();
    let made = story
        .http
        .post(&base)
        .form(&[("name", "<b>Ana</b>")])
        .send()
        .await
        .unwrap();
    let own = made.headers()["location"].to_str().unwrap().to_owned();
    let psid = own.rsplit('/').next().unwrap().to_owned();
    let act = format!("{}{own}/act", meta.url());
    let press =
        async |form: &[(&str, &str)]| story.http.post(&act).form(form).send().await.unwrap();
    press(&[("verb", "follow"), ("value", &m_me("abc"))]).await;
    assert_eq!(story.sends(&psid, card()).await.status, 200);
    press(&[("verb", "card")]).await;
    press(&[("verb", "buy"), ("value", "Enamel Mug")]).await;
    let page = story
        .http
        .get(format!("{}{own}", meta.url()))
        .send()
        .await
        .unwrap();
    let html = page.text().await.unwrap();
    assert!(html.contains("&lt;b&gt;Ana") && !html.contains("<b>Ana"));
    assert!(html.contains("subscribed") && html.contains("Café news") && html.contains("#1001"));
    story.sandbox.settled().await;
    let told = story.inbox.letters();
    let topics = told
        .iter()
        .filter_map(|(h, _)| h.get("x-shopify-topic"))
        .count();
    assert_eq!(topics, 3, "a new customer, an order, its payment");
}

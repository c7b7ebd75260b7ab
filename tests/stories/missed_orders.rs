//! Webhooks get lost. What they would have told is found within the hour, once, and at low cost.

use pagecast::clock::{DAY, HOUR};
use serde_json::{Value, json};

use crate::story;
use crate::support::Story;

/// A broadcast to Ana, whom the shop knows, and her click; the campaign.
async fn clicked(story: &mut Story) -> (String, pagecast::sandbox::Customer) {
    let (ana, customer) = story.customer("Ana Lima").await;
    story.hours_pass(25).await;
    let campaign = story.broadcasts("The Winter Blend is back").await;
    let link = story.sent_to(&ana).pop().unwrap().links[0].clone();
    story.clicks(&link).await;
    (campaign, customer)
}

async fn order(story: &Story) -> Value {
    let orders = story.get("/orders").await.body;
    assert_eq!(orders["data"].as_array().unwrap().len(), 1, "{orders:#}");
    orders["data"][0].clone()
}

story! {
    async fn an_order_whose_webhook_was_lost_is_found_and_credited_within_the_hour(story: &mut Story) {
        let (campaign, ana) = clicked(story).await;
        story.sandbox.shopify.loses_webhooks(true);
        let id = story.sandbox.shopify.pays(&ana, "40.00", None, &[], None).unwrap();
        story.settles().await;
        assert_eq!(story.get("/orders").await.body["data"], json!([]));

        story.minutes_pass(60).await;
        let found = order(story).await;
        assert_eq!(found["total"], json!({"amount": "40.00", "currency": "USD"}));
        assert_eq!(found["attribution"]["campaign_id"], campaign.as_str());
        let report = story.report(&campaign).await;
        assert_eq!(report["orders"], 1);
        assert_eq!(report["revenue"][0]["gross"], "40.00");

        // A refund and the cancellation are lost as well.
        story.sandbox.shopify.refunds(id, "15.50").unwrap();
        story.minutes_pass(60).await;
        assert_eq!(order(story).await["refunded"]["amount"], "15.50");
        story.sandbox.shopify.cancels(id).unwrap();
        story.minutes_pass(60).await;
        assert_eq!(order(story).await["refunded"]["amount"], "40.00");

        // The webhooks come after all, late: nothing is doubled, nothing goes backwards.
        story.sandbox.shopify.loses_webhooks(false);
        story.sandbox.shopify.updates(id).unwrap();
        story.minutes_pass(60).await;
        assert_eq!(order(story).await["refunded"]["amount"], "40.00");
        assert_eq!(story.report(&campaign).await["orders"], 1);
    }
}

story! {
    async fn orders_that_webhooks_brought_are_not_fetched_again(story: &mut Story) {
        let (_, ana) = clicked(story).await;
        for _ in 0..3 {
            story.sandbox.shopify.pays(&ana, "40.00", None, &[], None).unwrap();
        }
        story.settles().await;
        let asked = |name: &str| {
            let calls = story.sandbox.shopify.questions();
            calls.iter().filter(|root| root.as_str() == name).count()
        };
        let (lists, orders) = (asked("orders"), asked("order"));
        story.hours_pass(3).await;
        assert_eq!(asked("order"), orders, "each is here already");
        let rounds = asked("orders") - lists;
        assert!((10..=14).contains(&rounds), "{rounds} questions in three hours");
    }
}

story! {
    async fn a_throttled_or_frozen_shop_is_left_alone_and_loses_nothing(story: &mut Story) {
        let (_, ana) = clicked(story).await;
        story.sandbox.shopify.loses_webhooks(true);
        story.sandbox.shopify.pays(&ana, "40.00", None, &[], None).unwrap();
        // Frozen: an hour of rest. Then malicious: a day.
        story.sandbox.shopify.refuses_next(402, 1);
        story.minutes_pass(50).await;
        assert_eq!(story.get("/orders").await.body["data"], json!([]));
        story.minutes_pass(40).await;
        order(story).await;

        story.sandbox.shopify.refuses_next(430, 1);
        story.minutes_pass(30).await;
        story.sandbox.shopify.pays(&ana, "50.00", None, &[], None).unwrap();
        story.hours_pass(20).await;
        order(story).await;
        story.clock.advance(6 * HOUR);
        story.settles().await;
        assert_eq!(story.get("/orders").await.body["data"].as_array().unwrap().len(), 2);
    }
}

story! {
    async fn after_days_of_silence_everything_missed_is_caught_up_with(story: &mut Story) {
        let (campaign, ana) = clicked(story).await;
        story.settles().await;
        story.sandbox.shopify.loses_webhooks(true);
        // The worker stands still for two days meanwhile.
        for _ in 0..130 {
            story.sandbox.shopify.pays(&ana, "1.00", None, &[], None).unwrap();
        }
        story.clock.advance(2 * DAY);
        story.settles().await;
        story.minutes_pass(5).await;
        let report = story.report(&campaign).await;
        assert_eq!(report["orders"], 130);
    }
}

//! Orders that say nothing of us themselves: Shopify knows how the shopper came, after a while.

use pagecast::clock::{DAY, MINUTE};
use serde_json::{Value, json};

use crate::story;
use crate::support::Story;

/// A campaign to Ana, and where the link in it led her.
async fn followed(story: &mut Story) -> (String, String) {
    let ana = story.subscriber("Ana Lima").await;
    story.hours_pass(25).await;
    let campaign = story.broadcasts("The Winter Blend is back").await;
    let link = story.sent_to(&ana).pop().unwrap().links[0].clone();
    let led = story.clicks(&link).await;
    let path = led.strip_prefix("https://harbour.example").unwrap();
    (campaign, path.to_owned())
}

async fn credit(story: &Story) -> Value {
    story.get("/orders").await.body["data"][0]["attribution"].clone()
}

fn asked(story: &Story) -> usize {
    let questions = story.sandbox.shopify.questions();
    questions.iter().filter(|root| *root == "order").count()
}

story! {
    async fn a_visit_that_only_shopify_saw_earns_its_credit_when_the_journey_is_ready(story: &mut Story) {
        let (campaign, path) = followed(story).await;
        // Somebody we know nothing of buys, on the way from the message and over a search later.
        let shopify = story.sandbox.shopify.clone();
        let stranger = shopify.has_customer("Eva", "Moss", "eva@example.com").unwrap();
        shopify.journeys_are_ready(false);
        let now = story.now();
        let order = shopify.pays(&stranger, "40.00", Some("/?q=mugs"), &[], None).unwrap();
        shopify.remembers_visit(order, now - DAY, "/?utm_source=klaviyo&utm_campaign=winter-blend").unwrap();
        shopify.remembers_visit(order, now - 30 * MINUTE, &path).unwrap();
        story.minutes_pass(10).await;
        assert_eq!((credit(story).await, asked(story)), (Value::Null, 1), "not ready yet");
        shopify.journeys_are_ready(true);
        story.minutes_pass(30).await;
        assert_eq!(credit(story).await, Value::Null, "asked again after an hour only");
        story.minutes_pass(30).await;

        let credit = credit(story).await;
        assert_eq!(credit["campaign_id"], campaign.as_str());
        assert_eq!((&credit["matched_by"], &credit["window_days"]), (&json!("journey"), &json!(7)));
        story.hours_pass(30).await;
        assert_eq!(asked(story), 2, "credited once, asked no more");
        assert_eq!(story.report(&campaign).await["orders"], 1);
    }
}

story! {
    async fn a_journey_that_is_ready_and_names_nothing_of_ours_is_not_asked_for_again(story: &mut Story) {
        followed(story).await;
        let shopify = story.sandbox.shopify.clone();
        let stranger = shopify.has_customer("Eva", "Moss", "eva@example.com").unwrap();
        shopify.pays(&stranger, "40.00", Some("/?ref=friend"), &[], None).unwrap();
        story.hours_pass(30).await;
        assert_eq!((credit(story).await, asked(story)), (Value::Null, 1));

        shopify.journeys_are_ready(false);
        shopify.pays(&stranger, "41.00", None, &[], None).unwrap();
        story.hours_pass(30).await;
        assert_eq!(asked(story), 1 + 3, "after 5 minutes, an hour and a day");
    }
}

story! {
    async fn a_shop_that_asks_for_patience_is_asked_for_one_journey_at_a_time(story: &mut Story) {
        let (campaign, path) = followed(story).await;
        let shopify = story.sandbox.shopify.clone();
        let stranger = shopify.has_customer("Eva", "Moss", "eva@example.com").unwrap();
        for total in ["40.00", "41.00", "42.00"] {
            let order = shopify.pays(&stranger, total, None, &[], None).unwrap();
            shopify.remembers_visit(order, story.now() - MINUTE, &path).unwrap();
        }
        story.minutes_pass(4).await;
        // One refusal: had the other two orders been asked for, they would have their credit.
        shopify.refuses_next(402, 1);
        story.minutes_pass(3).await;
        assert_eq!(story.report(&campaign).await["orders"], 0);
        story.minutes_pass(60).await;
        assert_eq!(story.report(&campaign).await["orders"], 3);
    }
}

//! A code that a coupon message carried brings its order home, even where nobody clicked.

use pagecast::sandbox::Purchase;
use pagecast::store::ids::CampaignId;
use serde_json::{Value, json};

use crate::story;
use crate::support::Story;

async fn sends_coupon(story: &Story, code: &str) -> String {
    let answer = story
        .post(
            "/campaigns",
            json!({"name": "Ten off", "message": {"kind": "coupon", "title": "Ten off today",
                "code": code, "url": "https://harbour.example/sale"},
                "audience": {"include": [{"kind": "everyone"}]}}),
        )
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = answer.body["id"].as_str().unwrap().to_owned();
    story.schedules(&id, json!({})).await;
    story.minutes_pass(61).await;
    id
}

fn with_code(code: &str) -> Purchase {
    Purchase {
        total: Some("40.00".to_owned()),
        discount_codes: vec![code.to_owned()],
        ..Purchase::default()
    }
}

async fn credits(story: &Story) -> Vec<Value> {
    let orders = story.get("/orders").await.body;
    let orders = orders["data"].as_array().unwrap();
    orders
        .iter()
        .map(|order| order["attribution"].clone())
        .collect()
}

story! {
    async fn the_code_of_a_coupon_brings_the_order_of_whoever_got_it(story: &mut Story) {
        let (_, ana) = story.customer("Ana Lima").await;
        story.hours_pass(25).await;
        let campaign = sends_coupon(story, "WINTER10").await;
        let shopify = story.sandbox.shopify.clone();

        // Somebody who was told the code by another is owed to nobody; another code says nothing.
        let eva = shopify.has_customer("Eva", "Moss", "eva@example.com").unwrap();
        shopify.buys(&eva, &with_code("WINTER10")).unwrap();
        shopify.buys(&ana, &with_code("SUMMER10")).unwrap();
        story.settles().await;
        assert_eq!(credits(story).await, [Value::Null, Value::Null]);

        // At the counter, where no click can lead.
        let at_the_counter = Purchase { source_name: Some("pos".to_owned()), ..with_code("winter10") };
        shopify.buys(&ana, &at_the_counter).unwrap();
        story.settles().await;
        let credit = credits(story).await.remove(0);
        assert_eq!(credit["campaign_id"], campaign.as_str());
        assert_eq!(credit["matched_by"], "discount_code");
        assert_eq!(credit["touch"]["kind"], "code");
        let report = story.report(&campaign).await;
        assert_eq!(report["revenue"], json!([{"currency": "USD", "gross": "40.00", "refunded": "0.00", "net": "40.00"}]));
        assert!(campaign.parse::<CampaignId>().is_ok());
    }
}

story! {
    async fn a_code_waits_for_the_journey_and_gives_way_to_a_click(story: &mut Story) {
        let (ana, at_the_shop) = story.customer("Ana Lima").await;
        let (ben, ben_at_the_shop) = story.customer("Ben Osei").await;
        story.hours_pass(25).await;
        let first = sends_coupon(story, "FIRST10").await;
        story.hours_pass(30).await;
        let second = story.broadcasts("The Winter Blend is back").await;
        let link = story.sent_to(&ben).pop().unwrap().links[0].clone();
        story.clicks(&link).await;

        let shopify = story.sandbox.shopify.clone();
        shopify.buys(&at_the_shop, &with_code("FIRST10")).unwrap();
        shopify.buys(&ben_at_the_shop, &with_code("FIRST10")).unwrap();
        story.settles().await;
        let [of_ben, of_ana] = credits(story).await.try_into().unwrap();
        assert_eq!((&of_ben["campaign_id"], &of_ben["matched_by"]), (&json!(second), &json!("customer")));
        assert_eq!(of_ana, Value::Null, "Shopify may still tell how she came");
        story.minutes_pass(10).await;
        let of_ana = credits(story).await.remove(1);
        assert_eq!((&of_ana["campaign_id"], &of_ana["matched_by"]), (&json!(first), &json!("discount_code")));
        assert!(!story.sent_to(&ana).is_empty());
    }
}

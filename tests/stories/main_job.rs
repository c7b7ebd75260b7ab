//! The main job, from the tap on an opt-in to net revenue (design section 3), through HTTP only.

use serde_json::json;

use crate::story;

story! {
    async fn a_broadcast_earns_money_and_the_report_says_how_much(story: &mut Story) {
        let (ana, ana_at_the_shop) = story.customer("Ana Lima").await;
        let ben = story.subscriber("Ben Osei").await;
        // A day later the free windows are closed, so the broadcast goes the paid way.
        story.hours_pass(25).await;
        let campaign = story.broadcasts("Hi {{first_name}}, the Winter Blend is back").await;

        let got = story.sent_to(&ana).pop().unwrap();
        assert_eq!(got.text.lines().next().unwrap(), "Hi Ana, the Winter Blend is back");
        let link = got.links.first().unwrap().clone();
        assert!(link.starts_with(&format!("{}/c/", story.url)), "{link}");
        story.sandbox.meta.receives(&ana);
        story.sandbox.meta.receives(&ben);
        story.sandbox.meta.reads_all(&ana);
        story.settles().await;

        let shop = story.clicks(&link).await;
        assert!(shop.starts_with("https://harbour.example/sale?utm_source=pagecast&utm_medium=messenger&utm_campaign=winter-blend&utm_id=cmp_"), "{shop}");
        let path = shop.strip_prefix("https://harbour.example").unwrap();
        let order = story.sandbox.shopify
            .pays(&ana_at_the_shop, "40.00", Some(path), &[], None)
            .unwrap();
        story.settles().await;
        story.sandbox.shopify.refunds(order, "15.50").unwrap();
        story.settles().await;

        let report = story.report(&campaign).await;
        assert_eq!(report["status"], "finished", "{report:#}");
        assert_eq!(
            report["counts"],
            json!({"queued":0,"sending":0,"sent":2,"delivered":2,"read":1,"clicked":1,
                   "failed":0,"skipped":0,"unknown":0})
        );
        assert_eq!(report["orders"], 1);
        assert_eq!(
            report["revenue"],
            json!([{"currency":"USD","gross":"40.00","refunded":"15.50","net":"24.50"}])
        );

        let orders = story.get("/orders").await.body;
        let credit = &orders["data"][0]["attribution"];
        assert_eq!(credit["campaign_id"], campaign.as_str());
        assert_eq!(credit["touch"]["kind"], "click");
        assert_eq!(credit["window_days"], 7);

        // The same is on the profile in Klaviyo.
        let told: Vec<String> =
            story.sandbox.klaviyo.events_received().into_iter().map(|event| event.metric).collect();
        for metric in ["Subscribed to Messenger", "Received Messenger Message",
                       "Read Messenger Message", "Clicked Messenger Message",
                       "Placed Order from Messenger"] {
            assert!(told.iter().any(|t| t == metric), "{metric} is missing in {told:?}");
        }
    }
}

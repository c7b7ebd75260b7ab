//! What is asked once more when a message's turn comes: was it bought meanwhile, is it still the
//! time where the person lives; and what may be credited to it afterwards.

use pagecast::automations;
use serde_json::json;

use crate::story;
use crate::support::Story;

async fn came_of(story: &Story, what: &str) -> Vec<(String, Option<String>)> {
    let sql = format!("SELECT status, reason FROM messages WHERE {what} ORDER BY subscriber_id");
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_all(story.app.db.pool())
        .await
        .unwrap()
}

story! {
    async fn a_checkout_bought_by_somebody_while_the_reminder_waited_is_not_brought_up(story: &mut Story) {
        // In New York it is five in the morning.
        let settings = json!({"quiet_hours": {"start": "05:15", "end": "09:00"}});
        assert_eq!(story.patch("/settings", settings).await.status, 200);
        let steps = json!([{"wait_minutes": 30, "message": {"kind": "text", "text": "Still there?"}}]);
        let draft = automations::Draft {
            name: "Reminder".to_owned(),
            trigger: serde_json::from_value(json!({"kind": "checkout_abandoned", "after_minutes": 30})).unwrap(),
            steps: serde_json::from_value(steps).unwrap(),
            stop_on_order: false,
            status: "on".to_owned(),
        };
        automations::create(&story.app, story.workspace, draft).await.unwrap();
        let (ana, shopper) = story.customer("Ana Lima").await;
        let item = pagecast::sandbox::Item::new("Winter Blend", "14.00", 2);
        let token = story.sandbox.shopify.abandons_checkout(&shopper, &[item]).unwrap();
        story.minutes_pass(90).await;
        assert_eq!(came_of(story, "automation_id IS NOT NULL").await, [("queued".to_owned(), None)]);

        // Her husband finishes it, under his own name.
        let husband = story.sandbox.shopify.customer("Rui", "Lima", "rui@lima.example").unwrap();
        story.sandbox.shopify.pays(&husband, "28.00", None, &[], Some(&token)).unwrap();
        story.hours_pass(4).await;
        let ordered = ("skipped".to_owned(), Some("ordered".to_owned()));
        assert_eq!(came_of(story, "automation_id IS NOT NULL").await, [ordered]);
        assert!(story.heard(&ana).is_empty());
    }
}

fn live_in(story: &Story, people: &[pagecast::sandbox::Person], zones: [&str; 3]) {
    for (person, zone) in people.iter().zip(zones) {
        story.sandbox.meta.keeps_time_of(person, zone);
    }
}

story! {
    async fn everybodys_own_time_is_meant_in_the_workspaces_zone_unless_said_otherwise(story: &mut Story) {
        let people = story.audience(3).await;
        live_in(story, &people, ["Pacific/Kiritimati", "Pacific/Honolulu", "Asia/Manila"]);
        let settings = json!({"timezone": "Pacific/Honolulu"});
        assert_eq!(story.patch("/settings", settings).await.status, 200);
        let id = story.campaign("Good morning").await;
        // Ten in the morning of the 25th in Honolulu.
        story.schedules(&id, json!({"at": "2026-11-25T20:00:00Z", "in_subscriber_timezone": true})).await;
        let heard = |story: &Story| -> Vec<usize> {
            people.iter().map(|person| story.heard(person).len()).collect()
        };
        // Where it is ten first, the time comes 24 hours earlier.
        story.minutes_pass(9 * 60 + 58).await;
        assert_eq!(heard(story), [0, 0, 0]);
        story.minutes_pass(5).await;
        assert_eq!(heard(story), [1, 0, 0], "{:#}", story.report(&id).await);
        story.minutes_pass(6 * 60).await;
        assert_eq!(heard(story), [1, 0, 1]);
        story.minutes_pass(17 * 60 + 50).await;
        assert_eq!(heard(story), [1, 0, 1]);
        story.minutes_pass(10).await;
        assert_eq!(heard(story), [1, 1, 1], "{:#}", story.report(&id).await);
        let zone = story.report(&id).await["schedule"]["timezone"].clone();
        assert_eq!(zone, "Pacific/Honolulu");
    }
}

story! {
    async fn where_the_time_is_over_nobody_is_woken_for_it(story: &mut Story) {
        let people = story.audience(3).await;
        live_in(story, &people, ["Asia/Manila", "America/New_York", "America/Los_Angeles"]);
        let id = story.campaign("Lunch").await;
        let body = json!({"at": "2026-11-24T12:00:00Z", "in_subscriber_timezone": true,
            "late_limit_minutes": 30});
        story.schedules(&id, body).await;
        story.hours_pass(11).await;
        let report = story.report(&id).await;
        assert_eq!(report["skipped"], json!({"too_late": 1}), "{report:#}");
        let heard: Vec<usize> = people.iter().map(|person| story.heard(person).len()).collect();
        assert_eq!(heard, [0, 1, 1]);
    }
}

story! {
    async fn what_the_merchant_tries_out_earns_nothing(story: &mut Story) {
        let (ana, shopper) = story.customer("Ana Lima").await;
        let id = story.campaign("Try me").await;
        let body = json!({"subscriber_id": story.id_of(&ana).await});
        let tested = story.post(&format!("/campaigns/{id}/test"), body).await;
        assert!(tested.status < 300, "{tested:?}");
        story.settles().await;
        let link = story.sent_to(&ana).last().unwrap().links[0].clone();
        let landing = story.clicks(&link).await;
        let landing = url::Url::parse(&landing).unwrap();
        let site = format!("{}?{}", landing.path(), landing.query().unwrap_or_default());
        story.sandbox.shopify.pays(&shopper, "28.00", Some(&site), &[], None).unwrap();
        story.settles().await;
        let orders = story.get("/orders").await.body;
        assert_eq!(orders["data"][0]["attribution"], json!(null), "{orders:#}");
        assert_eq!(story.report(&id).await["orders"], 0);
    }
}

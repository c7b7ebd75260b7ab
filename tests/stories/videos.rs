//! Videos are at Meta before anybody is told of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::story;
use crate::support::Story;

fn film() -> Value {
    json!({"kind": "media", "media": "video", "url": "https://shop.example/film.mp4",
        "buttons": [{"kind": "url", "title": "Shop now", "url": "https://harbour.example/sale"}]})
}

/// A draft to everyone that shows the film; its id.
async fn campaign(story: &Story) -> String {
    let body =
        json!({"name": "Film", "message": film(), "audience": {"include": [{"kind": "everyone"}]}});
    let made = story.post("/campaigns", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.body["id"].as_str().unwrap().to_owned()
}

async fn number(story: &Story, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(story.app.db.pool())
        .await
        .unwrap()
}

/// Uploads go on behind, in real time.
async fn until_at_rest(story: &Story) {
    let until = Instant::now() + Duration::from_secs(10);
    let trying = format!(
        "SELECT COUNT(*) FROM uploads WHERE trying_until = {}",
        story.now() + 120_000
    );
    loop {
        let (n,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(trying.clone()))
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        if n == 0 && number(story, "SELECT COUNT(*) FROM uploads").await > 0 {
            return;
        }
        assert!(Instant::now() < until, "the upload does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

story! {
    async fn a_film_is_uploaded_before_the_launch_and_once_for_all(story: &mut Story) {
        let people = story.audience(3).await;
        let id = campaign(story).await;
        story.schedules(&id, json!({})).await;
        until_at_rest(story).await;
        assert_eq!(story.report(&id).await["status"], "preparing");
        assert_eq!(number(story, "SELECT COUNT(*) FROM uploads WHERE uploaded_at > 0").await, 1);
        story.minutes_pass(65).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 3, "{report:#}");
        assert_eq!(story.sent_to(&people[0])[0].kind, story.sent_to(&people[2])[0].kind);
    }
}

story! {
    async fn a_film_that_meta_cannot_fetch_stops_the_campaign_and_says_so(story: &mut Story) {
        story.audience(3).await;
        story.sandbox.meta.refuses_uploads(100, Some(2_018_008), 1);
        let id = campaign(story).await;
        story.schedules(&id, json!({})).await;
        until_at_rest(story).await;
        story.minutes_pass(2).await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "failed", "{report:#}");
        let words = report["attention"].as_str().unwrap();
        assert!(words.contains("its video could not be handed to Facebook (File could not be fetched"), "{words}");

        assert_eq!(story.post(&format!("/campaigns/{id}/resume"), json!({})).await.status, 200);
        story.minutes_pass(1).await;
        until_at_rest(story).await;
        story.minutes_pass(65).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 3, "{report:#}");
    }
}

story! {
    async fn a_film_that_cannot_be_fetched_is_told_of_before_its_campaign_is_due(story: &mut Story) {
        story.audience(1).await;
        story.sandbox.meta.refuses_uploads(100, Some(2_018_008), 1);
        let id = campaign(story).await;
        story.schedules(&id, json!({"at": "2026-11-24T12:00:00Z"})).await;
        until_at_rest(story).await;
        story.minutes_pass(5).await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "scheduled", "{report:#}");
        assert!(report["attention"].as_str().unwrap().contains("its video"), "{report:#}");
        // It is not tried again by itself, but by who schedules it again.
        assert_eq!(number(story, "SELECT COUNT(*) FROM uploads WHERE uploaded_at > 0").await, 0);
        story.schedules(&id, json!({"at": "2026-11-24T12:00:00Z"})).await;
        until_at_rest(story).await;
        assert_eq!(number(story, "SELECT COUNT(*) FROM uploads WHERE uploaded_at > 0").await, 1);
        story.minutes_pass(130).await;
        assert_eq!(story.report(&id).await["counts"]["sent"], 1);
    }
}

story! {
    async fn a_film_that_times_out_again_and_again_is_not_tried_without_end(story: &mut Story) {
        let body = json!({"name": "Film", "status": "on", "trigger": {"kind": "opted_in"},
            "steps": [{"wait_minutes": 1, "message": film()}]});
        assert_eq!(story.post("/automations", body).await.status, 201);
        story.sandbox.meta.refuses_uploads(100, Some(2_018_294), 100);
        let ana = story.subscriber("Ana").await;
        for _ in 0..48 {
            story.minutes_pass(10).await;
            if number(story, "SELECT COUNT(*) FROM uploads").await > 0 {
                until_at_rest(story).await;
            }
        }
        assert!(story.heard(&ana).is_empty());
        let needs = pagecast::analytics::needs(&story.app, story.workspace).await.unwrap();
        let told = needs.iter().find(|needs| needs.title == "Film");
        assert!(told.is_some_and(|needs| needs.detail.contains("its video")), "{needs:?}");
    }
}

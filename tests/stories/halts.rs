//! What stops more than one message: when it is not believed, what it stops, and the way back.

use pagecast::opt_ins;
use pagecast::sandbox::Person;
use pagecast::store::ids::PageRowId;
use serde_json::json;

use crate::story;
use crate::support::Story;
use crate::support::story::PAGE;

async fn number(story: &Story, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(story.app.db.pool())
        .await
        .unwrap()
}

async fn page(story: &Story) -> PageRowId {
    sqlx::query_scalar("SELECT id FROM pages")
        .fetch_one(story.app.db.pool())
        .await
        .unwrap()
}

story! {
    async fn a_lost_right_told_in_the_subcode_stops_the_campaign_before_it_costs_everybody(story: &mut Story) {
        story.audience(20).await;
        let id = story.campaign("Tokens").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        // The first sends go out one by one: each probes the campaign.
        story.sandbox.meta.refuses_next(100, Some(2_300_004), 20);
        story.minutes_pass(5).await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "failed", "{report:#}");
        assert_eq!(report["skipped"], json!({"no_token": 4}), "{report:#}");
        assert_eq!(report["counts"]["queued"], 16);

        // Meta still lists the tokens as good ones.
        let refused = "SELECT COUNT(*) FROM subscribers WHERE unreachable_reason = 'token'";
        assert_eq!(number(story, refused).await, 4);
        story.minutes_pass(1).await;
        opt_ins::resync_page(&story.app, page(story).await).await.unwrap();
        assert_eq!(number(story, refused).await, 0);
    }
}

story! {
    async fn a_daily_budget_told_in_the_subcode_waits_an_hour_and_goes_on(story: &mut Story) {
        story.audience(4).await;
        let id = story.campaign("Budget").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.refuses_next(100, Some(2_300_054), 1);
        story.minutes_pass(5).await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "running", "{report:#}");
        assert_eq!(report["counts"]["queued"], 4);
        let words = report["attention"].as_str().unwrap_or_default();
        assert!(words.contains("Meta holds it back"), "{report:#}");
        story.minutes_pass(60).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 4);
        assert_eq!(report["attention"], json!(null));
    }
}

story! {
    async fn a_broadcast_whose_page_is_in_trouble_says_so_and_goes_on_when_it_is_mended(story: &mut Story) {
        story.audience(4).await;
        let id = story.campaign("Trouble").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.refuses_next(190, Some(460), 1);
        story.minutes_pass(3).await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "running", "{report:#}");
        let words = report["attention"].as_str().unwrap_or_default();
        assert!(words.contains("cannot send"), "{report:#}");

        story.connects_the_page_again().await;
        story.minutes_pass(90).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 4, "{report:#}");
        assert_eq!(report["attention"], json!(null));
    }
}

story! {
    async fn cards_in_the_open_window_are_greeted_as_on_the_paid_channel(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        let before = story.heard(&ana).len();
        let cards = json!([{"title": "Espresso", "subtitle": "House blend", "buttons":
            [{"kind": "url", "title": "Buy", "url": "https://harbour-coffee.example/espresso"}]}]);
        let body = json!({"name": "Cards", "channel": "standard",
            "message": {"kind": "cards", "text": "Fresh today", "cards": cards},
            "audience": {"include": [{"kind": "everyone"}]}});
        let made = story.post("/campaigns", body).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.body["id"].as_str().unwrap().to_owned();
        story.schedules(&id, json!({})).await;
        story.minutes_pass(2).await;
        let heard = story.heard(&ana);
        assert_eq!(heard.len(), before + 2, "{heard:?}");
        assert_eq!(heard[before], "Fresh today");
        assert_eq!(story.report(&id).await["counts"]["sent"], 1);
    }
}

/// An automation that greets who opts in after `wait` minutes; its path in the API.
async fn greets(story: &Story, wait: i64) -> String {
    let body = json!({"name": "Later hello", "status": "on", "trigger": {"kind": "opted_in"},
        "steps": [{"wait_minutes": wait, "message": {"kind": "text", "text": "Hello again"}}]});
    let made = story.post("/automations", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    story.minutes_pass(65).await;
    format!("/automations/{}", made.body["id"].as_str().unwrap())
}

async fn needs(story: &Story) -> Vec<String> {
    let needs = pagecast::analytics::needs(&story.app, story.workspace)
        .await
        .unwrap();
    needs
        .into_iter()
        .map(|needs| format!("{}: {}", needs.title, needs.detail))
        .collect()
}

/// Two people who opted in now.
async fn two(story: &mut Story) -> [Person; 2] {
    [story.subscriber("Ana").await, story.subscriber("Ben").await]
}

story! {
    async fn a_budget_that_stops_an_automation_is_told_and_mended_by_turning_it_on_again(story: &mut Story) {
        // After the window, so that it is paid for.
        let path = greets(story, 26 * 60).await;
        let people = two(story).await;
        story.sandbox.meta.refuses_next(2_300_015, None, 1);
        story.hours_pass(27).await;
        assert_eq!(people.iter().flat_map(|p| story.heard(p)).count(), 0, "it stands still");
        let told = needs(story).await;
        assert!(told.iter().any(|n| n.starts_with("Later hello: Campaign budget reached.")), "{told:?}");

        let again = story.patch(&path, json!({"status": "on"})).await;
        assert_eq!(again.status, 200, "{again:?}");
        story.minutes_pass(5).await;
        assert_eq!(people.iter().flat_map(|p| story.heard(p)).count(), 2);
        let told = needs(story).await;
        assert!(!told.iter().any(|n| n.starts_with("Later hello")), "{told:?}");
    }
}

story! {
    async fn a_restricted_page_stops_an_automation_in_the_free_window_too(story: &mut Story) {
        let path = greets(story, 30).await;
        let people = two(story).await;
        story.sandbox.meta.refuses_next(368, None, 2);
        story.sandbox.meta.times_calls(true);
        story.minutes_pass(50).await;
        assert_eq!(people.iter().flat_map(|p| story.heard(p)).count(), 0, "it stands still");
        let calls = story.sandbox.meta.calls_seen(PAGE).len();
        assert!(calls <= 2, "Meta was asked {calls} times while it blocks the Page");
        let told = needs(story).await;
        assert!(told.iter().any(|n| n.starts_with("Later hello: Meta stopped it:")), "{told:?}");
        assert_eq!(story.patch(&path, json!({"status": "on"})).await.status, 200);
        story.minutes_pass(5).await;
        assert_eq!(people.iter().flat_map(|p| story.heard(p)).count(), 2);
    }
}

//! A campaign whose time passed does not go out by itself, whatever it was that kept it.

use pagecast::clock::{HOUR, MINUTE};
use pagecast::store::ids::PageRowId;
use pagecast::workspaces;
use serde_json::json;

use crate::story;
use crate::support::Story;
use crate::support::story::PAGE;

/// Its token is dead at Meta, too: a Page that Meta finds well goes on by itself.
async fn breaks_the_page(story: &Story) {
    story.sandbox.meta.revokes_page_token(PAGE, "another-token");
    let page: PageRowId = sqlx::query_scalar("SELECT id FROM pages")
        .fetch_one(story.app.db.pool())
        .await
        .unwrap();
    workspaces::page_needs_reconnect(&story.app, page, "Gone")
        .await
        .unwrap();
}

async fn asks(story: &Story, id: &str) {
    let report = story.report(id).await;
    assert_eq!(report["status"], "paused", "{report:#}");
    let attention = report["attention"].as_str().unwrap();
    assert!(attention.starts_with("Its time passed"), "{attention}");
}

story! {
    async fn a_page_that_is_dead_at_the_time_does_not_make_it_go_out_hours_later(story: &mut Story) {
        let people = story.audience(2).await;
        let id = story.campaign("Lunch").await;
        // Further ahead than campaigns are prepared, so that there is no vehicle when it breaks.
        story.schedules(&id, json!({"at": "2026-11-24T14:00:00Z", "late_limit_minutes": 30})).await;
        breaks_the_page(story).await;
        story.hours_pass(6).await;
        asks(story, &id).await;
        story.sandbox.meta.revokes_page_token(PAGE, "page-token");
        story.connects_the_page_again().await;
        story.hours_pass(2).await;
        asks(story, &id).await;
        assert_eq!(story.heard(&people[0]).len(), 0);

        assert_eq!(story.post(&format!("/campaigns/{id}/resume"), json!({})).await.status, 200);
        story.minutes_pass(65).await;
        assert_eq!(story.report(&id).await["counts"]["sent"], 2);
    }
}

story! {
    async fn a_meta_that_is_away_for_hours_does_not_move_the_limit_on(story: &mut Story) {
        let people = story.audience(2).await;
        let id = story.campaign("Lunch").await;
        story.schedules(&id, json!({"at": "2026-11-24T14:00:00Z", "late_limit_minutes": 60})).await;
        // No campaign can be made at Meta until the evening.
        story.sandbox.meta.is_down(true);
        story.hours_pass(8).await;
        story.sandbox.meta.is_down(false);
        story.hours_pass(2).await;
        asks(story, &id).await;
        assert_eq!(story.heard(&people[0]).len(), 0);
    }
}

story! {
    async fn in_peoples_own_zones_a_missed_beginning_asks_as_well(story: &mut Story) {
        story.audience(2).await;
        let id = story.campaign("Breakfast").await;
        // In the first zone it is ten o'clock fourteen hours earlier.
        story.schedules(&id, json!({"at": "2026-11-26T10:00:00Z", "timezone": "UTC",
            "in_subscriber_timezone": true, "late_limit_minutes": 30})).await;
        story.clock.advance(34 * HOUR + 40 * MINUTE);
        story.settles().await;
        asks(story, &id).await;
    }
}

story! {
    async fn a_local_time_that_is_over_in_the_first_zones_when_it_is_chosen_is_not_late(story: &mut Story) {
        story.audience(2).await;
        let id = story.campaign("Lunch").await;
        story.schedules(&id, json!({"at": "2026-11-24T14:00:00Z", "timezone": "UTC",
            "in_subscriber_timezone": true, "late_limit_minutes": 0})).await;
        story.hours_pass(2).await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "running", "{report:#}");
    }
}

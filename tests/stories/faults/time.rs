//! The clock of the machine stepped forward and back by hours, and a worker that loses time.

use std::time::Duration;

use pagecast::clock::{HOUR, MINUTE};
use pagecast::opt_ins;
use pagecast::sandbox::Throttle;
use pagecast::store::ids::PageRowId;
use pagecast::worker;
use serde_json::json;

use crate::story;

/// Holds a broadcast up in the middle, for ten minutes.
const HOLD: Throttle = Throttle {
    code: Some(613),
    retry_after: Some(600),
    regain_minutes: None,
};

story! {
    async fn a_clock_that_goes_back_hours_in_a_broadcast_makes_nobody_hear_it_twice(story: &mut Story) {
        let people = story.mixed_audience(150).await;
        let id = story.almost_starts().await;
        story.sandbox.meta.drops_answers(5);
        story.sandbox.meta.goes_silent(true);
        story.clock.advance(MINUTE);
        story.sandbox.meta.throttles_next(HOLD, 60);
        story.settles().await;
        story.clock.advance(-3 * HOUR);
        story.minutes_pass(30).await;
        story.hours_pass(4).await;
        let (_, unknown) = story.all_told_once(&people, &id).await;
        assert!(unknown <= 5, "{unknown} unknown");
    }
}

story! {
    async fn a_clock_that_jumps_hours_ahead_in_a_broadcast_makes_nobody_hear_it_twice(story: &mut Story) {
        let people = story.mixed_audience(150).await;
        let id = story.almost_starts().await;
        story.sandbox.meta.drops_answers(5);
        story.sandbox.meta.goes_silent(true);
        story.clock.advance(MINUTE);
        story.sandbox.meta.throttles_next(HOLD, 60);
        story.settles().await;
        story.clock.advance(5 * HOUR);
        story.minutes_pass(30).await;
        let (_, unknown) = story.all_told_once(&people, &id).await;
        assert!(unknown <= 5, "{unknown} unknown");
    }
}

story! {
    async fn a_schedule_that_only_a_wrong_clock_passed_asks_and_never_fires_by_itself(story: &mut Story) {
        let people = story.audience(3).await;
        let id = story.campaign("Glitch").await;
        let body = json!({"at": "2026-11-24T15:00:00Z", "late_limit_minutes": 30});
        story.schedules(&id, body).await;
        story.clock.advance(12 * HOUR);
        story.settles().await;
        story.clock.advance(-12 * HOUR);
        story.hours_pass(8).await;
        assert_eq!(story.taken(&people), 0);
        let report = story.report(&id).await;
        assert_eq!(report["status"], "paused", "{report:#}");
        assert!(report["attention"].is_string());
    }
}

story! {
    async fn after_a_clock_went_back_what_is_due_does_not_wait_for_the_old_time(story: &mut Story) {
        let people = story.mixed_audience(2).await;
        let first = story.campaign("Before").await;
        let to = story.id_of(&people[0]).await;
        story.post(&format!("/campaigns/{first}/test"), json!({"subscriber_id": to})).await;
        story.settles().await;
        assert_eq!(story.taken(&people), 1);
        story.clock.advance(-6 * HOUR);
        let began = story.now();
        story.post(&format!("/campaigns/{first}/test"), json!({"subscriber_id": to})).await;
        story.settles().await;
        assert_eq!(story.taken(&people), 2);
        let waited = story.now() - began;
        assert!(waited < MINUTE, "its turn came {waited} ms later");
    }
}

story! {
    async fn a_late_reading_of_metas_list_does_not_put_back_what_another_worker_saw(story: &mut Story) {
        story.audience(10).await;
        let (page,): (PageRowId,) = sqlx::query_as("SELECT id FROM pages")
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        story.sandbox.meta.delays(800);
        let slow = story.app.clone();
        let reads = story.app.tasks.spawn(async move { opt_ins::resync_page(&slow, page).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        story.sandbox.meta.delays(0);
        story.clock.advance(5_000);
        let newer = story.now();
        opt_ins::resync_page(&story.app, page).await.unwrap();
        reads.await.unwrap().unwrap();
        // Whoever seems unseen since the newer reading began would be taken for gone by it.
        let (unseen,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM subscribers WHERE token_seen_at < $1")
                .bind(newer)
                .fetch_one(story.app.db.pool())
                .await
                .unwrap();
        assert_eq!(unseen, 0);
    }
}

story! {
    async fn a_worker_that_speaks_after_its_lease_overwrites_nothing(story: &mut Story) {
        let people = story.audience(1).await;
        let id = story.almost_starts().await;
        story.clock.advance(2 * MINUTE);
        // The first worker's call hangs; the second finds its lease run out and tries once more.
        story.sandbox.meta.delays(1_500);
        let frozen = story.app.clone();
        let thaws = story.app.tasks.spawn(async move { worker::run_due(&frozen).await });
        tokio::time::sleep(Duration::from_millis(700)).await;
        story.sandbox.meta.delays(0);
        story.clock.advance(2 * MINUTE);
        worker::run_due(&story.app).await.unwrap();
        assert_eq!(story.taken(&people), 1, "the second worker got through");
        thaws.await.unwrap().unwrap();
        story.settles().await;
        let (_, unknown) = story.all_told_once(&people, &id).await;
        assert_eq!(unknown, 0);
        // The day's message is used up, whatever the late answer said.
        let next = story.broadcasts("Next").await;
        let report = story.report(&next).await;
        assert_eq!(report["skipped"], json!({"capped": 1}), "{report:#}");
    }
}

//! Control: pause, resume, cancel and repair, and that a campaign is through only when it is.

use std::time::Duration;

use pagecast::sandbox::Throttle;
use serde_json::{Value, json};

use super::audience;
use super::operator::{Operator, PAGE};
use crate::story;
use crate::support::{Engine, postgres};

/// Sends that Meta saw so far.
fn seen(operator: &Operator) -> usize {
    operator.sandbox.meta.calls_seen(PAGE).len()
}

/// From a second after the answer on, nothing goes out.
async fn stands_still(operator: &Operator) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = seen(operator);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(seen(operator), before, "it goes on after a second");
}

async fn a_pause_takes_effect_within_a_second(engine: Engine, message: Value, people: usize) {
    let operator = Operator::start(engine).await;
    let people = audience::of(&operator, people).await;
    operator.sandbox.meta.times_calls(true);
    let roles: &[&'static str] = match engine {
        Engine::Sqlite => &["all"],
        Engine::Postgres => &["web", "worker", "worker", "worker"],
    };
    let mut processes = Vec::new();
    for role in roles {
        processes.push(operator.runs(role).await);
    }
    let campaign = operator.broadcasts_this("Control", message).await;
    audience::until_taken(&operator, &people, 5).await;
    let verb = |verb: &str| format!("{campaign}/{verb}");
    let paused = operator.call("POST", &verb("pause"), Some(json!({}))).await;
    assert_eq!(paused["status"], "paused");
    stands_still(&operator).await;
    let told = audience::taken(&operator, &people);
    assert!(told < people.len(), "it was over before the pause");
    operator
        .call("POST", &verb("resume"), Some(json!({})))
        .await;
    audience::until_taken(&operator, &people, told + 10).await;
    operator
        .call("POST", &verb("cancel"), Some(json!({})))
        .await;
    stands_still(&operator).await;
    // What was in flight comes to its end, and no row stays open.
    let mut report = operator.report(&campaign).await;
    for _ in 0..300 {
        if report["counts"]["sending"] == 0 && report["counts"]["queued"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        report = operator.report(&campaign).await;
    }
    assert_eq!(report["status"], "cancelled", "{report:#}");
    let count = |key: &str| usize::try_from(report["counts"][key].as_i64().unwrap()).unwrap();
    let taken = audience::taken(&operator, &people);
    assert_eq!(
        (count("sent"), count("sent") + count("skipped")),
        (taken, people.len())
    );
    assert_eq!(
        report["skipped"],
        json!({"cancelled": people.len() - taken})
    );
    for person in &people {
        assert!(operator.sandbox.meta.sent_to(person).len() <= 1);
    }
    drop(processes);
    operator.sandbox.shutdown().await;
}

fn text() -> Value {
    json!({"kind": "text", "text": "Once"})
}

fn video() -> Value {
    json!({"kind": "media", "media": "video", "url": "https://shop.example/film.mp4"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_takes_effect_within_a_second_on_sqlite() {
    a_pause_takes_effect_within_a_second(Engine::Sqlite, text(), 2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_reaches_three_workers_within_a_second_on_postgres() {
    if postgres::server().is_some() {
        a_pause_takes_effect_within_a_second(Engine::Postgres, text(), 3_000).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_of_a_video_takes_effect_within_a_second_on_sqlite() {
    a_pause_takes_effect_within_a_second(Engine::Sqlite, video(), 100).await;
}

story! {
    async fn repair_reaches_who_failed_for_that_reason_and_nobody_else(story: &mut Story) {
        let people = story.mixed_audience(20).await;
        let id = story.almost_starts().await;
        // Four are refused for good, each on the free channel.
        story.sandbox.meta.refuses_next(100, Some(2_018_047), 4);
        story.minutes_pass(10).await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "finished", "{report:#}");
        assert_eq!(report["failed"], json!({"rejected": 4}), "{report:#}");
        let repair = format!("/campaigns/{id}/repair");

        let other = story.post(&repair, json!({"reason": "gave_up"})).await;
        assert_eq!(other.status, 409, "{other:?}");
        assert_eq!(story.report(&id).await["status"], "finished", "refused as a whole");
        let unknown_field = story.post(&repair, json!({"reasons": []})).await;
        assert_eq!(unknown_field.status, 422, "{unknown_field:?}");

        let again = story.post(&repair, json!({"reason": "rejected"})).await;
        assert_eq!(again.status, 200, "{again:?}");
        assert_eq!(again.body["status"], "running");
        assert_eq!(again.body["counts"]["queued"], 4);
        story.minutes_pass(3).await;
        let (report, unknown) = story.all_told_once(&people, &id).await;
        assert_eq!((unknown, &report["failed"]), (0, &json!({})));
        let nothing_left = story.post(&repair, json!({})).await;
        assert_eq!(nothing_left.status, 409, "{nothing_left:?}");
    }
}

story! {
    async fn what_meta_took_and_could_not_deliver_can_be_sent_again_the_next_day(story: &mut Story) {
        let people = story.audience(4).await;
        let id = story.almost_starts().await;
        story.sandbox.meta.auto_receipts(false);
        story.minutes_pass(5).await;
        story.sandbox.meta.delivery_fails(&people[0], "The app is too old.").unwrap();
        story.settles().await;
        let report = story.report(&id).await;
        assert_eq!(report["failed"], json!({"not_delivered": 1}), "{report:#}");
        story.hours_pass(25).await;
        story.sandbox.meta.auto_receipts(true);
        assert_eq!(story.post(&format!("/campaigns/{id}/repair"), json!({})).await.status, 200);
        story.minutes_pass(5).await;
        let report = story.report(&id).await;
        let counts = &report["counts"];
        assert_eq!((&counts["sent"], &counts["failed"]), (&4.into(), &0.into()), "{report:#}");
        // The receipt of the second try finds it.
        assert_eq!(counts["delivered"], 1, "{report:#}");
        assert_eq!(report["status"], "finished");
    }
}

story! {
    async fn repair_never_touches_what_may_have_arrived(story: &mut Story) {
        story.sandbox.meta.goes_silent(true);
        let people = story.mixed_audience(8).await;
        let id = story.almost_starts().await;
        story.sandbox.meta.drops_answers(8);
        story.sandbox.meta.refuses_next(100, Some(2_018_047), 2);
        story.minutes_pass(10).await;
        let before = story.report(&id).await;
        assert_eq!(before["counts"]["failed"], 2, "{before:#}");
        let in_doubt = before["counts"]["unknown"].as_i64().unwrap();
        assert!(in_doubt > 0, "{before:#}");
        story.sandbox.meta.drops_answers(0);
        assert_eq!(story.post(&format!("/campaigns/{id}/repair"), json!({})).await.status, 200);
        story.minutes_pass(10).await;
        let (_, unknown) = story.all_told_once(&people, &id).await;
        assert_eq!(i64::try_from(unknown).unwrap(), in_doubt);
    }
}

story! {
    async fn repair_is_not_for_what_is_cancelled_or_has_not_begun(story: &mut Story) {
        story.mixed_audience(6).await;
        let id = story.almost_starts().await;
        let repair = format!("/campaigns/{id}/repair");
        assert_eq!(story.post(&repair, json!({})).await.status, 409, "it has not begun");
        // One in doubt keeps it open while two have failed.
        story.sandbox.meta.goes_silent(true);
        story.sandbox.meta.drops_answers(1);
        story.sandbox.meta.refuses_next(100, Some(2_018_047), 2);
        story.minutes_pass(1).await;
        let cancel = story.post(&format!("/campaigns/{id}/cancel"), json!({})).await;
        assert_eq!(cancel.body["status"], "cancelled", "{cancel:?}");
        assert_eq!(cancel.body["counts"]["failed"], 2, "{cancel:?}");
        assert_eq!(story.post(&repair, json!({})).await.status, 409, "cancelled is final");
        story.minutes_pass(10).await;
    }
}

story! {
    async fn a_campaign_is_not_through_while_a_message_is_still_to_be_tried(story: &mut Story) {
        let people = story.audience(5).await;
        story.sandbox.meta.goes_silent(true);
        let id = story.almost_starts().await;
        story.clock.advance(30_000);
        story.settles().await;
        story.sandbox.meta.drops_answers(1);
        story.clock.advance(35_000);
        story.settles().await;
        // The Page has to rest before the message in doubt can be tried once more.
        let rest = Throttle { code: Some(613), retry_after: Some(900), regain_minutes: None };
        story.sandbox.meta.throttles_next(rest, 1);
        story.minutes_pass(10).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["unknown"], 1, "{report:#}");
        assert_eq!(report["status"], "running", "{report:#}");
        story.minutes_pass(10).await;
        let (_, unknown) = story.all_told_once(&people, &id).await;
        assert_eq!(unknown, 0);
    }
}

story! {
    async fn everyone_who_was_not_told_has_a_reason(story: &mut Story) {
        let people = story.mixed_audience(30).await;
        story.sandbox.meta.lives_in(&people[1], "DE");
        story.sandbox.meta.stops_unnoticed(&people[3]).unwrap();
        story.sandbox.meta.goes_silent(true);
        let id = story.almost_starts().await;
        story.sandbox.meta.refuses_next(551, None, 2);
        story.sandbox.meta.refuses_next(100, Some(2_018_047), 2);
        story.sandbox.meta.drops_answers(3);
        story.minutes_pass(30).await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "finished", "{report:#}");
        let log = story.get(&format!("/campaigns/{id}/messages?limit=200")).await.body;
        let rows = log["data"].as_array().unwrap();
        assert_eq!(rows.len(), 30);
        let untold: Vec<&Value> = rows.iter().filter(|row| row["status"] != "sent").collect();
        assert!(untold.len() >= 6, "{report:#}");
        for row in untold {
            let reason = row["reason"].as_str().unwrap_or_default();
            assert!(!reason.is_empty(), "{row:#}");
        }
    }
}

//! Messages that come back: what was refused for now, what came back unspoken, and the second try of
//! what may have arrived. What has changed meanwhile holds for them, too.

use std::time::Duration;

use pagecast::clock::{HOUR, MINUTE};
use pagecast::worker;
use serde_json::json;

use crate::story;
use crate::support::Story;
use crate::support::story::PAGE;

async fn number(story: &Story, sql: &'static str, at: i64) -> i64 {
    sqlx::query_scalar(sql)
        .bind(at)
        .fetch_one(story.app.db.pool())
        .await
        .unwrap()
}

/// A campaign of which the first `n` answers are lost, without an echo; its id.
async fn is_in_doubt(story: &Story, text: &str, n: u32) -> String {
    let id = story.campaign(text).await;
    story.schedules(&id, json!({})).await;
    story.minutes_pass(59).await;
    story.sandbox.meta.drops_answers(n);
    story.clock.advance(2 * MINUTE);
    story.settles().await;
    id
}

story! {
    async fn the_second_try_waits_for_the_end_of_the_quiet_hours(story: &mut Story) {
        story.sandbox.meta.goes_silent(true);
        story.sandbox.meta.times_calls(true);
        story.audience(1).await;
        // In New York it is 6:01 when it is first said.
        let quiet = json!({"quiet_hours": {"start": "06:02", "end": "09:00"}});
        assert_eq!(story.patch("/settings", quiet).await.status, 200);
        let id = is_in_doubt(story, "Early", 1).await;
        story.minutes_pass(10).await;
        assert_eq!(story.report(&id).await["counts"]["unknown"], 1);
        assert_eq!(story.sandbox.meta.calls_seen(PAGE).len(), 1, "it is six in the morning");
        story.hours_pass(3).await;
        assert_eq!(story.sandbox.meta.calls_seen(PAGE).len(), 2);
        assert_eq!(story.report(&id).await["counts"]["sent"], 1);
    }
}

story! {
    async fn an_automation_that_was_turned_off_meanwhile_says_nothing_more(story: &mut Story) {
        let body = json!({"name": "Hello", "status": "on", "trigger": {"kind": "opted_in"},
            "steps": [{"wait_minutes": 30, "message": {"kind": "text", "text": "Hello again"}}]});
        let made = story.post("/automations", body).await;
        let path = format!("/automations/{}", made.body["id"].as_str().unwrap());
        let ana = story.subscriber("Ana").await;
        story.minutes_pass(29).await;
        // It is turned off while Meta thinks about it, and then says "later".
        story.sandbox.meta.refuses_next(1, None, 1);
        story.clock.advance(2 * MINUTE);
        worker::run_due(&story.app).await.unwrap();
        assert_eq!(number(story, "SELECT COUNT(*) FROM messages WHERE status = 'queued' AND created_at > $1", 0).await, 1);
        story.sandbox.meta.refuses_next(1, None, 1);
        story.clock.advance(20 * MINUTE);
        story.sandbox.meta.delays(1_500);
        let speaking = story.app.clone();
        let spoke = story.app.tasks.spawn(async move { worker::run_due(&speaking).await });
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(number(story, "SELECT COUNT(*) FROM messages WHERE status = 'sending' AND created_at > $1", 0).await, 1);
        assert_eq!(story.patch(&path, json!({"status": "off"})).await.status, 200);
        story.sandbox.meta.delays(0);
        spoke.await.unwrap().unwrap();
        story.hours_pass(3).await;
        assert_eq!(story.heard(&ana), Vec::<String>::new());
        assert_eq!(number(story, "SELECT COUNT(*) FROM messages WHERE reason = 'cancelled' AND created_at > $1", 0).await, 1);
    }
}

story! {
    async fn many_in_doubt_that_must_wait_hold_up_nobody_elses_second_try(story: &mut Story) {
        story.sandbox.meta.goes_silent(true);
        story.audience(70).await;
        let first = is_in_doubt(story, "First", 70).await;
        assert_eq!(story.report(&first).await["counts"]["unknown"], 70);
        sqlx::query("UPDATE meta_campaigns SET hold_until = $1")
            .bind(story.now() + 5 * HOUR)
            .execute(story.app.db.writer())
            .await
            .unwrap();
        let [late] = story.audience(1).await.try_into().unwrap();
        let second = is_in_doubt(story, "Second", 1).await;
        story.minutes_pass(3).await;
        let report = story.report(&second).await;
        assert_eq!(report["counts"]["sent"], 1, "{report:#}");
        assert_eq!(story.heard(&late).len(), 1);
    }
}

story! {
    async fn a_budget_that_is_used_up_for_today_does_not_move_the_whole_line(story: &mut Story) {
        story.audience(300).await;
        let id = story.campaign("Budget").await;
        let body = json!({"channel": "marketing_message"});
        assert_eq!(story.patch(&format!("/campaigns/{id}"), body).await.status, 200);
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.refuses_next(2_300_054, None, 1);
        story.minutes_pass(10).await;
        let put_off = "SELECT COUNT(*) FROM messages WHERE status = 'queued' AND due_at > $1";
        // The one that met it, and at most the batch that was being claimed then.
        let moved = number(story, put_off, story.now()).await;
        assert!((1..=65).contains(&moved), "{moved} rows were moved");
        story.minutes_pass(60).await;
        assert_eq!(story.report(&id).await["counts"]["sent"], 300);
    }
}

//! Meta's answer and what Meta tells afterwards are not always of one mind.

use serde_json::{Value, json};

use crate::inbox::meta_says;
use crate::story;
use crate::support::Story;
use crate::support::story::PAGE;

/// Everybody of the campaign was told once and is counted as sent, however long we wait.
async fn is_sent_once(story: &Story, campaign: &str, person: &pagecast::sandbox::Person) {
    story.hours_pass(14).await;
    let report = story.report(campaign).await;
    assert_eq!(report["counts"]["sent"], 1, "{report:#}");
    assert_eq!(report["status"], "finished", "{report:#}");
    assert_eq!(story.heard(person).len(), 1, "nobody hears it twice");
}

story! {
    async fn an_error_after_which_the_echo_comes_was_no_error(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        let id = story.campaign("Hello").await;
        let body = json!({"channel": "standard"});
        assert_eq!(story.patch(&format!("/campaigns/{id}"), body).await.status, 200);
        story.sandbox.meta.errs_after_taking(500, 2, 1);
        story.schedules(&id, json!({})).await;
        is_sent_once(story, &id, &ana).await;
    }
}

story! {
    async fn an_error_of_the_paid_channel_after_which_the_echo_comes_was_no_error(story: &mut Story) {
        let [person] = story.audience(1).await.try_into().unwrap();
        let id = story.campaign("Hello").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.errs_after_taking(500, 2, 1);
        is_sent_once(story, &id, &person).await;
        // It was the message of the day, too.
        let (last,): (Option<i64>,) = sqlx::query_as("SELECT last_marketing_at FROM subscribers")
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert!(last.is_some());
    }
}

/// What Meta said of a failure then, said once more in another envelope.
fn the_old_failure(message: &pagecast::sandbox::SentMessage, psid: &str, at: i64) -> Value {
    let failure = json!({"page_id": PAGE, "timestamp": at, "error_message": "Not reachable",
        "messenger_subscription_token": message.token, "message_id": message.campaign_id});
    let event = json!({"sender": {"id": PAGE}, "recipient": {"id": psid}, "timestamp": at,
        "marketing_message_delivery_failed": failure});
    json!({"object": "page", "entry": [{"id": PAGE, "time": at, "messaging": [event]}]})
}

story! {
    async fn an_old_failure_told_again_does_not_fail_the_message_that_was_sent_since(story: &mut Story) {
        let [person] = story.audience(1).await.try_into().unwrap();
        story.sandbox.meta.auto_receipts(false);
        let id = story.broadcasts("Once more").await;
        story.sandbox.meta.delivery_fails(&person, "Not reachable").unwrap();
        let failed_at = story.now();
        story.settles().await;
        assert_eq!(story.report(&id).await["failed"], json!({"not_delivered": 1}));
        story.hours_pass(25).await;
        let repaired = story.post(&format!("/campaigns/{id}/repair"), json!({})).await;
        assert_eq!(repaired.status, 200, "{repaired:?}");
        story.minutes_pass(2).await;
        assert_eq!(story.report(&id).await["counts"]["sent"], 1);

        let first = story.sent_to(&person).remove(0);
        let body = the_old_failure(&first, &person.psid, failed_at).to_string();
        assert_eq!(meta_says(story, body.into_bytes()).await, 200);
        story.settles().await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 1, "{report:#}");
    }
}

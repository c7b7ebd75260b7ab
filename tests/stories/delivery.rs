//! What becomes of a message when Meta, the network or the hour is against it.

use serde_json::json;

use crate::story;

story! {
    async fn a_lost_answer_is_settled_by_the_echo_and_nobody_hears_it_twice(story: &mut Story) {
        let people = story.audience(3).await;
        let id = story.campaign("Still warm").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.drops_answers(1);
        story.minutes_pass(2).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 3, "{report:#}");
        assert_eq!(report["counts"]["unknown"], 0);
        for person in &people {
            assert_eq!(story.heard(person).len(), 1);
        }
    }
}

story! {
    async fn a_lost_answer_without_an_echo_is_tried_once_more_where_that_is_safe(story: &mut Story) {
        story.sandbox.meta.goes_silent(true);
        let people = story.audience(3).await;
        let id = story.campaign("Still warm").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.drops_answers(1);
        story.clock.advance(2 * 60_000);
        story.settles().await;
        let between = story.report(&id).await;
        assert_eq!(between["counts"]["unknown"], 1, "{between:#}");
        assert_eq!(between["status"], "running", "an unsettled message keeps it open");
        story.minutes_pass(3).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 3, "Meta refused the second try, so the first arrived: {report:#}");
        assert_eq!(report["status"], "finished");
        for person in &people {
            assert_eq!(story.heard(person).len(), 1);
        }
    }
}

story! {
    async fn in_the_free_window_a_lost_answer_stays_unknown_and_is_shown_as_such(story: &mut Story) {
        story.sandbox.meta.goes_silent(true);
        let ana = story.subscriber("Ana").await;
        story.sandbox.meta.drops_answers(1);
        let id = story.campaign("Hello").await;
        let body = json!({"channel": "standard"});
        assert_eq!(story.patch(&format!("/campaigns/{id}"), body).await.status, 200);
        story.schedules(&id, json!({})).await;
        story.minutes_pass(10).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["unknown"], 1, "{report:#}");
        assert_eq!(report["status"], "finished");
        assert_eq!(story.heard(&ana).len(), 1, "it was not sent again");
        let log = story.get(&format!("/campaigns/{id}/messages?status=unknown")).await.body;
        assert_eq!(log["data"].as_array().unwrap().len(), 1, "{log:#}");
    }
}

story! {
    async fn a_campaign_that_is_not_warm_waits_without_touching_the_others(story: &mut Story) {
        let people = story.audience(20).await;
        let id = story.campaign("Warm-up").await;
        story.schedules(&id, json!({})).await;
        let waiting = story.report(&id).await;
        assert_eq!(waiting["status"], "preparing", "{waiting:#}");
        story.minutes_pass(59).await;
        story.sandbox.meta.refuses_next(2_300_003, None, 1);
        story.minutes_pass(2).await;
        let held = story.report(&id).await;
        assert_eq!(held["counts"]["queued"], 20, "only the first one probed: {held:#}");
        assert_eq!(held["counts"]["failed"], 0);
        story.minutes_pass(61).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 20, "{report:#}");
        for person in &people {
            assert_eq!(story.heard(person).len(), 1);
        }
    }
}

story! {
    async fn one_marketing_message_a_day_is_the_most_anybody_gets(story: &mut Story) {
        let people = story.audience(2).await;
        let first = story.broadcasts("One").await;
        let second = story.broadcasts("Two").await;
        assert_eq!(story.report(&first).await["counts"]["sent"], 2);
        let report = story.report(&second).await;
        assert_eq!(report["skipped"], json!({"capped": 2}), "{report:#}");
        assert_eq!(story.heard(&people[0]).len(), 1);
        story.hours_pass(25).await;
        let third = story.broadcasts("Three").await;
        assert_eq!(story.report(&third).await["counts"]["sent"], 2);
    }
}

story! {
    async fn two_campaigns_at_the_same_moment_are_still_one_message_a_person(story: &mut Story) {
        let people = story.audience(10).await;
        let (one, two) = (story.campaign("One").await, story.campaign("Two").await);
        story.schedules(&one, json!({})).await;
        story.schedules(&two, json!({})).await;
        story.minutes_pass(62).await;
        for person in &people {
            assert_eq!(story.heard(person).len(), 1);
        }
        let (one, two) = (story.report(&one).await, story.report(&two).await);
        let sum = |key: &str| {
            one["counts"][key].as_i64().unwrap() + two["counts"][key].as_i64().unwrap()
        };
        assert_eq!((sum("sent"), sum("skipped")), (10, 10));
    }
}

story! {
    async fn too_many_calls_slow_the_page_down_and_lose_nothing(story: &mut Story) {
        let people = story.audience(30).await;
        let id = story.campaign("Busy").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.refuses_next(613, None, 5);
        story.minutes_pass(15).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 30, "{report:#}");
        assert_eq!(report["status"], "finished");
        for person in &people {
            assert_eq!(story.heard(person).len(), 1);
        }
    }
}

story! {
    async fn when_meta_is_down_the_messages_wait_and_then_go_out_once(story: &mut Story) {
        let people = story.audience(5).await;
        let id = story.campaign("Patience").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.is_down(true);
        story.minutes_pass(45).await;
        assert_eq!(story.report(&id).await["counts"]["failed"], 0);
        story.sandbox.meta.is_down(false);
        story.hours_pass(3).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 5, "{report:#}");
        for person in &people {
            assert_eq!(story.heard(person).len(), 1);
        }
    }
}

story! {
    async fn a_dead_page_token_stops_the_page_and_fails_nobody(story: &mut Story) {
        let people = story.audience(4).await;
        let id = story.campaign("Token").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.refuses_next(190, Some(460), 1);
        story.minutes_pass(5).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["queued"], 4, "{report:#}");
        assert_eq!(report["counts"]["failed"], 0);
        story.connects_the_page_again().await;
        story.minutes_pass(5).await;
        assert_eq!(story.report(&id).await["counts"]["sent"], 4);
        assert_eq!(story.heard(&people[0]).len(), 1);
    }
}

story! {
    async fn a_budget_that_is_used_up_pauses_and_resumes_by_hand(story: &mut Story) {
        story.audience(4).await;
        let id = story.campaign("Budget").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.refuses_next(2_300_015, None, 1);
        story.minutes_pass(5).await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "paused", "{report:#}");
        assert!(report["attention"].as_str().unwrap().contains("budget"), "{report:#}");
        assert_eq!(story.post(&format!("/campaigns/{id}/resume"), json!({})).await.status, 200);
        story.minutes_pass(5).await;
        assert_eq!(story.report(&id).await["counts"]["sent"], 4);
    }
}

story! {
    async fn an_unknown_code_of_the_paid_channel_stops_the_campaign_and_drops_nobody(story: &mut Story) {
        story.audience(4).await;
        let id = story.campaign("Unknown").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.refuses_next(2_300_099, None, 1);
        story.minutes_pass(5).await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "failed", "{report:#}");
        assert_eq!(report["counts"]["queued"], 4);
        let people = story.get("/subscribers?status=subscribed").await.body;
        assert_eq!(people["data"].as_array().unwrap().len(), 4);
    }
}

story! {
    async fn a_token_that_meta_no_longer_takes_costs_this_person_only(story: &mut Story) {
        story.audience(3).await;
        let id = story.campaign("Tokens").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.refuses_next(2_300_037, None, 1);
        story.minutes_pass(5).await;
        let report = story.report(&id).await;
        assert_eq!(report["skipped"], json!({"no_token": 1}), "{report:#}");
        assert_eq!(report["counts"]["sent"], 2);
    }
}

story! {
    async fn receipts_late_doubled_and_out_of_order_move_nothing_backwards(story: &mut Story) {
        let people = story.audience(5).await;
        story.sandbox.meta.doubles_webhooks(true);
        story.sandbox.meta.reorders_webhooks(true);
        let id = story.broadcasts("Receipts").await;
        for person in &people {
            story.sandbox.meta.reads_all(person);
            story.sandbox.meta.receives(person);
        }
        story.settles().await;
        let report = story.report(&id).await;
        let counts = &report["counts"];
        assert_eq!(
            json!([counts["sent"], counts["delivered"], counts["read"]]),
            json!([5, 5, 5]),
            "{report:#}"
        );
    }
}

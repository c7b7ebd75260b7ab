//! Writing, scheduling and steering a broadcast.

use serde_json::json;

use crate::story;

story! {
    async fn every_mistake_in_a_campaign_is_named_by_its_field(story: &mut Story) {
        let answer = story
            .post("/campaigns", json!({
                "name": " ",
                "message": {"kind": "text", "text": "x".repeat(641), "buttons": [
                    {"kind": "url", "title": "A title that is far too long", "url": "shop.example"}]},
                "audience": {"include": []}
            }))
            .await;
        assert_eq!(answer.status, 422, "{answer:?}");
        let pointers: Vec<&str> = answer.body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(
            pointers,
            ["/name", "/message/text", "/message/buttons/0/url", "/message/buttons/0/title", "/audience/include"]
        );
    }
}

story! {
    async fn the_audience_is_who_was_meant(story: &mut Story) {
        let people = story.audience(6).await;
        let ids: Vec<String> = {
            let mut ids = Vec::new();
            for person in &people {
                ids.push(story.id_of(person).await);
            }
            ids
        };
        for id in &ids[..3] {
            let path = format!("/subscribers/{id}/tags");
            assert_eq!(story.post(&path, json!({"add": ["vip"], "remove": []})).await.status, 200);
        }
        let path = format!("/subscribers/{}/tags", ids[0]);
        story.post(&path, json!({"add": ["staff"], "remove": []})).await;
        let answer = story
            .post("/campaigns", json!({
                "name": "VIPs", "message": {"kind": "text", "text": "Only you"},
                "audience": {"include": [{"kind": "tag", "tag": "vip"}],
                             "exclude": [{"kind": "tag", "tag": "staff"}]},
                "schedule": {}
            }))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        story.minutes_pass(61).await;
        let report = story.report(answer.body["id"].as_str().unwrap()).await;
        assert_eq!(report["counts"]["sent"], 2, "{report:#}");
        let got: Vec<usize> = people.iter().map(|person| story.heard(person).len()).collect();
        assert_eq!(got, [0, 1, 1, 0, 0, 0]);
    }
}

story! {
    async fn a_klaviyo_segment_is_an_audience(story: &mut Story) {
        let (ana, _) = story.customer("Ana Lima").await;
        let (ben, _) = story.customer("Ben Osei").await;
        let profile = story.sandbox.klaviyo.profile("ana.lima@example.com").unwrap();
        let segment = story.sandbox.klaviyo.segment("VIP", &[profile]).unwrap();
        story.hours_pass(25).await;
        let answer = story
            .post("/campaigns", json!({
                "name": "VIP", "message": {"kind": "text", "text": "For the few"},
                "audience": {"include": [{"kind": "klaviyo_segment", "segment_id": segment}]},
                "schedule": {}
            }))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        story.minutes_pass(62).await;
        let report = story.report(answer.body["id"].as_str().unwrap()).await;
        assert_eq!(report["counts"]["sent"], 1, "{report:#}");
        assert_eq!((story.heard(&ana).len(), story.heard(&ben).len()), (1, 0));
    }
}

story! {
    async fn a_held_out_share_is_told_nothing_and_counted(story: &mut Story) {
        story.audience(200).await;
        let answer = story
            .post("/campaigns", json!({
                "name": "Holdout", "message": {"kind": "text", "text": "Hello"},
                "audience": {"include": [{"kind": "everyone"}], "holdout_percent": 20},
                "schedule": {}
            }))
            .await;
        story.minutes_pass(62).await;
        let report = story.report(answer.body["id"].as_str().unwrap()).await;
        let held = report["skipped"]["holdout"].as_i64().unwrap();
        assert!((15..=65).contains(&held), "20 % of 200, give or take: {held}");
        assert_eq!(report["counts"]["sent"].as_i64().unwrap() + held, 200);
    }
}

story! {
    async fn a_campaign_can_be_paused_resumed_and_cancelled(story: &mut Story) {
        story.audience(5).await;
        let id = story.campaign("Stop and go").await;
        let path = |verb: &str| format!("/campaigns/{id}/{verb}");
        story.schedules(&id, json!({"at": "2026-11-24T15:00:00Z"})).await;
        assert_eq!(story.post(&path("pause"), json!({})).await.body["status"], "paused");
        story.hours_pass(6).await;
        assert_eq!(story.report(&id).await["counts"]["sent"], 0);
        assert_eq!(story.post(&path("resume"), json!({})).await.status, 200);
        story.minutes_pass(62).await;
        assert_eq!(story.report(&id).await["status"], "finished");
        assert_eq!(story.report(&id).await["counts"]["sent"], 5);

        let other = story.campaign("Never").await;
        story.schedules(&other, json!({"at": "2026-11-25T15:00:00Z"})).await;
        let cancelled = story.post(&format!("/campaigns/{other}/cancel"), json!({})).await;
        assert_eq!(cancelled.body["status"], "cancelled");
        assert_eq!(story.post(&format!("/campaigns/{other}/resume"), json!({})).await.status, 409);
    }
}

story! {
    async fn cancelling_in_the_middle_leaves_no_row_open(story: &mut Story) {
        story.audience(5).await;
        let id = story.campaign("Half-way").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.sandbox.meta.refuses_next(613, None, 5);
        story.clock.advance(2 * 60_000);
        story.settles().await;
        assert_eq!(story.post(&format!("/campaigns/{id}/cancel"), json!({})).await.status, 200);
        story.minutes_pass(10).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["queued"], 0, "{report:#}");
        let counted = ["sent", "skipped", "failed", "unknown"]
            .iter()
            .map(|key| report["counts"][key].as_i64().unwrap())
            .sum::<i64>();
        assert_eq!(counted, 5);
        assert_eq!(report["status"], "cancelled");
    }
}

story! {
    async fn a_schedule_that_was_missed_asks_before_it_fires(story: &mut Story) {
        let people = story.audience(2).await;
        let id = story.campaign("Too late").await;
        let body = json!({"at": "2026-11-24T12:00:00Z", "late_limit_minutes": 30});
        story.schedules(&id, body).await;
        // Nothing ran for five hours.
        story.clock.advance(5 * 3_600_000);
        story.settles().await;
        let report = story.report(&id).await;
        assert_eq!(report["status"], "paused", "{report:#}");
        assert!(report["attention"].is_string());
        assert!(story.heard(&people[0]).is_empty());
        assert_eq!(story.post(&format!("/campaigns/{id}/resume"), json!({})).await.status, 200);
        story.minutes_pass(62).await;
        assert_eq!(story.heard(&people[0]).len(), 1);
    }
}

story! {
    async fn a_lateness_limit_is_kept_to_within_seconds(story: &mut Story) {
        story.audience(1).await;
        let (on_time, late) = (story.campaign("On time").await, story.campaign("Late").await);
        let at = |time: &str| json!({"at": time, "late_limit_minutes": 1});
        story.schedules(&on_time, at("2026-11-24T11:59:00Z")).await;
        story.schedules(&late, at("2026-11-24T11:58:59Z")).await;
        story.clock.advance(2 * 3_600_000 + 5_000);
        story.settles().await;
        assert_ne!(story.report(&on_time).await["status"], "paused");
        assert_eq!(story.report(&late).await["status"], "paused");
    }
}

story! {
    async fn quiet_hours_outlast_a_broadcasts_patience(story: &mut Story) {
        story.audience(2).await;
        let settings = json!({"quiet_hours": {"start": "00:00", "end": "23:59"}});
        assert_eq!(story.patch("/settings", settings).await.status, 200);
        let id = story.broadcasts("Shh").await;
        let report = story.report(&id).await;
        assert_eq!(report["skipped"], json!({"quiet_hours": 2}), "{report:#}");
    }
}

story! {
    async fn people_where_meta_sells_no_messages_are_skipped_by_name(story: &mut Story) {
        let people = story.audience(3).await;
        story.sandbox.meta.lives_in(&people[0], "DE");
        let id = story.broadcasts("Regions").await;
        let report = story.report(&id).await;
        assert_eq!(report["skipped"], json!({"region_not_allowed": 1}), "{report:#}");
        assert_eq!(report["counts"]["sent"], 2);
    }
}

story! {
    async fn a_test_reaches_one_person_and_counts_nowhere(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        let id = story.campaign("Try me").await;
        let subscriber = story.id_of(&ana).await;
        let answer = story
            .post(&format!("/campaigns/{id}/test"), json!({"subscriber_id": subscriber}))
            .await;
        assert!(answer.status < 300, "{answer:?}");
        story.settles().await;
        assert_eq!(story.heard(&ana).len(), 1);
        let report = story.report(&id).await;
        assert_eq!(report["status"], "draft");
        assert_eq!(report["counts"]["sent"], 0);
    }
}

story! {
    async fn meta_never_sees_more_than_its_three_hundred_a_second(story: &mut Story) {
        let before = story.now();
        story.audience(900).await;
        let id = story.campaign("Pace").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(62).await;
        assert_eq!(story.report(&id).await["counts"]["sent"], 900, "the sandbox refuses more than 300 a second");
        let (first, last): (i64, i64) = sqlx::query_as("SELECT MIN(sent_at), MAX(sent_at) FROM messages")
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert!(last - first >= 2_500, "900 messages took {} ms", last - first);
        assert!(first > before);
    }
}

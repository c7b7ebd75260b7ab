//! Automations, as the merchant turns them on.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::story;

story! {
    async fn an_automation_that_is_turned_on_gets_its_warm_campaign_at_once(story: &mut Story) {
        let welcome = json!({"name": "Welcome", "status": "off", "trigger": {"kind": "opted_in"},
            "steps": [{"wait_minutes": 0, "message": {"kind": "text", "text": "Hello"}}]});
        let made = story.post("/automations", welcome).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert!(story.sandbox.meta.campaigns().is_empty());

        let path = format!("/automations/{}", made.body["id"].as_str().unwrap());
        assert_eq!(story.patch(&path, json!({"status": "on"})).await.status, 200);
        // No sweep runs meanwhile: the request itself has seen to it.
        let until = Instant::now() + Duration::from_secs(10);
        while story.sandbox.meta.campaigns().is_empty() {
            assert!(Instant::now() < until, "nothing was prepared");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        story.settles().await;
        assert_eq!(story.sandbox.meta.campaigns().len(), 1);
    }
}

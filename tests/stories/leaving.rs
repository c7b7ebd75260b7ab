//! People leave, Meta is told of it, and they come back.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::story;
use crate::support::Story;

fn is_usable(story: &Story, person: &pagecast::sandbox::Person) -> bool {
    story.sandbox.meta.token_of(person).unwrap().1
}

fn cards(story: &Story, person: &pagecast::sandbox::Person) -> usize {
    let sent = story.sent_to(person);
    sent.iter()
        .filter(|message| message.kind == "opt_in_card")
        .count()
}

async fn status(story: &Story, person: &pagecast::sandbox::Person) -> String {
    let path = format!("/subscribers/{}", story.id_of(person).await);
    story.get(&path).await.body["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

story! {
    async fn a_start_right_after_a_stop_keeps_the_token(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        story.clock.advance(30_000);
        story.sandbox.meta.writes(&ana, "STOP").unwrap();
        story.settles().await;
        assert_eq!(status(story, &ana).await, "opted_out");
        story.clock.advance(30_000);
        story.sandbox.meta.writes(&ana, "START").unwrap();
        story.settles().await;
        assert_eq!(status(story, &ana).await, "subscribed");
        story.minutes_pass(10).await;
        assert!(is_usable(story, &ana), "who came back must not be taken out at Meta");
        assert_eq!(cards(story, &ana), 1);
    }
}

story! {
    async fn a_stop_by_word_is_told_to_meta_and_a_start_always_gets_an_answer(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        story.clock.advance(30_000);
        story.sandbox.meta.writes(&ana, "STOP").unwrap();
        story.minutes_pass(5).await;
        assert!(!is_usable(story, &ana), "Meta must know");

        // Their token is gone, and a card was sent this week: there is one more, in other words.
        story.sandbox.meta.writes(&ana, "START").unwrap();
        story.settles().await;
        assert_eq!(status(story, &ana).await, "opted_out");
        assert_eq!(cards(story, &ana), 2);
        story.sandbox.meta.taps_card(&ana).unwrap();
        story.settles().await;
        assert_eq!(status(story, &ana).await, "subscribed");
        assert!(is_usable(story, &ana));

        story.clock.advance(30_000);
        story.sandbox.meta.writes(&ana, "STOP").unwrap();
        story.minutes_pass(5).await;
        story.sandbox.meta.writes(&ana, "START").unwrap();
        story.settles().await;
        assert_eq!(cards(story, &ana), 2, "Meta takes no third card in a week");
        let heard = story.heard(&ana);
        assert!(heard.last().unwrap().contains("sign-up card above"), "{heard:?}");
    }
}

story! {
    async fn a_merchants_opt_out_is_told_to_meta_even_if_meta_is_down_at_first(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        story.sandbox.meta.is_down(true);
        let path = format!("/subscribers/{}/opt-out", story.id_of(&ana).await);
        assert_eq!(story.post(&path, json!({})).await.status, 200);
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let tried: i64 = sqlx::query_scalar("SELECT attempts FROM untold_opt_outs")
                .fetch_one(story.app.db.pool())
                .await
                .unwrap();
            if tried > 0 {
                break;
            }
            assert!(Instant::now() < until, "nobody tried to tell Meta");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(is_usable(story, &ana));
        story.sandbox.meta.is_down(false);
        story.minutes_pass(3).await;
        assert!(!is_usable(story, &ana));
        let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM untold_opt_outs")
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert_eq!(left, 0);
    }
}

story! {
    async fn an_opt_out_in_the_admin_is_told_to_meta_too(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        let link = pagecast::workspaces::login_link(&story.app, story.workspace).await.unwrap();
        let (_, token) = link.url.split_once("token=").unwrap();
        let here = ("sec-fetch-site", "same-origin");
        let signed_in = story.http.post(format!("{}/app/sign-in", story.url))
            .header(here.0, here.1)
            .form(&[("token", token)])
            .send()
            .await
            .unwrap();
        let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let id = story.id_of(&ana).await;
        let pressed = story.http.post(format!("{}/app/subscribers/{id}/opt-out", story.url))
            .header("cookie", cookie)
            .header(here.0, here.1)
            .send()
            .await
            .unwrap();
        assert_eq!(pressed.status(), 303);
        assert_eq!(status(story, &ana).await, "opted_out");
        story.minutes_pass(3).await;
        assert!(!is_usable(story, &ana), "Meta must know");
    }
}

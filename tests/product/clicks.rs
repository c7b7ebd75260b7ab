//! Clicks, recorded behind the answer.

use pagecast::clock::{HOUR, MINUTE};
use pagecast::links::{self, Recorder};

use crate::world::{NOW, World};

#[tokio::test]
async fn clicks_are_counted_once_each_and_prove_what_the_receipts_did_not_say() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let (ana, campaign) = (world.subscriber(ws, 7).await, world.campaign(ws).await);
    world.message(ws, campaign, ana).await;
    let recorder = Recorder::start(&world.app);
    let first = world.click(ws, campaign, ana, NOW + MINUTE);
    let second = world.click(ws, campaign, ana, NOW + HOUR);
    for click in [&first, &second, &first] {
        recorder.record(click.clone()).await.unwrap();
    }
    recorder.flush().await;
    links::keep(&world.app, &[second]).await.unwrap();

    assert_eq!(world.count("SELECT COUNT(*) FROM clicks").await, 2);
    assert_eq!(world.count("SELECT clicks FROM messages").await, 2);
    for sql in [
        "SELECT clicked_at FROM messages",
        "SELECT read_at FROM messages",
        "SELECT delivered_at FROM messages",
    ] {
        assert_eq!(world.count(sql).await, NOW + MINUTE, "{sql}");
    }
    let last = "SELECT last_clicked_at FROM subscribers";
    assert_eq!(world.count(last).await, NOW + HOUR);
    assert_eq!(world.count("SELECT COUNT(*) FROM klaviyo_outbox").await, 0);
}

#[tokio::test]
async fn what_was_recorded_is_written_before_the_process_ends() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let campaign = world.campaign(ws).await;
    let recorder = Recorder::start(&world.app);
    let mut people = Vec::new();
    for customer in 0..20 {
        people.push(world.subscriber(ws, customer).await);
    }
    for n in 0..1_500 {
        let click = world.click(ws, campaign, people[n % 20], NOW);
        recorder.record(click).await.unwrap();
    }
    world.app.stop.cancel();
    world.app.tasks.close();
    world.app.tasks.wait().await;
    assert_eq!(world.count("SELECT COUNT(*) FROM clicks").await, 1_500);
    let late = world.click(ws, campaign, people[0], NOW);
    assert!(recorder.record(late).await.is_err());
    recorder.flush().await;
}

#[tokio::test]
async fn each_click_is_told_to_klaviyo_with_the_campaign_it_came_from() {
    let world = World::new().await;
    let ws = world.workspace().await;
    world
        .run(
            "INSERT INTO klaviyo_accounts (workspace_id, connected_at) VALUES ($1, $2)",
            &[ws.id.0, NOW],
        )
        .await;
    let (ana, campaign) = (world.subscriber(ws, 7).await, world.campaign(ws).await);
    world.clicks(ws, campaign, ana, NOW).await;
    let told = world
        .text("SELECT metric || ' ' || properties FROM klaviyo_outbox")
        .await;
    let told = told.unwrap();
    assert!(told.starts_with("Clicked Messenger Message"), "{told}");
    assert!(told.contains(r#""campaign_name":"Sale""#), "{told}");
    assert!(told.contains(&campaign.to_string()), "{told}");
}

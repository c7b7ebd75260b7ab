//! Pace, in real time: never more than Meta's limit in any one second, hardly less while there is
//! work, nobody starves, and who just did something is not kept waiting by a broadcast.

use std::time::{Duration, Instant};

use pagecast::sandbox::SeenCall;
use serde_json::json;

use super::operator::{Operator, PAGE};
use super::{audience, sized};
use crate::support::{Engine, postgres};

const SECOND: Duration = Duration::from_secs(1);

/// The most calls within any one second.
fn busiest(calls: &[SeenCall]) -> usize {
    let mut most = 0;
    let mut first = 0;
    for (i, call) in calls.iter().enumerate() {
        while call.at - calls[first].at >= SECOND {
            first += 1;
        }
        most = most.max(i + 1 - first);
    }
    most
}

/// Calls a second, from the first call after `from` to the last before the end's own second.
fn steady(calls: &[SeenCall]) -> f64 {
    let (first, last) = (calls[0].at + SECOND, calls[calls.len() - 1].at - SECOND);
    let between = calls.iter().filter(|c| c.at >= first && c.at < last).count();
    between as f64 / (last - first).as_secs_f64()
}

async fn the_limit_is_kept_and_used(engine: Engine, workers: usize) {
    let operator = Operator::start(engine).await;
    let people = audience::of(&operator, sized(2_500, 20_000)).await;
    operator.sandbox.meta.times_calls(true);
    let mut processes = Vec::new();
    match engine {
        Engine::Sqlite => processes.push(operator.runs("all").await),
        Engine::Postgres => {
            processes.push(operator.runs("web").await);
            for _ in 0..workers {
                processes.push(operator.runs("worker").await);
            }
        }
    }
    let campaign = operator.broadcasts("Pace").await;
    let limit = Duration::from_secs(sized(60, 200));
    let report = audience::until_finished(&operator, &campaign, limit).await;
    audience::told_once(&operator, &people, &report).await;
    let calls = operator.sandbox.meta.calls_seen(PAGE);
    let (most, rate) = (busiest(&calls), steady(&calls));
    eprintln!("{engine:?}, {workers} workers: {most} in the busiest second, {rate:.0} a second");
    assert!(most <= 300, "{most} calls in one second");
    assert!(rate >= 285.0, "{rate:.0} calls a second of 300");
    drop(processes);
    operator.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_keeps_and_uses_the_limit_on_sqlite() {
    the_limit_is_kept_and_used(Engine::Sqlite, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_the_limit_without_drift_on_postgres() {
    if postgres::server().is_some() {
        the_limit_is_kept_and_used(Engine::Postgres, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn video_goes_out_at_ten_a_second_and_no_faster() {
    let operator = Operator::start(Engine::Sqlite).await;
    let people = audience::of(&operator, 60).await;
    operator.sandbox.meta.times_calls(true);
    let _process = operator.runs("all").await;
    let video = json!({"kind": "media", "media": "video", "url": "https://shop.example/a.mp4"});
    let campaign = operator.broadcasts_this("Video", video).await;
    let report = audience::until_finished(&operator, &campaign, Duration::from_secs(60)).await;
    audience::told_once(&operator, &people, &report).await;
    let calls = operator.sandbox.meta.calls_seen(PAGE);
    let (most, rate) = (busiest(&calls), steady(&calls));
    eprintln!("video: {most} in the busiest second, {rate:.1} a second");
    assert!(most <= 10, "{most} videos in one second");
    assert!(rate >= 9.5, "{rate:.1} videos a second of 10");
    operator.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opt_in_card_overtakes_a_broadcast() {
    let operator = Operator::start(Engine::Sqlite).await;
    let people = audience::of(&operator, 2_500).await;
    let _process = operator.runs("all").await;
    let link = json!({"name": "Link", "source": "link"});
    let link = operator.call("POST", "/opt-in-links", Some(link)).await;
    let campaign = operator.broadcasts("Long").await;
    audience::until_taken(&operator, &people, 200).await;
    let ana = operator.sandbox.meta.person("Ana");
    let began = Instant::now();
    operator
        .sandbox
        .meta
        .follows(&ana, link["url"].as_str().unwrap())
        .unwrap();
    while operator.sandbox.meta.sent_to(&ana).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "no card comes");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = began.elapsed();
    let told = audience::taken(&operator, &people);
    eprintln!("the card came after {took:?}, with {told} of 2500 told");
    assert!(told < 2_300, "it waited for the broadcast");
    assert!(took < Duration::from_secs(3), "the card took {took:?}");
    audience::until_finished(&operator, &campaign, Duration::from_secs(60)).await;
    operator.sandbox.shutdown().await;
}

//! The database in trouble within its own machine: locked by somebody else, and full.

use std::time::Duration;

use pagecast::app::App;
use pagecast::store::Database;
use pagecast::worker;

use crate::story;
use crate::support::{Engine, Story};

story! {
    async fn a_database_that_somebody_else_locks_for_seconds_holds_up_and_loses_nothing(story: &mut Story) {
        let people = story.mixed_audience(150).await;
        let id = story.almost_starts().await;
        let other = Database::connect(&story.app.config.database_url).await.unwrap();
        for _ in 0..2 {
            let mut held = other.begin().await.unwrap();
            if other.engine() == pagecast::store::Engine::Postgres {
                sqlx::query("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
                    .execute(&mut *held)
                    .await
                    .unwrap();
            }
            story.clock.advance(120_000);
            let waits = async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                held.rollback().await.unwrap();
            };
            let (done, ()) = tokio::join!(worker::run_due(&story.app), waits);
            done.expect("what waited for the lock is done");
        }
        other.close().await;
        story.minutes_pass(5).await;
        let (_, unknown) = story.all_told_once(&people, &id).await;
        assert_eq!(unknown, 0);
    }
}

/// Lets the database have so many pages, on every connection.
async fn limits_pages(app: &App, most: i64) {
    let pragma = format!("PRAGMA max_page_count = {most}");
    let mut tx = app.db.begin().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(pragma.clone()))
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.rollback().await.unwrap();
    let mut all = Vec::new();
    for _ in 0..app.db.pool().options().get_max_connections() {
        all.push(app.db.acquire().await.unwrap());
    }
    for connection in &mut all {
        sqlx::query(sqlx::AssertSqlSafe(pragma.clone()))
            .execute(&mut **connection)
            .await
            .unwrap();
    }
}

/// As the disk is full: no page more than there are.
async fn fills_up(app: &App) {
    let (pages,): (i64,) = sqlx::query_as("SELECT page_count FROM pragma_page_count")
        .fetch_one(app.db.pool())
        .await
        .unwrap();
    limits_pages(app, pages).await;
}

async fn has_room(app: &App) {
    limits_pages(app, 1_073_741_823).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_at_the_launch_freezes_no_half_of_an_audience() {
    let story = Story::start(Engine::Sqlite).await;
    let people = story.mixed_audience(2_000).await;
    let id = story.almost_starts().await;
    fills_up(&story.app).await;
    story.endures(&story.app, 5).await;
    let report = story.report(&id).await;
    assert_eq!(report["status"], "preparing", "{report:#}");
    assert_eq!(
        (report["counts"]["queued"].as_i64(), story.taken(&people)),
        (Some(0), 0)
    );
    has_room(&story.app).await;
    story.minutes_pass(10).await;
    let (_, unknown) = story.all_told_once(&people, &id).await;
    assert_eq!(unknown, 0);
    story.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fills_up_while_messages_go_out_makes_nobody_hear_it_twice() {
    let story = Story::start(Engine::Sqlite).await;
    let people = story.mixed_audience(600).await;
    let id = story.almost_starts().await;
    let filled = async {
        while story.taken(&people) < 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        fills_up(&story.app).await;
    };
    story.clock.advance(120_000);
    let (_, ()) = tokio::join!(worker::run_due(&story.app), filled);
    story.endures(&story.app, 5).await;
    let during = story.taken(&people);
    has_room(&story.app).await;
    story.minutes_pass(15).await;
    let (_, unknown) = story.all_told_once(&people, &id).await;
    eprintln!("disk full: {during} of 600 taken while it was, {unknown} unknown afterwards");
    assert!(during < 600, "it was over before the disk was full");
    story.ends().await;
}

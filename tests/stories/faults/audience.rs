//! Who is written to in a story with processes, and what must be true of them afterwards.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pagecast::clock::Clock;
use pagecast::sandbox::{Person, Sandbox};
use pagecast::store::Database;
use serde_json::Value;

use super::operator::Operator;
use super::sized;

/// Writes `n` subscribers into the database. Every other one wrote to the Page just now, so that
/// they are told on the free channel, where Meta takes a second message as gladly as the first.
pub(crate) async fn of(operator: &Operator, n: usize) -> Vec<Person> {
    let now = Clock::system().now();
    let db = Database::connect(&operator.database).await.unwrap();
    let (workspace, page): (i64, i64) = sqlx::query_as("SELECT workspace_id, id FROM pages")
        .fetch_one(db.pool())
        .await
        .unwrap();
    let mut tx = db.begin().await.unwrap();
    let mut people = Vec::with_capacity(n);
    for i in 0..n {
        let person = operator.sandbox.meta.person(&format!("Person{i}"));
        let token = operator.sandbox.meta.has_subscribed(&person).unwrap();
        let is_here = i % 2 == 0;
        if is_here {
            operator.sandbox.meta.wrote_unnoticed(&person).unwrap();
        }
        sqlx::query(
            "INSERT INTO subscribers (id, workspace_id, page_id, psid, token, last_action_at,
                 opted_in_at, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, 1, 1)",
        )
        .bind(i64::try_from(i).unwrap() + 1)
        .bind(workspace)
        .bind(page)
        .bind(&person.psid)
        .bind(token)
        .bind(is_here.then_some(now))
        .execute(&mut *tx)
        .await
        .unwrap();
        people.push(person);
    }
    tx.commit().await.unwrap();
    db.close().await;
    people
}

/// How many messages Meta has taken for these people.
pub(crate) fn taken(operator: &Operator, people: &[Person]) -> usize {
    let meta = &operator.sandbox.meta;
    people.iter().map(|person| meta.sent_to(person).len()).sum()
}

/// Waits until Meta has taken so many.
pub(crate) async fn until_taken(operator: &Operator, people: &[Person], n: usize) {
    // A launch reads the whole of Meta's list first.
    let until = Instant::now() + Duration::from_mins(sized(1, 6));
    while taken(operator, people) < n {
        assert!(Instant::now() < until, "the broadcast does not get going");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the campaign has ended by itself; its report.
pub(crate) async fn until_finished(operator: &Operator, campaign: &str, limit: Duration) -> Value {
    let until = Instant::now() + limit;
    loop {
        let report = operator.report(campaign).await;
        if report["status"] == "finished" {
            return report;
        }
        assert!(Instant::now() < until, "it does not finish: {report:#}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// As [`agrees`], and the API lists those whose fate is unknown. How many they are.
pub(crate) async fn told_once(operator: &Operator, people: &[Person], report: &Value) -> usize {
    let db = Database::connect(&operator.database).await.unwrap();
    let unknown = agrees(&db, &operator.sandbox, people, report).await;
    db.close().await;
    let id = report["id"].as_str().unwrap();
    let listed = format!("/campaigns/{id}/messages?status=unknown&limit=200");
    let listed = operator.call("GET", &listed, None).await;
    let listed = listed["data"].as_array().unwrap().len();
    assert_eq!(listed, unknown.min(200), "the unknown are listed");
    unknown
}

/// Everybody was told once; or, where the answer never came and cannot come any more, at most once
/// and shown as unknown. The parts add up to the audience. How many are unknown.
pub(crate) async fn agrees(
    db: &Database,
    sandbox: &Sandbox,
    people: &[Person],
    report: &Value,
) -> usize {
    let count = |key: &str| usize::try_from(report["counts"][key].as_i64().unwrap()).unwrap();
    let unknown = count("unknown");
    assert_eq!(count("sent") + unknown, people.len(), "{report:#}");
    for key in ["queued", "sending", "failed", "skipped"] {
        assert_eq!(count(key), 0, "{report:#}");
    }
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT s.psid, m.status FROM messages m JOIN subscribers s ON s.id = m.subscriber_id
         WHERE m.campaign_id IS NOT NULL",
    )
    .fetch_all(db.pool())
    .await
    .unwrap();
    let status: HashMap<String, String> = rows.into_iter().collect();
    for person in people {
        let heard = sandbox.meta.sent_to(person).len();
        let known = status[&person.psid].as_str();
        assert!(heard <= 1, "somebody was told {heard} times ({known})");
        assert!(heard == 1 || known == "unknown", "{known}, and not told");
    }
    unknown
}

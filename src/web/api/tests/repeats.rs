//! What a repeated request with an `Idempotency-Key` does.

use axum::http::{Method, header};
use serde_json::{Value, json};

use super::{Caller, assert_problem, campaign};
use crate::clock::{DAY, MINUTE};

#[tokio::test]
async fn a_repeat_with_its_key_is_answered_again_and_done_once() {
    let caller = Caller::new().await;
    let post = async |body: &Value, key: &str| {
        caller
            .keyed(Method::POST, "/campaigns", Some(body), Some(key))
            .await
    };
    let first = post(&campaign(), "k1").await;
    assert_eq!(first.status, 201, "{}", first.body);
    assert!(!first.headers.contains_key("Idempotency-Replayed"));
    let again = post(&campaign(), "k1").await;
    assert_eq!((again.status.as_u16(), &again.body), (201, &first.body));
    assert_eq!(again.headers["Idempotency-Replayed"], "true");
    let count = async || {
        let list = caller.get("/campaigns").await;
        list.body["data"].as_array().unwrap().len()
    };
    assert_eq!(count().await, 1);

    let mut other = campaign();
    other["name"] = json!("Other");
    assert_problem(&post(&other, "k1").await, 422);
    // A refusal is an answer, too.
    assert_problem(&post(&json!({}), "k2").await, 422);
    let refused = post(&json!({}), "k2").await;
    assert_problem(&refused, 422);
    assert_eq!(refused.headers["Idempotency-Replayed"], "true");
    assert_problem(&post(&other, &"k".repeat(256)).await, 400);

    caller.app.clock.advance(DAY + MINUTE);
    assert_eq!(post(&other, "k1").await.status, 201);
    assert_eq!(count().await, 2);
}

#[tokio::test]
async fn a_key_whose_request_is_under_way_waits_for_a_minute() {
    let caller = Caller::new().await;
    let post = async || {
        caller
            .keyed(Method::POST, "/campaigns", Some(&campaign()), Some("k"))
            .await
    };
    assert_eq!(post().await.status, 201);
    // As a process left it that died in the middle.
    sqlx::query("UPDATE idempotency_keys SET status = NULL, body = NULL")
        .execute(caller.app.db.writer())
        .await
        .unwrap();
    let waiting = post().await;
    assert_problem(&waiting, 409);
    assert!(waiting.headers.contains_key(header::RETRY_AFTER));
    caller.app.clock.advance(2 * MINUTE);
    assert_eq!(post().await.status, 201);
}

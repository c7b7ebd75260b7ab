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
    caller.died_before_it_answered().await;
    let waiting = post().await;
    assert_problem(&waiting, 409);
    assert!(waiting.headers.contains_key(header::RETRY_AFTER));
    caller.app.clock.advance(2 * MINUTE);
    assert_eq!(post().await.status, 201);
}

impl Caller {
    /// What was asked is done, and the process died before it wrote the answer down.
    async fn died_before_it_answered(&self) {
        sqlx::query("UPDATE idempotency_keys SET status = NULL, body = NULL")
            .execute(self.app.db.writer())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_was_made_before_a_crash_is_not_made_again_by_the_repeat() {
    let caller = Caller::new().await;
    let subscriber = caller.has_a_subscriber().await;
    let mut scheduled = campaign();
    scheduled["schedule"] = json!({"at": "2026-11-25T10:00:00Z"});
    let automation = json!({"name": "Hello", "trigger": {"kind": "opted_in"},
        "steps": [{"wait_minutes": 0, "message": {"kind": "text", "text": "Hello"}}]});
    let calls = [
        ("/campaigns", campaign(), "campaigns", 1),
        ("/campaigns", scheduled, "campaigns", 2),
        ("/automations", automation, "automations", 1),
        (
            "/opt-in-links",
            json!({"name": "Till", "source": "qr"}),
            "opt_in_links",
            1,
        ),
    ];
    let count = async |table: &str| -> i64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(caller.app.db.pool())
            .await
            .unwrap()
    };
    for (i, (path, body, table, rows)) in calls.iter().enumerate() {
        let key = format!("k{i}");
        let post = async || {
            caller
                .keyed(Method::POST, path, Some(body), Some(&key))
                .await
        };
        let first = post().await;
        assert_eq!(first.status, 201, "{path}: {}", first.body);
        caller.died_before_it_answered().await;
        caller.app.clock.advance(2 * MINUTE);
        let again = post().await;
        assert_eq!(again.status, 201, "{path}: {}", again.body);
        assert!(!again.headers.contains_key("Idempotency-Replayed"));
        assert_eq!(again.body, first.body, "{path}");
        assert_eq!(count(table).await, *rows, "{path}");
        // Now it is answered.
        let replayed = post().await;
        assert_eq!(replayed.headers["Idempotency-Replayed"], "true");
        assert_eq!(replayed.body, first.body);
    }
    let made = caller.get("/campaigns").await.body["data"][1]["id"].clone();
    let path = format!("/campaigns/{}/test", made.as_str().unwrap());
    let body = json!({"subscriber_id": subscriber});
    let test = async || {
        caller
            .keyed(Method::POST, &path, Some(&body), Some("t"))
            .await
    };
    let first = test().await;
    assert_eq!(first.status, 200, "{}", first.body);
    caller.died_before_it_answered().await;
    caller.app.clock.advance(2 * MINUTE);
    assert_eq!(test().await.body, first.body);
    assert_eq!(count("messages").await, 1);
}

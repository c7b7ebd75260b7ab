//! What a call carries: what is taken, and how the rest is refused.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::json;

use super::{Caller, assert_problem, campaign};
use crate::store::ids::CampaignId;

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let caller = Caller::new().await;
    assert_problem(&caller.get("/nothing").await, 404);
    let root = Request::builder().uri("/api/").body(Body::empty());
    assert_problem(&caller.send(root.unwrap()).await, 404);
    assert_problem(&caller.get("/campaigns/cmp_nothing").await, 404);
    let unknown = CampaignId(77).to_string();
    assert_problem(&caller.get(&format!("/campaigns/{unknown}")).await, 404);
    assert_problem(&caller.call(Method::PUT, "/campaigns", None).await, 405);

    let send = async |kind: &str, body: String| {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/api/v1/campaigns")
            .header(header::AUTHORIZATION, format!("Bearer {}", caller.token))
            .header(header::CONTENT_TYPE, kind);
        caller.send(request.body(Body::from(body)).unwrap()).await
    };
    assert_problem(&send("application/json", "{\"name\": ".into()).await, 400);
    for kind in ["text/plain", "application/x-www-form-urlencoded"] {
        let refused = send(kind, campaign().to_string()).await;
        assert_problem(&refused, 415);
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(
            detail.contains(kind) && detail.contains("application/json"),
            "{detail}"
        );
    }
    let large = json!({"name": "x".repeat(1 << 20)}).to_string();
    assert_problem(&send("application/json", large).await, 413);
    let list = send("application/json; charset=utf-8", "[]".into()).await;
    assert_problem(&list, 422);
}

#[tokio::test]
async fn json_is_taken_whatever_it_is_called() {
    let caller = Caller::new().await;
    for kind in [
        None,
        Some("application/vnd.shop+json; v=1"),
        Some("Application/JSON"),
    ] {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/api/v1/campaigns")
            .header(header::AUTHORIZATION, format!("Bearer {}", caller.token));
        let request = match kind {
            Some(kind) => request.header(header::CONTENT_TYPE, kind),
            None => request,
        };
        let body = Body::from(campaign().to_string());
        let answer = caller.send(request.body(body).unwrap()).await;
        assert_eq!(answer.status, 201, "{kind:?}: {}", answer.body);
    }
}

#[tokio::test]
async fn fields_are_blamed_where_they_stand() {
    let caller = Caller::new().await;
    let mut body = campaign();
    body["message"]["buttons"][0]["foo"] = json!(1);
    body["audience"]["include"][0]["days"] = json!(1);
    let answer = caller.post("/campaigns", &body).await;
    assert_problem(&answer, 422);
    let pointers: BTreeSet<&str> = answer.pointers().into_iter().collect();
    let expected = ["/audience/include/0/days", "/message/buttons/0/foo"];
    assert_eq!(pointers, BTreeSet::from(expected));

    // What the shape cannot know is blamed in the same way.
    let mut body = campaign();
    body["message"]["buttons"][0]["title"] = json!("Far too long for a button of Meta's");
    let answer = caller.post("/campaigns", &body).await;
    assert_problem(&answer, 422);
    assert_eq!(answer.pointers(), ["/message/buttons/0/title"]);

    let answer = caller.post("/campaigns", &json!({})).await;
    let pointers: BTreeSet<&str> = answer.pointers().into_iter().collect();
    assert_eq!(pointers, BTreeSet::from(["/audience", "/message", "/name"]));

    for (query, place) in [
        ("limit=0", "/limit"),
        ("limit=x", "/limit"),
        ("cursor=!", "/cursor"),
        ("status=gone", "/status"),
        ("page=2", "/page"),
    ] {
        let answer = caller.get(&format!("/campaigns?{query}")).await;
        assert_problem(&answer, 400);
        assert_eq!(answer.pointers(), [place]);
    }
}

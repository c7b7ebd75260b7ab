//! Our Graph calls use only the paths and parameters of `edges.json`, and what becomes of a call
//! is told apart.

use std::time::Duration;

use pagecast::http_client::{self, HttpClient};
use pagecast::meta::{Button, Class, Client, Error, Outgoing, Settings, pages};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::fixture;
use crate::recorder::{Call, Recorder};

/// Documented elsewhere than in the SDK and the pages `edges.json` was made of: the Messenger
/// Profile API (`POST /{page}/messenger_profile`) and the access token debugger.
const ELSEWHERE: [&str; 2] = ["messenger_profile", "debug_token"];

fn client(graph_url: &str) -> Client {
    let settings = Settings {
        graph_url: graph_url.to_owned(),
        graph_version: "v26.0".into(),
        app_id: Some("77".into()),
        app_secret: Some("app secret".into()),
    };
    Client::new(HttpClient::new().unwrap(), settings)
}

fn text(text: &str) -> Outgoing {
    let button = Button::Url {
        title: "Shop".into(),
        url: "https://s.example/".into(),
    };
    Outgoing::Text {
        text: text.into(),
        buttons: vec![button],
        quick_replies: vec![],
    }
}

#[tokio::test]
async fn graph_calls_use_only_documented_paths_and_parameters() {
    let answer = r#"{"id":"5","success":true,"recipient_id":"1","message_id":"m","attachment_id":"3",
        "marketing_message_tracking_id":"t","data":[]}"#;
    let server = Recorder::start(200, answer).await;
    let (client, token) = (client(&server.url), SecretString::from("tok"));
    client.page("11", &token).await.unwrap();
    client.subscribe_page("11", &token).await.unwrap();
    client.subscribed_fields("11", &token).await.unwrap();
    client
        .set_get_started("11", &token, "GET_STARTED")
        .await
        .unwrap();
    client.tokens("11", &token, Some("cursor")).await.unwrap();
    client.person_name("22", &token).await.unwrap();
    client.unsubscribe("11", &token, "22").await.unwrap();
    client
        .upload("11", &token, true, "https://s.example/v.mp4")
        .await
        .unwrap();
    client.debug_token(&token).await.unwrap();
    assert_eq!(
        client
            .create_campaign("act_33", &token, "Sale", "11")
            .await
            .unwrap(),
        "5"
    );
    client.delete_campaign(&token, "44").await.unwrap();
    client.estimate("33", &token, "11").await.unwrap();
    let sent = client
        .send_standard("11", &token, "22", &text("Hi"), Some("m1"))
        .await
        .unwrap();
    assert_eq!(sent.mid.as_deref(), Some("m"));
    let sent = client
        .send_marketing("act_33", &token, "44", "sub", &text("Hi"))
        .await
        .unwrap();
    assert_eq!(sent.tracking_id.as_deref(), Some("t"));

    let calls = server.heard();
    assert_eq!(calls.len(), 14);
    let contract = fixture("meta/edges.json");
    for call in &calls {
        check(call, &contract);
    }
}

fn check(call: &Call, contract: &Value) {
    let app_call = call.path.ends_with("debug_token");
    let token = if app_call {
        "Bearer 77|app secret"
    } else {
        "Bearer tok"
    };
    assert_eq!(call.header("authorization"), token);
    assert_eq!(
        call.parameter("appsecret_proof").map(str::len),
        Some(64),
        "{}",
        call.path
    );
    let path = call
        .path
        .strip_prefix("/v26.0")
        .expect("the version leads the path");
    if ELSEWHERE.iter().any(|name| path.ends_with(name)) {
        return;
    }
    let what = format!("{} {path}", call.method);
    let edges = contract["edges"].as_array().unwrap();
    let fitting = edges
        .iter()
        .filter(|edge| edge["method"] == call.method.as_str());
    let edge = fitting
        .filter_map(|edge| Some((literals(edge["path"].as_str()?, path)?, edge)))
        .max_by_key(|(literals, _)| *literals)
        .unwrap_or_else(|| panic!("{what} is not in edges.json"))
        .1;
    let params = edge["params"].as_object().unwrap();
    let body = call.body.as_object().into_iter().flatten();
    let body: Vec<(String, Value)> = body.map(|(k, v)| (k.clone(), v.clone())).collect();
    let query = call
        .query
        .iter()
        .map(|(k, v)| (k.clone(), Value::from(v.as_str())));
    let given: Vec<(String, Value)> = query.chain(body).collect();
    for (name, value) in &given {
        if name == "appsecret_proof" || (call.method == "GET" && name == "fields") {
            continue;
        }
        let param = params
            .get(name)
            .unwrap_or_else(|| panic!("{what} has no parameter {name}"));
        check_value(&format!("{what} {name}"), value, param, contract);
    }
    for (name, param) in params {
        let there = given.iter().any(|(given, _)| given == name);
        assert!(there || param["required"] != true, "{what} lacks {name}");
    }
}

fn check_value(what: &str, value: &Value, param: &Value, contract: &Value) {
    let allowed = match param["enum_ref"].as_str() {
        Some(list) => &contract[list]["values"],
        None => &param["enum"],
    };
    let lower = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    if let Some(allowed) = allowed.as_array() {
        for word in value.as_str().unwrap().split(',') {
            let known = allowed
                .iter()
                .any(|allowed| lower(allowed) == word.to_lowercase());
            assert!(known, "{what}: {word}");
        }
    }
    let parsed = value
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    let object = parsed.as_ref().unwrap_or(value).as_object();
    if let (Some(keys), Some(object)) = (param["keys"].as_array(), object) {
        for key in object.keys() {
            let prefix = format!("{key}.");
            let names = |known: &&str| *known == key || known.starts_with(&prefix);
            let mut known = keys.iter().filter_map(Value::as_str);
            assert!(known.any(|known| names(&known)), "{what} has no key {key}");
        }
    }
    if let (Some(forms), Some(rows)) = (param["row_forms"].as_array(), value.as_array()) {
        for row in rows {
            let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
            assert!(forms.contains(&json!(keys)), "{what}: {row}");
        }
    }
}

/// How many segments of the documented path stand literally in ours; `None` if it does not fit.
fn literals(template: &str, path: &str) -> Option<usize> {
    let template = template.split(['?', ' ']).next()?;
    let (template, path): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    if template.len() != path.len() {
        return None;
    }
    let mut literal = 0;
    for (documented, ours) in template.iter().zip(&path) {
        match documented.split_once('{') {
            None if documented == ours => literal += 1,
            Some((prefix, _)) if ours.starts_with(prefix) => {
                literal += usize::from(!prefix.is_empty());
            }
            _ => return None,
        }
    }
    Some(literal)
}

#[tokio::test]
#[should_panic(expected = "has no parameter daily_budgets")]
async fn the_check_of_calls_can_fail() {
    let server = Recorder::start(200, r#"{"id":"5"}"#).await;
    client(&server.url)
        .create_campaign("3", &"tok".into(), "Sale", "11")
        .await
        .unwrap();
    let mut call = server.heard().remove(0);
    call.body["daily_budgets"] = 5.into();
    check(&call, &fixture("meta/edges.json"));
}

#[test]
fn the_subscription_names_each_field_once_and_all_of_the_paid_channel() {
    let mut fields = pages::SUBSCRIBED_FIELDS.to_vec();
    fields.sort_unstable();
    fields.dedup();
    assert_eq!(fields.len(), pages::SUBSCRIBED_FIELDS.len());
    let values = &fixture("meta/edges.json")["page_subscribed_fields"]["values"];
    let paid = values.as_array().unwrap().iter().filter_map(Value::as_str);
    for field in paid.filter(|field| field.starts_with("marketing_message_")) {
        assert!(fields.contains(&field), "{field}");
    }
}

#[tokio::test]
async fn a_send_that_never_left_is_told_from_one_whose_answer_was_lost() {
    let token = SecretString::from("tok");
    let send = async |url: &str| {
        client(url)
            .send_standard("11", &token, "22", &text("Hi"), None)
            .await
            .unwrap_err()
    };
    // A port that nobody listens on any more.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(send(&closed).await, Error::NotSent(_)));
    for (status, body) in [(200, "<html>"), (200, "{}"), (504, "gateway")] {
        let server = Recorder::start(status, body).await;
        assert!(
            matches!(send(&server.url).await, Error::AnswerLost(_)),
            "{status}"
        );
    }
    let server = Recorder::start(400, r#"{"error":{"code":551,"message":"x"}}"#).await;
    let Error::Api(refused) = send(&server.url).await else {
        panic!("not a refusal")
    };
    assert_eq!(refused.class, Class::SkipRecipient);
    let server = Recorder::start(200, r#"{"error":{"code":190,"message":"x"}}"#).await;
    let Error::Api(refused) = send(&server.url).await else {
        panic!("not a refusal")
    };
    assert_eq!(refused.class, Class::ReconnectPage);
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_a_lost_answer() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0_u8; 4_096];
        tokio::io::AsyncReadExt::read(&mut stream, &mut request)
            .await
            .unwrap();
    });
    let token = SecretString::from("tok");
    let sent = client(&url)
        .send_marketing("act_3", &token, "4", "s", &text("Hi"))
        .await;
    assert!(matches!(sent, Err(Error::AnswerLost(_))), "{sent:?}");
}

#[tokio::test]
async fn both_shapes_of_a_standard_answer_are_understood() {
    let answer = r#"{"recipient":{"id":"22","message_id":"m.9"}}"#;
    let server = Recorder::start(200, answer).await;
    let token = SecretString::from("tok");
    let sent = client(&server.url)
        .send_standard("11", &token, "22", &text("Hi"), None)
        .await;
    assert_eq!(sent.unwrap().mid.as_deref(), Some("m.9"));
}

/// Answers every call after `wait`.
async fn slow_server(wait: Duration) -> (String, JoinSet<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(move || async move {
        tokio::time::sleep(wait).await;
        r#"{"attachment_id":"3"}"#
    });
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, server)
}

#[tokio::test]
async fn an_upload_has_the_time_in_which_meta_fetches_a_video() {
    // A second more than any other call may take.
    let (url, _server) = slow_server(http_client::TOTAL_TIMEOUT + Duration::from_secs(1)).await;
    let token = SecretString::from("tok");
    let client = client(&url);
    let uploaded = client.upload("11", &token, true, "https://s.example/v.mp4");
    assert_eq!(uploaded.await.unwrap(), "3");
}

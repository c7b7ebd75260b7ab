//! Our Klaviyo calls and bodies fit its API document.

use jsonschema::{Draft, Validator};
use pagecast::http_client::HttpClient;
use pagecast::klaviyo::events::{NewEvent, ProfileKey, event_body, events_body, profile_body};
use pagecast::klaviyo::segments::GroupKind;
use pagecast::klaviyo::webhooks::{enable_webhook_body, webhook_body};
use pagecast::klaviyo::{Auth, Client, Error, Settings};
use serde_json::{Map, Value, json};

use crate::fixture;
use crate::recorder::{Call, Recorder};

/// Not in the document, which leaves out OAuth and single profiles.
const ELSEWHERE: [(&str, &str); 2] = [("POST", "/oauth/token"), ("GET", "/api/profiles/01KP4E")];

fn client(url: &str) -> (Client, Auth) {
    let settings = Settings {
        api_url: url.to_owned(),
        client_id: Some("id".into()),
        client_secret: Some("secret".into()),
    };
    let auth = Auth::PrivateKey("pk_1".into());
    (Client::new(HttpClient::new().unwrap(), settings), auth)
}

fn event() -> NewEvent {
    let mut properties = Map::new();
    properties.insert("message_id".into(), "msg_1".into());
    NewEvent {
        metric: "Placed Order from Messenger".into(),
        profile: ProfileKey {
            email: Some("ana@shop.example".into()),
            ..ProfileKey::default()
        },
        properties,
        at: 1_790_000_000_000,
        value: Some(("49.90".into(), "USD".into())),
        unique_id: "msgr:order:1".into(),
    }
}

/// The document ignores `nullable`; a null beside a type has to be spelled out.
fn spell_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(spell_nulls),
        Value::Object(map) => {
            map.values_mut().for_each(spell_nulls);
            if map.get("nullable") == Some(&Value::Bool(true))
                && let Some(Value::String(kind)) = map.get("type").cloned()
            {
                map.insert("type".into(), json!([kind, "null"]));
                if let Some(Value::Array(values)) = map.get_mut("enum") {
                    values.push(Value::Null);
                }
            }
        }
        _ => {}
    }
}

fn schema(name: &str) -> Validator {
    let mut components = fixture("klaviyo/openapi.json")["components"].take();
    spell_nulls(&mut components);
    let schema = json!({"$ref": format!("#/components/schemas/{name}"), "components": components});
    jsonschema::options()
        .with_draft(Draft::Draft4)
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

fn fits(name: &str, body: &Value) {
    let validator = schema(name);
    let problems: Vec<String> = validator
        .iter_errors(body)
        .map(|why| why.to_string())
        .collect();
    assert!(problems.is_empty(), "{name}: {problems:?}\n{body}");
}

#[test]
fn bodies_fit_the_document() {
    fits("EventCreateQueryV2", &event_body(&event()));
    let other = NewEvent {
        value: None,
        unique_id: "2".into(),
        ..event()
    };
    fits("EventsBulkCreateJob", &events_body(&[event(), other]));
    let mut properties = Map::new();
    properties.insert("Pagecast Messenger Status".into(), "subscribed".into());
    properties.insert("Pagecast Messenger Opted Out At".into(), Value::Null);
    let key = ProfileKey {
        id: Some("01KP4E".into()),
        ..ProfileKey::default()
    };
    fits("ProfileUpsertQuery", &profile_body(&key, properties));
    let topics = ["event:klaviyo.opened_email".to_owned()];
    let secret = "a secret of more than 32 characters".into();
    fits(
        "WebhookCreateQuery",
        &webhook_body("Pagecast", "https://p.example/w", &secret, &topics),
    );
    fits("WebhookPartialUpdateQuery", &enable_webhook_body("01KP4F"));
}

#[test]
fn the_check_of_bodies_can_fail() {
    let mut body = event_body(&event());
    body["data"]["attributes"]
        .as_object_mut()
        .unwrap()
        .remove("metric");
    assert!(!schema("EventCreateQueryV2").is_valid(&body));
}

#[tokio::test]
async fn calls_use_only_documented_paths_and_parameters() {
    let answer = r#"{"data":[{"id":"A","attributes":{"name":"VIP","email":"ana@shop.example"}}],
        "links":{"next":null}}"#;
    let server = Recorder::start(200, answer).await;
    let (client, auth) = client(&server.url);
    assert_eq!(client.account(&auth).await.unwrap(), "A");
    for kind in [GroupKind::Segment, GroupKind::List] {
        assert_eq!(client.groups(&auth, kind).await.unwrap()[0].name, "VIP");
        let page = client.members(&auth, kind, "S1", None).await.unwrap();
        assert_eq!(page.members[0].email.as_deref(), Some("ana@shop.example"));
        assert_eq!(page.next, None);
    }
    let found = client
        .profile_by_email(&auth, "a+b@shop.example")
        .await
        .unwrap();
    assert_eq!(found.unwrap().profile_id, "A");
    client.profile_by_kx(&auth, "J8fj%3D.McN66").await.unwrap();
    client.profile(&auth, "01KP4E").await.unwrap();
    assert_eq!(client.webhook_topics(&auth).await.unwrap(), ["A"]);
    client.create_event(&auth, &event()).await.unwrap();
    client.create_events(&auth, &[event()]).await.unwrap();
    client.delete_webhook(&auth, "W1").await.unwrap();
    client.enable_webhook(&auth, "W1").await.unwrap();

    let calls = server.heard();
    assert_eq!(calls.len(), 13);
    let document = fixture("klaviyo/openapi.json");
    for call in &calls {
        check(call, &document);
    }
    let members = calls
        .iter()
        .find(|call| call.path.ends_with("/profiles"))
        .unwrap();
    assert_eq!(members.parameter("page[size]"), Some("100"));
    let by_email = calls
        .iter()
        .find(|call| call.parameter("filter").is_some())
        .unwrap();
    assert_eq!(
        by_email.parameter("filter"),
        Some(r#"equals(email,"a+b@shop.example")"#)
    );
}

fn check(call: &Call, document: &Value) {
    assert_eq!(
        call.header("revision"),
        document["info"]["version"].as_str().unwrap()
    );
    assert_eq!(call.header("authorization"), "Klaviyo-API-Key pk_1");
    assert_eq!(call.header("accept"), "application/vnd.api+json");
    assert_eq!(call.header("content-type"), "application/vnd.api+json");
    let what = format!("{} {}", call.method, call.path);
    if ELSEWHERE.contains(&(call.method.as_str(), call.path.as_str())) {
        return;
    }
    let paths = document["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (template, ours): (Vec<_>, Vec<_>) = (
            template.split('/').collect(),
            call.path.split('/').collect(),
        );
        template.len() == ours.len()
            && template
                .iter()
                .zip(&ours)
                .all(|(t, o)| t == o || t.starts_with('{'))
    };
    let operation = paths.iter().find(|(template, _)| fits(template));
    let operation = operation.and_then(|(_, methods)| methods.get(call.method.to_lowercase()));
    let operation = operation.unwrap_or_else(|| panic!("{what} is not in the document"));
    let parameters = operation["parameters"].as_array().unwrap();
    for (name, value) in &call.query {
        let parameter = parameters
            .iter()
            .find(|parameter| parameter["name"] == name.as_str());
        let parameter = parameter.unwrap_or_else(|| panic!("{what} has no parameter {name}"));
        if let Some(allowed) = parameter["schema"]["items"]["enum"].as_array() {
            for word in value.split(',') {
                assert!(allowed.contains(&json!(word)), "{what} {name}: {word}");
            }
        }
    }
}

#[tokio::test]
async fn a_refresh_is_a_form_with_basic_authorisation_and_keeps_what_comes_back() {
    let answer =
        r#"{"access_token":"a2","token_type":"bearer","expires_in":3600,"refresh_token":"r2"}"#;
    let server = Recorder::start(200, answer).await;
    let (client, _) = client(&server.url);
    let tokens = client.refresh(&"r1".into()).await.unwrap();
    assert_eq!(secrecy::ExposeSecret::expose_secret(&tokens.refresh), "r2");
    assert_eq!(tokens.expires_in, 3_600_000);
    let call = server.heard().remove(0);
    assert_eq!(call.path, "/oauth/token");
    assert_eq!(call.header("authorization"), "Basic aWQ6c2VjcmV0");
    assert_eq!(
        call.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    assert_eq!(call.raw, "grant_type=refresh_token&refresh_token=r1");
}

#[tokio::test]
async fn an_accepted_event_has_no_body_and_a_profile_comes_back_by_its_id() {
    let server = Recorder::start(202, "").await;
    let (there, auth) = client(&server.url);
    there.create_event(&auth, &event()).await.unwrap();
    let server = Recorder::start(201, r#"{"data":{"type":"profile","id":"01KP4E"}}"#).await;
    let (there, auth) = client(&server.url);
    let id = there
        .upsert_profile(&auth, &event().profile, Map::new())
        .await
        .unwrap();
    assert_eq!(id, "01KP4E");
    let server = Recorder::start(404, r#"{"errors":[{"detail":"gone"}]}"#).await;
    let (there, auth) = client(&server.url);
    assert!(there.profile(&auth, "01KP4E").await.unwrap().is_none());
    let members = there.members(&auth, GroupKind::Segment, "S1", None).await;
    assert!(matches!(members, Err(Error::NotFound(_))));
}

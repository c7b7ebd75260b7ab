//! The API as a caller meets it, on a database of its own: who may call, how errors look, what a
//! repeat does, and that answers are what the document says. What the calls cause is told in the
//! stories.

mod bodies;
mod repeats;

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tower::Service;

use super::document::document;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::queue::Queue;
use crate::store::Database;
use crate::store::ids::WorkspaceId;
use crate::web::{Web, api};
use crate::workspaces;

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// 2026-11-20T09:06:40Z
const NOW: i64 = 1_795_165_600_000;

struct Caller {
    app: App,
    router: Router,
    workspace: WorkspaceId,
    token: String,
    _files: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    /// The places that a 4xx blames.
    fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|error| error["pointer"].as_str().unwrap())
            .collect()
    }
}

impl Caller {
    async fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", files.path().join("api.db").display());
        let config = Config::from_lookup(|name| (name == "SECRET_KEY").then(|| KEY.to_owned()));
        let db = Database::connect(&url).await.unwrap();
        db.migrate().await.unwrap();
        let clock = Clock::steerable(NOW);
        let app = App::new(config.unwrap(), clock, db, Queue::silent()).unwrap();
        let workspace = workspaces::create(&app, "Harbour Coffee").await.unwrap();
        let token = workspaces::create_token(&app, workspace, "test").await;
        let web = Web::start(&app);
        Self {
            router: api::router(&web).with_state(web),
            app,
            workspace,
            token: token.unwrap().expose_secret().to_owned(),
            _files: files,
        }
    }

    /// A Page and one subscriber on it; the subscriber's id.
    async fn has_a_subscriber(&self) -> String {
        let (page, subscriber): (i64, i64) = (self.app.ids.next(), self.app.ids.next());
        sqlx::query(
            "INSERT INTO pages (id, workspace_id, meta_id, name, connected_at)
             VALUES ($1, $2, '104', 'Harbour', $3)",
        )
        .bind(page)
        .bind(self.workspace)
        .bind(NOW)
        .execute(self.app.db.writer())
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO subscribers (id, workspace_id, page_id, opted_in_at, created_at, source)
             VALUES ($1, $2, $3, $4, $4, 'qr')",
        )
        .bind(subscriber)
        .bind(self.workspace)
        .bind(page)
        .bind(NOW)
        .execute(self.app.db.writer())
        .await
        .unwrap();
        crate::store::ids::SubscriberId(subscriber).to_string()
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.keyed(method, path, body, None).await
    }

    async fn keyed(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }
}

fn campaign() -> Value {
    json!({"name": "Winter", "message": {"kind": "text", "text": "Hi {{first_name}}", "buttons":
            [{"kind": "url", "title": "Shop now", "url": "https://shop.example/sale"}]},
        "audience": {"include": [{"kind": "everyone"}]}})
}

fn assert_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    assert_eq!(
        answer.headers[header::CONTENT_TYPE],
        "application/problem+json"
    );
    assert_eq!(answer.body["status"], status);
    assert_fits("Problem", &answer.body);
}

/// The value is what the document says of this schema.
fn assert_fits(name: &str, value: &Value) {
    let schema = json!({
        "$ref": format!("#/components/schemas/{name}"),
        "components": document()["components"],
    });
    let schema = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = schema
        .iter_errors(value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{name}: {wrong:?}\n{value:#}");
}

#[test]
fn the_document_describes_every_call_of_the_design() {
    let mut described = BTreeSet::new();
    for (path, calls) in document()["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            described.insert(format!("{} {path}", method.to_uppercase()));
            assert!(call["responses"]["default"].is_object(), "{method} {path}");
            let keyed = call["parameters"]
                .as_array()
                .is_some_and(|all| all.iter().any(|p| p["name"] == "Idempotency-Key"));
            assert_eq!(keyed, method == "post", "{method} {path}");
        }
    }
    let designed = [
        "POST /campaigns",
        "GET /campaigns",
        "GET /campaigns/{id}",
        "PATCH /campaigns/{id}",
        "DELETE /campaigns/{id}",
        "POST /campaigns/{id}/schedule",
        "POST /campaigns/{id}/pause",
        "POST /campaigns/{id}/resume",
        "POST /campaigns/{id}/cancel",
        "POST /campaigns/{id}/repair",
        "POST /campaigns/{id}/test",
        "GET /campaigns/{id}/messages",
        "POST /automations",
        "GET /automations",
        "GET /automations/{id}",
        "PATCH /automations/{id}",
        "DELETE /automations/{id}",
        "GET /subscribers",
        "GET /subscribers/{id}",
        "POST /subscribers/{id}/opt-out",
        "POST /subscribers/{id}/tags",
        "POST /opt-in-links",
        "GET /orders",
        "GET /orders/{id}",
        "GET /reports/overview",
        "GET /settings",
        "PATCH /settings",
    ];
    let designed: BTreeSet<String> = designed
        .iter()
        .map(|call| call.replace(' ', " /api/v1"))
        .collect();
    assert_eq!(described, designed);
    let schemes = &document()["components"]["securitySchemes"];
    assert_eq!(schemes["token"]["scheme"], "bearer");
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(path) if name == "$ref" => found.push(path.clone()),
                        _ => references(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(document(), &mut found);
    assert!(!found.is_empty());
    for path in found {
        let pointer = path.strip_prefix('#').unwrap();
        assert!(document().pointer(pointer).is_some(), "{path}");
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_and_everybody_reads_the_document() {
    let caller = Caller::new().await;
    for authorization in [
        None,
        Some("Bearer pc_wrong"),
        Some("Basic eDp5"),
        Some("Bearer "),
    ] {
        let mut request = Request::builder().uri("/api/v1/campaigns");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        let answer = caller.send(request.body(Body::empty()).unwrap()).await;
        assert_problem(&answer, 401);
        assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE));
    }
    let request = Request::builder().uri("/api/openapi.json");
    let answer = caller.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body["openapi"].as_str().unwrap().starts_with("3."));
}

#[tokio::test]
async fn a_campaign_is_refused_whole_when_its_schedule_is() {
    let caller = Caller::new().await;
    caller.has_a_subscriber().await;
    let mut body = campaign();
    body["schedule"] = json!({"at": "2020-01-01T00:00:00Z"});
    let answer = caller.post("/campaigns", &body).await;
    assert_problem(&answer, 422);
    assert_eq!(answer.pointers(), ["/schedule/at"]);
    assert_eq!(caller.get("/campaigns").await.body["data"], json!([]));

    body["schedule"] = json!({"at": "2026-11-21T09:00", "timezone": "America/New_York"});
    let answer = caller.post("/campaigns", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.body["status"], "scheduled");
    assert_eq!(answer.body["schedule"]["at"], "2026-11-21T14:00:00Z");

    // A change with a schedule that is refused changes nothing.
    let path = format!("/campaigns/{}", answer.body["id"].as_str().unwrap());
    let change = json!({"name": "Spring", "schedule": {"at": "2020-01-01T00:00:00Z"}});
    let refused = caller.call(Method::PATCH, &path, Some(&change)).await;
    assert_problem(&refused, 422);
    assert_eq!(refused.pointers(), ["/schedule/at"]);
    assert_eq!(caller.get(&path).await.body["name"], "Winter");
}

#[tokio::test]
async fn a_nul_is_left_out_and_a_backslash_that_looks_like_one_stays() {
    let caller = Caller::new().await;
    let subscriber = caller.has_a_subscriber().await;
    let mut body = campaign();
    body["message"]["text"] = json!("a\0b \\u0000 c");
    let made = caller.post("/campaigns", &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.body["message"]["text"], "ab \\u0000 c");
    let list = caller.get("/campaigns").await;
    assert_eq!(list.body["data"][0]["id"], made.body["id"]);

    let tags = json!({"add": ["v\0ip"]});
    let path = format!("/subscribers/{subscriber}/tags");
    let tagged = caller.post(&path, &tags).await;
    assert_eq!(tagged.body["tags"], json!(["vip"]));
    let found = caller.get("/subscribers?tag=vi%00p&source=q%00r").await;
    assert_eq!(
        found.body["data"][0]["id"],
        subscriber.as_str(),
        "{}",
        found.body
    );
}

#[tokio::test]
async fn answers_are_what_the_document_says() {
    let caller = Caller::new().await;
    let subscriber = caller.has_a_subscriber().await;
    let made = caller.post("/campaigns", &campaign()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_fits("Campaign", &made.body);
    assert_eq!(made.body["schedule"], Value::Null);
    assert_eq!(made.body["counts"]["sent"], 0);
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(
        caller.get(&format!("/campaigns/{id}")).await.body,
        made.body
    );
    let list = caller.get("/campaigns?status=draft&limit=1").await;
    assert_eq!(list.body, json!({"data": [made.body], "next_cursor": null}));
    assert_fits("Listed_Campaign", &list.body);
    let messages = caller.get(&format!("/campaigns/{id}/messages")).await;
    assert_fits("Listed_CampaignMessage", &messages.body);
    let changed = json!({"name": "Spring", "utm": {"utm_content": "hero"}});
    let path = format!("/campaigns/{id}");
    let changed = caller.call(Method::PATCH, &path, Some(&changed)).await;
    assert_eq!(changed.body["name"], "Spring");
    assert_eq!(changed.body["utm"], json!({"utm_content": "hero"}));
    let paused = caller
        .call(Method::POST, &format!("{path}/pause"), None)
        .await;
    assert_problem(&paused, 409);
    let gone = caller.call(Method::DELETE, &path, None).await;
    assert_eq!((gone.status.as_u16(), gone.body), (204, Value::Null));

    let automation = json!({"name": "Welcome", "trigger": {"kind": "opted_in"},
        "steps": [{"wait_minutes": 0, "message": {"kind": "text", "text": "Hello"}}]});
    let made = caller.post("/automations", &automation).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_fits("Automation", &made.body);
    assert_eq!(
        (&made.body["status"], &made.body["stop_on_order"]),
        (&json!("on"), &json!(true))
    );

    let tags = json!({"add": ["vip", "new"], "remove": ["old"]});
    let tagged = caller
        .post(&format!("/subscribers/{subscriber}/tags"), &tags)
        .await;
    assert_fits("Subscriber", &tagged.body);
    assert_eq!(tagged.body["tags"], json!(["new", "vip"]));
    let listed = caller.get("/subscribers").await;
    assert_eq!(listed.body["data"][0]["tags"], json!(["new", "vip"]));
    let found = caller
        .get("/subscribers?tag=vip&status=subscribed&source=qr")
        .await;
    assert_eq!(found.body["data"][0]["id"], subscriber.as_str());
    let out = format!("/subscribers/{subscriber}/opt-out");
    let out = caller.post(&out, &json!({})).await;
    assert_eq!(out.body["status"], "opted_out", "{}", out.body);

    let link = json!({"name": "Thank you", "source": "checkout", "customer": {"id": 77}});
    let link = caller.post("/opt-in-links", &link).await;
    assert_eq!(link.status, 201, "{}", link.body);
    assert_fits("OptInLink", &link.body);
    let settings = json!({"quiet_hours": {"start": "21:00", "end": "09:00"}});
    let settings = caller
        .call(Method::PATCH, "/settings", Some(&settings))
        .await;
    assert_eq!(settings.body["quiet_hours"]["start"], "21:00");
    assert_fits("Settings", &settings.body);
    let overview = caller
        .get("/reports/overview?from=2026-11-01&to=2026-11-20")
        .await;
    assert_fits("OverviewReport", &overview.body);
    assert_eq!(overview.body["days"].as_array().unwrap().len(), 20);
    assert_fits("Listed_Order", &caller.get("/orders").await.body);
}

#[tokio::test]
async fn one_workspace_never_sees_anothers() {
    let caller = Caller::new().await;
    let made = caller.post("/campaigns", &campaign()).await;
    let path = format!("/campaigns/{}", made.body["id"].as_str().unwrap());
    let other = workspaces::create(&caller.app, "Other").await.unwrap();
    let token = workspaces::create_token(&caller.app, other, "test").await;
    let stranger = Caller {
        token: token.unwrap().expose_secret().to_owned(),
        app: caller.app.clone(),
        router: caller.router.clone(),
        workspace: other,
        _files: tempfile::tempdir().unwrap(),
    };
    assert_problem(&stranger.get(&path).await, 404);
    assert_problem(&stranger.call(Method::DELETE, &path, None).await, 404);
    assert_problem(
        &stranger.post(&format!("{path}/schedule"), &json!({})).await,
        404,
    );
    assert_eq!(stranger.get("/campaigns").await.body["data"], json!([]));
    assert_eq!(caller.get(&path).await.status, 200);
}

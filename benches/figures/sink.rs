//! What stands for the platforms: takes everything, remembers how much, and does nothing else.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::json;

static TAKEN: AtomicU64 = AtomicU64::new(0);
static FIRST_AT: AtomicI64 = AtomicI64::new(0);
static LAST_AT: AtomicI64 = AtomicI64::new(0);
static SAMPLE: OnceLock<Sample> = OnceLock::new();

/// The first message that came.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) path_and_query: String,
    pub(crate) body: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) messages: u64,
    /// Epoch milliseconds.
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    pub(crate) sample: Option<Sample>,
}

pub(crate) async fn serve(port: u16) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/empty", get(async || ()))
        .route("/taken", get(taken).delete(forget))
        .fallback(take);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, router).await?;
    Ok(())
}

async fn taken() -> Json<Taken> {
    Json(Taken {
        messages: TAKEN.load(Ordering::SeqCst),
        first_at: FIRST_AT.load(Ordering::SeqCst),
        last_at: LAST_AT.load(Ordering::SeqCst),
        sample: SAMPLE.get().cloned(),
    })
}

async fn forget() {
    TAKEN.store(0, Ordering::SeqCst);
    FIRST_AT.store(0, Ordering::SeqCst);
}

async fn take(method: Method, uri: Uri, body: Bytes) -> Response {
    let path = uri.path();
    if method == Method::POST && path.ends_with("/messages") {
        let n = message(&uri, &body);
        let answer = format!(r#"{{"success":true,"marketing_message_tracking_id":"mm_{n:012}"}}"#);
        return ([(header::CONTENT_TYPE, "application/json")], answer).into_response();
    }
    let page = path.rsplit('/').next().unwrap_or_default();
    if path.ends_with("/notification_message_tokens") {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let id = if path.ends_with("/message_campaign") {
        "120000000000001"
    } else {
        page
    };
    Json(json!({"id": id, "name": "Bench", "success": true, "result": "success"})).into_response()
}

fn message(uri: &Uri, body: &Bytes) -> u64 {
    let now = now();
    LAST_AT.store(now, Ordering::Relaxed);
    let n = TAKEN.fetch_add(1, Ordering::Relaxed);
    if n == 0 {
        FIRST_AT.store(now, Ordering::Relaxed);
        SAMPLE.get_or_init(|| Sample {
            path_and_query: uri.to_string(),
            body: String::from_utf8_lossy(body).into_owned(),
        });
    }
    n
}

#[expect(
    clippy::disallowed_methods,
    reason = "a program of its own that measures"
)]
fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(0)
}

//! `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::app::App;
use crate::telemetry;
use crate::web::Web;

/// The gauges are counted at most this often, however many collectors ask.
const GAUGES_FRESH: Duration = Duration::from_secs(5);

/// Needs the app only, so that a process without the rest of HTTP can answer, too.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    App: FromRef<S>,
{
    let counted = Arc::new(Mutex::new(None::<Instant>));
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route(
            "/metrics",
            get(move |State(app): State<App>| metrics(app, counted.clone())),
        )
}

impl FromRef<Web> for App {
    fn from_ref(web: &Web) -> Self {
        web.app.clone()
    }
}

async fn ready(State(app): State<App>) -> Response {
    match reason_not_ready(&app).await {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn reason_not_ready(app: &App) -> Option<String> {
    if app.stop.is_cancelled() {
        return Some("The process is stopping.".to_owned());
    }
    let ping = tokio::time::timeout(Duration::from_secs(3), app.db.ping()).await;
    if !matches!(ping, Ok(Ok(()))) {
        return Some("The database does not answer.".to_owned());
    }
    match app.db.migration_state().await {
        Ok((known, applied)) if applied >= known => None,
        Ok((known, applied)) => Some(format!(
            "{} of {known} migrations are missing; run `pagecast migrate`.",
            known - applied
        )),
        Err(_) => Some("The migrations could not be read.".to_owned()),
    }
}

async fn metrics(app: App, counted: Arc<Mutex<Option<Instant>>>) -> Response {
    let handle = telemetry::metrics();
    {
        let mut counted = counted.lock().await;
        if counted.is_none_or(|at| at.elapsed() >= GAUGES_FRESH) {
            if let Err(error) = count(&app).await {
                tracing::warn!("The gauges could not be counted: {error}");
            }
            *counted = Some(Instant::now());
        }
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], handle.render()).into_response()
}

/// Counts over partial indices: what waits, not what was.
async fn count(app: &App) -> sqlx::Result<()> {
    // In two parts, because each stands in a partial index of its own.
    let queued: i64 = sqlx::query_scalar(
        "SELECT (SELECT COUNT(*) FROM messages WHERE status = 'queued' AND campaign_id IS NULL) \
              + (SELECT COUNT(*) FROM messages WHERE status = 'queued' AND campaign_id IS NOT NULL)",
    )
    .fetch_one(app.db.pool())
    .await?;
    let open: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM webhooks WHERE processed_at IS NULL")
        .fetch_one(app.db.pool())
        .await?;
    telemetry::queued_messages(queued);
    telemetry::open_webhooks(open);
    Ok(())
}

/// Counts requests by route and status; to be layered over the whole router.
pub async fn count_requests(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    telemetry::http_request(method.as_str(), route, response.status().as_u16());
    response
}

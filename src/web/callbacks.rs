//! Where Meta calls when a person removes the app or wants to be forgotten, and the page on which
//! they see what became of it.

use askama::Template;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use url::form_urlencoded;

use crate::app::App;
use crate::meta::signed_request::{self, Refused};
use crate::web::Web;
use crate::web::public;
use crate::workspaces;

/// More than any signed request needs.
const MAX_BODY: usize = 64 * 1024;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/meta/deauthorize", post(deauthorize))
        .route("/meta/data-deletion", post(delete))
        .route("/meta/data-deletion/{code}", get(status))
        .layer(DefaultBodyLimit::max(MAX_BODY))
}

#[derive(Template)]
#[template(path = "public/message.html")]
struct Status<'a> {
    title: &'a str,
    words: &'a str,
}

async fn deauthorize(State(app): State<App>, body: Bytes) -> Response {
    let person = match person(&app, &body) {
        Ok(person) => person,
        Err(refusal) => return refusal,
    };
    match workspaces::person_removed_app(&app, &person).await {
        Ok(_) => Json(json!({ "success": true })).into_response(),
        Err(error) => unavailable(&error),
    }
}

async fn delete(State(app): State<App>, body: Bytes) -> Response {
    let person = match person(&app, &body) {
        Ok(person) => person,
        Err(refusal) => return refusal,
    };
    match workspaces::delete_person(&app, &person).await {
        Ok(code) => {
            let url = format!("{}/meta/data-deletion/{code}", app.config.public_url);
            Json(json!({ "url": url, "confirmation_code": code })).into_response()
        }
        Err(error) => unavailable(&error),
    }
}

/// Whom it is about. An unsigned call is answered 401 and leaves no trace.
fn person(app: &App, body: &[u8]) -> Result<String, Response> {
    let signed = form_urlencoded::parse(body)
        .find(|(name, _)| name == "signed_request")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let verdict = match &app.config.meta.app_secret {
        Some(secret) => signed_request::person(secret, &signed),
        None => Err(Refused::Signature),
    };
    verdict.map_err(|refused| {
        tracing::warn!("A call of Meta's about a person was refused: {refused}");
        let status = match refused {
            Refused::Signature => StatusCode::UNAUTHORIZED,
            Refused::NoPerson => StatusCode::BAD_REQUEST,
        };
        (status, format!("{refused}\n")).into_response()
    })
}

/// Says nothing of whom: whoever has the code may be anybody.
async fn status(State(app): State<App>, headers: HeaderMap, Path(code): Path<String>) -> Response {
    let found = match workspaces::deletion(&app, &code).await {
        Ok(found) => found,
        Err(error) => return unavailable(&error),
    };
    let as_json = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.starts_with("application/json"));
    let (code, status, title, words) = match found {
        Some(deletion) if deletion.done_at.is_some() => (
            StatusCode::OK,
            "done",
            "Your data was deleted",
            "What Pagecast kept of your Facebook account, its name, number and access, is gone. \
             Pages that you had connected no longer send through Pagecast.",
        ),
        Some(_) => (
            StatusCode::OK,
            "in_progress",
            "Your data is being deleted",
            "It is done within minutes. You need not do anything; this page will say so.",
        ),
        None => (
            StatusCode::NOT_FOUND,
            "unknown",
            "There is no deletion with this code",
            "The address may have been cut short. Open it again as Facebook shows it to you.",
        ),
    };
    if as_json {
        return (code, Json(json!({ "status": status }))).into_response();
    }
    public::page(code, &Status { title, words })
}

/// Meta tries again; nothing was half done.
fn unavailable(error: &anyhow::Error) -> Response {
    tracing::error!("A call of Meta's about a person could not be answered: {error:#}");
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

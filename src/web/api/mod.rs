//! The public API, version 1: JSON, one workspace per token, described by what the handlers say.

mod access;
mod automations;
mod campaigns;
mod document;
mod idempotency;
mod messages;
mod opt_in_links;
mod orders;
mod problem;
mod repair;
mod reports;
mod request;
mod schedule;
mod settings;
mod shape;
mod shapes;
mod subscribers;
#[cfg(test)]
mod tests;

use std::any::Any;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use crate::web::Web;
use crate::web::api::document::document;
use crate::web::api::problem::Problem;

pub fn router(web: &Web) -> Router<Web> {
    let calls = document::calls()
        .route_layer(middleware::from_fn_with_state(
            web.clone(),
            idempotency::once,
        ))
        .route_layer(middleware::from_fn_with_state(
            web.clone(),
            access::identify,
        ));
    Router::new()
        .merge(calls)
        .route("/api/openapi.json", get(|| async { Json(document()) }))
        .route("/api", any(no_such_path))
        .route("/api/", any(no_such_path))
        .route("/api/{*path}", any(no_such_path))
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(request::LARGEST_BODY))
        .layer(CatchPanicLayer::custom(panicked))
}

async fn no_such_path() -> Problem {
    Problem::not_found("There is nothing at this path. GET /api/openapi.json lists what there is.")
}

async fn no_such_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "This path does not take this method. GET /api/openapi.json lists what there is.",
    )
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("A call of the API panicked.");
    Problem::internal().into_response()
}

//! What our extensions in the shop ask: the block on the thank-you and order-status pages, with the
//! session token of a buyer, and the web pixel, which anybody could imitate. Both run at no origin
//! of ours, so every answer may be read from anywhere; none says anything about anybody but the
//! one who asks.

mod opt_in;
mod pixel;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Extension, Json, Router};
use serde_json::json;

use crate::shopify::ShopDomain;
use crate::store::ids::WorkspaceId;
use crate::web::Web;
use crate::web::limits::Limits;

/// No question of an extension is longer.
const LONGEST_BODY: usize = 8 * 1024;

/// Calls of buyers, by shop; calls of pixels, by account.
type ByShop = Limits<ShopDomain>;
type ByAccount = Limits<WorkspaceId>;

pub fn router() -> Router<Web> {
    Router::new()
        .route("/extensions/opt-in", post(opt_in::opt_in).options(may_ask))
        .route("/extensions/pixel", post(pixel::pixel).options(may_ask))
        .route("/extensions/{*path}", any(unknown))
        .layer(Extension(ByShop::new(200, 20)))
        .layer(Extension(ByAccount::new(200, 20)))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(map_response(to_anywhere))
}

/// The browser asks first whether it may ask.
async fn may_ask() -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn unknown() -> Response {
    refusal(StatusCode::NOT_FOUND, "there is nothing at this address")
}

/// Errors too: an extension that may not read them cannot tell them from a broken connection.
async fn to_anywhere(mut response: Response) -> Response {
    let fixed = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "7200"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in fixed {
        let headers = response.headers_mut();
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// In our own words only: nothing of the request comes back.
fn refusal(status: StatusCode, words: &str) -> Response {
    let mut response = (status, Json(json!({ "error": words }))).into_response();
    if status == StatusCode::TOO_MANY_REQUESTS {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn trouble(error: &anyhow::Error) -> Response {
    tracing::error!("An extension's call failed: {error:#}");
    refusal(StatusCode::INTERNAL_SERVER_ERROR, "try again in a minute")
}

//! Webhooks and callbacks: verify the raw bytes, keep, answer.

use axum::Router;

use crate::web::Web;

pub fn router() -> Router<Web> {
    Router::new()
}

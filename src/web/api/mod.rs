//! The public API, version 1: JSON, one workspace per token, described by what the handlers say.

use axum::Router;

use crate::web::Web;

pub fn router(_web: &Web) -> Router<Web> {
    Router::new()
}

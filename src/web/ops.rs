//! `/healthz`, `/readyz`, `/metrics`.

use axum::Router;

use crate::web::Web;

pub fn router() -> Router<Web> {
    Router::new()
}

//! The admin's pages of links.

use axum::Router;

use crate::web::Web;

pub(super) fn router() -> Router<Web> {
    Router::new()
}

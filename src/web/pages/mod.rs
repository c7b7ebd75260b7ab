//! The admin: server-rendered pages, a file each.

use axum::Router;

use crate::web::Web;

pub fn router(_web: &Web) -> Router<Web> {
    Router::new()
}

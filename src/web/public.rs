//! What shoppers reach: clicks, landing pages, QR codes.

use axum::Router;

use crate::web::Web;

pub fn router() -> Router<Web> {
    Router::new()
}

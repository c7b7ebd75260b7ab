//! The admin: server-rendered pages, a file each. Everything works by links and forms; htmx makes
//! parts live.
//!
//! A page is a template in `templates/` that extends `layout.html` and has a field `shell`; its
//! handler takes a [`Session`](session::Session), which only a signed-in request has.

mod agency;
mod alerts;
pub mod answer;
pub mod assets;
pub mod chart;
pub mod embedded;
pub mod error;
pub mod fields;
pub mod format;
pub mod parts;
pub mod session;
pub mod shell;
pub mod words;

mod automations;
mod bounce;
mod campaign_edit;
mod campaign_form;
mod campaign_log;
mod campaign_moves;
mod campaign_parts;
mod campaign_report;
mod campaigns;

mod connections;
mod coupon_code;
mod facebook;

mod links;
mod listing;
mod orders;
mod overview;
mod page_card;
mod permissions;
mod plan;
mod privacy;
mod products;

mod set_up;
mod settings;
mod sign_in;
mod subscribers;
mod webhooks;

use axum::Router;
use axum::extract::OriginalUri;
use axum::http::{HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get};
use tower_http::catch_panic::CatchPanicLayer;

use crate::web::Web;

pub fn router(web: &Web) -> Router<Web> {
    let pages = Router::new()
        .merge(sign_in::router())
        .merge(overview::router())
        .merge(set_up::router())
        .merge(campaigns::router())
        .merge(campaign_edit::router())
        .merge(products::router())
        .merge(campaign_report::router())
        .merge(campaign_moves::router())
        .merge(subscribers::router())
        .merge(links::router())
        .merge(orders::router())
        .merge(automations::router())
        .merge(webhooks::router())
        .merge(connections::router())
        .merge(facebook::router())
        .merge(permissions::router())
        .merge(alerts::router())
        .merge(settings::router())
        .merge(privacy::router())
        .merge(plan::router())
        .route("/app/", get(async || Redirect::permanent("/app")))
        .route("/app/{*unknown}", any(async || error::Error::NotFound))
        .layer(CatchPanicLayer::custom(panicked))
        // Only on these routes: an address that is nobody's is not found, signed in or not.
        .route_layer(from_fn_with_state(web.clone(), session::guard))
        .fallback(async || error::Error::NotFound);
    Router::new()
        .route("/", get(to_the_admin))
        .merge(assets::router())
        .merge(bounce::router())
        .merge(facebook::outside())
        .merge(agency::router())
        .merge(pages)
}

/// Shopify opens the app at its root, with all that the admin has to know.
async fn to_the_admin(OriginalUri(uri): OriginalUri) -> Response {
    let target = match uri.query() {
        Some(query) => format!("/app?{query}"),
        None => "/app".to_owned(),
    };
    let mut response = Redirect::to(&target).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    response
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    error::Error::Internal(anyhow::anyhow!("the page panicked")).into_response()
}

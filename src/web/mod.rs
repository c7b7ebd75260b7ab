//! HTTP: one router, thin handlers.

pub mod api;
mod callbacks;
pub mod hooks;
pub mod ops;
pub mod pages;
pub mod proxy;
pub mod public;
mod qr;

use axum::Router;

use crate::app::App;
use crate::delivery::Destinations;
use crate::links::Recorder;

/// What handlers reach.
#[derive(Clone, Debug)]
pub struct Web {
    pub app: App,
    pub clicks: Recorder,
    pub destinations: Destinations,
}

impl Web {
    /// Starts what works behind the answers.
    pub fn start(app: &App) -> Self {
        Self {
            app: app.clone(),
            clicks: Recorder::start(app),
            destinations: Destinations::default(),
        }
    }
}

/// Every path we answer.
pub fn router(web: Web) -> Router {
    Router::new()
        .merge(ops::router())
        .merge(hooks::router())
        .merge(callbacks::router())
        .merge(public::router())
        .merge(proxy::router())
        .merge(api::router(&web))
        .merge(pages::router(&web))
        .with_state(web)
}

//! Subscribers: who there is, and what is known of one person.

mod list;
mod profile;
mod timeline;

use axum::Router;
use axum::routing::{get, post};

use crate::subscribers::{Status, Subscriber};
use crate::web::Web;
use crate::web::pages::words;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/subscribers", get(list::show))
        .route("/app/subscribers/{id}", get(profile::show))
        .route("/app/subscribers/{id}/opt-out", post(profile::opt_out))
        .route("/app/subscribers/{id}/tags", post(profile::tag))
}

/// How a person is called here; Meta tells no name before they write, and some never do.
pub(super) fn name(subscriber: &Subscriber) -> String {
    let parts = [&subscriber.first_name, &subscriber.last_name];
    let known: Vec<&str> = parts
        .into_iter()
        .flatten()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .collect();
    if known.is_empty() {
        "Name not known".to_owned()
    } else {
        known.join(" ")
    }
}

/// `data-status` of the badge, and its words.
fn status_badge(status: Status) -> (&'static str, String) {
    let key = match status {
        Status::Subscribed => "subscribed",
        Status::OptedOut => "opted_out",
        Status::NotSubscribed => "not_subscribed",
    };
    (key, words::status(key))
}

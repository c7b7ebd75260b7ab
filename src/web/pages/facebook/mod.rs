//! Connecting Pages with Facebook. The questions stand in the admin; signing in and choosing happen
//! at top level, in the browser of the person who signs in and nowhere else: a link to it that was
//! sent to somebody gives its sender nothing.

mod choose;
mod errand;
mod login;
mod start;

use askama::Template;
use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::app::App;
use crate::web::Web;
use crate::web::pages::session::POLICY;

/// Inside the admin, behind its guard.
pub(super) fn router() -> Router<Web> {
    start::router()
}

/// `/auth/meta/…`, which carries its own proof.
pub(super) fn outside() -> Router<Web> {
    Router::new().merge(login::router()).merge(choose::router())
}

/// Whether people can sign in with Facebook here.
pub(super) fn can_sign_in(app: &App) -> bool {
    errand::sign_in_config(app).is_some()
}

/// A page that says one thing and where to go on.
#[derive(Template)]
#[template(path = "facebook/note.html")]
struct Note<'a> {
    title: &'a str,
    is_bad: bool,
    paragraphs: Vec<String>,
    action: Option<(&'a str, &'a str)>,
}

impl<'a> Note<'a> {
    fn bad(title: &'a str, words: &str) -> Self {
        Self {
            title,
            is_bad: true,
            paragraphs: vec![words.to_owned()],
            action: None,
        }
    }

    fn with(mut self, text: &'a str, href: &'a str) -> Self {
        self.action = Some((text, href));
        self
    }
}

/// A page outside of the admin, with the headers of all of them.
fn page(status: StatusCode, template: &impl Template) -> Response {
    let mut response = match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!("A page of the sign-in could not be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    };
    dress(&mut response);
    response
}

pub(super) fn dress(response: &mut Response) {
    let headers = response.headers_mut();
    let pairs: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Not `no-referrer`: it would empty the `Origin` of our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in pairs {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn unavailable(error: &anyhow::Error) -> Response {
    tracing::error!("A sign-in with Facebook could not go on: {error:#}");
    let note = Note::bad(
        "This is taking longer than it should",
        "Something went wrong on our side, and nothing was changed. Go back and try again in a \
         minute.",
    );
    page(StatusCode::SERVICE_UNAVAILABLE, &note)
}

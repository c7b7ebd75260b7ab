//! What shoppers reach: clicks, landing pages, QR codes. Nothing here writes to the database before
//! it has answered.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;
use crate::links::{self, Click};
use crate::opt_ins::{self, Link};
use crate::web::{Web, qr};

/// The pages need our stylesheet, its font and our own pictures, and nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; \
                      font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const KEEP_FOR_AN_HOUR: &str = "public, max-age=3600";
/// A QR code says the same until the Page is exchanged.
const KEEP_FOR_A_WEEK: &str = "public, max-age=604800";

pub fn router() -> Router<Web> {
    Router::new()
        .route("/assets/landing.css", get(stylesheet))
        .route("/c/{code}", get(click))
        .route("/s/{slug}", get(landing))
        .route("/s/{slug}/qr.svg", get(qr_svg))
        .route("/s/{slug}/qr.png", get(qr_png))
}

#[derive(Template)]
#[template(path = "public/landing.html")]
struct Landing<'a> {
    link: &'a Link,
}

#[derive(Template)]
#[template(path = "public/message.html")]
struct Message<'a> {
    title: &'a str,
    words: &'a str,
}

async fn stylesheet() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, KEEP_FOR_AN_HOUR),
    ];
    (headers, include_str!("templates/public/landing.css")).into_response()
}

/// `GET /c/{code}`: leads on to the shop. A code that we did not make leads nowhere.
async fn click(
    State(web): State<Web>,
    method: Method,
    headers: HeaderMap,
    Path(code): Path<String>,
) -> Response {
    let app = &web.app;
    let Some((message, link)) = links::parse_code(&app.keys, &code) else {
        return gone();
    };
    let found = match web.destinations.find(app, message).await {
        Ok(found) => found,
        Err(error) => return trouble(&error),
    };
    let url = found
        .as_ref()
        .and_then(|found| Some((found, found.urls.get(usize::from(link))?)));
    let Some((found, url)) = url else {
        return gone();
    };
    let id = app.ids.next();
    let Ok(location) = HeaderValue::from_str(&links::tag(url, &found.tags, id)) else {
        return gone();
    };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let purpose = ["purpose", "sec-purpose", "x-purpose", "x-moz"]
        .into_iter()
        .find_map(text);
    if links::is_counted(method.as_str(), text("user-agent"), purpose) {
        let click = Click {
            id,
            workspace: found.workspace,
            message,
            campaign: found.campaign,
            automation: found.automation,
            link,
            at: app.clock.now(),
        };
        record(&web, click).await;
    }
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::FOUND, headers).into_response()
}

async fn record(web: &Web, click: Click) {
    let Err(click) = web.clicks.record(click).await else {
        return;
    };
    // The process is about to stop; it waits for this.
    let app = web.app.clone();
    web.app.spawn(async move {
        if let Err(error) = links::keep(&app, &[click]).await {
            tracing::error!("A click could not be kept: {error:#}");
        }
    });
}

/// `GET /s/{slug}`: what one signs up for, and the way to do it.
async fn landing(State(app): State<App>, Path(slug): Path<String>) -> Response {
    match opt_ins::link_by_slug(&app, &slug).await {
        Ok(Some(link)) => page(StatusCode::OK, &Landing { link: &link }),
        Ok(None) => no_such_link(),
        Err(error) => trouble(&error),
    }
}

async fn qr_svg(State(app): State<App>, Path(slug): Path<String>) -> Response {
    picture(&app, &slug, "image/svg+xml", |url| {
        qr::svg(url).map(String::into_bytes)
    })
    .await
}

async fn qr_png(State(app): State<App>, Path(slug): Path<String>) -> Response {
    picture(&app, &slug, "image/png", qr::png).await
}

async fn picture(
    app: &App,
    slug: &str,
    kind: &'static str,
    draw: impl Fn(&str) -> anyhow::Result<Vec<u8>>,
) -> Response {
    let link = match opt_ins::link_by_slug(app, slug).await {
        Ok(Some(link)) => link,
        Ok(None) => return no_such_link(),
        Err(error) => return trouble(&error),
    };
    match draw(&link.url) {
        Ok(bytes) => {
            let headers = [
                (header::CONTENT_TYPE, kind),
                (header::CACHE_CONTROL, KEEP_FOR_A_WEEK),
            ];
            (headers, bytes).into_response()
        }
        Err(error) => trouble(&error),
    }
}

fn gone() -> Response {
    let message = Message {
        title: "This link does not work",
        words: "It may have been cut short on its way to you. Open the message again and tap the \
                button there.",
    };
    page(StatusCode::NOT_FOUND, &message)
}

fn no_such_link() -> Response {
    let message = Message {
        title: "There is nothing to sign up for here",
        words: "The address may be misspelt, or the store has taken this page down. Ask the store \
                for its present address.",
    };
    page(StatusCode::NOT_FOUND, &message)
}

fn trouble(error: &anyhow::Error) -> Response {
    tracing::error!("A public page could not be answered: {error:#}");
    let message = Message {
        title: "This is taking longer than it should",
        words: "Something went wrong on our side. Try again in a minute; nothing was lost.",
    };
    page(StatusCode::SERVICE_UNAVAILABLE, &message)
}

/// A public page, with the policy of all of them.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!("A public page could not be written: {error}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, html).into_response()
}

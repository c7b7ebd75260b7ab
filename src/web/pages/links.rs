//! Opt-in links: the ways in, their QR codes, and who came through them.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, response::Redirect};
use serde::Deserialize;

use crate::opt_ins::{self, Link, LinkError, NewLink};
use crate::store::ids::LinkId;
use crate::web::Web;
use crate::web::pages::{
    Choice, Cursored, Failure, Frame, Outcome, Session, cursor, href, number, page,
};

/// Opt-in sources (design section 2) and what they are called here.
pub(super) const SOURCES: [(&str, &str); 10] = [
    ("link", "Link"),
    ("qr", "QR code"),
    ("landing_page", "Landing page"),
    ("storefront", "Storefront"),
    ("checkout", "Checkout"),
    ("comment", "Comment"),
    ("live", "Live video"),
    ("ad", "Ad"),
    ("list_upload", "Customer list"),
    ("keyword", "Keyword"),
];

/// Where a merchant can put a link by hand; the other ways in are not links.
const CHOOSABLE: [&str; 5] = ["qr", "link", "landing_page", "storefront", "checkout"];

const NAME_LENGTH: usize = 100;
const CONSENT_LENGTH: usize = 500;

/// A source in words; one we do not know is shown as it is.
pub(super) fn source_words(source: &str) -> String {
    SOURCES
        .iter()
        .find(|(key, _)| *key == source)
        .map_or_else(|| source.replace('_', " "), |(_, words)| (*words).to_owned())
}

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/opt-in-links", get(list).post(create))
        .route("/app/opt-in-links/new", get(new))
        .route("/app/opt-in-links/{id}", get(show))
}

#[derive(Template)]
#[template(path = "links/list.html")]
struct List {
    frame: Frame,
    links: Vec<Card>,
    first_page: bool,
    next: Option<String>,
}

struct Card {
    id: String,
    name: String,
    slug: String,
    landing_url: String,
    /// Without the scheme, as people read it.
    landing_short: String,
    source: String,
    subscribers: String,
}

#[derive(Template)]
#[template(path = "links/link.html")]
struct Detail {
    frame: Frame,
    id: String,
    name: String,
    slug: String,
    source: String,
    page_name: String,
    created: String,
    subscribers: String,
    landing_url: String,
    url: String,
    consent_text: String,
}

#[derive(Template, Default)]
#[template(path = "links/new.html")]
struct New {
    frame: Frame,
    name: String,
    sources: Vec<Choice>,
    consent_text: String,
    /// Why no link can be made at all.
    problem: String,
    name_error: &'static str,
    source_error: &'static str,
    consent_error: &'static str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    name: String,
    source: String,
    consent_text: String,
}

async fn list(
    State(web): State<Web>,
    session: Session,
    Query(asked): Query<Cursored>,
) -> Outcome<Response> {
    let found = opt_ins::links(&web.app, session.workspace.id, cursor(&asked.cursor)?).await?;
    page(&List {
        links: found.rows.into_iter().map(card).collect(),
        first_page: asked.cursor.is_empty(),
        next: found
            .next
            .map(|next| href("/app/opt-in-links", &[("cursor", &next)])),
        frame: session.frame("links"),
    })
}

async fn show(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
) -> Outcome<Response> {
    let id: LinkId = id.parse().map_err(|_| Failure::NotFound)?;
    let link = opt_ins::link(&web.app, session.workspace.id, id)
        .await?
        .ok_or(Failure::NotFound)?;
    page(&Detail {
        id: link.id.to_string(),
        source: source_words(&link.source),
        created: session.time(link.created_at),
        subscribers: number(link.subscribers),
        name: link.name,
        slug: link.slug,
        page_name: link.page_name,
        landing_url: link.landing_url,
        url: link.url,
        consent_text: link.consent_text,
        frame: session.frame("links"),
    })
}

async fn new(session: Session) -> Outcome<Response> {
    page(&blank(&session, &Fields::default()))
}

async fn create(
    State(web): State<Web>,
    session: Session,
    Form(fields): Form<Fields>,
) -> Outcome<Response> {
    let mut form = blank(&session, &fields);
    if mark_problems(&mut form, &fields) {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&form)?).into_response());
    }
    let new = NewLink {
        name: fields.name.trim().to_owned(),
        source: fields.source,
        consent_text: Some(fields.consent_text.trim().to_owned()).filter(|text| !text.is_empty()),
        ..NewLink::default()
    };
    match opt_ins::create_link(&web.app, session.workspace.id, new).await {
        Ok(link) => {
            Ok(Redirect::to(&format!("/app/opt-in-links/{}", link.id)).into_response())
        }
        Err(error @ LinkError::NoPage) => {
            form.problem = error.to_string();
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page(&form)?).into_response())
        }
        Err(LinkError::Other(error)) => Err(error.into()),
    }
}

fn blank(session: &Session, fields: &Fields) -> New {
    New {
        frame: session.frame("links"),
        name: fields.name.clone(),
        sources: CHOOSABLE
            .iter()
            .map(|key| Choice::new(key, &source_words(key), *key == fields.source))
            .collect(),
        consent_text: fields.consent_text.clone(),
        ..New::default()
    }
}

/// Puts each problem beside its field; `true` if there is one.
fn mark_problems(form: &mut New, fields: &Fields) -> bool {
    form.name_error = match fields.name.trim().chars().count() {
        0 => "Give the link a name, so you know it again.",
        n if n > NAME_LENGTH => "Shorten the name to 100 characters.",
        _ => "",
    };
    if !CHOOSABLE.contains(&fields.source.as_str()) {
        form.source_error = "Choose where people meet the link.";
    }
    if fields.consent_text.trim().chars().count() > CONSENT_LENGTH {
        form.consent_error = "Shorten the text to 500 characters.";
    }
    [form.name_error, form.source_error, form.consent_error]
        .iter()
        .any(|error| !error.is_empty())
}

fn card(link: Link) -> Card {
    Card {
        id: link.id.to_string(),
        landing_short: link
            .landing_url
            .split_once("://")
            .map_or(link.landing_url.as_str(), |(_, rest)| rest)
            .to_owned(),
        source: source_words(&link.source).to_lowercase(),
        subscribers: number(link.subscribers),
        name: link.name,
        slug: link.slug,
        landing_url: link.landing_url,
    }
}

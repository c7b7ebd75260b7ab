//! The list of subscribers: by state, tag, way in, and search.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::{name, status_badge};
use crate::opt_ins;
use crate::store::ids::LinkId;
use crate::subscribers::{self, Filter, Status, Subscriber};
use crate::web::Web;
use crate::web::pages::links::{SOURCES, source_words};
use crate::web::pages::{Choice, Frame, Outcome, Session, Tab, cursor, href, page};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    status: String,
    q: String,
    tag: String,
    source: String,
    link: String,
    cursor: String,
}

#[derive(Template)]
#[template(path = "subscribers/list.html")]
struct List {
    frame: Frame,
    status: &'static str,
    tabs: Vec<Tab>,
    q: String,
    tag: String,
    sources: Vec<Choice>,
    link: Option<OnlyLink>,
    /// Search, tag, source or link narrow the list.
    filtered: bool,
    /// What an empty list means when nothing narrows it.
    nobody: &'static str,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
    zone: String,
}

struct OnlyLink {
    id: String,
    name: String,
}

struct Row {
    id: String,
    name: String,
    status: &'static str,
    status_words: &'static str,
    source: String,
    since: String,
    written: String,
    clicked: String,
    ordered: String,
}

const STATES: [(&str, &str, Option<Status>, &str); 4] = [
    (
        "subscribed",
        "Subscribed",
        Some(Status::Subscribed),
        "Nobody is subscribed yet. People join by saying yes on the opt-in card in Messenger.",
    ),
    (
        "opted_out",
        "Opted out",
        Some(Status::OptedOut),
        "Nobody has opted out.",
    ),
    (
        "not_subscribed",
        "Not subscribed",
        Some(Status::NotSubscribed),
        "Everyone who opened a chat with your Page has also said yes, or nobody has opened one.",
    ),
    ("all", "All", None, "You have seen everyone."),
];

pub(super) async fn show(
    State(web): State<Web>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Outcome<Response> {
    let app = &web.app;
    let ws = session.workspace.id;
    let link = match asked.link.parse::<LinkId>() {
        Ok(id) => opt_ins::link(app, ws, id).await?,
        Err(_) => None,
    };
    let (status, _, state, nobody) = STATES
        .into_iter()
        .find(|state| state.0 == asked.status)
        .unwrap_or(STATES[0]);
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = Filter {
        status: state,
        tag: some(&asked.tag),
        source: some(&asked.source),
        search: some(&asked.q),
        link: link.as_ref().map(|link| link.id),
    };
    let found = subscribers::list(app, ws, &filter, cursor(&asked.cursor)?).await?;
    let filtered = filter.tag.is_some()
        || filter.source.is_some()
        || filter.search.is_some()
        || filter.link.is_some();
    let to = |status: &str, cursor: Option<&str>| {
        href(
            "/app/subscribers",
            &[
                ("status", status),
                ("q", asked.q.trim()),
                ("tag", asked.tag.trim()),
                ("source", &asked.source),
                ("link", &asked.link),
                ("cursor", cursor.unwrap_or_default()),
            ],
        )
    };
    page(&List {
        status,
        tabs: STATES
            .iter()
            .map(|(key, label, ..)| Tab::new(label, to(key, None), *key == status))
            .collect(),
        q: asked.q.trim().to_owned(),
        tag: asked.tag.trim().to_owned(),
        sources: SOURCES
            .iter()
            .map(|(value, label)| Choice::new(value, label, *value == asked.source))
            .collect(),
        link: link.map(|link| OnlyLink {
            id: link.id.to_string(),
            name: link.name,
        }),
        filtered,
        nobody,
        rows: found
            .rows
            .iter()
            .map(|subscriber| row(&session, subscriber))
            .collect(),
        first: (!asked.cursor.is_empty()).then(|| to(status, None)),
        next: found.next.as_deref().map(|next| to(status, Some(next))),
        zone: session.zone_words(),
        frame: session.frame("subscribers"),
    })
}

fn row(session: &Session, subscriber: &Subscriber) -> Row {
    let (status, status_words) = status_badge(subscriber.status);
    let time = |at: Option<i64>| at.map(|at| session.time(at)).unwrap_or_default();
    Row {
        id: subscriber.id.to_string(),
        name: name(subscriber),
        status,
        status_words,
        source: subscriber
            .source
            .as_deref()
            .map_or_else(|| "Opened a chat".to_owned(), source_words),
        since: session.time(subscriber.created_at),
        written: time(subscriber.last_marketing_at),
        clicked: time(subscriber.last_clicked_at),
        ordered: time(subscriber.last_ordered_at),
    }
}

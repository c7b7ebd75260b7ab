//! Opt-in links: the ways in, their QR codes, and who came through them.

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;

use crate::opt_ins::{self, Link, LinkError, NewLink};
use crate::store::ids::LinkId;
use crate::store::page::Page;
use crate::web::Web;
use crate::web::pages::answer::{Answer, page, page_with, see_other_saying};
use crate::web::pages::error::Error;
use crate::web::pages::format::number;
use crate::web::pages::listing::{self, Choice, Cursored, cursor};
use crate::web::pages::parts::Pager;
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::web::pages::words;

/// Opt-in sources (design section 2), for filters.
pub(super) const SOURCES: [&str; 10] = [
    "link",
    "qr",
    "landing_page",
    "storefront",
    "checkout",
    "comment",
    "live",
    "ad",
    "list_upload",
    "keyword",
];

/// Where a merchant can put a link by hand; the other ways in are not links.
const CHOOSABLE: [&str; 5] = ["qr", "link", "landing_page", "storefront", "checkout"];

const NAME_LENGTH: usize = 100;
const CONSENT_LENGTH: usize = 500;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/opt-in-links", get(list).post(create))
        .route("/app/opt-in-links/new", get(new))
        .route("/app/opt-in-links/{id}", get(show))
}

#[derive(Template)]
#[template(path = "links/list.html")]
struct List {
    shell: Shell,
    links: Vec<Card>,
    first_page: bool,
    pager: Option<Pager>,
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
    shell: Shell,
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

#[derive(Template)]
#[template(path = "links/new.html")]
struct New {
    shell: Shell,
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

async fn list(State(web): State<Web>, session: Session, Query(asked): Query<Cursored>) -> Answer {
    let found = opt_ins::links(&web.app, session.workspace.id, cursor(&asked.cursor)?).await?;
    page(&listed(&session, &asked, found))
}

fn listed(session: &Session, asked: &Cursored, found: Page<Link>) -> List {
    let pager = listing::pager("/app/opt-in-links", &[], &asked.cursor, &found);
    List {
        links: found.rows.into_iter().map(card).collect(),
        first_page: asked.cursor.is_empty(),
        pager,
        shell: session.shell(Nav::OptInLinks, "Opt-in links"),
    }
}

async fn show(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let id: LinkId = id.parse().map_err(|_| Error::NotFound)?;
    let link = opt_ins::link(&web.app, session.workspace.id, id)
        .await?
        .ok_or(Error::NotFound)?;
    page(&detail(&session, link))
}

fn detail(session: &Session, link: Link) -> Detail {
    let f = session.format();
    let shell = session.shell(Nav::OptInLinks, link.name.clone());
    Detail {
        id: link.id.to_string(),
        source: words::source(&link.source),
        created: f.time(link.created_at),
        subscribers: number(link.subscribers),
        name: link.name,
        slug: link.slug,
        page_name: link.page_name,
        landing_url: link.landing_url,
        url: link.url,
        consent_text: link.consent_text,
        shell,
    }
}

async fn new(session: Session) -> Answer {
    page(&blank(&session, &Fields::default()))
}

async fn create(State(web): State<Web>, session: Session, Form(fields): Form<Fields>) -> Answer {
    let mut form = blank(&session, &fields);
    if mark_problems(&mut form, &fields) {
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &form);
    }
    let new = NewLink {
        name: fields.name.trim().to_owned(),
        source: fields.source,
        consent_text: Some(fields.consent_text.trim().to_owned()).filter(|text| !text.is_empty()),
        ..NewLink::default()
    };
    match opt_ins::create_link(&web.app, session.workspace.id, new).await {
        Ok(link) => Ok(see_other_saying(
            &format!("/app/opt-in-links/{}", link.id),
            "The link is ready",
        )),
        Err(error @ LinkError::NoPage) => {
            form.problem = error.to_string();
            page_with(StatusCode::UNPROCESSABLE_ENTITY, &form)
        }
        Err(LinkError::Other(error)) => Err(error.into()),
    }
}

fn blank(session: &Session, fields: &Fields) -> New {
    New {
        shell: session.shell(Nav::OptInLinks, "New opt-in link"),
        name: fields.name.clone(),
        sources: CHOOSABLE
            .iter()
            .map(|key| Choice::new(key, &words::source(key), *key == fields.source))
            .collect(),
        consent_text: fields.consent_text.clone(),
        problem: String::new(),
        name_error: "",
        source_error: "",
        consent_error: "",
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
        source: words::source(&link.source),
        subscribers: number(link.subscribers),
        name: link.name,
        slug: link.slug,
        landing_url: link.landing_url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ids::WorkspaceId;
    use crate::web::pages::listing::samples::{clean, html, session};

    fn link() -> Link {
        Link {
            id: LinkId(7),
            workspace: WorkspaceId(1),
            name: "Shipping box <insert>".to_owned(),
            source: "qr".to_owned(),
            slug: "box".to_owned(),
            consent_text: "Restock news, at most one a day.".to_owned(),
            created_at: 1_790_000_000_000,
            reference: "r".to_owned(),
            url: "https://m.me/1?ref=r".to_owned(),
            landing_url: "https://pagecast.example/s/box".to_owned(),
            qr_svg_url: "https://pagecast.example/s/box/qr.svg".to_owned(),
            page_name: "Hollow Pine Coffee".to_owned(),
            subscribers: 1288,
        }
    }

    #[test]
    fn the_list_shows_each_link_with_its_code_and_its_people() {
        let found = Page {
            rows: vec![link()],
            next: Some("zz".to_owned()),
        };
        let html = html(&listed(&session(), &Cursored::default(), found));
        clean(&html);
        for part in [
            "Shipping box &#60;insert&#62;",
            "/s/box/qr.svg",
            "pagecast.example/s/box",
            &format!("/app/subscribers?status=subscribed&amp;link={}", LinkId(7)),
            "/app/opt-in-links?cursor=zz",
        ] {
            assert!(html.contains(part), "{part}");
        }
    }

    #[test]
    fn an_empty_list_says_how_to_begin_and_an_empty_last_page_how_to_get_back() {
        let none = || Page {
            rows: Vec::new(),
            next: None,
        };
        let first = html(&listed(&session(), &Cursored::default(), none()));
        clean(&first);
        assert!(first.contains("Make a link"));
        let asked = Cursored {
            cursor: "zz".to_owned(),
        };
        assert!(html(&listed(&session(), &asked, none())).contains("Back to the newest"));
    }

    #[test]
    fn a_link_shows_its_addresses_and_pictures() {
        let html = html(&detail(&session(), link()));
        clean(&html);
        for part in ["https://m.me/1?ref=r", "/s/box/qr.png", "at most one a day"] {
            assert!(html.contains(part), "{part}");
        }
    }

    #[test]
    fn mistakes_stand_beside_their_fields_and_nothing_is_lost() {
        let fields = Fields {
            name: " ".to_owned(),
            source: "ad".to_owned(),
            consent_text: "x".repeat(501),
        };
        let mut form = blank(&session(), &fields);
        assert!(mark_problems(&mut form, &fields));
        let html = html(&form);
        clean(&html);
        for id in ["name-e", "source-e", "consent-e"] {
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
        }
        assert!(html.contains(&"x".repeat(501)));
    }
}

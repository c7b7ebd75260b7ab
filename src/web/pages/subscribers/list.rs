//! The list of subscribers: by state, tag, way in, and search.

use askama::Template;
use axum::extract::{Query, State as Reach};
use serde::Deserialize;

use super::{name, status_badge};
use crate::opt_ins::{self, Link};
use crate::store::ids::LinkId;
use crate::store::page::Page;
use crate::subscribers::{self, Filter, Status, Subscriber};
use crate::web::Web;
use crate::web::pages::answer::{Answer, page};
use crate::web::pages::format::Format;
use crate::web::pages::links::SOURCES;
use crate::web::pages::listing::{self, Choice, Tab, cursor};
use crate::web::pages::parts::{Pager, address};
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::web::pages::words;

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
    shell: Shell,
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
    /// There is more behind this page.
    goes_on: bool,
    pager: Option<Pager>,
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
    status_words: String,
    source: String,
    since: String,
    written: String,
    clicked: String,
    ordered: String,
}

/// A tab: its word in the address, its label, what it filters, and what an empty list means.
type State = (&'static str, &'static str, Option<Status>, &'static str);

const STATES: [State; 4] = [
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
    Reach(web): Reach<Web>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Answer {
    let app = &web.app;
    let ws = session.workspace.id;
    let link = match asked.link.parse::<LinkId>() {
        Ok(id) => opt_ins::link(app, ws, id).await?,
        Err(_) => None,
    };
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = Filter {
        status: state(&asked.status).2,
        tag: some(&asked.tag),
        source: some(&asked.source),
        search: some(&asked.q),
        link: link.as_ref().map(|link| link.id),
    };
    let found = subscribers::list(app, ws, &filter, cursor(&asked.cursor)?).await?;
    page(&view(&session, &asked, &filter, link, &found))
}

fn view(
    session: &Session,
    asked: &Asked,
    filter: &Filter,
    link: Option<Link>,
    found: &Page<Subscriber>,
) -> List {
    let f = &session.format();
    let (status, _, _, nobody) = state(&asked.status);
    let filtered = filter.tag.is_some()
        || filter.source.is_some()
        || filter.search.is_some()
        || filter.link.is_some();
    let kept = |status| {
        [
            ("status", status),
            ("q", asked.q.trim()),
            ("tag", asked.tag.trim()),
            ("source", asked.source.as_str()),
            ("link", asked.link.as_str()),
        ]
    };
    List {
        status,
        tabs: STATES
            .iter()
            .map(|(key, label, ..)| {
                Tab::new(
                    label,
                    address("/app/subscribers", &kept(key)),
                    *key == status,
                )
            })
            .collect(),
        q: asked.q.trim().to_owned(),
        tag: asked.tag.trim().to_owned(),
        sources: SOURCES
            .iter()
            .map(|source| Choice::new(source, &words::source(source), *source == asked.source))
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
            .map(|subscriber| row(f, subscriber))
            .collect(),
        goes_on: found.next.is_some(),
        pager: listing::pager("/app/subscribers", &kept(status), &asked.cursor, found),
        zone: f.zone(),
        shell: session.shell(Nav::Subscribers, "Subscribers"),
    }
}

/// The tab that was asked for, or the first.
fn state(asked: &str) -> State {
    STATES
        .into_iter()
        .find(|state| state.0 == asked)
        .unwrap_or(STATES[0])
}

fn row(f: &Format, subscriber: &Subscriber) -> Row {
    let (status, status_words) = status_badge(subscriber.status);
    let day = |at: Option<i64>| at.map(|at| f.day(at)).unwrap_or_default();
    Row {
        id: subscriber.id.to_string(),
        name: name(subscriber),
        status,
        status_words,
        source: subscriber
            .source
            .as_deref()
            .map_or_else(|| "Opened a chat".to_owned(), words::source),
        since: f.day(subscriber.created_at),
        written: day(subscriber.last_marketing_at),
        clicked: day(subscriber.last_clicked_at),
        ordered: day(subscriber.last_ordered_at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ids::{PageRowId, SubscriberId};
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

    fn subscriber() -> Subscriber {
        Subscriber {
            id: SubscriberId(4),
            page: PageRowId(1),
            status: Status::Subscribed,
            first_name: Some("Marisol".to_owned()),
            last_name: Some("<Vega>".to_owned()),
            source: Some("qr".to_owned()),
            timezone: None,
            customer_id: None,
            klaviyo_profile_id: None,
            has_token: true,
            created_at: NOW,
            opted_in_at: Some(NOW),
            opted_out_at: None,
            last_action_at: None,
            last_marketing_at: None,
            last_clicked_at: None,
            last_ordered_at: None,
        }
    }

    #[test]
    fn the_list_keeps_its_filter_from_page_to_page() {
        let asked = Asked {
            status: "all".to_owned(),
            q: "mari & co".to_owned(),
            ..Asked::default()
        };
        let filter = Filter {
            search: Some("mari & co".to_owned()),
            ..Filter::default()
        };
        let found = Page {
            rows: vec![subscriber()],
            next: Some("zz".to_owned()),
        };
        let list = html(&view(&session(), &asked, &filter, None, &found));
        clean(&list);
        assert!(list.contains("Marisol &#60;Vega&#62;"));
        assert!(list.contains("status=all&#38;q=mari+%26+co&#38;cursor=zz"));
    }

    #[test]
    fn nobody_is_told_apart_from_nobody_found() {
        let none = Page {
            rows: Vec::new(),
            next: None,
        };
        let asked = |status: &str| Asked {
            status: status.to_owned(),
            ..Asked::default()
        };
        let everyone = Filter::default();
        let first = html(&view(&session(), &asked("all"), &everyone, None, &none));
        clean(&first);
        assert!(first.contains("Nobody has come in yet"));
        let left = html(&view(
            &session(),
            &asked("opted_out"),
            &everyone,
            None,
            &none,
        ));
        assert!(left.contains("Nobody has opted out."));
        let filter = Filter {
            tag: Some("vip".to_owned()),
            ..Filter::default()
        };
        let found = html(&view(&session(), &asked("all"), &filter, None, &none));
        clean(&found);
        assert!(found.contains("Nobody matches"));
    }
}

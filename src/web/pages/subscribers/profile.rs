//! One person: state, how they may be written to, tags, and everything that happened.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::timeline::{self, Day};
use super::{name, status_badge};
use crate::analytics::{self, LogEntry};
use crate::app::App;
use crate::attribution::{self, Order, OrderFilter};
use crate::clock::{DAY, HOUR};
use crate::opt_ins;
use crate::store::ids::SubscriberId;
use crate::store::page::{Cursor, MAX_LIMIT};
use crate::subscribers::{self, Consent, Status, Subscriber};
use crate::web::Web;
use crate::web::pages::answer::{Answer, page, page_with, see_other_saying};
use crate::web::pages::error::Error;
use crate::web::pages::format::{Format, number};
use crate::web::pages::listing::Tab;
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::web::pages::words;
use crate::workspaces;

/// How many messages and orders one page shows and counts.
const LATEST: i64 = MAX_LIMIT;
const TAG_LENGTH: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    show: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TagForm {
    add: String,
    remove: String,
}

#[derive(Template)]
#[template(path = "subscribers/profile.html")]
struct Profile {
    shell: Shell,
    id: String,
    name: String,
    status: &'static str,
    status_words: String,
    can_opt_out: bool,
    sub: String,
    capped_until: Option<String>,
    last_marketing: String,
    cap_hours: i64,
    net: String,
    orders_words: String,
    orders: Vec<Order>,
    orders_complete: bool,
    sent: String,
    read: String,
    clicked: String,
    messages_note: String,
    last_ordered: String,
    last_clicked: String,
    tabs: Vec<Tab>,
    days: Vec<Day>,
    facts: Vec<(&'static str, String)>,
    ways: Vec<Way>,
    tags: Vec<String>,
    tag_input: String,
    tag_error: &'static str,
}

struct Way {
    open: bool,
    words: String,
}

/// Everything the page is drawn from.
struct Known {
    subscriber: Subscriber,
    page_name: Option<String>,
    consents: Vec<Consent>,
    messages: Vec<LogEntry>,
    orders: Vec<Order>,
    /// All credited orders fit.
    orders_complete: bool,
    tags: Vec<String>,
}

pub(super) async fn show(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer {
    let known = load(&web.app, &session, &id).await?;
    page(&view(&session, &known, &asked.show))
}

pub(super) async fn opt_out(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
) -> Answer {
    let app = &web.app;
    let subscriber = find(app, &session, &id).await?;
    opt_ins::take_out(app, session.workspace.id, subscriber.id).await?;
    Ok(see_other_saying(
        &format!("/app/subscribers/{}", subscriber.id),
        &format!("{} is opted out", name(&subscriber)),
    ))
}

pub(super) async fn tag(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    Form(form): Form<TagForm>,
) -> Answer {
    let app = &web.app;
    let subscriber = find(app, &session, &id).await?;
    let add = form.add.trim();
    if form.remove.is_empty()
        && let Some(error) = tag_problem(add)
    {
        let known = load(app, &session, &id).await?;
        let drawn = Profile {
            tag_input: form.add,
            tag_error: error,
            ..view(&session, &known, "")
        };
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &drawn);
    }
    let list = |tag: &str| -> Vec<String> {
        Some(tag.to_owned())
            .filter(|tag| !tag.is_empty())
            .into_iter()
            .collect()
    };
    subscribers::tag(
        app,
        session.workspace.id,
        subscriber.id,
        &list(add),
        &list(&form.remove),
    )
    .await?;
    let toast = if form.remove.is_empty() {
        format!("Tagged “{add}”")
    } else {
        format!("Tag “{}” removed", form.remove)
    };
    Ok(see_other_saying(
        &format!("/app/subscribers/{}", subscriber.id),
        &toast,
    ))
}

/// What is wrong with a new tag, if anything.
fn tag_problem(tag: &str) -> Option<&'static str> {
    match tag.chars().count() {
        0 => Some("Write the tag."),
        n if n > TAG_LENGTH => Some("Shorten the tag to 50 characters."),
        _ if tag.chars().any(char::is_control) => Some("Write the tag in one line."),
        _ => None,
    }
}

async fn find(app: &App, session: &Session, id: &str) -> Result<Subscriber, Error> {
    let Ok(id) = id.parse::<SubscriberId>() else {
        return Err(Error::NotFound);
    };
    subscribers::find(app, session.workspace.id, id)
        .await?
        .ok_or(Error::NotFound)
}

async fn load(app: &App, session: &Session, id: &str) -> Result<Known, Error> {
    let ws = session.workspace.id;
    let subscriber = find(app, session, id).await?;
    let filter = OrderFilter {
        subscriber: Some(subscriber.id),
        ..OrderFilter::default()
    };
    let cursor = Cursor {
        after: None,
        limit: LATEST,
    };
    let orders = attribution::list(app, ws, &filter, cursor).await?;
    Ok(Known {
        page_name: workspaces::pages(app, ws)
            .await?
            .into_iter()
            .find(|page| page.id == subscriber.page)
            .map(|page| page.name),
        consents: subscribers::ledger(app, ws, subscriber.id).await?,
        messages: analytics::subscriber_log(app, ws, subscriber.id, LATEST).await?,
        orders_complete: orders.next.is_none(),
        orders: orders.rows,
        tags: subscribers::tags(app, ws, subscriber.id).await?,
        subscriber,
    })
}

fn view(session: &Session, known: &Known, show: &str) -> Profile {
    let f = &session.format();
    let now = f.now();
    let subscriber = &known.subscriber;
    let (status, status_words) = status_badge(subscriber.status);
    let path = format!("/app/subscribers/{}", subscriber.id);
    let tab = |key: &str, label: &str, n: Option<usize>| {
        let href = if key.is_empty() {
            path.clone()
        } else {
            format!("{path}?show={key}")
        };
        let tab = Tab::new(label, href, show == key);
        match n {
            Some(n) => tab.counting(number(i64::try_from(n).unwrap_or(i64::MAX))),
            None => tab,
        }
    };
    let mut entries = Vec::new();
    if matches!(show, "" | "consent") {
        entries.extend(known.consents.iter().map(|row| timeline::consent(f, row)));
    }
    if matches!(show, "" | "messages") {
        entries.extend(
            known
                .messages
                .iter()
                .flat_map(|row| timeline::message(f, row)),
        );
    }
    if matches!(show, "" | "orders") {
        entries.extend(known.orders.iter().map(|row| timeline::order(f, row)));
    }
    let count = |of: fn(&LogEntry) -> bool| known.messages.iter().filter(|row| of(row)).count();
    let count_words = |n: usize| number(i64::try_from(n).unwrap_or(i64::MAX));
    let cap_until = subscriber
        .last_marketing_at
        .map(|at| at + session.workspace.cap_hours * HOUR)
        .filter(|until| *until > now && subscriber.status == Status::Subscribed);
    let time = |at: Option<i64>| at.map_or_else(|| "None".to_owned(), |at| f.time(at));
    Profile {
        id: subscriber.id.to_string(),
        name: name(subscriber),
        status,
        status_words,
        can_opt_out: subscriber.status == Status::Subscribed,
        sub: sub(f, known),
        capped_until: cap_until.map(|at| f.time(at)),
        last_marketing: time(subscriber.last_marketing_at),
        cap_hours: session.workspace.cap_hours,
        net: net(f, &known.orders),
        orders_words: words::count(
            i64::try_from(known.orders.len()).unwrap_or(i64::MAX),
            "order",
            "orders",
        ),
        orders: known.orders.clone(),
        orders_complete: known.orders_complete,
        sent: count_words(count(|row| row.status == "sent")),
        read: count_words(count(|row| row.read_at.is_some())),
        clicked: count_words(count(|row| row.clicked_at.is_some())),
        messages_note: messages_note(&known.messages),
        last_ordered: time(subscriber.last_ordered_at),
        last_clicked: time(subscriber.last_clicked_at),
        tabs: vec![
            tab("", "All", None),
            tab("consent", "Consent", Some(known.consents.len())),
            tab("messages", "Messages", Some(known.messages.len())),
            tab("orders", "Orders", Some(known.orders.len())),
        ],
        days: timeline::days(f, entries),
        facts: facts(known),
        ways: ways(f, session.workspace.cap_hours, subscriber),
        tags: known.tags.clone(),
        tag_input: String::new(),
        tag_error: "",
        shell: session.shell(Nav::Subscribers, name(subscriber)),
    }
}

fn sub(f: &Format, known: &Known) -> String {
    let subscriber = &known.subscriber;
    let page = known
        .page_name
        .as_deref()
        .map_or_else(String::new, |page| format!(" of the Page {page}"));
    match (
        subscriber.status,
        subscriber.opted_in_at,
        subscriber.opted_out_at,
    ) {
        (Status::Subscribed, Some(at), _) => {
            format!("Subscriber{page} since {}.", f.time(at))
        }
        (Status::OptedOut, _, Some(at)) => {
            format!("Opted out {}. Gets no marketing.", f.time(at))
        }
        _ => format!(
            "Opened a chat{} on {} and has not said yes to marketing.",
            known
                .page_name
                .as_deref()
                .map_or_else(String::new, |page| format!(" with the Page {page}")),
            f.time(subscriber.created_at)
        ),
    }
}

fn messages_note(messages: &[LogEntry]) -> String {
    let count = |status: &str| messages.iter().filter(|row| row.status == status).count();
    let others: Vec<String> = [
        ("skipped", "skipped"),
        ("failed", "failed"),
        ("unknown", "unknown"),
        ("queued", "waiting"),
        ("sending", "being sent"),
    ]
    .into_iter()
    .map(|(status, word)| (count(status), word))
    .filter(|(n, _)| *n > 0)
    .map(|(n, word)| format!("{n} {word}"))
    .collect();
    let whole = i64::try_from(messages.len()).is_ok_and(|n| n < LATEST);
    let mut note = if others.is_empty() {
        "None skipped, failed or unknown.".to_owned()
    } else {
        format!("Also {}.", others.join(", "))
    };
    if !whole {
        note.push_str(&format!(" Of the latest {LATEST}."));
    }
    note
}

/// Net of what the messages earned, currencies kept apart.
fn net(f: &Format, orders: &[Order]) -> String {
    let mut sums: Vec<(&str, i64)> = Vec::new();
    for order in orders {
        let net = order.total - order.refunded;
        match sums.iter_mut().find(|sum| sum.0 == order.currency) {
            Some(sum) => sum.1 += net,
            None => sums.push((&order.currency, net)),
        }
    }
    if sums.is_empty() {
        return "None yet".to_owned();
    }
    sums.iter()
        .map(|(currency, net)| f.money(*net, currency))
        .collect::<Vec<_>>()
        .join(" + ")
}

fn facts(known: &Known) -> Vec<(&'static str, String)> {
    let subscriber = &known.subscriber;
    let linked = |id: &Option<String>, who: &str| match id {
        Some(id) => id.clone(),
        None => format!("Not linked to {who}"),
    };
    vec![
        ("Id", subscriber.id.to_string()),
        (
            "Customer in Shopify",
            linked(&subscriber.customer_id, "a customer yet"),
        ),
        (
            "Profile in Klaviyo",
            linked(&subscriber.klaviyo_profile_id, "a profile yet"),
        ),
        (
            "Came in through",
            subscriber
                .source
                .as_deref()
                .map_or_else(|| "Not known".to_owned(), words::source),
        ),
        (
            "Time zone",
            subscriber
                .timezone
                .clone()
                .unwrap_or_else(|| "Not known; yours counts".to_owned()),
        ),
    ]
}

fn ways(f: &Format, cap_hours: i64, subscriber: &Subscriber) -> Vec<Way> {
    let now = f.now();
    let marketing = match (subscriber.status, subscriber.has_token) {
        (Status::Subscribed, true) => Way {
            open: true,
            words: format!(
                "Marketing, at most once in {cap_hours} hours. Paid to Meta, unless the free window is open."
            ),
        },
        (Status::Subscribed, false) => Way {
            open: false,
            words: "No paid marketing message: Meta gave us no permission code for them. The free window still works.".to_owned(),
        },
        (Status::OptedOut, _) => Way {
            open: false,
            words: "No marketing: opted out.".to_owned(),
        },
        (Status::NotSubscribed, _) => Way {
            open: false,
            words: "No marketing: has not said yes.".to_owned(),
        },
    };
    let window = match subscriber.last_action_at {
        Some(at) if at + DAY > now => Way {
            open: true,
            words: format!(
                "Free until {}, 24 hours after they last did something in the chat.",
                f.time(at + DAY)
            ),
        },
        Some(at) => Way {
            open: false,
            words: format!("The free window ended {}.", f.time(at + DAY)),
        },
        None => Way {
            open: false,
            words: "The free window opens when they write or tap.".to_owned(),
        },
    };
    vec![marketing, window]
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;

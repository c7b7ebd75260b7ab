//! Personal data: demands and what came of them, exports to fetch, erasing by hand, for how long
//! what is kept, and the log that proves it.

use std::ops::RangeInclusive;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};

use super::answer::{Answer, page_with, see_other_saying};
use super::error::Error;
use super::fields::Fields;
use super::format::Format;
use super::listing::{self, Cursored, cursor};
use super::parts::Pager;
use super::session::Session;
use super::shell::{Nav, Shell};
use crate::app::App;
use crate::store::ids::RequestId;
use crate::store::page::{Cursor, Page};
use crate::store::sealed::{email_hash, phone_hash};
use crate::subscribers::Known;
use crate::subscribers::privacy::{self, Demand, Kind, Request};
use crate::web::Web;
use crate::workspaces::audit::{self, Actor, Note, Noted};
use crate::workspaces::{self, Retention};

const PATH: &str = "/app/privacy";
/// A shorter inbox could not be played again after a weekend; a longer one is never needed.
const EVENTS_DAYS: RangeInclusive<i64> = 3..=30;
/// At least as long as the longest attribution window needs its explanation.
const MESSAGES_DAYS: RangeInclusive<i64> = 30..=1_095;
const PEOPLE_DAYS: RangeInclusive<i64> = 30..=1_825;
const LINES: i64 = 20;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route(PATH, get(show))
        .route("/app/privacy/{id}/export.json", get(as_json))
        .route("/app/privacy/{id}/export.txt", get(as_text))
        .route("/app/privacy/export", post(export))
        .route("/app/privacy/erase", post(erase))
        .route("/app/privacy/retention", post(keep))
}

#[derive(Template)]
#[template(path = "privacy/page.html")]
struct Privacy {
    shell: Shell,
    requests: Vec<RequestRow>,
    log: Vec<LogRow>,
    pager: Option<Pager>,
    export: Whom,
    erase: Whom,
    keep: Keep,
}

struct RequestRow {
    id: String,
    what: &'static str,
    received: String,
    due: String,
    status: &'static str,
    status_words: &'static str,
    detail: String,
    export_until: Option<String>,
}

struct LogRow {
    at: String,
    who: &'static str,
    what: String,
}

/// Whom a form is about, as it was typed.
#[derive(Clone, Debug, Default)]
struct Whom {
    email: String,
    phone: String,
    customer: String,
    error: &'static str,
    sure_error: &'static str,
}

#[derive(Clone, Debug, Default)]
struct Keep {
    events: String,
    messages: String,
    people: String,
    events_error: &'static str,
    messages_error: &'static str,
    people_error: &'static str,
}

/// What a form that has to be mended was filled with.
#[derive(Default)]
struct Typed {
    export: Whom,
    erase: Whom,
    keep: Option<Keep>,
}

impl Whom {
    fn read(fields: &Fields) -> Self {
        Self {
            email: fields.get("email").to_owned(),
            phone: fields.get("phone").to_owned(),
            customer: fields.get("customer").to_owned(),
            ..Self::default()
        }
    }

    /// Who it is, or `None` with the error marked.
    fn known(&mut self) -> Option<Known> {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let is_email = self.email.is_empty() || email_hash(&self.email).is_some();
        let is_phone = self.phone.is_empty() || phone_hash(&self.phone).is_some();
        let is_id = self.customer.bytes().all(|byte| byte.is_ascii_digit());
        self.error = match (is_email, is_phone, is_id) {
            (false, ..) => "Write the e-mail address in full, as ana@example.com.",
            (_, false, _) => "Write the phone number in full, as +1 555 625 1199.",
            (.., false) => {
                "The customer’s id is the number at the end of their address in Shopify."
            }
            _ if self.email.is_empty() && self.phone.is_empty() && self.customer.is_empty() => {
                "Give at least one of the three."
            }
            _ => "",
        };
        self.error.is_empty().then(|| Known {
            customer_id: given(&self.customer),
            email: given(&self.email),
            phone: given(&self.phone),
            ..Known::default()
        })
    }
}

impl Keep {
    fn of(keep: Retention) -> Self {
        Self {
            events: keep.events_days.to_string(),
            messages: keep.messages_days.to_string(),
            people: keep.people_days.to_string(),
            ..Self::default()
        }
    }

    fn read(fields: &Fields) -> Self {
        Self {
            events: fields.get("events_days").to_owned(),
            messages: fields.get("messages_days").to_owned(),
            people: fields.get("people_days").to_owned(),
            ..Self::default()
        }
    }

    fn check(&mut self) -> Option<Retention> {
        let within = |text: &str, span: &RangeInclusive<i64>| {
            text.parse().ok().filter(|days| span.contains(days))
        };
        let events = within(&self.events, &EVENTS_DAYS);
        let messages = within(&self.messages, &MESSAGES_DAYS);
        let people = within(&self.people, &PEOPLE_DAYS);
        if events.is_none() {
            self.events_error = "Write whole days from 3 to 30.";
        }
        if messages.is_none() {
            self.messages_error = "Write whole days from 30 to 1095.";
        }
        if people.is_none() {
            self.people_error = "Write whole days from 30 to 1825.";
        }
        Some(Retention {
            events_days: events?,
            messages_days: messages?,
            people_days: people?,
        })
    }
}

async fn show(State(web): State<Web>, session: Session, Query(asked): Query<Cursored>) -> Answer {
    draw(&web.app, &session, &asked, Typed::default()).await
}

async fn draw(app: &App, session: &Session, asked: &Cursored, typed: Typed) -> Answer {
    let ws = session.ws();
    let f = session.format();
    let recent = Cursor {
        after: None,
        limit: LINES,
    };
    let requests = privacy::requests(app, ws, recent).await?.rows;
    let from = Cursor {
        limit: LINES,
        ..cursor(&asked.cursor)?
    };
    let log = audit::noted(app, ws, from).await?;
    let is_mended = typed.keep.is_none()
        && [&typed.export, &typed.erase]
            .iter()
            .all(|form| form.error.is_empty() && form.sure_error.is_empty());
    let keep = match typed.keep {
        Some(keep) => keep,
        None => Keep::of(workspaces::retention(app, ws).await?),
    };
    let status = if is_mended {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let drawn = Privacy {
        shell: session.shell(Nav::Settings, "Personal data"),
        requests: requests.into_iter().map(|row| request(&f, row)).collect(),
        pager: pager(&log, &asked.cursor),
        log: log.rows.into_iter().map(|row| line(&f, row)).collect(),
        export: typed.export,
        erase: typed.erase,
        keep,
    };
    page_with(status, &drawn)
}

fn pager(log: &Page<Noted>, cursor: &str) -> Option<Pager> {
    listing::pager("/app/privacy#log", &[], cursor, log)
}

fn request(f: &Format, row: Request) -> RequestRow {
    let (status, status_words) = match row.done_at {
        Some(_) => ("ok", "Done"),
        None if row.due_at < f.now() => ("broken", "Overdue"),
        None => ("running", "Under way"),
    };
    RequestRow {
        id: row.id.to_string(),
        what: match row.kind {
            Kind::Export => "Export of a customer",
            Kind::EraseCustomer => "Erasure of a customer",
            Kind::EraseShop => "Erasure of the shop",
        },
        received: f.time(row.received_at),
        due: f.time(row.due_at),
        status,
        status_words,
        detail: if row.detail.is_empty() {
            "Begun. It goes on by itself.".to_owned()
        } else {
            row.detail
        },
        export_until: row.export_until.map(|at| f.time(at)),
    }
}

fn line(f: &Format, row: Noted) -> LogRow {
    LogRow {
        at: f.time(row.at),
        who: match row.actor.as_str() {
            "shopify" => "Shopify",
            "meta" => "Meta",
            "merchant" => "In the admin",
            _ => "Pagecast",
        },
        what: row.detail,
    }
}

async fn export(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let mut whom = Whom::read(&fields);
    let Some(known) = whom.known() else {
        let typed = Typed {
            export: whom,
            ..Typed::default()
        };
        return draw(&web.app, &session, &Cursored::default(), typed).await;
    };
    let app = &web.app;
    let reference = reference(app);
    let mut tx = app.db.begin().await?;
    privacy::export(app, &mut tx, session.ws(), demand(app, &reference), &known).await?;
    tx.commit().await?;
    Ok(see_other_saying(PATH, "The export is ready"))
}

async fn erase(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let mut whom = Whom::read(&fields);
    let known = whom.known();
    if !fields.has("sure") {
        whom.sure_error = "Tick this first: it cannot be undone.";
    }
    let Some(known) = known.filter(|_| whom.sure_error.is_empty()) else {
        let typed = Typed {
            erase: whom,
            ..Typed::default()
        };
        return draw(&web.app, &session, &Cursored::default(), typed).await;
    };
    let app = &web.app;
    let reference = reference(app);
    let mut tx = app.db.begin().await?;
    privacy::erase(
        app,
        &mut tx,
        session.ws(),
        demand(app, &reference),
        known,
        &[],
    )
    .await?;
    tx.commit().await?;
    privacy::erase_due(app).await?;
    Ok(see_other_saying(PATH, "Erased"))
}

async fn keep(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let (app, ws) = (&web.app, session.ws());
    let mut keep = Keep::read(&fields);
    let Some(wanted) = keep.check() else {
        let typed = Typed {
            keep: Some(keep),
            ..Typed::default()
        };
        return draw(app, &session, &Cursored::default(), typed).await;
    };
    workspaces::save_retention(app, ws, wanted).await?;
    let note = Note {
        actor: Actor::Merchant,
        action: "retention_changed",
        about: None,
        detail: format!(
            "Kept from now on: events {} days, words {} days, people who left {} days.",
            wanted.events_days, wanted.messages_days, wanted.people_days
        ),
    };
    let mut tx = app.db.begin().await?;
    audit::note(app, &mut tx, ws, note).await?;
    tx.commit().await?;
    Ok(see_other_saying(PATH, "Saved"))
}

/// One press is one demand.
fn reference(app: &App) -> String {
    format!("admin:{}", app.ids.next::<RequestId>())
}

fn demand<'a>(app: &App, reference: &'a str) -> Demand<'a> {
    Demand {
        actor: Actor::Merchant,
        external_ref: reference,
        received_at: app.clock.now(),
    }
}

async fn as_json(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let export = fetched(&web.app, &session, &id).await?;
    let text = serde_json::to_string_pretty(&export)?;
    Ok(file("application/json", &format!("{id}.json"), text))
}

async fn as_text(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let export = fetched(&web.app, &session, &id).await?;
    let text = privacy::readable(&export);
    Ok(file(
        "text/plain; charset=utf-8",
        &format!("{id}.txt"),
        text,
    ))
}

async fn fetched(app: &App, session: &Session, id: &str) -> Result<serde_json::Value, Error> {
    let id: RequestId = id.parse().map_err(|_| Error::NotFound)?;
    privacy::fetch_export(app, session.ws(), id)
        .await?
        .ok_or(Error::NotFound)
}

/// `name` is an id of ours, so it needs no escaping.
fn file(kind: &str, name: &str, text: String) -> axum::response::Response {
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

    fn drawn(requests: Vec<Request>, erase: Whom, keep: Keep) -> String {
        let f = session().format();
        let page = Privacy {
            shell: session().shell(Nav::Settings, "Personal data"),
            requests: requests.into_iter().map(|row| request(&f, row)).collect(),
            log: Vec::new(),
            pager: None,
            export: Whom::default(),
            erase,
            keep,
        };
        let html = html(&page);
        clean(&html);
        html
    }

    #[test]
    fn a_demand_shows_when_it_is_due_and_an_export_until_when_it_can_be_fetched() {
        let row = |kind, done_at, due_at, export_until| Request {
            id: RequestId(7),
            kind,
            detail: "One customer was erased.".to_owned(),
            received_at: NOW,
            due_at,
            done_at,
            export_until,
        };
        let rows = vec![
            row(Kind::Export, Some(NOW), NOW + 1, Some(NOW + 1)),
            row(Kind::EraseCustomer, None, NOW + 1, None),
            row(Kind::EraseShop, None, NOW - 1, None),
        ];
        let html = drawn(rows, Whom::default(), Keep::default());
        assert_eq!(html.matches("/export.json").count(), 1);
        for part in ["Done", "Under way", "Overdue"] {
            assert!(html.contains(part), "{part}");
        }
        let empty = drawn(Vec::new(), Whom::default(), Keep::default());
        assert!(empty.contains("Nobody has asked yet"));
    }

    #[test]
    fn what_cannot_be_right_is_told_beside_its_field() {
        let mut whom = Whom {
            email: "nobody".to_owned(),
            ..Whom::default()
        };
        assert!(whom.known().is_none());
        assert!(drawn(Vec::new(), whom, Keep::default()).contains("id=\"erase-e\""));
        assert!(Whom::default().known().is_none());
        let mut whom = Whom {
            customer: "191167".to_owned(),
            ..Whom::default()
        };
        assert!(
            whom.known()
                .is_some_and(|known| known.customer_id.is_some())
        );

        let mut keep = Keep {
            events: "31".to_owned(),
            messages: "a year".to_owned(),
            people: "365".to_owned(),
            ..Keep::default()
        };
        assert!(keep.check().is_none());
        let html = drawn(Vec::new(), Whom::default(), keep);
        assert_eq!(html.matches("aria-invalid").count(), 2);
    }
}

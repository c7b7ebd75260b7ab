//! Incoming events as they were kept: what was not understood, why, and trying it again.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::store::ids::WebhookId;
use crate::store::page::Page;
use crate::web::Web;
use crate::web::pages::answer::{Answer, page, see_other_saying};
use crate::web::pages::error::Error;
use crate::web::pages::format::{Format, number};
use crate::web::pages::listing::{self, cursor};
use crate::web::pages::parts::Pager;
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::webhooks::{self, Kept};

/// A body may have 5 MB; a page shows its beginning.
const SHOWN: usize = 200_000;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/webhooks", get(list))
        .route("/app/webhooks/{id}", get(show))
        .route("/app/webhooks/{id}/replay", post(replay))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    failed: String,
    cursor: String,
}

#[derive(Template)]
#[template(path = "webhooks/list.html")]
struct List {
    shell: Shell,
    failed: bool,
    rows: Vec<Row>,
    first_page: bool,
    pager: Option<Pager>,
    zone: String,
}

struct Row {
    id: String,
    topic: String,
    platform: &'static str,
    account: String,
    status: &'static str,
    status_words: &'static str,
    received: String,
    attempts: String,
    error: String,
}

#[derive(Template)]
#[template(path = "webhooks/event.html")]
struct Event {
    shell: Shell,
    id: String,
    topic: String,
    platform: &'static str,
    account: String,
    status: &'static str,
    status_words: &'static str,
    received: String,
    processed: String,
    attempts: String,
    error: String,
    size: String,
    pretty: bool,
    cut: Option<String>,
    payload: String,
}

async fn list(State(web): State<Web>, session: Session, Query(asked): Query<Asked>) -> Answer {
    let failed = asked.failed == "1";
    let found = webhooks::list(
        &web.app,
        Some(session.workspace.id),
        failed,
        cursor(&asked.cursor)?,
    )
    .await?;
    page(&listed(&session, failed, &asked.cursor, &found))
}

fn listed(session: &Session, failed: bool, cursor: &str, found: &Page<Kept>) -> List {
    let f = &session.format();
    List {
        failed,
        rows: found.rows.iter().map(|kept| row(f, kept)).collect(),
        first_page: cursor.is_empty(),
        pager: listing::pager(
            "/app/webhooks",
            &[("failed", if failed { "1" } else { "" })],
            cursor,
            found,
        ),
        zone: f.zone(),
        shell: session.shell(Nav::Events, "Incoming events"),
    }
}

async fn show(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let id: WebhookId = id.parse().map_err(|_| Error::NotFound)?;
    let kept = webhooks::find(&web.app, Some(session.workspace.id), id)
        .await?
        .ok_or(Error::NotFound)?;
    page(&event(&session, kept))
}

fn event(session: &Session, kept: Kept) -> Event {
    let f = session.format();
    let shell = session.shell(Nav::Events, kept.topic.clone());
    let (status, status_words) = state(&kept);
    let body = kept.payload.clone().unwrap_or_default();
    let (payload, pretty, cut) = readable(&body);
    Event {
        id: kept.id.to_string(),
        platform: platform_words(&kept.platform),
        status,
        status_words,
        received: f.time(kept.received_at),
        processed: kept
            .processed_at
            .map_or_else(|| "Not yet".to_owned(), |at| f.time(at)),
        attempts: number(kept.attempts),
        error: kept.error.clone().unwrap_or_default(),
        size: format!(
            "{} bytes",
            number(i64::try_from(body.len()).unwrap_or(i64::MAX))
        ),
        pretty,
        cut,
        payload,
        topic: kept.topic,
        account: kept.account,
        shell,
    }
}

async fn replay(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let id: WebhookId = id.parse().map_err(|_| Error::NotFound)?;
    if !webhooks::replay(&web.app, Some(session.workspace.id), id).await? {
        return Err(Error::NotFound);
    }
    Ok(see_other_saying(
        &format!("/app/webhooks/{id}"),
        "Will be processed again in a moment",
    ))
}

fn row(f: &Format, kept: &Kept) -> Row {
    let (status, status_words) = state(kept);
    Row {
        id: kept.id.to_string(),
        topic: kept.topic.clone(),
        platform: platform_words(&kept.platform),
        account: kept.account.clone(),
        status,
        status_words,
        received: f.time(kept.received_at),
        attempts: number(kept.attempts),
        error: kept.error.clone().unwrap_or_default(),
    }
}

fn state(kept: &Kept) -> (&'static str, &'static str) {
    match (&kept.error, kept.processed_at) {
        (Some(_), Some(_)) => ("failed", "Not understood"),
        (Some(_), None) => ("attention", "Will be tried again"),
        (None, Some(_)) => ("ok", "Understood"),
        (None, None) => ("queued", "Waiting"),
    }
}

fn platform_words(platform: &str) -> &'static str {
    match platform {
        "shopify" => "Shopify",
        "meta" => "Meta",
        "klaviyo" => "Klaviyo",
        "klaviyo_flow" => "A Klaviyo flow",
        _ => "Elsewhere",
    }
}

/// The body for reading: JSON is indented, the rest shown as it is; long ones are cut.
fn readable(body: &str) -> (String, bool, Option<String>) {
    let json = serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok());
    let pretty = json.is_some();
    let mut text = json.unwrap_or_else(|| body.to_owned());
    let cut = (text.len() > SHOWN).then(|| {
        let end = text.floor_char_boundary(SHOWN);
        text.truncate(end);
        format!(
            "Only the first {} bytes are shown; all of it is kept.",
            number(i64::try_from(end).unwrap_or(i64::MAX))
        )
    });
    (text, pretty, cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

    #[test]
    fn json_is_indented_and_anything_else_stays_as_it_came() {
        assert_eq!(
            readable(r#"{"a":1}"#),
            ("{\n  \"a\": 1\n}".to_owned(), true, None)
        );
        assert_eq!(readable("a=1&b=2"), ("a=1&b=2".to_owned(), false, None));
    }

    #[test]
    fn a_long_body_is_cut_between_characters() {
        let (text, _, cut) = readable(&"é".repeat(SHOWN));
        assert!(text.len() <= SHOWN && cut.is_some());
    }

    fn kept(error: Option<&str>, payload: &str) -> Kept {
        Kept {
            id: WebhookId(5),
            platform: "shopify".to_owned(),
            topic: "orders/paid".to_owned(),
            account: "pine.myshopify.com".to_owned(),
            received_at: NOW,
            processed_at: Some(NOW),
            attempts: 3,
            error: error.map(str::to_owned),
            payload: Some(payload.to_owned()),
        }
    }

    #[test]
    fn an_event_that_was_not_understood_shows_its_error_and_its_body() {
        let html = html(&event(
            &session(),
            kept(Some("missing field `id`"), r#"{"note":"<script>"}"#),
        ));
        clean(&html);
        for part in [
            "missing field `id`",
            "\n  &#34;note&#34;: &#34;&#60;script&#62;&#34;",
            &format!("action=\"/app/webhooks/{}/replay\"", WebhookId(5)),
            "Not understood",
        ] {
            assert!(html.contains(part), "{part}");
        }
    }

    #[test]
    fn the_list_can_be_full_narrowed_or_empty() {
        let found = Page {
            rows: vec![kept(Some("no JSON"), ""), kept(None, "")],
            next: Some("zz".to_owned()),
        };
        let list = html(&listed(&session(), true, "", &found));
        clean(&list);
        assert!(list.contains("/app/webhooks?failed=1&#38;cursor=zz"));
        let none = Page {
            rows: Vec::new(),
            next: None,
        };
        let well = html(&listed(&session(), true, "", &none));
        clean(&well);
        assert!(well.contains("Everything was understood"));
        let empty = html(&listed(&session(), false, "", &none));
        clean(&empty);
        assert!(empty.contains("Nothing has come in yet"));
    }
}

//! Incoming events as they were kept: what was not understood, why, and trying it again.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

use crate::store::ids::WebhookId;
use crate::web::Web;
use crate::web::pages::{Failure, Frame, Outcome, Session, cursor, href, number, page, saved};
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
    frame: Frame,
    failed: bool,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
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
    frame: Frame,
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

async fn list(
    State(web): State<Web>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Outcome<Response> {
    let failed = asked.failed == "1";
    let found = webhooks::list(
        &web.app,
        Some(session.workspace.id),
        failed,
        cursor(&asked.cursor)?,
    )
    .await?;
    let to = |cursor: &str| {
        href(
            "/app/webhooks",
            &[("failed", if failed { "1" } else { "" }), ("cursor", cursor)],
        )
    };
    page(&List {
        failed,
        rows: found.rows.iter().map(|kept| row(&session, kept)).collect(),
        first: (!asked.cursor.is_empty()).then(|| to("")),
        next: found.next.as_deref().map(to),
        zone: session.zone_words(),
        frame: session.frame("webhooks"),
    })
}

async fn show(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
) -> Outcome<Response> {
    let id: WebhookId = id.parse().map_err(|_| Failure::NotFound)?;
    let kept = webhooks::find(&web.app, Some(session.workspace.id), id)
        .await?
        .ok_or(Failure::NotFound)?;
    let (status, status_words) = state(&kept);
    let body = kept.payload.clone().unwrap_or_default();
    let (payload, pretty, cut) = readable(&body);
    page(&Event {
        id: kept.id.to_string(),
        platform: platform_words(&kept.platform),
        status,
        status_words,
        received: session.time(kept.received_at),
        processed: kept
            .processed_at
            .map_or_else(|| "Not yet".to_owned(), |at| session.time(at)),
        attempts: number(kept.attempts),
        error: kept.error.clone().unwrap_or_default(),
        size: format!("{} bytes", number(i64::try_from(body.len()).unwrap_or(i64::MAX))),
        pretty,
        cut,
        payload,
        topic: kept.topic,
        account: kept.account,
        frame: session.frame("webhooks"),
    })
}

async fn replay(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
) -> Outcome<Response> {
    let id: WebhookId = id.parse().map_err(|_| Failure::NotFound)?;
    if !webhooks::replay(&web.app, Some(session.workspace.id), id).await? {
        return Err(Failure::NotFound);
    }
    Ok(saved(
        &format!("/app/webhooks/{id}"),
        "Will be processed again in a moment",
    ))
}

fn row(session: &Session, kept: &Kept) -> Row {
    let (status, status_words) = state(kept);
    Row {
        id: kept.id.to_string(),
        topic: kept.topic.clone(),
        platform: platform_words(&kept.platform),
        account: kept.account.clone(),
        status,
        status_words,
        received: session.time(kept.received_at),
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

    #[test]
    fn json_is_indented_and_anything_else_stays_as_it_came() {
        assert_eq!(readable(r#"{"a":1}"#), ("{\n  \"a\": 1\n}".to_owned(), true, None));
        assert_eq!(readable("a=1&b=2"), ("a=1&b=2".to_owned(), false, None));
    }

    #[test]
    fn a_long_body_is_cut_between_characters() {
        let (text, _, cut) = readable(&"é".repeat(SHOWN));
        assert!(text.len() <= SHOWN && cut.is_some());
    }
}

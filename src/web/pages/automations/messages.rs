//! The messages of an automation: the rows behind its figures.

use askama::Template;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::{figures, find};
use crate::analytics::{self, LogEntry, LogFilter};
use crate::automations::Automation;
use crate::store::page::Page;
use crate::web::Web;
use crate::web::pages::answer::{Answer, page};
use crate::web::pages::format::{Format, number};
use crate::web::pages::listing::{self, Tab, cursor};
use crate::web::pages::parts::Pager;
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::web::pages::subscribers::furthest;
use crate::web::pages::words;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    status: String,
    reason: String,
    cursor: String,
}

#[derive(Template)]
#[template(path = "automations/messages.html")]
struct Messages {
    shell: Shell,
    id: String,
    name: String,
    tabs: Vec<Tab>,
    /// The one reason that is shown, in words.
    reason: Option<String>,
    without_reason: String,
    rows: Vec<Row>,
    /// There is more behind this page.
    goes_on: bool,
    pager: Option<Pager>,
    zone: String,
}

struct Row {
    subscriber: String,
    name: String,
    status: String,
    status_words: String,
    when: String,
    channel: String,
    why: String,
    orders: String,
}

const TABS: [(&str, &str); 9] = [
    ("", "All"),
    ("sent", "Sent"),
    ("delivered", "Delivered"),
    ("read", "Read"),
    ("clicked", "Clicked"),
    ("skipped", "Skipped"),
    ("failed", "Failed"),
    ("unknown", "Unknown"),
    ("queued", "Waiting"),
];

pub(super) async fn show(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Answer {
    let automation = find(&web, &session, &id).await?;
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let filter = LogFilter {
        status: some(&asked.status),
        reason: some(&asked.reason),
        search: None,
    };
    let found = analytics::automation_log(
        &web.app,
        session.ws(),
        automation.id,
        &filter,
        cursor(&asked.cursor)?,
    )
    .await?;
    page(&view(&session, &automation, &asked, &found))
}

fn view(
    session: &Session,
    automation: &Automation,
    asked: &Asked,
    found: &Page<LogEntry>,
) -> Messages {
    let f = &session.format();
    let id = automation.id;
    Messages {
        shell: session.shell(Nav::Automations, format!("Messages of {}", automation.name)),
        id: id.to_string(),
        name: automation.name.clone(),
        tabs: TABS
            .iter()
            .map(|(key, label)| Tab::new(label, figures::rows(id, key, ""), *key == asked.status))
            .collect(),
        reason: (!asked.reason.is_empty()).then(|| words::reason(&asked.reason)),
        without_reason: figures::rows(id, &asked.status, ""),
        rows: found.rows.iter().map(|entry| row(f, entry)).collect(),
        goes_on: found.next.is_some(),
        pager: listing::pager(
            &format!("/app/automations/{id}/messages"),
            &[("status", &asked.status), ("reason", &asked.reason)],
            &asked.cursor,
            found,
        ),
        zone: f.zone(),
    }
}

fn row(f: &Format, entry: &LogEntry) -> Row {
    let status = furthest(entry);
    let why = entry.reason.as_deref().map(words::reason);
    Row {
        subscriber: entry.subscriber.to_string(),
        name: entry
            .subscriber_name
            .clone()
            .unwrap_or_else(|| "Name not known".to_owned()),
        status_words: words::status(status),
        status: status.to_owned(),
        when: f.time(entry.sent_at.unwrap_or(entry.due_at)),
        channel: entry
            .channel
            .as_deref()
            .map(words::channel)
            .unwrap_or_default(),
        why: [why.as_deref(), entry.detail.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": "),
        orders: if entry.orders == 0 {
            String::new()
        } else {
            number(entry.orders)
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::automations::Trigger;
    use crate::store::ids::{AutomationId, MessageKey, OriginId, SubscriberId, WorkspaceId};
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

    fn entry(status: &str, reason: Option<&str>) -> LogEntry {
        LogEntry {
            message: MessageKey {
                origin: OriginId(1),
                subscriber: SubscriberId(4),
            },
            subscriber: SubscriberId(4),
            subscriber_name: Some("Ana <V>".to_owned()),
            kind: "automation".to_owned(),
            about: None,
            about_id: None,
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
            detail: None,
            channel: None,
            queued_at: NOW,
            due_at: NOW,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            clicked_at: None,
            attempts: 0,
            orders: 0,
        }
    }

    #[test]
    fn the_rows_behind_a_figure_keep_their_filter() {
        let automation = Automation {
            id: AutomationId(1),
            workspace: WorkspaceId(1),
            name: "Welcome".to_owned(),
            trigger: Trigger::OptedIn {},
            steps: Vec::new(),
            stop_on_order: false,
            status: "on".to_owned(),
            created_at: NOW,
            updated_at: NOW,
        };
        let asked = Asked {
            status: "skipped".to_owned(),
            reason: "capped".to_owned(),
            cursor: String::new(),
        };
        let found = Page {
            rows: vec![entry("skipped", Some("capped")), entry("queued", None)],
            next: Some("zz".to_owned()),
        };
        let page = html(&view(&session(), &automation, &asked, &found));
        clean(&page);
        assert!(page.contains("Ana &#60;V&#62;"));
        assert!(page.contains("messages?status=skipped&#38;reason=capped&#38;cursor=zz"));
        let none = Page {
            rows: Vec::new(),
            next: None,
        };
        let empty = html(&view(&session(), &automation, &Asked::default(), &none));
        clean(&empty);
        assert!(empty.contains("No such message"));
    }
}

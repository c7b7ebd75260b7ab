//! The log of a campaign as a file: streamed page by page, so a million rows need no memory.

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;

use super::campaigns::find;
use super::error::Error;
use super::session::Session;
use crate::analytics::{self, LogEntry, LogFilter};
use crate::app::App;
use crate::clock::rfc3339;
use crate::store::ids::{CampaignId, WorkspaceId};
use crate::store::page::{Cursor, MAX_LIMIT};
use crate::web::Web;

const HEAD: &str = "message,subscriber,name,status,reason,detail,channel,due,sent,delivered,read,\
                    clicked,attempts,orders\r\n";

pub(super) async fn download(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let campaign = find(&web, &session, &id).await?;
    let rows = pages(web.app.clone(), session.ws(), campaign.id);
    let name = format!("attachment; filename=\"{}.csv\"", campaign.id);
    Ok((
        [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (header::CONTENT_DISPOSITION, name),
        ],
        Body::from_stream(rows),
    )
        .into_response())
}

/// Where the stream is.
enum At {
    Head,
    Page(Option<i64>),
    End,
}

fn pages(
    app: App,
    ws: WorkspaceId,
    id: CampaignId,
) -> impl stream::Stream<Item = anyhow::Result<Bytes>> {
    stream::try_unfold(At::Head, move |at| {
        let app = app.clone();
        async move {
            let after = match at {
                At::Head => return Ok(Some((Bytes::from_static(HEAD.as_bytes()), At::Page(None)))),
                At::Page(after) => after,
                At::End => return Ok(None),
            };
            let cursor = Cursor {
                after,
                limit: MAX_LIMIT,
            };
            let page = analytics::campaign_log(&app, ws, id, &LogFilter::default(), cursor).await?;
            let text: String = page.rows.iter().map(line).collect();
            let next = page
                .next
                .and_then(|next| Cursor::parse(Some(&next), None))
                .map_or(At::End, |cursor| At::Page(cursor.after));
            Ok(Some((Bytes::from(text), next)))
        }
    })
}

fn line(entry: &LogEntry) -> String {
    let time = |at: Option<i64>| at.map(rfc3339).unwrap_or_default();
    let text = |text: &Option<String>| cell(text.as_deref().unwrap_or_default());
    [
        entry.message.to_string(),
        entry.subscriber.to_string(),
        text(&entry.subscriber_name),
        cell(&entry.status),
        text(&entry.reason),
        text(&entry.detail),
        text(&entry.channel),
        rfc3339(entry.due_at),
        time(entry.sent_at),
        time(entry.delivered_at),
        time(entry.read_at),
        time(entry.clicked_at),
        entry.attempts.to_string(),
        entry.orders.to_string(),
    ]
    .join(",")
        + "\r\n"
}

/// Quoted where CSV needs it; a cell that a spreadsheet would run as a formula gets a quote before.
fn cell(text: &str) -> String {
    let safe = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if safe.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        assert_eq!(cell("Ana"), "Ana");
        assert_eq!(cell("Vega, \"Ana\""), "\"Vega, \"\"Ana\"\"\"");
        assert_eq!(cell("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(cell("@a,b"), "\"'@a,b\"");
    }
}

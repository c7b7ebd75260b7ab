//! The list of automations with their figures and switches.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;

use super::figures::{self, Part};
use super::trigger_words;
use crate::analytics::{self, Figures};
use crate::automations::{self, Automation};
use crate::store::page::Cursor;
use crate::web::Web;
use crate::web::pages::{Cursored, Frame, Outcome, Session, cursor, href, number, page, plural};

/// Each row asks for its figures, so a page holds fewer than elsewhere.
const ROWS: i64 = 20;

#[derive(Template)]
#[template(path = "automations/list.html")]
struct List {
    frame: Frame,
    rows: Vec<Row>,
    first_page: bool,
    next: Option<String>,
    window: String,
}

struct Row {
    id: String,
    name: String,
    status: String,
    when: String,
    sent: String,
    all: String,
    parts: Vec<Part>,
    tally_words: String,
    clicked: String,
    orders: String,
    net: String,
}

pub(super) async fn show(
    State(web): State<Web>,
    session: Session,
    Query(asked): Query<Cursored>,
) -> Outcome<Response> {
    let ws = session.workspace.id;
    let from = Cursor {
        limit: ROWS,
        ..cursor(&asked.cursor)?
    };
    let found = automations::list(&web.app, ws, from).await?;
    let mut rows = Vec::with_capacity(found.rows.len());
    for automation in &found.rows {
        let figures = analytics::automation(&web.app, ws, automation.id).await?;
        rows.push(row(&session, automation, &figures));
    }
    page(&List {
        rows,
        first_page: asked.cursor.is_empty(),
        next: found
            .next
            .map(|next| href("/app/automations", &[("cursor", &next)])),
        window: plural(session.workspace.attribution_window_days, "day", "days"),
        frame: session.frame("automations"),
    })
}

fn row(session: &Session, automation: &Automation, figures: &Figures) -> Row {
    let (_, title, _) = trigger_words(&automation.trigger);
    let steps = i64::try_from(automation.steps.len()).unwrap_or(i64::MAX);
    Row {
        id: automation.id.to_string(),
        name: automation.name.clone(),
        status: automation.status.clone(),
        when: format!("{title}, {}", plural(steps, "step", "steps")),
        sent: number(figures.sent),
        all: number(figures.audience()),
        parts: figures::parts(figures),
        tally_words: figures::tally_words(figures),
        clicked: number(figures.clicked),
        orders: number(figures.orders),
        net: figures::net(session, figures),
    }
}

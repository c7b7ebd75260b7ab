//! The list of automations with their figures and switches.

use askama::Template;
use axum::extract::{Query, State};

use super::figures;
use super::trigger_words;
use crate::analytics::{self, Figures};
use crate::automations::{self, Automation};
use crate::store::page::{Cursor, Page};
use crate::web::Web;
use crate::web::pages::answer::{Answer, page};
use crate::web::pages::format::{Format, number};
use crate::web::pages::listing::{self, Cursored, cursor};
use crate::web::pages::parts::{Pager, Tally};
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::web::pages::words;

/// Each row asks for its figures, so a page holds fewer than elsewhere.
const ROWS: i64 = 20;

#[derive(Template)]
#[template(path = "automations/list.html")]
struct List {
    shell: Shell,
    rows: Vec<Row>,
    first_page: bool,
    pager: Option<Pager>,
    window: String,
}

struct Row {
    id: String,
    name: String,
    status: String,
    when: String,
    sent: String,
    all: String,
    tally: Option<Tally>,
    clicked: String,
    orders: String,
    net: String,
}

pub(super) async fn show(
    State(web): State<Web>,
    session: Session,
    Query(asked): Query<Cursored>,
) -> Answer {
    let ws = session.workspace.id;
    let from = Cursor {
        limit: ROWS,
        ..cursor(&asked.cursor)?
    };
    let found = automations::list(&web.app, ws, from).await?;
    let mut figures = Vec::with_capacity(found.rows.len());
    for automation in &found.rows {
        figures.push(analytics::automation(&web.app, ws, automation.id).await?);
    }
    page(&view(&session, &asked, &found, &figures))
}

fn view(
    session: &Session,
    asked: &Cursored,
    found: &Page<Automation>,
    figures: &[Figures],
) -> List {
    let f = &session.format();
    List {
        rows: found
            .rows
            .iter()
            .zip(figures)
            .map(|(automation, figures)| row(f, automation, figures))
            .collect(),
        first_page: asked.cursor.is_empty(),
        pager: listing::pager("/app/automations", &[], &asked.cursor, found),
        window: words::count(session.workspace.attribution_window_days, "day", "days"),
        shell: session.shell(Nav::Automations, "Automations"),
    }
}

fn row(f: &Format, automation: &Automation, figures: &Figures) -> Row {
    let (_, title, _) = trigger_words(&automation.trigger);
    let steps = i64::try_from(automation.steps.len()).unwrap_or(i64::MAX);
    Row {
        id: automation.id.to_string(),
        name: automation.name.clone(),
        status: automation.status.clone(),
        when: format!("{title}, {}", words::count(steps, "step", "steps")),
        sent: number(figures.sent),
        all: number(figures.audience()),
        tally: (figures.audience() > 0).then(|| Tally::of(figures, |_| None).mini()),
        clicked: number(figures.clicked),
        orders: number(figures.orders),
        net: figures::net(f, figures),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::automations::Trigger;
    use crate::store::ids::{AutomationId, WorkspaceId};
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

    #[test]
    fn the_list_shows_figures_and_a_switch_or_how_to_begin() {
        let automation = Automation {
            id: AutomationId(1),
            workspace: WorkspaceId(1),
            name: "Welcome".to_owned(),
            trigger: Trigger::OptedIn {},
            steps: Vec::new(),
            stop_on_order: false,
            status: "off".to_owned(),
            created_at: NOW,
            updated_at: NOW,
        };
        let figures = Figures {
            sent: 9,
            queued: 1,
            ..Figures::default()
        };
        let found = Page {
            rows: vec![automation],
            next: None,
        };
        let list = html(&view(&session(), &Cursored::default(), &found, &[figures]));
        clean(&list);
        assert!(list.contains("sent 9, waiting 1, of 10"));
        assert!(list.contains("name=\"status\" value=\"on\""));
        let none = Page {
            rows: Vec::new(),
            next: None,
        };
        let empty = html(&view(&session(), &Cursored::default(), &none, &[]));
        clean(&empty);
        assert!(empty.contains("Write an automation"));
    }
}

//! One automation: its steps, what became of its messages, and what they earned.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use super::figures::{self, Bar, Ledger, Part};
use super::{find, trigger_words, wait_words};
use crate::analytics;
use crate::automations::{Step, Trigger};
use crate::delivery::content::{MediaKind, Message};
use crate::web::Web;
use crate::web::pages::connections::{FlowSetup, flow_setup};
use crate::web::pages::{Frame, Outcome, Session, number, page, plural};

#[derive(Template)]
#[template(path = "automations/report.html")]
struct Report {
    frame: Frame,
    id: String,
    name: String,
    status: String,
    made: String,
    changed: Option<String>,
    all: String,
    parts: Vec<Part>,
    tally_words: String,
    delivered: String,
    read: String,
    clicked: String,
    orders: String,
    net: String,
    window: String,
    trigger_icon: &'static str,
    trigger_title: String,
    trigger_words: String,
    steps: Vec<StepView>,
    stop_on_order: bool,
    ledgers: Vec<Ledger>,
    skipped: Vec<Bar>,
    failed: Vec<Bar>,
    flow: Option<FlowSetup>,
}

struct StepView {
    wait: Option<String>,
    title: String,
    words: String,
}

pub(super) async fn show(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
) -> Outcome<Response> {
    let automation = find(&web, &session, &id).await?;
    let ws = session.workspace.id;
    let figures = analytics::automation(&web.app, ws, automation.id).await?;
    let (trigger_icon, trigger_title, trigger_words) = trigger_words(&automation.trigger);
    let flow = match &automation.trigger {
        Trigger::KlaviyoFlow { event } => Some(flow_setup(&web.app, ws, event).await?),
        _ => None,
    };
    page(&Report {
        id: automation.id.to_string(),
        name: automation.name.clone(),
        status: automation.status.clone(),
        made: session.time(automation.created_at),
        changed: (automation.updated_at > automation.created_at)
            .then(|| session.time(automation.updated_at)),
        all: number(figures.audience()),
        parts: figures::parts(&figures),
        tally_words: figures::tally_words(&figures),
        delivered: number(figures.delivered),
        read: number(figures.read),
        clicked: number(figures.clicked),
        orders: plural(figures.orders, "order", "orders"),
        net: figures::net(&session, &figures),
        window: plural(session.workspace.attribution_window_days, "day", "days"),
        trigger_icon,
        trigger_title,
        trigger_words,
        steps: automation.steps.iter().map(step).collect(),
        stop_on_order: automation.stop_on_order,
        ledgers: figures::ledgers(&session, &figures),
        skipped: figures::bars(&figures.skipped_why),
        failed: figures::bars(&figures.failed_why),
        flow,
        frame: session.frame("automations"),
    })
}

fn step(step: &Step) -> StepView {
    let (title, words) = message_words(&step.message);
    StepView {
        wait: (step.wait_minutes > 0).then(|| format!("Wait {}", wait_words(step.wait_minutes))),
        title,
        words,
    }
}

/// A message in two lines: what it says, and what it is.
fn message_words(message: &Message) -> (String, String) {
    let with_buttons = |what: &str, n: usize| match n {
        0 => format!("{what}."),
        1 => format!("{what} with one button."),
        n => format!("{what} with {n} buttons."),
    };
    match message {
        Message::Text {
            text,
            buttons,
            quick_replies,
        } => (
            format!("“{text}”"),
            if quick_replies.is_empty() {
                with_buttons("Text", buttons.len())
            } else {
                format!("Text with {} quick replies.", quick_replies.len())
            },
        ),
        Message::Cards { cards, .. } => (
            format!(
                "“{}”",
                cards.first().map_or("", |card| card.title.as_str())
            ),
            match cards.as_slice() {
                [card] => with_buttons("Card", card.buttons.len()),
                cards => format!("{} cards side by side.", cards.len()),
            },
        ),
        Message::Media { media, buttons, .. } => match media {
            MediaKind::Image => ("A picture".to_owned(), with_buttons("Picture", buttons.len())),
            MediaKind::Video => ("A video".to_owned(), with_buttons("Video", buttons.len())),
        },
        Message::Coupon { title, code, .. } => {
            (format!("“{title}”"), format!("Coupon {code}."))
        }
    }
}

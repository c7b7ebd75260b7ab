//! One automation: its steps, what became of its messages, and what they earned.

use askama::Template;
use axum::extract::{Path, State};

use super::figures::{self, Ledger};
use super::{find, trigger_words, wait_words};
use crate::analytics::{self, Figures};
use crate::automations::{Automation, Step, Trigger};
use crate::delivery::content::{MediaKind, Message};
use crate::web::Web;
use crate::web::pages::answer::{Answer, page};
use crate::web::pages::connections::{FlowSetup, flow_setup};
use crate::web::pages::format::number;
use crate::web::pages::parts::{Bars, Tally};
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::web::pages::words;

#[derive(Template)]
#[template(path = "automations/report.html")]
struct Report {
    shell: Shell,
    id: String,
    name: String,
    status: String,
    /// Why it stands still, if it does.
    stopped: Option<String>,
    made: String,
    changed: Option<String>,
    all: String,
    all_words: String,
    tally: Tally,
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
    skipped: Bars,
    failed: Bars,
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
) -> Answer {
    let automation = find(&web, &session, &id).await?;
    let ws = session.workspace.id;
    let figures = analytics::automation(&web.app, ws, automation.id).await?;
    let flow = match &automation.trigger {
        Trigger::KlaviyoFlow { event } => Some(flow_setup(&web.app, ws, event).await?),
        _ => None,
    };
    let stopped = analytics::stopped(&web.app, ws, Some(automation.id)).await?;
    let mut report = view(&session, &automation, &figures, flow);
    report.stopped = stopped.into_iter().next().map(|stopped| stopped.words);
    page(&report)
}

fn view(
    session: &Session,
    automation: &Automation,
    figures: &Figures,
    flow: Option<FlowSetup>,
) -> Report {
    let f = &session.format();
    let (trigger_icon, trigger_title, trigger_words) = trigger_words(&automation.trigger);
    Report {
        id: automation.id.to_string(),
        name: automation.name.clone(),
        status: automation.status.clone(),
        stopped: None,
        made: f.time(automation.created_at),
        changed: (automation.updated_at > automation.created_at)
            .then(|| f.time(automation.updated_at)),
        all: number(figures.audience()),
        all_words: words::count(figures.audience(), "message", "messages"),
        tally: Tally::of(figures, |k| Some(figures::rows(automation.id, k, ""))),
        delivered: number(figures.delivered),
        read: number(figures.read),
        clicked: number(figures.clicked),
        orders: words::count(figures.orders, "order", "orders"),
        net: figures::net(f, figures),
        window: words::count(session.workspace.attribution_window_days, "day", "days"),
        trigger_icon,
        trigger_title,
        trigger_words,
        steps: automation.steps.iter().map(step).collect(),
        stop_on_order: automation.stop_on_order,
        ledgers: figures::ledgers(f, figures),
        skipped: figures::bars(automation.id, "skipped", &figures.skipped_why),
        failed: figures::bars(automation.id, "failed", &figures.failed_why),
        flow,
        shell: session.shell(Nav::Automations, automation.name.clone()),
    }
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
            format!("“{}”", cards.first().map_or("", |card| card.title.as_str())),
            match cards.as_slice() {
                [card] => with_buttons("Card", card.buttons.len()),
                cards => format!("{} cards side by side.", cards.len()),
            },
        ),
        Message::Media { media, buttons, .. } => match media {
            MediaKind::Image => (
                "A picture".to_owned(),
                with_buttons("Picture", buttons.len()),
            ),
            MediaKind::Video => ("A video".to_owned(), with_buttons("Video", buttons.len())),
        },
        Message::Coupon { title, code, .. } => (format!("“{title}”"), format!("Coupon {code}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::Revenue;
    use crate::delivery::content::Card;
    use crate::store::ids::{AutomationId, WorkspaceId};
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

    fn automation() -> Automation {
        Automation {
            id: AutomationId(1),
            workspace: WorkspaceId(1),
            name: "Left at the <till>".to_owned(),
            trigger: Trigger::KlaviyoFlow {
                event: "Win back".to_owned(),
            },
            steps: vec![
                Step {
                    wait_minutes: 0,
                    message: Message::Text {
                        text: "Still there?".to_owned(),
                        buttons: Vec::new(),
                        quick_replies: Vec::new(),
                    },
                },
                Step {
                    wait_minutes: 1440,
                    message: Message::Cards {
                        text: None,
                        cards: vec![Card {
                            title: "The kit".to_owned(),
                            subtitle: None,
                            image_url: None,
                            buttons: Vec::new(),
                        }],
                    },
                },
                Step {
                    wait_minutes: 60,
                    message: Message::Media {
                        media: MediaKind::Image,
                        url: "https://shop.example/a.png".to_owned(),
                        buttons: Vec::new(),
                    },
                },
                Step {
                    wait_minutes: 60,
                    message: Message::Coupon {
                        title: "10% off".to_owned(),
                        code: "BACK10".to_owned(),
                        url: "https://shop.example".to_owned(),
                    },
                },
            ],
            stop_on_order: true,
            status: "on".to_owned(),
            created_at: NOW - 1000,
            updated_at: NOW,
        }
    }

    #[test]
    fn the_report_accounts_for_every_message_and_asks_before_it_deletes() {
        let figures = Figures {
            sent: 3012,
            skipped: 400,
            failed: 2,
            clicked: 702,
            orders: 112,
            skipped_why: vec![("ordered".to_owned(), 300), ("capped".to_owned(), 100)],
            failed_why: vec![("budget".to_owned(), 2)],
            revenue: vec![Revenue {
                currency: "USD".to_owned(),
                gross: 531_010,
                refunded: 10_000,
            }],
            ..Figures::default()
        };
        let flow = FlowSetup {
            url: "https://pagecast.example/flow".to_owned(),
            key: "fk".to_owned(),
            body: "{}".to_owned(),
        };
        let html = html(&view(&session(), &automation(), &figures, Some(flow)));
        clean(&html);
        for part in [
            "3,414 messages</a>, every one accounted for",
            &format!(
                "/app/automations/{}/messages?status=skipped&#38;reason=ordered",
                AutomationId(1)
            ),
            "Wait 1 day",
            "“The kit”",
            "BACK10",
            "X-Pagecast-Key",
            &format!("/app/orders?automation={}", AutomationId(1)),
        ] {
            assert!(html.contains(part), "{part}");
        }
        let (before, dialog) = html.split_once("<dialog").unwrap();
        assert!(!before.contains("/delete\""));
        assert!(dialog.contains("/delete\""));
    }

    #[test]
    fn one_that_stands_still_says_why_and_can_be_tried_again() {
        let mut report = view(&session(), &automation(), &Figures::default(), None);
        report.stopped = Some("Campaign budget reached. Mend it at Meta, then try again.".into());
        let html = html(&report);
        clean(&html);
        assert!(html.contains("Campaign budget reached."));
        assert!(html.contains(">Try again</button>"));
    }

    #[test]
    fn one_without_messages_says_so() {
        let html = html(&view(&session(), &automation(), &Figures::default(), None));
        clean(&html);
        assert!(html.contains("No message yet"));
    }
}

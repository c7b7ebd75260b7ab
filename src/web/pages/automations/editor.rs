//! The editor: one form that works without script; each button sends all of it.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::form::{Act, BUTTONS, ButtonForm, Form, MAX_STEPS, StepForm};
use super::{failure, find};
use crate::automations::{self, Patch};
use crate::delivery::Problem;
use crate::web::Web;
use crate::web::pages::answer::{Answer, page, page_with, see_other_saying};
use crate::web::pages::connections::{FlowSetup, flow_setup};
use crate::web::pages::error::Error;
use crate::web::pages::fields::Fields;
use crate::web::pages::listing::Choice;
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};

const TRIGGERS: [(&str, &str); 6] = [
    ("checkout_abandoned", "A checkout is abandoned"),
    ("opted_in", "Someone opts in"),
    ("klaviyo_event", "An event in Klaviyo"),
    ("klaviyo_flow", "A Klaviyo flow calls us"),
    ("order_paid", "An order is paid"),
    ("back_in_stock", "Something is back in stock"),
];

#[derive(Template)]
#[template(path = "automations/edit.html")]
struct Edit {
    shell: Shell,
    /// Empty for a new one.
    id: String,
    heading: String,
    back: String,
    action: String,
    name: String,
    name_error: String,
    stop_on_order: bool,
    status: String,
    status_error: String,
    triggers: Vec<Choice>,
    trigger_error: String,
    after_minutes: String,
    after_error: String,
    metric: String,
    metric_error: String,
    event: String,
    event_error: String,
    flow: Option<FlowSetup>,
    steps: Vec<StepView>,
    can_add: bool,
    /// Problems that belong to no field of the form.
    problems: Vec<String>,
    any_error: bool,
    words: &'static [(&'static str, &'static str)],
}

struct StepView {
    form: StepForm,
    buttons: Vec<ButtonView>,
    wait_error: String,
    text_error: String,
    title_error: String,
    subtitle_error: String,
    image_error: String,
    url_error: String,
    code_error: String,
    other_error: String,
}

struct ButtonView {
    form: ButtonForm,
    title_error: String,
    url_error: String,
}

/// What may stand in texts and addresses.
const WORDS: [(&str, &str); 8] = [
    (
        "{{first_name}}",
        "First name, where Meta or the shop told it",
    ),
    (
        "{{first_name|there}}",
        "The same, and “there” where nobody told it",
    ),
    ("{{checkout_url}}", "The way back to an abandoned checkout"),
    ("{{items}}", "What is in the checkout or order, by name"),
    ("{{total}}", "What it costs"),
    ("{{product_title}}", "What is back in stock, by name"),
    (
        "{{product_url}}",
        "Where it is bought; {{product_image}} is its picture",
    ),
    ("{{event.NAME}}", "A property of the Klaviyo event or flow"),
];

pub(super) async fn new(State(web): State<Web>, session: Session) -> Answer {
    page(&drawn(&web, &session, None, Form::fresh(), Vec::new()).await?)
}

pub(super) async fn edit(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
) -> Answer {
    let automation = find(&web, &session, &id).await?;
    let form = Form::from_automation(&automation);
    let known = Some((automation.id.to_string(), automation.name));
    page(&drawn(&web, &session, known, form, Vec::new()).await?)
}

pub(super) async fn create(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let (form, problems) = match submitted(&fields) {
        Ok((form, draft)) => {
            let name = draft.name.clone();
            match automations::create(&web.app, session.workspace.id, draft).await {
                Ok(made) => {
                    return Ok(see_other_saying(
                        &format!("/app/automations/{}", made.id),
                        &format!("“{name}” is saved"),
                    ));
                }
                Err(automations::Error::Invalid(problems)) => (form, problems),
                Err(error) => return Err(failure(error)),
            }
        }
        Err(again) => again,
    };
    again(drawn(&web, &session, None, form, problems).await?)
}

pub(super) async fn save(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    let automation = find(&web, &session, &id).await?;
    let (form, problems) = match submitted(&fields) {
        Ok((form, draft)) => {
            let patch = Patch {
                name: Some(draft.name),
                trigger: Some(draft.trigger),
                steps: Some(draft.steps),
                stop_on_order: Some(draft.stop_on_order),
                status: Some(draft.status),
            };
            match automations::patch(&web.app, session.workspace.id, automation.id, patch).await {
                Ok(made) => {
                    return Ok(see_other_saying(
                        &format!("/app/automations/{}", made.id),
                        &format!("“{}” is saved", made.name),
                    ));
                }
                Err(automations::Error::Invalid(problems)) => (form, problems),
                Err(error) => return Err(failure(error)),
            }
        }
        Err(again) => again,
    };
    let known = Some((automation.id.to_string(), automation.name));
    again(drawn(&web, &session, known, form, problems).await?)
}

/// The draft to be saved, or the form to be drawn again with its problems (none, when a button
/// only changed the form).
fn submitted(fields: &Fields) -> Result<(Form, automations::Draft), (Form, Vec<Problem>)> {
    // Browsers send the pressed button only; Enter presses the first, which is a hidden "save".
    let act = Act::parse(fields.optional("do"));
    let mut form = Form::from_fields(fields);
    if act != Act::Save {
        form.apply(act);
        return Err((form, Vec::new()));
    }
    match form.draft() {
        Ok(draft) => Ok((form, draft)),
        Err(problems) => Err((form, problems)),
    }
}

/// A page with mistakes is not a success; one that was only rearranged is.
fn again(edit: Edit) -> Answer {
    let status = if edit.any_error || !edit.problems.is_empty() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    page_with(status, &edit)
}

async fn drawn(
    web: &Web,
    session: &Session,
    known: Option<(String, String)>,
    form: Form,
    problems: Vec<Problem>,
) -> Result<Edit, Error> {
    let flow = if form.trigger == "klaviyo_flow" {
        let event = form.event.trim();
        let event = if event.is_empty() { "Win back" } else { event };
        Some(flow_setup(&web.app, session.workspace.id, event).await?)
    } else {
        None
    };
    let title = match &known {
        Some((_, name)) => name.clone(),
        None => "New automation".to_owned(),
    };
    Ok(view(
        session.shell(Nav::Automations, title),
        known,
        form,
        flow,
        problems,
    ))
}

fn view(
    shell: Shell,
    known: Option<(String, String)>,
    form: Form,
    flow: Option<FlowSetup>,
    problems: Vec<Problem>,
) -> Edit {
    let any_error = !problems.is_empty();
    let mut errors = ByPointer(
        problems
            .into_iter()
            .map(|problem| (problem.pointer, problem.detail))
            .collect(),
    );
    let (id, heading) = known.unwrap_or_else(|| (String::new(), "New automation".to_owned()));
    let path = if id.is_empty() {
        "/app/automations".to_owned()
    } else {
        format!("/app/automations/{id}")
    };
    let can_add = form.steps.len() < MAX_STEPS;
    let steps = form
        .steps
        .into_iter()
        .enumerate()
        .map(|(i, step)| step_view(i, step, &mut errors))
        .collect();
    Edit {
        heading,
        action: path.clone(),
        back: path,
        id,
        name_error: errors.take("/name"),
        name: form.name,
        stop_on_order: form.stop_on_order,
        status_error: errors.take("/status"),
        status: form.status,
        triggers: TRIGGERS
            .iter()
            .map(|(value, label)| Choice::new(value, label, *value == form.trigger))
            .collect(),
        after_error: errors.take("/trigger/after_minutes"),
        after_minutes: form.after_minutes,
        metric_error: errors.take("/trigger/metric"),
        metric: form.metric,
        event_error: errors.take("/trigger/event"),
        event: form.event,
        trigger_error: [errors.take("/trigger/kind"), errors.take("/trigger")].concat(),
        flow,
        steps,
        can_add,
        problems: errors.rest(),
        any_error,
        words: &WORDS,
        shell,
    }
}

fn step_view(i: usize, form: StepForm, errors: &mut ByPointer) -> StepView {
    let message = format!("/steps/{i}/message");
    let card = form.kind == "card";
    // Where title and buttons stand in the message.
    let body = if card {
        format!("{message}/cards/0")
    } else {
        message.clone()
    };
    let buttons = (0..BUTTONS)
        .map(|b| ButtonView {
            form: form.buttons[b].clone(),
            title_error: errors.take(&format!("{body}/buttons/{b}/title")),
            url_error: errors.take(&format!("{body}/buttons/{b}/url")),
        })
        .collect();
    StepView {
        wait_error: errors.take(&format!("/steps/{i}/wait_minutes")),
        text_error: errors.take(&format!("{message}/text")),
        title_error: errors.take(&format!("{body}/title")),
        subtitle_error: errors.take(&format!("{body}/subtitle")),
        image_error: errors.take(&format!("{body}/image_url")),
        url_error: errors.take(&format!("{message}/url")),
        code_error: errors.take(&format!("{message}/code")),
        other_error: errors.take_under(&format!("/steps/{i}")),
        buttons,
        form,
    }
}

/// Problems by their JSON pointer; each is shown once.
struct ByPointer(HashMap<String, String>);

impl ByPointer {
    fn take(&mut self, pointer: &str) -> String {
        self.0.remove(pointer).unwrap_or_default()
    }

    /// Whatever is left at or below `pointer`.
    fn take_under(&mut self, pointer: &str) -> String {
        let mut below: Vec<String> = self
            .0
            .keys()
            .filter(|key| {
                key.strip_prefix(pointer)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .cloned()
            .collect();
        below.sort();
        let words: Vec<String> = below.iter().map(|key| self.take(key)).collect();
        words.join(" ")
    }

    fn rest(self) -> Vec<String> {
        let mut rest: Vec<(String, String)> = self.0.into_iter().collect();
        rest.sort();
        rest.into_iter().map(|(_, detail)| detail).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::listing::samples;

    fn problem(pointer: &str) -> Problem {
        Problem {
            pointer: pointer.to_owned(),
            detail: format!("Mend {pointer}."),
        }
    }

    fn fields(act: &str) -> Fields {
        [
            ("steps", "1"),
            ("name", "Welcome"),
            ("trigger", "opted_in"),
            ("s0_wait", "5"),
            ("s0_unit", "minutes"),
            ("s0_kind", "text"),
            ("s0_text", "Hello <b>{{first_name}}</b>"),
            ("do", act),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
    }

    #[test]
    fn the_pressed_button_decides_and_enter_saves() {
        assert!(submitted(&fields("")).is_ok());
        let (form, problems) = submitted(&fields("add")).unwrap_err();
        assert_eq!((form.steps.len(), problems.len()), (2, 0));
    }

    #[test]
    fn every_problem_is_shown_once_beside_its_field_or_above() {
        let pointers = [
            "/name",
            "/trigger/after_minutes",
            "/steps/0/wait_minutes",
            "/steps/0/message/text",
            "/steps/0/message/buttons/0/url",
            "/steps/0/message/quick_replies/3/title",
            "/steps",
        ];
        let edit = view(
            Shell::sample(Nav::Automations),
            None,
            Form::fresh(),
            None,
            pointers.iter().map(|pointer| problem(pointer)).collect(),
        );
        assert_eq!(edit.problems, ["Mend /steps."]);
        let html = edit.render().unwrap();
        for pointer in pointers {
            let words = format!("Mend {pointer}.");
            assert_eq!(html.matches(&words).count(), 1, "{pointer}");
        }
    }

    #[test]
    fn what_was_typed_comes_back_escaped() {
        let (form, _) = submitted(&fields("add")).unwrap_err();
        let html = view(
            Shell::sample(Nav::Automations),
            None,
            form,
            None,
            Vec::new(),
        )
        .render()
        .unwrap();
        assert!(html.contains("Hello &#60;b&#62;{{first_name}}"));
        assert!(!html.contains("<b>{{first_name}}"));
    }

    #[test]
    fn the_editor_renders_for_each_trigger_and_kind() {
        for (trigger, _) in TRIGGERS {
            let mut form = Form::fresh();
            trigger.clone_into(&mut form.trigger);
            for kind in ["card", "media", "coupon", "kept"] {
                form.apply(Act::AddStep);
                let step = form.steps.last_mut().unwrap();
                kind.clone_into(&mut step.kind);
                if kind == "kept" {
                    "{}".clone_into(&mut step.kept);
                }
            }
            let flow = (trigger == "klaviyo_flow").then(|| FlowSetup {
                url: "https://pagecast.example/flow".to_owned(),
                key: "fk".to_owned(),
                body: "{}".to_owned(),
            });
            let known = Some(("aut_1".to_owned(), "Left at the till".to_owned()));
            let html = samples::html(&view(
                Shell::sample(Nav::Automations),
                known,
                form,
                flow,
                Vec::new(),
            ));
            samples::clean(&html);
            assert!(html.contains("name=\"s4_kept\""));
            assert_eq!(html.contains("X-Pagecast-Key"), trigger == "klaviyo_flow");
        }
    }
}

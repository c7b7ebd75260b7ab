//! The automation editor's form: what the browser sends, as text, and the draft it means. Whatever
//! was typed comes back as typed; a message the form cannot draw is carried along untouched.

use crate::automations::{Automation, Draft, Step, Trigger};
use crate::delivery::Problem;
use crate::delivery::content::{Button, Card, MediaKind, Message};
use crate::web::pages::fields::Fields;

pub(super) const MAX_STEPS: usize = 10;
pub(super) const BUTTONS: usize = 3;

/// The editor's fields, all as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Form {
    pub(super) name: String,
    pub(super) trigger: String,
    pub(super) after_minutes: String,
    pub(super) metric: String,
    pub(super) event: String,
    pub(super) stop_on_order: bool,
    pub(super) status: String,
    pub(super) steps: Vec<StepForm>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StepForm {
    pub(super) wait: String,
    /// `minutes`, `hours` or `days`.
    pub(super) unit: String,
    /// `text`, `card`, `media`, `coupon`; or `kept`: JSON of a message the form cannot draw.
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) title: String,
    pub(super) subtitle: String,
    pub(super) image_url: String,
    pub(super) media: String,
    pub(super) url: String,
    pub(super) code: String,
    pub(super) buttons: [ButtonForm; BUTTONS],
    pub(super) kept: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ButtonForm {
    pub(super) title: String,
    pub(super) url: String,
}

/// What the pressed button asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Save,
    /// Only draw the fields of what was chosen.
    Redraw,
    AddStep,
    RemoveStep(usize),
    MoveUp(usize),
}

impl Act {
    pub(super) fn parse(text: Option<&str>) -> Self {
        let number = |rest: &str| rest.parse::<usize>().ok();
        match text.unwrap_or("save").split_once(':') {
            Some(("remove", rest)) => number(rest).map_or(Self::Redraw, Self::RemoveStep),
            Some(("up", rest)) => number(rest).map_or(Self::Redraw, Self::MoveUp),
            Some(_) => Self::Redraw,
            None => match text {
                None | Some("save") => Self::Save,
                Some("add") => Self::AddStep,
                Some(_) => Self::Redraw,
            },
        }
    }
}

impl Form {
    /// A new automation: an abandoned checkout with one message to begin with.
    pub(super) fn fresh() -> Self {
        Self {
            trigger: "checkout_abandoned".to_owned(),
            after_minutes: "60".to_owned(),
            stop_on_order: true,
            status: "off".to_owned(),
            steps: vec![StepForm::fresh("0")],
            ..Self::default()
        }
    }

    pub(super) fn from_automation(automation: &Automation) -> Self {
        let mut form = Self {
            name: automation.name.clone(),
            trigger: automation.trigger.kind().to_owned(),
            after_minutes: "60".to_owned(),
            stop_on_order: automation.stop_on_order,
            status: automation.status.clone(),
            steps: automation.steps.iter().map(StepForm::from_step).collect(),
            ..Self::default()
        };
        match &automation.trigger {
            Trigger::CheckoutAbandoned { after_minutes } => {
                form.after_minutes = after_minutes.to_string();
            }
            Trigger::KlaviyoEvent { metric } => form.metric.clone_from(metric),
            Trigger::KlaviyoFlow { event } => form.event.clone_from(event),
            Trigger::OptedIn {} | Trigger::OrderPaid {} | Trigger::BackInStock {} => {}
        }
        form
    }

    /// Reads the fields of a submitted form; `s0_text` is the text of the first step.
    pub(super) fn from_fields(fields: &Fields) -> Self {
        let take = |name: &str| fields.get(name).to_owned();
        let count = take("steps").parse::<usize>().unwrap_or(0).min(MAX_STEPS);
        let steps = (0..count)
            .map(|i| {
                let step = |name: &str| take(&format!("s{i}_{name}"));
                StepForm {
                    wait: step("wait"),
                    unit: step("unit"),
                    kind: step("kind"),
                    text: step("text"),
                    title: step("title"),
                    subtitle: step("subtitle"),
                    image_url: step("image_url"),
                    media: step("media"),
                    url: step("url"),
                    code: step("code"),
                    buttons: std::array::from_fn(|b| ButtonForm {
                        title: step(&format!("b{b}_title")),
                        url: step(&format!("b{b}_url")),
                    }),
                    kept: step("kept"),
                }
                .closed_up()
            })
            .collect();
        Self {
            name: take("name"),
            trigger: take("trigger"),
            after_minutes: take("after_minutes"),
            metric: take("metric"),
            event: take("event"),
            stop_on_order: take("stop_on_order") == "on",
            status: take("status"),
            steps,
        }
    }

    /// Applies a button that only changes the form.
    pub(super) fn apply(&mut self, act: Act) {
        match act {
            Act::AddStep if self.steps.len() < MAX_STEPS => self.steps.push(StepForm::fresh("1")),
            Act::RemoveStep(i) if i < self.steps.len() && self.steps.len() > 1 => {
                self.steps.remove(i);
            }
            Act::MoveUp(i) if i > 0 && i < self.steps.len() => self.steps.swap(i - 1, i),
            _ => {}
        }
    }

    /// The draft this form means, or the fields that are no numbers and the like. What the limits
    /// of Meta and the rules of automations say is for `automations` to find.
    pub(super) fn draft(&self) -> Result<Draft, Vec<Problem>> {
        let mut problems = Vec::new();
        let trigger = self.trigger(&mut problems);
        let mut steps = Vec::new();
        for (i, form) in self.steps.iter().enumerate() {
            let wait = form.wait_minutes();
            if wait.is_none() {
                problems.push(problem(
                    format!("/steps/{i}/wait_minutes"),
                    "Write the wait as a whole number, as 1 or 30.",
                ));
            }
            match form.message() {
                Ok(message) => steps.push(Step {
                    wait_minutes: wait.unwrap_or_default(),
                    message,
                }),
                Err(detail) => problems.push(problem(format!("/steps/{i}/message"), detail)),
            }
        }
        match trigger {
            Some(trigger) if problems.is_empty() => Ok(Draft {
                name: self.name.trim().to_owned(),
                trigger,
                steps,
                stop_on_order: self.stop_on_order,
                status: if self.status == "on" { "on" } else { "off" }.to_owned(),
            }),
            _ => Err(problems),
        }
    }

    fn trigger(&self, problems: &mut Vec<Problem>) -> Option<Trigger> {
        match self.trigger.as_str() {
            "checkout_abandoned" => {
                let after_minutes = self.after_minutes.trim().parse().ok();
                if after_minutes.is_none() {
                    problems.push(problem(
                        "/trigger/after_minutes".to_owned(),
                        "Write the minutes as a whole number, as 60.",
                    ));
                }
                after_minutes.map(|after_minutes| Trigger::CheckoutAbandoned { after_minutes })
            }
            "klaviyo_event" => Some(Trigger::KlaviyoEvent {
                metric: self.metric.trim().to_owned(),
            }),
            "klaviyo_flow" => Some(Trigger::KlaviyoFlow {
                event: self.event.trim().to_owned(),
            }),
            "opted_in" => Some(Trigger::OptedIn {}),
            "order_paid" => Some(Trigger::OrderPaid {}),
            "back_in_stock" => Some(Trigger::BackInStock {}),
            _ => {
                problems.push(problem(
                    "/trigger/kind".to_owned(),
                    "Choose what starts the automation.",
                ));
                None
            }
        }
    }
}

impl StepForm {
    fn fresh(wait: &str) -> Self {
        Self {
            wait: wait.to_owned(),
            unit: if wait == "0" { "minutes" } else { "days" }.to_owned(),
            kind: "text".to_owned(),
            media: "image".to_owned(),
            ..Self::default()
        }
    }

    fn from_step(step: &Step) -> Self {
        let (wait, unit) = split_minutes(step.wait_minutes);
        let mut form = Self {
            wait: wait.to_string(),
            unit: unit.to_owned(),
            media: "image".to_owned(),
            ..Self::default()
        };
        if form.draw(&step.message).is_none() {
            "kept".clone_into(&mut form.kind);
            form.kept = serde_json::to_string_pretty(&step.message).unwrap_or_default();
        }
        form
    }

    /// Fills the fields with a message; `None` if they cannot hold all of it.
    fn draw(&mut self, message: &Message) -> Option<()> {
        let kind = match message {
            Message::Text {
                text,
                buttons,
                quick_replies,
            } => {
                if !quick_replies.is_empty() {
                    return None;
                }
                self.draw_buttons(buttons)?;
                self.text.clone_from(text);
                "text"
            }
            Message::Cards { text, cards } => {
                let [card] = cards.as_slice() else {
                    return None;
                };
                self.draw_buttons(&card.buttons)?;
                self.text = text.clone().unwrap_or_default();
                self.title.clone_from(&card.title);
                self.subtitle = card.subtitle.clone().unwrap_or_default();
                self.image_url = card.image_url.clone().unwrap_or_default();
                "card"
            }
            Message::Media {
                media,
                url,
                buttons,
            } => {
                self.draw_buttons(buttons)?;
                match media {
                    MediaKind::Image => "image",
                    MediaKind::Video => "video",
                }
                .clone_into(&mut self.media);
                self.url.clone_from(url);
                "media"
            }
            Message::Coupon { title, code, url } => {
                self.title.clone_from(title);
                self.code.clone_from(code);
                self.url.clone_from(url);
                "coupon"
            }
        };
        kind.clone_into(&mut self.kind);
        Some(())
    }

    fn draw_buttons(&mut self, buttons: &[Button]) -> Option<()> {
        if buttons.len() > BUTTONS {
            return None;
        }
        for (slot, button) in self.buttons.iter_mut().zip(buttons) {
            let Button::Url { title, url } = button else {
                return None;
            };
            slot.title.clone_from(title);
            slot.url.clone_from(url);
        }
        Some(())
    }

    /// Moves filled buttons up, so that a button's slot is its place in the message.
    fn closed_up(mut self) -> Self {
        self.buttons.sort_by_key(ButtonForm::is_empty);
        self
    }

    fn wait_minutes(&self) -> Option<i64> {
        let number: i64 = self.wait.trim().parse().ok().filter(|n| *n >= 0)?;
        let minutes = match self.unit.as_str() {
            "days" => 24 * 60,
            "hours" => 60,
            _ => 1,
        };
        number.checked_mul(minutes)
    }

    fn message(&self) -> Result<Message, &'static str> {
        let optional = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(match self.kind.as_str() {
            "text" => Message::Text {
                text: self.text.clone(),
                buttons: self.buttons(),
                quick_replies: Vec::new(),
            },
            "card" => Message::Cards {
                text: optional(&self.text),
                cards: vec![Card {
                    title: self.title.trim().to_owned(),
                    subtitle: optional(&self.subtitle),
                    image_url: optional(&self.image_url),
                    buttons: self.buttons(),
                }],
            },
            "media" => Message::Media {
                media: if self.media == "video" {
                    MediaKind::Video
                } else {
                    MediaKind::Image
                },
                url: self.url.trim().to_owned(),
                buttons: self.buttons(),
            },
            "coupon" => Message::Coupon {
                title: self.title.trim().to_owned(),
                code: self.code.trim().to_owned(),
                url: self.url.trim().to_owned(),
            },
            "kept" => serde_json::from_str(&self.kept).map_err(
                |_| "This message was changed on the way. Choose a kind and write it anew.",
            )?,
            _ => return Err("Choose what kind of message this is."),
        })
    }

    fn buttons(&self) -> Vec<Button> {
        self.buttons
            .iter()
            .filter(|button| !button.is_empty())
            .map(|button| Button::Url {
                title: button.title.trim().to_owned(),
                url: button.url.trim().to_owned(),
            })
            .collect()
    }
}

impl ButtonForm {
    fn is_empty(&self) -> bool {
        self.title.trim().is_empty() && self.url.trim().is_empty()
    }
}

fn problem(pointer: String, detail: &str) -> Problem {
    Problem {
        pointer,
        detail: detail.to_owned(),
    }
}

/// The largest unit that says it in whole numbers.
pub(super) fn split_minutes(minutes: i64) -> (i64, &'static str) {
    match minutes {
        m if m > 0 && m % (24 * 60) == 0 => (m / (24 * 60), "days"),
        m if m > 0 && m % 60 == 0 => (m / 60, "hours"),
        m => (m, "minutes"),
    }
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;

//! What must hold of an automation before it is kept, each problem with its field.

use crate::automations::Trigger;
use crate::automations::edit::{Draft, Step};
use crate::automations::fill::sample;
use crate::delivery::Problem;

const NAME: usize = 120;
const KEY: usize = 128;
const STEPS: usize = 10;
/// Thirty days.
const LONGEST_WAIT: i64 = 43_200;
/// Seven days.
const LONGEST_AFTER: i64 = 10_080;

/// `on` or `off`, however it was said.
pub(super) fn status(text: &str) -> Option<&'static str> {
    match text.trim().to_lowercase().as_str() {
        "on" | "active" | "live" | "enabled" => Some("on"),
        "off" | "draft" | "paused" | "inactive" | "disabled" => Some("off"),
        _ => None,
    }
}

pub(super) fn problems(draft: &Draft) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut add = |pointer: &str, detail: String| {
        found.push(Problem {
            pointer: pointer.to_owned(),
            detail,
        });
    };
    if let Some(detail) = length(&draft.name, NAME) {
        add("/name", detail);
    }
    match &draft.trigger {
        Trigger::CheckoutAbandoned { after_minutes } => {
            if let Some(detail) = minutes(*after_minutes, LONGEST_AFTER) {
                add("/trigger/after_minutes", detail);
            }
        }
        Trigger::KlaviyoEvent { metric } => {
            if let Some(detail) = length(metric, KEY) {
                add("/trigger/metric", detail);
            }
        }
        Trigger::KlaviyoFlow { event } => {
            if let Some(detail) = length(event, KEY) {
                add("/trigger/event", detail);
            }
        }
        Trigger::OptedIn {} | Trigger::OrderPaid {} | Trigger::BackInStock {} => {}
    }
    if status(&draft.status).is_none() {
        add("/status", "Choose on or off.".to_owned());
    }
    if !(1..=STEPS).contains(&draft.steps.len()) {
        add("/steps", format!("Give 1 to {STEPS} steps."));
    }
    for (i, step) in draft.steps.iter().enumerate() {
        if let Some(detail) = minutes(step.wait_minutes, LONGEST_WAIT) {
            add(&format!("/steps/{i}/wait_minutes"), detail);
        }
        for problem in message_problems(step) {
            add(
                &format!("/steps/{i}/message{}", problem.pointer),
                problem.detail,
            );
        }
    }
    found
}

fn message_problems(step: &Step) -> Vec<Problem> {
    sample(&step.message).problems()
}

fn length(text: &str, most: usize) -> Option<String> {
    let length = text.trim().chars().count();
    (!(1..=most).contains(&length)).then(|| format!("Write 1 to {most} characters."))
}

fn minutes(value: i64, most: i64) -> Option<String> {
    (!(0..=most).contains(&value)).then(|| format!("Give 0 to {most} minutes."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Message;

    fn draft() -> Draft {
        let message = Message::Text {
            text: "Hi".into(),
            buttons: Vec::new(),
            quick_replies: Vec::new(),
        };
        Draft {
            name: "Welcome".into(),
            trigger: Trigger::OptedIn {},
            steps: vec![Step {
                wait_minutes: 0,
                message,
            }],
            stop_on_order: true,
            status: "on".into(),
        }
    }

    fn pointers(draft: &Draft) -> Vec<String> {
        problems(draft).into_iter().map(|p| p.pointer).collect()
    }

    #[test]
    fn every_problem_names_its_field() {
        assert!(pointers(&draft()).is_empty());
        let mut bad = draft();
        bad.name = " ".into();
        bad.trigger = Trigger::CheckoutAbandoned {
            after_minutes: 10_081,
        };
        bad.status = "sometimes".into();
        bad.steps[0].wait_minutes = -1;
        bad.steps[0].message = Message::Text {
            text: String::new(),
            buttons: Vec::new(),
            quick_replies: Vec::new(),
        };
        let expected = [
            "/name",
            "/trigger/after_minutes",
            "/status",
            "/steps/0/wait_minutes",
            "/steps/0/message/text",
        ];
        assert_eq!(pointers(&bad), expected);
    }

    #[test]
    fn a_trigger_needs_its_name_and_an_automation_its_steps() {
        let mut bad = draft();
        bad.steps.clear();
        bad.trigger = Trigger::KlaviyoEvent { metric: " ".into() };
        assert_eq!(pointers(&bad), ["/trigger/metric", "/steps"]);
        bad.steps = vec![draft().steps.remove(0); 11];
        bad.trigger = Trigger::KlaviyoFlow {
            event: "x".repeat(129),
        };
        assert_eq!(pointers(&bad), ["/trigger/event", "/steps"]);
    }

    #[test]
    fn on_and_off_are_understood_in_other_words() {
        assert_eq!(status("Active"), Some("on"));
        assert_eq!(status("draft"), Some("off"));
        assert_eq!(status(""), None);
    }
}

//! Tests of `form.rs`.

use super::*;
use crate::delivery::content::QuickReply;
use crate::store::ids::{AutomationId, WorkspaceId};

fn automation(trigger: Trigger, steps: Vec<Step>) -> Automation {
    Automation {
        id: AutomationId(1),
        workspace: WorkspaceId(1),
        name: "Left at the till".to_owned(),
        trigger,
        steps,
        stop_on_order: true,
        status: "on".to_owned(),
        created_at: 0,
        updated_at: 0,
    }
}

fn button() -> Button {
    Button::Url {
        title: "Back".to_owned(),
        url: "https://shop.example/cart".to_owned(),
    }
}

/// What the browser would send back for this form.
fn sent(form: &Form) -> Fields {
    let mut fields = vec![
        ("name".to_owned(), form.name.clone()),
        ("trigger".to_owned(), form.trigger.clone()),
        ("after_minutes".to_owned(), form.after_minutes.clone()),
        ("metric".to_owned(), form.metric.clone()),
        ("event".to_owned(), form.event.clone()),
        ("status".to_owned(), form.status.clone()),
        ("steps".to_owned(), form.steps.len().to_string()),
    ];
    if form.stop_on_order {
        fields.push(("stop_on_order".to_owned(), "on".to_owned()));
    }
    for (i, step) in form.steps.iter().enumerate() {
        for (name, value) in [
            ("wait", &step.wait),
            ("unit", &step.unit),
            ("kind", &step.kind),
            ("text", &step.text),
            ("title", &step.title),
            ("subtitle", &step.subtitle),
            ("image_url", &step.image_url),
            ("media", &step.media),
            ("url", &step.url),
            ("code", &step.code),
            ("kept", &step.kept),
        ] {
            fields.push((format!("s{i}_{name}"), value.replace('\n', "\r\n")));
        }
        for (b, button) in step.buttons.iter().enumerate() {
            fields.push((format!("s{i}_b{b}_title"), button.title.clone()));
            fields.push((format!("s{i}_b{b}_url"), button.url.clone()));
        }
    }
    fields.into_iter().collect()
}

#[test]
fn every_kind_of_message_survives_the_form() {
    let messages = [
        Message::Text {
            text: "Still there?\nYour cart waits.".to_owned(),
            buttons: vec![button()],
            quick_replies: Vec::new(),
        },
        Message::Cards {
            text: None,
            cards: vec![Card {
                title: "Kit".to_owned(),
                subtitle: Some("In stock".to_owned()),
                image_url: None,
                buttons: vec![button()],
            }],
        },
        Message::Media {
            media: MediaKind::Video,
            url: "https://shop.example/a.mp4".to_owned(),
            buttons: Vec::new(),
        },
        Message::Coupon {
            title: "10% off".to_owned(),
            code: "BACK10".to_owned(),
            url: "https://shop.example".to_owned(),
        },
        // Two things the form has no fields for.
        Message::Text {
            text: "Which?".to_owned(),
            buttons: Vec::new(),
            quick_replies: vec![QuickReply {
                title: "Beans".to_owned(),
                payload: None,
            }],
        },
        Message::Text {
            text: "Ask us".to_owned(),
            buttons: vec![Button::Postback {
                title: "Ask".to_owned(),
                payload: "ask".to_owned(),
            }],
            quick_replies: Vec::new(),
        },
    ];
    let steps: Vec<Step> = messages
        .into_iter()
        .zip([0, 45, 60, 1440, 2880, 90])
        .map(|(message, wait_minutes)| Step {
            wait_minutes,
            message,
        })
        .collect();
    for trigger in [
        Trigger::CheckoutAbandoned { after_minutes: 90 },
        Trigger::KlaviyoEvent {
            metric: "Viewed Product".to_owned(),
        },
        Trigger::KlaviyoFlow {
            event: "Winback".to_owned(),
        },
        Trigger::OptedIn {},
        Trigger::OrderPaid {},
        Trigger::BackInStock {},
    ] {
        let before = automation(trigger, steps.clone());
        let form = Form::from_fields(&sent(&Form::from_automation(&before)));
        let draft = form.draft().unwrap();
        assert_eq!(draft.trigger, before.trigger);
        assert_eq!(draft.steps, before.steps);
        assert_eq!((draft.stop_on_order, draft.status.as_str()), (true, "on"));
    }
}

#[test]
fn what_is_no_number_is_named_with_its_field() {
    let mut form = Form::fresh();
    "soon".clone_into(&mut form.after_minutes);
    "-1".clone_into(&mut form.steps[0].wait);
    let pointers: Vec<String> = form
        .draft()
        .unwrap_err()
        .into_iter()
        .map(|problem| problem.pointer)
        .collect();
    assert_eq!(
        pointers,
        ["/trigger/after_minutes", "/steps/0/wait_minutes"]
    );
}

#[test]
fn steps_are_added_removed_and_moved_without_losing_the_others() {
    let mut form = Form::fresh();
    "first".clone_into(&mut form.steps[0].text);
    form.apply(Act::parse(Some("add")));
    "second".clone_into(&mut form.steps[1].text);
    form.apply(Act::parse(Some("up:1")));
    assert_eq!(form.steps[0].text, "second");
    form.apply(Act::parse(Some("remove:0")));
    assert_eq!(form.steps.len(), 1);
    assert_eq!(form.steps[0].text, "first");
    form.apply(Act::parse(Some("remove:0")));
    assert_eq!(form.steps.len(), 1, "the last step stays");
    form.apply(Act::parse(Some("remove:99")));
    assert_eq!(Act::parse(Some("remove:x")), Act::Redraw);
    assert_eq!(Act::parse(None), Act::Save);
    for _ in 0..20 {
        form.apply(Act::AddStep);
    }
    assert_eq!(form.steps.len(), MAX_STEPS);
}

#[test]
fn a_gap_between_buttons_closes() {
    let mut form = Form::fresh();
    form.steps[0].buttons[2] = ButtonForm {
        title: "Shop".to_owned(),
        url: String::new(),
    };
    let form = Form::from_fields(&sent(&form));
    assert_eq!(form.steps[0].buttons[0].title, "Shop");
    assert_eq!(form.steps[0].buttons().len(), 1);
}

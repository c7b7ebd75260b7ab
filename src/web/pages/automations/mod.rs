//! Automations: what runs by itself, what it earned, and the editor.

mod editor;
mod figures;
mod form;
mod list;
mod messages;
mod report;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::automations::{self, Automation, Patch, Trigger};
use crate::store::ids::AutomationId;
use crate::web::Web;
use crate::web::pages::answer::{Answer, see_other_saying};
use crate::web::pages::error::Error;
use crate::web::pages::session::Session;
use crate::web::pages::words;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/automations", get(list::show).post(editor::create))
        .route("/app/automations/new", get(editor::new))
        .route(
            "/app/automations/{id}",
            get(report::show).post(editor::save),
        )
        .route("/app/automations/{id}/edit", get(editor::edit))
        .route("/app/automations/{id}/messages", get(messages::show))
        .route("/app/automations/{id}/status", post(switch))
        .route("/app/automations/{id}/delete", post(delete))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Switch {
    status: String,
    /// `list`: the switch was pressed in the list; `stopped`: it is on and shall try again.
    back: String,
}

async fn switch(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    Form(switch): Form<Switch>,
) -> Answer {
    let automation = find(&web, &session, &id).await?;
    let on = switch.status == "on";
    let patch = Patch {
        status: Some(if on { "on" } else { "off" }.to_owned()),
        ..Patch::default()
    };
    let path = format!("/app/automations/{}", automation.id);
    match automations::patch(&web.app, session.workspace.id, automation.id, patch).await {
        Ok(_) => {
            let back = if switch.back == "list" {
                "/app/automations"
            } else {
                &path
            };
            let toast = match (on, switch.back.as_str()) {
                (true, "stopped") => "tries again",
                (true, _) => "is on",
                (false, _) => "is off",
            };
            Ok(see_other_saying(
                back,
                &format!("“{}” {toast}", automation.name),
            ))
        }
        Err(automations::Error::Invalid(problems)) => {
            let why = problems
                .first()
                .map_or("It needs changes first.", |problem| problem.detail.as_str());
            Ok(see_other_saying(&format!("{path}/edit"), why))
        }
        Err(error) => Err(failure(error)),
    }
}

async fn delete(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let automation = find(&web, &session, &id).await?;
    automations::delete(&web.app, session.workspace.id, automation.id)
        .await
        .map_err(failure)?;
    Ok(see_other_saying(
        "/app/automations",
        &format!("“{}” is deleted", automation.name),
    ))
}

async fn find(web: &Web, session: &Session, id: &str) -> Result<Automation, Error> {
    let id: AutomationId = id.parse().map_err(|_| Error::NotFound)?;
    automations::find(&web.app, session.workspace.id, id)
        .await
        .map_err(failure)
}

fn failure(error: automations::Error) -> Error {
    match error {
        automations::Error::NotFound => Error::NotFound,
        other => Error::from(other),
    }
}

/// The trigger in words: icon, title, and what it means.
fn trigger_words(trigger: &Trigger) -> (&'static str, String, String) {
    match trigger {
        Trigger::CheckoutAbandoned { after_minutes } => (
            "shopping-cart",
            "When a checkout is abandoned".to_owned(),
            format!(
                "{} after the last change, unless they ordered meanwhile.",
                wait_words(*after_minutes)
            ),
        ),
        Trigger::KlaviyoEvent { metric } => (
            "mouse-pointer-click",
            format!("When Klaviyo sees “{metric}”"),
            "For subscribers we recognise by their Klaviyo profile or e-mail address.".to_owned(),
        ),
        Trigger::KlaviyoFlow { event } => (
            "workflow",
            format!("When a Klaviyo flow sends “{event}”"),
            "By the flow’s webhook action; see below what to paste there.".to_owned(),
        ),
        Trigger::OptedIn {} => (
            "user-plus",
            "When someone opts in".to_owned(),
            "As soon as they say yes on the opt-in card.".to_owned(),
        ),
        Trigger::OrderPaid {} => (
            "shopping-bag",
            "When an order is paid".to_owned(),
            "For subscribers we recognise as the customer.".to_owned(),
        ),
        Trigger::BackInStock {} => (
            "bell",
            "When something is back in stock".to_owned(),
            "For whoever asked for it in the storefront, once.".to_owned(),
        ),
    }
}

/// `1 day`, `90 minutes`, `2 hours`.
fn wait_words(minutes: i64) -> String {
    match form::split_minutes(minutes) {
        (n, "days") => words::count(n, "day", "days"),
        (n, "hours") => words::count(n, "hour", "hours"),
        (n, _) => words::count(n, "minute", "minutes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_the_largest_whole_unit() {
        assert_eq!(wait_words(0), "0 minutes");
        assert_eq!(wait_words(90), "90 minutes");
        assert_eq!(wait_words(60), "1 hour");
        assert_eq!(wait_words(2880), "2 days");
    }
}

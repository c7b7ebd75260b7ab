//! Automations: write them, turn them on and off, read what they did.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::analytics::{self, Figures};
use crate::automations::{self, Step, Trigger};
use crate::clock::rfc3339;
use crate::store::ids::AutomationId;
use crate::web::Web;
use crate::web::api::access::Caller;
use crate::web::api::idempotency::NewId;
use crate::web::api::problem::Problem;
use crate::web::api::request::{Body, Id, Params, cursor};
use crate::web::api::shapes::{Listed, Outcome};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAutomation {
    name: String,
    trigger: Trigger,
    /// What is said, in order.
    steps: Vec<Step>,
    /// Whether an order ends a run before its next step; true when absent.
    stop_on_order: Option<bool>,
    /// `on` or `off`; on when absent.
    status: Option<String>,
}

/// What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AutomationPatch {
    #[schema(nullable = false)]
    name: Option<String>,
    #[schema(nullable = false)]
    trigger: Option<Trigger>,
    /// Replaces all of them.
    #[schema(nullable = false)]
    steps: Option<Vec<Step>>,
    #[schema(nullable = false)]
    stop_on_order: Option<bool>,
    /// `on` or `off`.
    #[schema(nullable = false)]
    status: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Automation {
    #[schema(example = "aut_0t2zq3k5s0w2m")]
    id: String,
    name: String,
    trigger: Trigger,
    steps: Vec<Step>,
    stop_on_order: bool,
    /// `on` or `off`.
    status: String,
    created_at: String,
    updated_at: String,
    #[serde(flatten)]
    outcome: Outcome,
}

impl Automation {
    fn new(automation: automations::Automation, figures: Figures) -> Self {
        Self {
            id: automation.id.to_string(),
            name: automation.name,
            trigger: automation.trigger,
            steps: automation.steps,
            stop_on_order: automation.stop_on_order,
            status: automation.status,
            created_at: rfc3339(automation.created_at),
            updated_at: rfc3339(automation.updated_at),
            outcome: figures.into(),
        }
    }
}

async fn counted(
    web: &Web,
    ws: Caller,
    automation: automations::Automation,
) -> Result<Json<Automation>, Problem> {
    let figures = analytics::automation(&web.app, ws.0, automation.id).await?;
    Ok(Json(Automation::new(automation, figures)))
}

/// Create an automation
#[utoipa::path(post, path = "/automations", tag = "Automations", request_body = NewAutomation,
    responses((status = 201, description = "The automation.", body = Automation)))]
pub(super) async fn create_automation(
    State(web): State<Web>,
    caller: Caller,
    id: NewId,
    Body(new): Body<NewAutomation>,
) -> Result<(StatusCode, Json<Automation>), Problem> {
    let draft = automations::Draft {
        name: new.name,
        trigger: new.trigger,
        steps: new.steps,
        stop_on_order: new.stop_on_order.unwrap_or(true),
        status: new.status.unwrap_or_else(|| "on".to_owned()),
    };
    let automation = automations::create_as(&web.app, caller.0, id.get(), draft).await?;
    let answer = counted(&web, caller, automation).await?;
    Ok((StatusCode::CREATED, answer))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AutomationList {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 50 when absent.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// List automations
///
/// Newest first.
#[utoipa::path(get, path = "/automations", tag = "Automations", params(AutomationList),
    responses((status = 200, description = "One page.", body = Listed<Automation>)))]
pub(super) async fn list_automations(
    State(web): State<Web>,
    caller: Caller,
    Params(query): Params<AutomationList>,
) -> Result<Json<Listed<Automation>>, Problem> {
    let cursor = cursor(query.cursor.as_deref(), query.limit.as_deref())?;
    let page = automations::list(&web.app, caller.0, cursor).await?;
    let ids: Vec<AutomationId> = page.rows.iter().map(|automation| automation.id).collect();
    let figures = analytics::automations(&web.app, caller.0, &ids).await?;
    let data = page.rows.into_iter().zip(figures);
    Ok(Json(Listed {
        data: data
            .map(|(row, figures)| Automation::new(row, figures))
            .collect(),
        next_cursor: page.next,
    }))
}

/// Get an automation
#[utoipa::path(get, path = "/automations/{id}", tag = "Automations",
    params(("id" = String, Path)),
    responses((status = 200, description = "The automation.", body = Automation)))]
pub(super) async fn get_automation(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<AutomationId>,
) -> Result<Json<Automation>, Problem> {
    let automation = automations::find(&web.app, caller.0, id).await?;
    counted(&web, caller, automation).await
}

/// Change an automation
///
/// What is absent stays as it is. Runs under way go on by the new steps; turned off, they end. Turned
/// on (also where it is on), it tries again what Meta had stopped.
#[utoipa::path(patch, path = "/automations/{id}", tag = "Automations",
    params(("id" = String, Path)), request_body = AutomationPatch,
    responses((status = 200, description = "The automation.", body = Automation)))]
pub(super) async fn change_automation(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<AutomationId>,
    Body(patch): Body<AutomationPatch>,
) -> Result<Json<Automation>, Problem> {
    let change = automations::Patch {
        name: patch.name,
        trigger: patch.trigger,
        steps: patch.steps,
        stop_on_order: patch.stop_on_order,
        status: patch.status,
    };
    let automation = automations::patch(&web.app, caller.0, id, change).await?;
    counted(&web, caller, automation).await
}

/// Delete an automation
///
/// Its runs end; what was sent stays in the reports.
#[utoipa::path(delete, path = "/automations/{id}", tag = "Automations",
    params(("id" = String, Path)),
    responses((status = 204, description = "It is gone.")))]
pub(super) async fn delete_automation(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<AutomationId>,
) -> Result<StatusCode, Problem> {
    automations::delete(&web.app, caller.0, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

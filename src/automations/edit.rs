//! Writing automations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::automations::{Error, Trigger};
use crate::clock::Millis;
use crate::delivery::Message;
use crate::store::ids::{AutomationId, WorkspaceId};
use crate::store::page::{Cursor, Page};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Minutes after the step before (or after the trigger).
    pub wait_minutes: i64,
    pub message: Message,
}

#[derive(Clone, Debug)]
pub struct Draft {
    pub name: String,
    pub trigger: Trigger,
    pub steps: Vec<Step>,
    pub stop_on_order: bool,
    /// `on` or `off`.
    pub status: String,
}

#[derive(Clone, Debug, Default)]
pub struct Patch {
    pub name: Option<String>,
    pub trigger: Option<Trigger>,
    pub steps: Option<Vec<Step>>,
    pub stop_on_order: Option<bool>,
    pub status: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Automation {
    pub id: AutomationId,
    pub workspace: WorkspaceId,
    pub name: String,
    pub trigger: Trigger,
    pub steps: Vec<Step>,
    pub stop_on_order: bool,
    pub status: String,
    pub created_at: Millis,
    pub updated_at: Millis,
}

pub async fn create(_app: &App, _ws: WorkspaceId, _draft: Draft) -> Result<Automation, Error> {
    unimplemented!()
}

pub async fn find(_app: &App, _ws: WorkspaceId, _id: AutomationId) -> Result<Automation, Error> {
    unimplemented!()
}

pub async fn list(
    _app: &App,
    _ws: WorkspaceId,
    _cursor: Cursor,
) -> anyhow::Result<Page<Automation>> {
    unimplemented!()
}

pub async fn patch(
    _app: &App,
    _ws: WorkspaceId,
    _id: AutomationId,
    _patch: Patch,
) -> Result<Automation, Error> {
    unimplemented!()
}

/// Ends its runs; what was sent stays in the reports.
pub async fn delete(_app: &App, _ws: WorkspaceId, _id: AutomationId) -> Result<(), Error> {
    unimplemented!()
}

//! The workspace at a glance.

use crate::analytics::Revenue;
use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::WorkspaceId;

/// Figures of a span of days, each with what it was in the span before.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    pub from: Millis,
    pub to: Millis,
    pub sent: Change,
    pub delivered: Change,
    pub read: Change,
    pub clicked: Change,
    pub orders: Change,
    pub revenue: Vec<Revenue>,
    pub revenue_before: Vec<Revenue>,
    /// Subscribed at the end of the span.
    pub subscribers: Change,
    pub joined: i64,
    pub left: i64,
    /// One per day of the span in the workspace's zone, oldest first.
    pub days: Vec<Day>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub now: i64,
    pub before: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Day {
    /// `2026-11-24`.
    pub date: String,
    pub sent: i64,
    pub clicked: i64,
    pub orders: i64,
    /// Net, minor units, in the span's main currency, from campaigns and from automations.
    pub campaigns_net: i64,
    pub automations_net: i64,
    pub joined: i64,
    pub left: i64,
}

/// What needs the merchant, most urgent first.
#[derive(Clone, Debug)]
pub struct Needs {
    /// `bad`, `warn` or `mute`.
    pub tone: &'static str,
    pub title: String,
    pub detail: String,
    /// Button text and path, if there is something to press.
    pub action: Option<(String, String)>,
}

/// The span `from..to` (epoch ms) in the workspace's zone.
pub async fn overview(
    _app: &App,
    _ws: WorkspaceId,
    _from: Millis,
    _to: Millis,
) -> anyhow::Result<Overview> {
    unimplemented!()
}

pub async fn needs(_app: &App, _ws: WorkspaceId) -> anyhow::Result<Vec<Needs>> {
    unimplemented!()
}

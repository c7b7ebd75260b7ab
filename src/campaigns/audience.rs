//! Who a campaign goes to, as one SQL condition over subscribers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::store::ids::WorkspaceId;

/// Everyone who meets one of `include` and none of `exclude`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    pub include: Vec<Condition>,
    #[serde(default)]
    pub exclude: Vec<Condition>,
    /// Percent of the audience that is held out for comparison, 0 to 50.
    #[serde(default)]
    pub holdout_percent: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    Everyone {},
    Tag {
        tag: String,
    },
    KlaviyoSegment {
        segment_id: String,
    },
    KlaviyoList {
        list_id: String,
    },
    /// Ordered in the last so many days.
    Ordered {
        days: i64,
    },
    NotOrdered {
        days: i64,
    },
    Clicked {
        days: i64,
    },
    Source {
        source: String,
    },
}

/// Who could be told now, and why the others not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    pub audience: i64,
    /// By the marketing message (paid by the ad account).
    pub paid: i64,
    /// Inside their free 24 h window.
    pub free: i64,
    /// Reason and number, largest first.
    pub skipped: Vec<(&'static str, i64)>,
    /// Meta's forecast of the cost, minor units of the ad account's currency, if it gave one.
    pub cost: Option<(i64, i64)>,
}

pub async fn estimate(
    _app: &App,
    _ws: WorkspaceId,
    _audience: &Audience,
    _channel: &str,
) -> anyhow::Result<Estimate> {
    unimplemented!()
}

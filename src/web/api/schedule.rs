//! When a campaign starts: a moment, or a time on somebody's wall clock.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::campaigns;
use crate::clock::{Millis, parse_rfc3339, rfc3339};
use crate::store::ids::WorkspaceId;
use crate::web::api::problem::{FieldError, Problem};
use crate::workspaces;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSchedule {
    /// RFC 3339 with an offset, or a local time without one, meant in `timezone`. Now when absent.
    #[schema(example = "2026-11-27T09:00:00-08:00")]
    at: Option<String>,
    /// IANA name; the workspace's when absent.
    #[schema(example = "America/Los_Angeles")]
    timezone: Option<String>,
    /// At the same wall-clock time in each subscriber's own zone. Where it is over by more than the
    /// limit, they are skipped (`too_late`).
    in_subscriber_timezone: Option<bool>,
    /// Later than this it does not start by itself; 60 when absent.
    late_limit_minutes: Option<i64>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Schedule {
    at: String,
    timezone: Option<String>,
    in_subscriber_timezone: bool,
    late_limit_minutes: i64,
}

impl Schedule {
    pub(super) fn of(campaign: &campaigns::Campaign) -> Option<Self> {
        Some(Self {
            at: rfc3339(campaign.scheduled_at?),
            timezone: campaign.timezone.clone(),
            in_subscriber_timezone: campaign.in_subscriber_timezone,
            late_limit_minutes: campaign.late_limit_minutes,
        })
    }
}

/// `prefix` is where the schedule stands in the body.
pub(super) async fn read(
    app: &App,
    ws: WorkspaceId,
    new: &NewSchedule,
    prefix: &str,
) -> Result<campaigns::Schedule, Problem> {
    let workspace = workspaces::find(app, ws).await?;
    let own = workspace.map_or_else(|| "UTC".to_owned(), |workspace| workspace.timezone);
    let zone = TimeZone::get(new.timezone.as_deref().unwrap_or(&own)).map_err(|_| {
        let place = format!("{prefix}/timezone");
        Problem::field(&place, "Name a time zone as America/Los_Angeles.")
    })?;
    let at = match new.at.as_deref() {
        Some(text) => Some(moment(text, &zone).ok_or_else(|| {
            let place = format!("{prefix}/at");
            Problem::field(&place, "Give a time as 2026-11-27T09:00:00-08:00.")
        })?),
        None => None,
    };
    Ok(campaigns::Schedule {
        at,
        timezone: new.timezone.clone(),
        in_subscriber_timezone: new.in_subscriber_timezone.unwrap_or_default(),
        late_limit_minutes: new.late_limit_minutes,
    })
}

fn moment(text: &str, zone: &TimeZone) -> Option<Millis> {
    if let Some(at) = parse_rfc3339(text) {
        return Some(at);
    }
    let local: DateTime = text.trim().parse().ok()?;
    let at = local.to_zoned_datetime(zone.clone()).ok()?;
    Some(at.timestamp().as_millisecond())
}

/// A schedule's own fields stand under `prefix`; the campaign's stand where they always do.
pub(super) fn refused(error: campaigns::Error, prefix: &str) -> Problem {
    let campaigns::Error::Invalid(problems) = error else {
        return error.into();
    };
    let placed = |problem: crate::delivery::Problem| {
        let own = ["/at", "/timezone", "/late_limit_minutes"].contains(&problem.pointer.as_str());
        let pointer = if own {
            format!("{prefix}{}", problem.pointer)
        } else {
            problem.pointer
        };
        FieldError::new(pointer, problem.detail)
    };
    Problem::fields(problems.into_iter().map(placed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_an_offset_is_meant_in_the_zone() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let nine = parse_rfc3339("2026-11-27T14:00:00Z");
        assert_eq!(moment("2026-11-27T09:00:00-05:00", &zone), nine);
        assert_eq!(moment("2026-11-27T09:00", &zone), nine);
        assert_eq!(moment("tomorrow", &zone), None);
        assert_eq!(moment("", &zone), None);
    }
}

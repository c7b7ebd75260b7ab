//! What the plan leaves for campaigns this month. Looked at when a campaign is scheduled, and only
//! then: one that runs is never stopped by it.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::estimate::estimate;
use super::{Audience, Error};
use crate::app::App;
use crate::clock::Millis;
use crate::delivery::Problem;
use crate::store::ids::WorkspaceId;
use crate::workspaces::{self, Workspace};

/// Messages of campaigns that went out this calendar month, by the workspace's own clock.
pub async fn sent_this_month(app: &App, workspace: &Workspace) -> anyhow::Result<i64> {
    let (from, _) = month(&workspace.timezone, app.clock.now())?;
    Ok(sqlx::query_scalar(
        "SELECT CAST(COALESCE(SUM(t.messages), 0) AS BIGINT) FROM tallies t
         JOIN campaigns c ON c.id = t.owner_id AND c.workspace_id = t.workspace_id
         WHERE t.workspace_id = $1 AND t.status = 'sent' AND t.bucket >= $2",
    )
    .bind(workspace.id)
    .bind(from)
    .fetch_one(app.db.pool())
    .await?)
}

/// When the month began and when the next one does.
pub fn month(timezone: &str, now: Millis) -> anyhow::Result<(Millis, Millis)> {
    let zone = TimeZone::get(timezone).unwrap_or(TimeZone::UTC);
    let today = zone.to_datetime(Timestamp::from_millisecond(now)?).date();
    let first = today.first_of_month();
    let next = first.checked_add(1.month())?;
    let begin = |date: Date| -> anyhow::Result<Millis> {
        let midnight = date.to_datetime(Time::midnight());
        Ok(zone.to_timestamp(midnight)?.as_millisecond())
    };
    Ok((begin(first)?, begin(next)?))
}

/// Refuses what the plan does not hold, in words that say what would.
pub(super) async fn check(
    app: &App,
    ws: WorkspaceId,
    audience: &Audience,
    channel: &str,
) -> Result<(), Error> {
    let Some(standing) = workspaces::plan(app, ws).await? else {
        return Ok(());
    };
    let Some(limit) = standing.campaign_messages() else {
        return Ok(());
    };
    let Some(workspace) = workspaces::find(app, ws).await? else {
        return Ok(());
    };
    let sent = sent_this_month(app, &workspace).await?;
    let wanted = estimate(app, ws, audience, channel).await?;
    let wanted = wanted.paid + wanted.free;
    if sent + wanted <= limit {
        return Ok(());
    }
    let left = (limit - sent).max(0);
    Err(Error::Invalid(vec![Problem {
        pointer: "/audience/include".to_owned(),
        detail: format!(
            "It would reach {wanted} people now, and your plan has {left} of {limit} campaign \
             messages left this month. Choose a larger plan under Settings, Plan, or a smaller \
             audience; next month it begins anew."
        ),
    }]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::parse_rfc3339;

    #[test]
    fn a_month_is_the_shops_own() {
        let at = |text: &str| parse_rfc3339(text).unwrap();
        let (from, to) = month("America/Los_Angeles", at("2026-12-01T05:00:00Z")).unwrap();
        assert_eq!(
            from,
            at("2026-11-01T07:00:00Z"),
            "still November there, from its summer time"
        );
        assert_eq!(to, at("2026-12-01T08:00:00Z"));
    }
}

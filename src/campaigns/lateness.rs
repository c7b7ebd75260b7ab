//! When a campaign is to begin, which is what its lateness is measured from.

use super::draft::Campaign;
use crate::app::App;
use crate::clock::{HOUR, Millis};

/// The furthest zone ahead of UTC: there, a local time comes first.
const FIRST_ZONE: Millis = 14 * HOUR;

/// When the first person is to be told.
pub(super) fn starts_at(campaign: &Campaign) -> Millis {
    let at = campaign.scheduled_at.unwrap_or(0);
    if !campaign.in_subscriber_timezone {
        return at;
    }
    let offset = campaign
        .timezone
        .as_deref()
        .and_then(|zone| jiff::tz::TimeZone::get(zone).ok())
        .zip(jiff::Timestamp::from_millisecond(at).ok())
        .map_or(0, |(zone, at)| {
            i64::from(zone.to_offset(at).seconds()) * 1_000
        });
    at + offset - FIRST_ZONE
}

/// From when on it is late. A local time may be over in the first zones when somebody asks for it:
/// that is no lateness, so there it counts from the asking.
pub(super) async fn due_at(app: &App, campaign: &Campaign) -> sqlx::Result<Millis> {
    let starts = starts_at(campaign);
    if !campaign.in_subscriber_timezone {
        return Ok(starts);
    }
    let asked_at: Option<Millis> =
        sqlx::query_scalar("SELECT asked_at FROM campaigns WHERE workspace_id = $1 AND id = $2")
            .bind(campaign.workspace)
            .bind(campaign.id)
            .fetch_one(app.db.pool())
            .await?;
    Ok(asked_at.map_or(starts, |asked_at| asked_at.max(starts)))
}

//! Who could be told now, and why the others not; the same rules as at the moment of sending, as
//! one grouped query.

use std::collections::HashMap;
use std::time::Duration;

use super::audience::{Audience, Sql};
use crate::app::App;
use crate::clock::{HOUR, MINUTE};
use crate::delivery::policy::{PAID_COOL_DOWN, Reason, WINDOW};
use crate::delivery::{Channel, region};
use crate::store::ids::WorkspaceId;
use crate::workspaces;

/// How long the merchant waits for Meta's forecast.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who could be told now, and why the others not. `paid + free + skipped = audience`.
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

/// open, capped, cooling, unpaid, gone, tokenless (0 or 1), zone, people
type Group = (i64, i64, i64, i64, i64, i64, String, i64);

/// Counts the audience by what would become of each person if it went out now.
pub async fn estimate(
    app: &App,
    ws: WorkspaceId,
    audience: &Audience,
    channel: &str,
) -> anyhow::Result<Estimate> {
    let Some(workspace) = workspaces::find(app, ws).await? else {
        return Ok(Estimate::default());
    };
    if !audience.problems().is_empty() {
        return Ok(Estimate::default());
    }
    let now = app.clock.now();
    let cap = workspace.cap_hours.max(0) * HOUR;
    let mut sql = Sql::default();
    sql.push("SELECT CASE WHEN s.psid IS NOT NULL AND s.last_action_at > ")
        .number(now - WINDOW + MINUTE)
        .push(" THEN 1 ELSE 0 END AS open, CASE WHEN s.last_marketing_at > ")
        .number(now - cap)
        .push(" THEN 1 ELSE 0 END AS capped, CASE WHEN s.last_marketing_at > ")
        .number(now - cap.max(PAID_COOL_DOWN))
        .push(" OR s.next_eligible_at > ")
        .number(now)
        .push(
            " THEN 1 ELSE 0 END AS cooling,
              CASE WHEN p.ad_account IS NULL OR p.ad_token_sealed IS NULL THEN 1 ELSE 0 END AS unpaid,
              CASE WHEN s.unreachable_at IS NOT NULL THEN 1 ELSE 0 END AS gone,
              CASE WHEN s.token IS NULL OR s.token_enabled = 0 OR s.token_expires_at <= ",
        )
        .number(now)
        .push(
            " THEN 1 ELSE 0 END AS tokenless, COALESCE(s.timezone, '') AS zone, COUNT(*) AS n
              FROM subscribers s JOIN pages p ON p.id = s.page_id WHERE ",
        )
        .members(ws, audience, now)
        .push(" GROUP BY 1, 2, 3, 4, 5, 6, 7");
    let rows: Vec<Group> = sql.query_as().fetch_all(app.db.pool()).await?;
    let wanted = Channel::parse(channel);
    let mut estimate = Estimate::default();
    let mut skipped: HashMap<&'static str, i64> = HashMap::new();
    for (open, capped, cooling, unpaid, gone, tokenless, zone, n) in rows {
        estimate.audience += n;
        let free = open == 1 && wanted != Some(Channel::MarketingMessage);
        let reason = if free {
            (capped == 1).then_some(Reason::Capped)
        } else if wanted == Some(Channel::Standard) {
            Some(Reason::OutsideWindow)
        } else if unpaid == 1 {
            Some(if wanted.is_none() {
                Reason::OutsideWindow
            } else {
                Reason::ChannelUnavailable
            })
        } else if gone == 1 {
            Some(Reason::NotReachable)
        } else if tokenless == 1 {
            Some(Reason::NoToken)
        } else if region::is_excluded(&zone) {
            Some(Reason::RegionNotAllowed)
        } else {
            (cooling == 1).then_some(Reason::Capped)
        };
        match reason {
            Some(reason) => *skipped.entry(reason.as_str()).or_default() += n,
            None if free => estimate.free += n,
            None => estimate.paid += n,
        }
    }
    estimate.skipped = skipped.into_iter().collect();
    estimate.skipped.sort_by_key(|(reason, n)| (-n, *reason));
    if estimate.paid > 0 {
        estimate.cost = forecast(app, ws).await?;
    }
    Ok(estimate)
}

/// What Meta expects it to cost; nothing when it does not say in time.
async fn forecast(app: &App, ws: WorkspaceId) -> anyhow::Result<Option<(i64, i64)>> {
    for page in workspaces::pages(app, ws).await? {
        let (Some(account), Some(token)) = (&page.ad_account, &page.ad_token) else {
            continue;
        };
        let asked = app.meta.estimate(account, token, &page.meta_id);
        return Ok(match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(found)) => found.cost_low.zip(found.cost_high),
            Ok(Err(_)) | Err(_) => None,
        });
    }
    Ok(None)
}

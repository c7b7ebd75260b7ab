//! The workspace at a glance.

use axum::Json;
use axum::extract::State;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::analytics::{self, Change, Overview, Revenue};
use crate::clock::{DAY, Millis, parse_rfc3339, rfc3339};
use crate::web::Web;
use crate::web::api::access::Caller;
use crate::web::api::problem::Problem;
use crate::web::api::request::Params;
use crate::web::api::shapes::{Earned, Money};
use crate::workspaces;

/// The longest span of a report, in days.
const LONGEST: i64 = 400;
const DEFAULT: Millis = 30 * DAY;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct OverviewSpan {
    /// A day (from its start in the workspace's zone) or an RFC 3339 time; 30 days before `to` when
    /// absent.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// A day (to its end) or an RFC 3339 time; now when absent.
    #[param(example = "2026-11-30")]
    to: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OverviewReport {
    from: String,
    to: String,
    /// The zone of the days.
    timezone: String,
    #[serde(flatten)]
    now: OverviewFigures,
    /// People who subscribed in the span.
    joined: i64,
    /// People who opted out in the span.
    left: i64,
    /// The span of the same length before.
    before: OverviewFigures,
    /// Oldest first.
    days: Vec<OverviewDay>,
}

/// Messages count when they were sent, orders when they were placed. delivered, read and clicked
/// are parts of sent.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OverviewFigures {
    sent: i64,
    delivered: i64,
    read: i64,
    clicked: i64,
    /// Credited orders.
    orders: i64,
    /// What they brought.
    revenue: Vec<Earned>,
    /// Subscribed at the end of the span.
    subscribers: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OverviewDay {
    #[schema(example = "2026-11-24")]
    date: String,
    sent: i64,
    clicked: i64,
    orders: i64,
    /// Net revenue from campaigns in the span's main currency; null when nothing was earned in it.
    campaigns_net: Option<Money>,
    /// Net revenue from automations.
    automations_net: Option<Money>,
    joined: i64,
    left: i64,
}

/// Get the overview
#[utoipa::path(get, path = "/reports/overview", tag = "Reports", params(OverviewSpan),
    responses((status = 200, description = "Figures of the span, and of the one before.",
        body = OverviewReport)))]
pub(super) async fn get_overview(
    State(web): State<Web>,
    caller: Caller,
    Params(query): Params<OverviewSpan>,
) -> Result<Json<OverviewReport>, Problem> {
    let workspace = workspaces::find(&web.app, caller.0).await?;
    let zone = workspace.map_or_else(|| "UTC".to_owned(), |workspace| workspace.timezone);
    let span = span(&query, &zone, web.app.clock.now())?;
    let overview = analytics::overview(&web.app, caller.0, span.0, span.1).await?;
    Ok(Json(report(&overview, zone)))
}

fn span(query: &OverviewSpan, zone: &str, now: Millis) -> Result<(Millis, Millis), Problem> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let read = |name: &str, text: Option<&str>, days: i64| match text {
        None => Ok(None),
        Some(text) => moment(text, &zone, days).map(Some).ok_or_else(|| {
            Problem::parameter(name, "Give a day as 2026-11-01 or an RFC 3339 time.")
        }),
    };
    let to = read("to", query.to.as_deref(), 1)?.unwrap_or(now);
    let from = read("from", query.from.as_deref(), 0)?.unwrap_or(to - DEFAULT);
    if from >= to {
        return Err(Problem::parameter("from", "Choose a time before `to`."));
    }
    if to - from > LONGEST * DAY {
        return Err(Problem::parameter(
            "from",
            "Choose a span of at most 400 days.",
        ));
    }
    Ok((from, to))
}

/// A day begins `days` after its midnight, so that 1 is its end.
fn moment(text: &str, zone: &TimeZone, days: i64) -> Option<Millis> {
    if let Some(at) = parse_rfc3339(text) {
        return Some(at);
    }
    let date: Date = text.trim().parse().ok()?;
    let start = date.checked_add(days.days()).ok()?;
    let start = start.to_zoned_datetime(zone.clone()).ok()?;
    Some(start.timestamp().as_millisecond())
}

fn report(seen: &Overview, timezone: String) -> OverviewReport {
    let currency = seen.revenue.first().map(|main| main.currency.clone());
    let money = |minor| {
        currency
            .as_deref()
            .map(|currency| Money::new(minor, currency))
    };
    let days = seen.days.iter().map(|day| OverviewDay {
        date: day.date.clone(),
        sent: day.sent,
        clicked: day.clicked,
        orders: day.orders,
        campaigns_net: money(day.campaigns_net),
        automations_net: money(day.automations_net),
        joined: day.joined,
        left: day.left,
    });
    OverviewReport {
        from: rfc3339(seen.from),
        to: rfc3339(seen.to),
        timezone,
        days: days.collect(),
        joined: seen.joined,
        left: seen.left,
        now: figures(seen, &seen.revenue, |change| change.now),
        before: figures(seen, &seen.revenue_before, |change| change.before),
    }
}

fn figures(seen: &Overview, revenue: &[Revenue], which: impl Fn(Change) -> i64) -> OverviewFigures {
    OverviewFigures {
        sent: which(seen.sent),
        delivered: which(seen.delivered),
        read: which(seen.read),
        clicked: which(seen.clicked),
        orders: which(seen.orders),
        revenue: revenue.iter().map(Earned::from).collect(),
        subscribers: which(seen.subscribers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(from: Option<&str>, to: Option<&str>) -> Result<(Millis, Millis), Problem> {
        let query = OverviewSpan {
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
        };
        let now = parse_rfc3339("2026-11-24T10:00:00Z").unwrap();
        span(&query, "America/New_York", now)
    }

    #[test]
    fn a_span_of_days_holds_its_last_day_and_follows_the_zone() {
        let span = asked(Some("2026-10-31"), Some("2026-11-01")).unwrap();
        // The last day has 25 hours.
        assert_eq!(span.0, parse_rfc3339("2026-10-31T04:00:00Z").unwrap());
        assert_eq!(span.1, parse_rfc3339("2026-11-02T05:00:00Z").unwrap());
    }

    #[test]
    fn without_words_it_is_the_last_thirty_days() {
        let span = asked(None, None).unwrap();
        assert_eq!(span.1 - span.0, 30 * DAY);
    }

    #[test]
    fn a_span_backwards_or_endless_is_refused() {
        assert!(asked(Some("2026-11-02"), Some("2026-11-01")).is_err());
        assert!(asked(Some("2020-01-01"), None).is_err());
        assert!(asked(Some("yesterday"), None).is_err());
    }
}

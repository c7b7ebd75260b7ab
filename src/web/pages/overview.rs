//! The workspace at a glance: what needs the merchant, what is running, what it earned.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use jiff::{Timestamp, ToSpan as _, ZonedDateTime};

use super::answer::{Answer, page};
use super::campaigns::Row;
use super::chart::{Chart, ChartDay, spark};
use super::fields::Fields;
use super::format::{self, Format};
use super::parts::Tally;
use super::session::Session;
use super::set_up::{SetUp, Steps};
use super::shell::{Nav, Shell};
use super::words;
use crate::analytics::{self, Change, Needs, Overview, Revenue};
use crate::campaigns::{self, Campaign};
use crate::clock::Millis;
use crate::store::ids::WorkspaceId;
use crate::store::page::Cursor;
use crate::web::Web;

/// The spans to choose from, in days.
const SPANS: [i32; 3] = [7, 30, 90];

pub(super) fn router() -> Router<Web> {
    Router::new().route("/app", get(show))
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    shell: Shell,
    span: i32,
    days: String,
    needs: Vec<Needs>,
    running: Vec<(Campaign, Tally, i64, i64)>,
    next: Vec<Campaign>,
    steps: Steps,
    is_new: bool,
    tiles: Vec<Tile>,
    chart: Option<Chart>,
    recent: Vec<Row>,
}

struct Tile {
    title: &'static str,
    figure: String,
    href: &'static str,
    delta: Delta,
    spark: Option<String>,
    note: String,
}

/// The change against the span before, in words.
struct Delta {
    tone: &'static str,
    strong: String,
    rest: String,
}

impl OverviewPage {
    fn spans() -> [i32; 3] {
        SPANS
    }
}

async fn show(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let app = &web.app;
    let ws = session.ws();
    let f = session.format();
    let span = fields
        .get("days")
        .parse()
        .ok()
        .filter(|days| SPANS.contains(days))
        .unwrap_or(30);
    let (from, to) = span_of(&f, span)?;
    let overview = analytics::overview(app, ws, from, to).await?;
    let needs = analytics::needs(app, ws).await?;

    let mut running = Vec::new();
    for status in ["running", "paused"] {
        running.extend(some(&web, ws, status, 5).await?);
    }
    let mut next = some(&web, ws, "preparing", 5).await?;
    next.extend(some(&web, ws, "scheduled", 5).await?);
    next.sort_by_key(|campaign| campaign.scheduled_at);

    let ids: Vec<_> = running.iter().map(|campaign| campaign.id).collect();
    let figures = analytics::campaigns(app, ws, &ids).await?;
    let running = running
        .into_iter()
        .zip(figures)
        .map(|(campaign, figures)| {
            let tally = super::campaign_report::tally(campaign.id, &figures);
            (campaign, tally, figures.handled(), figures.audience())
        })
        .collect();

    let cursor = Cursor {
        after: None,
        limit: 8,
    };
    let recent = campaigns::list(app, ws, None, cursor).await?.rows;
    let recent = Row::of(app, ws, recent).await?;
    let is_new = overview.subscribers.now == 0
        && overview.sent.now == 0
        && overview.sent.before == 0
        && overview.orders.now == 0;
    let (steps, guide) = Steps::read(app, ws).await?;
    if is_new && !guide.has_left && !steps.are_over() {
        return page(&SetUp::read(app, &session).await?);
    }
    page(&OverviewPage {
        shell: session.shell(Nav::Overview, "Overview"),
        span,
        days: format!("{} to {}", f.day(from), f.day(to - 1)),
        needs,
        running,
        next,
        is_new,
        tiles: tiles(
            &f,
            &overview,
            span,
            session.workspace.attribution_window_days,
        ),
        chart: chart(&f, &overview),
        steps,
        recent,
    })
}

async fn some(
    web: &Web,
    ws: WorkspaceId,
    status: &str,
    limit: i64,
) -> anyhow::Result<Vec<Campaign>> {
    let cursor = Cursor { after: None, limit };
    Ok(campaigns::list(&web.app, ws, Some(status), cursor)
        .await?
        .rows)
}

/// The last `days` days up to the end of today, in the workspace's zone.
fn span_of(f: &Format, days: i32) -> anyhow::Result<(Millis, Millis)> {
    let now = ZonedDateTime::new(Timestamp::from_millisecond(f.now())?, f.timezone().clone());
    let today = now.start_of_day()?;
    let from = today.checked_sub((days - 1).days())?;
    let to = today.checked_add(1.days())?;
    Ok((
        from.timestamp().as_millisecond(),
        to.timestamp().as_millisecond(),
    ))
}

fn chart(f: &Format, overview: &Overview) -> Option<Chart> {
    let main = overview.revenue.first()?;
    Some(Chart {
        title: "Net revenue per day".to_owned(),
        note: format!(
            "Orders by the day they were placed, refunds taken back. {}.",
            f.zone()
        ),
        currency: main.currency.clone(),
        series: ["Campaigns", "Automations"],
        days: overview
            .days
            .iter()
            .map(|day| ChartDay {
                label: f.date(&day.date),
                parts: [day.campaigns_net, day.automations_net],
                orders: day.orders,
            })
            .collect(),
    })
}

fn tiles(f: &Format, overview: &Overview, span: i32, window: i64) -> Vec<Tile> {
    let days = &overview.days;
    let line = |of: fn(&analytics::Day) -> i64| spark(&days.iter().map(of).collect::<Vec<_>>());
    vec![
        revenue_tile(f, overview, span, window),
        Tile {
            title: "Orders",
            figure: f.number(overview.orders.now),
            href: "/app/orders?credited=yes",
            delta: delta(overview.orders, span),
            spark: line(|day| day.orders),
            note: "Each has a named click before it.".to_owned(),
        },
        Tile {
            title: "Subscribers",
            figure: f.number(overview.subscribers.now),
            href: "/app/subscribers",
            delta: delta(overview.subscribers, span),
            spark: line(|day| day.joined),
            note: format!(
                "{} joined, {} left.",
                f.number(overview.joined),
                f.number(overview.left)
            ),
        },
        Tile {
            title: "Messages sent",
            figure: f.number(overview.sent.now),
            href: "/app/campaigns",
            delta: delta(overview.sent, span),
            spark: line(|day| day.sent),
            note: format!(
                "{} delivered, {} read, {} clicked.",
                f.number(overview.delivered.now),
                f.number(overview.read.now),
                f.number(overview.clicked.now)
            ),
        },
    ]
}

fn revenue_tile(f: &Format, overview: &Overview, span: i32, window: i64) -> Tile {
    let days = words::count(window, "day", "days");
    let Some(main) = overview.revenue.first() else {
        return Tile {
            title: "Net revenue",
            figure: "–".to_owned(),
            href: "/app/orders?credited=yes",
            delta: Delta {
                tone: "flat",
                strong: String::new(),
                rest: "No order yet in these days".to_owned(),
            },
            spark: None,
            note: format!("Counts orders placed within {days} of a click."),
        };
    };
    let before = overview
        .revenue_before
        .iter()
        .find(|revenue| revenue.currency == main.currency)
        .map_or(0, Revenue::net);
    let change = Change {
        now: main.net(),
        before,
    };
    let others: String = overview.revenue[1..]
        .iter()
        .map(|other| f.money(other.net(), &other.currency))
        .fold(String::new(), |text, money| text + " And " + &money + ".");
    let nets: Vec<i64> = overview
        .days
        .iter()
        .map(|day| day.campaigns_net + day.automations_net)
        .collect();
    Tile {
        title: "Net revenue",
        figure: f.money(main.net(), &main.currency),
        href: "/app/orders?credited=yes",
        delta: delta_of(change, span, |n| f.money(n, &main.currency)),
        spark: spark(&nets),
        note: format!(
            "{} from orders placed within {days} of a click, less {} refunded.{others}",
            f.money(main.gross, &main.currency),
            f.money(main.refunded, &main.currency)
        ),
    }
}

fn delta(change: Change, span: i32) -> Delta {
    delta_of(change, span, format::number)
}

fn delta_of(change: Change, span: i32, write: impl Fn(i64) -> String) -> Delta {
    let Change { now, before } = change;
    if before <= 0 {
        return Delta {
            tone: "flat",
            strong: String::new(),
            rest: format!("{} in the {span} days before", write(before)),
        };
    }
    let (tone, arrow) = match now.cmp(&before) {
        std::cmp::Ordering::Greater => ("good", "▲ "),
        std::cmp::Ordering::Less => ("bad", "▼ "),
        std::cmp::Ordering::Equal => ("flat", ""),
    };
    let share = format::percent((now - before).abs(), before);
    Delta {
        tone,
        strong: if now == before {
            "Unchanged".to_owned()
        } else {
            format!("{arrow}{share}")
        },
        rest: format!("from {}", write(before)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::Day;
    use crate::clock::DAY;

    fn overview() -> Overview {
        Overview {
            sent: Change {
                now: 164_902,
                before: 0,
            },
            orders: Change {
                now: 1_297,
                before: 1_157,
            },
            revenue: vec![
                Revenue {
                    currency: "USD".to_owned(),
                    gross: 6_521_015,
                    refunded: 336_740,
                },
                Revenue {
                    currency: "EUR".to_owned(),
                    gross: 1_000,
                    refunded: 0,
                },
            ],
            subscribers: Change {
                now: 48_212,
                before: 48_300,
            },
            joined: 2_914,
            left: 596,
            days: ["2026-11-23", "2026-11-24"]
                .map(|date| Day {
                    date: date.to_owned(),
                    campaigns_net: 84_200,
                    automations_net: -100,
                    ..Day::default()
                })
                .to_vec(),
            ..Overview::default()
        }
    }

    fn render(overview: &Overview, steps: Steps, is_new: bool) -> String {
        let shell = Shell::sample(Nav::Overview);
        let f = shell.f.clone();
        OverviewPage {
            span: 30,
            days: "Oct 26 to Nov 24".to_owned(),
            needs: vec![Needs {
                tone: "warn",
                title: "12 messages are still unknown".to_owned(),
                detail: "They were not sent again.".to_owned(),
                action: Some(("See the 12".to_owned(), "/app/campaigns".to_owned())),
            }],
            running: vec![(
                super::super::campaigns::tests::sample("running"),
                Tally::of(&super::super::campaigns::tests::figures(), |_| None),
                29_884,
                46_297,
            )],
            next: vec![super::super::campaigns::tests::sample("scheduled")],
            tiles: tiles(&f, overview, 30, 7),
            chart: chart(&f, overview),
            recent: vec![Row {
                campaign: super::super::campaigns::tests::sample("finished"),
                figures: super::super::campaigns::tests::figures(),
            }],
            steps,
            is_new,
            shell,
        }
        .render()
        .unwrap()
    }

    #[test]
    fn the_overview_shows_what_needs_the_merchant_and_what_was_earned() {
        let html = render(&overview(), Steps::sample(true), false);
        assert!(html.contains("$61,842.75") && html.contains("And €10.00."));
        assert!(html.contains("▲ 12.1%") && html.contains("from 1,157"));
        assert!(html.contains("▼ 0.2%"));
        assert!(html.contains("0 in the 30 days before"));
        assert!(html.contains("See the 12"));
        assert!(html.contains("<b>29,884</b> of 46,297"));
        assert!(html.contains("$841.00"));
    }

    #[test]
    fn who_left_the_set_up_sees_where_it_goes_on_instead_of_empty_figures() {
        let html = render(&Overview::default(), Steps::sample(false), true);
        assert!(html.contains("<b>1</b> of 6 done"));
        assert!(html.contains("Next: Connect your Facebook Page."));
        assert!(!html.contains("Net revenue per day") && !html.contains("class=\"tiles\""));
    }

    #[test]
    fn a_span_is_whole_days_in_the_workspace_s_zone() {
        let f = Shell::sample(Nav::Overview).f;
        let (from, to) = span_of(&f, 7).unwrap();
        assert_eq!(to - from, 7 * DAY);
        assert_eq!(f.time(from), "Wed, Nov 18, 12:00 AM");
        assert_eq!(f.time(to), "Wed, Nov 25, 12:00 AM");
    }
}

//! What became of a campaign: everyone accounted for, the way from audience to order, the log of
//! each person.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

use super::answer::{Answer, page, see_other};
use super::campaigns::{audience_words, find, log_path};
use super::error::Error;
use super::fields::Fields;
use super::format::{self, Format};
use super::parts::{Bar, Bars, Pager, Tally, address};
use super::session::Session;
use super::shell::{Nav, Shell};
use super::{campaign_log, words};
use crate::analytics::{self, Figures, LogEntry, LogFilter};
use crate::campaigns::Campaign;
use crate::clock::MINUTE;
use crate::delivery::Message;
use crate::delivery::content::{Button, urls_in};
use crate::store::ids::CampaignId;
use crate::store::page::Cursor;
use crate::web::Web;

const ROWS: i64 = 50;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/campaigns/{id}", get(show))
        .route("/app/campaigns/{id}/progress", get(progress))
        .route("/app/campaigns/{id}/log.csv", get(campaign_log::download))
}

/// Everyone in the campaign's audience, each part leading to its rows.
pub(super) fn tally(id: CampaignId, figures: &Figures) -> Tally {
    Tally::of(figures, |status| Some(log_path(id, status)))
}

#[derive(Template)]
#[template(path = "campaigns/report.html")]
struct Report {
    shell: Shell,
    campaign: Campaign,
    audience: String,
    figures: Figures,
    progress: Progress,
    funnel: Vec<Step>,
    links: Option<Bars>,
    skipped: Bars,
    failed: Bars,
    window: i64,
    log: Log,
}

/// The part that is polled while the campaign runs.
#[derive(Clone, Template)]
#[template(path = "campaigns/progress.html")]
struct Progress {
    f: Format,
    id: CampaignId,
    is_running: bool,
    /// Where it is shown: the overview has less of it.
    is_overview: bool,
    handled: i64,
    audience: i64,
    /// How long it will still take, in words, while that can be told.
    left: Option<String>,
    tally: Tally,
}

impl askama::filters::HtmlSafe for Progress {}

struct Step {
    words: &'static str,
    n: i64,
    /// Of the audience, for the bar.
    share: String,
    /// Of the step before.
    of_before: String,
    href: String,
}

struct Log {
    status: String,
    reason: String,
    search: String,
    tabs: Vec<(&'static str, &'static str, i64)>,
    reasons: Vec<String>,
    rows: Vec<LogEntry>,
    pager: Pager,
    base: String,
}

impl Log {
    fn tab(&self, status: &str) -> String {
        address(&format!("{}#log", self.base), &[("status", status)])
    }

    fn is_tab(&self, status: &str) -> bool {
        self.status == status
    }

    fn is_reason(&self, reason: &str) -> bool {
        self.reason == reason
    }

    fn is_filtered(&self) -> bool {
        !(self.status.is_empty() && self.reason.is_empty() && self.search.is_empty())
    }
}

impl Report {
    fn net(&self) -> String {
        match self.figures.revenue.first() {
            Some(revenue) => self.shell.f.money(revenue.net(), &revenue.currency),
            None => "–".to_owned(),
        }
    }

    fn refunded(&self) -> String {
        let refunds: Vec<_> = self
            .figures
            .revenue
            .iter()
            .filter(|revenue| revenue.refunded > 0)
            .map(|revenue| self.shell.f.money(revenue.refunded, &revenue.currency))
            .collect();
        if refunds.is_empty() {
            "Nothing refunded so far.".to_owned()
        } else {
            format!("Less {} refunded so far.", refunds.join(" and "))
        }
    }

    fn can(&self, verb: &str) -> bool {
        let status = self.campaign.status.as_str();
        match verb {
            "pause" => matches!(status, "scheduled" | "preparing" | "running"),
            "resume" => matches!(status, "paused" | "failed"),
            "cancel" => matches!(
                status,
                "scheduled" | "preparing" | "running" | "paused" | "failed"
            ),
            "edit" => self.campaign.is_editable(),
            "repair" => {
                self.figures.failed > 0
                    && matches!(status, "running" | "paused" | "finished" | "failed")
            }
            _ => false,
        }
    }

    /// It never started, and asks whether it still should.
    fn asks(&self) -> bool {
        self.campaign.attention.is_some()
            && self.campaign.launched_at.is_none()
            && self.can("resume")
    }

    /// It starts by itself before long: the page looks whether it did.
    fn is_about_to_start(&self) -> bool {
        let campaign = &self.campaign;
        let is_due = campaign
            .scheduled_at
            .is_some_and(|at| at <= self.shell.f.now() + MINUTE);
        campaign.status == "preparing" || campaign.status == "scheduled" && is_due
    }

    fn waiting(&self) -> i64 {
        self.figures.queued + self.figures.sending
    }

    /// One sentence below the title.
    fn subtitle(&self) -> String {
        let f = &self.shell.f;
        let campaign = &self.campaign;
        match (campaign.launched_at, campaign.finished_at) {
            (Some(from), Some(to)) => {
                format!("Sent {} to {}.", f.time(from), f.clock_on(to, from))
            }
            (Some(from), None) => format!("Started {}.", f.time(from)),
            (None, _) => match campaign.scheduled_at {
                Some(at) if campaign.in_subscriber_timezone => {
                    format!("Due {}, each in their own time zone.", f.time(at))
                }
                Some(at) => format!("Due {}.", f.time(at)),
                None => String::new(),
            },
        }
    }

    fn reason(entry: &LogEntry) -> String {
        match (&entry.detail, &entry.reason) {
            (Some(detail), _) => detail.clone(),
            (None, Some(reason)) => words::reason(reason),
            (None, None) if entry.status == "unknown" => {
                "Meta did not confirm it. Not sent again, so it cannot arrive twice.".to_owned()
            }
            (None, None) => String::new(),
        }
    }

    fn sent_at(&self, entry: &LogEntry) -> String {
        let day = self.campaign.launched_at.unwrap_or(entry.due_at);
        entry
            .sent_at
            .map(|at| self.shell.f.clock_on(at, day))
            .unwrap_or_default()
    }

    fn later(&self, at: Option<&i64>, entry: &LogEntry) -> String {
        let day = entry.sent_at.unwrap_or(entry.due_at);
        at.map(|at| self.shell.f.clock_on(at, day))
            .unwrap_or_default()
    }
}

/// The furthest that is known of a message.
fn furthest(entry: &LogEntry) -> &str {
    if entry.status != "sent" {
        return &entry.status;
    }
    if entry.clicked_at.is_some() {
        "clicked"
    } else if entry.read_at.is_some() {
        "read"
    } else if entry.delivered_at.is_some() {
        "delivered"
    } else {
        "sent"
    }
}

async fn show(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    if campaign.status == "draft" {
        return Ok(see_other(&format!("/app/campaigns/{}/edit", campaign.id)));
    }
    let (app, ws) = (&web.app, session.ws());
    let figures = analytics::campaign(app, ws, campaign.id).await?;
    let clicks = analytics::campaign_links(app, ws, campaign.id).await?;

    let filter = LogFilter {
        status: fields.optional("status").map(str::to_owned),
        reason: fields.optional("reason").map(str::to_owned),
        search: fields.optional("q").map(str::to_owned),
    };
    let from = fields.optional("cursor");
    let cursor = Cursor::parse(from, Some(ROWS)).ok_or(Error::NotFound)?;
    let found = analytics::campaign_log(app, ws, campaign.id, &filter, cursor).await?;

    let base = format!("/app/campaigns/{}", campaign.id);
    let kept = [
        ("status", fields.get("status")),
        ("reason", fields.get("reason")),
        ("q", fields.get("q")),
    ];
    let shown = i64::try_from(found.rows.len())?;
    let log = Log {
        tabs: log_tabs(&figures),
        reasons: figures
            .skipped_why
            .iter()
            .chain(&figures.failed_why)
            .map(|(reason, _)| reason.clone())
            .collect(),
        pager: Pager::new(
            &format!("{base}#log"),
            &kept,
            from,
            found.next.as_deref(),
            format!("{} on this page", words::people(shown)),
        ),
        rows: found.rows,
        status: filter.status.unwrap_or_default(),
        reason: filter.reason.unwrap_or_default(),
        search: filter.search.unwrap_or_default(),
        base,
    };
    page(&Report {
        audience: audience_words(&campaign.audience),
        progress: progress_of(session.format(), &campaign, &figures, false),
        funnel: funnel(campaign.id, &figures),
        links: links(&campaign, &clicks),
        skipped: reasons(campaign.id, "skipped", &figures.skipped_why),
        failed: failures(campaign.id, &figures),
        window: session.workspace.attribution_window_days,
        shell: session.shell(Nav::Campaigns, campaign.name.clone()),
        figures,
        log,
        campaign,
    })
}

async fn progress(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    let figures = analytics::campaign(&web.app, session.ws(), campaign.id).await?;
    let is_overview = fields.get("in") == "overview";
    let mut response = page(&progress_of(
        session.format(),
        &campaign,
        &figures,
        is_overview,
    ))?;
    let seen = fields.get("seen");
    if !seen.is_empty() && campaign.status != seen {
        // What stands around it (badge, buttons) changed too.
        response
            .headers_mut()
            .insert("hx-refresh", axum::http::HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn progress_of(f: Format, campaign: &Campaign, figures: &Figures, is_overview: bool) -> Progress {
    let is_running = campaign.status == "running";
    Progress {
        id: campaign.id,
        is_running,
        is_overview,
        handled: figures.handled(),
        audience: figures.audience(),
        left: if is_running {
            time_left(&f, campaign, figures)
        } else {
            None
        },
        tally: tally(campaign.id, figures),
        f,
    }
}

/// From how long it took so far; nothing while too few are done to tell.
fn time_left(f: &Format, campaign: &Campaign, figures: &Figures) -> Option<String> {
    let took = f.now() - campaign.launched_at?;
    let waiting = figures.queued + figures.sending;
    if figures.handled() < 20 || took <= 0 || waiting == 0 {
        return None;
    }
    let left = i128::from(took) * i128::from(waiting) / i128::from(figures.handled());
    Some(f.duration(i64::try_from(left).ok()?.max(1_000)))
}

fn funnel(id: CampaignId, figures: &Figures) -> Vec<Step> {
    let audience = figures.audience();
    let steps = [
        ("Audience", audience, log_path(id, "")),
        ("Sent", figures.sent, log_path(id, "sent")),
        ("Delivered", figures.delivered, log_path(id, "delivered")),
        ("Read", figures.read, log_path(id, "read")),
        ("Clicked", figures.clicked, log_path(id, "clicked")),
        (
            "Orders",
            figures.orders,
            format!("/app/orders?campaign={id}"),
        ),
    ];
    let mut before = audience;
    steps
        .into_iter()
        .map(|(words, n, href)| {
            let share = if audience == 0 {
                0
            } else {
                n.min(audience) * 10_000 / audience
            };
            let step = Step {
                words,
                n,
                share: format!("{}.{:02}%", share / 100, share % 100),
                of_before: format::percent(n, before),
                href,
            };
            before = n;
            step
        })
        .collect()
}

fn links(campaign: &Campaign, clicks: &[analytics::LinkClicks]) -> Option<Bars> {
    let names = link_names(&campaign.message);
    let rows: Vec<_> = clicks
        .iter()
        .map(|link| Bar {
            words: usize::try_from(link.link)
                .ok()
                .and_then(|i| names.get(i).cloned())
                .unwrap_or_else(|| format!("Link {}", link.link + 1)),
            note: words::count(link.clicks, "click", "clicks"),
            n: link.people,
            href: None,
        })
        .collect();
    (!rows.is_empty()).then_some(Bars {
        rows,
        is_grey: false,
    })
}

/// What a person sees of each link, in the order of `Message::urls`.
fn link_names(message: &Message) -> Vec<String> {
    fn of(buttons: &[Button]) -> Vec<String> {
        buttons
            .iter()
            .filter_map(|button| match button {
                Button::Url { title, .. } => Some(title.clone()),
                Button::Postback { .. } => None,
            })
            .collect()
    }
    match message {
        Message::Text { text, buttons, .. } => urls_in(text)
            .map(str::to_owned)
            .chain(of(buttons))
            .collect(),
        Message::Cards { text, cards } => text
            .iter()
            .flat_map(|text| urls_in(text))
            .map(str::to_owned)
            .chain(cards.iter().flat_map(|card| {
                let named = |button| format!("{}: {button}", card.title);
                of(&card.buttons).into_iter().map(named).collect::<Vec<_>>()
            }))
            .collect(),
        Message::Media { buttons, .. } => of(buttons),
        Message::Coupon { title, .. } => vec![title.clone()],
    }
}

fn reasons(id: CampaignId, status: &str, why: &[(String, i64)]) -> Bars {
    Bars {
        rows: why
            .iter()
            .map(|(reason, n)| Bar {
                words: words::reason(reason),
                note: words::reason_note(reason).to_owned(),
                n: *n,
                href: Some(address(
                    &format!("/app/campaigns/{id}#log"),
                    &[("status", status), ("reason", reason)],
                )),
            })
            .collect(),
        is_grey: true,
    }
}

fn failures(id: CampaignId, figures: &Figures) -> Bars {
    let mut bars = reasons(id, "failed", &figures.failed_why);
    if figures.unknown > 0 {
        bars.rows.push(Bar {
            words: "Unknown".to_owned(),
            note: "The connection broke while Meta was answering. Not sent again, so nobody got \
                   two; a receipt settles them."
                .to_owned(),
            n: figures.unknown,
            href: Some(log_path(id, "unknown")),
        });
    }
    bars
}

fn log_tabs(figures: &Figures) -> Vec<(&'static str, &'static str, i64)> {
    [
        ("", "All", figures.audience()),
        ("sent", "Sent", figures.sent),
        ("queued", "Waiting", figures.queued),
        ("sending", "Sending", figures.sending),
        ("skipped", "Skipped", figures.skipped),
        ("failed", "Failed", figures.failed),
        ("unknown", "Unknown", figures.unknown),
    ]
    .into_iter()
    .filter(|(status, _, n)| status.is_empty() || *n > 0)
    .collect()
}

#[cfg(test)]
#[path = "campaign_report_tests.rs"]
mod tests;

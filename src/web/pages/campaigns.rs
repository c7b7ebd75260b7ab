//! The list of campaigns, and what can be done to a draft from outside its editor.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};

use super::answer::{Answer, page, see_other_saying};
use super::error::{Error, of_campaign};
use super::fields::Fields;
use super::parts::{Pager, Tally, address};
use super::session::Session;
use super::shell::{Nav, Shell};
use super::words;
use crate::analytics::{self, Figures};
use crate::app::App;
use crate::campaigns::{self, Audience, Campaign, Condition, Draft};
use crate::store::ids::{CampaignId, WorkspaceId};
use crate::store::page::Cursor;
use crate::web::Web;

/// Query value and words; the first is all of them.
const TABS: [(&str, &str); 8] = [
    ("", "All"),
    ("draft", "Drafts"),
    ("scheduled", "Scheduled"),
    ("running", "Running"),
    ("paused", "Paused"),
    ("finished", "Finished"),
    ("cancelled", "Cancelled"),
    ("failed", "Failed"),
];

const ROWS: i64 = 25;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/campaigns", get(list))
        .route("/app/campaigns/{id}/copy", post(copy))
        .route("/app/campaigns/{id}/delete", post(delete))
}

/// A campaign in a list, with what became of it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub campaign: Campaign,
    pub figures: Figures,
}

impl Row {
    /// Adds the figures to a page of campaigns.
    pub(super) async fn of(
        app: &App,
        ws: WorkspaceId,
        campaigns: Vec<Campaign>,
    ) -> anyhow::Result<Vec<Self>> {
        let ids: Vec<_> = campaigns.iter().map(|campaign| campaign.id).collect();
        let figures = analytics::campaigns(app, ws, &ids).await?;
        Ok(campaigns
            .into_iter()
            .zip(figures)
            .map(|(campaign, figures)| Self { campaign, figures })
            .collect())
    }

    pub(super) fn path(&self) -> String {
        format!("/app/campaigns/{}", self.campaign.id)
    }

    pub(super) fn audience(&self) -> String {
        let words = audience_words(&self.campaign.audience);
        let mut letters = words.chars();
        let first = letters.next().map(char::to_uppercase);
        first.into_iter().flatten().chain(letters).collect()
    }

    pub(super) fn tally(&self) -> Tally {
        Tally::of(&self.figures, |_| None).mini()
    }

    pub(super) fn was_launched(&self) -> bool {
        self.campaign.launched_at.is_some()
    }

    pub(super) fn rows(&self, status: &str) -> String {
        log_path(self.campaign.id, status)
    }

    pub(super) fn when(&self, shell: &Shell) -> String {
        let campaign = &self.campaign;
        match campaign.launched_at.or(campaign.scheduled_at) {
            Some(at) => shell.f.time(at),
            None => format!("Edited {}", shell.f.ago(campaign.updated_at)),
        }
    }

    pub(super) fn orders_path(&self) -> String {
        format!("/app/orders?campaign={}", self.campaign.id)
    }
}

/// The rows of a status in a campaign's log.
pub(super) fn log_path(id: CampaignId, status: &str) -> String {
    address(&format!("/app/campaigns/{id}#log"), &[("status", status)])
}

/// `everyone, but not tag “wholesale”`, to stand inside a sentence.
pub(super) fn audience_words(audience: &Audience) -> String {
    let join = |conditions: &[Condition], or: &str| {
        conditions
            .iter()
            .map(condition_words)
            .collect::<Vec<_>>()
            .join(or)
    };
    let mut words = join(&audience.include, " or ");
    if !audience.exclude.is_empty() {
        words.push_str(", but not ");
        words.push_str(&join(&audience.exclude, " or "));
    }
    words
}

fn condition_words(condition: &Condition) -> String {
    let days = |n: &i64| words::count(*n, "day", "days");
    match condition {
        Condition::Everyone {} => "everyone".to_owned(),
        Condition::Tag { tag } => format!("tag “{tag}”"),
        Condition::KlaviyoSegment { segment_id } => format!("Klaviyo segment {segment_id}"),
        Condition::KlaviyoList { list_id } => format!("Klaviyo list {list_id}"),
        Condition::Ordered { days: n } => format!("ordered in the last {}", days(n)),
        Condition::NotOrdered { days: n } => format!("no order in the last {}", days(n)),
        Condition::Clicked { days: n } => format!("clicked in the last {}", days(n)),
        Condition::Source { source } => {
            format!("joined by {}", words::source(source).to_lowercase())
        }
    }
}

#[derive(Template)]
#[template(path = "campaigns/list.html")]
struct List {
    shell: Shell,
    status: &'static str,
    rows: Vec<Row>,
    pager: Pager,
    window: i64,
}

impl List {
    fn tabs() -> &'static [(&'static str, &'static str)] {
        &TABS
    }

    fn is_tab(&self, status: &str) -> bool {
        self.status == status
    }

    fn tab_path(status: &str) -> String {
        address("/app/campaigns", &[("status", status)])
    }
}

async fn list(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let status = TABS
        .iter()
        .find(|(status, _)| *status == fields.get("status"))
        .map_or("", |(status, _)| status);
    let from = fields.optional("cursor");
    let cursor = Cursor::parse(from, Some(ROWS)).ok_or(Error::NotFound)?;
    let wanted = Some(status).filter(|status| !status.is_empty());
    let found = campaigns::list(&web.app, session.ws(), wanted, cursor).await?;
    let rows = Row::of(&web.app, session.ws(), found.rows).await?;
    let counted = words::count(
        i64::try_from(rows.len())?,
        "campaign",
        "campaigns on this page",
    );
    page(&List {
        shell: session.shell(Nav::Campaigns, "Campaigns"),
        status,
        pager: Pager::new(
            "/app/campaigns",
            &[("status", status)],
            from,
            found.next.as_deref(),
            counted,
        ),
        rows,
        window: session.workspace.attribution_window_days,
    })
}

/// A draft with the same words and audience, to be changed and sent anew.
async fn copy(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    let draft = Draft {
        name: copied_name(&campaign.name),
        message: campaign.message,
        audience: campaign.audience,
        channel: campaign.channel,
        utm: campaign.utm,
    };
    let copy = campaigns::create(&web.app, session.ws(), draft)
        .await
        .map_err(of_campaign)?;
    let path = format!("/app/campaigns/{}/edit", copy.id);
    Ok(see_other_saying(&path, "Copied into a new draft"))
}

async fn delete(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    campaigns::delete(&web.app, session.ws(), campaign.id)
        .await
        .map_err(of_campaign)?;
    let said = format!("“{}” is deleted", campaign.name);
    Ok(see_other_saying("/app/campaigns", &said))
}

/// The campaign of an address, if it is this workspace's.
pub(super) async fn find(web: &Web, session: &Session, id: &str) -> Result<Campaign, Error> {
    let id: CampaignId = id.parse().map_err(|_| Error::NotFound)?;
    campaigns::find(&web.app, session.ws(), id)
        .await
        .map_err(of_campaign)
}

/// Within the 120 characters a name may have.
fn copied_name(name: &str) -> String {
    let copy = format!("Copy of {name}");
    copy.chars()
        .take(120)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::analytics::Revenue;
    use crate::delivery::Message;

    /// A campaign as it comes from the database.
    pub(crate) fn sample(status: &str) -> Campaign {
        let now = 1_795_539_600_000;
        let is_open = matches!(status, "draft" | "scheduled" | "preparing");
        Campaign {
            id: CampaignId(77),
            workspace: WorkspaceId(1),
            name: "Winter Blend & <friends>".to_owned(),
            message: serde_json::from_value::<Message>(serde_json::json!({
                "kind": "text", "text": "Hi {{first_name}}, it is back.",
                "buttons": [{"kind": "url", "title": "Shop the kit", "url": "https://shop.example/kit"}],
                "quick_replies": []
            }))
            .unwrap(),
            audience: serde_json::from_value(serde_json::json!({
                "include": [{"kind": "everyone"}],
                "exclude": [{"kind": "tag", "tag": "wholesale"}],
                "holdout_percent": 5
            }))
            .unwrap(),
            channel: "auto".to_owned(),
            utm: vec![("utm_content".to_owned(), "a".to_owned())],
            status: status.to_owned(),
            scheduled_at: Some(now).filter(|_| status != "draft"),
            timezone: Some("America/Los_Angeles".to_owned()),
            in_subscriber_timezone: false,
            late_limit_minutes: 60,
            attention: None,
            created_at: now,
            updated_at: now,
            launched_at: Some(now).filter(|_| !is_open),
            paused_at: None,
            finished_at: Some(now + 180_000).filter(|_| status == "finished"),
        }
    }

    pub(crate) fn figures() -> Figures {
        Figures {
            queued: 16_109,
            sending: 304,
            sent: 27_902,
            delivered: 26_310,
            read: 4_806,
            clicked: 391,
            clicks: 420,
            failed: 24,
            skipped: 1_951,
            unknown: 7,
            skipped_why: vec![("capped".to_owned(), 1_220), ("no_token".to_owned(), 731)],
            failed_why: vec![("not_reachable".to_owned(), 24)],
            orders: 6,
            revenue: vec![Revenue {
                currency: "USD".to_owned(),
                gross: 32_240,
                refunded: 1_000,
            }],
        }
    }

    fn list(rows: Vec<Row>, status: &'static str) -> String {
        List {
            shell: Shell::sample(Nav::Campaigns),
            status,
            rows,
            pager: Pager::new(
                "/app/campaigns",
                &[],
                None,
                Some("z"),
                "1 campaign".to_owned(),
            ),
            window: 7,
        }
        .render()
        .unwrap()
    }

    #[test]
    fn a_row_says_who_when_and_what_came_of_it() {
        let row = |status| Row {
            campaign: sample(status),
            figures: figures(),
        };
        let html = list(vec![row("running"), row("draft")], "");
        assert!(html.contains("Winter Blend &#38; &#60;friends&#62;"));
        assert!(html.contains("Everyone, but not tag “wholesale”"));
        assert!(html.contains("class=\"tally mini\""));
        assert!(html.contains("$312.40"));
        assert!(html.contains("Edited just now"));
        assert!(html.contains("?status=sent#log"));
        assert!(html.contains("cursor=z"));
    }

    #[test]
    fn an_empty_list_says_what_will_stand_here_and_an_empty_tab_leads_back() {
        assert!(list(Vec::new(), "").contains("Write a campaign"));
        assert!(list(Vec::new(), "paused").contains("Show all campaigns"));
    }

    #[test]
    fn a_copied_name_still_fits() {
        assert_eq!(copied_name("Sale"), "Copy of Sale");
        assert_eq!(copied_name(&"x".repeat(120)).chars().count(), 120);
    }
}

//! Writing a campaign: message, audience, estimate, schedule, test. What has to be mended is said
//! beside its field, and nothing that was typed is lost.

use std::fmt;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

use super::answer::{Answer, page, page_with, see_other, see_other_saying};
use super::campaign_form::{ButtonSlot, CampaignForm};
use super::campaign_parts::{Buttons, EstimatePart, Mark, Problems, When, condition_kinds};
use super::campaigns::find;
use super::coupon_code;
use super::error::{Error, of_campaign};
use super::fields::Fields;
use super::parts::address;
use super::products;
use super::session::Session;
use super::shell::{Nav, Shell};
use crate::campaigns::{self, Campaign, Estimate, Patch, Schedule};
use crate::delivery::Problem;
use crate::delivery::limits::{BUTTON_TITLE, CARD_TEXT, CARDS, TEXT};
use crate::store::ids::CampaignId;
use crate::store::page::Cursor;
use crate::subscribers::{self, Subscriber};
use crate::web::Web;
use crate::{profiles, workspaces};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/campaigns/new", get(blank).post(create))
        .route("/app/campaigns/estimate", post(estimate))
        .route("/app/campaigns/{id}/edit", get(edit).post(save))
        .route("/app/campaigns/{id}/schedule", post(schedule))
        .route("/app/campaigns/{id}/test", post(test))
}

#[derive(Template)]
#[template(path = "campaigns/edit.html")]
struct Edit {
    shell: Shell,
    /// Absent while it was never stored.
    campaign: Option<Campaign>,
    form: CampaignForm,
    when: When,
    problems: Problems,
    estimate: EstimatePart,
    kinds: Vec<(String, String)>,
    page_name: String,
    zone: String,
    window: i64,
    /// Asks whether to send it, and to how many.
    confirm: Option<Confirm>,
    /// Asks whom to send a test to.
    testers: Option<Vec<Subscriber>>,
}

struct Confirm {
    estimate: Estimate,
    when: String,
}

impl Confirm {
    fn reachable(&self) -> i64 {
        self.estimate.paid + self.estimate.free
    }
}

impl Edit {
    fn title(&self) -> &str {
        self.campaign
            .as_ref()
            .map_or("New campaign", |campaign| campaign.name.as_str())
    }

    fn status(&self) -> &str {
        self.campaign
            .as_ref()
            .map_or("draft", |campaign| campaign.status.as_str())
    }

    fn path(&self) -> String {
        match &self.campaign {
            Some(campaign) => format!("/app/campaigns/{}", campaign.id),
            None => "/app/campaigns".to_owned(),
        }
    }

    fn action(&self) -> String {
        match &self.campaign {
            Some(campaign) => format!("/app/campaigns/{}/edit", campaign.id),
            None => "/app/campaigns/new".to_owned(),
        }
    }

    fn max(what: &str) -> usize {
        match what {
            "text" => TEXT,
            "card" => CARD_TEXT,
            _ => BUTTON_TITLE,
        }
    }

    fn buttons<'a>(
        &'a self,
        prefix: impl AsRef<str>,
        pointer: impl AsRef<str>,
        slots: &'a [ButtonSlot],
    ) -> Buttons<'a> {
        Buttons {
            prefix: prefix.as_ref().to_owned(),
            pointer: pointer.as_ref().to_owned(),
            slots,
            problems: &self.problems,
        }
    }

    fn card_buttons<'a>(&'a self, i: impl fmt::Display, slots: &'a [ButtonSlot]) -> Buttons<'a> {
        self.buttons(
            format!("c{i}b"),
            format!("/message/cards/{i}/buttons"),
            slots,
        )
    }

    fn err(&self, pointer: impl AsRef<str>) -> Mark {
        self.problems.said(pointer.as_ref())
    }

    fn aria(&self, pointer: impl AsRef<str>) -> Mark {
        self.problems.aria(pointer.as_ref())
    }

    fn card_err(&self, i: impl fmt::Display, field: &str) -> Mark {
        self.problems.said(&format!("/message/cards/{i}{field}"))
    }

    fn card_aria(&self, i: impl fmt::Display, field: &str) -> Mark {
        self.problems.aria(&format!("/message/cards/{i}{field}"))
    }

    fn reply_err(&self, i: impl fmt::Display) -> Mark {
        self.problems
            .said_under(&format!("/message/quick_replies/{i}"))
    }

    fn condition_err(&self, list: &str, i: impl fmt::Display) -> Mark {
        self.problems.said_under(&format!("/audience/{list}/{i}"))
    }

    fn can_add_card(&self) -> bool {
        self.form.cards.len() < CARDS
    }

    fn is(one: impl AsRef<str>, other: impl AsRef<str>) -> bool {
        one.as_ref() == other.as_ref()
    }

    /// A segment that is not among the known ones any more is still shown as chosen.
    fn is_known(&self, kind: &str) -> bool {
        kind.is_empty() || self.kinds.iter().any(|(known, _)| known == kind)
    }

    fn utm_err(&self, key: &str) -> Mark {
        self.problems.said(&format!("/utm/{key}"))
    }

    fn utm_default(key: &str) -> String {
        match key {
            "utm_source" => "pagecast".to_owned(),
            "utm_medium" => "messenger".to_owned(),
            "utm_campaign" => "the campaign’s name".to_owned(),
            _ => String::new(),
        }
    }
}

/// Everything that the editor shows beside what was typed.
struct Around {
    when: When,
    problems: Vec<Problem>,
    estimate: Option<Estimate>,
    confirm: Option<Confirm>,
    testers: Option<Vec<Subscriber>>,
}

impl Around {
    fn new(when: When) -> Self {
        Self {
            when,
            problems: Vec::new(),
            estimate: None,
            confirm: None,
            testers: None,
        }
    }
}

async fn draw(
    web: &Web,
    session: &Session,
    campaign: Option<Campaign>,
    form: CampaignForm,
    around: Around,
) -> Answer {
    let app = &web.app;
    let groups = profiles::groups(app, session.ws()).await?;
    let pages = workspaces::pages(app, session.ws()).await?;
    let status = if around.problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let title = campaign
        .as_ref()
        .map_or_else(|| "New campaign".to_owned(), |known| known.name.clone());
    let shell = session.shell(Nav::Campaigns, title);
    let page_name = match pages.as_slice() {
        [] => "Your Page".to_owned(),
        [only] => only.name.clone(),
        [first, ..] => first.name.clone(),
    };
    page_with(
        status,
        &Edit {
            estimate: EstimatePart {
                f: shell.f.clone(),
                estimate: around.estimate,
                has_audience: !form.include.is_empty(),
            },
            zone: shell.f.zone(),
            shell,
            campaign,
            form: form.with_room(),
            when: around.when,
            problems: Problems(around.problems),
            kinds: condition_kinds(&groups),
            page_name,
            window: session.workspace.attribution_window_days,
            confirm: around.confirm,
            testers: around.testers,
        },
    )
}

async fn blank(State(web): State<Web>, session: Session) -> Answer {
    let when = When::of(None, &session.format());
    draw(&web, &session, None, CampaignForm::new(), Around::new(when)).await
}

async fn edit(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    if !campaign.is_editable() {
        return Ok(see_other(&format!("/app/campaigns/{}", campaign.id)));
    }
    let f = session.format();
    let mut around = Around::new(When::of(Some(&campaign), &f));
    if fields.has("confirm") {
        around.when = When::read(&fields);
        match around.when.schedule(&session) {
            Ok(schedule) => {
                let estimate = campaigns::estimate(
                    &web.app,
                    session.ws(),
                    &campaign.audience,
                    &campaign.channel,
                )
                .await?;
                around.estimate = Some(estimate.clone());
                around.confirm = Some(Confirm {
                    estimate,
                    when: when_words(&schedule, &session),
                });
            }
            Err(problem) => around.problems.push(problem),
        }
    }
    if fields.has("test") {
        let filter = subscribers::Filter {
            status: Some(subscribers::Status::Subscribed),
            ..subscribers::Filter::default()
        };
        let cursor = Cursor {
            after: None,
            limit: 20,
        };
        let found = subscribers::list(&web.app, session.ws(), &filter, cursor).await?;
        around.testers = Some(found.rows);
    }
    let form = CampaignForm::of(&campaign);
    draw(&web, &session, Some(campaign), form, around).await
}

fn when_words(schedule: &Schedule, session: &Session) -> String {
    let f = session.format();
    match schedule.at {
        None => "It goes out as soon as it is ready.".to_owned(),
        Some(at) if schedule.in_subscriber_timezone => {
            format!(
                "It goes out {}, in each subscriber’s own time zone.",
                f.time(at)
            )
        }
        Some(at) => format!("It goes out {}, {}.", f.time(at), f.zone()),
    }
}

async fn create(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    store(&web, &session, None, &fields).await
}

async fn save(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    store(&web, &session, Some(campaign), &fields).await
}

/// What the pressed button asks: more room and a count only draw anew, everything else stores.
async fn store(
    web: &Web,
    session: &Session,
    campaign: Option<Campaign>,
    fields: &Fields,
) -> Answer {
    let (app, ws) = (&web.app, session.ws());
    let form = CampaignForm::read(fields);
    let mut around = Around::new(When::read(fields));
    if let Some(id) = fields.get("do").strip_prefix("pick:") {
        let (form, problem) = products::pick(web, session, form, id).await?;
        around.problems.extend(problem);
        return draw(web, session, campaign, form, around).await;
    }
    match fields.get("do") {
        "more" => return draw(web, session, campaign, form, around).await,
        "card" => {
            return draw(web, session, campaign, form.with_another_card(), around).await;
        }
        "count" => {
            let counted = campaigns::estimate(app, ws, &form.audience(), &form.channel).await?;
            around.estimate = Some(counted);
            return draw(web, session, campaign, form, around).await;
        }
        _ => {}
    }
    let draft = form.draft();
    let stored = match &campaign {
        None => campaigns::create(app, ws, draft).await,
        Some(known) => {
            let patch = Patch {
                name: Some(draft.name),
                message: Some(draft.message),
                audience: Some(draft.audience),
                channel: Some(draft.channel),
                utm: Some(draft.utm),
            };
            campaigns::patch(app, ws, known.id, patch).await
        }
    };
    let stored = match stored {
        Ok(stored) => stored,
        Err(campaigns::Error::Invalid(problems)) => {
            around.problems = problems;
            return draw(web, session, campaign, form, around).await;
        }
        Err(error) => return Err(of_campaign(error)),
    };
    let path = format!("/app/campaigns/{}/edit", stored.id);
    if fields.get("do") == "make_code" {
        return match coupon_code::make(web, session, &form).await? {
            Ok(said) => Ok(see_other_saying(&path, &said)),
            Err(problem) => {
                around.problems.push(problem);
                draw(web, session, Some(stored), form, around).await
            }
        };
    }
    Ok(match fields.get("do") {
        "schedule" => see_other(&around.when.confirm_path(&path)),
        "test" => see_other(&address(&path, &[("test", "1")])),
        _ => see_other_saying(&path, "Saved"),
    })
}

/// Who would get what is in the form now.
async fn estimate(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let form = CampaignForm::read(&fields);
    let found = if form.include.is_empty() {
        None
    } else {
        let audience = form.audience();
        Some(campaigns::estimate(&web.app, session.ws(), &audience, &form.channel).await?)
    };
    page(&EstimatePart {
        f: session.format(),
        has_audience: !form.include.is_empty(),
        estimate: found,
    })
}

async fn schedule(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    let when = When::read(&fields);
    let wanted = match when.schedule(&session) {
        Ok(wanted) => wanted,
        Err(problem) => return refuse(&web, &session, campaign, when, vec![problem]).await,
    };
    let said = match wanted.at {
        None => "It goes out now".to_owned(),
        Some(at) => format!("Scheduled for {}", session.format().time(at)),
    };
    match campaigns::schedule(&web.app, session.ws(), campaign.id, wanted).await {
        Ok(campaign) => Ok(to_report(campaign.id, &said)),
        Err(campaigns::Error::Invalid(problems)) => {
            refuse(&web, &session, campaign, when, problems).await
        }
        Err(error) => Err(of_campaign(error)),
    }
}

fn to_report(id: CampaignId, said: &str) -> Response {
    see_other_saying(&format!("/app/campaigns/{id}"), said)
}

async fn refuse(
    web: &Web,
    session: &Session,
    campaign: Campaign,
    when: When,
    problems: Vec<Problem>,
) -> Answer {
    let form = CampaignForm::of(&campaign);
    let around = Around {
        problems,
        ..Around::new(when)
    };
    draw(web, session, Some(campaign), form, around).await
}

async fn test(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    let to = fields
        .optional("other")
        .unwrap_or_else(|| fields.get("subscriber"))
        .parse()
        .map_err(|_| {
            Error::refused(
                "No test was sent",
                "Choose a subscriber, or give an id as it stands in the address of their page \
                 (sub_…).",
            )
        })?;
    campaigns::test_send(&web.app, session.ws(), campaign.id, to, web.app.ids.next())
        .await
        .map_err(of_campaign)?;
    let path = format!("/app/campaigns/{}/edit", campaign.id);
    Ok(see_other_saying(&path, "The test is on its way"))
}

#[cfg(test)]
#[path = "campaign_edit_tests.rs"]
mod tests;

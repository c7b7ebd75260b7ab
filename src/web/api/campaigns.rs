//! Campaigns: write, schedule, pause, resume, cancel, try, and read what became of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::analytics::{self, Figures};
use crate::campaigns::{self, Audience};
use crate::clock::rfc3339;
use crate::delivery::Message;
use crate::store::ids::{CampaignId, SubscriberId};
use crate::web::Web;
use crate::web::api::access::Caller;
use crate::web::api::idempotency::NewId;
use crate::web::api::problem::Problem;
use crate::web::api::request::{Body, Id, Params, cursor};
use crate::web::api::schedule::{self, NewSchedule, Schedule};
use crate::web::api::shapes::{Listed, Outcome};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Channel {
    /// Each subscriber's free window if it is open, else the paid marketing message.
    Auto,
    MarketingMessage,
    Standard,
}

impl Channel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::MarketingMessage => "marketing_message",
            Self::Standard => "standard",
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCampaign {
    name: String,
    message: Message,
    audience: Audience,
    /// `auto` when absent.
    channel: Option<Channel>,
    /// UTM parameters of its links, as `{"utm_content": "hero"}`; those not named have defaults.
    utm: Option<BTreeMap<String, String>>,
    /// Schedules it at once; a draft when absent.
    schedule: Option<NewSchedule>,
}

/// What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CampaignPatch {
    #[schema(nullable = false)]
    name: Option<String>,
    #[schema(nullable = false)]
    message: Option<Message>,
    #[schema(nullable = false)]
    audience: Option<Audience>,
    #[schema(nullable = false)]
    channel: Option<Channel>,
    /// Replaces all of them.
    #[schema(nullable = false)]
    utm: Option<BTreeMap<String, String>>,
    /// Schedules it with these changes.
    #[schema(nullable = false)]
    schedule: Option<NewSchedule>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Campaign {
    #[schema(example = "cmp_0t2zq3k5s0w2m")]
    id: String,
    name: String,
    message: Message,
    audience: Audience,
    channel: String,
    utm: BTreeMap<String, String>,
    /// draft, scheduled, preparing, running, paused, finished, cancelled or failed.
    status: String,
    schedule: Option<Schedule>,
    /// What you must know or decide, in words.
    attention: Option<String>,
    created_at: String,
    updated_at: String,
    launched_at: Option<String>,
    paused_at: Option<String>,
    finished_at: Option<String>,
    #[serde(flatten)]
    outcome: Outcome,
}

impl Campaign {
    fn new(campaign: campaigns::Campaign, figures: Figures) -> Self {
        Self {
            id: campaign.id.to_string(),
            schedule: Schedule::of(&campaign),
            name: campaign.name,
            message: campaign.message,
            audience: campaign.audience,
            channel: campaign.channel,
            utm: campaign.utm.into_iter().collect(),
            status: campaign.status,
            attention: campaign.attention,
            created_at: rfc3339(campaign.created_at),
            updated_at: rfc3339(campaign.updated_at),
            launched_at: campaign.launched_at.map(rfc3339),
            paused_at: campaign.paused_at.map(rfc3339),
            finished_at: campaign.finished_at.map(rfc3339),
            outcome: figures.into(),
        }
    }
}

pub(super) async fn counted(
    web: &Web,
    ws: Caller,
    campaign: campaigns::Campaign,
) -> Result<Json<Campaign>, Problem> {
    let figures = analytics::campaign(&web.app, ws.0, campaign.id).await?;
    Ok(Json(Campaign::new(campaign, figures)))
}

/// Create a campaign
///
/// A draft, or with `schedule` a scheduled campaign.
#[utoipa::path(post, path = "/campaigns", tag = "Campaigns", request_body = NewCampaign,
    responses((status = 201, description = "The campaign.", body = Campaign)))]
pub(super) async fn create_campaign(
    State(web): State<Web>,
    caller: Caller,
    id: NewId,
    Body(new): Body<NewCampaign>,
) -> Result<(StatusCode, Json<Campaign>), Problem> {
    let when = match &new.schedule {
        Some(when) => Some(schedule::read(&web.app, caller.0, when, "/schedule").await?),
        None => None,
    };
    let draft = campaigns::Draft {
        name: new.name,
        message: new.message,
        audience: new.audience,
        channel: new.channel.unwrap_or(Channel::Auto).as_str().to_owned(),
        utm: new.utm.unwrap_or_default().into_iter().collect(),
    };
    let campaign = match when {
        Some(when) => campaigns::create_scheduled(&web.app, caller.0, id.get(), draft, when)
            .await
            .map_err(|error| schedule::refused(error, "/schedule"))?,
        None => campaigns::create_as(&web.app, caller.0, id.get(), draft).await?,
    };
    let answer = counted(&web, caller, campaign).await?;
    Ok((StatusCode::CREATED, answer))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CampaignList {
    /// Only campaigns in this status.
    status: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 50 when absent.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

const STATUSES: [&str; 8] = [
    "draft",
    "scheduled",
    "preparing",
    "running",
    "paused",
    "finished",
    "cancelled",
    "failed",
];

/// List campaigns
///
/// Newest first.
#[utoipa::path(get, path = "/campaigns", tag = "Campaigns", params(CampaignList),
    responses((status = 200, description = "One page.", body = Listed<Campaign>)))]
pub(super) async fn list_campaigns(
    State(web): State<Web>,
    caller: Caller,
    Params(query): Params<CampaignList>,
) -> Result<Json<Listed<Campaign>>, Problem> {
    let cursor = cursor(query.cursor.as_deref(), query.limit.as_deref())?;
    one_of("status", query.status.as_deref(), &STATUSES)?;
    let page = campaigns::list(&web.app, caller.0, query.status.as_deref(), cursor).await?;
    let ids: Vec<CampaignId> = page.rows.iter().map(|campaign| campaign.id).collect();
    let figures = analytics::campaigns(&web.app, caller.0, &ids).await?;
    let data = page.rows.into_iter().zip(figures);
    Ok(Json(Listed {
        data: data
            .map(|(row, figures)| Campaign::new(row, figures))
            .collect(),
        next_cursor: page.next,
    }))
}

/// Get a campaign
///
/// With what became of its messages and what they earned.
#[utoipa::path(get, path = "/campaigns/{id}", tag = "Campaigns", params(("id" = String, Path)),
    responses((status = 200, description = "The campaign.", body = Campaign)))]
pub(super) async fn get_campaign(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<CampaignId>,
) -> Result<Json<Campaign>, Problem> {
    let campaign = campaigns::find(&web.app, caller.0, id).await?;
    counted(&web, caller, campaign).await
}

/// Change a campaign
///
/// While it has not started. What is absent stays as it is.
#[utoipa::path(patch, path = "/campaigns/{id}", tag = "Campaigns", params(("id" = String, Path)),
    request_body = CampaignPatch,
    responses((status = 200, description = "The campaign.", body = Campaign)))]
pub(super) async fn change_campaign(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<CampaignId>,
    Body(patch): Body<CampaignPatch>,
) -> Result<Json<Campaign>, Problem> {
    let when = match &patch.schedule {
        Some(when) => Some(schedule::read(&web.app, caller.0, when, "/schedule").await?),
        None => None,
    };
    let change = campaigns::Patch {
        name: patch.name,
        message: patch.message,
        audience: patch.audience,
        channel: patch.channel.map(|channel| channel.as_str().to_owned()),
        utm: patch.utm.map(|utm| utm.into_iter().collect()),
    };
    let campaign = match when {
        Some(when) => campaigns::patch_scheduled(&web.app, caller.0, id, change, when)
            .await
            .map_err(|error| schedule::refused(error, "/schedule"))?,
        None => campaigns::patch(&web.app, caller.0, id, change).await?,
    };
    counted(&web, caller, campaign).await
}

/// Delete a campaign
///
/// Only one that never started; cancel the others.
#[utoipa::path(delete, path = "/campaigns/{id}", tag = "Campaigns", params(("id" = String, Path)),
    responses((status = 204, description = "It is gone.")))]
pub(super) async fn delete_campaign(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<CampaignId>,
) -> Result<StatusCode, Problem> {
    campaigns::delete(&web.app, caller.0, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Schedule a campaign
///
/// Without `at` it starts now.
#[utoipa::path(post, path = "/campaigns/{id}/schedule", tag = "Campaigns",
    params(("id" = String, Path)), request_body = NewSchedule,
    responses((status = 200, description = "The campaign.", body = Campaign)))]
pub(super) async fn schedule_campaign(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<CampaignId>,
    Body(when): Body<NewSchedule>,
) -> Result<Json<Campaign>, Problem> {
    campaigns::find(&web.app, caller.0, id).await?;
    let when = schedule::read(&web.app, caller.0, &when, "").await?;
    let campaign = campaigns::schedule(&web.app, caller.0, id, when).await?;
    counted(&web, caller, campaign).await
}

/// Nothing to say: `{}` or no body at all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Pause a campaign
///
/// What is being sent at this moment is finished, the rest waits.
#[utoipa::path(post, path = "/campaigns/{id}/pause", tag = "Campaigns",
    params(("id" = String, Path)), request_body = Nothing,
    responses((status = 200, description = "The campaign.", body = Campaign)))]
pub(super) async fn pause_campaign(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<CampaignId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<Campaign>, Problem> {
    let campaign = campaigns::pause(&web.app, caller.0, id).await?;
    counted(&web, caller, campaign).await
}

/// Resume a paused campaign
#[utoipa::path(post, path = "/campaigns/{id}/resume", tag = "Campaigns",
    params(("id" = String, Path)), request_body = Nothing,
    responses((status = 200, description = "The campaign.", body = Campaign)))]
pub(super) async fn resume_campaign(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<CampaignId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<Campaign>, Problem> {
    let campaign = campaigns::resume(&web.app, caller.0, id).await?;
    counted(&web, caller, campaign).await
}

/// Cancel a campaign
///
/// For good: what is queued will not be sent.
#[utoipa::path(post, path = "/campaigns/{id}/cancel", tag = "Campaigns",
    params(("id" = String, Path)), request_body = Nothing,
    responses((status = 200, description = "The campaign.", body = Campaign)))]
pub(super) async fn cancel_campaign(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<CampaignId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<Campaign>, Problem> {
    let campaign = campaigns::cancel(&web.app, caller.0, id).await?;
    counted(&web, caller, campaign).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestSend {
    #[schema(example = "sub_0t2zq3k5s0w2m")]
    subscriber_id: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TestSent {
    /// The message that was queued; it is no part of the campaign's counts.
    message_id: String,
}

/// Send a test
///
/// The campaign's message to one subscriber, now and outside its counts.
#[utoipa::path(post, path = "/campaigns/{id}/test", tag = "Campaigns",
    params(("id" = String, Path)), request_body = TestSend,
    responses((status = 200, description = "The message is queued.", body = TestSent)))]
pub(super) async fn test_campaign(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<CampaignId>,
    origin: NewId,
    Body(test): Body<TestSend>,
) -> Result<Json<TestSent>, Problem> {
    campaigns::find(&web.app, caller.0, id).await?;
    let Ok(to) = test.subscriber_id.trim().parse::<SubscriberId>() else {
        return Err(Problem::field(
            "/subscriber_id",
            "There is no such subscriber.",
        ));
    };
    let message = campaigns::test_send(&web.app, caller.0, id, to, origin.get()).await?;
    Ok(Json(TestSent {
        message_id: message.to_string(),
    }))
}

/// Refuses a filter that no row can meet.
pub(super) fn one_of(name: &str, value: Option<&str>, words: &[&str]) -> Result<(), Problem> {
    match value {
        Some(value) if !words.contains(&value) => {
            let detail = format!("Use one of: {}.", words.join(", "));
            Err(Problem::parameter(name, &detail))
        }
        _ => Ok(()),
    }
}

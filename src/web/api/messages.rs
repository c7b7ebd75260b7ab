//! One row per subscriber of a campaign.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::analytics::{self, LogEntry, LogFilter};
use crate::campaigns;
use crate::clock::rfc3339;
use crate::store::ids::CampaignId;
use crate::web::Web;
use crate::web::api::access::Caller;
use crate::web::api::campaigns::one_of;
use crate::web::api::problem::Problem;
use crate::web::api::request::{Id, Params, cursor};
use crate::web::api::shapes::Listed;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CampaignMessage {
    id: String,
    subscriber_id: String,
    /// queued, sending, sent, failed, skipped or unknown.
    status: String,
    /// Why it was skipped or failed.
    reason: Option<String>,
    /// The same in words, where there are more to say.
    detail: Option<String>,
    /// `marketing_message` or `standard`, once it is known.
    channel: Option<String>,
    queued_at: String,
    /// Not sent before.
    due_at: String,
    sent_at: Option<String>,
    delivered_at: Option<String>,
    read_at: Option<String>,
    clicked_at: Option<String>,
    /// How often it was tried.
    attempts: i64,
    /// Orders credited to it.
    orders: i64,
}

impl From<LogEntry> for CampaignMessage {
    fn from(entry: LogEntry) -> Self {
        Self {
            id: entry.message.to_string(),
            subscriber_id: entry.subscriber.to_string(),
            status: entry.status,
            reason: entry.reason,
            detail: entry.detail,
            channel: entry.channel,
            queued_at: rfc3339(entry.queued_at),
            due_at: rfc3339(entry.due_at),
            sent_at: entry.sent_at.map(rfc3339),
            delivered_at: entry.delivered_at.map(rfc3339),
            read_at: entry.read_at.map(rfc3339),
            clicked_at: entry.clicked_at.map(rfc3339),
            attempts: entry.attempts,
            orders: entry.orders,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MessageList {
    /// A message's status, or `delivered`, `read`, `clicked`.
    status: Option<String>,
    /// Only those skipped or failed for this reason.
    reason: Option<String>,
    /// Only this subscriber's.
    subscriber_id: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 50 when absent.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

const STATUSES: [&str; 9] = [
    "queued",
    "sending",
    "sent",
    "failed",
    "skipped",
    "unknown",
    "delivered",
    "read",
    "clicked",
];

/// List a campaign's messages
///
/// One row per subscriber, in the order of subscribers: status, reason, times, attempts.
#[utoipa::path(get, path = "/campaigns/{id}/messages", tag = "Campaigns",
    params(("id" = String, Path), MessageList),
    responses((status = 200, description = "One page.", body = Listed<CampaignMessage>)))]
pub(super) async fn list_messages(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<CampaignId>,
    Params(query): Params<MessageList>,
) -> Result<Json<Listed<CampaignMessage>>, Problem> {
    let cursor = cursor(query.cursor.as_deref(), query.limit.as_deref())?;
    one_of("status", query.status.as_deref(), &STATUSES)?;
    if let Some(text) = &query.subscriber_id
        && text.parse::<crate::store::ids::SubscriberId>().is_err()
    {
        return Err(Problem::parameter(
            "subscriber_id",
            "Give a subscriber's id, as sub_…",
        ));
    }
    campaigns::find(&web.app, caller.0, id).await?;
    let filter = LogFilter {
        status: query.status,
        reason: query.reason,
        search: query.subscriber_id,
    };
    let page = analytics::campaign_log(&web.app, caller.0, id, &filter, cursor).await?;
    Ok(Json(Listed::of(page, CampaignMessage::from)))
}

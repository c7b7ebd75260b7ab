//! Repair: what failed is sent again because the caller asks for it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::campaigns;
use crate::store::ids::CampaignId;
use crate::web::Web;
use crate::web::api::access::Caller;
use crate::web::api::campaigns::{Campaign, counted};
use crate::web::api::problem::Problem;
use crate::web::api::request::{Body, Id};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Repair {
    /// Only messages that failed for this reason, as the campaign's `failed` names it; all that
    /// failed when absent.
    #[schema(example = "rejected")]
    reason: Option<String>,
}

/// Send again what failed
///
/// The messages that failed are queued once more, due now, and the campaign runs until they are
/// done; so does one that was paused. What was sent, skipped or is unknown is not touched.
#[utoipa::path(post, path = "/campaigns/{id}/repair", tag = "Campaigns",
    params(("id" = String, Path)), request_body = Repair,
    responses((status = 200, description = "The campaign.", body = Campaign)))]
pub(super) async fn repair_campaign(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<CampaignId>,
    Body(Repair { reason }): Body<Repair>,
) -> Result<Json<Campaign>, Problem> {
    let reason = reason.as_deref().map(str::trim);
    let (campaign, _) = campaigns::repair(&web.app, caller.0, id, reason).await?;
    counted(&web, caller, campaign).await
}

//! The buttons of a campaign that goes out: pause, resume, cancel, send now, send again.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::post;

use super::answer::{Answer, see_other_saying};
use super::campaigns::find;
use super::error::of_campaign;
use super::fields::Fields;
use super::session::Session;
use super::words;
use crate::campaigns::{self, Campaign, Schedule};
use crate::web::Web;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/campaigns/{id}/pause", post(pause))
        .route("/app/campaigns/{id}/resume", post(resume))
        .route("/app/campaigns/{id}/cancel", post(cancel))
        .route("/app/campaigns/{id}/send-now", post(send_now))
        .route("/app/campaigns/{id}/repair", post(repair))
}

fn report_path(campaign: &Campaign) -> String {
    format!("/app/campaigns/{}", campaign.id)
}

async fn pause(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    let campaign = campaigns::pause(&web.app, session.ws(), campaign.id)
        .await
        .map_err(of_campaign)?;
    Ok(moved(&campaign, "Paused. Everyone waiting stays in line"))
}

async fn resume(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    let campaign = campaigns::resume(&web.app, session.ws(), campaign.id)
        .await
        .map_err(of_campaign)?;
    Ok(moved(&campaign, "Sending goes on"))
}

async fn cancel(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    let campaign = campaigns::cancel(&web.app, session.ws(), campaign.id)
        .await
        .map_err(of_campaign)?;
    Ok(moved(
        &campaign,
        "Cancelled. Nobody who was waiting gets it",
    ))
}

/// For one that missed its time, or is scheduled and shall not wait.
async fn send_now(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    let sent = if campaign.is_editable() {
        let now = Schedule {
            late_limit_minutes: Some(campaign.late_limit_minutes),
            ..Schedule::default()
        };
        campaigns::schedule(&web.app, session.ws(), campaign.id, now).await
    } else {
        campaigns::resume(&web.app, session.ws(), campaign.id).await
    };
    Ok(moved(&sent.map_err(of_campaign)?, "It goes out now"))
}

/// To those for whom it failed: all of them, or those of the chosen reason.
async fn repair(
    State(web): State<Web>,
    session: Session,
    Path(id): Path<String>,
    fields: Fields,
) -> Answer {
    let campaign = find(&web, &session, &id).await?;
    let reason = fields.optional("reason");
    let (campaign, people) = campaigns::repair(&web.app, session.ws(), campaign.id, reason)
        .await
        .map_err(of_campaign)?;
    let people = words::people(i64::try_from(people)?);
    Ok(moved(&campaign, &format!("It goes out again to {people}")))
}

fn moved(campaign: &Campaign, said: &str) -> Response {
    see_other_saying(&report_path(campaign), said)
}

//! Subscribers: find them, tag them, take them out.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::clock::rfc3339;
use crate::opt_ins;
use crate::store::ids::SubscriberId;
use crate::subscribers::{self, Filter, Status};
use crate::web::Web;
use crate::web::api::access::Caller;
use crate::web::api::campaigns::{Nothing, one_of};
use crate::web::api::problem::{FieldError, Problem};
use crate::web::api::request::{Body, Id, Params, cursor};
use crate::web::api::shapes::Listed;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Subscriber {
    #[schema(example = "sub_0t2zq3k5s0w2m")]
    id: String,
    /// subscribed, `opted_out` or `not_subscribed`.
    status: String,
    first_name: Option<String>,
    last_name: Option<String>,
    /// The opt-in source they first came from.
    source: Option<String>,
    tags: Vec<String>,
    timezone: Option<String>,
    /// The shop's customer.
    customer_id: Option<String>,
    klaviyo_profile_id: Option<String>,
    opted_in_at: Option<String>,
    opted_out_at: Option<String>,
    /// Opens the free 24 h window.
    last_action_at: Option<String>,
    last_clicked_at: Option<String>,
    last_ordered_at: Option<String>,
    created_at: String,
}

impl Subscriber {
    fn new(subscriber: subscribers::Subscriber, tags: Vec<String>) -> Self {
        Self {
            id: subscriber.id.to_string(),
            status: subscriber.status.as_str().to_owned(),
            first_name: subscriber.first_name,
            last_name: subscriber.last_name,
            source: subscriber.source,
            tags,
            timezone: subscriber.timezone,
            customer_id: subscriber.customer_id,
            klaviyo_profile_id: subscriber.klaviyo_profile_id,
            opted_in_at: subscriber.opted_in_at.map(rfc3339),
            opted_out_at: subscriber.opted_out_at.map(rfc3339),
            last_action_at: subscriber.last_action_at.map(rfc3339),
            last_clicked_at: subscriber.last_clicked_at.map(rfc3339),
            last_ordered_at: subscriber.last_ordered_at.map(rfc3339),
            created_at: rfc3339(subscriber.created_at),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SubscriberList {
    /// subscribed, `opted_out` or `not_subscribed`.
    status: Option<String>,
    tag: Option<String>,
    /// Opt-in source.
    source: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 50 when absent.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// List subscribers
///
/// Newest first.
#[utoipa::path(get, path = "/subscribers", tag = "Subscribers", params(SubscriberList),
    responses((status = 200, description = "One page.", body = Listed<Subscriber>)))]
pub(super) async fn list_subscribers(
    State(web): State<Web>,
    caller: Caller,
    Params(query): Params<SubscriberList>,
) -> Result<Json<Listed<Subscriber>>, Problem> {
    let cursor = cursor(query.cursor.as_deref(), query.limit.as_deref())?;
    let statuses = [Status::Subscribed, Status::OptedOut, Status::NotSubscribed];
    one_of(
        "status",
        query.status.as_deref(),
        &statuses.map(Status::as_str),
    )?;
    let filter = Filter {
        status: query.status.as_deref().and_then(Status::parse),
        tag: query.tag,
        source: query.source,
        search: None,
        link: None,
    };
    let page = subscribers::list(&web.app, caller.0, &filter, cursor).await?;
    let ids: Vec<SubscriberId> = page.rows.iter().map(|row| row.id).collect();
    let mut tags = subscribers::tags_of(&web.app, caller.0, &ids).await?;
    let rows = page.rows.into_iter();
    Ok(Json(Listed {
        data: rows
            .map(|row| {
                let tags = tags.remove(&row.id).unwrap_or_default();
                Subscriber::new(row, tags)
            })
            .collect(),
        next_cursor: page.next,
    }))
}

async fn found(web: &Web, caller: Caller, id: SubscriberId) -> Result<Json<Subscriber>, Problem> {
    let subscriber = subscribers::find(&web.app, caller.0, id).await?;
    let subscriber =
        subscriber.ok_or_else(|| Problem::not_found("There is no such subscriber."))?;
    let tags = subscribers::tags(&web.app, caller.0, id).await?;
    Ok(Json(Subscriber::new(subscriber, tags)))
}

/// Get a subscriber
#[utoipa::path(get, path = "/subscribers/{id}", tag = "Subscribers",
    params(("id" = String, Path)),
    responses((status = 200, description = "The subscriber.", body = Subscriber)))]
pub(super) async fn get_subscriber(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<SubscriberId>,
) -> Result<Json<Subscriber>, Problem> {
    found(&web, caller, id).await
}

/// Opt a subscriber out
///
/// They get no marketing any more; Meta is told, too. Only the person can opt in again.
#[utoipa::path(post, path = "/subscribers/{id}/opt-out", tag = "Subscribers",
    params(("id" = String, Path)), request_body = Nothing,
    responses((status = 200, description = "The subscriber.", body = Subscriber)))]
pub(super) async fn opt_out_subscriber(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<SubscriberId>,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Json<Subscriber>, Problem> {
    opt_ins::take_out(&web.app, caller.0, id).await?;
    found(&web, caller, id).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TagChange {
    /// Each 1 to 50 characters.
    add: Option<Vec<String>>,
    remove: Option<Vec<String>>,
}

/// More in one call is a list upload, not a change.
const MOST_TAGS: usize = 100;

/// Change a subscriber's tags
#[utoipa::path(post, path = "/subscribers/{id}/tags", tag = "Subscribers",
    params(("id" = String, Path)), request_body = TagChange,
    responses((status = 200, description = "The subscriber.", body = Subscriber)))]
pub(super) async fn tag_subscriber(
    State(web): State<Web>,
    caller: Caller,
    Id(id): Id<SubscriberId>,
    Body(change): Body<TagChange>,
) -> Result<Json<Subscriber>, Problem> {
    let add = change.add.unwrap_or_default();
    let remove = change.remove.unwrap_or_default();
    let mut wrong = Vec::new();
    for (field, tags) in [("add", &add), ("remove", &remove)] {
        if tags.len() > MOST_TAGS {
            wrong.push(FieldError::new(
                format!("/{field}"),
                "Change at most 100 tags at once.",
            ));
        }
        for (i, tag) in tags.iter().enumerate() {
            if !(1..=50).contains(&tag.trim().chars().count()) {
                wrong.push(FieldError::new(
                    format!("/{field}/{i}"),
                    "A tag has 1 to 50 characters.",
                ));
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
    subscribers::tag(&web.app, caller.0, id, &add, &remove).await?;
    found(&web, caller, id).await
}

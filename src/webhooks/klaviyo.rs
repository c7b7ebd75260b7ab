//! What Klaviyo's events mean for us: they start automations of the subscribers they are about.

use std::collections::{BTreeSet, HashMap};

use futures::StreamExt;
use futures::stream;
use serde_json::{Map, Value};

use crate::app::App;
use crate::automations::{self, Happening};
use crate::klaviyo::Error;
use crate::klaviyo::segments::Member;
use crate::klaviyo::webhooks::{FlowEvent, SystemEvent, parse_flow, parse_system};
use crate::store::Conn;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::subscribers::{self, Known};
use crate::webhooks::process::{Delivery, Trouble, Understood};
use crate::webhooks::seen;
use crate::workspaces;

/// Profiles asked for at once.
const ASK_AT_ONCE: usize = 6;

/// A system webhook that was read, with what Klaviyo says about profiles unknown to us.
#[derive(Debug)]
pub(super) struct Batch {
    workspace: WorkspaceId,
    events: Vec<SystemEvent>,
    profiles: HashMap<String, Member>,
}

/// A flow's call that was read.
#[derive(Debug)]
pub(super) struct Flow {
    workspace: WorkspaceId,
    event: FlowEvent,
    profile: Option<Member>,
}

/// Reads a system webhook and asks Klaviyo who the unknown profiles are: an event names its person
/// by profile id only. Events that no automation waits for are not asked about.
pub(super) async fn read(app: &App, delivery: &Delivery) -> Result<Batch, Trouble> {
    let workspace = workspace(app, delivery).await?;
    let (_, events) = parse_system(&delivery.body).map_err(Trouble::unreadable)?;
    let awaited: BTreeSet<String> = sqlx::query_scalar(
        "SELECT trigger_key FROM automations
         WHERE workspace_id = $1 AND trigger_kind = 'klaviyo_event' AND status = 'on'
             AND deleted_at IS NULL",
    )
    .bind(workspace)
    .fetch_all(app.db.pool())
    .await?
    .into_iter()
    .collect();
    let events: Vec<SystemEvent> = events
        .into_iter()
        .filter(|event| awaited.contains(&metric_slug(&event.topic)))
        .collect();
    let ids: BTreeSet<&String> = events
        .iter()
        .filter_map(|e| e.profile_id.as_ref())
        .collect();
    let profiles = look_up(app, workspace, ids).await?;
    Ok(Batch {
        workspace,
        events,
        profiles,
    })
}

/// Reads a flow's call. Only a profile id tells no address: then Klaviyo is asked.
pub(super) async fn read_flow(app: &App, delivery: &Delivery) -> Result<Flow, Trouble> {
    let workspace = workspace(app, delivery).await?;
    let event = parse_flow(&delivery.body).map_err(Trouble::unreadable)?;
    let mut profile = None;
    if let Some(id) = &event.profile_id
        && event.email.is_none()
        && event.phone_number.is_none()
    {
        let ids = BTreeSet::from([id]);
        profile = look_up(app, workspace, ids).await?.remove(id);
    }
    Ok(Flow {
        workspace,
        event,
        profile,
    })
}

pub(super) async fn apply(app: &App, conn: &mut Conn, batch: Batch) -> Result<Understood, Trouble> {
    let ws = batch.workspace;
    let mut done = Understood {
        workspace: Some(ws),
        ..Understood::default()
    };
    for event in batch.events {
        let Some(profile_id) = event.profile_id else {
            continue;
        };
        if !seen::first_time(app, conn, ws, &format!("k:{}", event.external_id)).await? {
            continue;
        }
        let known = known(&profile_id, batch.profiles.get(&profile_id));
        let occurrence = Occurrence {
            kind: "klaviyo_event",
            key: event.topic,
            trigger_ref: event.external_id,
            properties: event.properties,
            at: event.at.unwrap_or_else(|| app.clock.now()),
        };
        done.runs |= start(app, conn, ws, &known, &occurrence).await?;
    }
    Ok(done)
}

pub(super) async fn apply_flow(
    app: &App,
    conn: &mut Conn,
    delivery: &Delivery,
    flow: Flow,
) -> Result<Understood, Trouble> {
    let event = flow.event;
    let mut known = match &event.profile_id {
        Some(id) => known(id, flow.profile.as_ref()),
        None => Known::default(),
    };
    known.email = event.email.or(known.email);
    known.phone = event.phone_number.or(known.phone);
    // Shopify's customers stand at Klaviyo under their Shopify id.
    known.customer_id = event.external_id;
    let occurrence = Occurrence {
        kind: "klaviyo_flow",
        key: event.event,
        trigger_ref: delivery.external_id.clone(),
        properties: event.properties,
        at: delivery.received_at,
    };
    Ok(Understood {
        workspace: Some(flow.workspace),
        runs: start(app, conn, flow.workspace, &known, &occurrence).await?,
        ..Understood::default()
    })
}

/// Something at Klaviyo that may start automations.
struct Occurrence {
    kind: &'static str,
    /// A topic or an event's name; automations compare topics by their slug.
    key: String,
    trigger_ref: String,
    properties: Map<String, Value>,
    at: i64,
}

async fn start(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    known: &Known,
    occurrence: &Occurrence,
) -> anyhow::Result<bool> {
    let mut began = false;
    for subscriber in people(app, conn, ws, known).await? {
        let profile = Known {
            klaviyo_profile_id: known.klaviyo_profile_id.clone(),
            ..Known::default()
        };
        if profile.klaviyo_profile_id.is_some() {
            subscribers::link_customer(app, conn, subscriber, &profile).await?;
        }
        let mut context = Map::new();
        context.insert(
            "event".to_owned(),
            Value::Object(occurrence.properties.clone()),
        );
        let happening = Happening {
            workspace: ws,
            subscriber,
            kind: occurrence.kind,
            key: occurrence.key.clone(),
            trigger_ref: occurrence.trigger_ref.clone(),
            context,
            at: occurrence.at.min(app.clock.now()),
        };
        began |= automations::start(app, conn, &happening).await? > 0;
    }
    Ok(began)
}

/// By what is known of them, or by our own id where a flow carries that as `external_id`.
async fn people(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    known: &Known,
) -> anyhow::Result<Vec<SubscriberId>> {
    let mut people = subscribers::recognise(app, conn, ws, known).await?;
    let own = known
        .customer_id
        .as_deref()
        .and_then(|id| id.parse::<SubscriberId>().ok());
    if let Some(own) = own {
        let ours = sqlx::query("SELECT 1 FROM subscribers WHERE workspace_id = $1 AND id = $2")
            .bind(ws)
            .bind(own)
            .fetch_optional(conn)
            .await?;
        if ours.is_some() && !people.contains(&own) {
            people.push(own);
        }
    }
    Ok(people)
}

fn known(profile_id: &str, profile: Option<&Member>) -> Known {
    Known {
        klaviyo_profile_id: Some(profile_id.to_owned()),
        email: profile.and_then(|profile| profile.email.clone()),
        phone: profile.and_then(|profile| profile.phone.clone()),
        ..Known::default()
    }
}

/// The path was checked when the delivery came; a workspace that is gone since is nobody's.
async fn workspace(app: &App, delivery: &Delivery) -> Result<WorkspaceId, Trouble> {
    let id: WorkspaceId = delivery
        .account
        .parse()
        .map_err(|_| Trouble::Unreadable("The delivery names no workspace.".to_owned()))?;
    match workspaces::find(app, id).await? {
        Some(_) => Ok(id),
        None => Err(Trouble::Unreadable(
            "There is no such workspace any more.".to_owned(),
        )),
    }
}

/// Asks Klaviyo about the profiles that none of our subscribers carries.
async fn look_up(
    app: &App,
    ws: WorkspaceId,
    ids: BTreeSet<&String>,
) -> Result<HashMap<String, Member>, Trouble> {
    let mut unknown = Vec::new();
    for id in ids {
        let ours = sqlx::query(
            "SELECT 1 FROM subscribers WHERE workspace_id = $1 AND klaviyo_profile_id = $2",
        )
        .bind(ws)
        .bind(id)
        .fetch_optional(app.db.pool())
        .await?;
        if ours.is_none() {
            unknown.push(id.clone());
        }
    }
    if unknown.is_empty() {
        return Ok(HashMap::new());
    }
    // Without a connection nothing more can be learned; what is known already still counts.
    if workspaces::klaviyo_auth(app, ws).await?.is_none() {
        return Ok(HashMap::new());
    }
    let answers: Vec<_> = stream::iter(unknown)
        .map(|id| ask(app, ws, id))
        .buffer_unordered(ASK_AT_ONCE)
        .collect()
        .await;
    let mut profiles = HashMap::new();
    for answer in answers {
        match answer? {
            Ok(Some((id, profile))) => {
                profiles.insert(id, profile);
            }
            Ok(None) => {}
            Err(Error::Reconnect(_)) => return Ok(profiles),
            Err(error @ Error::Retry { .. }) => {
                return Err(anyhow::Error::from(error)
                    .context("ask who a profile is")
                    .into());
            }
            Err(error) => tracing::warn!(workspace.id = %ws, "Klaviyo gave no profile: {error}"),
        }
    }
    Ok(profiles)
}

async fn ask(
    app: &App,
    ws: WorkspaceId,
    id: String,
) -> anyhow::Result<Result<Option<(String, Member)>, Error>> {
    let wanted = id.as_str();
    let asked = workspaces::ask_klaviyo(app, ws, |auth| async move {
        app.klaviyo.profile(&auth, wanted).await
    });
    Ok(match asked.await? {
        Ok(profile) => Ok(profile.map(|profile| (id, profile))),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    })
}

/// The last part of `event:<integration>.<metric_slug>`, as automations keep their key.
fn metric_slug(topic: &str) -> String {
    let name = topic.rsplit('.').next().unwrap_or(topic).to_lowercase();
    name.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_compared_by_its_metric() {
        assert_eq!(metric_slug("event:api.viewed_product"), "viewed_product");
        assert_eq!(metric_slug("event:shopify.Placed Order"), "placed_order");
        assert_eq!(metric_slug("viewed_product"), "viewed_product");
    }
}

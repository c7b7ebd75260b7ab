//! Where the links of a message lead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::content::{Body, Content};
use crate::app::App;
use crate::clock::Millis;
use crate::links::Tags;
use crate::store::Conn;
use crate::store::ids::{AutomationId, CampaignId, MessageKey, OriginId, WorkspaceId};

/// How long a campaign's content is kept: it does not change once it is sent, it only goes.
const KEPT: Millis = 60_000;
/// Campaigns kept at once.
const CAMPAIGNS: usize = 1_000;

/// Where the links of a message lead, in their order, and for whose report.
#[derive(Clone, Debug)]
pub struct Destination {
    pub workspace: WorkspaceId,
    pub campaign: Option<CampaignId>,
    pub automation: Option<AutomationId>,
    pub urls: Vec<String>,
    pub tags: Tags,
}

/// Reads destinations. A campaign's messages share theirs, so the clicks on it ask the database
/// once a minute and not once each.
#[derive(Clone, Debug, Default)]
pub struct Destinations(Arc<Mutex<Kept>>);

/// By what caused the messages, since when.
type Kept = HashMap<OriginId, (Millis, Arc<Destination>)>;

impl Destinations {
    /// `None` when there is no such message (any more). The caller has verified that we made the
    /// code which names the message: of a campaign that is kept, nobody looks whether it was sent.
    pub async fn find(
        &self,
        app: &App,
        message: MessageKey,
    ) -> anyhow::Result<Option<Arc<Destination>>> {
        let now = app.clock.now();
        if let Some(kept) = self.kept(message.origin, now) {
            return Ok(Some(kept));
        }
        let Some((found, is_shared)) = read(app, message).await? else {
            return Ok(None);
        };
        let found = Arc::new(found);
        if is_shared {
            self.keep(message.origin, &found, now);
        }
        Ok(Some(found))
    }

    fn kept(&self, origin: OriginId, now: Millis) -> Option<Arc<Destination>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, found) = kept.get(&origin)?;
        (now.abs_diff(*at) < KEPT.unsigned_abs()).then(|| found.clone())
    }

    fn keep(&self, origin: OriginId, found: &Arc<Destination>, now: Millis) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= CAMPAIGNS {
            kept.clear();
        }
        kept.insert(origin, (now, found.clone()));
    }
}

/// A campaign's content, as its rows share it.
pub(super) fn campaign_content(
    id: CampaignId,
    name: &str,
    message: &str,
    utm: Option<&str>,
) -> anyhow::Result<Content> {
    let utm: Vec<(String, String)> = utm
        .map(serde_json::from_str)
        .transpose()?
        .unwrap_or_default();
    Ok(Content {
        body: Body::Message(serde_json::from_str(message)?),
        tags: Tags::new(name, &id.to_string(), &utm),
    })
}

/// The campaign's content, if it is still there.
pub(super) async fn read_campaign(
    conn: &mut Conn,
    workspace: WorkspaceId,
    id: CampaignId,
) -> anyhow::Result<Option<Content>> {
    let row: Option<(String, String, Option<String>)> = sqlx::query_as(
        "SELECT name, message, utm FROM campaigns WHERE workspace_id = $1 AND id = $2",
    )
    .bind(workspace)
    .bind(id)
    .fetch_optional(conn)
    .await?;
    row.map(|(name, message, utm)| campaign_content(id, &name, &message, utm.as_deref()))
        .transpose()
}

/// The destination, and whether all messages of its campaign share it.
async fn read(app: &App, message: MessageKey) -> anyhow::Result<Option<(Destination, bool)>> {
    type Row = (
        WorkspaceId,
        Option<CampaignId>,
        Option<AutomationId>,
        Option<String>,
    );
    let row: Option<Row> = sqlx::query_as(
        "SELECT workspace_id, campaign_id, automation_id, content FROM messages
         WHERE origin_id = $1 AND subscriber_id = $2",
    )
    .bind(message.origin)
    .bind(message.subscriber)
    .fetch_optional(app.db.pool())
    .await?;
    let Some((workspace, campaign, automation, content)) = row else {
        return Ok(None);
    };
    let is_shared = content.is_none();
    let content = match (content, campaign) {
        (Some(content), _) => serde_json::from_str(&content)?,
        (None, Some(id)) => {
            let mut conn = app.db.acquire().await?;
            match read_campaign(&mut conn, workspace, id).await? {
                Some(content) => content,
                None => return Ok(None),
            }
        }
        (None, None) => return Ok(None),
    };
    let Content {
        body: Body::Message(body),
        tags,
    } = content
    else {
        return Ok(None);
    };
    let destination = Destination {
        workspace,
        campaign,
        automation,
        urls: body.urls().into_iter().map(str::to_owned).collect(),
        tags,
    };
    Ok(Some((destination, is_shared)))
}

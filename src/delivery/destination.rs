//! Where a link of a message leads.

use super::content::{Body, Content, Message};
use crate::app::App;
use crate::links::Tags;
use crate::store::Conn;
use crate::store::ids::{AutomationId, CampaignId, MessageKey, WorkspaceId};

/// Where a link of a message leads, and for whose report.
#[derive(Clone, Debug)]
pub struct Destination {
    pub workspace: WorkspaceId,
    pub campaign: Option<CampaignId>,
    pub automation: Option<AutomationId>,
    pub url: String,
    pub tags: Tags,
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

/// Where link number `link` of the message leads; `None` when there is no such message or link
/// (any more).
pub async fn destination(
    app: &App,
    message: MessageKey,
    link: u8,
) -> anyhow::Result<Option<Destination>> {
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
    let url = Message::urls(&body)
        .get(usize::from(link))
        .map(|url| (*url).to_owned());
    Ok(url.map(|url| Destination {
        workspace,
        campaign,
        automation,
        url,
        tags,
    }))
}

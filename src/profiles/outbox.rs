//! Events for Klaviyo profiles: written in the transaction of what happened, sent by a job.

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::store::{Conn, clean};

/// Something that happened to a subscriber.
#[derive(Clone, Debug)]
pub struct Report {
    pub workspace: WorkspaceId,
    pub subscriber: SubscriberId,
    /// A metric's name of facts/klaviyo.md section 4, as `Clicked Messenger Message`.
    pub metric: &'static str,
    pub properties: serde_json::Map<String, serde_json::Value>,
    /// Decimal amount and currency.
    pub value: Option<(String, String)>,
    pub at: Millis,
    /// Deterministic: the same happening always has the same.
    pub unique_id: String,
}

/// Keeps the event for sending; does nothing for a workspace without Klaviyo, or when it is kept
/// already. While the connection is in trouble events wait for its repair. Nudge `Job::Profiles`
/// after the commit.
pub async fn report(app: &App, conn: &mut Conn, event: Report) -> anyhow::Result<()> {
    let (value, currency) = event.value.unzip();
    let properties = clean(&serde_json::Value::Object(event.properties).to_string());
    sqlx::query(
        "INSERT INTO klaviyo_outbox (id, workspace_id, subscriber_id, metric, properties, value,
             currency, at, unique_id, due_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
         FROM klaviyo_accounts WHERE workspace_id = $2
         ON CONFLICT (workspace_id, unique_id) DO NOTHING",
    )
    .bind(app.ids.next::<i64>())
    .bind(event.workspace)
    .bind(event.subscriber)
    .bind(event.metric)
    .bind(properties)
    .bind(value)
    .bind(currency)
    .bind(event.at)
    .bind(clean(&event.unique_id))
    .bind(app.clock.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// Whether events of this workspace are kept at all, for callers with many of them.
pub async fn is_wanted(conn: &mut Conn, ws: WorkspaceId) -> anyhow::Result<bool> {
    let account: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM klaviyo_accounts WHERE workspace_id = $1")
            .bind(ws)
            .fetch_optional(conn)
            .await?;
    Ok(account.is_some())
}

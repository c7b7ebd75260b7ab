//! Many people's opt-outs at once, by the rules of the ledger.

use std::fmt::Write;

use sqlx::AssertSqlSafe;

use super::consent::{Decision, tell};
use crate::app::App;
use crate::clock::Millis;
use crate::profiles;
use crate::store::ids::{ConsentId, SubscriberId};
use crate::store::{Conn, clean};
use crate::subscribers::Means;
use crate::tallies;
use crate::workspaces::PageRef;

/// Metric of an opt-out, as [`opt_out`](super::opt_out) tells it.
const LEFT: &str = "Unsubscribed from Messenger";

/// As [`opt_out`](super::opt_out), for those of many people of one Page who are subscribed, by means
/// through which Meta has ended their tokens. Returns how many it was.
pub async fn opt_out_all(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    people: &[SubscriberId],
    means: Means,
    at: Millis,
    event_key: &str,
) -> anyhow::Result<usize> {
    let written = append(app, conn, page, people, means, at, event_key).await?;
    if written.is_empty() {
        return Ok(0);
    }
    // The ids are this workspace's by the statement before. Named here, it would lead SQLite through
    // everybody who ever opted in.
    let sql = format!(
        "UPDATE subscribers SET opted_out_at = $1, token_enabled = 0
         WHERE id IN ({}) AND opted_out_at IS NULL AND erased_at IS NULL
           AND NOT EXISTS (SELECT 1 FROM consents c
                           WHERE c.subscriber_id = subscribers.id AND c.at > $1)
         RETURNING id",
        numbers(&written)
    );
    let left: Vec<SubscriberId> = sqlx::query_scalar(AssertSqlSafe(sql))
        .persistent(false)
        .bind(at)
        .fetch_all(&mut *conn)
        .await?;
    if left.is_empty() {
        return Ok(0);
    }
    let people = i64::try_from(left.len())?;
    tallies::left_together(app, conn, page.workspace, people, at).await?;
    if !profiles::is_wanted(conn, page.workspace).await? {
        return Ok(left.len());
    }
    let decision = Decision {
        action: "opted_out",
        means,
        source: None,
        text_shown: None,
        at,
        event_key,
    };
    for id in &left {
        tell(app, conn, page.workspace, *id, LEFT, &decision).await?;
    }
    Ok(left.len())
}

/// Rows of the ledger; the answer leaves out who had this one already, or is not subscribed.
async fn append(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    people: &[SubscriberId],
    means: Means,
    at: Millis,
    event_key: &str,
) -> sqlx::Result<Vec<SubscriberId>> {
    if people.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = String::new();
    for (i, id) in people.iter().enumerate() {
        let separator = if i == 0 { "" } else { "," };
        let row: ConsentId = app.ids.next();
        let _ = write!(
            values,
            "{separator}(CAST({} AS BIGINT),CAST({} AS BIGINT))",
            row.0, id.0
        );
    }
    let sql = format!(
        "INSERT INTO consents (id, workspace_id, subscriber_id, action, means, at, event_key)
         SELECT v.column1, s.workspace_id, s.id, 'opted_out', $3, $4, $5
         FROM (VALUES {values}) AS v CROSS JOIN subscribers s
         WHERE s.id = v.column2 AND s.workspace_id = $1 AND s.page_id = $2
           AND s.opted_in_at IS NOT NULL AND s.opted_out_at IS NULL AND s.erased_at IS NULL
         ON CONFLICT DO NOTHING RETURNING subscriber_id"
    );
    sqlx::query_scalar(AssertSqlSafe(sql))
        .persistent(false)
        .bind(page.workspace)
        .bind(page.id)
        .bind(means.as_str())
        .bind(at)
        .bind(clean(event_key))
        .fetch_all(conn)
        .await
}

fn numbers(ids: &[SubscriberId]) -> String {
    let mut list = String::new();
    for (i, id) in ids.iter().enumerate() {
        let _ = write!(list, "{}{}", if i == 0 { "" } else { "," }, id.0);
    }
    list
}

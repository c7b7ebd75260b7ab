//! People who may be written to on one Page, and the ledger of their consent.

mod consent;
mod customers;
mod leavers;
pub mod privacy;
mod search;
mod tags;

pub use consent::{
    Consent, Means, OptIn, ledger, opt_in, opt_out, token_ended, token_moved, token_refreshed,
};
pub use customers::{Known, customer, link_customer, recognise, save_customer};
pub use leavers::opt_out_all;
pub use search::{Filter, Status, Subscriber, find, key_names, list};
pub use tags::{tag, tags, tags_of};

use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::store::{Conn, clean};
use crate::workspaces::PageRef;

/// Finds the person on this Page, or makes the row on first contact. `acted_at` is given when the
/// person did something that opens the 24 h window; it never moves the window back.
pub async fn resolve(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    psid: &str,
    acted_at: Option<Millis>,
) -> anyhow::Result<SubscriberId> {
    let (id,): (SubscriberId,) = sqlx::query_as(
        "INSERT INTO subscribers (id, workspace_id, page_id, psid, last_action_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (page_id, psid) DO UPDATE SET last_action_at =
             CASE WHEN excluded.last_action_at IS NULL THEN subscribers.last_action_at
                  WHEN subscribers.last_action_at > excluded.last_action_at
                      THEN subscribers.last_action_at
                  ELSE excluded.last_action_at END
         RETURNING id",
    )
    .bind(app.ids.next::<SubscriberId>())
    .bind(page.workspace)
    .bind(page.id)
    .bind(clean(psid))
    .bind(acted_at)
    .bind(app.clock.now())
    .fetch_one(conn)
    .await?;
    Ok(id)
}

/// The person's row on this Page, without making one.
pub async fn known(
    conn: &mut Conn,
    page: PageRef,
    psid: &str,
) -> anyhow::Result<Option<SubscriberId>> {
    let row: Option<(SubscriberId,)> =
        sqlx::query_as("SELECT id FROM subscribers WHERE page_id = $1 AND psid = $2")
            .bind(page.id)
            .bind(psid)
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|(id,)| id))
}

/// How Meta calls the person; `None` when it never told us, or they were erased.
pub async fn psid(
    conn: &mut Conn,
    ws: WorkspaceId,
    id: SubscriberId,
) -> anyhow::Result<Option<String>> {
    let row: Option<(Option<String>,)> =
        sqlx::query_as("SELECT psid FROM subscribers WHERE workspace_id = $1 AND id = $2")
            .bind(ws)
            .bind(id)
            .fetch_optional(conn)
            .await?;
    Ok(row.and_then(|(psid,)| psid))
}

/// The owner of a subscription token on this Page.
pub async fn by_token(
    conn: &mut Conn,
    page: PageRef,
    token: &str,
) -> anyhow::Result<Option<SubscriberId>> {
    let row: Option<(SubscriberId,)> =
        sqlx::query_as("SELECT id FROM subscribers WHERE page_id = $1 AND token = $2")
            .bind(page.id)
            .bind(token)
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|(id,)| id))
}

/// How things stand with the person, for deciding what a word of theirs means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub is_subscribed: bool,
    pub has_opted_out: bool,
    /// There is a subscription token that has not run out and that Meta has not ended.
    pub has_token: bool,
}

pub async fn standing(app: &App, conn: &mut Conn, id: SubscriberId) -> anyhow::Result<Standing> {
    type Row = (
        Option<Millis>,
        Option<Millis>,
        Option<String>,
        i64,
        Option<Millis>,
    );
    let (opted_in, opted_out, token, enabled, expires): Row = sqlx::query_as(
        "SELECT opted_in_at, opted_out_at, token, token_enabled, token_expires_at
         FROM subscribers WHERE id = $1",
    )
    .bind(id)
    .fetch_one(conn)
    .await?;
    let now = app.clock.now();
    Ok(Standing {
        is_subscribed: opted_in.is_some() && opted_out.is_none(),
        has_opted_out: opted_out.is_some(),
        has_token: token.is_some() && enabled != 0 && expires.is_none_or(|at| at > now),
    })
}

/// Remembers where the person came from, unless that is known.
pub async fn came_from(conn: &mut Conn, id: SubscriberId, source: &str) -> anyhow::Result<()> {
    sqlx::query("UPDATE subscribers SET source = $2 WHERE id = $1 AND source IS NULL")
        .bind(id)
        .bind(clean(source))
        .execute(conn)
        .await?;
    Ok(())
}

/// The subscribers whose opt-in link named this checkout.
pub async fn by_checkout(
    conn: &mut Conn,
    ws: WorkspaceId,
    token: &str,
) -> anyhow::Result<Vec<SubscriberId>> {
    Ok(sqlx::query_scalar(
        "SELECT id FROM subscribers
         WHERE workspace_id = $1 AND checkout_token = $2 AND erased_at IS NULL
         ORDER BY id LIMIT 100",
    )
    .bind(ws)
    .bind(token)
    .fetch_all(conn)
    .await?)
}

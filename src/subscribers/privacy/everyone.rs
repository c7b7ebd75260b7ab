//! Erasure of many: everyone of a shop, and people who left long ago. A stretch in a transaction, so
//! that nobody waits for the whole.

use super::erase::erase_people;
use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::{PageRowId, SubscriberId, WorkspaceId};
use crate::subscribers::{Means, opt_out_all};
use crate::workspaces::PageRef;

/// People erased in one transaction.
const STRETCH: i64 = 200;
/// Rows of other tables in one statement.
const ROWS: i64 = 2_000;

/// Whom a stretch is about.
#[derive(Clone, Copy, Debug)]
enum Whom {
    All,
    WhoLeftBefore(Millis),
}

/// What is kept of a shop beside its subscribers; `$2` is how many rows go at a time. Customers leave
/// no row behind: the shop speaks of them no more, unless the app is installed anew.
const OF_A_SHOP: [&str; 9] = [
    "DELETE FROM customers WHERE workspace_id = $1 AND id IN
         (SELECT id FROM customers WHERE workspace_id = $1 LIMIT $2)",
    "DELETE FROM checkouts WHERE workspace_id = $1 AND token IN
         (SELECT token FROM checkouts WHERE workspace_id = $1 LIMIT $2)",
    "UPDATE opt_in_links SET name = 'Erased', slug = 'erased-' || CAST(id AS TEXT),
         customer_id = NULL, email_hash = NULL, email_sealed = NULL, phone_hash = NULL,
         phone_sealed = NULL, checkout_token = NULL
     WHERE id IN (SELECT id FROM opt_in_links WHERE workspace_id = $1
         AND (customer_id IS NOT NULL OR email_hash IS NOT NULL OR phone_hash IS NOT NULL
           OR checkout_token IS NOT NULL) LIMIT $2)",
    "UPDATE orders SET customer_id = NULL, email_hash = NULL, checkout_token = NULL,
         cart_token = NULL
     WHERE id IN (SELECT id FROM orders WHERE workspace_id = $1
         AND (customer_id IS NOT NULL OR email_hash IS NOT NULL OR checkout_token IS NOT NULL
           OR cart_token IS NOT NULL) LIMIT $2)",
    "DELETE FROM klaviyo_members WHERE workspace_id = $1 AND profile_id IN
         (SELECT profile_id FROM klaviyo_members WHERE workspace_id = $1 LIMIT $2)",
    "DELETE FROM klaviyo_outbox WHERE id IN
         (SELECT id FROM klaviyo_outbox WHERE workspace_id = $1 LIMIT $2)",
    "DELETE FROM idempotency_keys WHERE workspace_id = $1 AND key IN
         (SELECT key FROM idempotency_keys WHERE workspace_id = $1 LIMIT $2)",
    "DELETE FROM pixel_hints WHERE workspace_id = $1 AND event_id IN
         (SELECT event_id FROM pixel_hints WHERE workspace_id = $1 LIMIT $2)",
    "UPDATE privacy_requests SET export_sealed = NULL WHERE id IN
         (SELECT id FROM privacy_requests WHERE workspace_id = $1 AND export_sealed IS NOT NULL
          LIMIT $2)",
];

const WEBHOOKS: [&str; 2] = [
    "UPDATE webhooks SET payload = '{}', encoding = 'utf8', error = NULL WHERE id IN
         (SELECT id FROM webhooks WHERE workspace_id = $1 AND processed_at IS NOT NULL
            AND payload <> '{}' LIMIT $2)",
    "UPDATE webhooks SET payload = '{}', encoding = 'utf8', error = NULL WHERE id IN
         (SELECT id FROM webhooks WHERE workspace_id IS NULL AND processed_at IS NOT NULL
            AND payload <> '{}'
            AND (account IN (SELECT domain FROM shops WHERE workspace_id = $1)
              OR account IN (SELECT meta_id FROM pages WHERE workspace_id = $1)) LIMIT $2)",
];

/// Erases up to `stretches` of people, and then the rest of what is kept of the shop. Returns how
/// many people it was, and whether that was all.
pub(super) async fn erase_everyone(
    app: &App,
    ws: WorkspaceId,
    stretches: usize,
) -> anyhow::Result<(u64, bool)> {
    let mut erased = 0;
    for _ in 0..stretches {
        let found = stretch(app, ws, Whom::All).await?;
        erased += found;
        if found == 0 {
            rest(app, ws).await?;
            return Ok((erased, true));
        }
        if app.stop.is_cancelled() {
            break;
        }
    }
    Ok((erased, false))
}

/// Erases people who opted out before `before`, a stretch of them; how many.
pub async fn erase_leavers(app: &App, ws: WorkspaceId, before: Millis) -> anyhow::Result<u64> {
    stretch(app, ws, Whom::WhoLeftBefore(before)).await
}

async fn stretch(app: &App, ws: WorkspaceId, whom: Whom) -> anyhow::Result<u64> {
    let (statement, before) = match whom {
        Whom::All => (
            "SELECT id, page_id FROM subscribers WHERE workspace_id = $1 AND erased_at IS NULL
               AND $2 >= 0 LIMIT $3",
            0,
        ),
        Whom::WhoLeftBefore(before) => (
            "SELECT id, page_id FROM subscribers WHERE workspace_id = $1 AND erased_at IS NULL
               AND opted_out_at IS NOT NULL AND opted_out_at < $2 LIMIT $3",
            before,
        ),
    };
    let mut tx = app.db.begin().await?;
    let found: Vec<(SubscriberId, PageRowId)> = sqlx::query_as(statement)
        .bind(ws)
        .bind(before)
        .bind(STRETCH)
        .fetch_all(&mut *tx)
        .await?;
    if found.is_empty() {
        return Ok(0);
    }
    let now = app.clock.now();
    let mut pages: Vec<PageRowId> = found.iter().map(|(_, page)| *page).collect();
    pages.sort_by_key(|page| page.0);
    pages.dedup();
    for page in pages {
        let people: Vec<SubscriberId> = found
            .iter()
            .filter(|(_, of)| *of == page)
            .map(|(id, _)| *id)
            .collect();
        let page = PageRef {
            id: page,
            workspace: ws,
        };
        opt_out_all(app, &mut tx, page, &people, Means::Erasure, now, "erasure").await?;
        erase_people(&mut tx, ws, &people, now).await?;
    }
    tx.commit().await?;
    Ok(found.len() as u64)
}

async fn rest(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    for statement in OF_A_SHOP.into_iter().chain(WEBHOOKS) {
        loop {
            let done = sqlx::query(statement)
                .bind(ws)
                .bind(ROWS)
                .execute(app.db.writer())
                .await?;
            if done.rows_affected() == 0 {
                break;
            }
        }
    }
    Ok(())
}

//! Meta's own list of subscription tokens, read over: what changed there changes here.

use crate::app::App;
use crate::clock::{DAY, Millis};
use crate::meta::TokenRow;
use crate::store::Conn;
use crate::store::ids::{PageRowId, SubscriberId};
use crate::store::sealed::sha256_hex;
use crate::subscribers::{self, Means, OptIn};
use crate::workspaces::{self, PageRef};

/// A page of the list holds up to a thousand; more pages than this are not read in one go.
const MAX_PAGES: usize = 2_000;

/// Reads the lists of Pages whose last reading is a day old (facts/meta.md section 11).
pub async fn resync_due(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let due: Vec<(PageRowId,)> = sqlx::query_as(
        "UPDATE pages SET tokens_synced_at = $1
         WHERE id IN (SELECT id FROM pages WHERE state = 'active' AND disconnected_at IS NULL
                        AND COALESCE(tokens_synced_at, 0) < $2 LIMIT 5)
           AND COALESCE(tokens_synced_at, 0) < $2
         RETURNING id",
    )
    .bind(now)
    .bind(now - DAY)
    .fetch_all(app.db.writer())
    .await?;
    for (page,) in due {
        if let Err(error) = resync_page(app, page).await {
            tracing::warn!(page.id = %page, error = format!("{error:#}"), "tokens not resynced");
        }
    }
    Ok(())
}

/// Reads Meta's list of subscription tokens for the Page and takes over what changed: new tokens,
/// eligible times, and, after a complete reading, those that are gone. A list that has lost half
/// of its people at once is not believed.
pub async fn resync_page(app: &App, id: PageRowId) -> anyhow::Result<()> {
    let Some(page) = workspaces::page(app, id).await? else {
        return Ok(());
    };
    let Some(token) = &page.token else {
        return Ok(());
    };
    let whose = PageRef {
        id,
        workspace: page.workspace,
    };
    let began = app.clock.now();
    let mut after: Option<String> = None;
    let mut seen = 0_usize;
    for _ in 0..MAX_PAGES {
        let list = app
            .meta
            .tokens(&page.meta_id, token, after.as_deref())
            .await?;
        seen += list.rows.len();
        let mut tx = app.db.begin().await?;
        for row in &list.rows {
            take_over(app, &mut tx, whose, row, began).await?;
        }
        tx.commit().await?;
        after = list.after;
        if after.is_none() {
            break;
        }
    }
    if after.is_none() && seen > 0 {
        let mut tx = app.db.begin().await?;
        drop_missing(app, &mut tx, whose, began).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn take_over(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    row: &TokenRow,
    began: Millis,
) -> anyhow::Result<()> {
    let id = match (
        &row.recipient_id,
        subscribers::by_token(conn, page, &row.token).await?,
    ) {
        (_, Some(id)) => id,
        (Some(psid), None) => match subscribers::known(conn, page, psid).await? {
            Some(id) => id,
            None if row.enabled => subscribers::resolve(app, conn, page, psid, None).await?,
            None => return Ok(()),
        },
        // A token of a list upload: nobody we could recognise yet.
        (None, None) => return Ok(()),
    };
    let (has_decided,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM consents WHERE subscriber_id = $1")
            .bind(id)
            .fetch_one(&mut *conn)
            .await?;
    if has_decided == 0 && row.enabled {
        let how = OptIn {
            token: Some(row.token.clone()),
            ..OptIn::default()
        };
        // The ledger outlives the person, so their token does not stand in it.
        let event = format!("resync:{}", sha256_hex(row.token.as_bytes()));
        subscribers::opt_in(app, conn, id, Means::Resync, how, began, &event).await?;
    }
    // Another worker may be reading the same list. What it has seen later stays seen, or it would
    // take these people for gone.
    sqlx::query(
        "UPDATE subscribers SET token = $2, token_enabled = $3,
             token_expires_at = COALESCE($4, token_expires_at), next_eligible_at = $5,
             timezone = COALESCE($6, timezone),
             token_seen_at = CASE WHEN token_seen_at > $7 THEN token_seen_at ELSE $7 END
         WHERE id = $1",
    )
    .bind(id)
    .bind(&row.token)
    .bind(i64::from(row.enabled))
    .bind(row.expires_at)
    .bind(row.next_eligible_at)
    .bind(row.timezone.as_deref())
    .bind(began)
    .execute(conn)
    .await?;
    Ok(())
}

async fn drop_missing(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    began: Millis,
) -> anyhow::Result<()> {
    let (held, missing): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN token_seen_at < $2 THEN 1 ELSE 0 END), 0) AS BIGINT)
         FROM subscribers WHERE page_id = $1 AND token IS NOT NULL
           AND opted_in_at IS NOT NULL AND opted_out_at IS NULL",
    )
    .bind(page.id)
    .bind(began)
    .fetch_one(&mut *conn)
    .await?;
    if missing == 0 || missing * 2 > held {
        if missing > 0 {
            tracing::warn!(page.id = %page.id, held, missing, "Meta's list lacks most subscribers; not believed");
        }
        return Ok(());
    }
    let gone: Vec<(SubscriberId,)> = sqlx::query_as(
        "SELECT id FROM subscribers WHERE page_id = $1 AND token IS NOT NULL
           AND opted_in_at IS NOT NULL AND opted_out_at IS NULL AND token_seen_at < $2",
    )
    .bind(page.id)
    .bind(began)
    .fetch_all(&mut *conn)
    .await?;
    for (id,) in gone {
        let event = format!("resync-gone:{began}");
        subscribers::opt_out(app, conn, id, Means::Resync, began, &event).await?;
    }
    Ok(())
}

//! Meta's own list of subscription tokens, read over: once a day, and before a launch. Webhooks tell
//! what happens in between; this finds what they did not. `token_list` writes what is found, `gone`
//! who is missing.

use futures::future::join_all;

use super::gone::drop_missing;
use super::token_list::take_over;
use crate::app::App;
use crate::clock::{DAY, HOUR, MINUTE, Millis, SECOND};
use crate::store::ids::{PageRowId, WorkspaceId};
use crate::workspaces::{self, PageRef};

/// A page of the list holds up to a thousand; more pages than this are not read in one go.
const MAX_PAGES: usize = 2_000;
/// facts/meta.md section 11 asks for a reading each day and before each broadcast. What was read
/// less than an hour before a broadcast is good enough: since then webhooks told what changed.
const DAILY: Millis = DAY;
const FRESH: Millis = HOUR;
/// A launch waits so long for a reading, counted from the beginning of that. A million people take
/// many minutes, and each send asks Meta again anyway.
const PATIENCE: Millis = MINUTE;
/// Most lists are read in this time and waited for on the spot; the others are read on behind.
const AT_ONCE: Millis = 2 * SECOND;
/// A reading that has not moved for so long is dead. It moves with each page of the list: a call to
/// Meta (15 s at most) and what is written of it, which takes longest when a thousand are new.
const LEASE: Millis = 2 * MINUTE;
/// Until a list is asked for again that could not be read.
const AFTER_FAILURE: Millis = 10 * MINUTE;
/// Lists that a look at what is due begins to read.
const DUE_AT_ONCE: i64 = 5;

/// Reads the lists of Pages whose last reading is a day old.
pub async fn resync_due(app: &App) -> anyhow::Result<()> {
    let before = app.clock.now() - DAILY;
    let stale = stale(app, None, before, DUE_AT_ONCE).await?;
    let begun = join_all(stale.into_iter().map(|page| begin(app, page, before))).await;
    begun.into_iter().collect()
}

/// Begins to read those lists of the workspace that will be older than an hour at `at`. `true` when
/// a launch need not wait for them: they are read, or could not be, or take too long.
pub async fn lists_read(app: &App, ws: WorkspaceId, at: Millis) -> anyhow::Result<bool> {
    let before = at - FRESH;
    let stale = stale(app, Some(ws), before, i64::MAX).await?;
    let begun = join_all(stale.into_iter().map(|page| begin(app, page, before))).await;
    begun.into_iter().collect::<anyhow::Result<()>>()?;
    let now = app.clock.now();
    let awaited: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM pages WHERE workspace_id = $1 AND disconnected_at IS NULL
           AND tokens_reading_until > $2 AND tokens_reading_since BETWEEN $3 AND $2 LIMIT 1",
    )
    .bind(ws)
    .bind(now)
    .bind(now - PATIENCE + 1)
    .fetch_optional(app.db.pool())
    .await?;
    Ok(awaited.is_none())
}

/// Reads Meta's list of subscription tokens for the Page and takes over what changed: new tokens,
/// eligible times, and, after a complete reading, those that are gone. Now, and whoever else may be
/// reading it.
pub async fn resync_page(app: &App, id: PageRowId) -> anyhow::Result<()> {
    read(app, id, app.clock.now(), None).await?;
    Ok(())
}

/// The Pages whose last reading began before this and that nobody is reading. Times that a wrong
/// clock wrote into the future count for nothing.
async fn stale(
    app: &App,
    ws: Option<WorkspaceId>,
    before: Millis,
    most: i64,
) -> sqlx::Result<Vec<PageRowId>> {
    let now = app.clock.now();
    sqlx::query_scalar(
        "SELECT id FROM pages
         WHERE state = 'active' AND disconnected_at IS NULL AND token_sealed IS NOT NULL
           AND ($1 IS NULL OR workspace_id = $1)
           AND NOT COALESCE(tokens_synced_at, 0) BETWEEN $2 AND $3
           AND NOT COALESCE(tokens_reading_until, 0) BETWEEN $3 AND $4
         ORDER BY COALESCE(tokens_synced_at, 0) LIMIT $5",
    )
    .bind(ws)
    .bind(before)
    .bind(now)
    .bind(now + AFTER_FAILURE)
    .bind(most)
    .fetch_all(app.db.pool())
    .await
}

/// The right to read a Page's list, until it is let go or has not been kept for too long.
struct Claim {
    page: PageRowId,
    began: Millis,
    until: Millis,
}

/// Reads the list unless somebody else does. A long one is read on after this has returned.
async fn begin(app: &App, page: PageRowId, before: Millis) -> anyhow::Result<()> {
    let Some(claim) = claim(app, page, before).await? else {
        return Ok(());
    };
    let mut reading = Box::pin(read_claimed(app.clone(), claim));
    if app.clock.within(AT_ONCE, &mut reading).await.is_none() {
        app.spawn(reading);
    }
    Ok(())
}

async fn claim(app: &App, page: PageRowId, before: Millis) -> sqlx::Result<Option<Claim>> {
    let now = app.clock.now();
    let until = now + LEASE;
    let done = sqlx::query(
        "UPDATE pages SET tokens_reading_since = $3, tokens_reading_until = $5
         WHERE id = $1 AND state = 'active' AND disconnected_at IS NULL
           AND NOT COALESCE(tokens_synced_at, 0) BETWEEN $2 AND $3
           AND NOT COALESCE(tokens_reading_until, 0) BETWEEN $3 AND $4",
    )
    .bind(page)
    .bind(before)
    .bind(now)
    .bind(now + AFTER_FAILURE)
    .bind(until)
    .execute(app.db.writer())
    .await?;
    let claim = Claim {
        page,
        began: now,
        until,
    };
    Ok((done.rows_affected() > 0).then_some(claim))
}

impl Claim {
    /// Keeps the right for another while; `false` when somebody else has it or the process ends.
    async fn keep(&mut self, app: &App) -> sqlx::Result<bool> {
        if app.stop.is_cancelled() {
            return Ok(false);
        }
        let now = app.clock.now();
        if self.until - now > LEASE / 2 {
            return Ok(true);
        }
        let kept = sqlx::query(
            "UPDATE pages SET tokens_reading_until = $3
             WHERE id = $1 AND tokens_reading_until = $2",
        )
        .bind(self.page)
        .bind(self.until)
        .bind(now + LEASE)
        .execute(app.db.writer())
        .await?;
        if kept.rows_affected() == 0 {
            return Ok(false);
        }
        self.until = now + LEASE;
        Ok(true)
    }

    /// Ends the reading: `complete` if the list was read to its end, `rest_until` if nobody is to
    /// try before.
    async fn end(self, app: &App, complete: bool, rest_until: Option<Millis>) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE pages SET tokens_reading_since = NULL, tokens_reading_until = $4,
                 tokens_synced_at = COALESCE($3, tokens_synced_at)
             WHERE id = $1 AND tokens_reading_until = $2",
        )
        .bind(self.page)
        .bind(self.until)
        .bind(complete.then_some(self.began))
        .bind(rest_until)
        .execute(app.db.writer())
        .await?;
        Ok(())
    }
}

async fn read_claimed(app: App, mut claim: Claim) {
    let page = claim.page;
    let ended = match read(&app, page, claim.began, Some(&mut claim)).await {
        Ok(complete) => claim.end(&app, complete, None).await,
        Err(error) => {
            tracing::warn!(page.id = %page, error = format!("{error:#}"), "tokens not resynced");
            let rest_until = app.clock.now() + AFTER_FAILURE;
            claim.end(&app, false, Some(rest_until)).await
        }
    };
    if let Err(error) = ended {
        // Its lease runs out.
        tracing::warn!(page.id = %page, %error, "a reading of tokens was not ended");
    }
}

/// `false` if it was given up in the middle.
async fn read(
    app: &App,
    id: PageRowId,
    began: Millis,
    mut claim: Option<&mut Claim>,
) -> anyhow::Result<bool> {
    let Some(page) = workspaces::page(app, id).await? else {
        return Ok(true);
    };
    let Some(token) = &page.token else {
        return Ok(true);
    };
    let whose = PageRef {
        id,
        workspace: page.workspace,
    };
    let mut after: Option<String> = None;
    let mut rows = 0_usize;
    let mut seen = Vec::new();
    for _ in 0..MAX_PAGES {
        let list = app
            .meta
            .tokens(&page.meta_id, token, after.as_deref())
            .await?;
        rows += list.rows.len();
        take_over(app, whose, &list.rows, began, &mut seen).await?;
        if let Some(claim) = claim.as_deref_mut()
            && !claim.keep(app).await?
        {
            return Ok(false);
        }
        after = list.after;
        if after.is_none() {
            break;
        }
    }
    if after.is_none() && rows > 0 {
        drop_missing(app, whose, began, seen).await?;
    }
    Ok(true)
}

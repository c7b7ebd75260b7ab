//! Pulling the members of a segment or list, page by page, so that memory stays flat however many
//! there are. `joined_group_at` never shows who left, so every sync is whole.

use anyhow::Context;
use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::{MINUTE, Millis, SECOND};
use crate::klaviyo::Error;
use crate::klaviyo::segments::{GroupKind, Member, MemberPage};
use crate::profiles::segments::{kind_of, kind_text};
use crate::store::ids::WorkspaceId;
use crate::store::sealed::{email_hash, phone_hash};
use crate::store::{clean, placeholders};
use crate::workspaces;

/// A sync that has not moved for so long is dead, and another may start.
const LEASE: Millis = 3 * MINUTE;
/// Waits that are sat out in place, all within the lease; a longer one gives the group back.
const LONGEST_WAIT: Millis = MINUTE;
const WAITS_PER_PAGE: u32 = 2;
/// Until a group that failed is tried again.
const AFTER_FAILURE: Millis = MINUTE;

struct Wanted {
    ws: WorkspaceId,
    kind: GroupKind,
    id: String,
}

/// Why a pull ended before its end.
enum Stopped {
    Klaviyo(Error),
    /// The process must end, or another one took the group over.
    GivenUp,
    Other(anyhow::Error),
}

impl From<sqlx::Error> for Stopped {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

impl From<anyhow::Error> for Stopped {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// Syncs what is wanted and due. Returns how many groups were synced.
pub async fn sync_due(app: &App) -> anyhow::Result<usize> {
    let due: Vec<(WorkspaceId, String, String)> = sqlx::query_as(
        "SELECT g.workspace_id, g.kind, g.id FROM klaviyo_groups g
         JOIN klaviyo_accounts a ON a.workspace_id = g.workspace_id
         WHERE a.state = 'active' AND g.wanted_at IS NOT NULL
             AND (g.synced_at IS NULL OR g.synced_at < g.wanted_at)
             AND (g.sync_started_at IS NULL OR g.sync_started_at <= $1)
         ORDER BY g.wanted_at",
    )
    .bind(app.clock.now() - LEASE)
    .fetch_all(app.db.pool())
    .await?;
    let mut synced = 0;
    for (ws, kind, id) in due {
        if app.stop.is_cancelled() {
            break;
        }
        let wanted = Wanted {
            ws,
            kind: kind_of(&kind),
            id,
        };
        match sync(app, &wanted).await {
            Ok(true) => synced += 1,
            Ok(false) => {}
            Err(error) => {
                tracing::error!(workspace.id = %ws, error = %format!("{error:#}"), "Could not sync a Klaviyo group");
            }
        }
    }
    Ok(synced)
}

async fn sync(app: &App, wanted: &Wanted) -> anyhow::Result<bool> {
    let started = app.clock.now();
    if !take(app, wanted, started).await? {
        return Ok(false);
    }
    match pull(app, wanted, started).await {
        Ok(()) => Ok(true),
        Err(stopped) => {
            explain(app, wanted, started, stopped).await?;
            Ok(false)
        }
    }
}

/// One sync of a group at a time.
async fn take(app: &App, wanted: &Wanted, started: Millis) -> anyhow::Result<bool> {
    let taken = sqlx::query(
        "UPDATE klaviyo_groups SET sync_started_at = $1
         WHERE workspace_id = $2 AND kind = $3 AND id = $4
             AND (sync_started_at IS NULL OR sync_started_at <= $5)",
    )
    .bind(started)
    .bind(wanted.ws)
    .bind(kind_text(wanted.kind))
    .bind(&wanted.id)
    .bind(started - LEASE)
    .execute(app.db.writer())
    .await?;
    Ok(taken.rows_affected() == 1)
}

async fn pull(app: &App, wanted: &Wanted, started: Millis) -> Result<(), Stopped> {
    let mut held = started;
    let mut next: Option<String> = None;
    loop {
        let page = patiently(app, wanted, next.as_deref()).await?;
        save(app, wanted, &page.members, started).await?;
        let end = page.next.is_none() || page.next == next;
        next = page.next;
        if end {
            break;
        }
        held = renew(app, wanted, held).await?;
    }
    finish(app, wanted, started, held).await
}

/// One page; sits out the short waits that Klaviyo asks for, since starting over would only ask
/// for more.
async fn patiently(app: &App, wanted: &Wanted, next: Option<&str>) -> Result<MemberPage, Stopped> {
    let mut waits = 0;
    loop {
        if app.stop.is_cancelled() {
            return Err(Stopped::GivenUp);
        }
        // Asked anew for each page: an access token lives shorter than a long pull.
        let asked = workspaces::ask_klaviyo(app, wanted.ws, |auth| async move {
            let klaviyo = &app.klaviyo;
            klaviyo.members(&auth, wanted.kind, &wanted.id, next).await
        });
        match asked.await? {
            Ok(page) => return Ok(page),
            Err(Error::Retry { after, .. }) if after <= LONGEST_WAIT && waits < WAITS_PER_PAGE => {
                waits += 1;
                tokio::select! {
                    () = app.clock.sleep_until(app.clock.now() + after) => {}
                    () = app.stop.cancelled() => {}
                }
            }
            Err(error) => return Err(Stopped::Klaviyo(error)),
        }
    }
}

async fn save(
    app: &App,
    wanted: &Wanted,
    members: &[Member],
    seen_at: Millis,
) -> anyhow::Result<()> {
    if members.is_empty() {
        return Ok(());
    }
    // A member twice on one page would touch one row twice in one statement, which PostgreSQL
    // refuses.
    let mut members: Vec<&Member> = members.iter().collect();
    members.sort_by(|a, b| a.profile_id.cmp(&b.profile_id));
    members.dedup_by(|a, b| a.profile_id == b.profile_id);
    let sql = format!(
        "INSERT INTO klaviyo_members (workspace_id, kind, group_id, profile_id, email_hash,
             phone_hash, seen_at)
         VALUES {}
         ON CONFLICT (workspace_id, kind, group_id, profile_id) DO UPDATE
         SET email_hash = excluded.email_hash, phone_hash = excluded.phone_hash,
             seen_at = excluded.seen_at",
        placeholders(1, members.len(), 7)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for member in members {
        query = query
            .bind(wanted.ws)
            .bind(kind_text(wanted.kind))
            .bind(&wanted.id)
            .bind(clean(&member.profile_id))
            .bind(member.email.as_deref().and_then(email_hash))
            .bind(member.phone.as_deref().and_then(phone_hash))
            .bind(seen_at);
    }
    query
        .execute(app.db.writer())
        .await
        .context("keep members of a Klaviyo group")?;
    Ok(())
}

/// Keeps the lease; whoever lost it must not delete what the other one sees.
async fn renew(app: &App, wanted: &Wanted, held: Millis) -> Result<Millis, Stopped> {
    let now = app.clock.now();
    if now - held < 10 * SECOND {
        return Ok(held);
    }
    let renewed = sqlx::query(
        "UPDATE klaviyo_groups SET sync_started_at = $1
         WHERE workspace_id = $2 AND kind = $3 AND id = $4 AND sync_started_at = $5",
    )
    .bind(now)
    .bind(wanted.ws)
    .bind(kind_text(wanted.kind))
    .bind(&wanted.id)
    .bind(held)
    .execute(app.db.writer())
    .await?;
    if renewed.rows_affected() == 0 {
        return Err(Stopped::GivenUp);
    }
    Ok(now)
}

/// After a complete pull: whoever was not seen has left. Then everyone in the group whom we know
/// by address learns their profile.
async fn finish(app: &App, wanted: &Wanted, started: Millis, held: Millis) -> Result<(), Stopped> {
    let kind = kind_text(wanted.kind);
    let mut tx = app.db.begin().await?;
    let mine = sqlx::query(
        "UPDATE klaviyo_groups SET synced_at = $1, sync_started_at = NULL, problem = NULL
         WHERE workspace_id = $2 AND kind = $3 AND id = $4 AND sync_started_at = $5",
    )
    .bind(started)
    .bind(wanted.ws)
    .bind(kind)
    .bind(&wanted.id)
    .bind(held)
    .execute(&mut *tx)
    .await?;
    if mine.rows_affected() == 0 {
        return Err(Stopped::GivenUp);
    }
    sqlx::query(
        "DELETE FROM klaviyo_members
         WHERE workspace_id = $1 AND kind = $2 AND group_id = $3 AND seen_at < $4",
    )
    .bind(wanted.ws)
    .bind(kind)
    .bind(&wanted.id)
    .bind(started)
    .execute(&mut *tx)
    .await?;
    for sql in [LINK_BY_EMAIL, LINK_BY_PHONE] {
        sqlx::query(sql)
            .bind(wanted.ws)
            .bind(kind)
            .bind(&wanted.id)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

const LINK_BY_EMAIL: &str = "UPDATE subscribers SET klaviyo_profile_id =
        (SELECT MIN(m.profile_id) FROM klaviyo_members m
         WHERE m.workspace_id = $1 AND m.kind = $2 AND m.group_id = $3
             AND m.email_hash = subscribers.email_hash)
    WHERE workspace_id = $1 AND klaviyo_profile_id IS NULL AND id IN
        (SELECT s.id FROM klaviyo_members m
         JOIN subscribers s ON s.workspace_id = m.workspace_id AND s.email_hash = m.email_hash
         WHERE m.workspace_id = $1 AND m.kind = $2 AND m.group_id = $3
             AND s.klaviyo_profile_id IS NULL AND s.erased_at IS NULL)";

const LINK_BY_PHONE: &str = "UPDATE subscribers SET klaviyo_profile_id =
        (SELECT MIN(m.profile_id) FROM klaviyo_members m
         WHERE m.workspace_id = $1 AND m.kind = $2 AND m.group_id = $3
             AND m.phone_hash = subscribers.phone_hash)
    WHERE workspace_id = $1 AND klaviyo_profile_id IS NULL AND id IN
        (SELECT s.id FROM klaviyo_members m
         JOIN subscribers s ON s.workspace_id = m.workspace_id AND s.phone_hash = m.phone_hash
         WHERE m.workspace_id = $1 AND m.kind = $2 AND m.group_id = $3
             AND s.klaviyo_profile_id IS NULL AND s.erased_at IS NULL)";

/// Says in words what is wrong and gives the group back, to be tried again after a while.
async fn explain(
    app: &App,
    wanted: &Wanted,
    started: Millis,
    stopped: Stopped,
) -> anyhow::Result<()> {
    let (words, after) = match stopped {
        Stopped::GivenUp => {
            return give_back(app, wanted, started).await;
        }
        Stopped::Klaviyo(Error::Retry { after, .. }) => (
            "Klaviyo asks to wait. The sync goes on by itself.".to_owned(),
            after.max(SECOND),
        ),
        Stopped::Klaviyo(Error::Reconnect(_)) => (
            "Klaviyo no longer accepts the connection. Connect it again in Settings.".to_owned(),
            SECOND,
        ),
        Stopped::Klaviyo(Error::NotFound(_)) => (
            format!(
                "Klaviyo no longer has this {}. Choose another one in the audience.",
                kind_text(wanted.kind)
            ),
            5 * AFTER_FAILURE,
        ),
        Stopped::Klaviyo(Error::Refused { status, detail }) => (
            format!(
                "Klaviyo refused to list the members ({status}: {detail}). Check that the \
                 connection may read segments, lists and profiles."
            ),
            5 * AFTER_FAILURE,
        ),
        Stopped::Other(error) => {
            tracing::error!(workspace.id = %wanted.ws, error = %format!("{error:#}"), "A Klaviyo sync failed");
            (
                "The sync failed on our side. It is tried again by itself.".to_owned(),
                AFTER_FAILURE,
            )
        }
    };
    // A lease that looks nearly over: it ends when the group may be tried again.
    sqlx::query(
        "UPDATE klaviyo_groups SET problem = $1, sync_started_at = $2
         WHERE workspace_id = $3 AND kind = $4 AND id = $5",
    )
    .bind(clean(&words))
    .bind(app.clock.now() + after - LEASE)
    .bind(wanted.ws)
    .bind(kind_text(wanted.kind))
    .bind(&wanted.id)
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// A process that ends leaves its group to the next one at once; a group that another process took
/// over is that one's.
async fn give_back(app: &App, wanted: &Wanted, started: Millis) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE klaviyo_groups SET sync_started_at = NULL
         WHERE workspace_id = $1 AND kind = $2 AND id = $3 AND sync_started_at >= $4",
    )
    .bind(wanted.ws)
    .bind(kind_text(wanted.kind))
    .bind(&wanted.id)
    .bind(started)
    .execute(app.db.writer())
    .await?;
    Ok(())
}

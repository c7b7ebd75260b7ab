//! Somebody leaves: our own ledger decides at once what we may send, and Meta is told behind it. The
//! debt to tell is a row, so that neither a crash nor Meta's silence forgets it.

use crate::app::App;
use crate::clock::{DAY, HOUR, MINUTE, Millis};
use crate::meta::{self, Class};
use crate::store::Conn;
use crate::store::ids::{ConsentId, PageRowId, SubscriberId, WorkspaceId};
use crate::subscribers::{self, Means};
use crate::workspaces;

/// How long a person's own STOP waits before Meta hears of it: Meta then ends their token for good,
/// and a START that follows at once would need a new card. We send nothing meanwhile.
pub const SECOND_THOUGHTS: Millis = 2 * MINUTE;
/// A try that nobody finished is made again after this.
const LEASE: Millis = 2 * MINUTE;
/// What waits how long after which failure. After the last it is given up.
const RETRIES: &[Millis] = &[MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, DAY, DAY, DAY];
const BATCH: i64 = 50;

/// Opts the person out by the merchant's word; `false` if there is no such subscriber.
pub async fn take_out(app: &App, ws: WorkspaceId, id: SubscriberId) -> anyhow::Result<bool> {
    if subscribers::find(app, ws, id).await?.is_none() {
        return Ok(false);
    }
    let mut tx = app.db.begin().await?;
    let event = format!("merchant:{}", app.ids.next::<ConsentId>());
    let now = app.clock.now();
    subscribers::opt_out(app, &mut tx, id, Means::Merchant, now, &event).await?;
    owe(&mut tx, ws, id, now + LEASE).await?;
    tx.commit().await?;
    let task = app.clone();
    app.spawn(async move {
        if let Err(error) = tell(&task, id).await {
            tracing::warn!(subscriber.id = %id, error = format!("{error:#}"), "Meta not told of an opt-out");
        }
    });
    Ok(true)
}

/// Meta is to be told, from `due_at` on, that this person opted out with us.
pub async fn owe(
    conn: &mut Conn,
    ws: WorkspaceId,
    id: SubscriberId,
    due_at: Millis,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO untold_opt_outs (subscriber_id, workspace_id, due_at) VALUES ($1, $2, $3)
         ON CONFLICT (subscriber_id) DO UPDATE SET due_at = excluded.due_at, attempts = 0",
    )
    .bind(id)
    .bind(ws)
    .bind(due_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Tells Meta what is due.
pub async fn tell_due(app: &App) -> anyhow::Result<()> {
    while !app.stop.is_cancelled() {
        let due = claim(app).await?;
        if due.is_empty() {
            break;
        }
        for id in due {
            tell(app, id).await?;
        }
    }
    Ok(())
}

async fn claim(app: &App) -> anyhow::Result<Vec<SubscriberId>> {
    let now = app.clock.now();
    Ok(sqlx::query_scalar(
        "UPDATE untold_opt_outs SET due_at = $1
         WHERE subscriber_id IN (SELECT subscriber_id FROM untold_opt_outs WHERE due_at <= $2
                                 ORDER BY due_at LIMIT $3)
           AND due_at <= $2
         RETURNING subscriber_id",
    )
    .bind(now + LEASE)
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?)
}

/// Somebody whose opt-out Meta does not know yet.
#[derive(sqlx::FromRow)]
struct Owed {
    page_id: PageRowId,
    psid: Option<String>,
    token: Option<String>,
    opted_out_at: Option<Millis>,
    attempts: i64,
}

async fn tell(app: &App, id: SubscriberId) -> anyhow::Result<()> {
    let owed: Option<Owed> = sqlx::query_as(
        "SELECT s.page_id, s.psid, s.token, s.opted_out_at, u.attempts
         FROM untold_opt_outs u JOIN subscribers s ON s.id = u.subscriber_id
         WHERE u.subscriber_id = $1",
    )
    .bind(id)
    .fetch_optional(app.db.pool())
    .await?;
    let Some(owed) = owed else {
        return Ok(());
    };
    // Who came back has nothing to be told of; who was erased cannot be named any more.
    let (Some(psid), Some(_)) = (&owed.psid, owed.opted_out_at) else {
        return settle(app, id, None).await;
    };
    let Some(page) = workspaces::page(app, owed.page_id).await? else {
        return settle(app, id, None).await;
    };
    let Some(token) = page.token.as_ref().filter(|_| page.state == "active") else {
        return put_off(app, id, owed.attempts).await;
    };
    match app.meta.unsubscribe(&page.meta_id, token, psid).await {
        Ok(()) => settle(app, id, owed.token.as_deref()).await,
        Err(error) => {
            tracing::warn!(subscriber.id = %id, %error, "Meta was not told of an opt-out");
            match &error {
                meta::Error::Api(answer) if is_final(answer.class) => settle(app, id, None).await,
                _ => put_off(app, id, owed.attempts).await,
            }
        }
    }
}

/// The answer will be the same the next time: Meta does not know the person, or what we asked.
fn is_final(class: Class) -> bool {
    matches!(
        class,
        Class::OurBug | Class::SkipRecipient | Class::DropSubscriber | Class::AlreadySent
    )
}

/// Nothing is owed any more. `ended`: the token that Meta has ended by it.
async fn settle(app: &App, id: SubscriberId, ended: Option<&str>) -> anyhow::Result<()> {
    let mut tx = app.db.begin().await?;
    if let Some(token) = ended {
        subscribers::token_ended(&mut tx, id, token).await?;
    }
    sqlx::query("DELETE FROM untold_opt_outs WHERE subscriber_id = $1")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

async fn put_off(app: &App, id: SubscriberId, attempts: i64) -> anyhow::Result<()> {
    let wait = usize::try_from(attempts).ok().and_then(|n| RETRIES.get(n));
    let Some(wait) = wait else {
        tracing::error!(subscriber.id = %id, "Meta could not be told of an opt-out within days");
        return settle(app, id, None).await;
    };
    sqlx::query(
        "UPDATE untold_opt_outs SET due_at = $2, attempts = attempts + 1 WHERE subscriber_id = $1",
    )
    .bind(id)
    .bind(app.clock.now() + wait)
    .execute(app.db.writer())
    .await?;
    Ok(())
}

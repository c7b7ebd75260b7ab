//! The passes of an erasure, worked off from the rows: called when one was demanded, and by the
//! upkeep for whatever was interrupted, is long, or comes a second time.

use super::erase::erase_customer;
use super::everyone::erase_everyone;
use super::export_context;
use super::traces::{self, Subject};
use super::{Kind, noted};
use crate::app::App;
use crate::clock::{DAY, HOUR, MINUTE, Millis};
use crate::store::ids::{PageRowId, RequestId, WorkspaceId};
use crate::subscribers::Known;
use crate::workspaces;

/// A delivery that was not understood at once is tried for less than this; the second pass comes
/// after it.
const SECOND_PASS: Millis = 3 * DAY;
/// When Meta is told again, where it did not hear of the erasure at once.
const TELL_AGAIN: Millis = HOUR;
/// How long one worker may be at a demand before another takes it up.
const LEASE: Millis = 10 * MINUTE;
/// Of a whole shop so many stretches of people go in one pass; then others have their turn.
const STRETCHES: usize = 50;
const BATCH: i64 = 20;

#[derive(sqlx::FromRow)]
struct Open {
    id: RequestId,
    workspace_id: WorkspaceId,
    kind: String,
    subject_sealed: Option<String>,
    done_at: Option<Millis>,
}

/// Works off the demands to erase whose pass is due; how many.
pub async fn erase_due(app: &App) -> anyhow::Result<usize> {
    let now = app.clock.now();
    let open: Vec<Open> = sqlx::query_as(
        "UPDATE privacy_requests SET again_at = $1
         WHERE id IN (SELECT id FROM privacy_requests WHERE again_at <= $2 ORDER BY again_at LIMIT $3)
           AND again_at <= $2
         RETURNING id, workspace_id, kind, subject_sealed, done_at",
    )
    .bind(now + LEASE)
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?;
    let count = open.len();
    for demand in open {
        let id = demand.id;
        // One that fails is taken up again when its lease is over; the others go on.
        if let Err(error) = pass(app, demand).await {
            tracing::error!(request.id = %id, "An erasure did not come to its end: {error:#}");
        }
    }
    if count > 0 {
        app.db.forget_log().await?;
    }
    Ok(count)
}

async fn pass(app: &App, demand: Open) -> anyhow::Result<()> {
    let ws = demand.workspace_id;
    let mut subject = match &demand.subject_sealed {
        Some(sealed) => Subject::open(app, demand.id, sealed)?,
        None => Subject::default(),
    };
    let kind = Kind::parse(&demand.kind);
    let is_whole = match kind {
        Kind::EraseShop => {
            let (people, is_whole) = erase_everyone(app, ws, STRETCHES).await?;
            subject.people += people;
            is_whole
        }
        _ => {
            if demand.done_at.is_some() {
                let mut tx = app.db.begin().await?;
                erase_customer(app, &mut tx, ws, &mut subject).await?;
                tx.commit().await?;
            }
            tell_meta(app, &mut subject).await?;
            subject.texts += traces::forget(app, ws, &subject).await?;
            forget_exports(app, ws, &subject.known()).await?;
            true
        }
    };
    settle(app, &demand, kind, &subject, is_whole).await
}

/// Takes the people out of Meta's own list. Who is not known there any more needs nothing.
async fn tell_meta(app: &App, subject: &mut Subject) -> anyhow::Result<()> {
    let mut untold = Vec::new();
    for (page, psid) in std::mem::take(&mut subject.at_meta) {
        let page = workspaces::page(app, PageRowId(page)).await?;
        let Some((page, token)) = page.and_then(|page| {
            let token = page.token.clone()?;
            Some((page, token))
        }) else {
            continue;
        };
        if let Err(error) = app.meta.unsubscribe(&page.meta_id, &token, &psid).await {
            tracing::warn!(page.id = %page.id, %error, "Meta was not told of an erasure yet");
            untold.push((page.id.0, psid));
        }
    }
    subject.at_meta = untold;
    Ok(())
}

/// Where the demand stands after the pass. With the last one the subject itself is forgotten.
async fn settle(
    app: &App,
    demand: &Open,
    kind: Kind,
    subject: &Subject,
    is_whole: bool,
) -> anyhow::Result<()> {
    let now = app.clock.now();
    let last = demand.done_at.unwrap_or(now) + SECOND_PASS;
    let again = match is_whole {
        false => Some(now),
        true if now >= last => None,
        true if !subject.at_meta.is_empty() => Some(last.min(now + TELL_AGAIN)),
        true => Some(last),
    };
    let sealed = again.map(|_| subject.seal(app, demand.id)).transpose()?;
    let detail = told(kind, subject);
    let mut tx = app.db.begin().await?;
    sqlx::query(
        "UPDATE privacy_requests SET again_at = $2, subject_sealed = $3, detail = $4,
             done_at = CASE WHEN $5 = 1 THEN COALESCE(done_at, $6) ELSE done_at END
         WHERE id = $1",
    )
    .bind(demand.id)
    .bind(again)
    .bind(sealed)
    .bind(&detail)
    .bind(i64::from(is_whole))
    .bind(now)
    .execute(&mut *tx)
    .await?;
    if is_whole && demand.done_at.is_none() {
        let about = (kind, demand.id);
        noted(
            app,
            &mut tx,
            demand.workspace_id,
            about,
            subject.actor(),
            detail,
        )
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// In counts only.
fn told(kind: Kind, subject: &Subject) -> String {
    let whom = match kind {
        Kind::EraseShop => "The shop's data was erased",
        _ => "One customer was erased",
    };
    format!(
        "{whom}. Subscribers erased: {}. Texts emptied that mentioned them: {}.",
        subject.people, subject.texts
    )
}

/// An export of the person that still lies here goes with them. There are few: they expire.
async fn forget_exports(app: &App, ws: WorkspaceId, known: &Known) -> anyhow::Result<()> {
    let kept: Vec<(RequestId, String)> = sqlx::query_as(
        "SELECT id, export_sealed FROM privacy_requests
         WHERE workspace_id = $1 AND export_sealed IS NOT NULL",
    )
    .bind(ws)
    .fetch_all(app.db.pool())
    .await?;
    for (id, sealed) in kept {
        let opened = app.keys.open(&export_context(id), &sealed)?;
        let text = secrecy::ExposeSecret::expose_secret(&opened).to_lowercase();
        let names = [&known.customer_id, &known.email, &known.phone];
        let is_theirs = names
            .into_iter()
            .flatten()
            .any(|name| text.contains(&format!("\"{}\"", name.to_lowercase())));
        if is_theirs {
            sqlx::query("UPDATE privacy_requests SET export_sealed = NULL WHERE id = $1")
                .bind(id)
                .execute(app.db.writer())
                .await?;
        }
    }
    Ok(())
}

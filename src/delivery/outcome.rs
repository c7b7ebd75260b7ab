//! Writing down what happened: the messages of a batch in few statements, then what else Meta said.

use std::collections::HashSet;
use std::fmt::Write;

use sqlx::AssertSqlSafe;

use super::batch::Work;
use super::enqueue::MessageKind;
use super::speak::{Effect, Outcome, Spoken};
use super::{pace, receipts, warm_up};
use crate::app::App;
use crate::clock::{MINUTE, Millis};
use crate::profiles::{self, Report};
use crate::store::Conn;
use crate::store::ids::{CampaignId, WorkspaceId};
use crate::subscribers::{self, Means};
use crate::tallies::{self, Changes, Counted};
use crate::telemetry;
use crate::workspaces::{self, Page, PageRef, Workspace};

/// So many suspicious refusals in one batch, and the batch is not believed.
const SUSPICIOUS: usize = 5;

/// Writes the outcomes of a batch.
pub(super) async fn record(
    app: &App,
    workspace: &Workspace,
    page: &Page,
    done: Vec<(Work, Spoken)>,
) -> anyhow::Result<()> {
    let done = doubt(app, page, done).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let mut changes = Changes::default();
    sent(app, &mut tx, page, &done, now, &mut changes).await?;
    for (work, spoken) in &done {
        match &spoken.outcome {
            Outcome::Sent { .. } => {}
            other => {
                let ended = one(app, &mut tx, workspace, work, spoken, other, now).await?;
                ended.iter().for_each(|message| changes.came(message));
            }
        }
        release(&mut tx, work, spoken).await?;
        for effect in &spoken.effects {
            person(app, &mut tx, work, effect, now).await?;
        }
    }
    changes.write(&mut tx).await?;
    tx.commit().await?;
    for (_, spoken) in &done {
        let outcome = match &spoken.outcome {
            Outcome::Sent { .. } => "sent",
            Outcome::Again { .. } => "again",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Failed { .. } => "failed",
            Outcome::Unknown { .. } => "unknown",
        };
        telemetry::messages(outcome, 1);
    }
    surroundings(app, page, &done).await
}

/// Many refusals that would each condemn a person or the message, in one batch, rather condemn the
/// Page or our rights on it (facts/meta.md section 5): stop before dropping anyone.
async fn doubt(
    app: &App,
    page: &Page,
    mut done: Vec<(Work, Spoken)>,
) -> anyhow::Result<Vec<(Work, Spoken)>> {
    let suspicious = done.iter().filter(|(_, s)| s.suspicious).count();
    if suspicious < SUSPICIOUS || suspicious * 2 < done.len() {
        return Ok(done);
    }
    let at = app.clock.now() + 15 * MINUTE;
    tracing::warn!(page.id = %page.id, refused = suspicious, "Meta refuses most people: the sends stop");
    let mut owners = HashSet::new();
    for (work, spoken) in done.iter_mut().filter(|(_, s)| s.suspicious) {
        spoken.outcome = if work.settling {
            Outcome::Unknown {
                detail: "refused in a doubtful batch".into(),
                once_more: true,
            }
        } else {
            Outcome::Again {
                at,
                try_counts: false,
                detail: None,
            }
        };
        spoken.effects.clear();
        owners.extend(work.owner);
    }
    for owner in owners {
        let words = "Meta refused most people at once. The Page's permissions or the ad account \
                     may have changed: check them under Connections, then go on.";
        warm_up::halt(
            app,
            page.workspace,
            owner,
            page.id,
            warm_up::Halt::Failed,
            words,
        )
        .await?;
    }
    Ok(done)
}

/// All that Meta took, in one statement. Where an echo (or the end of the lease) was quicker, what
/// it left open is filled in.
async fn sent(
    app: &App,
    conn: &mut Conn,
    page: &Page,
    done: &[(Work, Spoken)],
    now: Millis,
    changes: &mut Changes,
) -> anyhow::Result<()> {
    let rows: Vec<_> = done
        .iter()
        .filter_map(|(work, spoken)| match &spoken.outcome {
            Outcome::Sent { mid, tracking_id } => Some((work.key, mid, tracking_id)),
            _ => None,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut values = String::new();
    for (i, (key, ..)) in rows.iter().enumerate() {
        let separator = if i == 0 { "" } else { "," };
        let (mid, tracking) = (2 * i + 2, 2 * i + 3);
        let _ = write!(
            values,
            "{separator}(CAST({} AS BIGINT),CAST({} AS BIGINT),CAST(${mid} AS TEXT),CAST(${tracking} AS TEXT))",
            key.origin.0, key.subscriber.0
        );
    }
    let sql = format!(
        "UPDATE messages SET status = 'sent', reason = NULL, lease_until = NULL,
             sent_at = COALESCE(sent_at, $1),
             mid = COALESCE(mid, NULLIF(v.column3, '')),
             tracking_id = COALESCE(tracking_id, NULLIF(v.column4, ''))
         FROM (VALUES {values}) AS v
         WHERE origin_id = v.column1 AND subscriber_id = v.column2 AND status = 'sending'
         RETURNING {}",
        tallies::COLUMNS
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql))
        .persistent(false)
        .bind(now);
    for (_, mid, tracking) in &rows {
        query = query
            .bind(mid.as_deref().unwrap_or(""))
            .bind(tracking.as_deref().unwrap_or(""));
    }
    let changed: Vec<Counted> = query.fetch_all(&mut *conn).await?;
    changed.iter().for_each(|message| changes.came(message));
    if changed.len() == rows.len() {
        return Ok(());
    }
    let written: HashSet<(i64, i64)> = changed
        .iter()
        .map(|message| (message.origin_id, message.subscriber_id))
        .collect();
    let page = PageRef {
        id: page.id,
        workspace: page.workspace,
    };
    for (key, mid, tracking) in rows {
        if !written.contains(&(key.origin.0, key.subscriber.0)) {
            let names = (mid.as_deref(), tracking.as_deref());
            receipts::settle(app, conn, page, key, now, names, changes).await?;
        }
    }
    Ok(())
}

/// A message that was not simply sent, with the row of its attempt; the message as it is then. The
/// lease is the fence: if it ran out and somebody else took the message over, nothing is written.
async fn one(
    app: &App,
    conn: &mut Conn,
    workspace: &Workspace,
    work: &Work,
    spoken: &Spoken,
    outcome: &Outcome,
    now: Millis,
) -> anyhow::Result<Option<Counted>> {
    let (status, reason, detail, due_at, counts) = match outcome {
        Outcome::Sent { .. } => return Ok(None),
        Outcome::Again {
            at,
            try_counts,
            detail,
        } => ("queued", None, detail.as_deref(), Some(*at), *try_counts),
        Outcome::Skipped { reason, detail } => {
            ("skipped", Some(*reason), detail.as_deref(), None, true)
        }
        Outcome::Failed { reason, detail } => {
            ("failed", Some(*reason), Some(detail.as_str()), None, true)
        }
        Outcome::Unknown { detail, once_more } => {
            let reason = if *once_more { "answer_lost" } else { "retried" };
            ("unknown", Some(reason), Some(detail.as_str()), None, true)
        }
    };
    let sql = format!(
        "UPDATE messages SET status = $3, reason = $4, detail = $5, lease_until = NULL,
             due_at = COALESCE($6, due_at), attempts = attempts - $7
         WHERE origin_id = $1 AND subscriber_id = $2 AND status = 'sending' AND lease_until = $8
         RETURNING {}",
        tallies::COLUMNS
    );
    let written: Option<Counted> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(work.key.origin)
        .bind(work.key.subscriber)
        .bind(status)
        .bind(reason)
        .bind(detail)
        .bind(due_at)
        .bind(i64::from(!counts))
        .bind(work.lease_until)
        .fetch_optional(&mut *conn)
        .await?;
    if written.is_none() || !counts && spoken.error.is_none() {
        return Ok(written);
    }
    let (code, subcode) = spoken.error.map_or((None, None), |(c, s)| (Some(c), s));
    sqlx::query(
        "INSERT INTO attempts (id, workspace_id, origin_id, subscriber_id, at, channel, outcome,
             code, subcode, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(app.ids.next::<i64>())
    .bind(workspace.id)
    .bind(work.key.origin)
    .bind(work.key.subscriber)
    .bind(now)
    .bind(work.channel.as_str())
    .bind(if status == "queued" { "again" } else { status })
    .bind(code)
    .bind(subcode)
    .bind(detail)
    .execute(&mut *conn)
    .await?;
    if status == "failed" && work.kind != MessageKind::Card {
        profiles::report(app, conn, failed_report(workspace, work, reason, now)).await?;
    }
    Ok(written)
}

fn failed_report(workspace: &Workspace, work: &Work, reason: Option<&str>, now: Millis) -> Report {
    let mut properties = serde_json::Map::new();
    properties.insert("message_id".into(), work.key.to_string().into());
    properties.insert("reason".into(), reason.unwrap_or_default().into());
    Report {
        workspace: workspace.id,
        subscriber: work.key.subscriber,
        metric: "Failed to Deliver Messenger Message",
        properties,
        value: None,
        at: now,
        unique_id: format!("msgr:{}:failed", work.key),
    }
}

/// Gives the day's marketing message back when it was not used after all.
async fn release(conn: &mut Conn, work: &Work, spoken: &Spoken) -> sqlx::Result<()> {
    let Some(reserved) = work.reserved else {
        return Ok(());
    };
    if matches!(
        spoken.outcome,
        Outcome::Sent { .. } | Outcome::Unknown { .. }
    ) {
        return Ok(());
    }
    sqlx::query(
        "UPDATE subscribers SET last_marketing_at = $2
         WHERE id = $1 AND last_marketing_at = $3",
    )
    .bind(work.key.subscriber)
    .bind(reserved.before)
    .bind(reserved.at)
    .execute(conn)
    .await?;
    Ok(())
}

/// What the answer says about the person.
async fn person(
    app: &App,
    conn: &mut Conn,
    work: &Work,
    effect: &Effect,
    now: Millis,
) -> anyhow::Result<()> {
    match effect {
        Effect::OptOut => {
            let event = format!("send:{}:{}", work.key, work.attempts);
            subscribers::opt_out(
                app,
                conn,
                work.key.subscriber,
                Means::SendError,
                now,
                &event,
            )
            .await?;
        }
        Effect::DropToken => {
            sqlx::query(
                "UPDATE subscribers SET unreachable_at = $2, unreachable_reason = 'token'
                 WHERE id = $1 AND token = $3",
            )
            .bind(work.key.subscriber)
            .bind(now)
            .bind(work.token.as_deref())
            .execute(conn)
            .await?;
        }
        Effect::NotBefore(at) => {
            sqlx::query("UPDATE subscribers SET next_eligible_at = $2 WHERE id = $1")
                .bind(work.key.subscriber)
                .bind(at)
                .execute(conn)
                .await?;
        }
        _ => {}
    }
    Ok(())
}

/// What the answers say about the Page, its pace and its campaigns.
async fn surroundings(app: &App, page: &Page, done: &[(Work, Spoken)]) -> anyhow::Result<()> {
    let mut told: HashSet<(Option<i64>, std::mem::Discriminant<Effect>)> = HashSet::new();
    for (work, spoken) in done {
        for effect in &spoken.effects {
            if !told.insert((work.owner, std::mem::discriminant(effect))) {
                continue;
            }
            match effect {
                Effect::RestPage(until) => pace::hold(app, page.id, *until).await?,
                Effect::PageTrouble(words) => {
                    workspaces::page_needs_reconnect(app, page.id, words).await?;
                }
                Effect::HoldVehicle(until) => {
                    if let Some(owner) = work.owner {
                        warm_up::hold(app, owner, page.id, *until).await?;
                    }
                }
                Effect::Halt(how, words) => {
                    if let Some(owner) = work.owner {
                        let (code, _) = spoken.error.unwrap_or_default();
                        tracing::warn!(page.id = %page.id, owner, code, "Meta stopped the sends");
                        warm_up::halt(app, page.workspace, owner, page.id, *how, words).await?;
                    }
                }
                Effect::Probed | Effect::OptOut | Effect::DropToken | Effect::NotBefore(_) => {}
            }
        }
    }
    // Last: whoever waited for the first send must find the rest of its effects in place.
    for (work, spoken) in done {
        let first = work.vehicle.meta_campaign_id.is_some() && work.vehicle.probed_at.is_none();
        if let Some(owner) = work.owner.filter(|_| first) {
            let through = spoken.effects.contains(&Effect::Probed);
            warm_up::probed(app, owner, page.id, through).await?;
        }
    }
    let busiest = done
        .iter()
        .map(|(_, spoken)| spoken.usage)
        .max_by_key(|usage| usage.percent);
    if let Some(usage) = busiest {
        pace::obey(app, page.id, usage).await?;
    }
    Ok(())
}

/// Leases that ran out: somebody was speaking to Meta and never told us the end.
pub(super) async fn expire_leases(app: &App) -> sqlx::Result<u64> {
    let now = app.clock.now();
    // Asked every second: reading costs nothing, while even an empty UPDATE takes SQLite's one
    // write lock.
    let expired: Option<(i64,)> = sqlx::query_as(
        "SELECT 1 FROM messages WHERE status = 'sending' AND lease_until < $1 LIMIT 1",
    )
    .bind(now)
    .fetch_optional(app.db.pool())
    .await?;
    if expired.is_none() {
        return Ok(0);
    }
    let sql = format!(
        "UPDATE messages SET status = 'unknown', lease_until = NULL,
             reason = COALESCE(reason, 'answer_lost'),
             detail = 'The process stopped while Meta was answering.'
         WHERE status = 'sending' AND lease_until < $1 RETURNING {}",
        tallies::COLUMNS
    );
    let mut tx = app.db.begin().await?;
    let left: Vec<Counted> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(now)
        .fetch_all(&mut *tx)
        .await?;
    let mut changes = Changes::default();
    left.iter().for_each(|message| changes.came(message));
    changes.write(&mut tx).await?;
    tx.commit().await?;
    Ok(left.len() as u64)
}

/// Messages of a cancelled campaign: what is queued will not be sent. Commits.
pub async fn cancel_queued(app: &App, ws: WorkspaceId, campaign: CampaignId) -> sqlx::Result<u64> {
    let mut tx = app.db.begin().await?;
    let done = sqlx::query(
        "UPDATE messages SET status = 'skipped', reason = 'cancelled', started_at = $3
         WHERE workspace_id = $1 AND campaign_id = $2 AND campaign_id IS NOT NULL
           AND status = 'queued'",
    )
    .bind(ws)
    .bind(campaign)
    .bind(app.clock.now())
    .execute(&mut *tx)
    .await?;
    let mut changes = Changes::default();
    changes.skipped(ws, campaign.0, "cancelled", done.rows_affected());
    changes.write(&mut tx).await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

//! Writing down what happened: the messages of a batch in few statements, then what else Meta said.

use std::collections::HashSet;
use std::fmt::Write;

use sqlx::AssertSqlSafe;

use super::batch::Work;
use super::enqueue::MessageKind;
use super::speak::{Effect, Outcome, Spoken, chance_of};
use super::{pace, receipts, retry, warm_up};
use crate::app::App;
use crate::clock::{MINUTE, Millis, SECOND};
use crate::profiles::{self, Report};
use crate::store::Conn;
use crate::subscribers::{self, Means};
use crate::tallies::{self, Changes, Counted};
use crate::telemetry;
use crate::workspaces::{self, Page, PageRef, Workspace};

/// So many suspicious refusals in one batch, and the batch is not believed.
const SUSPICIOUS: usize = 5;

/// How long the outcomes of a batch are kept for a database that does not take them.
const KEPT: Millis = MINUTE;
const LONGEST_PAUSE: Millis = 2 * SECOND;

/// Writes the outcomes of a batch. What Meta answered is known nowhere else, so a database that is
/// away or full is asked again for a while.
pub(super) async fn record(
    app: &App,
    workspace: &Workspace,
    page: &Page,
    done: Vec<(Work, Spoken)>,
) -> anyhow::Result<()> {
    let done = doubt(app, page, done).await?;
    let give_up_at = app.clock.now() + KEPT;
    let mut pause = SECOND / 10;
    while let Err(error) = write(app, workspace, page, &done).await {
        if app.clock.now() >= give_up_at {
            return Err(error.context("write down what Meta answered"));
        }
        tracing::warn!(page.id = %page.id, "outcomes wait for the database: {error:#}");
        app.clock.sleep_until(app.clock.now() + pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
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

/// All of a batch, in one transaction; done twice it changes nothing.
async fn write(
    app: &App,
    workspace: &Workspace,
    page: &Page,
    done: &[(Work, Spoken)],
) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let mut changes = Changes::default();
    sent(app, &mut tx, page, done, &mut changes).await?;
    for (work, spoken) in done {
        let is_ours = match &spoken.outcome {
            Outcome::Sent { .. } => true,
            other => one(app, &mut tx, workspace, work, spoken, other, &mut changes).await?,
        };
        if is_ours {
            release(&mut tx, work, spoken).await?;
        }
        for effect in &spoken.effects {
            person(app, &mut tx, work, effect, now).await?;
        }
    }
    changes.write(&mut tx).await?;
    Ok(tx.commit().await?)
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
    changes: &mut Changes,
) -> anyhow::Result<()> {
    let rows: Vec<_> = done
        .iter()
        .filter_map(|(work, spoken)| match &spoken.outcome {
            Outcome::Sent { mid, tracking_id } => {
                Some((work.key, work.called_at, mid, tracking_id))
            }
            _ => None,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let mut values = String::new();
    for (i, (key, called_at, ..)) in rows.iter().enumerate() {
        let separator = if i == 0 { "" } else { "," };
        let (mid, tracking) = (2 * i + 1, 2 * i + 2);
        let _ = write!(
            values,
            "{separator}(CAST({} AS BIGINT),CAST({} AS BIGINT),CAST(${mid} AS TEXT),CAST(${tracking} AS TEXT),CAST({called_at} AS BIGINT))",
            key.origin.0, key.subscriber.0
        );
    }
    let sql = format!(
        "UPDATE messages SET status = 'sent', reason = NULL, lease_until = NULL,
             sent_at = COALESCE(sent_at, v.column5),
             mid = COALESCE(mid, NULLIF(v.column3, '')),
             tracking_id = COALESCE(tracking_id, NULLIF(v.column4, ''))
         FROM (VALUES {values}) AS v
         WHERE origin_id = v.column1 AND subscriber_id = v.column2 AND status = 'sending'
         RETURNING {}",
        tallies::COLUMNS
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql)).persistent(false);
    for (.., mid, tracking) in &rows {
        query = query
            .bind(mid.as_deref().unwrap_or(""))
            .bind(tracking.as_deref().unwrap_or(""));
    }
    let changed: Vec<Counted> = query.fetch_all(&mut *conn).await?;
    for message in &changed {
        changes.came(message);
    }
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
    for (key, called_at, mid, tracking) in rows {
        if !written.contains(&(key.origin.0, key.subscriber.0)) {
            let names = (mid.as_deref(), tracking.as_deref());
            receipts::settle(app, conn, page, key, called_at, names, changes).await?;
        }
    }
    Ok(())
}

/// A message that was not simply sent, with the row of its attempt; whether it was still ours. The
/// lease is the fence, and after it has run out the number of the try: what Meta said is told
/// however late, unless somebody else has tried since.
async fn one(
    app: &App,
    conn: &mut Conn,
    workspace: &Workspace,
    work: &Work,
    spoken: &Spoken,
    outcome: &Outcome,
    changes: &mut Changes,
) -> anyhow::Result<bool> {
    let now = app.clock.now();
    let patient = patience(
        conn,
        work,
        outcome,
        now,
        app.chance.fraction_for(chance_of(work)),
    )
    .await?;
    let outcome = patient.as_ref().unwrap_or(outcome);
    let (status, reason, detail, due_at, counts) = match outcome {
        Outcome::Sent { .. } => return Ok(false),
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
            // A second try that proved nothing waits like any other that did not get through.
            let again = (*once_more && work.settling).then(|| {
                now + retry::unreached(work.attempts, app.chance.fraction_for(chance_of(work)))
            });
            ("unknown", Some(reason), Some(detail.as_str()), again, true)
        }
    };
    let mut written = None;
    for (was, fence, value) in [
        ("sending", "lease_until", work.lease_until),
        ("unknown", "attempts", work.attempts + 1),
    ] {
        let sql = format!(
            "UPDATE messages SET status = $3, reason = $4, detail = $5, lease_until = NULL,
                 due_at = COALESCE($6, due_at), attempts = attempts - $7
             WHERE origin_id = $1 AND subscriber_id = $2 AND status = '{was}' AND {fence} = $8
             RETURNING {}",
            tallies::COLUMNS
        );
        written = sqlx::query_as::<_, Counted>(AssertSqlSafe(sql))
            .bind(work.key.origin)
            .bind(work.key.subscriber)
            .bind(status)
            .bind(reason)
            .bind(detail)
            .bind(due_at)
            .bind(i64::from(!counts))
            .bind(value)
            .fetch_optional(&mut *conn)
            .await?;
        if let Some(message) = &written {
            // What was on its way was not counted.
            if was == "unknown" {
                changes.went(&Counted {
                    status: was.to_owned(),
                    ..message.clone()
                });
            }
            changes.came(message);
            break;
        }
    }
    if written.is_none() || !counts && spoken.error.is_none() {
        return Ok(written.is_some());
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
    Ok(true)
}

/// Meta's "later" uses up a message's patience; tries that never reached Meta do not, however many
/// an outage cost. Asked only when it seems used up: the attempts tell the two apart (a rest of the
/// whole Page leaves no detail, a try that did not get through no code).
async fn patience(
    conn: &mut Conn,
    work: &Work,
    outcome: &Outcome,
    now: Millis,
    chance: f64,
) -> sqlx::Result<Option<Outcome>> {
    let Outcome::Failed {
        reason: "gave_up",
        detail,
    } = outcome
    else {
        return Ok(None);
    };
    let (refused,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM attempts WHERE origin_id = $1 AND subscriber_id = $2
           AND outcome = 'again' AND code IS NOT NULL AND detail IS NOT NULL",
    )
    .bind(work.key.origin)
    .bind(work.key.subscriber)
    .fetch_one(conn)
    .await?;
    let wait = retry::later(refused + 1, None, chance);
    Ok(wait.map(|wait| Outcome::Again {
        at: now + wait,
        try_counts: true,
        detail: Some(detail.clone()),
    }))
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
    let was_used = match spoken.outcome {
        // A second try that Meta refused, or that did not get through, did not arrive; what the
        // first one took stays taken.
        Outcome::Sent { .. } => !(work.settling && spoken.error.is_some()),
        Outcome::Unknown { once_more, .. } => {
            !(work.settling && (once_more || spoken.error.is_some()))
        }
        _ => false,
    };
    if was_used {
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
    let rest = done.iter().flat_map(|(_, spoken)| &spoken.effects);
    let rest = rest.filter_map(|effect| match effect {
        Effect::RestPage(until) => Some(*until),
        _ => None,
    });
    if let Some(longest) = rest.max() {
        pace::hold(app, page.id, longest).await?;
    }
    let mut told: HashSet<(Option<i64>, std::mem::Discriminant<Effect>)> = HashSet::new();
    for (work, spoken) in done {
        for effect in &spoken.effects {
            if !told.insert((work.owner, std::mem::discriminant(effect))) {
                continue;
            }
            match effect {
                Effect::PageTrouble(words) => {
                    let (code, subcode) = spoken.error.unwrap_or_default();
                    workspaces::page_refused(app, page.id, code, subcode, words).await?;
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
                Effect::RestPage(_)
                | Effect::Probed
                | Effect::OptOut
                | Effect::DropToken
                | Effect::NotBefore(_) => {}
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

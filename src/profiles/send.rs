//! Sending what the outbox holds, in bulk and within Klaviyo's limits. A row ends with `sent_at`
//! or with `error`; until then a crash only delays it, because `unique_id` makes a repeat harmless.

use std::collections::HashMap;

use anyhow::Context;
use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis, SECOND};
use crate::klaviyo::events::{BULK_LIMIT, NewEvent};
use crate::klaviyo::{Auth, Error};
use crate::profiles::people::{Person, people};
use crate::store::clean;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::store::placeholders;
use crate::workspaces;

/// How long claimed rows are left to the process that claimed them.
const LEASE: Millis = 2 * MINUTE;
/// Until a workspace whose connection cannot be used is looked at again.
const HOLD: Millis = 5 * MINUTE;
/// Characters of Klaviyo's words that are kept with a refused event.
const WORDS: usize = 300;

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: i64,
    subscriber_id: SubscriberId,
    metric: String,
    properties: String,
    value: Option<String>,
    currency: Option<String>,
    at: Millis,
    unique_id: String,
    attempts: i64,
}

/// What to do with the rest of this workspace's events.
enum Next {
    GoOn,
    Stop,
}

/// Sends what is due, in bulk, within Klaviyo's limits. Returns how many were accepted.
pub async fn send_due(app: &App) -> anyhow::Result<usize> {
    let due: Vec<WorkspaceId> = sqlx::query_scalar(
        "SELECT a.workspace_id FROM klaviyo_accounts a
         WHERE a.state = 'active' AND EXISTS (SELECT 1 FROM klaviyo_outbox o
             WHERE o.workspace_id = a.workspace_id AND o.sent_at IS NULL AND o.error IS NULL
                 AND o.due_at <= $1)",
    )
    .bind(app.clock.now())
    .fetch_all(app.db.pool())
    .await?;
    let mut accepted = 0;
    for ws in due {
        match send_for(app, ws).await {
            Ok(count) => accepted += count,
            // The next workspace has nothing to do with it; the lease brings these rows back.
            Err(error) => {
                tracing::error!(workspace.id = %ws, error = %format!("{error:#}"), "Could not send events to Klaviyo");
            }
        }
    }
    Ok(accepted)
}

async fn send_for(app: &App, ws: WorkspaceId) -> anyhow::Result<usize> {
    let mut accepted = 0;
    while !app.stop.is_cancelled() {
        let Some(auth) = workspaces::klaviyo_auth(app, ws).await? else {
            hold(app, ws).await?;
            break;
        };
        let rows = claim(app, ws).await?;
        if rows.is_empty() {
            break;
        }
        let people = people(app, ws, rows.iter().map(|row| row.subscriber_id).collect()).await?;
        let (known, strangers): (Vec<Row>, Vec<Row>) = rows
            .into_iter()
            .partition(|row| people.contains_key(&row.subscriber_id));
        fail(app, ws, &ids(&strangers), "no identifier").await?;
        let sender = Sender {
            app,
            ws,
            auth: &auth,
            people: &people,
        };
        let (count, next) = sender.send(known).await?;
        accepted += count;
        if matches!(next, Next::Stop) {
            break;
        }
    }
    Ok(accepted)
}

struct Sender<'a> {
    app: &'a App,
    ws: WorkspaceId,
    auth: &'a Auth,
    people: &'a HashMap<SubscriberId, Person>,
}

impl Sender<'_> {
    async fn send(&self, rows: Vec<Row>) -> anyhow::Result<(usize, Next)> {
        if rows.is_empty() {
            return Ok((0, Next::GoOn));
        }
        match self.post(&rows).await {
            Ok(()) => self.accepted(&rows).await,
            // One bad event fails the whole call: find it by sending singly.
            Err(error) if is_about_the_content(&error) && rows.len() > 1 => {
                self.send_singly(&rows).await
            }
            Err(error) => Ok((0, self.failed(&rows, error).await?)),
        }
    }

    async fn send_singly(&self, rows: &[Row]) -> anyhow::Result<(usize, Next)> {
        let mut count = 0;
        for (i, row) in rows.iter().enumerate() {
            let row = std::slice::from_ref(row);
            let next = match self.post(row).await {
                Ok(()) => {
                    let (accepted, next) = self.accepted(row).await?;
                    count += accepted;
                    next
                }
                Err(error) => self.failed(row, error).await?,
            };
            if matches!(next, Next::Stop) {
                postpone(self.app, self.ws, &rows[i + 1..], SECOND).await?;
                return Ok((count, Next::Stop));
            }
        }
        Ok((count, Next::GoOn))
    }

    async fn post(&self, rows: &[Row]) -> Result<(), Error> {
        let klaviyo = &self.app.klaviyo;
        let mut events: Vec<NewEvent> = rows.iter().filter_map(|row| self.event(row)).collect();
        match events.len() {
            1 => klaviyo.create_event(self.auth, &events.remove(0)).await,
            _ => klaviyo.create_events(self.auth, &events).await,
        }
    }

    fn event(&self, row: &Row) -> Option<NewEvent> {
        let person = self.people.get(&row.subscriber_id)?;
        Some(NewEvent {
            metric: row.metric.clone(),
            profile: person.key.clone(),
            properties: serde_json::from_str(&row.properties).unwrap_or_default(),
            at: row.at,
            value: row.value.clone().zip(row.currency.clone()),
            unique_id: row.unique_id.clone(),
        })
    }

    /// An event about the subscription is done only when the profile says the same.
    async fn accepted(&self, rows: &[Row]) -> anyhow::Result<(usize, Next)> {
        let (subscriptions, mut done): (Vec<&Row>, Vec<&Row>) = rows
            .iter()
            .partition(|row| is_about_subscription(&row.metric));
        let mut next = Next::GoOn;
        for (i, row) in subscriptions.iter().enumerate() {
            match self.describe(row.subscriber_id).await {
                Ok(()) => done.push(row),
                Err(error) => {
                    let stopped = self.failed(std::slice::from_ref(*row), error).await?;
                    if matches!(stopped, Next::Stop) {
                        let rest: Vec<i64> =
                            subscriptions[i + 1..].iter().map(|row| row.id).collect();
                        set_due(self.app, self.ws, &rest, self.app.clock.now() + SECOND).await?;
                        next = Next::Stop;
                        break;
                    }
                }
            }
        }
        let done: Vec<i64> = done.iter().map(|row| row.id).collect();
        mark_sent(self.app, self.ws, &done).await?;
        Ok((done.len(), next))
    }

    /// Brings the profile's Messenger properties up to date, and learns the profile's id.
    async fn describe(&self, subscriber: SubscriberId) -> Result<(), Error> {
        let Some(person) = self.people.get(&subscriber) else {
            return Ok(());
        };
        let klaviyo = &self.app.klaviyo;
        let profile = klaviyo
            .upsert_profile(self.auth, &person.key, person.properties.clone())
            .await?;
        let learned = sqlx::query(
            "UPDATE subscribers SET klaviyo_profile_id = $1
             WHERE workspace_id = $2 AND id = $3 AND klaviyo_profile_id IS NULL
                 AND erased_at IS NULL",
        )
        .bind(clean(&profile))
        .bind(self.ws)
        .bind(subscriber)
        .execute(self.app.db.writer())
        .await;
        if let Err(error) = learned {
            tracing::warn!(subscriber.id = %subscriber, %error, "Could not keep the profile's id");
        }
        Ok(())
    }

    async fn failed(&self, rows: &[Row], error: Error) -> anyhow::Result<Next> {
        match error {
            Error::Retry { after, .. } => {
                let tries = rows.iter().map(|row| row.attempts).max().unwrap_or(1);
                postpone(self.app, self.ws, rows, after.max(patience(tries))).await?;
                Ok(Next::Stop)
            }
            Error::Reconnect(words) => self.broke(rows, &words).await,
            Error::Refused {
                status: 403,
                detail,
            } => {
                let words = format!(
                    "Klaviyo does not let Pagecast write events ({detail}). Connect Klaviyo again \
                     and allow all the permissions that it asks for."
                );
                self.broke(rows, &words).await
            }
            Error::Refused { detail, .. } | Error::NotFound(detail) => {
                tracing::warn!(workspace.id = %self.ws, events = rows.len(), "Klaviyo refused events");
                let words: String = detail.chars().take(WORDS).collect();
                fail(self.app, self.ws, &ids(rows), &clean(&words)).await?;
                Ok(Next::GoOn)
            }
        }
    }

    /// The rows stay: they are sent when the merchant has connected again.
    async fn broke(&self, rows: &[Row], words: &str) -> anyhow::Result<Next> {
        workspaces::klaviyo_broke(self.app, self.ws, words).await?;
        postpone(self.app, self.ws, rows, SECOND).await?;
        Ok(Next::Stop)
    }
}

fn is_about_the_content(error: &Error) -> bool {
    match error {
        Error::Refused { status, .. } => *status != 403,
        Error::NotFound(_) => true,
        Error::Retry { .. } | Error::Reconnect(_) => false,
    }
}

fn is_about_subscription(metric: &str) -> bool {
    matches!(
        metric,
        "Subscribed to Messenger" | "Unsubscribed from Messenger"
    )
}

/// Doubles from 5 s, at most an hour.
fn patience(tries: i64) -> Millis {
    let doublings = u32::try_from(tries.clamp(1, 12) - 1).unwrap_or(0);
    (5 * SECOND * (1 << doublings)).min(HOUR)
}

fn ids(rows: &[Row]) -> Vec<i64> {
    rows.iter().map(|row| row.id).collect()
}

/// Takes a batch by moving its `due_at` on; another process sees the moved time and passes by.
async fn claim(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<Row>> {
    let now = app.clock.now();
    let mut rows: Vec<Row> = sqlx::query_as(
        "UPDATE klaviyo_outbox SET due_at = $1, attempts = attempts + 1
         WHERE id IN (SELECT id FROM klaviyo_outbox
                      WHERE workspace_id = $2 AND sent_at IS NULL AND error IS NULL
                          AND due_at <= $3
                      ORDER BY due_at, id LIMIT $4)
             AND workspace_id = $2 AND sent_at IS NULL AND error IS NULL AND due_at <= $3
         RETURNING id, subscriber_id, metric, properties, value, currency, at, unique_id, attempts",
    )
    .bind(now + LEASE)
    .bind(ws)
    .bind(now)
    .bind(i64::try_from(BULK_LIMIT)?)
    .fetch_all(app.db.writer())
    .await
    .context("claim events for Klaviyo")?;
    rows.sort_by_key(|row| (row.at, row.id));
    Ok(rows)
}

/// Without a usable connection nothing is due for a while.
async fn hold(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    let now = app.clock.now();
    sqlx::query(
        "UPDATE klaviyo_outbox SET due_at = $1
         WHERE workspace_id = $2 AND sent_at IS NULL AND error IS NULL AND due_at <= $3",
    )
    .bind(now + HOLD)
    .bind(ws)
    .bind(now)
    .execute(app.db.writer())
    .await?;
    Ok(())
}

async fn postpone(app: &App, ws: WorkspaceId, rows: &[Row], by: Millis) -> anyhow::Result<()> {
    set_due(app, ws, &ids(rows), app.clock.now() + by).await
}

async fn set_due(app: &App, ws: WorkspaceId, ids: &[i64], due_at: Millis) -> anyhow::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE klaviyo_outbox SET due_at = $1 WHERE workspace_id = $2 AND id IN {}",
        placeholders(3, 1, ids.len())
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(due_at).bind(ws);
    for id in ids {
        query = query.bind(id);
    }
    query.execute(app.db.writer()).await?;
    Ok(())
}

async fn mark_sent(app: &App, ws: WorkspaceId, ids: &[i64]) -> anyhow::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE klaviyo_outbox SET sent_at = $1 WHERE workspace_id = $2 AND id IN {}",
        placeholders(3, 1, ids.len())
    );
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(app.clock.now())
        .bind(ws);
    for id in ids {
        query = query.bind(id);
    }
    query.execute(app.db.writer()).await?;
    Ok(())
}

async fn fail(app: &App, ws: WorkspaceId, ids: &[i64], words: &str) -> anyhow::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE klaviyo_outbox SET error = $1 WHERE workspace_id = $2 AND id IN {}",
        placeholders(3, 1, ids.len())
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(words).bind(ws);
    for id in ids {
        query = query.bind(id);
    }
    query.execute(app.db.writer()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_to_an_hour_and_no_further() {
        let waits: Vec<_> = [1, 2, 3, 12, 500].map(patience).to_vec();
        assert_eq!(waits, [5 * SECOND, 10 * SECOND, 20 * SECOND, HOUR, HOUR]);
    }
}

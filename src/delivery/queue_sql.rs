//! The statements that move messages, many rows at a time. Keys are numbers of ours and stand in
//! the text; everything else is bound.

use std::collections::HashSet;
use std::fmt::Write;

use sqlx::AssertSqlSafe;

use super::batch::Work;
use super::policy::Channel;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::{MessageKey, OriginId, SubscriberId};

/// `(origin_id, subscriber_id) IN (…)` over these keys.
pub(super) fn keys_in(keys: &[MessageKey]) -> String {
    let mut sql = String::from("(origin_id, subscriber_id) IN (VALUES ");
    for (i, key) in keys.iter().enumerate() {
        let separator = if i == 0 { "" } else { "," };
        // The casts keep PostgreSQL from reading a small number as a 32-bit one.
        let _ = write!(
            sql,
            "{separator}(CAST({} AS BIGINT),CAST({} AS BIGINT))",
            key.origin.0, key.subscriber.0
        );
    }
    sql.push(')');
    sql
}

/// `queued` → `skipped`.
pub(super) async fn skip(
    conn: &mut Conn,
    keys: &[MessageKey],
    reason: &str,
    now: Millis,
) -> sqlx::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE messages SET status = 'skipped', reason = $1, started_at = $2
         WHERE status = 'queued' AND {}",
        keys_in(keys)
    );
    sqlx::query(AssertSqlSafe(sql))
        .persistent(false)
        .bind(reason)
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}

/// Leaves them `queued`, due at `at`.
pub(super) async fn put_off(conn: &mut Conn, keys: &[MessageKey], at: Millis) -> sqlx::Result<()> {
    let sql = format!(
        "UPDATE messages SET due_at = $1 WHERE status = 'queued' AND {}",
        keys_in(keys)
    );
    sqlx::query(AssertSqlSafe(sql))
        .persistent(false)
        .bind(at)
        .execute(conn)
        .await?;
    Ok(())
}

/// `unknown` messages that stay so: they are not tried again.
pub(super) async fn give_up(conn: &mut Conn, keys: &[MessageKey]) -> sqlx::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE messages SET reason = 'retried' WHERE status = 'unknown' AND {}",
        keys_in(keys)
    );
    sqlx::query(AssertSqlSafe(sql))
        .persistent(false)
        .execute(conn)
        .await?;
    Ok(())
}

/// `queued` (or, settling, `unknown`) → `sending`, with the channel, so that a crash leaves a row
/// that says how it was being sent. Returns those that were still there to take.
pub(super) async fn take(
    conn: &mut Conn,
    work: Vec<Work>,
    lease_until: Millis,
    now: Millis,
) -> sqlx::Result<Vec<Work>> {
    let mut taken: HashSet<MessageKey> = HashSet::new();
    for settling in [false, true] {
        for channel in [Channel::MarketingMessage, Channel::Standard] {
            let keys: Vec<MessageKey> = work
                .iter()
                .filter(|w| w.settling == settling && w.channel == channel)
                .map(|w| w.key)
                .collect();
            if keys.is_empty() {
                continue;
            }
            let change = if settling {
                "reason = 'retried', lease_until = $1, channel = $2
                 WHERE $3 > 0 AND status = 'unknown'"
            } else {
                "reason = NULL, detail = NULL, lease_until = $1, channel = $2, started_at = $3
                 WHERE status = 'queued'"
            };
            let sql = format!(
                "UPDATE messages SET status = 'sending', attempts = attempts + 1, {change} AND {}
                 RETURNING origin_id, subscriber_id",
                keys_in(&keys)
            );
            let rows: Vec<(OriginId, SubscriberId)> = sqlx::query_as(AssertSqlSafe(sql))
                .persistent(false)
                .bind(lease_until)
                .bind(channel.as_str())
                .bind(now)
                .fetch_all(&mut *conn)
                .await?;
            taken.extend(
                rows.into_iter()
                    .map(|(origin, subscriber)| MessageKey { origin, subscriber }),
            );
        }
    }
    Ok(work
        .into_iter()
        .filter(|w| taken.contains(&w.key))
        .collect())
}

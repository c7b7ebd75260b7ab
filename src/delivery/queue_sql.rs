//! The statements that move messages, many rows at a time. Keys are numbers of ours and stand in
//! the text; everything else is bound.

use std::fmt::Write;

use anyhow::ensure;
use sqlx::AssertSqlSafe;

use super::batch::Work;
use super::policy::Channel;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::MessageKey;
use crate::tallies::{self, Changes, Counted};

/// `FROM (VALUES …) AS k WHERE …` for these keys. A join, not `IN`: for a list of pairs SQLite reads
/// the whole table.
fn among(keys: &[MessageKey]) -> String {
    let mut sql = String::with_capacity(64 * keys.len() + 128);
    sql.push_str(" FROM (VALUES ");
    for (i, key) in keys.iter().enumerate() {
        let separator = if i == 0 { "" } else { "," };
        // The casts keep PostgreSQL from reading a small number as a 32-bit one.
        let _ = write!(
            sql,
            "{separator}(CAST({} AS BIGINT),CAST({} AS BIGINT))",
            key.origin.0, key.subscriber.0
        );
    }
    sql.push_str(
        ") AS k WHERE messages.origin_id = k.column1 AND messages.subscriber_id = k.column2",
    );
    sql
}

/// `queued` → `skipped`.
pub(super) async fn skip(
    conn: &mut Conn,
    keys: &[MessageKey],
    reason: &str,
    now: Millis,
    changes: &mut Changes,
) -> sqlx::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE messages SET status = 'skipped', reason = $1, started_at = $2{}
         AND status = 'queued' RETURNING {}",
        among(keys),
        tallies::COLUMNS
    );
    let skipped: Vec<Counted> = sqlx::query_as(AssertSqlSafe(sql))
        .persistent(false)
        .bind(reason)
        .bind(now)
        .fetch_all(conn)
        .await?;
    for message in &skipped {
        changes.came(message);
    }
    Ok(())
}

/// Leaves them as they are, `queued` or in doubt, due at `at`.
pub(super) async fn put_off(conn: &mut Conn, keys: &[MessageKey], at: Millis) -> sqlx::Result<()> {
    let sql = format!(
        "UPDATE messages SET due_at = $1{} AND status IN ('queued', 'unknown')",
        among(keys)
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
        "UPDATE messages SET reason = 'retried'{} AND status = 'unknown'",
        among(keys)
    );
    sqlx::query(AssertSqlSafe(sql))
        .persistent(false)
        .execute(conn)
        .await?;
    Ok(())
}

/// `queued` (or, settling, `unknown`) → `sending`, with the channel, so that a crash leaves a row
/// that says how it was being sent.
///
/// # Errors
/// When a row is not as it was read: it stands under our lock, so that must not be.
pub(super) async fn take(
    conn: &mut Conn,
    work: &[Work],
    lease_until: Millis,
    now: Millis,
    changes: &mut Changes,
) -> anyhow::Result<()> {
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
            let lease = (lease_until, channel);
            let taken = if settling {
                take_again(conn, &keys, lease, changes).await?
            } else {
                take_queued(conn, &keys, lease, now).await?
            };
            ensure!(
                taken == keys.len() as u64,
                "{taken} of {} claimed messages were taken",
                keys.len()
            );
        }
    }
    Ok(())
}

async fn take_queued(
    conn: &mut Conn,
    keys: &[MessageKey],
    (lease_until, channel): (Millis, Channel),
    now: Millis,
) -> sqlx::Result<u64> {
    let sql = format!(
        "UPDATE messages SET status = 'sending', attempts = attempts + 1, lease_until = $1,
             channel = $2, reason = NULL, detail = NULL, started_at = $3{}
         AND status = 'queued'",
        among(keys)
    );
    let done = sqlx::query(AssertSqlSafe(sql))
        .persistent(false)
        .bind(lease_until)
        .bind(channel.as_str())
        .bind(now)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

/// Messages of which the end was in doubt are on their way once more, and count as `unknown` no
/// longer.
async fn take_again(
    conn: &mut Conn,
    keys: &[MessageKey],
    (lease_until, channel): (Millis, Channel),
    changes: &mut Changes,
) -> sqlx::Result<u64> {
    let sql = format!(
        "UPDATE messages SET status = 'sending', attempts = attempts + 1, lease_until = $1,
             channel = $2, reason = 'retried'{}
         AND status = 'unknown' RETURNING {}",
        among(keys),
        tallies::COLUMNS
    );
    let taken: Vec<Counted> = sqlx::query_as(AssertSqlSafe(sql))
        .persistent(false)
        .bind(lease_until)
        .bind(channel.as_str())
        .fetch_all(conn)
        .await?;
    let count = taken.len() as u64;
    for message in taken {
        changes.went(&Counted {
            status: "unknown".to_owned(),
            ..message
        });
    }
    Ok(count)
}

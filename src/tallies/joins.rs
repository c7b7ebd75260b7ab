//! How many people joined and left in each quarter of an hour, by what is known of each now. A
//! decision adds a note and touches no row that others want, because decisions stand in the middle
//! of transactions; the upkeep adds the notes up. Readers take both.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use super::bucket;
use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::WorkspaceId;
use crate::store::{Conn, placeholders};

/// Notes that are added up in one transaction.
const BATCH: i64 = 2_000;

/// When somebody joined and left, as their row says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    pub opted_in_at: Option<Millis>,
    pub opted_out_at: Option<Millis>,
}

/// Who joined and who left in a quarter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Joins {
    pub joined: i64,
    pub left: i64,
}

impl Membership {
    /// Only who has joined can leave.
    fn note(self, times: i64, notes: &mut BTreeMap<Millis, Joins>) {
        let Some(joined) = self.opted_in_at else {
            return;
        };
        notes.entry(bucket(joined)).or_default().joined += times;
        if let Some(left) = self.opted_out_at {
            notes.entry(bucket(left)).or_default().left += times;
        }
    }
}

/// A person's membership is another from now on. Their row stands under the caller's lock.
pub async fn membership_moved(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    before: Membership,
    now: Membership,
) -> sqlx::Result<()> {
    let mut notes = BTreeMap::new();
    before.note(-1, &mut notes);
    now.note(1, &mut notes);
    notes.retain(|_, joins| *joins != Joins::default());
    add_notes(app, conn, ws, notes.into_iter().collect()).await
}

/// So many people who were subscribed left at `at`.
pub async fn left_together(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    people: i64,
    at: Millis,
) -> sqlx::Result<()> {
    let left = Joins {
        joined: 0,
        left: people,
    };
    add_notes(app, conn, ws, vec![(bucket(at), left)]).await
}

pub(super) async fn add_notes(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    notes: Vec<(Millis, Joins)>,
) -> sqlx::Result<()> {
    for some in notes.chunks(100) {
        let sql = format!(
            "INSERT INTO join_notes (id, workspace_id, bucket, joined, left_) VALUES {}",
            placeholders(1, some.len(), 5)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (at, joins) in some {
            query = query
                .bind(app.ids.next::<i64>())
                .bind(ws)
                .bind(at)
                .bind(joins.joined)
                .bind(joins.left);
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Adds the notes up. Part of the upkeep; safe in many workers at once, each takes its own.
pub async fn add_up(app: &App) -> anyhow::Result<()> {
    loop {
        let open: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM join_notes LIMIT 1")
            .fetch_optional(app.db.pool())
            .await?;
        if open.is_none() || app.stop.is_cancelled() {
            return Ok(());
        }
        let mut tx = app.db.begin().await?;
        let sql = format!(
            "DELETE FROM join_notes WHERE id IN (SELECT id FROM join_notes ORDER BY id LIMIT $1{})
             RETURNING workspace_id, bucket, joined, left_",
            app.db.claiming("join_notes")
        );
        let notes: Vec<(WorkspaceId, Millis, i64, i64)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(BATCH)
            .fetch_all(&mut *tx)
            .await?;
        let mut sums: BTreeMap<(WorkspaceId, Millis), Joins> = BTreeMap::new();
        for (ws, at, joined, left) in &notes {
            let sum = sums.entry((*ws, *at)).or_default();
            sum.joined += joined;
            sum.left += left;
        }
        let sums: Vec<_> = sums.into_iter().collect();
        for some in sums.chunks(100) {
            upsert(&mut tx, some).await?;
        }
        tx.commit().await?;
        if notes.is_empty() {
            return Ok(());
        }
    }
}

async fn upsert(conn: &mut Conn, sums: &[((WorkspaceId, Millis), Joins)]) -> sqlx::Result<()> {
    let sql = format!(
        "INSERT INTO joins (workspace_id, bucket, joined, left_) VALUES {}
         ON CONFLICT (workspace_id, bucket) DO UPDATE SET
             joined = joins.joined + excluded.joined, left_ = joins.left_ + excluded.left_",
        placeholders(1, sums.len(), 4)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for ((ws, at), joins) in sums {
        query = query.bind(ws).bind(at).bind(joins.joined).bind(joins.left);
    }
    query.execute(conn).await?;
    Ok(())
}

/// What must be noted to make the sums agree with the people.
pub(super) async fn compare(
    conn: &mut Conn,
    ws: WorkspaceId,
) -> sqlx::Result<Vec<(Millis, Joins)>> {
    let rows: Vec<(Millis, i64, i64)> = sqlx::query_as(
        "SELECT bucket, CAST(SUM(joined) AS BIGINT), CAST(SUM(left_) AS BIGINT)
         FROM (
             SELECT opted_in_at / 900000 * 900000 AS bucket, COUNT(*) AS joined,
                 CAST(0 AS BIGINT) AS left_
             FROM subscribers WHERE workspace_id = $1 AND opted_in_at IS NOT NULL GROUP BY 1
             UNION ALL
             SELECT opted_out_at / 900000 * 900000, 0, COUNT(*)
             FROM subscribers
             WHERE workspace_id = $1 AND opted_out_at IS NOT NULL AND opted_in_at IS NOT NULL
             GROUP BY 1
             UNION ALL
             SELECT bucket, -joined, -left_ FROM joins WHERE workspace_id = $1
             UNION ALL
             SELECT bucket, -joined, -left_ FROM join_notes WHERE workspace_id = $1) AS sides
         GROUP BY bucket HAVING SUM(joined) <> 0 OR SUM(left_) <> 0",
    )
    .bind(ws)
    .fetch_all(conn)
    .await?;
    let joins = |(at, joined, left)| (at, Joins { joined, left });
    Ok(rows.into_iter().map(joins).collect())
}

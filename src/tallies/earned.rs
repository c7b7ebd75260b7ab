//! What credited orders earned. An order's place in the earnings is read before it is changed and
//! after, and the difference is written; whoever does so holds the workspace's orders
//! (`attribution` writes them one after the other), so nobody changes them in between.

use sqlx::AssertSqlSafe;

use super::bucket;
use crate::clock::Millis;
use crate::store::ids::WorkspaceId;
use crate::store::{Conn, placeholders};

/// What one credited order counts as.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Earned {
    owner_id: i64,
    automated: i64,
    currency: String,
    ordered_at: Millis,
    total: i64,
    refunded: i64,
}

/// The order as it is counted now; `None` while it has no credit.
pub async fn earned(
    conn: &mut Conn,
    ws: WorkspaceId,
    shop_order_id: &str,
) -> sqlx::Result<Option<Earned>> {
    sqlx::query_as(
        "SELECT COALESCE(c.campaign_id, c.automation_id, 0) AS owner_id,
             CAST(CASE WHEN c.automation_id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS automated,
             o.currency, o.ordered_at, o.total, o.refunded
         FROM orders o JOIN credits c ON c.order_id = o.id AND c.workspace_id = o.workspace_id
         WHERE o.workspace_id = $1 AND o.shop_order_id = $2",
    )
    .bind(ws)
    .bind(shop_order_id)
    .fetch_optional(conn)
    .await
}

/// The order counts as `now` and no longer as `before`.
pub async fn moved(
    conn: &mut Conn,
    ws: WorkspaceId,
    before: Option<Earned>,
    now: Option<Earned>,
) -> sqlx::Result<()> {
    if before == now {
        return Ok(());
    }
    let went = before.map(|earned| Change::of(&earned, -1));
    let came = now.map(|earned| Change::of(&earned, 1));
    let changes: Vec<Change> = match (went, came) {
        (Some(mut went), Some(came)) if went.is_beside(&came) => {
            went.add(&came);
            vec![went]
        }
        (went, came) => went.into_iter().chain(came).collect(),
    };
    upsert(conn, ws, &changes).await
}

/// What is added to a row of the earnings.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Change {
    pub owner_id: i64,
    pub automated: i64,
    pub currency: String,
    pub bucket: Millis,
    pub orders: i64,
    pub total: i64,
    pub refunded: i64,
}

impl Change {
    fn of(earned: &Earned, times: i64) -> Self {
        Self {
            owner_id: earned.owner_id,
            automated: earned.automated,
            currency: earned.currency.clone(),
            bucket: bucket(earned.ordered_at),
            orders: times,
            total: times * earned.total,
            refunded: times * earned.refunded,
        }
    }

    fn is_beside(&self, other: &Self) -> bool {
        self.owner_id == other.owner_id
            && self.bucket == other.bucket
            && self.currency == other.currency
    }

    fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.total += other.total;
        self.refunded += other.refunded;
    }
}

pub(super) async fn upsert(
    conn: &mut Conn,
    ws: WorkspaceId,
    changes: &[Change],
) -> sqlx::Result<()> {
    for some in changes.chunks(64) {
        let sql = format!(
            "INSERT INTO earnings (workspace_id, owner_id, automated, currency, bucket, orders,
                 total, refunded)
             VALUES {}
             ON CONFLICT (owner_id, workspace_id, bucket, currency) DO UPDATE SET
                 orders = earnings.orders + excluded.orders,
                 total = earnings.total + excluded.total,
                 refunded = earnings.refunded + excluded.refunded",
            placeholders(1, some.len(), 8)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for change in some {
            query = query
                .bind(ws)
                .bind(change.owner_id)
                .bind(change.automated)
                .bind(&change.currency)
                .bind(change.bucket)
                .bind(change.orders)
                .bind(change.total)
                .bind(change.refunded);
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

//! A customer may be several subscribers (on two Pages, by two accounts at Meta), who share the one
//! marketing message of the day.

use std::collections::{BTreeSet, HashMap};

use super::batch::Row;
use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::SubscriberId;
use crate::store::{Tx, placeholders};
use crate::workspaces::Workspace;

/// Who has the day's message in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Brand {
    Customer(String),
    Subscriber(SubscriberId),
}

impl Brand {
    pub(super) fn of(row: &Row) -> Self {
        match &row.customer_id {
            Some(customer) => Self::Customer(customer.clone()),
            None => Self::Subscriber(row.subscriber_id),
        }
    }
}

/// What is known of a customer's subscribers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shared {
    pub(super) last_marketing_at: Option<Millis>,
    locked: i64,
    all: i64,
}

impl Shared {
    /// Somebody else is claiming or writing one of them now: whether the day's message is free is
    /// known once they are done.
    pub(super) fn is_busy(&self) -> bool {
        self.locked < self.all
    }
}

/// Locks everybody with whom the people of these rows share their day, as they stand now, so that
/// nobody else takes it meanwhile. Who is locked already is passed over: waiting could be in a
/// circle.
pub(super) async fn lock(
    app: &App,
    tx: &mut Tx,
    workspace: &Workspace,
    rows: &[Row],
) -> anyhow::Result<HashMap<String, Shared>> {
    let customers: BTreeSet<&str> = rows
        .iter()
        .filter_map(|row| row.customer_id.as_deref())
        .collect();
    if customers.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!(
        "SELECT s.customer_id, s.last_marketing_at,
             (SELECT COUNT(*) FROM subscribers o
              WHERE o.workspace_id = s.workspace_id AND o.customer_id = s.customer_id)
         FROM subscribers s WHERE s.workspace_id = $1 AND s.customer_id IN ({})
         ORDER BY s.id{}",
        placeholders(2, customers.len(), 1),
        app.db.claiming("s")
    );
    let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .persistent(false)
        .bind(workspace.id);
    for customer in customers {
        query = query.bind(customer);
    }
    let found: Vec<(String, Option<Millis>, i64)> = query.fetch_all(&mut **tx).await?;
    let mut brands: HashMap<String, Shared> = HashMap::new();
    for (customer, last_marketing_at, all) in found {
        let shared = brands.entry(customer).or_default();
        shared.last_marketing_at = shared.last_marketing_at.max(last_marketing_at);
        shared.locked += 1;
        shared.all = all;
    }
    Ok(brands)
}

//! Shopify's customer journey, for orders that say nothing of us themselves. It is ready only
//! after a while, so it is asked for after 5 minutes, an hour and a day.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::app::App;
use crate::attribution::codes;
use crate::attribution::credit::MatchedBy;
use crate::attribution::evidence::Evidence;
use crate::attribution::orders::one_at_a_time;
use crate::attribution::touches::{self, Kept, Verdict};
use crate::clock::{DAY, HOUR, MINUTE, Millis, SECOND};
use crate::shopify::Error;
use crate::shopify::admin::Journey;
use crate::store::Conn;
use crate::store::ids::WorkspaceId;
use crate::tallies;
use crate::workspaces::{self, Shop};

const SCHEDULE: [Millis; 3] = [5 * MINUTE, HOUR, DAY];
/// When a click that the order names is looked for again.
const CLICK_LATE: Millis = 5 * SECOND;
/// A shop that could not answer (frozen, throttled) is asked about an order no longer than this.
const GIVE_UP: Millis = 3 * DAY;
/// Shopify's own window; an older order that we hear of only now is not asked about.
const OLDEST: Millis = 30 * DAY;
const BATCH: i64 = 50;

/// Plans the first question about a new order that has no credit, where there is a shop to ask and
/// a click that might be found; and takes the plan back once there is a credit. `true` if there is
/// something left to ask.
pub(super) async fn plan(
    app: &App,
    conn: &mut Conn,
    order: &Kept,
    verdict: Verdict,
) -> anyhow::Result<bool> {
    let now = app.clock.now();
    let due = match verdict {
        Verdict::Credited => None,
        Verdict::ClickMissing => Some(now + CLICK_LATE),
        Verdict::None => {
            let first = order.created_at + SCHEDULE[0];
            let open = order.may_be_credited()
                && order.ordered_at > now - OLDEST
                && now < first
                && order.journey_due_at.is_none()
                && has_something_to_find(conn, order).await?;
            if !open {
                return Ok(order.journey_due_at.is_some());
            }
            Some(first)
        }
    };
    set_due(conn, order, due).await?;
    Ok(due.is_some())
}

async fn has_something_to_find(conn: &mut Conn, order: &Kept) -> anyhow::Result<bool> {
    let shop: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM shops
         WHERE workspace_id = $1 AND uninstalled_at IS NULL AND token_sealed IS NOT NULL LIMIT 1",
    )
    .bind(order.workspace_id)
    .fetch_optional(&mut *conn)
    .await?;
    if shop.is_none() {
        return Ok(false);
    }
    let click: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM clicks WHERE workspace_id = $1 AND at >= $2 AND at <= $3 LIMIT 1",
    )
    .bind(order.workspace_id)
    .bind(order.ordered_at - OLDEST)
    .bind(order.ordered_at + MINUTE)
    .fetch_optional(conn)
    .await?;
    Ok(click.is_some())
}

async fn set_due(conn: &mut Conn, order: &Kept, due: Option<Millis>) -> anyhow::Result<()> {
    sqlx::query("UPDATE orders SET journey_due_at = $1 WHERE workspace_id = $2 AND id = $3")
        .bind(due)
        .bind(order.workspace_id)
        .bind(order.id)
        .execute(conn)
        .await?;
    Ok(())
}

/// Asks Shopify for the journeys of uncredited orders that are due (after 5 min, 1 h, 24 h).
/// Returns how many orders were credited.
pub async fn sweep_journeys(app: &App) -> anyhow::Result<usize> {
    let mut shops = Shops::default();
    let mut credited = 0;
    while !app.stop.is_cancelled() {
        let due = claim(app).await?;
        if due.is_empty() {
            break;
        }
        for order in due {
            match look_again(app, &order, &mut shops).await {
                Ok(true) => credited += 1,
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(order.id = %order.id, error = %format!("{error:#}"), "Could not look at an order's journey");
                }
            }
        }
    }
    Ok(credited)
}

/// The shops asked in this sweep, each looked up once.
#[derive(Default)]
struct Shops {
    known: HashMap<WorkspaceId, Option<Shop>>,
    /// Those that asked for patience, and until when: their other orders wait as long.
    resting: HashMap<WorkspaceId, Millis>,
}

impl Shops {
    async fn of(&mut self, app: &App, ws: WorkspaceId) -> anyhow::Result<Option<&Shop>> {
        if let Entry::Vacant(vacant) = self.known.entry(ws) {
            vacant.insert(workspaces::shop(app, ws).await?);
        }
        Ok(self.known.get(&ws).and_then(Option::as_ref))
    }
}

/// Takes due orders by moving each on to its next question, so that a crash asks no more often.
async fn claim(app: &App) -> anyhow::Result<Vec<Kept>> {
    let now = app.clock.now();
    let [_, hour, day] = SCHEDULE;
    let due = sqlx::query_as(
        "UPDATE orders SET journey_checked_at = $1,
             journey_due_at = CASE
                 WHEN created_at + $2 > $1 THEN created_at + $2
                 WHEN created_at + $3 > $1 THEN created_at + $3
                 WHEN created_at + $4 > $1 THEN created_at + $4
                 ELSE NULL END
         WHERE id IN (SELECT id FROM orders WHERE journey_due_at <= $1
                      ORDER BY journey_due_at LIMIT $5)
             AND journey_due_at <= $1
         RETURNING id, workspace_id, shop_order_id, name, customer_id, email_hash, checkout_token,
             click_ref, utm_id, source_name, test, total, currency, ordered_at, created_at,
             journey_due_at, discount_codes",
    )
    .bind(now)
    .bind(SCHEDULE[0])
    .bind(hour)
    .bind(day)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?;
    Ok(due)
}

/// First with what is here by now, then with what Shopify knows. `true` if the order has a credit.
async fn look_again(app: &App, order: &Kept, shops: &mut Shops) -> anyhow::Result<bool> {
    let mut evidence = Evidence::kept(order.click_ref.as_deref(), order.utm_id.as_deref());
    if settle(app, order, &evidence).await? {
        return Ok(true);
    }
    if app.clock.now() < order.created_at + SCHEDULE[0] {
        return Ok(false);
    }
    if let Some(until) = shops.resting.get(&order.workspace_id) {
        return wait(app, order, *until).await;
    }
    let shop = shops.of(app, order.workspace_id).await?;
    let (Some(shop), Ok(shop_order_id)) = (shop, order.shop_order_id.parse::<i64>()) else {
        return give_up(app, order).await;
    };
    let (shopify, domain) = (&app.shopify, &shop.domain);
    let asked = workspaces::ask_shop(app, shop, |token| async move {
        shopify.order_journey(domain, &token, shop_order_id).await
    });
    let journey = match asked.await? {
        Ok(journey) => journey.unwrap_or_default(),
        Err(Error::Retry { after, .. }) => {
            let until = app.clock.now() + after.max(SECOND);
            shops.resting.insert(order.workspace_id, until);
            return wait(app, order, until).await;
        }
        Err(error @ (Error::Refused(_) | Error::Reconnect(_))) => {
            tracing::warn!(order.id = %order.id, %error, "Shopify does not tell the order's journey");
            if order.journey_due_at.is_none() {
                return give_up(app, order).await;
            }
            return Ok(false);
        }
    };
    read(&mut evidence, &journey);
    if settle(app, order, &evidence).await? {
        return Ok(true);
    }
    // Asked for the last time, or there is no more to come.
    if journey.ready || order.journey_due_at.is_none() {
        return give_up(app, order).await;
    }
    Ok(false)
}

async fn wait(app: &App, order: &Kept, until: Millis) -> anyhow::Result<bool> {
    if until >= order.created_at + GIVE_UP {
        return give_up(app, order).await;
    }
    let mut tx = app.db.begin().await?;
    set_due(&mut tx, order, Some(until)).await?;
    tx.commit().await?;
    Ok(false)
}

/// The journey is silent about us; what is left is the order's discount code. `true` if that gave
/// the order its credit.
async fn give_up(app: &App, order: &Kept) -> anyhow::Result<bool> {
    let (ws, id) = (order.workspace_id, &order.shop_order_id);
    let mut tx = app.db.begin().await?;
    one_at_a_time(&mut tx, ws).await?;
    let before = tallies::earned(&mut tx, ws, id).await?;
    let subscribers = touches::subscribers_of(&mut tx, order, None).await?;
    let credited = codes::give_credit(app, &mut tx, order, &subscribers).await?;
    let now = tallies::earned(&mut tx, ws, id).await?;
    tallies::earnings_moved(&mut tx, ws, before, now).await?;
    set_due(&mut tx, order, None).await?;
    tx.commit().await?;
    Ok(credited)
}

async fn settle(app: &App, order: &Kept, evidence: &Evidence) -> anyhow::Result<bool> {
    let mut tx = app.db.begin().await?;
    let (ws, id) = (order.workspace_id, &order.shop_order_id);
    one_at_a_time(&mut tx, ws).await?;
    let before = tallies::earned(&mut tx, ws, id).await?;
    let subscribers = touches::subscribers_of(&mut tx, order, None).await?;
    let verdict = touches::give_credit(app, &mut tx, order, evidence, &subscribers).await?;
    let now = tallies::earned(&mut tx, ws, id).await?;
    tallies::earnings_moved(&mut tx, ws, before, now).await?;
    let credited = verdict == Verdict::Credited;
    if credited {
        set_due(&mut tx, order, None).await?;
    }
    tx.commit().await?;
    Ok(credited)
}

/// Visits stand newest first; each may carry our click id in its address or as referral code.
fn read(evidence: &mut Evidence, journey: &Journey) {
    for visit in &journey.visits {
        if let Some(address) = &visit.landing_page {
            evidence.add_address(address, MatchedBy::Journey);
        }
        if let Some(code) = &visit.referral_code {
            evidence.add_click(code, MatchedBy::Journey);
        }
        let utm = [
            ("utm_source", &visit.utm.source),
            ("utm_campaign", &visit.utm.campaign),
        ];
        let told = utm
            .iter()
            .filter_map(|(key, value)| Some(((*key).to_owned(), value.as_deref()?)));
        evidence.add_tags(told, MatchedBy::Journey);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shopify::admin::{Utm, Visit};
    use crate::store::ids::ClickId;

    #[test]
    fn a_visit_names_our_click_in_its_address_or_as_its_referral_code() {
        let visit = |landing_page: Option<String>, referral_code: Option<String>| Visit {
            landing_page,
            referral_code,
            ..Visit::default()
        };
        let (a, b) = (ClickId(1), ClickId(2));
        let journey = Journey {
            ready: true,
            visits: vec![
                Visit {
                    utm: Utm {
                        source: Some("pagecast".into()),
                        campaign: Some("Winter-Blend".into()),
                        ..Utm::default()
                    },
                    ..Visit::default()
                },
                visit(None, Some(a.to_string())),
                visit(Some(format!("https://s.example/?pc_click={b}")), None),
                visit(Some("https://s.example/".into()), Some("friend".into())),
            ],
        };
        let mut evidence = Evidence::default();
        read(&mut evidence, &journey);
        assert_eq!(
            evidence.clicks,
            [(a, MatchedBy::Journey), (b, MatchedBy::Journey)]
        );
        let named = [("winter-blend".to_owned(), MatchedBy::Journey)];
        assert_eq!(evidence.names, named);
    }
}

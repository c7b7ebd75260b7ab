//! Orders whose webhooks did not arrive. Every quarter of an hour each shop says which orders
//! changed, at the cost of one small question; only those that we do not have, or have older, are
//! fetched, and go the way of every webhook.

use futures::StreamExt;

use crate::app::App;
use crate::attribution;
use crate::clock::{DAY, MINUTE, Millis};
use crate::queue::Job;
use crate::shopify::Error;
use crate::shopify::orders::{Changed, ChangedOrders};
use crate::store::ids::WorkspaceId;
use crate::telemetry;
use crate::webhooks::orders;
use crate::workspaces::{self, Shop, ShopRound, ShopTurn, rest_after};

const EVERY: Millis = 15 * MINUTE;
/// The webhooks of what changed later than this ago are still on their way.
const UNDER_WAY: Millis = 5 * MINUTE;
/// Shopify's search may learn of a change late: so much is looked at twice.
const OVERLAP: Millis = 10 * MINUTE;
/// How far back the first look goes, and any look after a long silence.
const FIRST: Millis = DAY;
const OLDEST: Millis = 30 * DAY;
/// Of what a payment a day ago should have started, nobody wants to hear any more.
const NEWS: Millis = DAY;
/// Questions about changes, and orders fetched, in one turn of a shop; the rest waits a minute.
const PAGES: usize = 20;
const FETCHES: usize = 100;
/// Shops asked at once.
const AT_ONCE: usize = 8;

/// How far a turn came.
#[derive(Debug, PartialEq, Eq)]
struct Reached {
    until: Option<Millis>,
    due_at: Millis,
}

/// Looks for missed orders in every shop whose turn it is. One shop's trouble is not the others'.
pub async fn reconcile_orders(app: &App) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while !app.stop.is_cancelled() {
        let turns = workspaces::shops_due(app, ShopRound::Orders).await?;
        if turns.is_empty() {
            break;
        }
        let mut ends = futures::stream::iter(turns)
            .map(|turn| take_turn(app, turn))
            .buffer_unordered(AT_ONCE);
        while let Some(end) = ends.next().await {
            outcome = outcome.and(end);
        }
    }
    outcome
}

async fn take_turn(app: &App, turn: ShopTurn) -> anyhow::Result<()> {
    let shop = &turn.shop;
    let reached = if attribution::may_be_owed(app, shop.workspace).await? {
        match look(app, shop, turn.until).await {
            Ok(reached) => reached,
            Err(error) => {
                tracing::error!(shop.id = %shop.id, "Missed orders were not looked for: {error:#}");
                Reached {
                    until: None,
                    due_at: app.clock.now() + EVERY,
                }
            }
        }
    } else {
        // Nobody can be written to here, so no order is owed to a message.
        Reached {
            until: None,
            due_at: app.clock.now() + EVERY,
        }
    };
    let (until, due_at) = (reached.until, reached.due_at);
    workspaces::shop_turn_done(app, shop.id, ShopRound::Orders, until, due_at).await
}

/// Pages through what changed, oldest first, so that wherever it ends, everything before is done.
async fn look(app: &App, shop: &Shop, until: Option<Millis>) -> anyhow::Result<Reached> {
    let now = app.clock.now();
    let to = now - UNDER_WAY;
    let from = until.map_or(now - FIRST, |until| (until - OVERLAP).max(now - OLDEST));
    let mut reached = until;
    let mut fetches = FETCHES;
    let mut after = None;
    let later = |until, due_at| Ok(Reached { until, due_at });
    for _ in 0..PAGES {
        let page = match ask_changed(app, shop, (from, to), after.as_deref()).await? {
            Ok(page) => page,
            Err(error) => return later(reached, now + told(shop, &error)),
        };
        let behind = behind(app, shop.workspace, &page.orders).await?;
        for missed in behind {
            if fetches == 0 || app.stop.is_cancelled() {
                return later(reached, now + MINUTE);
            }
            fetches -= 1;
            if let Err(error) = take_in(app, shop, missed.id).await? {
                return later(reached, app.clock.now() + told(shop, &error));
            }
            reached = reached.max(Some(missed.updated_at - 1));
        }
        let Some(next) = page.next else {
            return later(Some(to), now + EVERY);
        };
        reached = reached.max(page.orders.last().map(|order| order.updated_at - 1));
        after = Some(next);
    }
    later(reached, now + MINUTE)
}

async fn ask_changed(
    app: &App,
    shop: &Shop,
    between: (Millis, Millis),
    after: Option<&str>,
) -> anyhow::Result<Result<ChangedOrders, Error>> {
    let (shopify, domain) = (&app.shopify, &shop.domain);
    workspaces::ask_shop(app, shop, |token| async move {
        shopify.changed_orders(domain, &token, between, after).await
    })
    .await
}

async fn behind(app: &App, ws: WorkspaceId, told: &[Changed]) -> anyhow::Result<Vec<Changed>> {
    let pairs: Vec<(i64, Millis)> = told.iter().map(|one| (one.id, one.updated_at)).collect();
    let missing = attribution::orders_behind(app, ws, &pairs).await?;
    Ok(told
        .iter()
        .filter(|one| missing.contains(&one.id))
        .copied()
        .collect())
}

/// Fetches one order and takes it in. What only this order is to blame for must not stop the rest:
/// it is logged and passed over.
async fn take_in(app: &App, shop: &Shop, id: i64) -> anyhow::Result<Result<(), Error>> {
    let (shopify, domain) = (&app.shopify, &shop.domain);
    let asked = workspaces::ask_shop(app, shop, |token| async move {
        shopify.order(domain, &token, id).await
    });
    let order = match asked.await? {
        Ok(Some(order)) => order,
        Ok(None) => return Ok(Ok(())),
        Err(error @ Error::Refused(_)) => {
            tracing::warn!(shop.id = %shop.id, %error, "A missed order could not be fetched");
            return Ok(Ok(()));
        }
        Err(error) => return Ok(Err(error)),
    };
    let is_news = order.created_at > app.clock.now() - NEWS;
    let is_paid = order.financial_status.as_deref() == Some("paid");
    let mut tx = app.db.begin().await?;
    let began = orders::apply(app, &mut tx, shop.workspace, &order, is_news && is_paid).await?;
    tx.commit().await?;
    telemetry::webhook("shopify", "missed");
    if began {
        app.queue.nudge(Job::Runs);
    }
    Ok(Ok(()))
}

/// Says what a shop's refusal means, and how long the shop is left alone.
fn told(shop: &Shop, error: &Error) -> Millis {
    match error {
        Error::Retry { .. } => {
            tracing::info!(shop.id = %shop.id, "The look for missed orders goes on later: {error}");
        }
        Error::Reconnect(_) | Error::Refused(_) => tracing::warn!(
            shop.id = %shop.id,
            "Missed orders cannot be looked for: {error}. `pagecast doctor` shows what the app may \
             do in this shop."
        ),
    }
    rest_after(error)
}

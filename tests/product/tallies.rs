//! The figures that writers keep, whatever order things happen in.

use pagecast::analytics::{self, Figures};
use pagecast::clock::{DAY, HOUR, MINUTE, SECOND};
use pagecast::delivery::{MarketingReceipt, Receipt, cancel_queued, pages_due, record_receipt};
use pagecast::links;
use pagecast::shopify::payloads;
use pagecast::store::ids::{CampaignId, MessageKey, SubscriberId};
use pagecast::tallies::{self, Changes, Part};
use pagecast::worker;
use pagecast::workspaces::PageRef;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::world::{NOW, Workspace, World, order};

async fn hears(world: &World, ws: Workspace, receipt: &Receipt) {
    let page = PageRef {
        id: ws.page,
        workspace: ws.id,
    };
    let mut tx = world.app.db.begin().await.unwrap();
    let mut changes = Changes::default();
    let at = world.app.clock.now();
    record_receipt(&world.app, &mut tx, page, at, receipt, &mut changes)
        .await
        .unwrap();
    changes.write(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
}

/// A message of the campaign in this state, known to Meta as `t<subscriber>`.
async fn stands(world: &World, ws: Workspace, campaign: CampaignId, state: &str) -> MessageKey {
    let subscriber = world.subscriber(ws, 7).await;
    let key = world.message(ws, campaign, subscriber).await;
    let sql = format!(
        "UPDATE messages SET {state}, tracking_id = 't' || subscriber_id, started_at = $1,
             channel = 'marketing_message'
         WHERE subscriber_id = $2"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(NOW)
        .bind(subscriber)
        .execute(world.app.db.pool())
        .await
        .unwrap();
    world.counts_again(ws).await;
    key
}

fn receipt(what: MarketingReceipt, of: SubscriberId) -> Receipt {
    Receipt::Marketing {
        what,
        mid: None,
        tracking_id: Some(format!("t{}", of.0)),
        token: None,
        meta_campaign_id: None,
        error: None,
    }
}

async fn figures(world: &World, ws: Workspace, campaign: CampaignId) -> Figures {
    world.adds_up(ws).await;
    analytics::campaign(&world.app, ws.id, campaign)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_message_in_doubt_that_was_clicked_counts_as_read_once_its_echo_comes() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let campaign = world.campaign(ws).await;
    let key = stands(&world, ws, campaign, "status = 'unknown', sent_at = NULL").await;
    world.clicks(ws, campaign, key.subscriber, NOW).await;
    let doubted = figures(&world, ws, campaign).await;
    assert_eq!((doubted.unknown, doubted.sent, doubted.clicked), (1, 0, 0));
    for _ in 0..2 {
        hears(&world, ws, &receipt(MarketingReceipt::Sent, key.subscriber)).await;
        let settled = figures(&world, ws, campaign).await;
        assert_eq!((settled.unknown, settled.sent), (0, 1));
        assert_eq!((settled.read, settled.clicked, settled.clicks), (1, 1, 1));
    }
}

#[tokio::test]
async fn what_meta_could_not_deliver_after_all_is_no_longer_sent() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let campaign = world.campaign(ws).await;
    let key = stands(&world, ws, campaign, "status = 'sent'").await;
    for _ in 0..2 {
        hears(
            &world,
            ws,
            &receipt(MarketingReceipt::Failed, key.subscriber),
        )
        .await;
        let seen = figures(&world, ws, campaign).await;
        assert_eq!((seen.sent, seen.failed), (0, 1));
        assert_eq!(seen.failed_why, [("not_delivered".to_owned(), 1)]);
    }
}

#[tokio::test]
async fn figures_add_up_whatever_happens_in_whatever_order() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let campaign = world.campaign(ws).await;
    let mut keys = Vec::new();
    for state in [
        "status = 'sent'",
        "status = 'sent', delivered_at = sent_at",
        "status = 'unknown', reason = 'answer_lost', sent_at = NULL",
        "status = 'sending', lease_until = 1, sent_at = NULL",
        "status = 'sending', lease_until = 9000000000000, sent_at = NULL",
        "status = 'queued', sent_at = NULL",
        "status = 'skipped', reason = 'capped', sent_at = NULL",
    ] {
        keys.push(stands(&world, ws, campaign, state).await);
    }
    for seed in 0..6 {
        let mut dice = StdRng::seed_from_u64(seed);
        for step in 0..40_i64 {
            world.app.clock.advance(dice.random_range(0..MINUTE));
            let key = keys[dice.random_range(0..keys.len())];
            let what = dice.random_range(0..9);
            match what {
                0 => hears(&world, ws, &receipt(MarketingReceipt::Sent, key.subscriber)).await,
                1 => {
                    hears(
                        &world,
                        ws,
                        &receipt(MarketingReceipt::Delivered, key.subscriber),
                    )
                    .await;
                }
                2 => hears(&world, ws, &receipt(MarketingReceipt::Read, key.subscriber)).await,
                3 if step > 30 => {
                    hears(
                        &world,
                        ws,
                        &receipt(MarketingReceipt::Failed, key.subscriber),
                    )
                    .await;
                }
                4 => {
                    let read = Receipt::Read {
                        subscriber: key.subscriber,
                        watermark: world.app.clock.now() + SECOND,
                    };
                    hears(&world, ws, &read).await;
                }
                5 => {
                    let click = world.click(ws, campaign, key.subscriber, world.app.clock.now());
                    let clicks = [click.clone(), click];
                    links::keep(&world.app, &clicks).await.unwrap();
                }
                6 => {
                    let sale = order(step % 5, 7, 1_000 + step, world.app.clock.now());
                    world.pays(ws, &sale).await;
                }
                7 => {
                    let refund = payloads::Refund {
                        id: step,
                        order_id: step % 5,
                        amount: 100,
                        ..payloads::Refund::default()
                    };
                    world.refunds(ws, &refund).await;
                }
                _ => {
                    pages_due(&world.app).await.unwrap();
                }
            }
            let wrong = tallies::differences(&world.app, ws.id, Part::Workspace)
                .await
                .unwrap();
            assert!(
                wrong.is_empty(),
                "seed {seed}, step {step}, {what}: {wrong:?}"
            );
        }
    }
    cancel_queued(&world.app, ws.id, campaign).await.unwrap();
    let seen = figures(&world, ws, campaign).await;
    assert_eq!(seen.audience(), 7);
    assert_eq!(seen.queued, 0);
}

#[tokio::test]
async fn what_an_older_version_left_uncounted_is_mended_by_the_upkeep() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let campaign = world.campaign(ws).await;
    let key = stands(&world, ws, campaign, "status = 'sent'").await;
    world.clicks(ws, campaign, key.subscriber, NOW).await;
    world.pays(ws, &order(1, 7, 4_000, NOW + HOUR)).await;
    world.run("DELETE FROM tallies", &[]).await;
    world.run("DELETE FROM earnings", &[]).await;
    world
        .run(
            "UPDATE campaigns SET status = 'finished', launched_at = $1, finished_at = $1",
            &[NOW - HOUR],
        )
        .await;
    worker::run_due(&world.app).await.unwrap();
    let seen = figures(&world, ws, campaign).await;
    assert_eq!((seen.sent, seen.clicked, seen.orders), (1, 1, 1));
    assert_eq!(seen.audience(), 1);

    // Once more when the receipts are in, and then no more.
    let next = world.count("SELECT recount_at FROM campaigns").await;
    assert_eq!(next, NOW - HOUR + 3 * DAY);
    world.app.clock.advance(4 * DAY);
    worker::run_due(&world.app).await.unwrap();
    let open = "SELECT COUNT(*) FROM campaigns WHERE recount_at IS NOT NULL";
    assert_eq!(world.count(open).await, 0);
}

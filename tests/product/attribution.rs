//! Orders, refunds and the one credit, in every order in which webhooks may bring them.

use pagecast::attribution::{self, OrderFilter};
use pagecast::clock::{DAY, HOUR, MINUTE, SECOND};
use pagecast::shopify::payloads::Refund;
use pagecast::store::page::Cursor;

use crate::world::{NOW, Workspace, World, order};

async fn orders(world: &World, ws: Workspace) -> Vec<attribution::Order> {
    let filter = OrderFilter::default();
    attribution::list(&world.app, ws.id, &filter, Cursor::default())
        .await
        .unwrap()
        .rows
}

fn refund(id: i64, order_id: i64, amount: i64) -> Refund {
    Refund {
        id,
        order_id,
        amount,
        created_at: NOW,
        ..Refund::default()
    }
}

#[tokio::test]
async fn an_order_told_many_times_is_one_order_with_one_credit() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let (ana, campaign) = (world.subscriber(ws, 7).await, world.campaign(ws).await);
    let click = world.clicks(ws, campaign, ana, NOW - HOUR).await;
    let mut paid = order(1, 7, 4_000, NOW);
    world.pays(ws, &paid).await;
    world.pays(ws, &paid).await;
    paid.updated_at = NOW + MINUTE;
    paid.total = 3_500;
    world.pays(ws, &paid).await;
    // A click after the order must not move the credit when the order is told once more.
    world.clicks(ws, campaign, ana, NOW + SECOND / 2).await;
    let mut late = order(1, 7, 9_999, NOW);
    late.updated_at = NOW - MINUTE;
    world.pays(ws, &late).await;

    let found = orders(&world, ws).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].total, 3_500);
    let credit = found[0].credit.as_ref().unwrap();
    assert_eq!(credit.campaign, Some(campaign));
    assert_eq!((credit.name.as_str(), credit.window_days), ("Sale", 7));
    assert_eq!(credit.matched_by, "customer");
    let credited = world.count("SELECT click_id FROM credits").await;
    assert_eq!(credited, click.0);
    let ordered = "SELECT last_ordered_at FROM subscribers";
    assert_eq!(world.count(ordered).await, NOW);
    let found = attribution::find(&world.app, ws.id, found[0].id).await;
    assert_eq!(found.unwrap().unwrap().credit.unwrap().subscriber, ana);
}

#[tokio::test]
async fn a_refund_may_come_before_its_order_twice_and_in_parts() {
    let world = World::new().await;
    let ws = world.workspace().await;
    world.refunds(ws, &refund(1, 5, 1_000)).await;
    world.refunds(ws, &refund(1, 5, 1_000)).await;
    // The same refund rides along with the order, before its transactions are known.
    let mut paid = order(5, 7, 4_000, NOW);
    paid.refunds = vec![refund(1, 5, 0)];
    world.pays(ws, &paid).await;
    assert_eq!(orders(&world, ws).await[0].refunded, 1_000);
    world.refunds(ws, &refund(2, 5, 500)).await;
    assert_eq!(orders(&world, ws).await[0].refunded, 1_500);
    world.refunds(ws, &refund(3, 5, 90_000)).await;
    assert_eq!(orders(&world, ws).await[0].refunded, 4_000);
}

#[tokio::test]
async fn an_estimated_refund_gives_way_to_what_is_certain_and_never_comes_back() {
    let world = World::new().await;
    let ws = world.workspace().await;
    world.pays(ws, &order(5, 7, 4_000, NOW)).await;
    let mut by_lines = refund(1, 5, 2_500);
    by_lines.is_estimate = true;
    world.refunds(ws, &by_lines).await;
    assert_eq!(orders(&world, ws).await[0].refunded, 2_500);
    world.refunds(ws, &refund(1, 5, 2_000)).await;
    assert_eq!(orders(&world, ws).await[0].refunded, 2_000);
    world.refunds(ws, &by_lines).await;
    assert_eq!(orders(&world, ws).await[0].refunded, 2_000);
}

#[tokio::test]
async fn a_cancelled_order_is_taken_back_whole_and_stays_cancelled() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let mut paid = order(5, 7, 4_000, NOW);
    paid.updated_at = NOW + HOUR;
    world.pays(ws, &paid).await;
    let mut cancelled = order(5, 7, 4_000, NOW);
    cancelled.updated_at = NOW + MINUTE;
    cancelled.cancelled_at = Some(NOW + MINUTE);
    world.pays(ws, &cancelled).await;
    world.pays(ws, &paid).await;
    let found = orders(&world, ws).await;
    assert_eq!(found[0].refunded, 4_000);
    assert_eq!(found[0].cancelled_at, Some(NOW + MINUTE));
}

#[tokio::test]
async fn a_payment_that_was_voided_or_expired_earns_nothing_for_good() {
    let world = World::new().await;
    let ws = world.workspace().await;
    for (id, status) in [(1, "voided"), (2, "expired")] {
        let mut lapsed = order(id, 7, 4_000, NOW);
        world.pays(ws, &lapsed).await;
        assert_eq!(orders(&world, ws).await[0].refunded, 0);
        lapsed.financial_status = Some(status.to_owned());
        lapsed.updated_at = NOW + MINUTE;
        world.pays(ws, &lapsed).await;
        assert_eq!(orders(&world, ws).await[0].refunded, 4_000, "{status}");
        assert_eq!(orders(&world, ws).await[0].cancelled_at, Some(NOW + MINUTE));
    }
    world.adds_up(ws).await;
}

#[tokio::test]
async fn currencies_stay_apart() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let mut yen = order(1, 7, 5_000, NOW);
    yen.currency = "JPY".into();
    world.pays(ws, &yen).await;
    world.pays(ws, &order(2, 7, 5_000, NOW)).await;
    world.refunds(ws, &refund(1, 1, 700)).await;
    let found: Vec<_> = orders(&world, ws)
        .await
        .into_iter()
        .map(|order| (order.currency, order.total, order.refunded))
        .collect();
    let expected = [("USD".to_owned(), 5_000, 0), ("JPY".to_owned(), 5_000, 700)];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_click_of_another_workspace_earns_nothing() {
    let world = World::new().await;
    let (mine, other) = (world.workspace().await, world.workspace().await);
    let ana = world.subscriber(other, 7).await;
    let campaign = world.campaign(other).await;
    let click = world.clicks(other, campaign, ana, NOW - HOUR).await;
    let mut paid = order(1, 7, 4_000, NOW);
    paid.note_attributes = vec![("pc_click".into(), click.to_string())];
    paid.landing_site = Some(format!("/?ref={click}&utm_id={campaign}"));
    world.pays(mine, &paid).await;
    assert!(orders(&world, mine).await[0].credit.is_none());
    assert!(orders(&world, other).await.is_empty());
    assert_eq!(world.count("SELECT COUNT(*) FROM credits").await, 0);
}

#[tokio::test]
async fn what_the_order_carries_is_trusted_first() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let (ana, ben) = (world.subscriber(ws, 7).await, world.subscriber(ws, 8).await);
    let (sale, news) = (world.campaign(ws).await, world.campaign(ws).await);
    world.clicks(ws, news, ana, NOW - HOUR).await;
    let landed = world.clicks(ws, sale, ben, NOW - DAY).await;

    let mut paid = order(1, 7, 4_000, NOW);
    paid.landing_site = Some(format!(
        "https://s.example/x?utm_source=a&pc_click={landed}"
    ));
    world.pays(ws, &paid).await;
    let mut named = order(2, 7, 4_000, NOW);
    named.landing_site = Some(format!("/?utm_id={news}"));
    world.pays(ws, &named).await;
    let mut carried = order(3, 7, 4_000, NOW);
    carried.note_attributes = vec![("_pc_click".into(), landed.to_string())];
    carried.landing_site = Some(format!("/?utm_id={news}"));
    world.pays(ws, &carried).await;

    let ways: Vec<_> = orders(&world, ws)
        .await
        .into_iter()
        .map(|order| order.credit.unwrap())
        .map(|credit| (credit.matched_by, credit.campaign.unwrap()))
        .collect();
    let expected = [
        ("click_id".to_owned(), sale),
        ("landing_site".to_owned(), news),
        ("landing_site".to_owned(), sale),
    ];
    assert_eq!(ways, expected);
}

#[tokio::test]
async fn orders_outside_the_window_or_made_by_hand_or_for_a_test_earn_nothing() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let (ana, campaign) = (world.subscriber(ws, 7).await, world.campaign(ws).await);
    let click = world.clicks(ws, campaign, ana, NOW - 7 * DAY - 1).await;
    let mut late = order(1, 7, 4_000, NOW);
    late.note_attributes = vec![("pc_click".into(), click.to_string())];
    world.pays(ws, &late).await;
    let fresh = NOW - 6 * DAY;
    for (id, source) in [(2, "pos"), (3, "shopify_draft_order")] {
        let mut by_hand = order(id, 7, 4_000, fresh);
        by_hand.source_name = Some(source.into());
        world.pays(ws, &by_hand).await;
    }
    let mut test = order(4, 7, 4_000, NOW + DAY);
    test.test = true;
    world.pays(ws, &test).await;
    assert_eq!(orders(&world, ws).await.len(), 4);
    assert_eq!(world.count("SELECT COUNT(*) FROM credits").await, 0);
    // The test order is no order of hers.
    let ordered = "SELECT last_ordered_at FROM subscribers";
    assert_eq!(world.count(ordered).await, NOW);
    world.pays(ws, &order(5, 7, 4_000, fresh)).await;
    assert_eq!(world.count("SELECT COUNT(*) FROM credits").await, 1);
}

#[tokio::test]
async fn an_order_that_overtakes_its_click_is_credited_when_the_click_is_written() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let (ana, campaign) = (world.subscriber(ws, 99).await, world.campaign(ws).await);
    let click = world.click(ws, campaign, ana, NOW - SECOND);
    let mut paid = order(1, 7, 4_000, NOW);
    paid.landing_site = Some(format!("/?pc_click={}", click.id));
    world.pays(ws, &paid).await;
    assert!(orders(&world, ws).await[0].credit.is_none());
    pagecast::links::keep(&world.app, &[click]).await.unwrap();
    world.app.clock.advance(6 * SECOND);
    let credited = attribution::sweep_journeys(&world.app).await.unwrap();
    assert_eq!(credited, 1);
    let credit = orders(&world, ws).await.remove(0).credit.unwrap();
    assert_eq!(credit.matched_by, "landing_site");
    assert_eq!(attribution::sweep_journeys(&world.app).await.unwrap(), 0);
}

#[tokio::test]
async fn a_credited_order_is_told_to_klaviyo_once_with_its_value() {
    let world = World::new().await;
    let ws = world.workspace().await;
    world
        .run(
            "INSERT INTO klaviyo_accounts (workspace_id, connected_at) VALUES ($1, $2)",
            &[ws.id.0, NOW],
        )
        .await;
    let (ana, campaign) = (world.subscriber(ws, 7).await, world.campaign(ws).await);
    world.clicks(ws, campaign, ana, NOW - HOUR).await;
    world.pays(ws, &order(1, 7, 4_005, NOW)).await;
    world.pays(ws, &order(1, 7, 4_005, NOW)).await;
    let told = "SELECT metric || ' ' || value || ' ' || currency || ' ' || unique_id
                FROM klaviyo_outbox WHERE value IS NOT NULL";
    assert_eq!(
        world.text(told).await.as_deref(),
        Some("Placed Order from Messenger 40.05 USD 1")
    );
    assert_eq!(world.count("SELECT COUNT(*) FROM klaviyo_outbox").await, 2);
}

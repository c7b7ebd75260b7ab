//! Figures that must add up, whatever mix of rows they are counted from.

use pagecast::analytics::{self, LogFilter, Revenue};
use pagecast::clock::{DAY, HOUR, MINUTE, Millis};
use pagecast::store::ids::{CampaignId, SubscriberId};
use pagecast::store::page::Cursor;

use crate::world::{NOW, Workspace, World, order};

/// A campaign's message in this state.
async fn message(
    world: &World,
    ws: Workspace,
    campaign: CampaignId,
    subscriber: SubscriberId,
    state: &'static str,
) {
    world.message(ws, campaign, subscriber).await;
    let sql = format!("UPDATE messages SET {state} WHERE origin_id = $1 AND subscriber_id = $2");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(campaign)
        .bind(subscriber)
        .execute(world.app.db.pool())
        .await
        .unwrap();
    world.counts_again(ws).await;
}

#[tokio::test]
async fn a_campaigns_parts_add_up_to_its_audience_and_its_log() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let campaign = world.campaign(ws).await;
    for state in [
        "status = 'sent', delivered_at = sent_at, read_at = sent_at",
        "status = 'sent', delivered_at = sent_at",
        "status = 'queued', sent_at = NULL",
        "status = 'skipped', reason = 'capped', sent_at = NULL",
        "status = 'skipped', reason = 'capped', sent_at = NULL",
        "status = 'skipped', reason = 'opted_out', sent_at = NULL",
        "status = 'failed', reason = 'rejected', sent_at = NULL",
        "status = 'unknown', sent_at = NULL",
    ] {
        let subscriber = world.subscriber(ws, 7).await;
        message(&world, ws, campaign, subscriber, state).await;
    }
    let ana = world.subscriber(ws, 8).await;
    message(&world, ws, campaign, ana, "status = 'sent'").await;
    world.clicks(ws, campaign, ana, NOW).await;
    world.clicks(ws, campaign, ana, NOW + MINUTE).await;
    world.pays(ws, &order(1, 8, 4_000, NOW + HOUR)).await;

    let other = world.campaign(ws).await;
    let both = analytics::campaigns(&world.app, ws.id, &[other, campaign]).await;
    let [empty, seen] = <[_; 2]>::try_from(both.unwrap()).unwrap();
    assert_eq!(empty, analytics::Figures::default());
    assert_eq!((seen.sent, seen.delivered, seen.read), (3, 3, 2));
    assert_eq!((seen.clicked, seen.clicks), (1, 2));
    assert_eq!((seen.queued, seen.failed, seen.unknown), (1, 1, 1));
    let why = [("capped".to_owned(), 2), ("opted_out".to_owned(), 1)];
    assert_eq!(seen.skipped_why, why);
    assert_eq!(seen.audience(), 9);
    assert_eq!(seen.handled(), 8);
    assert_eq!(seen.orders, 1);
    let earned = Revenue {
        currency: "USD".into(),
        gross: 4_000,
        refunded: 0,
    };
    assert_eq!(seen.revenue, [earned]);

    let rows = async |status: &str, reason: &str, search: &str| {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let filter = LogFilter {
            status: some(status),
            reason: some(reason),
            search: some(search),
        };
        let page =
            analytics::campaign_log(&world.app, ws.id, campaign, &filter, Cursor::default()).await;
        page.unwrap().rows.len()
    };
    assert_eq!(rows("", "", "").await, 9);
    assert_eq!(rows("sent", "", "").await, 3);
    assert_eq!(rows("read", "", "").await, 2);
    assert_eq!(rows("skipped", "capped", "").await, 2);
    assert_eq!(rows("", "", &ana.to_string()).await, 1);
    assert_eq!(rows("", "", "nobody").await, 0);
    let mine = analytics::subscriber_log(&world.app, ws.id, ana, 10).await;
    assert_eq!(mine.unwrap()[0].orders, 1);

    world.adds_up(ws).await;

    // Another workspace sees nothing of it.
    let stranger = world.workspace().await;
    let theirs = analytics::campaign(&world.app, stranger.id, campaign).await;
    assert_eq!(theirs.unwrap(), analytics::Figures::default());
}

#[tokio::test]
async fn a_log_is_read_page_by_page_without_a_gap() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let campaign = world.campaign(ws).await;
    let mut people = Vec::new();
    for _ in 0..5 {
        let subscriber = world.subscriber(ws, 7).await;
        world.message(ws, campaign, subscriber).await;
        people.push(subscriber);
    }
    let mut seen = Vec::new();
    let mut cursor = Cursor {
        after: None,
        limit: 2,
    };
    loop {
        let filter = LogFilter::default();
        let page = analytics::campaign_log(&world.app, ws.id, campaign, &filter, cursor)
            .await
            .unwrap();
        seen.extend(page.rows.iter().map(|row| row.subscriber));
        let Some(next) = page.next else { break };
        cursor = Cursor::parse(Some(&next), Some(2)).unwrap();
    }
    assert_eq!(seen, people);
}

#[tokio::test]
async fn the_days_of_a_span_add_up_to_the_span() {
    let world = World::new().await;
    let ws = world.workspace().await;
    world
        .run(
            "UPDATE workspaces SET timezone = 'America/New_York' WHERE id = $1",
            &[ws.id.0],
        )
        .await;
    let campaign = world.campaign(ws).await;
    let from = NOW - 3 * DAY;
    let sent_at: [Millis; 5] = [NOW - 5 * DAY, from, NOW - 2 * DAY, NOW - HOUR, NOW - MINUTE];
    for (customer, at) in (1..).zip(sent_at) {
        let subscriber = world.subscriber(ws, customer).await;
        world.message(ws, campaign, subscriber).await;
        world
            .run(
                "UPDATE messages SET sent_at = $1 WHERE subscriber_id = $2",
                &[at, subscriber.0],
            )
            .await;
        world.counts_again(ws).await;
        world
            .run(
                "UPDATE subscribers SET opted_in_at = $1 WHERE id = $2",
                &[at, subscriber.0],
            )
            .await;
        world.clicks(ws, campaign, subscriber, at).await;
        world
            .pays(
                ws,
                &order(customer, customer, 1_000 * customer, at + MINUTE / 2),
            )
            .await;
    }
    world
        .run(
            "UPDATE subscribers SET opted_out_at = $1 WHERE opted_in_at = $2",
            &[NOW - HOUR, NOW - 5 * DAY],
        )
        .await;
    world.counts_again(ws).await;

    world.adds_up(ws).await;
    let seen = analytics::overview(&world.app, ws.id, from, NOW)
        .await
        .unwrap();
    assert_eq!((seen.sent.now, seen.sent.before), (4, 1));
    assert_eq!((seen.clicked.now, seen.orders.now), (4, 4));
    assert_eq!(seen.revenue[0].gross, 2_000 + 3_000 + 4_000 + 5_000);
    assert_eq!(seen.revenue_before[0].gross, 1_000);
    assert_eq!((seen.joined, seen.left), (4, 1));
    assert_eq!((seen.subscribers.before, seen.subscribers.now), (1, 4));
    let dates: Vec<&str> = seen.days.iter().map(|day| day.date.as_str()).collect();
    // NOW is 04:06 in New York.
    assert_eq!(
        dates,
        ["2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20"]
    );
    assert_eq!(seen.days.iter().map(|day| day.sent).sum::<i64>(), 4);
    assert_eq!(seen.days[3].sent, 2);
    assert_eq!(
        seen.days.iter().map(|day| day.campaigns_net).sum::<i64>(),
        seen.revenue[0].net()
    );
    assert_eq!(
        seen.days
            .iter()
            .map(|day| day.joined - day.left)
            .sum::<i64>(),
        3
    );
}

#[tokio::test]
async fn what_needs_the_merchant_is_told_worst_first() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let titles = async || {
        let needs = analytics::needs(&world.app, ws.id).await.unwrap();
        let told = |needs: &analytics::Needs| format!("{} {}", needs.tone, needs.title);
        needs.iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(
        titles().await,
        ["warn Connect your shop", "mute Find your first subscribers"]
    );
    world.subscriber(ws, 7).await;
    let campaign = world.campaign(ws).await;
    world
        .run(
            "UPDATE campaigns SET attention = 'It is late.', status = 'scheduled' WHERE id = $1",
            &[campaign.0],
        )
        .await;
    world
        .run(
            "UPDATE pages SET state = 'needs_reconnect' WHERE id = $1",
            &[ws.page.0],
        )
        .await;
    assert_eq!(
        titles().await,
        ["bad Connect P again", "warn Sale", "warn Connect your shop"]
    );
}

//! How long the admin's figures and lists take at the size of a large merchant. Takes minutes, so
//! it runs only when asked for: `cargo test --release --test product -- --ignored million`.

use std::future::Future;
use std::time::{Duration, Instant};

use pagecast::analytics::{self, LogFilter};
use pagecast::attribution::{self, OrderFilter};
use pagecast::clock::DAY;
use pagecast::store::ids::{CampaignId, WorkspaceId};
use pagecast::store::page::Cursor;
use pagecast::subscribers::{self, Filter, Status};
use pagecast::tallies::{self, Part};
use pagecast::{campaigns, worker};

use crate::world::{NOW, World};

const MOST: Duration = Duration::from_millis(100);
const SENT: CampaignId = CampaignId(101);
const CANCELLED: CampaignId = CampaignId(102);
const RUNNING: CampaignId = CampaignId(103);

/// Three campaigns to a million people: one that was sent, one that was cancelled at the beginning,
/// one in the middle of its sending; an order of each person, half of them credited.
const ROWS: [&str; 8] = [
    "INSERT INTO workspaces (id, name, flow_key_sealed, created_at) VALUES (1, 'Big', '', 1)",
    "INSERT INTO pages (id, workspace_id, meta_id, name, connected_at) VALUES (2, 1, '104', 'P', 1)",
    "INSERT INTO subscribers (id, workspace_id, page_id, psid, token, first_name, last_name, source,
         customer_id, opted_in_at, opted_out_at, created_at)
     WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $2)
     SELECT 1000000 + i, 1, 2, 'psid' || i, 'nmt_' || i,
         CASE i % 7 WHEN 0 THEN 'Ana' WHEN 1 THEN 'Ben' WHEN 2 THEN 'Cleo' WHEN 3 THEN 'Dan'
             WHEN 4 THEN 'Eve' WHEN 5 THEN 'Finn' ELSE 'Gus' END,
         CASE WHEN i % 100003 = 7 THEN 'Zwingli' ELSE 'Doe' END, 'checkout', 'cust' || i,
         $1 - CAST(i AS BIGINT) * 60000,
         CASE WHEN i % 20 = 0 THEN $1 - CAST(i AS BIGINT) * 30000 END,
         $1 - CAST(i AS BIGINT) * 60000 FROM n",
    "INSERT INTO campaigns (id, workspace_id, name, message, audience, status, created_at,
         updated_at, launched_at, finished_at)
     SELECT id, 1, 'C', '{\"kind\":\"text\",\"text\":\"Hi\",\"buttons\":[],\"quick_replies\":[]}',
         '{\"include\":[{\"kind\":\"everyone\"}]}', status, $1, $2, $1, $1
     FROM (SELECT 101 AS id, 'finished' AS status UNION ALL SELECT 102, 'cancelled'
           UNION ALL SELECT 103, 'finished') AS c",
    "INSERT INTO messages (origin_id, subscriber_id, workspace_id, page_id, kind, campaign_id,
         channel, priority, status, reason, due_at, created_at, started_at, sent_at, delivered_at,
         read_at, clicked_at, clicks, tracking_id)
     SELECT id, s, 1, 2, 'campaign', id, 'marketing_message', 2, status, reason, $1, $1, $1,
         CASE WHEN status = 'sent' THEN at END,
         CASE WHEN status = 'sent' AND s % 20 > 1 THEN at + 1000 END,
         CASE WHEN status = 'sent' AND s % 20 > 8 AND id <> 103 THEN at + 2000 END,
         CASE WHEN status = 'sent' AND s % 20 > 16 AND id <> 103 THEN at + 3000 END,
         CASE WHEN status = 'sent' AND s % 20 > 16 AND id <> 103 THEN 1 ELSE 0 END,
         't' || id || '_' || s
     FROM (SELECT c.id, p.id AS s, $1 - (104 - c.id) * 86400000 + (p.id - 1000000) * 3 AS at,
               CASE WHEN c.id = 102 AND p.id >= 1010000 THEN 'skipped'
                    WHEN c.id = 103 AND p.id >= 1000000 + $2 / 2 THEN 'queued'
                    WHEN p.id % 20 = 0 THEN 'skipped' WHEN p.id % 99991 = 5 THEN 'failed'
                    ELSE 'sent' END AS status,
               CASE WHEN c.id = 102 AND p.id >= 1010000 THEN 'cancelled'
                    WHEN c.id = 103 AND p.id >= 1000000 + $2 / 2 THEN NULL
                    WHEN p.id % 20 = 0 THEN 'capped' WHEN p.id % 99991 = 5 THEN 'rejected'
                    END AS reason
           FROM campaigns c CROSS JOIN subscribers p) AS m",
    "INSERT INTO clicks (id, workspace_id, origin_id, subscriber_id, campaign_id, link, at)
     SELECT origin_id * 100000000 + subscriber_id, 1, origin_id, subscriber_id, origin_id,
         subscriber_id % 3, clicked_at
     FROM messages WHERE clicked_at IS NOT NULL AND $1 > 0 AND $2 > 0",
    "INSERT INTO orders (id, workspace_id, shop_order_id, name, customer_id, total, currency,
         ordered_at, shop_updated_at, created_at)
     SELECT id, 1, 'o' || id, '#' || id, customer_id, 4900, 'USD', $1 - (id - 1000000) * 2500, 1, $2
     FROM subscribers",
    "INSERT INTO credits (order_id, workspace_id, campaign_id, origin_id, subscriber_id, click_id,
         touch_kind, touch_at, matched_by, window_days, credited_at)
     SELECT id, 1, CASE WHEN id % 50001 = 1 THEN 102 ELSE 101 END, 101, id, 1, 'click', $1,
         'click_id', 7, $2
     FROM subscribers WHERE id % 2 = 1",
];

/// The best of three looks.
async fn look<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(
    slow: &mut Vec<String>,
    name: &str,
    mut of: impl FnMut() -> F,
) -> T {
    let mut best = Duration::MAX;
    let mut seen = None;
    for _ in 0..3 {
        let start = Instant::now();
        seen = Some(of().await.unwrap());
        best = best.min(start.elapsed());
    }
    eprintln!("{name:<44} {:>8.1} ms", best.as_secs_f64() * 1e3);
    if best > MOST {
        slow.push(format!("{name}: {best:?}"));
    }
    seen.unwrap()
}

#[tokio::test]
#[ignore = "takes minutes; the figures of docs/performance.md"]
#[expect(
    clippy::too_many_lines,
    reason = "a list of figures, one after the other"
)]
async fn every_figure_and_list_at_a_million_is_there_in_a_tenth_of_a_second() {
    let people: i64 = std::env::var("PAGECAST_TEST_PEOPLE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_000_000);
    let world = World::new().await;
    let app = &world.app;
    for sql in ROWS {
        let start = Instant::now();
        // Those without parameters are not told any.
        let mut query = sqlx::query(sql);
        if sql.contains("$1") {
            query = query.bind(NOW).bind(people);
        }
        query.execute(app.db.pool()).await.unwrap();
        eprintln!("{:.1} s: {:.60}", start.elapsed().as_secs_f64(), sql);
    }
    let ws = WorkspaceId(1);
    for (name, part) in [
        ("recount of a million sent", Part::Campaign(SENT)),
        ("recount of a million cancelled", Part::Campaign(CANCELLED)),
        ("recount of a half", Part::Campaign(RUNNING)),
        ("recount of the people", Part::People),
    ] {
        let start = Instant::now();
        tallies::mend(app, ws, part).await.unwrap();
        eprintln!("{name:<44} {:>8.1} s", start.elapsed().as_secs_f64());
    }
    let start = Instant::now();
    worker::run_due(app).await.unwrap();
    eprintln!(
        "{:<44} {:>8.1} s",
        "upkeep, with the names",
        start.elapsed().as_secs_f64()
    );
    let vacuum = if app.db.engine() == pagecast::store::Engine::Postgres {
        "VACUUM ANALYZE"
    } else {
        "ANALYZE"
    };
    sqlx::query(vacuum).execute(app.db.pool()).await.unwrap();

    let mut slow = Vec::new();
    let first = Cursor::default();
    for days in [7, 30, 400] {
        let name = format!("overview, {days} days");
        let seen = look(&mut slow, &name, || {
            analytics::overview(app, ws, NOW - days * DAY, NOW)
        })
        .await;
        assert!(seen.sent.now > 0 && seen.subscribers.now > 0);
    }
    look(&mut slow, "needs", || analytics::needs(app, ws)).await;
    let ids = [SENT, CANCELLED, RUNNING];
    let all = look(&mut slow, "figures of three campaigns", || {
        analytics::campaigns(app, ws, &ids)
    })
    .await;
    for figures in &all {
        assert_eq!(figures.audience(), people);
    }
    look(&mut slow, "links of a campaign", || {
        analytics::campaign_links(app, ws, SENT)
    })
    .await;
    look(&mut slow, "campaigns", || {
        campaigns::list(app, ws, None, first)
    })
    .await;

    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    for (campaign, status, reason, search) in [
        (SENT, "", "", ""),
        (SENT, "sent", "", ""),
        (SENT, "clicked", "", ""),
        (SENT, "failed", "", ""),
        (SENT, "skipped", "rejected", ""),
        (SENT, "", "", "ana"),
        (SENT, "", "", "zwi"),
        (SENT, "clicked", "", "zoe"),
        (CANCELLED, "sent", "", ""),
        (CANCELLED, "skipped", "capped", ""),
        (CANCELLED, "read", "", ""),
        (RUNNING, "queued", "", ""),
        (RUNNING, "read", "", ""),
        (RUNNING, "sending", "", ""),
    ] {
        let filter = LogFilter {
            status: some(status),
            reason: some(reason),
            search: some(search),
        };
        let name = format!("log {} {status} {reason} {search}", campaign.0);
        look(&mut slow, &name, || {
            analytics::campaign_log(app, ws, campaign, &filter, first)
        })
        .await;
    }
    let deep = Cursor {
        after: Some(1_000_000 + people * 9 / 10),
        ..first
    };
    look(&mut slow, "log, deep page", || {
        let filter = LogFilter::default();
        async move { analytics::campaign_log(app, ws, SENT, &filter, deep).await }
    })
    .await;

    for (status, search, source) in [
        (None, "", ""),
        (Some(Status::Subscribed), "", ""),
        (Some(Status::OptedOut), "", ""),
        (Some(Status::NotSubscribed), "", ""),
        (None, "Ana", ""),
        (None, "Zwingli", ""),
        (None, "zoe", ""),
        (None, "", "comment"),
        (None, "ana@example.com", ""),
    ] {
        let filter = Filter {
            status,
            search: some(search),
            source: some(source),
            ..Filter::default()
        };
        let found = look(
            &mut slow,
            &format!("subscribers {status:?} {search} {source}"),
            || subscribers::list(app, ws, &filter, first),
        )
        .await;
        if search == "Zwingli" && people == 1_000_000 {
            assert_eq!(found.rows.len(), 10);
        }
    }
    for filter in [
        OrderFilter::default(),
        OrderFilter {
            credited: Some(true),
            ..OrderFilter::default()
        },
        OrderFilter {
            credited: Some(false),
            ..OrderFilter::default()
        },
        OrderFilter {
            campaign: Some(CANCELLED),
            ..OrderFilter::default()
        },
        OrderFilter {
            campaign: Some(SENT),
            ..OrderFilter::default()
        },
    ] {
        look(&mut slow, &format!("{filter:?}"), || {
            attribution::list(app, ws, &filter, first)
        })
        .await;
    }
    assert_eq!(slow, Vec::<String>::new());
}

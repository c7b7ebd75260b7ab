//! Rows, made by the database itself.

use std::time::Instant;

use pagecast::store::ids::CampaignId;
use pagecast::tallies::{self, Part};

use crate::operator::Operator;

/// Spread over the Pages in turn, as people come.
pub(crate) async fn people(operator: &Operator, people: i64, pages: i64) -> anyhow::Result<()> {
    let start = Instant::now();
    let ws = operator.workspace.0;
    operator
        .execute(format!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {people})
             INSERT INTO subscribers (id, workspace_id, page_id, psid, token, first_name, source,
                 customer_id, opted_in_at, created_at)
             SELECT 1000000 + n.i, {ws}, p.id, 'psid' || n.i, 'nmt_' || n.i, 'Ana', 'checkout',
                 'cust' || n.i, 1700000000000 + n.i, 1700000000000 + n.i
             FROM n JOIN (SELECT id, ROW_NUMBER() OVER (ORDER BY id) - 1 AS k FROM pages) p
               ON p.k = n.i % {pages}"
        ))
        .await?;
    tallies::mend(&operator.app, operator.workspace, Part::People).await?;
    pagecast::subscribers::key_names(&operator.app).await?;
    settle(operator).await?;
    eprintln!(
        "{people} subscribers in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Campaigns of the past like `campaign`, a day apart, and an order for every tenth message of it.
pub(crate) async fn history(
    operator: &Operator,
    campaign: CampaignId,
    campaigns: i64,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let (ws, id) = (operator.workspace.0, campaign.0);
    for n in 1..campaigns {
        let (other, day) = (id - n, n * 86_400_000);
        operator
            .execute(format!(
                "INSERT INTO campaigns (id, workspace_id, name, message, audience, status,
                     created_at, updated_at, launched_at, finished_at)
                 SELECT {other}, workspace_id, 'Past ' || {n}, message, audience, 'finished',
                     created_at - {day}, updated_at - {day}, launched_at - {day}, launched_at - {day}
                 FROM campaigns WHERE id = {id}"
            ))
            .await?;
        operator
            .execute(format!(
                "INSERT INTO messages (origin_id, subscriber_id, workspace_id, page_id, kind,
                     campaign_id, channel, priority, status, reason, due_at, created_at, started_at,
                     sent_at, delivered_at, read_at, clicked_at, clicks, tracking_id)
                 SELECT {other}, subscriber_id, workspace_id, page_id, kind, {other}, channel, 2,
                     CASE WHEN subscriber_id % 20 = 0 THEN 'skipped' ELSE 'sent' END,
                     CASE WHEN subscriber_id % 20 = 0 THEN 'capped' END,
                     due_at - {day}, created_at - {day}, started_at - {day},
                     CASE WHEN subscriber_id % 20 > 0 THEN sent_at - {day} END,
                     CASE WHEN subscriber_id % 20 > 1 THEN sent_at - {day} END,
                     CASE WHEN subscriber_id % 20 > 8 THEN sent_at - {day} END,
                     CASE WHEN subscriber_id % 20 > 16 THEN sent_at - {day} END,
                     CASE WHEN subscriber_id % 20 > 16 THEN 1 ELSE 0 END,
                     'mm_{n}_' || subscriber_id
                 FROM messages WHERE origin_id = {id}"
            ))
            .await?;
        orders(operator, other, ws).await?;
        let part = Part::Campaign(CampaignId(other));
        tallies::mend(&operator.app, operator.workspace, part).await?;
        eprintln!("history {n} at {:.0} s", start.elapsed().as_secs_f64());
    }
    settle(operator).await
}

/// About a tenth of the people order, each credited to the campaign.
async fn orders(operator: &Operator, campaign: i64, ws: i64) -> anyhow::Result<()> {
    operator
        .execute(format!(
            "INSERT INTO orders (id, workspace_id, shop_order_id, name, customer_id, total,
                 currency, ordered_at, shop_updated_at, created_at)
             SELECT subscriber_id * 1000 + {campaign} % 1000, {ws},
                 'o' || (subscriber_id * 1000 + {campaign} % 1000), '#' || subscriber_id,
                 'cust' || (subscriber_id - 1000000), 4900, 'USD', started_at + 3600000,
                 started_at + 3600000, started_at + 3600000
             FROM messages WHERE origin_id = {campaign} AND subscriber_id % 9 = 1"
        ))
        .await?;
    operator
        .execute(format!(
            "INSERT INTO credits (order_id, workspace_id, campaign_id, origin_id, subscriber_id,
                 click_id, touch_kind, touch_at, matched_by, window_days, credited_at)
             SELECT subscriber_id * 1000 + {campaign} % 1000, {ws}, {campaign}, {campaign},
                 subscriber_id, 1, 'click', started_at, 'click_ref', 7, started_at
             FROM messages WHERE origin_id = {campaign} AND subscriber_id % 9 = 1"
        ))
        .await?;
    Ok(())
}

async fn settle(operator: &Operator) -> anyhow::Result<()> {
    operator.execute("ANALYZE".to_owned()).await?;
    Ok(())
}

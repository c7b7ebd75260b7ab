//! What happened before the demo began: three finished broadcasts with their receipts, clicks and
//! orders, so that the overview has a month to show. Written straight into the rows, by a seeded
//! hash instead of dice: every demo has the same past.

use crate::app::App;
use crate::clock::{DAY, HOUR, MINUTE, Millis};
use crate::store::Tx;
use crate::store::ids::{CampaignId, ClickId, OrderId};
use crate::tallies::{self, Part};
use crate::workspaces::PageRef;

use super::seed::Seeded;

/// Name, days ago, per mille of readers who click.
const BROADCASTS: [(&str, i64, i64); 3] = [
    ("Cold brew weather", 27, 150),
    ("Meet the new roastery", 16, 110),
    ("Subscribers' tasting box", 7, 190),
];

/// Writes the past.
pub(super) async fn write(app: &App, page: PageRef, people: &[Seeded]) -> anyhow::Result<()> {
    let mut tx = app.db.begin().await?;
    let mut campaigns = Vec::new();
    let mut number = 1_001;
    for (index, (name, days, clickers)) in (1_i64..).zip(BROADCASTS) {
        let at = app.clock.now() - days * DAY + (index - 2) * 2 * HOUR;
        let campaign: CampaignId = app.ids.next();
        insert_campaign(&mut tx, page, campaign, name, at).await?;
        campaigns.push(campaign);
        for (i, person) in (0_i64..).zip(people).filter(|(_, p)| p.opted_in_at < at) {
            let luck = Luck::new(i, index);
            let sent = at + i * 4;
            let fate = fate(luck, clickers, sent);
            insert_message(&mut tx, page, campaign, person, sent, &fate).await?;
            let Some(clicked) = fate.clicked else {
                continue;
            };
            let click: ClickId = app.ids.next();
            insert_click(&mut tx, page, campaign, person, click, clicked).await?;
            if luck.per_mille(5) < 130 {
                let order: OrderId = app.ids.next();
                let placed = clicked + 7 * MINUTE + luck.per_mille(6) * MINUTE;
                let sale = Sale {
                    order,
                    number,
                    placed,
                    total: 1_800 + luck.per_mille(7) * 6,
                };
                number += 1;
                insert_order(
                    &mut tx,
                    page,
                    campaign,
                    person,
                    (click, clicked),
                    &sale,
                    luck,
                )
                .await?;
            }
        }
    }
    tx.commit().await?;
    for campaign in campaigns {
        tallies::mend(app, page.workspace, Part::Campaign(campaign)).await?;
    }
    Ok(())
}

/// Numbers that look random and are not.
#[derive(Clone, Copy)]
struct Luck(u64);

impl Luck {
    fn new(person: i64, broadcast: i64) -> Self {
        Self((person * 7 + broadcast * 104_729 + 1).unsigned_abs())
    }

    /// 0 to 999, another for each `salt` (splitmix64).
    fn per_mille(self, salt: u64) -> i64 {
        let mut z = self
            .0
            .wrapping_mul(31)
            .wrapping_add(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((z ^ (z >> 31)) % 1_000).unwrap_or(0)
    }
}

#[derive(Default)]
struct Fate {
    skipped: Option<&'static str>,
    delivered: Option<Millis>,
    read: Option<Millis>,
    clicked: Option<Millis>,
}

fn fate(luck: Luck, clickers: i64, sent: Millis) -> Fate {
    match luck.per_mille(1) {
        0..=24 => {
            return Fate {
                skipped: Some("capped"),
                ..Fate::default()
            };
        }
        25..=33 => {
            return Fate {
                skipped: Some("not_reachable"),
                ..Fate::default()
            };
        }
        _ => {}
    }
    let delivered = (luck.per_mille(2) < 950).then_some(sent + 2_000);
    let read = delivered
        .filter(|_| luck.per_mille(3) < 700)
        .map(|at| at + MINUTE + luck.per_mille(8) * MINUTE / 4);
    let clicked = read
        .filter(|_| luck.per_mille(4) < clickers)
        .map(|at| at + MINUTE);
    Fate {
        skipped: None,
        delivered,
        read,
        clicked,
    }
}

async fn insert_campaign(
    tx: &mut Tx,
    page: PageRef,
    id: CampaignId,
    name: &str,
    at: Millis,
) -> anyhow::Result<()> {
    let message = r#"{"kind":"text","text":"Hi {{first_name}}, this one is for you.","buttons":[{"kind":"url","title":"Have a look","url":"https://harbour-coffee.example/"}],"quick_replies":[]}"#;
    sqlx::query(
        "INSERT INTO campaigns (id, workspace_id, name, message, audience, status, scheduled_at,
             created_at, updated_at, launched_at, finished_at)
         VALUES ($1, $2, $3, $4, $5, 'finished', $6, $7, $8, $6, $8)",
    )
    .bind(id)
    .bind(page.workspace)
    .bind(name)
    .bind(message)
    .bind(r#"{"include":[{"kind":"everyone"}],"exclude":[],"holdout_percent":0}"#)
    .bind(at)
    .bind(at - DAY)
    .bind(at + HOUR)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_message(
    tx: &mut Tx,
    page: PageRef,
    campaign: CampaignId,
    person: &Seeded,
    sent: Millis,
    fate: &Fate,
) -> anyhow::Result<()> {
    let went = fate.skipped.is_none();
    sqlx::query(
        "INSERT INTO messages (origin_id, subscriber_id, workspace_id, page_id, kind, campaign_id,
             channel, priority, status, reason, due_at, attempts, created_at, started_at, sent_at,
             delivered_at, read_at, clicked_at, clicks)
         VALUES ($1, $2, $3, $4, 'campaign', $1, $5, 2, $6, $7, $8, $9, $8, $8, $10, $11, $12,
             $13, $14)",
    )
    .bind(campaign.0)
    .bind(person.id)
    .bind(page.workspace)
    .bind(page.id)
    .bind(went.then_some("marketing_message"))
    .bind(if went { "sent" } else { "skipped" })
    .bind(fate.skipped)
    .bind(sent)
    .bind(i64::from(went))
    .bind(went.then_some(sent))
    .bind(fate.delivered)
    .bind(fate.read)
    .bind(fate.clicked)
    .bind(i64::from(fate.clicked.is_some()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_click(
    tx: &mut Tx,
    page: PageRef,
    campaign: CampaignId,
    person: &Seeded,
    click: ClickId,
    at: Millis,
) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO clicks (id, workspace_id, origin_id, subscriber_id, campaign_id, link, at)
         VALUES ($1, $2, $3, $4, $3, 0, $5)",
    )
    .bind(click)
    .bind(page.workspace)
    .bind(campaign.0)
    .bind(person.id)
    .bind(at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

struct Sale {
    order: OrderId,
    number: i64,
    placed: Millis,
    /// Cents.
    total: i64,
}

async fn insert_order(
    tx: &mut Tx,
    page: PageRef,
    campaign: CampaignId,
    person: &Seeded,
    (click, clicked): (ClickId, Millis),
    sale: &Sale,
    luck: Luck,
) -> anyhow::Result<()> {
    let shop_order_id = format!("demo-{}", sale.number);
    let refunded = match luck.per_mille(9) {
        0..=39 => sale.total,
        40..=69 => sale.total / 2,
        _ => 0,
    };
    sqlx::query(
        "INSERT INTO orders (id, workspace_id, shop_order_id, name, customer_id, total, refunded,
             currency, click_ref, ordered_at, shop_updated_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'USD', $8, $9, $9, $9)",
    )
    .bind(sale.order)
    .bind(page.workspace)
    .bind(&shop_order_id)
    .bind(format!("#{}", sale.number))
    .bind(person.customer.to_string())
    .bind(sale.total)
    .bind(refunded)
    .bind(click.to_string())
    .bind(sale.placed)
    .execute(&mut **tx)
    .await?;
    if refunded > 0 {
        sqlx::query(
            "INSERT INTO refunds (workspace_id, id, shop_order_id, amount, at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(page.workspace)
        .bind(&shop_order_id)
        .bind(&shop_order_id)
        .bind(refunded)
        .bind(sale.placed + DAY)
        .execute(&mut **tx)
        .await?;
    }
    sqlx::query(
        "INSERT INTO credits (order_id, workspace_id, campaign_id, origin_id, subscriber_id,
             click_id, touch_kind, touch_at, matched_by, window_days, credited_at)
         VALUES ($1, $2, $3, $3, $4, $5, 'click', $6, 'landing_site', 7, $7)",
    )
    .bind(sale.order)
    .bind(page.workspace)
    .bind(campaign.0)
    .bind(person.id)
    .bind(click)
    .bind(clicked)
    .bind(sale.placed)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

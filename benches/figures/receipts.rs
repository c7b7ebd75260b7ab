//! Receipts of a large campaign: from Meta's webhook to the message's row.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use hmac::{Hmac, Mac};
use pagecast::store::ids::CampaignId;
use serde_json::json;
use sha2::Sha256;

use crate::load::drive;
use crate::operator::{META_SECRET, Operator};
use crate::table::{Table, thousands};

const RECEIPTS: usize = 40_000;

pub(crate) async fn measure(
    operator: &Operator,
    campaign: CampaignId,
    table: &mut Table,
) -> anyhow::Result<()> {
    // Tracking ids of the campaign, with the Page each belongs to.
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.tracking_id, p.meta_id FROM messages m JOIN pages p ON p.id = m.page_id
         WHERE m.campaign_id = $1 AND m.tracking_id IS NOT NULL LIMIT $2",
    )
    .bind(campaign)
    .bind(i64::try_from(RECEIPTS / 2)?)
    .fetch_all(operator.app.db.pool())
    .await?;
    let n = rows.len() * 2;
    let bodies: Vec<(String, String)> = (0..n)
        .map(|i| {
            let (tracking, page) = &rows[i / 2];
            let field = if i.is_multiple_of(2) {
                "deliveries"
            } else {
                "reads"
            };
            signed(field, tracking, page)
        })
        .collect();
    let bodies = Arc::new(bodies);
    let server = operator.serve("all").await?;
    let url = format!("{}/webhooks/meta", operator.url);
    let start = Instant::now();
    let load = drive(n, move |client, i| {
        let (body, signature) = &bodies[i];
        client
            .post(&url)
            .header("content-type", "application/json")
            .header("x-hub-signature-256", signature)
            .body(body.clone())
            .build()
            .expect("a request")
    })
    .await?;
    let open = "SELECT COUNT(*) FROM webhooks WHERE processed_at IS NULL".to_owned();
    while operator.number(open.clone()).await? > 0 {
        ensure!(
            start.elapsed() < Duration::from_mins(10),
            "they are not all understood"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    drop(server);
    let read = operator
        .number(format!(
            "SELECT COUNT(*) FROM messages WHERE campaign_id = {} AND read_at IS NOT NULL",
            campaign.0
        ))
        .await?;
    ensure!(
        read == i64::try_from(rows.len())?,
        "{read} of {} are read",
        rows.len()
    );
    table.row(
        "receipts applied",
        format!("{}/s", thousands(n as f64 / seconds)),
        format!("their intake {}", load.words()),
        None,
    );
    Ok(())
}

fn signed(what: &str, tracking: &str, page: &str) -> (String, String) {
    let body = json!({
        "object": "page",
        "entry": [{
            "id": page,
            "time": 1_790_000_000_000_i64,
            "changes": [{
                "field": format!("marketing_message_{what}"),
                "value": {
                    "page_id": page,
                    "timestamp": 1_790_000_000_000_i64,
                    "marketing_message_tracking_id": tracking,
                },
            }],
        }],
    })
    .to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(META_SECRET.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    (body, signature)
}

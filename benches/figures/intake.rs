//! Shopify's webhooks, made durable before they are answered.

use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::task::JoinSet;

use crate::load::{IN_FLIGHT, drive};
use crate::operator::{Operator, SHOP, SHOPIFY_SECRET};
use crate::table::{Table, thousands};

const WEBHOOKS: usize = 40_000;
const ORDER: &str = include_str!("../../tests/fixtures/shopify/samples/order.json");
/// Bytes of a body.
const SIZE: usize = 5_000;

pub(crate) async fn measure(operator: &Operator, table: &mut Table) -> anyhow::Result<()> {
    let single = single_rows(operator).await?;
    for (role, name) in [
        ("web", "intake"),
        ("all", "intake, worker at work beside it"),
    ] {
        let server = operator.serve(role).await?;
        let before = operator
            .number("SELECT COUNT(*) FROM webhooks".to_owned())
            .await?;
        let bodies: Arc<Vec<(String, String)>> = Arc::new((0..WEBHOOKS).map(signed).collect());
        let (url, role_id) = (format!("{}/webhooks/shopify", operator.url), role);
        let load = drive(WEBHOOKS, move |client, i| {
            let (body, signature) = &bodies[i];
            client
                .post(&url)
                .header("content-type", "application/json")
                .header("x-shopify-topic", "orders/create")
                .header("x-shopify-shop-domain", SHOP)
                .header("x-shopify-api-version", "2026-10")
                .header("x-shopify-webhook-id", format!("{role_id}-{i}"))
                .header("x-shopify-event-id", format!("event-{role_id}-{i}"))
                .header("x-shopify-triggered-at", "2026-11-24T10:00:00.000Z")
                .header("x-shopify-hmac-sha256", signature)
                .body(body.clone())
                .build()
                .expect("a request")
        })
        .await?;
        let now = operator
            .number("SELECT COUNT(*) FROM webhooks".to_owned())
            .await?;
        ensure!(
            now - before == i64::try_from(WEBHOOKS)?,
            "{} are kept",
            now - before
        );
        drop(server);
        let baseline = format!("single-row commits {}/s", thousands(single));
        table.row(name, load.words(), baseline, Some(load.per_second / single));
    }
    Ok(())
}

/// An order of its own, as long as they are, and its signature.
fn signed(i: usize) -> (String, String) {
    let mut order: Value = serde_json::from_str(ORDER).expect("the sample is JSON");
    let fields = order.as_object_mut().expect("an object");
    // The sample shows every field there can be; a usual order is a quarter of it.
    for field in [
        "refunds",
        "fulfillments",
        "tax_lines",
        "shipping_lines",
        "payment_terms",
    ] {
        fields.remove(field);
    }
    if let Some(items) = order["line_items"].as_array_mut() {
        items.truncate(1);
    }
    order["cancelled_at"] = Value::Null;
    order["id"] = json!(9_000_000_000_i64 + i64::try_from(i).unwrap_or(0));
    order["note"] = json!("");
    let short = order.to_string().len();
    order["note"] = json!("x".repeat(SIZE.saturating_sub(short)));
    let body = order.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SHOPIFY_SECRET.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    (body, STANDARD.encode(mac.finalize().into_bytes()))
}

/// Rows a second when each is committed by itself, with as many connections as the product has.
async fn single_rows(operator: &Operator) -> anyhow::Result<f64> {
    const ROWS: usize = 20_000;
    operator
        .execute("CREATE TABLE single_rows (id BIGINT PRIMARY KEY, body TEXT NOT NULL)".to_owned())
        .await?;
    let body = signed(0).0;
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..IN_FLIGHT {
        let (app, body) = (operator.app.clone(), body.clone());
        tasks.spawn(async move {
            for row in 0..ROWS / IN_FLIGHT {
                sqlx::query("INSERT INTO single_rows (id, body) VALUES ($1, $2)")
                    .bind(i64::try_from(task * ROWS + row)?)
                    .bind(&body)
                    .execute(app.db.pool())
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let seconds = start.elapsed().as_secs_f64();
    operator
        .execute("DROP TABLE single_rows".to_owned())
        .await?;
    Ok(ROWS as f64 / seconds)
}

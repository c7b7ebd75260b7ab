//! A broadcast to everyone: the audience frozen, then sent as fast as the product can.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use pagecast::campaigns;
use pagecast::store::ids::CampaignId;
use reqwest::{Method, header};
use serde_json::json;

use crate::load::{IN_FLIGHT, drive};
use crate::operator::{AD_TOKEN, Operator};
use crate::process;
use crate::table::{Table, thousands};

/// Calls of the bare client.
const BARE: usize = 200_000;

/// Freezes the audience, in this process, and says how long it took.
pub(crate) async fn launch(
    operator: &Operator,
    people: i64,
    table: &mut Table,
) -> anyhow::Result<CampaignId> {
    let web = operator.serve("web").await?;
    let body = json!({
        "name": "Bench",
        "message": {"kind": "text", "text": "Hi {{first_name}}, the autumn roast is here.",
            "buttons": [{"kind": "url", "title": "Shop now", "url": "https://shop.example/roast"}]},
        "audience": {"include": [{"kind": "everyone"}]},
        "schedule": {},
    });
    let campaign = operator.api(Method::POST, "/campaigns", &body).await?;
    drop(web);
    let id: CampaignId = campaign["id"]
        .as_str()
        .context("an id")?
        .parse()
        .ok()
        .context("ours")?;
    // Everything that comes before the freezing.
    let status = async || {
        operator.number(format!(
        "SELECT CASE WHEN status = 'running' THEN 1 ELSE 0 END FROM campaigns WHERE id = {}", id.0
    )).await
    };
    let own = std::process::id();
    for _ in 0..20 {
        process::forget_peak(own);
        let start = Instant::now();
        campaigns::advance(&operator.app).await?;
        let took = start.elapsed().as_secs_f64();
        if status().await? == 1 {
            let rows = operator
                .number(format!(
                    "SELECT COUNT(*) FROM messages WHERE campaign_id = {}",
                    id.0
                ))
                .await?;
            ensure!(rows == people, "{rows} of {people} were frozen");
            table.row(
                format!("launch {}", thousands(people as f64)),
                format!("{took:.1} s, {:.0} MiB", process::peak_mib(own)),
                "",
                None,
            );
            return Ok(id);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("the campaign does not launch")
}

/// Sends it, and compares with a bare loop of the same client and the same bodies.
pub(crate) async fn send(
    operator: &Operator,
    campaign: CampaignId,
    people: i64,
    table: &mut Table,
) -> anyhow::Result<()> {
    operator.forget_taken().await?;
    let server = operator.serve("all").await?;
    process::forget_peak(server.id());
    let cpu = operator.cpu_seconds(&server);
    let finished = format!(
        "SELECT CASE WHEN status = 'finished' THEN 1 ELSE 0 END FROM campaigns WHERE id = {}",
        campaign.0
    );
    let start = Instant::now();
    while operator.number(finished.clone()).await? == 0 {
        let limit = Duration::from_secs(60 + people.unsigned_abs() / 500);
        ensure!(start.elapsed() < limit, "the campaign does not finish");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let cpu = (operator.cpu_seconds(&server) - cpu) / people as f64 * 1e6;
    let memory = process::peak_mib(server.id());
    drop(server);
    let taken = operator.taken().await?;
    let sent = operator
        .number(format!(
            "SELECT COUNT(*) FROM messages WHERE campaign_id = {} AND status = 'sent'",
            campaign.0
        ))
        .await?;
    ensure!(
        sent == people && taken.messages == people.unsigned_abs(),
        "{sent} sent, {} taken, of {people}",
        taken.messages
    );
    let seconds = (taken.last_at - taken.first_at) as f64 / 1e3;
    let per_second = people as f64 / seconds;
    let (bare, bare_cpu) = bare(operator).await?;
    table.row(
        format!("send {}", thousands(people as f64)),
        format!("{}/s", thousands(per_second)),
        format!("bare client {}/s", thousands(bare)),
        Some(per_second / bare),
    );
    table.row(
        "processor per message",
        format!("{cpu:.0} µs"),
        format!("bare client {bare_cpu:.0} µs"),
        Some(cpu / bare_cpu),
    );
    table.row("memory while sending", format!("{memory:.0} MiB"), "", None);
    Ok(())
}

/// Calls a second of a loop that does nothing else, and its processor time for one (µs).
async fn bare(operator: &Operator) -> anyhow::Result<(f64, f64)> {
    let sample = operator
        .taken()
        .await?
        .sample
        .context("a message was taken")?;
    let address = format!("{}{}", operator.sink_url, sample.path_and_query);
    let body = bytes::Bytes::from(sample.body);
    let own = std::process::id();
    let cpu = process::cpu_seconds(own);
    let load = drive(BARE, move |client, _| {
        client
            .post(&address)
            .bearer_auth(AD_TOKEN)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.clone())
            .build()
            .expect("a request")
    })
    .await?;
    let cpu = (process::cpu_seconds(own) - cpu) / BARE as f64 * 1e6;
    eprintln!("bare loop at {IN_FLIGHT} in flight: {}", load.words());
    Ok((load.per_second, cpu))
}

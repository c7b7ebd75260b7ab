//! Clicks: each recorded, none kept waiting.

use std::time::Duration;

use anyhow::ensure;
use pagecast::links;
use pagecast::store::ids::{CampaignId, MessageKey, OriginId, SubscriberId};

use crate::load::drive;
use crate::operator::Operator;
use crate::table::Table;

const CLICKS: usize = 200_000;
const AGENT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15";

pub(crate) async fn measure(
    operator: &Operator,
    campaign: CampaignId,
    people: i64,
    table: &mut Table,
) -> anyhow::Result<()> {
    let server = operator.serve("web").await?;
    let before = operator
        .number("SELECT COUNT(*) FROM clicks".to_owned())
        .await?;
    let (keys, url) = (operator.app.keys.clone(), operator.url.clone());
    let ours = drive(CLICKS, move |client, i| {
        // A stride, so that neighbours in time are not neighbours in the table.
        let person = 1_000_000 + i64::try_from(i).unwrap_or(0) * 7919 % people;
        let message = MessageKey {
            origin: OriginId(campaign.0),
            subscriber: SubscriberId(person),
        };
        let code = links::code(&keys, message, 0);
        client
            .get(format!("{url}/c/{code}"))
            .header("user-agent", AGENT)
            .build()
            .expect("a request")
    })
    .await?;
    let empty = format!("{}/empty", operator.sink_url);
    let bare = drive(CLICKS, move |client, _| {
        client
            .get(&empty)
            .header("user-agent", AGENT)
            .build()
            .expect("a request")
    })
    .await?;
    let ratio = ours.per_second / bare.per_second;
    table.row(
        "redirect",
        ours.words(),
        format!("empty handler {}", bare.words()),
        Some(ratio),
    );
    let wanted = before + i64::try_from(CLICKS)?;
    for _ in 0..300 {
        let now = operator
            .number("SELECT COUNT(*) FROM clicks".to_owned())
            .await?;
        if now == wanted {
            drop(server);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let now = operator
        .number("SELECT COUNT(*) FROM clicks".to_owned())
        .await?;
    ensure!(
        now == wanted,
        "{} clicks of {CLICKS} were recorded",
        now - before
    );
    Ok(())
}

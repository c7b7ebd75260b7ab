//! The admin's pages at the size of a large merchant: the time until the whole answer is there.

use std::time::Instant;

use anyhow::{Context, ensure};
use pagecast::store::ids::CampaignId;
use pagecast::workspaces;
use reqwest::header;

use crate::load::client;
use crate::operator::Operator;
use crate::table::Table;

const LOOKS: usize = 7;

pub(crate) async fn measure(
    operator: &Operator,
    campaign: CampaignId,
    table: &mut Table,
) -> anyhow::Result<()> {
    let server = operator.serve("all").await?;
    let http = client();
    let link = workspaces::login_link(&operator.app, operator.workspace).await?;
    let path = link
        .url
        .rsplit_once("/app")
        .context("a link into the admin")?
        .1;
    let answer = http
        .get(format!("{}/app{path}", operator.url))
        .send()
        .await?;
    let token = path.rsplit('=').next().unwrap_or_default();
    let answer = if answer.headers().contains_key(header::SET_COOKIE) {
        answer
    } else {
        http.post(format!("{}/app/sign-in", operator.url))
            .header("sec-fetch-site", "same-origin")
            .form(&[("token", token)])
            .send()
            .await?
    };
    let cookie = answer
        .headers()
        .get(header::SET_COOKIE)
        .context("signed in")?;
    let cookie = cookie
        .to_str()?
        .split(';')
        .next()
        .unwrap_or_default()
        .to_owned();
    let report = format!("/app/campaigns/{campaign}");
    let old = CampaignId(campaign.0 - 1);
    for (name, path) in [
        ("overview", "/app".to_owned()),
        ("campaigns", "/app/campaigns".to_owned()),
        ("campaign report", report.clone()),
        (
            "report of an older campaign",
            format!("/app/campaigns/{old}"),
        ),
        ("recipient log, first page", format!("{report}/messages")),
        (
            "recipient log, filtered",
            format!("{report}/messages?status=sent"),
        ),
        (
            "recipient log, rare filter",
            format!("/app/campaigns/{old}/messages?status=skipped"),
        ),
        ("subscribers", "/app/subscribers".to_owned()),
        ("subscriber search", "/app/subscribers?q=Ana".to_owned()),
        ("orders", "/app/orders".to_owned()),
        ("automations", "/app/automations".to_owned()),
        ("links", "/app/links".to_owned()),
        ("webhooks", "/app/webhooks".to_owned()),
    ] {
        let mut took = Vec::new();
        for _ in 0..LOOKS {
            let start = Instant::now();
            let answer = http
                .get(format!("{}{path}", operator.url))
                .header(header::COOKIE, &cookie)
                .send()
                .await?;
            let status = answer.status();
            answer.bytes().await?;
            ensure!(status.is_success(), "{path}: {status}");
            took.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let first = took[0];
        took.sort_by(f64::total_cmp);
        table.row(
            format!("page: {name}"),
            format!("{:.0} ms, first look {first:.0} ms", took[LOOKS / 2]),
            "",
            None,
        );
    }
    drop(server);
    Ok(())
}

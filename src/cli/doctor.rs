//! `doctor`: everything that must be right, each with `ok`, `warn` or `fail` and what to do.

use std::process::ExitCode;

use crate::app::App;
use crate::clock::{Clock, DAY, rfc3339};
use crate::config::Config;
use crate::klaviyo;
use crate::meta::pages::SUBSCRIBED_FIELDS;
use crate::queue::Queue;
use crate::shopify::webhooks::TOPICS;
use crate::store::Database;
use crate::store::ids::WorkspaceId;
use crate::telemetry::{self, Reader};
use crate::workspaces::{self, Page};

/// What was found, told line by line.
#[derive(Debug, Default)]
struct Report {
    failed: bool,
}

impl Report {
    fn ok(&mut self, what: &str) {
        self.tell("ok", what, "");
    }

    fn warn(&mut self, what: &str, cure: &str) {
        self.tell("warn", what, cure);
    }

    fn fail(&mut self, what: &str, cure: &str) {
        self.tell("fail", what, cure);
    }

    fn tell(&mut self, word: &str, what: &str, cure: &str) {
        self.failed |= word == "fail";
        println!("{}", format!("{word:<5} {what} {cure}").trim_end());
    }

    fn end(&self) -> ExitCode {
        if self.failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }
}

pub(super) async fn run() -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => {
            report.fail(&format!("{error}."), "Set it and run the doctor again.");
            return Ok(report.end());
        }
    };
    telemetry::log(&config, Reader::Person)?;
    configuration(&mut report, &config);
    let Some(app) = database(&mut report, config).await? else {
        return Ok(report.end());
    };
    let workspaces = workspaces::all(&app).await?;
    if workspaces.is_empty() {
        report.warn(
            "There is no workspace.",
            "Make one with `pagecast workspace create --name …`.",
        );
    }
    for workspace in workspaces {
        let name = format!("{} ({})", workspace.name, workspace.id);
        shop(&mut report, &app, workspace.id, &name).await?;
        pages(&mut report, &app, workspace.id, &name).await?;
        klaviyo_account(&mut report, &app, workspace.id, &name).await?;
    }
    app.db.close().await;
    Ok(report.end())
}

fn configuration(report: &mut Report, config: &Config) {
    report.ok("The configuration can be read.");
    if !config.public_url.starts_with("https://") {
        report.warn(
            &format!(
                "PUBLIC_URL is {}, which the platforms refuse.",
                config.public_url
            ),
            "Set the https address under which the world reaches this server.",
        );
    }
    let missing = [
        (
            config.shopify.api_key.is_none(),
            "SHOPIFY_API_KEY is not set: Pagecast does not open inside Shopify's admin.",
        ),
        (
            config.shopify.api_secrets.is_empty(),
            "SHOPIFY_API_SECRET is not set: Shopify's webhooks are refused.",
        ),
        (
            config.meta.app_secret.is_none(),
            "META_APP_SECRET is not set: Meta's webhooks are refused.",
        ),
        (
            config.meta.verify_token.is_none(),
            "META_VERIFY_TOKEN is not set: Meta cannot subscribe to this server.",
        ),
        (
            config.meta.login_config_id.is_none(),
            "META_LOGIN_CONFIG_ID is not set: Pages are connected with `pagecast connect page` only.",
        ),
    ];
    for (_, what) in missing.iter().filter(|(is_missing, _)| *is_missing) {
        report.warn(what, "Copy it from the app's settings.");
    }
}

async fn database(report: &mut Report, config: Config) -> anyhow::Result<Option<App>> {
    let opened = async {
        let db = Database::connect(&config.database_url).await?;
        db.migrate().await?;
        anyhow::Ok(db)
    };
    let db = match opened.await {
        Ok(db) => db,
        Err(error) => {
            report.fail(&format!("The database cannot be used: {error:#}."), "");
            return Ok(None);
        }
    };
    let (known, applied) = db.migration_state().await?;
    report.ok(&format!(
        "The database answers and has {applied} of {known} migrations."
    ));
    match Queue::open(&config.database_url).await {
        Ok(queue) => {
            queue.close().await;
            report.ok("The job queue can be used.");
        }
        Err(error) => report.fail(&format!("The job queue cannot be used: {error:#}."), ""),
    }
    App::new(config, Clock::system(), db, Queue::silent()).map(Some)
}

async fn shop(report: &mut Report, app: &App, ws: WorkspaceId, name: &str) -> anyhow::Result<()> {
    let Some(shop) = workspaces::shop(app, ws).await? else {
        report.warn(
            &format!("{name} has no shop."),
            "Connect one with `pagecast connect shop`.",
        );
        return Ok(());
    };
    let domain = shop.domain.as_str();
    let again = "Connect the shop again with a token that works.";
    let Some(token) = workspaces::shop_token(app, shop.id).await? else {
        report.fail(&format!("{name}: the shop {domain} has no token."), again);
        return Ok(());
    };
    if let Err(error) = app.shopify.shop_info(&shop.domain, &token).await {
        report.fail(&format!("{name}: the shop {domain}: {error}."), again);
        return Ok(());
    }
    report.ok(&format!("{name}: the shop {domain} answers."));
    let address = format!("{}/webhooks/shopify", app.config.public_url);
    match app
        .shopify
        .webhook_subscriptions(&shop.domain, &token)
        .await
    {
        Ok(there) => {
            let missing: Vec<&str> = TOPICS
                .iter()
                .filter(|(topic, _)| {
                    !there
                        .iter()
                        .any(|one| one.topic == *topic && one.uri == address)
                })
                .map(|(_, name)| *name)
                .collect();
            if missing.is_empty() {
                report.ok(&format!("{name}: the shop's webhooks come to {address}."));
            } else {
                report.warn(
                    &format!(
                        "{name}: the shop has no subscriptions of its own for {}.",
                        missing.join(", ")
                    ),
                    "They come all the same where shopify.app.toml is deployed; else connect the \
                     shop again.",
                );
            }
        }
        Err(error) => report.warn(
            &format!("{name}: the shop's webhook subscriptions cannot be read: {error}."),
            "",
        ),
    }
    Ok(())
}

async fn pages(report: &mut Report, app: &App, ws: WorkspaceId, name: &str) -> anyhow::Result<()> {
    let pages = workspaces::pages(app, ws).await?;
    if pages.is_empty() {
        report.warn(
            &format!("{name} has no Page."),
            "Connect one with `pagecast connect page`.",
        );
    }
    for page in pages {
        self::page(
            report,
            app,
            &page,
            &format!("{name}: the Page {}", page.meta_id),
        )
        .await;
    }
    Ok(())
}

async fn page(report: &mut Report, app: &App, page: &Page, name: &str) {
    const AGAIN: &str = "Connect the Page again with a new token.";
    if page.state != "active" {
        // What is known of the cause says its own cure: a new token alone would often fail again.
        let (why, cure) = match page.attention.as_deref() {
            Some(why) => (
                why.trim_end_matches('.'),
                "Connections looks again once it is done.",
            ),
            None => ("it stands still", AGAIN),
        };
        report.fail(&format!("{name} needs attention: {why}."), cure);
    }
    let Some(token) = &page.token else {
        report.fail(&format!("{name} has no token."), AGAIN);
        return;
    };
    if let Err(error) = app.meta.page(&page.meta_id, token).await {
        report.fail(&format!("{name}: {error}."), AGAIN);
        return;
    }
    report.ok(&format!("{name} answers."));
    if app.config.meta.app_id.is_some() && app.config.meta.app_secret.is_some() {
        token_lifetime(report, app, page, name).await;
    }
    match app.meta.subscribed_fields(&page.meta_id, token).await {
        Ok(there) => {
            let missing: Vec<&str> = SUBSCRIBED_FIELDS
                .iter()
                .copied()
                .filter(|field| !there.iter().any(|one| one == field))
                .collect();
            if missing.is_empty() {
                report.ok(&format!("{name}: its webhooks are subscribed."));
            } else {
                report.fail(
                    &format!("{name}: no webhooks come for {}.", missing.join(", ")),
                    "Connect the Page again; it subscribes them.",
                );
            }
        }
        Err(error) => report.warn(
            &format!("{name}: its webhook subscription cannot be read: {error}."),
            "",
        ),
    }
    if page.ad_account.is_none() || page.ad_token.is_none() {
        report.warn(
            &format!("{name} has no ad account, so no marketing message can be sent."),
            "Connect it again with --ad-account and --ad-token-file.",
        );
    }
}

async fn token_lifetime(report: &mut Report, app: &App, page: &Page, name: &str) {
    const SOON: i64 = 14 * DAY;
    let tokens = [("token", &page.token), ("ad token", &page.ad_token)];
    for (kind, token) in tokens {
        let Some(token) = token else { continue };
        let info = match app.meta.debug_token(token).await {
            Ok(info) => info,
            Err(error) => {
                report.warn(
                    &format!("{name}: the {kind} cannot be inspected: {error}."),
                    "",
                );
                continue;
            }
        };
        let ends = [info.expires_at, info.data_access_expires_at]
            .into_iter()
            .flatten()
            .filter(|at| *at > 0)
            .min();
        match ends {
            _ if !info.valid => report.fail(
                &format!("{name}: Meta calls the {kind} invalid."),
                "Connect the Page again with a new one.",
            ),
            Some(at) if at < app.clock.now() + SOON => report.warn(
                &format!("{name}: the {kind} ends at {}.", rfc3339(at)),
                "Connect the Page again before that.",
            ),
            _ => report.ok(&format!("{name}: the {kind} holds.")),
        }
    }
}

async fn klaviyo_account(
    report: &mut Report,
    app: &App,
    ws: WorkspaceId,
    name: &str,
) -> anyhow::Result<()> {
    const AGAIN: &str = "Connect Klaviyo again.";
    let Some((state, attention)) = workspaces::klaviyo_state(app, ws).await? else {
        report.ok(&format!("{name} works without Klaviyo."));
        return Ok(());
    };
    if state != "active" {
        let why = attention.as_deref().unwrap_or("The connection broke.");
        report.fail(&format!("{name}: {why}"), AGAIN);
        return Ok(());
    }
    let asked = workspaces::ask_klaviyo(
        app,
        ws,
        |auth| async move { app.klaviyo.account(&auth).await },
    );
    let answer = match asked.await {
        Ok(answer) => answer,
        Err(error) => {
            report.fail(&format!("{name}: Klaviyo: {error:#}."), "Try again later.");
            return Ok(());
        }
    };
    match answer {
        Ok(_) => report.ok(&format!("{name}: Klaviyo answers.")),
        Err(error @ klaviyo::Error::Retry { .. }) => {
            report.warn(&format!("{name}: {error}."), "Run the doctor again later.");
        }
        Err(error) => report.fail(&format!("{name}: {error}."), AGAIN),
    }
    if workspaces::klaviyo_webhook_secret(app, ws).await?.is_none() {
        report.warn(
            &format!("{name}: Klaviyo has no system webhook, so its events start nothing here."),
            "Use a flow's webhook, or connect again with an account that may have them.",
        );
    }
    Ok(())
}

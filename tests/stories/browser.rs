//! What a merchant does in a real browser: signs in, writes a campaign with a mistake and mends
//! it, schedules, watches it run, reads the report; on a desk and on a phone.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

use crate::support::{Engine, Story};

pub(crate) struct Browser {
    pub(crate) page: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None` where chromedriver or Chromium is not installed.
    pub(crate) async fn start(width: u32, flags: &[String]) -> Option<Self> {
        let there = |program: &str| {
            Command::new(program)
                .arg("--version")
                .output()
                .is_ok_and(|out| out.status.success())
        };
        let required = std::env::var("PAGECAST_TEST_REQUIRE")
            .is_ok_and(|parts| parts.split(',').any(|part| part == "chromium"));
        if !there("chromedriver") || !there("chromium") {
            assert!(
                !required,
                "PAGECAST_TEST_REQUIRE names chromium, and there is none"
            );
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let profile = tempfile::tempdir().unwrap();
        let size = format!("--window-size={width},900");
        let folder = format!("--user-data-dir={}", profile.path().display());
        let mut arguments = vec![
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &size,
            &folder,
        ];
        arguments.extend(flags.iter().map(String::as_str));
        let wanted = json!({"goog:chromeOptions": {"args": arguments,
            "mobileEmulation": {"deviceMetrics": {"width": width, "height": 900, "pixelRatio": 1.0,
                "touch": false, "mobile": false}}}});
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wanted.as_object().unwrap().clone());
        for _ in 0..100 {
            if let Ok(page) = builder.connect(&format!("http://127.0.0.1:{port}")).await {
                return Some(Self {
                    page,
                    driver,
                    _profile: profile,
                });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        driver.kill().ok();
        driver.wait().ok();
        panic!("the browser does not start");
    }

    pub(crate) async fn types(&self, field: &str, text: &str) {
        let field = self.page.find(Locator::Id(field)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Presses the button or link, scrolled into view as a person would have it.
    pub(crate) async fn presses(&self, css: &str) {
        let script = "const b = [...document.querySelectorAll(arguments[0])]
                          .find(b => b.offsetParent !== null || b.getClientRects().length);
                      if (!b) throw new Error('nothing to press: ' + arguments[0]);
                      b.scrollIntoView({block: 'center'}); b.click();";
        self.page.execute(script, vec![json!(css)]).await.unwrap();
    }

    /// Waits until the page says so; what it says instead is in the failure.
    pub(crate) async fn sees(&self, words: &str) {
        let mut text = String::new();
        for _ in 0..100 {
            if let Ok(body) = self.page.find(Locator::Css("body")).await {
                text = body.text().await.unwrap_or_default();
                if text.contains(words) {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("“{words}” does not appear in:\n{text}");
    }

    /// Nothing sticks out of the window to the side.
    pub(crate) async fn fits(&self) {
        let over = self
            .page
            .execute(
                "return document.documentElement.scrollWidth - innerWidth",
                vec![],
            )
            .await
            .unwrap();
        assert!(
            over.as_i64().unwrap() <= 0,
            "the page is {over} px too wide"
        );
    }

    pub(crate) async fn ends(mut self) {
        self.page.close().await.ok();
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

async fn a_merchant_sends_a_campaign(width: u32) {
    let Some(browser) = Browser::start(width, &[]).await else {
        return;
    };
    let story = Story::start(Engine::Sqlite).await;
    story.audience(40).await;
    let link = pagecast::workspaces::login_link(&story.app, story.workspace)
        .await
        .unwrap();

    browser.page.goto(&link.url).await.unwrap();
    browser.sees("Sign in to Pagecast").await;
    browser.presses("form button").await;
    browser.sees("Overview").await;
    browser.fits().await;

    browser
        .page
        .goto(&format!("{}/app/campaigns/new", story.url))
        .await
        .unwrap();
    browser.types("name", "Winter Blend").await;
    browser.types("text", "Hi {{first_name}}, it is back").await;
    browser.types("b0_title", "Shop now").await;
    browser.types("b0_value", "harbour.example/sale").await;
    browser.fits().await;
    browser.presses("button[name=do][value=schedule]").await;
    browser.sees("to mend").await;
    let kept = browser
        .page
        .find(Locator::Id("text"))
        .await
        .unwrap()
        .prop("value")
        .await
        .unwrap();
    assert_eq!(
        kept.as_deref(),
        Some("Hi {{first_name}}, it is back"),
        "nothing typed is lost"
    );

    browser
        .types("b0_value", "https://harbour.example/sale")
        .await;
    browser.presses("button[name=do][value=schedule]").await;
    browser.sees("40 people").await;
    browser.presses("#confirm form button.primary").await;
    browser.sees("Winter Blend").await;
    browser.fits().await;

    story.minutes_pass(62).await;
    let campaigns = story.get("/campaigns").await.body;
    let id = campaigns["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(campaigns["data"][0]["status"], "finished", "{campaigns:#}");
    browser
        .page
        .goto(&format!("{}/app/campaigns/{id}", story.url))
        .await
        .unwrap();
    browser.sees("Finished").await;
    browser.sees("40").await;
    browser.fits().await;
    browser
        .page
        .goto(&format!("{}/app", story.url))
        .await
        .unwrap();
    browser.sees("Winter Blend").await;
    browser.fits().await;
    for page in [
        "campaigns",
        "automations",
        "subscribers",
        "opt-in-links",
        "orders",
        "connections",
        "webhooks",
        "settings",
    ] {
        browser
            .page
            .goto(&format!("{}/app/{page}", story.url))
            .await
            .unwrap();
        browser.fits().await;
    }
    browser.ends().await;
    story.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merchant_sends_a_campaign_at_a_desk() {
    a_merchant_sends_a_campaign(1280).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merchant_sends_a_campaign_on_a_phone() {
    a_merchant_sends_a_campaign(390).await;
}

//! The admin inside Shopify's, in a real browser and without third-party cookies: opened in the
//! iframe, gone through by Shopify's navigation, a campaign written and sent, the frame reloaded.

use std::time::Duration;

use fantoccini::Locator;
use serde_json::json;

use crate::browser::Browser;
use crate::support::admin::Admin;
use crate::support::story::SHOP;
use crate::support::{Engine, Story};

impl Browser {
    async fn reads(&self, expression: &str) -> String {
        let script = format!("return String({expression})");
        let value = self.page.execute(&script, vec![]).await.unwrap();
        value.as_str().unwrap_or_default().to_owned()
    }

    async fn comes_to(&self, path: &str) {
        let mut at = String::new();
        for _ in 0..100 {
            at = self.reads("location.pathname").await;
            if at == path {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the frame is at {at}, not at {path}");
    }

    /// Shopify's navigation, which stands outside of the frame.
    async fn goes_by_the_admin_to(&self, path: &str) {
        let script = "document.querySelector('s-app-nav s-link[href=\"' + arguments[0] + '\"]')
                          .dispatchEvent(new MouseEvent('click', {bubbles: true}))";
        self.page.execute(script, vec![json!(path)]).await.unwrap();
        self.comes_to(path).await;
    }
}

async fn a_merchant_works_inside_shopify(width: u32) {
    let story = Story::start(Engine::Sqlite).await;
    story.audience(40).await;
    let shopify = story.sandbox.shopify.of(SHOP);
    let admin = Admin::open(shopify, &story.url).await;
    let required = std::env::var("PAGECAST_TEST_REQUIRE").is_ok_and(|it| it.contains("chromium"));
    assert!(
        admin.is_some() || !required,
        "PAGECAST_TEST_REQUIRE names chromium, and there is no openssl to go with it"
    );
    let Some(admin) = admin else {
        return;
    };
    let Some(browser) = Browser::start(width, &admin.flags()).await else {
        return;
    };
    let page = &browser.page;
    let address = "https://admin.shopify.com/store/harbour/apps/pagecast";
    page.goto(address).await.unwrap();
    let frame = page.find(Locator::Id("app")).await.unwrap();
    frame.enter_frame().await.unwrap();

    browser.sees("Subscribers").await;
    browser.fits().await;
    let search = browser.reads("location.search").await;
    assert!(
        search.contains("shop=") && search.contains("host="),
        "{search}"
    );
    assert!(!search.contains("id_token"), "{search}");
    assert_eq!(browser.reads("document.cookie").await, "");
    assert_eq!(
        browser
            .reads("getComputedStyle(document.querySelector('.page-head .actions')).display")
            .await,
        "none"
    );

    page.execute("window.sameDocument = 'yes'", vec![])
        .await
        .unwrap();
    browser.goes_by_the_admin_to("/app/campaigns").await;
    browser.sees("Tell your subscribers").await;
    page.execute("history.back()", vec![]).await.unwrap();
    browser.comes_to("/app").await;
    browser.sees("Subscribers").await;
    browser.goes_by_the_admin_to("/app/campaigns").await;
    browser
        .presses("s-page s-button[slot=primary-action]")
        .await;
    browser.comes_to("/app/campaigns/new").await;
    writes_a_campaign(&browser).await;
    assert_eq!(
        browser.reads("window.sameDocument").await,
        "yes",
        "the frame was never reloaded"
    );
    assert!(
        browser.reads("location.search").await.contains("shop="),
        "the shop survives"
    );

    story.minutes_pass(62).await;
    page.execute("location.reload()", vec![]).await.unwrap();
    browser.sees("Finished").await;
    browser.sees("40").await;
    assert_eq!(
        browser.reads("window.sameDocument").await,
        "undefined",
        "loaded anew, by the bounce page"
    );
    assert!(!browser.reads("location.search").await.contains("id_token"));
    goes_through_the_rest(&browser).await;
    if let Ok(folder) = std::env::var("PAGECAST_TEST_SCREENS") {
        browser.goes_by_the_admin_to("/app").await;
        browser.sees("Subscribers").await;
        let picture = page.screenshot().await.unwrap();
        std::fs::write(format!("{folder}/embedded-{width}.png"), picture).unwrap();
    }
    browser.ends().await;
    story.ends().await;
}

async fn writes_a_campaign(browser: &Browser) {
    let page = &browser.page;
    browser.sees("Seen by you, and in links").await;
    // A token that died meanwhile is renewed by App Bridge, and nobody notices.
    page.execute("window.staleToken = 'a.b.c'", vec![])
        .await
        .unwrap();
    browser.types("name", "Winter Blend").await;
    browser.types("text", "Hi {{first_name}}, it is back").await;
    browser.types("b0_title", "Shop now").await;
    browser
        .types("b0_value", "https://harbour.example/sale")
        .await;
    browser.fits().await;
    browser
        .presses("s-page s-button[slot=primary-action]")
        .await;
    browser.sees("40 people").await;
    browser.presses("#confirm form button.primary").await;
    browser.sees("Winter Blend").await;
    browser.fits().await;
}

/// The other pages, and settings saved.
async fn goes_through_the_rest(browser: &Browser) {
    for path in [
        "/app/automations",
        "/app/subscribers",
        "/app/opt-in-links",
        "/app/orders",
        "/app/connections",
        "/app/webhooks",
        "/app/settings",
    ] {
        browser.goes_by_the_admin_to(path).await;
        browser.fits().await;
    }
    browser.sees("Save settings").await;
    browser
        .presses("form[action='/app/settings'] button.primary")
        .await;
    for _ in 0..100 {
        if browser.reads("window.toasts.length").await != "0" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_ne!(
        browser.reads("window.toasts.join()").await,
        "",
        "Shopify shows the toast"
    );
    assert!(!browser.reads("location.search").await.contains("toast"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merchant_works_inside_shopify_at_a_desk() {
    a_merchant_works_inside_shopify(1280).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merchant_works_inside_shopify_on_a_phone() {
    a_merchant_works_inside_shopify(390).await;
}

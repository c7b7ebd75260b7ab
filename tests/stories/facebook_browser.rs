//! In a real browser: a merchant connects a Page with Facebook, looks at what was granted and at
//! each step; somebody of an agency signs in and opens a client. On a desk and on a phone.

use crate::browser::Browser;
use crate::support::story::PAGE;
use crate::support::{Engine, Story};

const BAKERY: &str = "555000111222";

async fn connects_a_page_and_opens_a_client(width: u32) {
    let Some(browser) = Browser::start(width, &[]).await else {
        return;
    };
    let story = Story::start(Engine::Sqlite).await;
    let meta = &story.sandbox.meta;
    meta.page(
        BAKERY,
        "Bakery on the Corner",
        "bakery-token",
        "act_5",
        "bakery-login",
    );
    meta.manager("Ines Okafor", &[PAGE, BAKERY]);
    let goes = async |path: &str| {
        let address = format!("{}{path}", story.url);
        browser.page.goto(&address).await.unwrap();
    };
    let link = pagecast::workspaces::login_link(&story.app, story.workspace)
        .await
        .unwrap();
    browser.page.goto(&link.url).await.unwrap();
    browser.presses("form button").await;
    browser.sees("Welcome, Harbour Coffee").await;

    goes("/app/connections").await;
    browser.sees("Connect a Page").await;
    browser.fits().await;
    browser
        .presses("a.btn.primary[href='/app/connections/facebook']")
        .await;
    browser.sees("What Facebook will ask you").await;
    browser.fits().await;
    browser.presses("input[name=owner][value=different]").await;
    browser
        .presses("form[action='/app/connections/facebook'] button")
        .await;
    browser.sees("full control of both").await;
    browser.presses("a[href^='/auth/meta/login']").await;
    browser.sees("Which Pages speak for Harbour Coffee?").await;
    browser.sees("Bakery on the Corner").await;
    browser.fits().await;
    browser.presses(&format!("input[value='{BAKERY}']")).await;
    browser.presses("form button.primary").await;
    browser.sees("Bakery on the Corner is connected").await;
    browser.fits().await;
    browser.presses("footer a.primary").await;
    browser.sees("Payment method").await;
    browser.fits().await;
    browser.presses("details.menu summary").await;
    browser.presses("button[commandfor^='disconnect-']").await;
    browser.sees("Stay connected").await;
    browser.fits().await;

    for (path, words) in [
        (
            "/app/connections/permissions",
            "What Pagecast may do at Facebook",
        ),
        ("/app/connections/alerts", "Tell this address"),
    ] {
        goes(path).await;
        browser.sees(words).await;
        browser.fits().await;
    }

    goes("/app/sign-in").await;
    browser.fits().await;
    browser.presses("a[href='/auth/meta/sign-in']").await;
    browser.sees("One client").await;
    browser.fits().await;
    browser
        .presses("form[action='/app/agency/open'] button")
        .await;
    browser.sees("Welcome, Harbour Coffee").await;
    browser.fits().await;
    browser.ends().await;
    story.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_connected_and_a_client_opened_at_a_desk() {
    connects_a_page_and_opens_a_client(1280).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_connected_and_a_client_opened_on_a_phone() {
    connects_a_page_and_opens_a_client(390).await;
}

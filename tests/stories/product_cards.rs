//! The merchant finds a product of the shop and makes a card of it.

use super::browser::Browser;
use crate::support::{Engine, Story};

async fn signs_in(browser: &Browser, story: &Story) {
    let link = pagecast::workspaces::login_link(&story.app, story.workspace)
        .await
        .unwrap();
    browser.page.goto(&link.url).await.unwrap();
    browser.sees("Sign in to Pagecast").await;
    browser.presses("form button").await;
    browser.sees("Welcome, Harbour Coffee").await;
}

async fn a_card_is_made_of_a_product(width: u32) {
    let Some(browser) = Browser::start(width, &[]).await else {
        return;
    };
    let story = Story::start(Engine::Sqlite).await;
    signs_in(&browser, &story).await;

    let new = format!("{}/app/campaigns/new", story.url);
    browser.page.goto(&new).await.unwrap();
    browser.types("name", "Cold brew days").await;
    browser.presses("input[name=kind][value=cards]").await;
    browser.types("words", "kettle").await;
    browser.presses("button[form=find]").await;
    browser.sees("No product of your online store").await;
    browser.types("words", "cold br").await;
    browser.presses("button[form=find]").await;
    browser.sees("Cold Brew Kit").await;
    browser.fits().await;
    browser.presses("#found button[value^='pick:']").await;
    // In one step: an element that was found may be swapped before it is read.
    let value = async |field: &str| {
        let script = "return document.getElementById(arguments[0])?.value ?? ''";
        let said = browser.page.execute(script, vec![field.into()]).await;
        said.unwrap().as_str().unwrap_or_default().to_owned()
    };
    for _ in 0..50 {
        if value("c0_title").await == "Cold Brew Kit" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(value("c0_title").await, "Cold Brew Kit");
    assert_eq!(value("c0_subtitle").await, "$34.00");
    let address = "https://harbour.myshopify.com/products/cold-brew-kit";
    assert_eq!(value("c0b0_value").await, address);
    assert_eq!(
        value("name").await,
        "Cold brew days",
        "nothing typed is lost"
    );

    // Without what it may not read, the editor says what to do.
    story.sandbox.shopify.is_down(true);
    browser.types("words", "mug").await;
    browser.presses("button[form=find]").await;
    browser.sees("Shopify does not answer at the moment").await;
    story.sandbox.shopify.is_down(false);

    browser.presses("button[form=edit][value=save]").await;
    browser.sees("Saved").await;
    let campaigns = story.get("/campaigns").await.body;
    let card = &campaigns["data"][0]["message"]["cards"][0];
    assert_eq!(card["title"], "Cold Brew Kit", "{campaigns:#}");
    browser.fits().await;
    browser.ends().await;
    story.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_is_made_of_a_product_at_a_desk() {
    a_card_is_made_of_a_product(1280).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_is_made_of_a_product_on_a_phone() {
    a_card_is_made_of_a_product(390).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coupons_code_is_made_in_the_shop_from_the_editor() {
    let Some(browser) = Browser::start(390, &[]).await else {
        return;
    };
    let story = Story::start(Engine::Sqlite).await;
    signs_in(&browser, &story).await;
    let new = format!("{}/app/campaigns/new", story.url);
    browser.page.goto(&new).await.unwrap();
    browser.types("name", "Ten off").await;
    browser.presses("input[name=kind][value=coupon]").await;
    browser.types("coupon_title", "Ten off today").await;
    browser.types("coupon_code", "WINTER10").await;
    browser
        .types("coupon_url", "https://harbour.example/sale")
        .await;
    browser.types("coupon_percent", "250").await;
    browser.presses("button[value=make_code]").await;
    browser.sees("a whole number from 1 to 100").await;
    browser.fits().await;
    browser.types("coupon_percent", "10").await;
    browser.presses("button[value=make_code]").await;
    browser.sees("WINTER10 gives 10% off in your shop").await;
    assert_eq!(
        story.sandbox.shopify.discount_codes(),
        [("WINTER10".to_owned(), 0.1)]
    );

    // Once is enough; and without the scope the merchant is told what to do.
    browser.types("coupon_percent", "20").await;
    browser.presses("button[value=make_code]").await;
    browser.sees("Your shop has this code already").await;
    story
        .sandbox
        .shopify
        .scopes_update(&["read_orders"])
        .unwrap();
    story.settles().await;
    browser.types("coupon_code", "WINTER20").await;
    browser.presses("button[value=make_code]").await;
    browser.sees("accept what it asks for").await;
    browser.ends().await;
    story.ends().await;
}

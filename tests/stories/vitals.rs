//! How fast the embedded pages are in a real browser, by Built for Shopify's three measures. Not a
//! test of times (machines differ): it prints a table, for `docs/performance.md`.

use std::time::Duration;

use fantoccini::Locator;

use crate::browser::Browser;
use crate::support::admin::Admin;
use crate::support::story::SHOP;
use crate::support::{Engine, Story};

const PAGES: [&str; 8] = [
    "/app",
    "/app/set-up",
    "/app/campaigns",
    "/app/campaigns/new",
    "/app/subscribers",
    "/app/settings",
    "/app/privacy",
    "/app/plan",
];
const LOADS: usize = 5;

/// What the document in the frame has measured so far: LCP and INP in ms, CLS in thousandths. The
/// browser keeps interactions of 104 ms and more for whoever asks later, so 0 is "less than that".
const MEASURED: &str = "
    const done = arguments[arguments.length - 1];
    let lcp = 0, cls = 0, inp = 0;
    const watch = (type, take, more) => new PerformanceObserver(list => list.getEntries().forEach(take))
        .observe({ type, buffered: true, ...more });
    watch('largest-contentful-paint', e => { lcp = Math.max(lcp, e.startTime); });
    watch('layout-shift', e => { if (!e.hadRecentInput) cls += e.value; });
    watch('event', e => { inp = Math.max(inp, e.duration); }, { durationThreshold: 16 });
    setTimeout(() => done([Math.round(lcp), Math.round(cls * 1000), Math.round(inp)]), 300);";

async fn measured(browser: &Browser) -> [i64; 3] {
    let value = browser.page.execute_async(MEASURED, vec![]).await.unwrap();
    let number = |i: usize| value[i].as_i64().unwrap_or_default();
    [number(0), number(1), number(2)]
}

/// The value that three quarters of the loads stay below.
fn p75(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values[(values.len() * 3).div_ceil(4) - 1]
}

async fn measures(width: u32) {
    let story = Story::start(Engine::Sqlite).await;
    story.audience(2_000).await;
    story.broadcasts("Winter Blend is back").await;
    let admin = Admin::open(story.sandbox.shopify.of(SHOP), &story.url).await;
    let admin = admin.expect("openssl makes the certificate");
    let browser = Browser::start(width, &admin.flags()).await;
    let browser = browser.expect("chromium and chromedriver are installed");
    let page = &browser.page;
    println!("\n{width} px, p75 of {LOADS} loads | LCP ms | CLS | INP ms");
    for path in PAGES {
        let mut found = [Vec::new(), Vec::new(), Vec::new()];
        for load in 0..LOADS {
            page.goto("https://admin.shopify.com/store/harbour/apps/pagecast")
                .await
                .unwrap();
            let frame = page.find(Locator::Id("app")).await.unwrap();
            frame.enter_frame().await.unwrap();
            browser.sees("Subscribers").await;
            let go = format!("location.assign('{path}' + location.search)");
            page.execute(&go, vec![]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let heading = page.wait().for_element(Locator::Css("main")).await.unwrap();
            heading.click().await.ok();
            tokio::time::sleep(Duration::from_millis(300)).await;
            for (all, one) in found.iter_mut().zip(measured(&browser).await) {
                all.push(one);
            }
            if let (0, Ok(folder)) = (load, std::env::var("PAGECAST_TEST_SCREENS")) {
                let picture = page.screenshot().await.unwrap();
                let name = path.trim_start_matches('/').replace('/', "-");
                std::fs::write(format!("{folder}/{name}-{width}.png"), picture).unwrap();
            }
            browser.fits().await;
            page.clone().enter_parent_frame().await.ok();
        }
        let [lcp, cls, inp] = found.map(p75);
        let inp = match inp {
            0 => "under 104".to_owned(),
            ms => ms.to_string(),
        };
        println!("{path} | {lcp} | 0.{cls:03} | {inp}");
    }
    browser.ends().await;
    story.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints times, which differ by machine; run it by name with --nocapture"]
async fn the_embedded_pages_are_measured() {
    measures(1280).await;
    measures(390).await;
}

//! The admin inside Shopify's: opened by the merchant, proven by session tokens alone, framed by
//! the shop's own admin only.

use pagecast::clock::{MINUTE, SECOND};
use pagecast::workspaces;
use reqwest::{Method, Response};

use crate::story;
use crate::support::Story;
use crate::support::story::FORMER_SECRET;

const PINE: &str = "hollow-pine.myshopify.com";
const OAK: &str = "old-oak.myshopify.com";
const RETRY: &str = "x-shopify-retry-invalid-session-request";

/// The merchant opens the app, or a page of it, from the shop's admin.
async fn opens(story: &Story, shop: &str, path: &str) -> Response {
    let query = story.sandbox.shopify.of(shop).embedded_query(42).unwrap();
    gets(story, &format!("{path}?{query}")).await
}

async fn gets(story: &Story, path: &str) -> Response {
    story
        .http
        .get(format!("{}{path}", story.url))
        .send()
        .await
        .unwrap()
}

/// What App Bridge makes of a boosted request.
async fn fetches(story: &Story, shop: &str, method: Method, path: &str, form: &str) -> Response {
    let token = story.sandbox.shopify.of(shop).session_token(42).unwrap();
    fetches_with(story, Some(token), method, path, form).await
}

async fn fetches_with(
    story: &Story,
    token: Option<String>,
    method: Method,
    path: &str,
    form: &str,
) -> Response {
    let mut request = story
        .http
        .request(method, format!("{}{path}", story.url))
        .header("X-Pagecast-Embedded", "1")
        .header("HX-Request", "true")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// Who may frame the answer.
fn frames(response: &Response) -> &str {
    let policy = header(response, "content-security-policy");
    policy
        .split_once("frame-ancestors ")
        .map_or("", |(_, who)| who)
}

fn given(story: &Story, shop: &str) -> String {
    story.sandbox.shopify.of(shop).tokens_given().join(" ")
}

async fn workspaces_named(story: &Story, name: &str) -> i64 {
    let (n,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM workspaces WHERE name = $1")
        .bind(name)
        .fetch_one(story.app.db.pool())
        .await
        .unwrap();
    n
}

story! {
    async fn a_shop_gets_its_workspace_at_its_first_open_and_nobody_is_asked_anything(story: &mut Story) {
        story.sandbox.shopify.installs(PINE);
        let root = opens(story, PINE, "/").await;
        assert_eq!(root.status(), 303);
        let target = header(&root, "location").to_owned();
        assert!(target.starts_with("/app?embedded=1&host="), "{target}");
        let page = gets(story, &target).await;
        assert_eq!(page.status(), 200);
        assert_eq!(frames(&page), format!("https://{PINE} https://admin.shopify.com;"));
        assert_eq!(header(&page, "cache-control"), "no-store");
        assert_eq!(header(&page, "referrer-policy"), "no-referrer");
        assert!(page.headers().get("set-cookie").is_none(), "no cookie is needed");
        assert!(page.headers().get("x-frame-options").is_none());
        let html = page.text().await.unwrap();
        let bridge = "<head>\n<meta name=\"shopify-api-key\" content=\"sandbox-shopify-key\">\n\
            <script src=\"https://cdn.shopify.com/shopifycloud/app-bridge.js\"></script>";
        assert!(html.contains(bridge), "first in the head: {html}");
        assert!(html.contains("data-embedded") && html.contains("<s-app-nav>"));
        assert!(html.contains("Hollow Pine") && !html.contains("Sign out"));
        assert!(!html.contains("id_token"), "the token is in no link");
        assert_eq!(given(story, PINE), "exchange");

        assert_eq!(opens(story, PINE, "/app/settings").await.status(), 200);
        assert_eq!(given(story, PINE), "exchange", "a token that works is kept");
        assert_eq!(workspaces_named(story, "Hollow Pine").await, 1);
    }
}

story! {
    async fn two_first_opens_at_once_make_one_workspace(story: &mut Story) {
        story.sandbox.shopify.installs(PINE);
        let (a, b) = tokio::join!(opens(story, PINE, "/app"), opens(story, PINE, "/app"));
        assert_eq!((a.status().as_u16(), b.status().as_u16()), (200, 200));
        assert_eq!(workspaces_named(story, "Hollow Pine").await, 1);
        let (shops,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM shops WHERE domain = $1")
            .bind(PINE)
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert_eq!(shops, 1);
    }
}

story! {
    async fn a_change_is_proven_by_the_bearer_and_its_toast_comes_without_a_cookie(story: &mut Story) {
        story.sandbox.shopify.installs(PINE);
        opens(story, PINE, "/app").await;
        let saved = fetches(story, PINE, Method::POST, "/app/settings/tokens", "name=Till").await;
        let status = saved.status().as_u16();
        assert!(status == 303 || status == 200, "{status}");
        let zone = "name=Pine&timezone=Europe%2FBerlin&cap_hours=24&attribution_window_days=7";
        let saved = fetches(story, PINE, Method::POST, "/app/settings", zone).await;
        assert_eq!(saved.status(), 303);
        assert!(saved.headers().get("set-cookie").is_none());
        let target = header(&saved, "location").to_owned();
        assert!(target.contains("toast=v1."), "{target}");
        let page = fetches(story, PINE, Method::GET, &target, "").await;
        let html = page.text().await.unwrap();
        assert!(html.contains("data-toast"), "the toast is shown");
        assert!(html.contains("Europe/Berlin"));

        story.clock.advance(2 * MINUTE);
        let again = fetches(story, PINE, Method::GET, &target, "").await;
        assert!(!again.text().await.unwrap().contains("data-toast"), "and only once");
    }
}

story! {
    async fn a_document_without_a_good_token_is_bounced_and_comes_back_with_one(story: &mut Story) {
        story.sandbox.shopify.installs(PINE);
        let query = story.sandbox.shopify.of(PINE).embedded_query(42).unwrap();
        story.clock.advance(2 * MINUTE);
        let stale = gets(story, &format!("/app/campaigns?{query}")).await;
        let without = gets(story, &format!("/app/campaigns?embedded=1&shop={PINE}&host=YWI")).await;
        for bounced in [stale, without] {
            assert_eq!(bounced.status(), 302);
            assert_eq!(header(&bounced, "cache-control"), "no-store");
            let target = header(&bounced, "location").to_owned();
            assert!(target.starts_with("/auth/shopify/session-token?embedded=1&"), "{target}");
            assert!(!target.contains("id_token"));
            let page = gets(story, &target).await;
            assert_eq!(page.status(), 200);
            assert_eq!(frames(&page), format!("https://{PINE} https://admin.shopify.com;"));
            let html = page.text().await.unwrap();
            assert!(html.contains("data-api-key=\"sandbox-shopify-key\""));
            let address = url::Url::parse(&format!("{}{target}", story.url)).unwrap();
            let (_, reload) = address.query_pairs().find(|(k, _)| k == "shopify-reload").unwrap();
            let token = story.sandbox.shopify.of(PINE).session_token(42).unwrap();
            let back = gets(story, &format!("{reload}&id_token={token}")).await;
            assert_eq!(back.status(), 200, "{reload}");
        }
        for evil in ["https://evil.example", "//evil.example", ""] {
            let page = gets(story, &format!(
                "/auth/shopify/session-token?shop={PINE}&shopify-reload={evil}")).await;
            assert_eq!(page.status(), 400, "{evil}");
        }
        let nobodys = "/auth/shopify/session-token?shop=evil.example&shopify-reload=/app";
        assert_eq!(frames(&gets(story, nobodys).await), "'none';");
    }
}

story! {
    async fn a_fetch_without_a_good_token_is_told_to_try_again_and_changes_nothing(story: &mut Story) {
        story.sandbox.shopify.installs(PINE);
        opens(story, PINE, "/app").await;
        let old = story.sandbox.shopify.of(PINE).session_token(42).unwrap();
        story.clock.advance(2 * MINUTE);
        for token in [None, Some(old), Some("a.b.c".to_owned())] {
            let read = fetches_with(story, token.clone(), Method::GET, "/app", "").await;
            assert_eq!((read.status().as_u16(), header(&read, RETRY)), (401, "1"));
            assert_eq!(header(&read, "hx-reswap"), "none", "no error page is swapped in");
            if token.is_some() {
                let form = "name=Changed";
                let write = fetches_with(story, token, Method::POST, "/app/settings", form).await;
                assert_eq!((write.status().as_u16(), header(&write, RETRY)), (401, "1"));
            }
        }
        assert_eq!(workspaces_named(story, "Hollow Pine").await, 1);
        let unproven = fetches_with(story, None, Method::POST, "/app/settings", "name=X").await;
        assert_eq!(unproven.status(), 403, "neither bearer nor our own page");
    }
}

story! {
    async fn two_shops_of_one_person_never_see_each_other(story: &mut Story) {
        for shop in [PINE, OAK] {
            story.sandbox.shopify.installs(shop);
            assert_eq!(opens(story, shop, "/app").await.status(), 200);
        }
        fetches(story, OAK, Method::POST, "/app/settings",
            "name=Oak+and+sons&timezone=UTC&cap_hours=24&attribution_window_days=7").await;
        let pine = fetches(story, PINE, Method::GET, "/app/settings", "").await.text().await.unwrap();
        assert!(pine.contains("Hollow Pine") && !pine.contains("Oak"));
        let oak = fetches(story, OAK, Method::GET, "/app/settings", "").await.text().await.unwrap();
        assert!(oak.contains("Oak and sons") && !oak.contains("Pine"));

        let crossed = fetches(story, PINE, Method::GET, &format!("/app?shop={OAK}"), "").await;
        assert_eq!(crossed.status(), 403, "the address names another shop than the token");
        let query = story.sandbox.shopify.of(PINE).embedded_query(42).unwrap();
        let crossed = gets(story, &format!("/app?{}", query.replace(PINE, OAK))).await;
        assert_eq!(crossed.status(), 403);
        assert!(frames(&crossed).contains(PINE), "framed by the shop of the token");
    }
}

story! {
    async fn a_removed_app_that_is_installed_again_gets_its_workspace_back(story: &mut Story) {
        let pine = story.sandbox.shopify.installs(PINE);
        opens(story, PINE, "/app").await;
        story.clock.advance(MINUTE);
        pine.uninstalls().unwrap();
        story.settles().await;
        let mut conn = story.app.db.acquire().await.unwrap();
        let gone = workspaces::shop_by_domain(&mut conn, PINE).await.unwrap().unwrap();
        drop(conn);
        assert!(workspaces::shop(&story.app, gone.workspace).await.unwrap().is_none());
        assert!(workspaces::shop_token(&story.app, gone.id).await.unwrap().is_none());
        let (kept,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM shops WHERE domain = $1 \
               AND (token_sealed IS NOT NULL OR refresh_token_sealed IS NOT NULL)")
            .bind(PINE)
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert_eq!(kept, 0, "tokens are forgotten");

        story.clock.advance(MINUTE);
        story.sandbox.shopify.installs(PINE);
        assert_eq!(opens(story, PINE, "/app").await.status(), 200);
        let back = workspaces::shop(&story.app, gone.workspace).await.unwrap().unwrap();
        assert_eq!(back.id, gone.id);
        assert!(workspaces::shop_token(&story.app, back.id).await.unwrap().is_some());
        assert_eq!(workspaces_named(story, "Hollow Pine").await, 1);
    }
}

story! {
    async fn a_late_notice_of_removal_does_not_end_the_newer_installation(story: &mut Story) {
        let pine = story.sandbox.shopify.installs(PINE);
        opens(story, PINE, "/app").await;
        story.clock.advance(2 * MINUTE);
        pine.uninstalls().unwrap();
        story.clock.advance(2 * MINUTE);
        // Installed again and opened before anybody here heard of the removal.
        story.sandbox.shopify.installs(PINE);
        assert_eq!(opens(story, PINE, "/app").await.status(), 200);
        story.settles().await;
        let mut conn = story.app.db.acquire().await.unwrap();
        let shop = workspaces::shop_by_domain(&mut conn, PINE).await.unwrap().unwrap();
        drop(conn);
        let shop = workspaces::shop(&story.app, shop.workspace).await.unwrap();
        let shop = shop.expect("the shop stays connected");
        let dead = workspaces::shop_token(&story.app, shop.id).await.unwrap();
        assert!(dead.is_none(), "what the removed installation was given is dropped");
        opens(story, PINE, "/app").await;
        let token = workspaces::shop_token(&story.app, shop.id).await.unwrap().unwrap();
        assert!(story.app.shopify.shop_info(&shop.domain, &token).await.is_ok());
    }
}

story! {
    async fn other_scopes_bring_another_token_once(story: &mut Story) {
        let pine = story.sandbox.shopify.installs(PINE);
        opens(story, PINE, "/app").await;
        story.clock.advance(MINUTE);
        pine.scopes_update(&["read_orders", "write_app_proxy"]).unwrap();
        story.settles().await;
        for _ in 0..2 {
            story.clock.advance(SECOND);
            fetches(story, PINE, Method::GET, "/app", "").await;
        }
        assert_eq!(given(story, PINE), "exchange exchange");
        let (scopes,): (String,) = sqlx::query_as("SELECT scopes FROM shops WHERE domain = $1")
            .bind(PINE)
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert_eq!(scopes, "read_orders,write_app_proxy");
    }
}

story! {
    async fn the_former_secret_opens_while_the_app_rotates(story: &mut Story) {
        story.sandbox.shopify.installs(PINE);
        story.sandbox.shopify.signs_with(FORMER_SECRET);
        assert_eq!(opens(story, PINE, "/app").await.status(), 200);
        story.sandbox.shopify.signs_with("nobody's secret");
        assert_eq!(opens(story, PINE, "/app").await.status(), 302, "bounced");
    }
}

story! {
    async fn a_first_open_that_shopify_does_not_answer_says_so_and_the_next_one_installs(story: &mut Story) {
        story.sandbox.shopify.installs(PINE);
        story.sandbox.shopify.is_down(true);
        let page = opens(story, PINE, "/app").await;
        assert_eq!(page.status(), 503);
        assert_eq!(frames(&page), format!("https://{PINE} https://admin.shopify.com;"));
        assert!(page.text().await.unwrap().contains("Shopify does not answer"));
        story.sandbox.shopify.is_down(false);
        assert_eq!(opens(story, PINE, "/app").await.status(), 200);
    }
}

story! {
    async fn outside_of_the_admin_the_way_leads_into_it_or_to_the_sign_in(story: &mut Story) {
        let host = "YWRtaW4uc2hvcGlmeS5jb20vc3RvcmUvaG9sbG93LXBpbmU";
        let led = gets(story, &format!("/app?shop={PINE}&host={host}")).await;
        assert_eq!(led.status(), 302);
        assert_eq!(
            header(&led, "location"),
            "https://admin.shopify.com/store/hollow-pine/apps/sandbox-shopify-key"
        );
        let evil = gets(story, &format!("/app?shop={PINE}&host=ZXZpbC5leGFtcGxlL2FkbWlu")).await;
        assert_eq!(evil.status(), 400);
        let guarded = story.http.get(format!("{}/app", story.url)).basic_auth("a", Some("b"));
        let guarded = guarded.send().await.unwrap();
        assert_eq!(header(&guarded, "location"), "/app/sign-in", "a proxy's own password is no claim");
        let alone = gets(story, "/app").await;
        assert_eq!((alone.status().as_u16(), header(&alone, "location")), (303, "/app/sign-in"));
        assert_eq!(frames(&gets(story, "/app/sign-in").await), "'none'; base-uri 'none'; form-action 'self'");
    }
}

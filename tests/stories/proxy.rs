//! The storefront asks through the app proxy.

use pagecast::clock::MINUTE;
use reqwest::Response;

use crate::story;
use crate::support::Story;
use crate::support::story::{FORMER_SECRET, PAGE, SHOP};

async fn asks(story: &Story, path: &str, own: &[(&str, &str)]) -> Response {
    let query = story.sandbox.shopify.of(SHOP).proxy_query(own).unwrap();
    gets(story, &format!("/proxy/{path}?{query}")).await
}

async fn gets(story: &Story, path: &str) -> Response {
    let address = format!("{}{path}", story.url);
    story.http.get(address).send().await.unwrap()
}

async fn json(response: Response) -> serde_json::Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

story! {
    async fn the_storefront_gets_one_opt_in_link_of_its_own_which_leads_to_the_page(story: &mut Story) {
        let (a, b) = tokio::join!(asks(story, "opt-in", &[]), asks(story, "config", &[]));
        assert_eq!((a.status().as_u16(), b.status().as_u16()), (200, 200));
        assert_eq!(a.headers()["cache-control"], "public, max-age=300");
        assert_eq!(a.headers()["content-type"], "application/json");
        assert!(a.headers().get("set-cookie").is_none());
        let (link, config) = (json(a).await, json(b).await);
        assert_eq!(config["opt_in"], link, "asked twice at once, made once");
        assert_eq!(config["version"], 1);
        let url = link["url"].as_str().unwrap().to_owned();
        assert!(url.starts_with(&format!("https://m.me/{PAGE}?ref=")));
        assert!(link["consent_text"].as_str().unwrap().contains("STOP"));
        assert_eq!(link["source"], "storefront");

        let ana = story.sandbox.meta.person("Ana Silva");
        story.sandbox.meta.follows(&ana, &url).unwrap();
        story.settles().await;
        story.sandbox.meta.taps_card(&ana).unwrap();
        story.settles().await;
        let subscriber = story.get(&format!("/subscribers/{}", story.id_of(&ana).await)).await;
        assert_eq!(subscriber.body["source"], "storefront", "{subscriber:?}");

        let other = json(asks(story, "opt-in", &[("source", "checkout")]).await).await;
        assert_ne!(other["url"], link["url"]);
        assert_eq!(json(asks(story, "opt-in", &[("source", "storefront")]).await).await, link);
        let (links,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM opt_in_links WHERE workspace_id = $1 AND standing IS NOT NULL")
            .bind(story.workspace)
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert_eq!(links, 2);
    }
}

story! {
    async fn what_the_shop_did_not_sign_is_refused_before_it_is_read(story: &mut Story) {
        let shopify = story.sandbox.shopify.of(SHOP);
        let signed = shopify.proxy_query(&[]).unwrap();
        let altered = signed.replace("logged_in_customer_id=", "logged_in_customer_id=7");
        let unsigned = format!("shop={SHOP}&timestamp=1");
        for query in [altered.as_str(), unsigned.as_str(), ""] {
            for path in ["opt-in", "config", "elsewhere"] {
                let refused = gets(story, &format!("/proxy/{path}?{query}")).await;
                assert_eq!(refused.status(), 401, "{path} {query}");
                assert_eq!(refused.headers()["cache-control"], "no-store");
            }
        }
        story.clock.advance(2 * MINUTE);
        assert_eq!(gets(story, &format!("/proxy/config?{signed}")).await.status(), 401, "too old");
        shopify.signs_with(FORMER_SECRET);
        assert_eq!(asks(story, "config", &[]).await.status(), 200, "either secret of a rotation");
    }
}

story! {
    async fn a_wrong_question_is_answered_in_our_own_words(story: &mut Story) {
        let wrong = asks(story, "opt-in", &[("source", "<script>")]).await;
        assert_eq!(wrong.status(), 400);
        assert!(!wrong.text().await.unwrap().contains("script"));
        assert_eq!(asks(story, "elsewhere", &[]).await.status(), 404);

        let strange = story.sandbox.shopify.installs("new-here.myshopify.com");
        let query = strange.proxy_query(&[]).unwrap();
        let unknown = gets(story, &format!("/proxy/config?{query}")).await;
        assert_eq!(unknown.status(), 404, "installed there, but never opened here");
        let opened = gets(story, &format!("/app?{}", strange.embedded_query(1).unwrap())).await;
        assert_eq!(opened.status(), 200);
        let config = json(gets(story, &format!("/proxy/config?{query}")).await).await;
        assert_eq!(config["opt_in"], serde_json::Value::Null, "no Page yet");
        let none = gets(story, &format!("/proxy/opt-in?{query}")).await;
        assert_eq!(none.status(), 404);
    }
}

story! {
    async fn the_storefront_asks_in_the_shoppers_language(story: &mut Story) {
        let english = json(asks(story, "config", &[]).await).await;
        let german = json(asks(story, "config", &[("locale", "de-AT")]).await).await;
        let text = german["opt_in"]["consent_text"].as_str().unwrap();
        assert!(text.starts_with("Ja, schickt mir") && text.contains("STOP"), "{text}");
        assert_ne!(german["opt_in"]["url"], english["opt_in"]["url"], "the ledger knows which text");
        let other = json(asks(story, "config", &[("locale", "pt-BR")]).await).await;
        assert_eq!(other, english);
        assert_eq!(json(asks(story, "config", &[("locale", "de")]).await).await, german);
    }
}

story! {
    async fn who_is_signed_in_hears_whether_they_are_subscribed_and_nobody_else(story: &mut Story) {
        let (_, customer) = story.customer("Ana Silva").await;
        let id = customer.id.to_string();
        let signed_in = asks(story, "me", &[("logged_in_customer_id", &id)]).await;
        assert_eq!(signed_in.headers()["cache-control"], "no-store");
        assert_eq!(json(signed_in).await["subscribed"], true);
        for stranger in ["", "1", "x"] {
            let answer = asks(story, "me", &[("logged_in_customer_id", stranger)]).await;
            assert_eq!(json(answer).await["subscribed"], false, "{stranger}");
        }
        assert_eq!(gets(story, &format!("/proxy/me?logged_in_customer_id={id}")).await.status(), 401);
    }
}

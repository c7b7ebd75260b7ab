//! The tokens that Shopify hands out: exchanged once, renewed by one at a time, never lost, and
//! dead only when Shopify says so.

use pagecast::clock::{MINUTE, SECOND};
use pagecast::shopify::{Error, ShopDomain};
use pagecast::store::ids::WorkspaceId;
use pagecast::workspaces::{self, Opening};
use secrecy::{ExposeSecret, SecretString};

use crate::story;
use crate::support::Story;

const PINE: &str = "hollow-pine.myshopify.com";

/// The merchant opens the app in the shop's admin.
async fn opens(story: &Story) -> WorkspaceId {
    let pine = story.sandbox.shopify.of(PINE);
    let token = SecretString::from(pine.session_token(42).unwrap());
    let opening = Opening {
        shop: &ShopDomain::parse(PINE).unwrap(),
        issued_at: story.now(),
        session_token: &token,
    };
    workspaces::open_shop(&story.app, opening).await.unwrap()
}

async fn installed(story: &Story) -> workspaces::Shop {
    story.sandbox.shopify.installs(PINE);
    let ws = opens(story).await;
    workspaces::shop(&story.app, ws).await.unwrap().unwrap()
}

async fn asks(story: &Story, shop: &workspaces::Shop) -> Result<String, Error> {
    let asked = workspaces::ask_shop(&story.app, shop, |token| async move {
        story.app.shopify.shop_info(&shop.domain, &token).await
    });
    asked.await.unwrap().map(|info| info.name)
}

fn given(story: &Story) -> String {
    story.sandbox.shopify.of(PINE).tokens_given().join(" ")
}

story! {
    async fn an_expired_token_is_refreshed_once_under_many_requests_at_once(story: &mut Story) {
        let shop = installed(story).await;
        assert_eq!(given(story), "exchange");
        story.clock.advance(58 * MINUTE);
        let (a, b, c) = tokio::join!(
            workspaces::shop_token(&story.app, shop.id),
            workspaces::shop_token(&story.app, shop.id),
            workspaces::shop_token(&story.app, shop.id),
        );
        for token in [&a, &b, &c] {
            assert!(token.as_ref().unwrap().is_some(), "it still has two minutes");
        }
        assert_eq!(given(story), "exchange refresh");

        story.clock.advance(70 * MINUTE);
        let (a, b) = tokio::join!(
            workspaces::shop_token(&story.app, shop.id),
            workspaces::shop_token(&story.app, shop.id),
        );
        let (a, b) = (a.unwrap().unwrap(), b.unwrap().unwrap());
        assert_eq!(a.expose_secret(), b.expose_secret(), "both speak with the new one");
        assert_eq!(given(story), "exchange refresh refresh");
        assert_eq!(asks(story, &shop).await.unwrap(), "Hollow Pine");
    }
}

story! {
    async fn a_token_that_shopify_refuses_is_refreshed_and_the_question_asked_again(story: &mut Story) {
        let shop = installed(story).await;
        story.sandbox.shopify.of(PINE).ends_access_tokens().unwrap();
        assert_eq!(asks(story, &shop).await.unwrap(), "Hollow Pine");
        assert_eq!(given(story), "exchange refresh");
    }
}

story! {
    async fn when_the_refresh_token_is_dead_the_merchant_opens_the_app_and_all_is_well(story: &mut Story) {
        let shop = installed(story).await;
        story.sandbox.shopify.of(PINE).revokes_tokens().unwrap();
        assert!(matches!(asks(story, &shop).await, Err(Error::Reconnect(_))));
        let waiting = workspaces::shop(&story.app, shop.workspace).await.unwrap().unwrap();
        assert!(waiting.needs_reauth);
        assert!(matches!(asks(story, &shop).await, Err(Error::Reconnect(_))));
        assert_eq!(given(story), "exchange", "nobody hammers a dead token");

        story.clock.advance(SECOND);
        assert_eq!(opens(story).await, shop.workspace);
        assert_eq!(asks(story, &shop).await.unwrap(), "Hollow Pine");
        let well = workspaces::shop(&story.app, shop.workspace).await.unwrap().unwrap();
        assert!(!well.needs_reauth);
    }
}

story! {
    async fn trouble_at_shopify_costs_no_token(story: &mut Story) {
        let shop = installed(story).await;
        story.clock.advance(120 * MINUTE);
        story.sandbox.shopify.is_down(true);
        assert!(workspaces::shop_token(&story.app, shop.id).await.is_err());
        story.sandbox.shopify.is_down(false);
        story.clock.advance(SECOND);
        assert_eq!(asks(story, &shop).await.unwrap(), "Hollow Pine");
        assert_eq!(given(story), "exchange refresh");
    }
}

story! {
    async fn an_idle_shop_is_renewed_every_week_so_that_it_never_has_to_be_opened_again(story: &mut Story) {
        let shop = installed(story).await;
        story.hours_pass(24 * 8).await;
        // Its plan is read once a day, which renews it, too; nothing else does.
        let given = given(story);
        let words: Vec<&str> = given.split(' ').collect();
        assert_eq!(words[0], "exchange");
        assert!(words[1..].iter().all(|word| *word == "refresh"), "{given}");
        assert!((1..=8).contains(&words[1..].len()), "{given}");
        for _ in 0..13 {
            story.clock.advance(8 * 24 * 60 * MINUTE);
            story.settles().await;
        }
        assert_eq!(asks(story, &shop).await.unwrap(), "Hollow Pine", "after 112 days");
    }
}

story! {
    async fn tokens_are_sealed_where_they_lie(story: &mut Story) {
        let shop = installed(story).await;
        let token = workspaces::shop_token(&story.app, shop.id).await.unwrap().unwrap();
        let (access, refresh): (String, String) = sqlx::query_as(
            "SELECT token_sealed, refresh_token_sealed FROM shops WHERE id = $1",
        )
        .bind(shop.id)
        .fetch_one(story.app.db.pool())
        .await
        .unwrap();
        for kept in [&access, &refresh] {
            assert!(kept.starts_with("v1.") && !kept.contains("shp"));
        }
        assert!(token.expose_secret().starts_with("shpat_"));
    }
}

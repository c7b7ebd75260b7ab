//! Workspaces, what they connect, and who may look.

use std::collections::BTreeSet;

use pagecast::clock::{HOUR, MINUTE};
use pagecast::klaviyo::Auth;
use pagecast::shopify::ShopDomain;
use pagecast::workspaces::{self, ConnectPage, KlaviyoSecret};
use secrecy::{ExposeSecret, SecretString};

use crate::story;
use crate::support::story::{AD_ACCOUNT, PAGE, SHOP};

fn page(token: &str) -> ConnectPage {
    ConnectPage {
        meta_id: PAGE.to_owned(),
        token: SecretString::from(token),
        ad_account: None,
        ad_token: None,
    }
}

story! {
    async fn a_page_in_trouble_works_again_once_it_is_connected_again(story: &mut Story) {
        let app = &story.app;
        let before = workspaces::pages(app, story.workspace).await.unwrap().remove(0);
        workspaces::page_needs_reconnect(app, before.id, "Somebody changed the password.")
            .await
            .unwrap();
        story.sandbox.meta.revokes_page_token(PAGE, "new-token");

        let refused = workspaces::connect_page(app, story.workspace, page("page-token"))
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains("Make a new Page token"), "{refused}");

        workspaces::connect_page(app, story.workspace, page("new-token")).await.unwrap();
        let after = workspaces::page(app, before.id).await.unwrap().unwrap();
        assert_eq!((after.state.as_str(), after.attention), ("active", None));
        assert_eq!(after.token.unwrap().expose_secret(), "new-token");
        assert_eq!(after.ad_account.as_deref(), Some(AD_ACCOUNT));
        assert!(!story.sandbox.meta.subscribed_fields(PAGE).is_empty());
    }
}

story! {
    async fn a_page_is_connected_while_meta_is_down_and_set_up_when_it_is_back(story: &mut Story) {
        let app = &story.app;
        let bakery = workspaces::create(app, "Bakery").await.unwrap();
        let meta = &story.sandbox.meta;
        meta.page("555", "Bakery on the Corner", "bakery-token", "act_5", "bakery-login");
        meta.is_down(true);
        let given = ConnectPage { meta_id: "555".to_owned(), ..page("bakery-token") };
        let id = workspaces::connect_page(app, bakery, given).await.unwrap();
        let first = workspaces::page(app, id).await.unwrap().unwrap();
        assert_eq!((first.name.as_str(), first.state.as_str()), ("Bakery", "active"));
        meta.is_down(false);
        assert!(meta.subscribed_fields("555").is_empty());

        story.minutes_pass(11).await;
        let page = workspaces::page(app, id).await.unwrap().unwrap();
        assert_eq!(page.name, "Bakery on the Corner");
        assert!(!story.sandbox.meta.subscribed_fields("555").is_empty());
    }
}

story! {
    async fn a_shop_is_connected_though_it_cannot_be_read_and_read_later(story: &mut Story) {
        let app = &story.app;
        let bakery = workspaces::create(app, "Bakery").await.unwrap();
        story.sandbox.shopify.shop("bakery.myshopify.com", "shpat_bakery");
        let connect = |token: &str| {
            let shop = ShopDomain::parse("bakery.myshopify.com").unwrap();
            workspaces::connect_shop(app, bakery, shop, SecretString::from(token.to_owned()))
        };
        let refused = connect("shpat_wrong").await.unwrap_err().to_string();
        assert!(refused.contains("Make a new Admin API access token"), "{refused}");

        story.sandbox.shopify.is_down(true);
        connect("shpat_bakery").await.unwrap();
        let first = workspaces::shop(app, bakery).await.unwrap().unwrap();
        assert_eq!(first.currency, None);
        story.sandbox.shopify.is_down(false);
        story.minutes_pass(11).await;
        let shop = workspaces::shop(app, bakery).await.unwrap().unwrap();
        assert!(shop.name.is_some() && shop.currency.is_some());
    }
}

story! {
    async fn klaviyo_is_connected_though_it_does_not_answer(story: &mut Story) {
        let app = &story.app;
        let bakery = workspaces::create(app, "Bakery").await.unwrap();
        let key = |key: &str| KlaviyoSecret::PrivateKey(SecretString::from(key.to_owned()));
        let refused = workspaces::connect_klaviyo(app, bakery, key("pk_wrong")).await;
        assert!(refused.unwrap_err().to_string().contains("Make a new one"));

        story.sandbox.klaviyo.account("pk_bakery", "refresh-bakery");
        story.sandbox.klaviyo.refuses_next(404, 2);
        workspaces::connect_klaviyo(app, bakery, key("pk_bakery")).await.unwrap();
        let state = workspaces::klaviyo_state(app, bakery).await.unwrap().unwrap();
        assert_eq!(state.0, "active");
        assert!(workspaces::klaviyo_auth(app, bakery).await.unwrap().is_some());
    }
}

story! {
    async fn a_shop_and_a_page_belong_to_one_workspace(story: &mut Story) {
        let app = &story.app;
        let other = workspaces::create(app, "Another").await.unwrap();
        let refused = workspaces::connect_page(app, other, page("page-token")).await.unwrap_err();
        assert!(refused.to_string().contains("another workspace"), "{refused}");
        let shop = ShopDomain::parse(SHOP).unwrap();
        let refused = workspaces::connect_shop(app, other, shop, SecretString::from("shpat_story"))
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("another workspace"), "{refused}");
        assert!(workspaces::pages(app, other).await.unwrap().is_empty());
        assert!(workspaces::shop(app, other).await.unwrap().is_none());
    }
}

story! {
    async fn a_late_uninstall_does_not_remove_a_newer_installation(story: &mut Story) {
        let app = &story.app;
        let shop = workspaces::shop(app, story.workspace).await.unwrap().unwrap();
        let mut tx = app.db.begin().await.unwrap();
        let late = workspaces::shop_uninstalled(&mut tx, shop.id, shop.installed_at - MINUTE);
        assert!(!late.await.unwrap());
        tx.commit().await.unwrap();
        assert!(workspaces::shop_token(app, shop.id).await.unwrap().is_some());

        let mut tx = app.db.begin().await.unwrap();
        let now = workspaces::shop_uninstalled(&mut tx, shop.id, shop.installed_at + MINUTE);
        assert!(now.await.unwrap());
        tx.commit().await.unwrap();
        assert!(workspaces::shop_token(app, shop.id).await.unwrap().is_none());
        let gone = workspaces::shop_by_domain(&mut app.db.acquire().await.unwrap(), SHOP)
            .await
            .unwrap();
        assert_eq!(gone.map(|shop| shop.workspace), Some(story.workspace));
    }
}

story! {
    async fn a_klaviyo_token_is_renewed_once_however_many_ask(story: &mut Story) {
        let app = &story.app;
        story.sandbox.klaviyo.rate_limits(false);
        let refresh = KlaviyoSecret::RefreshToken(SecretString::from("refresh-story"));
        workspaces::connect_klaviyo(app, story.workspace, refresh).await.unwrap();
        story.clock.advance(2 * HOUR);
        let asked = (0..8).map(|_| workspaces::klaviyo_auth(app, story.workspace));
        let answers: BTreeSet<String> = futures::future::join_all(asked)
            .await
            .into_iter()
            .map(|auth| match auth.unwrap().unwrap() {
                Auth::Bearer(token) => token.expose_secret().to_owned(),
                Auth::PrivateKey(_) => panic!("not what was connected"),
            })
            .collect();
        assert_eq!(answers.len(), 1);

        story.sandbox.klaviyo.uninstalls().unwrap();
        story.clock.advance(2 * HOUR);
        assert!(workspaces::klaviyo_auth(app, story.workspace).await.unwrap().is_none());
        let (state, attention) = workspaces::klaviyo_state(app, story.workspace)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(state, "needs_reconnect");
        assert!(attention.is_some());
    }
}

story! {
    async fn a_sign_in_link_opens_once_and_a_revoked_token_never(story: &mut Story) {
        let app = &story.app;
        let token_of = |link: workspaces::LoginLink| {
            let (_, token) = link.url.split_once("/app/sign-in?token=").unwrap();
            SecretString::from(token.to_owned())
        };
        let link = token_of(workspaces::login_link(app, story.workspace).await.unwrap());
        let session = workspaces::open_login(app, &link).await.unwrap().unwrap();
        assert!(workspaces::open_login(app, &link).await.unwrap().is_none());
        assert_eq!(workspaces::session(app, &session).await.unwrap(), Some(story.workspace));
        workspaces::sign_out(app, &session).await.unwrap();
        assert_eq!(workspaces::session(app, &session).await.unwrap(), None);

        let late = token_of(workspaces::login_link(app, story.workspace).await.unwrap());
        story.clock.advance(16 * MINUTE);
        assert!(workspaces::open_login(app, &late).await.unwrap().is_none());

        let token = workspaces::create_token(app, story.workspace, "till").await.unwrap();
        assert_eq!(workspaces::authenticate(app, &token).await.unwrap(), Some(story.workspace));
        let listed = workspaces::tokens(app, story.workspace).await.unwrap().pop().unwrap();
        assert!(workspaces::revoke_token(app, story.workspace, listed.id).await.unwrap());
        assert_eq!(workspaces::authenticate(app, &token).await.unwrap(), None);
    }
}

story! {
    async fn settings_saved_at_the_same_time_do_not_undo_each_other(story: &mut Story) {
        let app = &story.app;
        let seen = workspaces::find(app, story.workspace).await.unwrap().unwrap();
        let mut mine = seen.clone();
        mine.quiet_hours = Some(("22:00".to_owned(), "08:00".to_owned()));
        mine.cap_hours = 48;
        workspaces::save(app, &seen, &mine).await.unwrap();
        let mut theirs = seen.clone();
        theirs.timezone = "Asia/Manila".to_owned();
        let now = workspaces::save(app, &seen, &theirs).await.unwrap();
        assert_eq!(now.quiet_hours, mine.quiet_hours);
        assert_eq!((now.cap_hours, now.timezone.as_str()), (48, "Asia/Manila"));
        let mut cleared = now.clone();
        cleared.quiet_hours = None;
        workspaces::save(app, &now, &cleared).await.unwrap();
        let now = workspaces::find(app, story.workspace).await.unwrap().unwrap();
        assert_eq!((now.quiet_hours, now.cap_hours, now.name), (None, 48, seen.name));
    }
}

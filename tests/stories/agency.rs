//! People who work for several clients: what they see follows from Meta, and ends with it; and
//! invitations that connect a Page once.

use pagecast::workspaces;

use crate::facebook::{Browser, location};
use crate::story;
use crate::support::Story;
use crate::support::story::PAGE;

const BAKERY: &str = "555000111222";

/// A second client beside the story's own, with its Page connected by an operator.
async fn bakery(story: &Story) -> pagecast::store::ids::WorkspaceId {
    let meta = &story.sandbox.meta;
    meta.page(
        BAKERY,
        "Bakery on the Corner",
        "bakery-token",
        "act_5",
        "bakery-login",
    );
    let workspace = workspaces::create(&story.app, "Bakery").await.unwrap();
    let page = workspaces::ConnectPage {
        meta_id: BAKERY.to_owned(),
        token: "bakery-token".to_owned().into(),
        ad_account: None,
        ad_token: None,
    };
    workspaces::connect_page(&story.app, workspace, page)
        .await
        .unwrap();
    workspace
}

/// Somebody signs in with Facebook, from the sign-in page to their clients.
async fn signs_in(story: &Story) -> (Browser<'_>, String) {
    let mut browser = Browser::stranger(story);
    let html = browser.opens("/app/sign-in").await.text().await.unwrap();
    assert!(html.contains("href=\"/auth/meta/sign-in\""), "{html}");
    let away = browser.opens("/auth/meta/sign-in").await;
    assert_eq!(away.status(), 303);
    let clients = browser.through_facebook(&location(&away)).await;
    assert_eq!(clients.status(), 200);
    assert_eq!(clients.headers()["cache-control"], "no-store");
    let html = clients.text().await.unwrap();
    (browser, html)
}

story! {
    async fn all_clients_are_there_after_signing_in_problems_first(story: &mut Story) {
        let bakery = bakery(story).await;
        let other = workspaces::create(&story.app, "Nobody's client").await.unwrap();
        let user = story.sandbox.meta.manager("Ines Okafor", &[PAGE, BAKERY]);
        story.sandbox.meta.is_shared_with(BAKERY, &user, ("90001", "Brightwater Retention"));
        let page = workspaces::pages(&story.app, bakery).await.unwrap().remove(0);
        workspaces::page_needs_reconnect(&story.app, page.id, "Somebody changed the password.")
            .await
            .unwrap();
        let (mut browser, html) = signs_in(story).await;
        let (first, second) = (html.find("Bakery").unwrap(), html.find("Harbour Coffee").unwrap());
        assert!(first < second, "the one in trouble comes first");
        for part in [
            "2 clients",
            "Somebody changed the password.",
            "as partner through Brightwater Retention",
            "by your own role on the Page",
            "Ines Okafor",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(!html.contains("Nobody&#39;s client") && !html.contains("Nobody's client"));

        let undecided = browser.opens("/app").await;
        assert_eq!((undecided.status().as_u16(), location(&undecided)), (303, "/app/agency".to_owned()));
        let id = bakery.to_string();
        let opened = browser.sends("/app/agency/open", &[("workspace", &id)]).await;
        assert_eq!(location(&opened), "/app");
        let html = browser.opens("/app").await.text().await.unwrap();
        assert!(html.contains("Bakery") && html.contains("href=\"/app/agency\""), "{html}");
        let foreign = other.to_string();
        let refused = browser.sends("/app/agency/open", &[("workspace", &foreign)]).await;
        assert_eq!(refused.status(), 404);
    }
}

story! {
    async fn access_that_goes_at_meta_is_gone_here_within_the_hour(story: &mut Story) {
        bakery(story).await;
        let user = story.sandbox.meta.manager("Ines Okafor", &[PAGE, BAKERY]);
        let (mut browser, _) = signs_in(story).await;
        let id = story.workspace.to_string();
        browser.sends("/app/agency/open", &[("workspace", &id)]).await;
        assert_eq!(browser.opens("/app/campaigns").await.status(), 200);

        story.sandbox.meta.gives_tasks(&user, PAGE, &[]);
        story.minutes_pass(61).await;
        let gone = browser.opens("/app/campaigns").await;
        assert_eq!((gone.status().as_u16(), location(&gone)), (303, "/app/agency".to_owned()));
        let html = browser.opens("/app/agency").await.text().await.unwrap();
        assert!(html.contains("One client") && !html.contains("Harbour Coffee"), "{html}");

        story.sandbox.meta.removes_app(&user);
        story.minutes_pass(61).await;
        let out = browser.opens("/app/agency").await;
        assert_eq!(location(&out), "/app/sign-in", "signed out everywhere");
    }
}

story! {
    async fn an_analyst_looks_and_changes_nothing(story: &mut Story) {
        let user = story.sandbox.meta.manager("Theo Lindqvist", &[PAGE]);
        story.sandbox.meta.gives_tasks(&user, PAGE, &["ANALYZE"]);
        let (mut browser, html) = signs_in(story).await;
        assert!(html.contains("You may look"), "{html}");
        let id = story.workspace.to_string();
        browser.sends("/app/agency/open", &[("workspace", &id)]).await;
        assert_eq!(browser.opens("/app/campaigns").await.status(), 200);
        let made = browser.sends("/app/campaigns/new", &[("name", "x")]).await;
        assert_eq!(made.status(), 409);
        let keys = browser.opens("/app/connections").await;
        assert_eq!(keys.status(), 409);
        let words = keys.text().await.unwrap();
        assert!(words.contains("Your role does not cover this"), "{words}");
        assert_eq!(browser.sends("/app/sign-out", &[]).await.status(), 303);
        assert_eq!(location(&browser.opens("/app").await), "/app/sign-in");
    }
}

story! {
    async fn an_invited_client_connects_the_page_once_and_sees_nothing_else(story: &mut Story) {
        let meta = &story.sandbox.meta;
        meta.page(BAKERY, "Bakery on the Corner", "bakery-token", "act_5", "bakery-login");
        meta.manager("A client", &[BAKERY]);
        let workspace = workspaces::create(&story.app, "Bakery").await.unwrap();
        let mut agency = Browser::of(story, workspace).await;
        let html = agency.sends("/app/connections/invite", &[]).await.text().await.unwrap();
        let (_, rest) = html.split_once("/auth/meta/invited?code=").unwrap();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).unwrap();
        let link = format!("/auth/meta/invited?code={}", &rest[..end]);

        let mut client = Browser::stranger(story);
        let asks = client.opens(&link).await.text().await.unwrap();
        assert!(asks.contains("Connect your Facebook Page to Bakery"), "{asks}");
        let (_, rest) = asks.split_once("class=\"btn primary\" href=\"").unwrap();
        let dialog = rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
        client.through_facebook(&dialog).await;
        let form = [("page", BAKERY), ("ad_account", "act_5")];
        let done = client.sends("/auth/meta/pages", &form).await.text().await.unwrap();
        assert!(done.contains("You can close this window"), "{done}");
        assert_eq!(workspaces::pages(&story.app, workspace).await.unwrap().len(), 1);
        assert_eq!(location(&client.opens("/app").await), "/app/sign-in", "no session came of it");
        assert_eq!(client.opens(&link).await.status(), 404, "it works once");

        let second = workspaces::invite(&story.app, workspace).await.unwrap();
        story.clock.advance(8 * pagecast::clock::DAY);
        assert_eq!(client.opens(&second).await.status(), 404, "it ends after a week");
    }
}

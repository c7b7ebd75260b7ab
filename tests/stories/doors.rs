//! What comes in at the doors and is not what it seems: another thing signed with the same secret,
//! one delivery about several owners, old news told late.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pagecast::store::page::Cursor;
use pagecast::subscribers::{self, Filter};
use pagecast::webhooks::{self, Kept};
use pagecast::workspaces::{self, ConnectPage};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::inbox::{meta_says, shopify_says};
use crate::story;
use crate::support::Story;
use crate::support::story::{PAGE, SHOP};

const LATER: &str = "2026-12-01T00:00:00Z";

async fn is_installed(story: &Story) -> bool {
    let shop = workspaces::shop(&story.app, story.workspace).await.unwrap();
    shop.is_some()
}

async fn failed(story: &Story) -> Vec<Kept> {
    webhooks::list(&story.app, None, true, Cursor::default())
        .await
        .unwrap()
        .rows
}

story! {
    async fn a_session_token_is_signed_with_the_same_secret_and_is_no_webhook(story: &mut Story) {
        let token = story.sandbox.shopify.session_token(42).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let signature = STANDARD.encode(URL_SAFE_NO_PAD.decode(signature).unwrap());
        for (i, topic) in ["app/uninstalled", "shop/redact", "app/scopes_update", "themes/publish"]
            .into_iter()
            .enumerate()
        {
            let post = story.http.post(format!("{}/webhooks/shopify", story.url))
                .header("X-Shopify-Hmac-Sha256", &signature)
                .header("X-Shopify-Shop-Domain", SHOP)
                .header("X-Shopify-API-Version", "2026-10")
                .header("X-Shopify-Triggered-At", LATER)
                .header("X-Shopify-Webhook-Id", format!("forged-{i}"))
                .header("X-Shopify-Topic", topic);
            assert_eq!(post.body(message.to_owned()).send().await.unwrap().status(), 200);
        }
        story.settles().await;
        assert!(is_installed(story).await);
        let failed = failed(story).await;
        assert_eq!(failed.len(), 4, "each is kept with its error");
        assert!(failed.iter().all(|row| row.error.as_deref().unwrap().contains("JSON object")));
    }
}

story! {
    async fn only_a_body_that_names_the_shop_removes_the_app(story: &mut Story) {
        let other = json!({"id": 1, "myshopify_domain": "other.myshopify.com"});
        for (i, body) in [json!({"id": 1, "total_price": "1.00"}), json!([]), json!(null),
                          json!({"myshopify_domain": 7}), other,
                          json!({"shop_domain": SHOP, "myshopify_domain": "other.myshopify.com"})]
            .into_iter()
            .enumerate()
        {
            let body = body.to_string().into_bytes();
            let id = format!("u{i}");
            assert_eq!(shopify_says(story, "app/uninstalled", &id, LATER, body).await, 200);
            story.settles().await;
            assert!(is_installed(story).await, "{id}");
            assert_eq!(failed(story).await.len(), i + 1);
        }
        let own = json!({"id": 1, "myshopify_domain": SHOP.to_uppercase()}).to_string();
        shopify_says(story, "app/uninstalled", "own", LATER, own.into_bytes()).await;
        story.settles().await;
        assert!(!is_installed(story).await);
    }
}

async fn own(story: &Story, ws: pagecast::store::ids::WorkspaceId) -> Vec<Kept> {
    let list = webhooks::list(&story.app, Some(ws), false, Cursor::default());
    list.await.unwrap().rows
}

fn said(psid: &str, at: i64, mid: &str) -> Value {
    json!({"sender": {"id": psid}, "timestamp": at, "message": {"mid": mid, "text": "Hello"}})
}

story! {
    async fn a_delivery_about_several_pages_is_each_owners_own_part(story: &mut Story) {
        let bakery = workspaces::create(&story.app, "Bakery").await.unwrap();
        story.sandbox.meta.page("555", "Bakery", "bakery-token", "act_5", "bakery-login");
        let page = ConnectPage {
            meta_id: "555".to_owned(),
            token: SecretString::from("bakery-token"),
            ad_account: None,
            ad_token: None,
        };
        workspaces::connect_page(&story.app, bakery, page).await.unwrap();
        let before = own(story, story.workspace).await.len();
        let (ana, ben) = (story.sandbox.meta.person("Ana"), story.sandbox.meta.person("Ben"));
        let at = story.now();
        let whole = json!({"object": "page", "entry": [
            {"id": PAGE, "time": at, "messaging": [said(&ana.psid, at, "m1")]},
            {"id": "555", "time": at, "messaging": [said(&ben.psid, at, "m2")]},
            {"id": "999", "time": at, "messaging": [said("1", at, "m3")]}]});
        for _ in 0..2 {
            assert_eq!(meta_says(story, whole.to_string().into_bytes()).await, 200);
            story.settles().await;
        }
        let (mine, theirs) = (own(story, story.workspace).await, own(story, bakery).await);
        assert_eq!((mine.len() - before, theirs.len()), (1, 1));
        assert_eq!((mine[0].account.as_str(), theirs[0].account.as_str()), (PAGE, "555"));
        let shown = webhooks::find(&story.app, Some(bakery), theirs[0].id).await.unwrap().unwrap();
        let shown: Value = serde_json::from_str(&shown.payload.unwrap()).unwrap();
        assert_eq!(shown["entry"], json!([whole["entry"][1]]), "nobody sees another's events");
        for (ws, person) in [(story.workspace, &ana), (bakery, &ben)] {
            let everybody = Filter::default();
            let list = subscribers::list(&story.app, ws, &everybody, Cursor::default());
            assert_eq!(list.await.unwrap().rows.len(), 1, "{}", person.psid);
        }
    }
}

story! {
    async fn an_old_block_told_late_does_not_undo_that_it_was_lifted(story: &mut Story) {
        let start = story.now();
        story.clock.advance(10 * 60_000);
        let event = |action: &str, at: i64, copy: i64| json!({"object": "page", "copy": copy,
            "entry": [{"id": PAGE, "time": at, "messaging": [{"recipient": {"id": PAGE},
            "timestamp": at, "policy-enforcement": {"action": action, "reason": "r"}}]}]});
        let mut states = Vec::new();
        for (action, at, copy) in [("block", 1, 0), ("unblock", 2, 0), ("block", 1, 1),
                                   ("block", 3, 0), ("unblock", 2, 1), ("unblock", 4, 0)] {
            let body = event(action, start + at * 60_000, copy).to_string().into_bytes();
            assert_eq!(meta_says(story, body).await, 200);
            story.settles().await;
            let page = workspaces::pages(&story.app, story.workspace).await.unwrap().remove(0);
            states.push(page.state);
        }
        assert_eq!(states, ["needs_reconnect", "active", "active", "needs_reconnect",
                            "needs_reconnect", "active"]);
    }
}

story! {
    async fn a_token_that_meta_renewed_is_no_decision_to_come_back(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        story.clock.advance(60_000);
        story.sandbox.meta.writes(&ana, "STOP").unwrap();
        story.settles().await;
        story.clock.advance(60_000);
        let at = story.now();
        let optin = |payload: Option<&str>, token: &str, at: i64| {
            let mut optin = json!({"type": "notification_messages", "user_token_status": "REFRESHED",
                "notification_messages_token": token});
            if let Some(payload) = payload {
                optin["payload"] = json!(payload);
            }
            json!({"object": "page", "entry": [{"id": PAGE, "time": at, "messaging": [
                {"sender": {"id": ana.psid}, "timestamp": at, "optin": optin}]}]})
                .to_string().into_bytes()
        };
        let path = format!("/subscribers/{}", story.id_of(&ana).await);
        meta_says(story, optin(None, "renewed", at)).await;
        story.settles().await;
        assert_eq!(story.get(&path).await.body["status"], "opted_out");
        let token: Option<String> = sqlx::query_scalar("SELECT token FROM subscribers WHERE psid = $1")
            .bind(&ana.psid)
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert_eq!(token.as_deref(), Some("renewed"));
        // A card of ours that comes back is one, whatever the token's history.
        meta_says(story, optin(Some("pagecast:opt_in:0"), "accepted", at + 1)).await;
        story.settles().await;
        assert_eq!(story.get(&path).await.body["status"], "subscribed");
    }
}

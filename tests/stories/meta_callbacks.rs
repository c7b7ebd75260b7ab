//! A person removes the app at Meta, or asks to be forgotten.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use pagecast::workspaces;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::story;
use crate::support::Story;
use crate::support::story::PAGE;

fn signed(secret: &str, user_id: &str) -> String {
    let payload =
        json!({"algorithm": "HMAC-SHA256", "issued_at": 1_795_000_000, "user_id": user_id});
    let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(payload.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signature}.{payload}")
}

fn secret(story: &Story) -> String {
    let secret = story.app.config.meta.app_secret.as_ref().unwrap();
    secret.expose_secret().to_owned()
}

async fn says(story: &Story, path: &str, signed_request: &str) -> reqwest::Response {
    let form = [("signed_request", signed_request)];
    let request = story.http.post(format!("{}{path}", story.url)).form(&form);
    request.send().await.unwrap()
}

/// Whom Meta names behind the story's Page token.
async fn connector(story: &Story) -> String {
    let page = workspaces::pages(&story.app, story.workspace)
        .await
        .unwrap()
        .remove(0);
    let told = story
        .app
        .meta
        .debug_token(&page.token.unwrap())
        .await
        .unwrap();
    told.user_id.unwrap()
}

async fn page_works(story: &Story) -> bool {
    let page = workspaces::pages(&story.app, story.workspace)
        .await
        .unwrap()
        .remove(0);
    page.state == "active" && page.token.is_some() && page.ad_token.is_some()
}

story! {
    async fn a_page_stops_when_its_connector_removes_the_app_and_no_other(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        let secret = secret(story);
        let other = says(story, "/meta/deauthorize", &signed(&secret, "999")).await;
        assert_eq!(other.status(), 200);
        assert!(page_works(story).await, "somebody else removed the app");

        let connector = connector(story).await;
        let done = says(story, "/meta/deauthorize", &signed(&secret, &connector)).await;
        assert_eq!(done.status(), 200);
        let page = workspaces::pages(&story.app, story.workspace).await.unwrap().remove(0);
        assert_eq!(page.state, "needs_reconnect");
        assert!(page.attention.unwrap().contains("removed Pagecast"));
        assert!(page.token.is_none(), "the token is dropped");

        let id = story.broadcasts("Winter sale").await;
        assert!(story.heard(&ana).is_empty(), "nothing is sent meanwhile");
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["failed"], 0, "and nothing fails: {report:#}");
        story.connects_the_page_again().await;
        // The campaign is made at Meta only now, and has its warm-up.
        story.minutes_pass(65).await;
        assert_eq!(story.heard(&ana).len(), 1, "it goes out when the Page is back");
    }
}

story! {
    async fn only_what_meta_signed_is_followed(story: &mut Story) {
        let connector = connector(story).await;
        let forged = signed("not the secret", &connector);
        for path in ["/meta/deauthorize", "/meta/data-deletion"] {
            assert_eq!(says(story, path, &forged).await.status(), 401, "{path}");
            assert_eq!(says(story, path, "").await.status(), 401, "{path}");
            let empty = story.http.post(format!("{}{path}", story.url)).send().await.unwrap();
            assert_eq!(empty.status(), 401, "{path}");
            let nobody = signed(&secret(story), "");
            assert_eq!(says(story, path, &nobody).await.status(), 400, "{path}");
        }
        assert!(page_works(story).await);
    }
}

story! {
    async fn a_person_is_forgotten_and_the_status_page_names_nobody(story: &mut Story) {
        let connector = connector(story).await;
        let request = signed(&secret(story), &connector);
        let answer = says(story, "/meta/data-deletion", &request).await;
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        let code = answer["confirmation_code"].as_str().unwrap();
        let url = answer["url"].as_str().unwrap();
        assert_eq!(url, format!("{}/meta/data-deletion/{code}", story.url));
        assert!(!page_works(story).await);
        let (left,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM pages WHERE connected_by IS NOT NULL")
                .fetch_one(story.app.db.pool())
                .await
                .unwrap();
        assert_eq!(left, 0, "their number is gone");

        let page = story.http.get(url).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert_eq!(page.headers()["cache-control"], "no-store");
        let html = page.text().await.unwrap();
        assert!(html.contains("Your data was deleted"), "{html}");
        assert!(!html.contains(&connector) && !html.contains(PAGE));

        let again: Value = says(story, "/meta/data-deletion", &request).await.json().await.unwrap();
        assert_ne!(again["confirmation_code"], code, "each demand has its own code");
        let wrong = story.http.get(format!("{}/meta/data-deletion/x", story.url));
        assert_eq!(wrong.send().await.unwrap().status(), 404);
    }
}

//! The guided set-up: the first open leads into it, it knows what is done, keeps the place, and can
//! be left and found again.

use reqwest::Method;

use crate::story;
use crate::support::Story;

const PINE: &str = "hollow-pine.myshopify.com";

async fn asks(story: &Story, method: Method, path: &str, form: &str) -> (u16, String) {
    let token = story.sandbox.shopify.of(PINE).session_token(42).unwrap();
    let request = story
        .http
        .request(method, format!("{}{path}", story.url))
        .header("X-Pagecast-Embedded", "1")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .bearer_auth(token)
        .body(form.to_owned());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn reads(story: &Story, path: &str) -> String {
    let (status, html) = asks(story, Method::GET, path, "").await;
    assert_eq!(status, 200, "{path}");
    html
}

async fn presses(story: &Story, path: &str, form: &str) {
    let (status, body) = asks(story, Method::POST, path, form).await;
    assert_eq!(status, 303, "{path}: {body}");
}

/// The title of the step that is open.
fn current(html: &str) -> String {
    let (_, step) = html
        .split_once("aria-current=\"step\"")
        .expect("a step is open");
    let (_, title) = step.split_once("<h3>").unwrap();
    title.split_once('<').unwrap().0.trim().to_owned()
}

story! {
    async fn the_first_open_leads_into_the_set_up_which_knows_what_is_done(story: &mut Story) {
        story.sandbox.shopify.installs(PINE);
        let first = reads(story, "/app").await;
        assert!(first.contains("<b>1</b> of 6 done"), "the shop came with the installation");
        assert_eq!(current(&first), "Connect your Facebook Page");

        presses(story, "/app/set-up/leave", "").await;
        let overview = reads(story, "/app").await;
        assert!(overview.contains("Still to set up") && !overview.contains("aria-current=\"step\""));
        assert!(overview.contains("Next: Connect your Facebook Page."));
        presses(story, "/app/set-up/resume", "").await;
        assert_eq!(current(&reads(story, "/app").await), "Connect your Facebook Page");

        // Done elsewhere: the step is done here.
        let shop: (pagecast::store::ids::WorkspaceId,) =
            sqlx::query_as("SELECT workspace_id FROM shops WHERE domain = $1")
                .bind(PINE)
                .fetch_one(story.app.db.pool())
                .await
                .unwrap();
        story.sandbox.meta.page("104512345670002", "Hollow Pine", "pine-token", "act_77", "pine-login");
        let page = pagecast::workspaces::ConnectPage {
            meta_id: "104512345670002".to_owned(),
            token: secrecy::SecretString::from("pine-token"),
            ad_account: None,
            ad_token: None,
        };
        pagecast::workspaces::connect_page(&story.app, shop.0, page).await.unwrap();
        assert_eq!(current(&reads(story, "/app/set-up").await), "Choose who pays Meta");
        presses(story, "/app/set-up/skip", "step=who_pays").await;
        presses(story, "/app/set-up/skip", "step=klaviyo").await;
        presses(story, "/app/set-up/skip", "step=klaviyo").await;
        let (status, _) = asks(story, Method::POST, "/app/set-up/skip", "step=shop").await;
        assert_eq!(status, 404, "what is needed cannot be put aside");
        assert_eq!(current(&reads(story, "/app").await), "Put the opt-in in its place");

        presses(story, "/app/set-up/opt-in", "").await;
        presses(story, "/app/set-up/opt-in", "").await;
        let with_link = reads(story, "/app").await;
        assert_eq!(with_link.matches("/qr.svg").count(), 1, "a second press makes no second link");
        presses(story, "/app/set-up/placed", "").await;
        assert_eq!(current(&reads(story, "/app").await), "Write your first campaign");

        let draft = "name=Hello&kind=text&text=Hi&do=save&include0_kind=everyone";
        let (status, body) = asks(story, Method::POST, "/app/campaigns/new", draft).await;
        assert_eq!(status, 303, "{body}");
        assert!(reads(story, "/app/set-up").await.contains("Everything is set up"));
        assert!(!reads(story, "/app").await.contains("Still to set up"));
    }
}

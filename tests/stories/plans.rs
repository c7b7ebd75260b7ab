//! The plan at Shopify: read and read again, a limit that is told when a campaign is scheduled, and
//! a former plan that holds for two weeks.

use pagecast::clock::DAY;
use pagecast::store::ids::WorkspaceId;
use pagecast::workspaces::{self, PlanStanding};
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

async fn installed(story: &Story) -> WorkspaceId {
    story.sandbox.shopify.installs(PINE);
    assert_eq!(asks(story, Method::GET, "/app", "").await.0, 200);
    sqlx::query_scalar("SELECT workspace_id FROM shops WHERE domain = $1")
        .bind(PINE)
        .fetch_one(story.app.db.pool())
        .await
        .unwrap()
}

async fn standing(story: &Story, ws: WorkspaceId) -> PlanStanding {
    workspaces::plan(&story.app, ws)
        .await
        .unwrap()
        .expect("Shopify bills this shop")
}

story! {
    async fn a_plan_is_read_when_told_and_every_day_and_the_former_one_holds_for_two_weeks(story: &mut Story) {
        let ws = installed(story).await;
        assert_eq!(standing(story, ws).await.campaign_messages(), None, "what is not known limits nobody");
        story.settles().await;
        assert_eq!(standing(story, ws).await.plan.unwrap().name, "Free");
        let (_, page) = asks(story, Method::GET, "/app/plan", "").await;
        assert!(page.contains("<b>0</b> of 500"));
        assert!(page.contains("https://admin.shopify.com/store/hollow-pine/charges/pagecast/pricing_plans"));

        let pine = story.sandbox.shopify.of(PINE);
        pine.chooses_plan("Growth").unwrap();
        story.settles().await;
        story.settles().await;
        assert_eq!(standing(story, ws).await.campaign_messages(), Some(50_000));

        // Shopify is asked, not the webhook believed; and what is known stays while it is silent.
        story.sandbox.shopify.is_down(true);
        pine.cancels_plan().unwrap();
        story.settles().await;
        story.settles().await;
        assert_eq!(standing(story, ws).await.campaign_messages(), Some(50_000));
        story.sandbox.shopify.is_down(false);
        story.hours_pass(2).await;
        let now = standing(story, ws).await;
        assert_eq!((now.plan.unwrap().name, now.campaign_messages()), ("Free", Some(50_000)));
        let (_, page) = asks(story, Method::GET, "/app/plan", "").await;
        assert!(page.contains("Your former plan Growth holds until"));
        story.clock.advance(15 * DAY);
        assert_eq!(standing(story, ws).await.campaign_messages(), Some(500));
    }
}

story! {
    async fn a_campaign_beyond_the_plan_is_refused_when_it_is_scheduled_and_operators_have_no_limits(story: &mut Story) {
        assert_eq!(workspaces::plan(&story.app, story.workspace).await.unwrap(), None,
            "connected by hand");
        let ws = installed(story).await;
        story.settles().await;
        let page: i64 = story.app.ids.next();
        sqlx::query("INSERT INTO pages (id, workspace_id, meta_id, name, connected_at)
                     VALUES ($1, $2, '77', 'Pine', 1)")
            .bind(page)
            .bind(ws)
            .execute(story.app.db.pool())
            .await
            .unwrap();
        let mut tx = story.app.db.begin().await.unwrap();
        for i in 0..501 {
            sqlx::query("INSERT INTO subscribers (id, workspace_id, page_id, psid, token, opted_in_at,
                             last_action_at, created_at) VALUES ($1, $2, $3, $4, $4, $5, $5, $5)")
                .bind(story.app.ids.next::<i64>())
                .bind(ws)
                .bind(page)
                .bind(format!("pine-{i}"))
                .bind(story.now() - 60_000)
                .execute(&mut *tx)
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        let draft = "name=Hello&kind=text&text=Hi&do=save&include0_kind=everyone";
        let (status, body) = asks(story, Method::POST, "/app/campaigns/new", draft).await;
        assert_eq!(status, 303, "{body}");
        let id: pagecast::store::ids::CampaignId =
            sqlx::query_scalar("SELECT id FROM campaigns WHERE workspace_id = $1")
                .bind(ws)
                .fetch_one(story.app.db.pool())
                .await
                .unwrap();
        let path = format!("/app/campaigns/{id}/schedule");
        let (status, body) = asks(story, Method::POST, &path, "when=now").await;
        assert_eq!(status, 422, "{body}");
        assert!(body.contains("500 of 500 campaign messages left"), "{body}");
        story.sandbox.shopify.of(PINE).chooses_plan("Starter").unwrap();
        story.settles().await;
        story.settles().await;
        let (status, body) = asks(story, Method::POST, &path, "when=now").await;
        assert_eq!(status, 303, "{body}");
        let (_, _) = asks(story, Method::POST, &format!("/app/campaigns/{id}/cancel"), "").await;
    }
}

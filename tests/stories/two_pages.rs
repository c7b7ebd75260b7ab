//! A brand with two Pages, and a Page with two ad accounts.

use pagecast::clock::MINUTE;
use pagecast::sandbox::Person;
use pagecast::store::ids::PageRowId;
use pagecast::tallies::{self, Part};
use pagecast::workspaces::{self, ConnectPage};
use secrecy::SecretString;
use serde_json::json;

use crate::story;
use crate::support::Story;
use crate::support::story::PAGE;

const SECOND_PAGE: &str = "104512345678902";

async fn connects(story: &Story, page: &str, ad_account: &str, login: &str) -> PageRowId {
    let page = ConnectPage {
        meta_id: page.to_owned(),
        token: SecretString::from(format!("token-of-{page}")),
        ad_account: Some(ad_account.to_owned()),
        ad_token: Some(SecretString::from(login.to_owned())),
    };
    workspaces::connect_page(&story.app, story.workspace, page)
        .await
        .unwrap()
}

async fn second_page(story: &Story) -> PageRowId {
    let token = format!("token-of-{SECOND_PAGE}");
    story.sandbox.meta.page(
        SECOND_PAGE,
        "Harbour Tea",
        &token,
        "act_330011223344",
        "login-2",
    );
    connects(story, SECOND_PAGE, "act_330011223344", "login-2").await
}

/// Subscribers of the second Page, with closed windows; all of them this customer, if one is named.
async fn people_of(
    story: &Story,
    page: PageRowId,
    n: usize,
    customer: Option<&str>,
) -> Vec<Person> {
    let mut people = Vec::new();
    for i in 0..n {
        let person = story
            .sandbox
            .meta
            .person_of(SECOND_PAGE, &format!("Tea{i} Drinker"));
        let token = story.sandbox.meta.has_subscribed(&person).unwrap();
        sqlx::query(
            "INSERT INTO subscribers (id, workspace_id, page_id, psid, token, opted_in_at,
                 created_at, customer_id)
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7)",
        )
        .bind(story.app.ids.next::<i64>())
        .bind(story.workspace)
        .bind(page)
        .bind(&person.psid)
        .bind(token)
        .bind(story.now() - 48 * 60 * MINUTE)
        .bind(customer)
        .execute(story.app.db.writer())
        .await
        .unwrap();
        people.push(person);
    }
    tallies::mend(&story.app, story.workspace, Part::People)
        .await
        .unwrap();
    people
}

async fn count(story: &Story, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(story.app.db.pool())
        .await
        .unwrap()
}

/// The second Page is broken at the launch and connected again an hour later: its people get the
/// campaign once it is warm there, and until then nobody looks at their rows again and again.
async fn comes_back_later(story: &mut Story, channel: &str) {
    story.audience(2).await;
    let page = second_page(story).await;
    people_of(story, page, 3, None).await;
    // At Meta, too: a Page that Meta finds well goes on by itself.
    let meta = &story.sandbox.meta;
    meta.revokes_page_token(SECOND_PAGE, "another-token");
    workspaces::page_needs_reconnect(&story.app, page, "Gone")
        .await
        .unwrap();
    let id = story.campaign("Two Pages").await;
    let body = json!({"channel": channel});
    assert_eq!(
        story.patch(&format!("/campaigns/{id}"), body).await.status,
        200
    );
    story.schedules(&id, json!({})).await;
    story.minutes_pass(62).await;
    assert_eq!(story.report(&id).await["counts"]["sent"], 2);

    let token = format!("token-of-{SECOND_PAGE}");
    story.sandbox.meta.revokes_page_token(SECOND_PAGE, &token);
    connects(story, SECOND_PAGE, "act_330011223344", "login-2").await;
    story.minutes_pass(1).await;
    let warm = story.sandbox.meta.campaigns();
    assert!(
        warm.iter().any(|campaign| campaign.page_id == SECOND_PAGE),
        "{warm:#?}"
    );
    let due = "SELECT MIN(due_at) FROM messages WHERE status = 'queued'";
    let before = count(story, due).await;
    story.minutes_pass(10).await;
    assert_eq!(
        count(story, due).await,
        before,
        "nothing is put off again and again"
    );
    story.minutes_pass(60).await;
    let report = story.report(&id).await;
    assert_eq!(report["counts"]["sent"], 5, "{report:#}");
}

story! {
    async fn a_page_that_comes_back_after_the_launch_is_warmed_up_and_sends(story: &mut Story) {
        comes_back_later(story, "auto").await;
    }
}

story! {
    async fn a_page_that_comes_back_after_the_launch_of_a_paid_campaign_sends_too(story: &mut Story) {
        comes_back_later(story, "marketing_message").await;
    }
}

story! {
    async fn a_campaign_is_prepared_anew_in_a_new_ad_account(story: &mut Story) {
        let people = story.audience(3).await;
        let id = story.campaign("Accounts").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(30).await;
        let token = format!("token-of-{PAGE}");
        story.sandbox.meta.page(PAGE, "Harbour Coffee", &token, "act_440011223344", "login-4");
        connects(story, PAGE, "act_440011223344", "login-4").await;
        story.minutes_pass(95).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["sent"], 3, "{report:#}");
        assert_eq!(story.heard(&people[0]).len(), 1);
    }
}

story! {
    async fn a_customer_with_two_pages_gets_one_marketing_message_a_day(story: &mut Story) {
        let (first, customer) = story.customer("Ana Lima").await;
        let page = second_page(story).await;
        let second = people_of(story, page, 2, Some(&customer.id.to_string())).await;
        story.hours_pass(25).await;
        let id = story.broadcasts("Only once").await;
        let heard = [&first, &second[0], &second[1]].map(|person| story.heard(person).len());
        assert_eq!(heard.iter().sum::<usize>(), 1, "{heard:?}");
        let report = story.report(&id).await;
        assert_eq!(report["skipped"], json!({"capped": 2}), "{report:#}");
    }
}

story! {
    async fn two_workers_at_once_give_a_customer_one_marketing_message(story: &mut Story) {
        let first_page: PageRowId = sqlx::query_scalar("SELECT id FROM pages")
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        let first = story.audience(100).await;
        let page = second_page(story).await;
        let second = people_of(story, page, 100, None).await;
        // The n-th of the one Page is the n-th of the other.
        for person in first.iter().zip(&second).enumerate() {
            let (n, (one, other)) = person;
            sqlx::query("UPDATE subscribers SET customer_id = $1 WHERE psid IN ($2, $3)")
                .bind(n.to_string())
                .bind(&one.psid)
                .bind(&other.psid)
                .execute(story.app.db.writer())
                .await
                .unwrap();
        }
        let id = story.campaign("Only once").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        story.clock.advance(2 * MINUTE);
        pagecast::campaigns::advance(&story.app).await.unwrap();
        let (one, other) = tokio::join!(
            pagecast::delivery::send_due(&story.app, first_page),
            pagecast::delivery::send_due(&story.app, page)
        );
        one.unwrap();
        other.unwrap();
        story.minutes_pass(5).await;
        for (one, other) in first.iter().zip(&second) {
            let heard = story.heard(one).len() + story.heard(other).len();
            assert_eq!(heard, 1, "{} and {}", one.psid, other.psid);
        }
        let report = story.report(&id).await;
        assert_eq!(report["skipped"], json!({"capped": 100}), "{report:#}");
        assert_eq!(report["status"], "finished");
    }
}

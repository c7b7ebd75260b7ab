//! Many Pages on one worker: none starves, and a small campaign does not wait behind the large ones
//! of other workspaces.

use std::time::{Duration, Instant};

use pagecast::app::App;
use pagecast::campaigns::{self, Audience, Draft, Schedule};
use pagecast::clock::HOUR;
use pagecast::sandbox::Person;
use pagecast::store::ids::PageRowId;
use pagecast::workspaces::{self, ConnectPage};
use secrecy::SecretString;
use serde_json::json;

use super::operator::Operator;
use crate::support::Engine;

const LARGE: usize = 24;
const PEOPLE: usize = 60;

/// A workspace with a Page of its own and people who wrote to it just now.
struct Brand {
    page: PageRowId,
    people: Vec<Person>,
    workspace: pagecast::store::ids::WorkspaceId,
}

impl Brand {
    async fn opens(operator: &Operator, app: &App, number: usize, people: usize) -> Self {
        let meta_id = format!("2000000000{number:05}");
        let token = format!("token-{number}");
        let meta = &operator.sandbox.meta;
        meta.page(&meta_id, "Brand", &token, "act_1", "no-login");
        let workspace = workspaces::create(app, "Brand").await.unwrap();
        let connect = ConnectPage {
            meta_id: meta_id.clone(),
            token: SecretString::from(token),
            ad_account: None,
            ad_token: None,
        };
        workspaces::connect_page(app, workspace, connect)
            .await
            .unwrap();
        let page = workspaces::pages(app, workspace).await.unwrap()[0].id;
        let mut tx = app.db.begin().await.unwrap();
        let mut known = Vec::new();
        for i in 0..people {
            let person = meta.person_of(&meta_id, &format!("Person{i}"));
            let token = meta.has_subscribed(&person).unwrap();
            meta.wrote_unnoticed(&person).unwrap();
            sqlx::query(
                "INSERT INTO subscribers (id, workspace_id, page_id, psid, token, last_action_at,
                     opted_in_at, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, 1, 1)",
            )
            .bind(app.ids.next::<i64>())
            .bind(workspace)
            .bind(page)
            .bind(&person.psid)
            .bind(token)
            .bind(app.clock.now())
            .execute(&mut *tx)
            .await
            .unwrap();
            known.push(person);
        }
        tx.commit().await.unwrap();
        Self {
            page,
            people: known,
            workspace,
        }
    }

    /// Meta lets this Page do two calls a second.
    async fn is_slow(&self, app: &App) {
        let slow = "INSERT INTO paces (page_id, slow_until, per_second) VALUES ($1, $2, 2)
            ON CONFLICT (page_id) DO UPDATE SET slow_until = $2, per_second = 2";
        sqlx::query(slow)
            .bind(self.page)
            .bind(app.clock.now() + HOUR)
            .execute(app.db.pool())
            .await
            .unwrap();
    }

    async fn broadcasts(&self, app: &App) {
        let message = json!({"kind": "text", "text": "Once"});
        let audience: Audience =
            serde_json::from_value(json!({"include": [{"kind": "everyone"}]})).unwrap();
        let draft = Draft {
            name: "Fair".to_owned(),
            message: serde_json::from_value(message).unwrap(),
            audience,
            channel: "standard".to_owned(),
            utm: Vec::new(),
        };
        let campaign = campaigns::create(app, self.workspace, draft).await.unwrap();
        campaigns::schedule(app, self.workspace, campaign.id, Schedule::default())
            .await
            .unwrap();
    }

    fn told(&self, operator: &Operator) -> usize {
        let sent = |person| operator.sandbox.meta.sent_to(person).len();
        self.people.iter().map(sent).sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_campaign_does_not_wait_behind_the_large_ones_of_others() {
    let operator = Operator::start(Engine::Sqlite).await;
    let app = operator.app().await;
    let mut large = Vec::new();
    for number in 0..LARGE {
        let brand = Brand::opens(&operator, &app, number, PEOPLE).await;
        brand.is_slow(&app).await;
        brand.broadcasts(&app).await;
        large.push(brand);
    }
    let small = Brand::opens(&operator, &app, LARGE, 20).await;
    let _process = operator.runs("all").await;
    // All of them get going, and none is through before the last has begun.
    let until = Instant::now() + Duration::from_secs(90);
    while large.iter().any(|brand| brand.told(&operator) < 3) {
        assert!(Instant::now() < until, "some Page starves");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let through = large.iter().filter(|b| b.told(&operator) == PEOPLE).count();
    assert_eq!(through, 0, "some Page waited for others to be through");
    small.broadcasts(&app).await;
    let began = Instant::now();
    while small.told(&operator) < 20 {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the small one starves"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = began.elapsed();
    let through = large.iter().filter(|b| b.told(&operator) == PEOPLE).count();
    eprintln!("{LARGE} large campaigns under way: the small one took {took:?}");
    assert!(through < LARGE, "the large ones were through before it");
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    app.db.close().await;
    operator.sandbox.shutdown().await;
}

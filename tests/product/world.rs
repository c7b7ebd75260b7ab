//! One or more workspaces with a Page and people, written straight into the tables.

use pagecast::app::App;
use pagecast::clock::{Clock, Millis};
use pagecast::config::Config;
use pagecast::links::{self, Click};
use pagecast::queue::Queue;
use pagecast::shopify::payloads;
use pagecast::store::Database;
use pagecast::store::ids::{
    AutomationId, CampaignId, ClickId, MessageKey, OriginId, PageRowId, SubscriberId, WorkspaceId,
};
use pagecast::tallies::{self, Part};

/// 2026-11-20T09:06:40Z
pub(crate) const NOW: Millis = 1_795_165_600_000;
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

pub(crate) struct World {
    pub(crate) app: App,
    _files: tempfile::TempDir,
}

#[derive(Clone, Copy)]
pub(crate) struct Workspace {
    pub(crate) id: WorkspaceId,
    pub(crate) page: PageRowId,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::where_klaviyo_is(Clock::steerable(NOW), None).await
    }

    pub(crate) async fn where_klaviyo_is(clock: Clock, klaviyo: Option<String>) -> Self {
        let files = tempfile::tempdir().unwrap();
        let url = match std::env::var("TEST_DATABASE_URL") {
            Ok(url) if url.starts_with("postgres") => own_schema(&url).await,
            _ => format!("sqlite://{}", files.path().join("test.db").display()),
        };
        let config = Config::from_lookup(|name| match name {
            "SECRET_KEY" => Some(KEY.to_owned()),
            "KLAVIYO_API_URL" => klaviyo.clone(),
            _ => None,
        });
        let db = Database::connect(&url).await.unwrap();
        db.migrate().await.unwrap();
        let app = App::new(config.unwrap(), clock, db, Queue::silent()).unwrap();
        Self { app, _files: files }
    }

    pub(crate) async fn workspace(&self) -> Workspace {
        let workspace = Workspace {
            id: self.app.ids.next(),
            page: self.app.ids.next(),
        };
        self.run(
            "INSERT INTO workspaces (id, name, flow_key_sealed, created_at) VALUES ($1, 'W', '', $2)",
            &[workspace.id.0, NOW],
        )
        .await;
        self.run(
            "INSERT INTO pages (id, workspace_id, meta_id, name, connected_at)
             VALUES ($1, $2, CAST($1 AS TEXT), 'P', $3)",
            &[workspace.page.0, workspace.id.0, NOW],
        )
        .await;
        workspace
    }

    /// A subscriber who is the shop's customer with this number.
    pub(crate) async fn subscriber(&self, ws: Workspace, customer: i64) -> SubscriberId {
        let id: SubscriberId = self.app.ids.next();
        self.run(
            "INSERT INTO subscribers (id, workspace_id, page_id, psid, opted_in_at, customer_id,
                 created_at)
             VALUES ($1, $2, $3, CAST($1 AS TEXT), $4, CAST($5 AS TEXT), $4)",
            &[id.0, ws.id.0, ws.page.0, NOW, customer],
        )
        .await;
        tallies::mend(&self.app, ws.id, Part::People).await.unwrap();
        id
    }

    pub(crate) async fn campaign(&self, ws: Workspace) -> CampaignId {
        let id: CampaignId = self.app.ids.next();
        self.run(
            "INSERT INTO campaigns (id, workspace_id, name, message, audience, created_at, updated_at)
             VALUES ($1, $2, 'Sale', '{}', '{}', $3, $3)",
            &[id.0, ws.id.0, NOW],
        )
        .await;
        id
    }

    /// A campaign's message that was sent, without receipts yet.
    pub(crate) async fn message(
        &self,
        ws: Workspace,
        campaign: CampaignId,
        subscriber: SubscriberId,
    ) -> MessageKey {
        self.run(
            "INSERT INTO messages (origin_id, subscriber_id, workspace_id, page_id, kind,
                 campaign_id, priority, status, due_at, created_at, sent_at)
             VALUES ($1, $2, $3, $4, 'campaign', $1, 2, 'sent', $5, $5, $5)",
            &[campaign.0, subscriber.0, ws.id.0, ws.page.0, NOW],
        )
        .await;
        self.counts_again(ws).await;
        MessageKey {
            origin: OriginId::from(campaign),
            subscriber,
        }
    }

    /// What a test wrote straight into the rows is counted.
    pub(crate) async fn counts_again(&self, ws: Workspace) {
        tallies::mend(&self.app, ws.id, Part::Workspace)
            .await
            .unwrap();
    }

    /// The figures that the writers kept are those of the rows.
    pub(crate) async fn adds_up(&self, ws: Workspace) {
        let wrong = tallies::differences(&self.app, ws.id, Part::Workspace).await;
        assert_eq!(wrong.unwrap(), Vec::<String>::new());
    }

    pub(crate) fn click(
        &self,
        ws: Workspace,
        campaign: CampaignId,
        subscriber: SubscriberId,
        at: Millis,
    ) -> Click {
        Click {
            id: self.app.ids.next(),
            workspace: ws.id,
            message: MessageKey {
                origin: OriginId::from(campaign),
                subscriber,
            },
            campaign: Some(campaign),
            automation: None,
            link: 0,
            at,
        }
    }

    pub(crate) async fn clicks(
        &self,
        ws: Workspace,
        campaign: CampaignId,
        subscriber: SubscriberId,
        at: Millis,
    ) -> ClickId {
        let click = self.click(ws, campaign, subscriber, at);
        links::keep(&self.app, std::slice::from_ref(&click))
            .await
            .unwrap();
        click.id
    }

    /// An automation that is on, from the JSON of its trigger and steps.
    pub(crate) async fn automation(
        &self,
        ws: Workspace,
        trigger: serde_json::Value,
        steps: serde_json::Value,
    ) -> AutomationId {
        let draft = pagecast::automations::Draft {
            name: "Flow".into(),
            trigger: serde_json::from_value(trigger).unwrap(),
            steps: serde_json::from_value(steps).unwrap(),
            stop_on_order: true,
            status: "on".into(),
        };
        let made = pagecast::automations::create(&self.app, ws.id, draft).await;
        made.unwrap().id
    }

    pub(crate) async fn pays(&self, ws: Workspace, order: &payloads::Order) {
        let mut tx = self.app.db.begin().await.unwrap();
        pagecast::attribution::record_order(&self.app, &mut tx, ws.id, order)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn refunds(&self, ws: Workspace, refund: &payloads::Refund) {
        let mut tx = self.app.db.begin().await.unwrap();
        pagecast::attribution::record_refund(&self.app, &mut tx, ws.id, refund)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn run(&self, sql: &'static str, numbers: &[i64]) {
        let mut query = sqlx::query(sql);
        for number in numbers {
            query = query.bind(*number);
        }
        query.execute(self.app.db.pool()).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql)
            .fetch_one(self.app.db.pool())
            .await
            .unwrap()
    }

    pub(crate) async fn text(&self, sql: &'static str) -> Option<String> {
        sqlx::query_scalar(sql)
            .fetch_one(self.app.db.pool())
            .await
            .unwrap()
    }
}

/// A paid order of this customer over this many minor units.
pub(crate) fn order(id: i64, customer: i64, total: i64, at: Millis) -> payloads::Order {
    payloads::Order {
        id,
        name: format!("#{id}"),
        customer: Some(payloads::Customer {
            id: customer,
            ..payloads::Customer::default()
        }),
        total,
        currency: "USD".into(),
        created_at: at,
        updated_at: at,
        source_name: Some("web".into()),
        ..payloads::Order::default()
    }
}

async fn own_schema(url: &str) -> String {
    let name = format!("product_{:016x}", rand::random::<u64>());
    let db = Database::connect(url).await.unwrap();
    let sql = format!("CREATE SCHEMA {name}");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .execute(db.pool())
        .await
        .unwrap();
    db.close().await;
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[search_path]={name}")
}

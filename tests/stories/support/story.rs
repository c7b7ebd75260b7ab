//! A story: the product with its web server, the sandbox, a clock, and the verbs of people.

use std::collections::HashMap;
use std::time::Duration;

use pagecast::app::App;
use pagecast::clock::{self, Clock, MINUTE, Millis};
use pagecast::config::Config;
use pagecast::links::Recorder;
use pagecast::queue::Queue;
use pagecast::sandbox::{self, Customer, Person, Sandbox, SentMessage};
use pagecast::shopify::ShopDomain;
use pagecast::store::Database;
use pagecast::store::ids::WorkspaceId;
use pagecast::tallies::{self, Part};
use pagecast::web::{self, Web};
use pagecast::worker;
use pagecast::workspaces::{self, ConnectPage, KlaviyoSecret};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Engine, postgres};

pub(crate) const SHOP: &str = "harbour.myshopify.com";
pub(crate) const PAGE: &str = "104512345678901";
pub(crate) const AD_ACCOUNT: &str = "act_220011223344";
pub(crate) const KLAVIYO_KEY: &str = "pk_story";
/// When every story begins: a Tuesday, 10:00 UTC.
pub(crate) const BEGINNING: &str = "2026-11-24T10:00:00Z";
/// What Shopify signed with before the app's secret was rotated.
pub(crate) const FORMER_SECRET: &str = "former-shopify-secret";
const SECRET_KEY: &str = "c3RvcmllcyBhcmUgc2VhbGVkIHdpdGggdGhpcyBrZXk=";

pub(crate) struct Story {
    pub app: App,
    pub sandbox: Sandbox,
    pub clock: Clock,
    pub workspace: WorkspaceId,
    /// `http://127.0.0.1:…` of the product.
    pub url: String,
    pub http: reqwest::Client,
    clicks: Recorder,
    token: String,
    /// Unknown calls that this story made on purpose.
    pub expects_unknown_calls: bool,
    people: HashMap<String, Person>,
    _folder: TempDir,
}

/// An answer of the product: status and JSON (or text as a JSON string).
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Story {
    /// A workspace with its shop, Page (with ad account) and Klaviyo connected; no subscriber.
    pub(crate) async fn start(engine: Engine) -> Self {
        let clock = Clock::steerable(clock::parse_rfc3339(BEGINNING).unwrap());
        let sandbox = sandbox::start(sandbox::Config::new(clock.clone()))
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let database_url = match engine {
            Engine::Sqlite => format!("sqlite://{}/story.db", folder.path().display()),
            Engine::Postgres => postgres::database().await,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let settings = environment(&sandbox, &database_url, &url);
        let config = Config::from_lookup(|name| settings.get(name).cloned()).unwrap();
        let db = Database::connect(&config.database_url).await.unwrap();
        db.migrate().await.unwrap();
        let app = App::new(config, clock.clone(), db, Queue::silent()).unwrap();
        let web = Web::start(&app);
        let clicks = web.clicks.clone();
        let router = web::router(web);
        app.spawn(async move {
            let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
            let _ = axum::serve(listener, service).await;
        });
        sandbox
            .meta
            .points_webhooks_at(&format!("{url}/webhooks/meta"));
        sandbox
            .shopify
            .points_webhooks_at(&format!("{url}/webhooks/shopify"));
        sandbox.shopify.shop(SHOP, "shpat_story");
        sandbox.meta.page(
            PAGE,
            "Harbour Coffee",
            "page-token",
            AD_ACCOUNT,
            "login-token",
        );
        sandbox.klaviyo.account(KLAVIYO_KEY, "refresh-story");
        let workspace = workspaces::create(&app, "Harbour Coffee").await.unwrap();
        connect(&app, workspace).await;
        let token = workspaces::create_token(&app, workspace, "story")
            .await
            .unwrap();
        Self {
            app,
            sandbox,
            clock,
            workspace,
            url,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            clicks,
            token: token.expose_secret().to_owned(),
            expects_unknown_calls: false,
            people: HashMap::new(),
            _folder: folder,
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Everything that is under way comes to rest: webhooks arrive, jobs run, messages go out,
    /// receipts come back.
    pub(crate) async fn settles(&self) {
        for _ in 0..50 {
            self.sandbox.settled().await;
            self.clicks.flush().await;
            // Before anything could mend them.
            self.adds_up().await;
            worker::run_due(&self.app)
                .await
                .expect("the work that was due");
            self.sandbox.settled().await;
            if !self.has_open_webhooks().await {
                return;
            }
        }
        panic!("the story does not come to rest");
    }

    /// The figures that the writers kept are those of the rows.
    async fn adds_up(&self) {
        let wrong = tallies::differences(&self.app, self.workspace, Part::Workspace).await;
        assert_eq!(wrong.unwrap(), Vec::<String>::new());
    }

    async fn has_open_webhooks(&self) -> bool {
        let (open,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM webhooks WHERE processed_at IS NULL AND retry_at <= $1",
        )
        .bind(self.now())
        .fetch_one(self.app.db.pool())
        .await
        .unwrap();
        open > 0
    }

    /// Moves the clock, and does on the way what becomes due.
    pub(crate) async fn minutes_pass(&self, minutes: i64) {
        let end = self.now() + minutes * MINUTE;
        let step = (minutes / 60).max(1) * MINUTE;
        self.settles().await;
        while self.now() < end {
            self.clock.advance(step.min(end - self.now()));
            self.settles().await;
        }
    }

    pub(crate) async fn hours_pass(&self, hours: i64) {
        self.minutes_pass(hours * 60).await;
    }

    /// A person who came through an opt-in link and accepted the card.
    pub(crate) async fn subscriber(&mut self, name: &str) -> Person {
        let link = self
            .opt_in_link(json!({"name": "Link", "source": "link"}))
            .await;
        let person = self.sandbox.meta.person(name);
        self.sandbox
            .meta
            .follows(&person, link["url"].as_str().unwrap())
            .unwrap();
        self.settles().await;
        self.sandbox.meta.taps_card(&person).unwrap();
        self.settles().await;
        self.people.insert(name.to_owned(), person.clone());
        person
    }

    /// As [`Story::subscriber`], known to the shop: the link carries the customer.
    pub(crate) async fn customer(&mut self, name: &str) -> (Person, Customer) {
        let (first, last) = name.split_once(' ').unwrap_or((name, "Doe"));
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let customer = self.sandbox.shopify.customer(first, last, &email).unwrap();
        self.settles().await;
        let link = self
            .opt_in_link(json!({"name": "Thank you", "source": "checkout",
                "customer": {"id": customer.id.to_string(), "email": email}}))
            .await;
        let person = self.sandbox.meta.person(name);
        self.sandbox
            .meta
            .follows(&person, link["url"].as_str().unwrap())
            .unwrap();
        self.settles().await;
        self.sandbox.meta.taps_card(&person).unwrap();
        self.settles().await;
        (person, customer)
    }

    /// `n` subscribers written straight into the database and known to Meta, with closed windows.
    pub(crate) async fn audience(&self, n: usize) -> Vec<Person> {
        let (page,): (i64,) = sqlx::query_as("SELECT id FROM pages WHERE workspace_id = $1")
            .bind(self.workspace)
            .fetch_one(self.app.db.pool())
            .await
            .unwrap();
        let mut tx = self.app.db.begin().await.unwrap();
        let mut people = Vec::new();
        for i in 0..n {
            let person = self.sandbox.meta.person(&format!("Person{i} Of{i}"));
            let token = self.sandbox.meta.has_subscribed(&person).unwrap();
            sqlx::query(
                "INSERT INTO subscribers (id, workspace_id, page_id, psid, token, first_name,
                     opted_in_at, created_at, source)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 'link')",
            )
            .bind(self.app.ids.next::<i64>())
            .bind(self.workspace)
            .bind(page)
            .bind(&person.psid)
            .bind(token)
            .bind(&person.first_name)
            .bind(self.now() - 48 * 60 * MINUTE)
            .execute(&mut *tx)
            .await
            .unwrap();
            people.push(person);
        }
        tx.commit().await.unwrap();
        tallies::mend(&self.app, self.workspace, Part::People)
            .await
            .unwrap();
        people
    }

    /// The merchant gives the Page's tokens once more.
    pub(crate) async fn connects_the_page_again(&self) {
        let page = ConnectPage {
            meta_id: PAGE.to_owned(),
            token: SecretString::from("page-token"),
            ad_account: Some(AD_ACCOUNT.to_owned()),
            ad_token: Some(SecretString::from("login-token")),
        };
        workspaces::connect_page(&self.app, self.workspace, page)
            .await
            .expect("connect the Page");
    }

    pub(crate) async fn opt_in_link(&self, body: Value) -> Value {
        let answer = self.post("/opt-in-links", body).await;
        assert!(answer.status == 201 || answer.status == 200, "{answer:?}");
        answer.body
    }

    /// Our id of the person, as the API shows it.
    pub(crate) async fn id_of(&self, person: &Person) -> String {
        let row: (pagecast::store::ids::SubscriberId,) =
            sqlx::query_as("SELECT id FROM subscribers WHERE psid = $1")
                .bind(&person.psid)
                .fetch_one(self.app.db.pool())
                .await
                .expect("the person is known here");
        row.0.to_string()
    }

    pub(crate) fn sent_to(&self, person: &Person) -> Vec<SentMessage> {
        self.sandbox.meta.sent_to(person)
    }

    /// The marketing words the person got, without opt-in cards.
    pub(crate) fn heard(&self, person: &Person) -> Vec<String> {
        self.sent_to(person)
            .into_iter()
            .filter(|message| message.kind != "opt_in_card")
            .map(|message| message.text)
            .collect()
    }

    /// Creates a campaign to everyone and sends it now; its id.
    pub(crate) async fn broadcasts(&self, text: &str) -> String {
        let id = self.campaign(text).await;
        self.schedules(&id, json!({})).await;
        self.minutes_pass(61).await;
        id
    }

    /// A draft to everyone with one button to the shop; its id.
    pub(crate) async fn campaign(&self, text: &str) -> String {
        let answer = self
            .post(
                "/campaigns",
                json!({
                    "name": "Winter Blend",
                    "message": {"kind": "text", "text": text, "buttons": [
                        {"kind": "url", "title": "Shop now", "url": "https://harbour.example/sale"}]},
                    "audience": {"include": [{"kind": "everyone"}]}
                }),
            )
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn schedules(&self, id: &str, body: Value) {
        let answer = self.post(&format!("/campaigns/{id}/schedule"), body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.settles().await;
    }

    pub(crate) async fn report(&self, id: &str) -> Value {
        self.get(&format!("/campaigns/{id}")).await.body
    }

    /// Follows a link as a person's browser does; where it leads.
    pub(crate) async fn clicks(&self, link: &str) -> String {
        let answer = self
            .http
            .get(link)
            .header("User-Agent", "Mozilla/5.0 (iPhone) Messenger")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 302, "{link}");
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        self.settles().await;
        location
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(reqwest::Method::GET, path, None, &[]).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(reqwest::Method::POST, path, Some(body), &[])
            .await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(reqwest::Method::PATCH, path, Some(body), &[])
            .await
    }

    /// Calls the public API (`path` below `/api/v1`) with the workspace's token.
    pub(crate) async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.url))
            .bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, body }
    }

    /// Nothing may be left over at the end: no open webhook, no call that a platform does not know.
    pub(crate) async fn ends(self) {
        self.settles().await;
        if !self.expects_unknown_calls {
            assert_eq!(self.sandbox.unknown_calls(), Vec::<String>::new());
        }
        let (sending,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM messages WHERE status = 'sending'")
                .fetch_one(self.app.db.pool())
                .await
                .unwrap();
        self.adds_up().await;
        assert_eq!(sending, 0, "messages are left between sending and sent");
        self.app.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.clicks.flush())
            .await
            .ok();
        self.sandbox.shutdown().await;
        self.app.db.close().await;
    }
}

fn environment(sandbox: &Sandbox, database_url: &str, url: &str) -> HashMap<String, String> {
    let defaults = sandbox::Config::new(Clock::system());
    [
        ("DATABASE_URL", database_url.to_owned()),
        ("PUBLIC_URL", url.to_owned()),
        ("SECRET_KEY", SECRET_KEY.to_owned()),
        ("SHOPIFY_API_KEY", defaults.shopify_key),
        (
            "SHOPIFY_API_SECRET",
            format!("{},{FORMER_SECRET}", defaults.shopify_secret),
        ),
        ("SHOPIFY_ADMIN_URL", sandbox.shopify.url()),
        ("SHOPIFY_APP_HANDLE", "pagecast".to_owned()),
        ("META_APP_ID", defaults.app_id),
        ("META_APP_SECRET", defaults.app_secret),
        ("META_VERIFY_TOKEN", defaults.verify_token),
        ("META_GRAPH_URL", sandbox.meta.url()),
        ("META_LOGIN_URL", sandbox.meta.url()),
        ("META_LOGIN_CONFIG_ID", sandbox::PORTFOLIO_CONFIG.to_owned()),
        ("META_LOGIN_CONFIG_IDS", sandbox::login_configs()),
        ("KLAVIYO_CLIENT_ID", defaults.klaviyo_client_id),
        ("KLAVIYO_CLIENT_SECRET", defaults.klaviyo_client_secret),
        ("KLAVIYO_API_URL", sandbox.klaviyo.url()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

async fn connect(app: &App, workspace: WorkspaceId) {
    let shop = ShopDomain::parse(SHOP).unwrap();
    workspaces::connect_shop(app, workspace, shop, SecretString::from("shpat_story"))
        .await
        .expect("connect the shop");
    let page = ConnectPage {
        meta_id: PAGE.to_owned(),
        token: SecretString::from("page-token"),
        ad_account: Some(AD_ACCOUNT.to_owned()),
        ad_token: Some(SecretString::from("login-token")),
    };
    workspaces::connect_page(app, workspace, page)
        .await
        .expect("connect the Page");
    let key = KlaviyoSecret::PrivateKey(SecretString::from(KLAVIYO_KEY));
    workspaces::connect_klaviyo(app, workspace, key)
        .await
        .expect("connect Klaviyo");
}

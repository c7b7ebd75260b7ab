//! The product as an operator runs it: its binary, an environment, a database, the sink instead
//! of the platforms.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use pagecast::app::App;
use pagecast::clock::Clock;
use pagecast::config::Config;
use pagecast::queue::Queue;
use pagecast::store::Database;
use pagecast::store::ids::WorkspaceId;
use pagecast::workspaces::{self, ConnectPage};
use reqwest::{Client, Method};
use secrecy::ExposeSecret;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::load::client;
use crate::process;
use crate::sink::Taken;

pub(crate) const AD_ACCOUNT: &str = "act_220011223344";
pub(crate) const AD_TOKEN: &str = "login-token";
pub(crate) const META_SECRET: &str = "meta-secret";
pub(crate) const SHOPIFY_SECRET: &str = "shopify-secret";
pub(crate) const SHOP: &str = "harbour.myshopify.com";
const DATABASE: &str = "pagecast_bench";

pub(crate) struct Operator {
    /// The same database, reached from here, to seed it and to look.
    pub(crate) app: App,
    pub(crate) workspace: WorkspaceId,
    pub(crate) url: String,
    pub(crate) sink_url: String,
    pub(crate) is_postgres: bool,
    environment: HashMap<&'static str, String>,
    token: String,
    http: Client,
    _sink: Process,
    _folder: TempDir,
}

/// Killed when it is let go.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Operator {
    pub(crate) async fn start(server: Option<&str>, pages: i64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = match server {
            Some(server) => fresh_database(server).await?,
            None => format!("sqlite://{}/bench.db", folder.path().display()),
        };
        let (port, sink_port) = (free_port()?, free_port()?);
        let (url, sink_url) = (
            format!("http://127.0.0.1:{port}"),
            format!("http://127.0.0.1:{sink_port}"),
        );
        let environment = HashMap::from([
            ("DATABASE_URL", database.clone()),
            ("BIND", format!("127.0.0.1:{port}")),
            ("PUBLIC_URL", "https://go.harbour.example".to_owned()),
            (
                "SECRET_KEY",
                "c3RvcmllcyBhcmUgc2VhbGVkIHdpdGggdGhpcyBrZXk=".to_owned(),
            ),
            ("SHOPIFY_API_KEY", "bench".to_owned()),
            ("SHOPIFY_API_SECRET", SHOPIFY_SECRET.to_owned()),
            ("META_APP_ID", "1".to_owned()),
            ("META_APP_SECRET", META_SECRET.to_owned()),
            ("META_VERIFY_TOKEN", "bench".to_owned()),
            ("META_GRAPH_URL", sink_url.clone()),
            ("META_WARM_UP_SECONDS", "0".to_owned()),
            (
                "LOG",
                std::env::var("LOG").unwrap_or_else(|_| "error".to_owned()),
            ),
        ]);
        let own = std::env::current_exe()?;
        let sink = Process(
            Command::new(own)
                .args(["--sink", &sink_port.to_string()])
                .spawn()?,
        );
        is_up(&format!("{sink_url}/empty")).await?;
        let config = Config::from_lookup(|name| environment.get(name).cloned())?;
        let db = Database::connect(&config.database_url).await?;
        db.migrate().await?;
        let app = App::new(config, Clock::system(), db, Queue::silent())?;
        let workspace = workspaces::create(&app, "Harbour Coffee").await?;
        for page in 0..pages {
            let page = ConnectPage {
                meta_id: (104_500_000_000_000 + page).to_string(),
                token: "page-token".into(),
                ad_account: Some(AD_ACCOUNT.to_owned()),
                ad_token: Some(AD_TOKEN.into()),
            };
            workspaces::connect_page(&app, workspace, page).await?;
        }
        let token = workspaces::create_token(&app, workspace, "bench").await?;
        Ok(Self {
            app,
            workspace,
            url,
            sink_url,
            is_postgres: server.is_some(),
            environment,
            token: token.expose_secret().to_owned(),
            http: client(),
            _sink: sink,
            _folder: folder,
        })
    }

    /// Starts the product and waits until it answers.
    pub(crate) async fn serve(&self, role: &str) -> anyhow::Result<Process> {
        let binary = Path::new(env!("CARGO_BIN_EXE_pagecast"));
        let child = Command::new(binary)
            .args(["serve", "--role", role])
            .envs(&self.environment)
            .stdout(Stdio::null())
            .spawn()?;
        is_up(&format!("{}/readyz", self.url)).await?;
        Ok(Process(child))
    }

    pub(crate) async fn api(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.url));
        let answer = request.bearer_auth(&self.token).json(body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    pub(crate) async fn taken(&self) -> anyhow::Result<Taken> {
        Ok(self
            .http
            .get(format!("{}/taken", self.sink_url))
            .send()
            .await?
            .json()
            .await?)
    }

    pub(crate) async fn forget_taken(&self) -> anyhow::Result<()> {
        self.http
            .delete(format!("{}/taken", self.sink_url))
            .send()
            .await?;
        Ok(())
    }

    /// Processor seconds of the product and, if it has one, of its database server.
    pub(crate) fn cpu_seconds(&self, process: &Process) -> f64 {
        let database = if self.is_postgres {
            process::postgres_cpu_seconds()
        } else {
            0.0
        };
        process::cpu_seconds(process.id()) + database
    }

    pub(crate) async fn number(&self, sql: String) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(self.app.db.pool())
            .await?)
    }

    pub(crate) async fn execute(&self, sql: String) -> anyhow::Result<u64> {
        let done = sqlx::query(AssertSqlSafe(sql))
            .execute(self.app.db.pool())
            .await?;
        Ok(done.rows_affected())
    }
}

async fn fresh_database(server: &str) -> anyhow::Result<String> {
    let mut connection = PgConnection::connect(server)
        .await
        .context("reach PostgreSQL")?;
    let drop = format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)");
    connection.execute(AssertSqlSafe(drop)).await?;
    connection
        .execute(AssertSqlSafe(format!("CREATE DATABASE {DATABASE}")))
        .await?;
    let mut url = url::Url::parse(server)?;
    url.set_path(DATABASE);
    Ok(url.into())
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn is_up(url: &str) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_mins(1);
    let http = client();
    while Instant::now() < until {
        if http
            .get(url)
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{url} does not answer")
}

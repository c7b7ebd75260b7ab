//! A process that dies in the middle of a broadcast: the real binary, killed and started again.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pagecast::clock::Clock;
use pagecast::sandbox::{self, Sandbox};
use pagecast::store::Database;
use serde_json::{Value, json};

use crate::support::{Engine, postgres};

const PEOPLE: usize = 5_000;
const PAGE: &str = "104512345678901";

/// The product as an operator runs it: one binary, one environment.
struct Operator {
    environment: HashMap<&'static str, String>,
    url: String,
    token: String,
}

impl Operator {
    fn command(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pagecast"))
            .args(arguments)
            .envs(&self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn serve(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_pagecast"))
            .arg("serve")
            .envs(&self.environment)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    async fn is_up(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            let answer = reqwest::get(format!("{}/readyz", self.url)).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the server does not come up");
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let mut request = reqwest::Client::builder()
            .build()
            .unwrap()
            .request(method, format!("{}/api/v1{path}", self.url))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }
}

async fn a_killed_process_sends_nothing_twice_and_loses_nobody(engine: Engine) {
    let settings = sandbox::Config {
        warm_up_ms: 500,
        ..sandbox::Config::new(Clock::system())
    };
    let sandbox = sandbox::start(settings).await.unwrap();
    sandbox.meta.page(
        PAGE,
        "Harbour Coffee",
        "page-token",
        "act_2200",
        "login-token",
    );
    let folder = tempfile::tempdir().unwrap();
    let database = match engine {
        Engine::Sqlite => format!("sqlite://{}/crash.db", folder.path().display()),
        Engine::Postgres => postgres::database().await,
    };
    let mut operator = operator(&sandbox, &database);
    sandbox
        .meta
        .points_webhooks_at(&format!("{}/webhooks/meta", operator.url));
    let workspace = operator.command(&["workspace", "create", "--name", "Harbour"], "");
    operator.token = operator.command(
        &[
            "token",
            "create",
            "--workspace",
            &workspace,
            "--name",
            "test",
        ],
        "",
    );
    let secrets = folder.path().join("login");
    std::fs::write(&secrets, "login-token").unwrap();
    operator.command(
        &[
            "connect",
            "page",
            "--workspace",
            &workspace,
            "--page",
            PAGE,
            "--token-file",
            "-",
            "--ad-account",
            "act_2200",
            "--ad-token-file",
            secrets.to_str().unwrap(),
        ],
        "page-token",
    );
    fill(&sandbox, &database).await;

    let mut first = operator.serve();
    operator.is_up().await;
    let campaign = json!({"name": "Crash", "message": {"kind": "text", "text": "Once"},
        "audience": {"include": [{"kind": "everyone"}]}, "schedule": {}});
    let campaign = operator
        .call(reqwest::Method::POST, "/campaigns", Some(campaign))
        .await;
    let path = format!("/campaigns/{}", campaign["id"].as_str().unwrap());
    let until = Instant::now() + Duration::from_mins(1);
    while sandbox.meta.accepted().len() < 700 {
        assert!(Instant::now() < until, "the broadcast does not get going");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.kill().unwrap(); // SIGKILL
    first.wait().unwrap();

    let mut second = operator.serve();
    operator.is_up().await;
    let until = Instant::now() + Duration::from_mins(3);
    let report = loop {
        let report = operator.call(reqwest::Method::GET, &path, None).await;
        let unknown = report["counts"]["unknown"].as_i64();
        if report["status"] == "finished" && unknown == Some(0) {
            break report;
        }
        assert!(Instant::now() < until, "it does not finish: {report:#}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    second.kill().unwrap();
    second.wait().unwrap();

    let accepted = sandbox.meta.accepted();
    assert_eq!(accepted.len(), PEOPLE, "everybody was told");
    let twice = accepted.iter().filter(|(_, times)| *times != 1).count();
    assert_eq!(twice, 0, "somebody was told twice");
    assert_eq!(report["counts"]["sent"], PEOPLE, "{report:#}");
    sandbox.shutdown().await;
}

fn operator(sandbox: &Sandbox, database: &str) -> Operator {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let defaults = sandbox::Config::new(Clock::system());
    let environment = HashMap::from([
        ("DATABASE_URL", database.to_owned()),
        ("BIND", format!("127.0.0.1:{port}")),
        ("PUBLIC_URL", url.clone()),
        (
            "SECRET_KEY",
            "c3RvcmllcyBhcmUgc2VhbGVkIHdpdGggdGhpcyBrZXk=".to_owned(),
        ),
        ("META_APP_ID", defaults.app_id),
        ("META_APP_SECRET", defaults.app_secret),
        ("META_VERIFY_TOKEN", defaults.verify_token),
        ("META_GRAPH_URL", sandbox.meta.url()),
        ("META_WARM_UP_SECONDS", "1".to_owned()),
    ]);
    Operator {
        environment,
        url,
        token: String::new(),
    }
}

async fn fill(sandbox: &Sandbox, database: &str) {
    let db = Database::connect(database).await.unwrap();
    let (workspace, page): (i64, i64) = sqlx::query_as("SELECT workspace_id, id FROM pages")
        .fetch_one(db.pool())
        .await
        .unwrap();
    let mut tx = db.begin().await.unwrap();
    for i in 0..PEOPLE {
        let person = sandbox.meta.person(&format!("Person{i}"));
        let token = sandbox.meta.has_subscribed(&person).unwrap();
        sqlx::query(
            "INSERT INTO subscribers (id, workspace_id, page_id, psid, token, opted_in_at, created_at)
             VALUES ($1, $2, $3, $4, $5, 1, 1)",
        )
        .bind(i64::try_from(i).unwrap() + 1)
        .bind(workspace)
        .bind(page)
        .bind(&person.psid)
        .bind(token)
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_sends_nothing_twice_on_sqlite() {
    a_killed_process_sends_nothing_twice_and_loses_nobody(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_sends_nothing_twice_on_postgres() {
    if postgres::server().is_some() {
        a_killed_process_sends_nothing_twice_and_loses_nobody(Engine::Postgres).await;
    }
}

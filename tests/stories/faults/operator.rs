//! The product as an operator runs it: the real binary, as many processes as wanted, one
//! environment, and signals. Meta is the sandbox in this process, on the system's clock. Nothing
//! is left running when a story fails: processes are killed as their handles drop.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pagecast::app::App;
use pagecast::clock::Clock;
use pagecast::config::Config;
use pagecast::queue::Queue;
use pagecast::sandbox::{self, Sandbox};
use pagecast::store::Database;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::front::Front;
use crate::support::{Engine, postgres};

pub(crate) const PAGE: &str = "104512345678901";

/// One process of the product.
pub(crate) struct Process {
    child: Child,
    pub(crate) role: &'static str,
    address: SocketAddr,
    log: PathBuf,
}

impl Process {
    /// SIGKILL: no last word.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// SIGSTOP: it stands still and knows nothing of it.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// SIGTERM: it may finish what it is at.
    pub(crate) fn asks_to_stop(&self) {
        self.signal("TERM");
    }

    /// Waits until it has ended by itself; how it ended.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} does not end", self.role);
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success(), "SIG{name} was not sent");
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("--- {} on {}, its last words:", self.role, self.address);
            for line in last.iter().rev() {
                eprintln!("    {line}");
            }
        }
    }
}

pub(crate) struct Operator {
    pub(crate) sandbox: Sandbox,
    pub(crate) database: String,
    environment: HashMap<&'static str, String>,
    pub(crate) workspace: String,
    token: String,
    front: Front,
    http: reqwest::Client,
    folder: TempDir,
}

impl Operator {
    /// A workspace with its Page and ad account connected, on a fresh database; nothing runs yet.
    pub(crate) async fn start(engine: Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = match engine {
            Engine::Sqlite => format!("sqlite://{}/story.db", folder.path().display()),
            Engine::Postgres => postgres::database().await,
        };
        Self::on(database, folder).await
    }

    /// As [`Operator::start`], on this database.
    pub(crate) async fn on(database: String, folder: TempDir) -> Self {
        let settings = sandbox::Config {
            warm_up_ms: 500,
            ..sandbox::Config::new(Clock::system())
        };
        let sandbox = sandbox::start(settings).await.unwrap();
        sandbox
            .meta
            .page(PAGE, "Harbour Coffee", "page-token", "act_2200", "login");
        let front = Front::open().await;
        sandbox
            .meta
            .points_webhooks_at(&format!("{}/webhooks/meta", front.url()));
        let mut operator = Self {
            environment: environment(&sandbox, &database, &front.url()),
            sandbox,
            database,
            workspace: String::new(),
            token: String::new(),
            front,
            http: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap(),
            folder,
        };
        operator.connects();
        operator
    }

    fn connects(&mut self) {
        self.workspace = self.command(&["workspace", "create", "--name", "Harbour"], "");
        let workspace = self.workspace.clone();
        let arguments = ["token", "create", "--workspace", &workspace, "--name", "t"];
        self.token = self.command(&arguments, "");
        let login = self.folder.path().join("login");
        std::fs::write(&login, "login").unwrap();
        let login = login.to_str().unwrap().to_owned();
        let mut arguments = vec!["connect", "page", "--workspace", &workspace, "--page", PAGE];
        arguments.extend(["--token-file", "-", "--ad-account", "act_2200"]);
        arguments.extend(["--ad-token-file", &login]);
        self.command(&arguments, "page-token");
    }

    /// The product's own functions on this operator's database, for what is set up in numbers.
    pub(crate) async fn app(&self) -> App {
        let config = Config::from_lookup(|name| self.environment.get(name).cloned()).unwrap();
        let db = Database::connect(&self.database).await.unwrap();
        App::new(config, Clock::system(), db, Queue::silent()).unwrap()
    }

    /// Runs a command of the binary to its end; what it printed.
    pub(crate) fn command(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pagecast"))
            .args(arguments)
            .envs(&self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts a process and waits until it is ready.
    pub(crate) async fn runs(&self, role: &'static str) -> Process {
        let process = self.starts(role);
        self.is_up(&process).await;
        process
    }

    /// Starts a process; `all`, `web` or `worker`.
    pub(crate) fn starts(&self, role: &'static str) -> Process {
        let address = free_address();
        let log = self
            .folder
            .path()
            .join(format!("{role}-{}", address.port()));
        let child = Command::new(env!("CARGO_BIN_EXE_pagecast"))
            .args(["serve", "--role", role])
            .envs(&self.environment)
            .env("BIND", address.to_string())
            .env("LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        if role != "worker" {
            self.front.leads_to(address);
        }
        Process {
            child,
            role,
            address,
            log,
        }
    }

    /// Nothing is led to it any more, as before a deploy takes it away.
    pub(crate) fn leads_past(&self, process: &Process) {
        self.front.leaves(process.address);
    }

    pub(crate) async fn is_up(&self, process: &Process) {
        let url = format!("http://{}/readyz", process.address);
        let until = Instant::now() + Duration::from_secs(40);
        while Instant::now() < until {
            let answer = self.http.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the {} process does not come up", process.role);
    }

    /// Calls the API until somebody answers: while processes are killed, a call is made again.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let method: reqwest::Method = method.parse().unwrap();
        let key = format!("{:016x}", rand::random::<u64>());
        let until = Instant::now() + Duration::from_secs(40);
        let mut last = String::new();
        while Instant::now() < until {
            let url = format!("{}/api/v1{path}", self.front.url());
            let mut request = self
                .http
                .request(method.clone(), url)
                .bearer_auth(&self.token)
                .header("Idempotency-Key", &key);
            if let Some(body) = &body {
                request = request.json(body);
            }
            match request.send().await {
                Ok(answer) if answer.status().is_success() => {
                    if let Ok(value) = answer.json().await {
                        return value;
                    }
                }
                // The process that had begun with this call may have died over it: 409.
                Ok(answer) if answer.status().is_client_error() && answer.status() != 409 => {
                    panic!("{path}: {} {:?}", answer.status(), answer.text().await)
                }
                Ok(answer) => last = answer.status().to_string(),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path}: nobody answers: {last}");
    }

    /// Sends a text to everybody now; the path of its campaign.
    pub(crate) async fn broadcasts(&self, name: &str) -> String {
        let text = json!({"kind": "text", "text": "Once"});
        self.broadcasts_this(name, text).await
    }

    /// Sends a message to everybody now; the path of its campaign.
    pub(crate) async fn broadcasts_this(&self, name: &str, message: Value) -> String {
        let campaign = json!({"name": name, "message": message,
            "audience": {"include": [{"kind": "everyone"}]}, "schedule": {}});
        let campaign = self.call("POST", "/campaigns", Some(campaign)).await;
        format!("/campaigns/{}", campaign["id"].as_str().unwrap())
    }

    pub(crate) async fn report(&self, campaign: &str) -> Value {
        self.call("GET", campaign, None).await
    }
}

fn environment(
    sandbox: &Sandbox,
    database: &str,
    public_url: &str,
) -> HashMap<&'static str, String> {
    let defaults = sandbox::Config::new(Clock::system());
    HashMap::from([
        ("DATABASE_URL", database.to_owned()),
        ("PUBLIC_URL", public_url.to_owned()),
        (
            "SECRET_KEY",
            "c3RvcmllcyBhcmUgc2VhbGVkIHdpdGggdGhpcyBrZXk=".to_owned(),
        ),
        ("META_APP_ID", defaults.app_id),
        ("META_APP_SECRET", defaults.app_secret),
        ("META_VERIFY_TOKEN", defaults.verify_token),
        ("META_GRAPH_URL", sandbox.meta.url()),
        ("META_WARM_UP_SECONDS", "1".to_owned()),
    ])
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

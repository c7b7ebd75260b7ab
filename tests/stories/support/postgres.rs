//! A PostgreSQL for the stories: the one `TEST_DATABASE_URL` names, else one of our own, started
//! in a scratch folder when PostgreSQL is installed. Each story has a database to itself.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The address of a server on which we may create databases, or `None` where there is none.
pub(crate) fn server() -> Option<&'static str> {
    static SERVER: OnceLock<Option<String>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            let given = std::env::var("TEST_DATABASE_URL")
                .ok()
                .filter(|url| url.starts_with("postgres"));
            let found = given.or_else(start);
            let required = std::env::var("PAGECAST_TEST_REQUIRE")
                .is_ok_and(|parts| parts.split(',').any(|part| part == "postgres"));
            assert!(
                found.is_some() || !required,
                "PAGECAST_TEST_REQUIRE names postgres, and there is none"
            );
            found
        })
        .as_deref()
}

/// A fresh database on the server.
pub(crate) async fn database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = server().expect("a story on PostgreSQL needs a server");
    let name = format!(
        "story_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::SeqCst)
    );
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(server)
        .await
        .expect("connect to PostgreSQL");
    sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&pool)
        .await
        .expect("create a database");
    pool.close().await;
    let (base, _) = server.rsplit_once('/').expect("an address with a database");
    format!("{base}/{name}")
}

fn binaries() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|bin| bin.join("initdb").exists())
    })
}

/// A server of our own in a scratch folder. It ends with this value or with this process,
/// whichever way that ends: a shell waits for the end of our pipe to it.
pub(crate) struct Server {
    bin: PathBuf,
    port: u16,
    shell: Child,
    orders: Option<ChildStdin>,
}

impl Server {
    /// `None` where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let bin = binaries()?;
        let port = TcpListener::bind("127.0.0.1:0")
            .ok()?
            .local_addr()
            .ok()?
            .port();
        let folder = std::env::temp_dir().join(format!(
            "pagecast-test-postgres-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::SeqCst)
        ));
        let mut shell = Command::new("bash")
            .args(["-c", SCRIPT, "postgres"])
            .arg(&bin)
            .arg(&folder)
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let orders = shell.stdin.take();
        let server = Self {
            bin,
            port,
            shell,
            orders,
        };
        if !server.becomes(true) {
            let _ = std::io::stderr().write_all(b"PostgreSQL is installed but did not start\n");
            return None;
        }
        Some(server)
    }

    /// The address of its database `name`.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("postgres://story@127.0.0.1:{}/{name}", self.port)
    }

    /// Ends every process of the server at once, as a crash does: nothing is flushed, no client is
    /// told.
    pub(crate) fn crashes(&mut self) {
        self.order("crash");
        assert!(self.becomes(false), "PostgreSQL does not go down");
    }

    /// Starts again, recovering what a crash left.
    pub(crate) fn recovers(&mut self) {
        self.order("start");
        assert!(self.becomes(true), "PostgreSQL does not come up again");
    }

    fn order(&mut self, word: &str) {
        let orders = self.orders.as_mut().expect("the pipe is open");
        writeln!(orders, "{word}").expect("the shell listens");
    }

    fn becomes(&self, up: bool) -> bool {
        (0..300).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            Command::new(self.bin.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .is_ok_and(|status| status.success() == up)
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.shell.wait();
    }
}

/// Obeys `crash` and `start` line by line, and cleans up at the end of its input.
const SCRIPT: &str = r#"
    set -e
    bin="$1" folder="$2" port="$3"
    rm -rf "$folder"; mkdir -p "$folder"
    as() { "$@"; }
    if [ "$(id -u)" = 0 ]; then
        id postgres >/dev/null
        chown postgres "$folder"
        as() { runuser -u postgres -- "$@"; }
    fi
    start() {
        as "$bin/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
            -c unix_socket_directories= -c fsync=off -c max_connections=300 \
            </dev/null >>"$folder/log" 2>&1 &
        server=$!
    }
    crash() {
        as "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1 || true
        wait "$server" 2>/dev/null || true
    }
    as "$bin/initdb" -D "$folder/data" -U story -A trust -N >/dev/null
    start
    while read -r order; do
        case "$order" in crash) crash ;; start) start ;; esac
    done
    crash
    rm -rf "$folder"
"#;

/// The server that all stories share, which ends with this process.
fn start() -> Option<String> {
    let server = Server::start()?;
    let url = server.url("postgres");
    std::mem::forget(server);
    Some(url)
}

//! A PostgreSQL for the stories: the one `TEST_DATABASE_URL` names, else one of our own, started
//! in a scratch folder when PostgreSQL is installed. Each story has a database to itself.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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

/// Starts a server that ends with this process: a shell waits for the end of our pipe to it.
fn start() -> Option<String> {
    let bin = binaries()?;
    let port = TcpListener::bind("127.0.0.1:0")
        .ok()?
        .local_addr()
        .ok()?
        .port();
    let folder =
        std::env::temp_dir().join(format!("pagecast-test-postgres-{}", std::process::id()));
    let script = r#"
        set -e
        bin="$1" folder="$2" port="$3"
        rm -rf "$folder"; mkdir -p "$folder"
        as() { "$@"; }
        if [ "$(id -u)" = 0 ]; then
            id postgres >/dev/null
            chown postgres "$folder"
            as() { runuser -u postgres -- "$@"; }
        fi
        as "$bin/initdb" -D "$folder/data" -U story -A trust -N >/dev/null
        as "$bin/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 \
            -c unix_socket_directories= -c fsync=off -c max_connections=300 >"$folder/log" 2>&1 &
        server=$!
        cat >/dev/null
        as "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1 || true
        wait "$server" 2>/dev/null || true
        rm -rf "$folder"
    "#;
    let mut shell = Command::new("bash");
    shell
        .args(["-c", script, "postgres"])
        .arg(&bin)
        .arg(&folder)
        .arg(port.to_string());
    let mut child = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let pipe = child.stdin.take()?;
    if !comes_up(&bin, port) {
        drop(pipe);
        let _ = std::io::stderr().write_all(b"PostgreSQL is installed but did not start\n");
        return None;
    }
    // Held open until the process ends, whichever way it ends.
    std::mem::forget(pipe);
    std::mem::forget(child);
    Some(format!("postgres://story@127.0.0.1:{port}/postgres"))
}

fn comes_up(bin: &Path, port: u16) -> bool {
    (0..150).any(|_| {
        std::thread::sleep(Duration::from_millis(200));
        Command::new(bin.join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status()
            .is_ok_and(|status| status.success())
    })
}

//! Storage: one SQL text for SQLite and PostgreSQL. Only this module knows which engine runs.

pub mod ids;
pub mod names;
pub mod page;
pub mod sealed;

mod writer;

use std::time::Duration;

use anyhow::Context;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

pub use writer::{Tx, Writer};

/// A single connection on either engine: what `&mut *tx` gives.
pub type Conn = AnyConnection;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// The pools, and the few things in which the engines differ. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    writer: Writer,
    engine: Engine,
}

impl Database {
    /// Opens the database (creating an SQLite file that is not there yet), without migrating.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        if !url.starts_with("sqlite:") {
            let pool = open(url, Engine::Postgres, 16).await?;
            return Ok(Self {
                writer: Writer::pool(pool.clone(), Engine::Postgres),
                pool,
                engine: Engine::Postgres,
            });
        }
        let url = if url.contains("mode=") {
            url.to_owned()
        } else {
            let separator = if url.contains('?') { '&' } else { '?' };
            format!("{url}{separator}mode=rwc")
        };
        let writer = Writer::shared(open(&url, Engine::Sqlite, 1).await?);
        let pool = open(&url, Engine::Sqlite, 8).await?;
        Ok(Self {
            pool,
            writer,
            engine: Engine::Sqlite,
        })
    }

    /// A pool that somebody else opened, with the settings that [`Database::connect`] would make.
    pub fn from_pool(pool: AnyPool, engine: Engine) -> Self {
        Self {
            writer: Writer::pool(pool.clone(), engine),
            pool,
            engine,
        }
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// For reading outside a transaction.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// For single statements that write.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Applies what is missing of `migrations/`; safe to call from many processes at once.
    pub async fn migrate(&self) -> anyhow::Result<()> {
        MIGRATIONS
            .run(&self.pool)
            .await
            .context("migrate the database")
    }

    /// How many migrations this binary knows and how many the database has.
    pub async fn migration_state(&self) -> anyhow::Result<(usize, usize)> {
        let applied: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM _sqlx_migrations WHERE success")
                .fetch_one(&self.pool)
                .await
                .unwrap_or(0);
        Ok((MIGRATIONS.iter().count(), usize::try_from(applied)?))
    }

    /// Begins a writing transaction. On SQLite it has the write lock from the start (a transaction
    /// that reads first and writes later would fail with "database is locked" instead of waiting),
    /// so whoever holds one and begins another waits for himself.
    pub async fn begin(&self) -> sqlx::Result<Tx> {
        self.writer.begin().await
    }

    /// The same for what takes long (a launch, an erasure): who wrote just before does not wait
    /// for it to be durable.
    pub async fn begin_long(&self) -> sqlx::Result<Tx> {
        self.writer.begin_long().await
    }

    /// Ends a `SELECT` whose rows are about to be claimed: rows that another worker is claiming
    /// are passed over, rows that new ones point to (a launch's subscribers) are not. SQLite has
    /// one writer at a time and needs no such words.
    pub fn claiming(&self, table: &str) -> String {
        match self.engine {
            Engine::Sqlite => String::new(),
            Engine::Postgres => format!(" FOR NO KEY UPDATE OF {table} SKIP LOCKED"),
        }
    }

    /// Ends a `SELECT` whose rows are about to be changed by what was read of them: until the
    /// transaction ends nobody else changes them.
    pub fn locking(&self, table: &str) -> String {
        match self.engine {
            Engine::Sqlite => String::new(),
            Engine::Postgres => format!(" FOR NO KEY UPDATE OF {table}"),
        }
    }

    pub async fn acquire(&self) -> sqlx::Result<PoolConnection<Any>> {
        self.pool.acquire().await
    }

    /// Takes what was erased out of the log that SQLite keeps beside its file, where it would lie
    /// until it is written over. PostgreSQL's log and its dead rows are the server's to clear.
    pub async fn forget_log(&self) -> sqlx::Result<()> {
        if self.engine == Engine::Sqlite {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .fetch_optional(&self.pool)
                .await?;
        }
        Ok(())
    }

    /// One round trip: is the database there?
    pub async fn ping(&self) -> sqlx::Result<()> {
        self.pool.acquire().await?.ping().await
    }

    pub async fn close(&self) {
        self.pool.close().await;
        self.writer.close().await;
    }
}

async fn open(url: &str, engine: Engine, connections: u32) -> anyhow::Result<AnyPool> {
    let mut options = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(30));
    if engine == Engine::Sqlite {
        // In kibibytes, for each connection. The writer comes back to the same pages; what a
        // reader kept is stale after the next write, and the system keeps the file anyway.
        let cache = if connections == 1 {
            "PRAGMA cache_size = -16000"
        } else {
            "PRAGMA cache_size = -2000"
        };
        options = options.after_connect(move |connection, _| {
            Box::pin(async move {
                for pragma in [
                    "PRAGMA journal_mode = WAL",
                    // What was answered, or is about to be said to Meta, survives a power cut.
                    "PRAGMA synchronous = FULL",
                    "PRAGMA busy_timeout = 15000",
                    "PRAGMA foreign_keys = ON",
                    "PRAGMA temp_store = MEMORY",
                    cache,
                    // Pages that change again and again are copied into the file once, not each
                    // time the log has grown by four megabytes.
                    "PRAGMA wal_autocheckpoint = 8000",
                    // What is erased does not linger in freed pages.
                    "PRAGMA secure_delete = ON",
                ] {
                    connection.execute(pragma).await?;
                }
                Ok(())
            })
        });
    }
    if engine == Engine::Postgres {
        // A process that is frozen, or gone with its machine, must not keep rows locked.
        options = options.after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute("SET idle_in_transaction_session_timeout = '15s'")
                    .await?;
                Ok(())
            })
        });
    }
    options
        .connect(url)
        .await
        .context("open the database; check DATABASE_URL and that the server is reachable")
}

/// Text from outside, fit for a TEXT column: PostgreSQL refuses NUL.
pub fn clean(text: &str) -> String {
    text.replace('\0', "")
}

/// The same for every text within a JSON value. Once it is serialized, an escaped NUL cannot be
/// told any more from a backslash that somebody wrote.
pub fn clean_json(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) if text.contains('\0') => *text = clean(text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(clean_json),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(clean_json),
        _ => {}
    }
}

/// `(${first}, …), (…)`: placeholders for `rows` rows of `columns` values, numbered from `first`.
/// Statements made with it go through `sqlx::AssertSqlSafe`; only numbers enter the text.
pub fn placeholders(first: usize, rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let from = first + row * columns;
        let numbers: Vec<String> = (from..from + columns).map(|n| format!("${n}")).collect();
        format!("({})", numbers.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_deleted_is_overwritten_on_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("erased.db");
        let db = Database::connect(&format!("sqlite://{}", file.display()))
            .await
            .unwrap();
        for statement in [
            "CREATE TABLE people (name TEXT)",
            "INSERT INTO people VALUES ('Ana-who-was-here')",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "DELETE FROM people",
            "PRAGMA wal_checkpoint(TRUNCATE)",
        ] {
            sqlx::query(statement).execute(db.pool()).await.unwrap();
        }
        db.close().await;
        let bytes = std::fs::read(&file).unwrap();
        let name = b"Ana-who-was-here";
        assert!(!bytes.windows(name.len()).any(|part| part == name));
    }

    #[test]
    fn placeholders_are_numbered_across_rows() {
        assert_eq!(placeholders(3, 2, 2), "($3, $4), ($5, $6)");
        assert_eq!(placeholders(1, 1, 3), "($1, $2, $3)");
    }
}

//! Storage: one SQL text for SQLite and PostgreSQL. Only this module knows which engine runs.

pub mod ids;
pub mod page;
pub mod sealed;

use std::time::Duration;

use anyhow::Context;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor, Transaction};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// A transaction on either engine.
pub type Tx = Transaction<'static, Any>;
/// A single connection on either engine: what `&mut *tx` gives.
pub type Conn = AnyConnection;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// The pool, and the few things in which the engines differ. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    engine: Engine,
}

impl Database {
    /// Opens the database (creating an SQLite file that is not there yet), without migrating.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let engine = if url.starts_with("sqlite:") {
            Engine::Sqlite
        } else {
            Engine::Postgres
        };
        let url = match engine {
            Engine::Sqlite if !url.contains("mode=") => {
                let separator = if url.contains('?') { '&' } else { '?' };
                format!("{url}{separator}mode=rwc")
            }
            _ => url.to_owned(),
        };
        let mut options = AnyPoolOptions::new()
            .max_connections(if engine == Engine::Sqlite { 8 } else { 16 })
            .acquire_timeout(Duration::from_secs(30));
        if engine == Engine::Sqlite {
            options = options.after_connect(|connection, _| {
                Box::pin(async move {
                    for pragma in [
                        "PRAGMA journal_mode = WAL",
                        "PRAGMA synchronous = NORMAL",
                        "PRAGMA busy_timeout = 15000",
                        "PRAGMA foreign_keys = ON",
                        "PRAGMA temp_store = MEMORY",
                        "PRAGMA cache_size = -16000",
                    ] {
                        connection.execute(pragma).await?;
                    }
                    Ok(())
                })
            });
        }
        let pool = options
            .connect(&url)
            .await
            .context("open the database; check DATABASE_URL and that the server is reachable")?;
        Ok(Self { pool, engine })
    }

    /// A pool that somebody else opened, with the settings that [`Database::connect`] would make.
    pub fn from_pool(pool: AnyPool, engine: Engine) -> Self {
        Self { pool, engine }
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// For statements outside a transaction.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
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

    /// Begins a writing transaction. On SQLite the write lock is taken at once: a transaction that
    /// reads first and writes later would fail with "database is locked" instead of waiting.
    pub async fn begin(&self) -> sqlx::Result<Tx> {
        match self.engine {
            Engine::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Engine::Postgres => self.pool.begin_with("BEGIN").await,
        }
    }

    /// Ends a `SELECT` whose rows are about to be claimed: rows that another worker is claiming
    /// are passed over. SQLite has one writer at a time and needs no such words.
    pub fn claiming(&self, table: &str) -> String {
        match self.engine {
            Engine::Sqlite => String::new(),
            Engine::Postgres => format!(" FOR UPDATE OF {table} SKIP LOCKED"),
        }
    }

    pub async fn acquire(&self) -> sqlx::Result<PoolConnection<Any>> {
        self.pool.acquire().await
    }

    /// One round trip: is the database there?
    pub async fn ping(&self) -> sqlx::Result<()> {
        self.pool.acquire().await?.ping().await
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
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

    #[test]
    fn placeholders_are_numbered_across_rows() {
        assert_eq!(placeholders(3, 2, 2), "($3, $4), ($5, $6)");
        assert_eq!(placeholders(1, 1, 3), "($1, $2, $3)");
    }
}

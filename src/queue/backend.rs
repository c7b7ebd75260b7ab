//! The two engines of apalis behind one face. The queue's own tables hold nudges only.

use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use apalis::prelude::{BackendExt, BoxDynError, TaskSink, WorkerBuilder, WorkerBuilderExt};
use apalis_postgres::{PgPool, PostgresStorage, Pubsub};
use apalis_sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteStorage};
use futures::stream::unfold;
use futures::{FutureExt, StreamExt};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqliteJournalMode;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::ticks::{renewed, ticks};
use super::{Job, Lane};

#[derive(Clone, Debug)]
pub(super) enum Backend {
    Sqlite {
        pool: SqlitePool,
        /// A push was committed, for each lane.
        pushed: [Arc<Notify>; 3],
    },
    Postgres(PgPool),
}

impl Backend {
    pub(super) async fn open(database_url: &str) -> anyhow::Result<Self> {
        if database_url.starts_with("sqlite:") {
            open_sqlite(database_url).await
        } else {
            open_postgres(database_url).await
        }
    }

    pub(super) async fn push(&self, lane: Lane, jobs: Vec<Job>) -> anyhow::Result<()> {
        match self {
            Self::Sqlite { pool, pushed } => {
                sqlite_lane(pool, lane).push_bulk(jobs).await?;
                pushed[lane as usize].notify_one();
            }
            Self::Postgres(pool) => postgres_lane(pool, lane).push_bulk(jobs).await?,
        }
        Ok(())
    }

    /// Works on one lane until `stop` or until the queue fails.
    pub(super) async fn run<F, Done>(
        &self,
        lane: Lane,
        concurrency: usize,
        stop: CancellationToken,
        handle: F,
    ) -> anyhow::Result<()>
    where
        F: Fn(Job) -> Done + Clone + Send + Sync + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        // A name is taken for as long as its worker was seen, so a restart needs a new one.
        let name = format!("{}-{:016x}", lane.name(), rand::random::<u64>());
        let task = move |job: Job| {
            let done = handle(job);
            async move {
                done.await;
                Ok::<(), BoxDynError>(())
            }
        };
        let stopped = async move {
            stop.cancelled().await;
            Ok::<(), std::io::Error>(())
        };
        match self {
            Self::Sqlite { pool, pushed } => {
                let news = unfold(pushed[lane as usize].clone(), |pushed| async move {
                    pushed.notified().await;
                    Some(((), pushed))
                });
                let (ticks, drive) = ticks(news);
                let worker = WorkerBuilder::new(name)
                    .backend(sqlite_lane(pool, lane).poll_with_stream(ticks))
                    .concurrency(concurrency)
                    .build(task);
                let (ended, ()) = tokio::join!(worker.run_until(stopped).boxed(), drive);
                ended.context("work on the SQLite queue")
            }
            Self::Postgres(pool) => {
                let listen = || {
                    Pubsub::new(pool.clone(), lane.name().to_owned())
                        .take_while(|news| futures::future::ready(news.is_ok()))
                        .map(|_| ())
                };
                let (ticks, drive) = ticks(renewed(listen));
                let worker = WorkerBuilder::new(name)
                    .backend(postgres_lane(pool, lane).poll_with_stream(ticks))
                    .concurrency(concurrency)
                    .build(task);
                let (ended, ()) = tokio::join!(worker.run_until(stopped).boxed(), drive);
                ended.context("work on the PostgreSQL queue")
            }
        }
    }

    pub(super) async fn prune(&self) -> anyhow::Result<()> {
        match self {
            Self::Sqlite { pool, .. } => {
                for sql in [
                    "DELETE FROM Jobs WHERE status IN ('Done', 'Killed', 'Failed') \
                     AND done_at < strftime('%s', 'now') - 300",
                    "DELETE FROM Jobs WHERE status = 'Pending' \
                     AND run_at < strftime('%s', 'now') - 300",
                    "DELETE FROM Workers WHERE last_seen < strftime('%s', 'now') - 3600 \
                     AND id NOT IN (SELECT lock_by FROM Jobs WHERE lock_by IS NOT NULL)",
                ] {
                    sqlx::query(sql).execute(pool).await?;
                }
            }
            Self::Postgres(pool) => {
                for sql in [
                    "DELETE FROM apalis.jobs WHERE status IN ('Done', 'Killed', 'Failed') \
                     AND done_at < now() - interval '5 minutes'",
                    "DELETE FROM apalis.jobs WHERE status = 'Pending' \
                     AND run_at < now() - interval '5 minutes'",
                    "DELETE FROM apalis.workers WHERE last_seen < now() - interval '1 hour' \
                     AND id NOT IN (SELECT lock_by FROM apalis.jobs WHERE lock_by IS NOT NULL)",
                ] {
                    sqlx::query(sql).execute(pool).await?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { pool, .. } => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

fn sqlite_lane(pool: &SqlitePool, lane: Lane) -> SqliteStorage<Job> {
    let config = apalis_sqlite::Config::default()
        .queue(lane.name())
        .batch_size(32)
        .lock_tasks(false);
    SqliteStorage::new(pool).with_config(config)
}

fn postgres_lane(pool: &PgPool, lane: Lane) -> PostgresStorage<Job> {
    let config = apalis_postgres::Config::default()
        .queue(lane.name())
        .batch_size(32)
        .missed_heartbeats(2)
        .lock_tasks(false);
    PostgresStorage::new(pool).with_config(config)
}

/// One connection: the lanes' short transactions then never meet a locked database.
async fn open_sqlite(database_url: &str) -> anyhow::Result<Backend> {
    let url = jobs_url(database_url);
    let options = SqliteConnectOptions::from_str(&url)
        .with_context(|| format!("DATABASE_URL: {database_url} names no SQLite file"))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(15));
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_with(options)
        .await
        .with_context(|| {
            format!("open the jobs database {url}; check that the folder may be written")
        })?;
    patiently(|| SqliteStorage::setup(&pool))
        .await
        .with_context(|| format!("set up the jobs database {url}"))?;
    Ok(Backend::Sqlite {
        pool,
        pushed: Default::default(),
    })
}

async fn open_postgres(database_url: &str) -> anyhow::Result<Backend> {
    let pool = PgPoolOptions::new()
        .max_connections(10)
        .acquire_timeout(Duration::from_secs(30))
        .connect(database_url)
        .await
        .context(
            "open the queue's database; check DATABASE_URL and that the server is reachable",
        )?;
    patiently(|| PostgresStorage::setup(&pool)).await.context(
        "set up the queue. It needs the schema apalis and the extensions hstore and pgcrypto; an \
         administrator lets the database user make them with `GRANT CREATE ON DATABASE … TO …`",
    )?;
    Ok(Backend::Postgres(pool))
}

/// Setting up at the same moment in two processes fails in one of them, once.
async fn patiently<F, Setup, E>(setup: F) -> Result<(), E>
where
    F: Fn() -> Setup,
    Setup: Future<Output = Result<(), E>>,
{
    for _ in 0..2 {
        if setup().await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    setup().await
}

/// `sqlite://dir/pagecast.db` → `sqlite://dir/pagecast-jobs.db`: apalis migrates into
/// `_sqlx_migrations`, so it cannot live in our file.
fn jobs_url(database_url: &str) -> String {
    let base = database_url.split('?').next().unwrap_or(database_url);
    if base.ends_with(":memory:") {
        return "sqlite::memory:".to_owned();
    }
    match base.rsplit_once('.') {
        Some((path, extension)) if !extension.contains('/') && !path.ends_with('/') => {
            format!("{path}-jobs.{extension}")
        }
        _ => format!("{base}-jobs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jobs_stand_in_a_file_beside_the_database() {
        for (database, jobs) in [
            ("sqlite://pagecast.db", "sqlite://pagecast-jobs.db"),
            (
                "sqlite:///var/lib/p.c/data",
                "sqlite:///var/lib/p.c/data-jobs",
            ),
            ("sqlite:a/b.sqlite?mode=rwc", "sqlite:a/b-jobs.sqlite"),
            ("sqlite:///x/.pagecast", "sqlite:///x/.pagecast-jobs"),
            ("sqlite::memory:", "sqlite::memory:"),
        ] {
            assert_eq!(jobs_url(database), jobs);
        }
    }
}

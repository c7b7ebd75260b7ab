//! Writing. PostgreSQL has its pool. SQLite lets one connection write at a time, makes the others
//! ask again and again, and waits for the disk at each commit; so here all writers of a process
//! queue for one connection, and transactions that follow each other closely are committed
//! together: each is a savepoint in a transaction that the last in the queue commits, and none is
//! told that it is committed before the disk has it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use futures::{FutureExt, future::BoxFuture};
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Describe, Either, Execute, Executor, SqlStr, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio_util::task::TaskTracker;

use super::Engine;

/// A group is committed at the latest when it is so old or has so many members: about as long as
/// the disk takes for it.
const OLDEST: Duration = Duration::from_millis(10);
const LARGEST: usize = 256;

/// Where transactions begin. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// With the words that begin a transaction.
    Pool(AnyPool, &'static str),
    Shared(Arc<Shared>),
}

#[derive(Debug)]
struct Shared {
    pool: AnyPool,
    seat: Arc<Mutex<Seat>>,
    /// How many wait for the seat.
    waiting: AtomicUsize,
    tasks: TaskTracker,
}

/// The one connection, and the group of transactions that is open on it.
#[derive(Debug, Default)]
struct Seat {
    connection: Option<PoolConnection<Any>>,
    /// `BEGIN` was said.
    is_open: bool,
    /// A savepoint may have been left: its transaction was let go, or its caller went away.
    is_dirty: bool,
    since: Option<Instant>,
    members: Vec<oneshot::Sender<Result<(), String>>>,
}

/// A transaction on either engine; let go without [`Tx::commit`], it is rolled back.
#[derive(Debug)]
pub struct Tx(Turn);

#[derive(Debug)]
enum Turn {
    Pool(Transaction<'static, Any>),
    Shared(Seated),
}

#[derive(Debug)]
struct Seated {
    shared: Arc<Shared>,
    /// Taken by who commits.
    seat: Option<OwnedMutexGuard<Seat>>,
}

impl Writer {
    pub(super) fn pool(pool: AnyPool, engine: Engine) -> Self {
        let begin = match engine {
            Engine::Sqlite => "BEGIN IMMEDIATE",
            Engine::Postgres => "BEGIN",
        };
        Self(Kind::Pool(pool, begin))
    }

    pub(super) fn shared(pool: AnyPool) -> Self {
        Self(Kind::Shared(Arc::new(Shared {
            pool,
            seat: Arc::default(),
            waiting: AtomicUsize::new(0),
            tasks: TaskTracker::new(),
        })))
    }

    pub(super) async fn begin(&self) -> sqlx::Result<Tx> {
        match &self.0 {
            Kind::Pool(pool, begin) => Ok(Tx(Turn::Pool(pool.begin_with(*begin).await?))),
            Kind::Shared(shared) => {
                let mut seated = Seated {
                    shared: shared.clone(),
                    seat: Some(shared.seat().await),
                };
                seated.seat()?.enter(&shared.pool).await?;
                Ok(Tx(Turn::Shared(seated)))
            }
        }
    }

    pub(super) async fn close(&self) {
        match &self.0 {
            Kind::Pool(pool, _) => pool.close().await,
            Kind::Shared(shared) => {
                let mut seat = shared.seat().await;
                seat.settle().await;
                seat.connection = None;
                drop(seat);
                shared.pool.close().await;
            }
        }
    }
}

impl Shared {
    /// In the order of asking.
    async fn seat(&self) -> OwnedMutexGuard<Seat> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        self.seat.clone().lock_owned().await
    }
}

impl Seat {
    fn connection(&mut self) -> sqlx::Result<&mut AnyConnection> {
        let connection = self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        Ok(&mut *connection)
    }

    async fn say(&mut self, sql: &'static str) -> sqlx::Result<()> {
        self.connection()?.execute(sql).await?;
        Ok(())
    }

    /// Opens a group unless one is open, and a savepoint in it. What may be cut short (the caller
    /// may go away at any await) is noted before it is tried.
    async fn enter(&mut self, pool: &AnyPool) -> sqlx::Result<()> {
        if self.connection.is_none() {
            self.connection = Some(pool.acquire().await?);
        }
        self.sweep().await;
        if !self.is_open {
            self.is_open = true;
            self.since = Some(Instant::now());
            if let Err(error) = self.say("BEGIN IMMEDIATE").await {
                // Unless somebody who was cut short has begun it already.
                if !error.to_string().contains("within a transaction") {
                    self.is_open = false;
                    return Err(error);
                }
            }
        }
        self.is_dirty = true;
        self.say("SAVEPOINT member").await
    }

    /// Takes back what a transaction did that was not committed. No savepoint, no harm.
    async fn sweep(&mut self) {
        if !self.is_dirty {
            return;
        }
        self.say("ROLLBACK TO member").await.ok();
        self.say("RELEASE member").await.ok();
        self.is_dirty = false;
    }

    /// Commits the group and tells its members.
    async fn settle(&mut self) {
        self.sweep().await;
        if !self.is_open {
            return;
        }
        let ended = self.say("COMMIT").await;
        if ended.is_err() {
            self.say("ROLLBACK").await.ok();
        }
        self.is_open = false;
        for member in self.members.drain(..) {
            let told = match &ended {
                Ok(()) => Ok(()),
                Err(error) => Err(error.to_string()),
            };
            member.send(told).ok();
        }
    }

    fn is_due(&self, waiting: usize) -> bool {
        let old = self.since.is_none_or(|since| since.elapsed() > OLDEST);
        waiting == 0 || self.members.len() >= LARGEST || old
    }
}

impl Tx {
    /// Takes back what it did.
    pub async fn rollback(self) -> sqlx::Result<()> {
        match self.0 {
            Turn::Pool(tx) => tx.rollback().await,
            Turn::Shared(mut seated) => {
                if let Some(mut seat) = seated.seat.take() {
                    // To its end, whether or not the caller waits for it.
                    let ended = async move { seat.settle().await };
                    seated.shared.tasks.spawn(ended).await.ok();
                }
                Ok(())
            }
        }
    }

    /// Returns when it is durable.
    pub async fn commit(self) -> sqlx::Result<()> {
        let mut seated = match self.0 {
            Turn::Pool(tx) => return tx.commit().await,
            Turn::Shared(seated) => seated,
        };
        let seat = seated.seat.take().ok_or(sqlx::Error::PoolClosed)?;
        let (done, durable) = oneshot::channel();
        // A task of its own: a caller who goes away in the middle of a `COMMIT` would leave it in
        // doubt for the whole group.
        let shared = seated.shared.clone();
        seated.shared.tasks.spawn(join(shared, seat, done));
        match durable.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(sqlx::Error::Protocol(why)),
            Err(_) => Err(sqlx::Error::WorkerCrashed),
        }
    }
}

/// Puts the transaction that has the seat into the group, and commits the group when it is due.
async fn join(
    shared: Arc<Shared>,
    mut seat: OwnedMutexGuard<Seat>,
    done: oneshot::Sender<Result<(), String>>,
) {
    if let Err(error) = seat.say("RELEASE member").await {
        seat.settle().await;
        done.send(Err(error.to_string())).ok();
        return;
    }
    seat.is_dirty = false;
    seat.members.push(done);
    if seat.is_due(shared.waiting.load(Ordering::SeqCst)) {
        seat.settle().await;
        return;
    }
    drop(seat);
    // Whoever waits now joins the group and commits it; if they go away, this does.
    tokio::time::sleep(OLDEST).await;
    let mut seat = shared.seat().await;
    let is_old = seat.since.is_some_and(|since| since.elapsed() > OLDEST);
    if is_old && !seat.members.is_empty() {
        seat.settle().await;
    }
}

impl Seated {
    fn seat(&mut self) -> sqlx::Result<&mut Seat> {
        self.seat.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }
}

impl Drop for Seated {
    /// What was not committed is taken back at once: nobody may come who would do it, and until
    /// then other processes wait for the lock.
    fn drop(&mut self) {
        let Some(mut seat) = self.seat.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let ended = async move { seat.settle().await };
            self.shared.tasks.spawn_on(ended, &runtime);
        }
    }
}

impl Deref for Tx {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match &self.0 {
            Turn::Pool(tx) => tx,
            Turn::Shared(seated) => seated
                .seat
                .as_ref()
                .and_then(|seat| seat.connection.as_deref())
                .expect("who has a turn has the connection"),
        }
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match &mut self.0 {
            Turn::Pool(tx) => &mut *tx,
            Turn::Shared(seated) => seated
                .seat
                .as_mut()
                .and_then(|seat| seat.connection.as_deref_mut())
                .expect("who has a turn has the connection"),
        }
    }
}

/// A single statement is a transaction of its own.
impl<'c> Executor<'c> for &'c Writer {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let all = async move {
            let mut tx = self.begin().await?;
            let told: sqlx::Result<Vec<_>> = (&mut *tx).fetch_many(query).try_collect().await;
            let told = match told {
                Ok(told) => told,
                Err(error) => {
                    // Who was here first is committed before the refusal is heard: a caller who
                    // then looks for the row that is in the way finds it.
                    tx.rollback().await.ok();
                    return Err(error);
                }
            };
            tx.commit().await?;
            Ok::<_, sqlx::Error>(futures::stream::iter(told.into_iter().map(Ok)))
        };
        futures::stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        async move { Ok(self.fetch_all(query).await?.into_iter().next()) }.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'c: 'e,
    {
        match &self.0 {
            Kind::Pool(pool, _) => pool.prepare_with(sql, parameters),
            Kind::Shared(shared) => shared.pool.prepare_with(sql, parameters),
        }
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Any>>>
    where
        'c: 'e,
    {
        match &self.0 {
            Kind::Pool(pool, _) => pool.describe(sql),
            Kind::Shared(shared) => shared.pool.describe(sql),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::Database;
    use super::*;

    async fn database() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/w.db", folder.path().display());
        let db = Database::connect(&url).await.unwrap();
        let table = "CREATE TABLE t (id BIGINT PRIMARY KEY, note TEXT NOT NULL)";
        sqlx::query(table).execute(db.writer()).await.unwrap();
        (folder, db)
    }

    async fn ids(db: &Database) -> HashSet<i64> {
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM t")
            .fetch_all(db.pool())
            .await
            .unwrap();
        ids.into_iter().collect()
    }

    async fn insert(tx: &mut Tx, id: i64) -> sqlx::Result<()> {
        sqlx::query("INSERT INTO t (id, note) VALUES ($1, 'n')")
            .bind(id)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_many_at_once_each_is_there_when_it_is_told_so_and_a_failure_is_its_own() {
        let (_folder, db) = database().await;
        let tries = (0..400_i64).map(|i| {
            let db = db.clone();
            async move {
                let mut tx = db.begin().await.unwrap();
                insert(&mut tx, i).await.unwrap();
                match i % 4 {
                    // Let go.
                    0 => {}
                    // Refused by the database, then let go.
                    1 => assert!(insert(&mut tx, i).await.is_err()),
                    _ => {
                        tx.commit().await.unwrap();
                        assert!(ids(&db).await.contains(&i), "{i} is not there");
                    }
                }
            }
        });
        let tasks = TaskTracker::new();
        let tasks: Vec<_> = tries.map(|one| tasks.spawn(one)).collect();
        for task in tasks {
            task.await.unwrap();
        }
        let expected: HashSet<i64> = (0..400).filter(|i| i % 4 > 1).collect();
        assert_eq!(ids(&db).await, expected);
    }

    #[tokio::test]
    async fn what_is_let_go_leaves_no_lock_behind() {
        let (folder, db) = database().await;
        let mut tx = db.begin().await.unwrap();
        insert(&mut tx, 1).await.unwrap();
        drop(tx);
        let url = format!("sqlite://{}/w.db", folder.path().display());
        let other = Database::connect(&url).await.unwrap();
        let start = Instant::now();
        sqlx::query("INSERT INTO t (id, note) VALUES (2, 'n')")
            .execute(other.writer())
            .await
            .unwrap();
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(ids(&db).await, HashSet::from([2]));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn callers_who_go_away_at_any_moment_take_nobody_with_them() {
        let (folder, db) = database().await;
        let tasks = TaskTracker::new();
        let mut kept = Vec::new();
        for i in 0..300_u64 {
            let id = i64::try_from(i).unwrap();
            let other = db.clone();
            let one = async move {
                let mut tx = other.begin().await?;
                insert(&mut tx, id).await?;
                tx.commit().await
            };
            if i % 3 == 0 {
                let patience = Duration::from_micros(i * 7);
                tasks.spawn(async move { tokio::time::timeout(patience, one).await.ok() });
            } else {
                kept.push((id, tasks.spawn(one)));
            }
        }
        let mut expected = HashSet::new();
        for (id, task) in kept {
            task.await.unwrap().unwrap();
            expected.insert(id);
        }
        tasks.close();
        tasks.wait().await;
        assert!(expected.is_subset(&ids(&db).await));
        // And nobody left the door locked: another process may write at once.
        tokio::time::sleep(OLDEST * 5).await;
        let url = format!("sqlite://{}/w.db", folder.path().display());
        let other = Database::connect(&url).await.unwrap();
        let start = Instant::now();
        sqlx::query("DELETE FROM t")
            .execute(other.writer())
            .await
            .unwrap();
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

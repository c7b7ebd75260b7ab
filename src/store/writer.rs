//! Writing. PostgreSQL has its pool. SQLite lets one connection write at a time, makes the others
//! ask again and again, and waits for the disk at each commit; so here all writers of a process
//! queue for one connection, and transactions that follow each other closely are committed
//! together: each is a savepoint in a transaction that the last in the queue commits, and none is
//! told that it is committed before the disk has it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt, TryFutureExt};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
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

/// What a statement answered.
type Told = Vec<Either<AnyQueryResult, AnyRow>>;

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

    /// For what takes long: who wrote just before does not wait for it.
    pub(super) async fn begin_long(&self) -> sqlx::Result<Tx> {
        if let Kind::Shared(shared) = &self.0 {
            let mut seat = shared.seat().await;
            // A task of its own, as in `Tx::commit`.
            let settled = async move { seat.settle().await };
            shared.tasks.spawn(settled).await.ok();
        }
        self.begin().await
    }

    /// One statement, which either engine does whole or not at all.
    async fn single<'q, E>(&self, query: E) -> sqlx::Result<Told>
    where
        E: 'q + Execute<'q, Any>,
    {
        let shared = match &self.0 {
            Kind::Pool(pool, _) => return pool.fetch_many(query).try_collect().await,
            Kind::Shared(shared) => shared,
        };
        let mut seat = shared.seat().await;
        seat.open(&shared.pool).await?;
        let told = seat.connection()?.fetch_many(query).try_collect().await;
        let shared = shared.clone();
        match told {
            Ok(told) => {
                let (done, durable) = oneshot::channel();
                let tasks = shared.tasks.clone();
                tasks.spawn(join(shared, seat, done));
                heard(durable).await?;
                Ok(told)
            }
            Err(error) => {
                // Who was here first is committed before the refusal is heard: a caller who then
                // looks for the row that is in the way finds it.
                let settled = async move { seat.settle().await };
                shared.tasks.spawn(settled).await.ok();
                Err(error)
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

    /// Opens a savepoint in the group. What may be cut short (the caller may go away at any await)
    /// is noted before it is tried.
    async fn enter(&mut self, pool: &AnyPool) -> sqlx::Result<()> {
        self.open(pool).await?;
        self.is_dirty = true;
        self.say("SAVEPOINT member").await
    }

    /// Opens a group unless one is open.
    async fn open(&mut self, pool: &AnyPool) -> sqlx::Result<()> {
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
        Ok(())
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
        heard(durable).await
    }
}

/// What became of the group.
async fn heard(durable: oneshot::Receiver<Result<(), String>>) -> sqlx::Result<()> {
    match durable.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(sqlx::Error::Protocol(why)),
        Err(_) => Err(sqlx::Error::WorkerCrashed),
    }
}

/// Puts what the holder of the seat did into the group, and commits the group when it is due.
async fn join(
    shared: Arc<Shared>,
    mut seat: OwnedMutexGuard<Seat>,
    done: oneshot::Sender<Result<(), String>>,
) {
    if seat.is_dirty {
        if let Err(error) = seat.say("RELEASE member").await {
            seat.settle().await;
            done.send(Err(error.to_string())).ok();
            return;
        }
        seat.is_dirty = false;
    }
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
        let all = self
            .single(query)
            .map_ok(|told| futures::stream::iter(told.into_iter().map(Ok)));
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
#[path = "writer_tests.rs"]
mod tests;

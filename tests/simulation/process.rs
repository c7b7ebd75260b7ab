//! One process of Pagecast: the real application in a runtime of its own, which can be run until
//! it waits for the world, left standing (frozen), or dropped in the middle of anything (killed).
//!
//! Between two statements a process can be killed, within one it cannot: SQLite undoes what was not
//! committed, so a kill inside a transaction leaves the same rows as a kill before it.

use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use pagecast::app::{App, Surroundings};
use pagecast::chance::Chance;
use pagecast::clock::{Clock, Millis, Timeline};
use pagecast::config::Config;
use pagecast::http_client::{Answer, Failure, HttpClient, Transport};
use pagecast::queue::Queue;
use pagecast::store::ids::PageRowId;
use pagecast::store::{Database, Engine};
use pagecast::{campaigns, delivery, webhooks};
use serde_json::Value;
use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, Executor, Pool};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// More steps than this without waiting for the world are an endless loop.
const TIRELESS: u32 = 10_000;
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The time of the whole world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now(Arc<AtomicI64>);

impl Now {
    pub(crate) fn at(now: Millis) -> Self {
        Self(Arc::new(AtomicI64::new(now)))
    }

    pub(crate) fn get(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, now: Millis) {
        self.0.store(now, Ordering::SeqCst);
    }
}

/// What a process does when it is told to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    Webhooks,
    Campaigns,
    Pages,
    Messages(i64),
    Sweep,
}

/// A request on its way out.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) reply: oneshot::Sender<Result<Answer, Failure>>,
}

#[derive(Debug)]
pub(crate) struct Sleep {
    pub(crate) until: Millis,
    pub(crate) wake: oneshot::Sender<()>,
}

/// What a process wants of the world since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) calls: Vec<Call>,
    pub(crate) sleeps: Vec<Sleep>,
    pub(crate) pages: Vec<i64>,
    pub(crate) errors: Vec<String>,
}

/// Where the futures of a process and the world meet.
#[derive(Debug)]
struct Node {
    now: Now,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    wishes: Wishes,
    busy: BTreeSet<Job>,
    /// After so many further steps the process dies.
    steps_left: Option<u32>,
    /// Steps since it last waited for the world.
    steps_run: u32,
    killed: bool,
}

impl Node {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A moment at which the process may die: `false` when it does so now.
    fn step(&self) -> bool {
        let mut state = self.state();
        state.steps_run += 1;
        if state.steps_run > TIRELESS {
            let what = format!("{:?} go round in circles while no time passes", state.busy);
            state.wishes.errors.push(what);
            state.killed = true;
        }
        match &mut state.steps_left {
            Some(0) => state.killed = true,
            Some(left) => *left -= 1,
            None => {}
        }
        !state.killed
    }
}

impl Timeline for Node {
    fn now(&self) -> Millis {
        self.now.get()
    }

    fn sleep_until(&self, until: Millis) -> BoxFuture<'static, ()> {
        if until <= self.now.get() {
            return std::future::ready(()).boxed();
        }
        let (wake, woken) = oneshot::channel();
        if self.step() {
            self.state().wishes.sleeps.push(Sleep { until, wake });
        }
        stay(woken).boxed()
    }
}

impl Transport for Node {
    fn send(&self, request: reqwest::Request) -> BoxFuture<'static, Result<Answer, Failure>> {
        let (reply, answer) = oneshot::channel();
        if self.step() {
            let body = request.body().and_then(reqwest::Body::as_bytes);
            let call = Call {
                method: request.method().to_string(),
                path: request.url().path().to_owned(),
                body: body
                    .and_then(|b| serde_json::from_slice(b).ok())
                    .unwrap_or_default(),
                reply,
            };
            self.state().wishes.calls.push(call);
        }
        stay(answer).boxed()
    }
}

/// What never comes is waited for until the process dies.
async fn stay<T>(coming: oneshot::Receiver<T>) -> T {
    match coming.await {
        Ok(value) => value,
        Err(_) => pending().await,
    }
}

/// Tells when a process waits for nothing but the world: no task can go on, and nobody is at the
/// database.
#[derive(Debug, Default)]
struct Rest {
    pool: OnceLock<AnyPool>,
    node: OnceLock<Arc<Node>>,
    resting: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Rest {
    fn on_park(&self) {
        let (Some(pool), Some(node)) = (self.pool.get(), self.node.get()) else {
            return;
        };
        let at_database = pool.num_idle() < pool.size() as usize;
        if at_database && !node.state().killed {
            return;
        }
        self.resting.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = waker.as_ref() {
            waker.wake_by_ref();
        }
    }
}

pub(crate) struct Process {
    pub(crate) app: App,
    node: Arc<Node>,
    rest: Arc<Rest>,
    runtime: Option<Runtime>,
}

impl Process {
    /// Starts on the database in `file`. `connections` is 1 where the order of statements must not
    /// depend on the machine.
    pub(crate) fn start(
        file: &Path,
        now: &Now,
        http: &HttpClient,
        warm_up: Millis,
        seed: u64,
        connections: u32,
    ) -> Self {
        let rest = Arc::new(Rest::default());
        let hook = rest.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .on_thread_park(move || hook.on_park())
            .build()
            .unwrap();
        let node = Arc::new(Node {
            now: now.clone(),
            state: Mutex::default(),
        });
        let pool = runtime.block_on(open(file, node.clone(), connections));
        let _ = rest.pool.set(pool.clone());
        let _ = rest.node.set(node.clone());
        let config = Config::from_lookup(|name| match name {
            "SECRET_KEY" => Some(KEY.to_owned()),
            "META_GRAPH_URL" => Some("http://meta.simulated".to_owned()),
            "META_WARM_UP_SECONDS" => Some((warm_up / 1_000).to_string()),
            _ => None,
        });
        let surroundings = Surroundings {
            clock: Clock::simulated(node.clone()),
            chance: Chance::seeded(seed),
            http: http.through(node.clone()),
            db: Database::from_pool(pool, Engine::Sqlite),
            queue: Queue::silent(),
        };
        Self {
            app: App::within(config.unwrap(), surroundings),
            node,
            rest,
            runtime: Some(runtime),
        }
    }

    /// Begins a job, unless it is still at it.
    pub(crate) fn begin(&self, job: Job) {
        if !self.node.state().busy.insert(job) {
            return;
        }
        let (app, node) = (self.app.clone(), self.node.clone());
        self.runtime().spawn(async move {
            let done = AssertUnwindSafe(perform(&app, job)).catch_unwind().await;
            let mut state = node.state();
            state.busy.remove(&job);
            match done {
                Ok(Ok(pages)) => state.wishes.pages.extend(pages),
                Ok(Err(error)) => state.wishes.errors.push(format!("{job:?}: {error:#}")),
                Err(_) => state.wishes.errors.push(format!("{job:?} panicked")),
            }
        });
    }

    /// Runs until nothing can go on without the world; what it wants then.
    pub(crate) fn run(&self) -> Wishes {
        let rest = &self.rest;
        rest.resting.store(false, Ordering::SeqCst);
        self.node.state().steps_run = 0;
        self.runtime().block_on(poll_fn(|cx| {
            if rest.resting.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            *rest.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
            Poll::Pending
        }));
        std::mem::take(&mut self.node.state().wishes)
    }

    /// Runs one thing to its end, for somebody who never waits for Meta.
    pub(crate) fn does<T>(&self, what: impl Future<Output = T>) -> T {
        let done = self.runtime().block_on(what);
        // The connection goes back before anybody else wants the database.
        self.run();
        done
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.node.state().busy.is_empty()
    }

    pub(crate) fn dies_after(&self, steps: u32) {
        self.node.state().steps_left = Some(steps);
    }

    /// The world is calm: nobody dies any more.
    pub(crate) fn lives_on(&self) {
        self.node.state().steps_left = None;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.node.state().killed
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The pages on which something is due, if the job was to find them.
async fn perform(app: &App, job: Job) -> anyhow::Result<Vec<i64>> {
    match job {
        Job::Webhooks => webhooks::process_due(app).await.map(|_| vec![]),
        Job::Campaigns => campaigns::advance(app).await.map(|()| vec![]),
        Job::Pages => {
            let pages = delivery::pages_due(app).await?;
            Ok(pages.into_iter().map(|page| page.0).collect())
        }
        Job::Messages(page) => {
            let sent = delivery::send_due(app, PageRowId(page)).await;
            sent.map(|()| vec![])
        }
        Job::Sweep => delivery::sweep(app).await.map(|()| vec![]),
    }
}

async fn open(file: &Path, node: Arc<Node>, connections: u32) -> Pool<Any> {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(20))
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .before_acquire(move |_, _| {
            let node = node.clone();
            Box::pin(async move {
                if !node.step() {
                    pending::<()>().await;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                // Nothing here survives the schedule, so nothing needs to reach the disk.
                let settings = "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; \
                                PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON";
                connection.execute(settings).await?;
                Ok(())
            })
        })
        .connect(&format!("sqlite://{}", file.display()))
        .await
        .unwrap()
}

//! Jobs: nudges that carry an id and never the truth. A lost job loses nothing, because a sweep
//! asks the rows; a doubled one does nothing twice.

mod backend;
mod ticks;

use std::collections::HashSet;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::store::ids::PageRowId;
use backend::Backend;

/// At most one push of the same job in this time; what is nudged meanwhile is pushed at its end.
const COALESCE: Duration = Duration::from_millis(50);

/// What there may be to do. A job says where to look, the rows say what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Job {
    /// Webhooks of shops and of Meta were kept and wait to be understood.
    Webhooks,
    /// Klaviyo's were.
    KlaviyoWebhooks,
    /// Messages of this Page are due.
    Messages(PageRowId),
    /// Campaigns are due to be prepared, launched or finished.
    Campaigns,
    /// Runs of automations are due.
    Runs,
    /// Klaviyo: groups to sync, events to send.
    Profiles,
    /// Orders whose journey is to be asked for, privacy demands, old rows.
    Upkeep,
}

impl Job {
    /// The kind of job, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::KlaviyoWebhooks => "klaviyo_webhooks",
            Self::Messages(_) => "messages",
            Self::Campaigns => "campaigns",
            Self::Runs => "runs",
            Self::Profiles => "profiles",
            Self::Upkeep => "upkeep",
        }
    }

    pub fn lane(self) -> Lane {
        match self {
            Self::Webhooks | Self::KlaviyoWebhooks => Lane::Webhooks,
            Self::Messages(_) => Lane::Messages,
            Self::Campaigns | Self::Runs | Self::Profiles | Self::Upkeep => Lane::Upkeep,
        }
    }
}

/// Queues that do not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    Webhooks,
    Messages,
    Upkeep,
}

impl Lane {
    pub const ALL: [Self; 3] = [Self::Webhooks, Self::Messages, Self::Upkeep];

    pub fn name(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::Messages => "messages",
            Self::Upkeep => "upkeep",
        }
    }
}

/// Takes nudges. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// Nudges go nowhere: whoever runs the work asks the rows itself (stories, one-off commands).
    Silent,
    Real(Real),
}

#[derive(Debug)]
struct Real {
    backend: Backend,
    inbox: Arc<Inbox>,
    pusher: TaskTracker,
    closed: CancellationToken,
}

/// Nudges that were not pushed yet.
#[derive(Debug, Default)]
struct Inbox {
    waiting: Mutex<HashSet<Job>>,
    news: Notify,
}

impl Queue {
    pub fn silent() -> Self {
        Self(Arc::new(Kind::Silent))
    }

    /// Opens the queue that belongs to the database (SQLite: a file beside it, PostgreSQL: the
    /// schema `apalis`), creating what is missing, and starts the task that pushes nudges.
    pub async fn open(database_url: &str) -> anyhow::Result<Self> {
        let backend = Backend::open(database_url).await?;
        let inbox = Arc::new(Inbox::default());
        let closed = CancellationToken::new();
        let pusher = TaskTracker::new();
        pusher.spawn(push_nudges(backend.clone(), inbox.clone(), closed.clone()));
        pusher.close();
        Ok(Self(Arc::new(Kind::Real(Real {
            backend,
            inbox,
            pusher,
            closed,
        }))))
    }

    /// Says that there may be work. Never blocks, never fails: the sweep makes up for it.
    pub fn nudge(&self, job: Job) {
        if let Kind::Real(real) = &*self.0 {
            real.inbox.add(job);
        }
    }

    /// Hands the lane's jobs to `handle`, up to `concurrency` at a time, until `stop`; then waits
    /// for those in flight. A queue that fails is opened again after a pause.
    pub async fn work<F, Done>(
        &self,
        lane: Lane,
        concurrency: usize,
        stop: CancellationToken,
        handle: F,
    ) where
        F: Fn(Job) -> Done + Clone + Send + Sync + 'static,
        Done: Future<Output = ()> + Send + 'static,
    {
        let Kind::Real(real) = &*self.0 else {
            return;
        };
        while !stop.is_cancelled() {
            let ended = real
                .backend
                .run(lane, concurrency, stop.clone(), handle.clone())
                .await;
            let Err(error) = ended else {
                continue;
            };
            tracing::warn!(
                lane = lane.name(),
                "The queue failed and is opened again: {error:#}"
            );
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(2)) => {}
            }
        }
    }

    /// Removes jobs that are done or that nobody took for long: the rows are the truth.
    pub async fn prune(&self) -> anyhow::Result<()> {
        match &*self.0 {
            Kind::Silent => Ok(()),
            Kind::Real(real) => real.backend.prune().await,
        }
    }

    /// Pushes what was nudged and lets go of the connections.
    pub async fn close(&self) {
        if let Kind::Real(real) = &*self.0 {
            real.closed.cancel();
            real.pusher.wait().await;
            real.backend.close().await;
        }
    }
}

impl Inbox {
    fn add(&self, job: Job) {
        let is_new = self.lock().insert(job);
        if is_new {
            self.news.notify_one();
        }
    }

    fn take(&self) -> Vec<Job> {
        self.lock().drain().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn push_nudges(backend: Backend, inbox: Arc<Inbox>, closed: CancellationToken) {
    while !closed.is_cancelled() {
        tokio::select! {
            () = closed.cancelled() => {}
            () = inbox.news.notified() => {}
        }
        let jobs = inbox.take();
        for lane in Lane::ALL {
            let jobs: Vec<Job> = jobs
                .iter()
                .copied()
                .filter(|job| job.lane() == lane)
                .collect();
            if jobs.is_empty() {
                continue;
            }
            if let Err(error) = backend.push(lane, jobs).await {
                tracing::warn!(
                    lane = lane.name(),
                    "A nudge was lost, the clockwork makes up for it: {error:#}"
                );
            }
        }
        tokio::time::sleep(COALESCE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::mpsc;

    use super::*;

    /// Nudges through one queue what another works on, as two processes do, and returns the waits.
    async fn waits(from: &Queue, to: &Queue, pause: Duration) -> Vec<Duration> {
        let (done, mut heard) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let (worker, until) = (to.clone(), stop.clone());
        tasks.spawn(async move {
            let handle = move |job| {
                let _ = done.send(job);
                std::future::ready(())
            };
            worker.work(Lane::Messages, 4, until, handle).await;
        });
        tokio::time::sleep(Duration::from_millis(700)).await;
        let mut waits = Vec::new();
        for id in 0..20 {
            let job = Job::Messages(PageRowId(id));
            let start = Instant::now();
            from.nudge(job);
            loop {
                let next = tokio::time::timeout(Duration::from_secs(5), heard.recv()).await;
                if next.expect("the job came").expect("the worker lives") == job {
                    break;
                }
            }
            waits.push(start.elapsed());
            tokio::time::sleep(pause).await;
        }
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        waits.sort();
        eprintln!("waited {:?} (median), {:?} (worst)", waits[10], waits[19]);
        waits
    }

    #[tokio::test]
    async fn a_nudge_starts_work_at_once_on_sqlite() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/p.db", folder.path().display());
        let queue = Queue::open(&url).await.unwrap();
        let waits = waits(&queue, &queue, Duration::from_millis(130)).await;
        assert!(waits[15] < Duration::from_millis(200), "{waits:?}");
        queue.prune().await.unwrap();
        queue.close().await;
        assert!(folder.path().join("p-jobs.db").exists());
    }

    #[tokio::test]
    async fn a_nudge_starts_work_at_once_in_another_process_on_postgres() {
        let Some(url) = std::env::var("TEST_DATABASE_URL")
            .ok()
            .filter(|url| url.starts_with("postgres"))
        else {
            return;
        };
        let (from, to) = (
            Queue::open(&url).await.unwrap(),
            Queue::open(&url).await.unwrap(),
        );
        let waits = waits(&from, &to, Duration::from_millis(130)).await;
        assert!(waits[15] < Duration::from_millis(200), "{waits:?}");
        to.prune().await.unwrap();
        from.close().await;
        to.close().await;
    }

    #[tokio::test]
    async fn many_nudges_of_one_job_are_one_push_and_the_last_is_not_lost() {
        let inbox = Inbox::default();
        for _ in 0..1000 {
            inbox.add(Job::Runs);
        }
        assert_eq!(inbox.take(), [Job::Runs]);
        inbox.add(Job::Runs);
        assert_eq!(inbox.take(), [Job::Runs]);
        assert!(inbox.take().is_empty());
    }
}

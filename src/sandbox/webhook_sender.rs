//! Webhooks on their way out: queued in order, delivered by one task per platform, retried while
//! the receiver is away. Can be told to double or to shuffle what it delivers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{World, lock};

/// Tries while nobody listens: some 20 seconds, so a receiver may be restarted meanwhile.
const TRIES_UNREACHED: u32 = 45;
/// Tries while the receiver answers something other than 2xx.
const TRIES_REFUSED: u32 = 5;
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// One signed request, ready to go.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The queue of one platform. `T` is what the platform wants to tell; `encode` makes requests of
/// it at the last moment.
#[derive(Debug)]
pub(crate) struct Outbox<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<VecDeque<T>>,
    woken: Notify,
    outstanding: watch::Sender<usize>,
    doubles: AtomicBool,
    reorders: AtomicBool,
    delay_ms: AtomicU64,
    given_up: AtomicU64,
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + 'static> Outbox<T> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            queue: Mutex::new(VecDeque::new()),
            woken: Notify::new(),
            outstanding: watch::Sender::new(0),
            doubles: AtomicBool::new(false),
            reorders: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        }))
    }

    pub(crate) fn push(&self, item: T) {
        self.0.outstanding.send_modify(|n| *n += 1);
        lock(&self.0.queue).push_back(item);
        self.0.woken.notify_one();
    }

    pub(crate) fn doubles(&self, on: bool) {
        self.0.doubles.store(on, Ordering::SeqCst);
    }

    pub(crate) fn reorders(&self, on: bool) {
        self.0.reorders.store(on, Ordering::SeqCst);
    }

    /// What is taken from now on waits this long before it is delivered.
    pub(crate) fn delays(&self, ms: u64) {
        self.0.delay_ms.store(ms, Ordering::SeqCst);
    }

    /// Deliveries that nobody took.
    pub(crate) fn given_up(&self) -> u64 {
        self.0.given_up.load(Ordering::SeqCst)
    }

    /// Resolves when everything queued was delivered or given up.
    pub(crate) async fn settled(&self) {
        let mut outstanding = self.0.outstanding.subscribe();
        let _ = outstanding.wait_for(|n| *n == 0).await;
    }

    /// Delivers in a task of its own, up to `batch` items at a time.
    pub(crate) fn start(
        &self,
        tracker: &TaskTracker,
        stop: &CancellationToken,
        world: World,
        batch: usize,
        encode: impl Fn(Vec<T>) -> Vec<Delivery> + Send + Sync + 'static,
    ) -> anyhow::Result<()> {
        let client = outbound()?;
        let shared = self.0.clone();
        let stop = stop.clone();
        tracker.spawn(async move {
            let work = async {
                loop {
                    let items = shared.take(&world, batch).await;
                    let taken = items.len();
                    let delay = shared.delay_ms.load(Ordering::SeqCst);
                    if delay > 0 {
                        tokio::time::sleep(Duration::from_millis(delay)).await;
                    }
                    for delivery in encode(items) {
                        if !deliver(&client, &delivery).await {
                            shared.given_up.fetch_add(1, Ordering::SeqCst);
                        }
                        if shared.doubles.load(Ordering::SeqCst) {
                            deliver(&client, &delivery).await;
                        }
                    }
                    shared
                        .outstanding
                        .send_modify(|n| *n = n.saturating_sub(taken));
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
        Ok(())
    }
}

impl<T> Shared<T> {
    /// Waits for something to deliver.
    async fn take(&self, world: &World, batch: usize) -> Vec<T> {
        loop {
            if !lock(&self.queue).is_empty() {
                if !self.reorders.load(Ordering::SeqCst) {
                    let mut queue = lock(&self.queue);
                    let n = queue.len().min(batch);
                    return queue.drain(..n).collect();
                }
                // Something to shuffle with has a moment to come along.
                tokio::time::sleep(Duration::from_millis(20)).await;
                let mut queue = lock(&self.queue);
                let at = world.chance.below(queue.len());
                if let Some(item) = queue.remove(at) {
                    return vec![item];
                }
            }
            self.woken.notified().await;
        }
    }
}

/// The sandbox's own way out: it follows no redirect and keeps its hands off the product's client.
pub(crate) fn outbound() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .tcp_nodelay(true)
        .build()?)
}

async fn deliver(client: &reqwest::Client, delivery: &Delivery) -> bool {
    let mut pause = Duration::from_millis(20);
    let mut refused = 0;
    for _ in 0..TRIES_UNREACHED {
        let mut request = client.post(&delivery.url).body(delivery.body.clone());
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return true,
            Ok(_) => refused += 1,
            Err(_) => {}
        }
        if refused >= TRIES_REFUSED {
            return false;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    false
}

//! What every product function can reach, built once from the configuration.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::chance::Chance;
use crate::clock::Clock;
use crate::config::Config;
use crate::http_client::HttpClient;
use crate::queue::Queue;
use crate::store::Database;
use crate::store::ids::Ids;
use crate::store::sealed::Keys;
use crate::{klaviyo, meta, shopify};

/// Cheap to clone; every part is shared.
#[derive(Clone, Debug)]
pub struct App {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub chance: Chance,
    pub db: Database,
    pub ids: Ids,
    pub keys: Keys,
    pub queue: Queue,
    /// The way out to addresses that are no platform's.
    pub http: HttpClient,
    pub meta: meta::Client,
    pub shopify: shopify::Client,
    pub klaviyo: klaviyo::Client,
    pub capacity: Arc<Capacity>,
    /// What a graceful stop waits for.
    pub tasks: TaskTracker,
    /// Cancelled when the process is asked to stop: finish what is in flight, start nothing new.
    pub stop: CancellationToken,
}

/// What this process takes on at once.
#[derive(Debug)]
pub struct Capacity {
    /// Calls to Meta that wait for their answer.
    pub calls: Semaphore,
    /// Batches of messages whose calls are not all out yet.
    batches: Arc<Semaphore>,
    /// Which of all processes this is: a number by chance.
    pub worker: i64,
}

impl Capacity {
    /// Waits for the turn of a batch; it lasts until the permit is let go. In the order of asking.
    pub async fn batch(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed, so there always is one.
        Arc::clone(&self.batches).acquire_owned().await.ok()
    }
}

/// Batches on their way out at once.
const BATCHES: usize = 128;
/// Calls in flight: more than one process has answers to keep up with, few enough to fit in memory.
const CALLS: usize = 512;

/// What an app does not make itself: time, chance, storage, and the way out.
#[derive(Debug)]
pub struct Surroundings {
    pub clock: Clock,
    pub chance: Chance,
    pub http: HttpClient,
    pub db: Database,
    pub queue: Queue,
}

impl App {
    pub fn new(config: Config, clock: Clock, db: Database, queue: Queue) -> anyhow::Result<Self> {
        let surroundings = Surroundings {
            clock,
            chance: Chance::system(),
            http: HttpClient::new()?,
            db,
            queue,
        };
        Ok(Self::within(config, surroundings))
    }

    pub fn within(config: Config, surroundings: Surroundings) -> Self {
        let Surroundings {
            clock,
            chance,
            http,
            db,
            queue,
        } = surroundings;
        let meta = meta::Client::new(
            http.clone(),
            meta::Settings {
                graph_url: config.meta.graph_url.clone(),
                graph_version: config.meta.graph_version.clone(),
                app_id: config.meta.app_id.clone(),
                app_secret: config.meta.app_secret.clone(),
            },
        );
        let shopify = shopify::Client::new(
            http.clone(),
            shopify::Settings {
                admin_url: config.shopify.admin_url.clone(),
                client_id: config.shopify.api_key.clone(),
                client_secret: config.shopify.api_secrets.first().cloned(),
            },
        );
        let klaviyo = klaviyo::Client::new(
            http.clone(),
            klaviyo::Settings {
                api_url: config.klaviyo.api_url.clone(),
                client_id: config.klaviyo.client_id.clone(),
                client_secret: config.klaviyo.client_secret.clone(),
            },
        );
        let worker = chance.bits().cast_signed();
        Self {
            ids: Ids::new(clock.clone(), chance.clone()),
            keys: Keys::new(&config.secret_keys),
            config: Arc::new(config),
            clock,
            chance,
            db,
            queue,
            http,
            meta,
            shopify,
            klaviyo,
            capacity: Arc::new(Capacity {
                calls: Semaphore::new(CALLS),
                batches: Arc::new(Semaphore::new(BATCHES)),
                worker,
            }),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Starts a task that a graceful stop waits for.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }
}

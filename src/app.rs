//! What every product function can reach, built once from the configuration.

use std::future::Future;
use std::sync::Arc;

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
    pub meta: meta::Client,
    pub shopify: shopify::Client,
    pub klaviyo: klaviyo::Client,
    /// What a graceful stop waits for.
    pub tasks: TaskTracker,
    /// Cancelled when the process is asked to stop: finish what is in flight, start nothing new.
    pub stop: CancellationToken,
}

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
            },
        );
        let klaviyo = klaviyo::Client::new(
            http,
            klaviyo::Settings {
                api_url: config.klaviyo.api_url.clone(),
                client_id: config.klaviyo.client_id.clone(),
                client_secret: config.klaviyo.client_secret.clone(),
            },
        );
        Self {
            ids: Ids::new(clock.clone(), chance.clone()),
            keys: Keys::new(&config.secret_keys),
            config: Arc::new(config),
            clock,
            chance,
            db,
            queue,
            meta,
            shopify,
            klaviyo,
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

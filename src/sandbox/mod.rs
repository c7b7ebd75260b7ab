//! Meta, Shopify and Klaviyo imitated over HTTP on loopback: state and an HTTP face each, strict
//! where the platforms are strict, driven in the words of people. Tests use it explicitly; the
//! demo lets its people live by themselves ([`Mode::Auto`]).
//!
//! It shares no type with the clients in `meta`, `shopify` and `klaviyo`: a wrong field name there
//! must be refused here.

mod auto;
mod chance;
mod klaviyo;
mod meta;
mod play;
#[cfg(test)]
mod probe;
mod shopify;
mod signature;
mod webhook_sender;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;

pub use auto::{Rates, Shopper};
pub use klaviyo::{Klaviyo, Profile, ReceivedEvent};
pub use meta::PORTFOLIO_CONFIG;
pub use meta::{Campaign, Channel, EventShape, Meta, Person, SeenCall, SentMessage, Throttle};
pub use shopify::{Customer, Item, Purchase, Shopify};

use chance::Chance;

/// Everything the sandbox needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Every rule about time (windows, cool-downs, warm-up, limits) asks this clock.
    pub clock: Clock,
    /// Ports of Meta, Shopify and Klaviyo on 127.0.0.1; 0 takes a free one.
    pub ports: [u16; 3],
    /// `META_APP_ID` of the product under test.
    pub app_id: String,
    /// Signs Meta's webhooks and checks `appsecret_proof`.
    pub app_secret: String,
    /// What the product answers the webhook handshake with.
    pub verify_token: String,
    /// `SHOPIFY_API_KEY`: the app's client id.
    pub shopify_key: String,
    /// `SHOPIFY_API_SECRET`: signs Shopify's webhooks and session tokens.
    pub shopify_secret: String,
    pub klaviyo_client_id: String,
    pub klaviyo_client_secret: String,
    /// How long after its creation a message campaign refuses sends with 2300003.
    pub warm_up_ms: i64,
    /// The same seed gives the same people, ids and decisions.
    pub seed: u64,
    pub mode: Mode,
}

impl Config {
    /// Settings for a test or a laptop: free ports, an hour of warm-up, explicit people.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            ports: [0; 3],
            app_id: "1000000000000001".to_owned(),
            app_secret: "sandbox-meta-app-secret".to_owned(),
            verify_token: "sandbox-verify-token".to_owned(),
            shopify_key: "sandbox-shopify-key".to_owned(),
            shopify_secret: "sandbox-shopify-secret".to_owned(),
            klaviyo_client_id: "sandbox-klaviyo-client".to_owned(),
            klaviyo_client_secret: "sandbox-klaviyo-secret".to_owned(),
            warm_up_ms: 3_600_000,
            seed: 1,
            mode: Mode::Explicit,
        }
    }
}

/// Who moves the people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nobody does anything unless told: for tests.
    Explicit,
    /// People read, click, buy and stop by themselves: for the demo.
    Auto,
}

/// What all three platforms share: the time and the dice.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) chance: Arc<Chance>,
}

/// The three platforms, running. Ends with [`Sandbox::shutdown`], or when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    pub meta: Meta,
    pub shopify: Shopify,
    pub klaviyo: Klaviyo,
    auto: auto::Auto,
    tracker: TaskTracker,
    stop: CancellationToken,
}

/// Starts the three servers and, in [`Mode::Auto`], the people.
///
/// # Errors
/// When a port is taken.
pub async fn start(config: Config) -> anyhow::Result<Sandbox> {
    let world = World {
        clock: config.clock.clone(),
        chance: Arc::new(Chance::seeded(config.seed)),
    };
    let tracker = TaskTracker::new();
    let stop = CancellationToken::new();
    let [meta_port, shopify_port, klaviyo_port] = config.ports;
    let (meta_listener, meta_address) = listen(meta_port).await?;
    let (shopify_listener, shopify_address) = listen(shopify_port).await?;
    let (klaviyo_listener, klaviyo_address) = listen(klaviyo_port).await?;

    let meta = Meta::new(world.clone(), &config, meta_address)?;
    let shopify = Shopify::new(world.clone(), &config, shopify_address)?;
    let klaviyo = Klaviyo::new(world.clone(), &config, klaviyo_address)?;
    meta.start(&tracker, &stop)?;
    shopify.start(&tracker, &stop)?;
    klaviyo.start(&tracker, &stop)?;

    let auto = auto::Auto::new(world, meta.clone(), shopify.clone(), klaviyo.clone())?;
    if config.mode == Mode::Auto {
        auto.start(&tracker, &stop);
    }
    let play = play::router(meta.clone(), shopify.clone(), auto.clone());
    serve(&tracker, &stop, meta_listener, meta.router().merge(play));
    serve(&tracker, &stop, shopify_listener, shopify.router());
    serve(&tracker, &stop, klaviyo_listener, klaviyo.router());
    Ok(Sandbox {
        meta,
        shopify,
        klaviyo,
        auto,
        tracker,
        stop,
    })
}

/// `pagecast sandbox`: runs until interrupted and prints, for people, the environment that points
/// the product at it.
///
/// # Errors
/// When a port is taken.
pub async fn run_standalone(config: Config) -> anyhow::Result<()> {
    let variables = [
        ("META_APP_ID", config.app_id.clone()),
        ("META_APP_SECRET", config.app_secret.clone()),
        ("META_VERIFY_TOKEN", config.verify_token.clone()),
        (
            "META_WARM_UP_SECONDS",
            (config.warm_up_ms / 1_000).to_string(),
        ),
        ("SHOPIFY_API_KEY", config.shopify_key.clone()),
        ("SHOPIFY_API_SECRET", config.shopify_secret.clone()),
        ("KLAVIYO_CLIENT_ID", config.klaviyo_client_id.clone()),
        (
            "KLAVIYO_CLIENT_SECRET",
            config.klaviyo_client_secret.clone(),
        ),
    ];
    let sandbox = start(config).await?;
    sandbox.furnish();
    eprintln!("Meta, Shopify and Klaviyo are imitated here until you press Ctrl-C.");
    eprintln!("Point Pagecast at them with:\n");
    eprintln!("export META_GRAPH_URL={}", sandbox.meta.url());
    eprintln!("export META_LOGIN_URL={}", sandbox.meta.url());
    eprintln!("export META_LOGIN_CONFIG_ID={PORTFOLIO_CONFIG}");
    eprintln!("export META_LOGIN_CONFIG_IDS={}", login_configs());
    eprintln!("export SHOPIFY_ADMIN_URL='{}'", sandbox.shopify.url());
    eprintln!("export KLAVIYO_API_URL={}", sandbox.klaviyo.url());
    for (name, value) in variables {
        eprintln!("export {name}={value}");
    }
    eprintln!("\nOne shop, one Page and one Klaviyo account stand ready; connect them with:\n");
    eprintln!("  shop  {DEMO_SHOP}  token {DEMO_SHOP_TOKEN}");
    eprintln!(
        "  Page  {DEMO_PAGE}  token {DEMO_PAGE_TOKEN}  ad account {DEMO_AD_ACCOUNT}  token {DEMO_AD_TOKEN}"
    );
    eprintln!("  Klaviyo  private key {DEMO_KLAVIYO_KEY}  or refresh token {DEMO_KLAVIYO_REFRESH}");
    eprintln!("\nPlay a shopper at {}", sandbox.play_url());
    tokio::signal::ctrl_c().await.context("wait for Ctrl-C")?;
    sandbox.shutdown().await;
    Ok(())
}

/// The shop that [`Sandbox::furnish`] opens, and its Admin token.
pub const DEMO_SHOP: &str = "harbour-coffee.myshopify.com";
pub const DEMO_SHOP_TOKEN: &str = "shpat_sandbox_harbour";
/// The Page that [`Sandbox::furnish`] opens, with its Page token, ad account and login token.
pub const DEMO_PAGE: &str = "104512345678901";
pub const DEMO_PAGE_TOKEN: &str = "EAAG_sandbox_page";
pub const DEMO_AD_ACCOUNT: &str = "act_220011223344";
pub const DEMO_AD_TOKEN: &str = "EAAG_sandbox_login";
/// The Klaviyo account that [`Sandbox::furnish`] opens, reachable by either.
pub const DEMO_KLAVIYO_KEY: &str = "pk_sandbox_harbour";
pub const DEMO_KLAVIYO_REFRESH: &str = "sandbox-refresh-harbour";

/// `META_LOGIN_CONFIG_IDS`: the further login configurations that stand ready.
pub fn login_configs() -> String {
    format!("asset={},leads={}", meta::ASSET_CONFIG, meta::LEADS_CONFIG)
}

impl Sandbox {
    /// Opens the shop, the Page (with somebody who manages it) and the Klaviyo account named by the
    /// `DEMO_` constants.
    pub fn furnish(&self) {
        self.shopify.shop(DEMO_SHOP, DEMO_SHOP_TOKEN);
        self.meta.page(
            DEMO_PAGE,
            "Harbour Coffee",
            DEMO_PAGE_TOKEN,
            DEMO_AD_ACCOUNT,
            DEMO_AD_TOKEN,
        );
        self.meta.manager("Sam Rivera", &[DEMO_PAGE]);
        let account = self.klaviyo.account(DEMO_KLAVIYO_KEY, DEMO_KLAVIYO_REFRESH);
        // So that either way of connecting may have system webhooks; the account is there.
        let _ = account.has_advanced_kdp(true);
    }

    /// Where a reader plays a shopper.
    pub fn play_url(&self) -> String {
        format!("{}/play", self.meta.url())
    }

    /// `n` people who have opted in already, each known to the shop and to Klaviyo too; nobody is
    /// told by webhook. For seeding a store.
    pub fn populate(&self, n: usize) -> anyhow::Result<Vec<Shopper>> {
        self.auto.populate(n)
    }

    /// Opt-in addresses (m.me links or landing pages) that new shoppers follow in auto mode.
    pub fn invites_through(&self, links: Vec<String>) {
        self.auto.invites_through(links);
    }

    /// How people behave in auto mode.
    pub fn behave(&self, rates: Rates) {
        self.auto.behave(rates);
    }

    /// Resolves when every queued webhook of all three platforms was delivered or given up.
    pub async fn settled(&self) {
        self.meta.settled().await;
        self.shopify.settled().await;
        self.klaviyo.settled().await;
    }

    /// Calls that no platform knows, of all three; a story fails on any.
    pub fn unknown_calls(&self) -> Vec<String> {
        let mut calls = self.meta.unknown_calls();
        calls.extend(self.shopify.unknown_calls());
        calls.extend(self.klaviyo.unknown_calls());
        calls
    }

    /// Stops the people and closes the servers; webhooks still queued are dropped.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tracker.close();
        // Connections kept alive by a client must not hold the end up.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.tracker.wait()).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listen(port: u16) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("listen on 127.0.0.1:{port}; choose another port"))?;
    let address = listener
        .local_addr()
        .context("read the listening address")?;
    Ok((listener, address))
}

fn serve(
    tracker: &TaskTracker,
    stop: &CancellationToken,
    listener: TcpListener,
    app: axum::Router,
) {
    let stopped = stop.clone().cancelled_owned();
    tracker.spawn(async move {
        if let Err(error) = axum::serve(listener, app)
            .with_graceful_shutdown(stopped)
            .await
        {
            tracing::error!(%error, "a sandbox server ended");
        }
    });
}

/// The lock's content, even if a thread died holding it: the sandbox's state has no half-way
/// invariants worth dying for.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

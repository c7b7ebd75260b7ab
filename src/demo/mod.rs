//! The demonstration: sandbox, server and a seeded store in one process, on a database of its own
//! that goes when the process ends. Needs no account, no other server and no network.

mod history;
mod seed;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::app::App;
use crate::clock::{Clock, SECOND};
use crate::config::Config;
use crate::queue::Queue;
use crate::sandbox::{self, Mode, Sandbox};
use crate::server::{self, Role};
use crate::shopify::ShopDomain;
use crate::store::Database;
use crate::store::ids::WorkspaceId;
use crate::telemetry::{self, Reader};
use crate::workspaces::{self, ConnectPage, KlaviyoSecret, PageRef};

/// Meta's hour of warm-up, for people who have a minute.
const WARM_UP_SECONDS: i64 = 3;

/// Runs until it is told to stop.
pub async fn run() -> anyhow::Result<()> {
    let listener = listen().await?;
    let url = format!("http://{}", listener.local_addr()?);
    let folder = Folder::new()?;
    let sandbox = sandbox::start(sandbox::Config {
        warm_up_ms: WARM_UP_SECONDS * SECOND,
        mode: Mode::Auto,
        ..sandbox::Config::new(Clock::system())
    })
    .await?;
    sandbox.furnish();
    let settings = environment(&sandbox, &folder.0, &url);
    let config = Config::from_lookup(|name| settings.get(name).cloned())?;
    telemetry::log(&config, Reader::Server)?;
    let db = Database::connect(&config.database_url).await?;
    db.migrate().await?;
    let queue = Queue::open(&config.database_url).await?;
    let app = App::new(config, Clock::system(), db, queue)?;
    server::stop_on_signals(&app)?;
    sandbox
        .meta
        .points_webhooks_at(&format!("{url}/webhooks/meta"));
    sandbox
        .shopify
        .points_webhooks_at(&format!("{url}/webhooks/shopify"));
    eprintln!("Seeding a store with two thousand subscribers…");
    let workspace = open_the_store(&app, &sandbox)
        .await
        .context("seed the store")?;
    let link = workspaces::login_link(&app, workspace).await?;
    eprintln!("\nHarbour Coffee's marketing on Messenger, with everybody imitated. Open:\n");
    println!("{}", link.url);
    eprintln!("\nPlay a shopper:  {}", sandbox.play_url());
    eprintln!("Stop with Ctrl-C. Nothing is kept.");
    let served = server::serve(&app, Role::All, listener).await;
    sandbox.shutdown().await;
    served
}

/// `BIND` if it is set; else the usual port, or any free one when that is taken.
async fn listen() -> anyhow::Result<TcpListener> {
    if let Some(bind) = std::env::var("BIND")
        .ok()
        .filter(|bind| !bind.trim().is_empty())
    {
        return TcpListener::bind(bind.trim())
            .await
            .with_context(|| format!("BIND: {bind} cannot be listened on"));
    }
    match TcpListener::bind("127.0.0.1:8080").await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind("127.0.0.1:0")
            .await
            .context("find a free port"),
    }
}

/// A scratch folder that goes with the process.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("pagecast-demo-{}", std::process::id()));
        // A folder of this name can only be left over from a process that is gone.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("make a scratch folder at {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn environment(sandbox: &Sandbox, folder: &Path, url: &str) -> HashMap<&'static str, String> {
    let secrets = sandbox::Config::new(Clock::system());
    let own = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let key: [u8; 32] = rand::random();
    HashMap::from([
        (
            "DATABASE_URL",
            format!("sqlite://{}", folder.join("demo.db").display()),
        ),
        ("PUBLIC_URL", url.to_owned()),
        ("BIND", url.trim_start_matches("http://").to_owned()),
        ("SECRET_KEY", STANDARD.encode(key)),
        ("SHOPIFY_API_KEY", secrets.shopify_key),
        ("SHOPIFY_API_SECRET", secrets.shopify_secret),
        ("SHOPIFY_ADMIN_URL", sandbox.shopify.url()),
        ("META_APP_ID", secrets.app_id),
        ("META_APP_SECRET", secrets.app_secret),
        ("META_VERIFY_TOKEN", secrets.verify_token),
        ("META_GRAPH_URL", sandbox.meta.url()),
        ("META_LOGIN_URL", sandbox.meta.url()),
        ("META_LOGIN_CONFIG_ID", sandbox::PORTFOLIO_CONFIG.to_owned()),
        ("META_LOGIN_CONFIG_IDS", sandbox::login_configs()),
        ("META_WARM_UP_SECONDS", WARM_UP_SECONDS.to_string()),
        ("KLAVIYO_CLIENT_ID", secrets.klaviyo_client_id),
        ("KLAVIYO_CLIENT_SECRET", secrets.klaviyo_client_secret),
        ("KLAVIYO_API_URL", sandbox.klaviyo.url()),
        ("LOG", own("LOG").unwrap_or_else(|| "warn".to_owned())),
        (
            "LOG_FORMAT",
            own("LOG_FORMAT").unwrap_or_else(|| "text".to_owned()),
        ),
    ])
}

async fn open_the_store(app: &App, sandbox: &Sandbox) -> anyhow::Result<WorkspaceId> {
    let workspace = workspaces::create(app, "Harbour Coffee").await?;
    let domain = ShopDomain::parse(sandbox::DEMO_SHOP).context("the demo's shop")?;
    let token = SecretString::from(sandbox::DEMO_SHOP_TOKEN);
    workspaces::connect_shop(app, workspace, domain, token).await?;
    let page = ConnectPage {
        meta_id: sandbox::DEMO_PAGE.to_owned(),
        token: SecretString::from(sandbox::DEMO_PAGE_TOKEN),
        ad_account: Some(sandbox::DEMO_AD_ACCOUNT.to_owned()),
        ad_token: Some(SecretString::from(sandbox::DEMO_AD_TOKEN)),
    };
    let page = PageRef {
        id: workspaces::connect_page(app, workspace, page).await?,
        workspace,
    };
    let people = seed::subscribers(app, page, sandbox).await?;
    history::write(app, page, &people).await?;
    let key = SecretString::from(sandbox::DEMO_KLAVIYO_KEY);
    workspaces::connect_klaviyo(app, workspace, KlaviyoSecret::PrivateKey(key)).await?;
    sandbox.invites_through(seed::links(app, workspace).await?);
    let shop = sandbox.shopify.storefront_url();
    seed::automations(app, workspace, &shop).await?;
    seed::campaigns(app, workspace, &shop).await?;
    Ok(workspace)
}

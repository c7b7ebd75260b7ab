//! The process that serves: web, worker or both, until told to stop; then it finishes what is in
//! flight.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::Router;
use axum::middleware::from_fn;
use clap::ValueEnum;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::queue::Queue;
use crate::store::Database;
use crate::telemetry::{self, Reader};
use crate::web::{self, Web, ops};
use crate::worker;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Both.
    All,
    /// Answers HTTP and leaves the work to others.
    Web,
    /// Does the work and answers only /healthz, /readyz and /metrics.
    Worker,
}

/// How long a graceful stop waits for what is in flight.
const PATIENCE: Duration = Duration::from_secs(25);

/// Everything from the environment, until a signal.
pub async fn run(role: Role) -> anyhow::Result<()> {
    let mut config = Config::from_env()?;
    telemetry::log(&config, Reader::Server)?;
    let listener = bind(&mut config).await?;
    let db = Database::connect(&config.database_url).await?;
    db.migrate().await?;
    let queue = Queue::open(&config.database_url).await?;
    let app = App::new(config, Clock::system(), db, queue)?;
    stop_on_signals(&app)?;
    serve(&app, role, listener).await
}

/// Takes the port before anything else: a second start must not touch what the first is doing.
async fn bind(config: &mut Config) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(config.bind).await.with_context(|| {
        format!(
            "BIND: {} cannot be listened on. Stop what uses it or set another address",
            config.bind
        )
    })?;
    let bound = listener.local_addr().context("read the bound address")?;
    if config.public_url == format!("http://{}", config.bind) {
        config.public_url = format!("http://{bound}");
    }
    config.bind = bound;
    Ok(listener)
}

/// Serves until `app.stop`, then lets go in order: requests, jobs, nudges, connections.
pub async fn serve(app: &App, role: Role, listener: TcpListener) -> anyhow::Result<()> {
    telemetry::metrics();
    let router = match role {
        Role::Worker => ops::router::<App>().with_state(app.clone()),
        Role::All | Role::Web => web::router(Web::start(app)),
    };
    if role != Role::Web {
        worker::start(app);
    }
    tracing::info!(
        role = ?role,
        "Pagecast listens on http://{} and is reached as {}",
        listener.local_addr()?,
        app.config.public_url
    );
    let service = layered(router).into_make_service_with_connect_info::<SocketAddr>();
    let server =
        axum::serve(listener, service).with_graceful_shutdown(app.stop.clone().cancelled_owned());
    let mut server = std::pin::pin!(server.into_future());
    // Asked to stop, an idle server may have ended already; it is not waited for twice.
    let mut ended = tokio::select! {
        ended = &mut server => Some(ended),
        () = app.stop.cancelled() => None,
    };
    app.stop.cancel();
    tracing::info!("Stopping: finishing what is in flight");
    let rest = async {
        if ended.is_none() {
            ended = Some(server.await);
        }
        app.tasks.close();
        app.tasks.wait().await;
        app.queue.close().await;
        app.db.close().await;
        ended.unwrap_or(Ok(()))
    };
    match tokio::time::timeout(PATIENCE, rest).await {
        Ok(ended) => ended.context("serve HTTP")?,
        Err(_) => {
            tracing::warn!("Stopped before all was finished; it is taken up at the next start");
        }
    }
    Ok(())
}

fn layered(router: Router) -> Router {
    router
        .layer(CatchPanicLayer::new())
        .layer(from_fn(ops::count_requests))
}

/// The first SIGTERM or SIGINT stops gracefully, the second at once.
pub fn stop_on_signals(app: &App) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| anyhow!(error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| anyhow!(error))?;
    let stop = app.stop.clone();
    // Not one of the app's tasks: a graceful stop would wait for the second signal.
    TaskTracker::new().spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(130);
            }
            stop.cancel();
        }
    });
    Ok(())
}

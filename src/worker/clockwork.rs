//! The clockwork: every second the rows are asked what is due, so that a lost nudge, a restart or
//! a retry's time needs nobody to remember it.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{BoxDynError, WorkerBuilder, WorkerBuilderExt};
use apalis_cron::{CronScheduler, Schedule, Tick, timezone::Utc};
use futures::FutureExt;

use super::runner::Runner;
use crate::app::App;
use crate::clock::{Clock, DAY, SECOND};
use crate::delivery;
use crate::queue::Job;

/// Runs until the app stops.
pub(super) async fn run(app: App, runner: Arc<Runner>) {
    let mut first = true;
    while !app.stop.is_cancelled() {
        if std::mem::take(&mut first) {
            start(&app, &runner, Job::Upkeep);
        } else {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let schedule = EverySecond(app.clock.clone());
        let (ticking, runner) = (app.clone(), runner.clone());
        let worker = WorkerBuilder::new("clockwork")
            .backend(CronScheduler::new(schedule))
            .concurrency(1)
            .build(move |tick: Tick<Utc>| {
                let (app, runner) = (ticking.clone(), runner.clone());
                async move {
                    on_tick(&app, &runner, tick.get_timestamp()).await;
                    Ok::<(), BoxDynError>(())
                }
            });
        let stop = app.stop.clone();
        let stopped = async move {
            stop.cancelled().await;
            Ok::<(), std::io::Error>(())
        };
        if let Err(error) = worker.run_until(stopped).boxed().await {
            tracing::warn!("The clockwork failed and is started again: {error}");
        }
    }
}

struct EverySecond(Clock);

impl Schedule<Utc> for EverySecond {
    fn next_tick(&mut self, _zone: &Utc) -> Option<Tick<Utc>> {
        let second = self.0.now() / SECOND + 1;
        Some(Tick::new(second.unsigned_abs()))
    }
}

async fn on_tick(app: &App, runner: &Arc<Runner>, second: u64) {
    match due(app).await {
        Ok(jobs) => {
            for job in jobs {
                start(app, runner, job);
            }
        }
        Err(error) => tracing::error!("The rows could not be asked what is due: {error:#}"),
    }
    if second.is_multiple_of(60) {
        start(app, runner, Job::Upkeep);
    }
}

fn start(app: &App, runner: &Arc<Runner>, job: Job) {
    let runner = runner.clone();
    app.spawn(async move { runner.run_if_idle(job).await });
}

/// What the rows say is due: one statement over partial indices, and the Pages with messages.
async fn due(app: &App) -> anyhow::Result<Vec<Job>> {
    let now = app.clock.now();
    // A campaign is looked at two days ahead: the zones of its subscribers (14 h) and the longest
    // warm-up (24 h) lie within.
    let kinds: Vec<String> = sqlx::query_scalar(
        "SELECT 'webhooks' WHERE EXISTS \
           (SELECT 1 FROM webhooks WHERE processed_at IS NULL \
              AND platform IN ('shopify', 'meta') AND retry_at <= $1) \
         UNION ALL SELECT 'klaviyo_webhooks' WHERE EXISTS \
           (SELECT 1 FROM webhooks WHERE processed_at IS NULL \
              AND platform IN ('klaviyo', 'klaviyo_flow') AND retry_at <= $1) \
         UNION ALL SELECT 'campaigns' WHERE EXISTS \
           (SELECT 1 FROM campaigns WHERE status IN ('preparing', 'running') \
              OR (status = 'scheduled' AND scheduled_at <= $2)) \
         UNION ALL SELECT 'runs' WHERE EXISTS \
           (SELECT 1 FROM runs WHERE status = 'waiting' AND due_at <= $1) \
         UNION ALL SELECT 'profiles' WHERE EXISTS \
           (SELECT 1 FROM klaviyo_accounts a WHERE a.state = 'active' AND EXISTS \
              (SELECT 1 FROM klaviyo_outbox o WHERE o.workspace_id = a.workspace_id \
                 AND o.sent_at IS NULL AND o.error IS NULL AND o.due_at <= $1)) \
           OR EXISTS (SELECT 1 FROM klaviyo_groups WHERE wanted_at IS NOT NULL \
              AND (synced_at IS NULL OR synced_at < wanted_at))",
    )
    .bind(now)
    .bind(now + 2 * DAY)
    .fetch_all(app.db.pool())
    .await?;
    let mut jobs: Vec<Job> = kinds
        .iter()
        .filter_map(|kind| match kind.as_str() {
            "webhooks" => Some(Job::Webhooks),
            "klaviyo_webhooks" => Some(Job::KlaviyoWebhooks),
            "campaigns" => Some(Job::Campaigns),
            "runs" => Some(Job::Runs),
            "profiles" => Some(Job::Profiles),
            _ => None,
        })
        .collect();
    let pages = delivery::pages_due(app).await?;
    jobs.extend(pages.into_iter().map(Job::Messages));
    Ok(jobs)
}

//! Which job runs which function, and the clockwork that asks the rows what is due.

mod clockwork;
mod retention;
mod runner;
mod shops;
mod upkeep;

use std::sync::Arc;

use anyhow::bail;

use crate::app::App;
use crate::queue::Lane;
use crate::{automations, campaigns, delivery, profiles, webhooks};
use runner::Runner;

/// Rounds after which [`run_due`] gives up on ever coming to rest.
const MAX_ROUNDS: usize = 500;

/// Starts the lanes and the clockwork as tasks of the app. They end by `app.stop`, having finished
/// what they were at.
pub fn start(app: &App) {
    let runner = Arc::new(Runner::new(app.clone()));
    for lane in Lane::ALL {
        let concurrency = match lane {
            Lane::Webhooks => 2,
            // Pages; how much of each goes on at once is delivery's to say.
            Lane::Messages => 256,
            Lane::Upkeep => 8,
        };
        let (queue, stop, runner) = (app.queue.clone(), app.stop.clone(), runner.clone());
        app.spawn(async move {
            let handle = move |job| {
                let runner = runner.clone();
                async move { runner.run(job).await }
            };
            queue.work(lane, concurrency, stop, handle).await;
        });
    }
    app.spawn(clockwork::run(app.clone(), runner));
}

/// Does everything that is due now, once, without the queue: for stories and one-off commands.
/// Returns when nothing is due any more.
pub async fn run_due(app: &App) -> anyhow::Result<()> {
    upkeep::run(app).await?;
    shops::run(app).await?;
    for _ in 0..MAX_ROUNDS {
        let mut done = webhooks::process_due(app).await?;
        done += webhooks::process_klaviyo_due(app).await?;
        campaigns::advance(app).await?;
        done += automations::advance_due(app).await?;
        let pages = delivery::pages_due(app).await?;
        done += pages.len();
        for page in pages {
            delivery::send_due(app, page).await?;
        }
        done += profiles::sync_due(app).await?;
        done += profiles::send_due(app).await?;
        if done == 0 {
            return Ok(());
        }
    }
    bail!("the work that is due does not come to an end")
}

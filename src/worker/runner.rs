//! Runs jobs: one of a kind at a time in this process, a panic caught, a failure logged once and
//! tried again after a pause.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::Instant;

use super::upkeep;
use crate::app::App;
use crate::queue::Job;
use crate::telemetry;
use crate::{automations, campaigns, delivery, profiles, webhooks};

pub(super) struct Runner {
    app: App,
    states: Mutex<HashMap<Job, State>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `again`: a nudge came while it ran, and what it was about may have been missed.
    Running { again: bool },
    /// It failed this many times in a row and rests.
    Resting { failures: u32, until: Instant },
}

impl Runner {
    pub(super) fn new(app: App) -> Self {
        Self {
            app,
            states: Mutex::default(),
        }
    }

    /// Runs a job that somebody nudged. If it is running already, it runs once more afterwards.
    pub(super) async fn run(self: &Arc<Self>, job: Job) {
        if let Some(failures) = self.begin(job, true) {
            let runner = self.clone();
            // A task of its own: a queue that fails drops whoever waits for its jobs, and a job
            // that nobody sees to its end would count as running for ever.
            let done = self
                .app
                .tasks
                .spawn(async move { runner.work(job, failures).await });
            // Its failures, and a panic within, are told where they happen.
            let _ = done.await;
        }
    }

    /// Runs a job that rows say is due, unless it is running.
    pub(super) async fn run_if_idle(&self, job: Job) {
        if let Some(failures) = self.begin(job, false) {
            self.work(job, failures).await;
        }
    }

    /// How often the job failed before, if it may run now.
    fn begin(&self, job: Job, nudged: bool) -> Option<u32> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = match states.get_mut(&job) {
            Some(State::Running { again }) => {
                *again |= nudged;
                return None;
            }
            Some(State::Resting { until, .. }) if *until > Instant::now() => return None,
            Some(State::Resting { failures, .. }) => *failures,
            None => 0,
        };
        states.insert(job, State::Running { again: false });
        Some(failures)
    }

    async fn work(&self, job: Job, mut failures: u32) {
        loop {
            if self.app.stop.is_cancelled() {
                self.end(job, 0);
                return;
            }
            match self.execute(job).await {
                Ok(()) => {
                    failures = 0;
                    telemetry::job(job.name(), "done");
                }
                Err(error) => {
                    failures += 1;
                    telemetry::job(job.name(), "failed");
                    tracing::error!(job = job.name(), failures, "The job failed: {error:#}");
                }
            }
            if !self.end(job, failures) {
                return;
            }
        }
    }

    /// Ends a turn; `true` if the job is to run once more.
    fn end(&self, job: Job, failures: u32) -> bool {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if failures > 0 {
            let until = Instant::now() + rest_after(failures);
            states.insert(job, State::Resting { failures, until });
            return false;
        }
        if self.app.stop.is_cancelled() || states.get(&job) != Some(&State::Running { again: true })
        {
            states.remove(&job);
            return false;
        }
        states.insert(job, State::Running { again: false });
        true
    }

    async fn execute(&self, job: Job) -> anyhow::Result<()> {
        let app = self.app.clone();
        // A task of its own, so that a panic is an error here and ends nothing else.
        let task = self
            .app
            .tasks
            .spawn(async move { perform(&app, job).await });
        task.await
            .unwrap_or_else(|fault| Err(anyhow!("it panicked: {fault}")))
    }
}

async fn perform(app: &App, job: Job) -> anyhow::Result<()> {
    match job {
        Job::Webhooks => webhooks::process_due(app).await.map(|_| ()),
        Job::KlaviyoWebhooks => webhooks::process_klaviyo_due(app).await.map(|_| ()),
        Job::Messages(page) => delivery::send_due(app, page).await,
        Job::Campaigns => campaigns::advance(app).await,
        Job::Runs => automations::advance_due(app).await.map(|_| ()),
        Job::Profiles => {
            // A group that cannot be synced does not keep events from going out.
            let synced = profiles::sync_due(app).await;
            profiles::send_due(app).await?;
            synced.map(|_| ())
        }
        Job::Upkeep => upkeep::run(app).await,
    }
}

fn rest_after(failures: u32) -> Duration {
    let doubled = Duration::from_secs(1 << (failures - 1).min(6));
    doubled.min(Duration::from_mins(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_keeps_failing_rests_longer_and_at_most_a_minute() {
        let seconds = [1, 2, 3, 7, 40].map(|failures| rest_after(failures).as_secs());
        assert_eq!(seconds, [1, 2, 4, 60, 60]);
    }
}

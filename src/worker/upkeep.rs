//! Once a minute: what a crash left, what is owed later, and what is kept no longer.

use super::retention;
use crate::app::App;
use crate::clock::{DAY, HOUR, Millis};
use crate::{attribution, delivery, opt_ins, subscribers, tallies, webhooks, workspaces};

/// Rows that go in one statement, so that no lock is held for long.
const BATCH: i64 = 2_000;

/// What is kept for how long. Payloads hold personal data, so they go when a replay makes no sense
/// any more; what failed waits longer for somebody to look at it.
const RETENTION: &[(Millis, &str)] = &[
    (
        30 * DAY,
        "DELETE FROM webhooks WHERE id IN (SELECT id FROM webhooks \
         WHERE received_at < $1 AND processed_at IS NOT NULL AND error IS NULL LIMIT $2)",
    ),
    (
        90 * DAY,
        "DELETE FROM webhooks WHERE id IN (SELECT id FROM webhooks \
         WHERE received_at < $1 AND processed_at IS NOT NULL LIMIT $2)",
    ),
    (
        14 * DAY,
        "DELETE FROM seen_events WHERE (workspace_id, event_key) IN \
         (SELECT workspace_id, event_key FROM seen_events WHERE seen_at < $1 LIMIT $2)",
    ),
    (
        25 * HOUR,
        "DELETE FROM idempotency_keys WHERE (workspace_id, key) IN \
         (SELECT workspace_id, key FROM idempotency_keys WHERE created_at < $1 LIMIT $2)",
    ),
    (
        7 * DAY,
        "DELETE FROM pixel_hints WHERE (workspace_id, event_id) IN \
         (SELECT workspace_id, event_id FROM pixel_hints WHERE at < $1 LIMIT $2)",
    ),
    (
        30 * DAY,
        "DELETE FROM klaviyo_outbox WHERE id IN \
         (SELECT id FROM klaviyo_outbox WHERE sent_at < $1 LIMIT $2)",
    ),
    (
        0,
        "UPDATE privacy_requests SET export_sealed = NULL WHERE id IN \
         (SELECT id FROM privacy_requests \
          WHERE expires_at < $1 AND export_sealed IS NOT NULL LIMIT $2)",
    ),
    (
        90 * DAY,
        "DELETE FROM checkouts WHERE (workspace_id, token) IN \
         (SELECT workspace_id, token FROM checkouts WHERE shop_updated_at < $1 LIMIT $2)",
    ),
    (
        DAY,
        "DELETE FROM person_sessions WHERE token_hash IN \
         (SELECT token_hash FROM person_sessions WHERE expires_at < $1 LIMIT $2)",
    ),
    (
        30 * DAY,
        "DELETE FROM invitations WHERE code_hash IN \
         (SELECT code_hash FROM invitations WHERE expires_at < $1 LIMIT $2)",
    ),
    (
        30 * DAY,
        "DELETE FROM alerts WHERE id IN \
         (SELECT id FROM alerts WHERE created_at < $1 AND ended_at IS NOT NULL LIMIT $2)",
    ),
    (
        DAY,
        "DELETE FROM login_links WHERE token_hash IN \
         (SELECT token_hash FROM login_links WHERE expires_at < $1 LIMIT $2)",
    ),
    (
        DAY,
        "DELETE FROM sessions WHERE token_hash IN \
         (SELECT token_hash FROM sessions WHERE expires_at < $1 LIMIT $2)",
    ),
];

/// Each part is tried, whatever became of the others; the first failure is told.
pub(super) async fn run(app: &App) -> anyhow::Result<()> {
    let parts = [
        delivery::sweep(app).await,
        attribution::sweep_journeys(app).await.map(|_| ()),
        opt_ins::resync_due(app).await,
        workspaces::set_up_due(app).await,
        workspaces::check_due(app).await,
        workspaces::tell_alerts(app).await,
        opt_ins::tell_due(app).await,
        workspaces::renew_idle_shops(app).await,
        workspaces::place_pixels(app).await,
        webhooks::tell_watchers(app).await,
        workspaces::read_plans_due(app).await,
        tallies::add_up_joins(app).await,
        tallies::recount_due(app).await,
        subscribers::key_names(app).await,
        subscribers::privacy::erase_due(app).await.map(|_| ()),
        forget(app).await,
        retention::prune(app).await,
        app.queue.prune().await,
    ];
    parts.into_iter().collect()
}

async fn forget(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    for (age, statement) in RETENTION {
        loop {
            let gone = sqlx::query(*statement)
                .bind(now - age)
                .bind(BATCH)
                .execute(app.db.writer())
                .await?
                .rows_affected();
            if gone < BATCH.unsigned_abs() || app.stop.is_cancelled() {
                break;
            }
        }
    }
    Ok(())
}

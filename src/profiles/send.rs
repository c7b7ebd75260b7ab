//! Sending what the outbox holds.
use crate::app::App;

/// Sends what is due, in bulk, within Klaviyo's limits. Returns how many were accepted.
pub async fn send_due(_app: &App) -> anyhow::Result<usize> {
    unimplemented!()
}

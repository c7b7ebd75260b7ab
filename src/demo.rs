//! The demonstration: sandbox, server and a seeded store in one process.

use anyhow::bail;

/// Runs until it is told to stop.
#[expect(
    clippy::unused_async,
    reason = "it will await once the sandbox is wired"
)]
pub async fn run() -> anyhow::Result<()> {
    bail!("The demo is not wired to the sandbox yet.")
}

//! Which job runs which function, and the clockwork that asks the rows what is due.

use crate::app::App;

/// Does everything that is due now, once, without the queue: for stories and one-off commands.
/// Returns when nothing is due any more.
pub async fn run_due(_app: &App) -> anyhow::Result<()> {
    unimplemented!()
}

//! Once a minute: the shops whose turn it is are asked for what their webhooks did not tell.

use crate::app::App;
use crate::{webhooks, workspaces};

/// Each part is tried, whatever became of the others; the first failure is told.
pub(super) async fn run(app: &App) -> anyhow::Result<()> {
    workspaces::prepare_shop_rounds(app).await?;
    let parts = [webhooks::reconcile_orders(app).await];
    parts.into_iter().collect()
}

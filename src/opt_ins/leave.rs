//! The merchant takes a person out: our ledger at once, Meta's list behind the answer.

use crate::app::App;
use crate::store::ids::{ConsentId, SubscriberId, WorkspaceId};
use crate::subscribers::{self, Means};
use crate::workspaces;

/// Opts the person out by the merchant's word; `false` if there is no such subscriber. Meta is told
/// when it can be reached: what we may send is decided by our own ledger.
pub async fn take_out(app: &App, ws: WorkspaceId, id: SubscriberId) -> anyhow::Result<bool> {
    let Some(subscriber) = subscribers::find(app, ws, id).await? else {
        return Ok(false);
    };
    let mut tx = app.db.begin().await?;
    let psid = subscribers::psid(&mut tx, ws, id).await?;
    let event = format!("merchant:{}", app.ids.next::<ConsentId>());
    let now = app.clock.now();
    subscribers::opt_out(app, &mut tx, id, Means::Merchant, now, &event).await?;
    tx.commit().await?;
    let Some(psid) = psid else {
        return Ok(true);
    };
    let (task, page) = (app.clone(), subscriber.page);
    app.spawn(async move {
        let told = async {
            let page = workspaces::page(&task, page).await?;
            let Some((page, token)) = page.and_then(|page| page.token.clone().map(|t| (page, t)))
            else {
                return Ok(());
            };
            task.meta
                .unsubscribe(&page.meta_id, &token, &psid)
                .await
                .map_err(anyhow::Error::from)
        };
        if let Err(error) = told.await {
            tracing::warn!(subscriber.id = %id, "Meta was not told of an opt-out: {error}");
        }
    });
    Ok(true)
}

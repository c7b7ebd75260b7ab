//! Who stands in Meta's list of subscription tokens no more.

use super::token_list::PIECE;
use crate::app::App;
use crate::clock::Millis;
use crate::store::ids::SubscriberId;
use crate::subscribers::{self, Means};
use crate::workspaces::PageRef;

/// People that are read at once when the held are compared with the seen.
const HELD_AT_ONCE: i64 = 10_000;

/// After a complete reading: who is subscribed here and stands in the list no more is opted out. A
/// list that has lost half of its people at once is not believed. Who was seen after the reading
/// began (a new token, another worker's reading) came too late for the list.
pub(super) async fn drop_missing(
    app: &App,
    page: PageRef,
    began: Millis,
    mut seen: Vec<SubscriberId>,
) -> anyhow::Result<()> {
    seen.sort_unstable();
    let mut held = 0_usize;
    let mut missing = Vec::new();
    let mut last = SubscriberId(0);
    loop {
        let people: Vec<(SubscriberId, i64, Option<Millis>)> = sqlx::query_as(
            "SELECT id, CASE WHEN token IS NULL THEN 0 ELSE 1 END, token_seen_at FROM subscribers
             WHERE workspace_id = $1 AND page_id = $2 AND id > $3 AND opted_in_at IS NOT NULL
               AND opted_out_at IS NULL AND erased_at IS NULL
             ORDER BY id LIMIT $4",
        )
        .bind(page.workspace)
        .bind(page.id)
        .bind(last)
        .bind(HELD_AT_ONCE)
        .fetch_all(app.db.pool())
        .await?;
        let Some((id, ..)) = people.last() else {
            break;
        };
        last = *id;
        for (id, has_token, seen_at) in people {
            held += usize::from(has_token != 0);
            let is_older = has_token != 0 && seen_at.is_some_and(|at| at < began);
            if is_older && seen.binary_search(&id).is_err() {
                missing.push(id);
            }
        }
    }
    if missing.len() * 2 > held {
        tracing::warn!(
            page.id = %page.id, held, missing = missing.len(),
            "Meta's list lacks most subscribers; not believed"
        );
        return Ok(());
    }
    let event = format!("resync-gone:{began}");
    for some in missing.chunks(PIECE) {
        let mut tx = app.db.begin().await?;
        subscribers::opt_out_all(app, &mut tx, page, some, Means::Resync, began, &event).await?;
        tx.commit().await?;
    }
    Ok(())
}

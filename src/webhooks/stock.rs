//! Something is back: whoever asked about it is told by the automation that the merchant wrote for
//! this, a few at a time, however many asked.

use serde_json::{Map, Value};

use crate::app::App;
use crate::automations::{self, Happening};
use crate::clock::DAY;
use crate::opt_ins::{self, Watched};
use crate::queue::Job;

/// People told in one transaction.
const BATCH: i64 = 200;
/// What came back longer ago is no news.
const NEWS: i64 = 3 * DAY;

/// Tells whoever asked about what has come back. Who may not be written to now stays on the list
/// for the next time.
pub async fn tell_watchers(app: &App) -> anyhow::Result<()> {
    let since = app.clock.now() - NEWS;
    for thing in opt_ins::back_since(app, since).await? {
        while !app.stop.is_cancelled() {
            if tell_some(app, &thing).await? == 0 {
                break;
            }
            app.queue.nudge(Job::Runs);
        }
    }
    Ok(())
}

async fn tell_some(app: &App, thing: &Watched) -> anyhow::Result<usize> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let some = opt_ins::take_watches(&mut tx, thing, now, BATCH).await?;
    for watch in &some {
        let happening = Happening {
            workspace: thing.workspace_id,
            subscriber: watch.subscriber_id,
            kind: "back_in_stock",
            key: String::new(),
            trigger_ref: format!("{}:{}", thing.id, watch.asked_at),
            context: context(thing),
            at: now,
        };
        if automations::start(app, &mut tx, &happening).await? > 0 {
            opt_ins::told(&mut tx, thing, watch.subscriber_id, now).await?;
        }
    }
    tx.commit().await?;
    Ok(some.len())
}

/// What the messages may name.
fn context(thing: &Watched) -> Map<String, Value> {
    let mut context = Map::new();
    context.insert("product_title".to_owned(), thing.title.clone().into());
    context.insert("product_url".to_owned(), thing.url.clone().into());
    if let Some(image) = &thing.image_url {
        context.insert("product_image".to_owned(), image.clone().into());
    }
    context
}

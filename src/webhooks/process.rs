//! From a kept delivery to what it means: claimed for a while, understood in one transaction with
//! everything it causes, or kept with the reason why not.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, TryStreamExt};

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::{DAY, HOUR, MINUTE, Millis, SECOND};
use crate::queue::Job;
use crate::store::Conn;
use crate::store::ids::{PageRowId, WebhookId, WorkspaceId};
use crate::subscribers;
use crate::tallies::Changes;
use crate::telemetry;
use crate::webhooks::inbox::{Platform, as_bytes};
use crate::webhooks::{klaviyo, meta, privacy, shopify};
use crate::workspaces;

/// Deliveries claimed at a time.
const BATCH: i64 = 50;
/// Accounts whose deliveries are understood side by side; those of one follow each other.
const ACCOUNTS: usize = 16;
/// A claim nobody finished is free again after this: a STOP that a crash caught does not wait long.
const LEASE: Millis = 30 * SECOND;
/// What waits how long after which failure. After the last, only a replay opens it again.
const RETRIES: &[Millis] = &[
    SECOND,
    10 * SECOND,
    MINUTE,
    10 * MINUTE,
    HOUR,
    6 * HOUR,
    24 * HOUR,
];

/// A claimed delivery.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) external_id: String,
    pub(super) topic: String,
    pub(super) account: String,
    pub(super) triggered_at: Option<Millis>,
    pub(super) received_at: Millis,
    pub(super) body: Vec<u8>,
}

/// What came of a delivery that was understood.
#[derive(Debug, Default)]
pub(super) struct Understood {
    /// Whose it was; the first one's where a delivery is about several.
    pub(super) workspace: Option<WorkspaceId>,
    /// Why it had no effect, where somebody should see that.
    pub(super) remark: Option<String>,
    /// Pages for which something was enqueued.
    pub(super) pages: BTreeSet<PageRowId>,
    /// Runs of automations may have begun.
    pub(super) runs: bool,
    /// An erasure was demanded: what mentions the person goes after the commit.
    pub(super) erasure: bool,
    /// The payload itself must not be kept.
    pub(super) forget: bool,
    /// What the receipts in it changed of the figures.
    pub(super) changes: Changes,
}

/// Why a delivery was not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// It never will be, as long as we read it the way we do.
    #[error("{0}")]
    Unreadable(String),
    /// The database or a platform did not answer as hoped: tried again.
    #[error(transparent)]
    Passing(#[from] anyhow::Error),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Passing(error.into())
    }
}

impl Trouble {
    pub(super) fn unreadable(error: impl std::fmt::Display) -> Self {
        Self::Unreadable(error.to_string())
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: WebhookId,
    platform: String,
    external_id: String,
    topic: String,
    account: String,
    triggered_at: Option<Millis>,
    received_at: Millis,
    encoding: String,
    payload: String,
    attempts: i64,
}

/// Understands every kept delivery of the shops and of Meta that is open and due, each account's
/// in the order of arrival; how many.
pub async fn process_due(app: &App) -> anyhow::Result<usize> {
    process_all(app, &[Platform::Meta, Platform::Shopify]).await
}

/// The same for Klaviyo's: apart, because Klaviyo may have to be asked who somebody is, and nobody's
/// STOP waits for its answers.
pub async fn process_klaviyo_due(app: &App) -> anyhow::Result<usize> {
    process_all(app, &[Platform::KlaviyoFlow, Platform::Klaviyo]).await
}

/// In turns, so that a flood from one platform does not hold up the other.
async fn process_all(app: &App, platforms: &[Platform]) -> anyhow::Result<usize> {
    let mut done = 0;
    loop {
        let before = done;
        for platform in platforms {
            if app.stop.is_cancelled() {
                return Ok(done);
            }
            let mut accounts: BTreeMap<String, Vec<Row>> = BTreeMap::new();
            for row in claim(app, *platform).await? {
                done += 1;
                accounts.entry(row.account.clone()).or_default().push(row);
            }
            stream::iter(accounts.into_values().map(anyhow::Ok))
                .try_for_each_concurrent(ACCOUNTS, |rows| in_order(app, rows))
                .await?;
        }
        if done == before {
            return Ok(done);
        }
    }
}

async fn in_order(app: &App, rows: Vec<Row>) -> anyhow::Result<()> {
    for row in rows {
        process(app, row).await?;
    }
    Ok(())
}

/// Safe in many workers at once: whoever comes second sees the moved `retry_at` and takes nothing.
async fn claim(app: &App, platform: Platform) -> anyhow::Result<Vec<Row>> {
    let now = app.clock.now();
    let mut rows: Vec<Row> = sqlx::query_as(
        "UPDATE webhooks SET retry_at = $1
         WHERE processed_at IS NULL AND retry_at <= $2 AND id IN (
             SELECT id FROM webhooks
             WHERE processed_at IS NULL AND platform = $4 AND retry_at <= $2
             ORDER BY retry_at, id LIMIT $3)
         RETURNING id, platform, external_id, topic, account, triggered_at, received_at, encoding,
             payload, attempts",
    )
    .bind(now + LEASE)
    .bind(now)
    .bind(BATCH)
    .bind(platform.as_str())
    .fetch_all(app.db.writer())
    .await?;
    rows.sort_by_key(|row| row.id);
    Ok(rows)
}

async fn process(app: &App, row: Row) -> anyhow::Result<()> {
    let (id, attempts) = (row.id, row.attempts);
    let platform = Platform::parse(&row.platform);
    let name = platform.map_or("unknown", Platform::as_str);
    let account = row.account.clone();
    let is_demand = platform == Some(Platform::Shopify) && privacy::is_demand(&row.topic);
    let outcome = match (platform, as_bytes(&row.encoding, row.payload)) {
        (Some(platform), Ok(body)) => {
            let delivery = Delivery {
                external_id: row.external_id,
                topic: row.topic,
                account: row.account,
                triggered_at: row.triggered_at,
                received_at: row.received_at,
                body,
            };
            understand(app, id, platform, &delivery).await
        }
        _ => Err(Trouble::Unreadable(
            "The kept delivery itself is damaged.".to_owned(),
        )),
    };
    match outcome {
        Ok(understood) => {
            telemetry::webhook(name, "processed");
            for page in understood.pages {
                app.queue.nudge(Job::Messages(page));
            }
            if understood.runs {
                app.queue.nudge(Job::Runs);
            }
            if understood.erasure {
                subscribers::privacy::erase_due(app).await?;
            }
            Ok(())
        }
        Err(trouble) => {
            telemetry::webhook(name, "failed");
            tracing::warn!(webhook.id = %id, attempts, "A webhook was not understood: {trouble:#}");
            let whose = owner(app, platform, &account).await?;
            put_off(app, id, whose, (attempts, is_demand), &trouble).await
        }
    }
}

/// The effects and the mark that they happened, or neither.
async fn understand(
    app: &App,
    id: WebhookId,
    platform: Platform,
    delivery: &Delivery,
) -> Result<Understood, Trouble> {
    let prepared = match platform {
        Platform::Meta => Prepared::Meta(meta::read(app, delivery).await?),
        Platform::Klaviyo => Prepared::Klaviyo(klaviyo::read(app, delivery).await?),
        Platform::KlaviyoFlow => Prepared::Flow(klaviyo::read_flow(app, delivery).await?),
        Platform::Shopify => Prepared::Shopify,
    };
    let mut tx = app.db.begin().await?;
    // Takes the row: of two workers whose claims overlap, the second finds it done.
    let open = format!(
        "SELECT id FROM webhooks WHERE id = $1 AND processed_at IS NULL{}",
        app.db.locking("webhooks")
    );
    let open = sqlx::query(AssertSqlSafe(open))
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
    if open.is_none() {
        return Ok(Understood::default());
    }
    let conn: &mut Conn = &mut tx;
    let mut understood = match prepared {
        Prepared::Meta(events) => meta::apply(app, conn, delivery, events).await?,
        Prepared::Klaviyo(events) => klaviyo::apply(app, conn, events).await?,
        Prepared::Flow(event) => klaviyo::apply_flow(app, conn, delivery, event).await?,
        Prepared::Shopify => shopify::apply(app, conn, delivery).await?,
    };
    sqlx::query(
        "UPDATE webhooks SET processed_at = $2, error = $3, workspace_id = $4,
             attempts = attempts + 1,
             payload = CASE WHEN $5 = 1 THEN '{}' ELSE payload END,
             encoding = CASE WHEN $5 = 1 THEN 'utf8' ELSE encoding END
         WHERE id = $1",
    )
    .bind(id)
    .bind(app.clock.now())
    .bind(understood.remark.as_deref())
    .bind(understood.workspace)
    .bind(i64::from(understood.forget))
    .execute(&mut *tx)
    .await?;
    std::mem::take(&mut understood.changes)
        .write(&mut tx)
        .await?;
    tx.commit().await?;
    Ok(understood)
}

/// What was read before the transaction began, so that nobody waits in it for a platform.
enum Prepared {
    Meta(Vec<crate::meta::webhooks::Event>),
    Klaviyo(klaviyo::Batch),
    Flow(klaviyo::Flow),
    Shopify,
}

/// Whose delivery it is by what came with it, so that its owner sees what is wrong with it.
async fn owner(
    app: &App,
    platform: Option<Platform>,
    account: &str,
) -> anyhow::Result<Option<WorkspaceId>> {
    let mut conn = app.db.acquire().await?;
    Ok(match platform {
        Some(Platform::Shopify) => workspaces::shop_by_domain(&mut conn, account)
            .await?
            .map(|shop| shop.workspace),
        Some(Platform::Meta) => workspaces::page_by_meta_id(&mut conn, account)
            .await?
            .map(|page| page.workspace),
        Some(Platform::Klaviyo | Platform::KlaviyoFlow) => account.parse().ok(),
        None => None,
    })
}

/// Keeps the reason, and opens the delivery again later where that may help.
async fn put_off(
    app: &App,
    id: WebhookId,
    whose: Option<WorkspaceId>,
    (attempts, is_demand): (i64, bool),
    trouble: &Trouble,
) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut next = next_try(trouble, attempts, now);
    // The law waits thirty days and no longer: these are tried until somebody mends the cause.
    if is_demand && matches!(trouble, Trouble::Passing(_)) {
        next = next.or(Some(now + DAY));
    }
    let words: String = format!("{trouble:#}")
        .replace('\0', "")
        .chars()
        .take(500)
        .collect();
    sqlx::query(
        "UPDATE webhooks SET attempts = $2, error = $3, retry_at = $4,
             processed_at = CASE WHEN $5 = 1 THEN $6 ELSE NULL END,
             workspace_id = COALESCE($7, workspace_id)
         WHERE id = $1 AND processed_at IS NULL",
    )
    .bind(id)
    .bind(attempts + 1)
    .bind(words)
    .bind(next.unwrap_or(now))
    .bind(i64::from(next.is_none()))
    .bind(now)
    .bind(whose)
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// When to try again after failure number `attempts` (from 0); `None`: not by itself.
fn next_try(trouble: &Trouble, attempts: i64, now: Millis) -> Option<Millis> {
    match trouble {
        Trouble::Unreadable(_) => None,
        Trouble::Passing(_) => RETRIES
            .get(usize::try_from(attempts).ok()?)
            .map(|wait| now + wait),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_ever_later_and_not_forever() {
        let passing = Trouble::Passing(anyhow::anyhow!("the database is away"));
        let waits: Vec<_> = (0..8).map(|n| next_try(&passing, n, 100)).collect();
        assert_eq!(waits[0], Some(1_100));
        assert!(waits[..7].windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(waits[7], None);
    }

    #[test]
    fn what_cannot_be_read_waits_for_a_replay() {
        assert_eq!(next_try(&Trouble::unreadable("no JSON"), 0, 100), None);
    }
}

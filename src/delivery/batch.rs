//! Claiming: what is due is read with what is known of each person, decided, and taken, in one
//! short transaction. Who is not returned here, nobody speaks to.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use anyhow::ensure;

use super::content::Content;
use super::destination::campaign_content;
use super::enqueue::MessageKind;
use super::pace::{self, Slots};
use super::policy::{Channel, LocalTime};
use super::queue_sql;
use super::render::Names;
use super::siblings;
use super::sorter::Sorter;
use super::warm_up::{self, Vehicle};
use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis, SECOND};
use crate::store::Tx;
use crate::store::ids::{CampaignId, MessageKey, OriginId, SubscriberId};
use crate::tallies::Changes;
use crate::telemetry;
use crate::workspaces::{Page, Workspace};

/// Messages claimed at once: what the pace lets out in a quarter of a second, so that a crash
/// leaves few of them in doubt.
pub(super) const BATCH: i64 = 64;
/// After this a claimed message is `unknown`. Longer than a call to Meta may take.
pub(super) const LEASE: Millis = 25 * SECOND;
/// A message whose answer was lost is tried once more after this: an echo would have come.
pub(super) const SETTLE_AFTER: Millis = 30 * SECOND;
/// ... and before this: inside Meta's 12 h a second message is refused, so a retry is safe.
pub const SETTLE_BEFORE: Millis = 11 * HOUR;

/// Where to look for due messages.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// Cards, replies, tests, automations; in the order of their priority.
    Single,
    /// Messages of the paid channel whose answer was lost. The second try may be the one that
    /// arrives, so a campaign that stands still makes none.
    Unsettled,
    Campaign(CampaignId),
}

/// The day's marketing message, taken: given back when nothing is sent after all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reserved {
    pub at: Millis,
    /// `last_marketing_at` as it was.
    pub before: Option<Millis>,
}

/// A message that is ours to send now.
#[derive(Debug)]
pub(super) struct Work {
    pub key: MessageKey,
    pub kind: MessageKind,
    /// The campaign or automation whose vehicle the paid channel uses.
    pub owner: Option<i64>,
    pub content: Arc<Content>,
    pub channel: Channel,
    pub names: Names,
    pub psid: Option<String>,
    pub token: Option<String>,
    pub vehicle: Arc<Vehicle>,
    /// The message's video as it was uploaded to the Page, where it has to be.
    pub attachment: Option<String>,
    /// Tries before this one.
    pub attempts: i64,
    /// A second try of something that may have arrived.
    pub settling: bool,
    pub lease_until: Millis,
    /// When the call to Meta began: before this nobody can have got it.
    pub called_at: Millis,
    /// The day's marketing message, if this one takes it.
    pub reserved: Option<Reserved>,
}

/// Messages that are ours to send now, and when.
pub(super) struct Batch {
    pub source: Source,
    pub work: Vec<Work>,
    pub slots: Slots,
    /// What one call of the batch takes of the pace, and what all of them take.
    pub weight: i64,
    pub total: i64,
}

pub(super) enum Claim {
    Work(Batch),
    /// Nothing was claimed but rows moved on (skipped, put off): look again.
    Moved,
    Nothing,
    /// The Page rests until then.
    Resting(Millis),
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub(super) origin_id: OriginId,
    pub(super) subscriber_id: SubscriberId,
    #[sqlx(default)]
    pub(super) kind: String,
    pub(super) owner_id: Option<i64>,
    #[sqlx(default)]
    pub(super) content: Option<String>,
    #[sqlx(default)]
    pub(super) channel: Option<String>,
    pub(super) attempts: i64,
    #[sqlx(default)]
    pub(super) expires_at: Option<Millis>,
    pub(super) due_at: Millis,
    pub(super) psid: Option<String>,
    pub(super) token: Option<String>,
    pub(super) token_enabled: i64,
    pub(super) token_expires_at: Option<Millis>,
    pub(super) next_eligible_at: Option<Millis>,
    pub(super) timezone: Option<String>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) opted_in_at: Option<Millis>,
    pub(super) opted_out_at: Option<Millis>,
    pub(super) unreachable_at: Option<Millis>,
    pub(super) erased_at: Option<Millis>,
    pub(super) last_action_at: Option<Millis>,
    pub(super) last_marketing_at: Option<Millis>,
    pub(super) customer_id: Option<String>,
    #[sqlx(default)]
    pub(super) last_ordered_at: Option<Millis>,
    #[sqlx(default)]
    pub(super) triggered_at: Option<Millis>,
    /// 1: the checkout that it reminds of was bought.
    #[sqlx(default)]
    pub(super) is_bought: i64,
    /// 1: its automation was turned off or deleted.
    #[sqlx(default)]
    pub(super) automation_off: i64,
}

/// What the rows of a campaign share.
pub(super) struct CampaignFacts {
    pub(super) content: Arc<Content>,
    pub(super) channel: Option<Channel>,
    pub(super) scheduled_at: Millis,
    pub(super) patience: Millis,
    pub(super) local_time: Option<LocalTime>,
}

/// The message's own and what is known of its person.
const PEOPLE: &str = "SELECT m.origin_id, m.subscriber_id, m.attempts, m.due_at,
    s.psid, s.token, s.token_enabled, s.token_expires_at, s.next_eligible_at, s.timezone,
    s.first_name, s.last_name, s.opted_in_at, s.opted_out_at, s.unreachable_at, s.erased_at,
    s.last_action_at, s.last_marketing_at, s.customer_id";

/// What else decides over messages that stand for themselves.
const OF_A_RUN: &str = ", m.kind, m.content, m.channel, m.expires_at, s.last_ordered_at,
    COALESCE(m.campaign_id, m.automation_id, m.test_of) AS owner_id,
    CASE WHEN a.stop_on_order = 1 THEN r.triggered_at END AS triggered_at,
    CAST(CASE WHEN a.trigger_kind = 'checkout_abandoned' AND (
        EXISTS (SELECT 1 FROM checkouts k WHERE k.workspace_id = r.workspace_id
                AND k.token = r.trigger_ref AND k.completed_at IS NOT NULL)
        OR EXISTS (SELECT 1 FROM orders o WHERE o.workspace_id = r.workspace_id
                   AND o.checkout_token = r.trigger_ref))
    THEN 1 ELSE 0 END AS BIGINT) AS is_bought,
    CAST(CASE WHEN a.status <> 'on' OR a.deleted_at IS NOT NULL THEN 1 ELSE 0 END AS BIGINT)
        AS automation_off
    FROM messages m
    JOIN subscribers s ON s.id = m.subscriber_id
    LEFT JOIN runs r ON r.id = m.run_id
    LEFT JOIN automations a ON a.id = m.automation_id";

const SINGLE: &str = "
    WHERE m.page_id = $1 AND m.campaign_id IS NULL AND m.status = 'queued' AND m.due_at <= $2
    ORDER BY m.priority, m.due_at LIMIT $3";

/// Those whose vehicle stands still would only be in the way of the others.
const UNSETTLED: &str = "
    WHERE m.page_id = $1 AND m.status = 'unknown' AND m.reason = 'answer_lost'
      AND m.channel = 'marketing_message' AND m.started_at <= $2 AND m.started_at > $4
      AND m.due_at <= $5
      AND NOT EXISTS (SELECT 1 FROM campaigns c WHERE c.id = m.campaign_id
                      AND c.status IN ('paused', 'failed', 'cancelled'))
      AND EXISTS (SELECT 1 FROM meta_campaigns v
                  WHERE v.owner_id = COALESCE(m.campaign_id, m.automation_id, m.test_of)
                    AND v.page_id = m.page_id AND v.problem IS NULL
                    AND v.meta_created_at IS NOT NULL AND v.hold_until <= $5)
    ORDER BY m.started_at LIMIT $3";

/// Claims the next messages of this source.
pub(super) async fn claim(
    app: &App,
    workspace: &Workspace,
    page: &Page,
    source: Source,
    room: pace::Room,
) -> anyhow::Result<Claim> {
    let mut tx = app.db.begin().await?;
    let now = app.clock.now();
    let campaign = match source {
        Source::Campaign(id) => match campaign_facts(app, &mut tx, workspace, id).await? {
            Some(facts) => Some(facts),
            None => return Ok(Claim::Nothing),
        },
        _ => None,
    };
    let most = room.calls(1).min(BATCH);
    let rows = candidates(app, &mut tx, page, source, most, now).await?;
    if rows.is_empty() {
        return Ok(Claim::Nothing);
    }
    let brands = siblings::lock(app, &mut tx, workspace, &rows).await?;
    let mut sorter = Sorter {
        app,
        workspace,
        page,
        campaign: campaign.as_ref(),
        warm_up: app.config.meta.warm_up_ms,
        now,
        vehicles: HashMap::new(),
        contents: HashMap::new(),
        videos: HashMap::new(),
        brands,
        marketing: HashSet::new(),
        work: Vec::new(),
        skipped: HashMap::new(),
        later: HashMap::new(),
        given_up: Vec::new(),
        probing: HashSet::new(),
    };
    for row in rows {
        sorter
            .sort(&mut tx, row, matches!(source, Source::Unsettled))
            .await?;
    }
    let Sorter {
        mut work,
        skipped,
        later,
        given_up,
        mut probing,
        ..
    } = sorter;
    let weight = work.iter().map(|w| weight(&w.content)).max().unwrap_or(1);
    // The others stay in line.
    work.truncate(usize::try_from(room.calls(weight))?);
    probing.retain(|owner| work.iter().any(|w| w.owner == Some(*owner)));
    reserve(&mut tx, workspace, &work, now).await?;
    let mut changes = Changes::default();
    let moved = !skipped.is_empty() || !later.is_empty() || !given_up.is_empty();
    for (reason, keys) in &skipped {
        queue_sql::skip(&mut tx, keys, reason.as_str(), now, &mut changes).await?;
    }
    for (at, keys) in &later {
        queue_sql::put_off(&mut tx, keys, *at).await?;
    }
    queue_sql::give_up(&mut tx, &given_up).await?;
    if work.is_empty() {
        changes.write(&mut tx).await?;
        tx.commit().await?;
        return Ok(if moved { Claim::Moved } else { Claim::Nothing });
    }
    // Asked last: who let the others go after a first try told the Page's trouble before.
    if !is_active(&mut tx, page).await? {
        return Ok(Claim::Nothing);
    }
    let total = weight * i64::try_from(work.len())?;
    let lead = if app.clock.is_steerable() {
        0
    } else {
        pace::LEAD
    };
    let at = (app.clock.now(), lead);
    let slots = match pace::take(&mut tx, page.id, total, app.capacity.worker, at).await? {
        Ok(slots) => slots,
        Err(until) => return Ok(Claim::Resting(until)),
    };
    let lease = now.max(slots.at_us(total - weight) / 1_000) + LEASE;
    for w in &mut work {
        w.lease_until = lease;
    }
    for owner in probing {
        warm_up::probe(&mut tx, owner, page.id, lease).await?;
    }
    queue_sql::take(&mut tx, &work, lease, now, &mut changes).await?;
    changes.write(&mut tx).await?;
    tx.commit().await?;
    let never: usize = skipped.values().map(Vec::len).sum();
    telemetry::messages("skipped", u64::try_from(never).unwrap_or(0));
    Ok(Claim::Work(Batch {
        source,
        work,
        slots,
        weight,
        total,
    }))
}

/// How many calls of the Page's pace it counts for.
fn weight(content: &Content) -> i64 {
    use super::content::{Body, MediaKind, Message};
    match &content.body {
        Body::Message(Message::Media {
            media: MediaKind::Video,
            ..
        }) => pace::MEDIA_WEIGHT,
        // On the standard channel the greeting is a call of its own.
        Body::Message(Message::Cards { text: Some(_), .. }) => 2,
        _ => 1,
    }
}

async fn campaign_facts(
    app: &App,
    tx: &mut Tx,
    workspace: &Workspace,
    id: CampaignId,
) -> anyhow::Result<Option<CampaignFacts>> {
    type Row = (
        String,
        String,
        Option<String>,
        String,
        Option<Millis>,
        Option<Millis>,
        i64,
        i64,
        Option<String>,
    );
    let row: Option<Row> = sqlx::query_as(
        "SELECT name, message, utm, channel, scheduled_at, launched_at, late_limit_minutes,
                in_subscriber_timezone, timezone
         FROM campaigns WHERE workspace_id = $1 AND id = $2 AND status = 'running'",
    )
    .bind(workspace.id)
    .bind(id)
    .fetch_optional(&mut **tx)
    .await?;
    let Some((name, message, utm, channel, scheduled, launched, late, local, zone)) = row else {
        return Ok(None);
    };
    let scheduled_at = scheduled.or(launched).unwrap_or(0);
    let zone = zone.unwrap_or_else(|| workspace.timezone.clone());
    // Longer than its warm-up takes no campaign may keep its sender's own zone waiting.
    let warm_at = scheduled_at + app.config.meta.warm_up_ms;
    let local_time = |wall| LocalTime {
        wall,
        senders_at: scheduled_at,
        begun_at: launched.unwrap_or(scheduled_at).min(warm_at),
        patience: late * MINUTE,
    };
    Ok(Some(CampaignFacts {
        content: Arc::new(campaign_content(id, &name, &message, utm.as_deref())?),
        channel: Channel::parse(&channel),
        scheduled_at,
        patience: late * MINUTE,
        local_time: (local != 0)
            .then(|| wall_time(scheduled_at, &zone))
            .flatten()
            .map(local_time),
    }))
}

/// Whether the Page may still send: it may have broken since it was read.
async fn is_active(tx: &mut Tx, page: &Page) -> sqlx::Result<bool> {
    let found: Option<(i64,)> =
        sqlx::query_as("SELECT 1 FROM pages WHERE id = $1 AND state = 'active'")
            .bind(page.id)
            .fetch_optional(&mut **tx)
            .await?;
    Ok(found.is_some())
}

/// What the clock on the wall of `zone` shows at `at`, as if it were UTC.
fn wall_time(at: Millis, zone: &str) -> Option<Millis> {
    let zone = jiff::tz::TimeZone::get(zone).ok()?;
    let civil = zone.to_datetime(jiff::Timestamp::from_millisecond(at).ok()?);
    Some(
        jiff::tz::TimeZone::UTC
            .to_timestamp(civil)
            .ok()?
            .as_millisecond(),
    )
}

async fn candidates(
    app: &App,
    tx: &mut Tx,
    page: &Page,
    source: Source,
    most: i64,
    now: Millis,
) -> anyhow::Result<Vec<Row>> {
    let mut sql = String::from(PEOPLE);
    if !matches!(source, Source::Campaign(_)) {
        sql.push_str(OF_A_RUN);
    }
    sql.push_str(match source {
        // What all messages of a campaign share is read once, with the campaign.
        Source::Campaign(_) => {
            ", m.campaign_id AS owner_id
             FROM messages m JOIN subscribers s ON s.id = m.subscriber_id
             WHERE m.page_id = $1 AND m.campaign_id = $4 AND m.campaign_id IS NOT NULL
               AND m.status = 'queued' AND m.due_at <= $2 ORDER BY m.due_at LIMIT $3"
        }
        Source::Single => SINGLE,
        Source::Unsettled => UNSETTLED,
    });
    sql.push_str(&app.db.claiming("m, s"));
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(page.id);
    let query = match source {
        Source::Single => query.bind(now).bind(most),
        Source::Campaign(id) => query.bind(now).bind(most).bind(id),
        Source::Unsettled => query
            .bind(now - SETTLE_AFTER)
            .bind(most)
            .bind(now - SETTLE_BEFORE)
            .bind(now),
    };
    Ok(query.fetch_all(&mut **tx).await?)
}

/// Takes the day's marketing message of each person. They stand under our lock as they were read,
/// so this is what keeps "at most one a day" true, whoever else is claiming.
async fn reserve(
    tx: &mut Tx,
    workspace: &Workspace,
    work: &[Work],
    now: Millis,
) -> anyhow::Result<()> {
    let people: BTreeSet<i64> = work
        .iter()
        .filter(|w| w.reserved.is_some())
        .map(|w| w.key.subscriber.0)
        .collect();
    if people.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = people.iter().map(i64::to_string).collect();
    let ids = ids.join(",");
    let sql = format!(
        "UPDATE subscribers SET last_marketing_at = $1 WHERE id IN ({ids}) AND workspace_id = $2"
    );
    let done = sqlx::query(sqlx::AssertSqlSafe(sql))
        .persistent(false)
        .bind(now)
        .bind(workspace.id)
        .execute(&mut **tx)
        .await?;
    ensure!(
        done.rows_affected() == people.len() as u64,
        "{} of {} people were reserved",
        done.rows_affected(),
        people.len()
    );
    Ok(())
}

//! Claiming: what is due is read with what is known of each person, decided, and taken, in one
//! short transaction. Who is not returned here, nobody speaks to.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use super::content::Content;
use super::destination::campaign_content;
use super::enqueue::MessageKind;
use super::policy::{self, Channel, Reason};
use super::render::Names;
use super::sorter::Sorter;
use super::warm_up::{self, Vehicle};
use super::{pace, queue_sql};
use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis, SECOND};
use crate::store::Tx;
use crate::store::ids::{CampaignId, MessageKey, OriginId, SubscriberId};
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
pub(super) const SETTLE_BEFORE: Millis = 11 * HOUR;

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
    pub vehicle: Vehicle,
    /// Tries before this one.
    pub attempts: i64,
    /// A second try of something that may have arrived.
    pub settling: bool,
    pub lease_until: Millis,
    /// The day's marketing message, if this one takes it.
    pub reserved: Option<Reserved>,
    /// When the call may go out.
    pub slot: Millis,
}

pub(super) enum Claim {
    Work(Vec<Work>),
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
    pub(super) kind: String,
    pub(super) owner_id: Option<i64>,
    pub(super) content: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) attempts: i64,
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
    pub(super) brand_marketing_at: Option<Millis>,
    pub(super) last_ordered_at: Option<Millis>,
    pub(super) triggered_at: Option<Millis>,
}

/// What the rows of a campaign share.
pub(super) struct CampaignFacts {
    pub(super) content: Arc<Content>,
    pub(super) channel: Option<Channel>,
    pub(super) scheduled_at: Millis,
    pub(super) patience: Millis,
    pub(super) local_time: Option<Millis>,
}

/// Claims the next messages of this source.
pub(super) async fn claim(
    app: &App,
    workspace: &Workspace,
    page: &Page,
    source: Source,
) -> anyhow::Result<Claim> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let campaign = match source {
        Source::Campaign(id) => match campaign_facts(&mut tx, workspace, id).await? {
            Some(facts) => Some(facts),
            None => return Ok(Claim::Nothing),
        },
        _ => None,
    };
    let rows = candidates(app, &mut tx, page, source, now).await?;
    if rows.is_empty() {
        return Ok(Claim::Nothing);
    }
    let mut sorter = Sorter {
        workspace,
        page,
        campaign: campaign.as_ref(),
        warm_up: app.config.meta.warm_up_ms,
        now,
        vehicles: HashMap::new(),
        contents: HashMap::new(),
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
        mut skipped,
        later,
        given_up,
        probing,
        ..
    } = sorter;
    reserve(&mut tx, workspace, &mut work, &mut skipped, now).await?;
    let moved = !skipped.is_empty() || !later.is_empty() || !given_up.is_empty();
    for (reason, keys) in &skipped {
        queue_sql::skip(&mut tx, keys, reason.as_str(), now).await?;
    }
    for (at, keys) in &later {
        queue_sql::put_off(&mut tx, keys, *at).await?;
    }
    queue_sql::give_up(&mut tx, &given_up).await?;
    if work.is_empty() {
        tx.commit().await?;
        return Ok(if moved { Claim::Moved } else { Claim::Nothing });
    }
    let weight = if work.iter().any(|w| is_heavy(&w.content)) {
        pace::MEDIA_WEIGHT
    } else {
        1
    };
    let total = weight * i64::try_from(work.len())?;
    let slots = match pace::take(&mut tx, page.id, total, now).await? {
        Ok(slots) => slots,
        Err(until) => return Ok(Claim::Resting(until)),
    };
    let mut before = 0;
    for w in &mut work {
        w.slot = slots.at(before);
        before += weight;
        w.lease_until = w.slot.max(now) + LEASE;
    }
    let lease = work
        .iter()
        .map(|w| w.lease_until)
        .max()
        .unwrap_or(now + LEASE);
    for w in &mut work {
        w.lease_until = lease;
    }
    for owner in probing {
        warm_up::probe(&mut tx, owner, page.id, lease).await?;
    }
    let work = queue_sql::take(&mut tx, work, lease, now).await?;
    tx.commit().await?;
    let never: usize = skipped.values().map(Vec::len).sum();
    telemetry::messages("skipped", u64::try_from(never).unwrap_or(0));
    Ok(if work.is_empty() {
        Claim::Moved
    } else {
        Claim::Work(work)
    })
}

fn is_heavy(content: &Content) -> bool {
    use super::content::{Body, MediaKind, Message};
    matches!(
        &content.body,
        Body::Message(Message::Media {
            media: MediaKind::Video,
            ..
        })
    )
}

async fn campaign_facts(
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
    Ok(Some(CampaignFacts {
        content: Arc::new(campaign_content(id, &name, &message, utm.as_deref())?),
        channel: Channel::parse(&channel),
        scheduled_at,
        patience: late * MINUTE,
        local_time: (local != 0)
            .then(|| wall_time(scheduled_at, &zone))
            .flatten(),
    }))
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
    now: Millis,
) -> anyhow::Result<Vec<Row>> {
    let mut sql = String::from(
        "SELECT m.origin_id, m.subscriber_id, m.kind, m.content, m.channel, m.attempts,
                m.expires_at, m.due_at, COALESCE(m.campaign_id, m.automation_id, m.test_of) AS owner_id,
                s.psid, s.token, s.token_enabled, s.token_expires_at, s.next_eligible_at,
                s.timezone, s.first_name, s.last_name, s.opted_in_at, s.opted_out_at,
                s.unreachable_at, s.erased_at, s.last_action_at, s.last_marketing_at,
                s.last_ordered_at,
                (SELECT MAX(o.last_marketing_at) FROM subscribers o
                 WHERE o.workspace_id = s.workspace_id AND o.customer_id = s.customer_id)
                    AS brand_marketing_at,
                CASE WHEN a.stop_on_order = 1 THEN r.triggered_at END AS triggered_at
         FROM messages m
         JOIN subscribers s ON s.id = m.subscriber_id
         JOIN pages p ON p.id = m.page_id AND p.state = 'active'
         LEFT JOIN runs r ON r.id = m.run_id
         LEFT JOIN automations a ON a.id = m.automation_id
         WHERE m.page_id = $1 ",
    );
    sql.push_str(match source {
        Source::Single => {
            "AND m.campaign_id IS NULL AND m.status = 'queued' AND m.due_at <= $2
             ORDER BY m.priority, m.due_at LIMIT $3"
        }
        Source::Campaign(_) => {
            "AND m.campaign_id = $4 AND m.campaign_id IS NOT NULL AND m.status = 'queued'
             AND m.due_at <= $2 ORDER BY m.due_at LIMIT $3"
        }
        Source::Unsettled => {
            "AND m.status = 'unknown' AND m.reason = 'answer_lost'
             AND m.channel = 'marketing_message' AND m.started_at <= $2 AND m.started_at > $4
             AND m.due_at <= $5
             AND NOT EXISTS (SELECT 1 FROM campaigns c WHERE c.id = m.campaign_id
                             AND c.status IN ('paused', 'failed', 'cancelled'))
             ORDER BY m.started_at LIMIT $3"
        }
    });
    sql.push_str(&app.db.claiming("m"));
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(page.id);
    let query = match source {
        Source::Single => query.bind(now).bind(BATCH),
        Source::Campaign(id) => query.bind(now).bind(BATCH).bind(id),
        Source::Unsettled => query
            .bind(now - SETTLE_AFTER)
            .bind(BATCH)
            .bind(now - SETTLE_BEFORE)
            .bind(now),
    };
    Ok(query.fetch_all(&mut **tx).await?)
}

/// Takes the day's marketing message of each person; whoever lost it to another message since is
/// skipped as capped. This, not the decision before it, is what keeps "at most one a day" true.
async fn reserve(
    tx: &mut Tx,
    workspace: &Workspace,
    work: &mut Vec<Work>,
    skipped: &mut HashMap<Reason, Vec<MessageKey>>,
    now: Millis,
) -> anyhow::Result<()> {
    for channel in [Channel::MarketingMessage, Channel::Standard] {
        let minimum = if channel == Channel::MarketingMessage {
            policy::PAID_COOL_DOWN
        } else {
            0
        };
        let cap = (workspace.cap_hours.max(0) * HOUR).max(minimum);
        let mut ids = String::new();
        for w in work
            .iter()
            .filter(|w| w.channel == channel && w.reserved.is_some())
        {
            let separator = if ids.is_empty() { "" } else { "," };
            let _ = write!(ids, "{separator}{}", w.key.subscriber.0);
        }
        if ids.is_empty() {
            continue;
        }
        let sql = format!(
            "UPDATE subscribers SET last_marketing_at = $1
             WHERE id IN ({ids}) AND workspace_id = $2
               AND (last_marketing_at IS NULL OR last_marketing_at <= $3)
             RETURNING id"
        );
        let got: Vec<(SubscriberId,)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .persistent(false)
            .bind(now)
            .bind(workspace.id)
            .bind(now - cap)
            .fetch_all(&mut **tx)
            .await?;
        let got: HashSet<SubscriberId> = got.into_iter().map(|(id,)| id).collect();
        work.retain(|w| {
            let keeps =
                w.channel != channel || w.reserved.is_none() || got.contains(&w.key.subscriber);
            if !keeps {
                skipped.entry(Reason::Capped).or_default().push(w.key);
            }
            keeps
        });
    }
    Ok(())
}

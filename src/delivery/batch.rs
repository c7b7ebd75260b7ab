//! Claiming: what is due is read with what is known of each person, decided, and taken, in one
//! short transaction. Who is not returned here, nobody speaks to.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use super::content::Content;
use super::destination::campaign_content;
use super::enqueue::MessageKind;
use super::policy::{self, Channel, Circumstances, Decision, Person, Reason};
use super::render::Names;
use super::warm_up::{Vehicle, vehicle};
use super::{pace, queue_sql};
use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis, SECOND};
use crate::store::Tx;
use crate::store::ids::{CampaignId, MessageKey, OriginId, SubscriberId};
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
    /// Messages of the paid channel whose answer was lost.
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
struct Row {
    origin_id: OriginId,
    subscriber_id: SubscriberId,
    kind: String,
    owner_id: Option<i64>,
    content: Option<String>,
    channel: Option<String>,
    attempts: i64,
    expires_at: Option<Millis>,
    due_at: Millis,
    psid: Option<String>,
    token: Option<String>,
    token_enabled: i64,
    token_expires_at: Option<Millis>,
    next_eligible_at: Option<Millis>,
    timezone: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    opted_in_at: Option<Millis>,
    opted_out_at: Option<Millis>,
    unreachable_at: Option<Millis>,
    erased_at: Option<Millis>,
    last_action_at: Option<Millis>,
    last_marketing_at: Option<Millis>,
    brand_marketing_at: Option<Millis>,
    last_ordered_at: Option<Millis>,
    triggered_at: Option<Millis>,
}

/// What the rows of a campaign share.
struct CampaignFacts {
    content: Arc<Content>,
    channel: Option<Channel>,
    scheduled_at: Millis,
    patience: Millis,
    local_time: Option<Millis>,
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
    let work = queue_sql::take(&mut tx, work, lease, now).await?;
    tx.commit().await?;
    for (reason, keys) in &skipped {
        let n = u64::try_from(keys.len()).unwrap_or(0);
        metrics::counter!("pagecast_messages_total", "outcome" => "skipped", "reason" => reason.as_str()).increment(n);
    }
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
            .bind(now - SETTLE_BEFORE),
    };
    Ok(query.fetch_all(&mut **tx).await?)
}

/// Sorts candidates by what is to become of them.
struct Sorter<'a> {
    workspace: &'a Workspace,
    page: &'a Page,
    campaign: Option<&'a CampaignFacts>,
    warm_up: Millis,
    now: Millis,
    vehicles: HashMap<i64, Vehicle>,
    /// People who get their marketing message of the day in this batch.
    marketing: HashSet<SubscriberId>,
    work: Vec<Work>,
    skipped: HashMap<Reason, Vec<MessageKey>>,
    later: HashMap<Millis, Vec<MessageKey>>,
    /// Unsettled messages that may not be tried again.
    given_up: Vec<MessageKey>,
    /// Vehicles whose first send is in this batch.
    probing: HashSet<i64>,
}

impl Sorter<'_> {
    async fn sort(&mut self, tx: &mut Tx, row: Row, settling: bool) -> anyhow::Result<()> {
        let key = MessageKey {
            origin: row.origin_id,
            subscriber: row.subscriber_id,
        };
        let kind = MessageKind::parse(&row.kind);
        let content = match (&row.content, self.campaign) {
            (Some(text), _) => Arc::new(serde_json::from_str(text)?),
            (None, Some(campaign)) => Arc::clone(&campaign.content),
            (None, None) => {
                self.skipped.entry(Reason::Erased).or_default().push(key);
                return Ok(());
            }
        };
        let channel = if settling {
            if row.opted_out_at.is_some() || row.erased_at.is_some() || row.token.is_none() {
                self.given_up.push(key);
                return Ok(());
            }
            Channel::MarketingMessage
        } else {
            match self.decide(&row, kind) {
                Decision::Send(channel) => channel,
                Decision::Later(at) => {
                    self.later.entry(at).or_default().push(key);
                    return Ok(());
                }
                Decision::Never(reason) => {
                    self.skipped.entry(reason).or_default().push(key);
                    return Ok(());
                }
            }
        };
        let mut used = Vehicle::default();
        if let (Channel::MarketingMessage, Some(owner)) = (channel, row.owner_id) {
            used = self.vehicle(tx, owner).await?;
            if !self.may_board(&used, owner, key) {
                return Ok(());
            }
        }
        let capped = kind.is_marketing() && self.workspace.cap_hours > 0;
        if capped && !settling && !self.marketing.insert(key.subscriber) {
            self.skipped.entry(Reason::Capped).or_default().push(key);
            return Ok(());
        }
        self.work.push(Work {
            key,
            kind,
            owner: row.owner_id,
            content,
            channel,
            names: Names {
                first: row.first_name,
                last: row.last_name,
            },
            psid: row.psid,
            token: row.token,
            vehicle: used,
            attempts: row.attempts,
            settling,
            lease_until: 0,
            reserved: (kind.is_marketing() && !settling).then_some(Reserved {
                at: self.now,
                before: row.last_marketing_at,
            }),
            slot: 0,
        });
        Ok(())
    }

    async fn vehicle(&mut self, tx: &mut Tx, owner: i64) -> anyhow::Result<Vehicle> {
        if let Some(known) = self.vehicles.get(&owner) {
            return Ok(known.clone());
        }
        let found = vehicle(tx, owner, self.page.id).await?.unwrap_or_default();
        self.vehicles.insert(owner, found.clone());
        Ok(found)
    }

    /// Whether the paid send may go with this vehicle now; else the message is left or put off.
    fn may_board(&mut self, vehicle: &Vehicle, owner: i64, key: MessageKey) -> bool {
        if vehicle.problem.is_some() {
            self.later.entry(self.now + MINUTE).or_default().push(key);
            return false;
        }
        match vehicle.warm_at(self.warm_up) {
            Some(at) if at <= self.now => {}
            Some(at) => {
                self.later.entry(at).or_default().push(key);
                return false;
            }
            None => {
                self.later
                    .entry(self.now + 5 * SECOND)
                    .or_default()
                    .push(key);
                return false;
            }
        }
        // The first send probes; the others stay where they are until it is answered.
        vehicle.probed_at.is_some() || self.probing.insert(owner)
    }

    fn decide(&self, row: &Row, kind: MessageKind) -> Decision {
        let person = Person {
            has_psid: row.psid.is_some(),
            has_token: row.token.is_some(),
            token_enabled: row.token_enabled != 0,
            token_expires_at: row.token_expires_at,
            next_eligible_at: row.next_eligible_at,
            timezone: row.timezone.clone(),
            opted_in_at: row.opted_in_at,
            opted_out_at: row.opted_out_at,
            unreachable_at: row.unreachable_at,
            erased_at: row.erased_at,
            last_action_at: row.last_action_at,
            last_marketing_at: row.last_marketing_at.max(row.brand_marketing_at),
            triggered_at: row.triggered_at,
            last_ordered_at: row.last_ordered_at,
        };
        let paid_available = self.page.ad_account.is_some() && self.page.ad_token.is_some();
        let quiet = self.workspace.quiet_hours.as_ref();
        let about = Circumstances {
            kind,
            channel: match self.campaign {
                None if kind != MessageKind::Test => None,
                Some(campaign) => campaign.channel,
                None => row.channel.as_deref().and_then(Channel::parse),
            },
            paid_available,
            cap_hours: self.workspace.cap_hours,
            quiet_hours: quiet.map(|(start, end)| (start.as_str(), end.as_str())),
            timezone: &self.workspace.timezone,
            local_time: self.campaign.and_then(|campaign| campaign.local_time),
            expires_at: row.expires_at,
            patience_until: match self.campaign {
                Some(campaign) => Some(campaign.scheduled_at.max(row.due_at) + campaign.patience),
                None => row.expires_at,
            },
        };
        policy::decide(&person, &about, self.now)
    }
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

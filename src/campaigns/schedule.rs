//! Moving a campaign: schedule, pause, resume, cancel, test.

use jiff::tz::TimeZone;

use super::allowance;
use super::draft::{Draft, Patch, change, load, problems, write};
use crate::app::App;
use crate::campaigns::{Campaign, Error, find};
use crate::clock::{DAY, MINUTE, Millis, SECOND};
use crate::delivery::{
    self, Channel, Content, MessageKind, NewMessage, Problem, content::Body, warm_up,
};
use crate::links::Tags;
use crate::queue::Job;
use crate::store::ids::{CampaignId, MessageKey, OriginId, SubscriberId, WorkspaceId};
use crate::store::{Conn, Tx};
use crate::workspaces::Page;
use crate::{subscribers, workspaces};

/// How late a campaign may start by itself when nothing else is said, in minutes.
const LATE_LIMIT: i64 = 60;
/// Beyond the limit: campaigns are looked at once a second, so even with a limit of 0 the look
/// comes a moment after the time. Longer would be the lateness that the limit forbids.
pub(super) const LATE_GRACE: Millis = 5 * SECOND;

#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// `None` = now.
    pub at: Option<Millis>,
    /// IANA name in which `at` was meant; the workspace's by default.
    pub timezone: Option<String>,
    /// At the same wall-clock time in each subscriber's own zone.
    pub in_subscriber_timezone: bool,
    /// Later than this it does not start by itself; 60 by default.
    pub late_limit_minutes: Option<i64>,
}

pub async fn schedule(
    app: &App,
    ws: WorkspaceId,
    id: CampaignId,
    schedule: Schedule,
) -> Result<Campaign, Error> {
    let means = Means::read(app, ws).await?;
    let known = find(app, ws, id).await?;
    allowance::check(app, ws, &known.audience, &known.channel).await?;
    let mut tx = app.db.begin().await?;
    place(app, &mut tx, ws, id, &schedule, &means).await?;
    done(app, tx, ws, id).await
}

/// Creates and schedules it, or neither; one that is there already was made by an earlier try.
pub async fn create_scheduled(
    app: &App,
    ws: WorkspaceId,
    id: CampaignId,
    draft: Draft,
    schedule: Schedule,
) -> Result<Campaign, Error> {
    let means = Means::read(app, ws).await?;
    allowance::check(app, ws, &draft.audience, &draft.channel).await?;
    let mut tx = app.db.begin().await?;
    if write(app, &mut tx, ws, id, draft).await? {
        place(app, &mut tx, ws, id, &schedule, &means).await?;
    }
    done(app, tx, ws, id).await
}

/// Changes and schedules it, or neither.
pub async fn patch_scheduled(
    app: &App,
    ws: WorkspaceId,
    id: CampaignId,
    patch: Patch,
    schedule: Schedule,
) -> Result<Campaign, Error> {
    let means = Means::read(app, ws).await?;
    let known = find(app, ws, id).await?;
    let audience = patch.audience.as_ref().unwrap_or(&known.audience);
    let channel = patch.channel.as_ref().unwrap_or(&known.channel);
    allowance::check(app, ws, audience, channel).await?;
    let mut tx = app.db.begin().await?;
    change(app, &mut tx, ws, id, patch).await?;
    place(app, &mut tx, ws, id, &schedule, &means).await?;
    done(app, tx, ws, id).await
}

async fn done(app: &App, mut tx: Tx, ws: WorkspaceId, id: CampaignId) -> Result<Campaign, Error> {
    let campaign = load(&mut tx, ws, id).await?;
    tx.commit().await?;
    app.queue.nudge(Job::Campaigns);
    Ok(campaign)
}

/// What the workspace has connected; read before a transaction begins, which must not wait for a
/// second connection.
struct Means {
    pages: Vec<Page>,
    has_klaviyo: bool,
}

impl Means {
    async fn read(app: &App, ws: WorkspaceId) -> anyhow::Result<Self> {
        Ok(Self {
            pages: workspaces::pages(app, ws).await?,
            has_klaviyo: workspaces::klaviyo_state(app, ws).await?.is_some(),
        })
    }
}

async fn place(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    id: CampaignId,
    schedule: &Schedule,
    means: &Means,
) -> Result<(), Error> {
    let campaign = load(&mut *conn, ws, id).await?;
    if !campaign.is_editable() {
        return Err(Error::Conflict(format!(
            "A campaign that is {} cannot be scheduled again.",
            campaign.status
        )));
    }
    let now = app.clock.now();
    let late = schedule.late_limit_minutes.unwrap_or(LATE_LIMIT);
    check(&campaign, schedule, means, late, now)?;
    // The workspace's zone as it is today: changing that later must not move what was promised.
    let changed = sqlx::query(
        "UPDATE campaigns SET status = 'scheduled', scheduled_at = $3,
             timezone = CASE WHEN $5 = 1
                 THEN COALESCE($4, (SELECT w.timezone FROM workspaces w WHERE w.id = $1))
                 ELSE $4 END,
             in_subscriber_timezone = $5, late_limit_minutes = $6, attention = NULL,
             asked_at = $7, updated_at = $7
         WHERE workspace_id = $1 AND id = $2 AND status IN ('draft', 'scheduled')",
    )
    .bind(ws)
    .bind(id)
    .bind(schedule.at.unwrap_or(now))
    .bind(schedule.timezone.as_deref())
    .bind(i64::from(schedule.in_subscriber_timezone))
    .bind(late)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    // What stood in its way may have been mended.
    warm_up::clear_problems(conn, ws, id.0).await?;
    if changed.rows_affected() == 0 {
        return Err(Error::Conflict("It started meanwhile.".into()));
    }
    Ok(())
}

fn check(
    campaign: &Campaign,
    schedule: &Schedule,
    means: &Means,
    late: i64,
    now: Millis,
) -> Result<(), Error> {
    let mut found = problems(&Draft {
        name: campaign.name.clone(),
        message: campaign.message.clone(),
        audience: campaign.audience.clone(),
        channel: campaign.channel.clone(),
        utm: campaign.utm.clone(),
    });
    let mut add = |pointer: &str, detail: &str| {
        found.push(Problem {
            pointer: pointer.to_owned(),
            detail: detail.to_owned(),
        });
    };
    if !(0..=10_080).contains(&late) {
        add(
            "/late_limit_minutes",
            "Give between 0 and 10080 minutes (a week).",
        );
    }
    if schedule
        .timezone
        .as_deref()
        .is_some_and(|zone| TimeZone::get(zone).is_err())
    {
        add("/timezone", "Name a time zone as America/Los_Angeles.");
    }
    if let Some(at) = schedule.at {
        if at < now - late.clamp(0, 10_080) * MINUTE - LATE_GRACE {
            add(
                "/at",
                "This time is in the past. Choose a later one, or send it now.",
            );
        } else if at > now + 366 * DAY {
            add("/at", "Choose a time within the next year.");
        }
    }
    if means.pages.is_empty() {
        return Err(Error::Conflict("Connect a Facebook Page first.".into()));
    }
    let paid = means
        .pages
        .iter()
        .any(|page| page.ad_account.is_some() && page.ad_token.is_some());
    if campaign.channel == "marketing_message" && !paid {
        add(
            "/channel",
            "Marketing messages are paid by an ad account. Connect one, or use auto.",
        );
    }
    if !campaign.audience.groups().is_empty() && !means.has_klaviyo {
        add(
            "/audience/include",
            "Connect Klaviyo to use its segments and lists.",
        );
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(found))
    }
}

/// Moves it from one of `from`; `Conflict` in words when it is elsewhere.
async fn step(
    conn: &mut Conn,
    ws: WorkspaceId,
    id: CampaignId,
    now: Millis,
    from: &str,
    change: &str,
    verb: &str,
) -> Result<Campaign, Error> {
    let sql = format!(
        "UPDATE campaigns SET {change}, updated_at = $3
         WHERE workspace_id = $1 AND id = $2 AND status IN ({from})"
    );
    let done = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(ws)
        .bind(id)
        .bind(now)
        .execute(&mut *conn)
        .await?;
    let campaign = load(conn, ws, id).await?;
    if done.rows_affected() == 0 {
        return Err(Error::Conflict(format!(
            "A campaign that is {} cannot be {verb}.",
            campaign.status
        )));
    }
    Ok(campaign)
}

/// Takes effect with the next batch: what is being spoken is finished.
pub async fn pause(app: &App, ws: WorkspaceId, id: CampaignId) -> Result<Campaign, Error> {
    let from = "'scheduled', 'preparing', 'running'";
    let change = "status = 'paused', paused_at = $3";
    let mut tx = app.db.begin().await?;
    let campaign = step(&mut tx, ws, id, app.clock.now(), from, change, "paused").await?;
    tx.commit().await?;
    Ok(campaign)
}

/// Pauses all that would go out, as when the app is removed from the shop; `words` say why. How many
/// it was.
pub async fn pause_all(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    words: &str,
) -> anyhow::Result<u64> {
    let paused = sqlx::query(
        "UPDATE campaigns SET status = 'paused', paused_at = $2, attention = $3, updated_at = $2
         WHERE workspace_id = $1 AND status IN ('scheduled', 'preparing', 'running')",
    )
    .bind(ws)
    .bind(app.clock.now())
    .bind(words)
    .execute(conn)
    .await?;
    Ok(paused.rows_affected())
}

/// Goes on where it stood. What was to happen meanwhile happens now: a person said so.
pub async fn resume(app: &App, ws: WorkspaceId, id: CampaignId) -> Result<Campaign, Error> {
    let change = "status = CASE WHEN launched_at IS NOT NULL THEN 'running' ELSE 'scheduled' END,
        scheduled_at = CASE WHEN launched_at IS NULL AND scheduled_at < $3 THEN $3
                            ELSE scheduled_at END,
        asked_at = $3, paused_at = NULL, finished_at = NULL, attention = NULL";
    let (from, now) = ("'paused', 'failed'", app.clock.now());
    let mut tx = app.db.begin().await?;
    let campaign = step(&mut tx, ws, id, now, from, change, "resumed").await?;
    // With it: whoever looks in between would stop it again for what stood in the way.
    warm_up::clear_problems(&mut tx, ws, id.0).await?;
    tx.commit().await?;
    app.queue.nudge(Job::Campaigns);
    for page in workspaces::pages(app, ws).await? {
        app.queue.nudge(Job::Messages(page.id));
    }
    Ok(campaign)
}

/// Final: what is queued will not be sent.
pub async fn cancel(app: &App, ws: WorkspaceId, id: CampaignId) -> Result<Campaign, Error> {
    let from = "'draft', 'scheduled', 'preparing', 'running', 'paused', 'failed'";
    let change = "status = 'cancelled', finished_at = $3, attention = NULL";
    let mut tx = app.db.begin().await?;
    let campaign = step(&mut tx, ws, id, app.clock.now(), from, change, "cancelled").await?;
    tx.commit().await?;
    delivery::cancel_queued(app, ws, id).await?;
    Ok(campaign)
}

/// Sends the campaign's message to one subscriber now, outside its counts; once for an `origin`.
pub async fn test_send(
    app: &App,
    ws: WorkspaceId,
    id: CampaignId,
    to: SubscriberId,
    origin: OriginId,
) -> Result<MessageKey, Error> {
    let campaign = find(app, ws, id).await?;
    let unknown = || {
        Error::Invalid(vec![Problem {
            pointer: "/subscriber_id".into(),
            detail: "There is no such subscriber.".into(),
        }])
    };
    let subscriber = subscribers::find(app, ws, to).await?.ok_or_else(unknown)?;
    let page = workspaces::page(app, subscriber.page)
        .await?
        .ok_or_else(unknown)?;
    let channel = Channel::parse(&campaign.channel);
    if warm_up::needs_warm_up(channel) {
        warm_up::prepare(app, id.0, &campaign.name, &page).await?;
    }
    let now = app.clock.now();
    let message = NewMessage {
        workspace: ws,
        page: page.id,
        subscriber: to,
        origin,
        kind: MessageKind::Test,
        automation: None,
        content: Content {
            tags: Tags::new(&campaign.name, &id.to_string(), &campaign.utm),
            body: Body::Message(campaign.message),
        },
        due_at: now,
        expires_at: Some(now + DAY),
    };
    let mut tx = app.db.begin().await?;
    let key = delivery::enqueue_test(&mut tx, now, &message, id, channel).await?;
    tx.commit().await?;
    app.queue.nudge(Job::Messages(page.id));
    Ok(key)
}

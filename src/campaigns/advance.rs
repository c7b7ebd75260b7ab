//! The reconciler of campaigns: looks at each that is open and moves it on. It takes no input, so
//! the nudge, the clock and the start after a crash are one code path.

use super::audience::Sql;
use super::draft::{Campaign, in_states};
use super::lateness::{due_at, starts_at};
use super::schedule::LATE_GRACE;
use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis};
use crate::delivery::videos;
use crate::delivery::warm_up::{self, Halt};
use crate::delivery::{self, Channel, SETTLE_BEFORE, UNSETTLED};
use crate::queue::Job;
use crate::store::Tx;
use crate::store::ids::{CampaignId, WorkspaceId};
use crate::tallies::Changes;
use crate::workspaces::{self, Page};
use crate::{opt_ins, profiles};

/// A hold that lasts longer is told.
const HELD: Millis = 10 * MINUTE;

/// Meta's campaigns are created this long before they are needed (facts/meta.md section 11: up to
/// 139 minutes of warm-up were seen).
const PREPARE_AHEAD: Millis = 3 * HOUR;
/// Meta's lists of subscribers are read over this long before a launch, so that it need not wait
/// for them: about what a million people take.
const READ_AHEAD: Millis = 15 * MINUTE;
/// How fresh a Klaviyo group must be at launch, and how long a launch waits for it.
const GROUP_FRESH: Millis = 10 * MINUTE;
const GROUP_PATIENCE: Millis = 15 * MINUTE;

/// Moves every campaign on that is due: prepares, launches, notices lateness, finishes. Safe to
/// run at any time and twice.
pub async fn advance(app: &App) -> anyhow::Result<()> {
    for campaign in in_states(app, &["scheduled", "preparing", "running"]).await? {
        let id = campaign.id;
        let moved = match campaign.status.as_str() {
            "scheduled" => scheduled(app, &campaign).await,
            "preparing" => preparing(app, &campaign).await,
            _ => running(app, &campaign).await,
        };
        if let Err(error) = moved {
            // One broken campaign must not hold up the others.
            tracing::error!(campaign.id = %id, error = format!("{error:#}"), "campaign did not move on");
        }
    }
    tidy_cancelled(app).await
}

async fn scheduled(app: &App, campaign: &Campaign) -> anyhow::Result<()> {
    let now = app.clock.now();
    let starts = starts_at(campaign);
    if now + PREPARE_AHEAD >= starts {
        // Ahead of time, so that at the time everything is warm.
        for page in paid_pages(app, campaign).await? {
            warm_up::prepare(app, campaign.id.0, &campaign.name, &page).await?;
        }
        let pages = workspaces::pages(app, campaign.workspace).await?;
        videos_ready(app, campaign, &pages).await?;
        if now < starts {
            // Told while there is time to mend it; it stops only when its time has come.
            let words = problem(app, campaign).await?.map(|(_, words)| {
                format!("It cannot start yet: {words}. Mend it, then schedule it again.")
            });
            note(app, campaign, words.as_deref()).await?;
        }
    }
    if now < starts {
        if now + READ_AHEAD >= starts {
            opt_ins::lists_read(app, campaign.workspace, starts).await?;
        }
        return Ok(());
    }
    let limit = campaign.late_limit_minutes * MINUTE + LATE_GRACE;
    if now > due_at(app, campaign).await? + limit {
        return ask_about_lateness(app, campaign).await;
    }
    if set_status(app, campaign, "preparing", None).await? {
        let campaign = Campaign {
            status: "preparing".into(),
            ..campaign.clone()
        };
        preparing(app, &campaign).await?;
    }
    Ok(())
}

async fn ask_about_lateness(app: &App, campaign: &Campaign) -> anyhow::Result<()> {
    let words = "Its time passed while Pagecast was not running or something stood in its way, so it \
                 did not start by itself. Resume it to send it now, or cancel it.";
    set_status(app, campaign, "paused", Some(words)).await?;
    Ok(())
}

async fn preparing(app: &App, campaign: &Campaign) -> anyhow::Result<()> {
    let now = app.clock.now();
    let pages = workspaces::pages(app, campaign.workspace).await?;
    let paid = paid_pages(app, campaign).await?;
    let due = due_at(app, campaign).await?;
    // Whatever it waits for below, it waits within its limit. Only the warm-up comes on top, once:
    // a vehicle that was made late, or is held again and again, does not move the limit on.
    let latest = if paid.is_empty() {
        due
    } else {
        due + app.config.meta.warm_up_ms
    };
    let late = campaign.late_limit_minutes * MINUTE + GROUP_PATIENCE;
    if now > latest + late {
        return ask_about_lateness(app, campaign).await;
    }
    if !pages.iter().any(|page| page.state == "active") {
        let words = match pages.iter().find_map(|page| page.attention.as_deref()) {
            Some(why) => {
                format!("The Facebook Page cannot send: {why} It starts when that is mended.")
            }
            None => "The Facebook Page needs to be connected again. It starts when that is done."
                .to_owned(),
        };
        return note(app, campaign, Some(&words)).await;
    }
    if let Some((halt, words)) = problem(app, campaign).await? {
        return halted(app, campaign, halt, &words).await;
    }
    let videos_ready = videos_ready(app, campaign, &pages).await?;
    let mut ready_at = due;
    for page in paid {
        let vehicle = warm_up::prepare(app, campaign.id.0, &campaign.name, &page).await?;
        if let Some((halt, words)) = vehicle.problem {
            return halted(app, campaign, halt, &words).await;
        }
        match vehicle.warm_at(app.config.meta.warm_up_ms) {
            Some(at) if at <= now => ready_at = ready_at.max(at.min(latest)),
            _ => return note(app, campaign, None).await,
        }
    }
    if !videos_ready {
        return note(app, campaign, None).await;
    }
    if !groups_ready(app, campaign, now).await? {
        return Ok(());
    }
    if now > ready_at + late {
        return ask_about_lateness(app, campaign).await;
    }
    // A broadcast goes to who is subscribed now, as far as Meta's lists tell it soon.
    if !opt_ins::lists_read(app, campaign.workspace, now).await? {
        return Ok(());
    }
    launch(app, campaign, &pages).await
}

/// What stands in its way at Meta: the problem of a vehicle, or of a video.
async fn problem(app: &App, campaign: &Campaign) -> anyhow::Result<Option<(Halt, String)>> {
    let mut conn = app.db.acquire().await?;
    Ok(warm_up::problem(&mut conn, campaign.id.0).await?)
}

/// Whether its video, if it has one, is at Meta for each Page that sends.
async fn videos_ready(app: &App, campaign: &Campaign, pages: &[Page]) -> anyhow::Result<bool> {
    let channel = Channel::parse(&campaign.channel);
    let mut ready = true;
    for page in pages.iter().filter(|page| page.state == "active") {
        ready &= videos::is_ready(app, campaign.id.0, &campaign.message, channel, page).await?;
    }
    Ok(ready)
}

/// Pages from which this campaign may send paid messages.
async fn paid_pages(app: &App, campaign: &Campaign) -> anyhow::Result<Vec<Page>> {
    if !warm_up::needs_warm_up(Channel::parse(&campaign.channel)) {
        return Ok(Vec::new());
    }
    let mut pages = workspaces::pages(app, campaign.workspace).await?;
    pages.retain(|p| p.state == "active" && p.ad_account.is_some() && p.ad_token.is_some());
    Ok(pages)
}

/// Whether every Klaviyo group of the audience is as fresh as it will get. Says so on the
/// campaign when one cannot be read at all.
async fn groups_ready(app: &App, campaign: &Campaign, now: Millis) -> anyhow::Result<bool> {
    let wanted = campaign.audience.groups();
    if wanted.is_empty() {
        return Ok(true);
    }
    let since = campaign.scheduled_at.unwrap_or(now).min(now) - GROUP_FRESH;
    let mut ready = true;
    for (kind, id) in &wanted {
        ready &= profiles::want(app, campaign.workspace, *kind, id, since).await?;
    }
    if ready {
        return Ok(true);
    }
    app.queue.nudge(Job::Profiles);
    let known = profiles::groups(app, campaign.workspace).await?;
    let broken = wanted.iter().find_map(|(kind, id)| {
        known
            .iter()
            .find(|g| g.kind == *kind && g.id == *id && g.problem.is_some())
    });
    let waited = now > campaign.scheduled_at.unwrap_or(now) + GROUP_PATIENCE;
    let all_known = wanted.iter().all(|(kind, id)| {
        known
            .iter()
            .any(|g| g.kind == *kind && g.id == *id && g.synced_at.is_some())
    });
    if waited && all_known {
        return Ok(true);
    }
    if let Some(problem) = broken.and_then(|found| found.problem.as_deref()) {
        let words =
            format!("Klaviyo's segment could not be read: {problem} It starts when it can.");
        note(app, campaign, Some(&words)).await?;
    }
    Ok(false)
}

/// Freezes the audience: one statement writes one row per person, and from then on the rows are
/// the truth. Run twice it changes nothing.
async fn launch(app: &App, campaign: &Campaign, pages: &[Page]) -> anyhow::Result<()> {
    let now = app.clock.now();
    let id = campaign.id.0;
    let mut tx = app.db.begin_long().await?;
    let started = sqlx::query(
        "UPDATE campaigns SET status = 'running', launched_at = $3, attention = NULL,
             updated_at = $3
         WHERE workspace_id = $1 AND id = $2 AND status = 'preparing'",
    )
    .bind(campaign.workspace)
    .bind(campaign.id)
    .bind(now)
    .execute(&mut *tx)
    .await?;
    if started.rows_affected() == 0 {
        return Ok(());
    }
    let mut sql = Sql::default();
    sql.push(
        "INSERT INTO messages (origin_id, subscriber_id, workspace_id, page_id, kind, campaign_id,
             priority, status, reason, due_at, created_at)
         SELECT ",
    )
    .number(id)
    .push(", s.id, s.workspace_id, s.page_id, 'campaign', ")
    .number(id)
    .push(", 2, CASE WHEN ");
    holdout(&mut sql, campaign);
    sql.push(" THEN 'skipped' ELSE 'queued' END, CASE WHEN ");
    holdout(&mut sql, campaign);
    sql.push(" THEN 'holdout' END, ")
        .number(now)
        .push(", ")
        .number(now)
        .push(
            " FROM subscribers s JOIN pages p ON p.id = s.page_id
          WHERE p.disconnected_at IS NULL AND ",
        );
    sql.members(campaign.workspace, &campaign.audience, now)
        .push(" ON CONFLICT DO NOTHING");
    let people = sql.query().execute(&mut *tx).await?.rows_affected();
    note_audience(&mut tx, campaign, people).await?;
    tx.commit().await?;
    tracing::info!(campaign.id = %campaign.id, people, "campaign launched");
    for page in pages {
        app.queue.nudge(Job::Messages(page.id));
    }
    app.queue.nudge(Job::Campaigns);
    Ok(())
}

/// The frozen audience is written down, and who was held out of it is counted.
async fn note_audience(tx: &mut Tx, campaign: &Campaign, people: u64) -> anyhow::Result<()> {
    sqlx::query("UPDATE campaigns SET people = $3 WHERE workspace_id = $1 AND id = $2")
        .bind(campaign.workspace)
        .bind(campaign.id)
        .bind(i64::try_from(people)?)
        .execute(&mut **tx)
        .await?;
    if campaign.audience.holdout_percent == 0 {
        return Ok(());
    }
    let held_out: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM messages
         WHERE workspace_id = $1 AND campaign_id = $2 AND campaign_id IS NOT NULL
           -- The words of the index messages_campaign_rest.
           AND status NOT IN ('queued', 'sending', 'sent') AND status = 'skipped'",
    )
    .bind(campaign.workspace)
    .bind(campaign.id)
    .fetch_one(&mut **tx)
    .await?;
    let mut changes = Changes::default();
    let held_out = held_out.unsigned_abs();
    changes.many_came(
        campaign.workspace,
        campaign.id.0,
        "skipped",
        "holdout",
        held_out,
    );
    changes.write(tx).await?;
    Ok(())
}

/// The same people for the same campaign, others for the next: a hash of both ids.
fn holdout(sql: &mut Sql, campaign: &Campaign) {
    sql.push("((s.id % 1000003) * 7919 + ")
        .number(campaign.id.0 % 1_000_003)
        .push(") % 100 < ")
        .number(campaign.audience.holdout_percent);
}

async fn running(app: &App, campaign: &Campaign) -> anyhow::Result<()> {
    if let Some((halt, words)) = problem(app, campaign).await? {
        return halted(app, campaign, halt, &words).await;
    }
    let now = app.clock.now();
    if warm_up::needs_warm_up(Channel::parse(&campaign.channel)) {
        let (ws, id) = (campaign.workspace, campaign.id);
        warm_up::prepare_lacking(app, ws, id, &campaign.name).await?;
    }
    // In doubt on the paid channel means that it is tried once more, however long the Page rests
    // before that: until then the campaign is not through.
    let open: Option<(i64,)> = sqlx::query_as(
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM messages
                 WHERE campaign_id = $1 AND campaign_id IS NOT NULL AND status = 'queued')
             OR EXISTS (SELECT 1 FROM messages
                 WHERE status = 'sending' AND lease_until > 0 AND campaign_id = $1)
             OR EXISTS (SELECT 1 FROM messages
                 WHERE status = 'unknown' AND reason = 'answer_lost' AND started_at > $3
                   AND (started_at > $2 OR channel = 'marketing_message')
                   AND campaign_id = $1)",
    )
    .bind(campaign.id)
    .bind(now - UNSETTLED)
    .bind(now - SETTLE_BEFORE)
    .fetch_optional(app.db.pool())
    .await?;
    if open.is_none() {
        sqlx::query(
            "UPDATE campaigns SET status = 'finished', finished_at = $3, updated_at = $3,
                 attention = NULL
             WHERE workspace_id = $1 AND id = $2 AND status = 'running' AND updated_at = $4",
        )
        .bind(campaign.workspace)
        .bind(campaign.id)
        .bind(now)
        .bind(campaign.updated_at)
        .execute(app.db.writer())
        .await?;
        tracing::info!(campaign.id = %campaign.id, "campaign finished");
        return Ok(());
    }
    let words = standstill(app, campaign, now).await?;
    note(app, campaign, words.as_deref()).await
}

/// Why some of it does not go out for now, where somebody should know: a Page in trouble, or Meta
/// holding it back for longer than a warm-up's next look.
async fn standstill(app: &App, campaign: &Campaign, now: Millis) -> anyhow::Result<Option<String>> {
    let row: Option<(String, Option<String>, i64)> = sqlx::query_as(
        "SELECT p.name, p.attention,
                CAST(CASE WHEN p.state <> 'active' THEN 1 ELSE 0 END AS BIGINT)
         FROM pages p LEFT JOIN meta_campaigns v ON v.owner_id = $2 AND v.page_id = p.id
         WHERE p.workspace_id = $1 AND p.disconnected_at IS NULL
           AND (p.state <> 'active' OR v.hold_until > $3)
           AND EXISTS (SELECT 1 FROM messages m WHERE m.campaign_id = $2
               AND m.campaign_id IS NOT NULL AND m.page_id = p.id AND m.status = 'queued')
         ORDER BY p.id LIMIT 1",
    )
    .bind(campaign.workspace)
    .bind(campaign.id)
    .bind(now + HELD)
    .fetch_optional(app.db.pool())
    .await?;
    Ok(row.map(|(name, attention, is_stopped)| {
        if is_stopped == 0 {
            return "Meta holds it back for now, most often because the ad account's budget for \
                    today is used up. The rest goes out by itself when Meta takes it again."
                .to_owned();
        }
        let why = attention.unwrap_or_else(|| "it needs to be connected again.".to_owned());
        format!("{name} cannot send: {why} The rest goes out when that is mended.")
    }))
}

async fn halted(app: &App, campaign: &Campaign, halt: Halt, words: &str) -> anyhow::Result<()> {
    let words = match halt {
        Halt::Failed => {
            format!("Meta stopped it: {words}. Nothing more is sent until you resume it.")
        }
        Halt::Paused => format!("{words}. Mend it at Meta, then resume."),
    };
    set_status(app, campaign, halt.as_str(), Some(&words)).await?;
    Ok(())
}

/// Moves it from the status it was seen in; `false` if somebody else moved it first.
async fn set_status(
    app: &App,
    campaign: &Campaign,
    status: &str,
    attention: Option<&str>,
) -> anyhow::Result<bool> {
    let now = app.clock.now();
    let done = sqlx::query(
        "UPDATE campaigns SET status = $4, attention = $5, updated_at = $6,
             paused_at = CASE WHEN $4 = 'paused' THEN $6 ELSE paused_at END
         WHERE workspace_id = $1 AND id = $2 AND status = $3",
    )
    .bind(campaign.workspace)
    .bind(campaign.id)
    .bind(&campaign.status)
    .bind(status)
    .bind(attention)
    .bind(now)
    .execute(app.db.writer())
    .await?;
    Ok(done.rows_affected() > 0)
}

/// What the merchant should know while it waits.
async fn note(app: &App, campaign: &Campaign, words: Option<&str>) -> anyhow::Result<()> {
    if campaign.attention.as_deref() == words {
        return Ok(());
    }
    set_status(app, campaign, &campaign.status, words).await?;
    Ok(())
}

/// What was in flight when a campaign was cancelled may have come back into the queue.
async fn tidy_cancelled(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let left: Vec<(WorkspaceId, CampaignId)> = sqlx::query_as(
        "SELECT c.workspace_id, c.id FROM campaigns c WHERE c.status = 'cancelled' AND c.finished_at > $1
           AND EXISTS (SELECT 1 FROM messages m WHERE m.campaign_id = c.id AND m.status = 'queued')",
    )
    .bind(now - 24 * HOUR)
    .fetch_all(app.db.pool())
    .await?;
    for (ws, id) in left {
        delivery::cancel_queued(app, ws, id).await?;
    }
    Ok(())
}

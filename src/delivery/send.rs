//! The send loop of one Page.

use std::sync::Arc;

use futures::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::batch::{self, Batch, Claim, Source, Work, claim};
use super::pace::{self, Gate, Slots};
use super::speak::{Spoken, speak, unspoken};
use super::warm_up;
use super::{disconnected, leases, outcome};
use crate::app::App;
use crate::clock::{MINUTE, Millis, SECOND};
use crate::queue::Job;
use crate::store::ids::{CampaignId, PageRowId};
use crate::workspaces::{self, Page, Workspace};

/// Batches whose calls are not all out yet: while one goes out at its pace, the next is claimed.
const AHEAD: usize = 2;
/// Batches that wait for answers: at the full pace enough for answers that take five seconds.
const UNDER_WAY: usize = 24;
/// A batch that goes out slowly asks so often whether it still may: a pause is obeyed in a second.
const ASK_AGAIN: Millis = 500;
/// How long what is known of the Page and its workspace may be old; the claim itself asks again
/// whether the Page and the campaign may send.
const FRESH: Millis = SECOND;

/// Sends what is due on this Page: claims, asks the policy, keeps the pace, speaks to Meta, writes
/// what happened; until nothing is due. Safe to run in many workers at once.
pub async fn send_due(app: &App, id: PageRowId) -> anyhow::Result<()> {
    // Tasks, not futures of this one: a batch that is writing its outcomes holds the database's
    // lock, and must go on while the next one is being claimed.
    let mut under_way = JoinSet::new();
    let (out, mut all_out) = mpsc::unbounded_channel();
    let (mut turn, mut ahead) = (0, 0);
    let gate = Arc::new(Gate::default());
    let mut sender = None;
    // A failure ends the claiming; what was claimed is seen through.
    let mut failure = None;
    loop {
        let mut dry = failure.is_some() || app.stop.is_cancelled();
        while ahead < AHEAD && under_way.len() < UNDER_WAY && !dry {
            // In the order of asking, so a Page with a few messages waits for a batch of the
            // others, never for all they have.
            let permit = app.capacity.batch().await;
            let (known, next) = match claim_next(app, id, &mut sender, turn).await {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            match next {
                Next::Batch(batch) => {
                    turn += 1;
                    ahead += 1;
                    let (app, gate, out) = (app.clone(), Arc::clone(&gate), out.clone());
                    under_way.spawn(async move {
                        let all_out = || {
                            drop(permit);
                            out.send(())
                        };
                        let done = send_batch(&app, &known, &gate, batch, all_out).await;
                        outcome::record(&app, &known.workspace, &known.page, done).await?;
                        app.queue.nudge(Job::Campaigns);
                        anyhow::Ok(())
                    });
                }
                Next::Moved => turn += 1,
                Next::Rest(until) => {
                    drop(permit);
                    app.clock.sleep_until(until).await;
                }
                Next::Dry => dry = true,
            }
        }
        // In this order, not one by chance: the same things happening make the same run.
        tokio::select! {
            biased;
            Some(()) = all_out.recv(), if ahead > 0 => ahead -= 1,
            ended = under_way.join_next() => match ended {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => failure = Some(error),
                Some(Err(panicked)) => failure = Some(panicked.into()),
                None => break,
            },
        }
        // A batch that ended had all its calls out, whichever of the two was heard first.
        while all_out.try_recv().is_ok() {
            ahead -= 1;
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Who sends, and when that was read.
type Known = Option<(Arc<Sender>, Millis)>;

async fn claim_next(
    app: &App,
    id: PageRowId,
    known: &mut Known,
    turn: usize,
) -> anyhow::Result<Option<(Arc<Sender>, Next)>> {
    let now = app.clock.now();
    if known
        .as_ref()
        .is_none_or(|(_, read_at)| (now - read_at).abs() >= FRESH)
    {
        *known = Sender::read(app, id)
            .await?
            .map(|read| (Arc::new(read), now));
    }
    let Some((sender, _)) = known else {
        return Ok(None);
    };
    let next = next_batch(app, sender, turn).await?;
    Ok(Some((Arc::clone(sender), next)))
}

/// Who sends.
struct Sender {
    workspace: Workspace,
    page: Page,
}

impl Sender {
    /// `None` when nothing may be sent from this Page.
    async fn read(app: &App, id: PageRowId) -> anyhow::Result<Option<Self>> {
        let Some(page) = workspaces::page(app, id).await? else {
            return Ok(None);
        };
        if page.state != "active" {
            return Ok(None);
        }
        let workspace = workspaces::find(app, page.workspace).await?;
        Ok(workspace.map(|workspace| Self { workspace, page }))
    }
}

enum Next {
    Batch(Batch),
    Moved,
    /// So short that it is worth waiting for.
    Rest(Millis),
    Dry,
}

/// The next batch, fair between campaigns: single messages first, then each campaign in turn.
async fn next_batch(app: &App, sender: &Sender, turn: usize) -> anyhow::Result<Next> {
    let Sender { workspace, page } = sender;
    let room = match pace::room(app, page.id).await? {
        Ok(room) => room,
        Err(until) => return Ok(rest(app, until)),
    };
    let mut moved = false;
    for source in sources(app, page, turn).await? {
        match claim(app, workspace, page, source, room).await? {
            Claim::Work(batch) => return Ok(Next::Batch(batch)),
            Claim::Moved => moved = true,
            Claim::Nothing => {}
            Claim::Resting(until) => return Ok(rest(app, until)),
        }
    }
    Ok(if moved { Next::Moved } else { Next::Dry })
}

/// The sweep comes back; only a short rest is worth waiting for.
fn rest(app: &App, until: Millis) -> Next {
    if until - app.clock.now() < SECOND && !app.clock.is_steerable() {
        Next::Rest(until)
    } else {
        Next::Dry
    }
}

/// Where something is due on this Page, in the order of who goes first; campaigns in turn.
async fn sources(app: &App, page: &Page, turn: usize) -> anyhow::Result<Vec<Source>> {
    let now = app.clock.now();
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT 0, 0 WHERE EXISTS (SELECT 1 FROM messages WHERE page_id = $1
             AND campaign_id IS NULL AND status = 'queued' AND due_at <= $3)
         UNION ALL
         SELECT 1, 0 WHERE EXISTS (SELECT 1 FROM messages WHERE status = 'unknown'
             AND page_id = $1 AND reason = 'answer_lost' AND channel = 'marketing_message'
             AND started_at <= $4 AND started_at > $5 AND due_at <= $3
             AND NOT EXISTS (SELECT 1 FROM campaigns c WHERE c.id = messages.campaign_id
                 AND c.status IN ('paused', 'failed', 'cancelled')))
         UNION ALL
         SELECT * FROM (SELECT 2, c.id FROM campaigns c
             LEFT JOIN meta_campaigns v ON v.owner_id = c.id AND v.page_id = $1
             WHERE c.workspace_id = $2 AND c.status = 'running' AND v.problem IS NULL
               AND EXISTS (SELECT 1 FROM messages m WHERE m.campaign_id = c.id
                   AND m.campaign_id IS NOT NULL AND m.page_id = $1 AND m.status = 'queued'
                   AND m.due_at <= $3)
             ORDER BY c.launched_at) AS running",
    )
    .bind(page.id)
    .bind(page.workspace)
    .bind(now)
    .bind(now - batch::SETTLE_AFTER)
    .bind(now - batch::SETTLE_BEFORE)
    .fetch_all(app.db.pool())
    .await?;
    let campaigns: Vec<CampaignId> = rows
        .iter()
        .filter(|(kind, _)| *kind == 2)
        .map(|(_, id)| CampaignId(*id))
        .collect();
    let has = |wanted| rows.iter().any(|(kind, _)| *kind == wanted);
    let single = has(0).then_some(Source::Single);
    let unsettled = has(1).then_some(Source::Unsettled);
    let rotated = (0..campaigns.len()).map(|i| campaigns[(i + turn) % campaigns.len()]);
    Ok(single
        .into_iter()
        .chain(unsettled)
        .chain(rotated.map(Source::Campaign))
        .collect())
}

/// Whether somebody paused the campaign, or the Page broke, since the batch was claimed. In doubt
/// nothing more goes out: what is given back is claimed again.
async fn may_go_on(app: &App, page: &Page, source: Source) -> bool {
    let campaign = match source {
        Source::Campaign(id) => Some(id),
        Source::Single | Source::Unsettled => None,
    };
    let found: sqlx::Result<Option<(i64,)>> = sqlx::query_as(
        "SELECT 1 FROM pages p WHERE p.id = $1 AND p.state = 'active'
           AND (CAST($2 AS BIGINT) IS NULL
                OR EXISTS (SELECT 1 FROM campaigns WHERE id = $2 AND status = 'running'))",
    )
    .bind(page.id)
    .bind(campaign)
    .fetch_optional(app.db.pool())
    .await;
    matches!(found, Ok(Some(_)))
}

/// Slots for what is left of a batch that came too late for its own; `None` while the Page rests.
async fn new_slots(app: &App, page: &Page, weight: i64, lead: Millis) -> Option<Slots> {
    let mut tx = app.db.begin().await.ok()?;
    let now = app.clock.now();
    let taken = pace::take(&mut tx, page.id, weight, app.capacity.worker, (now, lead)).await;
    tx.commit().await.ok()?;
    taken.ok()?.ok()
}

/// Lets the calls of a batch out, each at its slot, and waits for the answers. `all_out` is called
/// when the last call is on its way.
async fn send_batch<T>(
    app: &App,
    sender: &Sender,
    gate: &Gate,
    batch: Batch,
    all_out: impl FnOnce() -> T,
) -> Vec<(Work, Spoken)> {
    let Batch {
        source,
        work,
        mut slots,
        weight,
        total,
    } = batch;
    let page = &sender.page;
    let mut asked_at = app.clock.now();
    let mut done = Vec::with_capacity(work.len());
    let mut calls = FuturesUnordered::new();
    let (mut before, mut left) = (0, total);
    let mut rests = false;
    let mut lead = pace::LEAD;
    for mut work in work {
        let now = app.clock.now();
        if (now - asked_at).abs() > ASK_AGAIN && !rests {
            asked_at = now;
            rests = !hearing(&mut calls, &mut done, may_go_on(app, page, source)).await;
        }
        if slots.is_missed(slots.at_us(before), now) && !rests {
            let new = new_slots(app, page, left, lead);
            match hearing(&mut calls, &mut done, new).await {
                Some(new) => (slots, before) = (new, 0),
                None => rests = true,
            }
            // Where taking them takes long, the next are taken further ahead.
            lead = lead.max(2 * (app.clock.now() - now).clamp(0, SECOND));
        }
        if rests {
            let spoken = unspoken(&work, now);
            done.push((work, spoken));
            continue;
        }
        let slot = slots.at_us(before);
        (before, left) = (before + weight, left - weight);
        let go = async {
            app.clock.sleep_until(slot / 1_000).await;
            let now_us = slot.max(app.clock.now() * 1_000);
            app.clock
                .sleep_until(gate.pass(now_us, weight, &slots))
                .await;
            app.capacity.calls.acquire().await
        };
        let permit = hearing(&mut calls, &mut done, go).await;
        calls.push(async move {
            work.called_at = app.clock.now();
            let spoken = speak(app, page, &work).await;
            drop(permit);
            (work, spoken)
        });
    }
    all_out();
    while let Some(answered) = calls.next().await {
        done.push(answered);
    }
    done
}

/// Awaits something while answers come in: one that nobody takes in time would count as lost.
async fn hearing<T>(
    calls: &mut (impl Stream<Item = (Work, Spoken)> + Unpin),
    done: &mut Vec<(Work, Spoken)>,
    awaited: impl Future<Output = T>,
) -> T {
    let mut awaited = std::pin::pin!(awaited);
    loop {
        tokio::select! {
            biased;
            came = &mut awaited => return came,
            Some(answered) = calls.next() => done.push(answered),
        }
    }
}

/// Pages on which something is due now. Leases that ran out are found here first, so that what a
/// crash left is taken up within seconds.
pub async fn pages_due(app: &App) -> anyhow::Result<Vec<PageRowId>> {
    let expired = leases::expire_leases(app).await?;
    if expired > 0 {
        tracing::warn!(
            messages = expired,
            "leases ran out: their messages are unknown"
        );
    }
    let now = app.clock.now();
    let rows: Vec<(PageRowId,)> = sqlx::query_as(
        "SELECT p.id FROM pages p
         LEFT JOIN paces ON paces.page_id = p.id
         WHERE p.state = 'active' AND p.disconnected_at IS NULL
           AND (paces.hold_until IS NULL OR paces.hold_until <= $1)
           AND (EXISTS (SELECT 1 FROM messages m WHERE m.page_id = p.id
                    AND m.campaign_id IS NULL AND m.status = 'queued' AND m.due_at <= $1)
             OR p.id IN (SELECT m.page_id FROM messages m WHERE m.status = 'unknown'
                    AND m.reason = 'answer_lost' AND m.channel = 'marketing_message'
                    AND m.started_at <= $2 AND m.started_at > $3 AND m.due_at <= $1
                    AND NOT EXISTS (SELECT 1 FROM campaigns c WHERE c.id = m.campaign_id
                        AND c.status IN ('paused', 'failed', 'cancelled')))
             OR p.id IN (SELECT v.id FROM campaigns c
                    JOIN pages v ON v.workspace_id = c.workspace_id
                    LEFT JOIN meta_campaigns w ON w.owner_id = c.id AND w.page_id = v.id
                    WHERE c.status = 'running' AND w.problem IS NULL
                      -- Said again in the words of the index campaigns_open.
                      AND c.status IN ('scheduled', 'preparing', 'running')
                      AND EXISTS (SELECT 1 FROM messages m WHERE m.campaign_id = c.id
                          AND m.page_id = v.id AND m.campaign_id IS NOT NULL
                          AND m.status = 'queued' AND m.due_at <= $1)))",
    )
    .bind(now)
    .bind(now - batch::SETTLE_AFTER)
    .bind(now - batch::SETTLE_BEFORE)
    .fetch_all(app.db.pool())
    .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Finds what a crash left: leases that ran out become `unknown` (and those of the paid channel
/// are tried once more, by [`send_due`]); automations keep their vehicles warm.
pub async fn sweep(app: &App) -> anyhow::Result<()> {
    for page in pages_due(app).await? {
        app.queue.nudge(Job::Messages(page));
    }
    disconnected::skip_disconnected(app).await?;
    warm_up::keep_automations_warm(app).await
}

/// How long an unknown message keeps its campaign open: until its safe retry and its echo had
/// their time.
pub const UNSETTLED: Millis = MINUTE;

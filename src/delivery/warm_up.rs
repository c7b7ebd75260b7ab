//! Meta's message campaigns: created ahead because the paid channel wants them warm, one for each
//! campaign or automation and Page.

use super::policy::Channel;
use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis};
use crate::meta::{self, Class};
use crate::store::Conn;
use crate::store::ids::{PageRowId, WorkspaceId};
use crate::workspaces::{self, Page};

/// What stands ready at Meta for the paid sends of one owner from one Page.
#[derive(Clone, Debug, Default)]
pub struct Vehicle {
    pub meta_campaign_id: Option<String>,
    pub created_at: Option<Millis>,
    pub probed_at: Option<Millis>,
    /// The first send is under way until then; nobody else goes with it.
    pub probing_until: Millis,
    /// No paid send before this.
    pub hold_until: Millis,
    /// `failed` or `paused`, and the words for the merchant.
    pub problem: Option<(Halt, String)>,
}

/// How sends were brought to a stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Meta will not take it; somebody has to look.
    Failed,
    /// The merchant has to mend something (budget, payment).
    Paused,
}

impl Halt {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Paused => "paused",
        }
    }
}

impl Vehicle {
    /// From when on it can be used.
    pub fn warm_at(&self, warm_up: Millis) -> Option<Millis> {
        self.created_at
            .map(|at| (at + warm_up).max(self.hold_until))
    }
}

/// Reads the row, if there is one.
pub async fn vehicle(
    conn: &mut Conn,
    owner: i64,
    page: PageRowId,
) -> sqlx::Result<Option<Vehicle>> {
    type Row = (
        Option<String>,
        Option<Millis>,
        Option<Millis>,
        Millis,
        Millis,
        Option<String>,
        Option<String>,
    );
    let row: Option<Row> = sqlx::query_as(
        "SELECT meta_campaign_id, meta_created_at, probed_at, probing_until, hold_until,
                problem_kind, problem
         FROM meta_campaigns WHERE owner_id = $1 AND page_id = $2",
    )
    .bind(owner)
    .bind(page)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(
        |(id, created_at, probed_at, probing_until, hold_until, kind, words)| Vehicle {
            meta_campaign_id: id,
            created_at,
            probed_at,
            probing_until,
            hold_until,
            problem: kind.map(|kind| {
                let halt = if kind == "failed" {
                    Halt::Failed
                } else {
                    Halt::Paused
                };
                (halt, words.unwrap_or_default())
            }),
        },
    ))
}

/// Makes sure that Meta has a message campaign for this owner and Page, and says how it stands.
/// Does nothing for a Page without an ad account. `name` is what the merchant sees at Meta.
pub async fn prepare(app: &App, owner: i64, name: &str, page: &Page) -> anyhow::Result<Vehicle> {
    let (Some(account), Some(token)) = (&page.ad_account, &page.ad_token) else {
        return Ok(Vehicle::default());
    };
    sqlx::query(
        "INSERT INTO meta_campaigns (owner_id, page_id, workspace_id) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(owner)
    .bind(page.id)
    .bind(page.workspace)
    .execute(app.db.writer())
    .await?;
    let now = app.clock.now();
    // One process creates; the hold keeps the others (and our own retries) away meanwhile.
    let mine = sqlx::query(
        "UPDATE meta_campaigns SET hold_until = $3
         WHERE owner_id = $1 AND page_id = $2 AND meta_campaign_id IS NULL
           AND problem IS NULL AND hold_until <= $4",
    )
    .bind(owner)
    .bind(page.id)
    .bind(now + MINUTE)
    .bind(now)
    .execute(app.db.writer())
    .await?
    .rows_affected();
    if mine > 0 {
        match app
            .meta
            .create_campaign(account, token, name, &page.meta_id)
            .await
        {
            Ok(id) => created(app, owner, page.id, &id).await?,
            Err(error) => refused(app, owner, page, &error).await?,
        }
    }
    let mut conn = app.db.acquire().await?;
    Ok(vehicle(&mut conn, owner, page.id)
        .await?
        .unwrap_or_default())
}

async fn created(app: &App, owner: i64, page: PageRowId, id: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE meta_campaigns SET meta_campaign_id = $3, meta_created_at = $4, hold_until = 0
         WHERE owner_id = $1 AND page_id = $2",
    )
    .bind(owner)
    .bind(page)
    .bind(id)
    .bind(app.clock.now())
    .execute(app.db.writer())
    .await?;
    Ok(())
}

async fn refused(app: &App, owner: i64, page: &Page, error: &meta::Error) -> anyhow::Result<()> {
    tracing::warn!(page.id = %page.id, %error, "Meta did not create a message campaign");
    let meta::Error::Api(api) = error else {
        // Creating is free and an unused campaign costs nothing, so a lost answer is tried again.
        return Ok(hold(app, owner, page.id, app.clock.now() + MINUTE / 4).await?);
    };
    let words = api.meaning();
    match api.class {
        Class::RetryLater | Class::BackOff => {
            let wait = api.retry_after.unwrap_or(MINUTE).min(HOUR);
            hold(app, owner, page.id, app.clock.now() + wait).await?;
        }
        Class::ReconnectPage => {
            hold(app, owner, page.id, app.clock.now() + MINUTE).await?;
            workspaces::page_refused(app, page.id, api.code, api.subcode, words).await?;
        }
        Class::MerchantBilling => {
            halt(app, page.workspace, owner, page.id, Halt::Paused, words).await?;
        }
        _ => halt(app, page.workspace, owner, page.id, Halt::Failed, words).await?,
    }
    Ok(())
}

/// No paid send of this owner from this Page before `until`.
pub async fn hold(app: &App, owner: i64, page: PageRowId, until: Millis) -> sqlx::Result<()> {
    sqlx::query("UPDATE meta_campaigns SET hold_until = $3 WHERE owner_id = $1 AND page_id = $2")
        .bind(owner)
        .bind(page)
        .bind(until)
        .execute(app.db.writer())
        .await?;
    Ok(())
}

/// The first send goes out now and no other with it, in whichever worker.
pub(super) async fn probe(
    conn: &mut Conn,
    owner: i64,
    page: PageRowId,
    until: Millis,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE meta_campaigns SET probing_until = $3 WHERE owner_id = $1 AND page_id = $2",
    )
    .bind(owner)
    .bind(page)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(())
}

/// The first send was answered; when it went `through`, the rest need not wait any more.
pub(super) async fn probed(
    app: &App,
    owner: i64,
    page: PageRowId,
    through: bool,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE meta_campaigns SET probing_until = 0, probed_at = COALESCE(probed_at, $3)
         WHERE owner_id = $1 AND page_id = $2",
    )
    .bind(owner)
    .bind(page)
    .bind(through.then(|| app.clock.now()))
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// Brings the owner's sends from this Page to a stand; the campaign reads it and says so.
pub async fn halt(
    app: &App,
    ws: WorkspaceId,
    owner: i64,
    page: PageRowId,
    how: Halt,
    words: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO meta_campaigns (owner_id, page_id, workspace_id, problem_kind, problem)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (owner_id, page_id) DO UPDATE
             SET problem_kind = excluded.problem_kind, problem = excluded.problem",
    )
    .bind(owner)
    .bind(page)
    .bind(ws)
    .bind(how.as_str())
    .bind(words)
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// What stands in the way of this owner's sends, if anything does.
pub async fn problem(conn: &mut Conn, owner: i64) -> sqlx::Result<Option<(Halt, String)>> {
    let row: Option<(String, String)> = sqlx::query_as(
        "SELECT problem_kind, problem FROM meta_campaigns
         WHERE owner_id = $1 AND problem IS NOT NULL ORDER BY problem_kind LIMIT 1",
    )
    .bind(owner)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|(kind, words)| {
        (
            if kind == "failed" {
                Halt::Failed
            } else {
                Halt::Paused
            },
            words,
        )
    }))
}

/// The merchant says "go on": forgets what stood in the way. A vehicle that Meta never made is
/// asked for again.
pub async fn clear_problems(conn: &mut Conn, ws: WorkspaceId, owner: i64) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE meta_campaigns SET problem = NULL, problem_kind = NULL, hold_until = 0
         WHERE workspace_id = $1 AND owner_id = $2 AND problem IS NOT NULL",
    )
    .bind(ws)
    .bind(owner)
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps a warm vehicle for every automation that is on: what a person just did cannot wait an
/// hour for Meta.
pub(super) async fn keep_automations_warm(app: &App) -> anyhow::Result<()> {
    let missing: Vec<(i64, String, PageRowId)> = sqlx::query_as(
        "SELECT a.id, a.name, p.id FROM automations a
         JOIN pages p ON p.workspace_id = a.workspace_id
         LEFT JOIN meta_campaigns m ON m.owner_id = a.id AND m.page_id = p.id
         WHERE a.status = 'on' AND a.deleted_at IS NULL AND p.state = 'active'
           AND p.disconnected_at IS NULL AND p.ad_account IS NOT NULL
           AND m.meta_campaign_id IS NULL AND m.problem IS NULL
         LIMIT 50",
    )
    .fetch_all(app.db.pool())
    .await?;
    for (owner, name, page) in missing {
        if let Some(page) = workspaces::page(app, page).await? {
            prepare(app, owner, &name, &page).await?;
        }
    }
    Ok(())
}

/// The same for one automation at once: what is turned on now may be needed before the next sweep.
pub async fn prepare_everywhere(
    app: &App,
    ws: WorkspaceId,
    owner: i64,
    name: &str,
) -> anyhow::Result<()> {
    for page in workspaces::pages(app, ws).await? {
        if page.state == "active" {
            prepare(app, owner, name, &page).await?;
        }
    }
    Ok(())
}

/// Whether a campaign with this channel may need the paid way.
pub fn needs_warm_up(channel: Option<Channel>) -> bool {
    channel != Some(Channel::Standard)
}

//! What a workspace may do by its plan at Shopify: read there, read again, and never taken away in
//! the middle of something. Workspaces that Shopify does not bill have no limits.

use anyhow::Context;

use super::{Workspace, ask_shop, shop};
use crate::app::App;
use crate::clock::{DAY, HOUR, MINUTE, Millis};
use crate::shopify::billing::pricing_page;
use crate::store::ids::WorkspaceId;
use crate::store::{Conn, clean};

/// A plan as the Partner Dashboard has it under the same name. This is the one place that knows the
/// limits; nothing is ever measured by what a message earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub name: &'static str,
    /// Messages of campaigns in a calendar month; `None` is without limit. What automations, opt-in
    /// cards and people's own chats say is never counted.
    pub campaign_messages: Option<i64>,
}

/// From the smallest to the largest. The first needs no card.
pub const PLANS: [Plan; 4] = [
    Plan {
        name: "Free",
        campaign_messages: Some(500),
    },
    Plan {
        name: "Starter",
        campaign_messages: Some(5_000),
    },
    Plan {
        name: "Growth",
        campaign_messages: Some(50_000),
    },
    Plan {
        name: "Scale",
        campaign_messages: None,
    },
];

/// How long the former plan holds after a smaller one was chosen.
const GRACE: Millis = 14 * DAY;
/// The plan is read again this often, whatever we are told.
const EVERY: Millis = DAY;
/// After an answer that did not come.
const LATER: Millis = HOUR;
/// A page that shows the plan reads it again when it is older than this.
const FRESH: Millis = MINUTE;
const BATCH: i64 = 20;

/// Where the workspace stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStanding {
    /// What Shopify says; `None` before it was ever read.
    pub plan: Option<Plan>,
    /// The former, larger plan and until when it holds.
    pub grace: Option<(Plan, Millis)>,
    /// Where another is chosen.
    pub choose_at: String,
}

impl PlanStanding {
    /// The limit that holds now. What is not known limits nobody.
    pub fn campaign_messages(&self) -> Option<i64> {
        let holds = self.grace.map(|(plan, _)| plan).or(self.plan)?;
        holds.campaign_messages
    }
}

/// The plan by its name at Shopify. A name that we do not know is paid for, so it limits nothing.
pub fn plan_named(name: Option<&str>) -> Plan {
    let Some(name) = name else {
        return PLANS[0];
    };
    PLANS
        .into_iter()
        .find(|plan| plan.name.eq_ignore_ascii_case(name.trim()))
        .unwrap_or(PLANS[PLANS.len() - 1])
}

/// Whether `other` allows less.
fn is_smaller(other: Plan, than: Plan) -> bool {
    match (other.campaign_messages, than.campaign_messages) {
        (Some(_), None) => true,
        (Some(other), Some(than)) => other < than,
        (None, _) => false,
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    name: Option<String>,
    read_at: Option<Millis>,
    grace_name: Option<String>,
    grace_until: Option<Millis>,
}

/// `None` where Shopify does not bill: without a configured app, or with a token given by hand.
pub async fn plan(app: &App, ws: WorkspaceId) -> anyhow::Result<Option<PlanStanding>> {
    let Some(choose_at) = billed_at(app, ws).await? else {
        return Ok(None);
    };
    let row = load(app, ws).await?;
    let now = app.clock.now();
    let read = row.as_ref().filter(|row| row.read_at.is_some());
    let grace = row.as_ref().and_then(|row| {
        let until = row.grace_until.filter(|until| now < *until)?;
        Some((plan_named(row.grace_name.as_deref()), until))
    });
    Ok(Some(PlanStanding {
        plan: read.map(|row| plan_named(row.name.as_deref())),
        grace,
        choose_at,
    }))
}

/// [`plan`], read at Shopify first if it is not fresh: for the page, and the way back from Shopify.
pub async fn plan_read(app: &App, workspace: &Workspace) -> anyhow::Result<Option<PlanStanding>> {
    let ws = workspace.id;
    if billed_at(app, ws).await?.is_some() {
        let row = load(app, ws).await?;
        let read_at = row.and_then(|row| row.read_at);
        if read_at.is_none_or(|at| at + FRESH <= app.clock.now())
            && let Err(error) = read(app, ws).await
        {
            tracing::warn!(workspace.id = %ws, "The plan was not read: {error:#}");
        }
    }
    plan(app, ws).await
}

/// Shopify says that something changed; what, it is asked.
pub async fn plan_changed(conn: &mut Conn, ws: WorkspaceId, at: Millis) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO plans (workspace_id, due_at) VALUES ($1, $2) \
         ON CONFLICT (workspace_id) DO UPDATE SET due_at = excluded.due_at",
    )
    .bind(ws)
    .bind(at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads the plans that are due: told to have changed, a day old, or never read.
pub async fn read_plans_due(app: &App) -> anyhow::Result<()> {
    if app.config.shopify.app_handle.is_none() {
        return Ok(());
    }
    let now = app.clock.now();
    sqlx::query(
        "INSERT INTO plans (workspace_id, due_at) \
         SELECT DISTINCT workspace_id, CAST($1 AS BIGINT) FROM shops \
         WHERE uninstalled_at IS NULL AND refresh_token_sealed IS NOT NULL \
           AND workspace_id NOT IN (SELECT workspace_id FROM plans) \
         ON CONFLICT DO NOTHING",
    )
    .bind(now)
    .execute(app.db.writer())
    .await?;
    let due: Vec<WorkspaceId> = sqlx::query_scalar(
        "UPDATE plans SET due_at = $1 \
         WHERE workspace_id IN (SELECT workspace_id FROM plans WHERE due_at <= $2 \
                                ORDER BY due_at LIMIT $3) AND due_at <= $2 \
         RETURNING workspace_id",
    )
    .bind(now + LATER)
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?;
    for ws in due {
        // One shop's trouble is not the others'; it is asked again in an hour.
        if let Err(error) = read(app, ws).await {
            tracing::warn!(workspace.id = %ws, "The plan was not read: {error:#}");
        }
    }
    Ok(())
}

/// What is known stays until Shopify has answered.
async fn read(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    let Some(shop) = shop(app, ws).await? else {
        return Ok(());
    };
    let domain = &shop.domain;
    let asked = ask_shop(app, &shop, |token| async move {
        app.shopify.active_plan(domain, &token).await
    });
    let name = asked.await?.context("read the plan")?;
    let now = app.clock.now();
    let before = load(app, ws).await?;
    let grace = before.and_then(|before| grace(&before, name.as_deref(), now));
    let (grace_name, grace_until) = grace.unzip();
    sqlx::query(
        "INSERT INTO plans (workspace_id, name, read_at, due_at, grace_name, grace_until) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (workspace_id) DO UPDATE SET name = excluded.name, \
           read_at = excluded.read_at, due_at = excluded.due_at, \
           grace_name = excluded.grace_name, grace_until = excluded.grace_until",
    )
    .bind(ws)
    .bind(name.as_deref().map(clean))
    .bind(now)
    .bind(now + EVERY)
    .bind(grace_name)
    .bind(grace_until)
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// The larger plan that still holds once `name` is what Shopify says. One that runs already is
/// neither renewed nor cut by a further step down.
fn grace(before: &Row, name: Option<&str>, now: Millis) -> Option<(String, Millis)> {
    let plan = plan_named(name);
    if let Some(until) = before.grace_until.filter(|until| now < *until) {
        let held = plan_named(before.grace_name.as_deref());
        return is_smaller(plan, held).then(|| (held.name.to_owned(), until));
    }
    before.read_at?;
    let former = plan_named(before.name.as_deref());
    is_smaller(plan, former).then(|| (former.name.to_owned(), now + GRACE))
}

async fn load(app: &App, ws: WorkspaceId) -> anyhow::Result<Option<Row>> {
    Ok(sqlx::query_as(
        "SELECT name, read_at, grace_name, grace_until FROM plans WHERE workspace_id = $1",
    )
    .bind(ws)
    .fetch_optional(app.db.pool())
    .await?)
}

/// Where the shop chooses its plan, if Shopify bills it at all.
async fn billed_at(app: &App, ws: WorkspaceId) -> anyhow::Result<Option<String>> {
    let Some(handle) = &app.config.shopify.app_handle else {
        return Ok(None);
    };
    let installed: Option<String> = sqlx::query_scalar(
        "SELECT domain FROM shops WHERE workspace_id = $1 AND uninstalled_at IS NULL \
           AND refresh_token_sealed IS NOT NULL LIMIT 1",
    )
    .bind(ws)
    .fetch_optional(app.db.pool())
    .await?;
    let domain = installed.and_then(|domain| crate::shopify::ShopDomain::parse(&domain));
    Ok(domain.map(|domain| pricing_page(&domain, handle)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: Option<&str>, grace: Option<(&str, Millis)>) -> Row {
        Row {
            name: name.map(str::to_owned),
            read_at: Some(1),
            grace_name: grace.map(|(name, _)| name.to_owned()),
            grace_until: grace.map(|(_, until)| until),
        }
    }

    #[test]
    fn a_name_we_do_not_know_is_paid_for_and_limits_nothing() {
        assert_eq!(plan_named(None).name, "Free");
        assert_eq!(plan_named(Some(" growth ")).campaign_messages, Some(50_000));
        assert_eq!(
            plan_named(Some("Black Friday deal")).campaign_messages,
            None
        );
    }

    #[test]
    fn the_former_plan_holds_for_two_weeks_after_a_step_down() {
        let began = grace(&row(Some("Growth"), None), None, 100);
        assert_eq!(began, Some(("Growth".to_owned(), 100 + GRACE)));
        assert_eq!(
            grace(&row(Some("Starter"), None), Some("Growth"), 100),
            None
        );
        assert_eq!(grace(&row(None, None), None, 100), None);
        // Neither renewed nor cut by another step, and over when it is not needed any more.
        let running = row(Some("Starter"), Some(("Growth", 500)));
        assert_eq!(grace(&running, None, 100), Some(("Growth".to_owned(), 500)));
        assert_eq!(grace(&running, Some("Scale"), 100), None);
        let never_read = Row {
            read_at: None,
            ..row(None, None)
        };
        assert_eq!(grace(&never_read, None, 100), None);
    }

    #[test]
    fn what_is_not_known_limits_nobody() {
        let standing = |plan, grace| PlanStanding {
            plan,
            grace,
            choose_at: String::new(),
        };
        assert_eq!(standing(None, None).campaign_messages(), None);
        assert_eq!(
            standing(Some(PLANS[0]), None).campaign_messages(),
            Some(500)
        );
        let held = standing(Some(PLANS[0]), Some((PLANS[2], 1)));
        assert_eq!(held.campaign_messages(), Some(50_000));
    }
}

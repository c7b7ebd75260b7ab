//! Whose data it is: workspaces, what they connected, and who may look. Secrets are sealed for
//! their row, tokens that only we check are kept as hashes.

mod access;
mod alerts;
pub mod audit;
mod choose;
mod disconnect;
mod guide;
mod health;
mod installs;
mod invitations;
mod klaviyo;
mod klaviyo_tokens;
mod logins;
mod meta_people;
mod pages;
mod people;
mod pixel;
mod plan;
mod retention;
mod set_up;
mod shop_rounds;
mod shop_tokens;
mod shops;

pub use access::{
    ApiToken, LoginLink, authenticate, create_token, login_link, open_login, revoke_token, session,
    sign_out, tokens,
};
pub use alerts::{
    AlertHook, BadAddress, alert_address, alert_hook, set_alert_hook, tell_alerts, try_alert_hook,
};
pub use choose::{
    Candidate, Choices, ChooseError, Chosen, Connected, Standing, choices, connect_chosen,
};
pub use disconnect::{Stops, disconnect_page, stops};
pub use guide::{Guide, Skippable, guide, leave_guide, opt_in_is_placed, resume_guide, skip_step};
pub use health::{
    Finding, Health, Point, Trouble, Verdict, check_due, check_page, check_pages, health,
    page_blocked, page_needs_reconnect, page_refused, page_unblocked,
};
pub use installs::{OpenError, Opening, open_shop};
pub use invitations::{
    invitation, invitation_holds, invitation_used, invite, open_invitations, withdraw_invitations,
};
pub use klaviyo::{KlaviyoSecret, connect_klaviyo, klaviyo_state, klaviyo_webhook_secret};
pub use klaviyo_tokens::{ask_klaviyo, klaviyo_auth, klaviyo_broke};
pub use logins::{Arrival, Login, LoginError, begin_login, choosing, logins};
pub use meta_people::{Deletion, delete_person, deletion, person_changed, person_removed_app};
pub use pages::{ConnectPage, Page, PageRef, connect_page, page, page_by_meta_id, pages};
pub use people::{
    Client, Role, Visit, clients, look_at, person_name, role_in, sign_in_person, visit,
};
pub use pixel::place_pixels;
pub use plan::{
    PLANS, Plan, PlanStanding, plan, plan_changed, plan_named, plan_read, read_plans_due,
};
pub use retention::{Retention, retention, save_retention, to_prune};
pub use set_up::set_up_due;
pub use shop_rounds::{
    ShopRound, ShopTurn, prepare_shop_rounds, rest_after, shop_turn_done, shops_due,
};
pub use shop_tokens::{ask_shop, renew_idle_shops, shop_token};
pub use shops::{
    Shop, connect_shop, installed_shop, shop, shop_by_domain, shop_redacted, shop_scopes_changed,
    shop_uninstalled,
};

use anyhow::{Context, ensure};
use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::store::ids::WorkspaceId;
use crate::store::{Conn, clean, sealed};

/// A workspace and its settings.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub id: WorkspaceId,
    pub name: String,
    /// IANA name, as `America/Los_Angeles`.
    pub timezone: String,
    /// Local times `HH:MM` between which nobody is written to; may span midnight.
    pub quiet_hours: Option<(String, String)>,
    /// At most one marketing message per person in this many hours.
    pub cap_hours: i64,
    /// Days after a click in which an order counts.
    pub attribution_window_days: i64,
    /// The app was removed from the shop: nothing is sent until it is back.
    pub is_removed: bool,
}

/// Columns of a [`Workspace`].
const COLUMNS: &str = "id, name, timezone, quiet_start, quiet_end, cap_hours, \
    attribution_window_days, \
    CAST(CASE WHEN EXISTS (SELECT 1 FROM shops WHERE workspace_id = workspaces.id) \
          AND NOT EXISTS (SELECT 1 FROM shops WHERE workspace_id = workspaces.id \
                            AND uninstalled_at IS NULL) \
         THEN 1 ELSE 0 END AS BIGINT) AS is_removed";

/// Makes a workspace and the key for its Klaviyo flow webhooks.
pub async fn create(app: &App, name: &str) -> anyhow::Result<WorkspaceId> {
    let name = clean(name.trim());
    ensure!(!name.is_empty(), "Give the workspace a name.");
    ensure!(
        name.chars().count() <= 100,
        "The name of a workspace has at most 100 characters; choose a shorter one."
    );
    let mut tx = app.db.begin().await?;
    let id = insert(app, &mut tx, &name).await?;
    tx.commit().await?;
    Ok(id)
}

async fn insert(app: &App, conn: &mut Conn, name: &str) -> anyhow::Result<WorkspaceId> {
    let id: WorkspaceId = app.ids.next();
    let key = sealed::random_token("", 32);
    let key = app.keys.seal(&flow_key_context(id), key.expose_secret())?;
    sqlx::query(
        "INSERT INTO workspaces (id, name, flow_key_sealed, created_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(id)
    .bind(name)
    .bind(key)
    .bind(app.clock.now())
    .execute(conn)
    .await
    .context("keep the workspace")?;
    Ok(id)
}

pub async fn find(app: &App, id: WorkspaceId) -> anyhow::Result<Option<Workspace>> {
    let sql = format!("SELECT {COLUMNS} FROM workspaces WHERE id = $1");
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(app.db.pool())
        .await?;
    Ok(row.map(Workspace::from))
}

/// All workspaces, for sweeps and the operator.
pub async fn all(app: &App) -> anyhow::Result<Vec<Workspace>> {
    let sql = format!("SELECT {COLUMNS} FROM workspaces ORDER BY id");
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_all(app.db.pool())
        .await?;
    Ok(rows.into_iter().map(Workspace::from).collect())
}

/// Stores of name, time zone, quiet hours, cap and window what the caller changed (and checked)
/// between `before` and `after`: what somebody else saved meanwhile stays. How it stands now.
pub async fn save(app: &App, before: &Workspace, after: &Workspace) -> anyhow::Result<Workspace> {
    fn new<T: PartialEq>(before: T, after: T) -> Option<T> {
        (before != after).then_some(after)
    }
    let (start, end) = after.quiet_hours.clone().unzip();
    let sql = format!(
        "UPDATE workspaces SET name = COALESCE($2, name), timezone = COALESCE($3, timezone), \
           quiet_start = CASE WHEN $4 = 1 THEN $5 ELSE quiet_start END, \
           quiet_end = CASE WHEN $4 = 1 THEN $6 ELSE quiet_end END, \
           cap_hours = COALESCE($7, cap_hours), \
           attribution_window_days = COALESCE($8, attribution_window_days) \
         WHERE id = $1 \
         RETURNING {COLUMNS}"
    );
    let row: Row = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(after.id)
        .bind(new(&before.name, &after.name).map(|name| clean(name)))
        .bind(new(&before.timezone, &after.timezone).map(|zone| clean(zone)))
        .bind(i64::from(before.quiet_hours != after.quiet_hours))
        .bind(start)
        .bind(end)
        .bind(new(before.cap_hours, after.cap_hours))
        .bind(new(
            before.attribution_window_days,
            after.attribution_window_days,
        ))
        .fetch_one(app.db.writer())
        .await?;
    Ok(row.into())
}

/// The value of `X-Pagecast-Key` for this workspace.
pub async fn flow_key(app: &App, id: WorkspaceId) -> anyhow::Result<SecretString> {
    let sealed: String = sqlx::query_scalar("SELECT flow_key_sealed FROM workspaces WHERE id = $1")
        .bind(id)
        .fetch_optional(app.db.pool())
        .await?
        .with_context(|| format!("There is no workspace {id}."))?;
    app.keys.open(&flow_key_context(id), &sealed)
}

fn flow_key_context(id: WorkspaceId) -> String {
    format!("workspaces.flow_key:{id}")
}

#[derive(sqlx::FromRow)]
struct Row {
    id: WorkspaceId,
    name: String,
    timezone: String,
    quiet_start: Option<String>,
    quiet_end: Option<String>,
    cap_hours: i64,
    attribution_window_days: i64,
    is_removed: i64,
}

impl From<Row> for Workspace {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            timezone: row.timezone,
            quiet_hours: row.quiet_start.zip(row.quiet_end),
            cap_hours: row.cap_hours,
            attribution_window_days: row.attribution_window_days,
            is_removed: row.is_removed == 1,
        }
    }
}

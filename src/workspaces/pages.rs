//! The Pages a workspace speaks for. A Page belongs to one workspace at a time.

use anyhow::{Context, anyhow, bail, ensure};
use secrecy::{ExposeSecret, SecretString};

use super::set_up::{self, DeadToken, PageSetUp};
use super::{disconnect, health};
use crate::app::App;
use crate::meta;
use crate::store::Conn;
use crate::store::ids::{LoginId, PageRowId, WorkspaceId};

/// A connected Page, its tokens opened.
#[derive(Clone, Debug)]
pub struct Page {
    pub id: PageRowId,
    pub workspace: WorkspaceId,
    /// Meta's id.
    pub meta_id: String,
    pub name: String,
    pub token: Option<SecretString>,
    /// `act_…`.
    pub ad_account: Option<String>,
    pub ad_token: Option<SecretString>,
    /// `active` or `needs_reconnect`.
    pub state: String,
    /// What is wrong, in words for the merchant.
    pub attention: Option<String>,
    pub connected_at: i64,
    /// Who signed in with Facebook for it; `None` where an operator gave tokens.
    pub login: Option<LoginId>,
    /// What connecting left undone is tried again then.
    pub setup_due_at: Option<i64>,
}

/// Which Page an event is about, without opening its tokens.
#[derive(Clone, Copy, Debug)]
pub struct PageRef {
    pub id: PageRowId,
    pub workspace: WorkspaceId,
}

/// What an operator gives for `connect page`.
#[derive(Debug)]
pub struct ConnectPage {
    pub meta_id: String,
    pub token: SecretString,
    /// With or without `act_`.
    pub ad_account: Option<String>,
    pub ad_token: Option<SecretString>,
}

/// What the connection came from, where it is not an operator's own tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct By<'a> {
    pub(super) login: Option<LoginId>,
    /// Meta's id of the person.
    pub(super) user_id: Option<&'a str>,
    /// They were told what stops elsewhere, and said yes.
    pub(super) takes_over: bool,
}

/// Reads the Page, subscribes its webhooks, sets Get Started, and keeps the tokens. What does not
/// work is told and tried again later; only a token that Meta does not accept is refused.
pub async fn connect_page(
    app: &App,
    ws: WorkspaceId,
    page: ConnectPage,
) -> anyhow::Result<PageRowId> {
    connect_by(app, ws, page, By::default()).await
}

pub(super) async fn connect_by(
    app: &App,
    ws: WorkspaceId,
    page: ConnectPage,
    by: By<'_>,
) -> anyhow::Result<PageRowId> {
    let digits = page.meta_id.chars().all(|c| c.is_ascii_digit());
    ensure!(
        digits && !page.meta_id.is_empty(),
        "A Page is named by its numeric id; you find it in the Page's settings under Page \
         transparency."
    );
    let ad_account = page.ad_account.as_deref().map(ad_account).transpose()?;
    let known = page_by_meta_id(&mut *app.db.acquire().await?, &page.meta_id).await?;
    refuse_foreign(known.filter(|_| !by.takes_over), ws)?;

    let mut done = set_up::set_up_page(app, &page.meta_id, &page.token)
        .await
        .map_err(|dead| plain(&dead))?;
    if let Some(user_id) = by.user_id {
        done.whose = Some(user_id.to_owned());
    }
    keep(app, ws, page, done, ad_account, by).await
}

async fn keep(
    app: &App,
    ws: WorkspaceId,
    page: ConnectPage,
    done: PageSetUp,
    ad_account: Option<String>,
    by: By<'_>,
) -> anyhow::Result<PageRowId> {
    let mut tx = app.db.begin().await?;
    let mut known = page_by_meta_id(&mut tx, &page.meta_id).await?;
    if let Some(other) = known.filter(|known| known.workspace != ws && by.takes_over) {
        disconnect::release(app, &mut tx, other.id, disconnect::TAKEN_OVER).await?;
        known = None;
    }
    refuse_foreign(known, ws)?;
    // Connected here before: its subscribers and their consent belong to that row.
    let id = match known {
        Some(known) => known.id,
        None => disconnect::former(&mut tx, ws, &page.meta_id)
            .await?
            .unwrap_or_else(|| app.ids.next()),
    };
    let token = app
        .keys
        .seal(&token_context(id), page.token.expose_secret())?;
    let ad_token = page
        .ad_token
        .map(|token| app.keys.seal(&ad_token_context(id), token.expose_secret()))
        .transpose()?;
    let now = app.clock.now();
    // Connecting again without an ad account keeps the one that was given before. Until Meta has
    // told the Page's name, the business's own stands for it.
    sqlx::query(
        "INSERT INTO pages (id, workspace_id, meta_id, name, token_sealed, ad_account, \
           ad_token_sealed, connected_at, setup_due_at, connected_by, login_id, check_due_at) \
         VALUES ($1, $2, $3, COALESCE($4, (SELECT name FROM workspaces WHERE id = $2)), $5, $6, \
           $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (id) DO UPDATE SET name = COALESCE($4, pages.name), \
           setup_due_at = excluded.setup_due_at, \
           token_sealed = excluded.token_sealed, \
           ad_account = COALESCE(excluded.ad_account, pages.ad_account), \
           ad_token_sealed = COALESCE(excluded.ad_token_sealed, pages.ad_token_sealed), \
           connected_at = excluded.connected_at, connected_by = excluded.connected_by, \
           login_id = excluded.login_id, check_due_at = excluded.check_due_at, \
           state = 'active', attention = NULL, trouble = NULL, troubles = 0, \
           disconnected_at = NULL",
    )
    .bind(id)
    .bind(ws)
    .bind(&page.meta_id)
    .bind(done.name)
    .bind(token)
    .bind(ad_account)
    .bind(ad_token)
    .bind(now)
    .bind(done.left.due_at(now))
    .bind(done.whose)
    .bind(by.login)
    .bind(now + health::FIRST_CHECK)
    .execute(&mut *tx)
    .await
    .context("keep the Page")?;
    sqlx::query("INSERT INTO paces (page_id) VALUES ($1) ON CONFLICT (page_id) DO NOTHING")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(id)
}

fn refuse_foreign(known: Option<PageRef>, ws: WorkspaceId) -> anyhow::Result<()> {
    if known.is_some_and(|known| known.workspace != ws) {
        bail!(
            "This Page is connected to another workspace. A Page can only speak for one; \
             disconnect it there first."
        );
    }
    Ok(())
}

/// `act_…`, however the account was written down.
fn ad_account(text: &str) -> anyhow::Result<String> {
    let digits = text.trim();
    let digits = digits.strip_prefix("act_").unwrap_or(digits);
    ensure!(
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()),
        "An ad account is written act_ and its number, as act_1234567890."
    );
    Ok(format!("act_{digits}"))
}

/// What an operator reads when Meta says no.
fn plain(dead: &DeadToken) -> anyhow::Error {
    let words = match &dead.error {
        meta::Error::Api(answer) => answer.to_string(),
        error => error.to_string(),
    };
    anyhow!(
        "Meta refused the token when we tried to {} ({words}). Make a new Page token with \
         pages_messaging and pages_manage_metadata for this Page and connect again.",
        dead.tried
    )
}

pub async fn pages(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<Page>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, workspace_id, meta_id, name, token_sealed, ad_account, ad_token_sealed, \
                state, attention, connected_at, login_id, setup_due_at \
         FROM pages WHERE workspace_id = $1 AND disconnected_at IS NULL ORDER BY id",
    )
    .bind(ws)
    .fetch_all(app.db.pool())
    .await?;
    rows.into_iter().map(|row| row.open(app)).collect()
}

pub async fn page(app: &App, id: PageRowId) -> anyhow::Result<Option<Page>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, workspace_id, meta_id, name, token_sealed, ad_account, ad_token_sealed, \
                state, attention, connected_at, login_id, setup_due_at \
         FROM pages WHERE id = $1 AND disconnected_at IS NULL",
    )
    .bind(id)
    .fetch_optional(app.db.pool())
    .await?;
    row.map(|row| row.open(app)).transpose()
}

pub async fn page_by_meta_id(conn: &mut Conn, meta_id: &str) -> anyhow::Result<Option<PageRef>> {
    let row: Option<(PageRowId, WorkspaceId)> = sqlx::query_as(
        "SELECT id, workspace_id FROM pages WHERE meta_id = $1 AND disconnected_at IS NULL",
    )
    .bind(meta_id)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|(id, workspace)| PageRef { id, workspace }))
}

#[derive(sqlx::FromRow)]
struct Row {
    id: PageRowId,
    workspace_id: WorkspaceId,
    meta_id: String,
    name: String,
    token_sealed: Option<String>,
    ad_account: Option<String>,
    ad_token_sealed: Option<String>,
    state: String,
    attention: Option<String>,
    connected_at: i64,
    login_id: Option<LoginId>,
    setup_due_at: Option<i64>,
}

impl Row {
    fn open(self, app: &App) -> anyhow::Result<Page> {
        let open = |context: String, sealed: Option<String>| {
            sealed
                .map(|sealed| app.keys.open(&context, &sealed))
                .transpose()
        };
        Ok(Page {
            token: open(token_context(self.id), self.token_sealed)?,
            ad_token: open(ad_token_context(self.id), self.ad_token_sealed)?,
            id: self.id,
            workspace: self.workspace_id,
            meta_id: self.meta_id,
            name: self.name,
            ad_account: self.ad_account,
            state: self.state,
            attention: self.attention,
            connected_at: self.connected_at,
            login: self.login_id,
            setup_due_at: self.setup_due_at,
        })
    }
}

pub(super) fn token_context(id: PageRowId) -> String {
    format!("pages.token:{id}")
}

pub(super) fn ad_token_context(id: PageRowId) -> String {
    format!("pages.ad_token:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ad_account_is_understood_with_and_without_its_prefix() {
        assert_eq!(ad_account("123").unwrap(), "act_123");
        assert_eq!(ad_account(" act_123 ").unwrap(), "act_123");
        assert!(ad_account("act_").is_err());
        assert!(ad_account("my account").is_err());
    }
}

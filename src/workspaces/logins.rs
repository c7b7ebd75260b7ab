//! Who signed in with Facebook for a workspace. A login is kept sealed, lasts as long as Meta says,
//! and is bound to the browser that brought it until its Pages are chosen there.

use std::collections::BTreeMap;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::clock::{HOUR, Millis};
use crate::meta::pages::TokenInfo;
use crate::meta::permissions::{CORE, Flow};
use crate::meta::{self, Class};
use crate::store::clean;
use crate::store::ids::{LoginId, WorkspaceId};
use crate::store::sealed::token_hash;

/// How long somebody may take to choose their Pages.
const CHOOSING: Millis = HOUR;
/// A person's token that lasts less than this is traded for a longer one.
const SHORT: Millis = 48 * HOUR;

/// Somebody who signed in, their token opened.
#[derive(Clone, Debug)]
pub struct Login {
    pub id: LoginId,
    pub workspace: WorkspaceId,
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub flow: Flow,
    pub token: Option<SecretString>,
    pub scopes: Vec<String>,
    pub expires_at: Option<Millis>,
    pub ended_at: Option<Millis>,
}

/// Why a login that came back from Facebook is not used; each has its page.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The code is used up, too old, or not for us.
    #[error("Facebook does not accept the sign-in")]
    Refused,
    /// Facebook does not answer.
    #[error("Facebook does not answer")]
    Away,
    /// What nothing works without was not granted.
    #[error("permissions are missing: {0:?}")]
    Missing(Vec<&'static str>),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<sqlx::Error> for LoginError {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

/// What the dialog brought back, and who may go on with it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub workspace: WorkspaceId,
    pub flow: Flow,
    pub code: &'a str,
    pub redirect_uri: &'a str,
    /// Known only to the browser that signed in.
    pub browser: &'a SecretString,
}

/// Trades the code for a token that lasts, looks at what it may do, and keeps it.
pub async fn begin_login(app: &App, arrival: Arrival<'_>) -> Result<LoginId, LoginError> {
    let granted = app
        .meta
        .exchange_code(arrival.code, arrival.redirect_uri)
        .await
        .map_err(|error| failed(&error))?;
    let told = inspect(app, &granted.token).await;
    let now = app.clock.now();
    let ends = told.expires_at.or(granted.lasts.map(|lasts| now + lasts));
    let is_person = told.kind.as_deref() != Some("SYSTEM_USER");
    let (token, expires_at) = if is_person && ends.is_some_and(|at| at < now + SHORT) {
        let longer = app.meta.long_lived(&granted.token).await;
        let longer = longer.map_err(|error| failed(&error))?;
        (longer.token, longer.lasts.map(|lasts| now + lasts))
    } else {
        (granted.token, ends)
    };
    let missing = missing(&told.scopes);
    if !missing.is_empty() {
        return Err(LoginError::Missing(missing));
    }
    let who = app.meta.me(&token).await.unwrap_or_default();
    let user_id = told.user_id.or(Some(who.id)).filter(|id| !id.is_empty());
    let id: LoginId = app.ids.next();
    let seal = |context: String, text: &str| app.keys.seal(&context, text);
    let granular = serde_json::to_string(&told.granular).context("write the granted assets")?;
    let name = who.name.map(|name| seal(name_context(id), &clean(&name)));
    sqlx::query(
        "INSERT INTO meta_logins (id, workspace_id, user_id, name_sealed, kind, flow, token_sealed, \
           scopes, granted, expires_at, browser_hash, choose_until, check_due_at, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(id)
    .bind(arrival.workspace)
    .bind(user_id.as_deref().map(clean))
    .bind(name.transpose()?)
    .bind(if is_person { "USER" } else { "SYSTEM_USER" })
    .bind(arrival.flow.as_str())
    .bind(seal(token_context(id), token.expose_secret())?)
    .bind(clean(&told.scopes.join(",")))
    .bind(granular)
    .bind(expires_at)
    .bind(token_hash(arrival.browser))
    .bind(now + CHOOSING)
    .bind(now + HOUR)
    .bind(now)
    .execute(app.db.writer())
    .await?;
    tracing::info!(workspace.id = %arrival.workspace, login.id = %id, "Somebody signed in with Facebook");
    Ok(id)
}

/// What Meta says of the token; nothing where it does not say.
pub(super) async fn inspect(app: &App, token: &SecretString) -> TokenInfo {
    match app.meta.debug_token(token).await {
        Ok(told) => told,
        Err(error) => {
            tracing::warn!("Meta does not say what a login may do: {error}");
            TokenInfo::default()
        }
    }
}

pub(super) fn failed(error: &meta::Error) -> LoginError {
    tracing::warn!("A sign-in with Facebook failed: {error}");
    match error {
        meta::Error::Api(answer) if !matches!(answer.class, Class::RetryLater | Class::BackOff) => {
            LoginError::Refused
        }
        _ => LoginError::Away,
    }
}

/// What is missing of [`CORE`]; nothing where Meta did not say what was granted.
fn missing(scopes: &[String]) -> Vec<&'static str> {
    if scopes.is_empty() {
        return Vec::new();
    }
    let granted = |name: &&str| scopes.iter().any(|scope| scope == name);
    CORE.into_iter().filter(|name| !granted(name)).collect()
}

/// The login that this browser brought and whose Pages are not chosen yet.
pub async fn choosing(app: &App, browser: &SecretString) -> anyhow::Result<Option<Login>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, workspace_id, user_id, name_sealed, flow, token_sealed, scopes, expires_at, \
                ended_at FROM meta_logins \
         WHERE browser_hash = $1 AND choose_until > $2 AND ended_at IS NULL",
    )
    .bind(token_hash(browser))
    .bind(app.clock.now())
    .fetch_optional(app.db.pool())
    .await?;
    row.map(|row| row.open(app)).transpose()
}

/// The workspace's logins that still hold, newest first.
pub async fn logins(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<Login>> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, workspace_id, user_id, name_sealed, flow, token_sealed, scopes, expires_at, \
                ended_at FROM meta_logins \
         WHERE workspace_id = $1 AND ended_at IS NULL AND browser_hash IS NULL ORDER BY id DESC",
    )
    .bind(ws)
    .fetch_all(app.db.pool())
    .await?;
    rows.into_iter().map(|row| row.open(app)).collect()
}

pub(super) async fn login(app: &App, id: LoginId) -> anyhow::Result<Option<Login>> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, workspace_id, user_id, name_sealed, flow, token_sealed, scopes, expires_at, \
                ended_at FROM meta_logins WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(app.db.pool())
    .await?;
    row.map(|row| row.open(app)).transpose()
}

/// The Pages are chosen: the browser's bond ends, and so do older logins of the same person that
/// no Page lives by any more.
pub(super) async fn chosen(app: &App, login: &Login) -> anyhow::Result<()> {
    let mut tx = app.db.begin().await?;
    sqlx::query(
        "UPDATE meta_logins SET ended_at = $4, token_sealed = NULL, browser_hash = NULL \
         WHERE workspace_id = $2 AND user_id = $3 AND id <> $1 AND ended_at IS NULL \
           AND NOT EXISTS (SELECT 1 FROM pages p \
             WHERE p.login_id = meta_logins.id AND p.disconnected_at IS NULL)",
    )
    .bind(login.id)
    .bind(login.workspace)
    .bind(login.user_id.as_deref())
    .bind(app.clock.now())
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE meta_logins SET browser_hash = NULL WHERE id = $1 AND workspace_id = $2")
        .bind(login.id)
        .bind(login.workspace)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// The assets each scope was granted for.
pub(super) async fn granted_assets(
    app: &App,
    id: LoginId,
) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
    let text: Option<String> = sqlx::query_scalar("SELECT granted FROM meta_logins WHERE id = $1")
        .bind(id)
        .fetch_optional(app.db.pool())
        .await?;
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

#[derive(sqlx::FromRow)]
struct Row {
    id: LoginId,
    workspace_id: WorkspaceId,
    user_id: Option<String>,
    name_sealed: Option<String>,
    flow: String,
    token_sealed: Option<String>,
    scopes: String,
    expires_at: Option<Millis>,
    ended_at: Option<Millis>,
}

impl Row {
    fn open(self, app: &App) -> anyhow::Result<Login> {
        let open = |context: String, sealed: Option<String>| {
            sealed
                .map(|sealed| app.keys.open(&context, &sealed))
                .transpose()
        };
        let scopes = self.scopes.split(',').filter(|scope| !scope.is_empty());
        Ok(Login {
            name: open(name_context(self.id), self.name_sealed)?
                .map(|name| name.expose_secret().to_owned()),
            token: open(token_context(self.id), self.token_sealed)?,
            id: self.id,
            workspace: self.workspace_id,
            user_id: self.user_id,
            flow: Flow::parse(&self.flow).unwrap_or(Flow::Portfolio),
            scopes: scopes.map(str::to_owned).collect(),
            expires_at: self.expires_at,
            ended_at: self.ended_at,
        })
    }
}

fn token_context(id: LoginId) -> String {
    format!("meta_logins.token:{id}")
}

fn name_context(id: LoginId) -> String {
    format!("meta_logins.name:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_works_without_is_named_and_silence_is_not_taken_for_a_refusal() {
        let scopes = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            missing(&scopes(&["pages_show_list", "ads_management"])),
            ["pages_messaging", "pages_manage_metadata"]
        );
        assert!(missing(&scopes(&CORE)).is_empty());
        assert!(missing(&[]).is_empty());
    }
}

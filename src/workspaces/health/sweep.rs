//! Which Pages and logins are looked at now: whatever is due, in small batches.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::Trouble;
use super::check::check_page;
use super::{in_trouble, words};
use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis};
use crate::meta::login::Account;
use crate::meta::{self, Class};
use crate::store::ids::{LoginId, PageRowId};
use crate::workspaces::logins::{self, Login};
use crate::workspaces::pages::token_context;
use crate::workspaces::people;

/// Pages or logins that one sweep takes.
const BATCH: i64 = 20;
/// Somebody else takes it over after this.
const LEASE: Millis = 10 * MINUTE;

/// Looks at what is due. Access that was taken away at Meta is gone here within the hour.
pub async fn check_due(app: &App) -> anyhow::Result<()> {
    for id in due_logins(app).await? {
        check_login(app, id).await?;
    }
    people::check_people_due(app).await?;
    for id in due_pages(app).await? {
        check_page(app, id).await?;
    }
    Ok(())
}

/// Takes them by moving each on, so that of two workers one looks.
async fn due_pages(app: &App) -> anyhow::Result<Vec<PageRowId>> {
    let now = app.clock.now();
    Ok(sqlx::query_scalar(
        "UPDATE pages SET check_due_at = $1
         WHERE id IN (SELECT id FROM pages WHERE check_due_at <= $2 AND disconnected_at IS NULL
                      ORDER BY check_due_at LIMIT $3)
           AND check_due_at <= $2
         RETURNING id",
    )
    .bind(now + LEASE)
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?)
}

async fn due_logins(app: &App) -> anyhow::Result<Vec<LoginId>> {
    let now = app.clock.now();
    Ok(sqlx::query_scalar(
        "UPDATE meta_logins SET check_due_at = $1
         WHERE id IN (SELECT id FROM meta_logins WHERE check_due_at <= $2 AND ended_at IS NULL
                      ORDER BY check_due_at LIMIT $3)
           AND check_due_at <= $2
         RETURNING id",
    )
    .bind(now + HOUR)
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?)
}

/// Asks Meta which Pages the login still may use: those it lost stop, those it has again get their
/// new token and are looked at.
async fn check_login(app: &App, id: LoginId) -> anyhow::Result<()> {
    let Some(login) = logins::login(app, id).await? else {
        return Ok(());
    };
    let pages = pages_of(app, id).await?;
    let Some(token) = &login.token else {
        return Ok(());
    };
    if pages.is_empty() {
        return end_unused(app, &login).await;
    }
    match app.meta.accounts(token).await {
        Ok(accounts) => {
            let held: BTreeMap<String, Account> = accounts
                .into_iter()
                .map(|account| (account.id.clone(), account))
                .collect();
            for page in pages {
                follow(app, &page, held.get(&page.meta_id)).await?;
            }
        }
        Err(meta::Error::Api(error)) if error.class == Class::ReconnectPage => {
            // The Pages' own tokens usually die with it; each is asked.
            for page in pages {
                look_soon(app, page.id).await?;
            }
        }
        Err(error) => tracing::warn!(login.id = %id, "Meta does not list a login's Pages: {error}"),
    }
    let told = app.meta.debug_token(token).await.ok();
    let scopes = told.filter(|told| told.valid && !told.scopes.is_empty());
    sqlx::query(
        "UPDATE meta_logins SET checked_at = $2, scopes = COALESCE($3, scopes) WHERE id = $1",
    )
    .bind(id)
    .bind(app.clock.now())
    .bind(scopes.map(|told| told.scopes.join(",")))
    .execute(app.db.writer())
    .await?;
    Ok(())
}

#[derive(Debug, sqlx::FromRow)]
struct Held {
    id: PageRowId,
    meta_id: String,
    state: String,
    trouble: Option<String>,
}

async fn pages_of(app: &App, id: LoginId) -> anyhow::Result<Vec<Held>> {
    Ok(sqlx::query_as(
        "SELECT id, meta_id, state, trouble FROM pages \
         WHERE login_id = $1 AND disconnected_at IS NULL ORDER BY id",
    )
    .bind(id)
    .fetch_all(app.db.pool())
    .await?)
}

async fn follow(app: &App, page: &Held, account: Option<&Account>) -> anyhow::Result<()> {
    let may = account.is_some_and(|account| {
        account.tasks.is_empty()
            || account
                .tasks
                .iter()
                .any(|task| task.ends_with("MESSAGING") || task == "MANAGE")
    });
    if !may {
        let words = words::of_trouble(Trouble::Role, "");
        return in_trouble(app, page.id, Trouble::Role, &words).await;
    }
    let is_curable = matches!(page.trouble.as_deref(), None | Some("role" | "access"));
    if page.state == "active" || !is_curable {
        return Ok(());
    }
    if let Some(token) = account.and_then(|account| account.token.as_ref()) {
        let sealed = app
            .keys
            .seal(&token_context(page.id), token.expose_secret())?;
        sqlx::query("UPDATE pages SET token_sealed = $2 WHERE id = $1 AND state <> 'active'")
            .bind(page.id)
            .bind(sealed)
            .execute(app.db.writer())
            .await?;
    }
    look_soon(app, page.id).await
}

async fn look_soon(app: &App, id: PageRowId) -> anyhow::Result<()> {
    sqlx::query("UPDATE pages SET check_due_at = $2 WHERE id = $1 AND check_due_at > $2")
        .bind(id)
        .bind(app.clock.now())
        .execute(app.db.writer())
        .await?;
    Ok(())
}

/// A login from which no Page came, or none is left, is not kept once its choosing is over.
async fn end_unused(app: &App, login: &Login) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE meta_logins SET ended_at = $2, token_sealed = NULL, browser_hash = NULL, \
           name_sealed = NULL WHERE id = $1 AND choose_until <= $2",
    )
    .bind(login.id)
    .bind(app.clock.now())
    .execute(app.db.writer())
    .await?;
    Ok(())
}

//! People who signed in with Facebook for their clients. Nobody grants them access here: it follows
//! from their tasks on the clients' Pages at Meta, asked again within the hour, and gone when it is
//! gone there.

use secrecy::{ExposeSecret, SecretString};

use super::logins::{LoginError, failed, inspect};
use crate::app::App;
use crate::clock::{DAY, HOUR, Millis};
use crate::meta::login::Account;
use crate::meta::{self, Class};
use crate::store::ids::{PersonId, WorkspaceId};
use crate::store::sealed::{random_token, token_hash};
use crate::store::{Conn, clean};

/// How long a browser stays signed in.
const SESSION_LIFETIME: Millis = 30 * DAY;
/// Access gone at Meta is gone here after this.
const CHECK_EVERY: Millis = HOUR;
const SHORT: Millis = 48 * HOUR;
/// People that one sweep asks for.
const BATCH: i64 = 20;

/// What somebody may do in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks at figures and changes nothing.
    Analyst,
    /// Works in the workspace.
    Manager,
    /// Also hands out access to it.
    Owner,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Analyst => "analyst",
            Self::Manager => "manager",
            Self::Owner => "owner",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "owner" => Self::Owner,
            "manager" => Self::Manager,
            _ => Self::Analyst,
        }
    }

    /// By Meta's tasks: who may write as the Page works here, who may only look looks here too.
    fn of_tasks(tasks: &[String]) -> Self {
        let writes = tasks.iter().any(|task| {
            let task = task.strip_prefix("PROFILE_PLUS_").unwrap_or(task);
            matches!(task, "MANAGE" | "MESSAGING" | "FULL_CONTROL")
        });
        if writes { Self::Manager } else { Self::Analyst }
    }
}

/// A signed-in person's request: who, and which client they are looking at.
#[derive(Clone, Debug)]
pub struct Visit {
    pub person: PersonId,
    /// The client, while they may still see it.
    pub workspace: Option<(WorkspaceId, Role)>,
}

/// A workspace the person may see.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Client {
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub shop: Option<String>,
    pub timezone: String,
    #[sqlx(rename = "role")]
    role_text: String,
    /// `people`, or the business that shares the Page.
    pub via: String,
}

impl Client {
    /// For drawing pages.
    #[cfg(test)]
    pub(crate) fn sample(name: &str, role: &str, via: &str) -> Self {
        Self {
            workspace_id: WorkspaceId(i64::try_from(name.len()).unwrap_or(1)),
            name: name.to_owned(),
            shop: None,
            timezone: "UTC".to_owned(),
            role_text: role.to_owned(),
            via: via.to_owned(),
        }
    }

    pub fn role(&self) -> Role {
        Role::parse(&self.role_text)
    }
}

/// Trades the dialog's code for a session of the person who signed in.
pub async fn sign_in_person(
    app: &App,
    code: &str,
    redirect_uri: &str,
) -> Result<SecretString, LoginError> {
    let granted = app.meta.exchange_code(code, redirect_uri).await;
    let granted = granted.map_err(|error| failed(&error))?;
    let told = inspect(app, &granted.token).await;
    let now = app.clock.now();
    let ends = told.expires_at.or(granted.lasts.map(|lasts| now + lasts));
    let (token, expires_at) = if ends.is_some_and(|at| at < now + SHORT) {
        let longer = app.meta.long_lived(&granted.token).await;
        let longer = longer.map_err(|error| failed(&error))?;
        (longer.token, longer.lasts.map(|lasts| now + lasts))
    } else {
        (granted.token, ends)
    };
    let who = app.meta.me(&token).await.map_err(|error| failed(&error))?;
    let accounts = app.meta.accounts(&token).await;
    let accounts = accounts.map_err(|error| failed(&error))?;
    if who.id.is_empty() {
        return Err(LoginError::Refused);
    }
    let via = partners(app, &token, &accounts).await;

    let mut tx = app.db.begin().await?;
    let known: Option<PersonId> = sqlx::query_scalar("SELECT id FROM people WHERE user_id = $1")
        .bind(&who.id)
        .fetch_optional(&mut *tx)
        .await?;
    let id = known.unwrap_or_else(|| app.ids.next());
    let name = who.name.as_deref().map(clean);
    let name = name.map(|name| app.keys.seal(&name_context(id), &name));
    sqlx::query(
        "INSERT INTO people (id, user_id, name_sealed, token_sealed, expires_at, checked_at, \
           check_due_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $6) \
         ON CONFLICT (id) DO UPDATE SET name_sealed = excluded.name_sealed, \
           token_sealed = excluded.token_sealed, expires_at = excluded.expires_at, \
           checked_at = excluded.checked_at, check_due_at = excluded.check_due_at, \
           ended_at = NULL",
    )
    .bind(id)
    .bind(clean(&who.id))
    .bind(name.transpose()?)
    .bind(app.keys.seal(&token_context(id), token.expose_secret())?)
    .bind(expires_at)
    .bind(now)
    .bind(now + CHECK_EVERY)
    .execute(&mut *tx)
    .await?;
    keep_pages(&mut tx, id, &accounts, &via).await?;
    let session = random_token("", 32);
    sqlx::query(
        "INSERT INTO person_sessions (token_hash, person_id, created_at, expires_at) \
         VALUES ($1, $2, $3, $4)",
    )
    .bind(token_hash(&session))
    .bind(id)
    .bind(now)
    .bind(now + SESSION_LIFETIME)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    tracing::info!(person.id = %id, "Somebody signed in with Facebook");
    Ok(session)
}

/// By Page: the business that shares it with one of the person's own. Where Meta does not say, the
/// Page counts as theirs by their own role.
async fn partners(app: &App, token: &SecretString, accounts: &[Account]) -> Vec<(String, String)> {
    let Ok(own) = app.meta.businesses(token).await else {
        return Vec::new();
    };
    let mut via = Vec::new();
    if own.is_empty() {
        return via;
    }
    for account in accounts {
        let Some(page_token) = &account.token else {
            continue;
        };
        let Ok(agencies) = app.meta.agencies(&account.id, page_token).await else {
            continue;
        };
        let shared = agencies
            .into_iter()
            .find(|agency| own.iter().any(|business| business.id == agency.id));
        if let Some(agency) = shared {
            via.push((account.id.clone(), agency.name.unwrap_or(agency.id)));
        }
    }
    via
}

/// Meta's list takes the place of what was known.
async fn keep_pages(
    conn: &mut Conn,
    id: PersonId,
    accounts: &[Account],
    via: &[(String, String)],
) -> anyhow::Result<()> {
    sqlx::query("DELETE FROM person_pages WHERE person_id = $1")
        .bind(id)
        .execute(&mut *conn)
        .await?;
    for account in accounts {
        let shared = via.iter().find(|(page, _)| *page == account.id);
        sqlx::query(
            "INSERT INTO person_pages (person_id, meta_id, role, via) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (person_id, meta_id) DO NOTHING",
        )
        .bind(id)
        .bind(clean(&account.id))
        .bind(Role::of_tasks(&account.tasks).as_str())
        .bind(shared.map_or_else(|| "people".to_owned(), |(_, name)| clean(name)))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Whose session it is and what they may see; asked anew with every request.
pub async fn visit(app: &App, token: &SecretString) -> anyhow::Result<Option<Visit>> {
    let row: Option<(PersonId, Option<WorkspaceId>)> = sqlx::query_as(
        "SELECT s.person_id, s.workspace_id FROM person_sessions s \
         JOIN people p ON p.id = s.person_id AND p.ended_at IS NULL \
         WHERE s.token_hash = $1 AND s.expires_at > $2",
    )
    .bind(token_hash(token))
    .bind(app.clock.now())
    .fetch_optional(app.db.pool())
    .await?;
    let Some((person, workspace)) = row else {
        return Ok(None);
    };
    let workspace = match workspace {
        Some(ws) => role_in(app, person, ws).await?.map(|role| (ws, role)),
        None => None,
    };
    Ok(Some(Visit { person, workspace }))
}

/// The person's highest role on a Page that is connected to the workspace.
pub async fn role_in(app: &App, person: PersonId, ws: WorkspaceId) -> anyhow::Result<Option<Role>> {
    let roles: Vec<String> = sqlx::query_scalar(
        "SELECT pp.role FROM person_pages pp \
         JOIN pages p ON p.meta_id = pp.meta_id AND p.disconnected_at IS NULL \
         WHERE pp.person_id = $1 AND p.workspace_id = $2",
    )
    .bind(person)
    .bind(ws)
    .fetch_all(app.db.pool())
    .await?;
    Ok(roles.iter().map(|role| Role::parse(role)).max())
}

/// All workspaces the person may see, by name.
pub async fn clients(app: &App, person: PersonId) -> anyhow::Result<Vec<Client>> {
    Ok(sqlx::query_as(
        "SELECT w.id AS workspace_id, w.name, w.timezone, MAX(pp.role) AS role, \
                MAX(pp.via) AS via, (SELECT MAX(s.domain) FROM shops s \
                   WHERE s.workspace_id = w.id AND s.uninstalled_at IS NULL) AS shop \
         FROM person_pages pp \
         JOIN pages p ON p.meta_id = pp.meta_id AND p.disconnected_at IS NULL \
         JOIN workspaces w ON w.id = p.workspace_id \
         WHERE pp.person_id = $1 GROUP BY w.id, w.name, w.timezone ORDER BY w.name, w.id LIMIT 200",
    )
    .bind(person)
    .fetch_all(app.db.pool())
    .await?)
}

/// The session looks at this client from now on; `false` if the person may not.
pub async fn look_at(app: &App, token: &SecretString, ws: WorkspaceId) -> anyhow::Result<bool> {
    let Some(visit) = visit(app, token).await? else {
        return Ok(false);
    };
    if role_in(app, visit.person, ws).await?.is_none() {
        return Ok(false);
    }
    sqlx::query("UPDATE person_sessions SET workspace_id = $2 WHERE token_hash = $1")
        .bind(token_hash(token))
        .bind(ws)
        .execute(app.db.writer())
        .await?;
    Ok(true)
}

/// What the person is called.
pub async fn person_name(app: &App, id: PersonId) -> anyhow::Result<Option<String>> {
    let sealed: Option<Option<String>> =
        sqlx::query_scalar("SELECT name_sealed FROM people WHERE id = $1")
            .bind(id)
            .fetch_optional(app.db.pool())
            .await?;
    sealed
        .flatten()
        .map(|sealed| {
            let name = app.keys.open(&name_context(id), &sealed)?;
            Ok(name.expose_secret().to_owned())
        })
        .transpose()
}

pub(super) async fn end_session(app: &App, token: &SecretString) -> anyhow::Result<()> {
    sqlx::query("DELETE FROM person_sessions WHERE token_hash = $1")
        .bind(token_hash(token))
        .execute(app.db.writer())
        .await?;
    Ok(())
}

/// Asks Meta again for the Pages of everybody whose list is an hour old.
pub(super) async fn check_people_due(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let due: Vec<PersonId> = sqlx::query_scalar(
        "UPDATE people SET check_due_at = $1 \
         WHERE id IN (SELECT id FROM people WHERE check_due_at <= $2 AND ended_at IS NULL \
                      ORDER BY check_due_at LIMIT $3) AND check_due_at <= $2 \
         RETURNING id",
    )
    .bind(now + CHECK_EVERY)
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?;
    for id in due {
        check(app, id).await?;
    }
    Ok(())
}

async fn check(app: &App, id: PersonId) -> anyhow::Result<()> {
    let sealed: Option<Option<String>> =
        sqlx::query_scalar("SELECT token_sealed FROM people WHERE id = $1")
            .bind(id)
            .fetch_optional(app.db.pool())
            .await?;
    let Some(sealed) = sealed.flatten() else {
        return Ok(());
    };
    let token = app.keys.open(&token_context(id), &sealed)?;
    match app.meta.accounts(&token).await {
        Ok(accounts) => {
            let via = partners(app, &token, &accounts).await;
            let mut tx = app.db.begin().await?;
            keep_pages(&mut tx, id, &accounts, &via).await?;
            tx.commit().await?;
        }
        // Their access at Meta has ended, and so it does here.
        Err(meta::Error::Api(error)) if error.class == Class::ReconnectPage => {
            end(app, id).await?;
        }
        Err(error) => {
            tracing::warn!(person.id = %id, "Meta does not list a person's Pages: {error}");
        }
    }
    sqlx::query("UPDATE people SET checked_at = $2 WHERE id = $1")
        .bind(id)
        .bind(app.clock.now())
        .execute(app.db.writer())
        .await?;
    Ok(())
}

/// Signed out everywhere until they sign in again.
async fn end(app: &App, id: PersonId) -> anyhow::Result<()> {
    let mut tx = app.db.begin().await?;
    end_within(app, &mut tx, id).await?;
    Ok(tx.commit().await?)
}

async fn end_within(app: &App, conn: &mut Conn, id: PersonId) -> anyhow::Result<()> {
    for statement in [
        "UPDATE people SET token_sealed = NULL, ended_at = $2 WHERE id = $1",
        "DELETE FROM person_pages WHERE person_id = $1 AND $2 > 0",
        "DELETE FROM person_sessions WHERE person_id = $1 AND $2 > 0",
    ] {
        sqlx::query(statement)
            .bind(id)
            .bind(app.clock.now())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// The person with this id at Meta removed the app.
pub(super) async fn person_gone(app: &App, conn: &mut Conn, user_id: &str) -> anyhow::Result<()> {
    let known: Option<PersonId> = sqlx::query_scalar("SELECT id FROM people WHERE user_id = $1")
        .bind(user_id)
        .fetch_optional(&mut *conn)
        .await?;
    match known {
        Some(id) => end_within(app, conn, id).await,
        None => Ok(()),
    }
}

fn token_context(id: PersonId) -> String {
    format!("people.token:{id}")
}

fn name_context(id: PersonId) -> String {
    format!("people.name:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_follows_from_metas_tasks() {
        let role = |tasks: &[&str]| {
            let tasks: Vec<String> = tasks.iter().map(|&task| task.to_owned()).collect();
            Role::of_tasks(&tasks)
        };
        assert_eq!(role(&["ANALYZE"]), Role::Analyst);
        assert_eq!(role(&["ADVERTISE", "ANALYZE"]), Role::Analyst);
        assert_eq!(role(&["MESSAGING"]), Role::Manager);
        assert_eq!(role(&["PROFILE_PLUS_FULL_CONTROL"]), Role::Manager);
        assert!(Role::Analyst < Role::Manager && Role::Manager < Role::Owner);
        // The database takes the larger word for the larger role.
        assert!("analyst" < "manager");
    }
}

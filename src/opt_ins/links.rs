//! Opt-in links: for everybody, or made for one known person.

use secrecy::ExposeSecret;

use crate::app::App;
use crate::clock::Millis;
use crate::opt_ins::reference;
use crate::store::clean;
use crate::store::ids::{LinkId, PageRowId, WorkspaceId};
use crate::store::page::{Cursor, Page};
use crate::store::sealed::random_token;
use crate::subscribers::Known;
use crate::workspaces;

/// What is asked for when a link is made.
#[derive(Clone, Debug, Default)]
pub struct NewLink {
    pub name: String,
    /// Opt-in source, as `link`, `qr`, `landing_page`, `storefront`, `checkout`.
    pub source: String,
    /// Words shown to the person beside the way in; a default of ours when absent.
    pub consent_text: Option<String>,
    pub known: Known,
    pub checkout_token: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Link {
    pub id: LinkId,
    pub workspace: WorkspaceId,
    pub name: String,
    pub source: String,
    pub slug: String,
    pub consent_text: String,
    pub created_at: Millis,
    /// The signed token of the m.me link.
    pub reference: String,
    /// `https://m.me/{page}?ref=…`.
    pub url: String,
    /// `{PUBLIC_URL}/s/{slug}`.
    pub landing_url: String,
    /// `{PUBLIC_URL}/s/{slug}/qr.svg`.
    pub qr_svg_url: String,
    pub page_name: String,
    /// People who opted in through it and are still subscribed.
    pub subscribers: i64,
}

/// Why no link was made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("Connect a Facebook Page first.")]
    NoPage,
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<sqlx::Error> for LinkError {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}

impl LinkError {
    /// Somebody else made the same standing link first.
    fn is_taken(&self) -> bool {
        let Self::Other(error) = self else {
            return false;
        };
        let database = error
            .downcast_ref::<sqlx::Error>()
            .and_then(sqlx::Error::as_database_error);
        database.is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: LinkId,
    workspace_id: WorkspaceId,
    name: String,
    source: String,
    slug: String,
    consent_text: String,
    created_at: Millis,
    meta_id: String,
    page_name: String,
    subscribers: i64,
}

const SELECT: &str = "SELECT l.id, l.workspace_id, l.name, l.source, l.slug, l.consent_text,
        l.created_at, p.meta_id, p.name AS page_name,
        (SELECT COUNT(*) FROM subscribers s WHERE s.opt_in_link_id = l.id
             AND s.opted_in_at IS NOT NULL AND s.opted_out_at IS NULL) AS subscribers
     FROM opt_in_links l JOIN pages p ON p.id = l.page_id";

impl Row {
    fn into_link(self, app: &App) -> Link {
        let reference = reference(&app.keys, self.id);
        let landing_url = format!("{}/s/{}", app.config.public_url, self.slug);
        Link {
            url: format!("https://m.me/{}?ref={reference}", self.meta_id),
            qr_svg_url: format!("{landing_url}/qr.svg"),
            landing_url,
            reference,
            id: self.id,
            workspace: self.workspace_id,
            name: self.name,
            source: self.source,
            slug: self.slug,
            consent_text: self.consent_text,
            created_at: self.created_at,
            page_name: self.page_name,
            subscribers: self.subscribers,
        }
    }
}

pub async fn create_link(app: &App, ws: WorkspaceId, new: NewLink) -> Result<Link, LinkError> {
    let page = speaking_page(app, ws).await?;
    insert(app, &page, new, None).await
}

/// The one link that stands in a place, as `storefront`, for the workspace's Page: found, or made
/// when it is first asked for.
pub async fn standing_link(
    app: &App,
    ws: WorkspaceId,
    place: &'static str,
    name: &'static str,
) -> Result<Link, LinkError> {
    let page = speaking_page(app, ws).await?;
    if let Some(link) = standing(app, &page, place).await? {
        return Ok(link);
    }
    let new = NewLink {
        name: name.to_owned(),
        source: place.to_owned(),
        ..NewLink::default()
    };
    match insert(app, &page, new, Some(place)).await {
        Err(error) if error.is_taken() => match standing(app, &page, place).await? {
            Some(link) => Ok(link),
            None => Err(error),
        },
        made => made,
    }
}

/// The Page that new links lead to.
async fn speaking_page(app: &App, ws: WorkspaceId) -> Result<workspaces::Page, LinkError> {
    let mut pages = workspaces::pages(app, ws).await?;
    if pages.is_empty() {
        return Err(LinkError::NoPage);
    }
    let active = pages.iter().position(|page| page.state == "active");
    Ok(pages.swap_remove(active.unwrap_or(0)))
}

async fn standing(
    app: &App,
    page: &workspaces::Page,
    place: &str,
) -> Result<Option<Link>, sqlx::Error> {
    let sql = format!(
        "{SELECT} WHERE l.workspace_id = $1 AND l.page_id = $2 AND l.standing = $3
           AND l.archived_at IS NULL"
    );
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(page.workspace)
        .bind(page.id)
        .bind(place)
        .fetch_optional(app.db.pool())
        .await?;
    Ok(row.map(|row| row.into_link(app)))
}

async fn insert(
    app: &App,
    page: &workspaces::Page,
    new: NewLink,
    standing: Option<&str>,
) -> Result<Link, LinkError> {
    let ws = page.workspace;
    let id: LinkId = app.ids.next();
    let given = new
        .consent_text
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let text = given.map_or_else(|| default_consent_text(&page.name), clean);
    let seal = |field: &str, value: Option<&String>| {
        value
            .map(|value| {
                app.keys
                    .seal(&format!("opt_in_links.{field}:{}", id.0), value)
            })
            .transpose()
    };
    sqlx::query(
        "INSERT INTO opt_in_links (id, workspace_id, page_id, name, source, slug, consent_text,
             customer_id, email_hash, email_sealed, phone_hash, phone_sealed, checkout_token,
             standing, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
    )
    .bind(id)
    .bind(ws)
    .bind(page.id)
    .bind(clean(new.name.trim()))
    .bind(clean(&new.source))
    .bind(slug(&new.name))
    .bind(text)
    .bind(new.known.customer_id.as_deref().map(clean))
    .bind(new.known.email_hash())
    .bind(seal("email", new.known.email.as_ref())?)
    .bind(new.known.phone_hash())
    .bind(seal("phone", new.known.phone.as_ref())?)
    .bind(new.checkout_token.as_deref().map(clean))
    .bind(standing)
    .bind(app.clock.now())
    .execute(app.db.writer())
    .await?;
    match link(app, ws, id).await? {
        Some(link) => Ok(link),
        None => Err(LinkError::Other(anyhow::anyhow!("the link is gone again"))),
    }
}

/// Who writes, what, how often, and how to stop.
pub fn default_consent_text(page: &str) -> String {
    format!(
        "Yes, send me offers and news from {page} on Messenger, at most one message a day. I can \
         write STOP at any time."
    )
}

/// Readable, and impossible to guess from another.
fn slug(name: &str) -> String {
    let mut readable = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            readable.push(c);
        } else if !readable.ends_with('-') && !readable.is_empty() {
            readable.push('-');
        }
        if readable.len() >= 32 {
            break;
        }
    }
    let random = random_token("", 6)
        .expose_secret()
        .replace(['_', '-'], "x")
        .to_lowercase();
    match readable.trim_matches('-') {
        "" => random,
        readable => format!("{readable}-{random}"),
    }
}

/// Newest first; links made for one known person are left out.
pub async fn links(app: &App, ws: WorkspaceId, cursor: Cursor) -> anyhow::Result<Page<Link>> {
    let sql = format!(
        "{SELECT} WHERE l.workspace_id = $1 AND l.id < $2 AND l.archived_at IS NULL
           AND l.customer_id IS NULL AND l.email_hash IS NULL AND l.phone_hash IS NULL
           AND l.checkout_token IS NULL
         ORDER BY l.id DESC LIMIT $3"
    );
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(ws)
        .bind(cursor.after.unwrap_or(i64::MAX))
        .bind(cursor.limit + 1)
        .fetch_all(app.db.pool())
        .await?;
    let rows: Vec<Link> = rows.into_iter().map(|row| row.into_link(app)).collect();
    Ok(cursor.cut(rows, |link| link.id.0))
}

pub async fn link(app: &App, ws: WorkspaceId, id: LinkId) -> anyhow::Result<Option<Link>> {
    let sql = format!("{SELECT} WHERE l.workspace_id = $1 AND l.id = $2");
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(ws)
        .bind(id)
        .fetch_optional(app.db.pool())
        .await?;
    Ok(row.map(|row| row.into_link(app)))
}

/// For the public landing page: the slug alone says whose it is.
pub async fn link_by_slug(app: &App, slug: &str) -> anyhow::Result<Option<Link>> {
    let sql = format!("{SELECT} WHERE l.slug = $1 AND l.archived_at IS NULL");
    let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(slug)
        .fetch_optional(app.db.pool())
        .await?;
    Ok(row.map(|row| row.into_link(app)))
}

/// What a link knows when somebody comes through it.
pub(super) struct Arrived {
    pub(super) source: String,
    pub(super) consent_text: String,
    pub(super) known: Known,
    pub(super) checkout_token: Option<String>,
}

#[derive(sqlx::FromRow)]
struct KnownRow {
    source: String,
    consent_text: String,
    customer_id: Option<String>,
    email_sealed: Option<String>,
    phone_sealed: Option<String>,
    checkout_token: Option<String>,
}

/// The link, if it belongs to this Page.
pub(super) async fn arrived(
    app: &App,
    conn: &mut crate::store::Conn,
    page: PageRowId,
    id: LinkId,
) -> anyhow::Result<Option<Arrived>> {
    let row: Option<KnownRow> = sqlx::query_as(
        "SELECT source, consent_text, customer_id, email_sealed, phone_sealed, checkout_token
         FROM opt_in_links WHERE id = $1 AND page_id = $2",
    )
    .bind(id)
    .bind(page)
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let open = |field: &str, sealed: Option<String>| -> anyhow::Result<Option<String>> {
        let context = format!("opt_in_links.{field}:{}", id.0);
        let opened = sealed
            .map(|sealed| app.keys.open(&context, &sealed))
            .transpose()?;
        Ok(opened.map(|secret| secret.expose_secret().to_owned()))
    };
    Ok(Some(Arrived {
        source: row.source,
        consent_text: row.consent_text,
        known: Known {
            customer_id: row.customer_id,
            email: open("email", row.email_sealed)?,
            phone: open("phone", row.phone_sealed)?,
            ..Known::default()
        },
        checkout_token: row.checkout_token,
    }))
}

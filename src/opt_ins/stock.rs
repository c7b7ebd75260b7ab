//! "Tell me when it is back": a link about one thing that is sold out, and who came through it.
//! What somebody asked for is kept until they were told, once.

use crate::app::App;
use crate::clock::Millis;
use crate::delivery::content::Body;
use crate::delivery::{self, Content, Message, MessageKind, NewMessage};
use crate::links::Tags;
use crate::opt_ins::links::{find_or_make, speaking_page};
use crate::opt_ins::{Language, Link, LinkError, NewLink};
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::store::{Conn, clean};
use crate::subscribers;
use crate::workspaces::PageRef;

const SOURCE: &str = "back_in_stock";

/// A thing that somebody asked about.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Watched {
    pub workspace_id: WorkspaceId,
    pub id: String,
    pub title: String,
    pub url: String,
    pub image_url: Option<String>,
    /// When the shop last said that it is back.
    pub in_stock_at: Option<Millis>,
}

/// Somebody who is to be told.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Watch {
    pub subscriber_id: SubscriberId,
    pub asked_at: Millis,
}

/// What is known of a variant that somebody asked about before.
pub async fn watched(app: &App, ws: WorkspaceId, id: &str) -> anyhow::Result<Option<Watched>> {
    Ok(sqlx::query_as(
        "SELECT workspace_id, id, title, url, image_url, in_stock_at FROM watched_variants
         WHERE workspace_id = $1 AND id = $2",
    )
    .bind(ws)
    .bind(id)
    .fetch_optional(app.db.pool())
    .await?)
}

/// Keeps what the shop says of it.
pub async fn watch_variant(app: &App, thing: &Watched) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO watched_variants (workspace_id, id, title, url, image_url)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (workspace_id, id) DO UPDATE SET
             title = excluded.title, url = excluded.url, image_url = excluded.image_url",
    )
    .bind(thing.workspace_id)
    .bind(clean(&thing.id))
    .bind(clean(&thing.title))
    .bind(clean(&thing.url))
    .bind(thing.image_url.as_deref().map(clean))
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// The one link about this thing, in a language.
pub async fn stock_link(app: &App, thing: &Watched, language: Language) -> Result<Link, LinkError> {
    let page = speaking_page(app, thing.workspace_id).await?;
    let new = NewLink {
        name: format!("Back in stock: {} ({})", thing.title, language.code()),
        source: SOURCE.to_owned(),
        consent_text: Some(language.stock_consent(&page.name)),
        about: Some((thing.id.clone(), language)),
        ..NewLink::default()
    };
    let stands = format!("stock:{}:{}", thing.id, language.code());
    find_or_make(app, &page, &stands, new).await
}

/// The person came through a link about this thing. Who is subscribed gets no card, so they are
/// told here that it was heard.
pub(super) async fn ask_for(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    id: SubscriberId,
    (variant, language): (&str, Language),
    at: Millis,
) -> anyhow::Result<()> {
    let title: Option<String> = sqlx::query_scalar(
        "SELECT title FROM watched_variants WHERE workspace_id = $1 AND id = $2",
    )
    .bind(page.workspace)
    .bind(variant)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(title) = title else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO stock_watches (workspace_id, variant_id, subscriber_id, asked_at)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (workspace_id, variant_id, subscriber_id) DO UPDATE SET
             asked_at = excluded.asked_at, tried_at = 0, told_at = NULL
         WHERE stock_watches.told_at IS NOT NULL",
    )
    .bind(page.workspace)
    .bind(variant)
    .bind(id)
    .bind(at)
    .execute(&mut *conn)
    .await?;
    if !subscribers::standing(app, conn, id).await?.is_subscribed {
        return Ok(());
    }
    let now = app.clock.now();
    let message = NewMessage {
        workspace: page.workspace,
        page: page.id,
        subscriber: id,
        origin: app.ids.next(),
        kind: MessageKind::Reply,
        automation: None,
        content: Content {
            body: Body::Message(Message::Text {
                text: language.stock_heard(&title),
                buttons: Vec::new(),
                quick_replies: Vec::new(),
            }),
            tags: Tags::default(),
        },
        due_at: now,
        expires_at: None,
    };
    delivery::enqueue(conn, now, &message).await?;
    Ok(())
}

/// The shop says that it is back; `false` if nobody ever asked about it.
pub async fn came_back(
    conn: &mut Conn,
    ws: WorkspaceId,
    variant: &str,
    at: Millis,
) -> sqlx::Result<bool> {
    let noted = sqlx::query(
        "UPDATE watched_variants SET in_stock_at = $3
         WHERE workspace_id = $1 AND id = $2 AND COALESCE(in_stock_at, 0) < $3",
    )
    .bind(ws)
    .bind(variant)
    .bind(at)
    .execute(conn)
    .await?;
    Ok(noted.rows_affected() > 0)
}

/// Things that came back after this, wherever.
pub async fn back_since(app: &App, since: Millis) -> sqlx::Result<Vec<Watched>> {
    sqlx::query_as(
        "SELECT workspace_id, id, title, url, image_url, in_stock_at FROM watched_variants v
         WHERE in_stock_at > $1
           AND EXISTS (SELECT 1 FROM stock_watches w
                       WHERE w.workspace_id = v.workspace_id AND w.variant_id = v.id
                         AND w.told_at IS NULL AND w.tried_at < v.in_stock_at
                         AND w.asked_at <= v.in_stock_at)
         ORDER BY in_stock_at LIMIT 100",
    )
    .bind(since)
    .fetch_all(app.db.pool())
    .await
}

/// Takes some who asked before it came back and were not tried since, who asked first first.
pub async fn take_watches(
    conn: &mut Conn,
    thing: &Watched,
    now: Millis,
    limit: i64,
) -> sqlx::Result<Vec<Watch>> {
    sqlx::query_as(
        "UPDATE stock_watches SET tried_at = $3
         WHERE workspace_id = $1 AND variant_id = $2 AND told_at IS NULL AND tried_at < $4
           AND subscriber_id IN (
             SELECT subscriber_id FROM stock_watches
             WHERE workspace_id = $1 AND variant_id = $2 AND told_at IS NULL AND tried_at < $4
               AND asked_at <= $4
             ORDER BY asked_at, subscriber_id LIMIT $5)
         RETURNING subscriber_id, asked_at",
    )
    .bind(thing.workspace_id)
    .bind(&thing.id)
    .bind(now)
    .bind(thing.in_stock_at)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// They were told; what they asked for is done.
pub async fn told(
    conn: &mut Conn,
    thing: &Watched,
    subscriber: SubscriberId,
    at: Millis,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE stock_watches SET told_at = $4
         WHERE workspace_id = $1 AND variant_id = $2 AND subscriber_id = $3",
    )
    .bind(thing.workspace_id)
    .bind(&thing.id)
    .bind(subscriber)
    .bind(at)
    .execute(conn)
    .await?;
    Ok(())
}

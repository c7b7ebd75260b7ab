//! Demands about personal data: each is a row that says when it came, when it is due, and when it was
//! done. An export is kept sealed until it expires. An erasure takes what names the person at once, in
//! the transaction that hears of it; then what merely mentions them; and once more some days later,
//! for what was still on its way.

mod erase;
mod everyone;
mod export;
mod passes;
mod traces;

use secrecy::ExposeSecret;
use serde_json::Value;

use crate::app::App;
use crate::clock::{DAY, Millis};
use crate::store::Conn;
use crate::store::ids::{RequestId, WorkspaceId};
use crate::store::page::{Cursor, Page};
use crate::subscribers::Known;
use crate::workspaces::audit::{self, Actor, Note};

use erase::erase_customer;
pub use everyone::erase_leavers;
pub use export::readable;
pub use passes::erase_due;
use traces::Subject;

/// The law's deadline and Shopify's, and how long an export can be fetched.
const DEADLINE: Millis = 30 * DAY;

/// Who demands it, and how the demand is recognised when it comes again.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    pub actor: Actor,
    /// The platform's id of its delivery, or one of ours.
    pub external_ref: &'a str,
    pub received_at: Millis,
}

/// What is demanded; the names are those of Shopify's topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Export,
    EraseCustomer,
    EraseShop,
}

/// A demand, for people to look at.
#[derive(Clone, Debug)]
pub struct Request {
    pub id: RequestId,
    pub kind: Kind,
    pub detail: String,
    pub received_at: Millis,
    pub due_at: Millis,
    pub done_at: Option<Millis>,
    /// Until when there is an export to fetch.
    pub export_until: Option<Millis>,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Export => "customers/data_request",
            Self::EraseCustomer => "customers/redact",
            Self::EraseShop => "shop/redact",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "customers/redact" => Self::EraseCustomer,
            "shop/redact" => Self::EraseShop,
            _ => Self::Export,
        }
    }

    fn deed(self) -> &'static str {
        match self {
            Self::Export => "customer_exported",
            Self::EraseCustomer => "customer_erased",
            Self::EraseShop => "shop_erased",
        }
    }
}

/// Gathers everything kept of the customer for the store owner to hand over.
pub async fn export(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    demand: Demand<'_>,
    known: &Known,
) -> anyhow::Result<()> {
    let found = export::gather(app, conn, ws, known).await?;
    let detail = format!(
        "Gathered: {} on Messenger, {} of the shop.",
        counted(&found["messenger"], "person", "people"),
        counted(&found["orders"], "order", "orders"),
    );
    let id: RequestId = app.ids.next();
    let sealed = app.keys.seal(&export_context(id), &found.to_string())?;
    let now = app.clock.now();
    let is_new = sqlx::query(
        "INSERT INTO privacy_requests (id, workspace_id, kind, external_ref, detail, export_sealed,
             received_at, due_at, done_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (workspace_id, kind, external_ref) DO NOTHING",
    )
    .bind(id)
    .bind(ws)
    .bind(Kind::Export.as_str())
    .bind(demand.external_ref)
    .bind(&detail)
    .bind(sealed)
    .bind(demand.received_at)
    .bind(demand.received_at + DEADLINE)
    .bind(now)
    .bind(now + DEADLINE)
    .execute(&mut *conn)
    .await?;
    if is_new.rows_affected() > 0 {
        noted(app, conn, ws, (Kind::Export, id), demand.actor, detail).await?;
    }
    Ok(())
}

/// Takes from the rows who the person is; what merely mentions them goes with [`erase_due`], to be
/// called after the commit. Figures stay.
pub async fn erase(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    demand: Demand<'_>,
    known: Known,
    orders: &[i64],
) -> anyhow::Result<()> {
    let mut subject = Subject::new(demand.actor, known, orders);
    erase_customer(app, conn, ws, &mut subject).await?;
    open(app, conn, ws, Kind::EraseCustomer, demand, &subject).await
}

/// The same for everyone of the workspace.
pub async fn erase_shop(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    demand: Demand<'_>,
) -> anyhow::Result<()> {
    let subject = Subject::new(demand.actor, Known::default(), &[]);
    open(app, conn, ws, Kind::EraseShop, demand, &subject).await
}

/// A repeat under the same reference is the demand that is there.
async fn open(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    kind: Kind,
    demand: Demand<'_>,
    subject: &Subject,
) -> anyhow::Result<()> {
    let id: RequestId = app.ids.next();
    sqlx::query(
        "INSERT INTO privacy_requests (id, workspace_id, kind, external_ref, detail, subject_sealed,
             received_at, due_at, again_at)
         VALUES ($1, $2, $3, $4, '', $5, $6, $7, $8)
         ON CONFLICT (workspace_id, kind, external_ref) DO NOTHING",
    )
    .bind(id)
    .bind(ws)
    .bind(kind.as_str())
    .bind(demand.external_ref)
    .bind(subject.seal(app, id)?)
    .bind(demand.received_at)
    .bind(demand.received_at + DEADLINE)
    .bind(app.clock.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// The proof; it names the demand, not the person.
async fn noted(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    (kind, id): (Kind, RequestId),
    actor: Actor,
    detail: String,
) -> anyhow::Result<()> {
    let note = Note {
        actor,
        action: kind.deed(),
        about: Some(id.to_string()),
        detail,
    };
    audit::note(app, conn, ws, note).await
}

/// Newest first.
pub async fn requests(app: &App, ws: WorkspaceId, cursor: Cursor) -> anyhow::Result<Page<Request>> {
    type Row = (
        RequestId,
        String,
        String,
        Millis,
        Millis,
        Option<Millis>,
        Option<Millis>,
    );
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, kind, detail, received_at, due_at, done_at,
             CASE WHEN export_sealed IS NOT NULL AND expires_at > $4 THEN expires_at END
         FROM privacy_requests WHERE workspace_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(ws)
    .bind(cursor.after.unwrap_or(i64::MAX))
    .bind(cursor.limit + 1)
    .bind(app.clock.now())
    .fetch_all(app.db.pool())
    .await?;
    let page = cursor.cut(rows, |row| row.0.0);
    let request = |(id, kind, detail, received_at, due_at, done_at, export_until): Row| Request {
        id,
        kind: Kind::parse(&kind),
        detail,
        received_at,
        due_at,
        done_at,
        export_until,
    };
    Ok(Page {
        rows: page.rows.into_iter().map(request).collect(),
        next: page.next,
    })
}

/// The export, as long as it has not expired; that it was fetched is noted.
pub async fn fetch_export(
    app: &App,
    ws: WorkspaceId,
    id: RequestId,
) -> anyhow::Result<Option<Value>> {
    let mut tx = app.db.begin().await?;
    let sealed: Option<String> = sqlx::query_scalar(
        "SELECT export_sealed FROM privacy_requests
         WHERE workspace_id = $1 AND id = $2 AND export_sealed IS NOT NULL AND expires_at > $3",
    )
    .bind(ws)
    .bind(id)
    .bind(app.clock.now())
    .fetch_optional(&mut *tx)
    .await?;
    let Some(sealed) = sealed else {
        return Ok(None);
    };
    let opened = app.keys.open(&export_context(id), &sealed)?;
    let export = serde_json::from_str(opened.expose_secret())?;
    let note = Note {
        actor: Actor::Merchant,
        action: "export_fetched",
        about: Some(id.to_string()),
        detail: "The export was downloaded.".to_owned(),
    };
    audit::note(app, &mut tx, ws, note).await?;
    tx.commit().await?;
    Ok(Some(export))
}

fn export_context(id: RequestId) -> String {
    format!("privacy_requests.export:{}", id.0)
}

fn counted(list: &Value, one: &str, many: &str) -> String {
    let n = list.as_array().map_or(0, Vec::len);
    format!("{n} {}", if n == 1 { one } else { many })
}

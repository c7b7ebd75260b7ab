//! The ledger: who agreed to what, when, by which means, with which text shown. Append-only.

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::Millis;
use crate::profiles::{self, Report};
use crate::store::ids::{ConsentId, SubscriberId, WorkspaceId};
use crate::store::sealed::sha256_hex;
use crate::store::{Conn, clean};
use crate::tallies::{self, Membership};

/// How we learned of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The opt-in card was accepted.
    Card,
    /// Meta's STOP or RESUME event.
    Webhook,
    /// The person wrote STOP or RESUME.
    Keyword,
    /// A send was answered with "opted out".
    SendError,
    /// Found in Meta's list of tokens.
    Resync,
    /// The public API or the admin.
    Merchant,
    /// The shop's or Meta's demand to erase.
    Erasure,
}

#[derive(Clone, Debug, Default)]
pub struct OptIn {
    /// Meta's subscription token; `None` leaves the one there is.
    pub token: Option<String>,
    pub token_expires_at: Option<Millis>,
    pub timezone: Option<String>,
    /// Opt-in source (`link`, `checkout`, …); `None` leaves the first one.
    pub source: Option<String>,
    pub text_shown: Option<String>,
}

/// A row of the ledger.
#[derive(Clone, Debug)]
pub struct Consent {
    /// `opted_in` or `opted_out`.
    pub action: String,
    pub means: String,
    pub source: Option<String>,
    pub text_shown: Option<String>,
    pub at: Millis,
}

impl Means {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Webhook => "webhook",
            Self::Keyword => "keyword",
            Self::SendError => "send_error",
            Self::Resync => "resync",
            Self::Merchant => "merchant",
            Self::Erasure => "erasure",
        }
    }

    /// Whether an opt-out was learned from Meta, where it has ended the person's token.
    fn is_metas(self) -> bool {
        matches!(self, Self::Webhook | Self::SendError | Self::Resync)
    }
}

/// A decision of the person's, as the ledger keeps it.
pub(super) struct Decision<'a> {
    pub(super) action: &'static str,
    pub(super) means: Means,
    pub(super) source: Option<&'a str>,
    pub(super) text_shown: Option<&'a str>,
    pub(super) at: Millis,
    pub(super) event_key: &'a str,
}

/// The person's state before a decision.
#[derive(sqlx::FromRow)]
struct Before {
    workspace_id: WorkspaceId,
    opted_in_at: Option<Millis>,
    opted_out_at: Option<Millis>,
    erased_at: Option<Millis>,
}

impl Before {
    fn membership(&self) -> Membership {
        Membership {
            opted_in_at: self.opted_in_at,
            opted_out_at: self.opted_out_at,
        }
    }

    fn is_subscribed(&self) -> bool {
        self.opted_in_at.is_some() && self.opted_out_at.is_none() && self.erased_at.is_none()
    }
}

/// Writes the ledger and moves the subscriber's state; an event older than the newest decision
/// there is goes into the ledger only. `event_key` makes a repeat harmless. `true` if the person
/// became subscribed by it (so a welcome may start).
pub async fn opt_in(
    app: &App,
    conn: &mut Conn,
    id: SubscriberId,
    means: Means,
    how: OptIn,
    at: Millis,
    event_key: &str,
) -> anyhow::Result<bool> {
    let Some(before) = before(app, conn, id).await? else {
        return Ok(false);
    };
    let decision = Decision {
        action: "opted_in",
        means,
        source: how.source.as_deref(),
        text_shown: how.text_shown.as_deref(),
        at,
        event_key,
    };
    let Some(is_newest) = write(app, conn, before.workspace_id, id, &decision).await? else {
        return Ok(false);
    };
    if let Some(token) = &how.token
        && (is_newest || !has_token(conn, id).await?)
    {
        // An older opt-in that arrives late must not put its token over a newer one.
        token_moved(app, conn, id, token, how.token_expires_at).await?;
    }
    sqlx::query(
        "UPDATE subscribers SET timezone = COALESCE($2, timezone), source = COALESCE(source, $3)
         WHERE id = $1",
    )
    .bind(id)
    .bind(how.timezone.as_deref().map(clean))
    .bind(how.source.as_deref())
    .execute(&mut *conn)
    .await?;
    if !is_newest || before.erased_at.is_some() {
        return Ok(false);
    }
    sqlx::query(
        "UPDATE subscribers SET opted_in_at = $2, opted_out_at = NULL, unreachable_at = NULL,
             unreachable_reason = NULL, token_enabled = 1
         WHERE id = $1",
    )
    .bind(id)
    .bind(at)
    .execute(&mut *conn)
    .await?;
    let now = Membership {
        opted_in_at: Some(at),
        opted_out_at: None,
    };
    tallies::membership_moved(app, conn, before.workspace_id, before.membership(), now).await?;
    let became = !before.is_subscribed();
    if became {
        tell(
            app,
            conn,
            before.workspace_id,
            id,
            "Subscribed to Messenger",
            &decision,
        )
        .await?;
    }
    Ok(became)
}

/// As [`opt_in`], the other way. `true` if the person was subscribed until now.
pub async fn opt_out(
    app: &App,
    conn: &mut Conn,
    id: SubscriberId,
    means: Means,
    at: Millis,
    event_key: &str,
) -> anyhow::Result<bool> {
    let Some(before) = before(app, conn, id).await? else {
        return Ok(false);
    };
    let decision = Decision {
        action: "opted_out",
        means,
        source: None,
        text_shown: None,
        at,
        event_key,
    };
    let Some(is_newest) = write(app, conn, before.workspace_id, id, &decision).await? else {
        return Ok(false);
    };
    if !is_newest {
        return Ok(false);
    }
    sqlx::query(
        "UPDATE subscribers SET opted_out_at = $2,
             token_enabled = CASE WHEN $3 = 1 THEN 0 ELSE token_enabled END
         WHERE id = $1",
    )
    .bind(id)
    .bind(at)
    .bind(i64::from(means.is_metas()))
    .execute(&mut *conn)
    .await?;
    let now = Membership {
        opted_out_at: Some(at),
        ..before.membership()
    };
    tallies::membership_moved(app, conn, before.workspace_id, before.membership(), now).await?;
    let was = before.is_subscribed();
    if was {
        tell(
            app,
            conn,
            before.workspace_id,
            id,
            "Unsubscribed from Messenger",
            &decision,
        )
        .await?;
    }
    Ok(was)
}

async fn has_token(conn: &mut Conn, id: SubscriberId) -> sqlx::Result<bool> {
    let row: Option<(i64,)> =
        sqlx::query_as("SELECT 1 FROM subscribers WHERE id = $1 AND token IS NOT NULL")
            .bind(id)
            .fetch_optional(conn)
            .await?;
    Ok(row.is_some())
}

/// Under our lock: who decides at the same moment waits.
async fn before(app: &App, conn: &mut Conn, id: SubscriberId) -> sqlx::Result<Option<Before>> {
    let sql = format!(
        "SELECT workspace_id, opted_in_at, opted_out_at, erased_at FROM subscribers
         WHERE id = $1{}",
        app.db.locking("subscribers")
    );
    sqlx::query_as(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Appends to the ledger. `None` for a repeat, else whether it is the newest decision.
async fn write(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    id: SubscriberId,
    decision: &Decision<'_>,
) -> sqlx::Result<Option<bool>> {
    let written = sqlx::query(
        "INSERT INTO consents (id, workspace_id, subscriber_id, action, means, source, text_shown,
             at, event_key)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT DO NOTHING",
    )
    .bind(app.ids.next::<ConsentId>())
    .bind(ws)
    .bind(id)
    .bind(decision.action)
    .bind(decision.means.as_str())
    .bind(decision.source)
    .bind(decision.text_shown)
    .bind(decision.at)
    .bind(clean(decision.event_key))
    .execute(&mut *conn)
    .await?;
    if written.rows_affected() == 0 {
        return Ok(None);
    }
    let newer: Option<(i64,)> =
        sqlx::query_as("SELECT 1 FROM consents WHERE subscriber_id = $1 AND at > $2 LIMIT 1")
            .bind(id)
            .bind(decision.at)
            .fetch_optional(conn)
            .await?;
    Ok(Some(newer.is_none()))
}

/// Keeps the change for the person's Klaviyo profile.
pub(super) async fn tell(
    app: &App,
    conn: &mut Conn,
    workspace: WorkspaceId,
    subscriber: SubscriberId,
    metric: &'static str,
    decision: &Decision<'_>,
) -> anyhow::Result<()> {
    let mut properties = serde_json::Map::new();
    properties.insert("means".into(), decision.means.as_str().into());
    if let Some(source) = decision.source {
        properties.insert("source".into(), source.into());
    }
    let unique = sha256_hex(decision.event_key.as_bytes());
    let event = Report {
        workspace,
        subscriber,
        metric,
        properties,
        value: None,
        at: decision.at,
        unique_id: format!("msgr:{subscriber}:{}:{}", decision.action, &unique[..16]),
    };
    profiles::report(app, conn, event).await
}

/// Meta refreshed or replaced the token without a new decision of the person. A token belongs to
/// one row of a Page: whoever had it before loses it.
pub async fn token_moved(
    app: &App,
    conn: &mut Conn,
    id: SubscriberId,
    token: &str,
    expires_at: Option<Millis>,
) -> anyhow::Result<()> {
    let token = clean(token);
    sqlx::query(
        "UPDATE subscribers SET token = NULL
         WHERE token = $2 AND id <> $1
           AND page_id = (SELECT p.page_id FROM subscribers p WHERE p.id = $1)",
    )
    .bind(id)
    .bind(&token)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE subscribers SET token = $2, token_expires_at = $3, token_seen_at = $4,
             unreachable_at = NULL, unreachable_reason = NULL
         WHERE id = $1",
    )
    .bind(id)
    .bind(&token)
    .bind(expires_at)
    .bind(app.clock.now())
    .execute(conn)
    .await?;
    Ok(())
}

/// As [`token_moved`], told by Meta at `at`; one that the person got since then stays. No decision:
/// who opted out stays out.
pub async fn token_refreshed(
    app: &App,
    conn: &mut Conn,
    id: SubscriberId,
    token: &str,
    expires_at: Option<Millis>,
    timezone: Option<&str>,
    at: Millis,
) -> anyhow::Result<()> {
    let is_newest = sqlx::query(
        "UPDATE subscribers SET timezone = COALESCE($2, timezone)
         WHERE id = $1 AND erased_at IS NULL AND (token IS NULL OR COALESCE(token_seen_at, 0) <= $3)",
    )
    .bind(id)
    .bind(timezone.map(clean))
    .bind(at)
    .execute(&mut *conn)
    .await?;
    if is_newest.rows_affected() > 0 {
        token_moved(app, conn, id, token, expires_at).await?;
    }
    Ok(())
}

/// Meta ended this token at our word; one that the person got since then stays.
pub async fn token_ended(conn: &mut Conn, id: SubscriberId, token: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE subscribers SET token_enabled = 0 WHERE id = $1 AND token = $2")
        .bind(id)
        .bind(token)
        .execute(conn)
        .await?;
    Ok(())
}

/// A subscriber's ledger, newest first.
pub async fn ledger(app: &App, ws: WorkspaceId, id: SubscriberId) -> anyhow::Result<Vec<Consent>> {
    type Row = (String, String, Option<String>, Option<String>, Millis);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT action, means, source, text_shown, at FROM consents
         WHERE workspace_id = $1 AND subscriber_id = $2 ORDER BY at DESC, id DESC LIMIT 200",
    )
    .bind(ws)
    .bind(id)
    .fetch_all(app.db.pool())
    .await?;
    Ok(rows
        .into_iter()
        .map(|(action, means, source, text_shown, at)| Consent {
            action,
            means,
            source,
            text_shown,
            at,
        })
        .collect())
}

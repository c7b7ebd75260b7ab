//! Export and erasure of personal data, per customer and per shop. Figures stay, people go.

use serde_json::{Value, json};

use crate::app::App;
use crate::clock::{Millis, rfc3339};
use crate::store::Conn;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::subscribers::{Known, Means, opt_out, recognise};

/// Erases what identifies the person: names, addresses, PSID, tokens, texts; figures stay. Returns
/// how many subscribers it was.
pub async fn erase_customer(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    known: &Known,
) -> anyhow::Result<u64> {
    let people = recognise(app, conn, ws, known).await?;
    for id in &people {
        erase_subscriber(app, conn, ws, *id).await?;
    }
    let now = app.clock.now();
    let (email, phone) = (known.email_hash(), known.phone_hash());
    for statement in [
        "UPDATE customers SET first_name = NULL, last_name = NULL, email_hash = NULL,
             email_sealed = NULL, phone_hash = NULL, phone_sealed = NULL, erased_at = $5
         WHERE workspace_id = $1 AND (id = $2 OR email_hash = $3 OR phone_hash = $4)",
        "UPDATE opt_in_links SET name = 'Erased', customer_id = NULL, email_hash = NULL,
             email_sealed = NULL, phone_hash = NULL, phone_sealed = NULL, checkout_token = NULL,
             archived_at = $5
         WHERE workspace_id = $1 AND (customer_id = $2 OR email_hash = $3 OR phone_hash = $4)",
        "DELETE FROM checkouts
         WHERE workspace_id = $1 AND $5 > 0
           AND (customer_id = $2 OR email_hash = $3 OR phone_hash = $4)",
        "UPDATE orders SET customer_id = NULL, email_hash = NULL
         WHERE workspace_id = $1 AND $5 > 0
           AND (customer_id = $2 OR email_hash = $3 OR email_hash = $4)",
        "DELETE FROM klaviyo_members
         WHERE workspace_id = $1 AND $5 > 0 AND $2 = $2
           AND (email_hash = $3 OR phone_hash = $4)",
    ] {
        sqlx::query(statement)
            .bind(ws)
            .bind(known.customer_id.as_deref())
            .bind(email.as_deref())
            .bind(phone.as_deref())
            .bind(now)
            .execute(&mut *conn)
            .await?;
    }
    let needles = [&known.customer_id, &known.email, &known.phone];
    for needle in needles
        .into_iter()
        .flatten()
        .filter(|needle| needle.len() >= 5)
    {
        forget_payloads(conn, ws, needle).await?;
    }
    Ok(u64::try_from(people.len())?)
}

async fn erase_subscriber(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    id: SubscriberId,
) -> anyhow::Result<()> {
    let now = app.clock.now();
    opt_out(app, conn, id, Means::Erasure, now, "erasure").await?;
    let psid: Option<(Option<String>,)> =
        sqlx::query_as("SELECT psid FROM subscribers WHERE workspace_id = $1 AND id = $2")
            .bind(ws)
            .bind(id)
            .fetch_optional(&mut *conn)
            .await?;
    for statement in [
        "UPDATE subscribers SET psid = NULL, token = NULL, first_name = NULL, last_name = NULL,
             first_key = NULL, last_key = NULL, customer_id = NULL, checkout_token = NULL, email_hash = NULL, email_sealed = NULL,
             phone_hash = NULL, phone_sealed = NULL, klaviyo_profile_id = NULL, timezone = NULL,
             erased_at = $3
         WHERE workspace_id = $1 AND id = $2",
        "UPDATE messages SET content = NULL, detail = NULL
         WHERE workspace_id = $1 AND subscriber_id = $2 AND $3 > 0 AND campaign_id IS NULL",
        "UPDATE attempts SET detail = NULL
         WHERE workspace_id = $1 AND subscriber_id = $2 AND $3 > 0",
        "UPDATE runs SET context = '{}', ended_at = COALESCE(ended_at, $3),
             status = CASE WHEN status = 'waiting' THEN 'stopped' ELSE status END,
             reason = CASE WHEN status = 'waiting' THEN 'erased' ELSE reason END
         WHERE workspace_id = $1 AND subscriber_id = $2",
        "DELETE FROM klaviyo_outbox WHERE workspace_id = $1 AND subscriber_id = $2 AND $3 > 0",
        "DELETE FROM subscriber_tags WHERE workspace_id = $1 AND subscriber_id = $2 AND $3 > 0",
        "DELETE FROM stock_watches WHERE workspace_id = $1 AND subscriber_id = $2 AND $3 > 0",
    ] {
        sqlx::query(statement)
            .bind(ws)
            .bind(id)
            .bind(now)
            .execute(&mut *conn)
            .await?;
    }
    if let Some((Some(psid),)) = psid {
        forget_payloads(conn, ws, &psid).await?;
    }
    // Kept answers of the API may show the person.
    sqlx::query(
        "DELETE FROM idempotency_keys WHERE workspace_id = $1 AND REPLACE(body, $2, '') <> body",
    )
    .bind(ws)
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Empties the kept payloads of this workspace that name the person. What is not understood yet
/// stays until it is, but for the demands that bring us here.
async fn forget_payloads(conn: &mut Conn, ws: WorkspaceId, needle: &str) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE webhooks SET payload = '{}', encoding = 'utf8'
         WHERE (account IN (SELECT domain FROM shops WHERE workspace_id = $1)
             OR account IN (SELECT meta_id FROM pages WHERE workspace_id = $1)
             OR workspace_id = $1)
           AND (processed_at IS NOT NULL OR topic IN ('customers/redact', 'customers/data_request'))
           AND REPLACE(payload, $2, '') <> payload",
    )
    .bind(ws)
    .bind(needle)
    .execute(conn)
    .await?;
    Ok(())
}

/// The same for everyone in the workspace, and the shop's own secrets. Returns how many people.
pub async fn erase_shop(app: &App, conn: &mut Conn, ws: WorkspaceId) -> anyhow::Result<u64> {
    let people: Vec<(SubscriberId,)> =
        sqlx::query_as("SELECT id FROM subscribers WHERE workspace_id = $1 AND erased_at IS NULL")
            .bind(ws)
            .fetch_all(&mut *conn)
            .await?;
    for (id,) in &people {
        erase_subscriber(app, conn, ws, *id).await?;
    }
    let now = app.clock.now();
    for statement in [
        "UPDATE customers SET first_name = NULL, last_name = NULL, email_hash = NULL,
             email_sealed = NULL, phone_hash = NULL, phone_sealed = NULL, erased_at = $2
         WHERE workspace_id = $1",
        "UPDATE opt_in_links SET customer_id = NULL, email_hash = NULL, email_sealed = NULL,
             phone_hash = NULL, phone_sealed = NULL, checkout_token = NULL, archived_at = $2
         WHERE workspace_id = $1",
        "DELETE FROM checkouts WHERE workspace_id = $1 AND $2 > 0",
        "UPDATE orders SET customer_id = NULL, email_hash = NULL WHERE workspace_id = $1 AND $2 > 0",
        "DELETE FROM klaviyo_members WHERE workspace_id = $1 AND $2 > 0",
        "DELETE FROM klaviyo_outbox WHERE workspace_id = $1 AND $2 > 0",
        "UPDATE privacy_requests SET export_sealed = NULL WHERE workspace_id = $1 AND $2 > 0",
        "UPDATE webhooks SET payload = '{}', encoding = 'utf8'
         WHERE $2 > 0 AND (account IN (SELECT domain FROM shops WHERE workspace_id = $1)
            OR account IN (SELECT meta_id FROM pages WHERE workspace_id = $1)
            OR workspace_id = $1)",
        "UPDATE shops SET token_sealed = NULL, redacted_at = $2 WHERE workspace_id = $1",
    ] {
        sqlx::query(statement)
            .bind(ws)
            .bind(now)
            .execute(&mut *conn)
            .await?;
    }
    Ok(u64::try_from(people.len())?)
}

/// Everything we keep of the person, as JSON for the store owner.
pub async fn export_customer(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    known: &Known,
) -> anyhow::Result<Value> {
    let mut people = Vec::new();
    for id in recognise(app, conn, ws, known).await? {
        people.push(json!({
            "subscriber": id.to_string(),
            "person": person(conn, ws, id).await?,
            "consents": consents(conn, ws, id).await?,
            "messages": messages(conn, ws, id).await?,
            "clicks": clicks(conn, ws, id).await?,
        }));
    }
    let orders: Vec<(String, i64, String, Millis)> = sqlx::query_as(
        "SELECT name, total, currency, ordered_at FROM orders
         WHERE workspace_id = $1 AND (customer_id = $2 OR email_hash = $3)",
    )
    .bind(ws)
    .bind(known.customer_id.as_deref())
    .bind(known.email_hash())
    .fetch_all(&mut *conn)
    .await?;
    let orders: Vec<Value> = orders
        .into_iter()
        .map(|(name, total, currency, at)| {
            json!({"order": name, "total_minor": total, "currency": currency,
                   "at": rfc3339(at)})
        })
        .collect();
    Ok(json!({ "customer_id": known.customer_id, "messenger": people, "orders": orders }))
}

async fn person(conn: &mut Conn, ws: WorkspaceId, id: SubscriberId) -> anyhow::Result<Value> {
    type Row = (
        Option<String>,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<Millis>,
        Option<Millis>,
    );
    let (psid, first, last, zone, source, opted_in, opted_out): Row = sqlx::query_as(
        "SELECT psid, first_name, last_name, timezone, source, opted_in_at, opted_out_at
         FROM subscribers WHERE workspace_id = $1 AND id = $2",
    )
    .bind(ws)
    .bind(id)
    .fetch_one(conn)
    .await?;
    Ok(json!({
        "messenger_id": psid, "first_name": first, "last_name": last, "timezone": zone,
        "source": source, "opted_in_at": opted_in.map(rfc3339),
        "opted_out_at": opted_out.map(rfc3339),
    }))
}

async fn consents(
    conn: &mut Conn,
    ws: WorkspaceId,
    id: SubscriberId,
) -> anyhow::Result<Vec<Value>> {
    let rows: Vec<(String, String, Option<String>, Millis)> = sqlx::query_as(
        "SELECT action, means, text_shown, at FROM consents
         WHERE workspace_id = $1 AND subscriber_id = $2 ORDER BY at",
    )
    .bind(ws)
    .bind(id)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(action, means, text, at)| {
            json!({"action": action, "means": means, "text_shown": text, "at": rfc3339(at)})
        })
        .collect())
}

async fn messages(
    conn: &mut Conn,
    ws: WorkspaceId,
    id: SubscriberId,
) -> anyhow::Result<Vec<Value>> {
    let rows: Vec<(String, String, Option<Millis>, Option<Millis>)> = sqlx::query_as(
        "SELECT kind, status, sent_at, read_at FROM messages
         WHERE workspace_id = $1 AND subscriber_id = $2 ORDER BY created_at LIMIT 10000",
    )
    .bind(ws)
    .bind(id)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(kind, status, sent, read)| {
            json!({"kind": kind, "status": status, "sent_at": sent.map(rfc3339),
                   "read_at": read.map(rfc3339)})
        })
        .collect())
}

async fn clicks(conn: &mut Conn, ws: WorkspaceId, id: SubscriberId) -> anyhow::Result<Vec<String>> {
    let rows: Vec<(Millis,)> = sqlx::query_as(
        "SELECT at FROM clicks WHERE workspace_id = $1 AND subscriber_id = $2 ORDER BY at
         LIMIT 10000",
    )
    .bind(ws)
    .bind(id)
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|(at,)| rfc3339(at)).collect())
}

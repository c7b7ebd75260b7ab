//! Everything kept of one customer, as JSON for machines and as lines for people.

use std::fmt::Write;

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::clock::{Millis, rfc3339};
use crate::store::Conn;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::subscribers::{Known, customer, recognise};

/// More than one person gets in a lifetime.
const MOST: i64 = 10_000;

pub(super) async fn gather(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    known: &Known,
) -> anyhow::Result<Value> {
    let mut messenger = Vec::new();
    for id in recognise(app, conn, ws, known).await? {
        messenger.push(json!({
            "subscriber": id.to_string(),
            "person": person(app, conn, ws, id).await?,
            "tags": tags(conn, ws, id).await?,
            "consents": consents(conn, ws, id).await?,
            "messages": messages(conn, ws, id).await?,
            "clicks": times(conn, "SELECT at FROM clicks", ws, id).await?,
            "automations": times(conn, "SELECT triggered_at AS at FROM runs", ws, id).await?,
        }));
    }
    let of_shop = match &known.customer_id {
        Some(id) => customer(app, conn, ws, id).await?,
        None => None,
    };
    let of_shop = of_shop.map(|kept| {
        json!({"id": kept.customer_id, "first_name": kept.first_name, "last_name": kept.last_name,
               "email": kept.email, "phone": kept.phone})
    });
    Ok(json!({
        "customer_id": known.customer_id,
        "email": known.email,
        "phone": known.phone,
        "customer": of_shop,
        "messenger": messenger,
        "orders": orders(conn, ws, known).await?,
        "checkouts": checkouts(conn, ws, known).await?,
        "klaviyo_groups": groups(conn, ws, known).await?,
    }))
}

async fn person(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    id: SubscriberId,
) -> anyhow::Result<Value> {
    #[derive(sqlx::FromRow)]
    struct Row {
        psid: Option<String>,
        first_name: Option<String>,
        last_name: Option<String>,
        timezone: Option<String>,
        source: Option<String>,
        klaviyo_profile_id: Option<String>,
        email_sealed: Option<String>,
        phone_sealed: Option<String>,
        opted_in_at: Option<Millis>,
        opted_out_at: Option<Millis>,
        last_action_at: Option<Millis>,
        last_ordered_at: Option<Millis>,
    }
    let row: Row = sqlx::query_as(
        "SELECT psid, first_name, last_name, timezone, source, klaviyo_profile_id, email_sealed,
             phone_sealed, opted_in_at, opted_out_at, last_action_at, last_ordered_at
         FROM subscribers WHERE workspace_id = $1 AND id = $2",
    )
    .bind(ws)
    .bind(id)
    .fetch_one(conn)
    .await?;
    let open = |field: &str, sealed: Option<String>| -> anyhow::Result<Option<String>> {
        let context = format!("subscribers.{field}:{}", id.0);
        let opened = sealed
            .map(|sealed| app.keys.open(&context, &sealed))
            .transpose()?;
        Ok(opened.map(|opened| opened.expose_secret().to_owned()))
    };
    Ok(json!({
        "messenger_id": row.psid,
        "first_name": row.first_name,
        "last_name": row.last_name,
        "email": open("email", row.email_sealed)?,
        "phone": open("phone", row.phone_sealed)?,
        "timezone": row.timezone,
        "source": row.source,
        "klaviyo_profile": row.klaviyo_profile_id,
        "opted_in_at": row.opted_in_at.map(rfc3339),
        "opted_out_at": row.opted_out_at.map(rfc3339),
        "last_wrote_or_tapped_at": row.last_action_at.map(rfc3339),
        "last_ordered_at": row.last_ordered_at.map(rfc3339),
    }))
}

async fn tags(conn: &mut Conn, ws: WorkspaceId, id: SubscriberId) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT tag FROM subscriber_tags WHERE workspace_id = $1 AND subscriber_id = $2 ORDER BY tag",
    )
    .bind(ws)
    .bind(id)
    .fetch_all(conn)
    .await
}

async fn consents(conn: &mut Conn, ws: WorkspaceId, id: SubscriberId) -> sqlx::Result<Vec<Value>> {
    let rows: Vec<(String, String, Option<String>, Millis)> = sqlx::query_as(
        "SELECT action, means, text_shown, at FROM consents
         WHERE workspace_id = $1 AND subscriber_id = $2 ORDER BY at",
    )
    .bind(ws)
    .bind(id)
    .fetch_all(conn)
    .await?;
    let one = |(action, means, text, at): (String, String, Option<String>, Millis)| json!({"action": action, "means": means, "text_shown": text, "at": rfc3339(at)});
    Ok(rows.into_iter().map(one).collect())
}

async fn messages(conn: &mut Conn, ws: WorkspaceId, id: SubscriberId) -> sqlx::Result<Vec<Value>> {
    type Row = (
        String,
        String,
        Option<String>,
        Option<Millis>,
        Option<Millis>,
        Option<Millis>,
    );
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT m.kind, m.status, COALESCE(m.content, c.message), m.sent_at, m.read_at, m.clicked_at
         FROM messages m LEFT JOIN campaigns c ON c.id = m.campaign_id
         WHERE m.workspace_id = $1 AND m.subscriber_id = $2 ORDER BY m.created_at LIMIT $3",
    )
    .bind(ws)
    .bind(id)
    .bind(MOST)
    .fetch_all(conn)
    .await?;
    let one = |(kind, status, content, sent, read, clicked): Row| {
        let content: Option<Value> = content.and_then(|text| serde_json::from_str(&text).ok());
        json!({"kind": kind, "status": status, "content": content, "sent_at": sent.map(rfc3339),
               "read_at": read.map(rfc3339), "clicked_at": clicked.map(rfc3339)})
    };
    Ok(rows.into_iter().map(one).collect())
}

async fn times(
    conn: &mut Conn,
    select: &str,
    ws: WorkspaceId,
    id: SubscriberId,
) -> sqlx::Result<Vec<String>> {
    let sql =
        format!("{select} WHERE workspace_id = $1 AND subscriber_id = $2 ORDER BY at LIMIT $3");
    let rows: Vec<Millis> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(ws)
        .bind(id)
        .bind(MOST)
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(rfc3339).collect())
}

async fn orders(conn: &mut Conn, ws: WorkspaceId, known: &Known) -> sqlx::Result<Vec<Value>> {
    let rows: Vec<(String, i64, i64, String, Millis)> = sqlx::query_as(
        "SELECT name, total, refunded, currency, ordered_at FROM orders
         WHERE workspace_id = $1 AND (customer_id = $2 OR email_hash = $3)
         ORDER BY ordered_at LIMIT $4",
    )
    .bind(ws)
    .bind(known.customer_id.as_deref())
    .bind(known.email_hash())
    .bind(MOST)
    .fetch_all(conn)
    .await?;
    let one = |(name, total, refunded, currency, at): (String, i64, i64, String, Millis)| {
        json!({"order": name, "total_minor": total, "refunded_minor": refunded,
               "currency": currency, "at": rfc3339(at)})
    };
    Ok(rows.into_iter().map(one).collect())
}

async fn checkouts(conn: &mut Conn, ws: WorkspaceId, known: &Known) -> sqlx::Result<Vec<Value>> {
    let rows: Vec<(i64, String, String, Millis)> = sqlx::query_as(
        "SELECT total, currency, items, created_at FROM checkouts
         WHERE workspace_id = $1 AND (customer_id = $2 OR email_hash = $3 OR phone_hash = $4)
         ORDER BY created_at LIMIT $5",
    )
    .bind(ws)
    .bind(known.customer_id.as_deref())
    .bind(known.email_hash())
    .bind(known.phone_hash())
    .bind(MOST)
    .fetch_all(conn)
    .await?;
    let one = |(total, currency, items, at): (i64, String, String, Millis)| {
        let items: Value = serde_json::from_str(&items).unwrap_or_default();
        json!({"total_minor": total, "currency": currency, "items": items, "at": rfc3339(at)})
    };
    Ok(rows.into_iter().map(one).collect())
}

/// Klaviyo's segments and lists that the person is in, as last read.
async fn groups(conn: &mut Conn, ws: WorkspaceId, known: &Known) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT DISTINCT g.name FROM klaviyo_members m
         JOIN klaviyo_groups g ON g.workspace_id = m.workspace_id AND g.kind = m.kind
             AND g.id = m.group_id
         WHERE m.workspace_id = $1 AND (m.email_hash = $2 OR m.phone_hash = $3) ORDER BY g.name",
    )
    .bind(ws)
    .bind(known.email_hash())
    .bind(known.phone_hash())
    .fetch_all(conn)
    .await
}

/// The same for people: a line for each value, indented as it is nested.
pub fn readable(export: &Value) -> String {
    let mut text = String::from("Everything kept of one customer\n\n");
    if let Value::Object(fields) = export {
        write_fields(&mut text, fields, 0);
    }
    text
}

fn write_fields(text: &mut String, fields: &Map<String, Value>, depth: usize) {
    let indent = "  ".repeat(depth);
    for (name, value) in fields {
        let name = name.replace('_', " ");
        match value {
            Value::Object(inner) => {
                let _ = writeln!(text, "{indent}{name}:");
                write_fields(text, inner, depth + 1);
            }
            Value::Array(items) if items.is_empty() => {
                let _ = writeln!(text, "{indent}{name}: none");
            }
            Value::Array(items) => {
                let _ = writeln!(text, "{indent}{name}:");
                write_items(text, items, depth + 1);
            }
            simple => {
                let _ = writeln!(text, "{indent}{name}: {}", plain(simple));
            }
        }
    }
}

fn write_items(text: &mut String, items: &[Value], depth: usize) {
    let indent = "  ".repeat(depth);
    for (i, item) in items.iter().enumerate() {
        match item {
            Value::Object(fields) => {
                let _ = writeln!(text, "{indent}{}.", i + 1);
                write_fields(text, fields, depth + 1);
            }
            Value::Array(inner) => write_items(text, inner, depth + 1),
            simple => {
                let _ = writeln!(text, "{indent}- {}", plain(simple));
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "not known".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_can_be_read_by_people() {
        let export = json!({
            "customer": {"first_name": "Ana", "phone": null},
            "messenger": [{"tags": ["vip"], "clicks": []}],
        });
        let text = readable(&export);
        for line in [
            "customer:",
            "  first name: Ana",
            "  phone: not known",
            "  1.",
            "    tags:",
            "      - vip",
            "    clicks: none",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line:?} in\n{text}"
            );
        }
    }
}

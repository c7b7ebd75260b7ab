//! Erasure of one customer: the rows that say who they are. Figures stay, people go.

use sqlx::AssertSqlSafe;

use super::traces::Subject;
use crate::app::App;
use crate::clock::Millis;
use crate::store::Conn;
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::subscribers::{Means, opt_out, recognise};

/// What names a subscriber in the rows of a list of subscribers (`{}`); `$1` is the workspace, `$2`
/// the moment. The order matters: the first ones still read what the last one takes.
pub(super) const OF_SUBSCRIBERS: [&str; 9] = [
    "DELETE FROM checkouts WHERE workspace_id = $1 AND $2 > 0 AND token IN
         (SELECT checkout_token FROM subscribers WHERE id IN ({}))",
    "DELETE FROM klaviyo_members WHERE workspace_id = $1 AND $2 > 0 AND profile_id IN
         (SELECT klaviyo_profile_id FROM subscribers WHERE id IN ({}))",
    "UPDATE messages SET content = NULL, detail = NULL, mid = NULL, tracking_id = NULL
         WHERE workspace_id = $1 AND $2 > 0 AND subscriber_id IN ({})",
    "UPDATE attempts SET detail = NULL
         WHERE workspace_id = $1 AND $2 > 0 AND id IN
           (SELECT a.id FROM messages m JOIN attempts a
              ON a.origin_id = m.origin_id AND a.subscriber_id = m.subscriber_id
            WHERE m.subscriber_id IN ({}))",
    "UPDATE runs SET context = '{}', ended_at = COALESCE(ended_at, $2),
             status = CASE WHEN status = 'waiting' THEN 'stopped' ELSE status END,
             reason = CASE WHEN status = 'waiting' THEN 'erased' ELSE reason END
         WHERE workspace_id = $1 AND subscriber_id IN ({})",
    "DELETE FROM klaviyo_outbox WHERE workspace_id = $1 AND $2 > 0 AND subscriber_id IN ({})",
    "DELETE FROM subscriber_tags WHERE workspace_id = $1 AND $2 > 0 AND subscriber_id IN ({})",
    "DELETE FROM stock_watches WHERE workspace_id = $1 AND $2 > 0 AND subscriber_id IN ({})",
    "UPDATE subscribers SET psid = NULL, token = NULL, first_name = NULL, last_name = NULL,
             first_key = NULL, last_key = NULL, customer_id = NULL, checkout_token = NULL,
             email_hash = NULL, email_sealed = NULL, phone_hash = NULL, phone_sealed = NULL,
             klaviyo_profile_id = NULL, timezone = NULL, erased_at = COALESCE(erased_at, $2)
         WHERE workspace_id = $1 AND id IN ({})",
];

/// What names a customer elsewhere; `$2` to `$4` are the customer's id and the hashes of e-mail and
/// phone, `$5` is the moment. The customer's row stays without its content: a late word of the shop
/// must not bring the person back.
const OF_CUSTOMERS: [&str; 4] = [
    "UPDATE customers SET first_name = NULL, last_name = NULL, email_hash = NULL,
             email_sealed = NULL, phone_hash = NULL, phone_sealed = NULL, erased_at = $5
         WHERE workspace_id = $1 AND (id = $2 OR email_hash = $3 OR phone_hash = $4)",
    "DELETE FROM checkouts
         WHERE workspace_id = $1 AND $5 > 0
           AND (customer_id = $2 OR email_hash = $3 OR phone_hash = $4)",
    "UPDATE orders SET customer_id = NULL, email_hash = NULL, checkout_token = NULL,
             cart_token = NULL
         WHERE workspace_id = $1 AND $5 > 0 AND ($4 IS NULL OR $4 = $4)
           AND (customer_id = $2 OR email_hash = $3)",
    "DELETE FROM klaviyo_members
         WHERE workspace_id = $1 AND $5 > 0 AND ($2 IS NULL OR $2 = $2)
           AND (email_hash = $3 OR phone_hash = $4)",
];

/// Erases names, addresses, PSIDs, tokens and words, and notes in `subject` by what the person can
/// still be found in kept texts. Safe to do again.
pub(super) async fn erase_customer(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    subject: &mut Subject,
) -> anyhow::Result<()> {
    let known = subject.known();
    let mut people = recognise(app, conn, ws, &known).await?;
    people.extend(brought_back(conn, ws, subject).await?);
    let now = app.clock.now();
    for id in &people {
        subject.mark(id.to_string());
        opt_out(app, conn, *id, Means::Erasure, now, "erasure").await?;
    }
    mark_people(conn, ws, &people, subject).await?;
    erase_people(conn, ws, &people, now).await?;
    subject.people += people.len() as u64;
    erase_links(conn, ws, subject, now).await?;
    for statement in OF_CUSTOMERS {
        sqlx::query(statement)
            .bind(ws)
            .bind(known.customer_id.as_deref())
            .bind(subject.email_hash())
            .bind(subject.phone_hash())
            .bind(now)
            .execute(&mut *conn)
            .await?;
    }
    forget_orders(conn, ws, &subject.orders).await
}

/// The people's rows; they are opted out already.
pub(super) async fn erase_people(
    conn: &mut Conn,
    ws: WorkspaceId,
    people: &[SubscriberId],
    now: Millis,
) -> anyhow::Result<()> {
    if people.is_empty() {
        return Ok(());
    }
    let list = numbers(people);
    for statement in OF_SUBSCRIBERS {
        // `'{}'` is an empty context, not the place of the list.
        let sql = statement.replace("({})", &format!("({list})"));
        sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .bind(ws)
            .bind(now)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

fn numbers(ids: &[SubscriberId]) -> String {
    let list: Vec<String> = ids.iter().map(|id| id.0.to_string()).collect();
    list.join(",")
}

/// Who came back by Meta's list of subscribers before Meta had heard of the erasure. Whoever acted
/// since came back by themselves, as somebody new.
async fn brought_back(
    conn: &mut Conn,
    ws: WorkspaceId,
    subject: &Subject,
) -> anyhow::Result<Vec<SubscriberId>> {
    let mut people = Vec::new();
    for psid in &subject.marks {
        let found: Vec<SubscriberId> = sqlx::query_scalar(
            "SELECT s.id FROM pages p JOIN subscribers s ON s.page_id = p.id AND s.psid = $2
             WHERE p.workspace_id = $1 AND s.workspace_id = $1 AND s.erased_at IS NULL
               AND s.last_action_at IS NULL",
        )
        .bind(ws)
        .bind(psid)
        .fetch_all(&mut *conn)
        .await?;
        people.extend(found);
    }
    Ok(people)
}

/// How platforms call these people.
async fn mark_people(
    conn: &mut Conn,
    ws: WorkspaceId,
    people: &[SubscriberId],
    subject: &mut Subject,
) -> anyhow::Result<()> {
    for id in people {
        type Row = (i64, Option<String>, Option<String>, Option<String>);
        let row: Option<Row> = sqlx::query_as(
            "SELECT page_id, psid, token, klaviyo_profile_id FROM subscribers
             WHERE workspace_id = $1 AND id = $2",
        )
        .bind(ws)
        .bind(id)
        .fetch_optional(&mut *conn)
        .await?;
        let Some((page, psid, token, profile)) = row else {
            continue;
        };
        if let Some(psid) = &psid {
            subject.at_meta.push((page, psid.clone()));
        }
        for mark in [psid, token, profile].into_iter().flatten() {
            subject.mark(mark);
        }
    }
    Ok(())
}

/// Links that were made for this person: their names and addresses may spell the person's.
async fn erase_links(
    conn: &mut Conn,
    ws: WorkspaceId,
    subject: &mut Subject,
    now: Millis,
) -> anyhow::Result<()> {
    let erased: Vec<(i64, String)> = sqlx::query_as(
        "SELECT id, slug FROM opt_in_links
         WHERE workspace_id = $1 AND (customer_id = $2 OR email_hash = $3 OR phone_hash = $4)",
    )
    .bind(ws)
    .bind(subject.customer_id.as_deref())
    .bind(subject.email_hash())
    .bind(subject.phone_hash())
    .fetch_all(&mut *conn)
    .await?;
    for (id, slug) in erased {
        sqlx::query(
            "UPDATE opt_in_links SET name = 'Erased', slug = 'erased-' || CAST(id AS TEXT),
                 customer_id = NULL, email_hash = NULL, email_sealed = NULL, phone_hash = NULL,
                 phone_sealed = NULL, checkout_token = NULL, archived_at = COALESCE(archived_at, $3)
             WHERE workspace_id = $1 AND id = $2",
        )
        .bind(ws)
        .bind(id)
        .bind(now)
        .execute(&mut *conn)
        .await?;
        subject.mark(slug);
    }
    Ok(())
}

/// Orders that the demand names, though they may be linked to nobody we know.
async fn forget_orders(conn: &mut Conn, ws: WorkspaceId, orders: &[i64]) -> anyhow::Result<()> {
    for order in orders {
        sqlx::query(
            "UPDATE orders SET customer_id = NULL, email_hash = NULL, checkout_token = NULL,
                 cart_token = NULL
             WHERE workspace_id = $1 AND shop_order_id = $2",
        )
        .bind(ws)
        .bind(order.to_string())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

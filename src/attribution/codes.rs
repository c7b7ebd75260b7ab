//! The last that is looked at: a discount code on the order that only a message of ours carried to
//! this very customer.

use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::attribution::credit::MatchedBy;
use crate::attribution::touches::{self, Kept};
use crate::clock::{DAY, Millis};
use crate::store::ids::{AutomationId, CampaignId, OriginId, SubscriberId};
use crate::store::{Conn, placeholders};

/// Messages to one customer that are looked at.
const MESSAGES: i64 = 200;

/// A message that may have carried a coupon.
#[derive(sqlx::FromRow)]
struct Told {
    origin_id: OriginId,
    subscriber_id: SubscriberId,
    campaign_id: Option<CampaignId>,
    automation_id: Option<AutomationId>,
    sent_at: Millis,
    content: Option<String>,
}

/// The order's codes for `orders.discount_codes`; `None` where it has none.
pub(super) fn kept(codes: &[String]) -> anyhow::Result<Option<String>> {
    if codes.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::to_string(codes)?))
}

/// Credits the order to the last coupon message, inside the window, whose code it used. Orders at
/// the counter and those made by hand count here: a code can be said aloud. `true` if it has its
/// credit now.
pub(super) async fn give_credit(
    app: &App,
    conn: &mut Conn,
    order: &Kept,
    subscribers: &[SubscriberId],
) -> anyhow::Result<bool> {
    let codes: Vec<String> = order
        .discount_codes
        .as_deref()
        .and_then(|codes| serde_json::from_str(codes).ok())
        .unwrap_or_default();
    if codes.is_empty() || subscribers.is_empty() || order.test != 0 {
        return Ok(false);
    }
    let window_days: i64 =
        sqlx::query_scalar("SELECT attribution_window_days FROM workspaces WHERE id = $1")
            .bind(order.workspace_id)
            .fetch_one(&mut *conn)
            .await?;
    let sent = sent_to(conn, order, subscribers, window_days).await?;
    let used = |sent: &&Told| sent.code().is_some_and(|code| is_among(&code, &codes));
    let Some(sent) = sent.iter().find(used) else {
        return Ok(false);
    };
    let inserted = sqlx::query(
        "INSERT INTO credits (order_id, workspace_id, campaign_id, automation_id, origin_id,
             subscriber_id, click_id, touch_kind, touch_at, matched_by, window_days, credited_at)
         VALUES ($1, $2, $3, $4, $5, $6, 0, 'code', $7, $8, $9, $10)
         ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(order.id)
    .bind(order.workspace_id)
    .bind(sent.campaign_id)
    .bind(sent.automation_id)
    .bind(sent.origin_id)
    .bind(sent.subscriber_id)
    .bind(sent.sent_at)
    .bind(MatchedBy::DiscountCode.as_str())
    .bind(window_days)
    .bind(app.clock.now())
    .execute(&mut *conn)
    .await?;
    if inserted.rows_affected() == 1 {
        touches::report(app, conn, order).await?;
    }
    Ok(true)
}

/// What the customer got inside the window, newest first.
async fn sent_to(
    conn: &mut Conn,
    order: &Kept,
    subscribers: &[SubscriberId],
    window_days: i64,
) -> anyhow::Result<Vec<Told>> {
    let sql = format!(
        "SELECT m.origin_id, m.subscriber_id, m.campaign_id, m.automation_id, m.sent_at,
             COALESCE(m.content, p.message) AS content
         FROM messages m
         LEFT JOIN campaigns p ON p.id = m.campaign_id AND p.workspace_id = m.workspace_id
         WHERE m.workspace_id = $1 AND m.sent_at >= $2 AND m.sent_at <= $3 AND m.status = 'sent'
             AND (m.campaign_id IS NOT NULL OR m.automation_id IS NOT NULL)
             AND m.subscriber_id IN {}
         ORDER BY m.sent_at DESC LIMIT $4",
        placeholders(5, 1, subscribers.len())
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql))
        .bind(order.workspace_id)
        .bind(order.ordered_at - window_days * DAY)
        .bind(order.ordered_at)
        .bind(MESSAGES);
    for subscriber in subscribers {
        query = query.bind(subscriber);
    }
    Ok(query.fetch_all(conn).await?)
}

impl Told {
    /// A message's row carries the message itself, or its campaign does.
    fn code(&self) -> Option<String> {
        let content: Value = serde_json::from_str(self.content.as_deref()?).ok()?;
        let message = content.get("message").unwrap_or(&content);
        if message["kind"] != "coupon" {
            return None;
        }
        message["code"].as_str().map(str::to_owned)
    }
}

/// Shopify does not tell capitals from small letters in codes.
fn is_among(code: &str, codes: &[String]) -> bool {
    let code = code.trim().to_lowercase();
    !code.is_empty() && codes.iter().any(|used| used.trim().to_lowercase() == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_a_campaign_and_in_a_message_of_its_own() {
        let sent = |content: &str| Told {
            origin_id: OriginId(1),
            subscriber_id: SubscriberId(1),
            campaign_id: None,
            automation_id: None,
            sent_at: 0,
            content: Some(content.to_owned()),
        };
        let coupon = r#"{"kind":"coupon","title":"T","code":" Save10","url":"https://s.example"}"#;
        let codes = ["SAVE10".to_owned()];
        for content in [
            coupon.to_owned(),
            format!(r#"{{"message":{coupon},"tags":{{}}}}"#),
        ] {
            let code = sent(&content).code().unwrap();
            assert!(is_among(&code, &codes), "{content}");
        }
        assert_eq!(sent(r#"{"kind":"text","text":"SAVE10"}"#).code(), None);
        assert!(!is_among("", &[String::new()]));
        assert!(!is_among("SAVE1", &codes));
    }
}

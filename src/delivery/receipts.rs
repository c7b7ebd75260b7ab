//! What comes back: echoes, deliveries, reads. A receipt never moves a status backwards; it may
//! settle a message whose answer was lost.

use serde_json::Map;

use crate::app::App;
use crate::clock::{DAY, Millis};
use crate::profiles::{self, Report};
use crate::store::Conn;
use crate::store::ids::{AutomationId, CampaignId, MessageKey, OriginId, SubscriberId};
use crate::workspaces::PageRef;

/// A receipt, however it names its message.
#[derive(Clone, Debug)]
pub enum Receipt {
    /// The standard channel's echo; `metadata` is our message key.
    Echo {
        mid: String,
        metadata: Option<String>,
    },
    /// `mids` were delivered, and all sent to `subscriber` up to `watermark`.
    Delivered {
        subscriber: SubscriberId,
        mids: Vec<String>,
        watermark: Millis,
    },
    /// All sent to `subscriber` up to `watermark` was read.
    Read {
        subscriber: SubscriberId,
        watermark: Millis,
    },
    /// The paid channel, by tracking id, else by (token, Meta's campaign).
    Marketing {
        what: MarketingReceipt,
        mid: Option<String>,
        tracking_id: Option<String>,
        token: Option<String>,
        meta_campaign_id: Option<String>,
        error: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketingReceipt {
    Sent,
    Delivered,
    Read,
    Failed,
}

/// Applies a receipt; one that matches nothing of ours changes nothing. `at` is Meta's time.
pub async fn record_receipt(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    at: Millis,
    receipt: &Receipt,
) -> anyhow::Result<()> {
    match receipt {
        Receipt::Echo { mid, metadata } => {
            let key = metadata
                .as_deref()
                .and_then(|text| text.parse::<MessageKey>().ok());
            let Some(key) = key else { return Ok(()) };
            settle(conn, page, key, at, Some(mid.as_str()), None).await
        }
        Receipt::Delivered {
            subscriber,
            mids,
            watermark,
        } => {
            for mid in mids {
                if let Some(key) = by_name(conn, page, Named::Mid(mid)).await? {
                    settle(conn, page, key, at, None, None).await?;
                    delivered(app, conn, page, key, at).await?;
                }
            }
            if *watermark > 0 {
                for key in sent_until(conn, page, *subscriber, *watermark, "delivered_at").await? {
                    delivered(app, conn, page, key, at).await?;
                }
            }
            Ok(())
        }
        Receipt::Read {
            subscriber,
            watermark,
        } => {
            for key in sent_until(conn, page, *subscriber, *watermark, "read_at").await? {
                read(app, conn, page, key, at).await?;
            }
            Ok(())
        }
        Receipt::Marketing {
            what,
            mid,
            tracking_id,
            token,
            meta_campaign_id,
            error,
        } => {
            let named = match tracking_id {
                Some(tracking) => by_name(conn, page, Named::Tracking(tracking)).await?,
                None => None,
            };
            let key = match (named, token, meta_campaign_id) {
                (Some(key), _, _) => Some(key),
                (None, Some(token), Some(campaign)) => {
                    by_token(conn, page, token, campaign).await?
                }
                _ => None,
            };
            let Some(key) = key else { return Ok(()) };
            let tracking = tracking_id.as_deref();
            match what {
                MarketingReceipt::Sent => {
                    settle(conn, page, key, at, mid.as_deref(), tracking).await
                }
                MarketingReceipt::Delivered => {
                    settle(conn, page, key, at, mid.as_deref(), tracking).await?;
                    delivered(app, conn, page, key, at).await
                }
                MarketingReceipt::Read => {
                    settle(conn, page, key, at, mid.as_deref(), tracking).await?;
                    read(app, conn, page, key, at).await
                }
                MarketingReceipt::Failed => failed(conn, page, key, error.as_deref()).await,
            }
        }
    }
}

/// The message was sent after all, and now we know.
async fn settle(
    conn: &mut Conn,
    page: PageRef,
    key: MessageKey,
    at: Millis,
    mid: Option<&str>,
    tracking: Option<&str>,
) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE messages SET status = 'sent', reason = NULL, detail = NULL, lease_until = NULL,
             sent_at = COALESCE(sent_at, $4), mid = COALESCE(mid, $5),
             tracking_id = COALESCE(tracking_id, $6)
         WHERE origin_id = $1 AND subscriber_id = $2 AND page_id = $3
           AND status IN ('sending', 'unknown', 'sent')",
    )
    .bind(key.origin)
    .bind(key.subscriber)
    .bind(page.id)
    .bind(at)
    .bind(mid)
    .bind(tracking)
    .execute(conn)
    .await?;
    Ok(())
}

type Touched = (
    OriginId,
    SubscriberId,
    Option<CampaignId>,
    Option<AutomationId>,
);

async fn delivered(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    key: MessageKey,
    at: Millis,
) -> anyhow::Result<()> {
    let row: Option<Touched> = sqlx::query_as(
        "UPDATE messages SET delivered_at = $4
         WHERE origin_id = $1 AND subscriber_id = $2 AND page_id = $3 AND delivered_at IS NULL
           AND status = 'sent'
         RETURNING origin_id, subscriber_id, campaign_id, automation_id",
    )
    .bind(key.origin)
    .bind(key.subscriber)
    .bind(page.id)
    .bind(at)
    .fetch_optional(&mut *conn)
    .await?;
    match row {
        Some(row) => {
            report(
                app,
                conn,
                page,
                &row,
                "Received Messenger Message",
                "received",
                at,
            )
            .await
        }
        None => Ok(()),
    }
}

/// What is read was delivered, whether or not the delivery was told.
async fn read(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    key: MessageKey,
    at: Millis,
) -> anyhow::Result<()> {
    delivered(app, conn, page, key, at).await?;
    let row: Option<Touched> = sqlx::query_as(
        "UPDATE messages SET read_at = $4
         WHERE origin_id = $1 AND subscriber_id = $2 AND page_id = $3 AND read_at IS NULL
           AND status = 'sent'
         RETURNING origin_id, subscriber_id, campaign_id, automation_id",
    )
    .bind(key.origin)
    .bind(key.subscriber)
    .bind(page.id)
    .bind(at)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(()) };
    sqlx::query(
        "UPDATE subscribers SET last_read_at = $2
         WHERE id = $1 AND (last_read_at IS NULL OR last_read_at < $2)",
    )
    .bind(key.subscriber)
    .bind(at)
    .execute(&mut *conn)
    .await?;
    report(app, conn, page, &row, "Read Messenger Message", "read", at).await
}

/// Meta took the message and then could not deliver it.
async fn failed(
    conn: &mut Conn,
    page: PageRef,
    key: MessageKey,
    error: Option<&str>,
) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE messages SET status = 'failed', reason = 'not_delivered', lease_until = NULL,
             detail = $4
         WHERE origin_id = $1 AND subscriber_id = $2 AND page_id = $3
           AND status IN ('sending', 'unknown', 'sent') AND delivered_at IS NULL",
    )
    .bind(key.origin)
    .bind(key.subscriber)
    .bind(page.id)
    .bind(error.unwrap_or("Meta could not deliver it."))
    .execute(conn)
    .await?;
    Ok(())
}

async fn report(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    row: &Touched,
    metric: &'static str,
    word: &str,
    at: Millis,
) -> anyhow::Result<()> {
    let (origin, subscriber, campaign, automation) = *row;
    if campaign.is_none() && automation.is_none() {
        return Ok(());
    }
    let key = MessageKey { origin, subscriber };
    let mut properties = Map::new();
    properties.insert("message_id".into(), key.to_string().into());
    if let Some(campaign) = campaign {
        properties.insert("campaign_id".into(), campaign.to_string().into());
    }
    if let Some(automation) = automation {
        properties.insert("automation_id".into(), automation.to_string().into());
    }
    let event = Report {
        workspace: page.workspace,
        subscriber,
        metric,
        properties,
        value: None,
        at,
        unique_id: format!("msgr:{key}:{word}"),
    };
    profiles::report(app, conn, event).await
}

/// A name that Meta gave to a message when it took it.
#[derive(Clone, Copy)]
enum Named<'a> {
    Mid(&'a str),
    Tracking(&'a str),
}

async fn by_name(
    conn: &mut Conn,
    page: PageRef,
    named: Named<'_>,
) -> sqlx::Result<Option<MessageKey>> {
    let (sql, name) = match named {
        Named::Mid(mid) => (
            "SELECT origin_id, subscriber_id FROM messages
             WHERE mid = $1 AND mid IS NOT NULL AND page_id = $2",
            mid,
        ),
        Named::Tracking(id) => (
            "SELECT origin_id, subscriber_id FROM messages
             WHERE tracking_id = $1 AND tracking_id IS NOT NULL AND page_id = $2",
            id,
        ),
    };
    let row: Option<(OriginId, SubscriberId)> = sqlx::query_as(sql)
        .bind(name)
        .bind(page.id)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(origin, subscriber)| MessageKey { origin, subscriber }))
}

/// The latest message to the owner of this token that used Meta's campaign.
async fn by_token(
    conn: &mut Conn,
    page: PageRef,
    token: &str,
    meta_campaign: &str,
) -> sqlx::Result<Option<MessageKey>> {
    let row: Option<(OriginId, SubscriberId)> = sqlx::query_as(
        "SELECT m.origin_id, m.subscriber_id FROM meta_campaigns v
         JOIN subscribers s ON s.page_id = v.page_id AND s.token = $2
         JOIN messages m ON m.subscriber_id = s.id AND m.page_id = v.page_id
              AND COALESCE(m.campaign_id, m.automation_id, m.test_of) = v.owner_id
         WHERE v.meta_campaign_id = $1 AND v.page_id = $3
           AND m.status IN ('sending', 'unknown', 'sent') AND m.channel = 'marketing_message'
         ORDER BY m.started_at DESC LIMIT 1",
    )
    .bind(meta_campaign)
    .bind(token)
    .bind(page.id)
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|(origin, subscriber)| MessageKey { origin, subscriber }))
}

/// Messages of the standard channel up to a watermark that lack this receipt. Meta keeps no
/// receipts older than a month apart, so neither do we look further back.
async fn sent_until(
    conn: &mut Conn,
    page: PageRef,
    subscriber: SubscriberId,
    watermark: Millis,
    lacking: &'static str,
) -> sqlx::Result<Vec<MessageKey>> {
    let sql = format!(
        "SELECT origin_id, subscriber_id FROM messages
         WHERE subscriber_id = $1 AND page_id = $2 AND created_at > $4 AND sent_at <= $3
           AND status = 'sent' AND {lacking} IS NULL"
    );
    let rows: Vec<(OriginId, SubscriberId)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(subscriber)
        .bind(page.id)
        .bind(watermark)
        .bind(watermark - 30 * DAY)
        .fetch_all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(origin, subscriber)| MessageKey { origin, subscriber })
        .collect())
}

//! What comes back: echoes, deliveries, reads. A receipt never moves a status backwards; it may
//! settle a message whose answer was lost, or was not true.

use serde_json::Map;
use sqlx::AssertSqlSafe;

use super::enqueue::MessageKind;
use crate::app::App;
use crate::clock::{DAY, Millis, SECOND};
use crate::profiles::{self, Report};
use crate::store::Conn;
use crate::store::ids::{MessageKey, OriginId, SubscriberId};
use crate::tallies::{COLUMNS, Changes, Counted};
use crate::workspaces::PageRef;

/// Why a message has failed that Meta took and could not deliver.
pub(super) const NOT_DELIVERED: &str = "not_delivered";
/// How far Meta's clock may be behind ours.
const SKEW: Millis = 5 * SECOND;

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

/// Applies a receipt; one that matches nothing of ours changes nothing. `at` is Meta's time. What
/// moved is noted in `changes`, which the caller writes last.
pub async fn record_receipt(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    at: Millis,
    receipt: &Receipt,
    changes: &mut Changes,
) -> anyhow::Result<()> {
    let mut hearing = Hearing {
        app,
        conn,
        page,
        at,
        changes,
    };
    match receipt {
        Receipt::Echo { mid, metadata } => {
            let key = metadata
                .as_deref()
                .and_then(|text| text.parse::<MessageKey>().ok());
            let Some(key) = key else { return Ok(()) };
            let news = News::named(Stage::Sent, Some(mid), None);
            // Our own key came to Meta with the message, so Meta took it, whatever it answered.
            match hearing.by_key(key).await? {
                Some(known) => hearing.taken(known, news).await,
                None => Ok(()),
            }
        }
        Receipt::Delivered {
            subscriber,
            mids,
            watermark,
        } => {
            for mid in mids {
                if let Some(known) = hearing.by_name(Named::Mid(mid)).await? {
                    hearing.heard(known, News::of(Stage::Delivered)).await?;
                }
            }
            hearing
                .up_to(*subscriber, *watermark, Stage::Delivered)
                .await
        }
        Receipt::Read {
            subscriber,
            watermark,
        } => hearing.up_to(*subscriber, *watermark, Stage::Read).await,
        Receipt::Marketing {
            what,
            mid,
            tracking_id,
            token,
            meta_campaign_id,
            error,
        } => {
            let named = match tracking_id {
                Some(tracking) => hearing.by_name(Named::Tracking(tracking)).await?,
                None => None,
            };
            let known = match (named, token, meta_campaign_id) {
                (Some(known), _, _) => Some(known),
                (None, Some(token), Some(campaign)) => hearing.by_token(token, campaign).await?,
                _ => None,
            };
            let Some(known) = known else { return Ok(()) };
            let stage = match what {
                MarketingReceipt::Sent => Stage::Sent,
                MarketingReceipt::Delivered => Stage::Delivered,
                MarketingReceipt::Read => Stage::Read,
                MarketingReceipt::Failed => return hearing.failed(known, error.as_deref()).await,
            };
            let news = News::named(stage, mid.as_deref(), tracking_id.as_deref());
            hearing.taken(known, news).await
        }
    }
}

/// The message was sent after all, and now we know. `names` are Meta's message and tracking id.
pub(super) async fn settle(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    key: MessageKey,
    at: Millis,
    names: (Option<&str>, Option<&str>),
    changes: &mut Changes,
) -> anyhow::Result<()> {
    let mut hearing = Hearing {
        app,
        conn,
        page,
        at,
        changes,
    };
    let Some(known) = hearing.by_key(key).await? else {
        return Ok(());
    };
    let news = News::named(Stage::Sent, names.0, names.1);
    hearing.taken(known, news).await
}

/// How far a message is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Sent,
    Delivered,
    /// What is read was delivered, whether or not the delivery was told.
    Read,
}

#[derive(Clone, Copy)]
struct News<'a> {
    stage: Stage,
    mid: Option<&'a str>,
    tracking: Option<&'a str>,
}

impl<'a> News<'a> {
    fn of(stage: Stage) -> Self {
        Self::named(stage, None, None)
    }

    fn named(stage: Stage, mid: Option<&'a str>, tracking: Option<&'a str>) -> Self {
        Self {
            stage,
            mid,
            tracking,
        }
    }
}

/// A message as it stands under our lock.
#[derive(sqlx::FromRow)]
struct Known {
    #[sqlx(flatten)]
    message: Counted,
    kind: String,
    channel: Option<String>,
    mid: Option<String>,
    tracking_id: Option<String>,
}

impl Known {
    fn key(&self) -> MessageKey {
        MessageKey {
            origin: OriginId(self.message.origin_id),
            subscriber: SubscriberId(self.message.subscriber_id),
        }
    }

    /// Whether Meta may have it: only then what happened to the person's messages happened to it.
    fn went_out(&self) -> bool {
        matches!(self.message.status.as_str(), "sending" | "unknown" | "sent")
    }

    /// Meta itself said that it did not arrive; what it tells late of before that is no news.
    fn is_undeliverable(&self) -> bool {
        let Counted { status, reason, .. } = &self.message;
        status == "failed" && reason.as_deref() == Some(NOT_DELIVERED)
    }

    /// Whether it is the person's marketing message of the day.
    fn takes_the_day(&self) -> bool {
        let is_paid = self.channel.as_deref() == Some("marketing_message");
        MessageKind::parse(&self.kind).takes_the_day(is_paid)
    }
}

/// A name that Meta gave to a message when it took it.
#[derive(Clone, Copy)]
enum Named<'a> {
    Mid(&'a str),
    Tracking(&'a str),
}

/// A receipt of one Page, heard at a moment, within a transaction.
struct Hearing<'a> {
    app: &'a App,
    conn: &'a mut Conn,
    page: PageRef,
    at: Millis,
    changes: &'a mut Changes,
}

impl Hearing<'_> {
    /// Meta has this very message. Where its answer said otherwise (it fails and delivers all the
    /// same), that was put back into the queue or given up, and is neither: it was sent, and the
    /// person had their message of the day.
    async fn taken(&mut self, known: Known, news: News<'_>) -> anyhow::Result<()> {
        if !known.went_out() && !known.is_undeliverable() && known.takes_the_day() {
            sqlx::query(
                "UPDATE subscribers SET last_marketing_at = $2
                 WHERE id = $1 AND (last_marketing_at IS NULL OR last_marketing_at < $2)",
            )
            .bind(known.message.subscriber_id)
            .bind(self.at)
            .execute(&mut *self.conn)
            .await?;
        }
        self.heard(known, news).await
    }

    /// Writes what is new; a receipt never moves anything backwards.
    async fn heard(&mut self, known: Known, news: News<'_>) -> anyhow::Result<()> {
        if known.is_undeliverable() {
            return Ok(());
        }
        let (key, before, at) = (known.key(), &known.message, self.at);
        let mut now = before.clone();
        "sent".clone_into(&mut now.status);
        now.reason = None;
        now.sent_at.get_or_insert(at);
        if news.stage >= Stage::Delivered {
            now.delivered_at.get_or_insert(at);
        }
        if news.stage >= Stage::Read {
            now.read_at.get_or_insert(at);
        }
        let is_named = known.mid.is_none() && news.mid.is_some()
            || known.tracking_id.is_none() && news.tracking.is_some();
        if before.status != "sent" || is_named {
            self.settled(key, &now, news).await?;
        } else if (now.delivered_at, now.read_at) != (before.delivered_at, before.read_at) {
            self.stamped(key, &now).await?;
        }
        self.changes.moved(before, &now);
        if before.delivered_at.is_none() && now.delivered_at.is_some() {
            self.report(&now, "Received Messenger Message", "received")
                .await?;
        }
        if before.read_at.is_none() && now.read_at.is_some() {
            sqlx::query(
                "UPDATE subscribers SET last_read_at = $2
                 WHERE id = $1 AND (last_read_at IS NULL OR last_read_at < $2)",
            )
            .bind(key.subscriber)
            .bind(at)
            .execute(&mut *self.conn)
            .await?;
            self.report(&now, "Read Messenger Message", "read").await?;
        }
        Ok(())
    }

    async fn settled(
        &mut self,
        key: MessageKey,
        now: &Counted,
        news: News<'_>,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE messages SET status = 'sent', reason = NULL, detail = NULL, lease_until = NULL,
                 sent_at = $3, delivered_at = $4, read_at = $5, mid = COALESCE(mid, $6),
                 tracking_id = COALESCE(tracking_id, $7)
             WHERE origin_id = $1 AND subscriber_id = $2",
        )
        .bind(key.origin)
        .bind(key.subscriber)
        .bind(now.sent_at)
        .bind(now.delivered_at)
        .bind(now.read_at)
        .bind(news.mid)
        .bind(news.tracking)
        .execute(&mut *self.conn)
        .await?;
        Ok(())
    }

    /// The common case touches no index.
    async fn stamped(&mut self, key: MessageKey, now: &Counted) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE messages SET delivered_at = $3, read_at = $4
             WHERE origin_id = $1 AND subscriber_id = $2",
        )
        .bind(key.origin)
        .bind(key.subscriber)
        .bind(now.delivered_at)
        .bind(now.read_at)
        .execute(&mut *self.conn)
        .await?;
        Ok(())
    }

    /// Meta took the message and then could not deliver it.
    async fn failed(&mut self, known: Known, error: Option<&str>) -> anyhow::Result<()> {
        if !known.went_out() || known.message.delivered_at.is_some() {
            return Ok(());
        }
        let key = known.key();
        sqlx::query(
            "UPDATE messages SET status = 'failed', reason = $4, lease_until = NULL, detail = $3
             WHERE origin_id = $1 AND subscriber_id = $2",
        )
        .bind(key.origin)
        .bind(key.subscriber)
        .bind(error.unwrap_or("Meta could not deliver it."))
        .bind(NOT_DELIVERED)
        .execute(&mut *self.conn)
        .await?;
        let now = Counted {
            status: "failed".to_owned(),
            reason: Some(NOT_DELIVERED.to_owned()),
            ..known.message.clone()
        };
        self.changes.moved(&known.message, &now);
        self.report(&now, "Failed to Deliver Messenger Message", "failed")
            .await
    }

    /// All of the standard channel that was sent to the person up to a watermark. Meta keeps no
    /// receipts older than a month apart, so neither do we look further back.
    async fn up_to(
        &mut self,
        subscriber: SubscriberId,
        watermark: Millis,
        stage: Stage,
    ) -> anyhow::Result<()> {
        if watermark <= 0 {
            return Ok(());
        }
        let lacking = match stage {
            Stage::Read => "read_at",
            Stage::Sent | Stage::Delivered => "delivered_at",
        };
        let sql = format!(
            "SELECT {COLUMNS}, kind, channel, mid, tracking_id FROM messages
             WHERE subscriber_id = $1 AND page_id = $2 AND created_at > $4 AND sent_at <= $3
               AND status = 'sent' AND {lacking} IS NULL
             ORDER BY origin_id{}",
            self.app.db.locking("messages")
        );
        let rows: Vec<Known> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(subscriber)
            .bind(self.page.id)
            .bind(watermark)
            .bind(watermark - 30 * DAY)
            .fetch_all(&mut *self.conn)
            .await?;
        for known in rows {
            self.heard(known, News::of(stage)).await?;
        }
        Ok(())
    }

    async fn by_key(&mut self, key: MessageKey) -> sqlx::Result<Option<Known>> {
        let sql = format!(
            "SELECT {COLUMNS}, kind, channel, mid, tracking_id FROM messages
             WHERE origin_id = $1 AND subscriber_id = $2 AND page_id = $3{}",
            self.app.db.locking("messages")
        );
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(key.origin)
            .bind(key.subscriber)
            .bind(self.page.id)
            .fetch_optional(&mut *self.conn)
            .await
    }

    async fn by_name(&mut self, named: Named<'_>) -> sqlx::Result<Option<Known>> {
        let (column, name) = match named {
            Named::Mid(mid) => ("mid", mid),
            Named::Tracking(id) => ("tracking_id", id),
        };
        let sql = format!(
            "SELECT {COLUMNS}, kind, channel, mid, tracking_id FROM messages
             WHERE {column} = $1 AND {column} IS NOT NULL AND page_id = $2{}",
            self.app.db.locking("messages")
        );
        sqlx::query_as(AssertSqlSafe(sql))
            .bind(name)
            .bind(self.page.id)
            .fetch_optional(&mut *self.conn)
            .await
    }

    /// The latest message to the owner of this token that used Meta's campaign and had begun by
    /// then: what Meta tells late of an earlier try is not about the next one. One that was put
    /// back or given up may have been taken all the same.
    async fn by_token(&mut self, token: &str, meta_campaign: &str) -> sqlx::Result<Option<Known>> {
        let row: Option<(OriginId, SubscriberId)> = sqlx::query_as(
            "SELECT m.origin_id, m.subscriber_id FROM meta_campaigns v
             JOIN subscribers s ON s.page_id = v.page_id AND s.token = $2
             JOIN messages m ON m.subscriber_id = s.id AND m.page_id = v.page_id
                  AND COALESCE(m.campaign_id, m.automation_id, m.test_of) = v.owner_id
             WHERE v.meta_campaign_id = $1 AND v.page_id = $3
               AND (m.status IN ('sending', 'unknown', 'sent', 'queued')
                    OR m.status = 'failed' AND m.reason = 'gave_up')
               AND m.channel = 'marketing_message' AND m.started_at <= $4
             ORDER BY m.started_at DESC LIMIT 1",
        )
        .bind(meta_campaign)
        .bind(token)
        .bind(self.page.id)
        .bind(self.at + SKEW)
        .fetch_optional(&mut *self.conn)
        .await?;
        match row {
            Some((origin, subscriber)) => self.by_key(MessageKey { origin, subscriber }).await,
            None => Ok(None),
        }
    }

    async fn report(
        &mut self,
        message: &Counted,
        metric: &'static str,
        word: &str,
    ) -> anyhow::Result<()> {
        if message.campaign_id.is_none() && message.automation_id.is_none() {
            return Ok(());
        }
        let subscriber = SubscriberId(message.subscriber_id);
        let key = MessageKey {
            origin: OriginId(message.origin_id),
            subscriber,
        };
        let mut properties = Map::new();
        properties.insert("message_id".into(), key.to_string().into());
        if let Some(campaign) = message.campaign_id {
            properties.insert("campaign_id".into(), campaign.to_string().into());
        }
        if let Some(automation) = message.automation_id {
            properties.insert("automation_id".into(), automation.to_string().into());
        }
        let event = Report {
            workspace: self.page.workspace,
            subscriber,
            metric,
            properties,
            value: None,
            at: self.at,
            unique_id: format!("msgr:{key}:{word}"),
        };
        profiles::report(self.app, self.conn, event).await
    }
}

//! Putting a single message into the queue.

use crate::clock::Millis;
use crate::delivery::{Channel, Content};
use crate::store::Conn;
use crate::store::ids::{
    AutomationId, CampaignId, MessageKey, OriginId, PageRowId, RunId, SubscriberId, WorkspaceId,
};

/// What kind of message it is decides its priority and which rules hold for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// The opt-in card: standard window only, needs no consent yet.
    Card,
    /// A confirmation the person caused (STOP, RESUME): standard window only.
    Reply,
    /// The merchant tries a campaign on a chosen subscriber: caps and quiet hours do not hold.
    Test,
    /// The answer to an opt-in: inside the window it is free of caps and quiet hours.
    Welcome,
    /// A step of an automation.
    Automation,
    Campaign,
}

impl MessageKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Reply => "reply",
            Self::Test => "test",
            Self::Welcome => "welcome",
            Self::Automation => "automation",
            Self::Campaign => "campaign",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        match text {
            "card" => Self::Card,
            "reply" => Self::Reply,
            "test" => Self::Test,
            "welcome" => Self::Welcome,
            "automation" => Self::Automation,
            _ => Self::Campaign,
        }
    }

    /// Smaller goes first.
    pub(super) fn priority(self) -> i64 {
        match self {
            Self::Card | Self::Reply => 0,
            Self::Test | Self::Welcome | Self::Automation => 1,
            Self::Campaign => 2,
        }
    }

    /// Whether it counts as the day's one marketing message. A welcome that is paid for is held by
    /// the cap, so it counts as well; one in the window only answers.
    pub(super) fn takes_the_day(self, is_paid: bool) -> bool {
        match self {
            Self::Automation | Self::Campaign => true,
            Self::Welcome => is_paid,
            Self::Card | Self::Reply | Self::Test => false,
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewMessage {
    pub workspace: WorkspaceId,
    pub page: PageRowId,
    pub subscriber: SubscriberId,
    /// The same cause never tells the same person twice: a second row is not made.
    pub origin: OriginId,
    pub kind: MessageKind,
    pub automation: Option<(AutomationId, RunId, i64)>,
    pub content: Content,
    pub due_at: Millis,
    /// Not sent any more after this.
    pub expires_at: Option<Millis>,
}

/// Writes the `queued` row. Nudge `Job::Messages(page)` after the commit.
pub async fn enqueue(
    conn: &mut Conn,
    now: Millis,
    message: &NewMessage,
) -> anyhow::Result<MessageKey> {
    let content = serde_json::to_string(&message.content)?;
    let (automation, run, step) = match message.automation {
        Some((automation, run, step)) => (Some(automation), Some(run), Some(step)),
        None => (None, None, None),
    };
    sqlx::query(
        "INSERT INTO messages (origin_id, subscriber_id, workspace_id, page_id, kind,
             automation_id, run_id, step, content, priority, status, due_at, expires_at,
             created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'queued', $11, $12, $13)
         ON CONFLICT DO NOTHING",
    )
    .bind(message.origin)
    .bind(message.subscriber)
    .bind(message.workspace)
    .bind(message.page)
    .bind(message.kind.as_str())
    .bind(automation)
    .bind(run)
    .bind(step)
    .bind(content)
    .bind(message.kind.priority())
    .bind(message.due_at)
    .bind(message.expires_at)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(MessageKey {
        origin: message.origin,
        subscriber: message.subscriber,
    })
}

/// As [`enqueue`], for a campaign that is tried on one person: it uses the campaign's own way at
/// Meta, and no report counts it.
pub async fn enqueue_test(
    conn: &mut Conn,
    now: Millis,
    message: &NewMessage,
    campaign: CampaignId,
    channel: Option<Channel>,
) -> anyhow::Result<MessageKey> {
    let key = enqueue(&mut *conn, now, message).await?;
    sqlx::query(
        "UPDATE messages SET test_of = $3, channel = $4
         WHERE origin_id = $1 AND subscriber_id = $2 AND status = 'queued'",
    )
    .bind(key.origin)
    .bind(key.subscriber)
    .bind(campaign)
    .bind(channel.map(Channel::as_str))
    .execute(conn)
    .await?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_welcome_takes_the_day_where_it_is_paid_for() {
        assert!(MessageKind::Welcome.takes_the_day(true));
        assert!(!MessageKind::Welcome.takes_the_day(false));
        assert!(MessageKind::Campaign.takes_the_day(false));
        assert!(!MessageKind::Test.takes_the_day(true));
    }
}

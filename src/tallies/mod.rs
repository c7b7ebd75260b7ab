//! Counts kept by whoever moves the rows, in the transaction that moves them, so that a figure is
//! read and not counted: what became of the messages of a campaign or an automation, and what their
//! orders earned. Whoever changes a message's status, times or clicks notes it in [`Changes`] and
//! writes them last in the transaction; `recount` compares with the rows.

mod earned;
mod joins;
mod links;
mod recount;

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;

use crate::clock::{MINUTE, Millis};
use crate::store::ids::{AutomationId, CampaignId, PageRowId, WorkspaceId};
use crate::store::{Conn, placeholders};

pub use earned::{Earned, earned, moved as earnings_moved};
pub use joins::{Membership, add_up as add_up_joins, left_together, membership_moved};
pub use links::Clicked;
use links::Link;
pub use recount::{Part, differences, mend, recount_due};

/// The grain of time: every zone's midnight lies on a quarter of an hour.
pub const BUCKET: Millis = 15 * MINUTE;

/// The beginning of the quarter that holds `at`.
pub fn bucket(at: Millis) -> Millis {
    at.div_euclid(BUCKET) * BUCKET
}

/// What a message counts as depends on these columns of its row, to be read or `RETURNING`.
pub const COLUMNS: &str = "origin_id, subscriber_id, workspace_id, page_id, campaign_id,
    automation_id, status, reason, sent_at, delivered_at, read_at, clicked_at, clicks";

/// A message, as far as it is counted.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Counted {
    pub origin_id: i64,
    pub subscriber_id: i64,
    pub workspace_id: WorkspaceId,
    pub page_id: PageRowId,
    pub campaign_id: Option<CampaignId>,
    pub automation_id: Option<AutomationId>,
    pub status: String,
    pub reason: Option<String>,
    pub sent_at: Option<Millis>,
    pub delivered_at: Option<Millis>,
    pub read_at: Option<Millis>,
    pub clicked_at: Option<Millis>,
    pub clicks: i64,
}

/// The messages that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    owner: i64,
    status: String,
    reason: String,
    bucket: Millis,
    page: PageRowId,
    workspace: WorkspaceId,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    messages: i64,
    delivered: i64,
    read: i64,
    clicked: i64,
    clicks: i64,
}

impl Counts {
    fn add(&mut self, other: Self, times: i64) {
        self.messages += times * other.messages;
        self.delivered += times * other.delivered;
        self.read += times * other.read;
        self.clicked += times * other.clicked;
        self.clicks += times * other.clicks;
    }
}

impl Counted {
    /// `None`: it is not counted here. Tests, cards and replies belong to nobody; what is queued or
    /// on its way has not ended.
    fn group(&self) -> Option<(Group, Counts)> {
        let owner = self
            .campaign_id
            .map(|id| id.0)
            .or(self.automation_id.map(|id| id.0))?;
        if matches!(self.status.as_str(), "queued" | "sending") {
            return None;
        }
        let sent = self.status == "sent";
        let why = matches!(self.status.as_str(), "failed" | "skipped");
        let group = Group {
            owner,
            status: self.status.clone(),
            reason: self.reason.clone().filter(|_| why).unwrap_or_default(),
            bucket: self.sent_at.filter(|_| sent).map_or(0, bucket),
            page: self.page_id,
            workspace: self.workspace_id,
        };
        let mut counts = Counts {
            messages: 1,
            ..Counts::default()
        };
        if sent {
            counts.delivered = i64::from(self.delivered_at.is_some());
            counts.read = i64::from(self.read_at.is_some());
            counts.clicked = i64::from(self.clicked_at.is_some());
            counts.clicks = self.clicks;
        }
        Some((group, counts))
    }
}

/// What a transaction changed, collected in memory. To be written as the last thing before the
/// commit: who holds a row of the tallies then waits for nothing more, so nobody can wait in a
/// circle, and others wait for it only as long as a commit takes.
#[derive(Debug, Default)]
#[must_use = "changes count once they are written"]
pub struct Changes {
    messages: BTreeMap<Group, Counts>,
    links: BTreeMap<Link, Clicked>,
}

impl Changes {
    /// It counts as this from now on.
    pub fn came(&mut self, now: &Counted) {
        self.note(now, 1);
    }

    /// It does not count as this any more.
    pub fn went(&mut self, before: &Counted) {
        self.note(before, -1);
    }

    pub fn moved(&mut self, before: &Counted, now: &Counted) {
        self.went(before);
        self.came(now);
    }

    /// A link of a campaign was clicked, by so many people who had not clicked it before.
    pub fn clicked(&mut self, ws: WorkspaceId, campaign: CampaignId, link: i64, new: Clicked) {
        let link = Link {
            campaign,
            number: link,
            workspace: ws,
        };
        let clicked = self.links.entry(link).or_default();
        clicked.people += new.people;
        clicked.clicks += new.clicks;
    }

    /// One statement gave so many messages of one owner this end (not `sent`).
    pub fn many_came(
        &mut self,
        ws: WorkspaceId,
        owner: i64,
        status: &str,
        reason: &str,
        messages: u64,
    ) {
        self.note_many(ws, owner, status, reason, messages.cast_signed());
    }

    /// One statement took it from so many.
    pub fn many_went(
        &mut self,
        ws: WorkspaceId,
        owner: i64,
        status: &str,
        reason: &str,
        messages: u64,
    ) {
        self.note_many(ws, owner, status, reason, -messages.cast_signed());
    }

    /// Which Pages they are of is not asked: sums are over all of them.
    fn note_many(
        &mut self,
        ws: WorkspaceId,
        owner: i64,
        status: &str,
        reason: &str,
        messages: i64,
    ) {
        let group = Group {
            owner,
            status: status.to_owned(),
            reason: reason.to_owned(),
            bucket: 0,
            page: PageRowId(0),
            workspace: ws,
        };
        self.messages.entry(group).or_default().messages += messages;
    }

    fn note(&mut self, message: &Counted, times: i64) {
        if let Some((group, counts)) = message.group() {
            self.messages.entry(group).or_default().add(counts, times);
        }
    }

    /// Writes them in few statements, everybody in the same order.
    pub async fn write(self, conn: &mut Conn) -> sqlx::Result<()> {
        let changed: Vec<(Group, Counts)> = self
            .messages
            .into_iter()
            .filter(|(_, counts)| *counts != Counts::default())
            .collect();
        for some in changed.chunks(64) {
            upsert(conn, some).await?;
        }
        let links: Vec<_> = self.links.into_iter().collect();
        for some in links.chunks(64) {
            links::upsert(conn, some).await?;
        }
        Ok(())
    }
}

async fn upsert(conn: &mut Conn, changed: &[(Group, Counts)]) -> sqlx::Result<()> {
    let sql = format!(
        "INSERT INTO tallies (workspace_id, owner_id, page_id, status, reason, bucket, messages,
             delivered, read_, clicked, clicks)
         VALUES {}
         ON CONFLICT (owner_id, status, reason, bucket, page_id) DO UPDATE SET
             messages = tallies.messages + excluded.messages,
             delivered = tallies.delivered + excluded.delivered,
             read_ = tallies.read_ + excluded.read_,
             clicked = tallies.clicked + excluded.clicked,
             clicks = tallies.clicks + excluded.clicks",
        placeholders(1, changed.len(), 11)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (group, counts) in changed {
        query = query
            .bind(group.workspace)
            .bind(group.owner)
            .bind(group.page)
            .bind(&group.status)
            .bind(&group.reason)
            .bind(group.bucket)
            .bind(counts.messages)
            .bind(counts.delivered)
            .bind(counts.read)
            .bind(counts.clicked)
            .bind(counts.clicks);
    }
    query.execute(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(status: &str) -> Counted {
        Counted {
            origin_id: 1,
            subscriber_id: 2,
            workspace_id: WorkspaceId(3),
            page_id: PageRowId(4),
            campaign_id: Some(CampaignId(1)),
            automation_id: None,
            status: status.to_owned(),
            reason: None,
            sent_at: Some(BUCKET + 1),
            delivered_at: None,
            read_at: None,
            clicked_at: None,
            clicks: 0,
        }
    }

    #[test]
    fn what_moves_there_and_back_leaves_nothing_to_write() {
        let mut changes = Changes::default();
        let (unknown, sent) = (message("unknown"), message("sent"));
        changes.moved(&unknown, &sent);
        assert_eq!(changes.messages.len(), 2);
        changes.moved(&sent, &unknown);
        assert!(changes.messages.values().all(|c| *c == Counts::default()));
    }

    #[test]
    fn a_click_on_what_is_in_doubt_counts_once_it_was_sent() {
        let mut doubted = message("unknown");
        (doubted.clicked_at, doubted.clicks) = (Some(5), 2);
        assert_eq!(doubted.group().unwrap().1.clicks, 0);
        let sent = Counted {
            status: "sent".to_owned(),
            ..doubted
        };
        let (group, counts) = sent.group().unwrap();
        assert_eq!((counts.clicked, counts.clicks), (1, 2));
        assert_eq!(group.bucket, BUCKET);
    }

    #[test]
    fn what_waits_and_what_belongs_to_nobody_is_not_counted() {
        assert!(message("queued").group().is_none());
        assert!(message("sending").group().is_none());
        let test = Counted {
            campaign_id: None,
            ..message("sent")
        };
        assert!(test.group().is_none());
    }
}

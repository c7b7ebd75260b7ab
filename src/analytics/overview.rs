//! The workspace at a glance: what was sent in a span of days and what came of it, beside the span
//! before. Messages count on the day they were sent, orders on the day they were placed. Both are
//! kept by the quarter of an hour; where a span does not begin or end on one, the rows of that
//! quarter are counted.

use anyhow::Context;

use crate::analytics::Revenue;
use crate::analytics::campaign::sort_revenue;
use crate::analytics::days::Days;
use crate::app::App;
use crate::clock::{MINUTE, Millis};
use crate::store::ids::WorkspaceId;
use crate::tallies::{BUCKET, bucket};
use crate::workspaces;

/// Figures of a span of days, each with what it was in the span before.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    pub from: Millis,
    pub to: Millis,
    pub sent: Change,
    /// Delivered, read and clicked are parts of `sent`: of the messages sent in the span, those
    /// that were so by now.
    pub delivered: Change,
    pub read: Change,
    pub clicked: Change,
    /// Orders credited to a message.
    pub orders: Change,
    /// What those orders brought, the largest gross first.
    pub revenue: Vec<Revenue>,
    pub revenue_before: Vec<Revenue>,
    /// Subscribed at the end of the span.
    pub subscribers: Change,
    pub joined: i64,
    pub left: i64,
    /// One per day of the span in the workspace's zone, oldest first.
    pub days: Vec<Day>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub now: i64,
    pub before: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Day {
    /// `2026-11-24`.
    pub date: String,
    pub sent: i64,
    pub clicked: i64,
    pub orders: i64,
    /// Net, minor units, in the span's main currency, from campaigns and from automations.
    pub campaigns_net: i64,
    pub automations_net: i64,
    pub joined: i64,
    pub left: i64,
}

/// The span `from..to` (epoch ms) in the workspace's zone.
pub async fn overview(
    app: &App,
    ws: WorkspaceId,
    from: Millis,
    to: Millis,
) -> anyhow::Result<Overview> {
    let workspace = workspaces::find(app, ws)
        .await?
        .with_context(|| format!("There is no workspace {ws}."))?;
    let to = to.max(from);
    let span = Span {
        app,
        ws,
        days: Days::of(&workspace.timezone, from, to),
    };
    let before = from - (to - from);
    let mut seen = Overview {
        from,
        to,
        days: span.days.dates().map(Day::dated).collect(),
        ..Overview::default()
    };
    span.messages(&mut seen, before).await?;
    span.orders(&mut seen, before).await?;
    span.people(&mut seen).await?;
    Ok(seen)
}

impl Day {
    fn dated(date: String) -> Self {
        Self {
            date,
            ..Self::default()
        }
    }
}

/// Whose figures are asked for, and the days into which they fall.
struct Span<'a> {
    app: &'a App,
    ws: WorkspaceId,
    days: Days,
}

/// Bucket, messages, delivered, read, clicked.
type Sent = (i64, i64, i64, i64, i64);
/// Bucket, currency, 1 for automations, orders, total, refunded.
type Earned = (i64, String, i64, i64, i64, i64);

impl Span<'_> {
    async fn messages(&self, seen: &mut Overview, before: Millis) -> sqlx::Result<()> {
        for row in self.sent(seen.from, seen.to, BUCKET).await? {
            let (bucket, sent, delivered, read, clicked) = row;
            seen.sent.now += sent;
            seen.delivered.now += delivered;
            seen.read.now += read;
            seen.clicked.now += clicked;
            if let Some(day) = seen.days.get_mut(self.days.of_bucket(bucket)) {
                day.sent += sent;
                day.clicked += clicked;
            }
        }
        for (_, sent, delivered, read, clicked) in self.sent(before, seen.from, i64::MAX).await? {
            seen.sent.before += sent;
            seen.delivered.before += delivered;
            seen.read.before += read;
            seen.clicked.before += clicked;
        }
        Ok(())
    }

    async fn sent(&self, from: Millis, to: Millis, grain: Millis) -> sqlx::Result<Vec<Sent>> {
        let cut = Cut::of(from, to, self.app.clock.now());
        sqlx::query_as(
            "SELECT (at - $2) / $3, CAST(SUM(messages) AS BIGINT), CAST(SUM(delivered) AS BIGINT),
                 CAST(SUM(read_) AS BIGINT), CAST(SUM(clicked) AS BIGINT)
             FROM (
                 SELECT bucket AS at, messages, delivered, read_, clicked FROM tallies
                 WHERE workspace_id = $1 AND status = 'sent' AND bucket >= $4 AND bucket < $5
                 UNION ALL
                 SELECT MIN(sent_at), COUNT(*), COUNT(delivered_at), COUNT(read_at),
                     COUNT(clicked_at)
                 FROM messages
                 WHERE workspace_id = $1 AND sent_at >= $6 AND sent_at < $7 AND status = 'sent'
                   AND (campaign_id IS NOT NULL OR automation_id IS NOT NULL)
                 HAVING COUNT(*) > 0
                 UNION ALL
                 SELECT MIN(sent_at), COUNT(*), COUNT(delivered_at), COUNT(read_at),
                     COUNT(clicked_at)
                 FROM messages
                 WHERE workspace_id = $1 AND sent_at >= $8 AND sent_at < $9 AND status = 'sent'
                   AND (campaign_id IS NOT NULL OR automation_id IS NOT NULL)
                 HAVING COUNT(*) > 0) AS parts
             GROUP BY 1",
        )
        .bind(self.ws)
        .bind(self.days.first())
        .bind(grain)
        .bind(cut.whole.0)
        .bind(cut.whole.1)
        .bind(cut.before.0)
        .bind(cut.before.1)
        .bind(cut.after.0)
        .bind(cut.after.1)
        .fetch_all(self.app.db.pool())
        .await
    }

    async fn orders(&self, seen: &mut Overview, before: Millis) -> sqlx::Result<()> {
        let rows = self.earned(seen.from, seen.to, BUCKET).await?;
        for (_, currency, _, orders, gross, refunded) in &rows {
            seen.orders.now += orders;
            add(&mut seen.revenue, currency, *gross, *refunded);
        }
        sort_revenue(&mut seen.revenue);
        let main = seen.revenue.first().map(|main| main.currency.clone());
        for (bucket, currency, automated, orders, gross, refunded) in rows {
            let Some(day) = seen.days.get_mut(self.days.of_bucket(bucket)) else {
                continue;
            };
            day.orders += orders;
            if main.as_deref() != Some(&currency) {
                continue;
            }
            let net = gross - refunded;
            if automated == 1 {
                day.automations_net += net;
            } else {
                day.campaigns_net += net;
            }
        }
        let rows = self.earned(before, seen.from, i64::MAX).await?;
        for (_, currency, _, orders, gross, refunded) in rows {
            seen.orders.before += orders;
            add(&mut seen.revenue_before, &currency, gross, refunded);
        }
        sort_revenue(&mut seen.revenue_before);
        Ok(())
    }

    async fn earned(&self, from: Millis, to: Millis, grain: Millis) -> sqlx::Result<Vec<Earned>> {
        let cut = Cut::of(from, to, self.app.clock.now());
        sqlx::query_as(
            "SELECT (at - $2) / $3, currency, automated, CAST(SUM(orders) AS BIGINT),
                 CAST(SUM(total) AS BIGINT), CAST(SUM(refunded) AS BIGINT)
             FROM (
                 SELECT bucket AS at, currency, automated, orders, total, refunded FROM earnings
                 WHERE workspace_id = $1 AND bucket >= $4 AND bucket < $5
                 UNION ALL
                 SELECT o.ordered_at, o.currency,
                     CAST(CASE WHEN c.automation_id IS NULL THEN 0 ELSE 1 END AS BIGINT),
                     CAST(1 AS BIGINT), o.total, o.refunded
                 FROM orders o
                 JOIN credits c ON c.order_id = o.id AND c.workspace_id = o.workspace_id
                 WHERE o.workspace_id = $1 AND o.ordered_at >= $6 AND o.ordered_at < $7
                 UNION ALL
                 SELECT o.ordered_at, o.currency,
                     CAST(CASE WHEN c.automation_id IS NULL THEN 0 ELSE 1 END AS BIGINT),
                     CAST(1 AS BIGINT), o.total, o.refunded
                 FROM orders o
                 JOIN credits c ON c.order_id = o.id AND c.workspace_id = o.workspace_id
                 WHERE o.workspace_id = $1 AND o.ordered_at >= $8 AND o.ordered_at < $9) AS parts
             GROUP BY 1, 2, 3 HAVING SUM(orders) <> 0",
        )
        .bind(self.ws)
        .bind(self.days.first())
        .bind(grain)
        .bind(cut.whole.0)
        .bind(cut.whole.1)
        .bind(cut.before.0)
        .bind(cut.before.1)
        .bind(cut.after.0)
        .bind(cut.after.1)
        .fetch_all(self.app.db.pool())
        .await
    }

    /// Subscribed at the start + joined - left = subscribed at the end, by making it so: what is
    /// counted is who is a subscriber by what we know now, and since when.
    async fn people(&self, seen: &mut Overview) -> sqlx::Result<()> {
        for (at, joined, left) in self.moves(seen.from, seen.to, BUCKET).await? {
            seen.joined += joined;
            seen.left += left;
            if let Some(day) = seen.days.get_mut(self.days.of_bucket(at)) {
                day.joined += joined;
                day.left += left;
            }
        }
        let ever = self.moves(0, seen.to, i64::MAX).await?;
        let subscribed: i64 = ever.iter().map(|(_, joined, left)| joined - left).sum();
        seen.subscribers = Change {
            now: subscribed,
            before: subscribed - seen.joined + seen.left,
        };
        Ok(())
    }
}

impl Span<'_> {
    /// Bucket, who joined, who left.
    async fn moves(
        &self,
        from: Millis,
        to: Millis,
        grain: Millis,
    ) -> sqlx::Result<Vec<(i64, i64, i64)>> {
        let cut = Cut::of(from, to, self.app.clock.now());
        sqlx::query_as(
            "SELECT (at - $2) / $3, CAST(SUM(joined) AS BIGINT), CAST(SUM(left_) AS BIGINT)
             FROM (
                 SELECT bucket AS at, joined, left_ FROM joins
                 WHERE workspace_id = $1 AND bucket >= $4 AND bucket < $5
                 UNION ALL
                 SELECT bucket, joined, left_ FROM join_notes
                 WHERE workspace_id = $1 AND bucket >= $4 AND bucket < $5
                 UNION ALL
                 SELECT opted_in_at, 1, 0 FROM subscribers
                 WHERE workspace_id = $1 AND opted_in_at >= $6 AND opted_in_at < $7
                 UNION ALL
                 SELECT opted_in_at, 1, 0 FROM subscribers
                 WHERE workspace_id = $1 AND opted_in_at >= $8 AND opted_in_at < $9
                 UNION ALL
                 SELECT opted_out_at, 0, 1 FROM subscribers
                 WHERE workspace_id = $1 AND opted_out_at >= $6 AND opted_out_at < $7
                   AND opted_in_at IS NOT NULL
                 UNION ALL
                 SELECT opted_out_at, 0, 1 FROM subscribers
                 WHERE workspace_id = $1 AND opted_out_at >= $8 AND opted_out_at < $9
                   AND opted_in_at IS NOT NULL) AS parts
             GROUP BY 1",
        )
        .bind(self.ws)
        .bind(self.days.first())
        .bind(grain)
        .bind(cut.whole.0)
        .bind(cut.whole.1)
        .bind(cut.before.0)
        .bind(cut.before.1)
        .bind(cut.after.0)
        .bind(cut.after.1)
        .fetch_all(self.app.db.pool())
        .await
    }
}

/// A span as whole quarters, and what sticks out before and after them.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    whole: (Millis, Millis),
    before: (Millis, Millis),
    after: (Millis, Millis),
}

impl Cut {
    /// Nothing happens in the future: a span that ends now ends with the quarter that goes on.
    fn of(from: Millis, to: Millis, now: Millis) -> Self {
        let up = |at: Millis| bucket(at + BUCKET - 1);
        let to = if to > now - MINUTE { up(to) } else { to };
        let (first, last) = (up(from), bucket(to));
        // All within one quarter.
        if first > last {
            return Self {
                whole: (first, first),
                before: (from, to),
                after: (to, to),
            };
        }
        Self {
            whole: (first, last),
            before: (from, first),
            after: (last, to),
        }
    }
}

fn add(revenue: &mut Vec<Revenue>, currency: &str, gross: i64, refunded: i64) {
    if let Some(known) = revenue.iter_mut().find(|known| known.currency == currency) {
        known.gross += gross;
        known.refunded += refunded;
        return;
    }
    revenue.push(Revenue {
        currency: currency.to_owned(),
        gross,
        refunded,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_cut_so_that_nothing_is_counted_twice_or_left_out() {
        let day = 96 * BUCKET;
        for (from, to) in [
            (0, day),
            (1, day),
            (0, day - 1),
            (BUCKET - 1, BUCKET + 1),
            (5, 7),
            (BUCKET + 5, BUCKET + 7),
            (5, 5),
        ] {
            let cut = Cut::of(from, to, 10 * day);
            assert_eq!(bucket(cut.whole.0), cut.whole.0);
            assert_eq!(bucket(cut.whole.1), cut.whole.1);
            let length = |(from, to): (Millis, Millis)| to - from;
            let all = length(cut.whole) + length(cut.before) + length(cut.after);
            assert_eq!(all, to - from, "{from} to {to}: {cut:?}");
            assert_eq!(cut.before.0, from);
        }
    }

    #[test]
    fn a_span_that_ends_now_counts_no_rows_at_its_end() {
        let now = 100 * BUCKET + 7;
        let cut = Cut::of(0, now - 3, now);
        assert_eq!(cut.whole, (0, 101 * BUCKET));
        assert_eq!(cut.after, (101 * BUCKET, 101 * BUCKET));
    }
}

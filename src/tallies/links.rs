//! Clicks on the links of campaigns.

use sqlx::AssertSqlSafe;

use crate::store::ids::{CampaignId, WorkspaceId};
use crate::store::{Conn, placeholders};

/// A link of a campaign's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Link {
    pub campaign: CampaignId,
    pub number: i64,
    pub workspace: WorkspaceId,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clicked {
    pub people: i64,
    pub clicks: i64,
}

pub(super) async fn upsert(conn: &mut Conn, links: &[(Link, Clicked)]) -> sqlx::Result<()> {
    let sql = format!(
        "INSERT INTO link_tallies (workspace_id, campaign_id, link, people, clicks) VALUES {}
         ON CONFLICT (campaign_id, link) DO UPDATE SET
             people = link_tallies.people + excluded.people,
             clicks = link_tallies.clicks + excluded.clicks",
        placeholders(1, links.len(), 5)
    );
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (link, clicked) in links {
        query = query
            .bind(link.workspace)
            .bind(link.campaign)
            .bind(link.number)
            .bind(clicked.people)
            .bind(clicked.clicks);
    }
    query.execute(conn).await?;
    Ok(())
}

/// What must be added to make the sums agree with the clicks. Reads all of them.
pub(super) async fn compare(
    conn: &mut Conn,
    ws: WorkspaceId,
    campaign: i64,
) -> sqlx::Result<Vec<(Link, Clicked)>> {
    let rows: Vec<(CampaignId, i64, i64, i64)> = sqlx::query_as(
        "SELECT campaign_id, link, CAST(SUM(people) AS BIGINT), CAST(SUM(clicks) AS BIGINT)
         FROM (
             SELECT campaign_id, link, COUNT(DISTINCT subscriber_id) AS people, COUNT(*) AS clicks
             FROM clicks
             WHERE workspace_id = $1 AND campaign_id IS NOT NULL AND ($2 = 0 OR campaign_id = $2)
             GROUP BY campaign_id, link
             UNION ALL
             SELECT campaign_id, link, -people, -clicks FROM link_tallies
             WHERE workspace_id = $1 AND ($2 = 0 OR campaign_id = $2)) AS sides
         GROUP BY campaign_id, link HAVING SUM(people) <> 0 OR SUM(clicks) <> 0",
    )
    .bind(ws)
    .bind(campaign)
    .fetch_all(conn)
    .await?;
    let link = |(campaign, link, people, clicks)| {
        let link = Link {
            campaign,
            number: link,
            workspace: ws,
        };
        (link, Clicked { people, clicks })
    };
    Ok(rows.into_iter().map(link).collect())
}

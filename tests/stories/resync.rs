//! Meta's list of subscription tokens: what it says is taken over, when it is read, by whom.

use std::collections::HashMap;
use std::time::Duration;

use pagecast::clock::{HOUR, MINUTE, Millis};
use pagecast::opt_ins;
use pagecast::store::ids::PageRowId;
use pagecast::tallies::{self, Part};
use serde_json::json;

use crate::story;
use crate::support::Story;

/// What a reading may change of a person.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
struct Row {
    id: i64,
    psid: String,
    token: Option<String>,
    token_enabled: i64,
    token_seen_at: Option<Millis>,
    next_eligible_at: Option<Millis>,
    timezone: Option<String>,
    opted_in_at: Option<Millis>,
    opted_out_at: Option<Millis>,
}

async fn rows(story: &Story) -> Vec<Row> {
    sqlx::query_as(
        "SELECT id, psid, token, token_enabled, token_seen_at, next_eligible_at, timezone,
             opted_in_at, opted_out_at
         FROM subscribers ORDER BY id",
    )
    .fetch_all(story.app.db.pool())
    .await
    .unwrap()
}

async fn execute(story: &Story, sql: &'static str) {
    sqlx::query(sql)
        .execute(story.app.db.writer())
        .await
        .unwrap();
}

async fn count(story: &Story, sql: &'static str) -> usize {
    let (n,): (i64,) = sqlx::query_as(sql)
        .fetch_one(story.app.db.pool())
        .await
        .unwrap();
    usize::try_from(n).unwrap()
}

async fn page(story: &Story) -> PageRowId {
    let (page,): (PageRowId,) = sqlx::query_as("SELECT id FROM pages")
        .fetch_one(story.app.db.pool())
        .await
        .unwrap();
    page
}

/// When the last complete reading began.
async fn synced_at(story: &Story) -> Option<Millis> {
    let (at,): (Option<Millis>,) = sqlx::query_as("SELECT tokens_synced_at FROM pages")
        .fetch_one(story.app.db.pool())
        .await
        .unwrap();
    at
}

async fn lists_read(story: &Story) -> bool {
    opt_ins::lists_read(&story.app, story.workspace, story.now())
        .await
        .unwrap()
}

/// Everybody decided two days ago, and their tokens are known since.
async fn is_settled(story: &Story) {
    execute(
        story,
        "INSERT INTO consents (id, workspace_id, subscriber_id, action, means, at, event_key)
         SELECT id, workspace_id, id, 'opted_in', 'card', opted_in_at, 'card' FROM subscribers",
    )
    .await;
    execute(story, "UPDATE subscribers SET token_seen_at = opted_in_at").await;
}

story! {
    async fn a_list_of_thousands_is_taken_over_as_it_stands(story: &mut Story) {
        let people = story.audience(3_000).await;
        is_settled(story).await;
        // Of ten: a changed token, a stopped one, somebody whom Meta does not have any more (and
        // somebody whom we do not have), an opt-out that Meta does not know; the rest is as it was.
        execute(story, "UPDATE subscribers SET token = 'old-' || psid WHERE id IN
             (SELECT id FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS n FROM subscribers) AS x
              WHERE n % 10 = 1)").await;
        for stopped in people.iter().skip(1).step_by(10) {
            story.sandbox.meta.stops_unnoticed(stopped).unwrap();
        }
        execute(story, "UPDATE subscribers SET token = 'gone-' || psid, psid = 'gone-' || psid
             WHERE id IN
             (SELECT id FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS n FROM subscribers) AS x
              WHERE n % 10 = 3)").await;
        execute(story, "INSERT INTO consents (id, workspace_id, subscriber_id, action, means, at, event_key)
             SELECT -id, workspace_id, id, 'opted_out', 'keyword', opted_in_at + 1, 'stop'
             FROM (SELECT s.*, ROW_NUMBER() OVER (ORDER BY id) AS n FROM subscribers s) AS x
             WHERE n % 10 = 4").await;
        execute(story, "UPDATE subscribers SET opted_out_at = opted_in_at + 1
             WHERE id IN (SELECT subscriber_id FROM consents WHERE action = 'opted_out')").await;
        tallies::mend(&story.app, story.workspace, Part::People).await.unwrap();
        let visitor = story.sandbox.meta.person("Visitor");
        let subscribed = story.sandbox.meta.has_subscribed(&visitor).unwrap();
        sqlx::query(
            "INSERT INTO subscribers (id, workspace_id, page_id, psid, created_at)
             SELECT 1, workspace_id, id, $1, 1 FROM pages",
        )
        .bind(&visitor.psid)
        .execute(story.app.db.writer())
        .await
        .unwrap();
        let before: HashMap<i64, Row> = rows(story).await.into_iter().map(|r| (r.id, r)).collect();

        story.clock.advance(MINUTE);
        let began = story.now();
        opt_ins::resync_page(&story.app, page(story).await).await.unwrap();

        let after = rows(story).await;
        let by_psid: HashMap<&str, &Row> = after.iter().map(|r| (r.psid.as_str(), r)).collect();
        for (n, person) in people.iter().enumerate() {
            let row = by_psid[person.psid.as_str()];
            let (token, usable) = story.sandbox.meta.token_of(person).unwrap();
            assert_eq!((row.token.as_ref(), row.token_enabled != 0), (Some(&token), usable));
            assert_eq!(row.opted_out_at.is_some(), n % 10 == 3, "{row:?}");
            assert_eq!(row.timezone.as_deref(), Some("America/New_York"));
            assert_eq!(!before.contains_key(&row.id), n % 10 == 2, "{row:?}");
        }
        let visitor = by_psid[visitor.psid.as_str()];
        assert_eq!((visitor.id, visitor.token.as_ref()), (1, Some(&subscribed)));
        assert_eq!(visitor.opted_in_at, Some(began));
        let gone: Vec<&Row> = after.iter().filter(|r| r.psid.starts_with("gone-")).collect();
        assert_eq!(gone.len(), 300);
        for row in gone {
            assert_eq!((row.opted_out_at, row.token_enabled), (Some(began), 0), "{row:?}");
        }
        let ledger = "SELECT COUNT(*) FROM consents WHERE means = 'resync' AND action = 'opted_in'";
        assert_eq!(count(story, ledger).await, 301);
        let ledger = "SELECT COUNT(*) FROM consents WHERE means = 'resync' AND action = 'opted_out'";
        assert_eq!(count(story, ledger).await, 300);
        let told = "SELECT COUNT(*) FROM klaviyo_outbox WHERE metric = 'Unsubscribed from Messenger'";
        assert_eq!(count(story, told).await, 300);

        story.clock.advance(MINUTE);
        opt_ins::resync_page(&story.app, page(story).await).await.unwrap();
        assert!(rows(story).await == after, "nothing changed at Meta, so nothing is written");
        let ledger = "SELECT COUNT(*) FROM consents WHERE means = 'resync'";
        assert_eq!(count(story, ledger).await, 601);
    }
}

story! {
    async fn a_list_that_lacks_most_people_is_not_believed(story: &mut Story) {
        story.audience(10).await;
        is_settled(story).await;
        execute(story, "UPDATE subscribers SET token = 'gone-' || psid, psid = 'gone-' || psid
             WHERE id IN (SELECT id FROM subscribers ORDER BY id LIMIT 6)").await;
        // Those whom we do not know any more by these are new, so six of sixteen are missing.
        opt_ins::resync_page(&story.app, page(story).await).await.unwrap();
        let out = "SELECT COUNT(*) FROM subscribers WHERE opted_out_at IS NOT NULL";
        assert_eq!(count(story, out).await, 6);

        execute(story, "UPDATE subscribers SET token = 'lost-' || id, psid = 'lost-' || id,
             token_seen_at = 1, token_enabled = 1 WHERE opted_out_at IS NULL").await;
        for person in story.sandbox.meta.people().iter().skip(2) {
            story.sandbox.meta.stops_unnoticed(person).unwrap();
        }
        story.clock.advance(MINUTE);
        opt_ins::resync_page(&story.app, page(story).await).await.unwrap();
        assert_eq!(count(story, out).await, 6, "ten of twelve are missing");
    }
}

story! {
    async fn a_token_that_came_while_the_list_was_read_stays(story: &mut Story) {
        story.audience(2).await;
        is_settled(story).await;
        let later = story.now() + 1;
        sqlx::query("UPDATE subscribers SET token = 'newer-' || psid, token_seen_at = $1")
            .bind(later)
            .execute(story.app.db.writer())
            .await
            .unwrap();
        opt_ins::resync_page(&story.app, page(story).await).await.unwrap();
        let kept = "SELECT COUNT(*) FROM subscribers WHERE token = 'newer-' || psid
             AND opted_out_at IS NULL";
        assert_eq!(count(story, kept).await, 2);
    }
}

story! {
    async fn before_a_launch_a_list_is_read_that_is_older_than_an_hour(story: &mut Story) {
        story.audience(5).await;
        let first = story.now();
        assert!(lists_read(story).await);
        assert_eq!(synced_at(story).await, Some(first));
        story.clock.advance(HOUR);
        assert!(lists_read(story).await);
        assert_eq!(synced_at(story).await, Some(first));
        story.clock.advance(1);
        assert!(lists_read(story).await);
        assert_eq!(synced_at(story).await, Some(first + HOUR + 1));
        // A clock that was wrong does not keep the list from being read.
        story.clock.advance(-3 * HOUR);
        assert!(lists_read(story).await);
        assert_eq!(synced_at(story).await, Some(story.now()));
    }
}

story! {
    async fn a_list_is_read_by_one_worker_and_again_after_a_crash(story: &mut Story) {
        story.audience(5).await;
        story.sandbox.meta.delays(600);
        let (one, other) = tokio::join!(lists_read(story), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            lists_read(story).await
        });
        story.sandbox.meta.delays(0);
        assert!(one, "who reads it has read it");
        assert!(!other, "the other one waits");
        assert!(lists_read(story).await);
        let first = synced_at(story).await;

        story.clock.advance(2 * HOUR);
        sqlx::query("UPDATE pages SET tokens_reading_since = $1, tokens_reading_until = $2")
            .bind(story.now())
            .bind(story.now() + MINUTE)
            .execute(story.app.db.writer())
            .await
            .unwrap();
        assert!(!lists_read(story).await, "somebody seems to read it");
        story.clock.advance(MINUTE + 1);
        assert!(lists_read(story).await);
        assert!(synced_at(story).await > first, "and was dead");
    }
}

story! {
    async fn a_launch_waits_a_minute_for_a_long_list_and_not_at_all_for_one_that_fails(story: &mut Story) {
        story.audience(5).await;
        story.sandbox.meta.delays(3_500);
        assert!(!lists_read(story).await);
        story.clock.advance(MINUTE - 1);
        assert!(!lists_read(story).await);
        story.clock.advance(1);
        assert!(lists_read(story).await, "a minute is enough");
        assert_eq!(synced_at(story).await, None);
        story.sandbox.meta.delays(0);
        for _ in 0..100 {
            if synced_at(story).await.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let first = synced_at(story).await;
        assert!(first.is_some(), "it was read on all the same");

        story.clock.advance(2 * HOUR);
        story.sandbox.meta.is_down(true);
        assert!(lists_read(story).await);
        story.sandbox.meta.is_down(false);
        story.clock.advance(9 * MINUTE);
        assert!(lists_read(story).await);
        assert_eq!(synced_at(story).await, first, "it is left alone for a while");
        story.clock.advance(2 * MINUTE);
        assert!(lists_read(story).await);
        assert_eq!(synced_at(story).await, Some(story.now()));
    }
}

story! {
    async fn a_broadcast_is_told_though_a_list_is_read_for_longer_than_a_minute(story: &mut Story) {
        let people = story.audience(3).await;
        let id = story.campaign("Winter Blend").await;
        story.schedules(&id, json!({})).await;
        story.minutes_pass(59).await;
        // Another worker begins to read as everything is ready, and reads on.
        sqlx::query("UPDATE pages SET tokens_synced_at = NULL, tokens_reading_since = $1,
             tokens_reading_until = $2")
            .bind(story.now() + MINUTE)
            .bind(story.now() + 3 * MINUTE)
            .execute(story.app.db.writer())
            .await
            .unwrap();
        story.clock.advance(MINUTE);
        story.settles().await;
        assert_eq!(story.report(&id).await["status"], "preparing");
        story.clock.advance(MINUTE);
        story.settles().await;
        assert_eq!(story.report(&id).await["status"], "finished");
        assert!(people.iter().all(|person| story.heard(person).len() == 1));
        assert_eq!(synced_at(story).await, None);
    }
}

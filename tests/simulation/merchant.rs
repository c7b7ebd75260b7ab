//! What people do: the merchant at the campaigns, shoppers, and somebody who should not.

use pagecast::campaigns::{self, Draft, Schedule};
use pagecast::clock::Millis;
use pagecast::store::ids::{CampaignId, WorkspaceId};
use serde_json::json;

use crate::mail::News;
use crate::meta::{HOUR, MINUTE, SECOND};
use crate::network::IN_FLIGHT;
use crate::plan::{Trouble, rows};
use crate::process::Job;
use crate::world::World;

pub(crate) const WORKSPACE: WorkspaceId = WorkspaceId(1);
/// So often the merchant resumes what Meta stops again and again; then gives up.
const RESUMES: u32 = 6;

/// A campaign, and what the merchant told it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) id: CampaignId,
    /// Starts the text of its messages.
    pub(crate) label: String,
    pub(crate) cancelled_at: Option<Millis>,
    /// From when to when it stood still by the merchant's word.
    pub(crate) pauses: Vec<(Millis, Option<Millis>)>,
    resumed: u32,
}

impl Told {
    /// Whether nothing of it may leave at this moment.
    pub(crate) fn stands_at(&self, at: Millis) -> bool {
        let past = |from: Millis, until: Option<Millis>| {
            at > from + IN_FLIGHT && until.is_none_or(|until| at < until)
        };
        self.cancelled_at.is_some_and(|from| past(from, None))
            || self.pauses.iter().any(|(from, until)| past(*from, *until))
    }
}

impl World {
    /// The workspace, its Page, its people, and its campaigns.
    pub(crate) fn furnish(&mut self) {
        let app = self.merchant.app.clone();
        let rows = rows(&self.plan, |context, secret| {
            app.keys.seal(context, secret).unwrap()
        });
        for row in rows {
            self.merchant.does(execute(&app, row));
        }
        for number in 0..self.plan.campaigns.len() {
            let wanted = &self.plan.campaigns[number];
            let label = format!("c{number}: a word to you");
            let draft = Draft {
                name: format!("c{number}"),
                message: serde_json::from_value(json!({"kind": "text", "text": label})).unwrap(),
                audience: serde_json::from_value(json!({"include": [{"kind": "everyone"}],
                    "holdout_percent": wanted.holdout}))
                .unwrap(),
                channel: wanted.channel.to_owned(),
                utm: vec![],
            };
            let schedule = Schedule {
                at: Some(wanted.at),
                late_limit_minutes: Some(wanted.late_limit),
                ..Schedule::default()
            };
            let made = self.merchant.does(async {
                let made = campaigns::create(&app, WORKSPACE, draft).await?;
                campaigns::schedule(&app, WORKSPACE, made.id, schedule).await
            });
            self.campaigns.push(Told {
                id: made.unwrap().id,
                label,
                cancelled_at: None,
                pauses: vec![],
                resumed: 0,
            });
        }
    }

    pub(crate) fn people_act(&mut self, what: Trouble) {
        let now = self.now.get();
        match what {
            Trouble::Pause(n) => self.pauses(n),
            Trouble::Resume(n) => self.resumes(n),
            Trouble::Cancel(n) => self.cancels(n),
            Trouble::Reconnect => self.reconnects(),
            Trouble::Writes(person) => {
                self.meta.people[person].acted_at = Some(now);
                self.sends(News::Wrote(person), 200..3 * SECOND);
            }
            Trouble::SaysStop(person) | Trouble::StopsAtMeta(person) => {
                self.meta.people[person].stopped_at.get_or_insert(now);
                if matches!(what, Trouble::SaysStop(_)) {
                    self.sends(News::Stop(person), 200..MINUTE);
                }
            }
            Trouble::OtherSender(person) => {
                self.meta.people[person].last_paid_at = Some(now);
                self.meta.people[person].has_other_sender = true;
            }
            _ => {}
        }
    }

    fn pauses(&mut self, n: usize) {
        let app = self.merchant.app.clone();
        let id = self.campaigns[n].id;
        let done = self.merchant.does(campaigns::pause(&app, WORKSPACE, id));
        let now = self.now.get();
        if done.is_ok() {
            self.campaigns[n].pauses.push((now, None));
        }
    }

    fn resumes(&mut self, n: usize) {
        let app = self.merchant.app.clone();
        let id = self.campaigns[n].id;
        let done = self.merchant.does(campaigns::resume(&app, WORKSPACE, id));
        let now = self.now.get();
        if done.is_ok()
            && let Some((_, until)) = self.campaigns[n].pauses.last_mut()
        {
            until.get_or_insert(now);
        }
        self.nudges(Job::Campaigns);
        self.nudges(Job::Pages);
    }

    fn cancels(&mut self, n: usize) {
        let app = self.merchant.app.clone();
        let id = self.campaigns[n].id;
        let done = self.merchant.does(campaigns::cancel(&app, WORKSPACE, id));
        if done.is_ok() {
            self.campaigns[n].cancelled_at = Some(self.now.get());
        }
    }

    fn reconnects(&mut self) {
        let app = self.merchant.app.clone();
        let row = "UPDATE pages SET state = 'active', attention = NULL".to_owned();
        self.merchant.does(execute(&app, row));
    }

    /// In the calm the merchant looks after everything that waits for a person.
    pub(crate) fn mends(&mut self) {
        self.reconnects();
        for n in 0..self.campaigns.len() {
            let app = self.merchant.app.clone();
            let id = self.campaigns[n].id;
            let found = self.merchant.does(campaigns::find(&app, WORKSPACE, id));
            let status = found.unwrap().status;
            if !matches!(status.as_str(), "paused" | "failed") {
                continue;
            }
            if self.campaigns[n].resumed < RESUMES {
                self.campaigns[n].resumed += 1;
                self.log(|| format!("campaign {n} is {status} and resumed"));
                self.resumes(n);
            } else {
                self.log(|| format!("campaign {n} is {status} and cancelled"));
                self.cancels(n);
            }
        }
    }

    /// What is still open, in words.
    pub(crate) fn open(&mut self) -> Option<String> {
        let app = self.merchant.app.clone();
        self.merchant.does(async {
            let open: Vec<(String, i64)> = sqlx::query_as(
                "SELECT 'campaign ' || status, COUNT(*) FROM campaigns
                 WHERE status NOT IN ('finished', 'cancelled') GROUP BY status
                 UNION ALL
                 SELECT 'message ' || status || ' ' || COALESCE(reason, ''), COUNT(*)
                 FROM messages WHERE status IN ('queued', 'sending')
                   OR status = 'unknown' AND reason = 'answer_lost'
                      AND channel = 'marketing_message' AND started_at > $1
                      AND campaign_id NOT IN (SELECT id FROM campaigns WHERE status = 'cancelled')
                 GROUP BY status, reason
                 UNION ALL
                 SELECT 'webhook', COUNT(*) FROM webhooks WHERE processed_at IS NULL
                 HAVING COUNT(*) > 0",
            )
            .bind(app.clock.now() - 11 * 60 * MINUTE)
            .fetch_all(app.db.pool())
            .await
            .unwrap();
            let words: Vec<String> = open.iter().map(|(what, n)| format!("{n} {what}")).collect();
            (!words.is_empty()).then(|| words.join(", "))
        })
    }

    /// How long the rows say that there is nothing to do; 0 when something is due.
    pub(crate) fn nothing_due_for(&mut self) -> Millis {
        let app = self.merchant.app.clone();
        let now = self.now.get();
        let next: Option<i64> = self.merchant.does(async {
            sqlx::query_scalar(
                "SELECT MIN(at) FROM (
                     SELECT MIN(due_at) AS at FROM messages WHERE status = 'queued'
                     UNION ALL SELECT MIN(lease_until) FROM messages WHERE status = 'sending'
                     UNION ALL SELECT MIN(started_at) + 60000 FROM messages
                         WHERE status = 'unknown' AND reason = 'answer_lost'
                           AND started_at > $1 - 39600000
                     UNION ALL SELECT MIN(retry_at) FROM webhooks WHERE processed_at IS NULL
                     UNION ALL SELECT MIN(scheduled_at - CASE WHEN scheduled_at - 10800000 > $1
                         THEN 10800000 ELSE 0 END) FROM campaigns WHERE status = 'scheduled'
                     UNION ALL SELECT $1 FROM campaigns WHERE status IN ('preparing', 'running'))",
            )
            .bind(now)
            .fetch_one(app.db.pool())
            .await
            .unwrap()
        });
        next.map_or(6 * HOUR, |at| at - now).clamp(0, 6 * HOUR)
    }

    pub(crate) fn resends_by_hand(&mut self) {
        let app = self.merchant.app.clone();
        for row in [
            "UPDATE campaigns SET status = 'running' WHERE status = 'finished' AND EXISTS
               (SELECT 1 FROM messages WHERE status = 'unknown' AND campaign_id = campaigns.id)",
            "UPDATE messages SET status = 'queued', reason = NULL WHERE status = 'unknown'",
        ] {
            self.merchant.does(execute(&app, row.to_owned()));
        }
    }
}

async fn execute(app: &pagecast::app::App, row: String) {
    sqlx::query(sqlx::AssertSqlSafe(row))
        .execute(app.db.pool())
        .await
        .unwrap();
}

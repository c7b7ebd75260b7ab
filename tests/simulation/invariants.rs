//! What must hold after every schedule, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};

use pagecast::analytics;
use pagecast::app::App;
use pagecast::clock::Millis;

use crate::mail::News;
use crate::merchant::WORKSPACE;
use crate::meta::{HOUR, MINUTE, SECOND, Taken};
use crate::network::IN_FLIGHT;
use crate::plan::subscriber_row;
use crate::world::World;

/// Sends of one Page in any second.
const LIMIT: usize = 300;
/// The least time between two tries of one message.
const PAUSE: Millis = 900;

/// A campaign's message as it ended: (campaign, person) → row.
type Rows = BTreeMap<(usize, usize), Row>;

#[derive(Debug, sqlx::FromRow)]
struct Row {
    campaign_id: i64,
    subscriber_id: i64,
    status: String,
    reason: Option<String>,
    delivered_at: Option<Millis>,
    read_at: Option<Millis>,
}

impl World {
    /// Everything that does not hold.
    pub(crate) fn judge(&mut self) {
        let app = self.merchant.app.clone();
        let rows = self.rows(&app);
        let mut wrong = Vec::new();
        self.nobody_is_told_twice(&mut wrong);
        self.nothing_is_lost(&rows, &mut wrong);
        self.rows_tell_the_truth(&rows, &mut wrong);
        self.nobody_is_written_to_against_their_will(&app, &mut wrong);
        self.the_cap_holds(&mut wrong);
        self.the_pace_holds(&mut wrong);
        self.nobody_hammers(&mut wrong);
        self.the_merchant_is_obeyed(&mut wrong);
        self.counts_add_up(&app, &rows, &mut wrong);
        for what in wrong {
            self.violated(what);
        }
    }

    fn rows(&self, app: &App) -> Rows {
        let rows: Vec<Row> = self.merchant.does(async {
            sqlx::query_as(
                "SELECT campaign_id, subscriber_id, status, reason, delivered_at, read_at
                 FROM messages WHERE campaign_id IS NOT NULL",
            )
            .fetch_all(app.db.pool())
            .await
            .unwrap()
        });
        let place = |row: &Row| {
            let campaign = self
                .campaigns
                .iter()
                .position(|c| c.id.0 == row.campaign_id);
            let person = row.subscriber_id - subscriber_row(0);
            (campaign.unwrap(), usize::try_from(person).unwrap())
        };
        rows.into_iter().map(|row| (place(&row), row)).collect()
    }

    /// The campaign's messages that Meta took.
    fn taken(&self) -> impl Iterator<Item = (usize, usize, &Taken)> {
        self.meta.taken.iter().enumerate().filter_map(|(n, taken)| {
            let campaign = self.campaigns.iter().position(|c| c.label == taken.text)?;
            Some((n, campaign, taken))
        })
    }

    fn nobody_is_told_twice(&self, wrong: &mut Vec<String>) {
        let mut told = BTreeSet::new();
        for (_, campaign, taken) in self.taken() {
            if !told.insert((campaign, taken.person)) {
                wrong.push(format!(
                    "campaign {campaign} reached person {} twice",
                    taken.person
                ));
            }
        }
    }

    fn nothing_is_lost(&self, rows: &Rows, wrong: &mut Vec<String>) {
        for ((campaign, person), row) in rows {
            let said = row.status == "sent" || row.reason.is_some();
            let ended = ["sent", "skipped", "failed", "unknown"].contains(&row.status.as_str());
            if !ended || !said {
                let (status, reason) = (&row.status, &row.reason);
                wrong.push(format!(
                    "campaign {campaign}, person {person}: {status}, {reason:?}"
                ));
            }
        }
        let launched: BTreeSet<usize> = rows.keys().map(|(campaign, _)| *campaign).collect();
        for campaign in launched {
            for (person, human) in self.meta.people.iter().enumerate() {
                if human.stopped_at.is_none() && !rows.contains_key(&(campaign, person)) {
                    wrong.push(format!(
                        "campaign {campaign} has no row for person {person}"
                    ));
                }
            }
        }
    }

    /// What Meta took is `sent`, or in doubt as long as no echo came; what is `sent`, Meta took.
    fn rows_tell_the_truth(&self, rows: &Rows, wrong: &mut Vec<String>) {
        let heard: BTreeSet<(u8, usize)> = self
            .mail
            .iter()
            .filter_map(|sent| match sent.news {
                News::Echo(n) => Some((0, n)),
                News::NotDelivered(n) => Some((1, n)),
                _ => None,
            })
            .collect();
        let mut took = BTreeSet::new();
        for (n, campaign, taken) in self.taken() {
            took.insert((campaign, taken.person));
            let status = rows
                .get(&(campaign, taken.person))
                .map_or("missing", |row| row.status.as_str());
            let settled = heard.contains(&(0, n));
            let undelivered = heard.contains(&(1, n));
            let fine = match status {
                "sent" => true,
                "unknown" => !settled,
                "failed" => undelivered,
                _ => false,
            };
            if !fine {
                wrong.push(format!(
                    "Meta took number {n} (campaign {campaign}, person {}), which is {status}",
                    taken.person
                ));
            }
        }
        for ((campaign, person), row) in rows {
            let another = self.meta.people[*person].has_other_sender;
            if row.status == "sent" && !took.contains(&(*campaign, *person)) && !another {
                wrong.push(format!(
                    "campaign {campaign}, person {person}: sent, but Meta never took it"
                ));
            }
            let backwards = row.delivered_at.is_some() && row.status != "sent"
                || row.read_at.is_some() && row.delivered_at.is_none();
            if backwards {
                wrong.push(format!(
                    "campaign {campaign}, person {person}: odd receipts"
                ));
            }
        }
    }

    fn nobody_is_written_to_against_their_will(&self, app: &App, wrong: &mut Vec<String>) {
        let understood: BTreeMap<String, Millis> = self.merchant.does(async {
            let rows: Vec<(String, Millis)> = sqlx::query_as(
                "SELECT external_id, processed_at FROM webhooks WHERE processed_at IS NOT NULL",
            )
            .fetch_all(app.db.pool())
            .await
            .unwrap();
            rows.into_iter().collect()
        });
        for sent in &self.mail {
            let (News::Stop(person), Some(at)) = (sent.news, understood.get(&sent.external_id))
            else {
                continue;
            };
            let late = self.departures.iter().find(|d| {
                d.person == Some(person) && d.at > at + IN_FLIGHT && self.is_campaign(&d.text)
            });
            if let Some(late) = late {
                wrong.push(format!(
                    "person {person} said stop and was written to: {late:?}"
                ));
            }
        }
        for departure in &self.departures {
            if !departure.paid && !departure.window_open {
                wrong.push(format!("outside the 24 hour window: {departure:?}"));
            }
        }
    }

    fn is_campaign(&self, text: &str) -> bool {
        self.campaigns.iter().any(|campaign| campaign.label == text)
    }

    fn the_cap_holds(&self, wrong: &mut Vec<String>) {
        let cap = self.plan.cap_hours * HOUR - 2 * MINUTE;
        let mut last: BTreeMap<usize, Millis> = BTreeMap::new();
        for (n, _, taken) in self.taken() {
            let before = last.insert(taken.person, taken.at);
            if before.is_some_and(|before| taken.at - before < cap) {
                let hours = self.plan.cap_hours;
                wrong.push(format!(
                    "person {} got two within {hours} hours, the second number {n}",
                    taken.person
                ));
            }
        }
    }

    fn the_pace_holds(&self, wrong: &mut Vec<String>) {
        let mut pages: BTreeMap<&str, Vec<Millis>> = BTreeMap::new();
        for departure in &self.departures {
            pages.entry(&departure.page).or_default().push(departure.at);
        }
        for (page, times) in pages {
            let near = |calls: usize, within: Millis| {
                let pairs = times.iter().zip(times.iter().skip(calls));
                pairs.into_iter().find(|(a, b)| **b - **a < within)
            };
            // Whoever was frozen finds its moments past and speaks at once; within a second's limit.
            let mut rules = vec![(LIMIT, SECOND)];
            if !self.was_frozen {
                rules.extend([(1, 3), (10, 34), (100, 344)]);
            }
            for (calls, within) in rules {
                if let Some((from, _)) = near(calls, within) {
                    wrong.push(format!(
                        "Page {page} made more than {calls} calls within {within} ms from {from} on"
                    ));
                }
            }
        }
    }

    /// A message that did not get through waits before it is tried again.
    fn nobody_hammers(&self, wrong: &mut Vec<String>) {
        let mut last: BTreeMap<(&str, Option<usize>), Millis> = BTreeMap::new();
        for departure in &self.departures {
            let before = last.insert((&departure.text, departure.person), departure.at);
            if before.is_some_and(|before| departure.at - before < PAUSE) {
                wrong.push(format!("tried again at once: {departure:?}"));
                return;
            }
        }
    }

    /// Paused and cancelled campaigns stand still.
    fn the_merchant_is_obeyed(&self, wrong: &mut Vec<String>) {
        for departure in &self.departures {
            let campaign = self.campaigns.iter().find(|c| c.label == departure.text);
            if campaign.is_some_and(|campaign| campaign.stands_at(departure.at)) {
                wrong.push(format!(
                    "left although its campaign stands still: {departure:?}"
                ));
            }
        }
    }

    fn counts_add_up(&self, app: &App, rows: &Rows, wrong: &mut Vec<String>) {
        for (n, campaign) in self.campaigns.iter().enumerate() {
            let told = analytics::campaign(app, WORKSPACE, campaign.id);
            let told = self.merchant.does(told).unwrap();
            let count = |is: &dyn Fn(&Row) -> bool| {
                let found = rows.iter().filter(|((c, _), row)| *c == n && is(row));
                i64::try_from(found.count()).unwrap()
            };
            let with = |status: &'static str| count(&move |row: &Row| row.status == status);
            let is = [
                (told.sent, with("sent")),
                (told.failed, with("failed")),
                (told.skipped, with("skipped")),
                (told.unknown, with("unknown")),
                (told.delivered, count(&|row| row.delivered_at.is_some())),
                (told.read, count(&|row| row.read_at.is_some())),
                (told.audience(), count(&|_| true)),
                (
                    told.skipped_why.iter().map(|(_, n)| n).sum(),
                    with("skipped"),
                ),
                (told.failed_why.iter().map(|(_, n)| n).sum(), with("failed")),
            ];
            if is.iter().any(|(told, counted)| told != counted) {
                wrong.push(format!("campaign {n}: its report says {told:?}"));
            }
        }
    }
}

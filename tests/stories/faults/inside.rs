//! What the stories within one process share: an audience on both channels, and time that passes
//! whatever fails.

use pagecast::app::App;
use pagecast::clock::MINUTE;
use pagecast::http_client::HttpClient;
use pagecast::meta;
use pagecast::sandbox::Person;
use pagecast::worker;
use serde_json::{Value, json};

use super::audience;
use crate::support::Story;

impl Story {
    /// `n` subscribers. Every other one wrote to the Page just now, so that they are told on the
    /// free channel, where Meta takes a second message as gladly as the first.
    pub(super) async fn mixed_audience(&self, n: usize) -> Vec<Person> {
        let people = self.audience(n).await;
        for person in people.iter().step_by(2) {
            self.sandbox.meta.wrote_unnoticed(person).unwrap();
            sqlx::query("UPDATE subscribers SET last_action_at = $2 WHERE psid = $1")
                .bind(&person.psid)
                .bind(self.now())
                .execute(self.app.db.pool())
                .await
                .unwrap();
        }
        people
    }

    /// Schedules a broadcast and stops a minute before Meta's warm-up ends; its id.
    pub(super) async fn almost_starts(&self) -> String {
        let id = self.campaign("Fault").await;
        self.schedules(&id, json!({})).await;
        self.minutes_pass(59).await;
        id
    }

    /// Lets `minutes` pass while `app` does what is due, failing or not.
    pub(super) async fn endures(&self, app: &App, minutes: i64) {
        let end = self.now() + minutes * MINUTE;
        while self.now() < end {
            self.clock.advance(MINUTE / 4);
            // That it fails is what the story is about.
            let _ = worker::run_due(app).await;
            self.sandbox.settled().await;
        }
    }

    /// The product as it is when Meta's address refuses every connection.
    pub(super) fn without_meta(&self) -> App {
        let settings = meta::Settings {
            graph_url: "http://127.0.0.1:1".to_owned(),
            graph_version: self.app.config.meta.graph_version.clone(),
            app_id: self.app.config.meta.app_id.clone(),
            app_secret: self.app.config.meta.app_secret.clone(),
        };
        App {
            meta: meta::Client::new(HttpClient::new().unwrap(), settings),
            ..self.app.clone()
        }
    }

    /// How many messages Meta has taken for these people.
    pub(super) fn taken(&self, people: &[Person]) -> usize {
        people.iter().map(|person| self.heard(person).len()).sum()
    }

    /// The campaign has ended by itself, everybody was told once or is shown as unknown, and the
    /// parts add up. Its report, and how many are unknown.
    pub(super) async fn all_told_once(&self, people: &[Person], id: &str) -> (Value, usize) {
        let report = self.report(id).await;
        assert_eq!(report["status"], "finished", "{report:#}");
        let unknown = audience::agrees(&self.app.db, &self.sandbox, people, &report).await;
        (report, unknown)
    }
}

//! Meta's webhooks: written in Meta's shape, sometimes lost, doubled, late, and in any order;
//! received by the product's own intake.

use pagecast::clock::Millis;
use pagecast::webhooks::{self, Arrival, Platform};
use rand::Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::meta::{HOUR, MINUTE, SECOND};
use crate::world::{Event, World};

/// What a webhook tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Of the message that Meta took with this number.
    Echo(usize),
    Delivered(usize),
    Read(usize),
    /// Meta took it, and could not deliver it.
    NotDelivered(usize),
    /// Of this person.
    Stop(usize),
    Wrote(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) news: News,
    pub(crate) body: String,
}

/// A letter that arrived, as it is found in the product's inbox.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) news: News,
    pub(crate) external_id: String,
}

impl World {
    /// What Meta tells of a message that it took.
    pub(crate) fn posts(&mut self, taken: usize) {
        self.sends(News::Echo(taken), 200..5 * SECOND);
        if self.meta.taken[taken].paid && self.rng.random_ratio(1, 25) {
            self.sends(News::NotDelivered(taken), SECOND..5 * MINUTE);
            return;
        }
        self.sends(News::Delivered(taken), 500..2 * MINUTE);
        if self.rng.random_ratio(1, 2) {
            self.sends(News::Read(taken), SECOND..HOUR);
        }
    }

    /// Puts a letter on its way, within this time if all goes well.
    pub(crate) fn sends(&mut self, news: News, within: std::ops::Range<Millis>) {
        if self.percent(self.plan.mail_lost) {
            return;
        }
        let mut wait = self.rng.random_range(within);
        if self.percent(self.plan.mail_late) {
            wait += self.rng.random_range(0..3 * HOUR);
        }
        let at = self.now.get();
        let body = self.written(news, at, at);
        if self.percent(self.plan.mail_doubled) {
            // The same bytes again, or the same event in another envelope.
            let body = if self.rng.random_ratio(1, 2) {
                body.clone()
            } else {
                self.written(news, at, at + 1)
            };
            let later = wait + self.rng.random_range(0..10 * MINUTE);
            self.after(later, Event::Mail(Letter { news, body }));
        }
        self.after(wait, Event::Mail(Letter { news, body }));
    }

    fn percent(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    /// The letter is at our door.
    pub(crate) fn keeps(&mut self, letter: Letter) {
        let external_id = hex::encode(Sha256::digest(letter.body.as_bytes()));
        self.log(|| format!("mail {:?}", letter.news));
        self.mail.push(Sent {
            news: letter.news,
            external_id: external_id.clone(),
        });
        let arrival = Arrival {
            platform: Platform::Meta,
            external_id,
            topic: "messages".to_owned(),
            account: self.page_of(self.about(letter.news)),
            triggered_at: None,
            body: letter.body.into_bytes(),
        };
        let app = self.merchant.app.clone();
        let kept = self.merchant.does(webhooks::receive(&app, vec![arrival]));
        if let Err(error) = kept {
            self.violated(format!("a webhook was not kept: {error:#}"));
        }
    }

    fn about(&self, news: News) -> usize {
        match news {
            News::Echo(taken)
            | News::Delivered(taken)
            | News::Read(taken)
            | News::NotDelivered(taken) => self.meta.taken[taken].person,
            News::Stop(person) | News::Wrote(person) => person,
        }
    }

    fn written(&self, news: News, at: Millis, time: Millis) -> String {
        let person = &self.meta.people[self.about(news)];
        let page = self.page_of(self.about(news));
        let from_person = |member: &str, value: Value| {
            let mut event = json!({"sender": {"id": person.psid}, "recipient": {"id": page},
                "timestamp": at});
            event[member] = value;
            event
        };
        let paid = |field: &str, taken: usize| {
            let taken = &self.meta.taken[taken];
            let mut value = json!({"recipient_id": person.psid, "page_id": page, "timestamp": at,
                "mid": taken.mid, "messenger_subscription_token": person.token,
                "message_id": taken.vehicle});
            if field == "marketing_message_delivery_failed" {
                value["error_message"] = json!("not delivered");
            } else {
                value["marketing_message_tracking_id"] = json!(taken.tracking);
            }
            json!({"field": field, "value": value})
        };
        let is_paid = |taken: usize| self.meta.taken[taken].paid;
        let (list, event) = match news {
            News::Echo(n) if is_paid(n) => ("changes", paid("marketing_message_echoes", n)),
            News::Delivered(n) if is_paid(n) => {
                ("changes", paid("marketing_message_deliveries", n))
            }
            News::Read(n) if is_paid(n) => ("changes", paid("marketing_message_reads", n)),
            News::NotDelivered(n) => ("changes", paid("marketing_message_delivery_failed", n)),
            News::Echo(n) => {
                let taken = &self.meta.taken[n];
                let echo = json!({"sender": {"id": page}, "recipient": {"id": person.psid},
                    "timestamp": at, "message": {"mid": taken.mid, "is_echo": true, "app_id": 1,
                    "metadata": taken.metadata}});
                ("messaging", echo)
            }
            News::Delivered(n) => {
                let mid = &self.meta.taken[n].mid;
                let told = json!({"mids": [mid], "watermark": self.meta.taken[n].at});
                ("messaging", from_person("delivery", told))
            }
            News::Read(n) => {
                let told = json!({"watermark": self.meta.taken[n].at});
                ("messaging", from_person("read", told))
            }
            News::Stop(_) => {
                let optin = json!({"type": "notification_messages",
                    "notification_messages_token": person.token,
                    "notification_messages_status": "STOP NOTIFICATIONS"});
                ("messaging", from_person("optin", optin))
            }
            News::Wrote(_) => {
                let message = json!({"mid": format!("m_in_{at}"), "text": "hello"});
                ("messaging", from_person("message", message))
            }
        };
        json!({"object": "page", "entry": [{"id": page, "time": time, list: [event]}]}).to_string()
    }
}

//! What people do, in their own words. Each verb that cannot happen says why.

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::Meta;
use super::state::{Channel, Entry, Human, SentMessage, State};
use crate::sandbox::chance::Chance;

/// Somebody with a Messenger account, as one Page sees them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    pub psid: String,
    pub first_name: String,
    pub last_name: String,
}

/// One line of a thread as the play page shows it.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    FromPage(Box<SentMessage>),
    FromPerson { text: String },
}

impl Meta {
    /// Where signed webhooks go: the product's `/webhooks/meta`.
    pub fn points_webhooks_at(&self, url: &str) {
        self.state().webhook_url = Some(url.to_owned());
    }

    /// The handshake with which Meta checks a callback address.
    ///
    /// # Errors
    /// When the address does not answer with the challenge.
    pub async fn verifies_webhooks(&self) -> anyhow::Result<()> {
        let url = self
            .state()
            .webhook_url
            .clone()
            .context("no webhook address was given")?;
        let challenge = self
            .inner
            .world
            .chance
            .between(1_000_000, 9_999_999)
            .to_string();
        let answer = crate::sandbox::webhook_sender::outbound()?
            .get(&url)
            .query(&[
                ("hub.mode", "subscribe"),
                ("hub.verify_token", &self.inner.verify_token),
                ("hub.challenge", &challenge),
            ])
            .send()
            .await?;
        let status = answer.status();
        let said = answer.text().await?;
        anyhow::ensure!(
            status.is_success() && said == challenge,
            "handshake answered {status}"
        );
        Ok(())
    }

    /// Somebody new, who has not talked to the (first) Page yet.
    pub fn person(&self, name: &str) -> Person {
        let page = self.state().first_page.clone().unwrap_or_default();
        self.person_of(&page, name)
    }

    /// Somebody new to the Page `page_id`.
    pub fn person_of(&self, page_id: &str, name: &str) -> Person {
        let (first, last) = name.split_once(' ').unwrap_or((name, ""));
        let psid = new_psid(&self.inner.world.chance);
        let mut state = self.state();
        state.people.insert(
            psid.clone(),
            Human {
                page_id: page_id.to_owned(),
                first_name: first.to_owned(),
                last_name: last.to_owned(),
                country: "US".to_owned(),
                has_thread: false,
                acted_at: None,
                thread: Vec::new(),
                card: None,
                cards_sent: std::collections::HashMap::new(),
                token: None,
            },
        );
        state.order.push(psid.clone());
        Person {
            psid,
            first_name: first.to_owned(),
            last_name: last.to_owned(),
        }
    }

    /// Everybody, in the order in which they appeared.
    pub fn people(&self) -> Vec<Person> {
        let state = self.state();
        state
            .order
            .iter()
            .filter_map(|psid| person_in(&state, psid))
            .collect()
    }

    pub(crate) fn person_by(&self, psid: &str) -> Option<Person> {
        person_in(&self.state(), psid)
    }

    /// The person lives in this country (`US` unless told).
    pub fn lives_in(&self, person: &Person, country: &str) {
        if let Some(human) = self.state().people.get_mut(&person.psid) {
            country.clone_into(&mut human.country);
        }
    }

    /// What Meta's list of tokens says of the person's clock; New York's where nobody says otherwise.
    pub fn keeps_time_of(&self, person: &Person, timezone: &str) {
        let mut state = self.state();
        let theirs = state.subscriptions.values_mut();
        for subscription in theirs.filter(|subscription| subscription.psid == person.psid) {
            timezone.clone_into(&mut subscription.timezone);
        }
    }

    /// Opens an m.me link. In a new thread that is the tap on Get Started, in an existing one a
    /// referral; both open the window.
    ///
    /// # Errors
    /// When the link is no m.me link of this person's Page, or the Page has no Get Started button.
    pub fn follows(&self, person: &Person, m_me_url: &str) -> anyhow::Result<()> {
        let url = url::Url::parse(m_me_url).context("an m.me link must be an address")?;
        let page_id = url.path().trim_matches('/').to_owned();
        let reference = url
            .query_pairs()
            .find(|(key, _)| key == "ref")
            .map(|(_, v)| v.into_owned());
        if reference.as_ref().is_some_and(|r| r.len() > 2083) {
            bail!("an m.me ref has 2083 characters at most");
        }
        let mut state = self.state();
        let get_started = state
            .pages
            .get(&page_id)
            .with_context(|| format!("m.me knows no Page {page_id}"))?;
        let get_started = get_started.get_started.clone();
        let now = self.now();
        let human = human(&mut state, person)?;
        if human.page_id != page_id {
            bail!("{} is a person of another Page", person.psid);
        }
        let referral = json!({ "ref": reference, "source": "SHORTLINK", "type": "OPEN_THREAD" });
        if human.has_thread {
            human.acted_at = Some(now);
            self.messaging(
                &mut state,
                "messaging_referrals",
                person,
                json!({"referral": referral}),
            )
        } else {
            let payload = get_started.context("the Page has no Get Started button: set one")?;
            human.has_thread = true;
            human.acted_at = Some(now);
            let text = "Get Started".to_owned();
            human.thread.push(Entry::FromPerson { text });
            let mid = self.mid();
            let mut postback = json!({ "mid": mid, "title": "Get Started", "payload": payload });
            if reference.is_some() {
                postback["referral"] = referral;
            }
            let event = json!({ "postback": postback });
            self.messaging(&mut state, "messaging_postbacks", person, event)
        }
    }

    /// The person wrote to the Page, and no webhook tells of it: the window is open.
    pub fn wrote_unnoticed(&self, person: &Person) -> anyhow::Result<()> {
        let now = self.now();
        let mut state = self.state();
        let human = human(&mut state, person)?;
        human.has_thread = true;
        human.acted_at = Some(now);
        Ok(())
    }

    /// Writes to the Page; opens the window.
    pub fn writes(&self, person: &Person, text: &str) -> anyhow::Result<()> {
        let mid = self.mid();
        let event = json!({ "message": { "mid": mid, "text": text } });
        self.acts(person, text, "messages", event)
    }

    /// Taps a quick reply, which is a message with a payload.
    pub fn taps_quick_reply(
        &self,
        person: &Person,
        title: &str,
        payload: &str,
    ) -> anyhow::Result<()> {
        let reply = json!({ "payload": payload });
        let event =
            json!({ "message": { "mid": self.mid(), "text": title, "quick_reply": reply } });
        self.acts(person, title, "messages", event)
    }

    /// Taps a postback button.
    pub fn taps_button(&self, person: &Person, title: &str, payload: &str) -> anyhow::Result<()> {
        let postback = json!({ "mid": self.mid(), "title": title, "payload": payload });
        self.acts(
            person,
            title,
            "messaging_postbacks",
            json!({ "postback": postback }),
        )
    }

    /// Reacts to the last message; opens the window.
    pub fn reacts(&self, person: &Person) -> anyhow::Result<()> {
        let last = self
            .sent_to(person)
            .pop()
            .context("there is no message to react to")?;
        let reaction =
            json!({ "mid": last.mid, "action": "react", "emoji": "\u{2764}", "reaction": "love" });
        self.acts(
            person,
            "\u{2764}",
            "message_reactions",
            json!({ "reaction": reaction }),
        )
    }

    /// Everything sent to the person is delivered, if it was not yet.
    pub fn receives(&self, person: &Person) {
        self.deliver(&mut self.state(), &person.psid, None);
    }

    /// The person reads everything.
    pub fn reads_all(&self, person: &Person) {
        self.read(&mut self.state(), &person.psid, None);
    }

    /// Delivery of a single message, in auto mode.
    pub(crate) fn receives_one(&self, psid: &str, mid: &str) {
        self.deliver(&mut self.state(), psid, Some(mid));
    }

    pub(crate) fn reads_one(&self, psid: &str, mid: &str) {
        self.read(&mut self.state(), psid, Some(mid));
    }

    /// Meta tells of a tap on a link in a marketing message (the link itself is not followed).
    pub fn click_is_told(&self, person: &Person, mid: &str) {
        let mut state = self.state();
        let message = state
            .people
            .get(&person.psid)
            .and_then(|h| h.sent().find(|m| m.mid == mid));
        if let Some(message) = message.filter(|m| m.channel == Channel::Marketing).cloned() {
            self.tell_marketing(
                &mut state,
                "marketing_message_clicks",
                &person.psid,
                &message,
            );
        }
    }

    /// Meta could not deliver the last marketing message after all.
    pub fn delivery_fails(&self, person: &Person, reason: &str) -> anyhow::Result<()> {
        let mut state = self.state();
        let human = human(&mut state, person)?;
        let page_id = human.page_id.clone();
        let last = human
            .sent()
            .filter(|m| m.channel == Channel::Marketing)
            .last()
            .cloned();
        let last = last.context("no marketing message was sent to the person")?;
        let event = json!({
            "sender": { "id": page_id },
            "recipient": { "id": person.psid },
            "timestamp": self.now(),
            "marketing_message_delivery_failed": {
                "field": "marketing_message_delivery_failed",
                "app_id": self.inner.app_id,
                "page_id": page_id,
                "messenger_subscription_token": last.token,
                "timestamp": self.now(),
                "error_message": reason,
                "message_id": last.campaign_id,
            },
        });
        self.tell(
            &mut state,
            "marketing_message_delivery_failed",
            &page_id,
            event,
        );
        Ok(())
    }

    /// What reached the person's thread, oldest first.
    pub fn sent_to(&self, person: &Person) -> Vec<SentMessage> {
        let state = self.state();
        state
            .people
            .get(&person.psid)
            .map(|h| h.sent().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) fn message(&self, psid: &str, mid: &str) -> Option<SentMessage> {
        self.state()
            .people
            .get(psid)?
            .sent()
            .find(|m| m.mid == mid)
            .cloned()
    }

    pub(crate) fn thread(&self, psid: &str) -> Vec<Line> {
        let state = self.state();
        let Some(human) = state.people.get(psid) else {
            return Vec::new();
        };
        human
            .thread
            .iter()
            .map(|entry| match entry {
                Entry::FromPage(message) => Line::FromPage(Box::new(message.clone())),
                Entry::FromPerson { text } => Line::FromPerson { text: text.clone() },
            })
            .collect()
    }

    /// An action of the person inside the thread: opens the window, then is told.
    fn acts(&self, person: &Person, text: &str, field: &str, event: Value) -> anyhow::Result<()> {
        let mut state = self.state();
        let now = self.now();
        let human = human(&mut state, person)?;
        human.has_thread = true;
        human.acted_at = Some(now);
        human.thread.push(Entry::FromPerson {
            text: text.to_owned(),
        });
        self.messaging(&mut state, field, person, event)
    }

    pub(super) fn messaging(
        &self,
        state: &mut State,
        field: &str,
        person: &Person,
        mut event: Value,
    ) -> anyhow::Result<()> {
        let page_id = human(state, person)?.page_id.clone();
        event["sender"] = json!({ "id": person.psid });
        event["recipient"] = json!({ "id": page_id });
        event["timestamp"] = json!(self.now());
        self.tell(state, field, &page_id, event);
        Ok(())
    }

    fn mid(&self) -> String {
        format!("m_{}", self.inner.world.chance.word(40))
    }
}

pub(super) fn human<'a>(state: &'a mut State, person: &Person) -> anyhow::Result<&'a mut Human> {
    state
        .people
        .get_mut(&person.psid)
        .context("the sandbox does not know this person")
}

fn person_in(state: &State, psid: &str) -> Option<Person> {
    let human = state.people.get(psid)?;
    Some(Person {
        psid: psid.to_owned(),
        first_name: human.first_name.clone(),
        last_name: human.last_name.clone(),
    })
}

fn new_psid(chance: &Chance) -> String {
    chance
        .between(10_i64.pow(15), 10_i64.pow(16) - 1)
        .to_string()
}
